use super::*;
use crate::decode::{DecodeError, Decoded, FieldValidation, Format, decode_merged, decode_structural};
use crate::graph::TypeRef;
use proptest::prelude::*;

/// The defects of an object whose `spec` is this.
fn defects(spec_schema: Value, spec: Value) -> Vec<String> {
    lines(&compiled(of_spec(spec_schema)).validate(&json!({"spec": spec}), None))
}

#[test]
fn unknown_fields_are_pruned() {
    let crd = compiled(widget());
    let mut object = json!({"apiVersion": "a/v1", "kind": "Widget", "metadata": {"name": "w", "odd": 1}, "x": 1,
        "spec": {"bogus": 1, "replicas": 1, "items": [{"k": "a", "z": {"y": 1}}]}, "status": {"any": {"thing": 1}}});
    assert_eq!(crd.prune(&mut object), ["spec.bogus", "spec.items[0].z", "x"]);
    assert_eq!(
        object,
        json!({"apiVersion": "a/v1", "kind": "Widget", "metadata": {"name": "w", "odd": 1},
            "spec": {"replicas": 1, "items": [{"k": "a"}]}, "status": {"any": {"thing": 1}}})
    );
    // Under a schema that keeps what it does not know, what it declares is pruned all the same.
    let crd = compiled(of_spec(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}}},
            "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}}}})));
    let mut object = json!({"spec": {"free": {"x": 1}, "a": {"b": "1", "c": 1},
        "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"y": 1}, "z": 1}}});
    assert_eq!(crd.prune(&mut object), ["spec.a.c", "spec.pod.spec.y", "spec.pod.z"]);
    assert_eq!(object["spec"]["free"], json!({"x": 1}));
    let mut object = json!({"spec": {"bogus": 1}});
    assert!(compile(&widget(), true).unwrap().prune(&mut object).is_empty());
    assert_eq!(object, json!({"spec": {"bogus": 1}}));
}

#[test]
fn defaults_are_set() {
    let crd = compiled(of_spec(json!({"type": "object", "default": {"list": [{}]}, "properties": {
        "size": {"type": "integer", "default": 3},
        "maybe": {"type": "string", "nullable": true, "default": "x"},
        "plain": {"type": "string"},
        "list": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
        "map": {"type": "object", "additionalProperties": {"type": "integer", "default": 1}}}})));
    for (object, result) in [
        (json!({}), json!({"spec": {"size": 3, "maybe": "x", "list": [{"p": "TCP"}]}})),
        (json!({"spec": {}}), json!({"spec": {"size": 3, "maybe": "x"}})),
        (
            json!({"spec": {"size": null, "maybe": null, "plain": null}}),
            json!({"spec": {"size": 3, "maybe": null}}),
        ),
        (
            json!({"spec": {"size": 4, "map": {"a": null, "b": 2}}}),
            json!({"spec": {"size": 4, "maybe": "x", "map": {"a": 1, "b": 2}}}),
        ),
        (
            json!({"spec": {"list": [{"p": null}, {"p": "UDP"}]}}),
            json!({"spec": {"size": 3, "maybe": "x", "list": [{"p": "TCP"}, {"p": "UDP"}]}}),
        ),
    ] {
        let mut defaulted = object.clone();
        crd.default(&mut defaulted);
        crd.drop_nulls(&mut defaulted);
        assert_eq!(defaulted, result, "{object}");
    }
}

#[test]
fn values_are_validated_in_kubernetes_words() {
    for (schema, value, defect) in [
        (
            json!({"type": "integer"}),
            json!("big"),
            "spec: Invalid value: \"string\": spec in body must be of type integer: \"string\"",
        ),
        (
            json!({"type": "string"}),
            json!(null),
            "spec: Invalid value: \"null\": spec in body must be of type string: \"null\"",
        ),
        (
            json!({"type": "object"}),
            json!([]),
            "spec: Invalid value: \"array\": spec in body must be of type object: \"array\"",
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            "spec: Invalid value: \"boolean\": spec in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({"type": "integer", "minimum": 1}),
            json!(0),
            "spec: Invalid value: 0: spec in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true}),
            json!(1),
            "spec: Invalid value: 1: spec in body should be greater than 1",
        ),
        (
            json!({"type": "number", "maximum": 0.5}),
            json!(0.75),
            "spec: Invalid value: 0.75: spec in body should be less than or equal to 0.5",
        ),
        (
            json!({"type": "integer", "maximum": 5, "exclusiveMaximum": true}),
            json!(5),
            "spec: Invalid value: 5: spec in body should be less than 5",
        ),
        (
            json!({"type": "integer", "multipleOf": 3}),
            json!(4),
            "spec: Invalid value: 4: spec in body should be a multiple of 3",
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("\u{e9}"),
            "spec: Invalid value: \"\u{e9}\": spec in body should be at least 2 chars long",
        ),
        (
            json!({"type": "string", "maxLength": 2}),
            json!("abc"),
            "spec: Too long: may not be more than 2 bytes",
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            "spec: Invalid value: \"b\": spec in body should match '^a+$'",
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            "spec: Unsupported value: \"c\": supported values: \"a\", \"b\"",
        ),
        (
            json!({"type": "integer", "enum": [1, 2]}),
            json!(3),
            "spec: Unsupported value: 3: supported values: \"1\", \"2\"",
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("x"),
            "spec: Invalid value: \"x\": spec in body must be of type date-time: \"x\"",
        ),
        (
            json!({"type": "integer", "format": "int32"}),
            json!(3_000_000_000_i64),
            "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!([]),
            "spec: Invalid value: 0: spec in body should have at least 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
            json!(["a", "b"]),
            "spec: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!(["a", 1]),
            "spec[1]: Invalid value: \"integer\": spec[1] in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "object", "minProperties": 1}),
            json!({}),
            "spec: Invalid value: 0: spec in body should have at least 1 properties",
        ),
        (
            json!({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}}),
            json!({"a": "", "b": ""}),
            "spec: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"a": 1}),
            "spec.a: Invalid value: \"integer\": spec.a in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
            json!({}),
            "spec.a: Required value",
        ),
        (
            json!({"type": "string", "not": {"enum": ["x"]}}),
            json!("x"),
            "<nil>: Invalid value: \"\": \"spec\" must not validate the schema (not)",
        ),
    ] {
        assert_eq!(defects(schema.clone(), value.clone()), [defect], "{schema} {value}");
    }
    assert_eq!(
        defects(json!({"type": "integer"}), json!(1.5)),
        [
            "spec: Invalid value: \"number\": spec in body must be of type integer: \"number\"",
            "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in spec",
        ]
    );
    for (schema, value) in [
        (json!({"type": "integer"}), json!(1.0)),
        (json!({"type": "number"}), json!(1)),
        (json!({"type": "string", "nullable": true}), json!(null)),
        (json!({"x-kubernetes-int-or-string": true}), json!("80%")),
        (json!({"x-kubernetes-int-or-string": true}), json!(80)),
        (json!({"type": "string", "format": "frob"}), json!("x")),
        (json!({"type": "string", "enum": ["a"]}), json!("a")),
        (json!({"x-kubernetes-preserve-unknown-fields": true}), json!([1, "a", {}])),
    ] {
        assert_eq!(defects(schema.clone(), value.clone()), [""; 0], "{schema} {value}");
    }
}

#[test]
fn combinators_report_the_nearest_alternative() {
    let fields = json!({"a": {"type": "string"}, "b": {"type": "string"}});
    let with = |name: &str| {
        let mut s = json!({"type": "object", "properties": fields});
        s[name] = json!([{"required": ["a"]}, {"required": ["b"]}]);
        s
    };
    for (schema, value, wanted) in [
        (
            with("oneOf"),
            json!({}),
            vec![
                "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found none valid",
                "spec.a: Required value",
            ],
        ),
        (
            with("oneOf"),
            json!({"a": "", "b": ""}),
            vec![
                "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
            ],
        ),
        (with("oneOf"), json!({"b": ""}), vec![]),
        (
            with("anyOf"),
            json!({}),
            vec![
                "<nil>: Invalid value: \"\": \"spec\" must validate at least one schema (anyOf)",
                "spec.a: Required value",
            ],
        ),
        (with("anyOf"), json!({"a": "", "b": ""}), vec![]),
        (
            with("allOf"),
            json!({"a": ""}),
            vec![
                "spec.b: Required value",
                "<nil>: Invalid value: \"\": \"spec\" must validate all the schemas (allOf)",
            ],
        ),
        (with("allOf"), json!({"a": "", "b": ""}), vec![]),
    ] {
        assert_eq!(defects(schema.clone(), value.clone()), wanted, "{schema} {value}");
    }
}

#[test]
fn elements_are_unique() {
    let map = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}});
    let two = json!([{"k": "a", "v": 1}, {"k": "a", "v": 2}]);
    assert_eq!(defects(map.clone(), two.clone()), ["spec[1]: Duplicate value: {\"k\":\"a\"}"]);
    let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
    assert_eq!(defects(set, json!(["a", "b", "a", "a"])), ["spec[2]: Duplicate value: \"a\""]);
    // What was stored with duplicates may stay.
    let crd = compiled(of_spec(map));
    assert!(crd.validate(&json!({"spec": two, "x": 1}), Some(&json!({"spec": two}))).is_empty());
}

#[test]
fn embedded_resources_are_resources() {
    let pod = json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true});
    assert_eq!(
        defects(pod.clone(), json!({})),
        ["spec.apiVersion: Required value", "spec.kind: Required value"]
    );
    assert_eq!(
        defects(pod.clone(), json!({"apiVersion": "", "kind": 1})),
        [
            "spec.apiVersion: Invalid value: \"\": must not be empty",
            "spec.kind: Invalid value: 1: must be a string"
        ]
    );
    assert_eq!(defects(pod, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}})), [""; 0]);
}

#[test]
fn a_whole_number_with_a_fraction_is_a_number_until_it_is_written() {
    let schema = json!({"type": "object", "properties": {
        "i": {"type": "integer"}, "s": {"type": "string"}, "e": {"type": "integer", "enum": [1]},
        "n": {"type": "string", "nullable": true, "enum": ["a", null]}}});
    assert_eq!(defects(schema.clone(), json!({"i": 1.0, "e": 1.0})), Vec::<String>::new());
    // A list of whole numbers has 1.5 as 1, only its type has not.
    assert_eq!(defects(schema.clone(), json!({"e": 1.5})).len(), 2);
    assert_eq!(
        defects(schema.clone(), json!({"s": 1.0})),
        ["spec.s: Invalid value: \"number\": spec.s in body must be of type string: \"number\""]
    );
    assert_eq!(
        defects(schema, json!({"n": null})),
        ["spec.n: Unsupported value: null: supported values: \"a\", \"null\""]
    );
    let mut written = json!({"a": [1.0, 1e3, 1.5, "1.0"]});
    crate::decode::plain_numbers(&mut written);
    assert_eq!(written, json!({"a": [1, 1000, 1.5, "1.0"]}));
}

#[test]
fn resources_within_resources_are_decoded_with_their_metadata() {
    let crd = compiled(of_spec(json!({"type": "object", "properties": {
        "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}}})));
    let decode =
        |pod: Value,
         decode: fn(&[u8], Format, TypeRef<'_>, FieldValidation) -> Result<Decoded, DecodeError>| {
            let object = json!({"metadata": {"name": "x"}, "spec": {"pod": pod}}).to_string();
            let found =
                decode(object.as_bytes(), Format::Json, crd.graph.at(crd.root), FieldValidation::Ignore);
            found.map(|decoded| decoded.value["spec"]["pod"].clone()).map_err(|error| error.to_string())
        };
    for (pod, expected) in [
        (json!({"kind": 5}), Err("spec.pod.kind: Invalid value: 5: must be a string")),
        (json!({"metadata": null}), Ok(json!({"metadata": {}}))),
        (
            json!({"metadata": {"labels": {"a": 1}}}),
            Err(
                "spec.pod.metadata: Invalid value: {\"labels\":{\"a\":1}}: json: cannot unmarshal number into Go struct \
                 field ObjectMeta.labels of type string",
            ),
        ),
    ] {
        assert_eq!(decode(pod, decode_structural), expected.map_err(str::to_owned));
    }
    let odd = json!({"kind": 5, "metadata": []});
    assert_eq!(decode(odd.clone(), decode_merged), Ok(odd));
}

#[test]
fn what_was_invalid_before_may_stay() {
    let crd = compiled(of_spec(
        json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 1},
        "b": {"type": "string", "maxLength": 1},
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object",
            "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "string", "maxLength": 1}}}}}}),
    ));
    let old = json!({"spec": {"a": "long", "list": [{"k": "1", "v": "long"}]}});
    let mut new = old.clone();
    new["spec"]["b"] = "x".into();
    new["spec"]["list"] = json!([{"k": "0", "v": "y"}, {"k": "1", "v": "long"}]);
    assert_eq!(lines(&crd.validate(&new, Some(&old))), [""; 0]);
    new["spec"]["b"] = "xx".into();
    new["spec"]["list"][0]["v"] = "yy".into();
    assert_eq!(
        lines(&crd.validate(&new, Some(&old))),
        [
            "spec.b: Too long: may not be more than 1 bytes",
            "spec.list[0].v: Too long: may not be more than 1 bytes"
        ]
    );
}

#[test]
fn a_status_is_validated_alone() {
    let crd = compiled(
        json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}},
        "status": {"type": "object", "properties": {"phase": {"type": "string", "enum": ["On"]}}}}}),
    );
    let object = json!({"spec": {}, "status": {"phase": "Off"}});
    assert_eq!(
        lines(&crd.judge_status(&object, None).causes),
        ["status.phase: Unsupported value: \"Off\": supported values: \"On\""]
    );
}

proptest! {
    #[test]
    fn pruned_and_defaulted_objects_stay_so(mut object in crate::test_types::arbitrary_json(), replicas in prop::option::of(0i64..9)) {
        let crd = compiled(widget());
        if let (Some(map), Some(replicas)) = (object.as_object_mut(), replicas) {
            map.insert("spec".into(), json!({"replicas": replicas, "a": {"b": 1}, "items": [{"k": "x", "y": 1}]}));
        }
        crd.prune(&mut object);
        crd.default(&mut object);
        crd.drop_nulls(&mut object);
        let once = object.clone();
        prop_assert!(crd.prune(&mut object).is_empty());
        crd.default(&mut object);
        crd.drop_nulls(&mut object);
        prop_assert_eq!(object, once);
    }

    #[test]
    fn an_unchanged_object_is_never_refused(object in crate::test_types::arbitrary_json()) {
        let crd = compiled(widget());
        prop_assert!(crd.validate(&object, Some(&object)).is_empty());
    }
}
