//! New volumes for claims that nothing fits.

use super::claims::Ask;
use super::matching::requested;
use super::{PROVISIONED_BY, PROVISIONER, SELECTED_NODE};
use crate::access::text;
use serde_json::{Value, json};

/// What is to be done for a claim without a volume that fits.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Provision {
    /// This volume is to be made.
    Make(Value),
    /// Another provisioner has to.
    Elsewhere,
    /// It cannot be made, for this reason.
    Impossible(String),
}

/// The name of the volume that is made for a claim.
pub(super) fn name(claim: &Value) -> String {
    format!("pvc-{}", text(claim, "/metadata/uid"))
}

/// What to do.
pub(super) fn plan(claim: &Value, class: &Value) -> Provision {
    if class["provisioner"] != PROVISIONER {
        return Provision::Elsewhere;
    }
    if let Some(ask) = Ask::of(claim) {
        return Provision::Impossible(ask.refusal());
    }
    let name = name(claim);
    let meta = &claim["metadata"];
    let mut volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": requested(claim)},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"].as_str().unwrap_or("Delete"),
            "storageClassName": class["metadata"]["name"],
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta["namespace"],
                "name": meta["name"], "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
            "csi": {"driver": PROVISIONER, "volumeHandle": name},
        },
    });
    for (field, value) in
        [("volumeMode", &claim["spec"]["volumeMode"]), ("mountOptions", &class["mountOptions"])]
    {
        if !value.is_null() {
            volume["spec"][field] = value.clone();
        }
    }
    Provision::Make(volume)
}

/// True when the claim's class waits for its first consumer, and no node was chosen for one yet.
pub(super) fn waits(claim: &Value, class: &Value) -> bool {
    class["volumeBindingMode"] == "WaitForFirstConsumer"
        && !claim["metadata"]["annotations"][SELECTED_NODE].is_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Value {
        json!({"metadata": {"namespace": "n", "name": "c", "uid": "7", "resourceVersion": "3"},
            "spec": {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
                "resources": {"requests": {"storage": "5Gi"}}}})
    }

    fn class() -> Value {
        json!({"metadata": {"name": "standard"}, "provisioner": PROVISIONER, "reclaimPolicy": "Retain"})
    }

    #[test]
    fn a_volume_is_made_as_claim_and_class_say() {
        let Provision::Make(volume) = plan(&claim(), &class()) else { panic!("it can be made") };
        assert_eq!(volume["metadata"]["name"], "pvc-7");
        let spec = &volume["spec"];
        assert_eq!(
            (&spec["capacity"]["storage"], &spec["volumeMode"]),
            (&json!("5Gi"), &json!("Filesystem"))
        );
        assert_eq!((&spec["claimRef"]["uid"], &spec["storageClassName"]), (&json!("7"), &json!("standard")));
        assert_eq!(spec["persistentVolumeReclaimPolicy"], "Retain");
        assert!(spec.get("mountOptions").is_none());
    }

    #[test]
    fn what_is_not_made_here() {
        let mut other = class();
        other["provisioner"] = "example.com/disks".into();
        assert_eq!(plan(&claim(), &other), Provision::Elsewhere);
        let mut snapshot = claim();
        snapshot["spec"]["dataSource"] =
            json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"});
        let Provision::Impossible(why) = plan(&snapshot, &class()) else { panic!("there are no snapshots") };
        assert_eq!(
            why,
            "simulated volumes have no snapshots: spec.dataSource names the VolumeSnapshot \"s\""
        );
    }

    #[test]
    fn who_waits_for_a_consumer() {
        let mut late = class();
        late["volumeBindingMode"] = "WaitForFirstConsumer".into();
        let mut chosen = claim();
        chosen["metadata"]["annotations"] = json!({SELECTED_NODE: "sim-0"});
        assert!(waits(&claim(), &late) && !waits(&chosen, &late) && !waits(&claim(), &class()));
    }
}
