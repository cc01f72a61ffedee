//! Columns of flow schemas and priority levels.

use super::about::{field, words};
use super::{AGE, Col, Kind, list, number, string, string_or, text};
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[
    ("flowcontrol.apiserver.k8s.io", "flowschemas", SCHEMAS),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", LEVELS),
];

const SCHEMAS: &[Col] = &[
    text("PriorityLevel", field("flowcontrol.v1.PriorityLevelConfigurationReference", "name"), |o, _| {
        string(&o["spec"]["priorityLevelConfiguration"]["name"])
    }),
    text("MatchingPrecedence", field("flowcontrol.v1.FlowSchemaSpec", "matchingPrecedence"), |o, _| {
        number(&o["spec"]["matchingPrecedence"]).into()
    }),
    text("DistinguisherMethod", field("flowcontrol.v1.FlowSchemaSpec", "distinguisherMethod"), |o, _| {
        string_or(&o["spec"]["distinguisherMethod"]["type"], "<none>")
    }),
    AGE,
    text("MissingPL", words("references a broken or non-existent PriorityLevelConfiguration"), |o, _| {
        let dangling = list(&o["status"]["conditions"]).iter().find(|c| c["type"] == "Dangling");
        dangling.map_or_else(|| Value::from("?"), |condition| string(&condition["status"]))
    }),
];

const LEVELS: &[Col] = &[
    text("Type", field("flowcontrol.v1.PriorityLevelConfigurationSpec", "type"), |o, _| {
        string(&o["spec"]["type"])
    }),
    text(
        "NominalConcurrencyShares",
        field("flowcontrol.v1.LimitedPriorityLevelConfiguration", "nominalConcurrencyShares"),
        |o, _| or_none(&o["spec"]["limited"]["nominalConcurrencyShares"]),
    ),
    text("Queues", field("flowcontrol.v1.QueuingConfiguration", "queues"), |o, _| {
        or_none(&queuing(o)["queues"])
    }),
    text("HandSize", field("flowcontrol.v1.QueuingConfiguration", "handSize"), |o, _| {
        or_none(&queuing(o)["handSize"])
    }),
    text("QueueLengthLimit", field("flowcontrol.v1.QueuingConfiguration", "queueLengthLimit"), |o, _| {
        or_none(&queuing(o)["queueLengthLimit"])
    }),
    AGE,
];

fn queuing(level: &Value) -> &Value {
    &level["spec"]["limited"]["limitResponse"]["queuing"]
}

fn or_none(number: &Value) -> Value {
    if number.is_null() { "<none>".into() } else { number.clone() }
}
