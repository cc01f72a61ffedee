//! Reads what the claims of a pod come to, and binds those that wait for a node.

use super::plugins::volumes::{Bindings, SELECTED, Volume, Volumes, Waiting, class_of};
use super::pod::PodInfo;
use crate::access::{Access, elements, text};
use crate::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES};
use plane_client::{ApiError, Object, TenantId};
use serde_json::{Value, json};

const BOUND: &str = "pv.kubernetes.io/bind-completed";
const BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";

/// True once claim and volume know each other.
fn is_bound(claim: &Value) -> bool {
    !text(claim, "/spec/volumeName").is_empty() && !claim["metadata"]["annotations"][BOUND].is_null()
}

/// Why a claim can be used by no pod now.
fn refusal(pod: &PodInfo, ephemeral: bool, name: &str, claim: Option<&Value>) -> Option<String> {
    let Some(claim) = claim else {
        return Some(if ephemeral {
            format!("waiting for ephemeral volume controller to create the persistentvolumeclaim \"{name}\"")
        } else {
            format!("persistentvolumeclaim \"{name}\" not found")
        });
    };
    if claim["status"]["phase"] == "Lost" {
        let volume = text(claim, "/spec/volumeName");
        return Some(format!(
            "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""
        ));
    }
    if claim["metadata"]["deletionTimestamp"].is_string() {
        return Some(format!("persistentvolumeclaim \"{name}\" is being deleted"));
    }
    let owners = elements(claim, "/metadata/ownerReferences");
    let is_its_own =
        owners.iter().any(|owner| owner["uid"] == pod.uid.as_str() && owner["controller"] == true);
    (ephemeral && !is_its_own).then(|| {
        let namespace = &pod.name.namespace;
        let pod = &pod.name.name;
        format!("PVC {namespace}/{name} was not created for pod {namespace}/{pod} (pod is not owner)")
    })
}

/// Reads what the claims of a pod come to. A plane without classes and volumes has nobody who binds claims: there they
/// hold no pod back.
pub(super) async fn read(access: &Access, plane: TenantId, pod: &PodInfo) -> Result<Volumes, ApiError> {
    let mut volumes = Volumes::default();
    if pod.claims.is_empty() {
        return Ok(volumes);
    }
    let classes = access.list(plane, &STORAGE_CLASSES, "").await?;
    let there = access.list(plane, &PERSISTENT_VOLUMES, "").await?;
    if classes.is_empty() && there.is_empty() {
        return Ok(volumes);
    }
    let mut is_waiting_at_once = false;
    for volume in &pod.claims {
        let claim = access.get(plane, &PERSISTENT_VOLUME_CLAIMS, &pod.name.namespace, &volume.claim).await?;
        if let Some(why) = refusal(pod, volume.ephemeral, &volume.claim, claim.as_ref()) {
            volumes.refusal = Some(why.into());
            return Ok(volumes);
        }
        let Some(claim) = claim else { continue };
        if elements(&claim, "/spec/accessModes").iter().any(|mode| mode == "ReadWriteOncePod") {
            volumes.exclusive.push(volume.claim.clone());
        }
        let name = text(&claim, "/spec/volumeName");
        if is_bound(&claim) {
            let found = access.get(plane, &PERSISTENT_VOLUMES, "", name).await?;
            volumes.bound.push(found.as_ref().map(Volume::of));
            continue;
        }
        let class = class_of(&claim);
        let class = classes.iter().find(|known| known.name.name == class).map(Object::value).transpose()?;
        let class = class.unwrap_or_default();
        if class["volumeBindingMode"] == "WaitForFirstConsumer" && name.is_empty() {
            volumes.waiting.push(Waiting::of(&claim, &class));
        } else {
            is_waiting_at_once = true;
        }
    }
    if is_waiting_at_once {
        volumes.refusal = Some("pod has unbound immediate PersistentVolumeClaims".into());
        return Ok(volumes);
    }
    if !volumes.waiting.is_empty() {
        volumes.waiting.sort_by_key(Waiting::storage);
        volumes.free =
            there.iter().map(|volume| volume.value().map(|v| Volume::of(&v))).collect::<Result<_, _>>()?;
    }
    Ok(volumes)
}

/// Tells volumes and claims which of them belong together, and for which node the others are to be made.
pub(super) async fn begin(
    access: &Access,
    plane: TenantId,
    pod: &PodInfo,
    node: &str,
    bindings: &Bindings,
) -> Result<(), ApiError> {
    let namespace = &pod.name.namespace;
    let lost = |name: &str| ApiError::internal(format_args!("claim or volume {name} is gone"));
    for (claim, volume) in &bindings.bind {
        let found = access.get(plane, &PERSISTENT_VOLUME_CLAIMS, namespace, claim).await?;
        let claim = found.ok_or_else(|| lost(claim))?;
        let old = access.get(plane, &PERSISTENT_VOLUMES, "", volume).await?.ok_or_else(|| lost(volume))?;
        let meta = &claim["metadata"];
        let mut new = old.clone();
        if !old["spec"]["claimRef"].is_object() {
            new["metadata"]["annotations"][BY_CONTROLLER] = "yes".into();
        }
        new["spec"]["claimRef"] = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"]});
        access.change(plane, &PERSISTENT_VOLUMES, "", &old, &new).await?;
    }
    for claim in &bindings.provision {
        let found = access.get(plane, &PERSISTENT_VOLUME_CLAIMS, namespace, claim).await?;
        let old = found.ok_or_else(|| lost(claim))?;
        let mut new = old.clone();
        new["metadata"]["annotations"][SELECTED] = node.into();
        access.change(plane, &PERSISTENT_VOLUME_CLAIMS, "", &old, &new).await?;
    }
    Ok(())
}

/// How far the claims of a pod are.
#[derive(Debug, PartialEq)]
pub(super) enum Progress {
    AllBound,
    Waiting,
    /// It cannot be done on this node: why.
    GivenUp(String),
}

/// Looks how far the claims of a pod are that were begun for a node.
pub(super) async fn progress(
    access: &Access,
    plane: TenantId,
    pod: &PodInfo,
    node: &str,
    bindings: &Bindings,
) -> Result<Progress, ApiError> {
    let names = bindings.bind.iter().map(|(claim, _)| (claim, false));
    for (name, is_made) in names.chain(bindings.provision.iter().map(|claim| (claim, true))) {
        let claim = access.get(plane, &PERSISTENT_VOLUME_CLAIMS, &pod.name.namespace, name).await?;
        let Some(claim) = claim else {
            return Ok(Progress::GivenUp(format!("persistentvolumeclaim \"{name}\" not found")));
        };
        if is_bound(&claim) {
            continue;
        }
        // Who cannot make a volume for the node says so by taking the annotation away.
        if is_made && claim["metadata"]["annotations"][SELECTED] != node {
            return Ok(Progress::GivenUp(format!("provisioning failed for PVC \"{name}\"")));
        }
        return Ok(Progress::Waiting);
    }
    Ok(Progress::AllBound)
}
