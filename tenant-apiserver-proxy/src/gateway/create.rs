//! Create: what the server sets, defaults, admission, validation, ownership, commit.

use super::{Place, Refused, TRIES, WriteOptions, Written, commit, guarding, metadata, unstored};
use crate::admission;
use crate::admission::guards::{self, Asked, Operation};
use crate::cache::record::Record;
use crate::conversion::{self, Caller};
use crate::ownership;
use crate::server::Server;
use crate::stages::Authorized;
use api_schema::zero::Empty;
use api_types::{ApiError, Cause, Revision};
use jiff::Timestamp;
use serde_json::Value;

/// How many more names are made from a prefix when the first one is taken, as in Kubernetes (KEP-4420).
const MORE_NAMES: usize = 7;

/// Creates an object. `object` is in the version of the request, decoded.
pub async fn create(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    object: Value,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    run(server, auth, place, object, options, false).await
}

/// Creates an object whose `managedFields` server-side apply has set.
pub async fn create_owned(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    object: Value,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    run(server, auth, place, object, options, true).await
}

async fn run(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    mut object: Value,
    options: &WriteOptions,
    owned: bool,
) -> Result<Written, ApiError> {
    let now = Timestamp::now();
    let caller = Caller::of(server, auth);
    object = place.to_written(object);
    let prefix = metadata::text(&object, "generateName").to_owned();
    let generated = metadata::text(&object, "name").is_empty() && !prefix.is_empty();
    let names_version = metadata::names_version(&object);
    metadata::stamp_new(&mut object, place, now)?;
    let twice = metadata::twice_owned(&metadata::unique_owners(&mut object), false);
    if place.row.strategy.named_by_server && metadata::text(&object, "name").is_empty() && !generated {
        metadata::of(&mut object).insert("name".into(), uuid::Uuid::new_v4().to_string().into());
    }
    let nameless = place.name.is_empty();
    let mut clashes = 0;
    for _ in 0..TRIES {
        let mut object = object.clone();
        if generated {
            metadata::of(&mut object).insert("name".into(), metadata::generate_name(&prefix).into());
        }
        let drawn = metadata::text(&object, "name").to_owned();
        let mut place = place.clone();
        place.name = drawn.as_str().into();
        let place = &place;
        let empties = default_new(place, &mut object);
        if !owned {
            ownership::record(&caller, place, None, &mut object, &options.manager, now).await?;
        }
        admission::create(server, auth, place, &mut object)?;
        let asked = Asked::to_write(server, auth, place, Operation::Create, options.dry_run);
        let asked = Asked { nameless, ..asked };
        guarding::mutate_new(&asked, &mut object, generated).await?;
        // A guard may have given it another name.
        let name = metadata::text(&object, "name").to_owned();
        let renamed = Place { name: name.as_str().into(), ..place.clone() };
        let (place, asked) = (&renamed, Asked { place: &renamed, ..asked });
        let there = server.cache.get(auth.plane().id, &place.resource(), &place.object());
        let taken = there.as_ref().is_some_and(|record| !record.shared);
        if taken && generated && name == drawn && clashes < MORE_NAMES {
            clashes += 1;
            continue;
        }
        admission::settle(server, auth, place, &mut object, None)?;
        prepare_new(place, &mut object);
        admission::definitions::check_new(server, auth, place, &object)?;
        normalize(place, &mut object);
        api_schema::zero::put_back(&empties, &mut object);
        let mut causes = admission::devices::defects(server, auth, place, &object, None);
        causes.extend(validate_new(place, &object));
        if !empties.is_empty() {
            normalize(place, &mut object);
        }
        if !causes.is_empty() {
            return Err(place.invalid(&name, causes));
        }
        let told = admission::check_valid(server, auth, place, &object, None).await?;
        admission::definitions::compile(server, place, &object)?;
        guards::validate(&asked, Some(&object), None).await?;
        admission::quotas::check(server, auth, place, &object, None)?;
        // As in Kubernetes, what is wrong with an object is said before that its name is taken.
        if names_version && !options.dry_run {
            return Err(metadata::new_with_version());
        }
        let mut warnings: Vec<String> = twice.iter().cloned().collect();
        warnings.extend((place.row.strategy.create_warnings)(&object));
        warnings.extend((place.row.strategy.warnings)(&object));
        warnings.extend(told);
        if taken {
            warnings.iter().for_each(|warning| auth.warn(warning));
            return Err(name_is_taken(place, &prefix, there.as_deref()));
        }
        warnings.extend(api_resources::table::idle(&place.row.group, &place.row.plural));
        if options.dry_run {
            admission::preview(server, auth, place, None, &mut object)?;
            let kept = conversion::keep(&caller, place, object).await?;
            let object = unstored(place, kept.shown(), None)?;
            return Ok(Written { object, created: true, removed: false, warnings });
        }
        let extra = admission::reserve(server, auth, place, None, &mut object).await?;
        let kept = conversion::keep(&caller, place, object).await?;
        let object = (&kept.stored, kept.schema);
        match commit(server, auth.plane(), place, &name, Revision::ZERO, object, extra).await {
            Ok(written) => {
                admission::definitions::establish(server, auth.plane(), place, &name).await?;
                let object = kept.written(place, written)?;
                return Ok(Written { object, created: true, removed: false, warnings });
            }
            Err(Refused::Object) if generated && clashes < MORE_NAMES => clashes += 1,
            Err(Refused::Object) => {
                let there = server.cache.get(auth.plane().id, &place.resource(), &place.object());
                return Err(name_is_taken(place, &prefix, there.as_deref()));
            }
            Err(Refused::Extra) => {}
            Err(Refused::Failed(error)) => return Err(error),
        }
    }
    Err(ApiError::new(
        api_types::Reason::ServerTimeout,
        "the object could not be created: too many conflicting writes",
    ))
}

/// Who has the name may be on its way out, which is told.
fn name_is_taken(place: &Place, prefix: &str, there: Option<&Record>) -> ApiError {
    let error = match prefix {
        "" => ApiError::already_exists(&place.asked(), &place.name),
        _ => ApiError::not_unique(&place.asked(), &place.name),
    };
    let object = there.and_then(|record| record.value().ok()).unwrap_or_default();
    match object.pointer("/metadata/deletionTimestamp") {
        Some(Value::String(_)) => error.still_exists(),
        _ => error,
    }
}

/// Sets what is not said: first what the schema says, then what depends on other fields. Gives the empty lists and
/// maps that were sent, which validation has to see.
pub(super) fn default_new(place: &Place, object: &mut Value) -> Vec<Empty> {
    default_schema(place, object);
    (place.row.strategy.default)(object);
    let empties = empties(place, object);
    normalize(place, object);
    empties
}

/// The empty lists and maps that [`normalize`] drops.
pub(super) fn empties(place: &Place, object: &Value) -> Vec<Empty> {
    if place.row.is_custom() {
        return Vec::new();
    }
    let version = place.written_version();
    api_schema::zero::empties(version.graph.at(version.root), object)
}

/// Clears what a client may not set, and sets first values. Runs after ownership is recorded: what is set here is
/// nobody's.
fn prepare_new(place: &Place, object: &mut Value) {
    (place.row.strategy.prepare_create)(object);
    if place.row.is_custom() && place.row.has_status() {
        // The status of a custom resource with the subresource is written only through it.
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
    }
}

/// Sets the defaults of the schema of the version in which the object is written.
pub(super) fn default_schema(place: &Place, object: &mut Value) {
    let version = place.written_version();
    match &version.schema {
        Some(schema) => schema.default(object),
        None => api_schema::default::apply_defaults(version.graph.at(version.root), object),
    }
}

/// Leaves out what Kubernetes leaves out when it is empty, and writes what it always writes.
pub(super) fn normalize(place: &Place, object: &mut Value) {
    if !place.row.is_custom() {
        let version = place.written_version();
        api_schema::zero::normalize(version.graph.at(version.root), object);
    }
}

/// Kubernetes' own kinds whose finalizers may have any name: group and kind.
const FREE_FINALIZERS: &[(&str, &str)] = &[
    ("", "Event"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("apiregistration.k8s.io", "APIService"),
    ("coordination.k8s.io", "Lease"),
    ("node.k8s.io", "RuntimeClass"),
    ("policy", "PodDisruptionBudget"),
];

/// Most of Kubernetes' own kinds have a list of finalizers that need no prefix; definitions and what they define have
/// none.
pub(super) fn kube_finalizers(place: &Place, object: &Value) -> Vec<Cause> {
    let kind = (place.row.group.as_str(), place.row.kind.as_str());
    let exempt = FREE_FINALIZERS.contains(&kind)
        || (kind.1 == "CronJob" && place.subresource == "status")
        || place.row.is_custom()
        || place.row.group == "apiextensions.k8s.io";
    if exempt { Vec::new() } else { api_resources::metadata::kube_finalizers(object) }
}

/// All defects of a new object.
pub(super) fn validate_new(place: &Place, object: &Value) -> Vec<Cause> {
    let strategy = &place.row.strategy;
    let mut causes =
        api_resources::metadata::validate_create(object, place.row.namespaced, strategy.validate_name);
    causes.extend(kube_finalizers(place, object));
    let mut own = (strategy.validate_create)(object);
    match (place.row.group.as_str(), place.row.kind.as_str()) {
        // Of an event of the first form nothing is told of its metadata while it has other defects.
        ("", "Event") if !own.is_empty() => return own,
        // Of the second one, its namespace is told first.
        ("events.k8s.io", "Event") if own.first().is_some_and(|c| c.field == "involvedObject.namespace") => {
            causes.insert(0, own.remove(0));
        }
        _ => {}
    }
    causes.append(&mut own);
    if let Some(schema) = place.version.schema.as_ref() {
        causes.extend(schema.judge_new(object, &causes));
        if let Some(paths) = &place.version.scale {
            causes.extend(api_resources::crd::validate_scale(paths, object, false));
        }
    }
    causes
}
