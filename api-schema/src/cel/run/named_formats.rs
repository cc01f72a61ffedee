//! The formats that have names: `format.dns1123Label().validate("a")`.

use super::urls::Url;
use super::values::{Given, Value};
use crate::crd::has_format;

/// Each with the size of its pattern, by which its cost is counted.
const NAMES: [(&str, u64); 13] = [
    ("byte", 96),
    ("date", 99),
    ("datetime", 99),
    ("dns1035Label", 30),
    ("dns1035LabelPrefix", 30),
    ("dns1123Label", 30),
    ("dns1123LabelPrefix", 30),
    ("dns1123Subdomain", 60),
    ("dns1123SubdomainPrefix", 60),
    ("labelValue", 40),
    ("qualifiedName", 60),
    ("uri", 2048),
    ("uuid", 84),
];

fn known(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(known, _)| *known)
}

pub(super) fn pattern_size(name: &str) -> u64 {
    NAMES.iter().find(|(known, _)| *known == name).map_or(0, |(_, size)| *size)
}

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value]) -> Option<Given> {
    Some(Ok(match (name, given) {
        ("format.named", [Value::Text(text)]) => {
            Value::Optional(known(text).map(|name| Value::Format(name).into()))
        }
        (name, []) => Value::Format(known(name.strip_prefix("format.")?)?),
        ("validate", [Value::Format(name), Value::Text(text)]) => {
            let problems = problems(name, text);
            match problems.is_empty() {
                true => Value::Optional(None),
                false => Value::some(Value::list(problems.into_iter().map(Value::from).collect())),
            }
        }
        _ => return None,
    }))
}

const DNS_1123_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
    must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_1123_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' \
    or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DNS_1035_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

fn problems(name: &str, text: &str) -> Vec<String> {
    // The begin of a name may end with a dash: something comes behind it.
    let begun = name.strip_suffix("Prefix");
    let text_of_name = match (begun, text.strip_suffix('-')) {
        (Some(_), Some(begin)) => format!("{begin}a"),
        _ => text.to_owned(),
    };
    let one = |wrong: bool, why: &str| if wrong { vec![why.to_owned()] } else { Vec::new() };
    match begun.unwrap_or(name) {
        "dns1123Label" => {
            // Names that would be subdomains are told of their dots alone.
            if !is_label(&text_of_name) && is_subdomain(&text_of_name) && text_of_name.contains('.') {
                return vec!["must not contain dots".to_owned()];
            }
            bounded(&text_of_name, 63, is_label(&text_of_name), DNS_1123_LABEL)
        }
        "dns1123Subdomain" => bounded(&text_of_name, 253, is_subdomain(&text_of_name), DNS_1123_SUBDOMAIN),
        "dns1035Label" => {
            let alphabetic = text_of_name.starts_with(|c: char| c.is_ascii_lowercase());
            bounded(&text_of_name, 63, alphabetic && is_label(&text_of_name), DNS_1035_LABEL)
        }
        "labelValue" => {
            let mut found = one(text.len() > 63, "must be no more than 63 bytes");
            found.extend(one(!text.is_empty() && !is_name(text), LABEL_VALUE));
            found
        }
        "qualifiedName" => qualified(text),
        "uri" => Url::request(text).err().into_iter().collect(),
        "uuid" => one(!has_format("uuid", text), "does not match the UUID format"),
        "byte" => one(!has_format("byte", text), "invalid base64"),
        "date" => one(!has_format("date", text), "invalid date"),
        _ => one(!has_format("datetime", text), "invalid datetime"),
    }
}

fn bounded(text: &str, most: usize, right: bool, why: &str) -> Vec<String> {
    let mut found = Vec::new();
    if text.len() > most {
        found.push(format!("must be no more than {most} characters"));
    }
    if !right {
        found.push(why.to_owned());
    }
    found
}

/// Lower case letters, digits and dashes, without a dash at an end; of any length.
fn is_label(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain) && text.ends_with(plain) && text.chars().all(|c| plain(c) || c == '-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(plain)
        && text.ends_with(plain)
        && text.chars().all(|c| plain(c) || matches!(c, '-' | '_' | '.'))
}

/// A name, perhaps with a prefix before a slash.
fn qualified(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                found.push("prefix part must be non-empty".to_owned());
            } else {
                let wrong = bounded(prefix, 253, is_subdomain(prefix), DNS_1123_SUBDOMAIN);
                found.extend(wrong.into_iter().map(|why| format!("prefix part {why}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        found.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        found.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_name(name) {
        found.push(format!("name part {NAME_PART}"));
    }
    found
}
