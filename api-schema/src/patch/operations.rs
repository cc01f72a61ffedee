//! The operations of a JSON Patch (RFC 6902), as lenient as Kubernetes is: an index may be negative and then counts
//! from the end, a value that is not said is null, `replace` sets a member that is not there, and a member that is not
//! there is null for `test` and `copy`.

use super::{MAX_COPIED_BYTES, PatchError};
use serde_json::{Map, Value};

/// Where a path leads: an object or array and a key in it.
struct Place<'a> {
    parent: &'a mut Value,
    key: String,
}

/// A member that is asked for.
enum Member {
    /// There, or a member of an object that is not there: null.
    Value(Value),
    /// No such place in an array.
    OutOfRange,
}

/// Runs one operation. `copied` counts the bytes that have been copied.
pub(super) fn run(document: &mut Value, operation: &Value, copied: &mut usize) -> Result<(), PatchError> {
    let text = |name: &str| {
        operation[name]
            .as_str()
            .ok_or_else(|| rejected(&format!("operation missing {name} field"), operation))
    };
    let value = operation["value"].clone();
    let name = operation["op"].as_str().unwrap_or("unknown");
    match name {
        "add" => add(document, text("path")?, value),
        "remove" => remove(document, text("path")?),
        "replace" => replace(document, text("path")?, value),
        "test" => test(document, text("path")?, &value),
        "move" => {
            let (from, path) = (text("from")?, text("path")?);
            let value = member(document, from)?;
            remove(document, from)?;
            add(document, path, value)
        }
        "copy" => {
            let (from, path) = (text("from")?, text("path")?);
            let value = member(document, from)?;
            *copied += super::size(&value);
            if *copied > MAX_COPIED_BYTES {
                let why = format!("the copy operations copy more than {MAX_COPIED_BYTES} bytes");
                return Err(PatchError::Rejected(why));
            }
            add(document, path, value)
        }
        other => Err(rejected("unexpected kind", &Value::from(other))),
    }
}

fn rejected(why: &str, what: &Value) -> PatchError {
    PatchError::Rejected(format!("{why}: {what}"))
}

fn missing(path: &str) -> PatchError {
    PatchError::Rejected(format!("the document is missing the path {path:?}"))
}

fn find<'a>(document: &'a mut Value, path: &str) -> Result<Place<'a>, PatchError> {
    // What is before the first slash is passed over.
    let mut parts: Vec<&str> = path.split('/').skip(1).collect();
    let Some(last) = parts.pop() else { return Err(missing(path)) };
    let mut parent = document;
    for part in parts {
        let key = unescaped(part);
        let next = match parent {
            Value::Object(map) => map.get_mut(&key),
            Value::Array(items) => place_in(items.len(), &key).and_then(|at| items.get_mut(at)),
            _ => None,
        };
        parent = next.ok_or_else(|| missing(path))?;
    }
    if !(parent.is_object() || parent.is_array()) {
        return Err(missing(path));
    }
    Ok(Place { parent, key: unescaped(last) })
}

fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The place that a key means in a list of a length: negative ones count from its end.
fn place_in(length: usize, key: &str) -> Option<usize> {
    let at: i64 = key.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    usize::try_from(if at < 0 { at + length } else { at }).ok()
}

impl Place<'_> {
    fn get(&self) -> Member {
        match &*self.parent {
            Value::Object(map) => Member::Value(map.get(&self.key).cloned().unwrap_or_default()),
            Value::Array(items) => match place_in(items.len(), &self.key).and_then(|at| items.get(at)) {
                Some(value) => Member::Value(value.clone()),
                None => Member::OutOfRange,
            },
            _ => Member::OutOfRange,
        }
    }
}

fn member(document: &mut Value, path: &str) -> Result<Value, PatchError> {
    match find(document, path)?.get() {
        Member::Value(value) => Ok(value),
        Member::OutOfRange => Err(missing(path)),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), PatchError> {
    let Place { parent, key } = find(document, path)?;
    match parent {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let at = place_in(items.len() + 1, &key).filter(|at| *at <= items.len());
            items.insert(at.ok_or_else(|| missing(path))?, value);
        }
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<(), PatchError> {
    let Place { parent, key } = find(document, path)?;
    match parent {
        Value::Object(map) => map.remove(&key).map(|_| ()).ok_or_else(|| missing(path)),
        Value::Array(items) => {
            let at = place_in(items.len(), &key).filter(|at| *at < items.len());
            items.remove(at.ok_or_else(|| missing(path))?);
            Ok(())
        }
        _ => Err(missing(path)),
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), PatchError> {
    if path.is_empty() {
        if !(value.is_object() || value.is_array()) {
            return Err(rejected("a document is an object or an array", &value));
        }
        *document = value;
        return Ok(());
    }
    let Place { parent, key } = find(document, path)?;
    match parent {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(items) => {
            let item = place_in(items.len(), &key).and_then(|at| items.get_mut(at));
            *item.ok_or_else(|| missing(path))? = value;
        }
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn test(document: &mut Value, path: &str, value: &Value) -> Result<(), PatchError> {
    let there = if path.is_empty() { document.clone() } else { member(document, path)? };
    if there == *value { Ok(()) } else { Err(rejected("the test fails", &Value::from(path))) }
}

/// Merges a merge patch (RFC 7386) into a value. As in Kubernetes, nulls leave the objects of lists too where they
/// come to a place that had no object.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(map), Value::Object(patch)) => merge_members(map, patch),
        (target @ Value::Object(_), patch) => *target = patch.clone(),
        (target, patch) => *target = without_nulls(patch),
    }
}

fn merge_members(map: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match (map.get_mut(name), value) {
            (_, Value::Null) => {
                map.remove(name);
            }
            (Some(there), value) if !there.is_null() => merge(there, value),
            (_, value) => {
                map.insert(name.clone(), without_nulls(value));
            }
        }
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}
