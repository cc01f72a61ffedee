//! ReplicaSets: as many pods as `spec.replicas` says.
//!
//! Guarantees: a pod is created for a replica set only when all it created before is in the list it counted, or
//! known to have been created, so that a lagging cache makes no pod twice; pods are created in batches that
//! double while they succeed, so that a quota that is full costs a few requests and not hundreds; pods are
//! deleted in an order that costs the least: those that are not placed, not running, not ready first.
//! Assumes that writes are acknowledged after the cache has them (in process); where the cache lags (over
//! HTTPS) the memory of [`expectations`] bridges it. Caveat: at most 500 pods are made or deleted in one step.

mod expectations;
mod ranking;

use crate::access::{Access, elements, number, text};
use crate::claims::{self, Claimant};
use crate::conditions::{self, Condition};
use crate::events::Severity;
use crate::pace::Pace;
use crate::pod_facts::{self, Availability};
use crate::resources::{PODS, REPLICA_SETS};
use crate::selectors::{Selector, SelectorIndex, labels_of};
use async_trait::async_trait;
use expectations::Expectations;
use futures::future::join_all;
use jiff::Timestamp;
use plane_client::{ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The most pods made or deleted in one step.
const BURST: usize = 500;

/// The reconciler of ReplicaSets.
pub(crate) struct ReplicaSets {
    access: Access,
    index: Arc<SelectorIndex>,
    expectations: Expectations,
    pace: Pace,
}

impl ReplicaSets {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        ReplicaSets {
            access: Access::new(client, "replicaset-controller"),
            index: Arc::default(),
            expectations: Expectations::default(),
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
            self.create(tenant, replica_set, count).await.map_err(ManageError::Create)
        } else if active.len() > wanted {
            let count = (active.len() - wanted).min(BURST);
            let doomed = ranking::to_delete(active, count, Timestamp::now());
            self.delete(tenant, replica_set, &doomed).await.map_err(ManageError::Delete)
        } else {
            Ok(())
        }
    }

    /// Creates pods in batches of 1, 2, 4, …; stops at the first batch in which one fails.
    async fn create(&self, tenant: TenantId, replica_set: &Value, count: usize) -> Result<(), ApiError> {
        let namespace = text(replica_set, "/metadata/namespace");
        let (pod, pods) = (pod_of(replica_set), &PODS);
        let (mut rest, mut batch) = (count, 1);
        while rest > 0 {
            let size = batch.min(rest);
            let creations = (0..size).map(|_| self.access.create(tenant, pods, namespace, pod.clone()));
            let mut failure = None;
            for result in join_all(creations).await {
                match result {
                    Ok(created) => {
                        self.expectations.created(tenant, text(replica_set, "/metadata/uid"), &created);
                        let message = format!("Created pod: {}", created.name.name);
                        self.event(tenant, replica_set, Severity::Normal, "SuccessfulCreate", &message);
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(error) = failure {
                if crate::access::refused_by_ending_namespace(&error) {
                    return Ok(());
                }
                let message = format!("Error creating: {}", error.message());
                self.event(tenant, replica_set, Severity::Warning, "FailedCreate", &message);
                return Err(error);
            }
            rest -= size;
            batch *= 2;
        }
        Ok(())
    }

    async fn delete(&self, tenant: TenantId, replica_set: &Value, pods: &[&Value]) -> Result<(), ApiError> {
        let deletions = pods.iter().map(|pod| async move {
            let result = self.access.delete(tenant, &PODS, pod, Delete::default()).await;
            (text(pod, "/metadata/name"), text(pod, "/metadata/uid"), result)
        });
        let mut failure = None;
        for (name, uid, result) in join_all(deletions).await {
            match result {
                Ok(()) => {
                    self.expectations.deleted(tenant, text(replica_set, "/metadata/uid"), uid);
                    let message = format!("Deleted pod: {name}");
                    self.event(tenant, replica_set, Severity::Normal, "SuccessfulDelete", &message);
                }
                Err(error) => {
                    let message = format!("Error deleting: {}", error.message());
                    self.event(tenant, replica_set, Severity::Warning, "FailedDelete", &message);
                    failure = Some(error);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn event(&self, tenant: TenantId, about: &Value, severity: Severity, reason: &str, message: &str) {
        self.access.event(tenant, about, severity, reason, message);
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
        let (own, orphans) = (self.index.clone(), self.index.clone());
        vec![
            Trigger::mapped(REPLICA_SETS.group_resource(), Scope::All, move |object| {
                let value = object.value().unwrap_or_default();
                own.set(object.tenant, &object.name, Selector::parse(&value["spec"]["selector"]));
                vec![object.name.clone()]
            }),
            Trigger::mapped(PODS.group_resource(), Scope::All, move |pod| match pod.meta.controller() {
                Some(owner) if owner.kind == "ReplicaSet" => {
                    vec![ObjectName::new(&pod.name.namespace, &owner.name)]
                }
                Some(_) => vec![],
                None => orphans.due(pod),
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if let Some(rest) = self.pace.wait(tenant, key) {
            return Ok(Next::After(rest));
        }
        let Some(replica_set) = self.access.get(tenant, &REPLICA_SETS, &key.namespace, &key.name).await?
        else {
            self.index.set(tenant, key, None);
            return Ok(Next::OnEvent);
        };
        let uid = text(&replica_set, "/metadata/uid");
        let deleting = pod_facts::is_deleting(&replica_set);
        let Some(selector) = Selector::parse(&replica_set["spec"]["selector"]).filter(|s| !s.is_empty())
        else {
            return Ok(Next::OnEvent);
        };
        let listed = self.access.list(tenant, &PODS, &key.namespace).await?;
        let claimant = Claimant { uid, deleting };
        let claims = listed
            .iter()
            .map(|pod| (pod, claims::claim(&pod.meta, selector.matches(&pod.meta.labels), claimant)));
        let owned =
            claims::settle(&self.access, tenant, &REPLICA_SETS, &replica_set, &PODS, claims.collect())
                .await?;
        self.pace.worked(tenant, key, owned.len());
        let unseen = self.expectations.settle(tenant, uid, &listed);
        let active: Vec<Value> = owned
            .iter()
            .filter(|pod| pod_facts::is_active(pod))
            .filter(|pod| !unseen.deleted.contains(text(pod, "/metadata/uid")))
            .cloned()
            .collect();

        let mut failure = None;
        if !deleting && unseen.created == 0 {
            failure = self.manage(tenant, &replica_set, &active).await.err();
        }
        let now = Timestamp::now();
        let ending =
            owned.iter().filter(|pod| pod_facts::is_deleting(pod) && !pod_facts::has_ended(pod)).count();
        let failed = failure.as_ref().map(ManageError::parts);
        let status = status(&replica_set, &active, ending, failed, now);
        self.access.set_status(tenant, &REPLICA_SETS, &replica_set, status).await?;
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

/// A new pod of a replica set.
fn pod_of(replica_set: &Value) -> Value {
    let template = &replica_set["spec"]["template"];
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": name_prefix(text(replica_set, "/metadata/name")),
            "ownerReferences": [claims::controller_reference(replica_set)],
        },
        "spec": template["spec"],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if !template["metadata"][field].is_null() {
            pod["metadata"][field] = template["metadata"][field].clone();
        }
    }
    pod
}

/// The start of generated names. The server cuts it to leave room for the end.
fn name_prefix(name: &str) -> String {
    format!("{name}-")
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
            let message = error.message().to_owned();
            let failure = Condition { kind: "ReplicaFailure", status: "True", reason, message };
            conditions::set(&mut conditions, &failure, &[], now);
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
