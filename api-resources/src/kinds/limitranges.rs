//! Limit ranges.

use super::generic::plain;
use super::place::{Causes, Place, each_mut, invalid_all, lookup, map_at};
use super::resources::{self, compare, quantity};
use crate::names;
use crate::resource::Strategy;
use api_schema::quantity::Quantity;
use api_types::Cause;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeSet;

const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

/// How limit ranges are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| {
            if let Some(spec) = map_at(object, "spec") {
                each_mut(spec, "limits").for_each(default_limit);
            }
        },
        validate_create: validate,
        validate_update: |new, _| validate(new),
        create_on_update: true,
        named_by_server: true,
        ..plain()
    }
}

/// A container's default limit is the maximum; its default request is the default limit, else the minimum.
fn default_limit(limit: &mut Value) {
    if limit["type"] != "Container" {
        return;
    }
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        let Some(given) = lookup(limit, from).as_object().cloned() else { continue };
        let Some(target) = map_at(limit, to) else { continue };
        for (name, value) in given {
            if target.get(&name).is_none() {
                target[&name] = value;
            }
        }
    }
}

fn validate(object: &Value) -> Causes {
    let mut out = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for limit in Place::root(object).field("spec").list("limits") {
        let kind = limit.text("type");
        let wrong = names::qualified_name(kind);
        if wrong.is_empty()
            && !kind.contains('/')
            && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim")
        {
            let message = "must be a standard limit type or fully qualified";
            out.push(Cause::invalid(limit.of("type"), &Value::from(kind), message));
        }
        invalid_all(&mut out, &limit.of("type"), kind, wrong);
        if seen.contains(&kind) {
            out.push(Cause::duplicate(limit.of("type"), &Value::from(kind)));
        }
        seen.push(kind);
        of_kind(&mut out, &limit, kind);
        let names: BTreeSet<&String> =
            LISTS.iter().flat_map(|list| limit.map(list)).map(|(n, _)| n).collect();
        names.into_iter().for_each(|name| relations(&mut out, &limit, name));
    }
    out
}

fn of_kind(out: &mut Causes, limit: &Place<'_>, kind: &str) {
    for list in LISTS {
        let at = limit.field(list);
        if kind == "Pod" && list.starts_with("default") {
            if !limit.lacks(list) {
                out.push(Cause::forbidden(at.path, "may not be specified when `type` is 'Pod'"));
            }
            continue;
        }
        for (name, _) in limit.map(list) {
            let path = at.key(name).path;
            if matches!(kind, "Pod" | "Container") {
                resources::container_resource_name(out, &path, name);
            } else {
                resources::resource_name(out, &path, name);
            }
        }
    }
    let sized = ["min", "max"].iter().any(|list| limit.field(list).has("storage"));
    if kind == "PersistentVolumeClaim" && !sized {
        let message = "either minimum or maximum storage value is required, but neither was provided";
        out.push(Cause::required(limit.of("limits"), message));
    }
}

/// List that is refused, value that is shown, the lesser and the greater value, how they are called.
type Relation = (&'static str, &'static str, &'static str, &'static str, &'static str);

const RELATIONS: [Relation; 6] = [
    ("min", "min", "min", "max", "min value {a} is greater than max value {b}"),
    (
        "defaultRequest",
        "defaultRequest",
        "min",
        "defaultRequest",
        "min value {a} is greater than default request value {b}",
    ),
    (
        "defaultRequest",
        "defaultRequest",
        "defaultRequest",
        "max",
        "default request value {a} is greater than max value {b}",
    ),
    (
        "defaultRequest",
        "defaultRequest",
        "defaultRequest",
        "default",
        "default request value {a} is greater than default limit value {b}",
    ),
    ("default", "min", "min", "default", "min value {a} is greater than default value {b}"),
    ("default", "max", "default", "max", "default value {a} is greater than max value {b}"),
];

fn relations(out: &mut Causes, limit: &Place<'_>, name: &str) {
    let value = |list: &str| limit.value.get(list).and_then(|map| map.get(name));
    let shown = |list: &str| value(list).and_then(quantity).map(|q| q.to_string()).unwrap_or_default();
    for (list, told, less, more, message) in RELATIONS {
        let (Some(a), Some(b)) = (value(less), value(more)) else { continue };
        if compare(a, b) == Some(Ordering::Greater) {
            let message = message.replace("{a}", &shown(less)).replace("{b}", &shown(more));
            let path = limit.field(list).key(name).path;
            out.push(Cause::invalid(path, &Value::from(shown(told)), &message));
        }
    }
    ratio(out, limit, name);
    let overcommits = !name.contains('/') && !name.starts_with("hugepages-");
    if let (Some(limit_default), Some(request)) = (value("default"), value("defaultRequest"))
        && !overcommits
        && compare(limit_default, request) != Some(Ordering::Equal)
    {
        let message = format!(
            "default value {} must equal to defaultRequest value {} in {name}",
            shown("default"),
            shown("defaultRequest")
        );
        let path = limit.field("defaultRequest").key(name).path;
        out.push(Cause::invalid(path, &Value::from(shown("defaultRequest")), &message));
    }
}

fn ratio(out: &mut Causes, limit: &Place<'_>, name: &str) {
    let list = "maxLimitRequestRatio";
    let value = |list: &str| limit.value.get(list).and_then(|map| map.get(name)).and_then(quantity);
    let Some(ratio) = value(list) else { return };
    let path = limit.field(list).key(name).path;
    let shown = Value::from(ratio.to_string());
    if ratio < Quantity::from_whole(1, ratio.format()) {
        out.push(Cause::invalid(&path, &shown, &format!("ratio {ratio} is less than 1")));
    }
    if let (Some(least), Some(most)) = (value("min"), value("max")) {
        let most_ratio = most.milli_value() as f64 / least.milli_value() as f64;
        if ratio.milli_value() as f64 / 1000.0 > most_ratio {
            let message = format!("ratio {ratio} is greater than max/min = {most_ratio:.6}");
            out.push(Cause::invalid(&path, &shown, &message));
        }
    }
}
