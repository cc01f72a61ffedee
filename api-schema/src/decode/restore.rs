//! Loose JSON into a value of a type, as Kubernetes turns the results of strategic merge patches and of server-side
//! apply into its own types: member by member, without a text in between, and with words of its own.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;

use super::scalar::{self, Misfit};
use super::{DecodeError, Decoded, FieldValidation, decode_value};
use crate::graph::{Field, Scalar, Shape, TypeRef};

/// Brings a value into the form of a built-in type. What warnings say is sorted.
///
/// Errors: [`DecodeError::Mismatch`] for the first value that does not fit, in the order of the type's fields, and
/// [`DecodeError::Strict`] for unknown fields where they are refused.
pub fn restore(value: &Value, root: TypeRef<'_>, mode: FieldValidation) -> Result<Decoded, DecodeError> {
    let mut walk = Walk { path: String::new(), unknown: Vec::new() };
    let mut value = value.clone();
    walk.value(root, &mut value).map_err(DecodeError::Mismatch)?;
    walk.unknown.sort();
    match mode {
        FieldValidation::Strict if !walk.unknown.is_empty() => return Err(DecodeError::Strict(walk.unknown)),
        FieldValidation::Ignore => walk.unknown.clear(),
        FieldValidation::Warn | FieldValidation::Strict => {}
    }
    let decoded = decode_value(&value, root, FieldValidation::Ignore)?;
    Ok(Decoded { value: decoded.value, warnings: walk.unknown })
}

struct Walk {
    path: String,
    unknown: Vec<String>,
}

impl Walk {
    fn value(&mut self, of: TypeRef<'_>, value: &mut Value) -> Result<(), String> {
        match (of.shape(), value) {
            (_, Value::Null) | (Shape::Any, _) => Ok(()),
            (Shape::Object(fields), Value::Object(map)) => self.object(of, fields, map),
            (Shape::Object(_), other) => Err(format!("cannot restore struct from: {}", kind(other))),
            (Shape::Map(element), Value::Object(map)) => {
                map.values_mut().try_for_each(|value| self.value(of.at(*element), value))
            }
            (Shape::Map(_), other) => Err(format!("cannot restore map from {}", kind(other))),
            (Shape::List(element, _), Value::Array(items)) => {
                for (at, item) in items.iter_mut().enumerate() {
                    let length = self.path.len();
                    let _ = write!(self.path, "[{at}]");
                    self.value(of.at(*element), item)?;
                    self.path.truncate(length);
                }
                Ok(())
            }
            (Shape::List(..), other) => Err(format!("cannot restore slice from {}", kind(other))),
            (Shape::Scalar(scalar), value) => fits(of, *scalar, value),
        }
    }

    fn object(
        &mut self,
        of: TypeRef<'_>,
        fields: &[Field],
        map: &mut serde_json::Map<String, Value>,
    ) -> Result<(), String> {
        // As they are declared, which is about the order of their numbers.
        let mut there: Vec<&Field> =
            fields.iter().filter(|field| map.contains_key(field.name.as_str())).collect();
        there.sort_by_key(|field| field.number);
        for field in there {
            let Some(value) = map.get_mut(field.name.as_str()) else { continue };
            let length = self.enter(&field.name);
            self.value(of.at(field.of), value)?;
            self.path.truncate(length);
        }
        if of.node().preserve_unknown {
            return Ok(());
        }
        for name in map.keys().filter(|name| of.field(name).is_none()) {
            let length = self.enter(name);
            self.unknown.push(format!("unknown field \"{}\"", self.path));
            self.path.truncate(length);
        }
        Ok(())
    }

    /// Adds a key to the path; gives the length to cut it back to.
    fn enter(&mut self, key: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        length
    }
}

/// What Kubernetes' messages call the kind of a JSON value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

fn fits(of: TypeRef<'_>, scalar: Scalar, value: &mut Value) -> Result<(), String> {
    match scalar {
        Scalar::String => match value {
            Value::String(_) => Ok(()),
            Value::Number(number) if !number.is_f64() => {
                Err(format!("cannot convert int64 to {}", scalar::go_type(of)))
            }
            _ => Err("unrecognized type: string".to_owned()),
        },
        Scalar::Int32 | Scalar::Int64 | Scalar::Number => match value {
            Value::Number(number) if scalar == Scalar::Number || number.as_i64().is_some() => Ok(()),
            // A float without a fraction is an integer.
            Value::Number(number) if whole(number).is_some() => {
                *value = whole(number).into();
                Ok(())
            }
            Value::Number(_) => Err(format!("cannot convert float64 to {}", scalar::go_type(of))),
            _ => Err(format!("unrecognized type: {}", scalar::go_type(of))),
        },
        Scalar::Boolean => match value {
            Value::Bool(_) => Ok(()),
            _ => Err("unrecognized type: bool".to_owned()),
        },
        Scalar::Bytes => match value {
            Value::String(text) => match scalar::from_string(scalar, Cow::Borrowed(text)) {
                Err(Misfit::Now(why) | Misfit::Later(why)) => Err(format!("error decoding from json: {why}")),
                _ => Ok(()),
            },
            other => Err(format!("cannot restore slice from {}", kind(other))),
        },
        // These read themselves from JSON.
        Scalar::Time | Scalar::MicroTime | Scalar::Duration => reads_itself(scalar, value, "string"),
        Scalar::IntOrString => reads_itself(scalar, value, "int32"),
        Scalar::Quantity => reads_itself(scalar, value, ""),
    }
}

fn whole(number: &serde_json::Number) -> Option<i64> {
    super::scalar::float(number.as_f64()?)?.as_i64()
}

fn reads_itself(scalar: Scalar, value: &Value, wanted: &str) -> Result<(), String> {
    let read = match value {
        Value::String(text) => scalar::from_string(scalar, Cow::Borrowed(text)),
        Value::Number(number) => scalar::from_number(scalar, &number.to_string()),
        _ => Err(Misfit::Kind),
    };
    match read {
        Ok(_) => Ok(()),
        Err(Misfit::Now(why) | Misfit::Later(why)) => Err(why),
        Err(Misfit::Kind) if scalar == Scalar::Quantity => {
            Err(crate::quantity::QuantityError::Format.to_string())
        }
        Err(Misfit::Kind) => {
            let word = match value {
                Value::Number(number) if scalar == Scalar::IntOrString => format!("number {number}"),
                Value::Number(_) => "number".to_owned(),
                Value::Bool(_) => "bool".to_owned(),
                Value::Array(_) => "array".to_owned(),
                _ => "object".to_owned(),
            };
            Err(format!("json: cannot unmarshal {word} into Go value of type {wanted}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::TypeRef;
    use serde_json::json;

    fn pod() -> TypeRef<'static> {
        let id = crate::builtin::kind("", "v1", "Pod").unwrap();
        crate::builtin::graph().at(id)
    }

    #[test]
    fn what_does_not_fit_is_told_in_the_words_of_the_converter() {
        for (object, words) in [
            (json!({"metadata": []}), "cannot restore struct from: slice"),
            (json!({"spec": "x"}), "cannot restore struct from: string"),
            (json!({"metadata": {"labels": ["x"]}}), "cannot restore map from slice"),
            (json!({"metadata": {"labels": {"a": 1}}}), "cannot convert int64 to string"),
            (json!({"metadata": {"labels": {"a": 1.5}}}), "unrecognized type: string"),
            (json!({"metadata": {"labels": {"a": {}}}}), "unrecognized type: string"),
            (json!({"spec": {"containers": {}}}), "cannot restore slice from map"),
            (json!({"spec": {"containers": [7]}}), "cannot restore struct from: int64"),
            (json!({"spec": {"priority": "7"}}), "unrecognized type: int32"),
            (json!({"spec": {"priority": 1.5}}), "cannot convert float64 to int32"),
            (json!({"spec": {"hostNetwork": "true"}}), "unrecognized type: bool"),
            (json!({"spec": {"restartPolicy": 1}}), "cannot convert int64 to v1.RestartPolicy"),
            (
                json!({"metadata": {"creationTimestamp": 1}}),
                "json: cannot unmarshal number into Go value of type string",
            ),
            (
                json!({"spec": {"containers": [{"livenessProbe": {"httpGet": {"port": true}}}]}}),
                "json: cannot unmarshal bool into Go value of type int32",
            ),
        ] {
            let error = restore(&object, pod(), FieldValidation::Warn).unwrap_err();
            assert_eq!(error.to_string(), words, "{object}");
        }
    }

    #[test]
    fn a_float_without_a_fraction_is_an_integer() {
        let restored = restore(&json!({"spec": {"priority": 7.0}}), pod(), FieldValidation::Warn).unwrap();
        assert_eq!(restored.value["spec"]["priority"], 7);
    }

    #[test]
    fn unknown_fields_are_sorted_and_told_as_wished() {
        let object = json!({"z": 1, "spec": {"b": 1, "containers": [{"name": "c", "$patch": "x"}]},
            "metadata": {"name": "p", "labels": {"any": "thing"}}});
        let unknown = [
            r#"unknown field "spec.b""#,
            r#"unknown field "spec.containers[0].$patch""#,
            r#"unknown field "z""#,
        ];
        let warned = restore(&object, pod(), FieldValidation::Warn).unwrap();
        assert_eq!(warned.warnings, unknown);
        assert_eq!(warned.value["spec"]["containers"], json!([{"name": "c"}]));
        assert!(restore(&object, pod(), FieldValidation::Ignore).unwrap().warnings.is_empty());
        let refused = restore(&object, pod(), FieldValidation::Strict).unwrap_err();
        assert_eq!(refused.to_string(), format!("strict decoding error: {}", unknown.join(", ")));
    }
}
