//! Readers of the values that field selectors can name, where a plain path does not say it.

use crate::resource::{Read, SelectableField};
use serde_json::Value;

type Reader = fn(&Value) -> String;

/// Resource, field, reader. All other fields are read by their path.
const READERS: &[(&str, &str, Reader)] = &[
    ("pods", "spec.host", |o| text(&o["spec"]["nodeName"])),
    ("pods", "spec.hostNetwork", |o| flag(&o["spec"]["hostNetwork"])),
    ("pods", "status.podIP", |o| text(&o["status"]["podIPs"][0]["ip"])),
    // Kubernetes accepts the field and gives it no value.
    ("pods", "status.podIPs", |_| String::new()),
    ("nodes", "spec.unschedulable", |o| flag(&o["spec"]["unschedulable"])),
    ("replicationcontrollers", "status.replicas", |o| number(&o["status"]["replicas"])),
    ("jobs", "status.successful", |o| number(&o["status"]["succeeded"])),
    ("events", "source", |o| {
        let component = text(&o["source"]["component"]);
        if component.is_empty() { text(&o["reportingComponent"]) } else { component }
    }),
];

/// The selectable field of a built-in resource.
pub(super) fn selectable(_group: &str, plural: &str, path: &str) -> SelectableField {
    let read = match READERS.iter().find(|(p, f, _)| *p == plural && *f == path) {
        Some((_, _, reader)) => Read::Code(*reader),
        None => Read::Path(format!(".{path}").into()),
    };
    SelectableField { path: path.into(), read }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

fn flag(value: &Value) -> String {
    value.as_bool().unwrap_or(false).to_string()
}

fn number(value: &Value) -> String {
    value.as_i64().unwrap_or(0).to_string()
}
