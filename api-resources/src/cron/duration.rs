//! Durations as `@every` takes them: `1h30m`, `-1.5s`, `0`.

use std::time::Duration;

/// Nanoseconds by unit.
const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];
/// What Kubernetes can hold, in nanoseconds.
const LONGEST: f64 = 9_223_372_036_854_775_807.0;

/// Reads a duration; one below zero is zero.
///
/// # Errors
/// What is wrong with it, in Kubernetes' words.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| invalid())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..end];
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, scale) = known.ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
        nanoseconds += number * scale;
        rest = &rest[end..];
    }
    if nanoseconds >= LONGEST {
        return Err(invalid());
    }
    let seconds = if negative { 0.0 } else { nanoseconds / 1e9 };
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}
