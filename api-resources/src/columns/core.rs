//! Columns of the core group's small kinds: configuration, namespaces, events, quota, leases.

use super::about::{self, field, words};
use super::{AGE, Col, Kind, age, count, list, number, string, text, wide};
use jiff::Timestamp;
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[
    ("", "componentstatuses", COMPONENTS),
    ("", "configmaps", CONFIG_MAPS),
    ("", "secrets", SECRETS),
    ("", "namespaces", NAMESPACES),
    ("", "events", EVENTS),
    ("events.k8s.io", "events", EVENTS),
    ("", "resourcequotas", QUOTAS),
    ("", "limitranges", super::access::CREATED),
    ("coordination.k8s.io", "leases", LEASES),
];

const COMPONENTS: &[Col] = &[
    text("Status", words("Status of the component conditions"), |o, _| {
        let healthy = list(&o["conditions"]).iter().find(|of| of["type"] == "Healthy");
        Value::from(match healthy.and_then(|of| of["status"].as_str()) {
            Some("True") => "Healthy",
            Some("False") => "Unhealthy",
            _ => "Unknown",
        })
    }),
    text("Message", words("Message of the component conditions"), |o, _| healthy(o, "message")),
    text("Error", words("Error of the component conditions"), |o, _| healthy(o, "error")),
];

fn healthy(object: &Value, field: &str) -> Value {
    let condition = list(&object["conditions"]).iter().find(|of| of["type"] == "Healthy");
    Value::from(condition.and_then(|of| of[field].as_str()).unwrap_or(""))
}

const CONFIG_MAPS: &[Col] = &[
    text("Data", field("core.v1.ConfigMap", "data"), |o, _| {
        Value::from(count(&o["data"]) + count(&o["binaryData"]))
    }),
    AGE,
];

const SECRETS: &[Col] = &[
    text("Type", field("core.v1.Secret", "type"), |o, _| string(&o["type"])),
    text("Data", field("core.v1.Secret", "data"), |o, _| Value::from(count(&o["data"]))),
    AGE,
];

const NAMESPACES: &[Col] =
    &[text("Status", words("The status of the namespace"), |o, _| string(&o["status"]["phase"])), AGE];

const LEASES: &[Col] = &[
    text("Holder", field("coordination.v1.LeaseSpec", "holderIdentity"), |o, _| {
        string(&o["spec"]["holderIdentity"])
    }),
    AGE,
];

const QUOTAS: &[Col] = &[
    text(
        "Request",
        words("Request represents a minimum amount of cpu/memory that a container may consume."),
        |o, _| quota(o, false),
    ),
    text(
        "Limit",
        words(
            "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
        ),
        |o, _| quota(o, true),
    ),
    AGE,
];

fn quota(object: &Value, limits: bool) -> Value {
    let (hard, used) = (&object["status"]["hard"], &object["status"]["used"]);
    let mut lines: Vec<(&String, String)> = hard
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("limits.") == limits)
        .map(|(name, bound)| {
            (
                name,
                format!("{name}: {}/{}", used[name].as_str().unwrap_or("0"), bound.as_str().unwrap_or("0")),
            )
        })
        .collect();
    lines.sort();
    Value::from(lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join(", "))
}

const EVENTS: &[Col] = &[
    text("Last Seen", field("core.v1.Event", "lastTimestamp"), |o, now| Value::from(last_seen(o, now))),
    text("Type", field("core.v1.Event", "type"), |o, _| string(&o["type"])),
    text("Reason", field("core.v1.Event", "reason"), |o, _| string(&o["reason"])),
    text("Object", field("core.v1.Event", "involvedObject"), |o, _| event_object(o)),
    wide("Subobject", field("core.v1.ObjectReference", "fieldPath"), |o, _| {
        string(&o["involvedObject"]["fieldPath"])
    }),
    wide("Source", field("core.v1.Event", "source"), |o, _| event_source(o)),
    text("Message", field("core.v1.Event", "message"), |o, _| {
        Value::from(o["message"].as_str().unwrap_or("").trim())
    }),
    wide("First Seen", field("core.v1.Event", "firstTimestamp"), |o, now| Value::from(first_seen(o, now))),
    // A number that is said to be a text.
    wide("Count", field("core.v1.Event", "count"), |o, _| event_count(o)),
    wide("Name", about::NAME, |o, _| string(&o["metadata"]["name"])),
];

fn first_seen(event: &Value, now: Timestamp) -> String {
    match event["firstTimestamp"].is_string() {
        true => age::ago(&event["firstTimestamp"], now),
        false => age::ago(&event["eventTime"], now),
    }
}

fn last_seen(event: &Value, now: Timestamp) -> String {
    if event["series"].is_object() {
        age::ago(&event["series"]["lastObservedTime"], now)
    } else if event["lastTimestamp"].is_string() {
        age::ago(&event["lastTimestamp"], now)
    } else {
        first_seen(event, now)
    }
}

fn event_count(event: &Value) -> Value {
    let series = &event["series"];
    Value::from(match number(&event["count"]) {
        _ if series.is_object() => number(&series["count"]),
        0 => 1,
        count => count,
    })
}

fn event_object(event: &Value) -> Value {
    let kind = event["involvedObject"]["kind"].as_str().unwrap_or("").to_lowercase();
    Value::from(match event["involvedObject"]["name"].as_str().unwrap_or("") {
        "" => kind,
        name => format!("{kind}/{name}"),
    })
}

fn event_source(event: &Value) -> Value {
    let first = |values: [&Value; 2]| {
        values.into_iter().filter_map(Value::as_str).find(|s| !s.is_empty()).unwrap_or("").to_owned()
    };
    let component = first([&event["source"]["component"], &event["reportingComponent"]]);
    let instance = first([&event["source"]["host"], &event["reportingInstance"]]);
    Value::from(if instance.is_empty() { component } else { format!("{component}, {instance}") })
}

/// Kinds that show a default class by name: used by classes of storage and ingress.
pub(super) fn name_with_default(object: &Value, annotation: &str) -> Value {
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    let default = object["metadata"]["annotations"][annotation] == "true";
    Value::from(if default { format!("{name} (default)") } else { name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, PlaneKind};
    use crate::columns::{IncludeObject, TableOptions, table};
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    #[test]
    fn events_begin_with_when_they_were_seen_and_end_with_their_name() {
        let row = Catalog::of(PlaneKind::Tenant).resource("", "events").unwrap();
        let event = json!({"metadata": {"name": "w.1"}, "type": "Normal", "reason": "Scheduled", "message": " ok\n",
            "involvedObject": {"kind": "Pod", "name": "w"}, "eventTime": "2026-01-01T00:59:00Z",
            "reportingComponent": "scheduler", "reportingInstance": "s-0", "firstTimestamp": null});
        let options = TableOptions { include_object: IncludeObject::None, no_headers: false, now: now() };
        let table = table(&row, row.stored_version().unwrap(), [&event].into_iter(), options);
        assert_eq!(table["columnDefinitions"][0]["name"], "Last Seen");
        assert_eq!(
            table["rows"][0]["cells"],
            json!(["60s", "Normal", "Scheduled", "pod/w", "", "scheduler, s-0", "ok", "60s", 1, "w.1"])
        );
    }

    #[test]
    fn events_count_series_and_repeats() {
        for (event, seen, times) in [
            (
                json!({"firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:50:00Z", "count": 4}),
                "10m",
                4,
            ),
            (
                json!({"eventTime": "2026-01-01T00:00:00.000000Z",
                "series": {"count": 7, "lastObservedTime": "2026-01-01T00:59:59.000000Z"}}),
                "1s",
                7,
            ),
            (json!({}), "<unknown>", 1),
        ] {
            assert_eq!(
                (last_seen(&event, now()), event_count(&event)),
                (seen.to_owned(), json!(times)),
                "{event}"
            );
        }
    }

    #[test]
    fn quotas_show_use_and_bounds() {
        let quota_object = json!({"status": {"hard": {"pods": "10", "limits.cpu": "4", "requests.cpu": "2"},
            "used": {"pods": "1", "limits.cpu": "1", "requests.cpu": "500m"}}});
        assert_eq!(quota(&quota_object, false), "pods: 1/10, requests.cpu: 500m/2");
        assert_eq!(quota(&quota_object, true), "limits.cpu: 1/4");
    }

    #[test]
    fn entries_are_counted() {
        let cells = |columns: &[Col], object: &Value| -> Vec<Value> {
            columns.iter().filter(|c| c.name != "Age").map(|c| (c.cell)(object, now())).collect()
        };
        assert_eq!(cells(CONFIG_MAPS, &json!({"data": {"a": ""}, "binaryData": {"b": ""}})), [json!(2)]);
        assert_eq!(
            cells(SECRETS, &json!({"type": "Opaque", "data": {"a": ""}})),
            [json!("Opaque"), json!(1)]
        );
    }
}
