//! Secrets: texts become data, and each type needs its keys.

use super::configmaps::{DATA_MAX, decoded_length};
use super::generic::{kept_when_immutable, plain};
use super::place::{Causes, Place, immutable, invalid_all, map_at, set_default_text};
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The annotation that names the service account of a token's secret.
pub const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// The keys that a type needs.
const KEYS: &[(&str, &[&str])] = &[
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
];

/// How secrets are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        validate_create,
        validate_update: |new, old| {
            let mut out = Vec::new();
            immutable(&mut out, new, old, "type");
            out.extend(kept_when_immutable(new, old, &["data"]));
            out.extend(validate_create(new));
            out
        },
        ..plain()
    }
}

fn default(object: &mut Value) {
    set_default_text(object, "type", "Opaque");
    let texts = object.as_object_mut().and_then(|map| map.remove("stringData"));
    let Some(Value::Object(texts)) = texts else { return };
    if texts.is_empty() {
        return;
    }
    if let Some(Value::Object(data)) = map_at(object, "data") {
        for (key, text) in texts {
            data.insert(key, Value::from(STANDARD.encode(text.as_str().unwrap_or(""))));
        }
    }
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    let root = Place::root(object);
    let data = root.field("data");
    let mut size = 0;
    for (key, value) in root.map("data") {
        invalid_all(&mut out, &data.key(key).path, key, names::config_key(key));
        size += value.as_str().map_or(0, decoded_length);
    }
    if size > DATA_MAX {
        out.push(Cause::too_long("data", DATA_MAX));
    }
    let kind = root.text("type");
    if kind == "kubernetes.io/service-account-token" {
        let name = root.field("metadata").field("annotations").key(SERVICE_ACCOUNT_NAME);
        if name.as_text().is_empty() {
            out.push(Cause::required(name.path, ""));
        }
    }
    let basic = ["username", "password"];
    if kind == "kubernetes.io/basic-auth" && basic.iter().all(|key| data.value.get(key).is_none()) {
        out.extend(basic.iter().map(|key| Cause::required(data.key(key).path, "")));
    }
    let keys = KEYS.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, keys)| *keys);
    for key in keys {
        let place = data.key(key);
        let empty = kind == "kubernetes.io/ssh-auth" && place.as_text().is_empty();
        if place.value.is_null() || empty {
            out.push(Cause::required(place.path, ""));
        } else if key.starts_with(".docker") && !is_json_object(place.as_text()) {
            out.push(Cause::invalid(
                place.path,
                &Value::from("<secret contents redacted>"),
                "must be a JSON object",
            ));
        }
    }
    out
}

fn is_json_object(base64: &str) -> bool {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes).is_ok()
}
