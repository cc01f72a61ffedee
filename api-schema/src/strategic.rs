//! Strategic merge patch: a merge patch that knows which lists are merged and by which key, with the directives
//! `$patch`, `$retainKeys`, `$setElementOrder/LIST` and `$deleteFromPrimitiveList/LIST`.
//!
//! The rules are those of the Kubernetes documentation ("Use a Strategic Merge Patch") and of the design
//! proposals "strategic-merge-patch" and "preserve-order-in-strategic-merge-patch".

mod lists;
#[cfg(test)]
mod tests;

use crate::graph::{Field, TypeRef};
use crate::patch::PatchError;
use serde_json::{Map, Value};

type Object = Map<String, Value>;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const ORDER: &str = "$setElementOrder";

/// Applies a strategic merge patch to `target`, an object of type `root`.
///
/// What the type does not know is merged as a merge patch would: objects merge, everything else replaces.
/// Errors: [`PatchError::Malformed`] when patch or target is no object or a directive has the wrong form,
/// [`PatchError::Rejected`] for lists of lists in merged lists, [`PatchError::Contradictory`] for elements without
/// their merge key and for unknown directives. A patch that is null changes nothing.
pub fn strategic_merge(root: TypeRef<'_>, target: &Value, patch: &Value) -> Result<Value, PatchError> {
    if patch.is_null() {
        return Ok(target.clone());
    }
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        return Err(PatchError::Malformed("invalid JSON document".into()));
    };
    merge_objects(Some(root), target.clone(), patch.clone()).map(Value::Object)
}

/// How a list field is patched.
#[derive(Clone, Copy)]
struct ListRule<'a> {
    /// The type of the elements, if known.
    element: Option<TypeRef<'a>>,
    /// Elements are merged; else the list is replaced.
    merge: bool,
    /// The key that tells elements apart; empty for scalars.
    key: &'a str,
}

fn field<'a>(of: Option<TypeRef<'a>>, name: &str) -> Option<&'a Field> {
    of.and_then(|t| t.field(name))
}

fn has_strategy(field: Option<&Field>, strategy: &str) -> bool {
    field.is_some_and(|f| f.patch_strategy.split(',').any(|s| s == strategy))
}

fn list_rule<'a>(of: Option<TypeRef<'a>>, name: &str) -> ListRule<'a> {
    let field = field(of, name);
    ListRule {
        element: of.and_then(|t| t.member(name)).and_then(TypeRef::element),
        merge: has_strategy(field, "merge"),
        key: field.map_or("", |f| f.patch_merge_key.as_str()),
    }
}

/// Merges a patch object into an object of type `of` (`None`: not known).
fn merge_objects(
    of: Option<TypeRef<'_>>,
    mut object: Object,
    mut patch: Object,
) -> Result<Object, PatchError> {
    if let Some(directive) = patch.remove(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Object::new()),
            _ => Err(unknown_directive(&directive, patch)),
        };
    }
    retain_keys(&mut object, &mut patch)?;
    order_elements(of, &mut object, &mut patch)?;
    for (name, value) in patch {
        if name.starts_with(DELETE_FROM) {
            delete_from_list(of, &mut object, &name, value)?;
            continue;
        }
        if value.is_null() {
            object.remove(&name);
            continue;
        }
        let merged = match (object.remove(&name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                if has_strategy(field(of, &name), "replace") {
                    Some(Value::Object(new))
                } else {
                    let member = of.and_then(|t| t.member(&name));
                    Some(Value::Object(merge_objects(member, old, new)?))
                }
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                Some(Value::Array(lists::merge(list_rule(of, &name), old, new)?))
            }
            (_, value) => without_directives(value),
        };
        if let Some(merged) = merged {
            object.insert(name, merged);
        }
    }
    Ok(object)
}

/// `$retainKeys`: whatever the list does not name is cleared, and the patch may set nothing else.
fn retain_keys(object: &mut Object, patch: &mut Object) -> Result<(), PatchError> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || PatchError::Malformed("invalid patch format of retainKeys".into());
    let Value::Array(keys) = directive else { return Err(malformed()) };
    let retained = |name: &str| keys.iter().any(|k| k.as_str() == Some(name));
    let sets_another = |(name, value): (&String, &Value)| {
        !value.is_null() && !name.starts_with(DELETE_FROM) && !name.starts_with(ORDER) && !retained(name)
    };
    if patch.iter().any(sets_another) {
        return Err(malformed());
    }
    object.retain(|name, _| retained(name));
    Ok(())
}

/// `$setElementOrder/LIST`: merges the list of that name, then orders it; both leave the patch.
fn order_elements(
    of: Option<TypeRef<'_>>,
    object: &mut Object,
    patch: &mut Object,
) -> Result<(), PatchError> {
    let directives: Vec<String> = patch.keys().filter(|k| k.starts_with(ORDER)).cloned().collect();
    for directive in directives {
        let Some(order) = patch.remove(&directive) else { continue };
        let Value::Array(order) = order else {
            return Err(expected("[]interface {}", &order));
        };
        let name = directive
            .strip_prefix(ORDER)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| PatchError::Malformed("invalid patch format of setElementOrder list".into()))?;
        let rule = list_rule(of, name);
        let as_list = |value: Option<Value>| match value {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(expected("[]interface {}", &other)),
        };
        let live = as_list(object.remove(name))?;
        let items = as_list(patch.remove(name))?;
        if let Some(ordered) = lists::merge_in_order(rule, live, items, &order)? {
            object.insert(name.to_owned(), Value::Array(ordered));
        }
    }
    Ok(())
}

/// `$deleteFromPrimitiveList/LIST`: takes values out of a list of scalars.
fn delete_from_list(
    of: Option<TypeRef<'_>>,
    object: &mut Object,
    directive: &str,
    values: Value,
) -> Result<(), PatchError> {
    let name = directive
        .strip_prefix(DELETE_FROM)
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(|| PatchError::Malformed("invalid patch format of primitive list".into()))?;
    match (object.get_mut(name), values) {
        // As everywhere, null removes the field.
        (_, Value::Null) => {
            object.remove(name);
        }
        (Some(Value::Array(live)), Value::Array(values)) => {
            if live.iter().chain(&values).any(Value::is_object) {
                let merged =
                    lists::merge(ListRule { merge: true, ..list_rule(of, name) }, live.clone(), values)?;
                *live = merged;
            } else {
                lists::same_kind(live, &values)?;
                live.retain(|item| !values.contains(item));
            }
        }
        _ => {}
    }
    Ok(())
}

/// What a patch value becomes where the object has nothing: nulls and directives are instructions, not content.
/// `None` when the whole value is a directive.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) => {
            if map.contains_key(PATCH) {
                return None;
            }
            let kept = map
                .into_iter()
                .filter(|(name, value)| !value.is_null() && !is_directive(name))
                .filter_map(|(name, value)| without_directives(value).map(|v| (name, v)))
                .collect();
            Some(Value::Object(kept))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}

fn is_directive(name: &str) -> bool {
    name == RETAIN_KEYS || name.starts_with(DELETE_FROM) || name.starts_with(ORDER)
}

fn unknown_directive(directive: &Value, mut patch: Object) -> PatchError {
    patch.insert(PATCH.into(), directive.clone());
    PatchError::Contradictory(format!(
        "unknown patch type: {} in map: {}",
        go_text(directive),
        go_format(&Value::Object(patch))
    ))
}

fn missing_key(element: &Object, key: &str) -> PatchError {
    PatchError::Contradictory(format!(
        "map: {} does not contain declared merge key: {key}",
        go_format(&Value::Object(element.clone()))
    ))
}

fn expected(what: &str, got: &Value) -> PatchError {
    PatchError::Contradictory(format!("expected a {what}, but received a {}", go_type(got)))
}

/// The names that Kubernetes' messages have for the types of JSON values.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value as Kubernetes' messages print it where they expect a text: `%!s(int64=1)`.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "%!s(<nil>)".into(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => format!("%!s({}={value})", go_type(value)),
        Value::Array(items) => format!("[{}]", items.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let members: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", go_text(v))).collect();
            format!("map[{}]", members.join(" "))
        }
    }
}

/// A value as Kubernetes' messages print it: `map[a:1 b:[x y]]`.
pub fn go_format(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map(api_types::go_float::printed).unwrap_or_default()
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_format).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let members: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", go_format(v))).collect();
            format!("map[{}]", members.join(" "))
        }
    }
}
