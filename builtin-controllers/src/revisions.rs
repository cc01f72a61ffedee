//! ControllerRevisions: the pod templates that a StatefulSet or DaemonSet had, by number.
//!
//! Guarantees: equal templates are one revision, which gets the highest number when it is taken up again; a name
//! that another content has raises the count of collisions, and the revision gets another name. What a revision
//! holds is the patch with which `kubectl rollout undo` puts its template back.

use crate::access::{Access, number, text};
use crate::claims::{self, Claim, Claimant, Owner};
use crate::hash;
use crate::resources::CONTROLLER_REVISIONS;
use crate::selectors::Selector;
use plane_client::{ApiError, Delete, Keep, Object, Resource, TenantId};
use serde_json::{Value, json};

/// Names of revisions begin with this much of their owner's at most.
const LONGEST_PREFIX: usize = 223;
/// How many names are tried for one revision before the work is given up until the next time.
const ATTEMPTS: usize = 16;

/// What revisions of one kind of owner look like, and how they are read and written.
pub(crate) struct Revisions {
    pub(crate) access: Access,
    /// The resource of the owners.
    pub(crate) owners: &'static Resource,
    /// The label with the hash in a revision's name.
    pub(crate) hash_label: &'static str,
    /// Revisions that no longer match the owner's selector are let go; else they are just not looked at.
    pub(crate) releases: bool,
}

/// Which revision has the owner's template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// This one, as it is.
    Keep(usize),
    /// This one, which gets a new number.
    Renumber(usize, i64),
    /// None yet; its number.
    Create(i64),
}

/// What a revision holds: the patch that puts this template in place of any other.
pub(crate) fn data_of(template: &Value) -> Value {
    let mut template = without_nulls(template);
    template["$patch"] = "replace".into();
    json!({"spec": {"template": template}})
}

/// The template of a revision.
pub(crate) fn template_of(revision: &Value) -> Value {
    let mut template = revision["data"]["spec"]["template"].clone();
    if let Some(fields) = template.as_object_mut() {
        fields.remove("$patch");
    }
    template
}

/// Writers send nulls or leave fields out as they like.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let said = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(said.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn number_of(revision: &Value) -> i64 {
    number(revision, "/revision").unwrap_or(0)
}

/// The revision for this data, of revisions in order of their numbers.
pub(crate) fn choose(revisions: &[Value], data: &Value) -> Choice {
    let is_equal = |revision: &Value| without_nulls(&revision["data"]) == *data;
    let others = revisions.iter().filter(|revision| !is_equal(revision));
    let next = others.map(number_of).max().unwrap_or(0) + 1;
    match revisions.iter().rposition(is_equal) {
        Some(index) if number_of(&revisions[index]) >= next => Choice::Keep(index),
        Some(index) => Choice::Renumber(index, next),
        None => Choice::Create(next),
    }
}

/// The hash of a template as names of its revision have it.
fn hash_of(data: &Value, collisions: i64) -> String {
    // Maps of `serde_json` are in order of keys: equal data print alike.
    hash::short(&format!("{data}{collisions}"), 10)
}

fn new_revision(owner: &Value, data: &Value, revision: i64, hash: &str, hash_label: &str) -> Value {
    let prefix: String = text(owner, "/metadata/name").chars().take(LONGEST_PREFIX).collect();
    let mut labels = owner["spec"]["template"]["metadata"]["labels"].clone();
    labels[hash_label] = hash.into();
    let mut metadata = json!({
        "name": format!("{prefix}-{hash}"),
        "labels": labels,
        "ownerReferences": [claims::controller_reference(owner)],
    });
    if owner["metadata"]["annotations"].is_object() {
        metadata["annotations"] = owner["metadata"]["annotations"].clone();
    }
    json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": metadata, "data": data, "revision": revision,
    })
}

impl Revisions {
    /// The revisions of an owner, adopted where nobody has them, in order of their numbers.
    pub(crate) async fn list(
        &self,
        tenant: TenantId,
        owner: &Value,
        selector: &Selector,
        claimant: Claimant<'_>,
    ) -> Result<Vec<Value>, ApiError> {
        let namespace = text(owner, "/metadata/namespace");
        let listed = self.access.list(tenant, &CONTROLLER_REVISIONS, namespace).await?;
        let claim = |object: &Object| match claims::claim(
            &object.meta,
            selector.matches(&object.meta.labels),
            claimant,
        ) {
            Claim::Release if !self.releases => Claim::Ignore,
            claim => claim,
        };
        let claims = listed.iter().map(|object| (object, claim(object))).collect();
        let whose = Owner {
            resource: self.owners,
            object: owner,
            finalizer: None,
            concerns: claims::everything,
            reads: &Keep::All,
        };
        let mut owned = claims::settle(&self.access, tenant, whose, &CONTROLLER_REVISIONS, claims).await?;
        let place = |revision: &Value| {
            let of = |pointer| text(revision, pointer).to_owned();
            (number_of(revision), of("/metadata/creationTimestamp"), of("/metadata/name"))
        };
        owned.sort_by_cached_key(place);
        Ok(owned)
    }

    /// Makes the owner's template the newest revision; its place in the list, which it joins when it is new, and
    /// the count of collisions.
    pub(crate) async fn bring_about(
        &self,
        tenant: TenantId,
        owner: &Value,
        revisions: &mut Vec<Value>,
    ) -> Result<(usize, i64), ApiError> {
        let data = data_of(&owner["spec"]["template"]);
        let collisions = number(owner, "/status/collisionCount").unwrap_or(0);
        match choose(revisions, &data) {
            Choice::Keep(index) => Ok((index, collisions)),
            Choice::Renumber(index, number) => {
                let mut new = revisions[index].clone();
                new["revision"] = number.into();
                let written =
                    self.access.change(tenant, &CONTROLLER_REVISIONS, "", &revisions[index], &new).await?;
                revisions[index] = written.map_or(Ok(new), |written| written.value())?;
                Ok((index, collisions))
            }
            Choice::Create(number) => {
                let (created, collisions) = self.create(tenant, owner, &data, number, collisions).await?;
                revisions.push(created);
                Ok((revisions.len() - 1, collisions))
            }
        }
    }

    async fn create(
        &self,
        tenant: TenantId,
        owner: &Value,
        data: &Value,
        number: i64,
        mut collisions: i64,
    ) -> Result<(Value, i64), ApiError> {
        let namespace = text(owner, "/metadata/namespace");
        let mut attempt = 0;
        loop {
            attempt += 1;
            let body = new_revision(owner, data, number, &hash_of(data, collisions), self.hash_label);
            let name = text(&body, "/metadata/name").to_owned();
            match self.access.create(tenant, &CONTROLLER_REVISIONS, namespace, body).await {
                Ok(created) => return Ok((created.value()?, collisions)),
                Err(error) if error.is_already_exists() && attempt < ATTEMPTS => {
                    let there = self.access.get(tenant, &CONTROLLER_REVISIONS, namespace, &name).await?;
                    match there {
                        Some(there) if without_nulls(&there["data"]) == *data => {
                            return Ok((there, collisions));
                        }
                        Some(_) => collisions += 1,
                        None => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Deletes revisions.
    pub(crate) async fn delete(&self, tenant: TenantId, revisions: &[&Value]) -> Result<(), ApiError> {
        for revision in revisions {
            self.access.delete(tenant, &CONTROLLER_REVISIONS, revision, Delete::default()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(image: &str) -> Value {
        json!({"metadata": {"labels": {"app": "web"}, "creationTimestamp": null},
            "spec": {"containers": [{"name": "c", "image": image}]}})
    }

    fn revision(image: &str, number: i64) -> Value {
        json!({"metadata": {"name": format!("web-{image}")}, "data": data_of(&template(image)), "revision": number})
    }

    #[test]
    fn equal_templates_are_one_revision() {
        let (a, b) = (revision("a", 1), revision("b", 2));
        for (case, revisions, image, expected) in [
            ("the first", vec![], "a", Choice::Create(1)),
            ("another", vec![a.clone(), b.clone()], "c", Choice::Create(3)),
            ("the newest", vec![a.clone(), b.clone()], "b", Choice::Keep(1)),
            ("an earlier one", vec![a.clone(), b.clone()], "a", Choice::Renumber(0, 3)),
            ("of equals the newest", vec![a.clone(), revision("a", 5)], "a", Choice::Keep(1)),
        ] {
            assert_eq!(choose(&revisions, &data_of(&template(image))), expected, "{case}");
        }
    }

    #[test]
    fn a_revision_is_a_patch_and_gives_its_template_back() {
        let data = data_of(&template("a"));
        assert_eq!(data["spec"]["template"]["$patch"], "replace");
        assert_eq!(template_of(&json!({"data": data})), without_nulls(&template("a")));
    }

    #[test]
    fn names_tell_contents_and_collisions_apart_and_fit() {
        let hash = |image, collisions| hash_of(&data_of(&template(image)), collisions);
        assert_eq!(hash("a", 0), hash("a", 0));
        assert!(hash("a", 0) != hash("b", 0) && hash("a", 0) != hash("a", 1));
        let owner = json!({"metadata": {"name": "x".repeat(253)}, "spec": {"template": template("a")}});
        let made = new_revision(&owner, &json!({}), 1, "hash", "label");
        assert!(text(&made, "/metadata/name").len() <= 253);
        assert_eq!(made["metadata"]["labels"], json!({"app": "web", "label": "hash"}));
    }
}
