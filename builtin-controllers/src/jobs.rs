//! Jobs: pods that run to their end, as many as `spec.completions` says.
//!
//! Guarantees: a pod counts once, whatever fails between (`batch.kubernetes.io/job-tracking`, [`track`]); no pod is
//! made before every pod made earlier is in the list; a job that ended is never worked on again, and its pods lose
//! their finalizer, as do those of a job that is gone; a job with another `spec.managedBy` is left alone. Caveat:
//! the back-off after failures is kept in memory, and starts anew with the process.

mod assess;
mod backoff;
mod facts;
mod failure_policy;
mod indexes;
mod manage;
mod success_policy;
mod track;

pub(crate) use facts::finished;

use crate::access::{Access, number, text};
use crate::claims::{self, Claim, Claimant, Owner};
use crate::pace::Pace;
use crate::pod_control::PodControl;
use crate::pod_facts;
use crate::resources::{JOBS, PODS};
use crate::selectors::{Selector, SelectorIndex};
use crate::slim;
use assess::{Assessment, Ending, assess};
use async_trait::async_trait;
use backoff::Backoff;
use facts::{FINALIZER, has_finalizer, is_managed_elsewhere};
use futures::future::join_all;
use jiff::Timestamp;
use manage::{Work, manage};
use plane_client::{
    ApiError, Next, Object, ObjectName, PlaneClient, Reconciler, Scope, Selected, TenantId, Trigger,
};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use track::{Counts, track};

/// The label that names a pod's job.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// What is remembered of a job that has not ended.
#[derive(Clone, Debug, Default)]
struct Memory {
    uid: String,
    backoff: Backoff,
    /// Pods that lost their finalizer, though a list may still show it.
    released: HashSet<String>,
}

/// The reconciler of Jobs.
pub(crate) struct Jobs {
    access: Access,
    index: Arc<SelectorIndex>,
    pods: PodControl,
    pace: Pace,
    memory: Mutex<HashMap<(TenantId, ObjectName), Memory>>,
}

impl Jobs {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        let access = Access::new(client, "job-controller");
        Jobs {
            index: Arc::default(),
            pods: PodControl::new(access.clone()),
            access,
            pace: Pace::default(),
            memory: Mutex::default(),
        }
    }

    /// What is remembered of a job; nothing of a former job of the name.
    fn recall(&self, tenant: TenantId, key: &ObjectName, uid: &str, listed: &[Object]) -> Memory {
        let all = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&(tenant, key.clone())).filter(|memory| memory.uid == uid).cloned();
        let mut memory = known.unwrap_or_else(|| Memory { uid: uid.to_owned(), ..Memory::default() });
        let live: HashSet<&str> = listed.iter().map(|pod| pod.meta.uid.as_str()).collect();
        memory.released.retain(|pod| live.contains(pod.as_str()));
        memory
    }

    fn remember(&self, tenant: TenantId, key: &ObjectName, memory: Option<Memory>) {
        let mut all = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match memory {
            Some(memory) => all.insert((tenant, key.clone()), memory),
            None => all.remove(&(tenant, key.clone())),
        };
    }

    /// Takes the finalizer from a pod, whatever became of the pod since it was read: it may just have been deleted, and
    /// then would count as one that failed by itself. One that is gone has none.
    async fn release(&self, tenant: TenantId, pod: &Value) -> Result<(), ApiError> {
        let target = self.access.target_of(tenant, &PODS, pod);
        let uid = &pod["metadata"]["uid"];
        let patch = json!({"metadata": {"uid": uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER]}});
        match self.access.patch_lists(&target, patch).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    async fn release_all(&self, tenant: TenantId, pods: &[&Value]) -> Result<(), ApiError> {
        join_all(pods.iter().map(|pod| self.release(tenant, pod))).await.into_iter().collect()
    }

    /// Lets go the pods of a job that ended or is gone, and those that lost their job.
    async fn release_orphans(&self, tenant: TenantId, key: &ObjectName) -> Result<(), ApiError> {
        for object in self.access.list(tenant, &PODS, &key.namespace).await? {
            let is_of_job = match object.meta.controller() {
                Some(owner) => owner.kind == "Job" && owner.name == key.name,
                None => object.meta.label(JOB_NAME) == Some(key.name.as_str()),
            };
            if !is_of_job {
                continue;
            }
            let pod = object.value()?;
            if has_finalizer(&pod) {
                self.release(tenant, &pod).await?;
            }
        }
        Ok(())
    }

    /// Does the work; what pods there are then, and why not all of it was done.
    async fn work(
        &self,
        tenant: TenantId,
        state: &Assessment<'_>,
        work: Work<'_>,
    ) -> Result<(Counts, Option<ApiError>), ApiError> {
        let count = |holds: &dyn Fn(&facts::Pod<'_>) -> bool| {
            i64::try_from(state.pods.iter().filter(|pod| holds(pod)).count()).unwrap_or(i64::MAX)
        };
        let mut counts = Counts {
            active: count(&|pod| pod.active),
            ready: count(&|pod| pod.active && pod.ready),
            ending: count(&|pod| pod.ending),
        };
        let removed = match work {
            Work::Nothing | Work::Wait(_) => return Ok((counts, None)),
            Work::Create(pods) => {
                let (created, failure) = self.pods.create(tenant, state.job.value, pods).await;
                counts.active += i64::try_from(created).unwrap_or(0);
                return Ok((counts, failure));
            }
            Work::End(pods) => pods,
            Work::Remove(pods) => {
                self.release_all(tenant, &pods).await?;
                pods
            }
        };
        self.pods.delete(tenant, state.job.value, &removed).await?;
        for pod in removed {
            counts.active -= 1;
            counts.ending += 1;
            counts.ready -= i64::from(pod_facts::is_ready(pod));
        }
        Ok((counts, None))
    }

    /// One step of a job that has not ended.
    async fn step(
        &self,
        tenant: TenantId,
        key: &ObjectName,
        job: &Value,
        listed: &Selected,
        owned: &[Value],
    ) -> Result<Next, ApiError> {
        let mut memory = self.recall(tenant, key, text(job, "/metadata/uid"), &listed.objects);
        let state = assess(job, owned, &memory.released, memory.backoff, Timestamp::now());
        let settled = self.pods.unseen(tenant, job, listed).created == 0;
        let work = manage(&state, settled);
        let wait = match work {
            Work::Wait(rest) => Some(rest),
            _ => None,
        };
        let (counts, failure) = self.work(tenant, &state, work).await?;
        let ending = match &state.ending {
            // A pod that is not in the list yet may still have a finalizer.
            Some(_) if !settled => None,
            Some(ending) => Some(ending.clone()),
            None => is_complete(&state, counts).then(Ending::complete),
        };
        let managed = settled && !state.job.deleting && ending.is_none();
        let mut tracking = track(&state, ending, managed, counts);
        let mut current = job.clone();
        self.write(tenant, &mut current, tracking.status()).await?;
        memory.backoff = state.backoff;
        self.remember(tenant, key, Some(memory.clone()));
        self.release_all(tenant, &tracking.release).await?;
        let released = tracking.release.iter().map(|pod| text(pod, "/metadata/uid").to_owned());
        memory.released.extend(released);
        self.remember(tenant, key, Some(memory));
        let finished = tracking.finish();
        self.write(tenant, &mut current, tracking.status()).await?;
        for (severity, reason, message) in &tracking.events {
            self.access.event(tenant, job, *severity, reason, message);
        }
        if finished {
            self.remember(tenant, key, None);
            return Ok(Next::OnEvent);
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if !settled {
            return Ok(Next::After(Duration::from_millis(50)));
        }
        let moment = Duration::from_millis(20);
        Ok(wait
            .into_iter()
            .chain(state.deadline)
            .min()
            .map_or(Next::OnEvent, |rest| Next::After(rest + moment)))
    }

    /// Writes a status over the last one, and takes what became of the job.
    async fn write(&self, tenant: TenantId, job: &mut Value, status: Value) -> Result<(), ApiError> {
        let mut old = job.clone();
        if let Some(status) = old.get_mut("status").and_then(Value::as_object_mut) {
            status.retain(|_, value| !value.is_null());
        }
        let mut new = old.clone();
        new["status"] = status;
        if let Some(written) = self.access.change(tenant, &JOBS, "status", &old, &new).await? {
            *job = written.value()?;
        }
        Ok(())
    }
}

fn is_complete(state: &Assessment<'_>, counts: Counts) -> bool {
    let enough = match state.job.completions {
        Some(completions) => state.succeeded >= completions,
        None => state.succeeded > 0,
    };
    enough && counts.active == 0
}

#[async_trait]
impl Reconciler for Jobs {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let (own, orphans) = (self.index.clone(), self.index.clone());
        vec![
            Trigger::mapped(JOBS.group_resource(), Scope::All, move |object| {
                let value = object.value().unwrap_or_default();
                own.set(object.tenant, &object.name, Selector::parse(&value["spec"]["selector"]));
                vec![object.name.clone()]
            }),
            Trigger::mapped(PODS.group_resource(), Scope::All, move |pod| match pod.meta.controller() {
                Some(owner) if owner.kind == "Job" => {
                    vec![ObjectName::new(&pod.name.namespace, &owner.name)]
                }
                Some(_) => vec![],
                None => {
                    let mut due = orphans.due(pod);
                    due.extend(pod.meta.label(JOB_NAME).map(|job| ObjectName::new(&pod.name.namespace, job)));
                    due
                }
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if let Some(rest) = self.pace.wait(tenant, key) {
            return Ok(Next::After(rest));
        }
        let Some(job) = self.access.get(tenant, &JOBS, &key.namespace, &key.name).await? else {
            self.index.set(tenant, key, None);
            self.remember(tenant, key, None);
            self.release_orphans(tenant, key).await?;
            return Ok(Next::OnEvent);
        };
        if is_managed_elsewhere(&job) {
            return Ok(Next::OnEvent);
        }
        if finished(&job).is_some() {
            self.remember(tenant, key, None);
            self.release_orphans(tenant, key).await?;
            return Ok(Next::OnEvent);
        }
        let selector = Selector::parse(&job["spec"]["selector"]).filter(|selector| !selector.is_empty());
        let Some(selector) = selector else { return Ok(Next::OnEvent) };
        let uid = text(&job, "/metadata/uid");
        let claimant = Claimant { uid, deleting: pod_facts::is_deleting(&job) };
        let listed = self.access.claimable(tenant, &key.namespace, claimant, &selector).await?;
        let claims: Vec<(&Object, Claim)> = listed
            .objects
            .iter()
            .map(|pod| (pod, claims::claim(&pod.meta, selector.matches(&pod.meta.labels), claimant)))
            .collect();
        let owner = Owner {
            resource: &JOBS,
            object: &job,
            finalizer: Some(FINALIZER),
            concerns: claims::everything,
            reads: &slim::DECIDED,
        };
        let owned = claims::settle(&self.access, tenant, owner, &PODS, claims).await?;
        self.pace.worked(tenant, key, owned.len());
        self.step(tenant, key, &job, &listed, &owned).await
    }
}

/// How long a finished job stays (`spec.ttlSecondsAfterFinished`); `None`: for ever, or it has not ended.
pub(crate) fn until_expiry(job: &Value, now: Timestamp) -> Option<Duration> {
    let seconds = number(job, "/spec/ttlSecondsAfterFinished")?;
    let (_, since) = finished(job)?;
    let whole = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Some(whole.saturating_sub(Duration::try_from(now.duration_since(since?)).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
