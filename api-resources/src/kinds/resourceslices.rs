//! Slices of pools of devices (`resource.k8s.io`): which devices a driver has, and where.

use super::deviceallocations::binding;
use super::devicenames::{by_name, each, each_once, label, label_value, pool, qualified};
use super::generic::plain;
use super::place::{Causes, Place, each_mut, invalid_all, lookup, not_changed, required_one_of, set_default};
use super::pods_affinity::node_selector;
use super::pods_volumes::driver_name;
use super::resourceclaims::EFFECTS;
use super::resources;
use crate::names;
use crate::resource::Strategy;
use api_schema::quantity::Quantity;
use api_types::{Cause, CauseReason};
use serde_json::Value;
use std::cmp::Ordering;

const DEVICES_MAX: usize = 128;
/// With taints or counters.
const DEMANDING_DEVICES_MAX: usize = 64;
const COUNTER_SETS_MAX: usize = 8;
const COUNTERS_MAX: usize = 32;
const CONSUMED_SETS_MAX: usize = 2;
const ATTRIBUTES_MAX: usize = 32;
const VALUE_MAX: usize = 64;
const TAINTS_MAX: usize = 16;
const OPTIONS_MAX: usize = 10;
const VALUES: &[&str] = &["bool", "int", "string", "version"];
/// Off by default in Kubernetes 1.36: dropped from what is written.
const LISTS: &[&str] = &["bools", "ints", "strings", "versions"];

/// How slices are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: date_taints,
        prepare_create: drop_disabled,
        prepare_update: |new, _| drop_disabled(new),
        validate_create: |object| validate(object, &Value::Null),
        validate_update: validate,
        warnings: |object| {
            let driver = lookup(object, "spec.driver").as_str().unwrap_or("");
            let warning = format!(
                "spec.driver: driver names should be lowercase; {driver:?} contains uppercase characters"
            );
            driver.contains(|c: char| c.is_ascii_uppercase()).then_some(warning).into_iter().collect()
        },
        generation: true,
        ..plain()
    }
}

/// A taint is there since it was written, unless it says so.
fn date_taints(object: &mut Value) {
    let now =
        jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap_or_default().to_string();
    let Some(spec) = object.get_mut("spec") else { return };
    for taint in each_mut(spec, "devices").flat_map(|device| each_mut(device, "taints")) {
        set_default(taint, "timeAdded", now.as_str());
    }
}

fn drop_disabled(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    for device in each_mut(spec, "devices") {
        if let Some(fields) = device.as_object_mut() {
            fields.remove("nodeAllocatableResourceMappings");
        }
        let attributes = device.get_mut("attributes").and_then(Value::as_object_mut);
        for attribute in
            attributes.into_iter().flat_map(|all| all.values_mut()).filter_map(Value::as_object_mut)
        {
            attribute.retain(|kind, _| !LISTS.contains(&kind.as_str()));
        }
    }
}

fn validate(object: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    driver_name(&mut out, &spec, "driver");
    pool_of(&mut out, &spec.field("pool"));
    if !old.is_null() {
        for path in ["spec.pool.name", "spec.driver", "spec.nodeName"] {
            not_changed(&mut out, path, lookup(object, path), lookup(old, path));
        }
    }
    nodes(&mut out, &spec);
    if spec.has("sharedCounters") && spec.has("devices") {
        let message = "only one of `sharedCounters` or `devices` is allowed";
        out.push(Cause::invalid(&spec.path, &Value::from(""), message));
    }
    let demanding =
        spec.list("devices").any(|device| !device.lacks("taints") || !device.lacks("consumesCounters"));
    let max = if demanding { DEMANDING_DEVICES_MAX } else { DEVICES_MAX };
    let each_has_nodes = spec.flag("perDeviceNodeSelection");
    each_once(&mut out, &spec, "devices", max, by_name, |out, at| device(out, at, each_has_nodes));
    each_once(&mut out, &spec, "sharedCounters", COUNTER_SETS_MAX, by_name, |out, at| {
        counters(out, at, "name")
    });
    out
}

fn pool_of(out: &mut Causes, at: &Place<'_>) {
    pool(out, &Place::new(at.of("name"), &Value::from(at.text("name"))));
    let (count, generation) = (at.int("resourceSliceCount").unwrap_or(0), at.int("generation").unwrap_or(0));
    if count <= 0 {
        out.push(Cause::invalid(at.of("resourceSliceCount"), &count.into(), "must be greater than zero"));
    }
    if generation < 0 {
        let message = "must be greater than or equal to zero";
        out.push(Cause::invalid(at.of("generation"), &generation.into(), message));
    }
}

/// A field that is true or not there.
fn true_or_unset(out: &mut Causes, at: &Place<'_>, field: &str) -> bool {
    let given = at.present(field);
    if let Some(no) = given.as_ref().filter(|given| given.value == false) {
        out.push(Cause::invalid(&no.path, no.value, "must be either unset or set to true"));
    }
    given.is_some_and(|given| given.value == true)
}

/// The name of a node that is not empty; else the message is told.
fn named_node(out: &mut Causes, at: &Place<'_>, empty: &str) -> bool {
    let Some(node) = at.present("nodeName") else { return false };
    if node.as_text().is_empty() {
        out.push(Cause::invalid(&node.path, node.value, empty));
        return false;
    }
    invalid_all(out, &node.path, node.as_text(), names::dns_subdomain(node.as_text()));
    true
}

/// Says that one of several was needed, or that there are too many.
fn one_of_them(out: &mut Causes, path: &str, set: &[&str], one: &str, many: &str) {
    match set {
        [] => out.push(Cause::required(path, one)),
        [_] => {}
        several => {
            let shown: Vec<String> = several.iter().map(|field| format!("`{field}`")).collect();
            out.push(Cause::invalid(path, &Value::from(format!("{{{}}}", shown.join(", "))), many));
        }
    }
}

fn nodes(out: &mut Causes, spec: &Place<'_>) {
    let mut set = Vec::new();
    if named_node(out, spec, "must be either unset or set to a non-empty string") {
        set.push("nodeName");
    }
    if let Some(selector) = spec.present("nodeSelector") {
        set.push("nodeSelector");
        node_selector(out, &selector);
        if selector.list("nodeSelectorTerms").count() != 1 {
            let terms = selector.field("nodeSelectorTerms");
            out.push(Cause::invalid(terms.path, terms.value, "must have exactly one node selector term"));
        }
    }
    set.extend(
        ["allNodes", "perDeviceNodeSelection"].into_iter().filter(|field| true_or_unset(out, spec, field)),
    );
    let one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    one_of_them(out, &spec.path, &set, one, &format!("{one}, but multiple fields are set"));
}

fn device(out: &mut Causes, at: &Place<'_>, has_nodes: bool) {
    label(out, &Place::new(at.of("name"), &Value::from(at.text("name"))));
    let count = at.map("attributes").count() + at.map("capacity").count();
    if count > ATTRIBUTES_MAX {
        let message =
            format!("the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}");
        out.push(Cause::invalid(&at.path, &count.into(), &message));
    }
    let attributes = at.field("attributes");
    for (name, _) in at.map("attributes") {
        qualified(out, &attributes.path, name);
        attribute(out, &attributes.key(name));
    }
    let capacity = at.field("capacity");
    for (name, _) in at.map("capacity") {
        qualified(out, &capacity.path, name);
        if let Some(policy) = capacity.key(name).present("requestPolicy") {
            if at.flag("allowMultipleAllocations") {
                request_policy(out, &policy, capacity.key(name).field("value").value);
            } else {
                out.push(Cause::forbidden(policy.path, "allowMultipleAllocations must be true"));
            }
        }
    }
    each(out, at, "taints", TAINTS_MAX, |out, taint| {
        invalid_all(out, &taint.of("key"), taint.text("key"), names::qualified_name(taint.text("key")));
        label_value(out, taint, "value");
        required_one_of(out, taint, "effect", EFFECTS);
    });
    each_once(
        out,
        at,
        "consumesCounters",
        CONSUMED_SETS_MAX,
        |set| set.text("counterSet"),
        |out, set| {
            counters(out, set, "counterSet");
        },
    );
    nodes_of_device(out, at, has_nodes);
    binding(out, at);
}

fn nodes_of_device(out: &mut Causes, at: &Place<'_>, has_nodes: bool) {
    if !has_nodes {
        if ["nodeName", "nodeSelector", "allNodes"].iter().any(|field| at.has(field)) {
            let message = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
            out.push(Cause::invalid(&at.path, &Value::Null, message));
        }
        return;
    }
    let mut set = Vec::new();
    if named_node(out, at, "must not be empty") {
        set.push("nodeName");
    }
    if let Some(selector) = at.present("nodeSelector") {
        set.push("nodeSelector");
        node_selector(out, &selector);
    }
    if true_or_unset(out, at, "allNodes") {
        set.push("allNodes");
    }
    let one = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    one_of_them(out, &at.path, &set, one, one);
}

fn counters(out: &mut Causes, at: &Place<'_>, name: &str) {
    if super::place::require(out, at, name) {
        label(out, &at.field(name));
    }
    let counters = at.field("counters");
    let count = at.map("counters").count();
    match count {
        0 => out.push(Cause::required(counters.path, "")),
        1..=COUNTERS_MAX => {
            for (counter, _) in at.map("counters") {
                invalid_all(out, &counters.path, counter, names::dns_label(counter));
            }
        }
        _ => {
            let message = format!("Too many: {count}: must have at most {COUNTERS_MAX} items");
            out.push(Cause::new(CauseReason::FieldValueTooMany, counters.path, message));
        }
    }
}

fn attribute(out: &mut Causes, at: &Place<'_>) {
    for kind in ["string", "version"] {
        let Some(value) = at.present(kind) else { continue };
        if kind == "version" && !is_version(value.as_text()) {
            let message = "must be a string compatible with semver.org spec 2.0.0";
            out.push(Cause::invalid(&value.path, value.value, message));
        }
        if value.as_text().len() > VALUE_MAX {
            out.push(Cause::too_long(value.path, VALUE_MAX));
        }
    }
    let count = VALUES.iter().filter(|kind| at.has(kind)).count();
    if count != 1 {
        let shown = if count == 0 { Value::from("") } else { at.value.clone() };
        out.push(Cause::invalid(&at.path, &shown, "exactly one value must be specified"));
    }
}

/// Of Semantic Versioning 2.0.0.
fn is_version(text: &str) -> bool {
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, release) = rest.split_once('-').map_or((rest, None), |(core, release)| (core, Some(release)));
    let is_release = |part: &str| word(part) && (number(part) || !part.bytes().all(|b| b.is_ascii_digit()));
    core.split('.').count() == 3
        && core.split('.').all(number)
        && release.is_none_or(|release| release.split('.').all(is_release))
        && build.is_none_or(|build| build.split('.').all(word))
}

/// How much of a capacity may be asked for: one of some values, or a range.
fn request_policy(out: &mut Causes, at: &Place<'_>, capacity: &Value) {
    let (values, range) = (!at.lacks("validValues"), at.present("validRange"));
    if values && range.is_some() {
        let message = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time";
        out.push(Cause::forbidden(&at.path, message));
        return;
    }
    let kind = if values { "validValues" } else { "validRange" };
    if !values && range.is_none() {
        return;
    }
    let default = at.field("default");
    if default.value.is_null() {
        out.push(Cause::required(default.path, &format!("required when {kind} is defined")));
    } else if let Some(range) = range {
        valid_range(out, &range, default.value, capacity);
    } else {
        valid_values(out, at, default.value, capacity);
    }
}

fn above(a: &Value, b: &Value) -> bool {
    resources::compare(a, b) == Some(Ordering::Greater)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn valid_values(out: &mut Causes, at: &Place<'_>, default: &Value, capacity: &Value) {
    let all: Vec<Place<'_>> = at.list("validValues").collect();
    for pair in all.windows(2).filter(|pair| above(pair[0].value, pair[1].value)) {
        out.push(Cause::invalid(&pair[1].path, pair[1].value, "values must be sorted in ascending order"));
    }
    each(out, at, "validValues", OPTIONS_MAX, |out, value| {
        if above(value.value, capacity) {
            let message = format!("option is larger than capacity value: {}", shown(capacity));
            out.push(Cause::invalid(&value.path, value.value, &message));
        }
    });
    if !all.iter().any(|value| resources::same(value.value, default)) {
        let message = "default value is not valid according to the requestPolicy";
        out.push(Cause::invalid(at.of("validValues"), default, message));
    }
}

fn valid_range(out: &mut Causes, at: &Place<'_>, default: &Value, capacity: &Value) {
    let (min, max, step) = (at.field("min"), at.field("max"), at.field("step"));
    if min.value.is_null() {
        out.push(Cause::required(min.path, "required when validRange is defined"));
        return;
    }
    let mut wrong = |broken: bool, at: &Place<'_>, value: &Value, what: String| {
        if broken {
            out.push(Cause::invalid(&at.path, value, &what));
        }
    };
    let total = shown(capacity);
    wrong(above(min.value, capacity), &min, min.value, format!("min is larger than capacity value: {total}"));
    wrong(
        above(min.value, default),
        &min,
        default,
        format!("default is less than min: {}", shown(min.value)),
    );
    if !max.value.is_null() {
        let limit = shown(max.value);
        wrong(above(min.value, max.value), &max, min.value, format!("min is larger than max: {limit}"));
        wrong(
            above(max.value, capacity),
            &max,
            max.value,
            format!("max is larger than capacity value: {total}"),
        );
        wrong(above(default, max.value), &max, default, format!("default is more than max: {limit}"));
    }
    let whole = |value: &Value| resources::quantity(value).map_or(0, |amount| amount.value());
    let (from, by) = (whole(min.value), whole(step.value));
    if step.value.is_null() || by == 0 {
        return;
    }
    let one = from.saturating_add(by);
    let too_much = one > whole(capacity);
    let format = resources::quantity(min.value).unwrap_or(Quantity::ZERO).format();
    let one = Quantity::from_whole(one, format);
    wrong(too_much, &step, step.value, format!("one step {one} is larger than capacity value: {total}"));
    for value in [default, max.value].into_iter().filter(|value| !value.is_null()) {
        let off = (whole(value).saturating_sub(from)) % by != 0;
        let message = format!(
            "value is not a multiple of a given step ({}) from ({})",
            shown(step.value),
            shown(min.value)
        );
        wrong(off, &step, value, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(spec: Value) -> Vec<String> {
        let mut whole =
            json!({"driver": "a.b", "pool": {"name": "p", "resourceSliceCount": 1}, "allNodes": true});
        if let (Some(whole), Value::Object(spec)) = (whole.as_object_mut(), spec) {
            whole.extend(spec);
        }
        validate(&json!({"spec": whole}), &Value::Null).iter().map(Cause::to_string).collect()
    }

    #[test]
    fn slices_are_somewhere() {
        let one = "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
        assert_eq!(told(json!({})), [""; 0]);
        assert_eq!(told(json!({"allNodes": null})), [one]);
        assert!(told(json!({"nodeName": "n"}))[0].contains("{`nodeName`, `allNodes`}"));
        assert_eq!(told(json!({"allNodes": false})).len(), 2);
        assert_eq!(told(json!({"pool": {"name": "p", "resourceSliceCount": 0, "generation": -1}})).len(), 2);
    }

    #[test]
    fn devices_have_rules() {
        let device = |rest: Value| {
            let mut device = json!({"name": "d"});
            if let (Some(device), Value::Object(rest)) = (device.as_object_mut(), rest) {
                device.extend(rest);
            }
            told(json!({"devices": [device]}))
        };
        for (rest, wrong) in [
            (json!({"attributes": {"a.b/model": {"string": "x"}, "version": {"version": "1.2.3-a.1+b"}}}), 0),
            (json!({"attributes": {"a": {"version": "1.02.3"}}}), 1),
            (json!({"attributes": {"a": {}}}), 1),
            (json!({"attributes": {"a": {"int": 1, "bool": true}}}), 1),
            (json!({"nodeName": "n"}), 1),
            (json!({"taints": [{"key": "a", "effect": "Odd"}]}), 1),
            (json!({"consumesCounters": [{"counterSet": "s"}]}), 1),
            (json!({"bindingConditions": ["a"]}), 1),
            (json!({"capacity": {"m": {"value": "10", "requestPolicy": {}}}}), 1),
        ] {
            assert_eq!(device(rest.clone()).len(), wrong, "{rest}: {:?}", device(rest.clone()));
        }
    }

    #[test]
    fn shares_of_a_capacity_have_rules() {
        for (policy, wrong) in [
            (json!({"default": "2", "validRange": {"min": "2", "max": "8", "step": "2"}}), 0),
            (json!({"default": "3", "validRange": {"min": "2", "max": "80", "step": "2"}}), 2),
            (json!({"validRange": {"min": "2"}}), 1),
            (json!({"default": "2", "validValues": ["2", "4"]}), 0),
            (json!({"default": "3", "validValues": ["4", "2"]}), 2),
        ] {
            let (mut out, capacity) = (Vec::new(), json!("10"));
            request_policy(&mut out, &Place::new("at", &policy), &capacity);
            assert_eq!(out.len(), wrong, "{policy}: {out:?}");
        }
    }
}
