//! The end of a CustomResourceDefinition: its objects go first.
//!
//! Guarantees: a definition that is being deleted stays, held by `customresourcecleanup.apiextensions.k8s.io`, until
//! none of its objects is left; each is deleted as a user would, so that its own finalizers are waited for. Cannot be
//! switched off: without it a definition with objects could never go. Assumes that the API server puts the finalizer
//! on every definition when it is deleted, and lets nobody create its objects from then on.

use crate::access::Access;
use crate::pod_facts::is_deleting;
use crate::resources::DEFINITIONS;
use async_trait::async_trait;
use plane_client::{
    ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, Resource, Scope, Target, TenantId, Trigger,
};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Objects that their own finalizers hold are looked at again after this.
const AGAIN: Duration = Duration::from_millis(200);

/// The reconciler of definitions that end.
pub(crate) struct CustomResources {
    access: Access,
}

impl CustomResources {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        CustomResources { access: Access::new(client, "custom-resource-cleanup") }
    }
}

#[async_trait]
impl Reconciler for CustomResources {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(DEFINITIONS.group_resource(), Scope::All)]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(definition) = self.access.get(tenant, &DEFINITIONS, "", &key.name).await? else {
            return Ok(Next::OnEvent);
        };
        let finalizers = definition["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        if !is_deleting(&definition) || !finalizers.iter().any(|name| name == FINALIZER) {
            return Ok(Next::OnEvent);
        }
        let resource = resource_of(&definition);
        for object in self.access.list(tenant, &resource, "").await? {
            if !object.meta.deleting {
                let delete = Delete { uid: Some(object.meta.uid.to_string()), ..Delete::default() };
                let name = &object.name;
                let target = Target::new(tenant, &resource, &name.namespace, &name.name);
                self.access.delete_target(&target, delete).await?;
            }
        }
        if !self.access.list(tenant, &resource, "").await?.is_empty() {
            return Ok(Next::After(AGAIN));
        }
        let mut released = definition.clone();
        released["metadata"]["finalizers"] =
            finalizers.into_iter().filter(|name| *name != FINALIZER).collect();
        self.access.change(tenant, &DEFINITIONS, "", &definition, &released).await?;
        Ok(Next::OnEvent)
    }
}

/// The resource that a definition makes, in its stored version.
fn resource_of(definition: &Value) -> Resource {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or("").into();
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stored = versions.iter().find(|version| version["storage"] == true).or(versions.first());
    Resource {
        group: text(&spec["group"]),
        version: stored.map_or_else(Default::default, |version| text(&version["name"])),
        resource: text(&spec["names"]["plural"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_are_reached_in_the_stored_version() {
        let definition = json!({"spec": {"group": "x.y", "names": {"plural": "zs"}, "versions": [
            {"name": "v1", "storage": false}, {"name": "v2", "storage": true}]}});
        let resource = resource_of(&definition);
        assert_eq!((resource.group.as_str(), resource.version.as_str()), ("x.y", "v2"));
        assert_eq!(resource.resource, "zs");
    }
}
