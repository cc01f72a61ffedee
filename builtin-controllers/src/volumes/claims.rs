//! What a claim asks for besides room, and what it looks like when it is bound.

use super::matching::{requested, size};
use super::{BIND_COMPLETED, BOUND_BY_CONTROLLER};
use crate::access::{elements, text};
use serde_json::{Value, json};

/// Contents that a claim wants to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    field: &'static str,
    kind: String,
    name: String,
}

impl Ask {
    /// What a claim asks for that is not there. Another claim can be copied: both are empty.
    pub(super) fn of(claim: &Value) -> Option<Ask> {
        ["dataSource", "dataSourceRef"].into_iter().find_map(|field| {
            let source = &claim["spec"][field];
            let kind = source["kind"].as_str().filter(|kind| *kind != "PersistentVolumeClaim")?;
            Some(Ask { field, kind: kind.to_owned(), name: text(source, "/name").to_owned() })
        })
    }

    pub(super) fn refusal(&self) -> String {
        let Ask { field, kind, name } = self;
        let what = if kind == "VolumeSnapshot" { "snapshots" } else { "populators" };
        format!("simulated volumes have no {what}: spec.{field} names the {kind} {name:?}")
    }
}

/// True when the claim was bound for good.
pub(super) fn is_bound(claim: &Value) -> bool {
    claim["metadata"]["annotations"][BIND_COMPLETED].is_string()
}

/// The claim with its volume.
pub(super) fn bound(claim: &Value, volume: &Value) -> Value {
    let mut next = claim.clone();
    if text(claim, "/spec/volumeName").is_empty() {
        next["spec"]["volumeName"] = volume["metadata"]["name"].clone();
        next["metadata"]["annotations"][BOUND_BY_CONTROLLER] = "yes".into();
    }
    next["metadata"]["annotations"][BIND_COMPLETED] = "yes".into();
    next
}

/// The volume with its claim.
pub(super) fn taken(volume: &Value, claim: &Value) -> Value {
    let mut next = volume.clone();
    let meta = &claim["metadata"];
    if !volume["spec"]["claimRef"].is_object() {
        next["metadata"]["annotations"][BOUND_BY_CONTROLLER] = "yes".into();
    }
    next["spec"]["claimRef"] = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"],
        "resourceVersion": meta["resourceVersion"]});
    next
}

/// The status of a bound claim.
pub(super) fn status(claim: &Value, volume: &Value) -> Value {
    let mut status = claim["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    status["phase"] = "Bound".into();
    status["accessModes"] = volume["spec"]["accessModes"].clone();
    status["capacity"]["storage"] = volume["spec"]["capacity"]["storage"].clone();
    let resizing = ["Resizing", "FileSystemResizePending"];
    let list = elements(claim, "/status/conditions").iter();
    let list: Vec<&Value> = list.filter(|one| !resizing.contains(&text(one, "/type"))).collect();
    if list.len() < elements(claim, "/status/conditions").len() {
        status["conditions"] = json!(list);
    }
    status
}

/// The volume with the size that its claim asks for; `None`: it has it.
pub(super) fn grown(volume: &Value, claim: &Value) -> Option<Value> {
    let grows = size(requested(claim)) > size(&volume["spec"]["capacity"]["storage"]);
    grows.then(|| {
        let mut next = volume.clone();
        next["spec"]["capacity"]["storage"] = requested(claim).clone();
        next
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_name_each_other() {
        let claim = json!({"metadata": {"namespace": "n", "name": "c", "uid": "u", "resourceVersion": "5"}, "spec": {}});
        let volume = json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"]}});
        let claimed = bound(&claim, &volume);
        assert!(is_bound(&claimed) && !is_bound(&claim));
        assert_eq!(claimed["spec"]["volumeName"], "v");
        assert_eq!(claimed["metadata"]["annotations"][BOUND_BY_CONTROLLER], "yes");
        let taken_one = taken(&volume, &claim);
        assert_eq!(taken_one["spec"]["claimRef"]["uid"], "u");
        let status = status(&claim, &volume);
        assert_eq!((&status["phase"], &status["capacity"]["storage"]), (&json!("Bound"), &json!("10Gi")));
    }

    #[test]
    fn a_volume_grows_and_never_shrinks() {
        let claim = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
        let volume = json!({"spec": {"capacity": {"storage": "10Gi"}}});
        for (size, expected) in [("1Gi", None), ("10Gi", None), ("10240Mi", None), ("11Gi", Some("11Gi"))] {
            let grown = grown(&volume, &claim(size));
            assert_eq!(
                grown.as_ref().map(|volume| text(volume, "/spec/capacity/storage")),
                expected,
                "{size}"
            );
        }
    }
}
