//! Showing that a field is refused.

use crate::leaves::Leaf;
use crate::verdict::KindFields;
use api_resources::kinds_insula::strategy;
use api_types::Cause;
use serde_json::{Value, json};

/// The defects of the good spec with another laid over it.
pub fn told(kind: &KindFields, over: &Value) -> Vec<Cause> {
    let mut spec: Value = serde_json::from_str(kind.good).unwrap_or_else(|e| panic!("{}: {e}", kind.kind));
    lay_over(&mut spec, over);
    let strategy = strategy(kind.group, kind.kind);
    let mut object = json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": spec});
    (strategy.default)(&mut object);
    (strategy.validate_create)(&object)
}

/// What sets the field is refused, by the field or one around it, with these words.
#[track_caller]
pub fn assert_refused(kind: &KindFields, leaf: &Leaf, (given, says): &(Value, &'static str)) {
    assert!(sets(&json!({"spec": given}), &leaf.path), "{given} does not set {}", leaf.path);
    let causes = told(kind, given);
    let named = |cause: &&Cause| {
        let field = without_indexes(&cause.field);
        leaf.path.strip_prefix(&field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let found = causes.iter().filter(named).any(|cause| cause.to_string().contains(says));
    assert!(found, "{} {}: {given} is not refused with {says:?} but with {causes:#?}", kind.kind, leaf.path);
}

/// True when an object has a value at the path, `[]` being the first element.
fn sets(object: &Value, path: &str) -> bool {
    let at = |value: &Value, segment: &str| -> Option<Value> {
        let value = value.get(segment.trim_end_matches("[]"))?;
        if segment.ends_with("[]") { value.get(0).cloned() } else { Some(value.clone()) }
    };
    path.split('.').try_fold(object.clone(), |value, segment| at(&value, segment)).is_some()
}

fn without_indexes(field: &str) -> String {
    let mut out = String::new();
    for part in field.split_inclusive(']') {
        match part.split_once('[') {
            Some((before, index)) if index.trim_end_matches(']').parse::<usize>().is_ok() => {
                out.push_str(before);
                out.push_str("[]");
            }
            _ => out.push_str(part),
        }
    }
    out
}

/// Objects field by field; everything else is replaced.
fn lay_over(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                lay_over(base.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}
