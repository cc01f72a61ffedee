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
    if !is_subdomain_shape(text) {
        wrong.push(must_match(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            &format!(r"{LABEL}(\.{LABEL})*"),
            &["example.com"],
        ));
    }
    wrong
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
                wrong.extend(dns_subdomain(prefix).into_iter().map(|m| format!("prefix part {m}")));
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
        wrong.push(format!("name part {}", too_long(LABEL_MAX)));
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
        wrong.push(too_long(LABEL_MAX));
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

/// A qualified name that must have its prefix: `example.com/thing`.
pub fn domain_prefixed_path(text: &str) -> Vec<String> {
    let Some((host, path)) = text.split_once('/').filter(|(h, p)| !h.is_empty() && !p.is_empty()) else {
        return vec!["must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned()];
    };
    let mut wrong = dns_subdomain(host);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    if !path.bytes().all(allowed) {
        wrong.push(must_match("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", &[]));
    }
    wrong
}

/// The name that a server makes from a prefix ends in other characters: a dash at the prefix's end is fine.
pub fn of_prefix(rule: fn(&str) -> Vec<String>, prefix: &str) -> Vec<String> {
    match prefix.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => rule(&format!("{rest}a")),
        _ => rule(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Rule = fn(&str) -> Vec<String>;

    #[test]
    fn good_and_bad_names() {
        let long = |n: usize| "a".repeat(n);
        let table: Vec<(&str, Rule, Vec<String>, Vec<String>)> = vec![
            (
                "label",
                dns_label,
                vec!["a".into(), "0".into(), "my-name".into(), long(63)],
                vec!["".into(), "-a".into(), "a-".into(), "A".into(), "a.b".into(), "a_b".into(), long(64)],
            ),
            (
                "subdomain",
                dns_subdomain,
                vec!["a.b".into(), "a-1.b".into(), long(253)],
                vec!["".into(), ".".into(), "a..b".into(), "a.-b".into(), "a.B".into(), long(254)],
            ),
            (
                "underscored subdomain",
                dns_subdomain_with_underscore,
                vec!["_tcp.a".into(), "a_b".into()],
                vec!["__a".into(), "_".into(), "a.".into()],
            ),
            (
                "RFC 1035 label",
                dns_1035_label,
                vec!["a".into(), "a-0".into()],
                vec!["0a".into(), "-".into(), "".into(), long(64)],
            ),
            (
                "wildcard",
                wildcard_subdomain,
                vec!["*.a.b".into()],
                vec!["*".into(), "a.*".into(), "*.".into()],
            ),
            (
                "qualified name",
                qualified_name,
                vec!["a".into(), "A_b.c-D".into(), "example.com/x".into()],
                vec![
                    "".into(),
                    "/a".into(),
                    "a/".into(),
                    "a/b/c".into(),
                    "-a".into(),
                    "A.com/x".into(),
                    long(64),
                ],
            ),
            (
                "label value",
                label_value,
                vec!["".into(), "A_b.c".into()],
                vec!["-".into(), "a ".into(), long(64)],
            ),
            (
                "path segment",
                path_segment,
                vec!["system:a".into(), "A b".into()],
                vec![".".into(), "..".into(), "a/b".into(), "a%b".into()],
            ),
            (
                "config key",
                config_key,
                vec!["a.b_c-D".into(), ".x".into()],
                vec!["".into(), ".".into(), "..a".into(), "a b".into()],
            ),
            (
                "environment",
                env_name,
                vec!["A".into(), "1 a-b.c".into()],
                vec!["".into(), "a=b".into(), "é".into(), "\t".into()],
            ),
            (
                "port",
                port_name,
                vec!["http".into(), "a-1".into()],
                vec!["".into(), "1".into(), "a--b".into(), "-a".into(), "A".into(), long(16)],
            ),
            (
                "percent",
                percent,
                vec!["25%".into()],
                vec!["%".into(), "25".into(), "-1%".into(), "1.5%".into()],
            ),
            ("header", http_header, vec!["X-A".into()], vec!["".into(), "a b".into(), "a_b".into()]),
            (
                "domain path",
                domain_prefixed_path,
                vec!["a.b/c/d".into()],
                vec!["a".into(), "/c".into(), "a/".into(), "A/b".into(), "a/b c".into()],
            ),
            (
                "address",
                ip,
                vec!["10.0.0.1".into(), "::1".into(), "FE80:0::1".into()],
                vec![
                    "".into(),
                    "10.0.0".into(),
                    "010.0.0.1".into(),
                    "::ffff:1.2.3.4".into(),
                    "1.2.3.4/32".into(),
                ],
            ),
            (
                "canonical address",
                canonical_ip,
                vec!["2001:db8::1".into()],
                vec!["2001:0db8::1".into(), "x".into()],
            ),
            (
                "network",
                cidr,
                vec![
                    "10.0.0.0/8".into(),
                    "0.0.0.0/0".into(),
                    "::/0".into(),
                    "2001:db8::/32".into(),
                    "1.2.3.4/32".into(),
                ],
                vec![
                    "10.0.0.0".into(),
                    "10.0.0.1/8".into(),
                    "10.0.0.0/33".into(),
                    "10.0.0.0/08".into(),
                    "::/129".into(),
                    "a/8".into(),
                ],
            ),
        ];
        for (what, rule, good, bad) in table {
            good.iter().for_each(|text| assert_eq!(rule(text), Vec::<String>::new(), "{what}: {text:?}"));
            bad.iter().for_each(|text| assert!(!rule(text).is_empty(), "{what}: {text:?}"));
        }
    }

    #[test]
    fn refusals_say_what_a_name_must_be() {
        assert_eq!(
            dns_label("a.b"),
            ["must not contain dots"],
            "a good subdomain is told only what is wrong with it"
        );
        assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
        assert!(dns_label("A")[0].ends_with(
            "(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ));
        assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
        assert_eq!(qualified_name("a/")[0], "name part must be non-empty");
        assert_eq!(port_number(0), ["must be between 1 and 65535, inclusive"]);
        assert_eq!(ip("010.0.0.1"), ["must not have leading 0s"]);
        assert_eq!(not_special_ip("127.0.0.1"), ["may not be in the loopback range (127.0.0.0/8, ::1/128)"]);
        assert_eq!(
            not_special_ip("fe80::1"),
            ["may not be in the link-local range (169.254.0.0/16, fe80::/10)"]
        );
        assert_eq!(of_prefix(dns_label, "web-"), Vec::<String>::new());
        assert!(!of_prefix(dns_label, "-").is_empty());
    }

    proptest! {
        #[test]
        fn the_shown_patterns_are_the_rules(text in "[a-zA-Z0-9._/%*-]{0,12}") {
            let full = |pattern: &str| regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
            prop_assert_eq!(dns_label(&text).is_empty(), full(LABEL).is_match(&text));
            let subdomain = full(&format!(r"{LABEL}(\.{LABEL})*"));
            prop_assert_eq!(dns_subdomain(&text).is_empty(), subdomain.is_match(&text));
            let rfc_1035 = full("[a-z]([-a-z0-9]*[a-z0-9])?");
            prop_assert_eq!(dns_1035_label(&text).is_empty(), rfc_1035.is_match(&text));
            let value = full(&format!("({QUALIFIED})?"));
            prop_assert_eq!(label_value(&text).is_empty(), value.is_match(&text));
            let wildcard = full(&format!(r"\*\.{LABEL}(\.{LABEL})*"));
            prop_assert_eq!(wildcard_subdomain(&text).is_empty(), wildcard.is_match(&text));
            let qualified = match text.split_once('/') {
                None => full(QUALIFIED).is_match(&text),
                Some((prefix, name)) => subdomain.is_match(prefix) && full(QUALIFIED).is_match(name),
            };
            prop_assert_eq!(qualified_name(&text).is_empty(), qualified);
        }

        #[test]
        fn narrower_rules_imply_wider_ones(text in "\\PC{0,80}|[a-z0-9.-]{0,80}") {
            if dns_1035_label(&text).is_empty() {
                prop_assert!(dns_label(&text).is_empty());
            }
            if dns_label(&text).is_empty() {
                prop_assert!(dns_subdomain(&text).is_empty());
                prop_assert!(label_value(&text).is_empty());
                prop_assert!(path_segment(&text).is_empty());
            }
        }

        #[test]
        fn every_network_of_an_address_is_good_and_canonical(bits: u32, length in 0u32..=32) {
            let network = bits.checked_shl(32 - length).unwrap_or(0);
            let address = std::net::Ipv4Addr::from(network);
            prop_assert_eq!(cidr(&format!("{address}/{length}")), Vec::<String>::new());
            prop_assert_eq!(canonical_ip(&address.to_string()), Vec::<String>::new());
        }
    }
}
