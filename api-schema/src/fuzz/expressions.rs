//! Expressions of guards: whatever is written compiles or is refused, and what compiles gives something or fails.

use proptest::prelude::*;
use serde_json::json;

use super::cases;
use super::sample::Random;
use crate::cel::{Activation, Declared, Expression, Gives, POLICY_BUDGET, Variable, run};
use crate::test_types::arbitrary_json;

const NAMES: &[&str] = &["object", "oldObject", "request", "params", "authorizer", "namespaceObject"];
const GIVES: [Gives; 4] = [Gives::Bool, Gives::Text, Gives::TextOrNull, Gives::Any];
/// What stands alone.
const ATOMS: &[&str] = &[
    "object",
    "oldObject",
    "request",
    "params",
    "variables.a",
    "variables.b",
    "namespaceObject",
    "authorizer",
    "x",
    "y",
    "1",
    "0",
    "-1",
    "1.5",
    "2u",
    "'a'",
    "\"b\\n\"",
    "b'x'",
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "[1, 'a']",
    "{'a': 1}",
    "optional.none()",
    "int",
    "9223372036854775807",
    "'(['",
    "'%s%d'",
];
/// What is done to something: `_` stands for it, `#` for something else.
const STEPS: &[&str] = &[
    "_.a",
    "_.spec.a",
    "_.?a",
    "_[#]",
    "_[?#]",
    "_ + #",
    "_ - #",
    "_ * #",
    "_ / #",
    "_ % #",
    "_ == #",
    "_ < #",
    "_ && #",
    "_ || #",
    "_ in #",
    "!_",
    "-_",
    "(_)",
    "_ ? # : #",
    "has(_.a)",
    "_.all(x, #)",
    "_.exists(x, #)",
    "_.existsOne(x, #)",
    "_.map(x, #)",
    "_.filter(x, #)",
    "_.all(x, y, #)",
    "_.exists(x, y, #)",
    "_.existsOne(x, y, #)",
    "_.transformList(x, y, #)",
    "_.transformList(x, y, #, #)",
    "_.transformMap(x, y, #)",
    "_.transformMap(x, y, #, #)",
    "_.transformMapEntry(x, y, {#: #})",
    "_.sortBy(x, #)",
    "lists.range(_)",
    "_.unwrapOpt()",
    "_.reverse()",
    "_.first()",
    "_.last()",
    "_.isSorted()",
    "strings.quote(_)",
    "'%.3f %e %x %s'.format([_, #, #, #])",
    "quantity(_).add(#).asInteger()",
    "cidr(_).containsIP(#)",
    "format.named(_).value().validate(#)",
    "_.getHours(#)",
    "uint(_)",
    "bytes(_)",
    "bool(_)",
    "_.map(x, #, #)",
    "_.optMap(x, #)",
    "_.optFlatMap(x, #)",
    "_.orValue(#)",
    "_.or(#)",
    "_.value()",
    "_.hasValue()",
    "optional.of(_)",
    "optional.ofNonZeroValue(_)",
    "size(_)",
    "_.size()",
    "string(_)",
    "int(_)",
    "double(_)",
    "type(_)",
    "dyn(_)",
    "timestamp(_)",
    "duration(_)",
    "quantity(_)",
    "_.matches(#)",
    "_.startsWith(#)",
    "_.contains(#)",
    "_.split(#)",
    "_.join(#)",
    "_.replace(#, #)",
    "_.substring(#)",
    "_.format([#])",
    "_.lowerAscii()",
    "_.sum()",
    "_.min()",
    "_.sort()",
    "_.indexOf(#)",
    "_.slice(#, #)",
    "_.flatten()",
    "_.distinct()",
    "sets.contains(_, #)",
    "url(_)",
    "ip(_)",
    "cidr(_)",
    "semver(_)",
    "_.getHost()",
    "_.find(#)",
    "_.findAll(#)",
    "_.charAt(#)",
    "authorizer.path(_).check(#).allowed()",
    "_.group(#).resource(#).fieldSelector(#).check(#).reason()",
    "{'a': _, ?'b': #}",
    "[_, ?#]",
    "Object{spec: Object.spec{a: _}}",
    "[JSONPatch{op: 'add', path: '/a', value: _}]",
];

fn expression(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.one_in(6) {
        return random.pick::<&str>(ATOMS).to_string();
    }
    let mut out = String::new();
    for letter in random.pick::<&str>(STEPS).chars() {
        match letter {
            '_' => out.push_str(&expression(random, depth - 1)),
            '#' => out.push_str(&expression(random, depth / 2)),
            letter => out.push(letter),
        }
    }
    out
}

/// A text with some of its letters gone, doubled or others.
fn damaged(text: &str, random: &mut Random) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match random.next() % 40 {
            0 => {}
            1 => out.extend([letter, letter]),
            2 => out.push_str(
                random.pick::<&str>(&["(", ")", "[", "'", "\"", "\\", "?", ".", "é", "\0", ",", "{"]),
            ),
            _ => out.push(letter),
        }
    }
    out
}

fn use_expression(text: &str, object: &serde_json::Value) {
    let declared = |own| Declared { names: NAMES, own, constructs: true, ..Declared::default() };
    for gives in GIVES {
        let Ok(compiled) = Expression::compile(text, declared(&["a", "b"]), gives) else { continue };
        let own = [("a", "object.a"), ("b", "variables.a.?b")].map(|(name, text)| Variable {
            name: name.to_owned(),
            expression: Expression::compile(text, declared(&["a"]), Gives::Any),
        });
        let request = json!({"name": "n", "operation": "CREATE", "userInfo": {"groups": ["a", "b"]}});
        let values = [("object", object), ("request", &request)];
        let activation = Activation { values: &values, own: &own, authorizer: None };
        let _ = run(&activation, POLICY_BUDGET, compiled.depth(), |session| session.evaluate(&compiled));
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn fuzz_expressions_give_something_or_fail(seed: u64, depth in 0usize..5, object in arbitrary_json()) {
        let mut random = Random::new(seed);
        let text = expression(&mut random, depth);
        use_expression(&text, &object);
        use_expression(&damaged(&text, &mut random), &object);
    }

    #[test]
    fn fuzz_any_text_is_no_trouble(text in "\\PC{0,60}", object in arbitrary_json()) {
        use_expression(&text, &object);
    }
}
