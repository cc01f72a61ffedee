//! EndpointSlices for the Endpoints that someone writes for a Service without a selector.
//!
//! Guarantees: one slice for each address family and set of ports, with at most 1,000 addresses of a subset; slices of
//! other managers are not touched; Endpoints with `endpointslice.kubernetes.io/skip-mirror` or of a leader election, and
//! those of Services with selectors, have none.

mod subsets;

use crate::access::{Access, elements, text};
use crate::claims;
use crate::endpoint_slices::{LEADER, MANAGED_BY, SERVICE_NAME};
use crate::events::Severity;
use crate::pod_facts::is_deleting;
use crate::resources::{ENDPOINT_SLICES, ENDPOINTS, SERVICES};
use async_trait::async_trait;
use plane_client::{ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use subsets::{Group, MAX_ADDRESSES, groups};

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Annotations that are about the Endpoints object itself.
const OWN_ANNOTATIONS: &[&str] =
    &["endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration"];

/// The reconciler of mirrored slices; keys are Endpoints.
pub(crate) struct EndpointSliceMirroring {
    access: Access,
}

/// True when these Endpoints have slices here.
fn is_mirrored(endpoints: &Value, service: &Value) -> bool {
    let has_selector = service["spec"]["selector"].as_object().is_some_and(|labels| !labels.is_empty());
    let meta = &endpoints["metadata"];
    !has_selector && meta["labels"][SKIP] != "true" && meta["annotations"][LEADER].is_null()
}

/// The slice of a group, made of `old` where there is one.
fn slice_of(endpoints: &Value, group: &Group, old: Option<&Value>) -> Value {
    let fields = |name: &str| endpoints["metadata"][name].as_object().cloned().unwrap_or_default();
    let mut labels: Map<String, Value> = fields("labels");
    labels.insert(SERVICE_NAME.to_owned(), endpoints["metadata"]["name"].clone());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    let mut annotations = fields("annotations");
    annotations.retain(|key, _| !OWN_ANNOTATIONS.contains(&key.as_str()));
    let prefix = format!("{}-", text(endpoints, "/metadata/name"));
    let mut slice = old.cloned().unwrap_or_else(|| {
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": group.family,
            "ports": group.ports, "metadata": {"generateName": prefix}})
    });
    let meta = &mut slice["metadata"];
    meta["labels"] = labels.into();
    meta["ownerReferences"] = json!([claims::controller_reference(endpoints)]);
    match meta.as_object_mut() {
        Some(meta) if annotations.is_empty() => drop(meta.remove("annotations")),
        _ => meta["annotations"] = annotations.into(),
    }
    slice["endpoints"] = group.endpoints.clone().into();
    slice
}

impl EndpointSliceMirroring {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        let access = Access::new(client, "endpointslice-mirroring-controller");
        EndpointSliceMirroring { access: access.reporting_as("endpoint-slice-mirroring-controller") }
    }

    /// The slices that are here for these Endpoints.
    async fn slices(&self, tenant: TenantId, key: &ObjectName) -> Result<Vec<Value>, ApiError> {
        let listed = self.access.list(tenant, &ENDPOINT_SLICES, &key.namespace).await?;
        let ours = listed.iter().filter(|slice| {
            slice.meta.label(SERVICE_NAME) == Some(key.name.as_str())
                && slice.meta.label(MANAGED_BY) == Some(MANAGER)
                && !slice.meta.deleting
        });
        ours.map(plane_client::Object::value).collect()
    }

    async fn delete(&self, tenant: TenantId, slices: &[Value]) -> Result<(), ApiError> {
        for slice in slices {
            self.access.delete(tenant, &ENDPOINT_SLICES, slice, Delete::default()).await?;
        }
        Ok(())
    }

    /// Tells of addresses that are not mirrored.
    fn tell(&self, tenant: TenantId, endpoints: &Value, invalid: usize, skipped: usize) {
        if invalid > 0 {
            let message = format!("Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices");
            self.access.event(tenant, endpoints, Severity::Warning, "InvalidIPAddress", &message);
        }
        if skipped > invalid {
            let message = format!(
                "A max of {MAX_ADDRESSES} addresses can be mirrored to EndpointSlices per Endpoints subset. {skipped} addresses were skipped"
            );
            self.access.event(tenant, endpoints, Severity::Warning, "TooManyAddressesToMirror", &message);
        }
    }
}

#[async_trait]
impl Reconciler for EndpointSliceMirroring {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![
            Trigger::own(ENDPOINTS.group_resource(), Scope::All),
            Trigger::own(SERVICES.group_resource(), Scope::All),
            Trigger::mapped(ENDPOINT_SLICES.group_resource(), Scope::All, |slice| {
                let ours = slice.meta.label(MANAGED_BY) == Some(MANAGER);
                let service = slice.meta.label(SERVICE_NAME).filter(|_| ours);
                service.map(|name| ObjectName::new(&slice.name.namespace, name)).into_iter().collect()
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let (namespace, name) = (&key.namespace, &key.name);
        let service = self.access.get(tenant, &SERVICES, namespace, name).await?;
        let endpoints = self.access.get(tenant, &ENDPOINTS, namespace, name).await?;
        let mut existing = self.slices(tenant, key).await?;
        let mirrored = endpoints.zip(service).filter(|(endpoints, service)| is_mirrored(endpoints, service));
        let Some((endpoints, _)) = mirrored else {
            self.delete(tenant, &existing).await?;
            return Ok(Next::OnEvent);
        };
        let wanted = groups(elements(&endpoints, "/subsets"));
        self.tell(tenant, &endpoints, wanted.invalid, wanted.skipped);
        for group in &wanted.groups {
            let Some(index) = existing.iter().position(|slice| group.fits(slice)) else {
                if !is_deleting(&endpoints) {
                    let slice = slice_of(&endpoints, group, None);
                    self.access.ensure(tenant, &ENDPOINT_SLICES, namespace, slice).await?;
                }
                continue;
            };
            let old = existing.swap_remove(index);
            let new = slice_of(&endpoints, group, Some(&old));
            match self.access.change(tenant, &ENDPOINT_SLICES, "", &old, &new).await {
                Err(error) if error.is_not_found() => {}
                other => drop(other?),
            }
        }
        self.delete(tenant, &existing).await?;
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests;
