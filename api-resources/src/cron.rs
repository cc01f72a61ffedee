//! Schedules of cron jobs: five fields (minute, hour, day of the month, month, day of the week), `@daily` and its like,
//! or `@every 1h30m`.
//!
//! They are read as Kubernetes reads them, with the oddities of its parser: a list may have empty parts, `*` may have an
//! end that means nothing, names stand in ranges but not as steps, and a day matches either field of days where both
//! are limited.

mod duration;
mod next;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

/// When a cron job is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    when: When,
    /// What `TZ=` before the schedule says.
    zone: Option<TimeZone>,
}

#[derive(Clone, Debug, PartialEq)]
enum When {
    Every(SignedDuration),
    At(Fields),
}

/// The values of each field, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// From Sunday.
    weekdays: u64,
    /// One of the two fields of days is not limited: a day has to match both.
    both_days: bool,
}

/// Least, most, names of the values from the least on.
type Unit = (u64, u64, &'static [&'static str]);

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const UNITS: [Unit; 5] = [(0, 59, &[]), (0, 23, &[]), (1, 31, &[]), (1, 12, MONTHS), (0, 6, WEEKDAYS)];

const DESCRIPTORS: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What is wrong with it, in Kubernetes' words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty spec string".to_owned());
        }
        let Some(rest) = ["TZ=", "CRON_TZ="].iter().find_map(|prefix| text.strip_prefix(prefix)) else {
            return Ok(Schedule { when: when(text)?, zone: None });
        };
        let Some((name, rest)) = rest.split_once(' ') else {
            let why = "invalid schedule format: runtime error: slice bounds out of range [:-1]";
            return Err(why.to_owned());
        };
        let zone = zone(name).map_err(|why| format!("provided bad location {name}: {why}"))?;
        Ok(Schedule { when: when(rest.trim())?, zone: Some(zone) })
    }
}

/// The time zone of a name; an empty one is UTC.
///
/// # Errors
/// There is none of exactly this name.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    if name.is_empty() || name == "Local" {
        return Ok(TimeZone::UTC);
    }
    if name.split('/').any(|part| part == "..") || name.starts_with(['/', '\\']) {
        return Err("time: invalid location name".to_owned());
    }
    let found = TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name));
    found.ok_or_else(|| format!("unknown time zone {name}"))
}

fn when(text: &str) -> Result<When, String> {
    if !text.starts_with('@') {
        return fields(text).map(When::At);
    }
    if let Some((_, same)) = DESCRIPTORS.iter().find(|(name, _)| *name == text) {
        return fields(same).map(When::At);
    }
    let Some(every) = text.strip_prefix("@every ") else {
        return Err(format!("unrecognized descriptor: {text}"));
    };
    let every = duration::parse(every).map_err(|why| format!("failed to parse duration {text}: {why}"))?;
    let seconds = i64::try_from(every.as_secs()).unwrap_or(i64::MAX);
    Ok(When::Every(SignedDuration::from_secs(seconds.max(1))))
}

fn fields(text: &str) -> Result<Fields, String> {
    let all: Vec<&str> = text.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = all[..] else {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", all.len(), all.join(" ")));
    };
    let [of_minutes, of_hours, of_days, of_months, of_weekdays] = UNITS;
    let (minutes, _) = field(minutes, of_minutes)?;
    let (hours, _) = field(hours, of_hours)?;
    let (days, any_day) = field(days, of_days)?;
    let (months, _) = field(months, of_months)?;
    let (weekdays, any_weekday) = field(weekdays, of_weekdays)?;
    Ok(Fields { minutes, hours, days, months, weekdays, both_days: any_day || any_weekday })
}

/// The values of a field, and whether it is not limited.
fn field(text: &str, unit: Unit) -> Result<(u64, bool), String> {
    let (mut values, mut unlimited) = (0, false);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (more, all) = range(part, unit)?;
        values |= more;
        unlimited |= all;
    }
    Ok((values, unlimited))
}

/// `*`, `4`, `4-8`, each with or without `/2`.
fn range(part: &str, (least, most, names): Unit) -> Result<(u64, bool), String> {
    let (bounds, steps) = part.split_once('/').map_or((part, None), |(bounds, steps)| (bounds, Some(steps)));
    let ends: Vec<&str> = bounds.split('-').collect();
    let named = |text: &str| match names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        Some(index) => Ok(least + u64::try_from(index).unwrap_or(0)),
        None => number(text),
    };
    let star = matches!(ends[0], "*" | "?");
    let (from, mut to) = match ends[..] {
        _ if star => (least, most),
        [one] => named(one).map(|value| (value, value))?,
        [from, to] => (named(from)?, named(to)?),
        [from, ..] => {
            named(from)?;
            return Err(format!("too many hyphens: {part}"));
        }
        [] => (least, most),
    };
    let step = match steps {
        None => 1,
        Some(steps) if steps.contains('/') => return Err(format!("too many slashes: {part}")),
        Some(steps) => {
            let step = number(steps)?;
            if ends.len() == 1 {
                to = most;
            }
            step
        }
    };
    if from < least {
        Err(format!("beginning of range ({from}) below minimum ({least}): {part}"))
    } else if to > most {
        Err(format!("end of range ({to}) above maximum ({most}): {part}"))
    } else if from > to {
        Err(format!("beginning of range ({from}) beyond end of range ({to}): {part}"))
    } else if step == 0 {
        Err(format!("step of range should be a positive number: {part}"))
    } else {
        let step_by = usize::try_from(step).unwrap_or(usize::MAX);
        Ok(((from..=to).step_by(step_by).fold(0, |values, value| values | 1 << value), star && step == 1))
    }
}

fn number(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let why = |what: &str| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {what}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(why("invalid syntax"));
    }
    let value: i64 = text.parse().map_err(|_| why("value out of range"))?;
    u64::try_from(value).map_err(|_| format!("negative number ({value}) not allowed: {text}"))
}

#[cfg(test)]
mod tests;
