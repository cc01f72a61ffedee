//! Evicting a pod: deleting it when its disruption budget lets it go (KEP-85, KEP-3017).
//!
//! A budget is used up here; what it allows anew, the disruption controller says. A budget that it has not observed yet
//! refuses with 429.

use super::{Incoming, actions, bindings, delete, write};
use crate::gateway::delete::DeleteOptions;
use crate::gateway::update::Wanted;
use crate::gateway::{self, Place, WriteOptions, metadata};
use crate::reply::Reply;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, Cause, GroupResource, Reason};
use compact_str::CompactString;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

/// How often a pod is looked at again that changes meanwhile.
const TRIES: usize = 5;
/// How many evictions a budget remembers that nobody has confirmed.
const MAX_DISRUPTED: usize = 2000;
const TOO_MANY: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
/// What the pod and its budget are written through: neither is the client's own write.
const EVICTION: &str = "eviction";

/// POST.
pub async fn evict(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let decoded = actions::decode(auth, place, body, ("policy", "v1", "Eviction"))?;
    let (mut eviction, warnings) = (decoded.value, decoded.warnings);
    let dry_run = write::options(auth.call())?.dry_run;
    metadata::set_namespace(&mut eviction, place)?;
    let said = eviction["deleteOptions"]["dryRun"].as_array().is_some_and(|list| !list.is_empty());
    actions::show_guards(server, auth, place, dry_run || said, &mut eviction).await?;
    actions::same_name(place, &eviction, "Eviction")?;
    let options = options(auth, place, &eviction)?;
    for _ in 0..TRIES {
        match step(server, auth, place, &options).await {
            Err(error) if error.is_conflict() && options.resource_version.is_none() => {}
            Err(error) => return Err(error),
            Ok(reply) => return Ok(reply.warnings(warnings)),
        }
    }
    Err(ApiError::stale(&place.resource(), &place.name))
}

/// How the pod is to be deleted. The dry run of the request and that of the body have to be the same.
fn options(auth: &Authorized, place: &Place, eviction: &Value) -> Result<DeleteOptions, ApiError> {
    let mut given = eviction["deleteOptions"].clone();
    if given["ignoreStoreReadErrorWithClusterBreakingPotential"] == true {
        let field = "deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential";
        let why = "can not be set for pod eviction, try after removing the option";
        let cause = Cause::invalid(field, &Value::Bool(true), why);
        return Err(ApiError::invalid("policy", "Eviction", &place.name, vec![cause]));
    }
    let asked: Vec<&str> = auth.call().query.all("dryRun").collect();
    let said: Vec<&str> =
        given["dryRun"].as_array().into_iter().flatten().map(|v| v.as_str().unwrap_or("")).collect();
    if !asked.is_empty() && !said.is_empty() && asked != said {
        let (asked, said) = (asked.join(" "), said.join(" "));
        let why = format!("Non-matching dry-run options in request and content: [{asked}] and [{said}]");
        return Err(ApiError::new(Reason::Unknown, why));
    }
    if said.is_empty() && !asked.is_empty() {
        given["dryRun"] = asked.into();
    }
    Ok(DeleteOptions { admitted: true, ..delete::from_value(&given)? })
}

/// Looks at the pod as it is now, and evicts it.
async fn step(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    options: &DeleteOptions,
) -> Result<Reply, ApiError> {
    let found = server.cache.get(auth.plane().id, &place.resource(), &place.object());
    let found = found.ok_or_else(|| ApiError::not_found(&place.resource(), &place.name))?;
    let pod = super::get::value(&found)?;
    let guard = match guard(server, auth, place, &pod, &found.meta.labels)? {
        Guard::None => Guard::None,
        Guard::Many => return Ok(many()),
        Guard::One(budget) if may_pass(&pod, &budget) => Guard::None,
        guard @ Guard::One(_) => guard,
    };
    let phase = pod["status"]["phase"].as_str().unwrap_or("");
    let over = matches!(phase, "Succeeded" | "Failed") || pod["metadata"]["deletionTimestamp"].is_string();
    let mut options = options.clone();
    if let Guard::One(budget) = &guard {
        use_up(server, auth, place, metadata::text(budget, "name"), options.dry_run).await?;
    } else if !over && options.resource_version.is_none() {
        // What makes it pass must still be so when it is deleted.
        options.resource_version = Some(metadata::text(&pod, "resourceVersion").to_owned());
    }
    remove(server, auth, place, options).await?;
    Ok(actions::done())
}

/// What guards a pod from being evicted.
enum Guard {
    None,
    One(Value),
    Many,
}

/// The budgets that select a pod which would be missed.
fn guard(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    pod: &Value,
    labels: &[(CompactString, CompactString)],
) -> Result<Guard, ApiError> {
    let phase = pod["status"]["phase"].as_str().unwrap_or("");
    if matches!(phase, "Succeeded" | "Failed" | "Pending") || pod["metadata"]["deletionTimestamp"].is_string()
    {
        return Ok(Guard::None);
    }
    let budgets = GroupResource::new("policy", "poddisruptionbudgets");
    let mut guard = Guard::None;
    for budget in server.cache.collection(auth.plane().id, &budgets).list(&place.namespace) {
        let value = super::get::value(&budget)?;
        let selector = api_resources::selectors::LabelSelector::from_json(&value["spec"]["selector"]);
        if selector.is_ok_and(|selector| selector.matches(labels)) {
            guard = match guard {
                Guard::None => Guard::One(value),
                _ => return Ok(Guard::Many),
            };
        }
    }
    Ok(guard)
}

/// A pod that is not ready may be let go without using the budget up.
fn may_pass(pod: &Value, budget: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    if conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True") {
        return false;
    }
    let healthy = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (healthy("desiredHealthy") > 0 && healthy("currentHealthy") >= healthy("desiredHealthy"))
}

/// Kubernetes tells this without a reason.
fn many() -> Reply {
    Reply::status(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 500,
        "message": "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."}))
    .code(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Takes one disruption from a budget; refused when there is none.
async fn use_up(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    name: &str,
    dry_run: bool,
) -> Result<(), ApiError> {
    let row = auth.plane().catalog.load_full().lookup("policy", "v1", "poddisruptionbudgets");
    let row = row.ok_or_else(ApiError::no_such_path)?;
    let budget = Place {
        version: row.version("v1").cloned().ok_or_else(ApiError::no_such_path)?,
        row,
        namespace: place.namespace.clone(),
        name: name.into(),
        subresource: EVICTION.into(),
        known: std::sync::Arc::default(),
    };
    let options = WriteOptions { dry_run, manager: String::new() };
    let used = gateway::update::update(server, auth, &budget, &options, false, |old| {
        refuse(old)?;
        let mut new = old.clone();
        let now = metadata::timestamp(Timestamp::now());
        let left = old["status"]["disruptionsAllowed"].as_i64().unwrap_or(0) - 1;
        new["status"]["disruptionsAllowed"] = left.into();
        if left == 0 {
            set_used_up(&mut new, &now);
        }
        new["status"]["disruptedPods"][place.name.as_str()] = now.into();
        Ok(Wanted { object: new, owned: true })
    });
    used.await.map(drop)
}

/// Budgets that let nothing go.
fn refuse(budget: &Value) -> Result<(), ApiError> {
    let (name, status) = (metadata::text(budget, "name"), &budget["status"]);
    let number = |field: &str| status[field].as_i64().unwrap_or(0);
    let forbidden =
        |why: &str| ApiError::forbidden(&GroupResource::new("policy", "poddisruptionbudget"), name, why);
    if number("observedGeneration") < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(too_many(&why, Some(10)));
    }
    if number("disruptionsAllowed") < 0 {
        return Err(forbidden("pdb disruptions allowed is negative"));
    }
    if status["disruptedPods"].as_object().is_some_and(|pods| pods.len() > MAX_DISRUPTED) {
        return Err(forbidden(
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        ));
    }
    if number("disruptionsAllowed") > 0 {
        return Ok(());
    }
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let condition = conditions.into_iter().find(|c| c["type"] == "DisruptionAllowed");
    let told =
        condition.filter(|c| c["status"] == "False" && c["message"].as_str().is_some_and(|m| !m.is_empty()));
    let text = |field: &str| told.and_then(|c| c[field].as_str()).unwrap_or("");
    let (desired, current) = (number("desiredHealthy"), number("currentHealthy"));
    Err(too_many(
        &if text("reason") == "SyncFailed" {
            let why = text("message");
            format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {why}"
            )
        } else if current <= desired {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        } else if told.is_some() {
            let (reason, why) = (text("reason"), text("message"));
            format!("The disruption budget {name} does not allow evicting pods currently ({reason}): {why}")
        } else {
            format!("The disruption budget {name} does not allow evicting pods currently")
        },
        None,
    ))
}

/// 429 with the budget's reason.
fn too_many(why: &str, seconds: Option<u32>) -> ApiError {
    let mut details = json!({"causes": [{"reason": "DisruptionBudget", "message": why}]});
    if let Some(seconds) = seconds {
        details["retryAfterSeconds"] = seconds.into();
    }
    ApiError::given(429, Some("TooManyRequests"), TOO_MANY, &details)
}

/// The condition of a budget that has just been used up.
fn set_used_up(budget: &mut Value, now: &str) {
    let mut condition = json!({"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods",
        "message": "", "lastTransitionTime": now});
    let observed = &budget["status"]["observedGeneration"];
    if observed.as_i64().unwrap_or(0) != 0 {
        condition["observedGeneration"] = observed.clone();
    }
    let conditions = &mut budget["status"]["conditions"];
    let Some(list) = conditions.as_array_mut() else {
        *conditions = json!([condition]);
        return;
    };
    match list.iter_mut().find(|old| old["type"] == "DisruptionAllowed") {
        Some(old) => {
            if old["status"] == "False" {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => list.push(condition),
    }
}

/// Says on the pod why it goes, and deletes it.
async fn remove(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    mut options: DeleteOptions,
) -> Result<(), ApiError> {
    let whole = Place { subresource: "".into(), ..place.clone() };
    if !options.dry_run {
        let told = Place { subresource: EVICTION.into(), ..place.clone() };
        let written = gateway::update::update(server, auth, &told, &WriteOptions::default(), false, |old| {
            gateway::delete::check_preconditions(&whole, old, &options)?;
            let mut new = old.clone();
            bindings::set_condition(
                &mut new,
                json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                        "message": "Eviction API: evicting"}),
            );
            Ok(Wanted { object: new, owned: true })
        })
        .await?;
        if options.resource_version.is_some() {
            options.resource_version = Some(written.object.revision.to_string());
        }
    }
    gateway::delete::delete(server, auth, &whole, &options).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_says_why_it_refuses() {
        let told = |status: Value| {
            let budget = json!({"metadata": {"name": "b", "generation": 2}, "status": status});
            refuse(&budget).err().map(|error| error.to_status()["details"]["causes"][0]["message"].clone())
        };
        let condition = |reason: &str| json!([{"type": "DisruptionAllowed", "status": "False", "reason": reason, "message": "m"}]);
        for (status, expected) in [
            (json!({"observedGeneration": 2, "disruptionsAllowed": 1}), None),
            (
                json!({"observedGeneration": 1, "disruptionsAllowed": 1}),
                Some("b is still being processed by the server."),
            ),
            (
                json!({"observedGeneration": 2, "desiredHealthy": 2, "currentHealthy": 1}),
                Some("b needs 2 healthy pods and has 1 currently"),
            ),
            (
                json!({"observedGeneration": 2, "currentHealthy": 1, "conditions": condition("R")}),
                Some("b does not allow evicting pods currently (R): m"),
            ),
            (
                json!({"observedGeneration": 2, "conditions": condition("SyncFailed")}),
                Some("b does not allow evicting pods currently because it failed sync: m"),
            ),
            (
                json!({"observedGeneration": 2, "currentHealthy": 1}),
                Some("b does not allow evicting pods currently"),
            ),
        ] {
            let expected = expected.map(|text| json!(format!("The disruption budget {text}")));
            assert_eq!(told(status.clone()), expected, "{status}");
        }
    }

    #[test]
    fn pods_that_are_not_ready_pass_when_enough_are_healthy() {
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let enough = json!({"status": {"desiredHealthy": 1, "currentHealthy": 1}});
        let always = json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}});
        for (pod, budget, expected) in [
            (&json!({}), &enough, true),
            (&json!({}), &always, true),
            (&json!({}), &json!({}), false),
            (&ready, &enough, false),
            (&ready, &always, false),
        ] {
            assert_eq!(may_pass(pod, budget), expected, "{pod} {budget}");
        }
    }
}
