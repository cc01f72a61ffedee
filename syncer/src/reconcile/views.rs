//! Objects of the super cluster that tenants see: classes and volumes. What a tenant changes of them is set back.

use crate::classes::{self, published};
use crate::difference::{contains, merge_patch};
use crate::kinds::{Key, Kind};
use crate::names;
use crate::translation::meta_text;
use crate::volumes;
use crate::work::{ACTOR, Work};
use api_types::{ApiError, ObjectName, Reason, labels};
use plane_client::{Next, Target, Write};
use serde_json::{Value, json};

/// A class, by its name in the tenant.
pub async fn class(work: &Work, kind: Kind, name: &str) -> Result<Next, ApiError> {
    let of_name = published(&work.tenant, kind).into_iter().find(|(own, _)| *own == name);
    let known = of_name.and_then(|(_, there)| work.cluster.cache.get(kind, "", there));
    match known {
        Some(known) => {
            let wanted = classes::upward(&work.tenant, kind, name, &known.value()?);
            keep(work, kind, &wanted).await.map(drop)?;
        }
        // It may be there all the same.
        None if work.cluster.unreadable.lock().contains_key(&kind) => {}
        None => remove(work, kind, name).await?,
    }
    Ok(Next::OnEvent)
}

/// A volume that a tenant has, by its name there: its claim decides.
pub async fn volume(work: &Work, name: &str) -> Result<Next, ApiError> {
    let Some(uid) = name.strip_prefix(names::VOLUME) else { return Ok(Next::OnEvent) };
    let claims = work.client.list(work.tenant.id, &Kind::Claim.group_resource(), "").await?;
    match claims.into_iter().find(|claim| claim.meta.uid == uid) {
        Some(claim) => work.state.due([(work.tenant.id, Key::Object(Kind::Claim, claim.name))]),
        None => remove(work, Kind::Volume, name).await?,
    }
    Ok(Next::OnEvent)
}

/// Shows the volume of a claim, and names it in the claim.
pub async fn of_claim(work: &Work, claim: &Value, below: &Value) -> Result<(), ApiError> {
    let name = names::volume(meta_text(claim, "uid"));
    let bound = below["spec"]["volumeName"].as_str().unwrap_or("");
    let known = work.cluster.cache.get(Kind::Volume, "", bound).map(|known| known.value()).transpose()?;
    let wanted = known.as_ref().and_then(|volume| volumes::upward(&work.tenant, claim, below, volume));
    let (Some(wanted), Some(volume)) = (wanted, known) else {
        return Ok(());
    };
    let Some(there) = keep(work, Kind::Volume, &wanted).await? else { return Ok(()) };
    if let Some(change) = merge_patch(&json!({"phase": there["status"]["phase"]}), &volumes::status(&volume))
    {
        work.patch_up(Kind::Volume, &there, "status", json!({"status": change})).await?;
    }
    if claim["spec"]["volumeName"].as_str().unwrap_or("").is_empty() {
        work.patch_up(Kind::Claim, claim, "", json!({"spec": {"volumeName": name}})).await?;
    }
    Ok(())
}

/// Makes the tenant's object as it is wanted; as it was before that, or was made. `None` when the tenant has one of its
/// own of the name, which stays.
async fn keep(work: &Work, kind: Kind, wanted: &Value) -> Result<Option<Value>, ApiError> {
    let Some(there) = work.get(kind, "", meta_text(wanted, "name")).await? else {
        let target = Target::new(work.tenant.id, kind.resource(), "", "");
        let made = work.client.write(&ACTOR, &target, Write::Create(wanted.clone())).await?;
        return made.value().map(Some);
    };
    if !is_ours(&there) {
        return Ok(None);
    }
    if contains(&there, wanted) || !there["metadata"]["deletionTimestamp"].is_null() {
        return Ok(Some(there));
    }
    match work.patch_up(kind, &there, "", wanted.clone()).await {
        // It cannot become what it is to be: it is made anew when it is gone.
        Err(error) if matches!(error.reason(), Reason::Invalid) => {
            remove(work, kind, meta_text(wanted, "name")).await?;
            Err(error)
        }
        done => done.map(|()| Some(there)),
    }
}

fn is_ours(object: &Value) -> bool {
    !object["metadata"]["annotations"][labels::UID].is_null()
}

/// Takes a view away; not what the tenant made.
pub async fn remove(work: &Work, kind: Kind, name: &str) -> Result<(), ApiError> {
    let Some(there) = work.get(kind, "", name).await?.filter(is_ours) else { return Ok(()) };
    if !there["metadata"]["deletionTimestamp"].is_null() {
        return Ok(());
    }
    if kind == Kind::Volume && there["status"]["phase"] == "Bound" {
        // What is bound is protected.
        work.patch_up(kind, &there, "status", json!({"status": {"phase": "Released"}})).await?;
    }
    work.delete_up(kind, &there, None).await
}

/// The keys of all classes that a tenant is to see.
pub fn classes_due(tenant: &crate::tenants::TenantView) -> impl Iterator<Item = Key> {
    let of = |kind: Kind| published(tenant, kind).into_iter().map(move |(own, _)| (kind, own.to_owned()));
    let all: Vec<_> = Kind::CLASSES.into_iter().flat_map(of).collect();
    all.into_iter().map(|(kind, name)| Key::Object(kind, ObjectName::cluster(name)))
}
