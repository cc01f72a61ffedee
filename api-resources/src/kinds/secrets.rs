//! Secrets: texts become data, and each type needs its keys.

use super::configmaps::{DATA_MAX, decoded_length};
use super::generic::{kept_when_immutable, plain};
use super::key_pairs::mismatch;
use super::place::{Causes, Place, immutable, invalid_all, lookup, map_at, set_default_text};
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
        warnings,
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
        } else if key.starts_with(".docker")
            && let Some(wrong) = no_json_object(place.as_text())
        {
            let shown = Value::from("<secret contents redacted>");
            out.push(Cause::invalid(place.path, &shown, &wrong));
        }
    }
    out
}

/// What is wrong with a text that should be a JSON object, in the words of Kubernetes' decoder.
fn no_json_object(base64: &str) -> Option<String> {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    let kind = match api_schema::decode::decode_any(&bytes, api_schema::decode::Format::Json) {
        Err(error) => return Some(error.to_string()),
        Ok(Value::Object(_) | Value::Null) => return None,
        Ok(Value::Array(_)) => "array",
        Ok(Value::String(_)) => "string",
        Ok(Value::Number(_)) => "number",
        Ok(Value::Bool(_)) => "bool",
    };
    Some(format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"))
}

/// A certificate and a key that no server can use.
fn warnings(object: &Value) -> Vec<String> {
    if lookup(object, "type") != "kubernetes.io/tls" {
        return Vec::new();
    }
    let data = lookup(object, "data");
    let blocks = |key: &str| {
        let text = data[key].as_str().map(|text| STANDARD.decode(text).unwrap_or_default());
        pem_blocks(&String::from_utf8_lossy(&text.unwrap_or_default()))
    };
    let types = |blocks: &[Block]| -> Vec<String> { blocks.iter().map(|(of, _)| of.clone()).collect() };
    let (certificates, keys) = (blocks("tls.crt"), blocks("tls.key"));
    let mismatch = || {
        let (_, certificate) = certificates.iter().find(|(of, _)| of == "CERTIFICATE")?;
        let (_, key) = keys.iter().find(|(of, _)| of.ends_with("PRIVATE KEY"))?;
        mismatch(certificate, key).map(str::to_owned)
    };
    let wrong = no_certificate(&types(&certificates)).or_else(|| no_key(&types(&keys))).or_else(mismatch);
    wrong.map(|wrong| format!("tls: {wrong}")).into_iter().collect()
}

fn no_certificate(types: &[String]) -> Option<String> {
    match types {
        [] => Some("failed to find any PEM data in certificate input".to_owned()),
        types if types.iter().any(|of| of == "CERTIFICATE") => None,
        [one] if one.ends_with("PRIVATE KEY") => Some(
            "failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched"
                .to_owned(),
        ),
        others => Some(format!(
            "failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]",
            others.join(" ")
        )),
    }
}

fn no_key(types: &[String]) -> Option<String> {
    match types {
        [] => Some("failed to find any PEM data in key input".to_owned()),
        types if types.iter().any(|of| of == "PRIVATE KEY" || of.ends_with(" PRIVATE KEY")) => None,
        [one] if one == "CERTIFICATE" => {
            Some("found a certificate rather than a key in the PEM for the private key".to_owned())
        }
        others => Some(format!(
            "failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [{}]",
            others.join(" ")
        )),
    }
}

/// The type and content of a block.
type Block = (String, Vec<u8>);

/// The blocks of a PEM text (RFC 7468) whose content can be read.
fn pem_blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        rest = after;
        let Some((of, body)) = after.split_once("-----") else { break };
        let Some((content, after)) = body.split_once(&format!("-----END {of}-----")) else { continue };
        let content: String = content.split("\n\n").last().unwrap_or("").split_whitespace().collect();
        if let Ok(content) = STANDARD.decode(content) {
            blocks.push((of.to_owned(), content));
            rest = after;
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unusable_certificates_and_keys_are_told() {
        let block = |of: &str| format!("-----BEGIN {of}-----\nYWJj\n-----END {of}-----\n");
        let (certificate, key) = (block("CERTIFICATE"), block("EC PRIVATE KEY"));
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----";
        for (crt, pem, expected) in [
            (&*certificate, &*key, None),
            ("x", &*key, Some("tls: failed to find any PEM data in certificate input")),
            (broken, &*key, Some("tls: failed to find any PEM data in certificate input")),
            (&*certificate, "", Some("tls: failed to find any PEM data in key input")),
            (
                &*certificate,
                &*certificate,
                Some("tls: found a certificate rather than a key in the PEM for the private key"),
            ),
            (
                &*key,
                &*key,
                Some(
                    "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
                ),
            ),
        ] {
            let data = json!({"tls.crt": STANDARD.encode(crt), "tls.key": STANDARD.encode(pem)});
            let object = json!({"type": "kubernetes.io/tls", "data": data});
            assert_eq!(warnings(&object).first().map(String::as_str), expected);
        }
    }

    #[test]
    fn docker_configs_are_json_objects() {
        for (text, expected) in [
            ("{}", None),
            ("", Some("unexpected end of JSON input")),
            ("i", Some("invalid character 'i' looking for beginning of value")),
            ("[]", Some("json: cannot unmarshal array into Go value of type map[string]interface {}")),
        ] {
            assert_eq!(no_json_object(&STANDARD.encode(text)).as_deref(), expected, "{text}");
        }
    }
}
