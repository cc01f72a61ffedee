//! Volumes, claims and classes of attributes in use are not removed: the API server puts a finalizer on each, and these reconcilers take it
//! away from what is being deleted and not used.
//!
//! Guarantees: a claim stays while a pod that is on a node names it, also one that has ended there; a volume stays while it is bound; a class
//! stays while a volume or a claim names it. Assumes that a
//! claim's pods are in its namespace. Caveat: a pod that is created between the check and the removal of the finalizer
//! finds its claim gone, as on Kubernetes.

use crate::access::Access;
use crate::pod_facts::is_deleting;
use crate::pods_by_node::node_of;
use crate::resources::{PERSISTENT_VOLUME_CLAIMS as CLAIMS, PODS};
use async_trait::async_trait;
use compact_str::{CompactString, format_compact};
use plane_client::{
    ApiError, Next, Object, ObjectName, PlaneClient, Reconciler, Resource, Scope, TenantId, Trigger,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::sync::Arc;

const VOLUMES: Resource = Resource::new("", "v1", "persistentvolumes");
const CLASSES: Resource = Resource::new("storage.k8s.io", "v1", "volumeattributesclasses");

/// What is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protected {
    /// Claims, while pods use them.
    Claims,
    /// Volumes, while they are bound.
    Volumes,
    /// Classes of attributes, while volumes and claims name them.
    Classes,
}

impl Protected {
    fn finalizer(self) -> &'static str {
        match self {
            Protected::Claims => "kubernetes.io/pvc-protection",
            Protected::Volumes => "kubernetes.io/pv-protection",
            Protected::Classes => "kubernetes.io/vac-protection",
        }
    }

    fn resource(self) -> &'static Resource {
        static RESOURCES: [Resource; 3] = [CLAIMS, VOLUMES, CLASSES];
        match self {
            Protected::Claims => &RESOURCES[0],
            Protected::Volumes => &RESOURCES[1],
            Protected::Classes => &RESOURCES[2],
        }
    }
}

/// The reconciler of one kind of protection.
pub(crate) struct StorageProtection {
    access: Access,
    of: Protected,
}

impl StorageProtection {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, of: Protected) -> Self {
        let name = match of {
            Protected::Claims => "persistentvolumeclaim-protection-controller",
            Protected::Volumes => "persistentvolume-protection-controller",
            Protected::Classes => "volumeattributesclass-protection-controller",
        };
        StorageProtection { access: Access::new(client, name), of }
    }

    async fn in_use(&self, tenant: TenantId, object: &Value) -> Result<bool, ApiError> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or("");
        match self.of {
            Protected::Volumes => Ok(object["status"]["phase"] == "Bound"),
            Protected::Claims => {
                for pod in self.access.list(tenant, &PODS, text("namespace")).await? {
                    // One that waits for a node does not start with a claim that is being deleted.
                    if node_of(&pod).is_empty() {
                        continue;
                    }
                    let value: Pod = pod.decode()?;
                    if value.claims(&pod.name.name).any(|claim| claim == text("name")) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Protected::Classes => {
                for user in [&VOLUMES, &CLAIMS] {
                    for object in self.access.list(tenant, user, "").await? {
                        if classes(&object.value()?).any(|class| class == text("name")) {
                            return Ok(true);
                        }
                    }
                }
                Ok(false)
            }
        }
    }
}

/// What says which claims a pod uses. No more is decoded: every event of every pod is looked at.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Pod {
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    volumes: Vec<Volume>,
}

#[derive(Deserialize)]
struct Volume {
    name: CompactString,
    #[serde(rename = "persistentVolumeClaim")]
    claim: Option<NamedClaim>,
    ephemeral: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedClaim {
    claim_name: CompactString,
}

impl Pod {
    /// The claims that it names; those made for its own ephemeral volumes are called after pod and volume.
    fn claims(&self, pod_name: &str) -> impl Iterator<Item = CompactString> {
        self.spec.volumes.iter().filter_map(move |volume| match &volume.claim {
            Some(claim) => Some(claim.claim_name.clone()),
            None if volume.ephemeral.is_some() => Some(format_compact!("{pod_name}-{}", volume.name)),
            None => None,
        })
    }
}

/// The classes of attributes that a volume or a claim names: wanted, had, and on the way.
fn classes(object: &Value) -> impl Iterator<Item = &str> {
    let paths = [
        "/spec/volumeAttributesClassName",
        "/status/currentVolumeAttributesClassName",
        "/status/modifyVolumeStatus/targetVolumeAttributesClassName",
    ];
    paths.into_iter().filter_map(|path| object.pointer(path)?.as_str()).filter(|class| !class.is_empty())
}

#[async_trait]
impl Reconciler for StorageProtection {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let mut triggers = vec![Trigger::own(self.of.resource().group_resource(), Scope::All)];
        if self.of == Protected::Claims {
            triggers.push(Trigger::mapped(PODS.group_resource(), Scope::All, |pod: &Object| {
                // Most use none: they are not decoded.
                if !["\"persistentVolumeClaim\"", "\"ephemeral\""].iter().any(|of| pod.mentions(of)) {
                    return Vec::new();
                }
                let Ok(value) = pod.decode::<Pod>() else { return Vec::new() };
                value
                    .claims(&pod.name.name)
                    .map(|claim| ObjectName::new(&pod.name.namespace, claim))
                    .collect()
            }));
        }
        if self.of == Protected::Classes {
            for user in [&VOLUMES, &CLAIMS] {
                triggers.push(Trigger::mapped(user.group_resource(), Scope::All, |object: &Object| {
                    let Ok(value) = object.value() else { return Vec::new() };
                    classes(&value).map(|class| ObjectName::new("", class)).collect()
                }));
            }
        }
        triggers
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let resource = self.of.resource();
        let Some(object) = self.access.get(tenant, resource, &key.namespace, &key.name).await? else {
            return Ok(Next::OnEvent);
        };
        let finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        let held = finalizers.iter().any(|name| name == self.of.finalizer());
        if !held || !is_deleting(&object) || self.in_use(tenant, &object).await? {
            return Ok(Next::OnEvent);
        }
        let mut released = object.clone();
        let rest = finalizers.into_iter().filter(|name| name != self.of.finalizer());
        released["metadata"]["finalizers"] = rest.collect();
        self.access.change(tenant, resource, "", &object, &released).await?;
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_uses_the_classes_it_wants_and_has() {
        let claim = json!({"spec": {"volumeAttributesClassName": "gold"},
            "status": {"currentVolumeAttributesClassName": "silver",
                "modifyVolumeStatus": {"targetVolumeAttributesClassName": "gold"}}});
        assert_eq!(classes(&claim).collect::<Vec<_>>(), ["gold", "silver", "gold"]);
        assert_eq!(classes(&json!({"spec": {"volumeAttributesClassName": ""}})).count(), 0);
    }

    #[test]
    fn a_pod_uses_the_claims_it_names_and_those_made_for_it() {
        let pod = json!({"spec": {"volumes": [
            {"name": "a", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "b", "ephemeral": {}},
            {"name": "c", "emptyDir": {}}]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(pod.claims("p").collect::<Vec<_>>(), ["data", "p-b"]);
    }
}
