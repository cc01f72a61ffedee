//! APIServices: which server answers for a group and version.

use super::generic::{clear_status, plain};
use super::place::{Causes, Place, invalid_all, lookup, object_at, require, require_with, set_default};
use crate::aggregation::local_condition;
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

const GROUP_PRIORITY_MAX: i64 = 20_000;
const VERSION_PRIORITY_MAX: i64 = 1_000;
const STATUSES: &[&str] = &["True", "False", "Unknown"];

/// How APIServices are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| {
            if let Some(service) = object_at(object, "spec").and_then(|spec| object_at(spec, "service")) {
                set_default(service, "port", 443);
            }
        },
        prepare_create: |object| {
            clear_status(object);
            if lookup(object, "spec.service").is_null() {
                object["status"] = json!({"conditions": [local_condition(Some(jiff::Timestamp::now()))]});
            }
        },
        validate_create: defects,
        validate_update: |new, _| defects(new),
        validate_status: |new, _| {
            let mut out = Vec::new();
            for condition in Place::root(new).field("status").list("conditions") {
                let status = condition.text("status");
                if !STATUSES.contains(&status) {
                    out.push(Cause::not_supported(condition.of("status"), &status.into(), STATUSES));
                }
            }
            out
        },
        validate_name: names::path_segment,
        status_keeps: &["labels", "annotations"],
        unconditional_update: false,
        ..plain()
    }
}

fn defects(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let (group, version) = (spec.text("group"), spec.text("version"));
    let wanted = crate::aggregation::name(group, version);
    for field in ["metadata.generateName", "metadata.name"] {
        let name = lookup(object, field).as_str().unwrap_or("");
        let is_said = field == "metadata.name" || !name.is_empty();
        // A name that is no segment of a path is told of as that alone.
        if is_said && name != wanted && names::path_segment(name).is_empty() {
            let message = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
            out.push(Cause::invalid(field, &name.into(), &message));
        }
    }
    if version != "v1" {
        require_with(
            &mut out,
            &spec,
            "group",
            "only v1 may have an empty group and it better be legacy kube",
        );
    }
    if !group.is_empty() {
        invalid_all(&mut out, &spec.of("group"), group, names::dns_subdomain(group));
    }
    invalid_all(&mut out, &spec.of("version"), version, names::dns_1035_label(version));
    for (field, most) in
        [("groupPriorityMinimum", GROUP_PRIORITY_MAX), ("versionPriority", VERSION_PRIORITY_MAX)]
    {
        let priority = spec.int(field).unwrap_or(0);
        if !(1..=most).contains(&priority) {
            let message = format!("must be positive and less than {most}");
            out.push(Cause::invalid(spec.of(field), &priority.into(), &message));
        }
    }
    let insecure = |out: &mut Causes, message: &str| {
        out.push(Cause::invalid(spec.of("insecureSkipTLSVerify"), &true.into(), message));
    };
    let Some(service) = spec.present("service") else {
        if !spec.lacks("caBundle") {
            let size = decoded_size(spec.text("caBundle"));
            let message = "local APIServices may not have a caBundle";
            out.push(Cause::invalid(spec.of("caBundle"), &format!("{size} bytes").into(), message));
        }
        if spec.flag("insecureSkipTLSVerify") {
            insecure(&mut out, "local APIServices may not have insecureSkipTLSVerify");
        }
        return out;
    };
    require(&mut out, &service, "namespace");
    require(&mut out, &service, "name");
    let port = service.int("port").unwrap_or(0);
    let wrong = names::port_number(port);
    if !wrong.is_empty() {
        let message = format!("port is not valid: {}", wrong.join(", "));
        out.push(Cause::invalid(service.of("port"), &port.into(), &message));
    }
    if spec.flag("insecureSkipTLSVerify") && !spec.lacks("caBundle") {
        insecure(&mut out, "may not be true if caBundle is present");
    }
    out
}

/// How many bytes a text in base64 stands for.
fn decoded_size(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}
