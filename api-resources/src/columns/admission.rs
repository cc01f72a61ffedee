//! Columns of webhook configurations and admission policies.

use super::about::words;
use super::{AGE, Col, Kind, int, list, string, text};
use serde_json::Value;

const GROUP: &str = crate::kinds::admission::GROUP;

pub(super) const KINDS: &[Kind] = &[
    (GROUP, "mutatingadmissionpolicies", MUTATING),
    (GROUP, "mutatingadmissionpolicybindings", BINDINGS),
    (GROUP, "mutatingwebhookconfigurations", WEBHOOKS),
    (GROUP, "validatingadmissionpolicies", VALIDATING),
    (GROUP, "validatingadmissionpolicybindings", BINDINGS),
    (GROUP, "validatingwebhookconfigurations", WEBHOOKS),
];

const WEBHOOKS: &[Col] = &[
    int(
        "Webhooks",
        words("Webhooks indicates the number of webhooks registered in this configuration"),
        |o, _| list(&o["webhooks"]).len().into(),
    ),
    AGE,
];

const PARAM_KIND: Col = text(
    "ParamKind",
    words("ParamKind specifies the kind of resources used to parameterize this policy"),
    |o, _| {
        let kind = &o["spec"]["paramKind"];
        let word = |field: &str| kind[field].as_str().unwrap_or("").to_owned();
        if kind.is_object() {
            format!("{}/{}", word("apiVersion"), word("kind")).into()
        } else {
            "<unset>".into()
        }
    },
);

const VALIDATING: &[Col] = &[
    int(
        "Validations",
        words("Validations indicates the number of validation rules defined in this configuration"),
        |o, _| list(&o["spec"]["validations"]).len().into(),
    ),
    PARAM_KIND,
    AGE,
];

const MUTATING: &[Col] = &[
    int(
        "Mutations",
        words("Mutation indicates the number of mutations rules defined in this configuration"),
        |o, _| list(&o["spec"]["mutations"]).len().into(),
    ),
    PARAM_KIND,
    AGE,
];

const BINDINGS: &[Col] = &[
    text(
        "PolicyName",
        words("PolicyName indicates the policy definition which the policy binding binded to"),
        |o, _| string(&o["spec"]["policyName"]),
    ),
    text(
        "ParamRef",
        words("ParamRef indicates the param resource which sets the configuration param"),
        |o, _| parameters(&o["spec"]["paramRef"]),
    ),
    AGE,
];

/// `NAMESPACE/NAME`, with `*` for what is not said.
fn parameters(reference: &Value) -> Value {
    let word = |field: &str| reference[field].as_str().filter(|text| !text.is_empty());
    match (reference.is_object(), word("name"), word("namespace"), reference["selector"].is_object()) {
        (true, Some(name), namespace, _) => format!("{}/{name}", namespace.unwrap_or("*")).into(),
        (true, None, _, true) => super::selector(&reference["selector"]).into(),
        _ => "<unset>".into(),
    }
}
