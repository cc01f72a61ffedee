//! One defect of a request, as a `metav1.StatusCause` says it.

use crate::go_float;
use crate::print::{json, quoted};
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// The kind of one cause (`metav1.CauseType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // each is documented by the convention of the same name
pub enum CauseReason {
    FieldValueNotFound,
    FieldValueRequired,
    FieldValueDuplicate,
    FieldValueInvalid,
    FieldValueNotSupported,
    FieldValueForbidden,
    FieldValueTooLong,
    FieldValueTooMany,
    FieldValueTypeInvalid,
    InternalError,
    FieldManagerConflict,
    ResourceVersionTooLarge,
    NamespaceTerminating,
    NodeCapacity,
    UnsupportedPlatform,
}

/// One defect of a request: of which field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The kind of the defect.
    pub reason: CauseReason,
    /// What is wrong, without the field's name: `Required value`, `Invalid value: "x": must be …`.
    pub message: String,
    /// The path of the field: `spec.containers[0].name`; empty when no field is meant.
    pub field: String,
    /// The object or list that the message tells.
    pub value: Option<Box<Value>>,
}

impl Cause {
    /// A cause of any reason.
    pub fn new(reason: CauseReason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Cause { reason, message: message.into(), field: field.into(), value: None }
    }

    /// `Required value` or `Required value: detail`.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new(CauseReason::FieldValueRequired, field, with_detail("Required value", detail))
    }

    /// `Invalid value: <value>: detail`: a text in quotes, anything else as JSON.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let message = with_detail(&format!("Invalid value: {}", shown(value)), detail);
        Self::new(CauseReason::FieldValueInvalid, field, message).with_value(value)
    }

    /// `Unsupported value: <value>: supported values: "a", "b"`.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        Self::new(
            CauseReason::FieldValueNotSupported,
            field,
            format!("Unsupported value: {}: supported values: {}", shown(value), list.join(", ")),
        )
        .with_value(value)
    }

    /// `Duplicate value: <value>`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        let message = format!("Duplicate value: {}", shown(value));
        Self::new(CauseReason::FieldValueDuplicate, field, message).with_value(value)
    }

    /// `Forbidden: detail`.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new(CauseReason::FieldValueForbidden, field, with_detail("Forbidden", detail))
    }

    fn with_value(mut self, value: &Value) -> Self {
        self.value = (value.is_object() || value.is_array()).then(|| Box::new(value.clone()));
        self
    }

    /// Tells the value in another form than its plain JSON.
    pub fn show_value(&mut self, text: &str) {
        if let Some(value) = self.value.take() {
            self.message = self.message.replacen(&json(&value), text, 1);
        }
    }

    /// `Too long: may not be more than N bytes`.
    pub fn too_long(field: impl Into<String>, max: usize) -> Self {
        let message = format!("Too long: may not be more than {max} bytes");
        Self::new(CauseReason::FieldValueTooLong, field, message)
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map(go_float::printed).unwrap_or_default()
        }
        other => json(other),
    }
}

fn with_detail(text: &str, detail: &str) -> String {
    if detail.is_empty() { text.to_owned() } else { format!("{text}: {detail}") }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}
