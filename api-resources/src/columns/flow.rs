//! Columns of flow schemas and priority levels.

use super::{AGE, Col, Kind, list, number, string, string_or, text};
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[
    ("flowcontrol.apiserver.k8s.io", "flowschemas", SCHEMAS),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", LEVELS),
];

const SCHEMAS: &[Col] = &[
    text("PriorityLevel", "The level of its requests.", |o, _| {
        string(&o["spec"]["priorityLevelConfiguration"]["name"])
    }),
    text("MatchingPrecedence", "Which schema is asked first.", |o, _| {
        number(&o["spec"]["matchingPrecedence"]).into()
    }),
    text("DistinguisherMethod", "What tells its flows apart.", |o, _| {
        string_or(&o["spec"]["distinguisherMethod"]["type"], "<none>")
    }),
    AGE,
    text("MissingPL", "Whether its level is missing.", |o, _| {
        let dangling = list(&o["status"]["conditions"]).iter().find(|c| c["type"] == "Dangling");
        dangling.map_or_else(|| Value::from("?"), |condition| string(&condition["status"]))
    }),
];

const LEVELS: &[Col] = &[
    text("Type", "Whether its requests are limited.", |o, _| string(&o["spec"]["type"])),
    text("NominalConcurrencyShares", "Its share of the requests at a time.", |o, _| {
        or_none(&o["spec"]["limited"]["nominalConcurrencyShares"])
    }),
    text("Queues", "Its queues.", |o, _| or_none(&queuing(o)["queues"])),
    text("HandSize", "The queues that a flow may take.", |o, _| or_none(&queuing(o)["handSize"])),
    text("QueueLengthLimit", "The most requests of a queue.", |o, _| {
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
