//! Service accounts, downward, once their super namespace is there.

use crate::kinds::Kind;
use crate::service_accounts::{downward, patch};
use crate::work::Work;
use api_types::ApiError;
use plane_client::{Next, Patch};

/// A service account of the tenant.
pub async fn service_account(work: &Work, namespace: &str, name: &str) -> Result<Next, ApiError> {
    let super_namespace = work.super_namespace(namespace);
    if work.cluster.cache.get(Kind::Namespace, "", &super_namespace).is_none() {
        return Ok(Next::OnEvent);
    }
    let known = work.cached(Kind::ServiceAccount, namespace, name);
    let (object, known) = match (work.get(Kind::ServiceAccount, namespace, name).await?, known) {
        (None, None) => return Ok(Next::OnEvent),
        (None, Some(known)) => {
            if !known.deleting {
                work.delete(&known, None).await?;
            }
            return Ok(Next::OnEvent);
        }
        (Some(object), known) => (object, known),
    };
    let wanted = match downward(work.place(namespace, &super_namespace), &object) {
        Ok(Some(wanted)) => wanted,
        Ok(None) => return Ok(Next::OnEvent),
        Err(refusal) => {
            work.say_refused(Kind::ServiceAccount, &object, &refusal).await?;
            return Ok(Next::OnEvent);
        }
    };
    match known {
        None => drop(work.create(Kind::ServiceAccount, &wanted).await?),
        Some(known) => {
            if let Some(patch) = patch(&known.value()?, &wanted) {
                work.patch(&known, "", Patch::Merge(patch)).await?;
            }
        }
    }
    Ok(Next::OnEvent)
}
