//! Super namespaces, downward only.

use crate::ownership;
use crate::tenants::TenantView;
use crate::translation::meta_text;
use serde_json::{Value, json};

/// Label by which Kubernetes enforces a Pod Security Standard (KEP-2579).
const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";

/// A tenant's namespace as the super cluster gets it: labelled as the tenant's, and with the Pod Security Standard
/// of the tenant's spec, whatever the tenant's namespace says.
pub fn downward(tenant: &TenantView, namespace: &Value) -> Value {
    let name = tenant.super_namespace(meta_text(namespace, "name"));
    let mut bare = json!({"metadata": namespace["metadata"]});
    if let Some(labels) = bare["metadata"]["labels"].as_object_mut() {
        labels.retain(|key, _| {
            !key.starts_with("pod-security.kubernetes.io/") && key != "kubernetes.io/metadata.name"
        });
    }
    let mut metadata = ownership::downward(tenant, "", &name, &bare);
    metadata["labels"][POD_SECURITY] = json!(tenant.spec.scheduling.pod_security.as_str());
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_decides_pod_security() {
        let tenant = TenantView::for_tests("acme", 7);
        let down = downward(
            &tenant,
            &json!({"metadata": {"name": "shop", "uid": "u", "labels": {"team": "a",
                "kubernetes.io/metadata.name": "shop", "pod-security.kubernetes.io/enforce": "privileged"}}}),
        );
        let labels = &down["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "baseline");
        assert_eq!(labels["team"], "a");
        assert!(labels.get("kubernetes.io/metadata.name").is_none());
        assert_eq!(down["metadata"]["annotations"]["insula.dev/name"], "shop");
        assert_eq!(down["metadata"]["name"], crate::names::super_namespace("acme", tenant.id, "shop"));
    }
}
