//! What quotas count of each kind.

use super::devices::DeviceClasses;
use super::scopes::Selector;
use super::{claims, devices, pods, services};
use crate::amounts::Amounts;
use api_schema::quantity::{Format, Quantity};
use api_types::GroupResource;
use jiff::Timestamp;
use serde_json::Value;

/// What is counted of the objects of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluator {
    /// Pods.
    Pods,
    /// Services.
    Services,
    /// PersistentVolumeClaims.
    Claims,
    /// ResourceClaims.
    Devices,
    /// Objects: the names under which they are counted.
    Count(Vec<String>),
}

/// What else an object's use depends on.
#[derive(Clone, Debug)]
pub struct World {
    /// Now.
    pub now: Timestamp,
    /// The plane's classes of devices.
    pub classes: DeviceClasses,
}

/// Kinds of the core group that quotas count under their own name too.
const BY_NAME: &[&str] = &["configmaps", "replicationcontrollers", "resourcequotas", "secrets"];

/// What no quota counts: what is not stored, and events.
const IGNORED: &[(&str, &str)] = &[
    ("", "bindings"),
    ("", "componentstatuses"),
    ("", "events"),
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("events.k8s.io", "events"),
];

const COUNT: &str = "count/";

/// One of something.
pub(super) const ONE: Quantity = Quantity::from_whole(1, Format::DecimalSi);

/// The name under which the objects of a resource are counted: `count/deployments.apps`.
pub(super) fn counted_as(resource: &GroupResource) -> String {
    match resource.group.as_str() {
        "" => format!("{COUNT}{}", resource.resource),
        group => format!("{COUNT}{}.{group}", resource.resource),
    }
}

/// What is counted of a resource; `None`: nothing ever.
pub fn evaluator_of(resource: &GroupResource) -> Option<Evaluator> {
    let (group, plural) = (resource.group.as_str(), resource.resource.as_str());
    if IGNORED.contains(&(group, plural)) {
        return None;
    }
    Some(match (group, plural) {
        ("", "pods") => Evaluator::Pods,
        ("", "services") => Evaluator::Services,
        ("", "persistentvolumeclaims") => Evaluator::Claims,
        ("resource.k8s.io", "resourceclaims") => Evaluator::Devices,
        ("", plural) if BY_NAME.contains(&plural) => {
            Evaluator::Count(vec![counted_as(resource), plural.to_owned()])
        }
        _ => Evaluator::Count(vec![counted_as(resource)]),
    })
}

/// Resources of which quotas count more than objects.
const MEASURED: &[(&str, &str)] =
    &[("", "pods"), ("", "services"), ("", "persistentvolumeclaims"), ("resource.k8s.io", "resourceclaims")];

/// The resources of which a quota with these names counts objects.
pub fn resources_of(hard: &Amounts, world: &World) -> Vec<GroupResource> {
    let by_name = BY_NAME.iter().map(|plural| ("", *plural));
    let own = MEASURED.iter().copied().chain(by_name);
    let mut found: Vec<GroupResource> =
        own.map(|(group, plural)| GroupResource::new(group, plural)).collect();
    for name in hard.keys().filter_map(|name| name.strip_prefix(COUNT)) {
        let (plural, group) = name.split_once('.').unwrap_or((name, ""));
        let resource = GroupResource::new(group, plural);
        if !found.contains(&resource) {
            found.push(resource);
        }
    }
    let counts = |of: Evaluator| hard.keys().any(|name| of.counts(name, world));
    found.retain(|resource| evaluator_of(resource).is_some_and(counts));
    found
}

impl Evaluator {
    /// True when a quota that limits this name counts objects of this evaluator.
    pub fn counts(&self, name: &str, world: &World) -> bool {
        match self {
            Evaluator::Pods => pods::counts(name),
            Evaluator::Services => services::counts(name),
            Evaluator::Claims => claims::counts(name),
            Evaluator::Devices => devices::counts(name, &world.classes),
            Evaluator::Count(names) => names.iter().any(|known| known == name),
        }
    }

    /// True when what counts can change by such a write.
    pub fn handles(&self, subresource: &str, new: &Value, old: Option<&Value>) -> bool {
        match (self, subresource, old) {
            (Evaluator::Pods, "", Some(old)) => pods::is_terminating(new) != pods::is_terminating(old),
            (Evaluator::Pods, "resize", Some(_)) => true,
            (Evaluator::Claims, "status", Some(_)) => true,
            (Evaluator::Services | Evaluator::Claims | Evaluator::Devices, "", Some(_)) => true,
            (_, "", None) => true,
            _ => false,
        }
    }

    /// What an object uses, under each name by which it can be limited.
    pub fn usage(&self, object: &Value, world: &World) -> Amounts {
        match self {
            Evaluator::Pods => pods::usage(object, world.now),
            Evaluator::Services => services::usage(object),
            Evaluator::Claims => claims::usage(object),
            Evaluator::Devices => devices::usage(object, &world.classes),
            Evaluator::Count(names) => names.iter().map(|name| (name.clone(), ONE)).collect(),
        }
    }

    /// True when use does not depend on the object: it need not be decoded to be counted.
    pub fn counts_all_alike(&self) -> bool {
        matches!(self, Evaluator::Count(_))
    }

    /// What an object has to say to be counted; the error is what it does not say.
    pub(super) fn constraints(&self, limited: &Amounts, object: &Value) -> Result<(), String> {
        match self {
            Evaluator::Pods => pods::constraints(limited, object),
            _ => Ok(()),
        }
    }

    pub(super) fn is_in_scope(&self, selector: &Selector, object: &Value) -> bool {
        match self {
            Evaluator::Pods => pods::is_in_scope(selector, object),
            Evaluator::Claims => claims::is_in_scope(selector, object),
            _ => false,
        }
    }
}
