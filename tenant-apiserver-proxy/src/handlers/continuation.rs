//! The `continue` token of a paged list: the revision that all pages show, and where the next page begins.

use api_schema::decode::{self, Format};
use api_types::{ApiError, ObjectName, Reason, Revision};
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

const VERSION: &str = "meta.k8s.io/v1";
/// The revision of a token that goes on with whatever is newest.
const NEWEST: i64 = -1;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// What the pages show; `None`: the newest, since what the first page showed is forgotten.
    pub revision: Option<Revision>,
    /// The last object of the page before.
    pub after: ObjectName,
}

impl Continuation {
    /// As the client carries it.
    pub fn encode(&self) -> String {
        let revision = self.revision.map_or(json!(NEWEST), |revision| json!(revision.0));
        let start = match self.after.namespace.as_str() {
            "" => format!("/{}\0", self.after.name),
            namespace => format!("/{namespace}/{}\0", self.after.name),
        };
        BASE64.encode(json!({"v": VERSION, "rv": revision, "start": start}).to_string())
    }

    /// Reads a token of a list of a namespace (empty: of all).
    pub fn decode(token: &str, namespaced: bool) -> Result<Self, ApiError> {
        let key = |why: &str| {
            ApiError::bad_request(format!("invalid continue token: continue key is not valid{why}"))
        };
        let bytes = BASE64
            .decode(token)
            .map_err(|_| key(&format!(": illegal base64 data at input byte {}", first_wrong(token))))?;
        let value = decode::decode_any(&bytes, Format::Json).map_err(|error| {
            let text = error.to_string();
            let plain = text.strip_prefix("couldn't get version/kind; json parse error: ").unwrap_or(&text);
            match bytes.first() {
                Some(first) if !first.is_ascii() => {
                    key(&format!(": invalid character '\\x{first:02x}' looking for beginning of value"))
                }
                _ => key(&format!(": {plain}")),
            }
        })?;
        check_form(&value).map_err(|why| key(&format!(": {why}")))?;
        let version = value["v"].as_str().unwrap_or("");
        if version != VERSION {
            return Err(key(&format!(": server does not recognize this encoded version {version}")));
        }
        let revision = match value.get("rv") {
            None | Some(Value::Null) => 0,
            Some(revision) => revision.as_i64().unwrap_or(0),
        };
        if revision == 0 {
            return Err(key(": incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        let start = value["start"].as_str().unwrap_or("");
        if start.is_empty() {
            return Err(key(": encoded start key empty (version meta.k8s.io/v1)"));
        }
        let path = start.strip_prefix('/').unwrap_or(start);
        let wrong = |part: &str| part.is_empty() || part == "." || part == "..";
        if path.split('/').any(wrong) {
            return Err(key(&format!(": {start}")));
        }
        let path = path.strip_suffix('\0').unwrap_or(path);
        let after = match path.split_once('/') {
            Some((namespace, name)) if namespaced => ObjectName::new(namespace, name),
            _ => ObjectName::new("", path),
        };
        let revision = u64::try_from(revision).ok().map(Revision);
        Ok(Continuation { revision, after })
    }

    /// 410 for a token whose revision is forgotten, with one that goes on with what is newest.
    pub fn expired(&self) -> ApiError {
        let fresh = Continuation { revision: None, after: self.after.clone() };
        ApiError::new(
            Reason::Expired,
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter, or use the continue token in this response to retrieve the remainder of \
             the results. Continuing with the provided token results in an inconsistent list - objects that were \
             created, modified, or deleted between the time the first chunk was returned and now may show up in the \
             list.",
        )
        .with_continue(fresh.encode())
    }
}

/// What a token is made of, in the words of Go's JSON.
fn check_form(token: &Value) -> Result<(), String> {
    let word = |value: &Value| match value {
        Value::Null => None,
        Value::Bool(_) => Some("bool"),
        Value::Number(_) => Some("number"),
        Value::String(_) => Some("string"),
        Value::Array(_) => Some("array"),
        Value::Object(_) => Some("object"),
    };
    if let Some(word) = word(token).filter(|word| *word != "object") {
        return Err(format!("json: cannot unmarshal {word} into Go value of type storage.continueToken"));
    }
    for (field, of) in [("v", "string"), ("rv", "int64"), ("start", "string")] {
        let value = &token[field];
        let found = match of {
            "int64" if value.is_i64() => None,
            "int64" if value.is_number() => Some(format!("number {value}")),
            "int64" => word(value).map(str::to_owned),
            _ => word(value).filter(|word| *word != "string").map(str::to_owned),
        };
        if let Some(found) = found {
            let field = format!("continueToken.{field} of type {of}");
            return Err(format!("json: cannot unmarshal {found} into Go struct field {field}"));
        }
    }
    Ok(())
}

/// Where Go finds the first byte that is no base64.
fn first_wrong(token: &str) -> usize {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    token.bytes().position(|byte| !known(byte)).unwrap_or(token.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_are_reversible() {
        for (namespace, name) in [("", "n"), ("ns", "a.b-c")] {
            for revision in [Some(Revision(12)), None] {
                let token = Continuation { revision, after: ObjectName::new(namespace, name) };
                assert_eq!(Continuation::decode(&token.encode(), !namespace.is_empty()).unwrap(), token);
            }
        }
        let token = Continuation { revision: Some(Revision(3)), after: ObjectName::new("", "n") };
        assert_eq!(
            Continuation::decode(text(&token.expired().to_status()["metadata"]["continue"]), false).unwrap(),
            Continuation { revision: None, ..token }
        );
    }

    fn text(value: &Value) -> &str {
        value.as_str().unwrap()
    }

    #[test]
    fn a_broken_token_is_refused_in_kubernetes_words() {
        let of = |value: Value| BASE64.encode(value.to_string());
        let table = [
            ("nope".to_owned(), ": invalid character '\\x9e' looking for beginning of value"),
            ("zzz".to_owned(), ": invalid character '\\xcf' looking for beginning of value"),
            ("a=b".to_owned(), ": illegal base64 data at input byte 1"),
            (
                of(json!({"v": "meta.k8s.io/v2"})),
                ": server does not recognize this encoded version meta.k8s.io/v2",
            ),
            (
                of(json!({"v": VERSION, "start": "a"})),
                ": incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ),
            (of(json!("x")), ": json: cannot unmarshal string into Go value of type storage.continueToken"),
            (
                of(json!({"v": VERSION, "rv": "a"})),
                ": json: cannot unmarshal string into Go struct field continueToken.rv of type int64",
            ),
            (of(json!({"v": VERSION, "rv": 1})), ": encoded start key empty (version meta.k8s.io/v1)"),
            (of(json!({"v": VERSION, "rv": 1, "start": "../x"})), ": ../x"),
        ];
        for (token, why) in table {
            let error = Continuation::decode(&token, true).unwrap_err();
            assert_eq!(error.message(), format!("invalid continue token: continue key is not valid{why}"));
        }
    }

    proptest! {
        #[test]
        fn any_token_is_read_or_refused(token in "\\PC{0,40}", bytes in proptest::collection::vec(any::<u8>(), 0..60),
            rv in any::<i64>(), start in "\\PC{0,20}") {
            let made = json!({"v": VERSION, "rv": rv, "start": start}).to_string();
            for token in [token, BASE64.encode(bytes), BASE64.encode(made)] {
                for namespaced in [false, true] {
                    let Ok(read) = Continuation::decode(&token, namespaced) else { continue };
                    let again = Continuation::decode(&read.encode(), !read.after.namespace.is_empty());
                    prop_assert_eq!(again.ok(), Some(read), "{}", token);
                }
            }
        }
    }
}
