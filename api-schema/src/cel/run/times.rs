//! Points in time and spans of it.

use super::values::{Given, Value, fail};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// A point in time, as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    /// Since the begin of 1970.
    nanoseconds: i128,
    /// Seconds by which the place of its author is before UTC.
    offset: i32,
}

/// Nanoseconds in a second.
const SECOND: i128 = 1_000_000_000;
/// The first and the last second of all times: those of the years 1 and 9999.
const SECONDS: std::ops::RangeInclusive<i128> = -62_135_596_800..=253_402_300_799;

impl Time {
    fn of(nanoseconds: i128, offset: i32) -> Option<Time> {
        SECONDS.contains(&nanoseconds.div_euclid(SECOND)).then_some(Time { nanoseconds, offset })
    }

    /// Since the begin of 1970.
    pub fn nanoseconds(self) -> i128 {
        self.nanoseconds
    }

    /// Since the begin of 1970.
    pub fn seconds(self) -> i64 {
        i64::try_from(self.nanoseconds.div_euclid(SECOND)).unwrap_or(0)
    }

    /// True for the begin of all times.
    pub fn is_zero(self) -> bool {
        self.nanoseconds == SECONDS.start() * SECOND
    }

    fn subsecond(self) -> u32 {
        u32::try_from(self.nanoseconds.rem_euclid(SECOND)).unwrap_or(0)
    }

    /// What calendars and clocks show where it is so many seconds later.
    fn there(self, offset: i32) -> DateTime {
        let begin = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        begin.saturating_add(SignedDuration::from_secs(self.seconds() + i64::from(offset)))
    }
}

/// RFC 3339, with as many digits behind the second as it needs.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = self.there(self.offset);
        write!(f, "{}", there.strftime("%Y-%m-%dT%H:%M:%S"))?;
        fraction(f, self.subsecond(), 9)?;
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let minutes = self.offset.abs() / 60;
        let sign = if self.offset < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

fn fraction(f: &mut impl fmt::Write, nanoseconds: u32, width: usize) -> fmt::Result {
    if nanoseconds == 0 {
        return Ok(());
    }
    let digits = format!("{nanoseconds:0width$}");
    write!(f, ".{}", digits.trim_end_matches('0'))
}

/// A point in time in the form of RFC 3339, as strictly as Go reads it.
pub(crate) fn timestamp(text: &str) -> Option<Time> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let sign = |at: usize, is: u8| bytes.get(at) == Some(&is);
    let shaped = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18].into_iter().all(digit)
        && [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')]
            .into_iter()
            .all(|(at, is)| sign(at, is));
    if !shaped || bytes.get(17..19) == Some(b"60".as_slice()) {
        return None;
    }
    let rest = text.get(19..)?;
    let rest = match rest.strip_prefix('.') {
        Some(rest) => {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            (digits > 0).then(|| rest.get(digits..)).flatten()?
        }
        None => rest,
    };
    let offset = match rest {
        "Z" => 0,
        _ => {
            let number = |range: std::ops::Range<usize>| rest.get(range)?.parse::<i32>().ok();
            let sign = match (rest.len(), rest.get(..1)?, rest.get(3..4)?) {
                (6, "+", ":") => 1,
                (6, "-", ":") => -1,
                _ => return None,
            };
            let (hours, minutes) = (number(1..3)?, number(4..6)?);
            (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))?
        }
    };
    let written = DateTime::strptime("%Y-%m-%dT%H:%M:%S", text.get(..19)?).ok()?;
    let part = text.get(19..text.len() - rest.len())?.strip_prefix('.').unwrap_or("0");
    let part: i128 = format!("{part:0<9}").get(..9)?.parse().ok()?;
    let begin = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let seconds = begin.duration_until(written).as_secs() - i64::from(offset);
    Time::of(i128::from(seconds) * SECOND + part, offset)
}

/// So many seconds after the begin of 1970.
pub(super) fn at_second(seconds: i64) -> Option<Time> {
    Time::of(i128::from(seconds) * SECOND, 0)
}

/// A time by so many nanoseconds later.
pub(super) fn later(time: &Time, nanoseconds: i128) -> Option<Time> {
    Time::of(time.nanoseconds.checked_add(nanoseconds)?, time.offset)
}

/// A duration as Go writes it (`1h30m`, `-1.5s`, `0`), in nanoseconds.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (whole, after) = rest.split_at(digits(rest));
        let (part, after) = match after.strip_prefix('.') {
            Some(after) => after.split_at(digits(after)),
            None => ("", after),
        };
        if whole.is_empty() && part.is_empty() || whole.len() > 19 {
            return None;
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let nanoseconds: i128 = match unit {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        // Of what is smaller than a nanosecond nothing counts.
        let part = part.get(..part.len().min(18))?;
        let small = if part.is_empty() {
            0
        } else {
            let scale = 10i128.checked_pow(u32::try_from(part.len()).ok()?)?;
            part.parse::<i128>().ok()?.checked_mul(nanoseconds)? / scale
        };
        total = total.checked_add(whole.checked_mul(nanoseconds)?)?.checked_add(small)?;
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// A duration in seconds, as CEL writes it: `5400s`, `0.001s`.
pub(super) fn seconds(nanoseconds: i64) -> String {
    let size = nanoseconds.unsigned_abs();
    let mut out = format!("{}{}", if nanoseconds < 0 { "-" } else { "" }, size / 1_000_000_000);
    let rest = u32::try_from(size % 1_000_000_000).unwrap_or(0);
    // Writing into a text does not fail.
    let _ = fraction(&mut out, rest, 9);
    out.push('s');
    out
}

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value]) -> Option<Given> {
    match given {
        [Value::Time(time)] => of_time(name, time, &TimeZone::UTC),
        [Value::Time(time), Value::Text(zone)] => match zone_named(zone) {
            Ok(zone) => of_time(name, time, &zone),
            Err(why) => Some(fail(why)),
        },
        [Value::Duration(nanoseconds)] => Some(Ok(Value::Int(match name {
            "getHours" => nanoseconds / 3_600_000_000_000,
            "getMinutes" => nanoseconds / 60_000_000_000,
            "getSeconds" => nanoseconds / 1_000_000_000,
            "getMilliseconds" => nanoseconds / 1_000_000,
            _ => return None,
        }))),
        _ => None,
    }
}

fn of_time(name: &str, time: &Time, zone: &TimeZone) -> Option<Given> {
    // Zones are known for all times but the last hours of them.
    let at = Timestamp::from_second(time.seconds()).unwrap_or(Timestamp::MAX);
    let there = time.there(zone.to_offset(at).seconds());
    Some(Ok(Value::Int(match name {
        "getFullYear" => there.year().into(),
        "getMonth" => i64::from(there.month()) - 1,
        "getDayOfYear" => i64::from(there.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(there.day()) - 1,
        "getDate" => there.day().into(),
        "getDayOfWeek" => there.weekday().to_sunday_zero_offset().into(),
        "getHours" => there.hour().into(),
        "getMinutes" => there.minute().into(),
        "getSeconds" => there.second().into(),
        "getMilliseconds" => i64::from(time.subsecond() / 1_000_000),
        _ => return None,
    })))
}

/// A place by its name, or by how far it is from UTC (`+05:30`).
fn zone_named(text: &str) -> Result<TimeZone, String> {
    let Some((hours, minutes)) = text.split_once(':') else {
        return match text {
            "" | "UTC" | "Local" => Ok(TimeZone::UTC),
            name => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}")),
        };
    };
    let number = |text: &str| -> Result<i32, String> {
        text.parse().map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
    };
    let (hour, minute) = (number(hours)?, number(minutes)?);
    let offset = if hours.starts_with('-') {
        hour.saturating_mul(60).saturating_sub(minute)
    } else {
        hour.saturating_mul(60).saturating_add(minute)
    };
    let offset = Offset::from_seconds(offset.saturating_mul(60));
    offset.map(TimeZone::fixed).map_err(|_| format!("unknown time zone {text}"))
}
