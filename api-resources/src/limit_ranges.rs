//! What limit ranges give to new pods, and what they refuse of pods and claims.

use crate::amounts::{self, Amounts};
use api_schema::quantity::Quantity;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The annotation that tells what a pod was given.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";
/// The most that can be compared in thousandths.
const MOST_IN_MILLI: i64 = i64::MAX / 1000;
/// What a pod can say as a whole.
const OF_PODS: [&str; 2] = ["cpu", "memory"];

/// A kind that limit ranges are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Pods.
    Pods,
    /// PersistentVolumeClaims.
    Claims,
}

/// The limits of one type.
fn limits<'a>(range: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = range["spec"]["limits"].as_array().into_iter().flatten();
    all.filter(move |limit| limit["type"] == kind)
}

/// Gives the containers of a pod what they do not say and the range has a default for; what was given, as the pod's
/// annotation tells it.
pub fn fill(range: &Value, pod: &mut Value) -> Option<String> {
    let (mut requests, mut of_limits) = (Map::new(), Map::new());
    for limit in limits(range, "Container") {
        for (from, to) in [("defaultRequest", &mut requests), ("default", &mut of_limits)] {
            to.extend(limit[from].as_object().cloned().unwrap_or_default());
        }
    }
    let mut given = Vec::new();
    for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter(|container| container.is_object()) {
            for (field, called, defaults) in
                [("requests", "request", &requests), ("limits", "limit", &of_limits)]
            {
                let set = complete(container, field, defaults);
                if !set.is_empty() {
                    let name = container["name"].as_str().unwrap_or("");
                    given.push(format!("{} {called} for {what} {name}", set.join(", ")));
                }
            }
        }
    }
    (!given.is_empty()).then(|| format!("LimitRanger plugin set: {}", given.join("; ")))
}

/// Says on a pod what it was given.
pub fn annotate(pod: &mut Value, given: String) {
    let annotations = &mut pod["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[ANNOTATION] = given.into();
}

/// Sets what one list of a container lacks; tells what, in order.
fn complete(container: &mut Value, field: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let known = |name: &String| container["resources"][field].get(name).is_some();
    let lacking: BTreeSet<String> = defaults.keys().filter(|name| !known(name)).cloned().collect();
    for name in &lacking {
        container["resources"][field][name] = defaults[name].clone();
    }
    lacking.into_iter().collect()
}

/// What a range says against an object, as Kubernetes tells it; `None`: nothing.
pub fn refusal(range: &Value, kind: Limited, object: &Value) -> Option<String> {
    let mut found = Vec::new();
    match kind {
        Limited::Claims => {
            let requests = amounts::read(&object["spec"]["resources"]["requests"]);
            for limit in limits(range, "PersistentVolumeClaim") {
                let unit = Unit {
                    kind: "PersistentVolumeClaim",
                    requests: requests.clone(),
                    limits: Amounts::new(),
                };
                found.extend(each(limit, "min", |name, least| unit.below(name, least)));
                found.extend(each(limit, "max", |name, most| unit.requests_above(name, most)));
            }
        }
        Limited::Pods => {
            for limit in range["spec"]["limits"].as_array().into_iter().flatten() {
                units(limit["type"].as_str().unwrap_or(""), object)
                    .iter()
                    .for_each(|unit| unit.judge(limit, &mut found));
            }
        }
    }
    aggregate(found)
}

/// The parts of a pod that a type of limits is about.
fn units(kind: &str, pod: &Value) -> Vec<Unit> {
    let spec = &pod["spec"];
    match kind {
        "Container" => {
            let lists = ["containers", "initContainers"];
            let all = lists.iter().flat_map(|list| spec[list].as_array().into_iter().flatten());
            let unit = |container: &Value| Unit {
                kind: "Container",
                requests: amounts::read(&container["resources"]["requests"]),
                limits: amounts::read(&container["resources"]["limits"]),
            };
            all.map(unit).collect()
        }
        "Pod" => {
            vec![Unit { kind: "Pod", requests: of_pod(spec, "requests"), limits: of_pod(spec, "limits") }]
        }
        _ => Vec::new(),
    }
}

/// What a pod says of itself as a whole, else what its containers need together.
fn of_pod(spec: &Value, list: &str) -> Amounts {
    let mut total = amounts::of_containers(spec, |container| amounts::read(&container["resources"][list]));
    let own = amounts::read(&spec["resources"][list]);
    total.extend(own.into_iter().filter(|(name, _)| OF_PODS.contains(&name.as_str())));
    total
}

/// Asks for each amount of a list of a limit.
fn each(limit: &Value, list: &str, wrong: impl Fn(&str, Quantity) -> Option<String>) -> Vec<String> {
    amounts::read(&limit[list]).into_iter().filter_map(|(name, amount)| wrong(&name, amount)).collect()
}

/// One message, or several in brackets; what is told twice is told once.
fn aggregate(found: Vec<String>) -> Option<String> {
    let mut unique: Vec<String> = Vec::new();
    for message in found {
        if !unique.contains(&message) {
            unique.push(message);
        }
    }
    match unique.len() {
        0 => None,
        1 => unique.pop(),
        _ => Some(format!("[{}]", unique.join(", "))),
    }
}

/// What is measured.
struct Unit {
    kind: &'static str,
    requests: Amounts,
    limits: Amounts,
}

/// Two amounts and a bound at a precision that they have in common.
fn comparable(request: Quantity, limit: Quantity, bound: Quantity) -> (i64, i64, i64) {
    let all = [request, limit, bound];
    let [request, limit, bound] = match all.iter().all(|amount| amount.value() <= MOST_IN_MILLI) {
        true => all.map(Quantity::milli_value),
        false => all.map(Quantity::value),
    };
    (request, limit, bound)
}

impl Unit {
    fn judge(&self, limit: &Value, found: &mut Vec<String>) {
        found.extend(each(limit, "min", |name, least| self.below(name, least)));
        found.extend(each(limit, "max", |name, most| self.above(name, most)));
        found.extend(each(limit, "maxLimitRequestRatio", |name, most| self.stretched(name, most)));
    }

    /// Request and limit of a resource, those that there are, and comparable ones with the bound.
    fn of(&self, name: &str, bound: Quantity) -> (Option<Quantity>, Option<Quantity>, (i64, i64, i64)) {
        let (request, limit) = (self.requests.get(name).copied(), self.limits.get(name).copied());
        (request, limit, comparable(request.unwrap_or_default(), limit.unwrap_or_default(), bound))
    }

    fn below(&self, name: &str, least: Quantity) -> Option<String> {
        let (request, limit, (requested, limited, bound)) = self.of(name, least);
        let told = format!("minimum {name} usage per {} is {least}", self.kind);
        match (request, limit) {
            (None, _) => Some(format!("{told}.  No request is specified")),
            (Some(request), _) if requested < bound => Some(format!("{told}, but request is {request}")),
            (_, Some(limit)) if limited < bound => Some(format!("{told}, but limit is {limit}")),
            _ => None,
        }
    }

    fn above(&self, name: &str, most: Quantity) -> Option<String> {
        let (request, limit, (requested, limited, bound)) = self.of(name, most);
        let told = format!("maximum {name} usage per {} is {most}", self.kind);
        match (request, limit) {
            (_, None) => Some(format!("{told}.  No limit is specified")),
            (_, Some(limit)) if limited > bound => Some(format!("{told}, but limit is {limit}")),
            (Some(request), _) if requested > bound => Some(format!("{told}, but request is {request}")),
            _ => None,
        }
    }

    /// Of claims only what they request counts.
    fn requests_above(&self, name: &str, most: Quantity) -> Option<String> {
        let (request, _, (requested, _, bound)) = self.of(name, most);
        let told = format!("maximum {name} usage per {} is {most}", self.kind);
        match request {
            None => Some(format!("{told}.  No request is specified")),
            Some(request) if requested > bound => Some(format!("{told}, but request is {request}")),
            Some(_) => None,
        }
    }

    fn stretched(&self, name: &str, most: Quantity) -> Option<String> {
        let (_, _, (requested, limited, _)) = self.of(name, most);
        let told = format!("{name} max limit to request ratio per {} is {most}", self.kind);
        if requested == 0 {
            return Some(format!("{told}, but no request is specified or request is 0"));
        }
        if limited == 0 {
            return Some(format!("{told}, but no limit is specified or limit is 0"));
        }
        let ratio = limited as f64 / requested as f64;
        let is_more = match most.value() <= MOST_IN_MILLI {
            true => ratio * 1000.0 > most.milli_value() as f64,
            false => ratio > most.value() as f64,
        };
        is_more.then(|| format!("{told}, but provided ratio is {ratio:.6}"))
    }
}

#[cfg(test)]
mod tests;
