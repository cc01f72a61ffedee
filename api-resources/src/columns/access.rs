//! Columns of roles, bindings and certificate requests.

use super::about::{self, field, words};
use super::{AGE, Col, Kind, age, list, string, string_or, text, wide};
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[
    ("rbac.authorization.k8s.io", "roles", CREATED),
    ("rbac.authorization.k8s.io", "clusterroles", CREATED),
    ("rbac.authorization.k8s.io", "rolebindings", BINDINGS),
    ("rbac.authorization.k8s.io", "clusterrolebindings", CLUSTER_BINDINGS),
    ("certificates.k8s.io", "certificatesigningrequests", REQUESTS),
];

/// For kinds without a printer of their own in Kubernetes, which then shows the time itself.
pub(super) const CREATED: &[Col] = &[Col {
    of: "date",
    ..text("Created At", about::CREATED, |o, _| o["metadata"]["creationTimestamp"].clone())
}];

const ROLE: Col = text(
    "Role",
    words(
        "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. \
         If the RoleRef cannot be resolved, the Authorizer must return an error.",
    ),
    |o, _| {
        let word = |field: &str| o["roleRef"][field].as_str().unwrap_or("");
        Value::from(format!("{}/{}", word("kind"), word("name")))
    },
);

const BINDINGS: &[Col] = &[
    ROLE,
    AGE,
    wide("Users", words("Users in the roleBinding"), |o, _| subjects(o, "User")),
    wide("Groups", words("Groups in the roleBinding"), |o, _| subjects(o, "Group")),
    wide("ServiceAccounts", words("ServiceAccounts in the roleBinding"), |o, _| {
        subjects(o, "ServiceAccount")
    }),
];

const CLUSTER_BINDINGS: &[Col] = &[
    Col {
        about: words(
            "RoleRef can only reference a ClusterRole in the global namespace. \
             If the RoleRef cannot be resolved, the Authorizer must return an error.",
        ),
        ..ROLE
    },
    AGE,
    Col { about: words("Users in the clusterRoleBinding"), ..BINDINGS[2] },
    Col { about: words("Groups in the clusterRoleBinding"), ..BINDINGS[3] },
    Col { about: words("ServiceAccounts in the clusterRoleBinding"), ..BINDINGS[4] },
];

fn subjects(binding: &Value, kind: &str) -> Value {
    let of_kind = list(&binding["subjects"]).iter().filter(|s| s["kind"] == kind);
    let names = of_kind.map(|s| {
        let name = s["name"].as_str().unwrap_or("");
        match kind {
            "ServiceAccount" => format!("{}/{name}", s["namespace"].as_str().unwrap_or("")),
            _ => name.to_owned(),
        }
    });
    Value::from(names.collect::<Vec<_>>().join(", "))
}

const REQUESTS: &[Col] = &[
    AGE,
    text("SignerName", field("certificates.v1.CertificateSigningRequestSpec", "signerName"), |o, _| {
        string_or(&o["spec"]["signerName"], "<none>")
    }),
    text("Requestor", words("Base64-encoded PKCS#10 CSR data"), |o, _| string(&o["spec"]["username"])),
    text(
        "RequestedDuration",
        field("certificates.v1.CertificateSigningRequestSpec", "expirationSeconds"),
        |o, _| {
            let seconds = o["spec"]["expirationSeconds"].as_i64();
            Value::from(seconds.map_or("<none>".to_owned(), age::human_duration))
        },
    ),
    text("Condition", words("Conditions applied to the request, such as approval or denial."), |o, _| {
        Value::from(outcome(o))
    }),
];

fn outcome(request: &Value) -> String {
    let has = |kind: &str| list(&request["status"]["conditions"]).iter().any(|c| c["type"] == kind);
    let decision = ["Denied", "Approved"].into_iter().find(|kind| has(kind)).unwrap_or("Pending");
    let issued = request["status"]["certificate"].as_str().is_some_and(|c| !c.is_empty());
    let failed = if has("Failed") { ",Failed" } else { "" };
    format!("{decision}{failed}{}", if issued { ",Issued" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn subjects_are_shown_by_kind() {
        let binding = json!({"subjects": [{"kind": "User", "name": "a"}, {"kind": "User", "name": "b"},
            {"kind": "ServiceAccount", "namespace": "n", "name": "s"}]});
        assert_eq!(subjects(&binding, "User"), "a, b");
        assert_eq!(subjects(&binding, "Group"), "");
        assert_eq!(subjects(&binding, "ServiceAccount"), "n/s");
    }

    #[test]
    fn requests_tell_what_became_of_them() {
        for (status, text) in [
            (json!({}), "Pending"),
            (json!({"conditions": [{"type": "Approved"}], "certificate": "eA=="}), "Approved,Issued"),
            (json!({"conditions": [{"type": "Approved"}, {"type": "Denied"}]}), "Denied"),
            (json!({"conditions": [{"type": "Approved"}, {"type": "Failed"}]}), "Approved,Failed"),
        ] {
            assert_eq!(outcome(&json!({"status": status})), text);
        }
    }
}
