//! EndpointSlices of Services with selectors, and the legacy Endpoints object beside them.
//!
//! Guarantees: every pod that a Service selects and that has an address is in exactly one slice of its address
//! family and port set, with `ready`, `serving` and `terminating` as KEP-1672 defines them; a slice has at most
//! 100 endpoints, and endpoints stay in the slice that they are in; slices of other managers are not touched.
//! The Endpoints object has at most 1,000 addresses and says when it was cut. A pod on a node that is not known is in
//! no slice until it is, unless the Service publishes addresses that are not ready. Assumes that pods say their
//! addresses in `status.podIPs`. Caveat: what is told of changes (`endpoints.kubernetes.io/last-change-trigger-time`)
//! misses changes of one pod between two looks but for the last, as in Kubernetes.

mod endpoints;
mod hints;
mod on_nodes;
mod slices;
mod trigger_times;

use crate::access::{Access, elements, text};
use crate::claims;
use crate::events::Severity;
use crate::pace::Pace;
use crate::pod_facts::is_deleting;
use crate::resources::{ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICES};
use crate::selectors::{Selector, SelectorIndex};
use crate::slim;
use async_trait::async_trait;
use jiff::Timestamp;
use on_nodes::OnNodes;
use plane_client::{
    ApiError, Delete, Next, Object, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger,
};
use serde_json::{Value, json};
use slices::Placement;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use trigger_times::TriggerTimes;

pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
const HEADLESS: &str = "service.kubernetes.io/headless";
const ENDPOINTS_MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const ENDPOINTS_MANAGER: &str = "endpoint-controller";
/// The annotation of Endpoints that are a lock.
pub(crate) const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// The reconciler of EndpointSlices and Endpoints; keys are Services.
pub(crate) struct EndpointSlices {
    access: Access,
    index: Arc<SelectorIndex>,
    pace: Pace,
    on_nodes: Arc<OnNodes>,
    times: TriggerTimes,
    /// The Services that have hints in proportion to the zones' CPU.
    hinted: Mutex<HashSet<(TenantId, ObjectName)>>,
}

/// What a look at a Service found.
struct Look<'a> {
    tenant: TenantId,
    key: &'a ObjectName,
    service: &'a Value,
    pods: &'a [Value],
    /// When what changed happened.
    time: Option<Timestamp>,
}

/// True when a Service has no cluster IP of its own.
fn is_headless(service: &Value) -> bool {
    matches!(text(service, "/spec/clusterIP"), "" | "None")
}

/// The selector of a Service that gets endpoints from here; `None`: it has none, or is a name elsewhere.
fn selector_of(service: &Value) -> Option<Selector> {
    let labels = service["spec"]["selector"].as_object().filter(|labels| !labels.is_empty())?;
    (service["spec"]["type"] != "ExternalName").then(|| Selector::of_labels(&Value::Object(labels.clone())))
}

/// Tells of pods that are in no slice since their nodes are not known, as Kubernetes tells it.
fn why_left_out(namespace: &str, name: &str, pods: &[&Value]) -> Option<String> {
    let service = format!("{namespace}/{name}");
    let one = |pod: &&Value| {
        let (pod, node) = (text(pod, "/metadata/name"), text(pod, "/spec/nodeName"));
        format!("skipping Pod {pod} for Service {service}: Node {node} Not Found")
    };
    let all: Vec<String> = pods.iter().map(one).collect();
    let why = match all.as_slice() {
        [] => return None,
        [one] => one.clone(),
        _ => format!("[{}]", all.join(", ")),
    };
    Some(format!("Error updating Endpoint Slices for Service {service}: {why}"))
}

/// The labels of a Service without those that say something else on slices and endpoints.
fn labels_for(service: &Value, own: &[(&str, &str)]) -> Value {
    let reserved = [MANAGED_BY, SERVICE_NAME, HEADLESS, ENDPOINTS_MANAGED_BY];
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.retain(|key, _| !reserved.contains(&key.as_str()));
    if is_headless(service) {
        labels.insert(HEADLESS.into(), "".into());
    }
    for (key, value) in own {
        labels.insert((*key).into(), (*value).into());
    }
    Value::Object(labels)
}

impl EndpointSlices {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        EndpointSlices {
            access: Access::new(client, "endpointslice-controller").reporting_as("endpoint-slice-controller"),
            index: Arc::default(),
            pace: Pace::default(),
            on_nodes: Arc::default(),
            times: TriggerTimes::default(),
            hinted: Mutex::default(),
        }
    }

    /// The zones of the nodes that these pods are on, empty where a node does not say it; nodes that are not known are
    /// left out.
    async fn zones(&self, tenant: TenantId, pods: &[Value]) -> Result<BTreeMap<String, String>, ApiError> {
        let mut zones = BTreeMap::new();
        let mut unknown = HashSet::new();
        for pod in pods {
            let node = text(pod, "/spec/nodeName");
            if node.is_empty() || zones.contains_key(node) || unknown.contains(node) {
                continue;
            }
            let found =
                self.access.client().get(tenant, &NODES.group_resource(), &ObjectName::cluster(node)).await?;
            let Some(found) = found else {
                unknown.insert(node);
                continue;
            };
            let zone = found.meta.label("topology.kubernetes.io/zone").unwrap_or_default();
            zones.insert(node.to_owned(), zone.to_owned());
        }
        Ok(zones)
    }

    /// Sets the hints that a Service asks for by its annotation, and tells what became of them.
    async fn hint(&self, look: &Look<'_>, placements: &mut [Placement]) -> Result<(), ApiError> {
        let asks = hints::in_proportion(look.service);
        let slot = (look.tenant, look.key.clone());
        let was_hinted = || self.hinted.lock().unwrap_or_else(PoisonError::into_inner).contains(&slot);
        let set = |is_hinted| {
            let mut hinted = self.hinted.lock().unwrap_or_else(PoisonError::into_inner);
            if is_hinted {
                hinted.insert(slot.clone())
            } else {
                hinted.remove(&slot)
            };
        };
        if !asks && !was_hinted() {
            return Ok(());
        }
        let nodes = self.access.list(look.tenant, &NODES, "").await?;
        let nodes: Vec<Value> = nodes.iter().map(Object::value).collect::<Result<_, _>>()?;
        let shares = hints::shares(&nodes);
        let tell = |severity, reason, message: String| {
            self.access.event(look.tenant, look.service, severity, reason, &message);
        };
        for family in slices::families(look.service) {
            let disabled = |why: &str| {
                let message = format!("{why}, addressType: {family}");
                tell(Severity::Warning, "TopologyAwareHintsDisabled", message);
            };
            if !asks {
                if was_hinted() {
                    disabled("Topology Aware Hints has been disabled");
                }
                set(false);
                continue;
            }
            match hints::allocate(placements, family, shares.as_ref()) {
                Err(why) => {
                    disabled(&why);
                    set(false);
                }
                Ok(()) => {
                    if !was_hinted() {
                        let message = format!("Topology Aware Hints has been enabled, addressType: {family}");
                        tell(Severity::Normal, "TopologyAwareHintsEnabled", message);
                    }
                    set(true);
                }
            }
        }
        Ok(())
    }

    async fn write_slices(&self, look: &Look<'_>) -> Result<(), ApiError> {
        let Look { tenant, service, time, .. } = *look;
        let (namespace, name) = (text(service, "/metadata/namespace"), text(service, "/metadata/name"));
        let zones = self.zones(tenant, look.pods).await?;
        let publish = service["spec"]["publishNotReadyAddresses"] == true;
        let is_placed = |pod: &&Value| publish || zones.contains_key(text(pod, "/spec/nodeName"));
        let (pods, lost): (Vec<&Value>, Vec<&Value>) = look.pods.iter().partition(is_placed);
        let lost: Vec<&Value> = lost.into_iter().filter(|pod| !slices::addresses(pod).is_empty()).collect();
        if let Some(why) = why_left_out(namespace, name, &lost) {
            self.access.event(tenant, service, Severity::Warning, "FailedToUpdateEndpointSlices", &why);
        }
        self.on_nodes.set(tenant, look.key, !lost.is_empty() || hints::in_proportion(service));
        let listed = self.access.list(tenant, &ENDPOINT_SLICES, namespace).await?;
        let uid = text(service, "/metadata/uid");
        let ours = |slice: &&Object| {
            slice.meta.label(SERVICE_NAME) == Some(name)
                && slice.meta.label(MANAGED_BY) == Some(MANAGER)
                && !slice.meta.deleting
        };
        let existing: Vec<Value> = listed.iter().filter(ours).map(Object::value).collect::<Result<_, _>>()?;
        // A slice of a Service that had this name before goes with that one.
        let (current, stale): (Vec<Value>, Vec<Value>) = existing.into_iter().partition(|slice| {
            elements(slice, "/metadata/ownerReferences").iter().any(|owner| owner["uid"] == uid)
        });
        for slice in &stale {
            self.access.delete(tenant, &ENDPOINT_SLICES, slice, Delete::default()).await?;
        }
        let labels = labels_for(service, &[(SERVICE_NAME, name), (MANAGED_BY, MANAGER)]);
        let mut placements = slices::place(&slices::wanted(service, &pods, &zones), &current);
        self.hint(look, &mut placements).await?;
        for placement in placements {
            match placement {
                Placement::Create(mut slice) => {
                    slice["apiVersion"] = "discovery.k8s.io/v1".into();
                    slice["kind"] = "EndpointSlice".into();
                    slice["metadata"] = json!({
                        "generateName": format!("{name}-"),
                        "labels": labels,
                        "ownerReferences": [claims::controller_reference(service)],
                    });
                    trigger_times::mark(&mut slice, time);
                    self.access.ensure(tenant, &ENDPOINT_SLICES, namespace, slice).await?;
                }
                Placement::Keep { old, mut new } => {
                    new["metadata"]["labels"] = labels.clone();
                    if new == old {
                        continue;
                    }
                    trigger_times::mark(&mut new, time);
                    match self.access.change(tenant, &ENDPOINT_SLICES, "", &old, &new).await {
                        Err(error) if error.is_not_found() => {}
                        other => {
                            other?;
                        }
                    }
                }
                Placement::Delete(slice) => {
                    self.access.delete(tenant, &ENDPOINT_SLICES, &slice, Delete::default()).await?;
                }
            }
        }
        Ok(())
    }

    async fn write_endpoints(&self, look: &Look<'_>) -> Result<(), ApiError> {
        let Look { tenant, service, pods, time, .. } = *look;
        let (namespace, name) = (text(service, "/metadata/namespace"), text(service, "/metadata/name"));
        let (subsets, cut) = endpoints::subsets(service, pods);
        let labels = labels_for(service, &[(ENDPOINTS_MANAGED_BY, ENDPOINTS_MANAGER)]);
        let found = self.access.get(tenant, &ENDPOINTS, namespace, name).await?;
        let old = found
            .clone()
            .unwrap_or_else(|| json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name}}));
        let mut new = old.clone();
        new["metadata"]["labels"] = labels;
        endpoints::mark_cut(&mut new, cut);
        match new.as_object_mut() {
            Some(fields) if subsets.is_empty() => {
                fields.remove("subsets");
            }
            _ => new["subsets"] = subsets.into(),
        }
        if found.is_some() {
            if new == old {
                return Ok(());
            }
            trigger_times::mark(&mut new, time);
            self.access.change(tenant, &ENDPOINTS, "", &old, &new).await.map(|_| ())
        } else {
            trigger_times::mark(&mut new, time);
            self.access.ensure(tenant, &ENDPOINTS, namespace, new).await.map(|_| ())
        }
    }

    /// Forgets a Service that gets no endpoints from here.
    fn forget(&self, tenant: TenantId, key: &ObjectName) {
        self.on_nodes.set(tenant, key, false);
        self.times.forget(tenant, key);
        self.hinted.lock().unwrap_or_else(PoisonError::into_inner).remove(&(tenant, key.clone()));
    }

    /// The Service is gone: slices go by their owner reference, the Endpoints object here, whoever wrote it, unless
    /// it is the lock of a leader election.
    async fn clean_up(&self, tenant: TenantId, key: &ObjectName) -> Result<(), ApiError> {
        let found = self.access.get(tenant, &ENDPOINTS, &key.namespace, &key.name).await?;
        match found.filter(|found| found["metadata"]["annotations"][LEADER].is_null()) {
            Some(endpoints) if !is_deleting(&endpoints) => {
                self.access.delete(tenant, &ENDPOINTS, &endpoints, Delete::default()).await
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Reconciler for EndpointSlices {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let (services, pods) = (self.index.clone(), self.index.clone());
        let on_nodes = self.on_nodes.clone();
        vec![
            Trigger::mapped(SERVICES.group_resource(), Scope::All, move |service| {
                let value = service.value().unwrap_or_default();
                services.set(service.tenant, &service.name, selector_of(&value));
                vec![service.name.clone()]
            }),
            Trigger::mapped(PODS.group_resource(), Scope::All, move |pod| pods.due(pod)),
            Trigger::mapped(NODES.group_resource(), Scope::All, move |node| on_nodes.due(node.tenant)),
            Trigger::mapped(ENDPOINT_SLICES.group_resource(), Scope::All, |slice| {
                let ours = slice.meta.label(MANAGED_BY) == Some(MANAGER);
                let service = slice.meta.label(SERVICE_NAME).filter(|_| ours);
                service.map(|name| ObjectName::new(&slice.name.namespace, name)).into_iter().collect()
            }),
            Trigger::mapped(ENDPOINTS.group_resource(), Scope::All, |endpoints| {
                let ours = endpoints.meta.label(ENDPOINTS_MANAGED_BY) == Some(ENDPOINTS_MANAGER);
                if ours { vec![endpoints.name.clone()] } else { vec![] }
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if let Some(rest) = self.pace.wait(tenant, key) {
            return Ok(Next::After(rest));
        }
        let service = self.access.get(tenant, &SERVICES, &key.namespace, &key.name).await?;
        let Some(service) = service else {
            self.index.set(tenant, key, None);
            self.forget(tenant, key);
            self.clean_up(tenant, key).await?;
            return Ok(Next::OnEvent);
        };
        let Some(selector) = selector_of(&service).filter(|_| !is_deleting(&service)) else {
            self.forget(tenant, key);
            return Ok(Next::OnEvent);
        };
        let listed = self.access.list(tenant, &PODS, &key.namespace).await?;
        let selected: Vec<&Object> = listed.iter().filter(|pod| selector.matches(&pod.meta.labels)).collect();
        self.index.observe(tenant, key, &listed, &selected);
        let pods: Vec<Value> =
            selected.iter().map(|pod| slim::decode(pod, &slim::ENDPOINT)).collect::<Result<_, _>>()?;
        self.pace.worked(tenant, key, pods.len());
        let time = self.times.next(tenant, key, &service, &pods);
        let look = Look { tenant, key, service: &service, pods: &pods, time };
        self.write_slices(&look).await?;
        self.write_endpoints(&look).await?;
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests;
