//! Removes finished Jobs `spec.ttlSecondsAfterFinished` after their end (KEP-592).
//!
//! Guarantees: the job is read again before it goes, and only that version of it is deleted, with what it owns first.

use crate::access::{Access, text};
use crate::jobs::until_expiry;
use crate::pod_facts;
use crate::resources::JOBS;
use async_trait::async_trait;
use jiff::Timestamp;
use plane_client::{
    ApiError, Delete, Next, ObjectName, PlaneClient, Propagation, Reconciler, Scope, TenantId, Trigger,
};
use std::sync::Arc;

/// The reconciler of finished jobs.
pub(crate) struct FinishedJobs {
    access: Access,
}

impl FinishedJobs {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        FinishedJobs { access: Access::new(client, "ttl-after-finished-controller") }
    }
}

#[async_trait]
impl Reconciler for FinishedJobs {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(JOBS.group_resource(), Scope::All)]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(job) = self.access.get(tenant, &JOBS, &key.namespace, &key.name).await? else {
            return Ok(Next::OnEvent);
        };
        if pod_facts::is_deleting(&job) {
            return Ok(Next::OnEvent);
        }
        match until_expiry(&job, Timestamp::now()) {
            None => Ok(Next::OnEvent),
            Some(rest) if !rest.is_zero() => Ok(Next::After(rest)),
            Some(_) => {
                let how = Delete {
                    resource_version: Some(text(&job, "/metadata/resourceVersion").to_owned()),
                    propagation: Some(Propagation::Foreground),
                    ..Delete::default()
                };
                self.access.delete(tenant, &JOBS, &job, how).await?;
                Ok(Next::OnEvent)
            }
        }
    }
}
