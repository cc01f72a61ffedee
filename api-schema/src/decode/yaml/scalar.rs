//! What a scalar is: by its tag, else by how it looks (YAML 1.1, without numbers to the base 60).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::plain::Plain;

const BOOL: &str = "tag:yaml.org,2002:bool";
const INT: &str = "tag:yaml.org,2002:int";
const FLOAT: &str = "tag:yaml.org,2002:float";
const NULL: &str = "tag:yaml.org,2002:null";
const STR: &str = "tag:yaml.org,2002:str";
const BINARY: &str = "tag:yaml.org,2002:binary";
const TIMESTAMP: &str = "tag:yaml.org,2002:timestamp";
pub(super) const MERGE: &str = "tag:yaml.org,2002:merge";

/// The value of a text with a tag, which may be empty. A tag of the writer's own makes a text of it.
///
/// Errors: the text is nothing that its tag allows.
pub(super) fn resolve(tag: &str, text: &str) -> Result<Plain, String> {
    match tag {
        BINARY => {
            let bytes = STANDARD
                .decode(text.replace(['\r', '\n'], ""))
                .map_err(|_| "!!binary value contains invalid base64 data".to_owned())?;
            return Ok(Plain::Text(String::from_utf8_lossy(&bytes).into_owned()));
        }
        "" | BOOL | INT | FLOAT | NULL | TIMESTAMP => {}
        _ => return Ok(Plain::Text(text.to_owned())),
    }
    let (is, value) = guess(tag, text);
    match (tag, value) {
        (FLOAT, Plain::Int(number)) => Ok(Plain::Float(number as f64)),
        (tag, value) if tag.is_empty() || tag == is => Ok(value),
        (tag, _) => Err(format!("cannot decode {} `{text}` as a {}", short(is), short(tag))),
    }
}

/// Whether a plain scalar is a text.
pub(super) fn is_text(text: &str) -> bool {
    guess("", text).0 == STR
}

fn short(tag: &str) -> String {
    tag.replacen("tag:yaml.org,2002:", "!!", 1)
}

fn guess(tag: &str, text: &str) -> (&'static str, Plain) {
    if let Some(found) = word(text) {
        return found;
    }
    let is_text = || (STR, Plain::Text(text.to_owned()));
    match text.as_bytes().first() {
        Some(b'.') => float(text).map_or_else(is_text, |value| (FLOAT, Plain::Float(value))),
        Some(b'0'..=b'9' | b'+' | b'-') => {
            if matches!(tag, "" | TIMESTAMP) && is_time(text) {
                return (TIMESTAMP, Plain::Text(text.to_owned()));
            }
            let digits = text.replace('_', "");
            if let Some(number) = integer(&digits) {
                return (INT, number);
            }
            float(&digits).map_or_else(is_text, |value| (FLOAT, Plain::Float(value)))
        }
        _ => is_text(),
    }
}

/// The words that are no texts.
fn word(text: &str) -> Option<(&'static str, Plain)> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            (BOOL, Plain::Bool(true))
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            (BOOL, Plain::Bool(false))
        }
        "" | "~" | "null" | "Null" | "NULL" => (NULL, Plain::Null),
        ".nan" | ".NaN" | ".NAN" => (FLOAT, Plain::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => (FLOAT, Plain::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => (FLOAT, Plain::Float(f64::NEG_INFINITY)),
        _ => return None,
    })
}

/// A whole number of 64 bits: decimal, or `0x…`, `0b…`, `0o…`, `0…`.
fn integer(text: &str) -> Option<Plain> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match (digits.as_bytes(), digits.len()) {
        ([b'0', b'x' | b'X', ..], 3..) => (16, &digits[2..]),
        ([b'0', b'b' | b'B', ..], 3..) => (2, &digits[2..]),
        ([b'0', b'o' | b'O', ..], 3..) => (8, &digits[2..]),
        ([b'0', _, ..], _) => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(size).map(Plain::Int);
    }
    match i64::try_from(size) {
        Ok(number) => Some(Plain::Int(number)),
        Err(_) => (!text.starts_with('+')).then_some(Plain::Uint(size)),
    }
}

fn float(text: &str) -> Option<f64> {
    let looks_right = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|value: &f64| looks_right && value.is_finite())
}

/// Whether a text is a date, or a date and a time: `2001-1-2`, `2001-12-14T21:59:43.10-05:00`, `2001-12-14 21:59:43`.
fn is_time(text: &str) -> bool {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    year.len() == 4 && up_to(year, 9999) && up_to(month, 12) && up_to(day, 31) && time.is_none_or(is_clock)
}

fn is_clock(text: &str) -> bool {
    let clock = text.trim_end_matches('Z');
    let clock = clock.rsplit_once(['+', '-']).map_or(clock, |(clock, _)| clock);
    let (clock, _) = clock.split_once('.').unwrap_or((clock, ""));
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts.as_slice() else { return false };
    up_to(hour, 23) && up_to(minute, 59) && up_to(second, 59)
}

fn up_to(digits: &str, most: u16) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits.parse::<u16>().is_ok_and(|number| number <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_scalar_is_what_it_looks_like() {
        let cases = [
            ("yes", "true"),
            ("Y", "true"),
            ("off", "false"),
            ("tRue", "\"tRue\""),
            ("~", "null"),
            ("", "null"),
            ("nULL", "\"nULL\""),
            ("<<", "\"<<\""),
            ("0x1F", "31"),
            ("-0x1F", "-31"),
            ("0o17", "15"),
            ("0777", "511"),
            ("018", "18"),
            ("-00", "0"),
            ("0b101", "5"),
            ("0x", "\"0x\""),
            ("1_000", "1000"),
            ("_1", "\"_1\""),
            ("1_0.0_1", "10.01"),
            (".5", "0.5"),
            ("5.", "5"),
            (".", "\".\""),
            ("1e3", "1000"),
            ("1.5e-7", "1.5e-7"),
            ("1e21", "1e+21"),
            ("1e400", "\"1e400\""),
            ("-9223372036854775808", "-9223372036854775808"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709552000"),
            ("+18446744073709551615", "18446744073709552000"),
            ("1:30", "\"1:30\""),
            ("2001-01-01", "\"2001-01-01\""),
            ("+", "\"+\""),
            ("inf", "\"inf\""),
            ("-0.0", "-0"),
        ];
        for (text, expected) in cases {
            let mut shown = String::new();
            resolve("", text).unwrap().write(&mut shown).unwrap();
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn a_tag_says_what_a_scalar_is() {
        let cases = [
            (STR, "5", Ok("\"5\"")),
            (INT, "5", Ok("5")),
            (FLOAT, "5", Ok("5")),
            (BOOL, "yes", Ok("true")),
            (BINARY, "aGVsbG8=", Ok("\"hello\"")),
            (TIMESTAMP, "2001-12-14 21:59:43", Ok("\"2001-12-14 21:59:43\"")),
            ("!own", "5", Ok("\"5\"")),
            (BINARY, "!!", Err("!!binary value contains invalid base64 data")),
            (INT, "5.5", Err("cannot decode !!float `5.5` as a !!int")),
            (BOOL, "x", Err("cannot decode !!str `x` as a !!bool")),
            (TIMESTAMP, "2001-13-01", Err("cannot decode !!str `2001-13-01` as a !!timestamp")),
        ];
        for (tag, text, expected) in cases {
            let found = resolve(tag, text).map(|value| {
                let mut shown = String::new();
                value.write(&mut shown).unwrap();
                shown
            });
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{tag} {text}");
        }
    }
}
