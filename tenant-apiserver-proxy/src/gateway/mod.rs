//! The one way to write: defaulting → admission → validation → field ownership → commit.
//!
//! A write is a function from the old object to the new one, run again with the newer old object when another
//! write came between. Read in the order in which a write runs: [`metadata`] (what the server sets), [`create`],
//! [`update`], [`delete`]; and [`guarding`] (what webhooks and policies are shown of it).

pub mod create;
pub mod delete;
pub mod guarding;
pub mod metadata;
pub mod update;

use crate::admission::quotas::Turn;
use crate::cache::feed::store_key;
use crate::cache::record::{self, Record};
use crate::conversion::known::Known;
use crate::limits;
use crate::planes::Plane;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::selectors::fields_of;
use api_resources::{ResourceRow, Version};
use api_schema::TypeRef;
use api_types::{ApiError, Cause, GroupResource, ObjectName, ResourceKey, Revision};
use bytes::Bytes;
use compact_str::CompactString;
use jiff::Timestamp;
use object_store::{Commit, CommitError, ObjectStore, Operation, Precondition, Space};
use serde_json::Value;
use service_runtime::Seldom;
use std::sync::Arc;
use std::time::Duration;

/// How often a write is tried again when other writes come between. Each time another write has succeeded.
const TRIES: usize = 128;

/// What is written: an object of a resource, through a version and perhaps a subresource.
#[derive(Clone)]
pub struct Place {
    /// The resource.
    pub row: Arc<ResourceRow>,
    /// The version of the request.
    pub version: Version,
    /// The namespace of the request; empty for cluster-scoped resources.
    pub namespace: CompactString,
    /// The name of the request; empty for the collection.
    pub name: CompactString,
    /// The subresource of the request; empty for the object itself.
    pub subresource: CompactString,
    /// What the object is in other versions, as far as that has been asked.
    pub known: Arc<Known>,
}

impl Place {
    /// Group and plural under which the object is stored.
    pub fn resource(&self) -> GroupResource {
        self.row.stored_resource()
    }

    /// Group and plural of the request, which errors name.
    pub fn asked(&self) -> GroupResource {
        GroupResource::new(&self.row.group, &self.row.plural)
    }

    /// The object.
    pub fn object(&self) -> ObjectName {
        ObjectName::new(&self.namespace, &self.name)
    }

    /// The type of the object in the version of the request.
    pub fn root(&self) -> TypeRef<'_> {
        self.version.graph.at(self.version.root)
    }

    /// True for Kubernetes' own kinds: custom ones and the platform's have no protobuf form.
    pub fn has_protobuf(&self) -> bool {
        !self.row.is_custom() && self.root().field("metadata").is_some_and(|field| field.number != 0)
    }

    /// `apps/v1`.
    pub fn api_version(&self) -> String {
        api_types::GroupVersion::new(&self.row.group, &self.version.name).to_string()
    }

    /// True for what the `apiVersion` of objects of the request's version says.
    pub fn is_api_version(&self, text: &str) -> bool {
        let (group, version) = text.rsplit_once('/').unwrap_or(("", text));
        group == self.row.group && version == self.version.name
    }

    /// The version that writes are made in: that of the request for custom kinds, which are stored in another one
    /// only at the end; the stored one for built-in kinds.
    pub fn written_version(&self) -> &Version {
        if self.row.is_custom() { &self.version } else { self.row.stored_version().unwrap_or(&self.version) }
    }

    /// `apiVersion` of objects while they are written.
    pub fn written_api_version(&self) -> String {
        if self.row.is_custom() { self.api_version() } else { self.row.stored_api_version() }
    }

    /// An object of the request's version as it is written.
    pub fn to_written(&self, mut object: Value) -> Value {
        if self.row.is_custom() {
            object["apiVersion"] = self.api_version().into();
        } else {
            api_resources::convert::to_stored(&self.row, &self.version, &mut object);
        }
        object
    }

    /// An object in the form in which it is written in the request's version.
    pub fn from_written(&self, mut object: Value) -> Value {
        if !self.row.is_custom() {
            api_resources::convert::from_stored(&self.row, &self.version, &mut object);
        }
        object
    }

    /// True when the request's version is not what is written.
    pub fn converts(&self) -> bool {
        self.version.converter.is_some()
    }

    fn key(&self, name: &str) -> String {
        store_key(&ResourceKey::new(self.resource(), &self.namespace, name))
    }

    /// 422 with these causes.
    pub fn invalid(&self, name: &str, mut causes: Vec<Cause>) -> ApiError {
        if !self.row.is_custom() {
            let version = self.written_version();
            api_resources::internal::show_values(version.graph.at(version.root), &mut causes);
        }
        ApiError::invalid(self.row.stored_group(), &self.row.kind, name, causes)
    }
}

/// How to write.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Do everything but commit.
    pub dry_run: bool,
    /// Who owns the fields.
    pub manager: String,
}

/// What a write did.
pub struct Written {
    /// The object as it is now, in the stored version; after a dry run, as it would be.
    pub object: Arc<Record>,
    /// It was not there before.
    pub created: bool,
    /// It is gone by this write.
    pub removed: bool,
    /// For the `Warning` headers.
    pub warnings: Vec<String>,
}

/// What admission adds to a commit: addresses, counters, the objects of a new tenant.
#[derive(Default)]
pub struct Extra {
    /// What must hold too.
    pub preconditions: Vec<Precondition>,
    /// What is done too.
    pub operations: Vec<Operation>,
    /// Held until it is done.
    pub turn: Option<Turn>,
}

impl Extra {
    /// Adds what another part of admission adds.
    pub fn join(&mut self, other: Extra) {
        self.preconditions.extend(other.preconditions);
        self.operations.extend(other.operations);
        self.turn = self.turn.take().or(other.turn);
    }
}

/// Why a commit did not happen.
pub(crate) enum Refused {
    /// The object was changed meanwhile.
    Object,
    /// Something that admission relied on was changed meanwhile.
    Extra,
    /// The store failed.
    Failed(ApiError),
}

/// Commits a new or changed object, waits until reads show it, and gives it as it is stored. `object`: it, and what
/// tells its schema.
pub(crate) async fn commit(
    server: &Server,
    plane: &Plane,
    place: &Place,
    name: &str,
    expected: Revision,
    (object, schema): (&Value, u64),
    extra: Extra,
) -> Result<Arc<Record>, Refused> {
    let name_of = ObjectName::new(&place.namespace, name);
    let stored = record::encode(object, fields_of(&place.row, object), schema);
    // What goes is never held back.
    if !object["metadata"]["deletionTimestamp"].is_string() {
        // What is expected to be new has nothing before it, or is refused.
        let is_new = expected == Revision::ZERO;
        let found = (!is_new).then(|| server.cache.get(plane.id, &place.resource(), &name_of)).flatten();
        let before = found.filter(|record| !record.shared).map(|record| record.bytes.len());
        let grown = record::json_size(&stored).saturating_sub(before.unwrap_or(0)) as u64;
        let more = (u64::from(before.is_none()), grown);
        limits::check(server, plane, &place.resource(), name, more).map_err(Refused::Failed)?;
    }
    let space = Space::new(plane.id);
    let key = place.key(name);
    let put = space.put(key.clone(), stored.clone());
    let revision = carry_out(server, plane, space.expect(key, expected), put, extra).await?;
    // Another write may have come after it.
    match server.cache.get(plane.id, &place.resource(), &name_of) {
        Some(record) if record.revision == revision => Ok(record),
        _ => record::decode(name_of, &stored, revision)
            .map(Arc::new)
            .map_err(|error| Refused::Failed(ApiError::internal(error))),
    }
}

/// Commits the removal of an object, and waits until reads show it gone. A shared one comes back at once, as another.
pub(crate) async fn remove(
    server: &Server,
    plane: &Plane,
    place: &Place,
    record: &Record,
    extra: Extra,
) -> Result<Revision, Refused> {
    let space = Space::new(plane.id);
    let key = place.key(&place.name);
    let expected = space.expect(key.clone(), record.expected());
    let operation = match reborn(server, plane, place, record).map_err(Refused::Failed)? {
        Some(stored) => space.put(key, stored),
        None => space.delete(key),
    };
    carry_out(server, plane, expected, operation, extra).await
}

/// What the plane stores in place of a shared object that goes: its own copy, with a UID and an age of its own. Who
/// waits for the end of an object sees by the UID that this is another.
fn reborn(server: &Server, plane: &Plane, place: &Place, record: &Record) -> Result<Option<Bytes>, ApiError> {
    let shared = server.cache.shared(plane.id, &place.resource(), &place.object());
    let Some(shared) = shared.filter(|shared| shared.meta.uid == record.meta.uid) else { return Ok(None) };
    let mut object = shared.value().map_err(ApiError::internal)?;
    let metadata = metadata::of(&mut object);
    metadata.remove("resourceVersion");
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), metadata::timestamp(Timestamp::now()).into());
    Ok(Some(record::encode(&object, fields_of(&place.row, &object), shared.schema)))
}

/// Commits the operation on an object with what admission adds, where the object and the plane are as expected.
async fn carry_out(
    server: &Server,
    plane: &Plane,
    expected: Precondition,
    operation: Operation,
    extra: Extra,
) -> Result<Revision, Refused> {
    let mut commit = Commit { preconditions: vec![expected], operations: extra.operations };
    commit.preconditions.extend(extra.preconditions);
    let alive = commit.preconditions.len();
    commit.preconditions.extend(server.alive(plane).map_err(Refused::Failed)?);
    // The object itself goes last: who sees it gone sees what belonged to it gone too.
    commit.operations.push(operation);
    match server.commit_in_turn(plane.who(), commit).await {
        Ok(revision) => Ok(revision),
        Err(CommitError::Precondition { index, actual }) => {
            catch_up(server, actual).await.map_err(Refused::Failed)?;
            match index {
                0 => Err(Refused::Object),
                // Its client CA may have changed: its life goes on.
                _ if index == alive => {
                    Err(server.alive(plane).map_or_else(Refused::Failed, |_| Refused::Extra))
                }
                _ => Err(Refused::Extra),
            }
        }
        Err(error) => Err(Refused::Failed(store_failed(&error))),
    }
}

/// Waits until reads show what a commit came too late for, so that another try begins with it.
pub(crate) async fn catch_up(server: &Server, actual: Revision) -> Result<(), ApiError> {
    let newest = match actual {
        // The key is gone, and nobody says since when.
        Revision::ZERO => server.store.revision().await.map_err(|error| store_failed(&error.into()))?,
        revision => revision,
    };
    server.cache.wait_for(newest).await;
    Ok(())
}

/// What a client is told when the store fails. While it refuses, every write does: the log has one line in ten seconds.
pub fn store_failed(error: &CommitError) -> ApiError {
    static SAID: Seldom = Seldom::new(Duration::from_secs(10));
    if let Some(unsaid) = SAID.due() {
        tracing::error!(%error, unsaid, "a commit failed");
    }
    match error {
        CommitError::Unknown(_) => {
            ApiError::new(api_types::Reason::Timeout, "it is not known whether the request was carried out")
        }
        CommitError::Malformed(why) => ApiError::internal(why),
        _ => ApiError::unavailable("the store cannot be written at the moment", 1),
    }
}

/// A record that was never stored: what a write answers. The object is of the version in which it was written.
pub(crate) fn unstored(
    place: &Place,
    object: &Value,
    revision: Option<Revision>,
) -> Result<Arc<Record>, ApiError> {
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    let stored = record::encode(object, Vec::new(), place.written_version().schema_hash);
    let made = record::decode(ObjectName::new(&place.namespace, name), &stored, revision.unwrap_or_default());
    let record = made.map_err(ApiError::internal)?;
    Ok(Arc::new(if revision.is_none() { record.without_revision() } else { record }))
}

/// The old object of a write, decoded.
pub(crate) fn live(server: &Server, auth: &Authorized, place: &Place) -> Option<Arc<Record>> {
    server.cache.get(auth.plane().id, &place.resource(), &place.object())
}
