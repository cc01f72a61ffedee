//! The reconciler of claims and volumes. Keys with a namespace are claims, the others are volumes.

use super::matching::{best, class, refers_to, unfit};
use super::offers::Offers;
use super::provisioning::{self, Provision};
use super::{
    BIND_COMPLETED, PERSISTENT_VOLUMES, PROVISIONED_BY, PROVISIONER, SELECTED_NODE, STORAGE_CLASSES,
    STORAGE_PROVISIONERS, claims,
};
use crate::access::{Access, text};
use crate::events::Severity;
use crate::node_rules;
use crate::pod_facts::is_deleting;
use crate::resources::{NODES, PERSISTENT_VOLUME_CLAIMS as CLAIMS};
use async_trait::async_trait;
use plane_client::{ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A claim that waits is looked at this often without an event.
const PATROL: Duration = Duration::from_secs(30);

type Waiting = Arc<Mutex<HashSet<ObjectName>>>;

/// The reconciler.
pub(crate) struct Volumes {
    access: Access,
    plane: TenantId,
    /// Claims without a volume.
    waiting: Waiting,
    offers: Offers,
}

impl Volumes {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, plane: TenantId) -> Self {
        let access = Access::new(client, "persistentvolume-controller");
        Volumes { access, plane, waiting: Arc::default(), offers: Offers::default() }
    }

    fn tell(&self, object: &Value, severity: Severity, reason: &'static str, message: &str) {
        self.access.event(self.plane, object, severity, reason, message);
    }

    async fn volume(&self, name: &str) -> Result<Option<Value>, ApiError> {
        self.access.get(self.plane, &PERSISTENT_VOLUMES, "", name).await
    }

    async fn phase(&self, volume: &Value, phase: &str) -> Result<(), ApiError> {
        let mut status = volume["status"].clone();
        if !status.is_object() {
            status = json!({});
        }
        status["phase"] = phase.into();
        self.access.set_status(self.plane, &PERSISTENT_VOLUMES, volume, status).await.map(drop)
    }

    async fn claim(&self, claim: &Value) -> Result<(), ApiError> {
        if is_deleting(claim) {
            return Ok(());
        }
        let name = text(claim, "/spec/volumeName");
        let volume = if name.is_empty() { None } else { self.volume(name).await? };
        if claims::is_bound(claim) {
            return self.bound(claim, volume).await;
        }
        match volume {
            _ if name.is_empty() => self.unbound(claim).await,
            // The volume may come.
            None => self.pending(claim).await,
            Some(volume) if refers_to(&volume, claim) => self.bind(claim, &volume).await,
            Some(volume) if volume["spec"]["claimRef"].is_object() => {
                let message = format!("volume \"{name}\" already bound to a different claim.");
                self.tell(claim, Severity::Warning, "FailedBinding", &message);
                self.pending(claim).await
            }
            Some(volume) => match unfit(&volume, claim) {
                None => self.bind(claim, &volume).await,
                Some(why) => {
                    let message = format!("Cannot bind to requested volume \"{name}\": {why}");
                    self.tell(claim, Severity::Warning, "VolumeMismatch", &message);
                    self.pending(claim).await
                }
            },
        }
    }

    async fn pending(&self, claim: &Value) -> Result<(), ApiError> {
        let mut status = claim["status"].clone();
        if !status.is_object() {
            status = json!({});
        }
        status["phase"] = "Pending".into();
        self.access.set_status(self.plane, &CLAIMS, claim, status).await.map(drop)
    }

    /// A claim that was bound: its volume has to be there, and may have to grow.
    async fn bound(&self, claim: &Value, volume: Option<Value>) -> Result<(), ApiError> {
        let lost = match &volume {
            None if text(claim, "/spec/volumeName").is_empty() => {
                Some("has lost reference to PersistentVolume")
            }
            None => Some("has lost its PersistentVolume"),
            Some(volume) if volume["spec"]["claimRef"].is_object() && !refers_to(volume, claim) => {
                return self.lose(claim, "ClaimMisbound", MISBOUND).await;
            }
            Some(_) => None,
        };
        if let Some(lost) = lost {
            return self
                .lose(claim, "ClaimLost", &format!("Bound claim {lost}. Data on the volume is lost!"))
                .await;
        }
        let Some(volume) = volume else { return Ok(()) };
        if !volume["spec"]["claimRef"].is_object() {
            return self.bind(claim, &volume).await;
        }
        let mut grown = volume.clone();
        if let Some(next) = claims::grown(&volume, claim) {
            self.access.change(self.plane, &PERSISTENT_VOLUMES, "", &volume, &next).await?;
            let of = text(claim, "/metadata/name");
            let message =
                format!("ExpandVolume succeeded for volume {}/{of}", text(claim, "/metadata/namespace"));
            self.tell(claim, Severity::Normal, "VolumeResizeSuccessful", &message);
            grown = next;
        }
        self.access.set_status(self.plane, &CLAIMS, claim, claims::status(claim, &grown)).await.map(drop)
    }

    async fn lose(&self, claim: &Value, reason: &'static str, message: &str) -> Result<(), ApiError> {
        let mut status = claim["status"].clone();
        status["phase"] = "Lost".into();
        if let Some(status) = status.as_object_mut() {
            status.remove("accessModes");
            status.remove("capacity");
        }
        if self.access.set_status(self.plane, &CLAIMS, claim, status).await? {
            self.tell(claim, Severity::Warning, reason, message);
        }
        Ok(())
    }

    /// The volume is the claim's. First the volume says so, then the claim: one that is broken off goes on there.
    async fn bind(&self, claim: &Value, volume: &Value) -> Result<(), ApiError> {
        let access = &self.access;
        let taken = claims::taken(volume, claim);
        if !refers_to(volume, claim) || text(volume, "/spec/claimRef/uid").is_empty() {
            access.change(self.plane, &PERSISTENT_VOLUMES, "", volume, &taken).await?;
        }
        if let Some(volume) = self.volume(text(volume, "/metadata/name")).await? {
            self.phase(&volume, "Bound").await?;
        }
        access.change(self.plane, &CLAIMS, "", claim, &claims::bound(claim, volume)).await?;
        let (namespace, name) = (text(claim, "/metadata/namespace"), text(claim, "/metadata/name"));
        let Some(claim) = access.get(self.plane, &CLAIMS, namespace, name).await? else { return Ok(()) };
        access.set_status(self.plane, &CLAIMS, &claim, claims::status(&claim, volume)).await.map(drop)
    }

    /// A claim that takes what it can get.
    async fn unbound(&self, claim: &Value) -> Result<(), ApiError> {
        let name = class(claim);
        let class = match name {
            "" => None,
            name => self.access.get(self.plane, &STORAGE_CLASSES, "", name).await?,
        };
        let waits = class.as_ref().is_some_and(|class| provisioning::waits(claim, class));
        let listed = self.access.list(self.plane, &PERSISTENT_VOLUMES, "").await?;
        let of = ObjectName::new(text(claim, "/metadata/namespace"), text(claim, "/metadata/name"));
        let volumes = self.offers.to(&of, &listed)?;
        let node = match claim["metadata"]["annotations"][SELECTED_NODE].as_str() {
            Some(node) => self.access.get(self.plane, &NODES, "", node).await?,
            None => None,
        };
        // Until a node is chosen, only a volume that is meant for the claim is its own.
        let reaches =
            |volume: &Value| !waits && node.as_ref().is_none_or(|node| node_rules::reaches(volume, node));
        if let Some(volume) = best(claim, &volumes, reaches) {
            return self.bind(claim, volume).await;
        }
        let Some(class) = class else {
            let (reason, message) = match name {
                "" => ("FailedBinding", NO_CLASS.to_owned()),
                name => ("ProvisioningFailed", format!("storageclass.storage.k8s.io \"{name}\" not found")),
            };
            let severity = if name.is_empty() { Severity::Normal } else { Severity::Warning };
            self.tell(claim, severity, reason, &message);
            return self.pending(claim).await;
        };
        if waits {
            self.tell(claim, Severity::Normal, "WaitForFirstConsumer", WAITS);
            return self.pending(claim).await;
        }
        self.provision(claim, &class).await
    }

    async fn provision(&self, claim: &Value, class: &Value) -> Result<(), ApiError> {
        let provisioner = text(class, "/provisioner");
        let mut next = claim.clone();
        for annotation in STORAGE_PROVISIONERS {
            next["metadata"]["annotations"][annotation] = provisioner.into();
        }
        let changed = self.access.change(self.plane, &CLAIMS, "", claim, &next).await?;
        let claim = &changed.map(|object| object.value()).transpose()?.unwrap_or(next);
        let (namespace, name) = (text(claim, "/metadata/namespace"), text(claim, "/metadata/name"));
        match provisioning::plan(claim, class) {
            Provision::Elsewhere => {
                let message = format!(
                    "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by \
                     the system administrator. If volume creation is delayed, please verify that the provisioner is \
                     running and correctly registered."
                );
                self.tell(claim, Severity::Normal, "ExternalProvisioning", &message);
                self.pending(claim).await
            }
            Provision::Impossible(why) => {
                let message =
                    format!("failed to provision volume with StorageClass \"{}\": {why}", class_name(class));
                self.tell(claim, Severity::Warning, "ProvisioningFailed", &message);
                self.pending(claim).await
            }
            Provision::Make(volume) => {
                let message =
                    format!("External provisioner is provisioning volume for claim \"{namespace}/{name}\"");
                self.tell(claim, Severity::Normal, "Provisioning", &message);
                self.access.ensure(self.plane, &PERSISTENT_VOLUMES, "", volume).await?;
                let made = provisioning::name(claim);
                self.tell(
                    claim,
                    Severity::Normal,
                    "ProvisioningSucceeded",
                    &format!("Successfully provisioned volume {made}"),
                );
                match self.volume(&made).await? {
                    Some(volume) => self.bind(claim, &volume).await,
                    // Its event brings the claim again.
                    None => Ok(()),
                }
            }
        }
    }

    async fn of_volume(&self, volume: &Value) -> Result<(), ApiError> {
        if is_deleting(volume) {
            return Ok(());
        }
        let reference = &volume["spec"]["claimRef"];
        if !reference.is_object() || text(reference, "/uid").is_empty() {
            return self.phase(volume, "Available").await;
        }
        let (namespace, name) = (text(reference, "/namespace"), text(reference, "/name"));
        let claim = self.access.get(self.plane, &CLAIMS, namespace, name).await?;
        match claim.filter(|claim| claim["metadata"]["uid"] == reference["uid"]) {
            Some(claim) if claim["spec"]["volumeName"] == volume["metadata"]["name"] => {
                self.phase(volume, "Bound").await
            }
            // It is being bound, or was made for a claim that took another one meanwhile.
            Some(claim) if text(&claim, "/spec/volumeName").is_empty() => Ok(()),
            Some(_) | None => self.release(volume).await,
        }
    }

    /// The claim is gone.
    async fn release(&self, volume: &Value) -> Result<(), ApiError> {
        if volume["status"]["phase"] != "Released" && volume["status"]["phase"] != "Failed" {
            self.phase(volume, "Released").await?;
        }
        let ours = volume["metadata"]["annotations"][PROVISIONED_BY] == PROVISIONER;
        match text(volume, "/spec/persistentVolumeReclaimPolicy") {
            "Delete" if ours => {
                self.access.delete(self.plane, &PERSISTENT_VOLUMES, volume, Delete::default()).await
            }
            "Delete" if volume["metadata"]["annotations"][PROVISIONED_BY].is_string() => Ok(()),
            "Delete" => self.fail(volume, "VolumeFailedDelete", "no deletable volume plugin matched").await,
            "Recycle" => self.fail(volume, "VolumeFailedRecycle", "no volume plugin matched").await,
            _ => Ok(()),
        }
    }

    async fn fail(&self, volume: &Value, reason: &'static str, why: &str) -> Result<(), ApiError> {
        let mut status = volume["status"].clone();
        status["phase"] = "Failed".into();
        status["message"] = why.into();
        if self.access.set_status(self.plane, &PERSISTENT_VOLUMES, volume, status).await? {
            self.tell(volume, Severity::Warning, reason, why);
        }
        Ok(())
    }
}

const NO_CLASS: &str = "no persistent volumes available for this claim and no storage class is set";
const WAITS: &str = "waiting for first consumer to be created before binding";
const MISBOUND: &str = "Two claims are bound to the same volume, this one is bound incorrectly";

fn class_name(class: &Value) -> &str {
    text(class, "/metadata/name")
}

#[async_trait]
impl Reconciler for Volumes {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let scope = Scope::One(self.plane);
        let waiting = |waiting: &Waiting| -> Vec<ObjectName> {
            waiting.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
        };
        let (for_volumes, for_classes) = (self.waiting.clone(), self.waiting.clone());
        let of_volumes = Trigger::mapped(PERSISTENT_VOLUMES.group_resource(), scope, move |object| {
            let volume = object.value().unwrap_or_default();
            let reference = &volume["spec"]["claimRef"];
            // One that is meant for a claim is no other's.
            let mut keys = match reference.is_object() {
                true => vec![ObjectName::new(text(reference, "/namespace"), text(reference, "/name"))],
                false => waiting(&for_volumes),
            };
            keys.push(object.name.clone());
            keys
        });
        let of_classes =
            Trigger::mapped(STORAGE_CLASSES.group_resource(), scope, move |_| waiting(&for_classes));
        let of_claims = Trigger::mapped(CLAIMS.group_resource(), scope, |object| {
            let claim = object.value().unwrap_or_default();
            let volume = text(&claim, "/spec/volumeName");
            let volume = (!volume.is_empty()).then(|| ObjectName::cluster(volume));
            std::iter::once(object.name.clone()).chain(volume).collect()
        });
        vec![of_claims, of_volumes, of_classes]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if key.namespace.is_empty() {
            if let Some(volume) = self.volume(&key.name).await? {
                self.of_volume(&volume).await?;
            }
            return Ok(Next::OnEvent);
        }
        let claim = self.access.get(tenant, &CLAIMS, &key.namespace, &key.name).await?;
        let waits =
            claim.as_ref().is_some_and(|claim| !claim["metadata"]["annotations"][BIND_COMPLETED].is_string());
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Noted before it is looked: what comes after is an event for it.
            if waits {
                waiting.insert(key.clone())
            } else {
                waiting.remove(key)
            };
        }
        if let Some(claim) = &claim {
            self.claim(claim).await?;
        }
        Ok(if waits { Next::After(PATROL) } else { Next::OnEvent })
    }
}

#[cfg(test)]
mod tests;
