use super::*;
use proptest::prelude::*;

fn with_rules(mut spec: Value, rules: Value) -> Value {
    spec["x-kubernetes-validations"] = rules;
    of_spec(spec)
}

fn refused(spec: Value, rules: Value) -> Vec<String> {
    lines(&defects(&with_rules(spec, rules)))
}

/// What one rule says about a spec, and its old value.
fn broken(spec_schema: Value, rule: Value, new: Value, old: Option<Value>) -> Vec<String> {
    let crd = compiled(with_rules(spec_schema, json!([rule])));
    let old = old.map(|old| json!({"spec": old}));
    lines(&crd.validate(&json!({"spec": new}), old.as_ref()))
}

fn object(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

#[test]
fn a_broken_rule_is_reported_as_on_kubernetes() {
    let crd = compiled(widget());
    assert_eq!(crd.validate(&json!({"spec": {"size": 5, "replicas": 5}}), None), []);
    assert_eq!(
        crd.validate(&json!({"spec": {"size": 1, "replicas": 5}}), None),
        [Cause::new(CauseReason::FieldValueInvalid, "spec", "Invalid value: replicas must not exceed size")]
    );
    assert_eq!(
        crd.validate(&json!({"spec": {"size": "big"}}), None),
        [
            Cause::new(
                CauseReason::FieldValueTypeInvalid,
                "spec.size",
                "Invalid value: \"string\": spec.size in body must be of type integer: \"string\""
            ),
            Cause::new(
                CauseReason::FieldValueInvalid,
                "<nil>",
                "Invalid value: null: some validation rules were not checked because the object was invalid; correct \
                 the existing errors to complete validation"
            ),
        ]
    );
}

#[test]
fn rules_of_many_kinds_hold_and_break() {
    let spec = object(json!({
        "a": {"type": "integer"}, "b": {"type": "integer"}, "f": {"type": "number"}, "s": {"type": "string", "maxLength": 100},
        "list": {"type": "array", "maxItems": 20, "items": {"type": "object", "properties": {"n": {"type": "string", "maxLength": 20}, "v": {"type": "integer"}}}},
        "names": {"type": "array", "maxItems": 20, "items": {"type": "string", "maxLength": 20}},
        "map": {"type": "object", "maxProperties": 20, "additionalProperties": {"type": "string", "maxLength": 20}},
        "t": {"type": "string", "format": "date-time"}, "d": {"type": "string", "format": "duration"},
        "bytes": {"type": "string", "format": "byte", "maxLength": 100}, "q": {"type": "string", "maxLength": 20},
        "my-field": {"type": "integer"}, "namespace": {"type": "string", "maxLength": 20},
        "port": {"x-kubernetes-int-or-string": true}}));
    for (rule, good, bad) in [
        ("self.a <= self.b", json!({"a": 1, "b": 2}), json!({"a": 3, "b": 2})),
        ("!has(self.a) || self.a > 0", json!({}), json!({"a": 0})),
        ("self.f > 1.5", json!({"f": 2}), json!({"f": 1})),
        ("self.s.startsWith('x') && size(self.s) < 5", json!({"s": "xyz"}), json!({"s": "abc"})),
        ("self.s.matches('^[a-z]+$')", json!({"s": "abc"}), json!({"s": "a1"})),
        ("self.list.all(x, x.v > 0)", json!({"list": [{"v": 1}]}), json!({"list": [{"v": 1}, {"v": 0}]})),
        ("self.list.exists(x, x.n == 'main')", json!({"list": [{"n": "main"}]}), json!({"list": []})),
        (
            "self.list.exists_one(x, x.n == 'a')",
            json!({"list": [{"n": "a"}]}),
            json!({"list": [{"n": "a"}, {"n": "a"}]}),
        ),
        (
            "self.list.filter(x, x.v > 1).size() == 1",
            json!({"list": [{"v": 1}, {"v": 2}]}),
            json!({"list": [{"v": 1}]}),
        ),
        (
            "self.list.map(x, x.v).sum() < 10",
            json!({"list": [{"v": 1}, {"v": 2}]}),
            json!({"list": [{"v": 10}]}),
        ),
        ("self.names.isSorted()", json!({"names": ["a", "b"]}), json!({"names": ["b", "a"]})),
        ("'x' in self.names", json!({"names": ["x"]}), json!({"names": []})),
        ("self.map.all(k, self.map[k] != '')", json!({"map": {"a-b": "1"}}), json!({"map": {"a": ""}})),
        ("'app' in self.map && self.map['app'] == 'x'", json!({"map": {"app": "x"}}), json!({"map": {}})),
        (
            "self.t > timestamp('2024-01-01T00:00:00Z')",
            json!({"t": "2025-01-01T00:00:00Z"}),
            json!({"t": "2023-01-01T00:00:00Z"}),
        ),
        ("self.d <= duration('1h')", json!({"d": "30m"}), json!({"d": "2h"})),
        ("self.bytes.size() == 5", json!({"bytes": "aGVsbG8="}), json!({"bytes": "aGk="})),
        ("quantity(self.q).isGreaterThan(quantity('1Gi'))", json!({"q": "2Gi"}), json!({"q": "1Mi"})),
        ("self.my__dash__field == 1", json!({"my-field": 1}), json!({"my-field": 2})),
        ("self.__namespace__ == 'x'", json!({"namespace": "x"}), json!({"namespace": "y"})),
        ("self.s == 'a' ? self.a == 1 : self.a == 2", json!({"s": "a", "a": 1}), json!({"s": "b", "a": 1})),
        ("sets.contains(['a', 'b'], self.names)", json!({"names": ["a"]}), json!({"names": ["z"]})),
        ("self.s.split(',').all(p, p.size() == 1)", json!({"s": "a,b"}), json!({"s": "ab"})),
        (
            "isURL(self.s) && url(self.s).getHostname() == 'x.y'",
            json!({"s": "https://x.y/z"}),
            json!({"s": "https://z/"}),
        ),
        ("ip(self.s).family() == 4", json!({"s": "10.0.0.1"}), json!({"s": "::1"})),
    ] {
        let case = json!({"rule": rule});
        assert_eq!(broken(spec.clone(), case.clone(), good.clone(), None), [""; 0], "{rule} {good}");
        let wanted = format!("spec: Invalid value: failed rule: {rule}");
        assert_eq!(broken(spec.clone(), case, bad.clone(), None), [wanted], "{rule} {bad}");
    }
}

#[test]
fn messages_reasons_and_paths() {
    let spec = object(
        json!({"a": {"type": "integer"}, "b": object(json!({"c": {"type": "string", "maxLength": 9}}))}),
    );
    for (rule, line) in [
        (json!({"rule": "self.a > 1", "message": " too small "}), "spec: Invalid value: too small"),
        (
            json!({"rule": "self.a > 1", "messageExpression": "'a is ' + string(self.a)"}),
            "spec: Invalid value: a is 1",
        ),
        (json!({"rule": "self.a > 1", "message": "m", "messageExpression": "''"}), "spec: Invalid value: m"),
        (
            json!({"rule": "self.a > 1", "message": "m", "reason": "FieldValueForbidden"}),
            "spec: Forbidden: m",
        ),
        (
            json!({"rule": "self.a > 1", "message": "m", "reason": "FieldValueRequired", "fieldPath": ".b.c"}),
            "spec.b.c: Required value: m",
        ),
        (json!({"rule": "self.a > 1", "reason": "FieldValueDuplicate"}), "spec: Duplicate value"),
        (
            json!({"rule": "self.b.c == 'x'", "message": "m"}),
            "spec: Invalid value: \"object\": no such key: b evaluating rule: m",
        ),
    ] {
        assert_eq!(broken(spec.clone(), rule.clone(), json!({"a": 1}), None), [line], "{rule}");
    }
    // Scalars are repeated in the message; rules at the root have no field.
    let crd = compiled(of_spec(
        json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1", "message": "m"}]}),
    ));
    assert_eq!(lines(&crd.validate(&json!({"spec": 1}), None)), ["spec: Invalid value: 1: m"]);
    let mut root = of_spec(json!({"type": "integer"}));
    root["x-kubernetes-validations"] =
        json!([{"rule": "self.metadata.name.startsWith('x')", "message": "m"}]);
    let crd = compiled(root);
    assert_eq!(lines(&crd.validate(&json!({"metadata": {"name": "y"}}), None)), ["<nil>: Invalid value: m"]);
    assert_eq!(lines(&crd.validate(&json!({"metadata": {"name": "xy"}}), None)), [""; 0]);
}

#[test]
fn transition_rules_compare_with_before() {
    let spec = object(json!({"a": {"type": "integer"}, "s": {"type": "string", "maxLength": 9}}));
    let immutable = json!({"rule": "self.s == oldSelf.s", "message": "s is immutable"});
    assert_eq!(broken(spec.clone(), immutable.clone(), json!({"s": "x"}), None), [""; 0]);
    assert_eq!(broken(spec.clone(), immutable.clone(), json!({"s": "x"}), Some(json!({"s": "x"}))), [""; 0]);
    assert_eq!(
        broken(spec.clone(), immutable, json!({"s": "y"}), Some(json!({"s": "x"}))),
        ["spec: Invalid value: s is immutable"]
    );
    let optional = json!({"rule": "oldSelf.hasValue() ? oldSelf.value().a <= self.a : self.a == 0", "message": "m", "optionalOldSelf": true});
    assert_eq!(broken(spec.clone(), optional.clone(), json!({"a": 0}), None), [""; 0]);
    assert_eq!(broken(spec.clone(), optional.clone(), json!({"a": 1}), None), ["spec: Invalid value: m"]);
    assert_eq!(broken(spec.clone(), optional.clone(), json!({"a": 2}), Some(json!({"a": 1}))), [""; 0]);
    assert_eq!(broken(spec, optional, json!({"a": 0}), Some(json!({"a": 1}))), ["spec: Invalid value: m"]);
    // Elements of a list of type map are told apart by their keys.
    let crd = compiled(of_spec(
        json!({"type": "array", "maxItems": 9, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "v grows"}]}}),
    ));
    let old = json!({"spec": [{"k": "a", "v": 1}, {"k": "b", "v": 5}]});
    let new = json!({"spec": [{"k": "b", "v": 4}, {"k": "a", "v": 2}, {"k": "c", "v": 0}]});
    assert_eq!(lines(&crd.validate(&new, Some(&old))), ["spec[0]: Invalid value: v grows"]);
}

#[test]
fn what_broke_a_rule_before_may_stay() {
    let rule = json!({"rule": "self.a > 1", "message": "m"});
    let crd = compiled(with_rules(object(json!({"a": {"type": "integer"}})), json!([rule])));
    let old = json!({"spec": {"a": 0}, "status": {"x": 1}});
    let new = json!({"spec": {"a": 0}, "status": {"x": 2}});
    assert_eq!(lines(&crd.validate(&new, Some(&old))), [""; 0]);
}

#[test]
fn bad_rules_are_refused_with_the_definition() {
    let spec =
        object(json!({"a": {"type": "integer"}, "list": {"type": "array", "items": {"type": "string"}}}));
    let p = "openAPIV3Schema.properties[spec].x-kubernetes-validations[0]";
    let shown = |rule: &str| {
        format!(
            "{{\"Rule\":{rule:?},\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}}"
        )
    };
    for (rule, why) in [
        (
            "self.nope > 1",
            "compilation failed: ERROR: <input>:1:5: undefined field 'nope'\n | self.nope > 1\n | ....^",
        ),
        (
            "self.a.frob()",
            "compilation failed: ERROR: <input>:1:12: undeclared reference to 'frob' (in container '')\n \
             | self.a.frob()\n | ...........^",
        ),
        (
            "other > 1",
            "compilation failed: ERROR: <input>:1:1: undeclared reference to 'other' (in container '')\n \
             | other > 1\n | ^",
        ),
        (
            "self.metadata.name == 'x'",
            "compilation failed: ERROR: <input>:1:5: undefined field 'metadata'\n | self.metadata.name == 'x'\n | ....^",
        ),
        ("self.a + 1 - 1", "cel expression must evaluate to a bool"),
        ("'text'", "cel expression must evaluate to a bool"),
        ("self.a", "cel expression must evaluate to a bool"),
    ] {
        let shown = shown(rule).replace('>', "\\u003e");
        let wanted = format!("{p}.rule: Invalid value: {shown}: {why}");
        assert_eq!(refused(spec.clone(), json!([{"rule": rule}])), [wanted], "{rule}");
    }
    for syntax in ["self.a >", "self..a", "(", "self.a = 1"] {
        let got = refused(spec.clone(), json!([{"rule": syntax}]));
        assert!(got.len() == 1 && got[0].contains("compilation failed: "), "{got:?}");
    }
    for (rule, line) in [
        (json!({"rule": " "}), format!("{p}.rule: Required value: rule is not specified")),
        (
            json!({"rule": "true", "message": " "}),
            format!("{p}.message: Invalid value: \" \": must be non-empty if specified"),
        ),
        (
            json!({"rule": "true", "message": "a\nb"}),
            format!("{p}.message: Invalid value: \"a\\nb\": must not contain line breaks"),
        ),
        (
            json!({"rule": "true &&\ntrue"}),
            format!("{p}.message: Required value: message must be specified if rule contains line breaks"),
        ),
        (
            json!({"rule": "true", "reason": "Odd"}),
            format!(
                "{p}.reason: Unsupported value: \"Odd\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\""
            ),
        ),
        (
            json!({"rule": "true", "fieldPath": ".nope"}),
            format!("{p}.fieldPath: Invalid value: \".nope\": must be a valid path"),
        ),
        (
            json!({"rule": "self.a > 0", "optionalOldSelf": true}),
            format!(
                "{p}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"
            ),
        ),
    ] {
        assert_eq!(refused(spec.clone(), json!([rule])), [line], "{rule}");
    }
    let listed = of_spec(
        json!({"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}}),
    );
    assert_eq!(
        lines(&defects(&listed)),
        [
            "openAPIV3Schema.properties[spec].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within openAPIV3Schema.properties[spec]"
        ]
    );
    let default = of_spec(
        json!({"type": "integer", "default": 0, "x-kubernetes-validations": [{"rule": "self > 0", "message": "m"}]}),
    );
    assert_eq!(
        lines(&compile(&default, false).err().unwrap()),
        ["openAPIV3Schema.properties[spec].default: Invalid value: 0: m"]
    );
}

#[test]
fn what_could_take_too_long_is_refused() {
    let unbounded = object(json!({"list": {"type": "array", "items": {"type": "string"}}}));
    let quadratic = json!([{"rule": "self.list.all(x, self.list.exists(y, x != y))"}]);
    let got = refused(unbounded.clone(), quadratic.clone());
    assert_eq!(got.len(), 3, "{got:?}");
    assert!(got[1].ends_with(
        "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
    ));
    assert_eq!(
        got[0],
        "openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by \
         factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where \
         arrays, maps, and strings are declared)"
    );
    let bounded = object(
        json!({"list": {"type": "array", "maxItems": 50, "items": {"type": "string", "maxLength": 20}}}),
    );
    assert_eq!(refused(bounded, quadratic), [""; 0]);
    assert_eq!(refused(unbounded, json!([{"rule": "self.list.all(x, x.startsWith('a'))"}])), [""; 0]);
    // Numbers make no lists.
    let counted = object(json!({"n": {"type": "integer"}}));
    assert_eq!(refused(counted, json!([{"rule": "lists.range(self.n).size() > 0"}])).len(), 3);
}

#[test]
fn what_takes_too_long_for_an_object_is_not_run() {
    let spec = object(json!({"list": {"type": "array", "items": {"type": "integer"}}}));
    let crd = compiled(with_rules(spec, json!([{"rule": "self.list.all(x, x >= 0)", "message": "m"}])));
    let list: Vec<i64> = (0..400_000).collect();
    assert_eq!(
        lines(&crd.validate(&json!({"spec": {"list": list}}), None)),
        [
            "spec: Invalid value: \"object\": 'operation cancelled: actual cost limit exceeded': no further validation rules \
          will be run due to call cost exceeds limit for rule: m"
        ]
    );
    assert_eq!(lines(&crd.validate(&json!({"spec": {"list": [1, 2]}}), None)), [""; 0]);
}

#[test]
fn long_and_deep_rules_do_not_overflow_the_stack() {
    let spec = object(json!({"a": {"type": "integer"}, "s": {"type": "string", "maxLength": 9}}));
    for rule in [
        format!("self.a{} > 0", " + 1".repeat(2_000)),
        format!("{}true{}", "(".repeat(4_000), ")".repeat(4_000)),
        format!("{}true{}", "true ? ".repeat(1_500), " : true".repeat(1_500)),
        format!("{}1{} == []", "[".repeat(8_000), "]".repeat(8_000)),
        format!("self.s{} == 'x'", ".trim()".repeat(2_000)),
        format!("self{} == 1", ".a".repeat(2_000)),
        "1 + ".repeat(1_000_000),
    ] {
        let got = refused(spec.clone(), json!([{"rule": rule}]));
        assert!(
            got.len() == 1 && got[0].contains("compilation failed: "),
            "{}… {:?}",
            &rule[..20],
            got.first().map(|l| l.len())
        );
    }
    // What is long without being deep, and deep within bounds, is run.
    let terms = vec!["self.a != 0"; 300].join(" && ");
    assert_eq!(broken(spec.clone(), json!({"rule": terms}), json!({"a": 1}), None), [""; 0]);
    let sum = format!("self.a{} > 0", " + 1".repeat(150));
    assert_eq!(broken(spec, json!({"rule": sum}), json!({"a": 1}), None), [""; 0]);
}

#[test]
fn types_are_values() {
    let either = object(json!({"a": {"x-kubernetes-int-or-string": true}}));
    let rule = json!({"rule": "type(self.a) == int ? self.a > 1 : type(self.a) == string && self.a == 'x'",
        "message": "m"});
    for (value, holds) in [(json!(2), true), (json!(1), false), (json!("x"), true), (json!("y"), false)] {
        let found = broken(either.clone(), rule.clone(), json!({"a": value}), None);
        assert_eq!(found.is_empty(), holds, "{value}");
    }
}

#[test]
fn texts_are_read_as_truth() {
    let spec = object(json!({"s": {"type": "string", "maxLength": 9}}));
    let rule = json!({"rule": "bool(self.s)", "message": "m"});
    for (text, found) in [
        ("true", &[][..]),
        ("False", &["spec: Invalid value: m"]),
        ("x", &["type conversion error from 'string' to 'bool'"]),
    ] {
        let got = broken(spec.clone(), rule.clone(), json!({"s": text}), None);
        assert_eq!(got.len(), found.len(), "{text}: {got:?}");
        assert!(got.iter().zip(found).all(|(got, found)| got.contains(found)), "{text}: {got:?}");
    }
}

#[test]
fn patterns_of_rules_are_checked_with_the_definition() {
    let spec =
        object(json!({"s": {"type": "string", "maxLength": 9}, "p": {"type": "string", "maxLength": 9}}));
    for bad in ["(", "(?=a)", "((a{0,1000}){0,1000}){0,1000}"] {
        let got = refused(spec.clone(), json!([{"rule": format!("self.s.matches('{bad}')")}]));
        assert!(
            got.len() == 1 && got[0].contains(": invalid matches argument\n | self.s.matches("),
            "{got:?}"
        );
    }
    let rule = json!({"rule": "self.s.matches(self.p)", "message": "m"});
    assert_eq!(broken(spec.clone(), rule.clone(), json!({"s": "a", "p": "^a$"}), None), [""; 0]);
    assert_eq!(
        broken(spec, rule, json!({"s": "a", "p": "("}), None),
        ["spec: Invalid value: \"object\": error parsing regexp: missing closing ): `(` evaluating rule: m"]
    );
}

proptest! {
    /// Whatever a tenant writes, nothing but a cause comes out.
    #[test]
    fn no_rule_takes_the_process_down(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "self", ".a", ".s", ".list", ".all(x, ", ".map(x, ", ".filter(x, ", ".exists(x, ", "x", ")", "(", "[", "]",
                "0", "-1", "9223372036854775807", "1.5", "'a'", "''", "true", " == ", " + ", " - ", " * ", " / ", " % ",
                " && ", " || ", "!", " in ", " ? ", " : ", ".size()", "size(", "has(self.a)", "int(", "string(", "duration(",
                "timestamp(", ".matches('[a-z]')", ".split('')", ".replace('', ", ".substring(", ".format([", "quantity(",
                "[0]", ".join()", ".charAt(", "oldSelf", "optional.of(", ".orValue(", ".lowerAscii()", ", ", "null", "{",
                "}", ".flatten()", ".sort()", "ip(", "url(", "semver(", "math.abs(", "sets.contains(", "base64.decode(",
            ]),
            1..9,
        ),
        a in any::<i64>(), text in ".{0,6}",
    ) {
        let spec = object(json!({"a": {"type": "integer"}, "s": {"type": "string", "maxLength": 9},
            "list": {"type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 9}}}));
        let rule = parts.concat();
        if let Ok(crd) = compile(&with_rules(spec, json!([{"rule": rule, "message": "m"}])), false) {
            let new = json!({"spec": {"a": a, "s": text, "list": [text, "b"]}});
            crd.validate(&new, None);
            crd.validate(&new, Some(&json!({"spec": {"a": 1, "list": []}})));
        }
    }
}

#[test]
fn what_may_be_absent_and_pairs_are_spoken_of() {
    let spec = object(
        json!({"a": {"type": "integer"}, "o": object(json!({"b": {"type": "string", "maxLength": 5}})),
        "m": {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "integer"}},
        "l": {"type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 5}}}),
    );
    for (rule, value, holds) in [
        ("self.?a.orValue(7) == 7", json!({}), true),
        ("self.?a.orValue(7) == 7", json!({"a": 8}), false),
        ("self.?o.b.hasValue()", json!({}), false),
        ("self.?o.b.hasValue()", json!({"o": {"b": "x"}}), true),
        ("self.l[?0].orValue('x') == 'x'", json!({"l": []}), true),
        ("self.m[?'k'].orValue(1) == 2", json!({"m": {"k": 2}}), true),
        ("self.m.all(k, v, k == 'k' && v > 1)", json!({"m": {"k": 2}}), true),
        ("self.m.all(k, v, k == 'k' && v > 1)", json!({"m": {"k": 1}}), false),
        ("self.l.transformList(i, v, v + 'x')[0] == 'ax'", json!({"l": ["a"]}), true),
        ("self.?a.optMap(x, x + 1).orValue(0) == 3", json!({"a": 2}), true),
    ] {
        assert_eq!(refused(spec.clone(), json!([{"rule": rule}])), [""; 0], "{rule}");
        let found = broken(spec.clone(), json!({"rule": rule, "message": "m"}), value, None);
        assert_eq!(found.is_empty(), holds, "{rule}: {found:?}");
    }
    let rule = json!({"rule": "oldSelf.optMap(o, o.a <= self.a).orValue(true)", "optionalOldSelf": true,
        "message": "m"});
    for (old, holds) in [(None, true), (Some(json!({"a": 1})), true), (Some(json!({"a": 3})), false)] {
        let found = broken(spec.clone(), rule.clone(), json!({"a": 2}), old.clone());
        assert_eq!(found.is_empty(), holds, "{old:?}: {found:?}");
    }
}

#[test]
fn what_is_told_of_old_values_is_a_warning() {
    let items = json!({"type": "string", "maxLength": 5,
        "x-kubernetes-validations": [{"rule": "self != 'b'", "message": "no b"}]});
    let spec =
        object(json!({"a": {"type": "integer"}, "l": {"type": "array", "maxItems": 5, "items": items}}));
    let crd = compiled(with_rules(spec, json!([{"rule": "!has(self.a) || self.a < 5", "message": "small"}])));
    let old = json!({"spec": {"a": 9, "l": ["b"]}});
    let same = crd.judge(&json!({"spec": {"a": 9, "l": ["b"]}, "status": {}}), Some(&old));
    assert_eq!(lines(&same.causes), [""; 0]);
    // Elements of a list that is as it was are as they were.
    assert_eq!(same.warnings, ["spec: Invalid value: small", "spec.l[0]: Invalid value: \"b\": no b"]);
    let changed = crd.judge(&json!({"spec": {"a": 8, "l": ["b"]}}), Some(&old));
    assert_eq!(lines(&changed.causes), ["spec: Invalid value: small"]);
    assert_eq!(changed.warnings, ["spec.l[0]: Invalid value: \"b\": no b"]);
    let longer = crd.judge(&json!({"spec": {"a": 1, "l": ["b", "c"]}}), Some(&old));
    assert_eq!(lines(&longer.causes), ["spec.l[0]: Invalid value: \"b\": no b"]);
}

#[test]
fn fields_that_are_null_are_not_there() {
    let spec =
        object(json!({"a": {"type": "string", "nullable": true, "maxLength": 5}, "m": {"type": "object",
        "maxProperties": 5, "additionalProperties": {"type": "string", "nullable": true, "maxLength": 5}}}));
    let crd = compiled(with_rules(spec, json!([{"rule": "!has(self.a) && self.m.all(k, k == 'x')"}])));
    assert_eq!(lines(&crd.validate(&json!({"spec": {"a": null, "m": {"x": null}}}), None)), [""; 0]);
    let crd = compiled(with_rules(
        object(json!({"set": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "set",
            "items": {"type": "string", "maxLength": 5}}})),
        json!([{"rule": "self.set == ['b', 'a'] && self.set + ['a'] == self.set"}]),
    ));
    assert_eq!(lines(&crd.validate(&json!({"spec": {"set": ["a", "b"]}}), None)), [""; 0]);
}
