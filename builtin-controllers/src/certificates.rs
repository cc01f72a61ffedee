//! Certificate signing requests with the built-in signers: approved by who may, signed with the plane's client
//! authority, and removed when they are old.

pub(crate) mod approving;
pub(crate) mod cleaning;
mod request;
mod rules;
pub(crate) mod signing;

use crate::access::elements;
use serde_json::Value;

/// The signer of users' certificates.
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// The signer of the certificates by which kubelets speak to the API server.
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// The signer of the certificates that kubelets serve with.
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";

/// The conditions of a request of one type.
fn conditions<'a>(object: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    elements(object, "/status/conditions").iter().filter(move |condition| condition["type"] == kind)
}

fn has(object: &Value, kind: &str) -> bool {
    conditions(object, kind).next().is_some()
}

fn is_issued(object: &Value) -> bool {
    object["status"]["certificate"].as_str().is_some_and(|certificate| !certificate.is_empty())
}

fn signer(object: &Value) -> &str {
    object["spec"]["signerName"].as_str().unwrap_or("")
}

fn usages(object: &Value) -> Vec<&str> {
    elements(object, "/spec/usages").iter().filter_map(Value::as_str).collect()
}
