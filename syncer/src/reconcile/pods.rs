//! Pods, both ways.
//!
//! Down: a pod goes to the super cluster once it stands in the tenant without a node, when there is a place for it before
//! the scheduler, after what it refers to. Up: its node, then its whole status. Deletion: the tenant's deletion becomes the
//! super cluster's with the grace that remains, and when the super pod is gone, the tenant's goes; a super pod that is
//! evicted or lost takes the tenant's with it, so that the tenant's controllers make another.

use crate::difference::{contains, merge_patch};
use crate::kinds::Kind;
use crate::pods::downward::{PodContext, TranslatedPod, container_down, downward};
use crate::pods::priority::{self, PriorityWanted};
use crate::pods::{update, upward};
use crate::policies::open::Open;
use crate::reconcile::{End, claims, configs, nodes, policies, tokens};
use crate::refusals::{No, is_answer};
use crate::super_api::At;
use crate::super_cache::Cached;
use crate::translation::{Refusal, has_condition, list, meta_text, name_of, now_text, text};
use crate::work::{ACTOR, Work};
use api_types::{ApiError, ObjectName, Resource, labels};
use jiff::Timestamp;
use plane_client::{Next, Patch, Write};
use serde_json::{Value, json};

const PRIORITY_CLASSES: Resource = Resource::new("scheduling.k8s.io", "v1", "priorityclasses");

/// A pod of the tenant.
pub async fn pod(work: &Work, namespace: &str, name: &str) -> Result<End, ApiError> {
    let known = work.cached(Kind::Pod, namespace, name);
    let next = match (work.get(Kind::Pod, namespace, name).await?, known) {
        (None, None) => {
            work.state.metrics.pod_gone(work.tenant.id, &ObjectName::new(namespace, name));
            Next::OnEvent
        }
        (None, Some(known)) => orphan(work, &known).await?,
        (Some(pod), None) => return without_super_pod(work, &pod).await,
        (Some(pod), Some(known)) => both(work, &pod, &known).await?,
    };
    Ok(End::Done(next))
}

/// The tenant's pod is gone, by force or with its namespace.
async fn orphan(work: &Work, known: &Cached) -> Result<Next, ApiError> {
    if let Some(identity) = &known.identity {
        tokens::remove(work, &identity.uid, &known.at.namespace).await?;
    }
    if !known.deleting {
        work.delete(known, None).await?;
    }
    Ok(Next::OnEvent)
}

async fn without_super_pod(work: &Work, pod: &Value) -> Result<End, ApiError> {
    let (namespace, name) = (meta_text(pod, "namespace"), meta_text(pod, "name"));
    let is_deleting = pod["metadata"]["deletionTimestamp"].is_string();
    let is_bound = !text(&pod["spec"], "nodeName").is_empty();
    let is_finished = matches!(text(&pod["status"], "phase"), "Succeeded" | "Failed");
    // What has ended stays to be read, unless its node is gone with all that it could be asked.
    if is_bound && is_finished && !is_deleting && !lost_its_node(pod) {
        return Ok(End::Done(Next::OnEvent));
    }
    let was_bound_by_us = is_bound && has_condition(pod, "PodScheduled", "True");
    if is_deleting || was_bound_by_us {
        if !work.confirm_absent(Kind::Pod, namespace, name).await? {
            return Err(ApiError::stale(&Kind::Pod.group_resource(), name));
        }
        tokens::remove(work, meta_text(pod, "uid"), &work.super_namespace(namespace)).await?;
        work.delete_up(Kind::Pod, pod, Some(0)).await?;
        return Ok(End::Done(Next::OnEvent));
    }
    if is_bound {
        let refusal = Refusal::new(
            "NodeNameForbidden",
            "spec.nodeName is not allowed: pods are placed by the platform's scheduler only",
        );
        return refuse(work, pod, &refusal).await.map(End::Done);
    }
    if work.tenant.spec.suspended {
        let refusal = Refusal::new("Suspended", "the tenant is suspended");
        return refuse(work, pod, &refusal).await.map(End::Done);
    }
    create(work, pod).await
}

/// True for a pod that was collected since its node is no more (KEP-3329).
fn lost_its_node(pod: &Value) -> bool {
    let conditions = list(&pod["status"], "conditions").iter();
    let mut targets = conditions.filter(|c| c["type"] == "DisruptionTarget" && c["status"] == "True");
    targets.any(|target| target["reason"] == "DeletionByPodGC")
}

async fn create(work: &Work, pod: &Value) -> Result<End, ApiError> {
    let namespace = meta_text(pod, "namespace");
    let open = policies::open(work, pod).await?;
    let translated = match translate(work, pod, &services(work, pod).await?, open) {
        Ok(translated) => translated,
        Err(refusal) => return refuse(work, pod, &refusal).await.map(End::Done),
    };
    let Some(place) = work.cluster.unscheduled.take(&work.state.queue, name_of(&translated.object)) else {
        return Ok(End::NoPlace(work.cluster.clone()));
    };
    if let Some(priority) = &translated.priority
        && let Some(refusal) = ensure_priority(work, priority).await?
    {
        return refuse(work, pod, &refusal).await.map(End::Done);
    }
    work.ensure_namespace(namespace).await?;
    for (kind, name) in &translated.references {
        match kind {
            _ if work.is_in_step(*kind, namespace, name).await? => {}
            Kind::Claim => drop(claims::claim(work, namespace, name).await?),
            _ => drop(configs::config(work, *kind, namespace, name, configs::Need::ByPod).await?),
        }
    }
    let super_namespace = work.super_namespace(namespace);
    let again = tokens::ensure(work, pod, &super_namespace, &translated.tokens).await?;
    place.asked();
    let made = work.create(Kind::Pod, &translated.object).await;
    // Also when the answer says that it was there, or a watch told of it before an answer that got lost.
    if work.cached(Kind::Pod, namespace, meta_text(pod, "name")).is_some() {
        place.made(&translated.object);
    }
    match made {
        Ok(_) => {
            work.state.metrics.made(work.tenant.id, &name_of(pod), &work.turn);
            Ok(End::Done(again.map_or(Next::OnEvent, Next::After)))
        }
        Err(error) if is_answer(&error) => {
            let no = No::Said(error.clone());
            refuse(work, pod, &work.told(work.place(namespace, &super_namespace), &no)).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Makes sure that the class of a priority is there, or says why there will be none.
async fn ensure_priority(work: &Work, wanted: &PriorityWanted) -> Result<Option<Refusal>, ApiError> {
    if let Err(refusal) = work.cluster.priority_classes.lock().may_have(work.tenant.id, &wanted.class) {
        return Ok(refusal);
    }
    let api = &work.cluster.api;
    match api.create(&PRIORITY_CLASSES, &At::new("", ""), &priority::class(wanted)).await {
        Err(error) if error.is_already_exists() => {
            let there = api.get(&PRIORITY_CLASSES, &At::new("", &wanted.class)).await?;
            if !there.is_some_and(|there| priority::agrees(&there, wanted)) {
                tracing::warn!(class = wanted.class, cluster = %work.cluster.name, "the PriorityClass means something else there");
                let message = format!(
                    "where pods run, what stands for the priority {} is another one: use another priority, or ask the \
                     platform's admin",
                    wanted.value
                );
                return Ok(Some(Refusal::new("NameTaken", message)));
            }
        }
        done => drop(done?),
    }
    work.cluster.priority_classes.lock().note(work.tenant.id, wanted.class.clone());
    Ok(None)
}

/// The services whose addresses a pod reads in its environment.
async fn services(work: &Work, pod: &Value) -> Result<Vec<Value>, ApiError> {
    if pod["spec"]["enableServiceLinks"] == false {
        return Ok(Vec::new());
    }
    let namespace = meta_text(pod, "namespace");
    let services = work.client.list(work.tenant.id, &Kind::Service.group_resource(), namespace).await?;
    services.iter().map(|service| service.value()).collect()
}

fn translate(work: &Work, pod: &Value, services: &[Value], open: Open) -> Result<TranslatedPod, Refusal> {
    let namespace = meta_text(pod, "namespace");
    let super_namespace = work.super_namespace(namespace);
    let place = work.place(namespace, &super_namespace);
    let dns = work.state.dns(&work.cluster);
    downward(pod, &PodContext { place, api: &work.api, services, dns: dns.as_ref(), open })
}

/// Tells the tenant why the pod does not run: on the pod and in an event.
pub async fn refuse(work: &Work, pod: &Value, refusal: &Refusal) -> Result<Next, ApiError> {
    let status = upward::refused(pod, refusal.reason, &refusal.message, &now_text());
    if let Some(change) = merge_patch(&pod["status"], &status) {
        work.patch_up(Kind::Pod, pod, "status", json!({"status": change})).await?;
    }
    work.say_refused(Kind::Pod, pod, refusal).await?;
    Ok(Next::OnEvent)
}

async fn both(work: &Work, pod: &Value, known: &Cached) -> Result<Next, ApiError> {
    let uid = meta_text(pod, "uid");
    if known.identity.as_ref().is_none_or(|i| i.uid != uid) {
        // The pod of a former life of the name: the new one waits until it is gone.
        return orphan(work, known).await;
    }
    let mut observed = known.value()?;
    let is_deleting = pod["metadata"]["deletionTimestamp"].is_string();
    let mut again = Ok(None);
    if is_deleting {
        delete_down(work, pod, known, &observed).await?;
    } else if known.deleting {
        let grace = observed["metadata"]["deletionGracePeriodSeconds"].as_u64();
        work.delete_up(Kind::Pod, pod, grace.and_then(|g| u32::try_from(g).ok())).await?;
    } else if work.tenant.spec.suspended {
        work.delete(known, None).await?;
    } else {
        again = update_down(work, pod, known, &mut observed).await;
    }
    // Whatever could not be changed there: what happens there is told.
    bring_up(work, pod, &observed).await?;
    Ok(again?.map_or(Next::OnEvent, Next::After))
}

/// The super pod is deleted with the grace that the tenant's has left; a deletion that the tenant hastens is
/// hastened.
async fn delete_down(work: &Work, pod: &Value, known: &Cached, observed: &Value) -> Result<(), ApiError> {
    let deadline = |object: &Value| meta_text(object, "deletionTimestamp").parse::<Timestamp>().ok();
    let Some(own) = deadline(pod) else { return Ok(()) };
    let remaining = (own.as_second() - Timestamp::now().as_second()).max(1);
    let is_later_there = deadline(observed).is_none_or(|there| there.as_second() > own.as_second() + 2);
    if !known.deleting || is_later_there {
        work.delete(known, u32::try_from(remaining).ok()).await?;
    }
    Ok(())
}

async fn update_down(
    work: &Work,
    pod: &Value,
    known: &Cached,
    observed: &mut Value,
) -> Result<Option<std::time::Duration>, ApiError> {
    let open = policies::open(work, pod).await?;
    // Before all else, and also when nothing else of it changes any more.
    if let Some(patch) = open.patch(observed) {
        *observed = work.patch(known, "", Patch::Merge(patch)).await?;
    }
    // A running pod stays as it is when the tenant's spec would refuse it by now.
    // Its environment was set when it was made, so that services do not matter now.
    let Ok(translated) = translate(work, pod, &[], open) else { return Ok(None) };
    let again = tokens::ensure(work, pod, &known.at.namespace, &translated.tokens).await?;
    if let Some(patch) = update::patch(observed, &translated.object) {
        change(work, pod, known, observed, "", patch).await?;
    }
    // One by one: what the super cluster thinks of one says nothing about the others.
    for mut container in update::new_ephemeral_containers(observed, pod) {
        let place = work.place(meta_text(pod, "namespace"), &known.at.namespace);
        if let Err(refusal) = container_down(place, &mut container) {
            work.say_refused(Kind::Pod, pod, &refusal).await?;
            continue;
        }
        let patch = json!({"spec": {"ephemeralContainers": [container]}});
        change(work, pod, known, observed, "ephemeralcontainers", patch).await?;
    }
    let resized = update::resized(observed, &translated.object);
    if !resized.is_empty() {
        change(work, pod, known, observed, "resize", json!({"spec": {"containers": resized}})).await?;
    }
    let gates = upward::gates_down(observed, pod);
    if !gates.is_empty() {
        change(work, pod, known, observed, "status", json!({"status": {"conditions": gates}})).await?;
    }
    Ok(again)
}

/// Patches the super pod, `observed`. A change that the super cluster refuses is told the tenant, and holds up no other.
async fn change(
    work: &Work,
    pod: &Value,
    known: &Cached,
    observed: &mut Value,
    subresource: &'static str,
    patch: Value,
) -> Result<(), ApiError> {
    match work.patch(known, subresource, Patch::Strategic(patch)).await {
        Ok(now) => {
            *observed = now;
            Ok(())
        }
        Err(error) if is_answer(&error) => {
            let place = work.place(meta_text(pod, "namespace"), &known.at.namespace);
            work.say_refused(Kind::Pod, pod, &work.told(place, &No::Said(error))).await
        }
        Err(error) => Err(error),
    }
}

/// The node, then the status.
async fn bring_up(work: &Work, pod: &Value, observed: &Value) -> Result<(), ApiError> {
    let node = text(&observed["spec"], "nodeName");
    let is_bound_now = !node.is_empty() && text(&pod["spec"], "nodeName").is_empty();
    if is_bound_now {
        nodes::show(work, node).await?;
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"],
                "uid": pod["metadata"]["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let target = work.target(Kind::Pod, pod).subresource("binding");
        work.client.write(&ACTOR, &target, Write::Create(binding)).await?;
    }
    let namespace = meta_text(pod, "namespace");
    let super_namespace = work.super_namespace(namespace);
    let status = upward::status(work.place(namespace, &super_namespace), observed, pod);
    let is_empty = list(&status, "conditions").is_empty() && contains(&pod["status"], &status);
    if is_empty && !has_condition(pod, upward::SYNCED, "False") {
        // Nothing is known there yet.
        return Ok(());
    }
    if is_bound_now && upward::is_told_by_binding(&status) {
        return Ok(());
    }
    let mut patch =
        merge_patch(&pod["status"], &status).map_or_else(|| json!({}), |change| json!({"status": change}));
    let simulated = &observed["metadata"]["labels"][labels::SIMULATED];
    if !simulated.is_null() && pod["metadata"]["labels"][labels::SIMULATED] != *simulated {
        // The tenant, too, reads plainly that no container runs.
        patch["metadata"]["labels"][labels::SIMULATED] = simulated.clone();
    }
    if patch != json!({}) {
        work.patch_up(Kind::Pod, pod, "status", patch).await?;
        if has_condition(observed, "Ready", "True") {
            work.state.metrics.told_ready(work.tenant.id, &name_of(pod), &work.turn);
        }
    }
    Ok(())
}
