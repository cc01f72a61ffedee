//! Whether an applied configuration fits its type, in the words of Kubernetes.

use super::form::{Form, Ty, list_element};
use super::path::PathElement;
use crate::graph::{ListKind, Scalar, Shape, TypeRef};
use crate::strategic::go_format;
use serde_json::Value;
use std::collections::BTreeSet;

/// The defects of a configuration, as one text.
pub(super) fn check(of: TypeRef<'_>, config: &Value) -> Result<(), String> {
    let mut defects = Vec::new();
    walk(Ty::of(of), config, &mut Vec::new(), &mut defects);
    match defects.len() {
        0 => Ok(()),
        1 => Err(defects.remove(0)),
        _ => Err(format!("errors:\n  {}", defects.join("\n  "))),
    }
}

/// Whether a value has objects, lists and scalars where its type has them.
pub(super) fn fits(of: TypeRef<'_>, value: &Value) -> bool {
    match (of.shape(), value) {
        (_, Value::Null) | (Shape::Any, _) => true,
        (Shape::Object(_), Value::Object(map)) => {
            let known = |name: &String| of.field(name).map(|field| of.at(field.of));
            map.iter().all(|(name, value)| known(name).is_none_or(|of| fits(of, value)))
        }
        (Shape::Map(element), Value::Object(map)) => map.values().all(|value| fits(of.at(*element), value)),
        (Shape::List(element, _), Value::Array(items)) => {
            items.iter().all(|item| fits(of.at(*element), item))
        }
        (Shape::Scalar(scalar), value) => scalar_defect(*scalar, value).is_none(),
        _ => false,
    }
}

type Path = Vec<PathElement>;

fn report(path: &Path, message: impl std::fmt::Display, defects: &mut Vec<String>) {
    let path: String = path.iter().map(PathElement::to_string).collect();
    defects.push(if path.is_empty() { message.to_string() } else { format!("{path}: {message}") });
}

fn walk(ty: Ty<'_>, value: &Value, path: &mut Path, defects: &mut Vec<String>) {
    let Some(known) = ty.known() else { return };
    match (known.shape(), value) {
        (_, Value::Null) | (Shape::Any, _) => {}
        (Shape::Object(_) | Shape::Map(_), Value::Object(map)) => {
            for (name, value) in map {
                path.push(PathElement::field(name));
                match ty.field(name) {
                    Some((of, _)) => walk(of, value, path, defects),
                    None => report(path, "field not declared in schema", defects),
                }
                path.pop();
            }
        }
        (Shape::Object(_) | Shape::Map(_), other) => {
            report(path, format!("expected map, got &{{{}}}", go_format(other)), defects);
        }
        (Shape::List(element, kind), Value::Array(items)) => {
            let granular = matches!(ty.form([None, None]), Form::List(..));
            list(known.at(*element), granular.then_some(kind), items, path, defects);
        }
        (Shape::List(..), other) => {
            report(path, format!("expected list, got &{{{}}}", go_format(other)), defects);
        }
        (Shape::Scalar(scalar), value) => {
            if let Some(message) = scalar_defect(*scalar, value) {
                report(path, message, defects);
            }
        }
    }
}

fn list(
    element: TypeRef<'_>,
    kind: Option<&ListKind>,
    items: &[Value],
    path: &mut Path,
    defects: &mut Vec<String>,
) {
    let mut seen: BTreeSet<PathElement> = BTreeSet::new();
    for (at, item) in items.iter().enumerate() {
        let step = match kind.map(|kind| list_element(kind, element, item)) {
            None => PathElement::Index(i64::try_from(at).unwrap_or(i64::MAX)),
            Some(Ok(step)) => {
                if !seen.insert(step.clone()) {
                    report(path, format!("duplicate entries for key {step}"), defects);
                }
                step
            }
            Some(Err(why)) => {
                report(path, format!("element {at}: {why}"), defects);
                return;
            }
        };
        path.push(step);
        walk(Ty::of(element), item, path, defects);
        path.pop();
    }
}

fn scalar_defect(scalar: Scalar, value: &Value) -> Option<String> {
    let got = || format!("&{{{}}}", go_format(value));
    match scalar {
        Scalar::Int32 | Scalar::Int64 | Scalar::Number if !value.is_number() => {
            Some(format!("expected numeric (int or float), got {}", go_type(value)))
        }
        Scalar::String | Scalar::Bytes if !value.is_string() => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(value)))
        }
        Scalar::Boolean if !value.is_boolean() => Some(format!("expected boolean, got {}", got())),
        _ if value.is_object() || value.is_array() => Some(format!("expected any scalar, got {}", got())),
        _ => None,
    }
}

/// A value as Go's source has it.
fn go_syntax(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Bool(_) | Value::String(_) => value.to_string(),
        Value::Number(_) => go_format(value),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", joined(items.iter().map(go_syntax).collect()))
        }
        Value::Object(map) => {
            let members = map.iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), go_syntax(v)));
            format!("map[string]interface {{}}{{{}}}", joined(members.collect()))
        }
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
