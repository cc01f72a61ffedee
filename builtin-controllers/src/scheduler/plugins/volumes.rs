//! Volumes: disks and claims that one pod alone may use, claims that are bound elsewhere, and claims that wait for a
//! node.

use crate::access::{elements, text};
use crate::quantities::thousandths;
use crate::scheduler::cycle::{Cycle, Reason, Refusal};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::{Labels, label};
use crate::scheduler::terms::{NodeTerm, labels_in};
use crate::selectors::Selector;
use compact_str::CompactString;
use serde_json::Value;

/// The annotation by which a claim says for which node its volume is to be made.
pub(in crate::scheduler) const SELECTED: &str = "volume.kubernetes.io/selected-node";
/// The provisioner of classes that make no volumes.
const MAKES_NONE: &str = "kubernetes.io/no-provisioner";

/// The terms of which one has to match the node.
#[derive(Clone, Debug, Default)]
struct Affinity(Option<Vec<NodeTerm>>);

impl Affinity {
    fn of(volume: &Value) -> Self {
        let required = &volume["spec"]["nodeAffinity"]["required"];
        let terms = elements(required, "/nodeSelectorTerms").iter().map(NodeTerm::of);
        Affinity(required.is_object().then(|| terms.collect()))
    }

    fn allows(&self, node: &NodeInfo) -> bool {
        let matches = |term: &NodeTerm| term.matches(&node.facts.labels, &node.name);
        self.0.as_ref().is_none_or(|terms| terms.iter().any(matches))
    }
}

/// A volume that is there.
#[derive(Clone, Debug)]
pub(in crate::scheduler) struct Volume {
    pub(in crate::scheduler) name: CompactString,
    labels: Labels,
    affinity: Affinity,
    capacity: i128,
    class: CompactString,
    mode: CompactString,
    attributes: CompactString,
    access: Vec<CompactString>,
    /// The claim that it is for: UID (empty: any of the name), namespace and name.
    claimed: Option<(CompactString, CompactString, CompactString)>,
    is_available: bool,
    is_deleting: bool,
}

fn word(object: &Value, pointer: &str) -> CompactString {
    text(object, pointer).into()
}

fn mode_of(object: &Value) -> CompactString {
    match text(object, "/spec/volumeMode") {
        "" => "Filesystem".into(),
        mode => mode.into(),
    }
}

/// The class of a claim or a volume; the annotation is the older way to say it.
pub(in crate::scheduler) fn class_of(object: &Value) -> CompactString {
    match text(object, "/metadata/annotations/volume.beta.kubernetes.io~1storage-class") {
        "" => word(object, "/spec/storageClassName"),
        class => class.into(),
    }
}

fn words(object: &Value, pointer: &str) -> Vec<CompactString> {
    elements(object, pointer).iter().filter_map(Value::as_str).map(CompactString::from).collect()
}

impl Volume {
    pub(in crate::scheduler) fn of(volume: &Value) -> Self {
        let claim = &volume["spec"]["claimRef"];
        Volume {
            name: word(volume, "/metadata/name"),
            labels: labels_in(volume),
            affinity: Affinity::of(volume),
            capacity: thousandths(&volume["spec"]["capacity"]["storage"]).unwrap_or(0),
            class: class_of(volume),
            mode: mode_of(volume),
            attributes: word(volume, "/spec/volumeAttributesClassName"),
            access: words(volume, "/spec/accessModes"),
            claimed: claim
                .is_object()
                .then(|| (word(claim, "/uid"), word(claim, "/namespace"), word(claim, "/name"))),
            is_available: volume["status"]["phase"] == "Available",
            is_deleting: volume["metadata"]["deletionTimestamp"].is_string(),
        }
    }

    fn is_for(&self, claim: &Waiting) -> bool {
        self.claimed.as_ref().is_some_and(|(uid, namespace, name)| {
            *namespace == claim.namespace && *name == claim.name && (uid.is_empty() || *uid == claim.uid)
        })
    }

    fn suits(&self, claim: &Waiting) -> bool {
        self.capacity >= claim.storage
            && self.mode == claim.mode
            && self.attributes == claim.attributes
            && !self.is_deleting
    }
}

/// A claim that waits for a node.
#[derive(Clone, Debug)]
pub(in crate::scheduler) struct Waiting {
    pub(in crate::scheduler) namespace: CompactString,
    pub(in crate::scheduler) name: CompactString,
    uid: CompactString,
    storage: i128,
    class: CompactString,
    mode: CompactString,
    attributes: CompactString,
    access: Vec<CompactString>,
    /// `None`: every volume; a selector that cannot be read selects none.
    selector: Option<Option<Selector>>,
    /// The node that was chosen before; empty: none.
    selected: CompactString,
    /// Its class makes volumes.
    is_provisioned: bool,
    /// Where its class makes them: each of these needs a label to have one of its values.
    topologies: Vec<Vec<(CompactString, Vec<CompactString>)>>,
}

impl Waiting {
    pub(in crate::scheduler) fn of(claim: &Value, class: &Value) -> Self {
        let topologies = elements(class, "/allowedTopologies").iter().map(|term| {
            let labels = elements(term, "/matchLabelExpressions").iter();
            labels.map(|label| (word(label, "/key"), words(label, "/values"))).collect()
        });
        let selector = &claim["spec"]["selector"];
        Waiting {
            namespace: word(claim, "/metadata/namespace"),
            name: word(claim, "/metadata/name"),
            uid: word(claim, "/metadata/uid"),
            storage: thousandths(&claim["spec"]["resources"]["requests"]["storage"]).unwrap_or(0),
            class: class_of(claim),
            mode: mode_of(claim),
            attributes: word(claim, "/spec/volumeAttributesClassName"),
            access: words(claim, "/spec/accessModes"),
            selector: (!selector.is_null()).then(|| Selector::parse(selector)),
            selected: claim["metadata"]["annotations"][SELECTED].as_str().unwrap_or("").into(),
            is_provisioned: !matches!(text(class, "/provisioner"), "" | MAKES_NONE),
            topologies: topologies.collect(),
        }
    }

    /// How much it asks for.
    pub(in crate::scheduler) fn storage(&self) -> i128 {
        self.storage
    }

    fn can_be_made_for(&self, node: &NodeInfo) -> bool {
        let fits = |(key, values): &(CompactString, Vec<CompactString>)| {
            node.label(key).is_some_and(|value| values.iter().any(|known| known == value))
        };
        let allowed = self.topologies.is_empty() || self.topologies.iter().any(|term| term.iter().all(fits));
        self.is_provisioned && allowed
    }

    /// The smallest volume that suits and can be reached from the node; one that is meant for the claim goes before.
    /// `Err`: the one that is meant for it cannot be reached.
    fn find<'a>(
        &self,
        volumes: &'a [Volume],
        node: &NodeInfo,
        taken: &[CompactString],
    ) -> Result<Option<&'a Volume>, ()> {
        let mut best: Option<&Volume> = None;
        for volume in volumes.iter().filter(|volume| !taken.contains(&volume.name) && volume.suits(self)) {
            if volume.is_for(self) {
                return if volume.affinity.allows(node) { Ok(Some(volume)) } else { Err(()) };
            }
            let is_selected = match &self.selector {
                None => true,
                Some(selector) => selector.as_ref().is_some_and(|selector| selector.matches(&volume.labels)),
            };
            let is_free = volume.claimed.is_none() && volume.is_available && volume.class == self.class;
            let has_modes = self.access.iter().all(|mode| volume.access.contains(mode));
            if is_free
                && is_selected
                && has_modes
                && volume.affinity.allows(node)
                && best.is_none_or(|best| volume.capacity < best.capacity)
            {
                best = Some(volume);
            }
        }
        Ok(best)
    }
}

/// What the claims of a pod come to.
#[derive(Clone, Debug, Default)]
pub(in crate::scheduler) struct Volumes {
    /// Why the pod has to wait, wherever it is to go.
    pub(in crate::scheduler) refusal: Option<Reason>,
    /// Claims that one pod alone may use.
    pub(in crate::scheduler) exclusive: Vec<CompactString>,
    /// The volumes of claims that are bound; `None`: the volume is not there.
    pub(in crate::scheduler) bound: Vec<Option<Volume>>,
    /// Claims that wait for a node, the smallest first.
    pub(in crate::scheduler) waiting: Vec<Waiting>,
    /// The volumes that they may get.
    pub(in crate::scheduler) free: Vec<Volume>,
}

/// What is to be done for the claims of a pod once it has its node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::scheduler) struct Bindings {
    /// Claims, by name, and the volumes that they get.
    pub(in crate::scheduler) bind: Vec<(CompactString, CompactString)>,
    /// Claims, by name, whose volumes are made for the node.
    pub(in crate::scheduler) provision: Vec<CompactString>,
}

impl Volumes {
    /// How the waiting claims are served on a node; `None`: they are not.
    pub(in crate::scheduler) fn serve(&self, node: &NodeInfo) -> Option<Bindings> {
        let mut bindings = Bindings::default();
        let mut taken = Vec::new();
        for claim in &self.waiting {
            if !claim.selected.is_empty() && claim.selected != node.name {
                return None;
            }
            let found =
                if claim.selected.is_empty() { claim.find(&self.free, node, &taken) } else { Ok(None) };
            match found.ok().flatten() {
                Some(volume) => {
                    taken.push(volume.name.clone());
                    bindings.bind.push((claim.name.clone(), volume.name.clone()));
                }
                None if claim.can_be_made_for(node) => bindings.provision.push(claim.name.clone()),
                None => return None,
            }
        }
        Some(bindings)
    }
}

/// True when two pods may not have both volumes on one node: the same disk, and not both only read it.
fn is_same_disk(one: &Value, other: &Value) -> bool {
    let same = |kind: &str, fields: &[&str]| {
        let (a, b) = (&one[kind], &other[kind]);
        a.is_object() && b.is_object() && fields.iter().all(|field| a[*field] == b[*field])
    };
    let reads = |kind: &str| one[kind]["readOnly"] == true && other[kind]["readOnly"] == true;
    let shares_monitor = || {
        let monitors = elements(one, "/rbd/monitors");
        monitors.iter().any(|monitor| elements(other, "/rbd/monitors").contains(monitor))
    };
    same("awsElasticBlockStore", &["volumeID"])
        || (same("gcePersistentDisk", &["pdName"]) && !reads("gcePersistentDisk"))
        || (same("iscsi", &["iqn"]) && !reads("iscsi"))
        || (same("rbd", &["pool", "image"]) && shares_monitor() && !reads("rbd"))
}

pub(in crate::scheduler) fn check_disks(cycle: &Cycle<'_>, node: &NodeInfo) -> Option<Refusal> {
    let own = &cycle.pod.disks;
    if own.is_empty() {
        return None;
    }
    let mut others = node.pods.iter().flat_map(|pod| &pod.disks);
    let conflict = others.any(|other| own.iter().any(|disk| is_same_disk(disk, other)));
    if conflict { Refusal::curable("node(s) had no available disk") } else { None }
}

pub(in crate::scheduler) fn check_users(cycle: &Cycle<'_>, _: &NodeInfo) -> Option<Refusal> {
    if cycle.users <= 0 {
        return None;
    }
    Refusal::curable(
        "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",
    )
}

pub(in crate::scheduler) fn check_binding(cycle: &Cycle<'_>, node: &NodeInfo) -> Option<Refusal> {
    let volumes = cycle.volumes;
    let mut reasons: Vec<Reason> = Vec::new();
    // As in Kubernetes the first claim that is not served tells.
    let failed =
        volumes.bound.iter().find(|volume| !volume.as_ref().is_some_and(|v| v.affinity.allows(node)));
    if matches!(failed, Some(Some(_))) {
        reasons.push("node(s) didn't match PersistentVolume's node affinity".into());
    }
    if !volumes.waiting.is_empty() && volumes.serve(node).is_none() {
        reasons.push("node(s) didn't find available persistent volumes to bind".into());
    }
    if matches!(failed, Some(None)) {
        reasons.push("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)".into());
    }
    (!reasons.is_empty()).then_some(Refusal { reasons, curable: false })
}

/// Labels of volumes and nodes that say a zone or a region, and how they are called now.
const ZONES: [(&str, &str); 4] = [
    ("topology.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("topology.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
];

pub(in crate::scheduler) fn check_zone(cycle: &Cycle<'_>, node: &NodeInfo) -> Option<Refusal> {
    let volumes = &cycle.volumes.bound;
    if volumes.is_empty() || ZONES.iter().all(|(key, _)| node.label(key).is_none()) {
        return None;
    }
    let fits = |volume: &Volume| {
        ZONES.iter().all(|(key, now)| {
            let Some(zones) = label(&volume.labels, key) else { return true };
            let own = node.label(key).or_else(|| node.label(now));
            own.is_some_and(|own| zones.split("__").any(|zone| zone == own))
        })
    };
    if volumes.iter().flatten().all(fits) {
        None
    } else {
        Refusal::incurable("node(s) had no available volume zone")
    }
}

#[cfg(test)]
mod tests;
