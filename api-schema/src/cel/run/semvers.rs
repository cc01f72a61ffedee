//! Versions: `1.2.3-alpha.1+build` (Semantic Versioning 2.0.0).

use super::values::{Given, Value, fail};
use std::cmp::Ordering;
use std::sync::Arc;

/// A version. What stands behind `+` does not matter.
#[derive(Debug)]
pub(crate) struct Version {
    numbers: [u64; 3],
    before: Vec<Part>,
}

/// A part of what stands behind `-`; numbers come before words.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

impl Version {
    /// How it stands to another one: one with something behind `-` comes before the one without.
    pub fn compare(&self, other: &Version) -> Ordering {
        let order = self.numbers.cmp(&other.numbers);
        order.then_with(|| match (self.before.is_empty(), other.before.is_empty()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => self.before.cmp(&other.before),
        })
    }
}

const NAMES: [&str; 3] = ["Major", "Minor", "Patch"];

fn number(text: &str, name: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_digit()) {
        if text.is_empty() {
            return Err("strconv.ParseUint: parsing \"\": invalid syntax".to_owned());
        }
        return Err(format!("Invalid character(s) found in {} number {text:?}", name.to_lowercase()));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("{name} number must not contain leading zeroes {text:?}"));
    }
    text.parse().map_err(|_| format!("strconv.ParseUint: parsing {text:?}: value out of range"))
}

fn parse(text: &str) -> Result<Version, String> {
    if text.is_empty() {
        return Err("Version string empty".to_owned());
    }
    let mut parts = text.splitn(3, '.');
    let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("No Major.Minor.Patch elements found".to_owned());
    };
    let (major, minor) = (number(major, NAMES[0])?, number(minor, NAMES[1])?);
    let (rest, build) = match rest.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (rest, None),
    };
    let (patch, before) = match rest.split_once('-') {
        Some((patch, before)) => (patch, Some(before)),
        None => (rest, None),
    };
    let patch = number(patch, NAMES[2])?;
    let is_word = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    let mut words = Vec::new();
    for part in before.iter().flat_map(|before| before.split('.')) {
        if part.is_empty() {
            return Err("Prerelease is empty".to_owned());
        }
        words.push(match part.bytes().all(|c| c.is_ascii_digit()) {
            true if part.len() > 1 && part.starts_with('0') => {
                return Err(format!("Numeric PreRelease version must not contain leading zeroes {part:?}"));
            }
            true => Part::Number(
                part.parse()
                    .map_err(|_| format!("strconv.ParseUint: parsing {part:?}: value out of range"))?,
            ),
            false if is_word(part) => Part::Word(part.to_owned()),
            false => return Err(format!("Invalid character(s) found in prerelease {part:?}")),
        });
    }
    for part in build.iter().flat_map(|build| build.split('.')) {
        if part.is_empty() {
            return Err("Build meta data is empty".to_owned());
        }
        if !is_word(part) {
            return Err(format!("Invalid character(s) found in build meta data {part:?}"));
        }
    }
    Ok(Version { numbers: [major, minor, patch], before: words })
}

/// A version that is written loosely: with a `v` before it, leading zeros, or fewer numbers.
fn parse_loosely(text: &str) -> Result<Version, String> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = text.splitn(3, '.').map(without_zeros).collect();
    if parts.len() < 3 && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
        return Err("short version cannot contain PreRelease/Build meta data".to_owned());
    }
    parts.resize(3, "0".to_owned());
    parse(&parts.join("."))
}

/// A part without the zeros before it; before something else than a number one stays.
fn without_zeros(part: &str) -> String {
    let trimmed = part.trim_start_matches('0');
    match trimmed.chars().next() {
        _ if part.len() < 2 => part.to_owned(),
        Some(first) if first.is_ascii_digit() => trimmed.to_owned(),
        _ => format!("0{trimmed}"),
    }
}

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value]) -> Option<Given> {
    let read = |text: &str, loosely: bool| if loosely { parse_loosely(text) } else { parse(text) };
    Some(match (name, given) {
        ("semver" | "isSemver", [Value::Text(text), rest @ ..]) => {
            let loosely = match rest {
                [] => false,
                [Value::Bool(loosely)] => *loosely,
                _ => return None,
            };
            match (name, read(text, loosely)) {
                ("isSemver", read) => Ok(Value::Bool(read.is_ok())),
                (_, Ok(version)) => Ok(Value::Semver(Arc::new(version))),
                (_, Err(why)) => fail(why),
            }
        }
        ("major", [Value::Semver(of)]) => Ok(whole(of.numbers[0])),
        ("minor", [Value::Semver(of)]) => Ok(whole(of.numbers[1])),
        ("patch", [Value::Semver(of)]) => Ok(whole(of.numbers[2])),
        ("compareTo", [Value::Semver(a), Value::Semver(b)]) => Ok(Value::Int(match a.compare(b) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        })),
        ("isGreaterThan", [Value::Semver(a), Value::Semver(b)]) => {
            Ok(Value::Bool(a.compare(b) == Ordering::Greater))
        }
        ("isLessThan", [Value::Semver(a), Value::Semver(b)]) => {
            Ok(Value::Bool(a.compare(b) == Ordering::Less))
        }
        _ => return None,
    })
}

fn whole(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
