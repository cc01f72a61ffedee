//! Takes out of answers what differs from run to run on one and the same server.

use anyhow::Result;
use regex::Regex;
use serde_json::Value;

/// Fields whose text a server makes up.
const FIELDS: &[(&str, &str)] = &[
    ("uid", "<uid>"),
    ("resourceVersion", "<version>"),
    ("continue", "<continue>"),
    ("token", "<token>"),
    ("clusterIP", "<address>"),
    ("podIP", "<address>"),
    ("hostIP", "<address>"),
    ("nodePort", "<port>"),
    ("healthCheckNodePort", "<port>"),
];

/// Fields with lists of addresses: of texts, or of objects with an `ip`.
const ADDRESSES: &[&str] = &["clusterIPs", "podIPs", "hostIPs"];

/// Columns of tables with such values.
const COLUMNS: &[(&str, &str)] = &[("Age", "<age>"), ("Cluster-IP", "<address>"), ("IP", "<address>")];

/// Parts of texts, wherever they are.
const PARTS: &[(&str, &str)] = &[
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>"),
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
    (r"kube-api-access-[a-z0-9]{5}", "kube-api-access-<generated>"),
    // How far the server has come, of which a version that is asked for is ahead.
    (r"(resource version: \d+, current: )\d+", "${1}<version>"),
];

/// Replaces volatile values by a word for what they are.
pub struct Volatile(Vec<(Regex, &'static str)>);

impl Volatile {
    /// Prepares the rules.
    pub fn new() -> Result<Self> {
        let parts: Result<Vec<_>> =
            PARTS.iter().map(|(pattern, word)| Ok((Regex::new(pattern)?, *word))).collect();
        Ok(Volatile(parts?))
    }

    /// The body without volatile values.
    pub fn normal(&self, body: &Value) -> Value {
        match body {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.normal(item)).collect(),
            Value::Object(fields) => {
                let columns = columns(body);
                let generated = fields.get("generateName").and_then(Value::as_str);
                let normal = |key: &str, value: &Value| match (key, generated) {
                    ("rows", _) if !columns.is_empty() => self.rows(value, &columns),
                    ("name", Some(prefix)) if starts_with(value, prefix) => {
                        Value::String(format!("{prefix}<generated>"))
                    }
                    _ => self.field(key, value),
                };
                fields.iter().map(|(key, value)| (key.clone(), normal(key, value))).collect()
            }
            other => other.clone(),
        }
    }

    /// A text without volatile parts.
    pub fn text(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (pattern, word)| pattern.replace_all(&text, *word).into_owned())
    }

    fn field(&self, key: &str, value: &Value) -> Value {
        let word = FIELDS.iter().find(|(field, _)| *field == key).map(|(_, word)| *word);
        match (word, value) {
            (Some(word), value) if made_up(value) => Value::String(word.to_owned()),
            (None, Value::Array(items)) if ADDRESSES.contains(&key) => {
                items.iter().map(|item| self.address(item)).collect()
            }
            _ => self.normal(value),
        }
    }

    fn address(&self, item: &Value) -> Value {
        match item {
            Value::String(_) if made_up(item) => Value::String("<address>".to_owned()),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| {
                    let value = if key == "ip" { self.address(value) } else { value.clone() };
                    (key.clone(), value)
                })
                .collect(),
            other => other.clone(),
        }
    }

    fn rows(&self, rows: &Value, columns: &[Option<&'static str>]) -> Value {
        let mut rows = self.normal(rows);
        for row in rows.as_array_mut().into_iter().flatten() {
            for (cell, word) in row["cells"].as_array_mut().into_iter().flatten().zip(columns) {
                if let Some(word) = word.filter(|_| made_up(cell)) {
                    *cell = Value::String(word.to_owned());
                }
            }
        }
        rows
    }
}

/// Of a table: for each column the word for its volatile cells.
fn columns(table: &Value) -> Vec<Option<&'static str>> {
    let definitions = table["columnDefinitions"].as_array().into_iter().flatten();
    definitions
        .map(|definition| COLUMNS.iter().find(|(name, _)| definition["name"] == *name).map(|(_, word)| *word))
        .collect()
}

fn starts_with(value: &Value, prefix: &str) -> bool {
    value.as_str().is_some_and(|name| name.starts_with(prefix))
}

/// Whether it is a value that a server chose; empty, zero and `None` are said on purpose.
fn made_up(value: &Value) -> bool {
    match value {
        Value::String(text) => !matches!(text.as_str(), "" | "None" | "<none>"),
        Value::Number(number) => number.as_i64() != Some(0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn volatile_values_become_words() {
        let table = [
            (
                json!({"uid": "a", "resourceVersion": "1"}),
                json!({"uid": "<uid>", "resourceVersion": "<version>"}),
            ),
            (json!({"resourceVersion": ""}), json!({"resourceVersion": ""})),
            // Descriptions of fields have such names too.
            (json!({"uid": {"type": "string"}}), json!({"uid": {"type": "string"}})),
            (json!({"time": "2026-01-02T03:04:05.678Z"}), json!({"time": "<time>"})),
            (json!({"time": "noon"}), json!({"time": "noon"})),
            (
                json!({"message": "have 9e181412-8fe2-4cdf-8da3-44bb2c227be6 at 2026-01-02T03:04:05Z"}),
                json!({"message": "have <uid> at <time>"}),
            ),
            (
                json!({"message": "Too large resource version: 9, current: 41"}),
                json!({"message": "Too large resource version: 9, current: <version>"}),
            ),
            (
                json!({"generateName": "a-", "name": "a-x1y2z"}),
                json!({"generateName": "a-", "name": "a-<generated>"}),
            ),
            (json!({"generateName": "a-", "name": "b"}), json!({"generateName": "a-", "name": "b"})),
            (json!([{"name": "kube-api-access-ab1de"}]), json!([{"name": "kube-api-access-<generated>"}])),
            (
                json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"nodePort": 31000}]}),
                json!({"clusterIP": "<address>", "clusterIPs": ["<address>"], "ports": [{"nodePort": "<port>"}]}),
            ),
            (
                json!({"clusterIP": "None", "clusterIPs": ["None"], "nodePort": 0}),
                json!({"clusterIP": "None", "clusterIPs": ["None"], "nodePort": 0}),
            ),
            (json!({"podIPs": [{"ip": "10.0.0.1"}]}), json!({"podIPs": [{"ip": "<address>"}]})),
            (json!({"token": "eyJhbGc.eyJpc3M.c2ln"}), json!({"token": "<token>"})),
            (
                json!({"columnDefinitions": [{"name": "Name"}, {"name": "Age"}], "rows": [{"cells": ["5s", "5s"]}]}),
                json!({"columnDefinitions": [{"name": "Name"}, {"name": "Age"}], "rows": [{"cells": ["5s", "<age>"]}]}),
            ),
        ];
        let volatile = Volatile::new().unwrap();
        for (body, expected) in table {
            assert_eq!(volatile.normal(&body), expected, "{body}");
            assert_eq!(volatile.normal(&expected), expected, "twice: {body}");
        }
    }
}
