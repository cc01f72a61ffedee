//! Cron jobs.

use super::generic::{counted, plain};
use super::jobs;
use super::place::{
    Causes, Place, lookup, map_at, not_negative, require, required_one_of, set_default, set_default_text,
};
use super::workloads::name_of_pods;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

/// The longest name: the controller adds 11 characters.
const NAME_MAX: usize = 52;

/// How cron jobs are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |object| object["status"] = json!({}),
        validate_create: |object| {
            let mut out = validate(object, &Value::Null);
            let name = lookup(object, "metadata.name").as_str().unwrap_or("");
            if name.len() > NAME_MAX {
                let message = "must be no more than 52 characters";
                out.push(Cause::invalid("metadata.name", &Value::from(name), message));
            }
            out
        },
        validate_update: validate,
        warnings: |object| {
            let mut all = name_of_pods(object);
            all.extend(job_warnings(object));
            all
        },
        update_warnings: Some(|new, old| {
            let mut all = if counted(new, old) { job_warnings(new) } else { Vec::new() };
            if lookup(new, "spec.schedule").as_str().is_some_and(|schedule| schedule.contains("TZ")) {
                all.push("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".to_owned());
            }
            all
        }),
        generation: true,
        ..plain()
    }
}

fn job_warnings(object: &Value) -> Vec<String> {
    jobs::warnings(&Place::root(object).field("spec").field("jobTemplate").field("spec"))
}

fn default(object: &mut Value) {
    let Some(spec) = map_at(object, "spec") else { return };
    set_default_text(spec, "concurrencyPolicy", "Allow");
    set_default(spec, "suspend", false);
    set_default(spec, "successfulJobsHistoryLimit", 3);
    set_default(spec, "failedJobsHistoryLimit", 1);
    let Some(template) = map_at(spec, "jobTemplate") else { return };
    map_at(template, "metadata");
    if let Some(job) = map_at(template, "spec") {
        jobs::template(job);
    }
}

fn validate(object: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    if require(&mut out, &spec, "schedule") {
        let schedule = spec.field("schedule");
        let text = schedule.as_text();
        if let Err(why) = check_schedule(text) {
            out.push(Cause::invalid(&schedule.path, schedule.value, &why));
        }
        let had_zone = lookup(old, "spec.schedule").as_str().unwrap_or("").contains("TZ");
        if text.contains("TZ") && !had_zone {
            let message = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
            out.push(Cause::invalid(&schedule.path, schedule.value, message));
        } else if text.contains("TZ") && spec.has("timeZone") {
            let message = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
            out.push(Cause::invalid(&schedule.path, schedule.value, message));
        }
    }
    not_negative(&mut out, &spec, "startingDeadlineSeconds");
    if let Some(zone) = spec.present("timeZone")
        && lookup(old, "spec.timeZone") != zone.value
        && let Err(why) = check_zone(zone.as_text())
    {
        out.push(Cause::invalid(&zone.path, zone.value, &why));
    }
    required_one_of(&mut out, &spec, "concurrencyPolicy", &["Allow", "Forbid", "Replace"]);
    let job = spec.field("jobTemplate").field("spec");
    jobs::validate_spec(&mut out, &job);
    if let Some(selector) = job.present("selector") {
        out.push(Cause::invalid(selector.path, selector.value, "`selector` will be auto-generated"));
    }
    if job.flag("manualSelector") {
        out.push(Cause::not_supported(job.of("manualSelector"), &Value::from(true), &["nil", "false"]));
    }
    not_negative(&mut out, &spec, "successfulJobsHistoryLimit");
    not_negative(&mut out, &spec, "failedJobsHistoryLimit");
    out
}

fn check_zone(zone: &str) -> Result<(), String> {
    if zone.is_empty() {
        return Err("timeZone must be nil or non-empty string".to_owned());
    }
    if zone.eq_ignore_ascii_case("Local") {
        return Err(
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones".to_owned()
        );
    }
    jiff::tz::TimeZone::get(zone).map(|_| ()).map_err(|_| format!("unknown time zone {zone}"))
}

/// Name, least, most, names of the values.
type Unit = (i64, i64, &'static [&'static str]);

const UNITS: [Unit; 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// A schedule: five fields (minute, hour, day of the month, month, day of the week), or one of `@hourly`, `@daily`,
/// `@every 1h` and their like.
///
/// # Errors
/// What is wrong with it.
pub fn check_schedule(schedule: &str) -> Result<(), String> {
    let text = match schedule.split_once(' ') {
        Some((zone, rest)) if zone.starts_with("TZ=") || zone.starts_with("CRON_TZ=") => rest.trim(),
        _ => schedule,
    };
    if let Some(name) = text.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        let every = name.strip_prefix("every ").is_some_and(is_duration);
        return if known.contains(&name) || every {
            Ok(())
        } else {
            Err(format!("unrecognized descriptor: {text}"))
        };
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != UNITS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, unit) in fields.iter().zip(UNITS) {
        field.split(',').try_for_each(|part| check_range(part, unit))?;
    }
    Ok(())
}

fn is_duration(text: &str) -> bool {
    let units = ["h", "m", "s", "ms", "us", "µs", "ns"];
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit_end =
            rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        if digits == 0 || !units.contains(&&rest[digits..unit_end]) {
            return false;
        }
        rest = &rest[unit_end..];
    }
    !text.is_empty()
}

fn check_range(part: &str, (least, most, names): Unit) -> Result<(), String> {
    let number = |text: &str| {
        let named = names.iter().position(|n| n.eq_ignore_ascii_case(text));
        match named {
            Some(index) => Ok(least + i64::try_from(index).unwrap_or(0)),
            None => {
                text.parse::<i64>().map_err(|_| format!("failed to parse int from {text}: invalid syntax"))
            }
        }
    };
    let mut slash = part.split('/');
    let (range, step) = (slash.next().unwrap_or(""), slash.next());
    if slash.next().is_some() {
        return Err(format!("too many slashes: {part}"));
    }
    let mut dash = range.split('-');
    let (from, to) = (dash.next().unwrap_or(""), dash.next());
    if dash.next().is_some() {
        return Err(format!("too many hyphens: {part}"));
    }
    let (from, to) = match (from, to) {
        ("*" | "?", None) => (least, most),
        (from, None) => {
            let from = number(from)?;
            (from, if step.is_some() { most } else { from })
        }
        (from, Some(to)) => (number(from)?, number(to)?),
    };
    if let Some(step) = step {
        let step = number(step)?;
        if step <= 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
    }
    if from < least {
        Err(format!("beginning of range ({from}) below minimum ({least}): {part}"))
    } else if to > most {
        Err(format!("end of range ({to}) above maximum ({most}): {part}"))
    } else if from > to {
        Err(format!("beginning of range ({from}) beyond end of range ({to}): {part}"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_checked() {
        for good in ["*/5 * * * *", "0 0 1,15 jan-MAR mon", "@daily", "@every 1h30m", "5-10/2 ? * * 0"] {
            assert_eq!(check_schedule(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("x * * * *", "failed to parse int from x: invalid syntax"),
            ("@never", "unrecognized descriptor: @never"),
            ("@every x", "unrecognized descriptor: @every x"),
        ] {
            assert_eq!(check_schedule(bad), Err(why.to_owned()));
        }
    }
}
