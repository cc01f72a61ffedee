//! The claims of volumes that live with their pods (`spec.volumes[].ephemeral`).
//!
//! Guarantees: each has a claim called after the pod and the volume, made of the template, which goes with the pod. A claim
//! of that name that is not the pod's is left alone, and the pod told.

use crate::access::{Access, elements, text};
use crate::events::Severity;
use crate::pod_facts::is_deleting;
use crate::resources::{PERSISTENT_VOLUME_CLAIMS, PODS};
use api_types::Reason;
use async_trait::async_trait;
use plane_client::{ApiError, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::{Value, json};
use std::sync::Arc;

/// The reconciler of pods with such volumes; keys are pods.
pub(crate) struct EphemeralVolumes {
    access: Access,
}

impl EphemeralVolumes {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        let access = Access::new(client, "ephemeral-volume-controller");
        EphemeralVolumes { access: access.reporting_as("ephemeral_volume") }
    }

    /// Makes the claim of a volume unless the pod has it.
    async fn ensure(&self, tenant: TenantId, pod: &Value, volume: &Value) -> Result<(), ApiError> {
        let claim = claim(pod, volume);
        let (namespace, name) = (text(&claim, "/metadata/namespace"), text(&claim, "/metadata/name"));
        let Some(found) = self.access.get(tenant, &PERSISTENT_VOLUME_CLAIMS, namespace, name).await? else {
            let made = self.access.create(tenant, &PERSISTENT_VOLUME_CLAIMS, namespace, claim.clone()).await;
            return made.map(drop);
        };
        let mut owners = elements(&found, "/metadata/ownerReferences").iter();
        if owners.any(|owner| owner["controller"] == true && owner["uid"] == pod["metadata"]["uid"]) {
            return Ok(());
        }
        let pod = text(pod, "/metadata/name");
        let why =
            format!("PVC {namespace}/{name} was not created for pod {namespace}/{pod} (pod is not owner)");
        Err(ApiError::new(Reason::Conflict, why))
    }
}

/// The claim that a volume is to have.
fn claim(pod: &Value, volume: &Value) -> Value {
    let (meta, template) = (&pod["metadata"], &volume["ephemeral"]["volumeClaimTemplate"]);
    let mut metadata = json!({
        "namespace": meta["namespace"],
        "name": format!("{}-{}", text(meta, "/name"), text(volume, "/name")),
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"],
            "controller": true, "blockOwnerDeletion": true}],
    });
    for field in ["annotations", "labels"] {
        if let Some(said) = template["metadata"].get(field) {
            metadata[field] = said.clone();
        }
    }
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]})
}

#[async_trait]
impl Reconciler for EphemeralVolumes {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![
            Trigger::mapped(PODS.group_resource(), Scope::All, |pod| {
                if pod.mentions("\"ephemeral\"") { vec![pod.name.clone()] } else { Vec::new() }
            }),
            Trigger::controlled_by(PERSISTENT_VOLUME_CLAIMS.group_resource(), Scope::All, "Pod"),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let pod = self.access.get(tenant, &PODS, &key.namespace, &key.name).await?;
        let Some(pod) = pod.filter(|pod| !is_deleting(pod)) else { return Ok(Next::OnEvent) };
        for volume in elements(&pod, "/spec/volumes").iter().filter(|of| of["ephemeral"].is_object()) {
            if let Err(error) = self.ensure(tenant, &pod, volume).await {
                let message = format!("ephemeral volume {}: {}", text(volume, "/name"), error.message());
                self.access.event(tenant, &pod, Severity::Warning, "FailedBinding", &message);
                return Err(error);
            }
        }
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::EVENTS;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use service_runtime::Shutdown;

    #[tokio::test(start_paused = true)]
    async fn volumes_of_a_pod_have_claims_that_are_the_pods() {
        let planes = FakePlanes::new();
        let tenant = TenantId::parse("00000000-0000-4000-8000-0000000000ff").unwrap();
        let claims = PERSISTENT_VOLUME_CLAIMS.group_resource();
        let volume = |name: &str| {
            json!({"name": name, "ephemeral": {"volumeClaimTemplate": {"metadata": {"labels": {"a": "b"}},
                "spec": {"accessModes": ["ReadWriteOnce"]}}}})
        };
        planes.put(
            tenant,
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"namespace": "n", "name": "web-theirs"}, "spec": {}}),
        );
        planes.put(
            tenant,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "n", "name": "web"},
            "spec": {"volumes": [{"name": "none", "emptyDir": {}}, volume("scratch"), volume("theirs")]}}),
        );
        let reconciler = Arc::new(EphemeralVolumes::new(planes.client()));
        tokio::spawn(Controller::new(planes.client(), reconciler, 2).run(Shutdown::new()));
        let there = |found: Option<&Value>| found.is_some();
        let made = planes.wait_for(tenant, &claims, "n", "web-scratch", there).await.unwrap();
        let pod = planes.find(tenant, &PODS.group_resource(), "n", "web").unwrap();
        assert_eq!(made["spec"], json!({"accessModes": ["ReadWriteOnce"]}));
        assert_eq!(made["metadata"]["labels"], json!({"a": "b"}));
        assert_eq!(
            made["metadata"]["ownerReferences"],
            json!([{"apiVersion": "v1", "kind": "Pod", "name": "web",
            "uid": pod["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}])
        );
        let told =
            "ephemeral volume theirs: PVC n/web-theirs was not created for pod n/web (pod is not owner)";
        let events = |planes: &FakePlanes| planes.all(tenant, &EVENTS.group_resource(), "n");
        planes
            .wait_until("the pod is told", |planes| {
                events(planes).iter().any(|event| event["message"] == told)
            })
            .await;
        // One that is lost is made again.
        planes.remove(tenant, &claims, "n", "web-scratch");
        planes.wait_for(tenant, &claims, "n", "web-scratch", there).await;
        assert!(planes.find(tenant, &claims, "n", "web-none").is_none());
    }
}
