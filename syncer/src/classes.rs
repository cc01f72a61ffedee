//! StorageClasses and RuntimeClasses, upward only: those that the tenant's spec, or its profile, publishes.

use crate::kinds::Kind;
use crate::tenants::TenantView;
use api_types::labels;
use serde_json::{Value, json};

/// Annotation of the class that claims without one get.
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
/// What of a StorageClass tenants read. Its parameters name Secrets and disks of the super cluster.
const STORAGE: [&str; 4] = ["provisioner", "reclaimPolicy", "volumeBindingMode", "allowVolumeExpansion"];

/// The names of the classes of a kind that a tenant is to see: in the tenant, and in the super cluster.
pub fn published(tenant: &TenantView, kind: Kind) -> Vec<(&str, &str)> {
    match kind {
        Kind::StorageClass => tenant
            .spec
            .storage
            .classes
            .iter()
            .map(|class| (class.tenant.as_str(), class.super_class.as_str()))
            .collect(),
        Kind::RuntimeClass => {
            let name = tenant.spec.runtime.class_name.as_str();
            if name.is_empty() { Vec::new() } else { vec![(name, name)] }
        }
        _ => Vec::new(),
    }
}

/// A class as the tenant sees it under this name.
pub fn upward(tenant: &TenantView, kind: Kind, name: &str, class: &Value) -> Value {
    let mut out = json!({
        "apiVersion": class["apiVersion"],
        "kind": kind.name(),
        "metadata": {"name": name, "annotations": {labels::UID: class["metadata"]["uid"]}},
    });
    if kind == Kind::StorageClass {
        for field in STORAGE {
            if let Some(value) = class.get(field).filter(|value| !value.is_null()) {
                out[field] = value.clone();
            }
        }
        let is_default = tenant.spec.storage.classes.iter().any(|c| c.tenant == name && c.default);
        out["metadata"]["annotations"][IS_DEFAULT] = json!(is_default.to_string());
    } else {
        // Tenants' pods count with what the sandbox takes; where it can run is for the super cluster's scheduler.
        out["handler"] = json!(name);
        if let Some(overhead) = class.get("overhead").filter(|overhead| !overhead.is_null()) {
            out["overhead"] = overhead.clone();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_the_tenants_names_and_no_parameters() {
        let mut tenant = TenantView::for_tests("acme", 7);
        let classes = json!({"classes": [{"tenant": "standard", "super": "cloud-ssd", "default": true},
            {"tenant": "slow", "super": "cloud-hdd"}]});
        tenant.spec.storage = serde_json::from_value(classes).unwrap();
        assert!(published(&tenant, Kind::RuntimeClass).is_empty());
        tenant.spec.runtime.class_name = "kata".to_owned();
        assert_eq!(
            published(&tenant, Kind::StorageClass),
            [("standard", "cloud-ssd"), ("slow", "cloud-hdd")]
        );
        assert_eq!(published(&tenant, Kind::RuntimeClass), [("kata", "kata")]);
        assert!(published(&tenant, Kind::Pod).is_empty());
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": "cloud-ssd", "uid": "u", "labels": {"team": "storage"}},
            "provisioner": "ebs.example.com", "parameters": {"secret": "s"}, "reclaimPolicy": "Delete",
            "volumeBindingMode": "Immediate", "allowVolumeExpansion": true, "mountOptions": ["x"]});
        for (name, is_default) in [("standard", "true"), ("slow", "false")] {
            assert_eq!(
                upward(&tenant, Kind::StorageClass, name, &class),
                json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                    "metadata": {"name": name, "annotations": {"insula.dev/uid": "u",
                        "storageclass.kubernetes.io/is-default-class": is_default}},
                    "provisioner": "ebs.example.com", "reclaimPolicy": "Delete",
                    "volumeBindingMode": "Immediate", "allowVolumeExpansion": true})
            );
        }
        let class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
            "metadata": {"name": "kata", "uid": "u"}, "handler": "kata-qemu",
            "overhead": {"podFixed": {"memory": "120Mi"}}, "scheduling": {"nodeSelector": {"kata": "yes"}}});
        assert_eq!(
            upward(&tenant, Kind::RuntimeClass, "kata", &class),
            json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
                "metadata": {"name": "kata", "annotations": {"insula.dev/uid": "u"}},
                "handler": "kata", "overhead": {"podFixed": {"memory": "120Mi"}}})
        );
    }
}
