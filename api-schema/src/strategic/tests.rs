use super::*;
use crate::test_types::{arbitrary_json, pod, podlike, podlike_unique};
use proptest::prelude::*;
use serde_json::json;

fn merged(target: Value, patch: Value) -> Value {
    strategic_merge(pod().root(), &target, &patch).unwrap_or_else(|e| panic!("{patch}: {e}"))
}

fn error(target: Value, patch: Value) -> PatchError {
    strategic_merge(pod().root(), &target, &patch).unwrap_err()
}

fn spec(content: Value) -> Value {
    json!({"spec": content})
}

fn containers(names: &[&str]) -> Value {
    spec(json!({"containers": names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>()}))
}

#[test]
fn objects_and_scalars() {
    for (target, patch, result) in [
        (json!({}), json!({"data": {"a": "1"}}), json!({"data": {"a": "1"}})),
        (json!({"data": {"a": "1", "b": "2"}}), json!({"data": {"a": null}}), json!({"data": {"b": "2"}})),
        (json!({"data": {"a": "1"}}), json!({"data": null}), json!({})),
        (json!({"data": {"a": "1"}}), json!({"data": {"b": "2"}}), json!({"data": {"a": "1", "b": "2"}})),
        (json!({}), json!({"data": {"a": null, "b": "1"}}), json!({"data": {"b": "1"}})),
        (json!({}), json!({"spec": null}), json!({})),
        (json!({"spec": 1}), json!({"spec": {"replicas": 1}}), spec(json!({"replicas": 1}))),
        // Directives for a whole object.
        (
            json!({"data": {"a": "1"}}),
            json!({"data": {"$patch": "replace", "b": "2"}}),
            json!({"data": {"b": "2"}}),
        ),
        (json!({"data": {"a": "1"}}), json!({"data": {"$patch": "delete"}}), json!({"data": {}})),
        (json!({"kind": "Pod"}), json!({"$patch": "replace", "kind": "X"}), json!({"kind": "X"})),
        (json!({"kind": "Pod"}), json!({"$patch": "delete"}), json!({})),
        (json!({}), json!({"data": {"$patch": "delete"}}), json!({})),
        // A field with strategy `replace`, and content without a type.
        (
            spec(json!({"whole": {"a": 1}})),
            spec(json!({"whole": {"b": 2}})),
            spec(json!({"whole": {"b": 2}})),
        ),
        (
            spec(json!({"extra": {"a": [1], "b": 1}})),
            spec(json!({"extra": {"a": [2], "c": {"d": 1}}})),
            spec(json!({"extra": {"a": [2], "b": 1, "c": {"d": 1}}})),
        ),
    ] {
        assert_eq!(merged(target.clone(), patch.clone()), result, "{target} {patch}");
    }
}

#[test]
fn lists_without_strategy_are_replaced() {
    let args = |a: Value| spec(json!({"containers": [{"name": "c", "args": a}]}));
    assert_eq!(merged(args(json!(["a", "b"])), args(json!(["c"]))), args(json!(["c"])));
    assert_eq!(merged(args(json!(["a", "b"])), args(json!([]))), args(json!([])));
}

#[test]
fn lists_of_scalars_merge_and_lose_values() {
    let meta = |f: Value| json!({"metadata": {"finalizers": f}});
    for (target, patch, result) in [
        (meta(json!(["a"])), meta(json!(["b"])), meta(json!(["b", "a"]))),
        (meta(json!(["a", "b"])), meta(json!(["b", "c"])), meta(json!(["a", "b", "c"]))),
        (meta(json!([])), meta(json!(["b", "b"])), meta(json!(["b"]))),
        (json!({"metadata": {}}), meta(json!(["b"])), meta(json!(["b"]))),
        (
            meta(json!(["a", "b", "a"])),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a", "z"]}}),
            meta(json!(["b"])),
        ),
        (
            meta(json!(["a", "b"])),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"],
                "$setElementOrder/finalizers": ["c", "b"], "finalizers": ["c"]}}),
            meta(json!(["c", "b"])),
        ),
        (
            json!({"metadata": {"name": "x"}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
            json!({"metadata": {"name": "x"}}),
        ),
    ] {
        assert_eq!(merged(target.clone(), patch.clone()), result, "{target} {patch}");
    }
}

#[test]
fn lists_of_objects_merge_by_their_key() {
    let list = |items: Value| spec(json!({"containers": items}));
    for (target, patch, result) in [
        (
            json!([{"name": "a", "image": "1"}, {"name": "b"}]),
            json!([{"name": "a", "image": "2"}]),
            json!([{"name": "a", "image": "2"}, {"name": "b"}]),
        ),
        (json!([{"name": "a"}]), json!([{"name": "b"}]), json!([{"name": "b"}, {"name": "a"}])),
        // A new element stays as it was sent: nulls are fields that are not set, once it is read as its type.
        (json!([]), json!([{"name": "b", "image": null}]), json!([{"name": "b", "image": null}])),
        (
            json!([{"name": "a"}, {"name": "b"}]),
            json!([{"name": "a", "$patch": "delete"}]),
            json!([{"name": "b"}]),
        ),
        (
            json!([{"name": "a"}, {"name": "b"}]),
            json!([{"$patch": "replace"}, {"name": "c"}]),
            json!([{"name": "c"}]),
        ),
        (json!([{"name": "a"}]), json!([{"$patch": "replace"}]), json!([])),
        (
            json!([{"name": "a"}, {"name": "a", "image": "2"}]),
            json!([{"name": "a", "$patch": "delete"}, {"name": "z", "$patch": "delete"}]),
            json!([]),
        ),
        // Nested: an element's own lists, and null for an element's field.
        (
            json!([{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}]}]),
            json!([{"name": "a", "image": null, "env": [{"name": "Y", "value": "2"}, {"name": "X", "$patch": "delete"}]}]),
            json!([{"name": "a", "env": [{"name": "Y", "value": "2"}]}]),
        ),
        // The merge key may be a number.
        (
            json!([{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]),
            json!([{"name": "a", "ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 81}]}]),
            json!([{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}, {"containerPort": 81}]}]),
        ),
    ] {
        assert_eq!(merged(list(target.clone()), list(patch.clone())), list(result), "{target} {patch}");
    }
}

#[test]
fn the_patch_can_order_elements() {
    let order = |names: &[&str], items: Value| {
        let order: Vec<Value> = names.iter().map(|n| json!({"name": n})).collect();
        let mut patch = json!({"$setElementOrder/containers": order});
        if !items.is_null() {
            patch["containers"] = items;
        }
        spec(patch)
    };
    for (live, names, items, result) in [
        (&["a", "b", "c"][..], &["c", "a", "b"][..], json!(null), &["c", "a", "b"][..]),
        // An element that the author does not know stays in front of the first that it preceded.
        (&["a", "x", "b"], &["b", "a"], json!(null), &["x", "b", "a"]),
        (&["x", "a", "b"], &["a", "b"], json!(null), &["x", "a", "b"]),
        (&["a", "x", "b"], &["a", "c", "b"], json!([{"name": "c"}]), &["a", "c", "x", "b"]),
        (&["a", "b"], &["b"], json!([{"name": "a", "$patch": "delete"}]), &["b"]),
        (&[], &["b", "a"], json!([{"name": "b"}, {"name": "a"}]), &["b", "a"]),
    ] {
        assert_eq!(
            merged(containers(live), order(names, items.clone())),
            containers(result),
            "{names:?} {items}"
        );
    }
    // No such list at all: nothing happens.
    assert_eq!(merged(json!({"spec": {}}), order(&["a"], json!(null))), json!({"spec": {}}));
    // The patch's list must follow the order.
    let wrong = error(containers(&["a", "b"]), order(&["a", "b"], json!([{"name": "b"}, {"name": "a"}])));
    assert!(
        wrong.to_string().starts_with("The order in patch list:\n[map[name:b] map[name:a]]\n"),
        "{wrong}"
    );
}

#[test]
fn retain_keys_clears_the_rest() {
    let target = spec(json!({"strategyOf": {"type": "Rolling", "rolling": {"max": 1}}}));
    assert_eq!(
        merged(target.clone(), spec(json!({"strategyOf": {"$retainKeys": ["type"], "type": "Recreate"}}))),
        spec(json!({"strategyOf": {"type": "Recreate"}}))
    );
    let volumes = |v: Value| spec(json!({"volumes": v}));
    assert_eq!(
        merged(
            volumes(json!([{"name": "v", "emptyDir": {}}])),
            volumes(json!([{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]))
        ),
        volumes(json!([{"name": "v", "hostPath": {"path": "/x"}}]))
    );
    for bad in [json!({"$retainKeys": ["type"], "rolling": {"max": 2}}), json!({"$retainKeys": "type"})] {
        assert_eq!(
            error(target.clone(), spec(json!({"strategyOf": bad}))),
            PatchError::Malformed("invalid patch format of retainKeys".into())
        );
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let list = |items: Value| spec(json!({"containers": items}));
    for (patch, message) in [
        (list(json!([{"image": "x"}])), "map: map[image:x] does not contain declared merge key: name"),
        (
            list(json!([{"$patch": "delete"}])),
            "map: map[$patch:delete] does not contain declared merge key: name",
        ),
        (
            list(json!([{"name": "a", "$patch": "merge"}])),
            "merging lists cannot yet be specified in the patch",
        ),
        (
            list(json!([{"name": "a", "$patch": "frob"}])),
            "unknown patch type: frob in map: map[$patch:frob name:a]",
        ),
        (json!({"spec": {"$patch": "merge"}}), "unknown patch type: merge in map: map[$patch:merge]"),
        (
            list(json!([{"name": "a"}, "b"])),
            "list element types are not identical: [[map[name:a]] [map[name:a] b]]",
        ),
        (
            spec(json!({"$setElementOrder/containers": {}})),
            "expected a []interface {}, but received a map[string]interface {}",
        ),
    ] {
        let got = error(containers(&["a"]), patch.clone());
        assert_eq!((got.to_string().as_str(), got.to_api_error().code()), (message, 500), "{patch}");
    }
    for (patch, message) in [
        (json!({"spec": {"$deleteFromPrimitiveList": []}}), "invalid patch format of primitive list"),
        (json!({"spec": {"$setElementOrderX": []}}), "invalid patch format of setElementOrder list"),
    ] {
        assert_eq!(error(containers(&["a"]), patch), PatchError::Malformed(message.into()));
    }
    assert_eq!(error(json!({}), json!([])), PatchError::Malformed("invalid JSON document".into()));
    assert_eq!(
        error(json!({"metadata": {"finalizers": [[]]}}), json!({"metadata": {"finalizers": [[]]}})),
        PatchError::Rejected("lists of lists are not supported".into())
    );
}

fn names_of(value: &Value, path: &[&str]) -> Vec<String> {
    let list = path.iter().fold(value, |v, name| &v[*name]);
    list.as_array().into_iter().flatten().map(|c| c["name"].as_str().unwrap_or("").to_owned()).collect()
}

proptest! {
    #[test]
    fn nothing_panics(target in arbitrary_json(), patch in arbitrary_json()) {
        let _ = strategic_merge(pod().root(), &target, &patch);
    }

    #[test]
    fn nearly_right_patches_do_not_panic(target in podlike(), patch in arbitrary_json()) {
        let _ = strategic_merge(pod().root(), &target, &patch);
    }

    #[test]
    fn twice_is_once(target in podlike_unique(), patch in podlike_unique()) {
        if let Ok(once) = strategic_merge(pod().root(), &target, &patch) {
            prop_assert_eq!(strategic_merge(pod().root(), &once, &patch).unwrap(), once);
        }
    }

    #[test]
    fn merged_lists_have_every_element_of_both(target in podlike(), patch in podlike()) {
        if let Ok(result) = strategic_merge(pod().root(), &target, &patch) {
            let all = names_of(&result, &["spec", "containers"]);
            for name in names_of(&target, &["spec", "containers"]).iter().chain(&names_of(&patch, &["spec", "containers"])) {
                prop_assert!(all.contains(name));
            }
        }
    }

    #[test]
    fn null_removes(target in podlike()) {
        let result = strategic_merge(pod().root(), &target, &json!({"spec": {"containers": null}, "metadata": {"labels": null}})).unwrap();
        prop_assert!(result["spec"].get("containers").is_none() && result["metadata"].get("labels").is_none());
    }

    #[test]
    fn an_empty_patch_changes_nothing(target in podlike()) {
        prop_assert_eq!(strategic_merge(pod().root(), &target, &json!({})).unwrap(), target);
    }
}
