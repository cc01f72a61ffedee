//! What quotas count of ResourceClaims: devices by their class, at the worst.

use super::evaluator::ONE;
use crate::amounts::Amounts;
use crate::kinds::resources::is_native;
use api_schema::quantity::{Format, Quantity};
use serde_json::Value;
use std::collections::BTreeMap;

const COUNT: &str = "count/resourceclaims.resource.k8s.io";
/// Behind the name of a class of devices.
const OF_CLASS: &str = ".deviceclass.resource.k8s.io/devices";
/// Before the name of a class whose devices pods request as a resource.
pub(super) const IMPLICIT: &str = "requests.deviceclass.resource.kubernetes.io/";
/// The most devices that a request for all of them is given.
const ALL: i64 = 32;

/// Classes of devices that pods can request as an extended resource.
#[derive(Clone, Debug, Default)]
pub struct DeviceClasses {
    /// The resource by the name of the class.
    resources: BTreeMap<String, String>,
}

impl DeviceClasses {
    /// Reads DeviceClasses.
    pub fn read<'a>(classes: impl IntoIterator<Item = &'a Value>) -> Self {
        let named = |class: &Value| {
            let resource = class["spec"]["extendedResourceName"].as_str().filter(|name| !name.is_empty())?;
            Some((class["metadata"]["name"].as_str()?.to_owned(), resource.to_owned()))
        };
        DeviceClasses { resources: classes.into_iter().filter_map(named).collect() }
    }
}

pub(super) fn counts(name: &str, classes: &DeviceClasses) -> bool {
    if name == COUNT || name.ends_with(OF_CLASS) {
        return true;
    }
    if name.strip_prefix(IMPLICIT).is_some_and(|class| classes.resources.contains_key(class)) {
        return true;
    }
    let resource = name.strip_prefix("requests.").filter(|_| !is_native(name));
    resource.is_some_and(|resource| classes.resources.values().any(|known| known == resource))
}

/// How many devices a request asks for at most.
fn devices(request: &Value) -> i64 {
    match request["allocationMode"].as_str() {
        Some("ExactCount") => request["count"].as_i64().unwrap_or(0),
        Some("All") => ALL,
        _ => 0,
    }
}

/// Of alternatives, each class counts with the one that needs most of it. What a pod's claim for an extended resource
/// holds counts as the pod's request too: nothing here allocates such claims.
pub(super) fn usage(claim: &Value, classes: &DeviceClasses) -> Amounts {
    let mut total: BTreeMap<&str, i64> = BTreeMap::new();
    for request in claim["spec"]["devices"]["requests"].as_array().into_iter().flatten() {
        let alternatives = request["firstAvailable"].as_array().filter(|list| !list.is_empty());
        let exact = Some(&request["exactly"]).filter(|exact| exact.is_object());
        let mut most: BTreeMap<&str, i64> = BTreeMap::new();
        for one in
            alternatives.map_or_else(|| exact.into_iter().collect(), |list| list.iter().collect::<Vec<_>>())
        {
            let class = one["deviceClassName"].as_str().unwrap_or("");
            let known = most.entry(class).or_default();
            *known = devices(one).max(*known);
        }
        for (class, devices) in most {
            let sum = total.entry(class).or_default();
            *sum = sum.saturating_add(devices);
        }
    }
    let mut used = Amounts::from([(COUNT.to_owned(), ONE)]);
    for (class, devices) in total {
        let amount = Quantity::from_whole(devices, Format::DecimalSi);
        used.insert(format!("{class}{OF_CLASS}"), amount);
        if devices > 0 && !class.is_empty() {
            used.insert(format!("{IMPLICIT}{class}"), amount);
            if let Some(resource) = classes.resources.get(class) {
                used.insert(format!("requests.{resource}"), amount);
            }
        }
    }
    used
}
