//! ServiceBindings by themselves: they bind nothing, and say so.
//!
//! A binding takes effect while its application is rendered, and the application says how it is doing. Without an
//! application nobody would tell its author anything.

use crate::directory::Directory;
use crate::problem::Cause;
use crate::status::{carry_over, write_status};
use api_types::condition::Condition;
use api_types::oam::{self, TraitStatus};
use api_types::{ApiError, ObjectName, TenantId};
use async_trait::async_trait;
use plane_client::{Next, Object, PlaneClient, Reconciler, Scope, Trigger};
use std::sync::Arc;

pub(crate) struct Bindings {
    pub client: Arc<dyn PlaneClient>,
    pub directory: Arc<Directory>,
}

#[async_trait]
impl Reconciler for Bindings {
    fn name(&self) -> &'static str {
        "servicebinding"
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(oam::SERVICE_BINDINGS.group_resource(), Scope::Tenants)]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let resource = oam::SERVICE_BINDINGS.group_resource();
        let Some(object) = self.client.get(tenant, &resource, key).await? else { return Ok(Next::OnEvent) };
        if self.directory.is_off(tenant) || object.meta.deleting || has_application(&object) {
            return Ok(Next::OnEvent);
        }
        let value = object.value()?;
        let old: TraitStatus = serde_json::from_value(value["status"].clone()).unwrap_or_default();
        let message =
            "it binds nothing by itself: make it a trait of a component in an ApplicationConfiguration";
        let cause = Cause::NoApplication.to_string();
        let unbound = Condition::new("Ready", false, &cause, message, jiff::Timestamp::now());
        let generation = object.meta.generation;
        let status = TraitStatus {
            observed_generation: Some(generation),
            conditions: carry_over(&old.conditions, vec![unbound.observed(generation)]),
        };
        write_status(&*self.client, &oam::SERVICE_BINDINGS, &object, &value["status"], &status).await?;
        Ok(Next::OnEvent)
    }
}

fn has_application(object: &Object) -> bool {
    object.meta.controller().is_some_and(|owner| owner.kind == "ApplicationConfiguration")
}
