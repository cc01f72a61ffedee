//! Deployments: replica sets for the current template and the earlier ones, and the way from these to that.
//!
//! Guarantees: a rolling update keeps within `maxSurge` and `maxUnavailable` whatever pods do; a template that
//! an earlier replica set has is taken up by it again, with a new revision; [`plan`] is a pure function of the
//! objects and the time. Assumes nothing of the order of events. Caveats: the deprecated annotation
//! `deprecated.deployment.rollback.to` is not read (kubectl rolls back by patching the template); one step
//! changes replica sets once, and their events bring the next.

mod plan;
mod replica_sets;
mod rollout;
mod status;

pub use plan::{Action, plan};

use crate::access::{Access, text};
use crate::claims::{self, Claimant, Owner};
use crate::events::Severity;
use crate::pod_facts;
use crate::resources::{DEPLOYMENTS, PODS, REPLICA_SETS};
use crate::selectors::{Selector, SelectorIndex};
use crate::slim;
use async_trait::async_trait;
use jiff::Timestamp;
use plane_client::{
    ApiError, Delete, Next, Object, ObjectName, PlaneClient, Reconciler, Scope, Target, TenantId, Trigger,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The reconciler of Deployments.
pub(crate) struct Deployments {
    access: Access,
    index: Arc<SelectorIndex>,
}

impl Deployments {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        Deployments { access: Access::new(client, "deployment-controller"), index: Arc::default() }
    }

    /// True when a pod of another than the new replica set has not ended yet.
    async fn has_old_pods(
        &self,
        tenant: TenantId,
        deployment: &Value,
        sets: &[Value],
    ) -> Result<bool, ApiError> {
        let new = replica_sets::find_new(deployment, sets);
        let old: Vec<&str> = sets
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != new)
            .map(|(_, set)| text(set, "/metadata/uid"))
            .collect();
        let pods = self.access.list(tenant, &PODS, text(deployment, "/metadata/namespace")).await?;
        for pod in pods {
            let owned = pod.meta.controller().is_some_and(|owner| old.contains(&owner.uid.as_str()));
            if owned && !pod_facts::has_ended(&slim::decode(&pod, &slim::REPLICA)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn create(&self, tenant: TenantId, deployment: &Value, set: Value) -> Result<(), ApiError> {
        let namespace = text(deployment, "/metadata/namespace");
        let name = text(&set, "/metadata/name").to_owned();
        match self.access.create(tenant, &REPLICA_SETS, namespace, set).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_already_exists() => {
                let found = self.access.get(tenant, &REPLICA_SETS, namespace, &name).await?;
                if found.is_none_or(|found| replica_sets::is_same(deployment, &found)) {
                    return Err(error);
                }
                let mut status = deployment["status"].clone();
                let collisions = status["collisionCount"].as_i64().unwrap_or(0) + 1;
                status["collisionCount"] = collisions.into();
                self.access.set_status(tenant, &DEPLOYMENTS, deployment, status).await?;
                // The key comes again with the new count in its hash.
                Err(error)
            }
            Err(error) => {
                if !crate::access::refused_by_ending_namespace(&error) {
                    let message = format!("Failed to create new replica set {name:?}: {}", error.message());
                    let reason = "ReplicaSetCreateError";
                    self.access.event(tenant, deployment, Severity::Warning, reason, &message);
                }
                Err(error)
            }
        }
    }

    async fn act(
        &self,
        tenant: TenantId,
        deployment: &Value,
        actions: Vec<Action>,
    ) -> Result<Next, ApiError> {
        let mut next = Next::OnEvent;
        for action in actions {
            match action {
                Action::Create(set) => self.create(tenant, deployment, set).await?,
                Action::Change { old, new } => {
                    self.access.change(tenant, &REPLICA_SETS, "", &old, &new).await?;
                }
                Action::Delete(set) => {
                    self.access.delete(tenant, &REPLICA_SETS, &set, Delete::default()).await?;
                }
                Action::SetRevision(revision) => {
                    // Through the status, since any other change of annotations counts as a new generation.
                    let target =
                        self.access.target_of(tenant, &DEPLOYMENTS, deployment).subresource("status");
                    let uid = &deployment["metadata"]["uid"];
                    let annotations = json!({replica_sets::REVISION: revision});
                    let patch = json!({"metadata": {"uid": uid, "annotations": annotations}});
                    self.access.patch(&target, patch).await?;
                }
                Action::Event(message) => {
                    let (severity, reason) = (Severity::Normal, "ScalingReplicaSet");
                    self.access.event(tenant, deployment, severity, reason, &message);
                }
                Action::After(delay) => next = Next::After(delay),
                Action::SetStatus(status) => self.set_status(tenant, deployment, status).await?,
            }
        }
        Ok(next)
    }

    /// Writes the status. The revision annotation of the same step made a new version: the status is bound to
    /// the UID and to the generation it tells of instead.
    async fn set_status(&self, tenant: TenantId, deployment: &Value, status: Value) -> Result<(), ApiError> {
        let before = if deployment["status"].is_null() { json!({}) } else { deployment["status"].clone() };
        let Some(patch) = crate::access::difference(&before, &status) else { return Ok(()) };
        let target: Target = self.access.target_of(tenant, &DEPLOYMENTS, deployment).subresource("status");
        let patch = json!({"metadata": {"uid": deployment["metadata"]["uid"]}, "status": patch});
        match self.access.patch(&target, patch).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

/// The deployment of a pod, by the names that this controller gives: `<deployment>-<hash>` for replica sets.
fn deployment_of(pod: &Object) -> Vec<ObjectName> {
    let name = || {
        let owner = pod.meta.controller().filter(|owner| owner.kind == "ReplicaSet")?;
        let hash = pod.meta.label(replica_sets::HASH_LABEL)?;
        owner.name.strip_suffix(hash)?.strip_suffix('-')
    };
    name().map(|name| ObjectName::new(&pod.name.namespace, name)).into_iter().collect()
}

#[async_trait]
impl Reconciler for Deployments {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let own = self.index.clone();
        vec![
            Trigger::mapped(DEPLOYMENTS.group_resource(), Scope::All, move |object| {
                let value = object.value().unwrap_or_default();
                own.set(object.tenant, &object.name, Selector::parse(&value["spec"]["selector"]));
                vec![object.name.clone()]
            }),
            self.index.owners(REPLICA_SETS.group_resource(), "Deployment"),
            // `Recreate` waits for the last old pod.
            Trigger::mapped(PODS.group_resource(), Scope::All, |pod| {
                if pod.meta.deleting { deployment_of(pod) } else { vec![] }
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(deployment) = self.access.get(tenant, &DEPLOYMENTS, &key.namespace, &key.name).await? else {
            self.index.set(tenant, key, None);
            return Ok(Next::OnEvent);
        };
        let selector = Selector::parse(&deployment["spec"]["selector"]).filter(|s| !s.is_empty());
        let Some(selector) = selector else { return Ok(Next::OnEvent) };
        let listed = self.access.list(tenant, &REPLICA_SETS, &key.namespace).await?;
        let claimant = Claimant {
            uid: text(&deployment, "/metadata/uid"),
            deleting: pod_facts::is_deleting(&deployment),
        };
        let claims = listed
            .iter()
            .map(|set| (set, claims::claim(&set.meta, selector.matches(&set.meta.labels), claimant)));
        let owner = Owner {
            resource: &DEPLOYMENTS,
            object: &deployment,
            finalizer: None,
            concerns: claims::everything,
            reads: &slim::DECIDED,
        };
        let sets = claims::settle(&self.access, tenant, owner, &REPLICA_SETS, claims.collect()).await?;
        let recreate = text(&deployment, "/spec/strategy/type") == "Recreate";
        let old_pods = recreate && self.has_old_pods(tenant, &deployment, &sets).await?;
        let actions = plan(&deployment, &sets, old_pods, Timestamp::now());
        let next = self.act(tenant, &deployment, actions).await?;
        // Pods that end without being deleted bring no event here.
        Ok(if old_pods && next == Next::OnEvent { Next::After(Duration::from_secs(1)) } else { next })
    }
}

#[cfg(test)]
mod tests;
