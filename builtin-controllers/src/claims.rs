//! Which objects a controller owns: by controller reference first, by selector for what nobody owns.

use crate::access::{Access, text};
use crate::selectors::Selector;
use crate::slim;
use plane_client::{ApiError, Keep, Meta, Object, Resource, TenantId};
use serde_json::{Value, json};

/// What a controller does with an object of its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is its own, and stays so.
    Keep,
    /// Nobody owns it, and it matches.
    Adopt,
    /// It is its own, and no longer matches.
    Release,
    /// It is none of its business.
    Ignore,
}

/// The owner that claims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimant<'a> {
    pub(crate) uid: &'a str,
    /// One that is being deleted takes nothing and lets nothing go.
    pub(crate) deleting: bool,
}

/// The rule.
pub(crate) fn claim(object: &Meta, matches: bool, claimant: Claimant<'_>) -> Claim {
    match object.controller() {
        Some(owner) if owner.uid != claimant.uid => Claim::Ignore,
        Some(_) if matches => Claim::Keep,
        Some(_) if claimant.deleting => Claim::Ignore,
        Some(_) => Claim::Release,
        None if claimant.deleting || !matches || object.deleting => Claim::Ignore,
        None => Claim::Adopt,
    }
}

impl Claimant<'_> {
    /// True for what it can own: what it controls, and what nobody does and its selector matches.
    pub(crate) fn concerns(&self, object: &Meta, selector: &Selector) -> bool {
        match object.controller() {
            Some(owner) => owner.uid == self.uid,
            None => selector.matches(&object.labels),
        }
    }
}

/// The reference by which `owner` controls.
pub(crate) fn controller_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Who owns.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) object: &'a Value,
    /// A finalizer that comes with being owned.
    pub(crate) finalizer: Option<&'static str>,
    /// Which objects it takes and lets go; the others stay as they are.
    pub(crate) concerns: fn(&Value) -> bool,
    /// What it reads of those that are its own.
    pub(crate) reads: &'static Keep,
}

/// What most owners take and let go.
pub(crate) fn everything(_: &Value) -> bool {
    true
}

/// Does what the claims say and gives what is read of the objects that are `owner`'s now. Before the first adoption the
/// owner is read again: one that is gone, or being deleted, adopts nothing.
pub(crate) async fn settle(
    access: &Access,
    tenant: TenantId,
    Owner { resource: owner_resource, object: owner, finalizer, concerns, reads }: Owner<'_>,
    resource: &Resource,
    claims: Vec<(&Object, Claim)>,
) -> Result<Vec<Value>, ApiError> {
    let mut owned = Vec::new();
    let mut may_adopt = None;
    for (object, claim) in claims {
        match claim {
            Claim::Ignore => {}
            Claim::Keep => owned.push(slim::decode(object, reads)?),
            Claim::Release => {
                let old = object.value()?;
                if !concerns(&old) {
                    continue;
                }
                let mut new = old.clone();
                if let Some(owners) =
                    new.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut)
                {
                    owners.retain(|reference| reference["uid"] != owner["metadata"]["uid"]);
                }
                if let (Some(ours), Some(all)) =
                    (finalizer, new.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut))
                {
                    all.retain(|finalizer| finalizer != ours);
                }
                ignore_absent(access.change(tenant, resource, "", &old, &new).await)?;
            }
            Claim::Adopt => {
                let old = object.value()?;
                if !concerns(&old) {
                    continue;
                }
                let may = match may_adopt {
                    Some(may) => may,
                    None => {
                        let (namespace, name) =
                            (text(owner, "/metadata/namespace"), text(owner, "/metadata/name"));
                        let live = access.get(tenant, owner_resource, namespace, name).await?;
                        let may = live.is_some_and(|live| {
                            live["metadata"]["uid"] == owner["metadata"]["uid"]
                                && !crate::pod_facts::is_deleting(&live)
                        });
                        *may_adopt.insert(may)
                    }
                };
                if !may {
                    continue;
                }
                let mut new = old.clone();
                let mut owners = old["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
                owners.push(controller_reference(owner));
                new["metadata"]["ownerReferences"] = owners.into();
                if let Some(ours) = finalizer {
                    let mut all = old["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
                    if !all.iter().any(|finalizer| finalizer == ours) {
                        all.push(ours.into());
                    }
                    new["metadata"]["finalizers"] = all.into();
                }
                if let Some(adopted) = ignore_absent(access.change(tenant, resource, "", &old, &new).await)? {
                    owned.push(adopted.value()?);
                }
            }
        }
    }
    Ok(owned)
}

fn ignore_absent(result: Result<Option<Object>, ApiError>) -> Result<Option<Object>, ApiError> {
    match result {
        Err(error) if error.is_not_found() => Ok(None),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_reference_goes_before_the_selector() {
        let object = |owner: Option<&str>, deleting: bool| {
            let owners: Vec<Value> =
                owner.map(|uid| json!({"uid": uid, "controller": true})).into_iter().collect();
            let deletion = if deleting { json!("2026-01-01T00:00:00Z") } else { Value::Null };
            Meta::of(&json!({"metadata": {"ownerReferences": owners, "deletionTimestamp": deletion}}))
        };
        for (owner, deleting, matches, claimant_deleting, expected) in [
            (Some("me"), false, true, false, Claim::Keep),
            (Some("me"), false, false, false, Claim::Release),
            (Some("me"), false, false, true, Claim::Ignore),
            (Some("you"), false, true, false, Claim::Ignore),
            (None, false, true, false, Claim::Adopt),
            (None, false, false, false, Claim::Ignore),
            (None, true, true, false, Claim::Ignore),
            (None, false, true, true, Claim::Ignore),
        ] {
            let claimant = Claimant { uid: "me", deleting: claimant_deleting };
            let found = claim(&object(owner, deleting), matches, claimant);
            assert_eq!(found, expected, "{owner:?} {deleting} {matches} {claimant_deleting}");
        }
    }
}
