//! CronJobs: a job for each time of a schedule.
//!
//! Guarantees: at most one job for a time, as its name is made of the time; what was missed is made up for by one job, if
//! `spec.startingDeadlineSeconds` allows it; a cron job is looked at when its next time comes, or when it or a job of its
//! changes, and never in between. Assumes that the clock does not jump by much: a key waits for a span of time.

mod children;
mod decide;
mod times;

use crate::access::{Access, elements, refused_by_ending_namespace, text};
use crate::events::Severity;
use crate::resources::{CRON_JOBS, JOBS};
use api_types::condition::whole_seconds;
use async_trait::async_trait;
use decide::{Told, decide, job_name, zone_of};
use jiff::Timestamp;
use plane_client::{
    ApiError, Delete, Next, ObjectName, PlaneClient, Propagation, Reconciler, Scope, TenantId, Trigger,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// What time it is.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The reconciler of CronJobs.
pub(crate) struct CronJobs {
    access: Access,
    clock: Clock,
}

/// A cron job under work, and the status that it is to have.
struct Work<'a> {
    tenant: TenantId,
    cron_job: &'a Value,
    status: Value,
}

impl CronJobs {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        Self::by_clock(client, Arc::new(Timestamp::now))
    }

    fn by_clock(client: Arc<dyn PlaneClient>, clock: Clock) -> Self {
        CronJobs { access: Access::new(client, "cronjob-controller"), clock }
    }

    fn tell(&self, work: &Work<'_>, told: impl IntoIterator<Item = Told>) {
        for (severity, reason, message) in told {
            self.access.event(work.tenant, work.cron_job, severity, reason, &message);
        }
    }

    /// Deletes a job with its pods.
    async fn delete(&self, work: &mut Work<'_>, job: &Value) -> Result<(), ApiError> {
        let how = Delete { propagation: Some(Propagation::Background), ..Delete::default() };
        match self.access.delete(work.tenant, &JOBS, job, how).await {
            Ok(()) => {
                children::forget(&mut work.status, text(job, "/metadata/uid"));
                let message = format!("Deleted job {}", text(job, "/metadata/name"));
                self.tell(work, [(Severity::Normal, "SuccessfulDelete", message)]);
                Ok(())
            }
            Err(error) => {
                let message = format!("Deleted job: {}", error.message());
                self.tell(work, [(Severity::Warning, "FailedDelete", message)]);
                Err(error)
            }
        }
    }

    /// Takes jobs that are gone out of the status.
    async fn forget_missing(&self, work: &mut Work<'_>, jobs: &[Value]) -> Result<(), ApiError> {
        for active in elements(&work.status, "/active").to_vec() {
            let is_there = jobs.iter().any(|job| job["metadata"]["uid"] == active["uid"]);
            let name = text(&active, "/name");
            let namespace = text(&active, "/namespace");
            if is_there || self.access.get(work.tenant, &JOBS, namespace, name).await?.is_some() {
                continue;
            }
            children::forget(&mut work.status, text(&active, "/uid"));
            self.tell(work, [(Severity::Normal, "MissingJob", format!("Active job went missing: {name}"))]);
        }
        Ok(())
    }

    /// Deletes the jobs that are still active.
    async fn replace(&self, work: &mut Work<'_>) -> Result<(), ApiError> {
        for active in elements(&work.status, "/active").to_vec() {
            let (namespace, name) = (text(&active, "/namespace"), text(&active, "/name"));
            match self.access.get(work.tenant, &JOBS, namespace, name).await? {
                Some(job) => self.delete(work, &job).await?,
                None => drop(children::forget(&mut work.status, text(&active, "/uid"))),
            }
        }
        Ok(())
    }

    /// Makes the job of a time. One that is there already was made before the status could be written.
    async fn start(&self, work: &mut Work<'_>, at: Timestamp) -> Result<(), ApiError> {
        let cron_job = work.cron_job;
        let namespace = text(cron_job, "/metadata/namespace");
        let name = job_name(cron_job, at);
        let zone = zone_of(cron_job).map_err(ApiError::internal)?;
        let body = children::job(cron_job, &name, at, &zone);
        let job = match self.access.create(work.tenant, &JOBS, namespace, body).await {
            Ok(job) => {
                self.tell(work, [(Severity::Normal, "SuccessfulCreate", format!("Created job {name}"))]);
                job.value()?
            }
            Err(error) if error.is_already_exists() => {
                let found = self.access.get(work.tenant, &JOBS, namespace, &name).await?.ok_or(error)?;
                let owners = elements(&found, "/metadata/ownerReferences");
                let uid = &cron_job["metadata"]["uid"];
                if !owners.iter().any(|owner| owner["controller"] == true && owner["uid"] == *uid) {
                    return Ok(());
                }
                found
            }
            Err(error) if refused_by_ending_namespace(&error) => return Ok(()),
            Err(error) => {
                let message = format!("Error creating job: {}", error.message());
                self.tell(work, [(Severity::Warning, "FailedCreate", message)]);
                return Err(error);
            }
        };
        let mut active = elements(&work.status, "/active").to_vec();
        active.push(children::reference(&job));
        work.status["active"] = active.into();
        work.status["lastScheduleTime"] = json!(whole_seconds(at));
        Ok(())
    }

    /// Does what is due; how the status comes to be is in `work`, whatever fails.
    async fn step(&self, work: &mut Work<'_>, jobs: &[Value]) -> Result<Next, ApiError> {
        for job in children::surplus(work.cron_job, jobs) {
            // It is tried again with the next change or time, and told of.
            let _told = self.delete(work, job).await;
        }
        let told = children::observe(&mut work.status, jobs);
        self.tell(work, told);
        self.forget_missing(work, jobs).await?;
        let decision = decide(work.cron_job, &work.status, (self.clock)());
        self.tell(work, decision.told);
        if let Some(at) = decision.start {
            if decision.replace {
                self.replace(work).await?;
            }
            self.start(work, at).await?;
        }
        Ok(decision.wait.map_or(Next::OnEvent, Next::After))
    }
}

#[async_trait]
impl Reconciler for CronJobs {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![
            Trigger::own(CRON_JOBS.group_resource(), Scope::All),
            Trigger::controlled_by(JOBS.group_resource(), Scope::All, "CronJob"),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(cron_job) = self.access.get(tenant, &CRON_JOBS, &key.namespace, &key.name).await? else {
            return Ok(Next::OnEvent);
        };
        let uid = text(&cron_job, "/metadata/uid");
        let mut jobs = Vec::new();
        for object in self.access.client().dependents(tenant, uid).await? {
            let is_ours = object.meta.controller().is_some_and(|owner| owner.uid == uid);
            if is_ours && object.resource == JOBS.group_resource() {
                jobs.push(object.value()?);
            }
        }
        let status = match &cron_job["status"] {
            Value::Null => json!({}),
            status => status.clone(),
        };
        let mut work = Work { tenant, cron_job: &cron_job, status };
        let next = self.step(&mut work, &jobs).await;
        self.access.set_status(tenant, &CRON_JOBS, &cron_job, work.status).await?;
        next
    }
}

#[cfg(test)]
mod tests;
