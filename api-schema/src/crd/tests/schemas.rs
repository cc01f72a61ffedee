use super::*;
use crate::graph::{ListKind, Shape};
use jiff::Timestamp;
use proptest::prelude::*;

fn defects(schema: Value) -> Vec<String> {
    compile(&schema, false).err().map(|causes| lines(&causes)).unwrap_or_default()
}

#[test]
fn a_structural_schema_becomes_types() {
    let crd = compiled(widget());
    let root = crd.graph.at(crd.root);
    let spec = root.member("spec").unwrap();
    assert_eq!(spec.field("size").unwrap().default, Some(json!(3)));
    assert!(spec.field("size").unwrap().required);
    let items = spec.member("items").unwrap();
    assert!(matches!(items.shape(), Shape::List(_, ListKind::Map(keys)) if keys == &["k"]));
    assert!(root.member("status").unwrap().node().preserve_unknown);
    let meta = root.member("metadata").unwrap();
    assert!(matches!(meta.member("labels").unwrap().shape(), Shape::Map(_)));
    assert!(meta.member("finalizers").is_some());

    let crd = compiled(of_spec(json!({"type": "object", "properties": {
        "port": {"x-kubernetes-int-or-string": true},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"},
        "free": {"x-kubernetes-preserve-unknown-fields": true},
        "many": {"type": "array", "items": {"type": "number"}, "x-kubernetes-list-type": "set"},
        "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        "any": {"type": "object", "additionalProperties": true}}})));
    let spec = crd.graph.at(crd.root).member("spec").unwrap();
    assert!(matches!(spec.member("port").unwrap().shape(), Shape::Any));
    assert!(spec.member("labels").unwrap().node().atomic);
    assert!(matches!(spec.member("free").unwrap().shape(), Shape::Any));
    assert!(matches!(spec.member("many").unwrap().shape(), Shape::List(_, ListKind::Set)));
    assert!(spec.member("pod").unwrap().member("metadata").unwrap().member("labels").is_some());
    assert!(matches!(spec.member("any").unwrap().shape(), Shape::Map(_)));
}

#[test]
fn server_side_apply_sees_what_schemas_let_through() {
    let crd = compiled(of_spec(json!({"type": "object", "properties": {
        "kept": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
            "below": {"type": "object", "properties": {"a": {"type": "string"}}}}},
        "closed": {"type": "object", "properties": {"a": {"type": "string"}}},
        "any": {"type": "object", "additionalProperties": true},
        "port": {"x-kubernetes-int-or-string": true},
        "at": {"type": "string", "format": "date-time"},
        "bytes": {"type": "string", "format": "byte"}}})));
    let writer = crate::managed_fields::Writer {
        manager: "m",
        api_version: "example.com/v1",
        kind: "Widget",
        subresource: "",
        reset: &[],
        now: Timestamp::UNIX_EPOCH,
        versions: None,
    };
    let owned = |spec: Value| {
        let config = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "x"}, "spec": spec});
        let applied = crate::managed_fields::apply(crd.graph.at(crd.root), None, &config, &writer, false);
        match applied {
            Ok(object) => Ok(object["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].clone()),
            Err(error) => Err(error.to_string().rsplit_once("Widget): ").unwrap().1.to_owned()),
        }
    };
    for (spec, expected) in [
        (json!({"kept": {"below": {"b": 1}}}), Ok(json!({"f:kept": {"f:below": {"f:b": {}}}}))),
        (json!({"any": {"a": {"b": 1}}}), Ok(json!({"f:any": {"f:a": {".": {}, "f:b": {}}}}))),
        (json!({"port": [1]}), Ok(json!({"f:port": {}}))),
        (json!({"at": 5}), Ok(json!({"f:at": {}}))),
        (json!({"closed": {"b": 1}}), Err(".spec.closed.b: field not declared in schema")),
        (json!({"at": [5]}), Err(".spec.at: expected any scalar, got &{[5]}")),
        (json!({"bytes": 5.0}), Err(".spec.bytes: expected string, got &value.valueUnstructured{Value:5}")),
    ] {
        assert_eq!(owned(spec.clone()), expected.map_err(str::to_owned), "{spec}");
    }
    // Who updates without applying is not refused, and nobody owns what has no type.
    let mut new = json!({"metadata": {"name": "x"}, "spec": {"at": [5]}});
    crate::managed_fields::update(crd.graph.at(crd.root), None, &mut new, &writer);
    assert_eq!(new["metadata"].get("managedFields"), None);
    new["spec"]["at"] = "x".into();
    crate::managed_fields::update(crd.graph.at(crd.root), None, &mut new, &writer);
    assert!(new["metadata"].get("managedFields").is_some());
}

#[test]
fn what_is_not_structural_is_refused() {
    let p = "openAPIV3Schema.properties[spec]";
    for (spec, defect) in [
        (json!({}), format!("{p}.type: Required value: must not be empty for specified object fields")),
        (json!({"type": "array"}), format!("{p}.items: Required value: must be specified")),
        (
            json!({"type": "array", "items": {}}),
            format!("{p}.items.type: Required value: must not be empty for specified array items"),
        ),
        (
            json!({"type": "file"}),
            format!(
                "{p}.type: Unsupported value: \"file\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\""
            ),
        ),
        (
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
            format!(
                "{p}.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"
            ),
        ),
        (
            json!({"type": "string", "pattern": "("}),
            format!(
                "{p}.pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): `(`"
            ),
        ),
        (
            json!({"type": "string", "anyOf": [{"type": "string"}]}),
            format!("{p}.anyOf[0].type: Forbidden: must be empty to be structural"),
        ),
        (
            json!({"type": "string", "not": {"default": "x"}}),
            format!("{p}.not.default: Forbidden: must be undefined to be structural"),
        ),
        (
            json!({"type": "object", "x-kubernetes-embedded-resource": true}),
            format!(
                "{p}.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
            ),
        ),
        (
            json!({"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}),
            format!(
                "{p}.x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true"
            ),
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
            format!(
                "{p}.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"
            ),
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
            format!(
                "{p}.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
            ),
        ),
        (json!({"type": "string", "$ref": "#/x"}), format!("{p}.$ref: Forbidden: $ref is not supported")),
        (
            json!({"type": "string", "x-kubernetes-list-type": "set"}),
            format!(
                "{p}.type: Invalid value: \"string\": must be array if x-kubernetes-list-type is specified"
            ),
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "bag"}),
            format!(
                "{p}.x-kubernetes-list-type: Unsupported value: \"bag\": supported values: \"atomic\", \"set\", \"map\""
            ),
        ),
        (
            json!({"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}},
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}),
            format!(
                "{p}.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            ),
        ),
        (
            json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["z"]}),
            format!(
                "{p}.x-kubernetes-list-map-keys: Invalid value: [\"z\"]: entries must all be names of item properties"
            ),
        ),
        (
            json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}),
            format!(
                "{p}.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set"
            ),
        ),
        (
            json!({"type": "integer", "default": "x"}),
            format!("{p}.default: Invalid value: \"string\":  in body must be of type integer: \"string\""),
        ),
        (
            json!({"type": "object", "default": {"b": 1}, "properties": {"a": {"type": "string"}}}),
            format!("{p}.default: Invalid value: {{\"b\":1}}: must not have unknown fields"),
        ),
        (
            json!({"type": "object", "default": {"a": 1}, "properties": {"a": {"type": "string"}}}),
            format!(
                "{p}.default.a: Invalid value: \"integer\": a in body must be of type string: \"integer\""
            ),
        ),
    ] {
        assert_eq!(defects(of_spec(spec.clone())), [defect], "{spec}");
    }
}

#[test]
fn the_root_is_special() {
    for (schema, defect) in [
        (json!({}), "openAPIV3Schema.type: Required value: must not be empty at the root"),
        (
            json!({"type": "string"}),
            "openAPIV3Schema.type: Invalid value: \"string\": must be object at the root",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            "openAPIV3Schema.additionalProperties: Forbidden: must not be used at the root",
        ),
        (
            json!({"type": "object", "nullable": true}),
            "openAPIV3Schema.nullable: Forbidden: nullable cannot be true at the root",
        ),
        (
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
            "openAPIV3Schema.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
        ),
        (
            json!({"type": "object", "properties": {"kind": {"type": "integer"}}}),
            "openAPIV3Schema.properties[kind].type: Invalid value: \"integer\": must be string",
        ),
        (
            json!({"type": "object", "anyOf": [{"properties": {"spec": {"minProperties": 1}}}]}),
            "openAPIV3Schema.properties[spec]: Required value: because it is defined in openAPIV3Schema.anyOf[0].properties[spec]",
        ),
        (
            json!({"type": "object", "properties": {"kind": {"type": "string", "default": "X"}}}),
            "openAPIV3Schema.properties[kind].default: Forbidden: must not be set in top-level kind",
        ),
    ] {
        assert_eq!(defects(schema.clone()), [defect], "{schema}");
    }
    for fine in [
        json!({"type": "object"}),
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        json!({"type": "object", "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 10}}}}}),
        of_spec(
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ),
        of_spec(
            json!({"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "^a"}]}),
        ),
        of_spec(json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]})),
    ] {
        assert_eq!(defects(fine.clone()), [""; 0], "{fine}");
    }
}

#[test]
fn a_status_of_its_own_restricts_the_root() {
    assert_eq!(check_with_status(&widget()), []);
    assert_eq!(
        lines(&check_with_status(&json!({"type": "array"}))),
        [
            "openAPIV3Schema.type: Invalid value: \"array\": only \"object\" is allowed as the type at the root of the schema \
          if the status subresource is enabled"
        ]
    );
    let got = lines(&check_with_status(&json!({"type": "object", "oneOf": [{"required": ["spec"]}]})));
    let fields = "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength \
                  MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs \
                  Example XPreserveUnknownFields XValidations] fields are allowed";
    assert!(got.len() == 1 && got[0].contains(fields), "{got:?}");
}

fn arbitrary_schema() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        "object|array|string|integer|number|boolean|x|set|map|atomic|[a-c]|date-time|int32|self.a > 1|oldSelf"
            .prop_map(Value::from),
    ];
    scalar.prop_recursive(6, 64, 6, |inner| {
        let keyword = prop_oneof![
            Just("type"),
            Just("properties"),
            Just("items"),
            Just("additionalProperties"),
            Just("default"),
            Just("required"),
            Just("enum"),
            Just("minimum"),
            Just("maxLength"),
            Just("maxItems"),
            Just("pattern"),
            Just("allOf"),
            Just("anyOf"),
            Just("oneOf"),
            Just("not"),
            Just("nullable"),
            Just("format"),
            Just("multipleOf"),
            Just("x-kubernetes-preserve-unknown-fields"),
            Just("x-kubernetes-list-type"),
            Just("x-kubernetes-list-map-keys"),
            Just("x-kubernetes-int-or-string"),
            Just("x-kubernetes-embedded-resource"),
            Just("x-kubernetes-validations"),
            Just("rule"),
            Just("message"),
            Just("messageExpression"),
            Just("fieldPath"),
            Just("spec"),
            Just("a"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(keyword.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_schema_panics(mut schema in arbitrary_schema(), mut object in crate::test_types::arbitrary_json()) {
        if let Some(map) = schema.as_object_mut() {
            map.insert("type".into(), "object".into());
        }
        if let Ok(crd) = compile(&schema, false) {
            crd.prune(&mut object);
            crd.default(&mut object);
            crd.drop_nulls(&mut object);
            crd.validate(&object, None);
            crd.validate(&object, Some(&object));
            crd.judge_status(&object, None);
        }
    }
}
