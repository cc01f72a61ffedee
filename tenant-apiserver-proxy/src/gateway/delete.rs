//! Delete: at once, or marked until finalizers and the grace period are over.

use super::{Extra, Place, Refused, TRIES, Written, commit, guarding, live, metadata, unstored};
use crate::admission;
use crate::admission::guards::Asked;
use crate::planes::Plane;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::ApiError;
use jiff::{SignedDuration, Timestamp};
use plane_client::Propagation;
use serde_json::{Value, json};

/// Makes the garbage collector delete dependents first.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Makes the garbage collector take dependents' owner away.
pub const ORPHAN: &str = "orphan";

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Only the object with this UID.
    pub uid: Option<String>,
    /// Only at this `resourceVersion`.
    pub resource_version: Option<String>,
    /// Seconds; `None`: the resource's default.
    pub grace_period_seconds: Option<i64>,
    /// What becomes of dependents; `None`: the resource's default.
    pub propagation: Option<Propagation>,
    /// Do everything but commit.
    pub dry_run: bool,
    /// The plane's guards have admitted it as something else: an eviction.
    pub admitted: bool,
}

/// Deletes the object of a place, or marks it.
pub async fn delete(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    options: &DeleteOptions,
) -> Result<Written, ApiError> {
    let resource = place.resource();
    for _ in 0..TRIES {
        let record = live(server, auth, place).ok_or_else(|| ApiError::not_found(&resource, &place.name))?;
        let old = record.value().map_err(ApiError::internal)?;
        check_preconditions(place, &old, options)?;
        admission::delete(server, auth, place, &old)?;
        if !options.admitted {
            guarding::admit_deletion(&Asked::to_delete(server, auth, place, options), &old).await?;
        }
        let mut new = old.clone();
        metadata::of(&mut new).remove("resourceVersion");
        let plane = auth.plane();
        if admission::definitions::has_objects(server, plane, place, &old) {
            add_finalizer(&mut new, api_resources::crd::CLEANUP_FINALIZER);
        }
        let removed = mark(place, &mut new, options, Timestamp::now());
        let done = |object, removed| Written { object, created: false, removed, warnings: Vec::new() };
        if options.dry_run {
            return Ok(done(record, removed));
        }
        let committed = if removed {
            let extra = consequences(server, plane, place, &old);
            commit(server, plane, place, &place.name, record.expected(), None, extra).await
        } else if is_same(&new, &old) {
            // Marked already, and nothing is sooner.
            return Ok(done(record, false));
        } else {
            commit(server, plane, place, &place.name, record.expected(), Some(&new), Extra::default()).await
        };
        match committed {
            Ok(_) if record.shared && removed => return Ok(done(record, true)),
            Ok(revision) => return Ok(done(unstored(place, &new, Some(revision))?, removed)),
            Err(Refused::Object | Refused::Extra) => {}
            Err(Refused::Failed(error)) => return Err(error),
        }
    }
    Err(ApiError::stale(&resource, &place.name))
}

fn is_same(new: &Value, old: &Value) -> bool {
    let mut metadata = old["metadata"].clone();
    if let Some(fields) = metadata.as_object_mut() {
        fields.remove("resourceVersion");
    }
    new["metadata"] == metadata
}

fn add_finalizer(object: &mut Value, name: &str) {
    if !metadata::finalizers(object).contains(&name) {
        let mut finalizers: Vec<Value> =
            object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        finalizers.push(name.into());
        metadata::of(object).insert("finalizers".into(), finalizers.into());
    }
}

fn check_preconditions(place: &Place, old: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
    let conflict = |what: &str, wanted: &str, found: &str| {
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object \
             might have been deleted and then recreated"
        );
        let why = if what == "UID" { why } else { why.replace("deleted and then recreated", "modified") };
        ApiError::conflict(
            &api_types::GroupResource::new(&place.row.group, &place.row.kind),
            &place.name,
            &why,
        )
    };
    let (uid, version) = (metadata::text(old, "uid"), metadata::text(old, "resourceVersion"));
    match (&options.uid, &options.resource_version) {
        (Some(wanted), _) if wanted != uid => Err(conflict("UID", wanted, uid)),
        (_, Some(wanted)) if wanted != version => Err(conflict("ResourceVersion", wanted, version)),
        _ => Ok(()),
    }
}

/// Marks the object as deletion asks; true when nothing holds it and it is to be removed now.
fn mark(place: &Place, object: &mut Value, options: &DeleteOptions, now: Timestamp) -> bool {
    set_propagation(object, options.propagation);
    let default_grace = (place.row.strategy.grace)(object);
    let grace = match default_grace {
        // What need not wait does not wait, whatever is asked.
        None | Some(0) => 0,
        // As in Kubernetes, a negative one is the shortest that is none.
        Some(default) => match options.grace_period_seconds.unwrap_or(default) {
            negative if negative < 0 => 1,
            seconds => seconds,
        },
    };
    let marked = object["metadata"]["deletionTimestamp"].is_string();
    let pending = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let sooner = !marked || pending.is_some_and(|pending| grace < pending);
    let held = !metadata::finalizers(object).is_empty() || has_spec_finalizers(object);
    let removed = grace == 0 && !held;
    // What is removed at once is shown as it was, unless its kind knows grace.
    if !sooner || (removed && default_grace.is_none()) {
        return removed;
    }
    let generation = object["metadata"]["generation"].as_i64();
    let namespace = place.row.group.is_empty() && place.row.plural == "namespaces";
    let tenant = crate::tenants::is_tenant(place);
    let fields = metadata::of(object);
    let at = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    fields.insert("deletionTimestamp".into(), metadata::timestamp(at).into());
    if namespace {
        object["status"]["phase"] = "Terminating".into();
        return removed;
    }
    fields.insert("deletionGracePeriodSeconds".into(), grace.into());
    if let Some(generation) = generation.filter(|generation| *generation > 0 && !marked) {
        fields.insert("generation".into(), (generation + 1).into());
    }
    if tenant {
        crate::tenants::tell_state(object, now);
    }
    removed
}

fn set_propagation(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let mut finalizers: Vec<String> = metadata::finalizers(object).into_iter().map(str::to_owned).collect();
    finalizers.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
    match propagation {
        Propagation::Foreground => finalizers.push(FOREGROUND.into()),
        Propagation::Orphan => finalizers.push(ORPHAN.into()),
        Propagation::Background => {}
    }
    if finalizers.is_empty() {
        metadata::of(object).remove("finalizers");
    } else {
        metadata::of(object).insert("finalizers".into(), json!(finalizers));
    }
}

/// Namespaces have finalizers of their own in `spec`.
fn has_spec_finalizers(object: &Value) -> bool {
    object["kind"] == "Namespace"
        && object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

/// True when a marked object has nothing left that holds it.
pub fn is_over(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
        && metadata::finalizers(object).is_empty()
        && !has_spec_finalizers(object)
        && object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

/// What goes with the object, in the same commit.
pub(super) fn consequences(server: &Server, plane: &Plane, place: &Place, object: &Value) -> Extra {
    admission::release(server, plane, place, object)
}
