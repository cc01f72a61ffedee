//! The tenants' own NetworkPolicies, and which pods they close.
//!
//! A policy is written before the pods are told that it holds for them, and stays until they are told that it does not:
//! in between, what it and the platform allow is open, or nothing is.

use crate::isolation::stands_for;
use crate::kinds::{Key, Kind};
use crate::policies::open::{Open, labels_of};
use crate::policies::{Context, downward};
use crate::reconcile::isolation;
use crate::translation::{Refusal, meta_text};
use crate::work::Work;
use api_types::ApiError;
use api_types::tenancy::StringMap;
use plane_client::Next;
use serde_json::Value;

/// A policy of the tenant.
pub async fn policy(work: &Work, namespace: &str, name: &str) -> Result<Next, ApiError> {
    let super_namespace = work.super_namespace(namespace);
    if work.cluster.cache.get(Kind::NetworkPolicy, &super_namespace, crate::names::ISOLATION).is_none() {
        // Its turn comes when the namespace is made.
        return Ok(Next::OnEvent);
    }
    let object = work.get(Kind::NetworkPolicy, namespace, name).await?;
    let object = object.filter(|object| object["metadata"]["deletionTimestamp"].is_null());
    let mut wanted = Vec::new();
    if let Some(object) = &object {
        match translate(work, namespace, &super_namespace, object).await? {
            Ok(translated) => wanted = translated,
            Err(refusal) => work.say_refused(Kind::NetworkPolicy, object, &refusal).await?,
        }
    }
    for policy in &wanted {
        isolation::keep(work, policy).await?;
    }
    for known in work.cluster.cache.of_tenant(Kind::NetworkPolicy, work.tenant.id) {
        let Some(identity) = &known.identity else { continue };
        let is_its = identity.namespace == namespace
            && identity.name == name
            && stands_for(&known.at.name, identity) == Kind::NetworkPolicy;
        let is_wanted = || wanted.iter().any(|policy| meta_text(policy, "name") == known.at.name);
        if is_its && !known.deleting && !is_wanted() {
            work.delete(&known, None).await?;
        }
    }
    pods_due(work, namespace).await?;
    Ok(Next::OnEvent)
}

async fn translate(
    work: &Work,
    namespace: &str,
    super_namespace: &str,
    object: &Value,
) -> Result<Result<Vec<Value>, Refusal>, ApiError> {
    let (client, tenant) = (&work.client, work.tenant.id);
    let listed = client.list(tenant, &Kind::Namespace.group_resource(), "").await?;
    let namespaces: Vec<(String, StringMap)> = listed
        .iter()
        .map(|object| {
            let labels = object.meta.labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
            (object.name.name.to_string(), labels.collect())
        })
        .collect();
    let services = client.list(tenant, &Kind::Service.group_resource(), namespace).await?;
    let services: Vec<Value> = services.iter().map(|service| service.value()).collect::<Result<_, _>>()?;
    let place = work.place(namespace, super_namespace);
    Ok(downward(&Context { place, api: &work.api, namespaces: &namespaces, services: &services }, object))
}

/// In which directions no policy of the tenant selects a pod now.
pub async fn open(work: &Work, pod: &Value) -> Result<Open, ApiError> {
    Ok(Open::of(&all(work, meta_text(pod, "namespace")).await?, &labels_of(pod)))
}

async fn all(work: &Work, namespace: &str) -> Result<Vec<Value>, ApiError> {
    let policies = work.client.list(work.tenant.id, &Kind::NetworkPolicy.group_resource(), namespace).await?;
    policies.iter().map(|policy| policy.value()).collect()
}

/// Makes those super pods of a namespace due that do not say what policies hold for them.
async fn pods_due(work: &Work, namespace: &str) -> Result<(), ApiError> {
    let policies = all(work, namespace).await?;
    for pod in work.client.list(work.tenant.id, &Kind::Pod.group_resource(), namespace).await? {
        let labels = pod.meta.labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let open = Open::of(&policies, &labels.collect());
        let Some(known) = work.cached(Kind::Pod, namespace, &pod.name.name) else { continue };
        if open.patch(&known.value()?).is_some() {
            work.state.due([(work.tenant.id, Key::Object(Kind::Pod, pod.name))]);
        }
    }
    Ok(())
}

/// Makes the policies of a namespace due, or (empty) those of all: what they name has changed.
pub async fn due(work: &Work, namespace: &str) -> Result<(), ApiError> {
    let kind = Kind::NetworkPolicy;
    let policies = work.client.list(work.tenant.id, &kind.group_resource(), namespace).await?;
    work.state.due(policies.into_iter().map(|policy| (work.tenant.id, Key::Object(kind, policy.name))));
    Ok(())
}
