use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::builtin;

fn root(kind: &str) -> TypeRef<'static> {
    let group = match kind {
        "Deployment" => "apps",
        "CustomResourceDefinition" => "apiextensions.k8s.io",
        "Component" => {
            return builtin::graph().at(builtin::kind("core.oam.dev", "v1alpha2", kind).unwrap());
        }
        "Lease" => "coordination.k8s.io",
        _ => "",
    };
    builtin::graph().at(builtin::kind(group, "v1", kind).unwrap())
}

fn strict(kind: &str, text: &str) -> Result<Value, String> {
    decode(text.as_bytes(), Format::Json, root(kind), FieldValidation::Strict)
        .map(|decoded| decoded.value)
        .map_err(|error| error.to_string())
}

#[test]
fn unknown_and_duplicate_fields_are_refused_with_their_paths() {
    for (kind, text, error) in [
        (
            "Pod",
            r#"{"spec":{"containers":[{"name":"c","bogus":1}],"nope":true}}"#,
            r#"strict decoding error: unknown field "spec.containers[0].bogus", unknown field "spec.nope""#,
        ),
        ("ConfigMap", r#"{"data":{"a":"1","a":"2"}}"#, r#"strict decoding error: duplicate field "data.a""#),
        (
            "Pod",
            r#"{"metadata":{"name":"a","name":"b"},"Kind":"Pod"}"#,
            r#"strict decoding error: duplicate field "metadata.name", unknown field "Kind""#,
        ),
        (
            "Component",
            r#"{"spec":{"workload":{"kind":"X","a":1,"a":2},"more":{}}}"#,
            r#"strict decoding error: duplicate field "spec.workload.a", unknown field "spec.more""#,
        ),
    ] {
        assert_eq!(strict(kind, text), Err(error.to_owned()));
    }
}

#[test]
fn what_is_said_twice_is_read_into_what_is_there() {
    for (text, expected) in [
        (
            r#"{"metadata":{"name":"a","labels":{"x":"1"}},"metadata":{"labels":{"y":"2"},"uid":"u"}}"#,
            json!({"metadata": {"name": "a", "labels": {"x": "1", "y": "2"}, "uid": "u"}}),
        ),
        (
            r#"{"spec":{"containers":[{"name":"a"},{"name":"b"}]},"spec":{"containers":[{"name":"c"}]}}"#,
            json!({"spec": {"containers": [{"name": "c"}]}}),
        ),
        (r#"{"spec":{"nodeName":"a"},"spec":{"nodeName":"b"}}"#, json!({"spec": {"nodeName": "b"}})),
    ] {
        let decoded = decode(text.as_bytes(), Format::Json, root("Pod"), FieldValidation::Ignore).unwrap();
        assert_eq!(decoded.value, expected, "{text}");
    }
}

#[test]
fn modes_differ_only_in_what_they_say() {
    let text = br#"{"spec":{"nope":1,"nodeName":"n"}}"#;
    let value = json!({"spec": {"nodeName": "n"}});
    let decoded = decode(text, Format::Json, root("Pod"), FieldValidation::Warn).unwrap();
    assert_eq!(decoded.value, value);
    assert_eq!(decoded.warnings, [r#"unknown field "spec.nope""#]);
    let decoded = decode(text, Format::Json, root("Pod"), FieldValidation::Ignore).unwrap();
    assert_eq!(decoded, Decoded { value, warnings: vec![] });
    assert_eq!(FieldValidation::parse("Strict"), Some(FieldValidation::Strict));
    assert_eq!(FieldValidation::parse("strict"), None);
}

#[test]
fn notes_about_custom_resources_stand_in_the_order_of_kubernetes() {
    let text = br#"{"zzz":1,"metadata":{"odd":1,"name":"a","name":"b"},"spec":{"zz":1,"aa":1,"nodeName":"n","nodeName":"m"}}"#;
    let decoded = decode_structural(text, Format::Json, root("Pod"), FieldValidation::Warn).unwrap();
    assert_eq!(
        decoded.warnings,
        [
            r#"duplicate field "metadata.name""#,
            r#"duplicate field "spec.nodeName""#,
            r#"unknown field "metadata.odd""#,
            r#"unknown field "spec.aa""#,
            r#"unknown field "spec.zz""#,
            r#"unknown field "zzz""#,
        ]
    );
}

#[test]
fn values_of_wrong_types_are_named_as_go_does() {
    let field = "json: cannot unmarshal";
    for (kind, text, error) in [
        (
            "Pod",
            r#"{"spec":{"containers":"nope"}}"#,
            format!("{field} string into Go struct field PodSpec.spec.containers of type []v1.Container"),
        ),
        (
            "Pod",
            r#"{"spec":{"containers":[{"name":1,"image":2}]}}"#,
            format!("{field} number into Go struct field Container.spec.containers.name of type string"),
        ),
        (
            "Pod",
            r#"{"spec":{"containers":[{"imagePullPolicy":[]}]}}"#,
            format!(
                "{field} array into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy"
            ),
        ),
        (
            "Deployment",
            r#"{"spec":{"replicas":1.5}}"#,
            format!("{field} number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ),
        (
            "Deployment",
            r#"{"spec":{"replicas":"3"}}"#,
            format!("{field} string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ),
        (
            "Pod",
            r#"{"metadata":{"labels":{"a":1}}}"#,
            format!("{field} number into Go struct field ObjectMeta.metadata.labels of type string"),
        ),
        (
            "Pod",
            r#"{"spec":{"containers":[{"resources":{"limits":[]}}]}}"#,
            format!(
                "{field} array into Go struct field \
                 ResourceRequirements.spec.containers.resources.limits of type v1.ResourceList"
            ),
        ),
        (
            "Service",
            r#"{"spec":{"ports":[{"targetPort":true}]}}"#,
            format!("{field} bool into Go struct field ServicePort.spec.ports.targetPort of type int32"),
        ),
        (
            "Pod",
            r#"{"metadata":{"creationTimestamp":5}}"#,
            format!(
                "{field} number into Go struct field ObjectMeta.metadata.creationTimestamp of type string"
            ),
        ),
        (
            "Pod",
            r#"{"spec":{"containers":[{"resources":{"requests":{"cpu":"abc"}}}]}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                .to_owned(),
        ),
        ("Secret", r#"{"data":{"a":"%%"}}"#, "illegal base64 data at input byte 0".to_owned()),
        (
            "Pod",
            r#"{"metadata":{"creationTimestamp":"x"}}"#,
            r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#.to_owned(),
        ),
        ("Pod", r#"{"spec":{"nodeName":"n"},}"#, {
            "invalid character '}' looking for beginning of object key string".to_owned()
        }),
    ] {
        assert_eq!(strict(kind, text), Err(error), "{text}");
    }
}

#[test]
fn values_come_out_in_their_canonical_form() {
    let pod = strict(
        "Pod",
        r#"{"metadata":{"creationTimestamp":"2026-11-21T10:00:00.5+01:00","labels":{},"generation":0},
        "spec":{"hostNetwork":false,"priority":0,"nodeName":"","terminationGracePeriodSeconds":0,
        "securityContext":{},"volumes":[],"containers":[{"name":"c","resources":{"limits":{"cpu":0.5,
        "memory":"1024Mi"}},"ports":null,"env":[{"name":"A","value":""}],"tty":true}]}}"#,
    );
    assert_eq!(
        pod,
        Ok(json!({"metadata": {"creationTimestamp": "2026-11-21T09:00:00Z", "labels": {}},
            "spec": {"priority": 0, "terminationGracePeriodSeconds": 0, "securityContext": {}, "volumes": [],
                "containers": [{"name": "c", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                    "env": [{"name": "A"}], "tty": true}]}}))
    );
    let lease = strict("Lease", r#"{"spec":{"renewTime":"2026-11-21T09:00:00.000001Z"}}"#);
    assert_eq!(lease, Ok(json!({"spec": {"renewTime": "2026-11-21T09:00:00.000001Z"}})));
    let service = strict("Service", r#"{"spec":{"ports":[{"port":1,"targetPort":"web"},{"targetPort":8}]}}"#);
    assert_eq!(
        service,
        Ok(json!({"spec": {"ports": [{"port": 1, "targetPort": "web"}, {"targetPort": 8}]}}))
    );
    let map = strict("ConfigMap", r#"{"data":{"a":null},"binaryData":{"b":"AQ==\n"}}"#);
    assert_eq!(map, Ok(json!({"data": {"a": ""}, "binaryData": {"b": "AQ=="}})));
    let secret = strict("Secret", r#"{"immutable":false,"type":""}"#);
    assert_eq!(secret, Ok(json!({"immutable": false})));
}

#[test]
fn any_json_stays_as_it_is() {
    let text = r#"{"spec":{"workload":{"apiVersion":"v1","kind":"Pod","spec":{"n":null,"e":[],"f":1.0}}}}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(strict("Component", text), Ok(value));
}

#[test]
fn custom_resources_keep_what_does_not_fit() {
    let text = br#"{"spec":{"replicas":"many","nope":1,"paused":null}}"#;
    let decoded = decode_structural(text, Format::Json, root("Deployment"), FieldValidation::Warn).unwrap();
    assert_eq!(decoded.value, json!({"spec": {"replicas": "many", "paused": null}}));
    assert_eq!(decoded.warnings, [r#"unknown field "spec.nope""#]);
    let text = br#"{"metadata":{"labels":{"a":1}},"spec":{"replicas":"many"}}"#;
    let error = decode_structural(text, Format::Json, root("Deployment"), FieldValidation::Warn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
    );
}

#[test]
fn yaml_is_read_as_json_is() {
    let text = b"metadata:\n  name: a\n  labels: {x: 'yes'}\nspec:\n  nodeName: &n node\n  schedulerName: *n\n  nodeName: b\n  bogus: 1\n";
    let error = decode(text, Format::Yaml, root("Pod"), FieldValidation::Strict).unwrap_err();
    assert_eq!(
        error,
        DecodeError::Strict(vec![
            "yaml: unmarshal errors:\n  line 7: key \"nodeName\" already set in map".to_owned(),
            r#"unknown field "spec.bogus""#.to_owned()
        ])
    );
    let decoded = decode(text, Format::Yaml, root("Pod"), FieldValidation::Ignore).unwrap();
    assert_eq!(
        decoded.value,
        json!({"metadata": {"name": "a", "labels": {"x": "yes"}},
            "spec": {"nodeName": "b", "schedulerName": "node"}})
    );
    let decoded =
        decode(b"{data: {1: a, true: b}}", Format::Yaml, root("ConfigMap"), FieldValidation::Strict);
    assert_eq!(decoded.unwrap().value, json!({"data": {"1": "a", "true": "b"}}));
    assert_eq!(
        decode(br#"{"data":{"a":"1"}}"#, Format::Yaml, root("ConfigMap"), FieldValidation::Strict)
            .unwrap()
            .value,
        json!({"data": {"a": "1"}})
    );
}

#[test]
fn what_is_no_yaml_is_refused_in_the_words_of_go() {
    for (text, why) in [
        ("{", "yaml: line 1: did not find expected node content"),
        ("a: ]", "yaml: did not find expected node content"),
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        ("foo\nbar: baz", "yaml: line 2: mapping values are not allowed in this context"),
        ("a: b\n\tc: d", "yaml: line 2: found a tab character that violates indentation"),
        ("a:\n - b\nc", "yaml: line 4: could not find expected ':'"),
        ("a: |\n  x\n y", "yaml: line 2: did not find expected key"),
        ("a: \"b", "yaml: found unexpected end of stream"),
        ("a: \"\\u12\"", "yaml: did not find expected hexdecimal number"),
        ("x: y\na: *b-c d", "yaml: unknown anchor 'b-c' referenced"),
        ("a: .inf", "json: unsupported value: +Inf"),
        ("a: &b [*b]", "yaml: anchor 'b' value contains itself"),
        ("? [a, 1]\n: b", "yaml: invalid map key: []interface {}{\"a\", 1}"),
        (
            "~: {b: c}",
            "unsupported map key of type: %!s(<nil>), key: <nil>, value: map[interface {}]interface {}{\"b\":\"c\"}",
        ),
        ("a: !!int x", "yaml: cannot decode !!str `x` as a !!int"),
        ("<<: 1", "yaml: map merge requires map or sequence of maps as the value"),
    ] {
        let error = decode_any(text.as_bytes(), Format::Yaml).unwrap_err();
        assert_eq!(error, DecodeError::Syntax(why.to_owned()), "{text}");
    }
}

#[test]
fn words_and_numbers_of_yaml_1_1_are_no_texts() {
    let decoded = |text: &str| decode_any(text.as_bytes(), Format::Yaml).unwrap();
    assert_eq!(
        decoded("{a: yes, b: Off, y: 'y', c: 0777, d: 1_000, e: 018, f: 0X1F, g: !!str no}"),
        json!({"a": true, "b": false, "true": "y", "c": 511, "d": 1000, "e": 18, "f": 31, "g": "no"})
    );
    assert_eq!(
        decoded("{1.0: a, 1e6: b, .inf: c, on: d}"),
        json!({"1": "a", "1e+06": "b", ".inf": "c", "true": "d"})
    );
    let error =
        decode(b"data: {a: yes}", Format::Yaml, root("ConfigMap"), FieldValidation::Warn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "json: cannot unmarshal bool into Go struct field ConfigMap.data of type string"
    );
}

#[test]
fn keys_that_are_set_twice_in_yaml_are_told_by_their_lines() {
    let text = b"data:\n  a: b\n  a: c\n  1: d\n  '1': e\n  yes: f\n  on: g\n";
    let decoded = decode(text, Format::Yaml, root("ConfigMap"), FieldValidation::Warn).unwrap();
    assert_eq!(
        decoded.warnings,
        ["line 3: key \"a\" already set in map", "line 7: key true already set in map"]
    );
    assert_eq!(decoded.value["data"]["a"], "c");
    assert_eq!(decoded.value["data"]["true"], "g");
    let error = decode(text, Format::Yaml, root("ConfigMap"), FieldValidation::Strict).unwrap_err();
    assert_eq!(
        error.to_string(),
        "strict decoding error: yaml: unmarshal errors:\n  line 3: key \"a\" already set in map\n  line 7: key true \
         already set in map"
    );
}

#[test]
fn of_several_yaml_documents_the_first_is_read() {
    for text in ["a: |\n  b", "a: >+\n  b", "---\na: b\n---\nc: d", "{a: b} {c: d}", "a: !mine b"] {
        assert_eq!(decode_any(text.as_bytes(), Format::Yaml).unwrap(), json!({"a": "b"}), "{text}");
    }
}

#[test]
fn yaml_maps_are_merged_in() {
    for (text, expected) in [
        ("<<: {a: b, c: d}\na: e", json!({"a": "e", "c": "d"})),
        ("a: e\n<<: {a: b, c: d}", json!({"a": "b", "c": "d"})),
        ("\"<<\": {a: b}", json!({"<<": {"a": "b"}})),
        ("<<: [{a: 1}, {a: 2, b: 2}]", json!({"a": 1, "b": 2})),
        ("x: &x {a: 1}\nz: {<<: *x, b: 2}", json!({"x": {"a": 1}, "z": {"a": 1, "b": 2}})),
    ] {
        assert_eq!(decode_any(text.as_bytes(), Format::Yaml).unwrap(), expected, "{text}");
    }
}

#[test]
fn aliases_of_aliases_are_refused() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(","));
    }
    let error = decode_any(text.as_bytes(), Format::Yaml).unwrap_err();
    assert!(matches!(error, DecodeError::Syntax(_)), "{error}");
}

#[test]
fn the_kind_is_found_without_decoding() {
    let find = |text: &str| group_version_kind(text.as_bytes(), Format::Json).map_err(|e| e.to_string());
    let both = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
    assert_eq!(find(r#"{"spec":[1,{"kind":"X"}],"kind":"Pod","apiVersion":"v1"}"#), both("v1", "Pod"));
    assert_eq!(find("{}"), both("", ""));
    let no = "couldn't get version/kind; json parse error: ";
    assert_eq!(
        find("{nope"),
        Err(format!("{no}invalid character 'n' looking for beginning of object key string"))
    );
    assert_eq!(
        find(r#"{"kind":5}"#),
        Err(format!("{no}json: cannot unmarshal number into Go struct field .kind of type string"))
    );
    assert!(find("[]").unwrap_err().contains("into Go value of type struct"));
    assert_eq!(find(r#"{"apiVersion":"a/b/c"}"#), Err("unexpected GroupVersion string: a/b/c".to_owned()));
    let yaml = group_version_kind(b"kind: Pod\napiVersion: v1\n", Format::Yaml);
    assert_eq!(yaml, Ok(("v1".to_owned(), "Pod".to_owned())));
}

#[test]
fn refusals_are_worded_as_kubernetes_does() {
    let error = group_version_kind(b"{nope", Format::Json).unwrap_err();
    assert_eq!(
        refusal(&error, "Pod", None, b"{nope"),
        "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: \
         invalid character 'n' looking for beginning of object key string ({nope)"
    );
    let error = DecodeError::Strict(vec![r#"unknown field "spec.nope""#.to_owned()]);
    assert_eq!(
        refusal(&error, "Pod", Some(("v1", "Pod")), b"{}"),
        r#"Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.nope""#
    );
    assert!(refusal(&error, "Pod", None, &[0xa1; 40]).ends_with("a1a1a1a1 ...)"));
}

proptest! {
    #[test]
    fn decoding_again_changes_nothing(
        name in "[a-z]{0,5}", grace in prop::option::of(0i64..9), cpu in 0u32..5000, tty in any::<bool>(),
        labels in prop::collection::btree_map("[a-z]{1,3}", "[a-z]{0,3}", 0..3),
    ) {
        let pod = json!({"metadata": {"name": name, "labels": labels},
            "spec": {"terminationGracePeriodSeconds": grace, "containers": [{"name": "c", "tty": tty,
                "resources": {"limits": {"cpu": format!("{cpu}m")}}}]}});
        let once = decode_value(&pod, root("Pod"), FieldValidation::Strict).unwrap().value;
        let twice = decode_value(&once, root("Pod"), FieldValidation::Strict).unwrap().value;
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode(&bytes, Format::Json, root("Pod"), FieldValidation::Strict);
        let _ = decode(&bytes, Format::Yaml, root("Pod"), FieldValidation::Warn);
        let _ = group_version_kind(&bytes, Format::Json);
    }
}

#[test]
fn a_schema_or_a_boolean_is_one_of_both() {
    let kind = root("CustomResourceDefinition");
    for (value, fits) in
        [(json!(true), true), (json!({"type": "string"}), true), (json!("x"), false), (json!([]), false)]
    {
        let schema = json!({"openAPIV3Schema": {"type": "object", "additionalProperties": value}});
        let body = json!({"spec": {"versions": [{"name": "v1", "schema": schema}]}}).to_string();
        let decoded = decode(body.as_bytes(), Format::Json, kind, FieldValidation::Warn);
        let expected = DecodeError::Mismatch("boolean or JSON schema expected".to_owned());
        assert_eq!(decoded.err(), (!fits).then_some(expected), "{value}");
    }
}
