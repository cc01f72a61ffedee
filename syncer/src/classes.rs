//! Classes of the super cluster, upward only: those that the tenant's spec, or its profile, publishes.

use crate::kinds::Kind;
use crate::tenants::TenantView;
use api_types::labels;
use api_types::tenancy::ClassMap;
use serde_json::{Value, json};

/// Annotation of the class that claims without one get.
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
/// The same for Ingresses.
const IS_DEFAULT_INGRESS: &str = "ingressclass.kubernetes.io/is-default-class";
/// What of a StorageClass tenants read. Its parameters name Secrets and disks of the super cluster.
const STORAGE: [&str; 4] = ["provisioner", "reclaimPolicy", "volumeBindingMode", "allowVolumeExpansion"];
/// What of a PriorityClass.
const PRIORITY: [&str; 2] = ["preemptionPolicy", "description"];
/// The highest priority that a class can have that is not Kubernetes' own.
const HIGHEST: i64 = 1_000_000_000;

/// The classes of a kind that have names of the tenant's.
fn mapped(tenant: &TenantView, kind: Kind) -> &[ClassMap] {
    match kind {
        Kind::StorageClass => &tenant.spec.storage.classes,
        Kind::IngressClass => &tenant.spec.network.ingress_classes,
        Kind::PriorityClass => &tenant.spec.scheduling.priority_classes,
        _ => &[],
    }
}

/// The names of the classes of a kind that a tenant is to see: in the tenant, and in the super cluster.
pub fn published(tenant: &TenantView, kind: Kind) -> Vec<(&str, &str)> {
    let name = tenant.spec.runtime.class_name.as_str();
    if kind == Kind::RuntimeClass && !name.is_empty() {
        return vec![(name, name)];
    }
    let mapped = mapped(tenant, kind).iter();
    mapped.map(|class| (class.tenant.as_str(), class.super_class.as_str())).collect()
}

/// A class as the tenant sees it under this name.
pub fn upward(tenant: &TenantView, kind: Kind, name: &str, class: &Value) -> Value {
    let mut out = json!({
        "apiVersion": class["apiVersion"],
        "kind": kind.name(),
        "metadata": {"name": name, "annotations": {labels::UID: class["metadata"]["uid"]}},
    });
    let is_default = mapped(tenant, kind).iter().any(|c| c.tenant == name && c.default);
    let mut keep = |fields: &[&str]| {
        for field in fields {
            if let Some(value) = class.get(*field).filter(|value| !value.is_null()) {
                out[*field] = value.clone();
            }
        }
    };
    match kind {
        Kind::StorageClass => {
            keep(&STORAGE);
            out["metadata"]["annotations"][IS_DEFAULT] = json!(is_default.to_string());
        }
        Kind::IngressClass => {
            // Its parameters name objects of the super cluster.
            out["spec"] = json!({"controller": class["spec"]["controller"]});
            out["metadata"]["annotations"][IS_DEFAULT_INGRESS] = json!(is_default.to_string());
        }
        Kind::PriorityClass => {
            keep(&PRIORITY);
            out["value"] = json!(class["value"].as_i64().unwrap_or(0).min(HIGHEST));
            out["globalDefault"] = json!(is_default);
        }
        _ => {
            // Tenants' pods count with what the sandbox takes; where it can run is for the super cluster's scheduler.
            keep(&["overhead"]);
            out["handler"] = json!(name);
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

    #[test]
    fn classes_of_ingresses_and_priorities_have_the_tenants_names() {
        let mut tenant = TenantView::for_tests("acme", 7);
        let classes =
            json!([{"tenant": "own", "super": "there", "default": true}, {"tenant": "b", "super": "there"}]);
        tenant.spec.network.ingress_classes = serde_json::from_value(classes.clone()).unwrap();
        tenant.spec.scheduling.priority_classes = serde_json::from_value(classes).unwrap();
        for kind in [Kind::IngressClass, Kind::PriorityClass] {
            assert_eq!(published(&tenant, kind), [("own", "there"), ("b", "there")]);
        }
        let class = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
            "metadata": {"name": "there", "uid": "u"},
            "spec": {"controller": "k8s.io/ingress-nginx", "parameters": {"kind": "X", "name": "y"}}});
        for (name, is_default) in [("own", "true"), ("b", "false")] {
            assert_eq!(
                upward(&tenant, Kind::IngressClass, name, &class),
                json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
                    "metadata": {"name": name, "annotations": {"insula.dev/uid": "u",
                        "ingressclass.kubernetes.io/is-default-class": is_default}},
                    "spec": {"controller": "k8s.io/ingress-nginx"}})
            );
        }
        for (value, shown) in [(1_000, 1_000), (2_000_000_000, 1_000_000_000), (-5, -5)] {
            let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                "metadata": {"name": "there", "uid": "u"}, "value": value, "globalDefault": true,
                "preemptionPolicy": "Never", "description": "batch"});
            assert_eq!(
                upward(&tenant, Kind::PriorityClass, "b", &class),
                json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                    "metadata": {"name": "b", "annotations": {"insula.dev/uid": "u"}}, "value": shown,
                    "globalDefault": false, "preemptionPolicy": "Never", "description": "batch"})
            );
        }
    }
}
