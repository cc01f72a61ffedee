//! How the fake merges: RFC 7386, and a merge with lists for strategic merge and apply.
//!
//! Without a schema, a list is told apart by what its elements have: all objects with `uid` (owner references),
//! all with `name` (containers, variables, volumes, ports with names), all with `type` (conditions); a list
//! `finalizers` is a set; every other list is one value.

use serde_json::{Map, Value};

/// RFC 7386.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

/// Before the name of a list of texts, in a patch: what is to leave that list.
const DELETED_FROM: &str = "$deleteFromPrimitiveList/";

/// As [`merge`], with lists merged element by element. Knows `$patch: delete` in an element, and [`DELETED_FROM`].
pub(super) fn merge_with_lists(target: &mut Value, patch: &Value, key: &str) {
    match (&mut *target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                let gone = key.strip_prefix(DELETED_FROM).zip(value.as_array());
                if let Some((list, gone)) = gone {
                    if let Some(list) = target.get_mut(list).and_then(Value::as_array_mut) {
                        list.retain(|element| !gone.contains(element));
                    }
                } else if value.is_null() {
                    target.remove(key);
                } else {
                    merge_with_lists(target.entry(key.clone()).or_insert(Value::Null), value, key);
                }
            }
        }
        (Value::Array(target), Value::Array(patch)) if key == "finalizers" => {
            for value in patch {
                if !target.contains(value) {
                    target.push(value.clone());
                }
            }
        }
        (Value::Array(target_list), Value::Array(patch)) => {
            let Some(id) = element_key(target_list, patch) else {
                *target = Value::Array(patch.clone());
                return;
            };
            for element in patch {
                let known = target_list.iter().position(|t| t[id] == element[id]);
                match (known, element["$patch"] == "delete") {
                    (Some(index), true) => {
                        target_list.remove(index);
                    }
                    (None, true) => {}
                    (Some(index), false) => merge_with_lists(&mut target_list[index], element, ""),
                    (None, false) => target_list.push(element.clone()),
                }
            }
        }
        (Value::Null, Value::Object(_)) => {
            // Nulls inside a new object are left out.
            *target = Value::Object(Map::new());
            merge_with_lists(target, patch, key);
        }
        _ => *target = patch.clone(),
    }
}

/// By which field the elements of both lists are told apart; `None`: the list is one value.
fn element_key(a: &[Value], b: &[Value]) -> Option<&'static str> {
    ["uid", "name", "type"].into_iter().find(|id| a.iter().chain(b).all(|element| element[*id].is_string()))
}

/// Removes from `live` what `before` says and neither `now` nor any of `others` does.
pub(super) fn remove_unsaid(live: &mut Value, before: &Value, now: &Value, others: &[&Value]) {
    match (live, before) {
        (Value::Object(live), Value::Object(before)) => {
            for (key, old) in before {
                let others: Vec<&Value> = others.iter().filter_map(|other| other.get(key)).collect();
                match now.get(key) {
                    Some(now) => {
                        if let Some(live) = live.get_mut(key) {
                            remove_unsaid(live, old, now, &others);
                        }
                    }
                    None if others.is_empty() => {
                        let keep = live.get_mut(key).is_some_and(|live| {
                            remove_unsaid(live, old, &Value::Null, &[]);
                            is_rest(live, old)
                        });
                        if !keep {
                            live.remove(key);
                        }
                    }
                    None => {
                        if let Some(live) = live.get_mut(key) {
                            remove_unsaid(live, old, &Value::Null, &others);
                        }
                    }
                }
            }
        }
        (Value::Array(live), Value::Array(before)) => {
            let empty = Vec::new();
            let now_list = now.as_array().unwrap_or(&empty);
            match element_key(before, now_list) {
                Some(id) => live.retain_mut(|element| {
                    let of = |list: &'_ Value| -> Option<Value> {
                        list.as_array()?.iter().find(|e| e[id] == element[id]).cloned()
                    };
                    let Some(old) = before.iter().find(|e| e[id] == element[id]) else { return true };
                    let others: Vec<Value> = others.iter().filter_map(|list| of(list)).collect();
                    let now = now_list.iter().find(|e| e[id] == element[id]);
                    if now.is_none() && others.is_empty() {
                        return false;
                    }
                    let others: Vec<&Value> = others.iter().collect();
                    remove_unsaid(element, old, now.unwrap_or(&Value::Null), &others);
                    true
                }),
                None => live.retain(|element| {
                    let said = |list: &Value| list.as_array().is_some_and(|l| l.contains(element));
                    !before.contains(element) || now_list.contains(element) || others.iter().any(|l| said(l))
                }),
            }
        }
        _ => {}
    }
}

/// True when something of other writers is left in what this manager no longer says.
fn is_rest(live: &Value, old: &Value) -> bool {
    match (live, old) {
        (Value::Object(live), Value::Object(_)) => !live.is_empty(),
        (Value::Array(live), Value::Array(_)) => !live.is_empty(),
        _ => false,
    }
}
