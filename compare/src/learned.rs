//! What a recording's values are on a live server, learned from answer to answer.

use crate::exchange::Request;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a value is: the same text may be a version here and a count there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Continue,
    Uid,
    Version,
    Name,
}

/// The field that holds it in bodies and in queries.
fn kind(key: &str) -> Option<Kind> {
    match key {
        "continue" => Some(Kind::Continue),
        "uid" => Some(Kind::Uid),
        "resourceVersion" => Some(Kind::Version),
        _ => None,
    }
}

/// From recorded to live values.
#[derive(Debug, Default)]
pub struct Learned(BTreeMap<(Kind, String), String>);

impl Learned {
    /// Learns from the two answers to one request.
    pub fn learn(&mut self, recorded: &Value, live: &Value) {
        match (recorded, live) {
            (Value::Array(recorded), Value::Array(live)) => {
                recorded.iter().zip(live).for_each(|(recorded, live)| self.learn(recorded, live));
            }
            (Value::Object(recorded), Value::Object(live)) => {
                let generated = recorded.contains_key("generateName");
                for (key, value) in recorded {
                    let Some(other) = live.get(key) else { continue };
                    let kind = if generated && key == "name" { Some(Kind::Name) } else { kind(key) };
                    match (kind, value, other) {
                        (Some(kind), Value::String(value), Value::String(other)) if !value.is_empty() => {
                            self.0.insert((kind, value.clone()), other.clone());
                        }
                        _ => self.learn(value, other),
                    }
                }
            }
            _ => {}
        }
    }

    /// The request as the live server understands it.
    pub fn replace(&self, request: &Request) -> Request {
        let mut request = request.clone();
        request.path = self.path(&request.path);
        self.body(&mut request.body);
        request
    }

    fn value(&self, kind: Kind, recorded: &str) -> Option<&String> {
        self.0.get(&(kind, recorded.to_owned()))
    }

    fn path(&self, path: &str) -> String {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let segments: Vec<&str> = path
            .split('/')
            .map(|segment| self.value(Kind::Name, segment).map_or(segment, String::as_str))
            .collect();
        let mut replaced = segments.join("/");
        for (at, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
            replaced.push(if at == 0 { '?' } else { '&' });
            let live = pair.split_once('=').and_then(|(key, value)| {
                let value = percent_decode_str(value).decode_utf8().ok()?;
                Some((key, self.value(kind(key)?, &value)?))
            });
            match live {
                Some((key, value)) => {
                    replaced.push_str(&format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
                }
                None => replaced.push_str(pair),
            }
        }
        replaced
    }

    fn body(&self, body: &mut Value) {
        match body {
            Value::Array(items) => items.iter_mut().for_each(|item| self.body(item)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    let kind = if key == "name" { Some(Kind::Name) } else { kind(key) };
                    let live = kind.zip(value.as_str()).and_then(|(kind, text)| self.value(kind, text));
                    match live {
                        Some(live) => *value = Value::String(live.clone()),
                        None => self.body(value),
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(path: &str, body: Value) -> Request {
        Request { method: "PUT".to_owned(), path: path.to_owned(), content_type: None, accept: None, body }
    }

    #[test]
    fn recorded_values_become_live_ones() {
        let mut learned = Learned::default();
        learned.learn(
            &json!({"metadata": {"continue": "ab=", "resourceVersion": "7"}, "items": [
                {"metadata": {"uid": "u1", "name": "a"}},
                {"metadata": {"uid": "u2", "generateName": "g-", "name": "g-abcde"}},
            ]}),
            &json!({"metadata": {"continue": "x/=", "resourceVersion": "900"}, "items": [
                {"metadata": {"uid": "l1", "name": "other"}},
                {"metadata": {"uid": "l2", "generateName": "g-", "name": "g-vwxyz"}},
            ]}),
        );
        // Path, body, path on the live server, body there.
        let table = [
            ("/x?limit=7&continue=ab%3D", Value::Null, "/x?limit=7&continue=x%2F%3D", Value::Null),
            ("/x?resourceVersion=7", json!("raw 7"), "/x?resourceVersion=900", json!("raw 7")),
            ("/x?resourceVersion=8", json!([7]), "/x?resourceVersion=8", json!([7])),
            ("/x/g-abcde", json!({"name": "g-abcde"}), "/x/g-vwxyz", json!({"name": "g-vwxyz"})),
            ("/x/a", json!({"uid": "u2", "n": "7"}), "/x/a", json!({"uid": "l2", "n": "7"})),
            (
                "/x",
                json!({"metadata": {"resourceVersion": "7"}}),
                "/x",
                json!({"metadata": {"resourceVersion": "900"}}),
            ),
        ];
        for (path, body, live_path, live_body) in table {
            let replaced = learned.replace(&request(path, body));
            assert_eq!(replaced, request(live_path, live_body), "{path}");
        }
    }
}
