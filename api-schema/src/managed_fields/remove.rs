//! Taking fields out of a value.

use super::form::{Form, Ty, list_element};
use super::path::PathElement;
use super::set::FieldSet;
use serde_json::Value;

/// The value without the fields of the set. What becomes empty by that stays as an empty map or list.
pub(super) fn remove(ty: Ty<'_>, value: &Value, set: &FieldSet) -> Value {
    match (ty.form([Some(value), None]), value) {
        (Form::Map(of), Value::Object(map)) => {
            let kept = map.iter().filter_map(|(name, value)| {
                let step = PathElement::field(name);
                if set.has(&step) {
                    return None;
                }
                let value = match set.below(&step) {
                    Some(below) => remove(of.field_or_deduced(name).0, value, below),
                    None => value.clone(),
                };
                Some((name.clone(), value))
            });
            Value::Object(kept.collect())
        }
        (Form::List(kind, element), Value::Array(items)) => {
            let kept = items.iter().filter_map(|item| {
                let Ok(step) = list_element(kind, element, item) else { return Some(item.clone()) };
                if set.has(&step) {
                    return None;
                }
                Some(match set.below(&step) {
                    Some(below) => remove(Ty::of(element), item, below),
                    None => item.clone(),
                })
            });
            Value::Array(kept.collect())
        }
        _ => value.clone(),
    }
}
