//! CustomResourceDefinitions: served at once, and gone with their objects.

use crate::harness::{Installation, names, text};
use serde_json::{Value, json};

/// The path of definitions.
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A definition of a cluster-scoped kind with a `spec.size`.
pub fn definition(group: &str, plural: &str, kind: &str) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")}, "spec": {"group": group, "scope": "Cluster",
        "names": {"plural": plural, "kind": kind}, "versions": [{"name": "v1", "served": true, "storage": true,
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size",
                "statusReplicasPath": ".status.size"}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}},
                "status": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]}})
}

fn widget(name: &str, size: i64) -> Value {
    json!({"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"name": name},
        "spec": {"size": size, "bogus": true}, "status": {"size": 7}})
}

#[tokio::test]
async fn a_version_has_the_subresources_and_selectors_that_it_declares() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let mut object = definition("example.dev", "widgets", "Widget");
    let mut second = object["spec"]["versions"][0].clone();
    (second["name"], second["storage"]) = ("v2".into(), false.into());
    second["subresources"] = json!({});
    second["schema"]["openAPIV3Schema"]["description"] = "Another.".into();
    second["selectableFields"] = json!([{"jsonPath": ".spec.size"}]);
    object["spec"]["versions"].as_array_mut().unwrap().push(second);
    admin.post(DEFINITIONS, &object).await.expect_code(201);
    let (v1, v2) = ("/apis/example.dev/v1/widgets", "/apis/example.dev/v2/widgets");
    // Through v1, which is stored and not preferred, the status is not written with the object; through v2 it is.
    let made = admin.post(v1, &widget("a", 2)).await.expect_code(201).json();
    assert_eq!(made.get("status"), None);
    let status = json!({"status": {"size": 4}});
    let written = admin.merge(&format!("{v2}/a"), &status).await.expect_code(200).json();
    assert_eq!(written["status"], status["status"]);
    admin.get(&format!("{v1}/a/scale")).await.expect_code(200);
    admin.get(&format!("{v2}/a/scale")).await.expect_code(404);
    admin.get(&format!("{v2}/a/status")).await.expect_code(404);
    let selected = admin.get(&format!("{v2}?fieldSelector=spec.size%3D2")).await.expect_code(200).json();
    assert_eq!(names(&selected), ["a"]);
    let none = admin.get(&format!("{v2}?fieldSelector=spec.size%3D3")).await.expect_code(200).json();
    assert!(names(&none).is_empty());
    admin.get(&format!("{v1}?fieldSelector=spec.size%3D2")).await.expect_code(400);
    for (version, fields) in [("v1", Value::Null), ("v2", json!([{"fieldPath": "spec.size"}]))] {
        let document =
            admin.get(&format!("/openapi/v3/apis/example.dev/{version}")).await.expect_code(200).json();
        let schema = &document["components"]["schemas"][format!("dev.example.{version}.Widget")];
        assert_eq!(schema["type"], "object", "{version}: {schema}");
        assert_eq!(schema["x-kubernetes-selectable-fields"], fields, "{version}");
    }
    for (version, expected) in [("v1", 3), ("v2", 1)] {
        let listed = admin.get(&format!("/apis/example.dev/{version}")).await.expect_code(200).json();
        assert_eq!(listed["resources"].as_array().unwrap().len(), expected, "{version}");
    }
}

#[tokio::test]
async fn identical_definitions_of_many_tenants_are_compiled_once() {
    let insula = Installation::start().await;
    assert_eq!(insula.server.custom_kinds_in_use(), (0, 0));
    for name in ["acme", "other", "third"] {
        let (_, admin) = insula.tenant(name).await;
        for at in 0..5 {
            let (plural, kind) = (format!("widgets{at}"), format!("Widget{at}"));
            let mut object = definition("example.dev", &plural, &kind);
            object["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = kind.into();
            // Names and times of the object itself do not count.
            object["metadata"]["labels"] = json!({"of": name});
            admin.post(DEFINITIONS, &object).await.expect_code(201);
        }
        assert_eq!(insula.server.custom_kinds_in_use(), (5, 5), "{name}");
    }
}

#[tokio::test]
async fn a_definition_is_served_when_its_creation_returns() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let (_, other) = insula.tenant("other").await;
    let made = admin
        .post(DEFINITIONS, &definition("example.dev", "widgets", "Widget"))
        .await
        .expect_code(201)
        .json();
    // The answer is what the client made. That it is established is a change after it, which is there already: who
    // watches from the answer on sees it.
    assert_eq!(made["status"]["conditions"], Value::Null, "{made}");
    let now = admin.get(&format!("{DEFINITIONS}/widgets.example.dev")).await.expect_code(200).json();
    let conditions = now["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True"), "{now}");
    assert_ne!(now["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    assert_eq!(now["metadata"]["generation"], made["metadata"]["generation"]);
    let widgets = "/apis/example.dev/v1/widgets";
    let object = admin.post(widgets, &widget("a", 2)).await.expect_code(201).json();
    assert_eq!((&object["spec"], object.get("status")), (&json!({"size": 2}), None));
    admin.post(widgets, &widget("b", 0)).await.expect_code(422);
    admin.merge(&format!("{widgets}/a/scale"), &json!({"spec": {"replicas": 5}})).await.expect_code(200);
    let status = admin
        .merge(&format!("{widgets}/a/status"), &json!({"status": {"size": 5}, "spec": {"size": 9}}))
        .await;
    let status = status.expect_code(200).json();
    assert_eq!((&status["spec"]["size"], &status["status"]["size"]), (&json!(5), &json!(5)));
    let listed = admin.get("/apis/example.dev/v1").await.expect_code(200).json();
    assert!(listed["resources"].as_array().unwrap().iter().any(|r| r["name"] == "widgets"));
    other.get(widgets).await.expect_code(404);
    other.get("/apis/example.dev/v1").await.expect_code(404);
}

#[tokio::test]
async fn a_definition_stays_until_its_objects_are_gone() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    admin.post(DEFINITIONS, &definition("example.dev", "widgets", "Widget")).await.expect_code(201);
    let widgets = "/apis/example.dev/v1/widgets";
    admin.post(widgets, &widget("a", 1)).await.expect_code(201);
    let path = format!("{DEFINITIONS}/widgets.example.dev");
    let marked = admin.delete(&path).await.expect_code(200).json();
    assert_eq!(marked["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    let refused = admin.post(widgets, &widget("b", 1)).await.expect_code(405).json();
    assert!(text(&refused["message"]).contains("terminating"), "{refused}");
    assert_eq!(names(&admin.get(widgets).await.expect_code(200).json()), ["a"]);
    // What the controller does.
    admin.delete(&format!("{widgets}/a")).await.expect_code(200);
    admin.merge(&path, &json!({"metadata": {"finalizers": null}})).await.expect_code(200);
    admin.get(&path).await.expect_code(404);
    admin.get(widgets).await.expect_code(404);
    // Defined again, it has no objects.
    admin.post(DEFINITIONS, &definition("example.dev", "widgets", "Widget")).await.expect_code(201);
    assert_eq!(names(&admin.get(widgets).await.expect_code(200).json()), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_created_while_its_definition_goes_is_there_for_the_cleanup_or_is_refused() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let widgets = "/apis/example.dev/v1/widgets";
    let path = format!("{DEFINITIONS}/widgets.example.dev");
    for round in 0..5 {
        admin.post(DEFINITIONS, &definition("example.dev", "widgets", "Widget")).await.expect_code(201);
        let writers = (0..10).map(|writer| {
            let admin = admin.clone();
            async move {
                let mut made = Vec::new();
                for index in 0..20 {
                    let name = format!("w{round}-{writer}-{index}");
                    match admin.post(widgets, &widget(&name, 1)).await.code.as_u16() {
                        201 => made.push(name),
                        405 => break,
                        code => panic!("{name}: {code}"),
                    }
                }
                made
            }
        });
        // Also a definition without objects is marked first, as in Kubernetes.
        let (made, marked) = futures::join!(futures::future::join_all(writers), admin.delete(&path));
        let marked = marked.expect_code(200).json();
        assert_eq!(marked["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
        assert!(marked["metadata"]["deletionTimestamp"].is_string());
        assert_eq!(marked["metadata"].get("deletionGracePeriodSeconds"), None);
        let mut made: Vec<String> = made.into_iter().flatten().collect();
        made.sort();
        let mut left = names(&admin.get(widgets).await.expect_code(200).json()).join(" ");
        assert_eq!(left, made.join(" "), "what the cleanup finds is all that there is");
        // What the controller does.
        admin.delete(widgets).await.expect_code(200);
        left = names(&admin.get(widgets).await.json()).join(" ");
        assert_eq!(left, "");
        admin.merge(&path, &json!({"metadata": {"finalizers": null}})).await.expect_code(200);
        admin.get(&path).await.expect_code(404);
    }
}

#[tokio::test]
async fn what_was_stored_under_an_old_schema_is_read_under_the_new_one() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let mut definition = definition("example.dev", "widgets", "Widget");
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    definition.pointer_mut(spec).unwrap()["old"] = json!({"type": "string"});
    admin.post(DEFINITIONS, &definition).await.expect_code(201);
    let widgets = "/apis/example.dev/v1/widgets";
    let mut object = widget("a", 2);
    object["spec"]["old"] = json!("x");
    let made = admin.post(widgets, &object).await.expect_code(201).json();
    let path = format!("{DEFINITIONS}/widgets.example.dev");
    let mut changed = admin.get(&path).await.json();
    let fields = changed.pointer_mut(spec).unwrap().as_object_mut().unwrap();
    fields.remove("old");
    fields.insert("color".into(), json!({"type": "string", "default": "red"}));
    admin.put(&path, &changed).await.expect_code(200);
    let expected = json!({"size": 2, "color": "red"});
    let read = admin.get(&format!("{widgets}/a")).await.expect_code(200).json();
    assert_eq!(read["spec"], expected);
    assert_eq!(read["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    assert_eq!(admin.get(widgets).await.json()["items"][0]["spec"], expected);
    let mut watch = admin.watch(&format!("{widgets}?watch=true")).await;
    assert_eq!(watch.next().await.unwrap()["object"]["spec"], expected);
    // A write that changes nothing stores it as it is read.
    let moved = admin.put(&format!("{widgets}/a"), &read).await.expect_code(200).json();
    assert_ne!(moved["metadata"]["resourceVersion"], read["metadata"]["resourceVersion"]);
    let again = admin.put(&format!("{widgets}/a"), &moved).await.expect_code(200).json();
    assert_eq!(again["metadata"]["resourceVersion"], moved["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn nulls_are_left_out_unless_they_are_applied() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    admin.post(DEFINITIONS, &definition("example.dev", "widgets", "Widget")).await.expect_code(201);
    let widgets = "/apis/example.dev/v1/widgets";
    let mut nothing = widget("a", 1);
    nothing["spec"] = json!({"size": null});
    let made = admin.post(widgets, &nothing).await.expect_code(201).json();
    assert_eq!(made["spec"], json!({}));
    nothing["status"].take();
    let apply = format!("{widgets}/b?fieldManager=me");
    nothing["metadata"]["name"] = "b".into();
    let applied = admin.send("PATCH", &apply, "application/apply-patch+yaml", nothing.to_string()).await;
    let refused = applied.expect_code(422).json();
    assert_eq!(refused["details"]["causes"][0]["field"], "spec.size", "{refused}");
    let why = "Invalid value: \"null\": spec.size in body must be of type integer: \"null\"";
    assert_eq!(text(&refused["details"]["causes"][0]["message"]), why);
}

#[tokio::test]
async fn without_the_subresource_a_status_is_a_field_like_others() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let mut plain = definition("example.dev", "plains", "Plain");
    plain["spec"]["versions"][0]["subresources"] = json!({});
    admin.post(DEFINITIONS, &plain).await.expect_code(201);
    let mut object = widget("a", 2);
    object["kind"] = "Plain".into();
    let plains = "/apis/example.dev/v1/plains";
    let made = admin.post(plains, &object).await.expect_code(201).json();
    assert_eq!((&made["status"]["size"], &made["metadata"]["generation"]), (&json!(7), &json!(1)));
    let path = format!("{plains}/a");
    let changed = admin.merge(&path, &json!({"status": {"size": 8}})).await.expect_code(200).json();
    assert_eq!(changed["metadata"]["generation"], 2);
    let labelled =
        admin.merge(&path, &json!({"metadata": {"labels": {"a": "b"}}})).await.expect_code(200).json();
    assert_eq!(labelled["metadata"]["generation"], 2);
    let status = admin.merge(&format!("{path}/status"), &json!({})).await.expect_code(404).json();
    assert_eq!(text(&status["message"]), "plains.example.dev \"a\" not found");
}

#[tokio::test]
async fn nulls_are_kept_by_an_apply_only_until_the_object_is_stored() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let mut object = definition("example.dev", "widgets", "Widget");
    let spec = &mut object["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"]["any"] = json!({"x-kubernetes-preserve-unknown-fields": true});
    spec["properties"]["none"] = json!({"type": "string", "nullable": true});
    admin.post(DEFINITIONS, &object).await.expect_code(201);
    let applied = json!({"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"name": "a"},
        "spec": {"any": null, "none": null, "size": 1}});
    let path = "/apis/example.dev/v1/widgets/a?fieldManager=m";
    let made = admin.send("PATCH", path, "application/apply-patch+yaml", applied.to_string()).await;
    let made = made.expect_code(201).json();
    assert_eq!(made["spec"], json!({"none": null, "size": 1}));
    let owned = &made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"];
    assert_eq!(*owned, json!({"f:any": {}, "f:none": {}, "f:size": {}}));
}
