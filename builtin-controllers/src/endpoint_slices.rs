//! EndpointSlices of Services with selectors, and the legacy Endpoints object beside them.
//!
//! Guarantees: every pod that a Service selects and that has an address is in exactly one slice of its address
//! family and port set, with `ready`, `serving` and `terminating` as KEP-1672 defines them; a slice has at most
//! 100 endpoints, and endpoints stay in the slice that they are in; slices of other managers are not touched.
//! The Endpoints object has at most 1,000 addresses and says when it was cut. Assumes that pods say their
//! addresses in `status.podIPs`. Caveats: hints are those of
//! `spec.trafficDistribution`, none of the annotation `service.kubernetes.io/topology-mode`; slices do not say when what
//! changed them happened (`endpoints.kubernetes.io/last-change-trigger-time`).

mod endpoints;
mod slices;

use crate::access::{Access, elements, text};
use crate::claims;
use crate::pace::Pace;
use crate::pod_facts::is_deleting;
use crate::resources::{ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICES};
use crate::selectors::{Selector, SelectorIndex};
use async_trait::async_trait;
use plane_client::{
    ApiError, Delete, Next, Object, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger,
};
use serde_json::{Value, json};
use slices::Placement;
use std::collections::BTreeMap;
use std::sync::Arc;

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
            access: Access::new(client, "endpointslice-controller"),
            index: Arc::default(),
            pace: Pace::default(),
        }
    }

    /// The zones of the nodes that these pods are on.
    async fn zones(&self, tenant: TenantId, pods: &[Value]) -> Result<BTreeMap<String, String>, ApiError> {
        let mut zones = BTreeMap::new();
        for pod in pods {
            let node = text(pod, "/spec/nodeName");
            if node.is_empty() || zones.contains_key(node) {
                continue;
            }
            let found =
                self.access.client().get(tenant, &NODES.group_resource(), &ObjectName::cluster(node)).await?;
            let zone =
                found.and_then(|node| node.meta.label("topology.kubernetes.io/zone").map(str::to_owned));
            zones.insert(node.to_owned(), zone.unwrap_or_default());
        }
        zones.retain(|_, zone| !zone.is_empty());
        Ok(zones)
    }

    async fn write_slices(&self, tenant: TenantId, service: &Value, pods: &[Value]) -> Result<(), ApiError> {
        let (namespace, name) = (text(service, "/metadata/namespace"), text(service, "/metadata/name"));
        let zones = self.zones(tenant, pods).await?;
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
        for placement in slices::place(&slices::wanted(service, pods, &zones), &current) {
            match placement {
                Placement::Create(mut slice) => {
                    slice["apiVersion"] = "discovery.k8s.io/v1".into();
                    slice["kind"] = "EndpointSlice".into();
                    slice["metadata"] = json!({
                        "generateName": format!("{name}-"),
                        "labels": labels,
                        "ownerReferences": [claims::controller_reference(service)],
                    });
                    self.access.ensure(tenant, &ENDPOINT_SLICES, namespace, slice).await?;
                }
                Placement::Keep { old, mut new } => {
                    new["metadata"]["labels"] = labels.clone();
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

    async fn write_endpoints(
        &self,
        tenant: TenantId,
        service: &Value,
        pods: &[Value],
    ) -> Result<(), ApiError> {
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
            self.access.change(tenant, &ENDPOINTS, "", &old, &new).await.map(|_| ())
        } else {
            self.access.ensure(tenant, &ENDPOINTS, namespace, new).await.map(|_| ())
        }
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
        vec![
            Trigger::mapped(SERVICES.group_resource(), Scope::All, move |service| {
                let value = service.value().unwrap_or_default();
                services.set(service.tenant, &service.name, selector_of(&value));
                vec![service.name.clone()]
            }),
            Trigger::mapped(PODS.group_resource(), Scope::All, move |pod| pods.due(pod)),
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
            self.clean_up(tenant, key).await?;
            return Ok(Next::OnEvent);
        };
        let Some(selector) = selector_of(&service).filter(|_| !is_deleting(&service)) else {
            return Ok(Next::OnEvent);
        };
        let listed = self.access.list(tenant, &PODS, &key.namespace).await?;
        let selected: Vec<&Object> = listed.iter().filter(|pod| selector.matches(&pod.meta.labels)).collect();
        self.index.observe(tenant, key, &listed, &selected);
        let pods: Vec<Value> = selected.iter().map(|pod| pod.value()).collect::<Result<_, _>>()?;
        self.pace.worked(tenant, key, pods.len());
        self.write_slices(tenant, &service, &pods).await?;
        self.write_endpoints(tenant, &service, &pods).await?;
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests;
