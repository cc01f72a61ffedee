//! Columns of volumes, claims and storage drivers.

use super::core::{elements, length, name_with_default};
use super::{AGE, Col, Kind, boolean, joined, list, string, text, wide};
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
    text("Capacity", "Its size.", |o, _| string_or_zero(&o["spec"]["capacity"]["storage"])),
    text("Access Modes", "How it can be mounted.", |o, _| {
        Value::from(access_modes(&o["spec"]["accessModes"]))
    }),
    text("Reclaim Policy", "What happens when its claim goes.", |o, _| {
        string(&o["spec"]["persistentVolumeReclaimPolicy"])
    }),
    text("Status", "Whether it is claimed.", |o, _| phase(o)),
    text("Claim", "The claim that has it.", |o, _| {
        let claim = &o["spec"]["claimRef"];
        let field = |name: &str| claim[name].as_str().unwrap_or("");
        Value::from(if claim.is_object() {
            format!("{}/{}", field("namespace"), field("name"))
        } else {
            String::new()
        })
    }),
    text("StorageClass", "Its class.", |o, _| class(o)),
    text("VolumeAttributesClass", "Its class of attributes.", |o, _| {
        unset(&o["spec"]["volumeAttributesClassName"])
    }),
    text("Reason", "Why it is in its state.", |o, _| string(&o["status"]["reason"])),
    AGE,
    wide("VolumeMode", "File system or block device.", |o, _| unset(&o["spec"]["volumeMode"])),
];

const CLAIMS: &[Col] = &[
    text("Status", "Whether it has a volume.", |o, _| phase(o)),
    text("Volume", "The volume that it has.", |o, _| string(&o["spec"]["volumeName"])),
    text("Capacity", "The volume's size.", |o, _| match bound(o) {
        true => string_or_zero(&o["status"]["capacity"]["storage"]),
        false => Value::from(""),
    }),
    text("Access Modes", "How the volume can be mounted.", |o, _| match bound(o) {
        true => Value::from(access_modes(&o["status"]["accessModes"])),
        false => Value::from(""),
    }),
    text("StorageClass", "The class that was asked for.", |o, _| class(o)),
    text("VolumeAttributesClass", "The class of attributes that was asked for.", |o, _| {
        unset(&o["spec"]["volumeAttributesClassName"])
    }),
    AGE,
    wide("VolumeMode", "File system or block device.", |o, _| unset(&o["spec"]["volumeMode"])),
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
    text("Name", "The name; the default class says so.", |o, _| {
        name_with_default(o, "storageclass.kubernetes.io/is-default-class")
    }),
    text("Provisioner", "Who makes volumes of the class.", |o, _| string(&o["provisioner"])),
    text("ReclaimPolicy", "What happens to a volume when its claim goes.", |o, _| {
        Value::from(o["reclaimPolicy"].as_str().unwrap_or("Delete"))
    }),
    text("VolumeBindingMode", "When volumes are made.", |o, _| {
        Value::from(o["volumeBindingMode"].as_str().unwrap_or("Immediate"))
    }),
    text("AllowVolumeExpansion", "Whether volumes can grow.", |o, _| {
        Value::from(o["allowVolumeExpansion"].as_bool().unwrap_or(false))
    }),
    AGE,
];

const ATTRIBUTES_CLASSES: &[Col] = &[
    text("DriverName", "The driver that understands the attributes.", |o, _| string(&o["driverName"])),
    AGE,
];

const ATTACHMENTS: &[Col] = &[
    text("Attacher", "Who attaches.", |o, _| string(&o["spec"]["attacher"])),
    text("PV", "The volume.", |o, _| string(&o["spec"]["source"]["persistentVolumeName"])),
    text("Node", "The node.", |o, _| string(&o["spec"]["nodeName"])),
    boolean("Attached", "Whether it is attached.", |o, _| flag(&o["status"]["attached"], false)),
    AGE,
];

fn flag(value: &Value, otherwise: bool) -> Value {
    Value::from(value.as_bool().unwrap_or(otherwise))
}

const CSI_NODES: &[Col] =
    &[elements("Drivers", "The number of drivers on the node.", |o, _| length(&o["spec"]["drivers"])), AGE];

const CSI_DRIVERS: &[Col] = &[
    boolean("AttachRequired", "Volumes are attached before they are mounted.", |o, _| {
        flag(&o["spec"]["attachRequired"], true)
    }),
    boolean("PodInfoOnMount", "The driver is told the pod.", |o, _| {
        flag(&o["spec"]["podInfoOnMount"], false)
    }),
    boolean("StorageCapacity", "The driver tells its capacity.", |o, _| {
        flag(&o["spec"]["storageCapacity"], false)
    }),
    text("TokenRequests", "Audiences of the tokens that the driver gets.", |o, _| {
        let requests = &o["spec"]["tokenRequests"];
        Value::from(match requests.is_array() {
            true => joined(list(requests).iter().map(|r| r["audience"].as_str().unwrap_or(""))),
            false => "<unset>".to_owned(),
        })
    }),
    boolean("RequiresRepublish", "Mounts are renewed.", |o, _| flag(&o["spec"]["requiresRepublish"], false)),
    text("Modes", "The kinds of volumes that it makes.", |o, _| {
        let modes = joined(list(&o["spec"]["volumeLifecycleModes"]).iter().filter_map(Value::as_str));
        Value::from(if modes.is_empty() { "<none>".to_owned() } else { modes })
    }),
    AGE,
];

const CSI_CAPACITIES: &[Col] = &[Col {
    of: "date",
    ..text("Created At", "When it was created.", |o, _| string(&o["metadata"]["creationTimestamp"]))
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
