//! PersistentVolumes, upward only: what a tenant sees of the volume that its claim is bound to.
//!
//! It is called as a provisioner in the tenant would have called it, after the tenant's claim. Where the volume is, the
//! super cluster alone knows: in its place stands a driver of ours with the volume's own name.

use crate::names;
use crate::tenants::TenantView;
use crate::translation::{meta_text, text};
use api_types::labels;
use serde_json::{Map, Value, json};

/// The driver that tenants read.
const DRIVER: &str = "volumes.insula.dev";
/// Annotation on a volume: who made it.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// What of a volume's spec is the same for the tenant.
const SHOWN: [&str; 4] = ["capacity", "accessModes", "volumeMode", "persistentVolumeReclaimPolicy"];

/// The tenant's view of a volume of the super cluster that is bound to the tenant's claim; `None` when it is not, or not
/// to this one.
pub fn upward(tenant: &TenantView, claim: &Value, super_claim: &Value, volume: &Value) -> Option<Value> {
    let bound = &volume["spec"]["claimRef"];
    let there = &super_claim["metadata"];
    if ["namespace", "name", "uid"].iter().any(|field| bound[*field] != there[*field]) {
        return None;
    }
    let name = names::volume(meta_text(claim, "uid"));
    let mut spec = Map::new();
    for field in SHOWN {
        if let Some(value) = volume["spec"].get(field).filter(|value| !value.is_null()) {
            spec.insert(field.into(), value.clone());
        }
    }
    let class = text(&volume["spec"], "storageClassName");
    let shown = tenant.spec.storage.classes.iter().find(|known| known.super_class == class);
    if let Some(class) = claim["spec"]["storageClassName"].as_str().or(shown.map(|c| c.tenant.as_str())) {
        spec.insert("storageClassName".into(), json!(class));
    }
    spec.insert(
        "claimRef".into(),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim["metadata"]["namespace"],
            "name": claim["metadata"]["name"], "uid": claim["metadata"]["uid"]}),
    );
    spec.insert("csi".into(), json!({"driver": DRIVER, "volumeHandle": name}));
    Some(json!({"apiVersion": "v1", "kind": "PersistentVolume",
        // Without it, a restore of the tenant would take it for a volume that somebody made by hand.
        "metadata": {"name": name, "annotations": {labels::UID: volume["metadata"]["uid"], PROVISIONED_BY: DRIVER}},
        "spec": spec}))
}

/// Its status: the phase. What else is there is in the super cluster's words.
pub fn status(volume: &Value) -> Value {
    match volume["status"]["phase"].as_str() {
        Some(phase) => json!({"phase": phase}),
        None => json!({"phase": "Pending"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_reads_its_own_names_alone() {
        let mut tenant = TenantView::for_tests("acme", 7);
        let classes = json!({"classes": [{"tenant": "fast", "super": "cloud-ssd"}]});
        tenant.spec.storage = serde_json::from_value(classes).unwrap();
        let claim = json!({"metadata": {"name": "data", "namespace": "shop", "uid": "u1"}, "spec": {}});
        let below = json!({"metadata": {"name": "data", "namespace": "acme-shop-h", "uid": "u2"}});
        let volume = json!({"metadata": {"name": "pvc-u2", "uid": "u3", "labels": {"zone": "z"}},
            "spec": {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
                "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "cloud-ssd",
                "mountOptions": ["secret"], "nodeAffinity": {"required": {}},
                "csi": {"driver": "ebs.example.com", "volumeHandle": "vol-7"},
                "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "acme-shop-h", "name": "data",
                    "uid": "u2", "resourceVersion": "9"}},
            "status": {"phase": "Bound", "message": "acme-shop-h/data"}});
        let up = upward(&tenant, &claim, &below, &volume).unwrap();
        assert_eq!(
            up,
            json!({"apiVersion": "v1", "kind": "PersistentVolume",
                "metadata": {"name": "pvc-u1", "annotations": {"insula.dev/uid": "u3",
                    "pv.kubernetes.io/provisioned-by": "volumes.insula.dev"}},
                "spec": {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"],
                    "volumeMode": "Filesystem", "persistentVolumeReclaimPolicy": "Delete",
                    "storageClassName": "fast",
                    "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "shop",
                        "name": "data", "uid": "u1"},
                    "csi": {"driver": "volumes.insula.dev", "volumeHandle": "pvc-u1"}}})
        );
        assert_eq!(status(&volume), json!({"phase": "Bound"}));
        let mut others = volume.clone();
        others["spec"]["claimRef"]["uid"] = json!("another");
        assert_eq!(upward(&tenant, &claim, &below, &others), None);
        others["spec"]["claimRef"] = json!(null);
        assert_eq!(upward(&tenant, &claim, &below, &others), None);
    }
}
