//! A ServiceAccount `default` in every namespace that is not being deleted.
//!
//! Guarantees: it is made with its namespace, and again when it is deleted; one that is there is not touched.

use crate::access::Access;
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
        if !self.access.stays(tenant, &key.name).await? {
            return Ok(Next::OnEvent);
        }
        if self.access.find(tenant, &SERVICE_ACCOUNTS, &key.name, NAME).await?.is_none() {
            let body = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}});
            self.access.ensure(tenant, &SERVICE_ACCOUNTS, &key.name, body).await?;
        }
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::fake::FakePlanes;
    use serde_json::Value;

    #[tokio::test]
    async fn a_namespace_that_stays_has_one_and_what_is_there_is_left_alone() {
        let space = |more: Value| {
            let mut space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}});
            more.as_object()
                .into_iter()
                .flatten()
                .for_each(|(key, value)| space["metadata"][key] = value.clone());
            space
        };
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountToken": false,
            "metadata": {"name": NAME, "namespace": "a"}});
        let leaving = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/x"]});
        // The namespace, the account that is there, whether there is one then.
        let table = [
            (None, None, false),
            (Some(space(json!({}))), None, true),
            (Some(space(leaving)), None, false),
            (Some(space(json!({}))), Some(account), true),
        ];
        for (space, account, expected) in table {
            let planes = FakePlanes::new();
            space.iter().chain(&account).for_each(|object| drop(planes.put(TenantId::HOST, object.clone())));
            let controller = ServiceAccounts::new(planes.client());
            controller.reconcile(TenantId::HOST, &ObjectName::cluster("a")).await.unwrap();
            let found = planes.find(TenantId::HOST, &SERVICE_ACCOUNTS.group_resource(), "a", NAME);
            assert_eq!(found.is_some(), expected, "{space:?}");
            if let (Some(account), Some(found)) = (account, found) {
                assert_eq!(found["automountServiceAccountToken"], account["automountServiceAccountToken"]);
            }
        }
    }
}
