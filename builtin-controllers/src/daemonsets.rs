//! DaemonSets: a pod on every node that a daemon set is for, in the view of nodes that its plane has.
//!
//! Guarantees: pods are made and removed only when all that was done before is in the list that decides; what is
//! done next is a pure function of pods and nodes ([`plan`], [`rolling`]); nodes that just renew their conditions
//! cost nothing ([`waking`]); a pod that fails is replaced with a growing delay. Assumes that pods are placed by a
//! scheduler that knows affinity to `metadata.name`. Caveats: a tenant sees the nodes that its `spec.sync.nodes`
//! says, by default those that its pods are on, without their taints; delays after failures start anew with the
//! process; of several revisions of one template all but the newest count as old.

mod backoff;
mod placing;
mod plan;
mod rolling;
mod waking;

use crate::access::{Access, number, refused_by_ending_namespace, text};
use crate::claims::{self, Claimant, Owner};
use crate::events::Severity;
use crate::pace::Pace;
use crate::pod_control::{BURST, PodControl, generated_pod_of};
use crate::pod_facts::is_deleting;
use crate::resources::{CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS};
use crate::revisions::Revisions;
use crate::selectors::{Selector, SelectorIndex};
use crate::slim;
use async_trait::async_trait;
use backoff::Backoff;
use jiff::Timestamp;
use plan::{Daemons, Plan, State};
use plane_client::{ApiError, Next, ObjectName, PlaneClient, Reconciler, Resource, Scope, TenantId, Trigger};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use waking::Waking;

/// The resource of daemon sets, for as long as the process runs.
const OWNERS: &Resource = &DAEMON_SETS;

/// How long to wait for a list that shows what was done.
const UNTIL_SEEN: Duration = Duration::from_millis(50);

/// The reconciler of DaemonSets.
pub(crate) struct DaemonSets {
    access: Access,
    index: Arc<SelectorIndex>,
    waking: Arc<Waking>,
    pods: PodControl,
    revisions: Revisions,
    backoff: Backoff,
    pace: Pace,
}

impl DaemonSets {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        let access = Access::new(client, "daemonset-controller");
        DaemonSets {
            index: Arc::default(),
            waking: Arc::default(),
            pods: PodControl::new(access.clone()),
            revisions: Revisions {
                access: access.clone(),
                owners: OWNERS,
                hash_label: placing::HASH,
                releases: true,
            },
            backoff: Backoff::default(),
            access,
            pace: Pace::default(),
        }
    }

    /// Makes and removes pods; why not all of it.
    async fn act(&self, tenant: TenantId, set: &Value, hash: &str, plan: &Plan<'_>) -> Result<(), ApiError> {
        let generic = generated_pod_of(&placing::template(set, hash), set);
        let pinned = |node: &&str| {
            let mut pod = generic.clone();
            placing::pin(&mut pod, node);
            pod
        };
        let pods = plan.create.iter().take(BURST).map(pinned).collect();
        let (_, failure) = self.pods.create(tenant, set, pods).await;
        for (node, pod) in &plan.failed {
            self.backoff.replaced(failures_of(tenant, set, node));
            self.tell(tenant, set, node, pod, Severity::Warning, ("FailedDaemonPod", "failed", "kill"));
        }
        for (node, pod) in &plan.ended {
            self.tell(
                tenant,
                set,
                node,
                pod,
                Severity::Normal,
                ("SucceededDaemonPod", "succeeded", "delete"),
            );
        }
        let doomed = &plan.delete[..plan.delete.len().min(BURST)];
        let deleted = self.pods.delete(tenant, set, doomed).await;
        failure.map_or(deleted, Err)
    }

    /// Tells why a pod goes: the reason, what it did, and what becomes of it.
    fn tell(
        &self,
        tenant: TenantId,
        set: &Value,
        node: &str,
        pod: &Value,
        severity: Severity,
        (reason, did, becomes): (&str, &str, &str),
    ) {
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let message =
            format!("Found {did} daemon pod {namespace}/{name} on node {node}, will try to {becomes} it");
        self.access.event(tenant, set, severity, reason, &message);
    }

    async fn step(
        &self,
        tenant: TenantId,
        set: &Value,
        selector: &Selector,
        pods: &[Value],
        settled: bool,
    ) -> Result<Next, ApiError> {
        let claimant = Claimant { uid: text(set, "/metadata/uid"), deleting: false };
        let mut revisions = self.revisions.list(tenant, set, selector, claimant).await?;
        let (newest, collisions) = self.revisions.bring_about(tenant, set, &mut revisions).await?;
        let hash = hash_of(&revisions[newest]).to_owned();
        let listed = self.access.list(tenant, &NODES, "").await?;
        let nodes = listed.iter().map(|node| node.value()).collect::<Result<Vec<_>, _>>()?;
        let state = State { set, hash: &hash, nodes: &nodes, pods, now: Timestamp::now() };
        let daemons = Daemons::new(state);
        if !settled {
            let status = daemons.status(false, collisions);
            self.access.set_status(tenant, &DAEMON_SETS, set, status).await?;
            return Ok(Next::After(UNTIL_SEEN));
        }
        let plan = daemons.plan(|node| self.backoff.rest(&failures_of(tenant, set, node)));
        let done = self.act(tenant, set, &hash, &plan).await;
        if done.is_ok() {
            let surplus = surplus(set, &revisions, newest, pods);
            self.revisions.delete(tenant, &surplus).await?;
        }
        let status = daemons.status(true, collisions);
        let told = self.access.set_status(tenant, &DAEMON_SETS, set, status).await;
        done?;
        told?;
        // What does not fit into one step brings events by its first part.
        Ok(plan.look_again.map_or(Next::OnEvent, Next::After))
    }
}

/// Whose failures the back-off counts: a new version of a daemon set starts anew.
fn failures_of(tenant: TenantId, set: &Value, node: &str) -> backoff::Key {
    let observed = number(set, "/status/observedGeneration").unwrap_or(0);
    (tenant, text(set, "/metadata/uid").to_owned(), observed, node.to_owned())
}

/// What pods of a revision have as their label.
fn hash_of(revision: &Value) -> &str {
    revision["metadata"]["labels"][placing::HASH].as_str().unwrap_or(text(revision, "/metadata/name"))
}

/// Old revisions beyond the limit that no pod has, the oldest ones.
fn surplus<'a>(set: &Value, revisions: &'a [Value], newest: usize, pods: &[Value]) -> Vec<&'a Value> {
    let limit = number(set, "/spec/revisionHistoryLimit").unwrap_or(10);
    let limit = usize::try_from(limit).unwrap_or(0);
    let live: HashSet<&str> =
        pods.iter().filter_map(|pod| pod["metadata"]["labels"][placing::HASH].as_str()).collect();
    let old = revisions.iter().enumerate().filter(|(index, _)| *index != newest);
    let idle = old.map(|(_, revision)| revision).filter(|revision| !live.contains(hash_of(revision)));
    idle.take((revisions.len() - 1).saturating_sub(limit)).collect()
}

#[async_trait]
impl Reconciler for DaemonSets {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let own = self.index.clone();
        let (known, waking) = (self.waking.clone(), self.waking.clone());
        vec![
            Trigger::seen(DAEMON_SETS.group_resource(), Scope::All, move |object, seen| {
                let value = object.value().unwrap_or_default();
                own.set(object.tenant, &object.name, Selector::parse(&value["spec"]["selector"]));
                known.set(object.tenant, &object.name, seen);
                vec![object.name.clone()]
            }),
            self.index.owners(PODS.group_resource(), "DaemonSet"),
            Trigger::seen(NODES.group_resource(), Scope::All, move |node, seen| waking.due(node, seen)),
            Trigger::controlled_by(CONTROLLER_REVISIONS.group_resource(), Scope::All, "DaemonSet"),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if let Some(rest) = self.pace.wait(tenant, key) {
            return Ok(Next::After(rest));
        }
        let Some(set) = self.access.get(tenant, &DAEMON_SETS, &key.namespace, &key.name).await? else {
            self.index.set(tenant, key, None);
            return Ok(Next::OnEvent);
        };
        let selector = Selector::parse(&set["spec"]["selector"]).filter(|selector| !selector.is_empty());
        let Some(selector) = selector.filter(|_| !is_deleting(&set)) else { return Ok(Next::OnEvent) };
        let claimant = Claimant { uid: text(&set, "/metadata/uid"), deleting: false };
        let listed = self.access.claimable(tenant, &key.namespace, claimant, &selector).await?;
        let claims = listed
            .objects
            .iter()
            .map(|pod| (pod, claims::claim(&pod.meta, selector.matches(&pod.meta.labels), claimant)));
        let owner = Owner {
            resource: &DAEMON_SETS,
            object: &set,
            finalizer: None,
            concerns: claims::everything,
            reads: &slim::DECIDED,
        };
        let pods = claims::settle(&self.access, tenant, owner, &PODS, claims.collect()).await?;
        self.pace.worked(tenant, key, pods.len());
        let unseen = self.pods.unseen(tenant, &set, &listed);
        let settled = unseen.created == 0 && unseen.deleted.is_empty();
        match self.step(tenant, &set, &selector, &pods, settled).await {
            // Everything of the namespace goes.
            Err(error) if refused_by_ending_namespace(&error) => Ok(Next::OnEvent),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests;
