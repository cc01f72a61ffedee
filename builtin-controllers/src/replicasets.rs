//! ReplicaSets and ReplicationControllers: as many pods as `spec.replicas` says.
//!
//! Guarantees: a pod is created for a replica set only when all it created before is in the list it counted, or
//! known to have been created, so that a lagging cache makes no pod twice; pods are created in batches that
//! double while they succeed ([`pod_control`](crate::pod_control)); pods are deleted in an order that costs the
//! least: those that are not placed, not running, not ready first ([`ranking`]). Assumes that writes are
//! acknowledged after the cache has them (in process); where the cache lags (over HTTPS) the memory of
//! [`expectations`](crate::expectations) bridges it. Caveat: at most 500 pods are made or deleted in one step.

use crate::access::{Access, elements, number, text};
use crate::claims::{self, Claimant, Owner};
use crate::conditions::{self, Condition};
use crate::pace::Pace;
use crate::pod_control::{BURST, PodControl, generated_pod_of};
use crate::pod_facts::{self, Availability};
use crate::ranking;
use crate::resources::{PODS, REPLICA_SETS, REPLICATION_CONTROLLERS};
use crate::selectors::{Selector, SelectorIndex, labels_of};
use crate::slim;
use async_trait::async_trait;
use jiff::Timestamp;
use plane_client::{ApiError, Next, ObjectName, PlaneClient, Reconciler, Resource, Scope, TenantId, Trigger};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// What tells the two kinds apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sort {
    name: &'static str,
    /// What its events say they are from.
    component: &'static str,
    kind: &'static str,
    resource: &'static Resource,
    /// Its selector is a `metav1.LabelSelector`, else a map of labels.
    expressions: bool,
    /// Its status counts pods that are ending.
    counts_ending: bool,
}

/// ReplicaSets.
pub(crate) const SETS: Sort = Sort {
    name: "replicaset-controller",
    component: "replicaset-controller",
    kind: "ReplicaSet",
    resource: &REPLICA_SETS,
    expressions: true,
    counts_ending: true,
};

/// ReplicationControllers.
pub(crate) const CONTROLLERS: Sort = Sort {
    name: "replicationcontroller-controller",
    component: "replication-controller",
    kind: "ReplicationController",
    resource: &REPLICATION_CONTROLLERS,
    expressions: false,
    counts_ending: false,
};

impl Sort {
    fn selector(&self, selector: &Value) -> Option<Selector> {
        if self.expressions { Selector::parse(selector) } else { Some(Selector::of_labels(selector)) }
    }
}

/// The reconciler of one of the two kinds.
pub(crate) struct ReplicaSets {
    sort: Sort,
    access: Access,
    index: Arc<SelectorIndex>,
    pods: PodControl,
    pace: Pace,
}

impl ReplicaSets {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, sort: Sort) -> Self {
        let access = Access::new(client, sort.name).reporting_as(sort.component);
        ReplicaSets {
            sort,
            index: Arc::default(),
            pods: PodControl::new(access.clone()),
            access,
            pace: Pace::default(),
        }
    }

    /// Creates or deletes pods; says why not all could be.
    async fn manage(
        &self,
        tenant: TenantId,
        replica_set: &Value,
        active: &[Value],
    ) -> Result<(), ManageError> {
        let wanted = usize::try_from(number(replica_set, "/spec/replicas").unwrap_or(1)).unwrap_or(0);
        if active.len() < wanted {
            let count = (wanted - active.len()).min(BURST);
            let pod = generated_pod_of(&replica_set["spec"]["template"], replica_set);
            let (_, failure) = self.pods.create(tenant, replica_set, vec![pod; count]).await;
            failure.map_or(Ok(()), |error| Err(ManageError::Create(error)))
        } else if active.len() > wanted {
            let count = (active.len() - wanted).min(BURST);
            let doomed = ranking::to_delete(active, count, Timestamp::now());
            self.pods.delete(tenant, replica_set, &doomed).await.map_err(ManageError::Delete)
        } else {
            Ok(())
        }
    }
}

enum ManageError {
    Create(ApiError),
    Delete(ApiError),
}

impl ManageError {
    fn parts(&self) -> (&'static str, &ApiError) {
        match self {
            ManageError::Create(error) => ("FailedCreate", error),
            ManageError::Delete(error) => ("FailedDelete", error),
        }
    }
}

#[async_trait]
impl Reconciler for ReplicaSets {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let own = self.index.clone();
        let sort = self.sort;
        vec![
            Trigger::mapped(sort.resource.group_resource(), Scope::All, move |object| {
                let value = object.value().unwrap_or_default();
                own.set(object.tenant, &object.name, sort.selector(&value["spec"]["selector"]));
                vec![object.name.clone()]
            }),
            self.index.owners(PODS.group_resource(), sort.kind),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if let Some(rest) = self.pace.wait(tenant, key) {
            return Ok(Next::After(rest));
        }
        let Some(replica_set) =
            self.access.get(tenant, self.sort.resource, &key.namespace, &key.name).await?
        else {
            self.index.set(tenant, key, None);
            return Ok(Next::OnEvent);
        };
        let uid = text(&replica_set, "/metadata/uid");
        let deleting = pod_facts::is_deleting(&replica_set);
        let Some(selector) = self.sort.selector(&replica_set["spec"]["selector"]).filter(|s| !s.is_empty())
        else {
            return Ok(Next::OnEvent);
        };
        let claimant = Claimant { uid, deleting };
        let listed = self.access.claimable(tenant, &key.namespace, claimant, &selector).await?;
        let claims = listed
            .objects
            .iter()
            .map(|pod| (pod, claims::claim(&pod.meta, selector.matches(&pod.meta.labels), claimant)));
        let owner = Owner {
            resource: self.sort.resource,
            object: &replica_set,
            finalizer: None,
            concerns: pod_facts::is_active,
            reads: &slim::REPLICA,
        };
        let owned = claims::settle(&self.access, tenant, owner, &PODS, claims.collect()).await?;
        self.pace.worked(tenant, key, owned.len());
        let unseen = self.pods.unseen(tenant, &replica_set, &listed);
        let is_ending = |pod: &&Value| pod_facts::is_deleting(pod) && !pod_facts::has_ended(pod);
        let ending = owned.iter().filter(is_ending).count();
        let active: Vec<Value> = owned
            .into_iter()
            .filter(pod_facts::is_active)
            .filter(|pod| !unseen.deleted.contains(text(pod, "/metadata/uid")))
            .collect();

        let mut failure = None;
        if !deleting && unseen.created == 0 {
            failure = self.manage(tenant, &replica_set, &active).await.err();
        }
        let now = Timestamp::now();
        let failed = failure.as_ref().map(ManageError::parts);
        let mut status = status(&replica_set, &active, ending, failed, now);
        if let Some(counts) = status.as_object_mut().filter(|_| !self.sort.counts_ending) {
            counts.remove("terminatingReplicas");
        }
        self.access.set_status(tenant, self.sort.resource, &replica_set, status).await?;
        if let Some(ManageError::Create(error) | ManageError::Delete(error)) = failure {
            return Err(error);
        }
        if unseen.created > 0 {
            return Ok(Next::After(Duration::from_millis(50)));
        }
        Ok(next_availability(&replica_set, &active, now))
    }
}

/// When the next pod becomes available by the passing of time alone.
fn next_availability(replica_set: &Value, active: &[Value], now: Timestamp) -> Next {
    let min_ready = number(replica_set, "/spec/minReadySeconds").unwrap_or(0);
    let waits = active.iter().filter_map(|pod| match pod_facts::availability(pod, min_ready, now) {
        Availability::In(rest) => Some(rest.unsigned_abs()),
        _ => None,
    });
    waits.min().map_or(Next::OnEvent, Next::After)
}

/// The status, from the pods that count; `failed` is why the last step failed.
fn status(
    replica_set: &Value,
    active: &[Value],
    ending: usize,
    failed: Option<(&str, &ApiError)>,
    now: Timestamp,
) -> Value {
    let min_ready = number(replica_set, "/spec/minReadySeconds").unwrap_or(0);
    let template = Selector::of_labels(&replica_set["spec"]["template"]["metadata"]["labels"]);
    let count = |holds: &dyn Fn(&Value) -> bool| active.iter().filter(|pod| holds(pod)).count();
    let available = |pod: &Value| pod_facts::availability(pod, min_ready, now) == Availability::Available;
    let mut status = replica_set["status"].as_object().cloned().unwrap_or_default();
    status.insert("replicas".into(), active.len().into());
    status
        .insert("observedGeneration".into(), number(replica_set, "/metadata/generation").unwrap_or(0).into());
    let counts = [
        ("fullyLabeledReplicas", count(&|pod| template.matches(&labels_of(&pod["metadata"]["labels"])))),
        ("readyReplicas", count(&pod_facts::is_ready)),
        ("availableReplicas", count(&available)),
        ("terminatingReplicas", ending),
    ];
    for (field, count) in counts {
        // Zeros are left out, but for what the API always shows.
        if count == 0 && field != "terminatingReplicas" {
            status.remove(field);
        } else {
            status.insert(field.into(), count.into());
        }
    }
    let mut conditions = elements(replica_set, "/status/conditions").to_vec();
    match failed {
        Some((reason, error)) => {
            // The message names the pod that was refused, which has another name each time: the first one stays.
            let told = conditions::find(&conditions, "ReplicaFailure");
            if !told.is_some_and(|told| told["status"] == "True" && told["reason"] == reason) {
                let message = error.message().to_owned();
                let failure = Condition { kind: "ReplicaFailure", status: "True", reason, message };
                conditions::set(&mut conditions, &failure, &[], now);
            }
        }
        None => {
            conditions::remove(&mut conditions, "ReplicaFailure");
        }
    }
    if conditions.is_empty() {
        status.remove("conditions");
    } else {
        status.insert("conditions".into(), conditions.into());
    }
    Value::Object(status)
}

#[cfg(test)]
mod tests;
