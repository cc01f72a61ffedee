//! Fields that a type requires.

use crate::table;
use api_schema::{Shape, TypeRef};
use api_types::Cause;
use serde_json::{Map, Value};

/// `Required value` for each required field of the kind's type that is absent, null or an empty string, as deep as
/// the object goes. A spec that is absent counts as empty.
pub(super) fn required(group: &str, kind: &str, object: &Value) -> Vec<Cause> {
    let mut out = Vec::new();
    let version = ["v1alpha1", "v1alpha2"].into_iter().find_map(|name| table::version(group, name, kind));
    if let Some(version) = version {
        let root = version.graph.at(version.root);
        let empty = Value::Object(Map::new());
        let spec = object.get("spec").filter(|spec| !spec.is_null()).unwrap_or(&empty);
        if let Some(of) = root.member("spec") {
            walk(of, spec, "spec", &mut out);
        }
    }
    out
}

fn walk(of: TypeRef<'_>, value: &Value, path: &str, out: &mut Vec<Cause>) {
    match (of.shape(), value) {
        (Shape::Object(fields), Value::Object(map)) => {
            for field in fields {
                let path = format!("{path}.{}", field.name);
                match map.get(field.name.as_str()) {
                    None | Some(Value::Null) if field.required => out.push(Cause::required(path, "")),
                    Some(Value::String(text)) if field.required && text.is_empty() => {
                        out.push(Cause::required(path, ""));
                    }
                    Some(value) => walk(of.at(field.of), value, &path, out),
                    None => {}
                }
            }
        }
        (Shape::List(element, _), Value::Array(list)) => {
            for (index, value) in list.iter().enumerate() {
                walk(of.at(*element), value, &format!("{path}[{index}]"), out);
            }
        }
        (Shape::Map(element), Value::Object(map)) => {
            for (key, value) in map {
                walk(of.at(*element), value, &format!("{path}[{key}]"), out);
            }
        }
        _ => {}
    }
}
