//! Custom resources between their versions: by their schemas alone, or by the webhook that their definition names.
//!
//! Guarantees: what a webhook says is checked before it is used, and nothing of it is kept beyond the request or the
//! event that it was asked for. Who waits for a webhook waits without a lock, without a thread and without a seat, as for
//! those of admission; of the platform's own parts, a bounded number waits for the webhooks of one plane. A webhook that
//! fails fails the request, before anything is stored.
//!
//! Read in this order: [`webhook`] (one review), [`review`] (what an answer may say), [`known`] (what ownership of
//! fields has to see in other versions).

pub mod known;
mod review;
mod webhook;

use crate::cache::record::{self, Record};
use crate::gateway::{self, Place};
use crate::planes::Plane;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::{ResourceRow, Version, convert};
use api_types::ApiError;
use serde_json::Value;
use std::sync::Arc;

/// For whom objects are converted.
#[derive(Clone)]
pub struct Caller<'a> {
    plane: Arc<Plane>,
    /// Who makes a request, and may have a seat, which others get while a webhook is asked.
    request: Option<(&'a Server, &'a Authorized)>,
}

impl<'a> Caller<'a> {
    /// Who makes a request.
    pub fn of(server: &'a Server, auth: &'a Authorized) -> Self {
        Caller { plane: auth.plane().clone(), request: Some((server, auth)) }
    }
}

impl Caller<'static> {
    /// Who watches.
    pub fn watching(auth: &Authorized) -> Self {
        Caller { plane: auth.plane().clone(), request: None }
    }
}

/// The version of an object's `apiVersion`.
fn version_of(api_version: &str) -> &str {
    api_version.rsplit('/').next().unwrap_or("")
}

/// True when a record has to pass a webhook to be shown in a version.
pub fn needs_webhook(row: &ResourceRow, version: &Version, record: &Record) -> bool {
    row.conversion.is_some() && version_of(&record.api_version) != version.name
}

/// True when a record can be sent as it is stored.
pub fn is_in_form(place: &Place, record: &Record) -> bool {
    record.broken.is_none()
        && record.schema == place.version.schema_hash
        && place.is_api_version(&record.api_version)
}

/// A stored object of a custom kind as its own version has it now.
fn renewed(row: &ResourceRow, record: &Record) -> Result<Value, ApiError> {
    let mut object = record.value().map_err(ApiError::internal)?;
    if let Some(stored) = row.known_version(version_of(&record.api_version))
        && stored.schema_hash != record.schema
    {
        convert::renew(stored, &mut object);
    }
    Ok(object)
}

/// A record in the version of a place. Where a webhook converts, [`shown`] comes before.
pub fn in_version(place: &Place, record: &Record) -> Result<Value, ApiError> {
    if !place.row.is_custom() {
        return Ok(place.from_written(record.value().map_err(ApiError::internal)?));
    }
    let mut object = renewed(&place.row, record)?;
    if version_of(&record.api_version) != place.version.name {
        convert::fit(&place.row, &place.version, &mut object);
    }
    Ok(object)
}

/// Records as the version of a place has them, those that only a webhook can convert; the others as they are.
pub async fn shown(
    caller: &Caller<'_>,
    place: &Place,
    records: Vec<Arc<Record>>,
) -> Result<Vec<Arc<Record>>, ApiError> {
    let needs = |record: &Arc<Record>| needs_webhook(&place.row, &place.version, record);
    if !records.iter().any(needs) {
        return Ok(records);
    }
    let strange: Vec<&Arc<Record>> = records.iter().filter(|record| needs(record)).collect();
    let objects = strange.iter().map(|record| renewed(&place.row, record)).collect::<Result<Vec<_>, _>>()?;
    let mut converted = convert_all(caller, &place.row, &place.version, objects).await?.into_iter();
    let mut out = Vec::with_capacity(records.len());
    for record in records {
        out.push(if needs(&record) { converted_record(place, &record, converted.next())? } else { record });
    }
    Ok(out)
}

/// One record as the version of a place has it.
pub async fn shown_one(
    caller: &Caller<'_>,
    place: &Place,
    record: Arc<Record>,
) -> Result<Arc<Record>, ApiError> {
    if !needs_webhook(&place.row, &place.version, &record) {
        return Ok(record);
    }
    let one = shown(caller, place, vec![record]).await?.pop();
    one.ok_or_else(|| ApiError::internal("a conversion gave nothing"))
}

/// A stored object in the form in which it is written.
pub async fn written_form(
    caller: &Caller<'_>,
    place: &Place,
    record: &Arc<Record>,
) -> Result<Value, ApiError> {
    if !place.row.is_custom() {
        return record.value().map_err(ApiError::internal);
    }
    let shown = shown_one(caller, place, record.clone()).await?;
    in_version(place, &shown)
}

fn converted_record(place: &Place, before: &Record, object: Option<Value>) -> Result<Arc<Record>, ApiError> {
    let object = object.ok_or_else(|| ApiError::internal("a conversion gave too little"))?;
    let stored = record::encode(&object, before.meta.fields.clone(), place.version.schema_hash);
    let made = record::decode(before.name.clone(), &stored, before.revision).map_err(ApiError::internal)?;
    // What a dry run made has no version.
    let versioned = object["metadata"]["resourceVersion"].is_string();
    Ok(Arc::new(if versioned { made } else { made.without_revision() }))
}

/// Objects of a custom kind, each of the version that it says, in a version.
pub async fn convert_all(
    caller: &Caller<'_>,
    row: &ResourceRow,
    version: &Version,
    objects: Vec<Value>,
) -> Result<Vec<Value>, ApiError> {
    let strange = |object: &Value| version_of(object["apiVersion"].as_str().unwrap_or("")) != version.name;
    let mut out = match &row.conversion {
        Some(hook) if objects.iter().any(strange) => {
            webhook::convert(caller, hook, row, version, objects).await?
        }
        _ => {
            let mut objects = objects;
            for object in objects.iter_mut().filter(|object| strange(object)) {
                convert::fit(row, version, object);
            }
            return Ok(objects);
        }
    };
    out.iter_mut().for_each(|object| convert::fit(row, version, object));
    Ok(out)
}

/// One object of a custom kind in a version.
pub async fn convert_one(
    caller: &Caller<'_>,
    row: &ResourceRow,
    version: &Version,
    object: Value,
) -> Result<Value, ApiError> {
    let one = convert_all(caller, row, version, vec![object]).await?.pop();
    one.ok_or_else(|| ApiError::internal("a conversion gave nothing"))
}

/// An object as it is stored, and as who wrote it is shown it.
pub struct Kept {
    /// As it is stored.
    pub stored: Value,
    /// Tells the schema of that.
    pub schema: u64,
    shown: Option<Value>,
}

impl Kept {
    /// As its writer is shown it, in the version of the request.
    pub fn shown(&self) -> &Value {
        self.shown.as_ref().unwrap_or(&self.stored)
    }

    /// What its writer is shown once it is written.
    pub fn written(&self, place: &Place, written: Arc<Record>) -> Result<Arc<Record>, ApiError> {
        match &self.shown {
            Some(shown) => gateway::unstored(place, shown, Some(written.revision)),
            None => Ok(written),
        }
    }
}

/// Makes an object, in the form in which the gateway has it, one to be stored. What its writer is shown is what comes
/// back of that: so whoever cannot be answered has not written either.
pub async fn keep(caller: &Caller<'_>, place: &Place, mut object: Value) -> Result<Kept, ApiError> {
    let row = &place.row;
    if row.is_custom() {
        api_schema::decode::plain_numbers(&mut object);
        // Server-side apply keeps nulls until the object is stored.
        if let Some(schema) = &place.written_version().schema {
            schema.drop_nulls(&mut object);
        }
    }
    let stored_version = row.stored_version().filter(|stored| stored.name != place.version.name);
    let Some(version) = stored_version.filter(|_| row.is_custom()) else {
        return Ok(Kept { stored: object, schema: place.written_version().schema_hash, shown: None });
    };
    let mut stored = convert_one(caller, row, version, object).await?;
    convert::renew(version, &mut stored);
    let shown = convert_one(caller, row, &place.version, stored.clone()).await?;
    Ok(Kept { stored, schema: version.schema_hash, shown: Some(shown) })
}
