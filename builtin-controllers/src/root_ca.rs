//! A ConfigMap `kube-root-ca.crt` with the installation's CAs in every namespace that is not being deleted.
//!
//! Guarantees: its `ca.crt` has the CAs that sign what the server presents, and nothing else is in its data; it is made
//! again when it is deleted and put right when it is changed, or when there are other CAs ([`crate::authorities`]).

use crate::access::Access;
use crate::resources::{CONFIG_MAPS, NAMESPACES};
use crate::slim;
use async_trait::async_trait;
use plane_client::{
    ApiError, Authorities, Keep, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger,
};
use serde_json::json;
use std::sync::Arc;

/// The name of the controller.
pub(crate) const CONTROLLER: &str = "root-ca-certificate-publisher-controller";
const NAME: &str = "kube-root-ca.crt";
/// What of the ConfigMap is looked at, when it is as it should be.
const DATA: Keep = Keep::Only(&[("data", Keep::All)]);

/// The reconciler of root CAs; keys are namespaces.
pub(crate) struct RootCa {
    access: Access,
    authorities: Arc<dyn Authorities>,
}

impl RootCa {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, authorities: Arc<dyn Authorities>) -> Self {
        RootCa { access: Access::new(client, CONTROLLER), authorities }
    }
}

#[async_trait]
impl Reconciler for RootCa {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![
            Trigger::own(NAMESPACES.group_resource(), Scope::All),
            Trigger::mapped(CONFIG_MAPS.group_resource(), Scope::All, |map| {
                if map.name.name == NAME { vec![ObjectName::cluster(&map.name.namespace)] } else { vec![] }
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if !self.access.stays(tenant, &key.name).await? {
            return Ok(Next::OnEvent);
        }
        let data = json!({"ca.crt": self.authorities.serving()});
        match self.access.find(tenant, &CONFIG_MAPS, &key.name, NAME).await? {
            Some(found) if slim::decode(&found, &DATA)? == json!({"data": data}) => {}
            Some(found) => {
                let found = found.value()?;
                let mut wanted = found.clone();
                wanted["data"] = data;
                self.access.change(tenant, &CONFIG_MAPS, "", &found, &wanted).await?;
            }
            None => {
                let description =
                    "The CA certificate by which clients in this cluster verify the API server.";
                let body = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": NAME, "annotations": {"kubernetes.io/description": description}},
                    "data": data,
                });
                self.access.ensure(tenant, &CONFIG_MAPS, &key.name, body).await?;
            }
        }
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorities::{self, Publishers};
    use crate::resources::SERVICE_ACCOUNTS;
    use crate::service_accounts::ServiceAccounts;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use service_runtime::{FairQueue, QueueLimits, Shutdown};
    use std::sync::Mutex;
    use tokio::sync::broadcast;

    /// Authorities that a test changes.
    struct Changing {
        pem: Mutex<String>,
        changes: broadcast::Sender<TenantId>,
    }

    impl Authorities for Changing {
        fn serving(&self) -> String {
            self.pem.lock().unwrap().clone()
        }

        fn changes(&self) -> broadcast::Receiver<TenantId> {
            self.changes.subscribe()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_namespace_of_every_plane_has_both_and_keeps_them() {
        let planes = FakePlanes::new();
        let authorities =
            Arc::new(Changing { pem: Mutex::new("PEM".to_owned()), changes: broadcast::channel(1).0 });
        let publishing = Arc::new(RootCa::new(planes.client(), authorities.clone()));
        let publishing = Controller::new(planes.client(), publishing, 1);
        let publishers = Publishers {
            root_ca: publishing.queue(),
            token_secrets: FairQueue::new(QueueLimits::default()),
            trust: FairQueue::new(QueueLimits::default()),
        };
        tokio::spawn(authorities::follow(
            planes.client(),
            authorities.changes(),
            publishers,
            Shutdown::new(),
        ));
        tokio::spawn(publishing.run(Shutdown::new()));
        let accounts = Arc::new(ServiceAccounts::new(planes.client()));
        tokio::spawn(Controller::new(planes.client(), accounts, 1).run(Shutdown::new()));
        let tenant = TenantId::parse("00000000-0000-4000-8000-0000000000ff").unwrap();
        let (maps, accounts) = (CONFIG_MAPS.group_resource(), SERVICE_ACCOUNTS.group_resource());
        let complete =
            |map: Option<&serde_json::Value>| map.is_some_and(|map| map["data"] == json!({"ca.crt": "PEM"}));
        for plane in [TenantId::HOST, tenant] {
            planes.put(plane, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}));
            planes.wait_for(plane, &maps, "a", NAME, complete).await;
            planes.wait_for(plane, &accounts, "a", "default", |found| found.is_some()).await;
        }
        planes.remove(tenant, &accounts, "a", "default");
        planes.wait_for(tenant, &accounts, "a", "default", |found| found.is_some()).await;
        let mut changed = planes.find(tenant, &maps, "a", NAME).unwrap();
        changed["data"] = json!({"ca.crt": "other", "more": "x"});
        planes.put(tenant, changed);
        planes.wait_for(tenant, &maps, "a", NAME, complete).await;
        // More changes than are remembered are changes of all.
        *authorities.pem.lock().unwrap() = "OTHER".to_owned();
        for _ in 0..3 {
            authorities.changes.send(tenant).unwrap();
        }
        let other = |map: Option<&serde_json::Value>| {
            map.is_some_and(|map| map["data"] == json!({"ca.crt": "OTHER"}))
        };
        for plane in [TenantId::HOST, tenant] {
            planes.wait_for(plane, &maps, "a", NAME, other).await;
        }
        *authorities.pem.lock().unwrap() = "PEM".to_owned();
        authorities.changes.send(TenantId::HOST).unwrap();
        for plane in [TenantId::HOST, tenant] {
            planes.wait_for(plane, &maps, "a", NAME, complete).await;
        }
    }
}
