use super::*;
use serde_json::json;

fn object() -> Value {
    json!({"metadata": {"labels": {"a.b/c": "x", "plain": "y"}},
        "spec": {"size": 3, "half": 0.5, "on": true, "list": [1, 2, 3, 4], "none": null, "empty": {}, "text": "ab"},
        "status": {"conditions": [
            {"type": "Synced", "status": "False", "age": 5, "reason": "No (yet)"},
            {"type": "Ready", "status": "True", "age": 7}]}})
}

#[test]
fn paths_find_values() {
    let object = object();
    for (path, found) in [
        (".spec.size", json!([3])),
        ("$.spec.on", json!([true])),
        (".spec.nothing", json!([])),
        (".spec.none", json!([null])),
        (".spec.none.deeper", json!([])),
        (".spec.size.deeper", json!([])),
        (".spec['size']", json!([3])),
        (".spec.list[0]", json!([1])),
        (".spec.list[-1]", json!([4])),
        (".spec.list[-2]", json!([3])),
        (".spec.list[*]", json!([1, 2, 3, 4])),
        (".spec.list[1:3]", json!([2, 3])),
        (".spec.list[:2]", json!([1, 2])),
        (".spec.list[-3:]", json!([2, 3, 4])),
        (".spec.list[::2]", json!([1, 3])),
        (".spec.list[1:1]", json!([])),
        (".spec.list[0,-1]", json!([1, 4])),
        (".spec['size','on']", json!([3, true])),
        (".spec.empty.*", json!([])),
        (".spec.text.*", json!(["97", "98"])),
        (".metadata.labels.*", json!(["x", "y"])),
        (".metadata.labels.a\\.b/c", json!(["x"])),
        (".metadata.labels['a\\.b/c']", json!(["x"])),
        // A dot parts also here.
        (".metadata.labels['a.b/c']", json!([])),
        ("..age", json!([5, 7])),
        (".status..type", json!(["Synced", "Ready"])),
        (".status.conditions[*].type", json!(["Synced", "Ready"])),
        (".status.conditions[?(@.type==\"Ready\")].status", json!(["True"])),
        (".status.conditions[?(@.type == 'Ready')].status", json!(["True"])),
        (".status.conditions[?(@.type!='Ready')].type", json!(["Synced"])),
        (".status.conditions[?(@.reason)].type", json!(["Synced"])),
        (".status.conditions[?(@.reason=='No (yet)')].type", json!(["Synced"])),
        (".status.conditions[?(@.age>5)].type", json!(["Ready"])),
        (".status.conditions[?(@.age<=5)].type", json!(["Synced"])),
        (".status.conditions[?(@.age>=@.age)].age", json!([5, 7])),
        (".status.conditions[?(@.type<'S')].type", json!(["Ready"])),
        (".", json!([])),
    ] {
        let steps = JsonPath::parse(path).unwrap();
        let values = evaluate::values(&steps.0, &object).unwrap();
        assert_eq!(json!(values), found, "{path}");
        assert_eq!(
            json!(steps.first(&object).into_iter().collect::<Vec<_>>()),
            json!(values.first().into_iter().collect::<Vec<_>>())
        );
    }
    assert_eq!(text(&object, ".spec.size"), "3");
    assert_eq!(text(&object, ".spec"), "");
}

#[test]
fn steps_that_cannot_be_gone_lead_to_nothing() {
    let object = object();
    for path in [
        ".spec.list[4]",
        ".spec.list[-5]",
        ".spec.list[3:1]",
        ".spec.list[0:9]",
        ".spec.list[0:2:0]",
        ".spec[0]",
        ".spec.text[*]",
        ".spec[?(@.a)]",
        ".status.conditions[?(@.age=='7')].type",
        ".status.conditions[?(@.age==7.5)].type",
        ".status.conditions[?(@.type==Ready)].type",
        ".status.conditions[?(@.type=!'Ready')].type",
        ".spec.size word",
        "..[0]",
    ] {
        assert_eq!(JsonPath::parse(path).unwrap().first(&object), None, "{path}");
    }
}

#[test]
fn what_is_no_path_is_refused() {
    for path in [
        ".a[",
        ".a[x]",
        ".a[1:2:3:4]",
        ".a[?(@.b",
        ".a[?(@.b)",
        ".a['b",
        "....a",
        ".a 'b",
        ".a 1.2.3",
        ".a[+1]",
        ".a \"\\q\"",
        ".a + ",
    ] {
        assert!(JsonPath::parse(path).is_err(), "{path}");
    }
    let long = ".a".repeat(1_001);
    assert!(JsonPath::parse(&long).is_err() && JsonPath::parse(&long[2..]).is_ok());
}

#[test]
fn many_descents_come_to_an_end() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({ "a": deep });
    }
    let path = "..a".repeat(8);
    assert_eq!(JsonPath::parse(&path).unwrap().first(&deep), None);
}

#[test]
fn plain_names_are_followed_as_a_path_is() {
    let object = json!({"a": {"b_1": "x", "2": true, "list": [{"c": 1}]}, "n": null});
    for path in
        [".a.b_1", ".a.2", ".a.list", ".a.list.c", ".a", ".n", ".none", ".a.none.b", ".", "a.b_1", ".a."]
    {
        let parsed = JsonPath::parse(path).ok().and_then(|path| path.first(&object));
        assert_eq!(text(&object, path), super::shown(parsed.as_deref()), "{path}");
    }
}
