//! Columns of APIServices.

use super::about::words;
use super::{AGE, Col, Kind, list, text};
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[(crate::aggregation::GROUP, "apiservices", API_SERVICES)];

const API_SERVICES: &[Col] = &[
    text("Service", words("The reference to the service that hosts this API endpoint."), |o, _| {
        let service = &o["spec"]["service"];
        let word = |field: &str| service[field].as_str().unwrap_or("").to_owned();
        if service.is_object() {
            format!("{}/{}", word("namespace"), word("name")).into()
        } else {
            "Local".into()
        }
    }),
    text("Available", words("Whether this service is available."), |o, _| available(o).into()),
    AGE,
];

fn available(object: &Value) -> String {
    let condition = list(&object["status"]["conditions"]).iter().find(|c| c["type"] == "Available");
    let Some(condition) = condition else { return "Unknown".to_owned() };
    let word = |field: &str| condition[field].as_str().unwrap_or("");
    match (word("status"), word("reason")) {
        (status, reason) if status != "True" && !reason.is_empty() => format!("{status} ({reason})"),
        (status, _) => status.to_owned(),
    }
}
