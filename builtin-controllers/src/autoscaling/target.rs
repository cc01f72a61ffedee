//! What an autoscaler scales: anything with a scale.

use super::metrics::{ACCOUNT, resource_of};
use crate::access::{Access, text};
use api_resources::selectors::LabelSelector;
use plane_client::{ApiError, Resource, ServedApis, Target, TenantId};
use serde_json::Value;
use std::sync::Arc;

/// How often a scale is written anew when it was changed meanwhile.
const ATTEMPTS: usize = 5;

/// A scale, and whose it is.
pub(super) struct Scale {
    target: Target,
    /// The `Scale` as it was read.
    pub(super) object: Value,
    /// What selects its pods; everything, where it says nothing.
    pub(super) selector: LabelSelector,
}

/// How scales are reached in a plane.
pub(super) struct Scales<'a> {
    pub(super) access: &'a Access,
    pub(super) apis: &'a Arc<dyn ServedApis>,
    pub(super) tenant: TenantId,
}

impl Scales<'_> {
    /// The scale of what an autoscaler refers to. The inner error says why there is none, in Kubernetes' words.
    pub(super) async fn get(&self, autoscaler: &Value) -> Result<Result<Scale, String>, ApiError> {
        let reference = &autoscaler["spec"]["scaleTargetRef"];
        let [version, kind, name] = ["/apiVersion", "/kind", "/name"].map(|field| text(reference, field));
        let namespace = text(autoscaler, "/metadata/namespace");
        let resource = match resource_of(self.access.client(), self.tenant, version, kind).await? {
            Ok(resource) => resource,
            Err(why) => return Ok(Err(why)),
        };
        let target = Target::new(self.tenant, &resource, namespace, name).subresource("scale");
        let object = match self.read(&target).await {
            Ok(object) => object,
            Err(error) => return Ok(Err(error.message().to_owned())),
        };
        let said = text(&object, "/status/selector");
        let selector = LabelSelector::parse(said).map_err(|error| {
            format!(
                "received an object from a /scale endpoint which was not convertible to autoscaling Scale: failed to parse target selector: couldn't parse the selector string {said:?}: {error}"
            )
        });
        Ok(selector.map(|selector| Scale { target, object, selector }))
    }

    async fn read(&self, target: &Target) -> Result<Value, ApiError> {
        let Resource { group, version, resource } = &target.resource;
        let root =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let (namespace, name) = (&target.object.namespace, &target.object.name);
        self.apis
            .get(self.tenant, ACCOUNT, &format!("{root}/namespaces/{namespace}/{resource}/{name}/scale"))
            .await
    }

    /// Sets how many replicas there are to be.
    pub(super) async fn set(&self, mut scale: Scale, replicas: i64) -> Result<(), ApiError> {
        let mut attempts = 0;
        loop {
            scale.object["spec"]["replicas"] = replicas.into();
            attempts += 1;
            match self.access.put(&scale.target, scale.object.clone()).await {
                Err(error) if error.is_conflict() && attempts < ATTEMPTS => {
                    scale.object = self.read(&scale.target).await?;
                }
                done => return done.map(drop),
            }
        }
    }
}
