//! Strict decoding of what clients send: bytes along a type into a JSON value.
//!
//! See KEP-2885 (server-side field validation) for the modes. The result has only known fields, canonical
//! quantities and times, and no empty values that Kubernetes would not write, but for empty lists and maps; these are
//! dropped, and what it would always write is added, by [`crate::zero::normalize`] after defaulting.

mod embedded;
pub(crate) mod json;
mod restore;
pub(crate) mod scalar;
pub mod time;
mod typed;
mod yaml;

use serde_json::Value;
use thiserror::Error;

use crate::graph::TypeRef;
use json::{Kind, Reader};
pub use restore::restore;
use typed::{Fit, Walk};
pub(crate) use yaml::is_text as is_text_in_yaml;

/// What a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML 1.1, one document. Words such as `yes` and `on` are booleans.
    Yaml,
}

/// What to do about unknown and duplicate fields (the parameter `fieldValidation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them and warn.
    #[default]
    Warn,
    /// Refuse them.
    Strict,
}

impl FieldValidation {
    /// Reads the parameter's value; none when there is no such mode. Empty is the default.
    pub fn parse(text: &str) -> Option<FieldValidation> {
        match text {
            "" | "Warn" => Some(FieldValidation::Warn),
            "Ignore" => Some(FieldValidation::Ignore),
            "Strict" => Some(FieldValidation::Strict),
            _ => None,
        }
    }
}

/// A decoded body.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The value.
    pub value: Value,
    /// What `Warning` headers are to say, such as `unknown field "spec.bogus"`.
    pub warnings: Vec<String>,
}

/// Why a body cannot be decoded. The texts are Kubernetes'; [`refusal`] makes the message of a 400 from them.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Neither JSON nor YAML.
    #[error("{0}")]
    Syntax(String),
    /// Its `apiVersion` and `kind` cannot be read.
    #[error("couldn't get version/kind; json parse error: {0}")]
    NoKind(String),
    /// Its `apiVersion` has more than one slash.
    #[error("unexpected GroupVersion string: {0}")]
    BadVersion(String),
    /// A value does not fit its type.
    #[error("{0}")]
    Mismatch(String),
    /// Unknown or duplicate fields where they are refused.
    #[error("strict decoding error: {}", .0.join(", "))]
    Strict(Vec<String>),
}

/// Decodes a body along a built-in type.
pub fn decode(
    body: &[u8],
    format: Format,
    root: TypeRef<'_>,
    mode: FieldValidation,
) -> Result<Decoded, DecodeError> {
    run(body, format, root, mode, Fit::Checked)
}

/// Decodes a custom resource along its schema's types: as [`decode`], but values that do not fit their types, nulls
/// and empty values stay, since the schema's validation has its own words for them. Its `metadata` is checked.
pub fn decode_structural(
    body: &[u8],
    format: Format,
    root: TypeRef<'_>,
    mode: FieldValidation,
) -> Result<Decoded, DecodeError> {
    run(body, format, root, mode, Fit::Structural)
}

/// The same for what server-side apply has merged: what is no resource within a resource stays too, and is for
/// validation to tell.
pub fn decode_merged(
    body: &[u8],
    format: Format,
    root: TypeRef<'_>,
    mode: FieldValidation,
) -> Result<Decoded, DecodeError> {
    run(body, format, root, mode, Fit::Merged)
}

/// Whole numbers without a fraction, as Kubernetes writes them: `1.0` becomes `1`. Until an object is written, its rules
/// and its schema see which it is.
pub fn plain_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(whole) = whole(&number.to_string()) {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plain_numbers),
        Value::Object(map) => map.values_mut().for_each(plain_numbers),
        _ => {}
    }
}

/// `2.0` and `2e3` as integers, when they are.
fn whole(text: &str) -> Option<i64> {
    match text.strip_suffix(".0") {
        Some(digits) => digits.parse().ok(),
        None => {
            let (digits, exponent) = text.split_once('e')?;
            let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
            let zeros = exponent.trim_start_matches('+').parse::<usize>().ok()?.checked_sub(after.len())?;
            (zeros < 20).then(|| format!("{before}{after}{}", "0".repeat(zeros)).parse().ok()).flatten()
        }
    }
}

/// Decodes a value, such as a patched one, along a built-in type.
pub fn decode_value(value: &Value, root: TypeRef<'_>, mode: FieldValidation) -> Result<Decoded, DecodeError> {
    let text = serde_json::to_vec(value).map_err(|error| DecodeError::Syntax(error.to_string()))?;
    decode(&text, Format::Json, root, mode)
}

fn run(
    body: &[u8],
    format: Format,
    root: TypeRef<'_>,
    mode: FieldValidation,
    fit: Fit,
) -> Result<Decoded, DecodeError> {
    let ((value, mut notes), repeated) = match format {
        Format::Json => (Walk::run(body, root, fit)?, Vec::new()),
        Format::Yaml => match looks_like_json(body).then(|| Walk::run(body, root, fit)) {
            Some(Ok((mut value, notes))) if !notes.iter().any(|note| note.starts_with("duplicate")) => {
                if fit != Fit::Checked {
                    plain_numbers(&mut value);
                }
                ((value, notes), Vec::new())
            }
            // What JSON refuses, YAML may take, or refuse in other words.
            _ => {
                let (text, repeated) = yaml::to_json(body)?;
                (Walk::run(&text, root, fit)?, repeated)
            }
        },
    };
    if fit != Fit::Checked {
        notes.sort_by_cached_key(|note| turn(note));
    }
    if mode == FieldValidation::Strict && !repeated.is_empty() {
        // All that is set twice in YAML is one error.
        let lines: String = repeated.iter().map(|note| format!("\n  {note}")).collect();
        notes.insert(0, format!("yaml: unmarshal errors:{lines}"));
    } else {
        notes.splice(0..0, repeated);
    }
    match mode {
        FieldValidation::Ignore => Ok(Decoded { value, warnings: Vec::new() }),
        FieldValidation::Warn => Ok(Decoded { value, warnings: notes }),
        FieldValidation::Strict if notes.is_empty() => Ok(Decoded { value, warnings: notes }),
        FieldValidation::Strict => Err(DecodeError::Strict(notes)),
    }
}

/// When a note about a custom resource is told: Kubernetes reads all of the text, then the metadata, and then looks for
/// fields that the schema has not, in the order of their names.
fn turn(note: &str) -> (u8, String) {
    match note.strip_prefix("unknown field \"") {
        None => (0, String::new()),
        Some(path) if path.starts_with("metadata.") => (1, String::new()),
        Some(path) => (2, path.to_owned()),
    }
}

fn looks_like_json(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// Reads a body as any JSON, without a type.
pub fn decode_any(body: &[u8], format: Format) -> Result<Value, DecodeError> {
    decode_untyped(body, format, FieldValidation::Ignore).map(|decoded| decoded.value)
}

/// The same with a word about keys that are there twice.
pub fn decode_untyped(body: &[u8], format: Format, mode: FieldValidation) -> Result<Decoded, DecodeError> {
    let any = crate::graph::TypeNode { preserve_unknown: true, ..Default::default() };
    let graph = crate::graph::TypeGraph::new(vec![any]);
    run(body, format, graph.at(crate::graph::TypeId(0)), mode, Fit::Structural)
}

/// The `apiVersion` and `kind` of a body, empty where it has none. The whole body is checked to be JSON.
pub fn group_version_kind(body: &[u8], format: Format) -> Result<(String, String), DecodeError> {
    let converted;
    let text = match format {
        Format::Json => body,
        Format::Yaml if looks_like_json(body) && type_meta(body).is_ok() => body,
        Format::Yaml => {
            converted = yaml::to_json(body)?.0;
            &converted
        }
    };
    let (api_version, kind) = type_meta(text)?;
    if api_version.matches('/').count() > 1 {
        return Err(DecodeError::BadVersion(api_version));
    }
    Ok((api_version, kind))
}

fn type_meta(text: &[u8]) -> Result<(String, String), DecodeError> {
    let syntax = |error: json::SyntaxError| DecodeError::NoKind(error.0);
    let mut reader = Reader::new(text);
    let mut found = (String::new(), String::new());
    let mut mismatch = None;
    match reader.peek().map_err(syntax)? {
        Kind::Object => {
            reader.begin_object().map_err(syntax)?;
            let mut first = true;
            while let Some(key) = reader.next_key(first).map_err(syntax)? {
                first = false;
                let slot = match key.as_ref() {
                    "apiVersion" => &mut found.0,
                    "kind" => &mut found.1,
                    _ => {
                        reader.skip().map_err(syntax)?;
                        continue;
                    }
                };
                let word = match reader.peek().map_err(syntax)? {
                    Kind::String => {
                        *slot = reader.string().map_err(syntax)?.into_owned();
                        continue;
                    }
                    Kind::Null => None,
                    Kind::Number => Some("number"),
                    Kind::Bool => Some("bool"),
                    Kind::Object => Some("object"),
                    Kind::Array => Some("array"),
                };
                reader.skip().map_err(syntax)?;
                if let Some(word) = word {
                    mismatch.get_or_insert(format!(
                        "json: cannot unmarshal {word} into Go struct field .{key} of type string"
                    ));
                }
            }
        }
        other => {
            reader.skip().map_err(syntax)?;
            let word = match other {
                Kind::Array => Some("array"),
                Kind::String => Some("string"),
                Kind::Number => Some("number"),
                Kind::Bool => Some("bool"),
                Kind::Object | Kind::Null => None,
            };
            mismatch = word.map(|word| {
                format!(
                    "json: cannot unmarshal {word} into Go value of type struct {{ APIVersion string \
                     \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
                )
            });
        }
    }
    reader.end().map_err(syntax)?;
    match mismatch {
        Some(text) => Err(DecodeError::NoKind(text)),
        None => Ok(found),
    }
}

/// The message of the 400 for a body that should have been a `wanted`, as Kubernetes words it. `sent` is the version
/// and the kind that the body names, where they could be read.
pub fn refusal(
    error: &impl std::fmt::Display,
    wanted: &str,
    sent: Option<(&str, &str)>,
    body: &[u8],
) -> String {
    match sent {
        Some((version, kind)) if !kind.is_empty() => {
            format!("{kind} in version {version:?} cannot be handled as a {wanted}: {error}")
        }
        _ => format!(
            "the object provided is unrecognized (must be of type {wanted}): {error} ({})",
            summary(body)
        ),
    }
}

/// The beginning of a body: text for JSON, else hexadecimal.
fn summary(body: &[u8]) -> String {
    const LIMIT: usize = 30;
    let (head, dots) = if body.len() > LIMIT { (&body[..LIMIT], " ...") } else { (body, "") };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{dots}", String::from_utf8_lossy(head)),
        Some(_) => {
            let hex: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}{dots}")
        }
    }
}

#[cfg(test)]
mod tests;
