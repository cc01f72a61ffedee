use super::*;
use crate::builtin;
use crate::test_types::{arbitrary_json, pod, podlike, podlike_unique};
use proptest::prelude::*;
use serde_json::json;

fn config(content: Value) -> Value {
    let mut config = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
    config.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
    config
}

fn try_apply(live: Option<&Value>, content: Value, manager: &str, force: bool) -> Result<Value, ApplyError> {
    let mut applied = apply(pod().root(), live, &config(content), &writer(manager), force)?;
    applied["metadata"]["uid"] = "u".into();
    Ok(applied)
}

fn applied(live: Option<&Value>, content: Value, manager: &str) -> Value {
    try_apply(live, content, manager, false).unwrap()
}

fn conflicts(live: &Value, content: Value, manager: &str) -> ApplyError {
    try_apply(Some(live), content, manager, false).unwrap_err()
}

#[test]
fn create_conflict_force_and_removal() {
    let one = applied(None, json!({"data": {"a": "1", "b": "1"}}), "one");
    assert_eq!(one["data"], json!({"a": "1", "b": "1"}));
    assert_eq!(entries(&one), [entry("one", "Apply", json!({"f:data": {"f:a": {}, "f:b": {}}}))]);
    let error = conflicts(&one, json!({"data": {"a": "2"}}), "two");
    assert_eq!(error.to_string(), "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    assert_eq!(
        error.to_api_error().to_status(),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 409,
            "message": "Apply failed with 1 conflict: conflict with \"one\": .data.a", "reason": "Conflict",
            "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"one\"",
                "field": ".data.a"}]}})
    );
    let two = try_apply(Some(&one), json!({"data": {"a": "2"}}), "two", true).unwrap();
    assert_eq!(two["data"], json!({"a": "2", "b": "1"}));
    assert_eq!(
        entries(&two),
        [
            entry("one", "Apply", json!({"f:data": {"f:b": {}}})),
            entry("two", "Apply", json!({"f:data": {"f:a": {}}}))
        ]
    );
    let three = applied(Some(&two), json!({"data": {"c": "1"}}), "one");
    assert_eq!(three["data"], json!({"a": "2", "c": "1"}));
    assert_eq!(
        entries(&three),
        [
            entry("one", "Apply", json!({"f:data": {"f:c": {}}})),
            entry("two", "Apply", json!({"f:data": {"f:a": {}}}))
        ]
    );
}

#[test]
fn equal_values_are_owned_together() {
    let one = applied(None, json!({"data": {"a": "1", "b": "1"}}), "one");
    let both = applied(Some(&one), json!({"data": {"a": "1"}}), "two");
    assert_eq!(
        entries(&both),
        // Nothing changed, so that there is no time, and an entry without a time is the first.
        [
            entry("two", "Apply", json!({"f:data": {"f:a": {}}})),
            entry("one", "Apply", json!({"f:data": {"f:a": {}, "f:b": {}}}))
        ]
    );
    // What one lets go of stays while the other owns it; what nobody owns any more goes.
    let left = applied(Some(&both), json!({"data": {}}), "one");
    assert_eq!(left["data"], json!({"a": "1"}));
    let gone = applied(Some(&left), json!({}), "two");
    assert_eq!(gone["data"], json!({}));
    assert_eq!(entries(&gone), [entry("one", "Apply", json!({"f:data": {}}))]);
}

#[test]
fn updaters_are_conflicts_too() {
    let mut object = config(json!({"data": {"a": "1", "b": "1"}}));
    object["metadata"]["uid"] = "u".into();
    let w = Writer { api_version: "apps/v1", ..writer("editor") };
    update(pod().root(), None, &mut object, &w);
    let mut new = object.clone();
    new["status"] = json!({"phase": "Running"});
    update(pod().root(), Some(&object), &mut new, &Writer { subresource: "status", ..writer("kubelet") });
    let error = conflicts(&new, json!({"data": {"a": "2", "b": "2"}, "status": {"phase": "Done"}}), "me");
    assert_eq!(
        error.to_string(),
        "Apply failed with 3 conflicts: conflicts with \"editor\" using apps/v1:\n- .data.a\n- .data.b\n\
         conflicts with \"kubelet\" with subresource \"status\" using v1:\n- .status.phase"
    );
    // Other fields may be applied, and the same values.
    let got = applied(Some(&new), json!({"data": {"a": "1", "c": "1"}}), "me");
    assert_eq!(got["data"], json!({"a": "1", "b": "1", "c": "1"}));
    // What the applier lets go of stays where an updater owns it.
    let got = applied(Some(&got), json!({}), "me");
    assert_eq!(got["data"], json!({"a": "1", "b": "1"}));
}

#[test]
fn elements_of_lists_are_applied_by_key() {
    let containers = |items: Value| json!({"spec": {"containers": items}});
    let one =
        applied(None, containers(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}])), "one");
    let two =
        applied(Some(&one), containers(json!([{"name": "b", "ports": [{"containerPort": 80}]}])), "two");
    assert_eq!(
        two["spec"]["containers"],
        json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1", "ports": [{"containerPort": 80}]}])
    );
    let error = conflicts(&two, containers(json!([{"name": "b", "image": "2"}])), "three");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.containers[name=\"b\"].image"
    );
    // An element that another manager owns in part loses only what was this manager's.
    let left = applied(Some(&two), containers(json!([{"name": "c"}])), "one");
    assert_eq!(
        left["spec"]["containers"],
        json!([{"name": "b", "ports": [{"containerPort": 80}]}, {"name": "c"}])
    );
    // Removing the key's owner removes the element, with what defaults added to it.
    let mut defaulted = applied(None, containers(json!([{"name": "a", "image": "1"}, {"name": "b"}])), "one");
    defaulted["spec"]["containers"][0]["resources"] = json!({"limits": {}});
    let left = applied(Some(&defaulted), containers(json!([{"name": "b"}])), "one");
    assert_eq!(left["spec"]["containers"], json!([{"name": "b"}]));
}

#[test]
fn the_applier_orders_its_elements() {
    let names = |names: &[&str]| json!({"spec": {"containers": names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>()}});
    let order = |object: &Value| -> Vec<String> {
        object["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap().into())
            .collect()
    };
    for (live, applying, result) in [
        (&["a", "b", "c"][..], &["c", "a"][..], &["b", "c", "a"][..]),
        (&["a", "b", "c"], &["d"], &["a", "b", "c", "d"]),
        (&["a", "b", "c"], &["a", "d"], &["a", "b", "c", "d"]),
        (&["a", "b"], &["d", "b"], &["a", "d", "b"]),
        (&["a", "b", "c", "d"], &["d", "c", "b", "a"], &["d", "c", "b", "a"]),
    ] {
        let one = applied(None, names(live), "one");
        let two = applied(Some(&one), names(applying), "two");
        let mut sorted = order(&two);
        assert_eq!(sorted.iter().map(String::as_str).collect::<Vec<_>>(), result, "{live:?} {applying:?}");
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), order(&two).len());
    }
}

#[test]
fn sets_and_atomic_values() {
    let finalizers = |f: Value| json!({"metadata": {"name": "p", "finalizers": f}});
    let one = applied(None, finalizers(json!(["a/x", "b/y"])), "one");
    let two = applied(Some(&one), finalizers(json!(["c/z"])), "two");
    assert_eq!(two["metadata"]["finalizers"], json!(["a/x", "b/y", "c/z"]));
    let left = applied(Some(&two), finalizers(json!(["a/x"])), "one");
    assert_eq!(left["metadata"]["finalizers"], json!(["a/x", "c/z"]));
    let selector = |s: Value| json!({"spec": {"nodeSelector": s}});
    let one = applied(None, selector(json!({"a": "1"})), "one");
    assert_eq!(
        conflicts(&one, selector(json!({"b": "1"})), "two").to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.nodeSelector"
    );
    let two = try_apply(Some(&one), selector(json!({"b": "1"})), "two", true).unwrap();
    assert_eq!(two["spec"]["nodeSelector"], json!({"b": "1"}));
    assert_eq!(entries(&two), [entry("two", "Apply", json!({"f:spec": {"f:nodeSelector": {}}}))]);
}

#[test]
fn an_object_from_before_tracking_is_owned_by_what_was() {
    let mut object = config(json!({"data": {"a": "1"}}));
    object["metadata"]["uid"] = "u".into();
    assert_eq!(
        conflicts(&object, json!({"data": {"a": "2"}}), "one").to_string(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a"
    );
    let got = applied(Some(&object), json!({"data": {"b": "1"}}), "one");
    assert_eq!(
        entries(&got),
        [
            entry("one", "Apply", json!({"f:data": {"f:b": {}}})),
            entry("before-first-apply", "Update", json!({"f:data": {".": {}, "f:a": {}}})),
        ]
    );
}

#[test]
fn an_unchanged_object_keeps_its_time() {
    let one = applied(None, json!({"data": {"a": "1"}}), "one");
    let again = apply(
        pod().root(),
        Some(&one),
        &config(json!({"data": {"a": "1"}})),
        &Writer { now: at(60), ..writer("one") },
        false,
    )
    .unwrap();
    assert_eq!(again, one);
    let changed = apply(
        pod().root(),
        Some(&one),
        &config(json!({"data": {"a": "2"}})),
        &Writer { now: at(60), ..writer("one") },
        false,
    )
    .unwrap();
    assert_eq!(times(&changed), ["2026-01-01T00:01:00Z"]);
}

#[test]
fn reset_fields_are_not_owned() {
    let w = Writer { reset: &[&["status"]], ..writer("one") };
    let got =
        apply(pod().root(), None, &config(json!({"status": {"phase": "X"}, "data": {"a": "1"}})), &w, false)
            .unwrap();
    assert_eq!(entries(&got), [entry("one", "Apply", json!({"f:data": {"f:a": {}}}))]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let root = builtin::graph().at(builtin::kind("apps", "v1", "Deployment").unwrap());
    let w = Writer { api_version: "apps/v1", kind: "Deployment", ..writer("one") };
    let deployment = |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "ns"}, "spec": spec});
    let of = "failed to create typed patch object (ns/web; apps/v1, Kind=Deployment)";
    for (config, code, message) in [
        (deployment(json!({"bogus": 1})), 500, format!("{of}: .spec.bogus: field not declared in schema")),
        (
            deployment(json!({"replicas": "x"})),
            500,
            format!("{of}: .spec.replicas: expected numeric (int or float), got string"),
        ),
        (
            deployment(json!({"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}})),
            500,
            format!("{of}: .spec.template.spec.containers: duplicate entries for key [name=\"a\"]"),
        ),
        (
            deployment(json!({"bogus": 1, "selector": 1})),
            500,
            format!(
                "{of}: errors:\n  .spec.bogus: field not declared in schema\n  .spec.selector: expected map, got &{{1}}"
            ),
        ),
        (
            json!({"apiVersion": "v1", "kind": "Deployment"}),
            400,
            "invalid object type: /v1, Kind=Deployment".into(),
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "Foo"}),
            400,
            "invalid object type: apps/v1, Kind=Foo".into(),
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"managedFields": []}}),
            400,
            "metadata.managedFields must be nil".into(),
        ),
        (json!([]), 400, "invalid object type: /, Kind=".into()),
    ] {
        let error = apply(root, None, &config, &w, false).unwrap_err();
        assert_eq!((error.to_string(), error.to_api_error().code()), (message, code));
    }
}

#[test]
fn kubectl_takes_over_what_it_applied_on_the_clients_side() {
    let last = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "annotations": {}},
        "data": {"a": "1", "b": "1"}});
    let mut object = config(json!({"data": {"a": "1", "b": "1"}}));
    object["metadata"]["uid"] = "u".into();
    object["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": last.to_string()});
    update(pod().root(), None, &mut object, &writer("kubectl-client-side-apply"));
    // Another manager conflicts; kubectl does not, and the annotation is kept true.
    assert_eq!(
        conflicts(&object, json!({"data": {"a": "2"}}), "other").to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.a"
    );
    let got = applied(Some(&object), json!({"data": {"a": "2"}}), "kubectl");
    assert_eq!(got["data"], json!({"a": "2", "b": "1"}));
    assert_eq!(entries(&got)[0], entry("kubectl", "Apply", json!({"f:data": {"f:a": {}}})));
    let annotation =
        got["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].as_str();
    assert_eq!(
        annotation,
        Some(
            "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"2\"},\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"}}\n"
        )
    );
    // What somebody changed since is a conflict all the same.
    let mut edited = object.clone();
    edited["data"]["b"] = "9".into();
    update(pod().root(), Some(&object), &mut edited, &writer("editor"));
    assert_eq!(
        conflicts(&edited, json!({"data": {"a": "2", "b": "2"}}), "kubectl").to_string(),
        "Apply failed with 1 conflict: conflict with \"editor\" using v1: .data.b"
    );
}

proptest! {
    #[test]
    fn nothing_panics(live in prop::option::of(arbitrary_json()), content in arbitrary_json(), force: bool) {
        let _ = apply(pod().root(), live.as_ref(), &content, &writer("m"), force);
    }

    #[test]
    fn odd_objects_do_not_panic(live in arbitrary_json(), content in podlike(), force: bool) {
        let _ = apply(pod().root(), Some(&live), &content, &writer("m"), force);
    }

    #[test]
    fn applying_again_changes_nothing(a in podlike_unique(), b in podlike_unique()) {
        let one = apply(pod().root(), None, &a, &writer("one"), false).unwrap();
        let two = apply(pod().root(), Some(&one), &b, &writer("two"), true).unwrap();
        let again = apply(pod().root(), Some(&two), &b, &Writer { now: at(60), ..writer("two") }, false).unwrap();
        prop_assert_eq!(again, two);
    }

    /// After a forced apply the object says what the configuration says, and the applier owns it.
    #[test]
    fn force_wins(a in podlike_unique(), b in podlike_unique()) {
        let types = pod();
        let one = apply(types.root(), None, &a, &writer("one"), false).unwrap();
        let two = apply(types.root(), Some(&one), &b, &writer("two"), true).unwrap();
        let changes = compare(types.root(), &b, &two);
        prop_assert!(changes.modified.intersection(&fields_of(types.root(), &b)).is_empty());
        prop_assert!(changes.removed.intersection(&fields_of(types.root(), &b)).is_empty());
    }

    /// Letting go of everything takes nothing that the other manager applied.
    #[test]
    fn letting_go_removes_what_was_applied(a in podlike_unique(), b in podlike_unique()) {
        let types = pod();
        let one = apply(types.root(), None, &a, &writer("one"), false).unwrap();
        let Ok(two) = apply(types.root(), Some(&one), &b, &writer("two"), false) else { return Ok(()) };
        let nothing = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
        let back = apply(types.root(), Some(&two), &nothing, &writer("two"), false).unwrap();
        let changes = compare(types.root(), &a, &back);
        let lost = changes.removed.intersection(&fields_of(types.root(), &a));
        prop_assert!(lost.is_empty(), "{}", lost.to_json());
        prop_assert!(entries(&back).iter().all(|(manager, ..)| manager != "two"));
    }
}
