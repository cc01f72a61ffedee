//! Cron jobs.

use super::generic::{counted, plain};
use super::jobs;
use super::place::{
    Causes, Place, lookup, map_at, not_negative, require, required_one_of, set_default, set_default_text,
};
use super::workloads::name_of_pods;
use crate::cron::{self, Schedule};
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
        if let Err(why) = Schedule::parse(text) {
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
    cron::zone(zone).map(|_| ()).map_err(|_| format!("unknown time zone {zone}"))
}
