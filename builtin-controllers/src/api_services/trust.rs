//! The ConfigMap `extension-apiserver-authentication` of `kube-system`, by which extension servers know who asks them.
//!
//! Guarantees: it is there, and right, once a plane has an APIService of another server or a RoleBinding for those who
//! may read it; a plane without either has none, since it would be stored for nothing.

use crate::access::Access;
use crate::resources::{CONFIG_MAPS, ROLE_BINDINGS};
use api_types::aggregation::{API_SERVICES, AUTHENTICATION, AUTHENTICATION_READER, AUTOMANAGED};
use async_trait::async_trait;
use plane_client::{
    ApiError, ExtensionServers, Next, Object, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The label of the bindings that every plane has.
const BOOTSTRAPPING: &str = "kubernetes.io/bootstrapping";

/// The reconciler of that ConfigMap, which is the one key of a plane.
pub(crate) struct Trust {
    access: Access,
    servers: Arc<dyn ExtensionServers>,
}

impl Trust {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, servers: Arc<dyn ExtensionServers>) -> Self {
        Trust { access: Access::new(client, "cluster-authentication-trust"), servers }
    }
}

/// The ConfigMap.
pub(crate) fn key() -> ObjectName {
    ObjectName::new(AUTHENTICATION.0, AUTHENTICATION.1)
}

fn says(object: &Object, holds: impl Fn(&Value) -> bool) -> Vec<ObjectName> {
    let says = object.value().is_ok_and(|object| holds(&object));
    if says { vec![key()] } else { vec![] }
}

#[async_trait]
impl Reconciler for Trust {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![
            Trigger::mapped(API_SERVICES.group_resource(), Scope::All, |object| {
                if object.meta.label(AUTOMANAGED).is_some() {
                    return vec![];
                }
                says(object, |object| object["spec"]["service"].is_object())
            }),
            Trigger::mapped(ROLE_BINDINGS.group_resource(), Scope::All, |object| {
                if object.name.namespace != AUTHENTICATION.0 || object.meta.label(BOOTSTRAPPING).is_some() {
                    return vec![];
                }
                says(object, |object| object["roleRef"]["name"] == AUTHENTICATION_READER)
            }),
            Trigger::mapped(CONFIG_MAPS.group_resource(), Scope::All, |object| {
                if object.name == key() { vec![key()] } else { vec![] }
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let data = json!(self.servers.authentication(tenant).await?);
        match self.access.get(tenant, &CONFIG_MAPS, &key.namespace, &key.name).await? {
            Some(found) => {
                let mut right = found.clone();
                right["data"] = data;
                self.access.change(tenant, &CONFIG_MAPS, "", &found, &right).await?;
            }
            None => {
                let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": key.name},
                    "data": data});
                self.access.ensure(tenant, &CONFIG_MAPS, &key.namespace, body).await?;
            }
        }
        Ok(Next::OnEvent)
    }
}
