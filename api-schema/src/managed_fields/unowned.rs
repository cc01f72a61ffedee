//! Applying a configuration that nobody owns afterwards: what mutating admission policies do (KEP-3962).

use super::form::{Form, Ty};
use super::merge::merge;
use crate::graph::{ListKind, Shape, TypeRef};
use serde_json::Value;

/// The object with the configuration merged into it; what the configuration does not speak of stays.
///
/// Errors: the configuration has fields that the type has not, elements that cannot be told apart, or sets what is only
/// replaced as a whole, in Kubernetes' words.
pub fn apply_unowned(root: TypeRef<'_>, object: &Value, configuration: &Value) -> Result<Value, String> {
    let mut atomic = Vec::new();
    check(Ty::of(root), configuration, "", &mut atomic)?;
    if !atomic.is_empty() {
        return Err(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}",
            atomic.join(", ")
        ));
    }
    let merged = merge(Ty::of(root), Some(object), Some(configuration));
    let merged = merged.map_err(|why| format!("failed to merge patch: {why}"))?;
    Ok(merged.unwrap_or_else(|| object.clone()))
}

fn check(ty: Ty<'_>, value: &Value, path: &str, atomic: &mut Vec<String>) -> Result<(), String> {
    if let Ty::Known(known) = ty {
        let whole = match (value, known.shape()) {
            (Value::Object(_), Shape::Object(_) | Shape::Map(_)) => known.node().atomic,
            (Value::Array(_), Shape::List(_, kind)) => {
                known.node().atomic || matches!(kind, ListKind::Atomic)
            }
            _ => false,
        };
        if whole {
            atomic.push(path.to_owned());
        }
    }
    match (ty.form([Some(value), None]), value) {
        (Form::Map(of), Value::Object(fields)) => {
            for (name, value) in fields {
                let below = format!("{path}.{name}");
                let Some((field, _)) = of.field(name) else {
                    let why = format!(
                        "failed to convert patch object to typed object: {below}: field not declared"
                    );
                    return Err(format!("{why} in schema"));
                };
                check(field, value, &below, atomic)?;
            }
        }
        (Form::List(_, element), Value::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                check(Ty::of(element), item, &format!("{path}[{at}]"), atomic)?;
            }
        }
        _ => {}
    }
    Ok(())
}
