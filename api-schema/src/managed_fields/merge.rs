//! Merging an applied configuration into the live object.

use super::form::{Form, Ty, list_element};
use super::path::PathElement;
use crate::graph::{ListKind, TypeRef};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a live value under a configuration; `None` when nothing is left.
///
/// Errors: elements of the configuration that cannot be told apart.
pub(super) fn merge(
    ty: Ty<'_>,
    live: Option<&Value>,
    config: Option<&Value>,
) -> Result<Option<Value>, String> {
    match ty.form([live, config]) {
        Form::Leaf => Ok(config.or(live).cloned()),
        Form::Map(of) => {
            // A configuration that changes the kind of free content replaces it.
            if matches!(ty, Ty::Deduced) && config.is_some_and(|c| !c.is_object() && !c.is_null()) {
                return Ok(config.cloned());
            }
            let (old, new) = (live.and_then(Value::as_object), config.and_then(Value::as_object));
            if old.is_none_or(Map::is_empty) && new.is_none_or(Map::is_empty) {
                return Ok(config.or(live).cloned());
            }
            let mut out = Map::new();
            for (name, value) in old.into_iter().flatten() {
                let merged = match new.and_then(|m| m.get(name)) {
                    // What the configuration does not speak of stays as it is.
                    None => Some(value.clone()),
                    config => merge(of.field_or_deduced(name).0, Some(value), config)?,
                };
                out.extend(merged.map(|v| (name.clone(), v)));
            }
            for (name, value) in new.into_iter().flatten() {
                if old.is_none_or(|m| !m.contains_key(name)) {
                    let merged = merge(of.field_or_deduced(name).0, None, Some(value))?;
                    out.extend(merged.map(|v| (name.clone(), v)));
                }
            }
            Ok((!out.is_empty()).then_some(Value::Object(out)))
        }
        Form::List(kind, element) => {
            let (old, new) = (live.and_then(Value::as_array), config.and_then(Value::as_array));
            if old.is_none_or(Vec::is_empty) && new.is_none_or(Vec::is_empty) {
                return Ok(config.or(live).cloned());
            }
            let empty = Vec::new();
            let out = lists(kind, element, old.unwrap_or(&empty), new.unwrap_or(&empty))?;
            Ok((!out.is_empty()).then_some(Value::Array(out)))
        }
    }
}

/// Merges two lists. The elements of the configuration keep its order; those that only the live list has keep
/// their place in front of the elements that they preceded.
fn lists(
    kind: &ListKind,
    element: TypeRef<'_>,
    live: &[Value],
    config: &[Value],
) -> Result<Vec<Value>, String> {
    let steps = |items: &[Value]| -> Result<Vec<PathElement>, String> {
        items.iter().map(|item| list_element(kind, element, item)).collect()
    };
    let (old, new) = (steps(live)?, steps(config)?);
    // Live elements that cannot be told apart are not merged with: `None`.
    let mut by_old: BTreeMap<&PathElement, Option<&Value>> = BTreeMap::new();
    for (step, item) in old.iter().zip(live) {
        by_old.entry(step).and_modify(|there| *there = None).or_insert(Some(item));
    }
    let mut in_new: BTreeSet<&PathElement> = BTreeSet::new();
    for step in &new {
        if !in_new.insert(step) {
            return Err(format!("duplicate entries for key {step}"));
        }
    }
    let ty = Ty::of(element);
    let mut shared = new.iter().filter(|step| by_old.contains_key(step));
    let mut next_shared = shared.next();
    let mut done: BTreeSet<&PathElement> = BTreeSet::new();
    let mut out = Vec::with_capacity(live.len().max(config.len()));
    let (mut l, mut r) = (0, 0);
    while l < old.len() || r < new.len() {
        if let (Some(step), Some(other)) = (old.get(l), new.get(r)) {
            if step == other {
                done.insert(step);
                out.extend(merge(ty, by_old.get(step).copied().flatten(), Some(&config[r]))?);
                (l, r) = (l + 1, r + 1);
                next_shared = shared.next();
                continue;
            }
            if in_new.contains(step) && next_shared.is_some_and(|next| next != step) {
                // A shared element whose turn has not come.
                l += 1;
                continue;
            }
        }
        if let Some(step) = old.get(l) {
            if !in_new.contains(step) {
                out.push(live[l].clone());
                l += 1;
                continue;
            }
            if done.contains(step) {
                l += 1;
            }
        }
        if let Some(step) = new.get(r) {
            done.insert(step);
            out.extend(merge(ty, by_old.get(step).copied().flatten(), Some(&config[r]))?);
            r += 1;
            if next_shared == Some(step) {
                next_shared = shared.next();
            }
        }
    }
    Ok(out)
}
