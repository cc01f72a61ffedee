//! The tool's own list of requests, for two servers that answer now.

use crate::exchange::{Exchange, Request};
use anyhow::{Context, Result, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

const LIST: &str = include_str!("requests.yaml");

/// An entry of the list.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Unique: later entries refer to the answer by it.
    pub name: String,
    method: String,
    path: String,
    #[serde(rename = "type")]
    content_type: Option<String>,
    accept: Option<String>,
    #[serde(default)]
    body: Value,
    /// Asked again until the answer has this status, for as long as a server may take to serve what was defined.
    pub until: Option<u16>,
}

/// The list; all that it makes is in one namespace or named after it.
pub fn list(namespace: &str) -> Result<Vec<Entry>> {
    serde_yaml_ng::from_str(&LIST.replace("NAMESPACE", namespace)).context("the list of requests")
}

impl Entry {
    /// The request, with `{{NAME#/json/pointer}}` replaced by what the answer of that name has there.
    pub fn request(&self, answered: &[Exchange]) -> Result<Request> {
        let accept = self.accept.as_deref().unwrap_or("application/json");
        let content_type = match (&self.content_type, &self.body) {
            (Some(content_type), _) => Some(content_type.clone()),
            (None, Value::Null) => None,
            (None, _) => Some("application/json".to_owned()),
        };
        let escaped = |value: &str| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        Ok(Request {
            method: self.method.clone(),
            path: filled(&self.path, answered, &escaped)?,
            content_type,
            accept: Some(accept.to_owned()),
            body: filled_in(&self.body, answered)?,
        })
    }
}

fn filled_in(body: &Value, answered: &[Exchange]) -> Result<Value> {
    Ok(match body {
        Value::String(text) => Value::String(filled(text, answered, &str::to_owned)?),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| filled_in(item, answered)).collect::<Result<_>>()?)
        }
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| Ok((key.clone(), filled_in(value, answered)?)))
                .collect::<Result<_>>()?,
        ),
        other => other.clone(),
    })
}

fn filled(text: &str, answered: &[Exchange], escaped: &dyn Fn(&str) -> String) -> Result<String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((reference, after)) = after.split_once("}}") else { bail!("`{text}`: {{{{ without }}}}") };
        let Some((name, pointer)) = reference.split_once('#') else {
            bail!("`{reference}` must be NAME#/json/pointer");
        };
        let exchange = answered
            .iter()
            .find(|exchange| exchange.name == name)
            .with_context(|| format!("`{reference}`: nothing of that name was answered before"))?;
        // A server that gave no such value gets an empty one: the answers then show the difference.
        let value = exchange.response.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        whole.push_str(before);
        whole.push_str(&escaped(value));
        rest = after;
    }
    whole.push_str(rest);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Response;
    use serde_json::json;
    use std::collections::{BTreeMap, BTreeSet};

    fn answered(entry: &Entry) -> Exchange {
        Exchange {
            name: entry.name.clone(),
            request: entry.request(&[]).unwrap_or_else(|_| Request {
                method: entry.method.clone(),
                path: entry.path.clone(),
                content_type: None,
                accept: None,
                body: Value::Null,
            }),
            response: Response {
                status: 200,
                headers: BTreeMap::new(),
                body: json!({"metadata": {"continue": "a/b", "uid": "u", "resourceVersion": "5"}}),
            },
            until: entry.until,
        }
    }

    #[test]
    fn the_list_is_sound() {
        let entries = list("here").unwrap();
        assert!((60..=120).contains(&entries.len()), "{}", entries.len());
        let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names.len(), entries.len(), "names are unique");
        let mut before = Vec::new();
        for entry in &entries {
            let request = entry.request(&before).unwrap();
            assert!(request.path.starts_with('/'), "{}", entry.name);
            assert!(!format!("{request:?}").contains("NAMESPACE"), "{}", entry.name);
            assert!(!request.path.contains(['{', ' ']), "{}: {}", entry.name, request.path);
            before.push(answered(entry));
        }
    }

    #[test]
    fn placeholders_are_filled_from_earlier_answers() {
        let entry = |path: &str, body: Value| Entry {
            name: "next".to_owned(),
            method: "GET".to_owned(),
            path: path.to_owned(),
            content_type: None,
            accept: None,
            body,
            until: None,
        };
        let first = answered(&Entry { name: "first".to_owned(), ..entry("/x", Value::Null) });
        let next = entry(
            "/x?continue={{first#/metadata/continue}}&a=b",
            json!([{"uid": "{{first#/metadata/uid}}"}]),
        );
        let request = next.request(std::slice::from_ref(&first)).unwrap();
        assert_eq!(request.path, "/x?continue=a%2Fb&a=b");
        assert_eq!(request.body, json!([{"uid": "u"}]));
        for wrong in ["/{{other#/a}}", "/{{first}}", "/{{first#/a"] {
            assert!(entry(wrong, Value::Null).request(std::slice::from_ref(&first)).is_err(), "{wrong}");
        }
    }
}
