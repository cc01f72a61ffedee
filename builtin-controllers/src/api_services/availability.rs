//! The condition `Available` of APIServices that other servers answer for.
//!
//! Guarantees: it follows the APIService, its Service and that one's endpoints at once, and the server itself within
//! half a minute. Assumes that the API server bounds a check in time, and how many it makes for one plane at a time.
//! Caveat: the API server proxies by the condition, so that requests fail for as long as it is not there.

use crate::access::{Access, elements, text};
use crate::conditions::{self, Condition};
use crate::resources::{ENDPOINT_SLICES, ENDPOINTS, SERVICES};
use api_types::aggregation::{API_SERVICES, AUTOMANAGED};
use async_trait::async_trait;
use jiff::Timestamp;
use plane_client::{
    ApiError, Checked, ExtensionServers, Next, Object, ObjectName, PlaneClient, Reconciler, Scope, TenantId,
    Trigger,
};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A server that answers is asked again after this.
const AGAIN: Duration = Duration::from_secs(30);
/// One that does not, after this.
const SOON: Duration = Duration::from_secs(5);
/// When too many servers of a plane are being asked, after this.
const BUSY: Duration = Duration::from_millis(500);
/// The label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The reconciler of availability; keys are APIServices.
pub(crate) struct Availability {
    access: Access,
    servers: Arc<dyn ExtensionServers>,
    behind: Arc<Mutex<Behind>>,
}

/// Which APIServices are behind which Services.
#[derive(Default)]
struct Behind {
    services: HashMap<(TenantId, String), ObjectName>,
    names: HashMap<(TenantId, ObjectName), BTreeSet<String>>,
}

impl Behind {
    fn set(&mut self, tenant: TenantId, api_service: &str, service: Option<ObjectName>) {
        let key = (tenant, api_service.to_owned());
        let before = match service.clone() {
            Some(service) => self.services.insert(key, service),
            None => self.services.remove(&key),
        };
        if before == service {
            return;
        }
        if let Some(before) = before {
            let of = (tenant, before);
            if let Some(names) = self.names.get_mut(&of) {
                names.remove(api_service);
                if names.is_empty() {
                    self.names.remove(&of);
                }
            }
        }
        if let Some(service) = service {
            self.names.entry((tenant, service)).or_default().insert(api_service.to_owned());
        }
    }

    fn of(&self, tenant: TenantId, service: ObjectName) -> Vec<ObjectName> {
        let names = self.names.get(&(tenant, service)).into_iter().flatten();
        names.map(ObjectName::cluster).collect()
    }
}

fn lock(behind: &Mutex<Behind>) -> MutexGuard<'_, Behind> {
    behind.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Availability {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, servers: Arc<dyn ExtensionServers>) -> Self {
        let access = Access::new(client, "apiservice-availability");
        Availability { access, servers, behind: Arc::default() }
    }
}

#[async_trait]
impl Reconciler for Availability {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        // Those that the server keeps by itself are its own.
        let own = |object: &Object| match object.meta.label(AUTOMANAGED) {
            None => vec![object.name.clone()],
            Some(_) => vec![],
        };
        let behind = self.behind.clone();
        let named = move |object: &Object| lock(&behind).of(object.tenant, object.name.clone());
        let behind = self.behind.clone();
        let sliced = move |object: &Object| match object.meta.label(SERVICE_NAME) {
            Some(service) => {
                lock(&behind).of(object.tenant, ObjectName::new(&object.name.namespace, service))
            }
            None => vec![],
        };
        vec![
            Trigger::mapped(API_SERVICES.group_resource(), Scope::All, own),
            Trigger::mapped(SERVICES.group_resource(), Scope::All, named.clone()),
            Trigger::mapped(ENDPOINTS.group_resource(), Scope::All, named),
            Trigger::mapped(ENDPOINT_SLICES.group_resource(), Scope::All, sliced),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let found = self.access.get(tenant, &API_SERVICES, "", &key.name).await?;
        let found = found.filter(|found| found["spec"]["service"].is_object());
        let service = found.as_ref().map(service_of);
        // Before the check: what changes meanwhile makes the key due again.
        lock(&self.behind).set(tenant, &key.name, service);
        let Some(found) = found else { return Ok(Next::OnEvent) };
        let now = match self.servers.check(tenant, &key.name).await {
            Checked::NotRemote => return Ok(Next::OnEvent),
            Checked::Busy => return Ok(Next::After(BUSY)),
            Checked::Is(now) => now,
        };
        let mut list = elements(&found, "/status/conditions").to_vec();
        let condition = Condition {
            kind: "Available",
            status: if now.available { "True" } else { "False" },
            reason: now.reason,
            message: now.message,
        };
        if conditions::set(&mut list, &condition, &[], Timestamp::now()) {
            let mut status = found["status"].as_object().cloned().unwrap_or_default();
            status.insert("conditions".into(), list.into());
            self.access.set_status(tenant, &API_SERVICES, &found, Value::Object(status)).await?;
        }
        Ok(Next::After(if now.available { AGAIN } else { SOON }))
    }
}

fn service_of(api_service: &Value) -> ObjectName {
    ObjectName::new(text(api_service, "/spec/service/namespace"), text(api_service, "/spec/service/name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::fake::FakePlanes;
    use plane_client::{Availability as Now, Controller};
    use serde_json::json;
    use service_runtime::Shutdown;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    const PLANE: TenantId = TenantId::HOST;

    #[derive(Default)]
    struct Server {
        answers: AtomicBool,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl ExtensionServers for Server {
        async fn check(&self, _: TenantId, _: &str) -> Checked {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let available = self.answers.load(Ordering::SeqCst);
            let reason = if available { "Passed" } else { "ServiceNotFound" };
            Checked::Is(Now { available, reason, message: String::new() })
        }

        async fn authentication(&self, _: TenantId) -> Result<BTreeMap<String, String>, ApiError> {
            Ok(BTreeMap::new())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_condition_follows_the_server_and_its_service() {
        let (planes, server) = (FakePlanes::new(), Arc::new(Server::default()));
        let reconciler = Arc::new(Availability::new(planes.client(), server.clone()));
        tokio::spawn(Controller::new(planes.client(), reconciler, 1).run(Shutdown::new()));
        let service = |name: &str| {
            json!({"apiVersion": "v1", "kind": "Service", "spec": {},
                "metadata": {"name": name, "namespace": "default"}})
        };
        planes.put(
            PLANE,
            json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": "v1.x.io"}, "spec": {"service": {"namespace": "default", "name": "ext"}}}),
        );
        let resource = API_SERVICES.group_resource();
        let says = |reason: &'static str| {
            move |found: Option<&Value>| {
                let conditions = found.map_or(&Value::Null, |found| &found["status"]["conditions"]);
                conditions[0]["reason"] == reason
            }
        };
        planes.wait_for(PLANE, &resource, "", "v1.x.io", says("ServiceNotFound")).await;
        server.answers.store(true, Ordering::SeqCst);
        planes.put(PLANE, service("ext"));
        planes.wait_for(PLANE, &resource, "", "v1.x.io", says("Passed")).await;
        server.answers.store(false, Ordering::SeqCst);
        // Nothing changes here: it is asked again.
        planes.wait_for(PLANE, &resource, "", "v1.x.io", says("ServiceNotFound")).await;
    }

    #[test]
    fn a_service_knows_what_is_behind_it() {
        let mut behind = Behind::default();
        let at = |name: &str| ObjectName::new("default", name);
        behind.set(PLANE, "v1.x.io", Some(at("a")));
        behind.set(PLANE, "v2.x.io", Some(at("a")));
        behind.set(PLANE, "v2.x.io", Some(at("a")));
        assert_eq!(behind.of(PLANE, at("a")).len(), 2);
        behind.set(PLANE, "v1.x.io", Some(at("b")));
        assert_eq!(behind.of(PLANE, at("a")), [ObjectName::cluster("v2.x.io")]);
        assert_eq!(behind.of(PLANE, at("b")), [ObjectName::cluster("v1.x.io")]);
        behind.set(PLANE, "v1.x.io", None);
        behind.set(PLANE, "v2.x.io", None);
        assert!(behind.services.is_empty() && behind.names.is_empty(), "nothing is kept of what is gone");
    }
}
