//! PersistentVolumeClaims, both ways.

use crate::claims::{downward, patch, upward};
use crate::difference::merge_patch;
use crate::kinds::Kind;
use crate::names;
use crate::reconcile::views;
use crate::translation::meta_text;
use crate::work::Work;
use api_types::ApiError;
use plane_client::{Next, Patch};
use serde_json::json;

/// A claim of the tenant.
pub async fn claim(work: &Work, namespace: &str, name: &str) -> Result<Next, ApiError> {
    let known = work.cached(Kind::Claim, namespace, name);
    let (object, known) = match (work.get(Kind::Claim, namespace, name).await?, known) {
        (None, None) => return Ok(Next::OnEvent),
        (None, Some(known)) => {
            if !known.deleting {
                work.delete(&known, None).await?;
            }
            if let Some(identity) = &known.identity {
                views::remove(work, Kind::Volume, &names::volume(&identity.uid)).await?;
            }
            return Ok(Next::OnEvent);
        }
        (Some(object), known) => (object, known),
    };
    let super_namespace = work.super_namespace(namespace);
    let place = work.place(namespace, &super_namespace);
    let wanted = match downward(place, &object) {
        Ok(wanted) => wanted,
        Err(refusal) => {
            work.say_refused(Kind::Claim, &object, &refusal).await?;
            return Ok(Next::OnEvent);
        }
    };
    let Some(known) = known else {
        if object["metadata"]["deletionTimestamp"].is_null() {
            work.ensure_namespace(namespace).await?;
            work.create(Kind::Claim, &wanted).await?;
        }
        return Ok(Next::OnEvent);
    };
    if known.identity.as_ref().is_some_and(|i| i.uid != meta_text(&object, "uid")) {
        if !known.deleting {
            work.delete(&known, None).await?;
        }
        return Ok(Next::OnEvent);
    }
    let mut observed = known.value()?;
    if let Some(patch) = patch(&observed, &wanted) {
        observed = work.patch(&known, "", Patch::Merge(patch)).await?;
    }
    views::of_claim(work, &object, &observed).await?;
    let status = upward(place, &observed);
    if let Some(change) = merge_patch(&object["status"], &status) {
        work.patch_up(Kind::Claim, &object, "status", json!({"status": change})).await?;
    }
    Ok(Next::OnEvent)
}
