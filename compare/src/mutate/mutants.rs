//! Sound objects, changed in one place each.

use super::schema::Schemas;
use serde_json::{Map, Value, json};

/// Texts that many fields refuse.
const TEXTS: &[&str] = &[
    "", "x y", "UPPER", "-a", "a/b/c", "a.b", "9", "a_b", "1.2.3.4", "::1", "/abs", "../up", "100m", "-1",
    "1e3", "Always", "é",
];
/// Lengths around the limits of names.
const LENGTHS: &[usize] = &[64, 254];
const NUMBERS: &[i64] = &[0, -1, 1, 65535, 65536, 2_147_483_647, 2_147_483_648];
/// Keys that many maps refuse.
const KEYS: &[&str] = &["", "x y", "-a", "a/b/c", "a.b/c", "..", "UP/x"];
/// What servers fill in.
const GIVEN: &[&str] = &[
    "managedFields",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
];

/// What happens at a place.
#[derive(Clone, Debug, PartialEq)]
enum Change {
    Set(Value),
    Remove,
}

/// A changed object.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutant {
    /// The place and what was done there.
    pub label: String,
    /// The whole object.
    pub object: Value,
}

/// All changed copies of an object. The name stays when `same_name`.
pub fn of(base: &Value, schema: &Value, schemas: &Schemas, same_name: bool) -> Vec<Mutant> {
    let mut walk = Walk { schemas, changes: Vec::new() };
    let properties = schemas.resolve(schema)["properties"].as_object().cloned().unwrap_or_default();
    for (name, property) in &properties {
        match (name.as_str(), base.get(name)) {
            ("apiVersion" | "kind" | "status" | "metadata", _) => {}
            (_, Some(value)) => {
                walk.change(&pointer("", name), Change::Remove);
                walk.value(&pointer("", name), value, property);
            }
            (_, None) => walk.absent(&pointer("", name), property),
        }
    }
    walk.change("/zzUnknown", Change::Set(json!(1)));
    let metadata = walk.changes.len();
    walk.value("/metadata", &base["metadata"], schemas.of_metadata());
    let names = |at: &str| at == "/metadata" || at.starts_with("/metadata/name");
    let mut index = 0;
    walk.changes.retain(|(at, _)| {
        index += 1;
        index <= metadata || !(same_name && names(at))
    });
    walk.changes.into_iter().filter_map(|(at, change)| mutant(base, &at, change)).collect()
}

struct Walk<'s> {
    schemas: &'s Schemas,
    changes: Vec<(String, Change)>,
}

impl Walk<'_> {
    fn change(&mut self, at: &str, change: Change) {
        self.changes.push((at.to_owned(), change));
    }

    fn value(&mut self, at: &str, value: &Value, schema: &Value) {
        let schemas = self.schemas;
        let schema = schemas.resolve(schema);
        let mut set = |value: Value| self.changes.push((at.to_owned(), Change::Set(value)));
        match value {
            Value::Object(map) => {
                set(json!({}));
                set(json!("text"));
                self.object(at, map, schema);
            }
            Value::Array(items) => {
                set(json!([]));
                set(json!("text"));
                for more in items.first().cloned().into_iter().chain([Value::Null, json!({})]) {
                    let mut longer = items.clone();
                    longer.push(more);
                    set(Value::Array(longer));
                }
                for (index, item) in items.iter().enumerate() {
                    self.value(&format!("{at}/{index}"), item, &schema["items"]);
                }
            }
            Value::Bool(flag) => {
                set(json!(!flag));
                set(json!("yes"));
            }
            Value::Number(_) => {
                NUMBERS.iter().filter(|number| value != &json!(number)).for_each(|number| set(json!(number)));
                [json!(1e19), json!("5"), json!(1.5)].into_iter().for_each(set);
            }
            Value::String(text) => {
                let values = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let long: Vec<String> = LENGTHS.iter().map(|length| "a".repeat(*length)).collect();
                let texts = TEXTS.iter().copied().chain(long.iter().map(String::as_str)).chain(values);
                texts.filter(|other| other != text).for_each(|other| set(json!(other)));
                set(json!(5));
                set(Value::Null);
            }
            Value::Null => {}
        }
    }

    fn object(&mut self, at: &str, map: &Map<String, Value>, schema: &Value) {
        let declared = schema["properties"].as_object();
        let values = &schema["additionalProperties"];
        for (name, value) in map {
            let place = pointer(at, name);
            self.change(&place, Change::Remove);
            self.value(&place, value, declared.and_then(|fields| fields.get(name)).unwrap_or(values));
        }
        if let Some(declared) = declared {
            for (name, property) in declared {
                if !map.contains_key(name) && !GIVEN.contains(&name.as_str()) {
                    self.absent(&pointer(at, name), property);
                }
            }
            self.change(&pointer(at, "zzUnknown"), Change::Set(json!(1)));
        } else if !values.is_null() {
            let value = map.values().next().cloned().unwrap_or_else(|| json!("x"));
            let long: Vec<String> = LENGTHS.iter().map(|length| "a".repeat(*length)).collect();
            for key in KEYS.iter().copied().chain(long.iter().map(String::as_str)) {
                self.change(&pointer(at, key), Change::Set(value.clone()));
            }
        }
    }

    /// Puts in a field that is not there.
    fn absent(&mut self, at: &str, schema: &Value) {
        let schemas = self.schemas;
        let schema = schemas.resolve(schema);
        let mut set = |value: Value| self.changes.push((at.to_owned(), Change::Set(value)));
        set(schemas.sample(schema, 0));
        match schema["type"].as_str().unwrap_or("") {
            "string" if schema["format"].is_null() => {
                set(json!(""));
                schema["enum"].as_array().into_iter().flatten().cloned().for_each(set);
            }
            "integer" => [0, -1, 65536, 2_147_483_647].into_iter().for_each(|number| set(json!(number))),
            "array" => set(json!([])),
            "object" => set(json!({})),
            _ => {}
        }
    }
}

fn pointer(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Does one change. `None` where it changes nothing.
fn mutant(base: &Value, at: &str, change: Change) -> Option<Mutant> {
    let (parent, name) = at.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    let mut object = base.clone();
    let place = object.pointer_mut(parent)?;
    let label = match (&change, place) {
        (Change::Remove, Value::Object(map)) => {
            map.remove(&name);
            format!("{at} removed")
        }
        (Change::Set(value), Value::Object(map)) => {
            map.insert(name, value.clone());
            format!("{at} = {}", shown(value))
        }
        (Change::Set(value), Value::Array(items)) => {
            *items.get_mut(name.parse::<usize>().ok()?)? = value.clone();
            format!("{at} = {}", shown(value))
        }
        _ => return None,
    };
    (object != *base).then_some(Mutant { label, object })
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn schemas() -> (Schemas, Value) {
        let mut schemas = Schemas::default();
        schemas.add(&json!({"components": {"schemas": {
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {"type": "object", "properties": {
                "name": {"type": "string"}, "uid": {"type": "string"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}}}}}}}));
        let lamp = json!({"type": "object", "properties": {"apiVersion": {}, "kind": {}, "metadata": {}, "status": {},
            "spec": {"type": "object", "properties": {"on": {"type": "boolean"}, "watts": {"type": "integer"},
                "colors": {"type": "array", "items": {"type": "string", "enum": ["red", "green"]}}}}}});
        (schemas, lamp)
    }

    #[test]
    fn every_place_is_changed_once_at_a_time() {
        let (schemas, lamp) = schemas();
        let base = json!({"apiVersion": "v1", "kind": "Lamp", "metadata": {"name": "l", "labels": {"a": "b"}},
            "spec": {"on": true, "colors": ["red"]}});
        let mutants = of(&base, &lamp, &schemas, false);
        let labels: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.label.as_str()).collect();
        assert_eq!(labels.len(), mutants.len(), "labels are unique");
        for label in [
            "/spec removed",
            "/spec/on = false",
            "/spec/watts = 65536",
            "/spec/colors/0 = \"green\"",
            "/spec/colors = [\"red\",\"red\"]",
            "/spec/zzUnknown = 1",
            "/metadata/labels/a~1b~1c = \"b\"",
            "/metadata/name = \"UPPER\"",
        ] {
            assert!(labels.contains(label), "{label} is not in {labels:#?}");
        }
        assert!(!labels.iter().any(|label| label.starts_with("/status") || label.contains("uid")));
        assert!(mutants.iter().all(|mutant| mutant.object != base));
    }

    #[test]
    fn names_stay_where_they_have_to() {
        let (schemas, lamp) = schemas();
        let base = json!({"metadata": {"name": "l", "labels": {"a": "b"}}, "spec": {}});
        let mutants = of(&base, &lamp, &schemas, true);
        assert!(mutants.iter().all(|mutant| mutant.object["metadata"]["name"] == "l"));
        assert!(mutants.iter().any(|mutant| mutant.label.starts_with("/metadata/labels")));
    }
}
