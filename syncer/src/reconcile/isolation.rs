//! NetworkPolicies of super namespaces, kept as they are wanted.
//!
//! Guarantee: a policy that stands in the way and is not the tenant's fails the work that needs the namespace, so that
//! no pod is made without its own.

use crate::isolation::{isolation_spec, patch, policies, published};
use crate::kinds::Kind;
use crate::names;
use crate::reconcile::policies::due;
use crate::translation::{Place, meta_text};
use crate::work::Work;
use api_types::ApiError;
use jiff::Timestamp;
use plane_client::Patch;
use serde_json::Value;

/// True when the super namespace is known to have its policy, with what it has to say. One that is older than the
/// namespace stood in a former one of the name: news of its end is still on the way.
pub fn is_isolated(work: &Work, super_namespace: &str) -> Result<bool, ApiError> {
    let cache = &work.cluster.cache;
    let policy = cache.get(Kind::NetworkPolicy, super_namespace, names::ISOLATION);
    let (Some(policy), Some(namespace)) = (policy, cache.get(Kind::Namespace, "", super_namespace)) else {
        return Ok(false);
    };
    let (policy, namespace) = (policy.value()?, namespace.value()?);
    let made = |object: &Value| meta_text(object, "creationTimestamp").parse::<Timestamp>().ok();
    Ok(made(&policy) >= made(&namespace) && policy["spec"] == isolation_spec())
}

/// Isolates the super namespace of a tenant's namespace.
pub async fn isolate(work: &Work, namespace: &Value) -> Result<(), ApiError> {
    for policy in policies(&work.tenant, &work.api, namespace) {
        keep(work, &policy).await?;
    }
    Ok(())
}

/// Opens the pods of a Service that is reached from outside, and closes those of any other.
pub async fn publish(work: &Work, place: Place<'_>, service: &Value) -> Result<(), ApiError> {
    match published(place, service) {
        Some(wanted) => {
            keep(work, &wanted).await?;
            // What the tenant's policies let through depends on its ports.
            due(work, place.namespace).await
        }
        None => unpublish(work, place.namespace, meta_text(service, "name")).await,
    }
}

/// Closes the pods of a Service again.
pub async fn unpublish(work: &Work, namespace: &str, service: &str) -> Result<(), ApiError> {
    let (super_namespace, name) = (work.super_namespace(namespace), names::published(service));
    match work.cluster.cache.get(Kind::NetworkPolicy, &super_namespace, &name) {
        Some(known) if !known.deleting => {
            work.delete(&known, None).await?;
            due(work, namespace).await
        }
        _ => Ok(()),
    }
}

/// Writes a policy of a super namespace, if it is not so already.
pub async fn keep(work: &Work, wanted: &Value) -> Result<(), ApiError> {
    let (namespace, name) = (meta_text(wanted, "namespace"), meta_text(wanted, "name"));
    let known = || work.cluster.cache.get(Kind::NetworkPolicy, namespace, name);
    if name == names::ISOLATION
        && let Some(known) = known()
        && !is_isolated(work, namespace)?
    {
        // Whether it is there at all is asked, not believed.
        work.look_again(&known).await?;
    }
    if known().is_none() {
        match work.create(Kind::NetworkPolicy, wanted).await {
            // Another worker was faster; what it made is known now.
            Err(error) if error.is_already_exists() => {}
            done => return done.map(drop),
        }
    }
    let Some(known) = known() else {
        return Err(ApiError::unavailable("a policy of the super namespace was just removed", 1));
    };
    match patch(&known.value()?, wanted) {
        Some(patch) => work.patch(&known, "", Patch::Merge(patch)).await.map(drop),
        None => Ok(()),
    }
}
