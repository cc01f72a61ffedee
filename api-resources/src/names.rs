//! The rules of names, keys, ports and addresses, with the words in which Kubernetes refuses them.
//!
//! A rule takes a text and gives what is wrong with it: nothing for a good one. The rules are those of RFC 1123,
//! RFC 1035 and RFC 6335 with Kubernetes' own limits.

pub use crate::addresses::{canonical_ip, cidr, ip, not_special_ip};

/// What a number below zero is told.
pub const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// The longest DNS label.
pub const LABEL_MAX: usize = 63;
/// The longest DNS subdomain.
pub const SUBDOMAIN_MAX: usize = 253;
/// The most bytes that the keys and values of all annotations may have together.
pub const ANNOTATIONS_MAX: usize = 256 * 1024;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

/// Keys and values of labels are told in bytes what all other names are told in characters.
fn too_many_bytes(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn must_match(what: &str, pattern: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{what} (regex used for validation is '{pattern}')");
    }
    let examples: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!("{what} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}

/// `must be between LOW and HIGH, inclusive`.
pub fn range_message(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

/// First and last character satisfy `edge`, all between them `edge` or `inner`.
fn framed(text: &str, edge: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    match text.as_bytes() {
        [] => false,
        [one] => edge(*one),
        [first, middle @ .., last] => {
            edge(*first) && edge(*last) && middle.iter().all(|b| edge(*b) || inner(*b))
        }
    }
}

fn lower_alphanumeric(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn is_label_shape(text: &str) -> bool {
    framed(text, lower_alphanumeric, |b| b == b'-')
}

fn is_subdomain_shape(text: &str) -> bool {
    text.split('.').all(is_label_shape)
}

fn is_qualified_shape(text: &str) -> bool {
    framed(text, |b| b.is_ascii_alphanumeric(), |b| matches!(b, b'-' | b'_' | b'.'))
}

/// A DNS label (RFC 1123): `my-name`.
pub fn dns_label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > LABEL_MAX {
        wrong.push(too_long(LABEL_MAX));
    }
    if !is_label_shape(text) {
        wrong.push(if is_subdomain_shape(text) {
            "must not contain dots".to_owned()
        } else {
            must_match(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                LABEL,
                &["my-name", "123-abc"],
            )
        });
    }
    wrong
}

/// A DNS subdomain (RFC 1123): `example.com`.
pub fn dns_subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        wrong.push(too_long(SUBDOMAIN_MAX));
    }
    wrong.extend(subdomain_shape(text));
    wrong
}

fn subdomain_shape(text: &str) -> Option<String> {
    (!is_subdomain_shape(text)).then(|| {
        must_match(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            &format!(r"{LABEL}(\.{LABEL})*"),
            &["example.com"],
        )
    })
}

/// [`dns_subdomain`] whose labels may start with and contain `_`: DNS search domains.
pub fn dns_subdomain_with_underscore(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        wrong.push(too_long(SUBDOMAIN_MAX));
    }
    let label =
        |l: &str| framed(l.strip_prefix('_').unwrap_or(l), lower_alphanumeric, |b| matches!(b, b'-' | b'_'));
    if !text.split('.').all(label) {
        let pattern = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
        wrong.push(must_match(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
            &format!(r"{pattern}(\.{pattern})*"),
            &["example.com"],
        ));
    }
    wrong
}

/// A subdomain below a wildcard: `*.example.com`.
pub fn wildcard_subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        wrong.push(too_long(SUBDOMAIN_MAX));
    }
    if !text.strip_prefix("*.").is_some_and(is_subdomain_shape) {
        wrong.push(must_match(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{LABEL}(\.{LABEL})*"),
            &["*.example.com"],
        ));
    }
    wrong
}

/// A DNS label that starts with a letter (RFC 1035): the names of services.
pub fn dns_1035_label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > LABEL_MAX {
        wrong.push(too_long(LABEL_MAX));
    }
    if !is_label_shape(text) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        wrong.push(must_match(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    wrong
}

/// A label key, finalizer or resource name: `example.com/MyName`, the prefix optional.
pub fn qualified_name(text: &str) -> Vec<String> {
    let what = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let examples = ["MyName", "my.name", "123-abc"];
    let parts: Vec<&str> = text.split('/').collect();
    let mut wrong = Vec::new();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                if prefix.len() > SUBDOMAIN_MAX {
                    wrong.push(format!("prefix part {}", too_many_bytes(SUBDOMAIN_MAX)));
                }
                wrong.extend(subdomain_shape(prefix).map(|m| format!("prefix part {m}")));
            }
            *name
        }
        _ => {
            let must = must_match(what, QUALIFIED, &examples);
            return vec![format!(
                "a valid label key {must} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        wrong.push(format!("name part {}", too_many_bytes(LABEL_MAX)));
    }
    if !is_qualified_shape(name) {
        wrong.push(format!("name part {}", must_match(what, QUALIFIED, &examples)));
    }
    wrong
}

/// The value of a label: empty, or up to 63 letters, digits, `-`, `_`, `.`.
pub fn label_value(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > LABEL_MAX {
        wrong.push(too_many_bytes(LABEL_MAX));
    }
    if !text.is_empty() && !is_qualified_shape(text) {
        wrong.push(must_match(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            &format!("({QUALIFIED})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    wrong
}

/// A name that is one segment of a path and nothing else: roles and bindings.
pub fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    let bad = ['/', '%'].into_iter().filter(|c| text.contains(*c));
    bad.map(|c| format!("may not contain '{c}'")).collect()
}

/// A key of a ConfigMap or Secret: `key.name`.
pub fn config_key(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        wrong.push(too_long(SUBDOMAIN_MAX));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || !text.bytes().all(allowed) {
        wrong.push(must_match(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    if text == "." || text == ".." {
        wrong.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        wrong.push("must not start with '..'".to_owned());
    }
    wrong
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn env_name(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if text.bytes().any(|b| !(b' '..=b'~').contains(&b) || b == b'=') {
        return vec![
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        ];
    }
    Vec::new()
}

/// The name of a header of an HTTP probe.
pub fn http_header(text: &str) -> Vec<String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    vec![must_match(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// The name of a port (RFC 6335): at most 15 lower case letters, digits and hyphens, at least one letter.
pub fn port_name(text: &str) -> Vec<String> {
    let rules: [(bool, &str); 5] = [
        (text.len() > 15, "must be no more than 15 characters"),
        (
            text.is_empty() || !text.bytes().all(|b| lower_alphanumeric(b) || b == b'-'),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (!text.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        (text.contains("--"), "must not contain consecutive hyphens"),
        (text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    rules.iter().filter(|(broken, _)| *broken).map(|(_, message)| (*message).to_owned()).collect()
}

/// The number of a port: 1 to 65535.
pub fn port_number(port: i64) -> Vec<String> {
    in_range(port, 1, 65535)
}

/// The id of a user or group: 0 to 2^31 − 1.
pub fn user_id(id: i64) -> Vec<String> {
    in_range(id, 0, i64::from(i32::MAX))
}

/// A number from `low` to `high`.
pub fn in_range(value: i64, low: i64, high: i64) -> Vec<String> {
    if (low..=high).contains(&value) { Vec::new() } else { vec![range_message(low, high)] }
}

/// A percentage: `25%`.
pub fn percent(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%').unwrap_or("");
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Vec::new();
    }
    vec![must_match(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// The path of a URL (RFC 3986).
pub fn http_path(text: &str) -> Vec<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    if !text.is_empty() && text.bytes().all(allowed) {
        return Vec::new();
    }
    vec![must_match("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", &[])]
}

/// The name that a server makes from a prefix ends in other characters: a dash at the prefix's end is fine.
pub fn of_prefix(rule: fn(&str) -> Vec<String>, prefix: &str) -> Vec<String> {
    match prefix.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => rule(&format!("{rest}a")),
        _ => rule(prefix),
    }
}

#[cfg(test)]
mod tests;
