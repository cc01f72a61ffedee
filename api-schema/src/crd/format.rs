//! The formats of strings that a schema can ask for.

use base64::Engine;
use regex::Regex;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

type Check = fn(&str) -> bool;

/// Each format by its name without dashes, and what fits it.
const FORMATS: &[(&str, Check)] = &[
    ("bsonobjectid", |s| s.len() == 24 && s.bytes().all(|b| b.is_ascii_hexdigit())),
    ("uri", is_uri),
    ("email", |s| matches("email", s)),
    ("hostname", is_hostname),
    ("ipv4", |s| s.parse::<Ipv4Addr>().is_ok()),
    ("ipv6", |s| s.parse::<Ipv6Addr>().is_ok()),
    ("cidr", is_cidr),
    ("mac", |s| matches("mac", s)),
    ("uuid", |s| matches("uuid", s)),
    ("uuid3", |s| matches("uuid", s) && bare_uuid(s)[12] == b'3'),
    ("uuid4", |s| matches("uuid", s) && bare_uuid(s)[12] == b'4' && has_variant(s)),
    ("uuid5", |s| matches("uuid", s) && bare_uuid(s)[12] == b'5' && has_variant(s)),
    ("isbn", |s| is_isbn10(s) || is_isbn13(s)),
    ("isbn10", is_isbn10),
    ("isbn13", is_isbn13),
    ("creditcard", is_credit_card),
    ("ssn", |s| matches("ssn", s)),
    ("hexcolor", |s| matches("hex_color", s)),
    ("rgbcolor", is_rgb),
    ("byte", |s| !s.is_empty() && base64::engine::general_purpose::STANDARD.decode(s).is_ok()),
    ("password", |_| true),
    ("date", |s| s.len() == 10 && s.parse::<jiff::civil::Date>().is_ok()),
    ("duration", |s| duration(s).is_some()),
    ("datetime", is_date_time),
    ("k8sshortname", |s| s.len() <= 63 && matches("label", s)),
    ("k8slongname", |s| s.len() <= 253 && matches("subdomain", s)),
];

/// The formats, or parts of them, that are regular expressions.
const PATTERNS: &[(&str, &str)] = &[
    ("email", r"^[^\s@<>(),;:\\]+@[A-Za-z0-9\[]([A-Za-z0-9.:\[\]-]*[A-Za-z0-9\]])?$"),
    (
        "mac",
        r"^([0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){7}|[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){19}|[0-9A-Fa-f]{4}(\.[0-9A-Fa-f]{4}){2}|[0-9A-Fa-f]{4}(\.[0-9A-Fa-f]{4}){3})$",
    ),
    ("uuid", r"^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"),
    ("ssn", r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$"),
    ("hex_color", r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
    (
        "hostname",
        r"^([a-zA-Z0-9\p{S}\p{L}](-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?|([a-zA-Z0-9\p{S}\p{L}]([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?\.)+[a-zA-Z\p{L}]{2,63})$",
    ),
    ("label", r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
    ("subdomain", r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
];

static COMPILED: LazyLock<Vec<(&str, Option<Regex>)>> =
    LazyLock::new(|| PATTERNS.iter().map(|(name, text)| (*name, Regex::new(text).ok())).collect());

fn matches(name: &str, text: &str) -> bool {
    let pattern = COMPILED.iter().find(|(known, _)| *known == name).and_then(|(_, pattern)| pattern.as_ref());
    pattern.is_some_and(|p| p.is_match(text))
}

/// The check of a format. `None`: the format is not known, and says nothing.
pub(super) fn check(format: &str) -> Option<Check> {
    let name = format.replace('-', "");
    FORMATS.iter().find(|(known, _)| *known == name).map(|(_, check)| *check)
}

/// True for a text of a format that is known.
pub(crate) fn has_format(name: &str, text: &str) -> bool {
    check(name).is_some_and(|fits| fits(text))
}

/// True when a schema of this type may ask for the format.
pub(super) fn is_supported(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => check(format).is_some(),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

fn bare_uuid(text: &str) -> Vec<u8> {
    text.bytes().filter(|b| *b != b'-').collect()
}

fn has_variant(text: &str) -> bool {
    matches!(bare_uuid(text)[16].to_ascii_lowercase(), b'8' | b'9' | b'a' | b'b')
}

fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b < 0x21 || b == 0x7f) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut scheme = scheme.bytes();
    scheme.next().is_some_and(|b| b.is_ascii_alphabetic())
        && scheme.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && !rest.is_empty()
}

/// A single label, with at most one dash and that after the first letter, or labels of which the last is made of
/// letters; symbols and other scripts' letters are let through.
fn is_hostname(text: &str) -> bool {
    matches("hostname", text) && text.len() <= 255 && text.split('.').all(|label| label.len() <= 63)
}

/// `rgb(1, 2, 3)`, each up to 255 and without leading zeros.
fn is_rgb(text: &str) -> bool {
    let Some(inner) = text.strip_prefix("rgb(").and_then(|t| t.strip_suffix(')')) else { return false };
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    parts.len() == 3 && parts.iter().all(|p| p.parse::<u8>().is_ok_and(|n| n.to_string() == *p))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let plain = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
    plain && bits.parse::<u8>().is_ok_and(|b| b <= if address.is_ipv4() { 32 } else { 128 })
}

fn is_isbn10(text: &str) -> bool {
    let digits: Vec<u8> = text.bytes().filter(|b| !b"- \t".contains(b)).collect();
    if digits.len() != 10 || !digits[..9].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let sum: u32 = digits[..9].iter().zip(1u32..).map(|(d, n)| u32::from(d - b'0') * n).sum();
    match digits[9] {
        b'X' | b'x' => (sum + 100).is_multiple_of(11),
        d if d.is_ascii_digit() => (sum + 10 * u32::from(d - b'0')).is_multiple_of(11),
        _ => false,
    }
}

fn is_isbn13(text: &str) -> bool {
    let digits: Vec<u8> = text.bytes().filter(|b| !b"- \t".contains(b)).collect();
    if digits.len() != 13 || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let sum: u32 = digits[..12]
        .iter()
        .enumerate()
        .map(|(at, d)| u32::from(d - b'0') * if at % 2 == 0 { 1 } else { 3 })
        .sum();
    u32::from(digits[12] - b'0') == (10 - sum % 10) % 10
}

fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let begins = |range: std::ops::RangeInclusive<u32>, digit_count: usize| {
        digits.get(..digit_count).and_then(|p| p.parse().ok()).is_some_and(|p: u32| range.contains(&p))
    };
    // The number ranges of the issuers.
    let issued = match digits.len() {
        13 => begins(4..=4, 1),
        14 => begins(300..=305, 3) || begins(36..=36, 2) || begins(38..=38, 2),
        15 => begins(34..=34, 2) || begins(37..=37, 2) || begins(2131..=2131, 4) || begins(1800..=1800, 4),
        16 => {
            begins(4..=4, 1)
                || begins(51..=55, 2)
                || begins(2221..=2720, 4)
                || begins(6011..=6011, 4)
                || begins(65..=65, 2)
                || begins(62..=62, 2)
                || begins(67..=67, 2)
                || begins(35..=35, 2)
        }
        _ => false,
    };
    if !issued {
        return false;
    }
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, d)| {
            let digit = u32::from(d - b'0');
            if at % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// RFC 3339, with `T` or a space.
fn is_date_time(text: &str) -> bool {
    text.len() >= 10 && text.is_ascii() && text.parse::<jiff::Timestamp>().is_ok() && text[10..].contains(':')
}

/// A duration as Go writes it (`1h30m`, `-1.5s`, `0`) or in words (`2 hours`), in nanoseconds.
pub(crate) fn duration(text: &str) -> Option<i64> {
    go_duration(text).or_else(|| {
        let text = text.trim();
        let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (count, unit) = (text[..at].parse::<f64>().ok()?, text[at..].trim().to_ascii_lowercase());
        let nanoseconds = match unit.as_str() {
            "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1.0,
            "us" | "\u{b5}s" | "micro" | "micros" | "microsecond" | "microseconds" => 1e3,
            "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1e6,
            "s" | "sec" | "secs" | "second" | "seconds" => 1e9,
            "m" | "min" | "mins" | "minute" | "minutes" => 6e10,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3.6e12,
            "d" | "day" | "days" => 8.64e13,
            "w" | "wk" | "wks" | "week" | "weeks" => 6.048e14,
            _ => return None,
        };
        to_nanoseconds(count * nanoseconds)
    })
}

fn go_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let count: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += count
            * match &rest[..end] {
                "ns" => 1.0,
                "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 6e10,
                "h" => 3.6e12,
                _ => return None,
            };
        rest = &rest[end..];
    }
    to_nanoseconds(sign * total)
}

#[allow(clippy::cast_possible_truncation)] // the range is checked
fn to_nanoseconds(value: f64) -> Option<i64> {
    (value.abs() < 9.2e18).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_pattern_compiles() {
        for (name, compiled) in COMPILED.iter() {
            assert!(compiled.is_some(), "{name}");
        }
    }

    #[test]
    fn formats_accept_and_refuse() {
        for (format, good, bad) in [
            (
                "date-time",
                &["2024-01-02T03:04:05Z", "2024-01-02T03:04:05.123+01:00"][..],
                &["2024-01-02", "2024-01-02T03:04:05", "x", ""][..],
            ),
            ("date", &["2024-02-29"], &["2023-02-29", "2024-1-1", "2024-01-02T00:00:00Z"]),
            ("duration", &["1h30m", "0", "-1.5s", "2 hours", "22 ns"], &["", "1", "h", "1x"]),
            ("ipv4", &["10.0.0.1"], &["10.0.0", "::1", "10.0.0.256"]),
            ("ipv6", &["::1", "2001:db8::1"], &["10.0.0.1", "g::"]),
            ("cidr", &["10.0.0.0/8", "fd00::/8"], &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8"]),
            ("mac", &["00:1a:2b:3c:4d:5e", "001a.2b3c.4d5e"], &["00:1a", "zz:1a:2b:3c:4d:5e"]),
            ("uuid", &["123e4567-e89b-12d3-a456-426614174000"], &["123", ""]),
            ("uuid4", &["9f0a6b1e-7c2d-4a5b-8c3d-1e2f3a4b5c6d"], &["9f0a6b1e-7c2d-3a5b-8c3d-1e2f3a4b5c6d"]),
            ("email", &["a@example.com"], &["a", "@example.com", "a b@example.com"]),
            (
                "hostname",
                &["example.com", "localhost", "a-1.example.com", "a-b"],
                &["-a.com", "a..com", "", "a.1", "a_b.com", "no-x"],
            ),
            ("uri", &["https://example.com/x", "/path"], &["", "no spaces here", "x"]),
            ("byte", &["aGVsbG8="], &["a", "%%%"]),
            ("hexcolor", &["#fff", "00ff00"], &["#ffff", "red"]),
            ("rgbcolor", &["rgb(1, 2, 3)"], &["rgb(256,0,0)"]),
            ("isbn", &["0321751043", "978-0321751041"], &["0321751044"]),
            ("creditcard", &["4111 1111 1111 1111"], &["4111111111111112"]),
            ("ssn", &["123-45-6789"], &["12-45-6789"]),
            ("k8s-short-name", &["a-b"], &["A", "-a", "a.b"]),
            ("k8s-long-name", &["a.b-c"], &["a..b"]),
        ] {
            let check = check(format).unwrap();
            for text in good {
                assert!(check(text), "{format} {text}");
            }
            for text in bad {
                assert!(!check(text), "{format} {text}");
            }
        }
        assert!(check("frob").is_none());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), number in "[0-9.a-z+-]{0,12}") {
            for (_, check) in FORMATS {
                check(&text);
                check(&number);
            }
        }
    }
}
