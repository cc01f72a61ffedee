//! ConfigMaps and Secrets, downward.

use crate::configs::{Change, change, in_step};
use crate::kinds::Kind;
use crate::super_api::At;
use crate::work::Work;
use crate::{configmaps, secrets};
use api_types::ApiError;
use api_types::tenancy::Publish;
use plane_client::{Next, Patch};

/// Why an object goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Because `spec.sync.publish` says so, or because it is there already.
    ByRule,
    /// Because a pod that is about to go down refers to it.
    ByPod,
}

/// A ConfigMap or Secret of the tenant.
pub async fn config(
    work: &Work,
    kind: Kind,
    namespace: &str,
    name: &str,
    need: Need,
) -> Result<Next, ApiError> {
    let super_namespace = work.super_namespace(namespace);
    let known = work.cached(kind, namespace, name);
    if known.is_none() && work.cluster.cache.get(Kind::Namespace, "", &super_namespace).is_none() {
        return Ok(Next::OnEvent);
    }
    let object = work.get(kind, namespace, name).await?;
    let (object, known) = match (object, known) {
        (None, None) => return Ok(Next::OnEvent),
        (None, Some(known)) => {
            if !known.deleting {
                work.delete(&known, None).await?;
            }
            return Ok(Next::OnEvent);
        }
        (Some(object), known) => (object, known),
    };
    let place = work.place(namespace, &super_namespace);
    let translated = match kind {
        Kind::Secret => secrets::downward(place, &object),
        _ => configmaps::downward(place, &object),
    };
    let wanted = match translated {
        Ok(wanted) => wanted,
        Err(refusal) => {
            work.say_refused(kind, &object, &refusal).await?;
            return Ok(Next::OnEvent);
        }
    };
    let Some(known) = known else {
        let wants = need == Need::ByPod
            || work.tenant.spec.sync.publish == Publish::All
            || work.is_referenced(kind, namespace, name).await?;
        if wants {
            match work.create(kind, &wanted).await {
                Err(error) if error.is_already_exists() && work.cached(kind, namespace, name).is_some() => {}
                done => drop(done?),
            }
        }
        return Ok(Next::OnEvent);
    };
    if in_step(&known.value()?, &wanted) {
        return Ok(Next::OnEvent);
    }
    let at = At::new(&known.at.namespace, &known.at.name);
    let Some(observed) = work.cluster.api.get(kind.resource(), &at).await? else {
        work.forget(&known);
        return Err(ApiError::not_found(&kind.group_resource(), name));
    };
    match change(&observed, &wanted) {
        Change::None => {}
        Change::Patch(patch) => drop(work.patch(&known, "", Patch::Merge(patch)).await?),
        Change::Recreate => {
            work.delete(&known, None).await?;
            work.forget(&known);
            work.create(kind, &wanted).await?;
        }
    }
    Ok(Next::OnEvent)
}
