//! Tenants that are being deleted: their databases are cleaned up first, by each one's policy.
//!
//! The plane of such a tenant takes no more requests of its users, so nobody else deletes its objects; they go with the
//! plane. This works without writing to the plane at all.

use crate::account::PLATFORM;
use crate::databases::Databases;
use crate::fault::Stop;
use crate::tenants::FINALIZER;
use api_types::cloud::DATABASES;
use api_types::{ApiError, ObjectName, TenantId, tenancy};
use async_trait::async_trait;
use plane_client::{Next, Patch, PlaneClient, Reconciler, Scope, Target, Trigger, Write};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How soon a tenant whose databases could not be cleaned up is tried again.
const RETRY: Duration = Duration::from_secs(5);

pub(crate) struct TenantRemoval {
    pub client: Arc<dyn PlaneClient>,
    pub databases: Arc<Databases>,
}

#[async_trait]
impl Reconciler for TenantRemoval {
    fn name(&self) -> &'static str {
        "tenant-cloud-removal"
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::mapped(tenancy::TENANTS.group_resource(), Scope::One(TenantId::HOST), |object| {
            let ours = object.meta.deleting && object.meta.finalizers.iter().any(|f| f == FINALIZER);
            ours.then(|| object.name.clone()).into_iter().collect()
        })]
    }

    async fn reconcile(&self, host: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(object) = self.client.get(host, &tenancy::TENANTS.group_resource(), key).await? else {
            return Ok(Next::OnEvent);
        };
        let (Some(tenant), true) = (TenantId::parse(&object.meta.uid), object.meta.deleting) else {
            return Ok(Next::OnEvent);
        };
        let mut left = 0_usize;
        for database in self.client.list(tenant, &DATABASES.group_resource(), "").await? {
            let value = database.value()?;
            match self.databases.clean_up(&database, &value).await {
                Ok(()) => {}
                Err(Stop::Plane(error)) => return Err(error),
                Err(Stop::Fault(fault)) => {
                    left += 1;
                    tracing::warn!(tenant = %key, database = %database.name, reason = ?fault.reason,
                        message = %fault.message, "a database of a deleted tenant cannot be cleaned up yet");
                }
            }
        }
        if left > 0 {
            return Ok(Next::After(RETRY));
        }
        let value = object.value()?;
        let list = value["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        let others: Vec<_> = list.into_iter().filter(|f| f != FINALIZER).collect();
        let body = json!({"metadata": {"uid": object.meta.uid,
            "resourceVersion": value["metadata"]["resourceVersion"], "finalizers": others}});
        let target = Target::new(host, &tenancy::TENANTS, "", &key.name);
        match self.client.write(&PLATFORM, &target, Write::Patch(Patch::Merge(body))).await {
            Ok(_) => Ok(Next::OnEvent),
            Err(error) if error.is_not_found() => Ok(Next::OnEvent),
            Err(error) => Err(error),
        }
    }
}
