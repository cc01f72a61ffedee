//! Pod garbage collection of the embedded super cluster: pods bound to nodes that are gone.
//!
//! Guarantees: a pod is removed only after its node was missing for 40 s, read anew each time; it is marked
//! `Failed` with the condition `DisruptionTarget` (KEP-3329) before it goes. Tenants' planes are left alone:
//! their nodes are made by the syncer as pods need them. Caveat: ended pods are not counted or removed here.

use crate::access::{Access, elements, text};
use crate::conditions::{self, Condition};
use crate::pod_facts;
use crate::pods_by_node::{PodsByNode, node_of};
use crate::resources::{NODES, PODS};
use async_trait::async_trait;
use compact_str::CompactString;
use jiff::Timestamp;
use plane_client::{ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a node may be missing.
const QUARANTINE: Duration = Duration::from_secs(40);

/// The reconciler of pods without nodes; keys are nodes.
pub(crate) struct OrphanedPods {
    access: Access,
    plane: TenantId,
    pods: Arc<PodsByNode>,
    missing_since: Mutex<HashMap<CompactString, Instant>>,
}

impl OrphanedPods {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, plane: TenantId, pods: Arc<PodsByNode>) -> Self {
        OrphanedPods {
            access: Access::new(client, "pod-garbage-collector-controller"),
            plane,
            pods,
            missing_since: Mutex::default(),
        }
    }

    async fn remove(&self, tenant: TenantId, node: &str) -> Result<(), ApiError> {
        for name in self.pods.on(node) {
            let found = self.access.get(tenant, &PODS, &name.namespace, &name.name).await?;
            let Some(pod) = found.filter(|pod| text(pod, "/spec/nodeName") == node) else { continue };
            if !pod_facts::has_ended(&pod) {
                let mut status = pod["status"].clone();
                let mut list = elements(&pod, "/status/conditions").to_vec();
                let condition = Condition {
                    kind: "DisruptionTarget",
                    status: "True",
                    reason: "DeletionByPodGC",
                    message: "PodGC: node no longer exists".to_owned(),
                };
                conditions::set(&mut list, &condition, &[], Timestamp::now());
                status["phase"] = "Failed".into();
                status["conditions"] = list.into();
                self.access.set_status(tenant, &PODS, &pod, status).await?;
            }
            let now = Delete { grace_period_seconds: Some(0), ..Delete::default() };
            self.access.delete(tenant, &PODS, &pod, now).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Reconciler for OrphanedPods {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let (scope, pods) = (Scope::One(self.plane), self.pods.clone());
        vec![
            Trigger::own(NODES.group_resource(), scope),
            Trigger::seen(PODS.group_resource(), scope, move |pod, seen| {
                pods.see(pod, seen);
                let node = node_of(pod);
                if node.is_empty() { vec![] } else { vec![ObjectName::cluster(node)] }
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if self.access.client().get(tenant, &NODES.group_resource(), key).await?.is_some() {
            self.missing_since.lock().unwrap_or_else(PoisonError::into_inner).remove(&key.name);
            return Ok(Next::OnEvent);
        }
        let missing_for = {
            let mut missing = self.missing_since.lock().unwrap_or_else(PoisonError::into_inner);
            missing.entry(key.name.clone()).or_insert_with(Instant::now).elapsed()
        };
        if missing_for < QUARANTINE {
            return Ok(Next::After(QUARANTINE - missing_for));
        }
        self.remove(tenant, &key.name).await?;
        self.missing_since.lock().unwrap_or_else(PoisonError::into_inner).remove(&key.name);
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use serde_json::json;
    use service_runtime::Shutdown;

    #[tokio::test(start_paused = true)]
    async fn only_pods_of_a_node_that_stays_away_are_removed() {
        let planes = FakePlanes::new();
        let plane = TenantId::LOCAL_SUPER;
        let node = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        let pod = |name: &str, node: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": node}});
        planes.put(plane, node("stays"));
        for (name, node) in [("a", "stays"), ("b", "gone"), ("c", "away"), ("d", "")] {
            planes.put(plane, pod(name, node));
        }
        let collector = Arc::new(OrphanedPods::new(planes.client(), plane, Arc::default()));
        let start = Instant::now();
        tokio::spawn(Controller::new(planes.client(), collector, 1).run(Shutdown::new()));
        tokio::time::advance(Duration::from_secs(20)).await;
        planes.put(plane, node("away"));
        let pods = PODS.group_resource();
        planes.wait_for(plane, &pods, "default", "b", |found| found.is_none()).await;
        assert!(start.elapsed() >= QUARANTINE);
        assert_eq!(planes.all(plane, &pods, "").len(), 3);
    }
}
