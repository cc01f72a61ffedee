//! What the scheduler writes: bindings, reasons, and the end of pods that make room.

use super::claims::{self, Progress};
use super::plugins::volumes::Bindings;
use super::pod::PodInfo;
use crate::access::{Access, elements};
use crate::conditions::{self, Condition};
use crate::events::Severity;
use crate::resources::PODS;
use compact_str::CompactString;
use jiff::Timestamp;
use plane_client::{ApiError, Delete, ObjectName, TenantId};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How long volumes may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// How many pods are written at a time.
const PARALLEL: usize = 64;

/// Writes for one plane. Clones share what limits them.
#[derive(Clone)]
pub(super) struct Writer {
    access: Access,
    plane: TenantId,
    places: Arc<Semaphore>,
    /// Counts changes of claims and volumes.
    storage: watch::Receiver<u64>,
}

/// What is to be said of a pod that has no node.
#[derive(Clone, Debug)]
pub(super) struct Saying {
    /// `Unschedulable`, or `SchedulerError`.
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// The node that it is promised now (empty: none); `None`: as before.
    pub(super) nominated: Option<CompactString>,
}

impl Writer {
    pub(super) fn new(access: Access, plane: TenantId, storage: watch::Receiver<u64>) -> Self {
        Writer { access, plane, places: Arc::new(Semaphore::new(PARALLEL)), storage }
    }

    /// Binds a pod to its node, after its claims. `Ok(false)`: it is gone, or has a node of somebody else.
    pub(super) async fn bind(
        &self,
        pod: &PodInfo,
        node: &str,
        bindings: &Bindings,
    ) -> Result<bool, ApiError> {
        self.bind_claims(pod, node, bindings).await?;
        let Ok(_place) = self.places.acquire().await else { return Ok(false) };
        let ObjectName { namespace, name } = &pod.name;
        let body = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": pod.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let about = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace,
            "uid": pod.uid, "resourceVersion": pod.revision.to_string()}});
        let target = self.access.target_of(self.plane, &PODS, &about).subresource("binding");
        match self.access.post(&target, body).await {
            Err(error) if error.is_not_found() || error.is_conflict() => return Ok(false),
            other => drop(other?),
        }
        let message = format!("Successfully assigned {namespace}/{name} to {node}");
        self.access.event(self.plane, &about, Severity::Normal, "Scheduled", &message);
        Ok(true)
    }

    async fn bind_claims(&self, pod: &PodInfo, node: &str, bindings: &Bindings) -> Result<(), ApiError> {
        if *bindings == Bindings::default() {
            return Ok(());
        }
        let mut storage = self.storage.clone();
        // It may take long: where the pod will be is told now.
        self.promise(pod, node).await?;
        claims::begin(&self.access, self.plane, pod, node, bindings).await?;
        let wait = async {
            loop {
                match claims::progress(&self.access, self.plane, pod, node, bindings).await? {
                    Progress::AllBound => return Ok(()),
                    Progress::GivenUp(why) => return Err(ApiError::internal(format_args!("{why}"))),
                    Progress::Waiting => {}
                }
                if storage.changed().await.is_err() {
                    return Err(ApiError::internal(format_args!("the scheduler ends")));
                }
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(done) => done,
            Err(_) => {
                Err(ApiError::internal(format_args!("binding volumes: timed out waiting for the condition")))
            }
        }
    }

    /// Says why a pod has no node: in its condition, unless it says so already, and by an event.
    pub(super) async fn say(&self, pod: &PodInfo, saying: &Saying) -> Result<(), ApiError> {
        let Ok(_place) = self.places.acquire().await else { return Ok(()) };
        let Some(old) = self.current(pod).await? else { return Ok(()) };
        self.access.event(self.plane, &old, Severity::Warning, "FailedScheduling", &saying.message);
        let mut status = old["status"].clone();
        let mut list = elements(&status, "/conditions").to_vec();
        let Saying { reason, message, nominated } = saying;
        let condition = Condition { kind: "PodScheduled", status: "False", reason, message: message.clone() };
        let observed = old["metadata"]["generation"].clone();
        let extra = if observed.is_null() { vec![] } else { vec![("observedGeneration", observed)] };
        if conditions::set(&mut list, &condition, &extra, Timestamp::now()) {
            status["conditions"] = list.into();
        }
        nominate(&mut status, nominated.as_deref());
        self.access.set_status(self.plane, &PODS, &old, status).await.map(drop)
    }

    /// The pod as it is now, as long as it waits for a node.
    async fn current(&self, pod: &PodInfo) -> Result<Option<Value>, ApiError> {
        let found = self.access.get(self.plane, &PODS, &pod.name.namespace, &pod.name.name).await?;
        Ok(found.filter(|found| {
            found["metadata"]["uid"] == pod.uid.as_str()
                && found["spec"]["nodeName"].as_str().is_none_or(str::is_empty)
        }))
    }

    /// Writes which node a pod is promised; empty: none.
    pub(super) async fn promise(&self, pod: &PodInfo, node: &str) -> Result<(), ApiError> {
        let Some(old) = self.current(pod).await? else { return Ok(()) };
        let mut status = old["status"].clone();
        nominate(&mut status, Some(node));
        self.access.set_status(self.plane, &PODS, &old, status).await.map(drop)
    }

    /// Ends a pod so that a more important one gets its room.
    pub(super) async fn preempt(&self, victim: &PodInfo, by: &PodInfo, node: &str) -> Result<(), ApiError> {
        let Ok(_place) = self.places.acquire().await else { return Ok(()) };
        let ObjectName { namespace, name } = &victim.name;
        let found = self.access.get(self.plane, &PODS, namespace, name).await?;
        let Some(old) = found.filter(|found| found["metadata"]["uid"] == victim.uid.as_str()) else {
            return Ok(());
        };
        if old["metadata"]["deletionTimestamp"].is_string() {
            return Ok(());
        }
        let mut status = old["status"].clone();
        let mut list = elements(&status, "/conditions").to_vec();
        let scheduler = super::NAME;
        let message = format!("{scheduler}: preempting to accommodate a higher priority pod");
        let condition =
            Condition { kind: "DisruptionTarget", status: "True", reason: "PreemptionByScheduler", message };
        let observed = old["metadata"]["generation"].clone();
        let extra = if observed.is_null() { vec![] } else { vec![("observedGeneration", observed)] };
        conditions::set(&mut list, &condition, &extra, Timestamp::now());
        status["conditions"] = list.into();
        self.access.set_status(self.plane, &PODS, &old, status).await?;
        self.access.delete(self.plane, &PODS, &old, Delete::default()).await?;
        let message = format!("Preempted by pod {} on node {node}", by.uid);
        self.access.event(self.plane, &old, Severity::Normal, "Preempted", &message);
        Ok(())
    }
}

fn nominate(status: &mut Value, node: Option<&str>) {
    match (node, status.as_object_mut()) {
        (Some(""), Some(fields)) => drop(fields.remove("nominatedNodeName")),
        (Some(node), Some(fields)) => drop(fields.insert("nominatedNodeName".to_owned(), node.into())),
        _ => {}
    }
}
