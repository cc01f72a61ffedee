//! What counts the pods of a pod's workload, for pods without rules of how they spread: the selectors of its Services
//! and of its controller together.

use super::pod::PodInfo;
use crate::access::Access;
use crate::resources::{REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS};
use crate::selectors::Selector;
use compact_str::CompactString;
use plane_client::{ApiError, Object, Resource, TenantId};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// How many controllers' selectors are remembered.
const REMEMBERED: usize = 4096;

const OWNERS: [(&str, &Resource); 3] = [
    ("ReplicaSet", &REPLICA_SETS),
    ("StatefulSet", &STATEFUL_SETS),
    ("ReplicationController", &REPLICATION_CONTROLLERS),
];

/// The selectors that are known.
#[derive(Default)]
pub(super) struct Workloads {
    services: HashMap<CompactString, BTreeMap<CompactString, Selector>>,
    /// By the controller's UID. A controller's selector never changes.
    owners: HashMap<CompactString, Selector>,
}

impl Workloads {
    /// A Service is there, or is gone.
    pub(super) fn set_service(&mut self, service: &Object, is_there: bool) -> Result<(), ApiError> {
        let selector = if is_there { service.value()?["spec"]["selector"].take() } else { Value::Null };
        let of_namespace = self.services.entry(service.name.namespace.clone()).or_default();
        of_namespace.remove(&service.name.name);
        if selector.as_object().is_some_and(|labels| !labels.is_empty()) {
            of_namespace.insert(service.name.name.clone(), Selector::of_labels(&selector));
        }
        if of_namespace.is_empty() {
            self.services.remove(&service.name.namespace);
        }
        Ok(())
    }

    async fn owner(&mut self, access: &Access, plane: TenantId, pod: &PodInfo) -> Result<Selector, ApiError> {
        let Some((kind, name, uid)) = &pod.owner else { return Ok(Selector::default()) };
        let Some((_, resource)) = OWNERS.iter().find(|(known, _)| known == kind) else {
            return Ok(Selector::default());
        };
        if let Some(known) = self.owners.get(uid) {
            return Ok(known.clone());
        }
        let found = access.get(plane, resource, &pod.name.namespace, name).await?;
        let selector = match found.filter(|found| found["metadata"]["uid"] == uid.as_str()) {
            Some(found) if kind == "ReplicationController" => Selector::of_labels(&found["spec"]["selector"]),
            Some(found) => Selector::parse(&found["spec"]["selector"]).unwrap_or_default(),
            None => Selector::default(),
        };
        if self.owners.len() >= REMEMBERED {
            self.owners.clear();
        }
        self.owners.insert(uid.clone(), selector.clone());
        Ok(selector)
    }

    /// What counts the pods of the pod's workload; an empty one counts none.
    pub(super) async fn selector(
        &mut self,
        access: &Access,
        plane: TenantId,
        pod: &PodInfo,
    ) -> Result<Selector, ApiError> {
        let mut all = self.owner(access, plane, pod).await?;
        for service in self.services.get(&pod.name.namespace).into_iter().flat_map(BTreeMap::values) {
            if service.matches(&pod.labels) {
                all = all.and(service.clone());
            }
        }
        Ok(all)
    }
}
