//! Merging lists: which elements, and in which order.

use super::{ListRule, PATCH, go_format, merge_objects, missing_key, unknown_directive, without_directives};
use crate::graph::Shape;
use crate::patch::PatchError;
use serde_json::Value;
use std::mem::discriminant;

/// Merges a patch's list into the object's list. The elements of the patch keep the patch's order.
pub(super) fn merge(
    rule: ListRule<'_>,
    live: Vec<Value>,
    patch: Vec<Value>,
) -> Result<Vec<Value>, PatchError> {
    if !rule.merge {
        return Ok(patch);
    }
    if live.is_empty() && patch.is_empty() {
        return Ok(live);
    }
    if !same_kind(&live, &patch)? {
        let mut merged: Vec<Value> = Vec::with_capacity(live.len() + patch.len());
        for item in live.iter().chain(&patch) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return in_order("", merged, &patch, &live);
    }
    if rule.key.is_empty() {
        let of = match rule.element.map(|element| element.shape()) {
            Some(Shape::Object(_)) => "struct",
            _ => "map",
        };
        return Err(PatchError::Contradictory(format!("cannot merge lists without merge key for {of}")));
    }
    let (live, patch) = apply_element_directives(rule.key, live, patch)?;
    let mut merged = live.clone();
    for element in &patch {
        let key = key_of(rule.key, element)?;
        match merged.iter().position(|m| m.get(rule.key) == Some(key)) {
            Some(at) => {
                if let (Value::Object(old), Value::Object(new)) = (merged[at].take(), element.clone()) {
                    merged[at] = Value::Object(merge_objects(rule.element, old, new)?);
                }
            }
            // It stays as it was sent: what it says to lists inside of it is an unknown field then.
            None => merged.push(element.clone()),
        }
    }
    in_order(rule.key, merged, &patch, &live)
}

/// The same under `$setElementOrder`: `order` names every element that the patch's author knows; the others keep
/// their place between them as well as it can be. `None` when there is no list at all.
pub(super) fn merge_in_order(
    rule: ListRule<'_>,
    live: Option<Vec<Value>>,
    patch: Option<Vec<Value>>,
    order: &[Value],
) -> Result<Option<Vec<Value>>, PatchError> {
    check_order(rule.key, patch.as_deref().unwrap_or_default(), order)?;
    let original = live.clone().unwrap_or_default();
    let sent = patch.clone().unwrap_or_default();
    let merged = match (live, patch) {
        (None, None) => return Ok(None),
        (Some(live), None) => live,
        (None, Some(patch)) => patch.into_iter().filter_map(without_directives).collect(),
        (Some(live), Some(patch)) => merge(rule, live, patch)?,
    };
    let ordered = in_order(rule.key, merged, order, &original)?;
    if original.is_empty() && sent.is_empty() {
        return Err(PatchError::Contradictory("no elements in any of the given slices".into()));
    }
    same_kind(&original, &sent)?;
    Ok(Some(ordered))
}

/// True when the elements of both lists are objects; an error when they are not all of one kind.
pub(super) fn same_kind(live: &[Value], patch: &[Value]) -> Result<bool, PatchError> {
    let mut all = live.iter().chain(patch);
    let Some(first) = all.next() else { return Ok(false) };
    if first.is_array() {
        return Err(PatchError::Rejected("lists of lists are not supported".into()));
    }
    let alike = |other: &Value| {
        discriminant(first) == discriminant(other) && first.is_f64() == other.is_f64() && !other.is_null()
    };
    if first.is_null() || !all.all(alike) {
        let shown = format!("[{} {}]", go_format(&live.to_vec().into()), go_format(&patch.to_vec().into()));
        return Err(PatchError::Contradictory(format!("list element types are not identical: {shown}")));
    }
    Ok(first.is_object())
}

/// Elements with `$patch`: `delete` takes the element of that key out, `replace` drops the whole live list.
fn apply_element_directives(
    key: &str,
    mut live: Vec<Value>,
    patch: Vec<Value>,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut replace = false;
    let mut rest = Vec::with_capacity(patch.len());
    for element in patch {
        match element.get(PATCH).map(|d| (d.as_str(), d)) {
            None => rest.push(element),
            Some((Some("delete"), _)) => {
                let value = key_of(key, &element)?;
                live.retain(|item| item.get(key) != Some(value));
            }
            Some((Some("replace"), _)) => replace = true,
            Some((Some("merge"), _)) => {
                return Err(PatchError::Contradictory(
                    "merging lists cannot yet be specified in the patch".into(),
                ));
            }
            Some((_, directive)) => {
                let directive = directive.clone();
                let Value::Object(map) = element else { continue };
                return Err(unknown_directive(&directive, map));
            }
        }
    }
    if replace {
        live.clear();
    }
    Ok((live, rest))
}

fn key_of<'v>(key: &str, element: &'v Value) -> Result<&'v Value, PatchError> {
    match element {
        Value::Object(map) => map.get(key).ok_or_else(|| missing_key(map, key)),
        other => Err(super::expected("map[string]interface {}", other)),
    }
}

/// What tells an element apart: the value of its key, or the element itself.
fn identity<'v>(key: &str, element: &'v Value) -> Result<&'v Value, PatchError> {
    if key.is_empty() { Ok(element) } else { key_of(key, element) }
}

/// The elements of the patch must stand in the order's order, and the order must name them all.
fn check_order(key: &str, patch: &[Value], order: &[Value]) -> Result<(), PatchError> {
    if order.is_empty() || patch.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for element in patch.iter().filter(|e| e.get(PATCH).is_none()) {
        let wanted = identity(key, element)?;
        loop {
            let Some(next) = rest.next() else {
                return Err(PatchError::Contradictory(format!(
                    "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                    go_format(&patch.to_vec().into()),
                    go_format(&order.to_vec().into())
                )));
            };
            if identity(key, next)? == wanted {
                break;
            }
        }
    }
    Ok(())
}

/// Orders `merged`: what `first` names in its order, the rest in the order of `live`, and both interleaved so
/// that an unnamed element stays in front of the named ones that it preceded in `live`.
fn in_order(
    key: &str,
    merged: Vec<Value>,
    first: &[Value],
    live: &[Value],
) -> Result<Vec<Value>, PatchError> {
    let places = |list: &[Value]| -> Result<Vec<Value>, PatchError> {
        list.iter().map(|e| identity(key, e).cloned()).collect()
    };
    let (first, live) = (places(first)?, places(live)?);
    let place = |list: &[Value], id: &Value| list.iter().position(|e| e == id);
    // (place in the order, place in the live list, element)
    let mut named: Vec<(usize, Option<usize>, Value)> = Vec::with_capacity(merged.len());
    let mut others: Vec<(usize, Option<usize>, Value)> = Vec::new();
    for element in merged {
        let id = identity(key, &element)?;
        let in_live = place(&live, id);
        match place(&first, id) {
            Some(at) => named.push((at, in_live, element)),
            None => others.push((in_live.unwrap_or(usize::MAX), in_live, element)),
        }
    }
    named.sort_by_key(|e| e.0);
    others.sort_by_key(|e| e.0);
    let mut out = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_first = match (others.peek(), named.peek()) {
            (None, None) => return Ok(out),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((_, Some(other), _)), Some((_, Some(named), _))) => other < named,
            _ => false,
        };
        let next = if other_first { others.next() } else { named.next() };
        out.extend(next.map(|e| e.2));
    }
}
