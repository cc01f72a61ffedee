//! What a tenant is told of a refusal of its super cluster. A pure function.
//!
//! Guarantees: neither the super namespace nor an address of a node is in it, nor as whom the platform acts there. What
//! a kubelet says of the tenant's own container is, since nothing else tells what to do.

use api_types::{ApiError, GroupResource, ObjectName, Reason};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// The refusal in words for the tenant. `super_namespace`: where the pod is; `cluster`: the name of the `SuperCluster`.
pub fn told(error: &ApiError, pod: &ObjectName, super_namespace: &str, cluster: &str) -> ApiError {
    let why = |what: &str| ApiError::unavailable(format!("pod {}: {what}", pod.name), 1);
    match error.reason() {
        Reason::Forbidden | Reason::Unauthorized => {
            return why("the super cluster does not let the platform reach into pods in this way");
        }
        Reason::NotFound if error.message().contains(" not found") => {
            return ApiError::not_found(&GroupResource::new("", "pods"), &pod.name);
        }
        _ => {}
    }
    let message = error.message().replace(super_namespace, &pod.namespace);
    if message.is_empty() || message.contains(cluster) || leads_somewhere(&message) {
        return why("it cannot be reached where it runs");
    }
    let status = error.to_status();
    ApiError::given(error.code(), status["reason"].as_str(), message, &Value::Null)
}

/// True for a text with a URL or an address in it.
fn leads_somewhere(text: &str) -> bool {
    let is_address = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '[' && c != ']');
        word.parse::<SocketAddr>().is_ok() || word.parse::<IpAddr>().is_ok()
    };
    text.contains("://") || text.split(|c: char| c.is_whitespace() || "\"'(),;".contains(c)).any(is_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_super_cluster_is_told() {
        let pod = ObjectName::new("default", "web");
        let pods = GroupResource::new("", "pods");
        let told = |error: &ApiError| {
            let told = told(error, &pod, "acme-default-abc", "hz-1");
            format!("{} {}", told.code(), told.message())
        };
        let unreachable = "503 pod web: it cannot be reached where it runs";
        let waiting = "container \"c\" in pod \"web\" is waiting to start: ContainerCreating";
        for (error, expected) in [
            (ApiError::bad_request(waiting), format!("400 {waiting}")),
            (
                ApiError::bad_request("pod acme-default-abc/web is simulated"),
                "400 pod default/web is simulated".to_owned(),
            ),
            (ApiError::not_found(&pods, "web"), "404 pods \"web\" not found".to_owned()),
            (
                ApiError::forbidden(&pods, "web", "User \"insula-syncer\" cannot get pods/log"),
                "503 pod web: the super cluster does not let the platform reach into pods in this way"
                    .to_owned(),
            ),
            (
                ApiError::given(500, None, "Get \"https://node/containerLogs\": EOF", &Value::Null),
                unreachable.into(),
            ),
            (
                ApiError::given(500, None, "dial tcp 10.1.2.3:10250: refused", &Value::Null),
                unreachable.into(),
            ),
            (ApiError::given(502, None, "node fd00::7, no route", &Value::Null), unreachable.into()),
            (ApiError::given(502, None, "proxy of hz-1: down", &Value::Null), unreachable.into()),
            (ApiError::given(502, None, "", &Value::Null), unreachable.into()),
            (
                ApiError::given(500, None, "container not found (\"c\")", &Value::Null),
                "500 container not found (\"c\")".to_owned(),
            ),
        ] {
            assert_eq!(told(&error), expected, "{error}");
        }
    }
}
