//! Claims of devices, their templates, and classes of devices (`resource.k8s.io`, KEP-4381). What CEL selects is
//! compiled and no more: nothing allocates devices.

use super::devicenames::{by_name, each, each_once, fully_qualified, itself, label, label_value, opaque};
use super::generic::{METADATA, plain};
use super::place::{
    Causes, Place, each_mut, invalid_all, lookup, object_at, one_of, require, set_default_number,
    set_default_text,
};
use super::pods_volumes::driver_name;
use super::sameness::same;
use super::{deviceallocations, resources};
use crate::resource::Strategy;
use crate::{metadata, names};
use api_schema::cel::{Declared, Expression, Gives};
use api_types::{Cause, CauseReason};
use serde_json::{Value, json};

/// How many requests a claim, and a reference to requests, may have.
pub(super) const REQUESTS_MAX: usize = 32;
/// How many configurations.
pub(super) const CONFIG_MAX: usize = 32;
const CONSTRAINTS_MAX: usize = 32;
const SELECTORS_MAX: usize = 32;
const ALTERNATIVES_MAX: usize = 8;
const EXPRESSION_MAX: usize = 10 * 1024;
const PARAMETERS_MAX: usize = 10 * 1024;
/// What taints do.
pub(super) const EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "None"];

/// How claims are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| default_requests(object, "/spec/devices"),
        prepare_create: |object| object["status"] = json!({}),
        validate_create: |object| {
            let mut out = Vec::new();
            claim(&mut out, &Place::root(object).field("spec"));
            out
        },
        validate_update: spec_stays,
        validate_status: deviceallocations::validate_status,
        status_keeps: METADATA,
        ..plain()
    }
}

/// How templates of claims are written.
pub fn template_strategy() -> Strategy {
    Strategy {
        default: |object| default_requests(object, "/spec/spec/devices"),
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        validate_create: |object| {
            let mut out = Vec::new();
            template(&mut out, object);
            out
        },
        validate_update: |new, old| {
            let mut out = Vec::new();
            template(&mut out, new);
            out.extend(spec_stays(new, old));
            out
        },
        ..plain()
    }
}

/// How classes of devices are written.
pub fn class_strategy() -> Strategy {
    Strategy {
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        validate_create: class,
        validate_update: |new, _| class(new),
        generation: true,
        ..plain()
    }
}

fn template(out: &mut Causes, object: &Value) {
    let spec = Place::root(object).field("spec");
    let meta = spec.field("metadata");
    metadata::labels(out, &meta.field("labels"));
    metadata::annotations(out, &meta.field("annotations"));
    let others = meta.value.as_object().into_iter().flat_map(|fields| fields.keys());
    let others = others.filter(|field| !matches!(field.as_str(), "labels" | "annotations"));
    out.extend(others.map(|field| Cause::forbidden(meta.of(field), "cannot be set")));
    claim(out, &spec.field("spec"));
}

fn default_requests(object: &mut Value, path: &str) {
    let Some(devices) = object.pointer_mut(path) else { return };
    for request in each_mut(devices, "requests") {
        if let Some(exactly) = object_at(request, "exactly") {
            default_request(exactly);
        }
        each_mut(request, "firstAvailable").for_each(default_request);
    }
}

fn default_request(request: &mut Value) {
    set_default_text(request, "allocationMode", "ExactCount");
    if request["allocationMode"] == "ExactCount" {
        set_default_number(request, "count", 1);
    }
}

fn spec_stays(new: &Value, old: &Value) -> Causes {
    let (now, before) = (lookup(new, "spec"), lookup(old, "spec"));
    let changed = (!same(now, before)).then(|| Cause::invalid("spec", now, "field is immutable"));
    changed.into_iter().collect()
}

fn class(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    each(&mut out, &spec, "selectors", SELECTORS_MAX, selector);
    each(&mut out, &spec, "config", CONFIG_MAX, configuration);
    if let Some(name) = spec.present("extendedResourceName")
        && !resources::is_extended(name.as_text())
    {
        out.push(Cause::invalid(name.path, name.value, "must be a valid extended resource name"));
    }
    out
}

fn claim(out: &mut Causes, spec: &Place<'_>) {
    let devices = spec.field("devices");
    let names = request_names(devices.value);
    each_once(out, &devices, "requests", REQUESTS_MAX, by_name, request);
    each(out, &devices, "constraints", CONSTRAINTS_MAX, |out, at| constraint(out, at, &names));
    each(out, &devices, "config", CONFIG_MAX, |out, at| {
        requests_named(out, at, &names);
        configuration(out, at);
    });
}

/// The names by which a claim's requests can be meant: of requests, and of their alternatives after a slash.
pub(super) fn request_names(devices: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for request in Place::root(devices).list("requests") {
        let name = request.text("name");
        names.push(name.to_owned());
        names.extend(request.list("firstAvailable").map(|other| format!("{name}/{}", other.text("name"))));
    }
    names
}

/// A list of `requests`, each of the claim.
pub(super) fn requests_named(out: &mut Causes, at: &Place<'_>, known: &[String]) {
    each_once(out, at, "requests", REQUESTS_MAX, itself, |out, name| request_named(out, name, known));
}

/// The name of a request of the claim.
pub(super) fn request_named(out: &mut Causes, at: &Place<'_>, known: &[String]) {
    let name = at.as_text();
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() <= 2 {
        for part in &parts {
            invalid_all(out, &at.path, part, names::dns_label(part));
        }
    }
    if !known.iter().any(|known| known == name) {
        let message = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
        out.push(Cause::invalid(&at.path, at.value, message));
    }
}

fn request(out: &mut Causes, at: &Place<'_>) {
    label(out, &Place::new(at.of("name"), &Value::from(at.text("name"))));
    let one = "exactly one of `exactly` or `firstAvailable` is required";
    match (at.present("exactly"), at.lacks("firstAvailable")) {
        (None, true) => out.push(Cause::required(&at.path, one)),
        (Some(_), false) => {
            let message = format!("{one}, but multiple fields are set");
            out.push(Cause::invalid(&at.path, &Value::Null, &message));
        }
        (Some(exactly), true) => devices_asked(out, &exactly),
        (None, false) => each_once(out, at, "firstAvailable", ALTERNATIVES_MAX, by_name, |out, other| {
            label(out, &Place::new(other.of("name"), &Value::from(other.text("name"))));
            devices_asked(out, other);
        }),
    }
}

fn devices_asked(out: &mut Causes, at: &Place<'_>) {
    if require(out, at, "deviceClassName") {
        let class = at.text("deviceClassName");
        invalid_all(out, &at.of("deviceClassName"), class, names::dns_subdomain(class));
    }
    each(out, at, "selectors", SELECTORS_MAX, selector);
    let (mode, count) = (at.text("allocationMode"), at.int("count").unwrap_or(0));
    match mode {
        "All" if count != 0 => {
            let message = "must not be specified when allocationMode is 'All'";
            out.push(Cause::invalid(at.of("count"), &count.into(), message));
        }
        "ExactCount" if count <= 0 => {
            out.push(Cause::invalid(at.of("count"), &count.into(), "must be greater than zero"));
        }
        "All" | "ExactCount" => {}
        _ => out.push(Cause::not_supported(at.of("allocationMode"), &mode.into(), &["All", "ExactCount"])),
    }
    at.list("tolerations").for_each(|toleration| tolerates(out, &toleration));
}

fn tolerates(out: &mut Causes, at: &Place<'_>) {
    let key = at.text("key");
    if !key.is_empty() {
        invalid_all(out, &at.of("key"), key, names::qualified_name(key));
    }
    match at.text("operator") {
        "" => out.push(Cause::required(at.of("operator"), "")),
        "Exists" if !at.lacks("value") => {
            let value = at.field("value");
            out.push(Cause::invalid(value.path, value.value, "must be empty for operator `Exists`"));
        }
        "Equal" => label_value(out, at, "value"),
        _ => one_of(out, at, "operator", &["Equal", "Exists"]),
    }
    if !at.lacks("effect") {
        one_of(out, at, "effect", EFFECTS);
    }
}

fn selector(out: &mut Causes, at: &Place<'_>) {
    let Some(cel) = at.present("cel") else {
        out.push(Cause::required(at.of("cel"), ""));
        return;
    };
    let text = cel.text("expression");
    if text.len() > EXPRESSION_MAX {
        out.push(Cause::too_long(cel.of("expression"), EXPRESSION_MAX));
        return;
    }
    // Bound names are not understood here: what has them is not looked at.
    if text.contains("cel.bind") {
        return;
    }
    let declared = Declared { names: &["device"], ..Declared::default() };
    if let Err(why) = Expression::compile(text, declared, Gives::Bool) {
        out.push(Cause::invalid(cel.of("expression"), &Value::from(text), &why));
    }
}

fn constraint(out: &mut Causes, at: &Place<'_>, known: &[String]) {
    requests_named(out, at, known);
    let attribute = ["matchAttribute", "distinctAttribute"].iter().find_map(|field| at.present(field));
    match attribute {
        Some(attribute) => fully_qualified(out, &attribute),
        None => {
            let message = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
            out.push(Cause::required(&at.path, message));
        }
    }
}

/// What a driver is told with a device.
pub(super) fn configuration(out: &mut Causes, at: &Place<'_>) {
    let Some(told) = at.present("opaque") else {
        out.push(Cause::new(CauseReason::FieldValueRequired, at.of("opaque"), "Required value"));
        return;
    };
    driver_name(out, &told, "driver");
    opaque(out, &told.field("parameters"), PARAMETERS_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(devices: Value) -> Vec<String> {
        let mut object = json!({"spec": {"devices": devices}});
        (strategy().default)(&mut object);
        (strategy().validate_create)(&object).iter().map(Cause::to_string).collect()
    }

    #[test]
    fn one_device_is_asked_for_unless_said() {
        let mut object = json!({"spec": {"devices": {"requests": [
            {"name": "a", "exactly": {"deviceClassName": "c"}},
            {"name": "b", "firstAvailable": [{"name": "x", "allocationMode": "All"}]}]}}});
        (strategy().default)(&mut object);
        let requests = &object["spec"]["devices"]["requests"];
        assert_eq!(
            requests[0]["exactly"],
            json!({"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1})
        );
        assert_eq!(requests[1]["firstAvailable"][0], json!({"name": "x", "allocationMode": "All"}));
    }

    #[test]
    fn selectors_are_compiled() {
        for (expression, good) in [
            ("device.driver == 'a.b' && 'm' in device.attributes['a.b']", true),
            ("device.capacity['a.b'].mem.compareTo(quantity('1Gi')) >= 0", true),
            ("device.attributes['a.b'].v.isGreaterThan(semver('1.2.3'))", true),
            ("cel.bind(d, device.attributes['a.b'], d.x && d.y)", true),
            ("", false),
            ("devise.driver == 'a.b'", false),
            ("device.driver ==", false),
            ("9", false),
        ] {
            let selectors = json!([{"cel": {"expression": expression}}]);
            let exactly = json!({"deviceClassName": "c", "selectors": selectors});
            let wrong = told(json!({"requests": [{"name": "a", "exactly": exactly}]}));
            assert_eq!(wrong.is_empty(), good, "{expression}: {wrong:?}");
        }
    }

    #[test]
    fn claims_have_rules() {
        let exactly = json!({"deviceClassName": "c.example.com"});
        for (devices, wrong) in [
            (json!({"requests": [{"name": "a", "exactly": exactly}]}), vec![]),
            (
                json!({"requests": [{"name": "a"}]}),
                vec![
                    "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
                ],
            ),
            (
                json!({"requests": [{"name": "a", "exactly": exactly}, {"name": "a", "exactly": exactly}]}),
                vec!["spec.devices.requests[1]: Duplicate value: \"a\""],
            ),
            (
                json!({"requests": [{"name": "a", "exactly": {"deviceClassName": "c", "allocationMode": "All", "count": 2}}]}),
                vec![
                    "spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
                ],
            ),
            (
                json!({"requests": [{"name": "a", "exactly": exactly}],
                    "constraints": [{"requests": ["b"], "matchAttribute": "a.b/c"}]}),
                vec![
                    "spec.devices.constraints[0].requests[0]: Invalid value: \"b\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
                ],
            ),
            (
                json!({"requests": [{"name": "a", "firstAvailable": [{"name": "x", "deviceClassName": "c"}]}],
                    "config": [{"requests": ["a/x"], "opaque": {"driver": "a.b", "parameters": {"x": 1}}}, {}]}),
                vec!["spec.devices.config[1].opaque: Required value"],
            ),
            (
                json!({"requests": [{"name": "a", "exactly": {"deviceClassName": "c", "selectors": [{}],
                    "tolerations": [{"operator": "Exists", "value": "v", "effect": "Odd"}]}}]}),
                vec![
                    "spec.devices.requests[0].exactly.selectors[0].cel: Required value",
                    "spec.devices.requests[0].exactly.tolerations[0].value: Invalid value: \"v\": must be empty for operator `Exists`",
                    "spec.devices.requests[0].exactly.tolerations[0].effect: Unsupported value: \"Odd\": supported values: \"NoExecute\", \"NoSchedule\", \"None\"",
                ],
            ),
        ] {
            assert_eq!(told(devices.clone()), wrong, "{devices}");
        }
    }

    #[test]
    fn what_was_claimed_stays() {
        let (old, new) = (json!({"spec": {"a": 1}}), json!({"spec": {"a": 2}}));
        assert_eq!((strategy().validate_update)(&new, &old).len(), 1);
        assert_eq!((template_strategy().validate_update)(&old, &old).len(), 0);
        // An empty list says nothing more.
        let empty = json!({"spec": {"a": 1, "tolerations": []}});
        assert_eq!((strategy().validate_update)(&empty, &old).len(), 0);
    }
}
