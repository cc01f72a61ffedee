//! What the checker says, and what it counts.

use super::*;
use serde_json::json;

fn schema() -> Schema {
    let text = json!({"type": "string", "maxLength": 10});
    Schema::read(&json!({"type": "object", "properties": {
        "s": text, "us": {"type": "string"}, "i": {"type": "integer"}, "b": {"type": "boolean"},
        "n": {"type": "number"}, "t": {"type": "string", "format": "date-time"},
        "l": {"type": "array", "maxItems": 5, "items": text},
        "ul": {"type": "array", "items": {"type": "string"}},
        "m": {"type": "object", "additionalProperties": {"type": "integer"}},
        "o": {"type": "object", "properties": {"x": {"type": "integer"}, "a-b": {"type": "string"}}},
        "any": {"x-kubernetes-preserve-unknown-fields": true}, "io": {"x-kubernetes-int-or-string": true}}}))
}

/// What is wrong with an expression, without excerpts.
fn wrong(text: &str) -> String {
    let schema = schema();
    match check(text, &schema, false, false) {
        None => "no type".to_owned(),
        Some(Ok(typed)) if typed.is_bool => String::new(),
        Some(Ok(typed)) if typed.is_text => "a text".to_owned(),
        Some(Ok(_)) => "no bool".to_owned(),
        Some(Err(told)) => {
            let lines = told.lines().filter_map(|line| line.strip_prefix("ERROR: <input>:"));
            lines.collect::<Vec<_>>().join("; ")
        }
    }
}

#[test]
fn types_are_found_and_what_does_not_fit_is_told_with_its_place() {
    let overload = |function: &str, applied: &str| {
        format!("found no matching overload for '{function}' applied to '{applied}'")
    };
    for (text, expected) in [
        ("self.s == 'a'", String::new()),
        ("self.s", "a text".into()),
        ("self.i + 1", "no bool".into()),
        ("self.i < self.n", String::new()),
        ("self.i == 1.0", format!("1:8: {}", overload("_==_", "(int, double)"))),
        ("self.s + 1 == 'a'", format!("1:8: {}", overload("_+_", "(string, int)"))),
        ("-self.s == 'a'", format!("1:1: {}", overload("-_", "(string)"))),
        ("-1 < self.i", String::new()),
        ("!!self.b", String::new()),
        ("self.b && self.i", "1:15: expected type 'bool' but found 'int'".into()),
        ("self.b ? 1 : 'a'", format!("1:8: {}", overload("_?_:_", "(bool, int, string)"))),
        ("self.l.all(x, x == 1)", format!("1:17: {}", overload("_==_", "(string, int)"))),
        ("self.l.all(x, x)", "1:15: expected type 'bool' but found 'string'".into()),
        (
            "self.l.filter(x, x)",
            format!("1:14: {}", overload("_?_:_", "(string, list(string), list(string))")),
        ),
        ("self.l.map(x, size(x)).exists_one(n, n > 3)", String::new()),
        (
            "self.i.all(x, true)",
            "1:5: expression of type 'int' cannot be range of a comprehension (must be list, map, \
                                 or dynamic)"
                .into(),
        ),
        ("self.m.all(k, k.startsWith('a') && self.m[k] > 1)", String::new()),
        ("self.m['a'] == 'x'", format!("1:13: {}", overload("_==_", "(int, string)"))),
        ("has(self.o.y)", "1:4: undefined field 'y'".into()),
        ("has(self.s.x)", "1:4: type 'string' does not support field selection".into()),
        (
            "self.o.a-b == 'a'",
            "1:7: undefined field 'a'; 1:10: undeclared reference to 'b' (in container '')".into(),
        ),
        ("self.o.a__dash__b == 'a'", String::new()),
        ("self.any == 1", "1:5: undefined field 'any'".into()),
        ("self.io == 1 || self.io == 'a'", String::new()),
        ("type(self.i) == int", String::new()),
        ("self.t > timestamp('2020-01-01T00:00:00Z')", String::new()),
        ("self.t == null", String::new()),
        ("self.s == null", format!("1:8: {}", overload("_==_", "(string, null)"))),
        ("['a', 1].size() > 0", "1:7: expected type 'string' but found 'int'".into()),
        ("[] == [1]", String::new()),
        ("{'a': 1}['b'] == 1", String::new()),
        ("self.s.foo()", "1:11: undeclared reference to 'foo' (in container '')".into()),
        ("self.s.startsWith(1)", format!("1:18: {}", overload("startsWith", "string.(int)"))),
        ("quantity(self.s).isLessThan(quantity('1'))", String::new()),
        ("format.dns1123Label().validate(self.s).hasValue()", String::new()),
        ("r'\\d' == self.s // a comment", String::new()),
        ("self.l.transformMap(i, v, v)[1] == 'a'", String::new()),
        ("self.m.transformMapEntry(k, v, {v: k})[1] == 'a'", String::new()),
        ("self.m.transformMapEntry(k, v, v).size() == 1", format!("1:25: {}", overload("cel.@mapInsert", "(map(dyn, dyn), int)"))),
        ("self.l.sortBy(x, size(x))[0] == 'a'", String::new()),
        ("self.l.sortBy(x, [x]) == []", format!("1:14: {}", overload("@sortByAssociatedKeys", "list(string).(list(list(string)))"))),
        ("lists.range(self.i).sum() > 1", String::new()),
        ("[?1].size() == 1", "1:3: expected type 'optional_type(int)' but found 'int'".into()),
        ("[?self.?s].size() == 1 && {?'a': self.?i}.size() == 1", String::new()),
        ("type(self.s) == string && type(self.?s) == optional_type", String::new()),
        ("self.l.all(x.y, true)", "1:13: argument must be a simple name".into()),
        ("self.l.all(x, x, true)", "1:15: duplicate variable name: x".into()),
        ("has(self)", "1:5: invalid argument to has() macro".into()),
        ("type(duration('1d')) == string", "1:15: invalid duration argument".into()),
        ("timestamp('2020') == self.t && self.s.matches('(')", "1:11: invalid timestamp argument; 1:47: invalid matches argument".into()),
        ("'%d'.format([self.s]) == 'a'", "1:18: error during formatting: decimal clause can only be used on integers, was given string".into()),
        ("'%d'.format([]) == 'a'", "1:12: index 0 out of range".into()),
        ("Object{} == self", "1:7: undeclared reference to 'Object' (in container '')".into()),
        ("self.`s` == 'a'", "1:6: unsupported syntax: '`'".into()),
        ("self.s == 'a' &&", "1:17: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}".into()),
        ("self.?s.hasValue()", String::new()),
        ("self.?o.x.orValue(1) == 1", String::new()),
        ("self.?o.x == 1", format!("1:11: {}", overload("_==_", "(optional_type(int), int)"))),
        ("self.?nope.hasValue()", "1:5: undefined field 'nope'".into()),
        ("self.l[?0].orValue('x') == 'x'", String::new()),
        ("self.m[?1].hasValue()", format!("1:7: {}", overload("_[?_]", "(map(string, int), int)"))),
        ("self.l.all(i, v, i < 3 && v == 'a')", String::new()),
        ("self.m.exists(k, v, k == 'a' && v == 1)", String::new()),
        ("self.m.all(k, v, v == 'a')", format!("1:20: {}", overload("_==_", "(int, string)"))),
        ("self.l.transformList(i, v, v + 'x').size() > 1", String::new()),
        ("self.o.x == 0x10 || self.i == -9223372036854775808", String::new()),
    ] {
        assert_eq!(wrong(text), expected, "{text}");
    }
}

#[test]
fn the_old_value_may_be_absent() {
    let schema = schema();
    let checked = |text: &str| check(text, &schema, false, true).unwrap().map(|typed| typed.is_bool);
    assert_eq!(checked("oldSelf.optMap(o, o.s == self.s).orValue(true)"), Ok(true));
    assert_eq!(checked("!oldSelf.hasValue() || oldSelf.value().i < self.i"), Ok(true));
    assert!(checked("oldSelf.s == self.s").is_err());
}

#[test]
fn problems_are_shown_with_their_lines() {
    assert_eq!(shown_at("true &&\n\tself.x", 13, "no"), "ERROR: <input>:2:6: no\n |  self.x\n | .....^");
    assert_eq!(shown_at("'é' == é", 7, "no"), "ERROR: <input>:1:8: no\n | 'é' == é\n | .．.....＾");
}

#[test]
fn costs_follow_from_the_sizes_that_a_schema_allows() {
    let schema = schema();
    for (text, cost) in [
        // A name, a field; numbers are compared for nothing.
        ("self.i == 1", 2),
        // The shorter one is looked at, a tenth for each letter.
        ("self.s == 'a'", 3),
        ("self.us == self.us", 4 + 314_573),
        ("self.s.startsWith('a')", 3),
        // A text of ten letters may have forty bytes.
        ("self.s.matches('^a+$')", 2 + 5),
        ("self.us.contains('a')", 2 + 314_573),
        ("has(self.s)", 1),
        // Five times what a step costs: the condition, the gathered value and the test.
        ("self.l.all(x, x == 'a')", 2 + 1 + 5 * (2 + 1 + 2)),
        ("self.l.all(x, self.l.all(y, x == y))", 2 + 1 + 5 * (2 + 1 + (2 + 1 + 5 * (2 + 1 + 2 + 4)))),
        ("self.b ? self.s == 'a' : self.l.all(x, x == 'a')", 2 + 28),
    ] {
        let typed = check(text, &schema, false, false).unwrap().unwrap();
        assert_eq!(typed.cost, cost, "{text}");
    }
}

mod fuzz {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[-a-z0-9'\"\\\\.()\\[\\]{}?:&|!=<>+*/%, \n]{0,40}") {
            let _ = super::wrong(&text);
        }
    }
}
