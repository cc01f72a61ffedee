//! Addresses of load balancers in the embedded super cluster.
//!
//! **They are simulated**: the addresses are from the ranges for documentation (RFC 5737), and nothing answers there.
//!
//! Guarantees: a Service of type `LoadBalancer` without a class gets an address that no other has, the one that
//! `spec.loadBalancerIP` names when it is one of these and free, and keeps it; one that is no longer of this type loses it.
//! There are 762; a Service that gets none is told so. Assumes one writer of these addresses.

use crate::access::{Access, text};
use crate::events::Severity;
use crate::pod_facts::is_deleting;
use crate::resources::SERVICES;
use async_trait::async_trait;
use plane_client::{ApiError, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// The ranges for documentation, in the order in which they are used.
const RANGES: [[u8; 3]; 3] = [[203, 0, 113], [198, 51, 100], [192, 0, 2]];
/// A Service without an address is looked at this often.
const PATROL: Duration = Duration::from_secs(30);

/// Which Service has which address.
#[derive(Debug, Default)]
struct Addresses {
    by_service: HashMap<ObjectName, Ipv4Addr>,
    by_address: HashMap<Ipv4Addr, ObjectName>,
}

fn all() -> impl Iterator<Item = Ipv4Addr> {
    RANGES.into_iter().flat_map(|[a, b, c]| (1..=254).map(move |last| Ipv4Addr::new(a, b, c, last)))
}

impl Addresses {
    /// Notes the address that a Service has, unless another has it.
    fn note(&mut self, service: &ObjectName, address: Ipv4Addr) {
        if !self.by_address.contains_key(&address) {
            self.release(service);
            self.by_service.insert(service.clone(), address);
            self.by_address.insert(address, service.clone());
        }
    }

    /// The address of a Service: the one that it has, the one that it asks for, or the first that is free.
    fn choose(&mut self, service: &ObjectName, asked: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let known = self.by_service.get(service).copied();
        if known.is_some_and(|known| asked.is_none_or(|asked| asked == known)) {
            return known;
        }
        let is_free = |address: &Ipv4Addr| !self.by_address.contains_key(address);
        let address = match asked {
            Some(asked) => all().find(|address| *address == asked).filter(is_free),
            None => all().find(is_free),
        }?;
        self.note(service, address);
        Some(address)
    }

    fn release(&mut self, service: &ObjectName) {
        if let Some(address) = self.by_service.remove(service) {
            self.by_address.remove(&address);
        }
    }
}

/// The address that the status of a Service shows.
fn shown(service: &Value) -> Option<Ipv4Addr> {
    text(service, "/status/loadBalancer/ingress/0/ip").parse().ok()
}

/// True when it is for us to give the Service an address.
fn is_ours(service: &Value) -> bool {
    service["spec"]["type"] == "LoadBalancer"
        && service["spec"]["loadBalancerClass"].is_null()
        && !is_deleting(service)
}

/// The reconciler of Services.
pub(crate) struct LoadBalancers {
    access: Access,
    plane: TenantId,
    addresses: OnceCell<Mutex<Addresses>>,
}

impl LoadBalancers {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, plane: TenantId) -> Self {
        LoadBalancers { access: Access::new(client, "service-controller"), plane, addresses: OnceCell::new() }
    }

    async fn with_addresses<R>(&self, act: impl FnOnce(&mut Addresses) -> R) -> Result<R, ApiError> {
        let known = self.addresses.get_or_try_init(|| async {
            let mut known = Addresses::default();
            for object in self.access.list(self.plane, &SERVICES, "").await? {
                let service = object.value()?;
                if let Some(address) = shown(&service).filter(|_| is_ours(&service)) {
                    known.note(&object.name, address);
                }
            }
            Ok::<_, ApiError>(Mutex::new(known))
        });
        Ok(act(&mut known.await?.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    async fn show(&self, service: &Value, balancer: Value) -> Result<bool, ApiError> {
        let mut status = service["status"].clone();
        if !status.is_object() {
            status = json!({});
        }
        status["loadBalancer"] = balancer;
        self.access.set_status(self.plane, &SERVICES, service, status).await
    }
}

#[async_trait]
impl Reconciler for LoadBalancers {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(SERVICES.group_resource(), Scope::One(self.plane))]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let service = self.access.get(tenant, &SERVICES, &key.namespace, &key.name).await?;
        let Some(service) = service.filter(|service| !is_deleting(service)) else {
            self.with_addresses(|addresses| addresses.release(key)).await?;
            return Ok(Next::OnEvent);
        };
        if !is_ours(&service) {
            let had = self.with_addresses(|addresses| {
                let had = addresses.by_service.contains_key(key);
                addresses.release(key);
                had
            });
            if had.await? && service["spec"]["type"] != "LoadBalancer" {
                self.show(&service, json!({})).await?;
            }
            return Ok(Next::OnEvent);
        }
        let asked = text(&service, "/spec/loadBalancerIP");
        let address = match asked {
            "" => self.with_addresses(|addresses| addresses.choose(key, None)).await?,
            asked => match asked.parse() {
                Ok(asked) => self.with_addresses(|addresses| addresses.choose(key, Some(asked))).await?,
                Err(_) => None,
            },
        };
        let Some(address) = address else {
            let message = match asked {
                "" => "Error syncing load balancer: all 762 simulated addresses are taken".to_owned(),
                asked => format!(
                    "Error syncing load balancer: {asked} is taken, or not one of 203.0.113.0/24, 198.51.100.0/24 and \
                     192.0.2.0/24"
                ),
            };
            self.access.event(tenant, &service, Severity::Warning, "SyncLoadBalancerFailed", &message);
            return Ok(Next::After(PATROL));
        };
        if shown(&service) == Some(address) {
            return Ok(Next::OnEvent);
        }
        self.access.event(
            tenant,
            &service,
            Severity::Normal,
            "EnsuringLoadBalancer",
            "Ensuring load balancer",
        );
        let balancer = json!({"ingress": [{"ip": address.to_string(), "ipMode": "VIP"}]});
        if self.show(&service, balancer).await? {
            self.access.event(
                tenant,
                &service,
                Severity::Normal,
                "EnsuredLoadBalancer",
                "Ensured load balancer",
            );
        }
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use service_runtime::Shutdown;

    const PLANE: TenantId = TenantId::LOCAL_SUPER;

    fn service(name: &str, spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec})
    }

    fn address(planes: &FakePlanes, name: &str) -> Option<Ipv4Addr> {
        shown(&planes.find(PLANE, &SERVICES.group_resource(), "default", name)?)
    }

    #[test]
    fn there_are_so_many_and_each_has_one_owner() {
        let mut addresses = Addresses::default();
        let name = |number: usize| ObjectName::new("n", number.to_string());
        for number in 0..762 {
            assert!(addresses.choose(&name(number), None).is_some());
        }
        assert_eq!((all().count(), addresses.by_address.len()), (762, 762));
        assert_eq!(addresses.choose(&name(999), None), None);
        let first = addresses.by_service[&name(0)];
        assert_eq!(addresses.choose(&name(0), None), Some(first), "it keeps it");
        addresses.release(&name(0));
        assert_eq!(addresses.choose(&name(999), Some(first)), Some(first));
        assert_eq!(addresses.choose(&name(0), Some(first)), None, "it is taken");
        assert_eq!(addresses.choose(&name(0), Some(Ipv4Addr::LOCALHOST)), None, "it is none of these");
    }

    #[tokio::test(start_paused = true)]
    async fn services_have_addresses_while_they_are_load_balancers() {
        let planes = FakePlanes::new();
        let mut known = service("known", json!({"type": "LoadBalancer"}));
        known["status"] = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}});
        planes.put(PLANE, known);
        let balancers = Arc::new(LoadBalancers::new(planes.client(), PLANE));
        tokio::spawn(Controller::new(planes.client(), balancers, 2).run(Shutdown::new()));
        planes.put(PLANE, service("web", json!({"type": "LoadBalancer"})));
        planes.put(PLANE, service("mine", json!({"type": "LoadBalancer", "loadBalancerIP": "192.0.2.9"})));
        planes.put(PLANE, service("theirs", json!({"type": "LoadBalancer", "loadBalancerClass": "x.io/y"})));
        planes
            .wait_until("web", |planes| address(planes, "web") == Some(Ipv4Addr::new(203, 0, 113, 2)))
            .await;
        planes
            .wait_until("mine", |planes| address(planes, "mine") == Some(Ipv4Addr::new(192, 0, 2, 9)))
            .await;
        assert_eq!(address(&planes, "known"), Some(Ipv4Addr::new(203, 0, 113, 1)));
        assert_eq!(address(&planes, "theirs"), None);
        let mut inside = planes.find(PLANE, &SERVICES.group_resource(), "default", "web").unwrap();
        inside["spec"]["type"] = "ClusterIP".into();
        planes.put(PLANE, inside);
        planes.wait_until("it has lost it", |planes| address(planes, "web").is_none()).await;
        planes.put(PLANE, service("next", json!({"type": "LoadBalancer"})));
        planes
            .wait_until("next", |planes| address(planes, "next") == Some(Ipv4Addr::new(203, 0, 113, 2)))
            .await;
    }
}
