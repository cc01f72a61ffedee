//! A pod as the scheduler knows it: compiled once for each version.

use super::amounts::{Amounts, HostPort, host_ports, needs};
use super::terms::{Constraint, NodeTerms, PodTerm, Preferred, Toleration};
use crate::access::{elements, number, text};
use crate::conditions;
use crate::pod_facts;
use crate::selectors::labels_of;
use compact_str::CompactString;
use jiff::Timestamp;
use plane_client::{ApiError, Object, ObjectName, Revision};
use serde_json::Value;
use std::sync::Arc;

pub(super) type Labels = Vec<(CompactString, CompactString)>;

/// The value of a label.
pub(super) fn label<'a>(labels: &'a [(CompactString, CompactString)], key: &str) -> Option<&'a str> {
    labels.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

/// Terms about other pods.
#[derive(Clone, Debug, Default)]
pub(super) struct PodTerms {
    pub(super) required: Vec<PodTerm>,
    pub(super) preferred: Vec<Preferred<PodTerm>>,
}

impl PodTerms {
    fn of(terms: &Value, namespace: &str) -> Self {
        let preferred = elements(terms, "/preferredDuringSchedulingIgnoredDuringExecution").iter();
        PodTerms {
            required: elements(terms, "/requiredDuringSchedulingIgnoredDuringExecution")
                .iter()
                .map(|term| PodTerm::of(term, namespace))
                .collect(),
            preferred: preferred
                .map(|one| Preferred {
                    weight: number(one, "/weight").unwrap_or(0),
                    term: PodTerm::of(&one["podAffinityTerm"], namespace),
                })
                .collect(),
        }
    }
}

/// A volume that is a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClaimVolume {
    pub(super) claim: CompactString,
    /// It lives with the pod, and is made by a controller.
    pub(super) ephemeral: bool,
}

/// Which node is wanted, and why.
#[derive(Clone, Debug)]
pub(super) struct PodInfo {
    pub(super) uid: CompactString,
    pub(super) name: ObjectName,
    pub(super) revision: Revision,
    pub(super) generation: Option<i64>,
    pub(super) labels: Labels,
    /// The node that it is bound to; empty: none.
    pub(super) node: CompactString,
    pub(super) scheduler: CompactString,
    pub(super) priority: i64,
    /// It may take the place of pods of lower priority.
    pub(super) preempts: bool,
    pub(super) is_gated: bool,
    pub(super) has_ended: bool,
    pub(super) is_deleting: bool,
    /// It was told to go for a pod of higher priority.
    pub(super) was_preempted: bool,
    pub(super) started: Option<Timestamp>,
    /// Where it would be next, once there is room.
    pub(super) nominated: CompactString,
    pub(super) needs: Amounts,
    /// What it needs where nodes are compared.
    pub(super) assumed: Amounts,
    pub(super) ports: Vec<HostPort>,
    pub(super) nodes: NodeTerms,
    pub(super) tolerations: Vec<Toleration>,
    pub(super) affinity: PodTerms,
    pub(super) anti_affinity: PodTerms,
    /// The same for all pods of a namespace with the same rules about other pods; empty: it has none.
    pub(super) rules: Arc<str>,
    pub(super) spread: Vec<Constraint>,
    pub(super) claims: Vec<ClaimVolume>,
    /// Volumes of which two pods may not have the same on a node, as they are written.
    pub(super) disks: Vec<Value>,
    pub(super) images: Vec<CompactString>,
    pub(super) owner: Option<(CompactString, CompactString, CompactString)>,
    pub(super) asks_for_devices: bool,
}

/// Kinds of volumes that are one disk.
const DISKS: [&str; 4] = ["gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd"];

fn rules_of(affinity: &Value, namespace: &str) -> Arc<str> {
    let (near, apart) = (&affinity["podAffinity"], &affinity["podAntiAffinity"]);
    if near.is_null() && apart.is_null() { "".into() } else { format!("{namespace} {near} {apart}").into() }
}

impl PodInfo {
    pub(super) fn of(object: &Object) -> Result<Self, ApiError> {
        let pod = object.value()?;
        let mut info = Self::read(&pod, object.name.clone());
        info.revision = object.revision;
        Ok(info)
    }

    /// Reads a pod.
    pub(super) fn read(pod: &Value, name: ObjectName) -> Self {
        let (spec, status) = (&pod["spec"], &pod["status"]);
        let conditions = elements(status, "/conditions");
        let labels = labels_of(&pod["metadata"]["labels"]);
        let volumes = elements(spec, "/volumes");
        let preempted = conditions::find(conditions, "DisruptionTarget")
            .is_some_and(|found| found["status"] == "True" && found["reason"] == "PreemptionByScheduler");
        let containers = elements(spec, "/initContainers").iter().chain(elements(spec, "/containers"));
        let owner = elements(pod, "/metadata/ownerReferences").iter().find(|o| o["controller"] == true);
        PodInfo {
            uid: text(pod, "/metadata/uid").into(),
            revision: Revision(0),
            generation: number(pod, "/metadata/generation"),
            node: text(spec, "/nodeName").into(),
            scheduler: text(spec, "/schedulerName").into(),
            priority: number(spec, "/priority").unwrap_or(0),
            preempts: spec["preemptionPolicy"] != "Never",
            is_gated: !elements(spec, "/schedulingGates").is_empty(),
            has_ended: pod_facts::has_ended(pod),
            is_deleting: pod_facts::is_deleting(pod),
            was_preempted: preempted,
            started: conditions::time(&status["startTime"]),
            nominated: text(status, "/nominatedNodeName").into(),
            needs: needs(pod, false),
            assumed: needs(pod, true),
            ports: host_ports(pod),
            nodes: NodeTerms::of(spec),
            tolerations: elements(spec, "/tolerations").iter().map(Toleration::of).collect(),
            affinity: PodTerms::of(&spec["affinity"]["podAffinity"], &name.namespace),
            anti_affinity: PodTerms::of(&spec["affinity"]["podAntiAffinity"], &name.namespace),
            rules: rules_of(&spec["affinity"], &name.namespace),
            spread: elements(spec, "/topologySpreadConstraints")
                .iter()
                .map(|constraint| Constraint::of(constraint, &labels))
                .collect(),
            claims: volumes.iter().filter_map(|volume| claim_of(&name.name, volume)).collect(),
            disks: volumes
                .iter()
                .filter(|volume| DISKS.iter().any(|kind| volume[*kind].is_object()))
                .cloned()
                .collect(),
            images: containers.map(|container| normal_image(text(container, "/image"))).collect(),
            owner: owner.map(|owner| {
                let part = |field: &str| CompactString::from(owner[field].as_str().unwrap_or(""));
                (part("kind"), part("name"), part("uid"))
            }),
            asks_for_devices: !elements(spec, "/resourceClaims").is_empty(),
            labels,
            name,
        }
    }
}

impl PodInfo {
    /// True when both are the same pod on the same node, and count the same for all others.
    pub(super) fn counts_like(&self, other: &PodInfo) -> bool {
        let facts =
            |pod: &PodInfo| (pod.is_deleting, pod.was_preempted, pod.started, pod.priority, pod.generation);
        self.node == other.node
            && facts(self) == facts(other)
            && self.labels == other.labels
            && self.needs == other.needs
    }
}

fn claim_of(pod: &str, volume: &Value) -> Option<ClaimVolume> {
    if volume["ephemeral"].is_object() {
        let claim = format!("{pod}-{}", text(volume, "/name")).into();
        return Some(ClaimVolume { claim, ephemeral: true });
    }
    let claim = text(volume, "/persistentVolumeClaim/claimName");
    (!claim.is_empty()).then(|| ClaimVolume { claim: claim.into(), ephemeral: false })
}

/// An image's name with its tag.
pub(super) fn normal_image(name: &str) -> CompactString {
    let has_tag = name.rfind(':').is_some_and(|tag| name.rfind('/').is_none_or(|path| tag > path));
    if has_tag { name.into() } else { format!("{name}:latest").into() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// A pod `default/NAME` with this spec; `labels`, `metadata` and `status` may stand beside.
    pub(in crate::scheduler) fn pod(name: &str, spec: Value) -> PodInfo {
        let mut pod = json!({"metadata": {"name": name, "uid": name, "labels": {"app": name}}, "spec": spec});
        if pod["spec"]["labels"].is_object() {
            pod["metadata"]["labels"] = pod["spec"]["labels"].take();
        }
        if pod["spec"]["status"].is_object() {
            pod["status"] = pod["spec"]["status"].take();
        }
        PodInfo::read(&pod, ObjectName::new("default", name))
    }

    #[test]
    fn what_matters_to_others_is_seen() {
        let info = pod("p", json!({}));
        let status = |status: Value| pod("p", json!({"status": status}));
        assert!(info.counts_like(&status(json!({"podIP": "10.0.0.1", "phase": "Running"}))));
        for (case, other) in [
            ("its start", status(json!({"startTime": "2026-01-01T00:00:00Z"}))),
            ("its labels", pod("p", json!({"labels": {"x": "y"}}))),
            ("its node", pod("p", json!({"nodeName": "n"}))),
            ("its needs", pod("p", json!({"containers": [{"resources": {"requests": {"cpu": "1"}}}]}))),
        ] {
            assert!(!info.counts_like(&other), "{case}");
        }
    }

    #[test]
    fn volumes_that_are_claims() {
        let info = pod(
            "p",
            json!({"volumes": [{"name": "a", "persistentVolumeClaim": {"claimName": "c"}},
            {"name": "b", "ephemeral": {}}, {"name": "d", "emptyDir": {}}]}),
        );
        let names: Vec<(&str, bool)> = info.claims.iter().map(|c| (c.claim.as_str(), c.ephemeral)).collect();
        assert_eq!(names, [("c", false), ("p-b", true)]);
    }

    #[test]
    fn images_have_tags() {
        for (name, expected) in [("a", "a:latest"), ("a:1", "a:1"), ("r:5000/a", "r:5000/a:latest")] {
            assert_eq!(normal_image(name), expected);
        }
    }
}
