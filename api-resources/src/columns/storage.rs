//! Columns of volumes, claims and storage drivers.

use super::about::{self, field, words};
use super::core::name_with_default;
use super::{AGE, Col, Kind, boolean, int, joined, list, string, text, wide};
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[
    ("", "persistentvolumes", VOLUMES),
    ("", "persistentvolumeclaims", CLAIMS),
    ("storage.k8s.io", "storageclasses", STORAGE_CLASSES),
    ("storage.k8s.io", "volumeattributesclasses", ATTRIBUTES_CLASSES),
    ("storage.k8s.io", "volumeattachments", ATTACHMENTS),
    ("storage.k8s.io", "csinodes", CSI_NODES),
    ("storage.k8s.io", "csidrivers", CSI_DRIVERS),
    ("storage.k8s.io", "csistoragecapacities", CSI_CAPACITIES),
];

const VOLUMES: &[Col] = &[
    text("Capacity", field("core.v1.PersistentVolumeSpec", "capacity"), |o, _| {
        string_or_zero(&o["spec"]["capacity"]["storage"])
    }),
    text("Access Modes", field("core.v1.PersistentVolumeSpec", "accessModes"), |o, _| {
        Value::from(access_modes(&o["spec"]["accessModes"]))
    }),
    text("Reclaim Policy", field("core.v1.PersistentVolumeSpec", "persistentVolumeReclaimPolicy"), |o, _| {
        string(&o["spec"]["persistentVolumeReclaimPolicy"])
    }),
    text("Status", field("core.v1.PersistentVolumeStatus", "phase"), |o, _| phase(o)),
    text("Claim", field("core.v1.PersistentVolumeSpec", "claimRef"), |o, _| {
        let claim = &o["spec"]["claimRef"];
        let field = |name: &str| claim[name].as_str().unwrap_or("");
        Value::from(if claim.is_object() {
            format!("{}/{}", field("namespace"), field("name"))
        } else {
            String::new()
        })
    }),
    text("StorageClass", words("StorageClass of the pv"), |o, _| class(o)),
    text("VolumeAttributesClass", words("VolumeAttributesClass of the pv"), |o, _| {
        unset(&o["spec"]["volumeAttributesClassName"])
    }),
    text("Reason", field("core.v1.PersistentVolumeStatus", "reason"), |o, _| string(&o["status"]["reason"])),
    AGE,
    wide("VolumeMode", field("core.v1.PersistentVolumeSpec", "volumeMode"), |o, _| {
        unset(&o["spec"]["volumeMode"])
    }),
];

const CLAIMS: &[Col] = &[
    text("Status", field("core.v1.PersistentVolumeClaimStatus", "phase"), |o, _| phase(o)),
    text("Volume", field("core.v1.PersistentVolumeClaimSpec", "volumeName"), |o, _| {
        string(&o["spec"]["volumeName"])
    }),
    text("Capacity", field("core.v1.PersistentVolumeClaimStatus", "capacity"), |o, _| match bound(o) {
        true => string_or_zero(&o["status"]["capacity"]["storage"]),
        false => Value::from(""),
    }),
    text("Access Modes", field("core.v1.PersistentVolumeClaimStatus", "accessModes"), |o, _| {
        match bound(o) {
            true => Value::from(access_modes(&o["status"]["accessModes"])),
            false => Value::from(""),
        }
    }),
    text("StorageClass", words("StorageClass of the pvc"), |o, _| class(o)),
    text("VolumeAttributesClass", words("VolumeAttributesClass of the pvc"), |o, _| {
        unset(&o["spec"]["volumeAttributesClassName"])
    }),
    AGE,
    wide("VolumeMode", field("core.v1.PersistentVolumeClaimSpec", "volumeMode"), |o, _| {
        unset(&o["spec"]["volumeMode"])
    }),
];

fn bound(claim: &Value) -> bool {
    claim["spec"]["volumeName"].as_str().is_some_and(|name| !name.is_empty())
}

fn phase(object: &Value) -> Value {
    match object["metadata"]["deletionTimestamp"].is_string() {
        true => Value::from("Terminating"),
        false => string(&object["status"]["phase"]),
    }
}

fn class(object: &Value) -> Value {
    let old = object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].as_str();
    Value::from(old.or(object["spec"]["storageClassName"].as_str()).unwrap_or(""))
}

fn unset(value: &Value) -> Value {
    Value::from(value.as_str().unwrap_or("<unset>"))
}

fn string_or_zero(quantity: &Value) -> Value {
    Value::from(quantity.as_str().unwrap_or("0"))
}

/// Each mode once, in Kubernetes' order and short form.
fn access_modes(modes: &Value) -> String {
    let has = |mode: &str| list(modes).iter().any(|m| m == mode);
    let all = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    joined(all.into_iter().filter(|(mode, _)| has(mode)).map(|(_, short)| short))
}

const STORAGE_CLASSES: &[Col] = &[
    text("Name", about::NAME, |o, _| name_with_default(o, "storageclass.kubernetes.io/is-default-class")),
    text("Provisioner", field("storage.v1.StorageClass", "provisioner"), |o, _| string(&o["provisioner"])),
    text("ReclaimPolicy", field("storage.v1.StorageClass", "reclaimPolicy"), |o, _| {
        Value::from(o["reclaimPolicy"].as_str().unwrap_or("Delete"))
    }),
    text("VolumeBindingMode", field("storage.v1.StorageClass", "volumeBindingMode"), |o, _| {
        Value::from(o["volumeBindingMode"].as_str().unwrap_or("Immediate"))
    }),
    text("AllowVolumeExpansion", field("storage.v1.StorageClass", "allowVolumeExpansion"), |o, _| {
        Value::from(o["allowVolumeExpansion"].as_bool().unwrap_or(false))
    }),
    AGE,
];

const ATTRIBUTES_CLASSES: &[Col] = &[
    text("DriverName", field("storage.v1.VolumeAttributesClass", "driverName"), |o, _| {
        string(&o["driverName"])
    }),
    AGE,
];

const ATTACHMENTS: &[Col] = &[
    text("Attacher", field("storage.v1.VolumeAttachmentSpec", "attacher"), |o, _| {
        string(&o["spec"]["attacher"])
    }),
    text("PV", field("storage.v1.VolumeAttachmentSource", "persistentVolumeName"), |o, _| {
        string(&o["spec"]["source"]["persistentVolumeName"])
    }),
    text("Node", field("storage.v1.VolumeAttachmentSpec", "nodeName"), |o, _| string(&o["spec"]["nodeName"])),
    boolean("Attached", field("storage.v1.VolumeAttachmentStatus", "attached"), |o, _| {
        flag(&o["status"]["attached"], false)
    }),
    AGE,
];

fn flag(value: &Value, otherwise: bool) -> Value {
    Value::from(value.as_bool().unwrap_or(otherwise))
}

const CSI_NODES: &[Col] = &[
    int("Drivers", words("Drivers indicates the number of CSI drivers registered on the node"), |o, _| {
        list(&o["spec"]["drivers"]).len().into()
    }),
    AGE,
];

const CSI_DRIVERS: &[Col] = &[
    boolean("AttachRequired", field("storage.v1.CSIDriverSpec", "attachRequired"), |o, _| {
        flag(&o["spec"]["attachRequired"], true)
    }),
    boolean("PodInfoOnMount", field("storage.v1.CSIDriverSpec", "podInfoOnMount"), |o, _| {
        flag(&o["spec"]["podInfoOnMount"], false)
    }),
    boolean("StorageCapacity", field("storage.v1.CSIDriverSpec", "storageCapacity"), |o, _| {
        flag(&o["spec"]["storageCapacity"], false)
    }),
    text("TokenRequests", field("storage.v1.CSIDriverSpec", "tokenRequests"), |o, _| {
        let requests = &o["spec"]["tokenRequests"];
        Value::from(match requests.is_array() {
            true => joined(list(requests).iter().map(|r| r["audience"].as_str().unwrap_or(""))),
            false => "<unset>".to_owned(),
        })
    }),
    boolean("RequiresRepublish", field("storage.v1.CSIDriverSpec", "requiresRepublish"), |o, _| {
        flag(&o["spec"]["requiresRepublish"], false)
    }),
    text("Modes", field("storage.v1.CSIDriverSpec", "volumeLifecycleModes"), |o, _| {
        let modes = joined(list(&o["spec"]["volumeLifecycleModes"]).iter().filter_map(Value::as_str));
        Value::from(if modes.is_empty() { "<none>".to_owned() } else { modes })
    }),
    AGE,
];

const CSI_CAPACITIES: &[Col] = &[Col {
    of: "date",
    ..text("Created At", about::CREATED, |o, _| string(&o["metadata"]["creationTimestamp"]))
}];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cells(columns: &[Col], object: &Value) -> Value {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        columns.iter().filter(|c| c.name != "Age").map(|c| (c.cell)(object, now)).collect()
    }

    #[test]
    fn claims_and_volumes_print_as_in_kubernetes() {
        let claim = json!({"spec": {"volumeName": "pv-1", "storageClassName": "fast", "volumeMode": "Filesystem"},
            "status": {"phase": "Bound", "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"]}});
        assert_eq!(
            cells(CLAIMS, &claim),
            json!(["Bound", "pv-1", "5Gi", "RWO,RWX", "fast", "<unset>", "Filesystem"])
        );
        let pending = json!({"spec": {}, "status": {"phase": "Pending"}});
        assert_eq!(cells(CLAIMS, &pending), json!(["Pending", "", "", "", "", "<unset>", "<unset>"]));
        let volume = json!({"metadata": {"deletionTimestamp": "x"}, "spec": {"capacity": {"storage": "5Gi"},
            "accessModes": ["ReadOnlyMany"], "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": "n", "name": "c"}}, "status": {"phase": "Bound"}});
        assert_eq!(
            cells(VOLUMES, &volume),
            json!(["5Gi", "ROX", "Retain", "Terminating", "n/c", "", "<unset>", "", "<unset>"])
        );
    }

    #[test]
    fn the_default_class_says_so() {
        let class = json!({"metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "x"});
        assert_eq!(
            cells(STORAGE_CLASSES, &class),
            json!(["fast (default)", "x", "Delete", "Immediate", false])
        );
    }
}
