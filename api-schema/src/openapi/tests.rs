use serde_json::json;

use super::*;
use crate::builtin;
use crate::protobuf::wire::{BYTES, Reader};

const ALL: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

fn verbs(list: &[&str]) -> Vec<String> {
    list.iter().map(|verb| (*verb).to_owned()).collect()
}

fn resource(group: &str, version: &str, plural: &str, kind: &str) -> ApiResource {
    let id = builtin::kind(group, version, kind).unwrap();
    ApiResource {
        plural: plural.to_owned(),
        kind: kind.to_owned(),
        namespaced: true,
        verbs: verbs(&ALL),
        schema: ApiSchema::Types(builtin::graph().clone(), id),
        subresources: Vec::new(),
        protobuf: true,
        returns_deleted: false,
    }
}

fn sub(name: &str, group: &str, version: &str, kind: &str, list: &[&str]) -> ApiSubresource {
    ApiSubresource {
        name: name.to_owned(),
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        verbs: verbs(list),
    }
}

fn apps() -> GroupVersionApi {
    let mut deployments = resource("apps", "v1", "deployments", "Deployment");
    deployments.subresources = vec![
        sub("status", "", "", "Deployment", &["get", "patch", "update"]),
        sub("scale", "autoscaling", "v1", "Scale", &["get", "patch", "update"]),
    ];
    GroupVersionApi { group: "apps".to_owned(), version: "v1".to_owned(), resources: vec![deployments] }
}

fn widgets() -> GroupVersionApi {
    let schema = json!({"type": "object", "description": "A widget.", "properties": {"spec": {"type": "object",
        "properties": {"size": {"type": "integer", "minimum": 1, "default": 3},
            "port": {"x-kubernetes-int-or-string": true},
            "template": {"type": "object", "x-kubernetes-embedded-resource": true, "required": ["spec"]},
            "note": {"type": "string", "nullable": true}}}},
        "x-kubernetes-selectable-fields": [{"fieldPath": "spec.size"}]});
    GroupVersionApi {
        group: "rec.example".to_owned(),
        version: "v1".to_owned(),
        resources: vec![ApiResource {
            plural: "widgets".to_owned(),
            kind: "Widget".to_owned(),
            namespaced: false,
            verbs: verbs(&ALL),
            schema: ApiSchema::Custom(Arc::new(schema)),
            subresources: vec![sub("scale", "autoscaling", "v1", "Scale", &["get", "patch", "update"])],
            protobuf: false,
            returns_deleted: false,
        }],
    }
}

#[test]
fn a_document_has_paths_and_all_that_they_refer_to() {
    let document = v3::document(&apps(), "1.36", &Descriptions::none());
    let path = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    let patch = &path["patch"];
    assert_eq!(patch["operationId"], "patchAppsV1NamespacedDeployment");
    assert_eq!(patch["x-kubernetes-action"], "patch");
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "apps", "version": "v1", "kind": "Deployment"})
    );
    let names: Vec<&str> =
        patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    let scale = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["get"];
    assert_eq!(scale["x-kubernetes-group-version-kind"]["kind"], "Scale");
    assert_eq!(scale["tags"], json!(["apps_v1"]));
    let list = &document["paths"]["/apis/apps/v1/deployments"]["get"];
    assert_eq!(list["operationId"], "listAppsV1DeploymentForAllNamespaces");
    let mut dangling = Vec::new();
    references(&document, &mut |name| {
        let name = name.trim_start_matches("#/components/schemas/");
        if document["components"]["schemas"][name].is_null() {
            dangling.push(name.to_owned());
        }
    });
    assert_eq!(dangling, Vec::<String>::new());
}

fn references(value: &Value, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "$ref" => visit(text),
                    _ => references(value, visit),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, visit)),
        _ => {}
    }
}

#[test]
fn schemas_have_the_facts_of_the_table() {
    let document = v3::document(&apps(), "1.36", &Descriptions::none());
    let schemas = &document["components"]["schemas"];
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(
        deployment["x-kubernetes-group-version-kind"],
        json!([{"group": "apps", "version": "v1", "kind": "Deployment"}])
    );
    assert_eq!(deployment["properties"]["spec"]["default"], json!({}));
    assert_eq!(
        schemas["io.k8s.api.core.v1.ContainerPort"],
        json!({"type": "object", "required": ["containerPort"], "properties": {
            "containerPort": {"type": "integer", "format": "int32", "default": 0},
            "hostIP": {"type": "string"}, "hostPort": {"type": "integer", "format": "int32"},
            "name": {"type": "string"},
            "protocol": {"type": "string", "default": "TCP", "enum": ["SCTP", "TCP", "UDP"]}}})
    );
    let ports = &schemas["io.k8s.api.core.v1.Container"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
}

#[test]
fn meanings_are_those_of_values_that_there_are() {
    let table = include_str!("../../tables/kubernetes-1.36.types");
    let types: Vec<(&str, &str)> =
        table.split_whitespace().filter_map(|word| word.split_once("string~")?.1.split_once('=')).collect();
    let descriptions = Descriptions::collect();
    let mut meanings = descriptions.own_meanings().peekable();
    assert!(meanings.peek().is_some());
    for (name, value) in meanings {
        let known = types.iter().any(|(of, values)| *of == name && values.split('|').any(|one| one == value));
        assert!(known, "{name} has no value {value:?}");
    }
}

#[test]
fn descriptions_come_from_the_library_and_from_our_words() {
    let descriptions = Descriptions::collect();
    let document = v3::document(&apps(), "1.36", &descriptions);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        if let Some(properties) = schema["properties"].as_object() {
            for (field, property) in properties {
                // The library keeps this type apart.
                let apart = name.ends_with(".WatchEvent");
                assert!(apart || property["description"].is_string(), "{name}.{field} has no description");
            }
        }
    }
    let of =
        |schema: &str, field: &str| schemas[schema]["properties"][field]["description"].as_str().unwrap();
    let values = "\n\nPossible enum values:\n - `\"Always\"`\n - `\"Never\"`\n - `\"OnFailure\"`";
    assert!(of("io.k8s.api.core.v1.PodSpec", "restartPolicy").ends_with(values));
    let meaning =
        "\n - `\"Never\"` the image is never pulled, and the container fails when the node does not have it.";
    assert!(of("io.k8s.api.core.v1.Container", "imagePullPolicy").ends_with(meaning));
    // What lists may hold, their own words tell.
    assert!(!of("io.k8s.api.core.v1.PersistentVolumeClaimSpec", "accessModes").contains("Possible"));
    // Kubernetes says nothing of this one.
    assert_eq!(
        descriptions.of_field("io.k8s.api.certificates.v1.CertificateSigningRequest", "metadata"),
        None
    );
    assert!(descriptions.of_field("dev.insula.tenancy.v1alpha1.TenantSpec", "weight").is_some());
    let graph = builtin::graph();
    for (name, field) in descriptions.own_words() {
        let known = name == "*"
            || graph.named(name).is_some_and(|id| field.is_empty() || graph.at(id).field(field).is_some());
        assert!(known, "{name}.{field} is not in the table");
    }
}

#[test]
fn custom_resources_are_merged_in() {
    let document = v2::document(&[apps(), widgets()], "1.36", &Descriptions::none());
    let widget = &document["definitions"]["example.rec.v1.Widget"];
    assert_eq!(widget["description"], "A widget.");
    let mut properties = widget["properties"]["spec"]["properties"].clone();
    let template = properties["template"].take();
    assert_eq!(template["required"], json!(["spec", "kind", "apiVersion"]));
    assert_eq!(
        template["properties"]["metadata"]["$ref"],
        "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
    assert_eq!(
        properties,
        json!({"size": {"type": "integer", "minimum": 1}, "port": {"x-kubernetes-int-or-string": true}, "note": {},
            "template": null})
    );
    assert_eq!(
        widget["properties"]["metadata"]["$ref"],
        "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
    assert_eq!(
        document["definitions"]["example.rec.v1.WidgetList"]["x-kubernetes-group-version-kind"],
        json!([{"group": "rec.example", "version": "v1", "kind": "WidgetList"}])
    );
    let post = &document["paths"]["/apis/rec.example/v1/widgets"]["post"];
    assert_eq!(post["operationId"], "createRecExampleV1Widget");
    assert_eq!(post["parameters"][0]["schema"]["$ref"], "#/definitions/example.rec.v1.Widget");
    let v3 = v3::document(&widgets(), "1.36", &Descriptions::none());
    let schemas = &v3["components"]["schemas"];
    let properties = &schemas["example.rec.v1.Widget"]["properties"]["spec"]["properties"];
    assert_eq!(properties["size"]["default"], 3);
    assert_eq!(properties["port"]["anyOf"], json!([{"type": "integer"}, {"type": "string"}]));
    let list = &schemas["example.rec.v1.WidgetList"];
    assert_eq!(list["x-kubernetes-selectable-fields"], json!([{"fieldPath": "spec.size"}]));
    let delete_options = &document["definitions"]["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"];
    assert_eq!(delete_options["x-kubernetes-group-version-kind"].as_array().unwrap().len(), 3);
}

/// The fields of a message with this number.
fn find<'a>(message: &'a [u8], number: u32) -> Vec<&'a [u8]> {
    let mut reader = Reader::new(message);
    let mut found: Vec<&'a [u8]> = Vec::new();
    while let Some((at, wire)) = reader.tag().unwrap() {
        match wire {
            BYTES if at == number => found.push(reader.bytes(wire, "").unwrap()),
            _ => reader.skip(wire).unwrap(),
        }
    }
    found
}

fn entry<'a>(message: &'a [u8], number: u32, name: &str) -> &'a [u8] {
    let entries = find(message, number);
    let entry = entries.iter().find(|entry| find(entry, 1)[0] == name.as_bytes()).unwrap();
    find(entry, 2)[0]
}

#[test]
fn the_protobuf_form_has_definitions_and_paths() {
    let document = v2::document(&[apps(), widgets()], "1.36", &Descriptions::none());
    let bytes = v2::protobuf(&document);
    assert_eq!(find(&bytes, 1), [b"2.0"]);
    let definitions = find(&bytes, 9)[0];
    assert_eq!(find(definitions, 1).len(), document["definitions"].as_object().unwrap().len());
    let container = entry(definitions, 1, "io.k8s.api.core.v1.Container");
    let ports = entry(find(container, 25)[0], 1, "ports");
    assert_eq!(find(find(ports, 22)[0], 1), [b"array"]);
    assert_eq!(find(entry(ports, 31, "x-kubernetes-patch-merge-key"), 2), [b"\"containerPort\""]);
    let element = find(find(ports, 23)[0], 1)[0];
    assert_eq!(find(element, 1), [b"#/definitions/io.k8s.api.core.v1.ContainerPort"]);
    let limits =
        entry(find(entry(definitions, 1, "io.k8s.api.core.v1.ResourceRequirements"), 25)[0], 1, "limits");
    let value = find(find(limits, 21)[0], 1)[0];
    assert_eq!(find(value, 1), [b"#/definitions/io.k8s.apimachinery.pkg.api.resource.Quantity"]);
    let path = entry(find(&bytes, 8)[0], 2, "/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    let patch = find(path, 8)[0];
    assert_eq!(find(patch, 5), [b"patchAppsV1NamespacedDeployment"]);
    let parameters = find(patch, 8);
    let body = find(find(parameters[0], 1)[0], 1)[0];
    assert_eq!(find(body, 2), [b"body"]);
    let dry_run = find(find(find(parameters[1], 1)[0], 2)[0], 3)[0];
    assert_eq!(find(dry_run, 4), [b"dryRun"]);
    let kind = find(entry(patch, 13, "x-kubernetes-group-version-kind"), 2)[0];
    assert_eq!(
        serde_json::from_slice::<Value>(kind).unwrap(),
        json!({"group": "apps", "version": "v1", "kind": "Deployment"})
    );
    let ok = entry(find(patch, 9)[0], 1, "200");
    let schema = find(find(find(ok, 1)[0], 2)[0], 1)[0];
    assert_eq!(find(schema, 1), [b"#/definitions/io.k8s.api.apps.v1.Deployment"]);
}

#[test]
fn the_protobuf_form_of_version_3_has_schemas_and_paths() {
    let document = v3::document(&apps(), "1.36", &Descriptions::none());
    let bytes = v3::protobuf(&document);
    assert_eq!(find(&bytes, 1), [b"3.0.0"]);
    let schemas = find(find(&bytes, 5)[0], 1)[0];
    assert_eq!(find(schemas, 1).len(), document["components"]["schemas"].as_object().unwrap().len());
    let container = find(entry(schemas, 1, "io.k8s.api.core.v1.Container"), 1)[0];
    let ports = find(entry(find(container, 31)[0], 1, "ports"), 1)[0];
    assert_eq!(find(ports, 25), [b"array"]);
    assert_eq!(find(entry(ports, 36, "x-kubernetes-patch-merge-key"), 2), [b"\"containerPort\""]);
    let element = find(find(ports, 30)[0], 1)[0];
    assert_eq!(find(find(element, 2)[0], 1), [b"#/components/schemas/io.k8s.api.core.v1.ContainerPort"]);
    let path = entry(find(&bytes, 4)[0], 1, "/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    let patch = find(path, 10)[0];
    assert_eq!(find(patch, 5), [b"patchAppsV1NamespacedDeployment"]);
    let dry_run = find(find(patch, 6)[0], 1)[0];
    assert_eq!(find(dry_run, 1), [b"dryRun"]);
    assert_eq!(find(find(find(dry_run, 10)[0], 1)[0], 25), [b"string"]);
    let ok = entry(find(patch, 8)[0], 2, "200");
    let json = entry(find(find(ok, 1)[0], 3)[0], 1, "application/json");
    let place = find(find(find(json, 1)[0], 2)[0], 1)[0];
    assert_eq!(place, b"#/components/schemas/io.k8s.api.apps.v1.Deployment");
}

#[test]
fn the_index_has_urls_without_a_prefix() {
    let index = index(&[("api/v1".to_owned(), "AB".to_owned()), (apps().path(), "CD".to_owned())]);
    assert_eq!(index["paths"]["api/v1"]["serverRelativeURL"], "/openapi/v3/api/v1?hash=AB");
    assert_eq!(index["paths"]["apis/apps/v1"]["serverRelativeURL"], "/openapi/v3/apis/apps/v1?hash=CD");
}

#[test]
fn what_operations_take_and_give_depends_on_the_resource() {
    let mut core = GroupVersionApi {
        group: String::new(),
        version: "v1".to_owned(),
        resources: vec![resource("", "v1", "pods", "Pod"), resource("", "v1", "endpoints", "Endpoints")],
    };
    core.resources[0].returns_deleted = true;
    core.resources[0].subresources = vec![sub("binding", "", "", "Binding", &["create"])];
    let v3 = v3::document(&core, "1.36", &Descriptions::none());
    let base = "/api/v1/namespaces/{namespace}";
    let delete = |plural: &str| v3["paths"][format!("{base}/{plural}/{{name}}")]["delete"].clone();
    let given = |operation: &Value| {
        operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
            .as_str()
            .and_then(|name| name.rsplit('.').next())
            .map(str::to_owned)
    };
    assert_eq!(given(&delete("pods")).as_deref(), Some("Pod"));
    assert_eq!(given(&delete("endpoints")).as_deref(), Some("Status"));
    assert_eq!(delete("endpoints")["description"], "delete Endpoints");
    assert_eq!(delete("pods")["description"], "delete a Pod");
    let binding = &v3["paths"][format!("{base}/pods/{{name}}/binding")];
    assert_eq!(given(&binding["post"]).as_deref(), Some("Binding"));
    assert_eq!(binding["post"]["x-kubernetes-group-version-kind"]["kind"], "Binding");
    // What all operations of a path take is said once.
    let names = |list: &Value| -> Vec<String> {
        let names = list.as_array().into_iter().flatten();
        names.map(|p| p["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        names(&binding["parameters"]),
        ["dryRun", "fieldManager", "fieldValidation", "name", "namespace", "pretty"]
    );
    assert!(binding["post"].get("parameters").is_none());
    assert_eq!(v3["paths"]["/api/v1/"]["get"]["operationId"], "getCoreV1APIResources");

    let custom = v3::document(&widgets(), "1.36", &Descriptions::none());
    let widget = &custom["paths"]["/apis/rec.example/v1/widgets/{name}"];
    let types = |content: &Value| content.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(types(&widget["put"]["requestBody"]["content"]), ["application/json", "application/yaml"]);
    assert_eq!(
        types(&widget["patch"]["requestBody"]["content"]),
        ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"]
    );
    assert_eq!(types(&widget["patch"]["responses"]), ["200", "401"]);
    assert_eq!(names(&widget["get"]["parameters"]), ["resourceVersion"]);
    let scale = &custom["paths"]["/apis/rec.example/v1/widgets/{name}/scale"]["get"];
    assert_eq!(scale["x-kubernetes-group-version-kind"]["kind"], "Widget");
    assert!(custom["paths"].get("/apis/rec.example/v1/").is_none());
    let v2 = v2::document(&[core, widgets()], "1.36", &Descriptions::none());
    assert_eq!(v2["paths"]["/api/"]["get"]["operationId"], "getCoreAPIVersions");
    assert_eq!(v2["paths"]["/apis/"]["get"]["tags"], json!(["apis"]));
}
