//! Pod Security Standards, as the labels of a namespace ask for them: pods that violate what is enforced are refused, and
//! whoever writes pods or templates of pods is warned.
//!
//! Nobody is exempt: pods of a platform's own controller are looked at as those of a user. What is enforced, and what
//! violates what is to be audited, is noted for the audit event of the request.

use crate::cache::record::Record;
use crate::gateway::Place;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::pod_security::{
    Level, LevelVersion, PREFIX, evaluate, is_labelled, is_significant, place_of_pod, policy_of, told,
    told_briefly,
};
use api_types::{ApiError, GroupResource, Meta, ObjectName};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// How many pods of a namespace are looked at when it enforces more than before.
const MAX_PODS: usize = 3_000;

/// Subresources of pods by which no container comes.
const WITHOUT_CONTAINERS: &[&str] = &["binding", "eviction", "status"];

/// Looks at a valid write; gives what the user is warned of.
pub async fn check(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Result<Vec<String>, ApiError> {
    let (group, plural) = (place.row.group.as_str(), place.row.plural.as_str());
    if (group, plural) == ("", "namespaces") && place.subresource.is_empty() {
        return namespace(server, auth, place, new, old).await;
    }
    let Some(at) = place_of_pod(group, plural) else { return Ok(Vec::new()) };
    let is_pod = at.is_empty();
    let passes = match is_pod {
        true => WITHOUT_CONTAINERS.contains(&place.subresource.as_str()),
        false => !place.subresource.is_empty(),
    };
    if passes {
        return Ok(Vec::new());
    }
    let namespaces = GroupResource::new("", "namespaces");
    let of = server.cache.get(auth.plane().id, &namespaces, &ObjectName::cluster(&place.namespace));
    let Some(labels) = of.filter(|of| is_labelled(of.meta.labels.iter().map(|(key, _)| key.as_str()))) else {
        return Ok(Vec::new());
    };
    let (policy, _) = policy_of(|key| labels.meta.label(key));
    let Some(pod) = new.pointer(at) else { return Ok(Vec::new()) };
    if is_pod {
        if old.is_some_and(|old| !is_significant(new, old)) {
            return Ok(Vec::new());
        }
        auth.note(format!("{PREFIX}enforce-policy"), policy.enforce.to_string());
        let found = evaluate(policy.enforce, pod);
        if !found.is_empty() {
            let why = format!("violates PodSecurity \"{}\": {}", policy.enforce, told(&found));
            return Err(ApiError::forbidden(&place.resource(), &place.name, &why));
        }
    }
    let violations = |asked: LevelVersion| {
        if is_pod && asked == policy.enforce {
            return None;
        }
        let found = evaluate(asked, pod);
        let told = || format!("would violate PodSecurity \"{asked}\": {}", told(&found));
        (!found.is_empty()).then(told)
    };
    if let Some(told) = violations(policy.audit) {
        auth.note(format!("{PREFIX}audit-violations"), told);
    }
    Ok(violations(policy.warn).into_iter().collect())
}

/// The labels of a namespace have to be readable once they change, and who asks for more is told which pods do not give
/// it.
async fn namespace(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Result<Vec<String>, ApiError> {
    let labels = Meta::of(new);
    let (policy, causes) = policy_of(|key| labels.label(key));
    let before = old.map(|old| {
        let labels = Meta::of(old);
        policy_of(|key| labels.label(key))
    });
    let Some((policy_before, causes_before)) = before else {
        return if causes.is_empty() { Ok(Vec::new()) } else { Err(place.invalid(&place.name, causes)) };
    };
    if !causes.is_empty() && causes != causes_before {
        return Err(place.invalid(&place.name, causes));
    }
    let (asked, before) = (policy.enforce, policy_before.enforce);
    let is_laxer = asked.version == before.version && asked.level <= before.level;
    if asked == before || asked.level == Level::Privileged || is_laxer {
        return Ok(Vec::new());
    }
    let pods = server.cache.collection(auth.plane().id, &GroupResource::new("", "pods")).list(&place.name);
    let name = place.name.to_string();
    server.heavy.compute(pods.len() > 16, move || violations(&name, asked, pods)).await
}

/// The pods of a namespace that violate a level, those first that are not alike.
fn violations(namespace: &str, asked: LevelVersion, pods: Vec<Arc<Record>>) -> Vec<String> {
    let total = pods.len();
    let mut known = HashSet::new();
    let (first, alike): (Vec<_>, Vec<_>) = pods
        .into_iter()
        .partition(|pod| pod.meta.controller().is_none_or(|owner| known.insert(owner.uid.clone())));
    let mut found: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for pod in first.iter().chain(&alike).take(MAX_PODS) {
        let what = match pod.value() {
            Ok(value) => told_briefly(&evaluate(asked, &value)),
            Err(error) => format!("cannot be checked: {error}"),
        };
        if what.is_empty() {
            continue;
        }
        let name = pod.name.name.to_string();
        let (least, count) = found.entry(what).or_insert_with(|| (name.clone(), 0));
        *least = name.min(std::mem::take(least));
        *count += 1;
    }
    let mut warnings = Vec::new();
    if total > MAX_PODS {
        let what = "new PodSecurity enforce level only checked against the first";
        warnings.push(format!("{what} {MAX_PODS} of {total} existing pods"));
    }
    if !found.is_empty() {
        let what = "violate the new PodSecurity enforce level";
        warnings.push(format!("existing pods in namespace {namespace:?} {what} \"{asked}\""));
    }
    let mut each: Vec<String> = found
        .into_iter()
        .map(|(what, (name, count))| {
            let others = match count {
                1 => String::new(),
                2 => " (and 1 other pod)".to_owned(),
                more => format!(" (and {} other pods)", more - 1),
            };
            format!("{name}{others}: {what}")
        })
        .collect();
    each.sort();
    warnings.extend(each);
    warnings
}
