//! Update: from the old object to the new one, again and again until no other write comes between.

use super::create::{default_schema, empties, kube_finalizers, normalize};
use super::{
    Extra, Place, Refused, TRIES, WriteOptions, Written, commit, delete, guarding, live, metadata, remove,
    unstored,
};
use crate::admission;
use crate::admission::guards::{Asked, Operation};
use crate::cache::record::Record;
use crate::conversion::{self, Caller};
use crate::ownership;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::kinds::metadata_rules::{OwnRules, own_rules};
use api_resources::kinds::{certificatesigningrequests, pods_ephemeral, pods_resize};
use api_schema::zero::Empty;
use api_types::{ApiError, Cause};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;

/// What the caller wants the object to be.
pub struct Wanted {
    /// The whole object. `metadata.resourceVersion`, when set, must be that of the old object.
    pub object: Value,
    /// Its `metadata.managedFields` are as they shall be: server-side apply has done it.
    pub owned: bool,
}

/// Updates the object of a place. `make` gets the old object (with its `resourceVersion`) and gives the new one, both
/// in the version of the request; it is called again when another write came between. `must_name_version`: PUT of a kind whose updates must say from
/// which version they come.
pub async fn update(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    options: &WriteOptions,
    must_name_version: bool,
    mut make: impl FnMut(&Value) -> Result<Wanted, ApiError>,
) -> Result<Written, ApiError> {
    let resource = place.asked();
    let caller = Caller::of(server, auth);
    for _ in 0..TRIES {
        let record = live(server, auth, place).ok_or_else(|| ApiError::not_found(&resource, &place.name))?;
        let old = conversion::written_form(&caller, place, &record).await?;
        let mut wanted = loop {
            let made = if place.converts() { make(&place.from_written(old.clone())) } else { make(&old) };
            if !place.known.learn(&caller, place).await? {
                break made?;
            }
        };
        wanted.object = place.to_written(wanted.object);
        // What names a version that is no longer the newest is refused here, in the next round at the latest.
        metadata::check_update(&wanted.object, &old, place, !must_name_version)?;
        match step(server, auth, place, options, &record, old, wanted).await? {
            Step::Done(written) => return Ok(written),
            Step::Again => {}
        }
    }
    Err(ApiError::stale(&resource, &place.name))
}

enum Step {
    Done(Written),
    Again,
}

async fn step(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    options: &WriteOptions,
    record: &Arc<Record>,
    old: Value,
    wanted: Wanted,
) -> Result<Step, ApiError> {
    let now = Timestamp::now();
    let owned = wanted.owned;
    let mut new = wanted.object;
    new["kind"] = place.row.kind.to_string().into();
    new["apiVersion"] = place.written_api_version().into();
    metadata::set_namespace(&mut new, place)?;
    metadata::keep_old(&mut new, &old);
    let patched = auth.resource().is_some_and(|request| request.verb == "patch");
    let twice = metadata::twice_owned(&metadata::unique_owners(&mut new), patched);
    // Normalizing takes an empty list away, which here is a wish.
    let forget = new["metadata"].get("managedFields").filter(|sent| **sent == serde_json::json!([])).cloned();
    let empties = default(place, &mut new, &old);
    if !owned {
        if let Some(forget) = forget {
            metadata::of(&mut new).insert("managedFields".into(), forget);
        }
        let caller = Caller::of(server, auth);
        ownership::record(&caller, place, Some(&old), &mut new, &options.manager, now).await?;
    }
    admission::update(server, auth, place, &mut new, &old)?;
    let asked = Asked::to_write(server, auth, place, Operation::Update, options.dry_run);
    // A binding or an eviction has been shown to guards as what it is.
    let guarded = !matches!(place.subresource.as_str(), "binding" | "eviction");
    if guarded {
        guarding::mutate_changed(&asked, &mut new, &old).await?;
    }
    admission::settle(server, auth, place, &mut new, Some(&old))?;
    let causes = validate(server, auth, place, &mut new, &old, &empties)?;
    if !causes.is_empty() {
        return Err(place.invalid(&place.name, causes));
    }
    let told = admission::check_valid(server, auth, place, &new, Some(&old)).await?;
    admission::definitions::compile(server, place, &new)?;
    if guarded {
        guarding::validate_changed(&asked, &new, &old).await?;
    }
    admission::quotas::check(server, auth, place, &new, Some(&old))?;
    let own = warnings(place, &new, &old);
    let warnings: Vec<String> = twice.into_iter().chain(own).chain(told).collect();
    api_schema::managed_fields::keep_times(&old, &mut new);
    let done = |object, removed| Ok(Step::Done(Written { object, created: false, removed, warnings }));
    if !place.row.is_custom() && !record.shared && is_same(&new, &old) {
        return done(record.clone(), false);
    }
    let removed = delete::is_over(&new);
    if options.dry_run {
        admission::preview(server, auth, place, Some(&old), &mut new)?;
    }
    let expected = record.expected();
    let plane = auth.plane();
    if removed {
        // Kubernetes answers the removal of the last finalizer with the version before it.
        let object = unstored(place, &new, Some(record.revision))?;
        if options.dry_run {
            return done(object, true);
        }
        let extra = delete::consequences(server, plane, place, &old);
        return match remove(server, plane, place, record, extra).await {
            Ok(_) => done(object, true),
            Err(Refused::Object | Refused::Extra) => Ok(Step::Again),
            Err(Refused::Failed(error)) => Err(error),
        };
    }
    let extra = match options.dry_run {
        true => Extra::default(),
        false => admission::reserve(server, auth, place, Some(&old), &mut new).await?,
    };
    let kept = conversion::keep(&Caller::of(server, auth), place, new).await?;
    // What is stored in an old version, or under an old schema, is written anew.
    let same = place.row.is_custom()
        && match conversion::is_in_form(place, record) {
            true => is_same(&kept.stored, &old),
            false => is_same(&kept.stored, &record.value().map_err(ApiError::internal)?),
        };
    if same || options.dry_run {
        return done(unstored(place, kept.shown(), Some(record.revision))?, false);
    }
    match commit(server, plane, place, &place.name, expected, (&kept.stored, kept.schema), extra).await {
        Ok(written) => done(kept.written(place, written)?, false),
        Err(Refused::Object | Refused::Extra) => Ok(Step::Again),
        Err(Refused::Failed(error)) => Err(error),
    }
}

/// True when an object is as the old one, but for the version that it has been read in.
fn is_same(new: &Value, old: &Value) -> bool {
    metadata::is_same(new, old)
        && metadata::fields_but(new, "metadata").eq(metadata::fields_but(old, "metadata"))
}

/// What the client is warned of. Who writes a subresource answers for nothing else; and where changes of what is desired
/// are counted, only for what these change.
fn warnings(place: &Place, new: &Value, old: &Value) -> Vec<String> {
    let strategy = &place.row.strategy;
    let generation = |object: &Value| object["metadata"]["generation"].clone();
    if !place.subresource.is_empty() {
        return Vec::new();
    }
    if let Some(warnings) = strategy.update_warnings {
        return warnings(new, old);
    }
    if strategy.generation && generation(new) == generation(old) {
        return Vec::new();
    }
    let mut warnings = (strategy.warnings)(new);
    if strategy.generation && !warnings.is_empty() {
        let known = (strategy.warnings)(old);
        warnings.retain(|warning| !known.contains(warning));
    }
    warnings
}

/// Keeps what this path may not write, and sets defaults. Gives the empty lists that were sent, which validation has
/// to see.
pub(super) fn default(place: &Place, new: &mut Value, old: &Value) -> Vec<Empty> {
    if matches!(place.subresource.as_str(), "status" | "approval") {
        keep_all_but_status(place, new, old);
    } else if place.subresource == "ephemeralcontainers" {
        pods_ephemeral::prepare(new, old);
    } else if place.subresource == "resize" {
        pods_resize::prepare(new, old);
    } else if place.row.has_status() && place.subresource.is_empty() {
        keep_status(new, old);
    }
    default_schema(place, new);
    (place.row.strategy.default)(new);
    let mut empties = empties(place, new);
    // An empty map is compared with the old object, and is the same as none there.
    empties.retain(|(at, empty)| empty.is_array() || old.pointer(at).is_some_and(|old| !old.is_null()));
    normalize(place, new);
    empties
}

/// Prepares and validates; returns the defects.
fn validate(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &mut Value,
    old: &Value,
    empties: &[Empty],
) -> Result<Vec<Cause>, ApiError> {
    let strategy = &place.row.strategy;
    admission::certificates::decide(server, auth, place, new, old)?;
    if place.subresource != "status" {
        if place.subresource.is_empty() {
            (strategy.prepare_update)(new, old);
            admission::definitions::accept(server, auth, place, new)?;
        }
        normalize(place, new);
        // Binding a pod is no change of what is desired of it.
        if strategy.generation && place.subresource != "binding" && (strategy.counted)(new, old) {
            metadata::count_generation(new, old);
        }
    } else {
        (strategy.prepare_status)(new, old);
        admission::volumes::time_phase(place, new, old, Timestamp::now());
        normalize(place, new);
    }
    api_schema::zero::put_back(empties, new);
    let mut causes = admission::devices::defects(server, auth, place, new, Some(old));
    causes.extend(metadata_defects(place, new, old));
    match place.subresource.as_str() {
        "status" => causes.extend((strategy.validate_status)(new, old)),
        "ephemeralcontainers" => causes.extend(pods_ephemeral::validate(new, old)),
        "resize" => causes.extend(pods_resize::validate(new, old)),
        "approval" => causes.extend(certificatesigningrequests::validate_approval(new, old)),
        "" | "scale" => causes.extend((strategy.validate_update)(new, old)),
        _ => {}
    }
    causes.extend(validate_custom(auth, place, new, old));
    if !empties.is_empty() {
        normalize(place, new);
    }
    Ok(causes)
}

/// Defects of the metadata, as often as Kubernetes tells them.
fn metadata_defects(place: &Place, new: &Value, old: &Value) -> Vec<Cause> {
    use api_resources::metadata::{validate_create, validate_update};
    let namespaced = place.row.namespaced;
    let mut causes = validate_create(new, namespaced, api_resources::names::path_segment);
    let changed = validate_update(new, old);
    causes.extend(changed.iter().cloned());
    let own = own_rules(&place.row.group, &place.row.kind, place.subresource == "status");
    if own == OwnRules::None {
        return causes;
    }
    causes.extend(changed);
    let finalizers = kube_finalizers(place, new);
    causes.extend(finalizers.iter().cloned());
    if own == OwnRules::ChangeAndNew {
        causes.extend(validate_create(new, namespaced, place.row.strategy.validate_name));
        causes.extend(finalizers);
    }
    causes
}

fn validate_custom(auth: &Authorized, place: &Place, new: &Value, old: &Value) -> Vec<Cause> {
    let Some(schema) = &place.version.schema else { return Vec::new() };
    let status = place.subresource == "status";
    let verdict = if status { schema.judge_status(new, Some(old)) } else { schema.judge(new, Some(old)) };
    verdict.warnings.iter().for_each(|warning| auth.warn(warning));
    let mut causes = verdict.causes;
    if let Some(paths) = &place.version.scale {
        causes.extend(api_resources::crd::validate_scale(paths, new, status));
    }
    causes
}

/// A write of the object leaves its status alone.
fn keep_status(new: &mut Value, old: &Value) {
    let Some(fields) = new.as_object_mut() else { return };
    match old.get("status") {
        Some(status) => fields.insert("status".into(), status.clone()),
        None => fields.remove("status"),
    };
}

/// What of the metadata of a kind without a schema of its own a write of the status cannot change.
fn kept_by_status(group: &str, plural: &str) -> &'static [&'static str] {
    match (group, plural) {
        ("", "pods") => &["ownerReferences"],
        _ if api_resources::table::insula::is_ours(group) => &["ownerReferences", "finalizers"],
        _ => &[],
    }
}

/// A write of the status leaves the rest alone. Built-in kinds let it change labels and annotations too; custom
/// resources do not.
fn keep_all_but_status(place: &Place, new: &mut Value, old: &Value) {
    let status = new.get_mut("status").map(Value::take);
    let mut metadata = new.get_mut("metadata").map_or(Value::Null, Value::take);
    let mut kept: Map<String, Value> = old.as_object().cloned().unwrap_or_default();
    match status {
        Some(status) => kept.insert("status".into(), status),
        None => kept.remove("status"),
    };
    let managed = metadata.get("managedFields").cloned();
    if place.row.is_custom() {
        metadata = old["metadata"].clone();
    } else if let Some(fields) = metadata.as_object_mut() {
        let kept = kept_by_status(&place.row.group, &place.row.plural);
        for field in kept.iter().chain(place.row.strategy.status_keeps).copied() {
            match old["metadata"].get(field) {
                Some(value) => fields.insert(field.into(), value.clone()),
                None => fields.remove(field),
            };
        }
    }
    if let Some(fields) = metadata.as_object_mut() {
        fields.remove("resourceVersion");
        if let Some(managed) = managed {
            fields.insert("managedFields".into(), managed);
        }
    }
    kept.insert("metadata".into(), metadata);
    *new = Value::Object(kept);
}
