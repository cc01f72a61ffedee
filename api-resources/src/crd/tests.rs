use super::*;
use crate::catalog::{Catalog, PlaneKind};
use crate::resource::{CustomSchema, Verb};
use crate::{columns, discovery, selectors};
use api_schema::crd::Verdict;
use api_schema::{GroupVersionKind, TypeGraph, TypeId, TypeNode};
use api_types::{Cause, ObjectName};
use jiff::Timestamp;
use std::sync::Arc;

/// Takes any schema but one whose type is not `object`.
struct Anything;

impl CustomSchema for Anything {
    fn prune(&self, _: &mut Value) -> Vec<String> {
        Vec::new()
    }

    fn default(&self, _: &mut Value) {}

    fn drop_nulls(&self, _: &mut Value) {}

    fn judge_new(&self, _: &Value, _: &[Cause]) -> Vec<Cause> {
        Vec::new()
    }

    fn judge_status(&self, _: &Value, _: Option<&Value>) -> Verdict {
        Verdict::default()
    }

    fn judge(&self, _: &Value, _: Option<&Value>) -> Verdict {
        Verdict::default()
    }
}

impl SchemaCompiler for Anything {
    fn compile(&self, _: &GroupVersionKind, schema: &Value) -> Result<CompiledSchema, Vec<Cause>> {
        match schema["type"].as_str() {
            Some("object") => Ok(CompiledSchema {
                graph: Arc::new(TypeGraph::new(vec![TypeNode::default()])),
                root: TypeId(0),
                rules: Arc::new(Anything),
                hash: 1,
            }),
            _ => Err(vec![Cause::required("openAPIV3Schema.type", "must not be empty at the root")]),
        }
    }
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn widgets() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.rec.example"}, "spec": {"group": "rec.example", "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas"}},
            "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
            "selectableFields": [{"jsonPath": ".spec.color"}],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object",
                "properties": {"size": {"type": "integer"}, "color": {"type": "string"}, "list": {"type": "array", "items": {"type": "string"}}}}}}}}]}})
}

fn created(mut crd: Value, others: &[Value]) -> Value {
    let strategy = strategy();
    (strategy.default)(&mut crd);
    (strategy.prepare_create)(&mut crd);
    assert_eq!((strategy.validate_create)(&crd), []);
    accept(&mut crd, others.iter(), Catalog::of(PlaneKind::Tenant), now());
    crd
}

#[test]
fn a_definition_is_defaulted_and_accepted() {
    let crd = created(widgets(), &[]);
    assert_eq!(
        crd["spec"]["names"],
        json!({"plural": "widgets", "singular": "widget", "kind": "Widget",
        "listKind": "WidgetList", "shortNames": ["wd"]})
    );
    assert_eq!(crd["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(
        crd["status"],
        json!({"acceptedNames": crd["spec"]["names"], "storedVersions": ["v1"], "conditions": [
        {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found",
            "lastTransitionTime": "2026-01-01T00:00:00Z"},
        {"type": "Established", "status": "True", "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted", "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
    );
    assert!(is_established(&crd));
}

#[test]
fn names_that_are_taken_are_not_accepted() {
    let first = created(widgets(), &[]);
    for (field, value, reason, message) in [
        ("shortNames", json!(["wd", "x"]), "ShortNamesConflict", "\"wd\" is already in use"),
        ("kind", json!("Widget"), "KindConflict", "\"Widget\" is already in use"),
        ("singular", json!("widgets"), "SingularConflict", "\"widgets\" is already in use"),
    ] {
        let mut second = widgets();
        second["metadata"]["name"] = json!("gadgets.rec.example");
        second["spec"]["names"] = json!({"plural": "gadgets", "kind": "Gadget"});
        second["spec"]["names"][field] = value;
        second["spec"]["names"]["listKind"] = json!("GadgetList");
        let second = created(second, std::slice::from_ref(&first));
        let condition = &second["status"]["conditions"][0];
        assert_eq!(
            (condition["status"].as_str(), condition["reason"].as_str()),
            (Some("False"), Some(reason))
        );
        assert_eq!(condition["message"], message);
        assert!(!is_established(&second));
        assert_eq!(second["status"]["conditions"][1]["reason"], "NotAccepted");
    }
    let mut component = widgets();
    component["metadata"]["name"] = json!("components.core.oam.dev");
    component["spec"]["group"] = json!("core.oam.dev");
    component["spec"]["names"] = json!({"plural": "components", "kind": "Thing"});
    assert_eq!(created(component, &[])["status"]["conditions"][0]["reason"], "PluralConflict");
}

#[test]
fn an_established_definition_stays_so() {
    let first = created(widgets(), &[]);
    let mut changed = first.clone();
    changed["spec"]["names"]["shortNames"] = json!(["wd", "taken"]);
    let mut other = widgets();
    other["status"] = json!({"acceptedNames": {"plural": "taken"}});
    accept(
        &mut changed,
        [&other].into_iter(),
        Catalog::of(PlaneKind::Tenant),
        "2026-02-01T00:00:00Z".parse().unwrap(),
    );
    assert!(is_established(&changed));
    assert_eq!(changed["status"]["conditions"][0]["lastTransitionTime"], "2026-02-01T00:00:00Z");
    assert_eq!(changed["status"]["conditions"][1]["lastTransitionTime"], "2026-01-01T00:00:00Z");
    assert_eq!(changed["status"]["acceptedNames"]["shortNames"], json!(["wd"]));
}

#[test]
fn defects_are_named() {
    let version = |pointer: &str| format!("/spec/versions/0/{pointer}");
    for (pointer, value, fields) in [
        ("/metadata/name".to_owned(), json!("x.y"), vec!["metadata.name"]),
        ("/spec/group".to_owned(), json!("nodot"), vec!["metadata.name", "spec.group"]),
        ("/spec/scope".to_owned(), json!("Everywhere"), vec!["spec.scope"]),
        (
            "/spec/names/kind".to_owned(),
            json!("9x"),
            vec!["spec.names.singular", "spec.names.kind", "spec.names.listKind"],
        ),
        ("/spec/names/shortNames/0".to_owned(), json!("A"), vec!["spec.names.shortNames[0]"]),
        (version("name"), json!("V1"), vec!["spec.versions[0].name", "spec.version"]),
        (version("storage"), json!(false), vec!["spec.versions", "status.storedVersions"]),
        (version("served"), json!(false), vec![]),
        (
            version("schema"),
            json!({}),
            vec!["spec.versions[0].schema.openAPIV3Schema", "spec.selectableFields[0].jsonPath"],
        ),
        (
            version("subresources/scale/specReplicasPath"),
            json!("spec.replicas"),
            vec!["spec.subresources.scale.specReplicasPath"],
        ),
        (
            version("subresources/scale/statusReplicasPath"),
            json!(".spec.replicas"),
            vec!["spec.subresources.scale.statusReplicasPath"],
        ),
        (
            version("additionalPrinterColumns/0/type"),
            json!("text"),
            vec!["spec.additionalPrinterColumns[0].type"],
        ),
        (
            version("additionalPrinterColumns/0/jsonPath"),
            json!("x"),
            vec!["spec.additionalPrinterColumns[0].JSONPath"],
        ),
        (
            version("selectableFields/0/jsonPath"),
            json!(".spec.list"),
            vec!["spec.selectableFields[0].jsonPath"],
        ),
        (
            version("selectableFields/0/jsonPath"),
            json!(".metadata.name"),
            vec!["spec.selectableFields[0].jsonPath"],
        ),
        (
            "/spec/conversion/strategy".to_owned(),
            json!("Webhook"),
            vec!["spec.conversion.webhookClientConfig", "spec.conversion.conversionReviewVersions"],
        ),
    ] {
        let mut crd = widgets();
        crd["spec"]["conversion"] = json!({"strategy": "None"});
        *crd.pointer_mut(&pointer).unwrap() = value;
        default(&mut crd);
        (strategy().prepare_create)(&mut crd);
        let found: Vec<String> = validate_create(&crd).into_iter().map(|c| c.field).collect();
        assert_eq!(found, fields, "{pointer}");
    }
    let mut community = widgets();
    community["metadata"]["name"] = json!("widgets.x.k8s.io");
    community["spec"]["group"] = json!("x.k8s.io");
    default(&mut community);
    (strategy().prepare_create)(&mut community);
    assert_eq!(validate_create(&community)[0].field, "metadata.annotations[api-approved.kubernetes.io]");
    community["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "unapproved, a test"});
    assert_eq!(validate_create(&community), []);
}

#[test]
fn changes_keep_identity_and_stored_versions() {
    let old = created(widgets(), &[]);
    for (pointer, value, field) in [
        ("/spec/scope", json!("Cluster"), "spec.scope"),
        ("/spec/names/kind", json!("Other"), "spec.names.kind"),
        ("/spec/group", json!("other.example"), "spec.group"),
        ("/spec/versions/0/name", json!("v2"), "status.storedVersions[0]"),
    ] {
        let mut new = old.clone();
        *new.pointer_mut(pointer).unwrap() = value;
        (strategy().prepare_update)(&mut new, &old);
        let found: Vec<String> = validate_update(&new, &old).into_iter().map(|c| c.field).collect();
        assert_eq!(found, [field], "{pointer}");
    }
    let mut new = old.clone();
    let mut second = new["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    new["spec"]["versions"][0]["storage"] = json!(false);
    new["spec"]["versions"].as_array_mut().unwrap().push(second);
    (strategy().prepare_update)(&mut new, &old);
    assert_eq!(new["status"]["storedVersions"], json!(["v1", "v2"]));
    assert_eq!(validate_update(&new, &old), []);
}

#[test]
fn a_definition_makes_a_row() {
    let row = Arc::new(row_of(&created(widgets(), &[]), &Anything).unwrap());
    assert_eq!(
        (row.plural.as_str(), row.singular.as_str(), row.list_kind.as_str()),
        ("widgets", "widget", "WidgetList")
    );
    assert!(row.namespaced && row.has_status() && row.has(Verb::Watch) && row.is_custom());
    assert_eq!(row.versions[0].scale.as_ref().unwrap().status_replicas_path, ".status.replicas");
    let catalog = Catalog::of(PlaneKind::Tenant).with_custom(std::slice::from_ref(&row));
    assert_eq!(
        discovery::resource_list(&catalog, "rec.example", "v1").unwrap(),
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "rec.example/v1", "resources": [
            {"name": "widgets", "singularName": "widget", "namespaced": true, "kind": "Widget",
                "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
                "shortNames": ["wd"], "storageVersionHash": "Pyo8dJY72JM="},
            {"name": "widgets/status", "singularName": "", "namespaced": true, "kind": "Widget",
                "verbs": ["get", "patch", "update"]},
            {"name": "widgets/scale", "singularName": "", "namespaced": true, "group": "autoscaling", "version": "v1",
                "kind": "Scale", "verbs": ["get", "patch", "update"]}]})
    );
    let widget = json!({"metadata": {"name": "w"}, "spec": {"size": 3, "color": "red"}});
    let options =
        columns::TableOptions { include_object: columns::IncludeObject::None, no_headers: false, now: now() };
    let table = columns::table(&row, &row.versions[0], [&widget].into_iter(), options);
    assert_eq!(table["rows"][0]["cells"], json!(["w", 3]));
    assert_eq!(
        table["columnDefinitions"][1]["description"],
        "Custom resource definition column (in JSONPath format): .spec.size"
    );
    let selector = selectors::FieldSelector::parse("spec.color=red").unwrap();
    selector.check(&row).unwrap();
    assert!(selector.matches(&ObjectName::new("n", "w"), &selectors::fields_of(&row, &widget)));
}

#[test]
fn each_version_has_its_own_subresources_and_selectable_fields() {
    let mut crd = widgets();
    let first = crd["spec"]["versions"][0].clone();
    let mut second = first.clone();
    (second["name"], second["storage"]) = (json!("v2"), json!(false));
    second["subresources"] = json!({"status": {}});
    second["schema"]["openAPIV3Schema"]["description"] = json!("Another.");
    second["selectableFields"] = json!([{"jsonPath": ".spec.size"}]);
    crd["spec"]["versions"] = json!([first, second]);
    let row = row_of(&created(crd, &[]), &Anything).unwrap();
    let selector = |text: &str| selectors::FieldSelector::parse(text).unwrap();
    // The preferred one is the row itself.
    assert!(row.of_version("v2").is_none());
    assert!(row.has_status() && row.subresource("scale").is_none());
    let old = row.of_version("v1").unwrap();
    assert!(old.has_status() && old.subresource("scale").is_some());
    selector("spec.color=red").check(old).unwrap();
    selector("spec.size=3").check(old).unwrap_err();
    selector("spec.size=3").check(&row).unwrap();
    selector("spec.color=red").check(&row).unwrap_err();
    // Whoever writes an object, it is selected by the fields of each.
    let widget = json!({"metadata": {"name": "w"}, "spec": {"size": 3, "color": "red"}});
    for row in [&row, &**old] {
        let kept = selectors::fields_of(row, &widget);
        for text in ["spec.color=red", "spec.size=3"] {
            assert!(selector(text).matches(&ObjectName::new("n", "w"), &kept), "{text}");
        }
    }
}

#[test]
fn served_versions_are_ordered_and_schemas_are_checked() {
    let mut crd = widgets();
    let mut beta = crd["spec"]["versions"][0].clone();
    beta["name"] = json!("v1beta1");
    beta["storage"] = json!(false);
    beta["additionalPrinterColumns"] = json!([]);
    let mut old = beta.clone();
    (old["name"], old["served"]) = (json!("v1alpha1"), json!(false));
    crd["spec"]["versions"] = json!([beta, old, crd["spec"]["versions"][0]]);
    let row = row_of(&created(crd.clone(), &[]), &Anything).unwrap();
    let names: Vec<&str> = row.versions.iter().map(|v| v.name.as_str()).collect();
    assert_eq!((names, row.storage_version.as_str()), (vec!["v1", "v1beta1"], "v1"));
    crd["spec"]["versions"][2]["schema"]["openAPIV3Schema"]["type"] = json!("");
    default(&mut crd);
    let found = validate_create(&crd);
    assert!(
        found.iter().any(|c| c.field.starts_with("spec.versions[2].schema.openAPIV3Schema")),
        "{found:?}"
    );
    let wrong = row_of(&crd, &Anything).err().unwrap();
    assert_eq!(wrong[0].field, "spec.versions[2].schema.openAPIV3Schema.type");
}

#[test]
fn without_a_status_subresource_the_status_is_a_field_like_others() {
    let mut crd = widgets();
    crd["spec"]["versions"][0]["subresources"] = json!({});
    crd["spec"]["versions"][0]["additionalPrinterColumns"] = json!([]);
    let row = row_of(&created(crd, &[]), &Anything).unwrap();
    let mut object = json!({"status": {"a": 1}});
    (row.strategy.prepare_create)(&mut object);
    assert_eq!(object, json!({"status": {"a": 1}}));
    assert_eq!(row.columns[0].name, "Age");
    assert!(row.subresources.is_empty());
}
