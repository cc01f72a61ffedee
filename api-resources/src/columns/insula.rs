//! Columns of the platform's own kinds.

use super::about::words;
use super::{AGE, Col, Kind, int, list, number, string, text, wide};
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[
    ("tenancy.insula.dev", "tenants", TENANTS),
    ("tenancy.insula.dev", "superclusters", SUPER_CLUSTERS),
    ("tenancy.insula.dev", "syncrules", SYNC_RULES),
    ("cloud.insula.dev", "cloudaccounts", ACCOUNTS),
    ("cloud.insula.dev", "cloudclasses", CLASSES),
    ("cloud.insula.dev", "databases", DATABASES),
    ("core.oam.dev", "components", COMPONENTS),
    ("core.oam.dev", "applicationconfigurations", APPLICATIONS),
    ("core.oam.dev", "workloaddefinitions", DEFINITIONS),
    ("core.oam.dev", "traitdefinitions", DEFINITIONS),
    ("core.oam.dev", "manualscalertraits", SCALERS),
    ("core.oam.dev", "servicebindings", BINDINGS),
];

const READY: Col = text("Ready", words("Whether it can be used."), |o, _| condition(o, "status"));
const REASON: Col = wide("Reason", words("Why it is ready or not."), |o, _| condition(o, "reason"));

/// One field of the condition `Ready`.
fn condition(object: &Value, field: &str) -> Value {
    let ready = list(&object["status"]["conditions"]).iter().find(|c| c["type"] == "Ready");
    ready.map_or_else(|| Value::from(""), |c| string(&c[field]))
}

const TENANTS: &[Col] = &[
    text("Phase", words("The tenant's state in one word."), |o, _| match o["metadata"]["deletionTimestamp"]
        .is_string()
    {
        true => Value::from("Terminating"),
        false => string(&o["status"]["phase"]),
    }),
    text("Endpoint", words("The URL of the tenant's API."), |o, _| string(&o["status"]["endpoint"])),
    AGE,
    wide("Super Cluster", words("Where the tenant's pods run."), |o, _| string(&o["status"]["superCluster"])),
    // Nothing at all until they are told for the first time.
    Col {
        of: "integer",
        ..wide("Pods", words("The tenant's pods."), |o, _| o["status"]["usage"]["pods"].clone())
    },
    Col {
        of: "integer",
        ..wide("Objects", words("The tenant's stored objects."), |o, _| {
            o["status"]["usage"]["objects"].clone()
        })
    },
];

const SUPER_CLUSTERS: &[Col] = &[
    READY,
    text("Version", words("Its Kubernetes version."), |o, _| string(&o["status"]["version"])),
    int("Nodes", words("How many nodes it has."), |o, _| number(&o["status"]["nodes"]).into()),
    int("Tenants", words("How many tenants are placed on it."), |o, _| {
        number(&o["status"]["tenants"]).into()
    }),
    AGE,
    REASON,
];

const SYNC_RULES: &[Col] = &[
    text("Resource", words("The kind that is synced."), |o, _| {
        let resource = &o["spec"]["resource"];
        let plural = resource["plural"].as_str().unwrap_or("");
        Value::from(match resource["group"].as_str().unwrap_or("") {
            "" => plural.to_owned(),
            group => format!("{plural}.{group}"),
        })
    }),
    text("Direction", words("Which way."), |o, _| string(&o["spec"]["direction"])),
    READY,
    AGE,
];

const ACCOUNTS: &[Col] = &[
    text("Provider", words("Whose cloud it is."), |o, _| string(&o["spec"]["provider"])),
    READY,
    AGE,
    REASON,
];

const CLASSES: &[Col] = &[
    text("Databases", words("The connections of a database of the class."), |o, _| {
        o["spec"]["database"]["connectionLimit"].as_i64().map_or(Value::from(""), Value::from)
    }),
    text("Description", words("For people."), |o, _| string(&o["spec"]["description"])),
    AGE,
];

const DATABASES: &[Col] = &[
    text("Engine", words("Which database it is."), |o, _| string(&o["spec"]["engine"])),
    text("Phase", words("Its state in one word."), |o, _| string(&o["status"]["phase"])),
    text("Endpoint", words("Where it is reached."), |o, _| string(&o["status"]["endpoint"])),
    AGE,
    wide("Secret", words("Where its connection is."), |o, _| string(&o["spec"]["connectionSecret"]["name"])),
    REASON,
];

const COMPONENTS: &[Col] = &[
    text("Workload", words("The kind of its workload."), |o, _| string(&o["spec"]["workload"]["kind"])),
    text("Revision", words("Its newest revision."), |o, _| string(&o["status"]["latestRevision"]["name"])),
    AGE,
];

const APPLICATIONS: &[Col] = &[READY, AGE, REASON];

const DEFINITIONS: &[Col] = &[
    text("Definition", words("The resource that it stands for."), |o, _| {
        string(&o["spec"]["definitionRef"]["name"])
    }),
    AGE,
];

const SCALERS: &[Col] = &[
    int("Replicas", words("Replicas wanted."), |o, _| number(&o["spec"]["replicaCount"]).into()),
    text("Workload", words("What is scaled."), |o, _| string(&o["spec"]["workloadRef"]["name"])),
    READY,
    AGE,
];

const BINDINGS: &[Col] = &[
    text("Secret", words("Where the values come from."), |o, _| string(&o["spec"]["source"]["secretName"])),
    text("Workload", words("What is bound."), |o, _| string(&o["spec"]["workloadRef"]["name"])),
    READY,
    AGE,
    REASON,
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tenant_being_deleted_says_so() {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let mut tenant =
            json!({"metadata": {}, "status": {"phase": "Ready", "endpoint": "https://x/tenants/acme"}});
        let cells = |o: &Value| -> Value { TENANTS[..2].iter().map(|c| (c.cell)(o, now)).collect() };
        assert_eq!(cells(&tenant), json!(["Ready", "https://x/tenants/acme"]));
        tenant["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:01:00Z");
        assert_eq!(cells(&tenant)[0], "Terminating");
        assert_eq!(
            condition(&json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}), "status"),
            "False"
        );
    }
}
