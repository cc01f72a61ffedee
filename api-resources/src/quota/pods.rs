//! What quotas count of pods: what they request and may use, until they end.

use super::devices::IMPLICIT;
use super::evaluator::ONE;
use super::scopes::Selector;
use crate::amounts::{self, Amounts, is_sidecar};
use crate::kinds::pods::qos_class;
use crate::kinds::resources::{is_extended, is_huge_page, is_native};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const COUNT: &str = "count/pods";
const PODS: &str = "pods";
/// What each pod can be limited in under its own name, and as requests and limits.
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// What each container has to say when a quota limits it.
const REQUIRED: [&str; 6] =
    ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// True when a quota counts pods that limits this.
pub(super) fn counts(name: &str) -> bool {
    let requested = name.strip_prefix("requests.");
    let bounded = name.strip_prefix("limits.");
    let compute = |name: &str| COMPUTE.contains(&name);
    [COUNT, PODS].contains(&name)
        || compute(name)
        || is_huge_page(name)
        || bounded.is_some_and(compute)
        || requested.is_some_and(|rest| compute(rest) || is_huge_page(rest) || !is_native(name))
        || name.starts_with(IMPLICIT)
}

/// True for a pod that says how long it may run.
pub(super) fn is_terminating(pod: &Value) -> bool {
    pod["spec"]["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0)
}

/// When a pod that is being deleted counts no more, whether it has ended or not.
pub fn ends_at(pod: &Value) -> Option<Timestamp> {
    let at: Timestamp = pod["metadata"]["deletionTimestamp"].as_str()?.parse().ok()?;
    let grace = SignedDuration::from_secs(pod["metadata"]["deletionGracePeriodSeconds"].as_i64()?);
    at.checked_add(grace).ok()
}

fn has_ended(pod: &Value, now: Timestamp) -> bool {
    let is_over = matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    is_over || ends_at(pod).is_some_and(|end| now > end)
}

pub(super) fn usage(pod: &Value, now: Timestamp) -> Amounts {
    let mut used = Amounts::from([(COUNT.to_owned(), ONE)]);
    if !has_ended(pod, now) {
        used.extend(compute(&total(pod, "requests"), &total(pod, "limits")));
    }
    used
}

/// Requests and limits under the names that quotas have for them.
fn compute(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut used = Amounts::from([(PODS.to_owned(), ONE)]);
    for (name, amount) in requests {
        let plain = COMPUTE.contains(&name.as_str()) || is_huge_page(name);
        if plain {
            used.insert(name.clone(), *amount);
        }
        if plain || is_extended(name) || format!("requests.{name}").starts_with(IMPLICIT) {
            used.insert(format!("requests.{name}"), *amount);
        }
    }
    for (name, amount) in limits.iter().filter(|(name, _)| COMPUTE.contains(&name.as_str())) {
        used.insert(format!("limits.{name}"), *amount);
    }
    used
}

/// What a pod may say as a whole.
fn is_of_pod(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge_page(name)
}

fn says_as_a_whole(pod: &Value, lists: &[&str]) -> bool {
    let named = |list: &&str| pod["spec"]["resources"][*list].as_object().into_iter().flatten();
    lists.iter().flat_map(named).any(|(name, _)| is_of_pod(name))
}

/// What a pod needs of a list, `requests` or `limits`: as it is desired, or, while it is being resized, as much as it
/// has or is promised (KEP-1287).
fn total(pod: &Value, list: &str) -> Amounts {
    let spec = &pod["spec"];
    let infeasible = is_infeasible(pod);
    let statuses = statuses(pod);
    let of = |container: &Value, follows: bool| {
        let desired = amounts::read(&container["resources"][list]);
        let status = statuses.get(container["name"].as_str().unwrap_or("")).filter(|_| follows);
        let Some(status) = status.filter(|status| status["resources"].is_object()) else { return desired };
        let allocated =
            if list == "requests" { amounts::read(&status["allocatedResources"]) } else { Amounts::new() };
        effective(desired, amounts::read(&status["resources"][list]), allocated, infeasible)
    };
    let is_init = |container: &Value| {
        let name = &container["name"];
        spec["initContainers"].as_array().into_iter().flatten().any(|init| init["name"] == *name)
    };
    let mut total =
        amounts::of_containers(spec, |container| of(container, is_sidecar(container) || !is_init(container)));
    let lists: &[&str] = if list == "requests" { &["requests"] } else { &["requests", "limits"] };
    if says_as_a_whole(pod, lists) {
        let own = amounts::read(&spec["resources"][list]);
        total.extend(own.into_iter().filter(|(name, _)| is_of_pod(name)));
    }
    let overhead = amounts::read(&spec["overhead"]);
    if list == "requests" {
        amounts::add(&mut total, &overhead);
    } else {
        for (name, more) in overhead {
            total.entry(name).and_modify(|amount| {
                if !amount.is_zero() {
                    *amount += more
                }
            });
        }
    }
    total
}

/// The most of what is desired, what there is and what is promised. What is desired and cannot be does not count.
fn effective(desired: Amounts, actual: Amounts, promised: Amounts, infeasible: bool) -> Amounts {
    let mut most = if infeasible { Amounts::new() } else { desired };
    amounts::at_least(&mut most, actual);
    amounts::at_least(&mut most, promised);
    most
}

fn statuses(pod: &Value) -> BTreeMap<&str, &Value> {
    let lists = ["containerStatuses", "initContainerStatuses"];
    let all = lists.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    all.map(|status| (status["name"].as_str().unwrap_or(""), status)).collect()
}

fn is_infeasible(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let pending = conditions.find(|condition| condition["type"] == "PodResizePending");
    pending.is_some_and(|pending| pending["reason"] == "Infeasible")
}

/// Every container has to say what a quota limits of cpu and memory, unless the pod says it as a whole.
pub(super) fn constraints(limited: &Amounts, pod: &Value) -> Result<(), String> {
    if says_as_a_whole(pod, &["requests", "limits"]) {
        return Ok(());
    }
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let lists = ["containers", "initContainers"];
    for container in lists.iter().flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten()) {
        let list = |list: &str| amounts::read(&container["resources"][list]);
        let said = compute(&list("requests"), &list("limits"));
        for name in REQUIRED.iter().filter(|name| limited.contains_key(**name) && !said.contains_key(**name))
        {
            missing.entry(name).or_default().insert(container["name"].as_str().unwrap_or(""));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let told = missing.into_iter().map(|(name, containers)| {
        format!("{name} for: {}", containers.into_iter().collect::<Vec<_>>().join(","))
    });
    Err(format!("must specify {}", told.collect::<Vec<_>>().join("; ")))
}

pub(super) fn is_in_scope(selector: &Selector, pod: &Value) -> bool {
    let best_effort = || {
        let told = pod["status"]["qosClass"].as_str().filter(|class| !class.is_empty());
        told.unwrap_or_else(|| qos_class(&pod["spec"])) == "BestEffort"
    };
    match selector.scope.as_str() {
        "Terminating" => is_terminating(pod),
        "NotTerminating" => !is_terminating(pod),
        "BestEffort" => best_effort(),
        "NotBestEffort" => !best_effort(),
        "PriorityClass" => {
            let class = pod["spec"]["priorityClassName"].as_str().filter(|class| !class.is_empty());
            selector.selects(class.as_slice())
        }
        "CrossNamespacePodAffinity" => looks_into_other_namespaces(pod),
        _ => false,
    }
}

fn looks_into_other_namespaces(pod: &Value) -> bool {
    let crosses = |term: &Value| {
        term["namespaces"].as_array().is_some_and(|names| !names.is_empty())
            || term["namespaceSelector"].is_object()
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let affinity = &pod["spec"]["affinity"][*kind];
        let terms = |list: &str| affinity[list].as_array().cloned().unwrap_or_default();
        terms("requiredDuringSchedulingIgnoredDuringExecution").iter().any(crosses)
            || terms("preferredDuringSchedulingIgnoredDuringExecution")
                .iter()
                .any(|term| crosses(&term["podAffinityTerm"]))
    })
}
