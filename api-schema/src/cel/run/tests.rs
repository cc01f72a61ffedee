//! What expressions give, and what they cost.

mod libraries;
mod loops;
mod texts;
mod values;

use super::*;
use crate::crd::rules::read;

struct Nothing;

impl Names for Nothing {
    fn variable(&mut self, _: &str) -> Option<Given> {
        None
    }
}

fn given(text: &str, limit: u64) -> (Given, u64) {
    let (tree, _) = read(text, &[], false).unwrap_or_else(|why| panic!("{text}: {why}"));
    run(&tree.root, &mut Nothing, limit)
}

/// What an expression gives, as a text.
fn shown(text: &str) -> String {
    match given(&format!("'%s'.format([{text}])"), 1_000_000).0 {
        Ok(Value::Text(text)) => text.to_string(),
        Ok(other) => panic!("{text}: {other:?}"),
        Err(Stop::Error(why)) => format!("ERR {why}"),
        Err(Stop::Limit) => "ERR operation cancelled: actual cost limit exceeded".to_owned(),
    }
}

#[test]
fn expressions_give_what_they_give_in_kubernetes() {
    for table in [values::TABLE, texts::TABLE, loops::TABLE, libraries::TABLE] {
        for (text, expected) in table {
            assert_eq!(shown(text), *expected, "{text}");
        }
    }
}

#[test]
fn what_a_run_costs_is_counted() {
    let hundred = format!("'{}'", "a".repeat(100));
    for (text, cost) in [
        ("1 + 1 == 2", 2),
        // What stands in the text costs nothing.
        ("[1, 2][0] == 1", 2),
        ("[1, 1 + 1].size()", 1 + 10 + 1),
        // For each element the condition, what is gathered, the element and the operator.
        ("[1, 2, 3].all(x, x > 0)", 3 * (2 + 1 + 2) + 1),
        // The first one decides; the condition is looked at once more.
        ("[1, 2, 3].exists(x, x > 0)", (3 + 1 + 2) + 3 + 1),
        ("true || [1, 2, 3].all(x, x > 0)", 0),
        (&format!("{hundred}.startsWith({hundred})"), 10),
        (&format!("{hundred} + {hundred} == 'a'"), 20 + 1),
        (&format!("{hundred}.matches('aaaa')"), 11),
        (&format!("{hundred}.split('').sort().size()"), 20 + 21_011 + 1),
        ("lists.range(100).size()", 100 + 11 + 1),
        ("quantity('100m').isInteger()", 2),
        ("has({'a': 1}.a)", 0),
    ] {
        let (given, spent) = given(text, 1_000_000);
        assert!(given.is_ok(), "{text}: {given:?}");
        assert_eq!(spent, cost, "{text}");
    }
}

#[test]
fn what_is_beyond_the_limit_stops() {
    let (given, spent) = given("lists.range(1000).all(x, x >= 0)", 2_000);
    assert!(matches!(given, Err(Stop::Limit)), "{given:?}");
    assert!(spent < 2_010, "{spent}");
    for text in [
        // Nothing decides in the place of what costs too much.
        "true || lists.range(100000000).size() > 0 || false",
        "lists.range(100000000).size() > 0 || true",
        "false && true || [1].all(x, lists.range(100000000).size() > 0)",
    ] {
        let limit = matches!(given_of(text), Err(Stop::Limit));
        assert_eq!(limit, !text.starts_with("true ||"), "{text}");
    }
}

fn given_of(text: &str) -> Given {
    given(text, 1_000_000).0
}

/// Each of these costs little by Kubernetes' rules.
#[test]
fn what_costs_nothing_and_takes_long_stops_too() {
    let list = (0..1000).map(|at| at.to_string()).collect::<Vec<_>>().join(", ");
    for text in [
        // Copies.
        format!("[[{list}]].map(x, lists.range(20000).map(y, x + x + x)).size() == 1"),
        // Growth.
        "['0123456789'.replace('', '0123456789')].map(x, x.replace('', x).replace('', x).replace('', x)).size() == 1"
            .to_owned(),
        format!("['0123456789'].map(x, '{}'.format([{}])).size() == 1", "%s".repeat(500), ["x"; 500].join(", ")),
        // Comparisons.
        format!("[[{list}]].all(x, lists.range(100000).all(y, [x] == [x]))"),
    ] {
        let given = given_of(&text);
        let small = text.contains("format");
        assert_eq!(matches!(given, Err(Stop::Limit)), !small, "{text}: {given:?}");
    }
}

#[test]
fn what_macros_copy_is_bounded() {
    let chain = |count: usize| "optional.of(1)".to_owned() + &".optMap(x, x)".repeat(count);
    assert!(read(&chain(5), &[], false).is_ok());
    let told = read(&chain(100), &[], false).err().unwrap_or_default();
    assert!(told.contains("the expression is too large"), "{told}");
}

#[test]
fn lists_that_are_sets_compare_without_order() {
    use crate::crd::schema::Schema;
    use serde_json::json;
    let set =
        Schema::read(&json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}));
    let map = Schema::read(
        &json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}}),
    );
    let mut work = super::work::Work::new();
    let mut same = |schema, a, b| {
        of_json(&a, Some(schema)).equals(&of_json(&b, Some(schema)), &mut work).unwrap_or(false)
    };
    assert!(same(&set, json!(["a", "b"]), json!(["b", "a"])));
    assert!(!same(&set, json!(["a", "b"]), json!(["b", "c"])));
    assert!(same(&map, json!([{"k": "a", "v": 1}, {"k": "b"}]), json!([{"k": "b"}, {"k": "a", "v": 1}])));
    assert!(!same(&map, json!([{"k": "a", "v": 1}]), json!([{"k": "a", "v": 2}])));
    let mut joined = |schema, a, b| {
        let (a, b) = (of_json(&a, Some(schema)), of_json(&b, Some(schema)));
        to_json(&super::operators::calculate("_+_", &a, &b, &mut work).unwrap_or(Value::Null))
    };
    assert_eq!(joined(&set, json!(["a"]), json!(["a", "b"])), Some(json!(["a", "b"])));
    let merged =
        joined(&map, json!([{"k": "a", "v": 1}, {"k": "b"}]), json!([{"k": "a", "v": 2}, {"k": "c"}]));
    assert_eq!(merged, Some(json!([{"k": "a", "v": 2}, {"k": "b"}, {"k": "c"}])));
}
