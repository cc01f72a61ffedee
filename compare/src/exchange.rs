//! A request and its answer, and recordings of them: a JSON object per line.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `Content-Type`; none for requests without a body.
    #[serde(default)]
    pub content_type: Option<String>,
    /// The `Accept` header.
    #[serde(default)]
    pub accept: Option<String>,
    /// A string is sent as it is, anything else as JSON, nothing for null.
    #[serde(default)]
    pub body: Value,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Headers by name in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// JSON where it is; the events of a watch as a list; else a string.
    #[serde(default)]
    pub body: Value,
}

/// A named request with its answer.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Exchange {
    /// Says what the request is about; need not be unique.
    pub name: String,
    /// What was sent.
    pub request: Request,
    /// What came back.
    pub response: Response,
    /// The status that was waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u16>,
}

/// Reads the text of a body: JSON, JSON objects one per line, or just text.
pub fn body(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    let lines: Result<Vec<Value>, _> =
        text.lines().filter(|line| !line.is_empty()).map(serde_json::from_str).collect();
    lines.map_or_else(|_| Value::String(text.to_owned()), Value::Array)
}

/// A watch with one event reads as an object; as the answer to a watch it is a list too.
pub fn body_of(path: &str, status: u16, text: &str) -> Value {
    let watch = path.split(['?', '&']).skip(1).any(|part| matches!(part, "watch=1" | "watch=true"));
    match body(text) {
        one @ Value::Object(_) if watch && status == 200 => Value::Array(vec![one]),
        Value::Null if watch && status == 200 => Value::Array(Vec::new()),
        other => other,
    }
}

/// Parses a recording.
pub fn parse(text: &str) -> Result<Vec<Exchange>> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| serde_json::from_str(line).with_context(|| format!("line {}", at + 1)))
        .collect()
}

/// Reads a recording.
pub fn read(path: &Path) -> Result<Vec<Exchange>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is no recording", path.display()))
}

/// Writes a recording.
pub fn write(path: &Path, exchanges: &[Exchange]) -> Result<()> {
    let mut text = Vec::new();
    for exchange in exchanges {
        serde_json::to_writer(&mut text, exchange)?;
        writeln!(text)?;
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_are_read_as_what_they_are() {
        // Path, status, text, body.
        let table = [
            ("/api", 200, "", Value::Null),
            ("/api", 200, r#"{"a":1}"#, json!({"a": 1})),
            ("/healthz", 200, "ok", json!("ok")),
            ("/x", 200, "{\"a\":1}\n{\"a\":2}\n", json!([{"a": 1}, {"a": 2}])),
            ("/x?watch=1", 200, "{\"a\":1}\n", json!([{"a": 1}])),
            ("/x?limit=2&watch=true", 200, "", json!([])),
            ("/x?watch=1", 400, "{\"a\":1}\n", json!({"a": 1})),
        ];
        for (path, status, text, expected) in table {
            assert_eq!(body_of(path, status, text), expected, "{path} {text}");
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        let good = r#"{"name":"a","request":{"method":"GET","path":"/api"},"response":{"status":200}}"#;
        assert_eq!(parse(&format!("{good}\n\n{good}\n")).unwrap().len(), 2);
        let error = parse(&format!("{good}\n{{}}\n")).unwrap_err();
        assert_eq!(error.to_string(), "line 2");
    }

    #[test]
    fn a_recording_is_read_as_it_was_written() {
        let line = r#"{"name":"a","request":{"method":"POST","path":"/api","contentType":"text/x","accept":null,"body":"not json"},"response":{"status":400,"headers":{"warning":"w"},"body":{"a":[1]}}}"#;
        let exchanges = parse(line).unwrap();
        let mut text = Vec::new();
        serde_json::to_writer(&mut text, &exchanges[0]).unwrap();
        assert_eq!(parse(std::str::from_utf8(&text).unwrap()).unwrap(), exchanges);
    }
}
