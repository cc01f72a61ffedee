//! Schemas of custom resources and their rules: any schema is refused or works, in bounded time.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::sample::Random;
use super::{cases, damage};
use crate::crd;

const NAMES: &[&str] = &[
    "type",
    "properties",
    "items",
    "additionalProperties",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
    "nullable",
    "default",
    "pattern",
    "format",
    "minimum",
    "maxLength",
    "enum",
    "oneOf",
    "allOf",
    "not",
    "object",
    "array",
    "string",
    "integer",
    "date-time",
    "(a+)+$",
    "rule",
    "messageExpression",
];

const TOKENS: &[&str] = &[
    "self",
    "oldSelf",
    ".a",
    ".list",
    ".map",
    ".text",
    ".size()",
    ".all(x, ",
    ".exists(y, ",
    ".map(x, ",
    ".filter(z, ",
    "x",
    "y",
    ")",
    "(",
    "[",
    "]",
    "{",
    "}",
    "==",
    "!=",
    "<",
    ">=",
    "in",
    "&&",
    "||",
    "!",
    "?",
    ":",
    "+",
    "-",
    "*",
    "/",
    "%",
    "1",
    "0",
    "-9223372036854775808",
    "1.5",
    "'a'",
    "\"\\u00e9\"",
    "b'x'",
    "null",
    "true",
    "has(",
    "size(",
    "duration('1h')",
    "timestamp('2020-01-01T00:00:00Z')",
    ".matches('(a+)+$')",
    ".split(',')",
    ".join('x')",
    ".repeat",
    "quantity('1Gi')",
    "optional.of(",
    ".?a",
    ".orValue(",
    "int(",
    "string(",
    "cel.bind(v, ",
    "format.named('dns1123Label')",
    ".value()",
    "ip('::1')",
    "cidr('10.0.0.0/8')",
    "url('https://a')",
    ".findAll('a*')",
];

fn schema() -> Value {
    json!({"type": "object", "properties": {
        "a": {"type": "integer", "minimum": 0},
        "text": {"type": "string", "maxLength": 64, "pattern": "^[a-z]*$", "default": "x"},
        "list": {"type": "array", "maxItems": 16, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "maxLength": 8}}}},
        "map": {"type": "object", "maxProperties": 16, "additionalProperties": {"type": "string", "maxLength": 8}},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "port": {"x-kubernetes-int-or-string": true}}})
}

fn object() -> Value {
    json!({"a": 3, "text": "abc,def", "list": [{"name": "a"}, {"name": "b"}], "map": {"k": "v"}, "any": {"x": [1]}, "port": "80"})
}

/// Does to an object what a server does.
fn use_schema(schema: &Value, object: &Value, old: &Value) {
    let Ok(schema) = crd::compile(schema, false) else { return };
    let mut object = object.clone();
    schema.prune(&mut object);
    schema.default(&mut object);
    schema.drop_nulls(&mut object);
    schema.validate(&object, None);
    schema.validate(&object, Some(old));
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn fuzz_schemas(seed: u64) {
        let mut random = Random::new(seed);
        let mut schema = schema();
        damage::value(&mut schema, NAMES, &mut random);
        use_schema(&schema, &object(), &object());
        let mut odd = object();
        damage::value(&mut odd, &["a", "text", "list", "map", "any", "port", "name"], &mut random);
        use_schema(&self::schema(), &odd, &object());
    }

    #[test]
    fn fuzz_rules(seed: u64, words in 1usize..14) {
        let mut random = Random::new(seed);
        let rule = if random.one_in(2) {
            let rule = *random.pick(&[
                "self.list.all(x, self.list.exists(y, x.name == y.name))",
                "self.text.split(',').map(t, t.size()).sum() < 10",
                "self.map.all(k, self.map[k] != '') || has(self.a)",
                "self.a == oldSelf.a && self.text.matches('^[a-z]+$')",
                "quantity('1Gi').add(quantity('1')).isGreaterThan(quantity(self.text))",
            ]);
            String::from_utf8_lossy(&damage::bytes(rule.as_bytes(), &mut random)).into_owned()
        } else {
            (0..words).map(|_| *random.pick(TOKENS)).collect::<Vec<_>>().join(" ")
        };
        let mut schema = schema();
        schema["x-kubernetes-validations"] = json!([{"rule": rule, "messageExpression": "self.text + 'x'"}]);
        use_schema(&schema, &object(), &object());
    }
}

#[test]
fn rules_have_an_end() {
    for rule in [
        "(".repeat(100_000),
        "[".repeat(100_000),
        "!".repeat(100_000),
        "-".repeat(100_000),
        "1+".repeat(100_000),
        "true ? ".repeat(50_000),
        "self.a".to_owned() + &".a".repeat(100_000),
        "self.list.map(a, self.list.map(b, self.list.map(c, self.list.map(d, self.list.map(e, a)))))"
            .to_owned(),
        format!("'{}'.matches('(a*)*b')", "a".repeat(5_000)),
    ] {
        let mut schema = schema();
        schema["x-kubernetes-validations"] = json!([{"rule": rule}]);
        use_schema(&schema, &object(), &object());
    }
}
