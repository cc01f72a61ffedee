use super::*;
use crate::builtin;
use crate::test_types::{arbitrary_json, pod, podlike};
use proptest::prelude::*;
use serde_json::json;

fn updated(live: Option<&Value>, mut new: Value, writer: &Writer<'_>) -> Value {
    update(pod().root(), live, &mut new, writer);
    new
}

/// An object that `one` created.
fn live(mut object: Value) -> Value {
    object["metadata"]["uid"] = "u".into();
    updated(None, object, &writer("one"))
}

fn root(kind: &str) -> crate::TypeRef<'static> {
    let (group, version) = if kind == "Deployment" { ("apps", "v1") } else { ("", "v1") };
    builtin::graph().at(builtin::kind(group, version, kind).unwrap())
}

#[test]
fn a_created_pod_records_what_its_author_and_defaults_set() {
    let mut new = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "ns", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "resources": {}, "imagePullPolicy": "Always"}], "restartPolicy": "Always", "securityContext": {}},
        "status": {}});
    update(root("Pod"), None, &mut new, &Writer { reset: &[&["status"]], ..writer("rec") });
    assert_eq!(
        new["metadata"]["managedFields"],
        json!([{"manager": "rec", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:imagePullPolicy": {},
                    "f:name": {}, "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {},
                        "f:containerPort": {}, "f:protocol": {}}}, "f:resources": {}}},
                    "f:restartPolicy": {}, "f:securityContext": {}}}}])
    );
}

#[test]
fn a_created_deployment_owns_its_selector_as_one() {
    let mut new = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "w"}},
            "template": {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "c", "resources": {}}]}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}}, "status": {}});
    update(root("Deployment"), None, &mut new, &Writer { api_version: "apps/v1", ..writer("rec") });
    assert_eq!(
        entries(&new),
        [entry(
            "rec",
            "Update",
            json!({"f:spec": {"f:replicas": {}, "f:selector": {},
            "f:strategy": {"f:type": {}, "f:rollingUpdate": {".": {}, "f:maxSurge": {}}},
            "f:template": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:containers": {
                "k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:resources": {}}}}}}})
        )]
    );
}

#[test]
fn a_changed_field_changes_hands() {
    let one = live(json!({"data": {"a": "1", "b": "1"}, "metadata": {"name": "x"}}));
    assert_eq!(entries(&one), [entry("one", "Update", json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}}))]);
    let mut new = one.clone();
    new["data"] = json!({"a": "2", "b": "1", "c": "1"});
    let two = updated(Some(&one), new, &Writer { now: at(60), ..writer("two") });
    assert_eq!(
        entries(&two),
        [
            entry("one", "Update", json!({"f:data": {".": {}, "f:b": {}}})),
            entry("two", "Update", json!({"f:data": {"f:a": {}, "f:c": {}}})),
        ]
    );
    assert_eq!(times(&two), ["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]);
    // Removing a map takes it from everybody, and an entry that owns nothing vanishes.
    let mut new = two.clone();
    new.as_object_mut().unwrap().remove("data");
    assert_eq!(updated(Some(&two), new, &writer("three"))["metadata"].get("managedFields"), None);
}

#[test]
fn what_changes_nothing_is_not_recorded() {
    let one = live(json!({"data": {"a": "1"}, "metadata": {"name": "x"}}));
    for manager in ["one", "two"] {
        let mut new = one.clone();
        new["metadata"]["resourceVersion"] = "77".into();
        new["metadata"]["generation"] = 3.into();
        let got = updated(Some(&one), new, &Writer { now: at(60), ..writer(manager) });
        assert_eq!(got["metadata"]["managedFields"], one["metadata"]["managedFields"]);
    }
    // A client that sends none keeps what is there.
    let mut bare = one.clone();
    bare["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert_eq!(updated(Some(&one), bare.clone(), &writer("two")), one);
    bare["metadata"]["managedFields"] = Value::Null;
    assert_eq!(updated(Some(&one), bare, &writer("two")), one);
}

#[test]
fn doors_record_only_what_they_change() {
    let one = live(json!({"data": {"a": "1"}, "metadata": {"name": "x"}, "status": {}}));
    let mut new = one.clone();
    new["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    new["data"]["a"] = "2".into();
    let status = Writer { subresource: "status", reset: &[&["data"], &["spec"]], ..writer("kubelet") };
    assert_eq!(
        entries(&updated(Some(&one), new.clone(), &status)),
        [
            entry(
                "kubelet/status",
                "Update",
                json!({"f:status": {"f:phase": {}, "f:conditions": {".": {},
                "k:{\"type\":\"Ready\"}": {".": {}, "f:type": {}, "f:status": {}}}}})
            ),
            entry("one", "Update", json!({"f:data": {".": {}, "f:a": {}}})),
        ]
    );
    let main = Writer { reset: &[&["status"]], ..writer("one") };
    assert_eq!(
        entries(&updated(Some(&one), new, &main)),
        [entry("one", "Update", json!({"f:data": {".": {}, "f:a": {}}}))]
    );
}

#[test]
fn a_client_may_change_entries() {
    let one = live(json!({"data": {"a": "1"}, "metadata": {"name": "x"}}));
    let with = |entries: Value| {
        let mut new = one.clone();
        new["metadata"]["managedFields"] = entries;
        updated(Some(&one), new, &writer("two"))
    };
    // Reset: nobody owns anything, and nothing is tracked until the object is applied.
    for reset in [json!([]), json!([{}])] {
        let got = with(reset);
        assert_eq!(got["metadata"].get("managedFields"), None);
        let mut next = got.clone();
        next["data"]["a"] = "2".into();
        assert_eq!(updated(Some(&got), next, &writer("two"))["metadata"].get("managedFields"), None);
    }
    // Others' entries are taken as they come, when they can be read.
    let own = json!([{"manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "time": "2025-01-01T00:00:00Z", "fieldsV1": {"f:data": {"f:a": {}}}}]);
    assert_eq!(with(own.clone())["metadata"]["managedFields"], own);
    for unreadable in [
        json!([{"manager": "m", "operation": "X", "apiVersion": "v1", "fieldsType": "FieldsV1"}]),
        json!([{"manager": "m", "operation": "Apply", "fieldsType": "FieldsV1"}]),
        json!([{"manager": "m", "operation": "Apply", "apiVersion": "v1"}]),
        json!([{"manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV2"}]),
        json!([{"manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"x": {}}}]),
        json!("text"),
    ] {
        assert_eq!(with(unreadable.clone()), one, "{unreadable}");
    }
    // A subresource ignores them.
    let mut new = one.clone();
    new["metadata"]["managedFields"] = json!([]);
    assert_eq!(updated(Some(&one), new, &Writer { subresource: "status", ..writer("two") }), one);
}

#[test]
fn the_oldest_updaters_are_put_together() {
    let mut object = live(json!({"metadata": {"name": "x"}, "data": {"k0": "0"}}));
    for n in 1..13 {
        let mut new = object.clone();
        new["data"][format!("k{n}")] = "0".into();
        let manager = format!("m{n:02}");
        object = updated(Some(&object), new, &Writer { now: at(n), ..writer(&manager) });
    }
    let got = entries(&object);
    assert_eq!(got.len(), 10);
    assert_eq!(
        got[0],
        entry(
            "ancient-changes",
            "Update",
            json!({"f:data": {".": {}, "f:k0": {}, "f:k1": {}, "f:k2": {}, "f:k3": {}}})
        )
    );
    assert_eq!(got[9], entry("m12", "Update", json!({"f:data": {"f:k12": {}}})));
    assert_eq!(times(&object)[0], "2026-01-01T00:00:03Z");
}

#[test]
fn entries_follow_the_schema() {
    let mut object = live(json!({"metadata": {"name": "x"}, "spec": {"nodeSelector": {"a": "1"}}}));
    object["metadata"]["managedFields"][0]["fieldsV1"] =
        json!({"f:spec": {"f:nodeSelector": {".": {}, "f:a": {}}}});
    let got = updated(Some(&object), object.clone(), &writer("two"));
    assert_eq!(entries(&got), [entry("one", "Update", json!({"f:spec": {"f:nodeSelector": {}}}))]);
}

#[test]
fn times_alone_are_no_change() {
    let one = live(json!({"data": {"a": "1"}, "metadata": {"name": "x"}}));
    let mut new = one.clone();
    new["metadata"]["managedFields"][0]["time"] = "2027-01-01T00:00:00Z".into();
    keep_times(&one, &mut new);
    assert_eq!(new, one);
    let mut new = one.clone();
    new["metadata"]["managedFields"][0]["time"] = "2027-01-01T00:00:00Z".into();
    new["data"]["a"] = "2".into();
    let changed = new.clone();
    keep_times(&one, &mut new);
    assert_eq!(new, changed);
}

proptest! {
    #[test]
    fn nothing_panics(live in prop::option::of(arbitrary_json()), new in arbitrary_json()) {
        let _ = updated(live.as_ref(), new, &writer("m"));
    }

    #[test]
    fn unreadable_entries_do_not_panic(new in podlike(), entries in arbitrary_json()) {
        let mut live = new.clone();
        live["metadata"]["managedFields"] = entries;
        let _ = updated(Some(&live), new, &writer("m"));
    }

    /// Each field that is there is owned by exactly one updater, and nothing that is not there is.
    #[test]
    fn every_field_has_one_owner(objects in prop::collection::vec((podlike(), 0..4usize), 1..6)) {
        let types = pod();
        let managers = ["a", "b", "c", "d"];
        let mut live: Option<Value> = None;
        for (object, manager) in objects {
            live = Some(updated(live.as_ref(), object, &writer(managers[manager])));
        }
        let object = live.unwrap();
        let mut owned = FieldSet::default();
        let mut count = 0;
        for (_, _, fields) in entries(&object) {
            let fields = FieldSet::from_value(&fields).unwrap();
            count += fields.len();
            owned = owned.union(fields);
        }
        prop_assert_eq!(count, owned.len());
        let mut bare = object.clone();
        bare["metadata"].as_object_mut().unwrap().remove("managedFields");
        let all = compare(types.root(), &json!({}), &bare).added;
        prop_assert!(owned.difference(&all).is_empty(), "{} not in {}", owned.to_json(), all.to_json());
    }
}
