use super::*;
use crate::test_types::{arbitrary_json, pod, podlike};
use proptest::prelude::*;
use serde_json::json;

fn set(value: Value) -> FieldSet {
    FieldSet::from_value(&value).unwrap()
}

#[test]
fn fields_v1_reads_and_writes() {
    for value in [
        json!({}),
        json!({"f:a": {}}),
        json!({"f:a": {".": {}, "f:b": {}}}),
        json!({"f:a": {"f:b": {}}}),
        json!({"f:l": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}}, "v:\"x\"": {}, "v:1": {}, "i:0": {}}}),
        json!({"f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}}}}),
    ] {
        let read = set(value.clone());
        // A `.` alone says no more than nothing.
        let value = if read.to_value() == value { value } else { read.to_value() };
        assert_eq!(set(value.clone()), read);
        assert_eq!(read.to_value(), value);
        assert_eq!(set(serde_json::from_str(&read.to_json()).unwrap()), read);
    }
    assert_eq!(set(json!({"z:new": {}, "f:a": {}})), set(json!({"f:a": {}})));
    for bad in [
        json!({"x": {}}),
        json!({"fx": {}}),
        json!({"v:{": {}}),
        json!({"k:1": {}}),
        json!({"i:x": {}}),
        json!(1),
    ] {
        assert!(FieldSet::from_value(&bad).is_err(), "{bad}");
    }
}

#[test]
fn the_text_has_kubernetes_order() {
    let ports = set(json!({"f:b": {}, "f:a": {"i:1": {}, "v:\"x\"": {}, "v:2": {},
        "k:{\"port\":443}": {".": {}, "f:port": {}}, "k:{\"port\":80}": {}}}));
    assert_eq!(
        ports.to_json(),
        r#"{"f:a":{"k:{\"port\":80}":{},"k:{\"port\":443}":{".":{},"f:port":{}},"v:2":{},"v:\"x\"":{},"i:1":{}},"f:b":{}}"#
    );
    let escaped = set(json!({"v:\"a<b&c\"": {}}));
    assert_eq!(escaped.to_value(), json!({"v:\"a\\u003cb\\u0026c\"": {}}));
}

#[test]
fn paths_read_as_in_messages() {
    let mut seen = Vec::new();
    let all = set(
        json!({"f:spec": {"f:l": {".": {}, "k:{\"name\":\"c\",\"port\":1}": {"f:x": {}}}, "f:s": {"v:\"y\"": {}, "i:3": {}}}}),
    );
    all.visit(&mut |path| seen.push(path.iter().map(ToString::to_string).collect::<String>()));
    assert_eq!(seen, [".spec.l", ".spec.l[name=\"c\",port=1].x", ".spec.s[=\"y\"]", ".spec.s[3]"]);
    assert_eq!(all.len(), 4);
}

#[test]
fn set_operations() {
    let ab = set(json!({"f:a": {".": {}, "f:x": {}}, "f:b": {}}));
    let a = set(json!({"f:a": {}}));
    let ax = set(json!({"f:a": {"f:x": {}}}));
    assert_eq!(ab.difference(&a), set(json!({"f:a": {"f:x": {}}, "f:b": {}})));
    assert_eq!(ab.difference(&ax), set(json!({"f:a": {}, "f:b": {}})));
    let mut rest = ab.clone();
    assert!(rest.subtract_recursive(&a));
    assert_eq!(rest, set(json!({"f:b": {}})));
    assert!(!rest.subtract(&a));
    assert_eq!(ab.intersection(&ax), ax);
    assert_eq!(a.clone().union(ax.clone()), set(json!({"f:a": {".": {}, "f:x": {}}})));
    let x = [PathElement::field("a"), PathElement::field("x")];
    assert!(ab.contains(&x) && !a.contains(&x) && !ab.contains(&[]));
    assert_eq!(FieldSet::of_fields([&["a", "x"][..]]), ax);
}

#[test]
fn what_a_value_has() {
    let types = pod();
    let fields = fields_of(
        types.root(),
        &json!({"metadata": {"labels": {"a": "1"}, "annotations": {}, "finalizers": ["x", "y"]},
            "spec": {"nodeSelector": {"a": "1"}, "replicas": 1, "extra": {"a": {"b": 1}},
                "containers": [{"name": "c", "args": ["x"], "ports": [{"containerPort": 80}], "image": null}],
                "volumes": []},
            "data": {"k": "v"}}),
    );
    assert_eq!(
        fields.to_value(),
        json!({"f:metadata": {"f:labels": {"f:a": {}}, "f:annotations": {},
                "f:finalizers": {"v:\"x\"": {}, "v:\"y\"": {}}},
            "f:spec": {"f:nodeSelector": {}, "f:replicas": {}, "f:extra": {},
                "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:args": {}, "f:image": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}},
            "f:data": {"f:k": {}}})
    );
}

#[test]
fn content_without_a_type() {
    let types = crate::test_types::Types::of(json!({"preserve": true, "fields": {"known": "string"}}));
    let fields =
        fields_of(types.root(), &json!({"known": "x", "free": {"a": {"b": [1]}, "n": null}, "one": 1}));
    assert_eq!(
        fields.to_value(),
        json!({"f:known": {}, "f:free": {".": {}, "f:a": {".": {}, "f:b": {}}, "f:n": {}}, "f:one": {}})
    );
}

#[test]
fn what_differs() {
    let types = pod();
    let spec = |spec: Value| json!({"spec": spec});
    for (old, new, added, modified, removed) in [
        (json!({}), json!({}), json!({}), json!({}), json!({})),
        (
            json!({"data": {"a": "1"}}),
            json!({"data": {"a": "2", "b": "1"}}),
            json!({"f:data": {"f:b": {}}}),
            json!({"f:data": {"f:a": {}}}),
            json!({}),
        ),
        (
            json!({}),
            json!({"data": {"a": "1"}}),
            json!({"f:data": {".": {}, "f:a": {}}}),
            json!({}),
            json!({}),
        ),
        (
            json!({"data": null}),
            json!({"data": {"a": "1"}}),
            json!({"f:data": {"f:a": {}}}),
            json!({}),
            json!({}),
        ),
        (
            json!({"data": {"a": "1"}}),
            json!({}),
            json!({}),
            json!({}),
            json!({"f:data": {".": {}, "f:a": {}}}),
        ),
        (json!({}), json!({"data": {}}), json!({"f:data": {}}), json!({}), json!({})),
        (json!({"data": null}), json!({"data": {}}), json!({}), json!({"f:data": {}}), json!({})),
        (
            spec(json!({"nodeSelector": {"a": "1"}})),
            spec(json!({"nodeSelector": {"b": "1"}})),
            json!({}),
            json!({"f:spec": {"f:nodeSelector": {}}}),
            json!({}),
        ),
        (spec(json!({"replicas": 1})), spec(json!({"replicas": 1.0})), json!({}), json!({}), json!({})),
        (
            spec(json!({"containers": [{"name": "a"}, {"name": "b", "image": "1"}]})),
            spec(json!({"containers": [{"name": "b", "image": "2"}, {"name": "c"}]})),
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}}}}}),
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"b\"}": {"f:image": {}}}}}),
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}}}}}),
        ),
        // The order of a keyed list is nobody's.
        (
            spec(json!({"containers": [{"name": "a"}, {"name": "b"}]})),
            spec(json!({"containers": [{"name": "b"}, {"name": "a"}]})),
            json!({}),
            json!({}),
            json!({}),
        ),
        // Elements that cannot be told apart are one.
        (
            spec(json!({"containers": [{"name": "a"}]})),
            spec(json!({"containers": [{"name": "a"}, {"name": "a", "image": "1"}]})),
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {}}}}),
            json!({}),
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}}}}}),
        ),
        (
            spec(json!({"containers": [{"name": "a"}, {"name": "a"}]})),
            spec(json!({"containers": [{"name": "a"}, {"name": "a", "image": "1"}]})),
            json!({}),
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {}}}}),
            json!({}),
        ),
    ] {
        let got = compare(types.root(), &old, &new);
        let want = Comparison { added: set(added), modified: set(modified), removed: set(removed) };
        assert_eq!(got, want, "{old} {new}");
    }
}

proptest! {
    #[test]
    fn sets_survive_their_text(value in podlike()) {
        let fields = fields_of(pod().root(), &value);
        prop_assert_eq!(&FieldSet::from_value(&fields.to_value()).unwrap(), &fields);
        prop_assert_eq!(&FieldSet::from_value(&serde_json::from_str(&fields.to_json()).unwrap()).unwrap(), &fields);
    }

    #[test]
    fn set_algebra(a in podlike(), b in podlike()) {
        let types = pod();
        let (a, b) = (fields_of(types.root(), &a), fields_of(types.root(), &b));
        let both = a.intersection(&b);
        prop_assert_eq!(a.difference(&b).union(both.clone()), a.clone());
        prop_assert_eq!(a.clone().union(b.clone()), b.clone().union(a.clone()));
        prop_assert_eq!(a.clone().union(b.clone()).len(), a.len() + b.len() - both.len());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
    }

    #[test]
    fn comparing_is_symmetric(a in podlike(), b in podlike()) {
        let types = pod();
        let (there, back) = (compare(types.root(), &a, &b), compare(types.root(), &b, &a));
        prop_assert_eq!(&there.modified, &back.modified);
        prop_assert_eq!(there.added, back.removed);
        prop_assert!(compare(types.root(), &a, &a).is_empty());
    }

    #[test]
    fn nothing_panics(a in arbitrary_json(), b in arbitrary_json()) {
        let types = pod();
        let _ = compare(types.root(), &a, &b);
        let _ = fields_of(types.root(), &a);
        let _ = FieldSet::from_value(&a);
    }
}
