//! A ServiceAccount `default` in every namespace that is not being deleted.
//!
//! Guarantees: it is made with its namespace, and again when it is deleted; one that is there is not touched.

use crate::access::Access;
use crate::pod_facts::is_deleting;
use crate::resources::{NAMESPACES, SERVICE_ACCOUNTS};
use async_trait::async_trait;
use plane_client::{ApiError, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::json;
use std::sync::Arc;

const NAME: &str = "default";

/// The reconciler of default ServiceAccounts; keys are namespaces.
pub(crate) struct ServiceAccounts {
    access: Access,
}

impl ServiceAccounts {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        ServiceAccounts { access: Access::new(client, "serviceaccount-controller") }
    }
}

#[async_trait]
impl Reconciler for ServiceAccounts {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![
            Trigger::own(NAMESPACES.group_resource(), Scope::All),
            Trigger::mapped(SERVICE_ACCOUNTS.group_resource(), Scope::All, |account| {
                if account.name.name == NAME {
                    vec![ObjectName::cluster(&account.name.namespace)]
                } else {
                    vec![]
                }
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let namespace = self.access.get(tenant, &NAMESPACES, "", &key.name).await?;
        if namespace.is_none_or(|namespace| is_deleting(&namespace)) {
            return Ok(Next::OnEvent);
        }
        if self.access.get(tenant, &SERVICE_ACCOUNTS, &key.name, NAME).await?.is_none() {
            let body = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}});
            self.access.ensure(tenant, &SERVICE_ACCOUNTS, &key.name, body).await?;
        }
        Ok(Next::OnEvent)
    }
}
