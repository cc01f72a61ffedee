//! The plane client of services in the same process: reads are the server's cache itself, writes take the same way as
//! those of every other client from authorization on.
//!
//! Of a plane that is held ([`crate::restoring`]) nothing is listed or watched: all of it comes when it is shown. An object
//! of it is found by its name, as who reserves the addresses of its Services needs it.

use crate::authentication::User;
use crate::cache::collection::Change;
use crate::cache::record::Record;
use crate::decoding::{Media, Payload};
use crate::gateway::delete::DeleteOptions;
use crate::gateway::{Place, WriteOptions};
use crate::handlers::{self, Incoming};
use crate::request_info::{RequestInfo, ResourceRequest};
use crate::server::Server;
use crate::stages::{Authenticated, Authorized, Call, Query};
use api_resources::Verb;
use api_types::{ApiError, GroupResource, Meta, ObjectName, Resource, Revision, TenantId};
use async_trait::async_trait;
use plane_client::{
    Actor, Delete, KindInfo, Object, Patch, PlaneClient, Scope, Selected, Target, Wanted, WatchItem, Write,
};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Items that a consumer may lag before its stream stands still, and then begins anew.
const BUFFER: usize = 1_024;

/// The plane client over the server's own cache.
pub struct InProcess {
    server: Arc<Server>,
}

impl InProcess {
    /// A client of this server.
    pub fn new(server: Arc<Server>) -> Self {
        InProcess { server }
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    fn object(tenant: TenantId, resource: &GroupResource, record: &Record) -> Object {
        Object {
            tenant,
            resource: resource.clone(),
            name: record.name.clone(),
            revision: record.revision,
            bytes: record.bytes.clone(),
            meta: record.meta.clone(),
        }
    }

    fn planes(&self, scope: Scope) -> Vec<TenantId> {
        let planes = &self.server.planes;
        let shown = |id: &TenantId| scope.contains(*id) && !planes.is_held(*id);
        planes.all().iter().map(|plane| plane.id).filter(shown).collect()
    }
}

#[async_trait]
impl PlaneClient for InProcess {
    fn list_watch(&self, resource: &GroupResource, scope: Scope) -> mpsc::Receiver<WatchItem> {
        let (sender, receiver) = mpsc::channel(BUFFER);
        let (server, resource) = (self.server.clone(), resource.clone());
        tokio::spawn(async move {
            let client = InProcess { server };
            // Ends when the consumer is gone. A watch that lags too much ends, and begins anew with everything.
            while client.feed(&resource, scope, &sender).await.is_some() {}
        });
        receiver
    }

    async fn get(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        object: &ObjectName,
    ) -> Result<Option<Object>, ApiError> {
        self.server.cache.wait_for_whole_commit().await;
        let found = self.server.cache.get(tenant, resource, object);
        Ok(found.map(|record| Self::object(tenant, resource, &record)))
    }

    async fn list(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        namespace: &str,
    ) -> Result<Vec<Object>, ApiError> {
        self.server.cache.wait_for_whole_commit().await;
        if self.server.planes.is_held(tenant) {
            return Ok(Vec::new());
        }
        let records = self.server.cache.collection(tenant, resource).list(namespace);
        Ok(records.iter().map(|record| Self::object(tenant, resource, record)).collect())
    }

    async fn select(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        namespace: &str,
        wanted: &Wanted<'_>,
    ) -> Result<Selected, ApiError> {
        self.server.cache.wait_for_whole_commit().await;
        let mut selected = Selected::default();
        if self.server.planes.is_held(tenant) {
            return Ok(selected);
        }
        let snapshot = self.server.cache.collection(tenant, resource).snapshot();
        for record in snapshot.records(namespace, None).iter() {
            selected.newest = selected.newest.max(record.revision);
            if wanted(&record.name, &record.meta) {
                selected.objects.push(Self::object(tenant, resource, record));
            }
        }
        Ok(selected)
    }

    async fn dependents(&self, tenant: TenantId, owner_uid: &str) -> Result<Vec<Object>, ApiError> {
        self.server.cache.wait_for_whole_commit().await;
        let found = self.server.cache.dependents(tenant, owner_uid);
        Ok(found.iter().map(|(resource, record)| Self::object(tenant, resource, record)).collect())
    }

    async fn kind(
        &self,
        tenant: TenantId,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<KindInfo>, ApiError> {
        self.server.cache.wait_for_whole_commit().await;
        let Some(plane) = self.server.planes.get(tenant) else { return Ok(None) };
        let Some(version) = api_types::GroupVersion::parse(api_version) else { return Ok(None) };
        let catalog = plane.catalog.load_full();
        let row = catalog.by_kind(&version.group, &version.version, kind);
        Ok(row.map(|row| KindInfo {
            resource: Resource {
                group: row.stored_group().into(),
                version: row
                    .alias_of
                    .as_ref()
                    .map_or(version.version.clone(), |alias| alias.version.name.clone()),
                resource: row.plural.clone(),
            },
            kind: row.kind.to_string(),
            namespaced: row.namespaced,
        }))
    }

    async fn resources(&self, tenant: TenantId) -> Result<Vec<KindInfo>, ApiError> {
        // A plane is known with the last change of the commit that it is born in.
        self.server.cache.wait_for_whole_commit().await;
        let Some(plane) = self.server.planes.get(tenant) else { return Ok(Vec::new()) };
        let catalog = plane.catalog.load_full();
        // What another group's resource stores comes with that one.
        let rows = catalog
            .rows()
            .filter(|row| row.has(Verb::List) && row.has(Verb::Delete) && row.alias_of.is_none());
        Ok(rows
            .map(|row| KindInfo {
                resource: Resource {
                    group: row.group.clone(),
                    // Whatever is stored is reached through what is served.
                    version: row
                        .version(&row.storage_version)
                        .or(row.versions.first())
                        .map_or_else(|| row.storage_version.clone(), |version| version.name.clone()),
                    resource: row.plural.clone(),
                },
                kind: row.kind.to_string(),
                namespaced: row.namespaced,
            })
            .collect())
    }

    async fn write(&self, actor: &Actor, target: &Target, write: Write) -> Result<Object, ApiError> {
        self.perform(actor, target, write).await
    }
}

impl InProcess {
    /// Sends everything, then changes, until the consumer is gone (`None`) or changes were missed (`Some`).
    async fn feed(
        &self,
        resource: &GroupResource,
        scope: Scope,
        out: &mpsc::Sender<WatchItem>,
    ) -> Option<()> {
        let planes = &self.server.planes;
        let (mut changes, mut shown) = (self.server.cache.watch_all(resource), planes.shown());
        for tenant in self.planes(scope) {
            self.send_all(tenant, resource, out).await?;
        }
        out.send(WatchItem::Synced).await.ok()?;
        loop {
            tokio::select! {
                change = changes.recv() => {
                    let (tenant, change) = match change {
                        Some(change) => change,
                        None => return Some(()),
                    };
                    if scope.contains(tenant) && !planes.is_held(tenant) {
                        out.send(Self::item(tenant, resource, &change)).await.ok()?;
                    }
                }
                // All of a plane that was held is there now.
                tenant = shown.recv() => match tenant {
                    Ok(tenant) if scope.contains(tenant) => self.send_all(tenant, resource, out).await?,
                    Ok(_) => {}
                    Err(_) => return Some(()),
                },
                () = out.closed() => return None,
            }
        }
    }

    /// Sends what a plane has of a resource; `None`: the consumer is gone.
    async fn send_all(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        out: &mpsc::Sender<WatchItem>,
    ) -> Option<()> {
        for record in self.server.cache.collection(tenant, resource).list("") {
            out.send(WatchItem::Applied(Self::object(tenant, resource, &record))).await.ok()?;
        }
        Some(())
    }

    fn item(tenant: TenantId, resource: &GroupResource, change: &Change) -> WatchItem {
        let object = Self::object(tenant, resource, &change.object);
        if change.is_deleted() { WatchItem::Deleted(object) } else { WatchItem::Applied(object) }
    }

    async fn perform(&self, actor: &Actor, target: &Target, write: Write) -> Result<Object, ApiError> {
        let server = &self.server;
        let plane = server.planes.get(target.tenant).ok_or_else(|| {
            ApiError::not_found(
                &GroupResource::new("tenancy.insula.dev", "tenants"),
                &target.tenant.to_string(),
            )
        })?;
        let catalog = plane.catalog.load_full();
        let wanted = &target.resource;
        let row = catalog.resource(&wanted.group, &wanted.resource).ok_or_else(ApiError::no_such_path)?;
        // What is stored is reached also where it is not served: it has to be cleaned up.
        let version = row.known_version(&wanted.version).cloned().ok_or_else(ApiError::no_such_path)?;
        let row = row.of_version(&version.name).cloned().unwrap_or(row);
        let named = !matches!(write, Write::Create(_)) || !target.subresource.is_empty();
        let place = Place {
            namespace: if row.namespaced { target.object.namespace.clone() } else { "".into() },
            row,
            version,
            name: if named { target.object.name.clone() } else { "".into() },
            subresource: target.subresource.into(),
            known: Arc::default(),
        };
        let auth = self.authorize(actor, &place, plane, &write)?;
        let options = WriteOptions { dry_run: false, manager: actor.manager().to_owned() };
        // What is only created is a question, and not stored.
        let question = place.row.verbs == [Verb::Create];
        if question || !matches!(target.subresource, "" | "status" | "finalize") {
            return self.act(&auth, target, &place, write).await;
        }
        let written = match write {
            Write::Create(body) => {
                let body = decoded(&place, &body)?;
                crate::gateway::create::create(server, &auth, &place, body, &options).await?
            }
            Write::Update(body) => {
                let body = decoded(&place, &body)?;
                crate::gateway::update::update(server, &auth, &place, &options, false, |old| {
                    crate::gateway::metadata::check_uid(&body, old, &place)?;
                    Ok(crate::gateway::update::Wanted { object: body.clone(), owned: false })
                })
                .await?
            }
            Write::Patch(Patch::Apply(config)) => {
                let config = decoded(&place, &config)?;
                handlers::patch::apply_object(server, &auth, &place, &config, true, &options).await?
            }
            Write::Patch(patch) => {
                let (of, patch) = match &patch {
                    Patch::Json(patch) => (handlers::patch::PatchType::Json, patch),
                    Patch::Strategic(patch) => (handlers::patch::PatchType::Strategic, patch),
                    Patch::Merge(patch) | Patch::Apply(patch) => (handlers::patch::PatchType::Merge, patch),
                };
                crate::gateway::update::update(server, &auth, &place, &options, false, |old| {
                    let object = decoded(&place, &handlers::patch::patched(&place, of, old, patch)?)?;
                    Ok(crate::gateway::update::Wanted { object, owned: false })
                })
                .await?
            }
            Write::Delete(delete) => {
                crate::gateway::delete::delete(server, &auth, &place, &delete_options(&delete)).await?
            }
        };
        Ok(Self::object(target.tenant, &place.resource(), &written.object))
    }

    /// Subresources that are actions take the handlers' way.
    async fn act(
        &self,
        auth: &Authorized,
        target: &Target,
        place: &Place,
        write: Write,
    ) -> Result<Object, ApiError> {
        let (body, content_type) = match write {
            Write::Create(body) | Write::Update(body) => (body, "application/json"),
            Write::Patch(Patch::Merge(body) | Patch::Strategic(body) | Patch::Apply(body)) => {
                (body, "application/merge-patch+json")
            }
            Write::Patch(Patch::Json(body)) => (body, "application/json-patch+json"),
            Write::Delete(_) => return Err(handlers::not_allowed()),
        };
        let incoming = Incoming::new(body.to_string(), content_type);
        let reply = handlers::dispatch(&self.server, auth, incoming).await?;
        let handlers_content = match reply.content {
            crate::reply::Content::Json(bytes) => bytes,
            crate::reply::Content::Status(status) => status.to_string().into(),
            _ => return Err(ApiError::internal("the answer is not JSON")),
        };
        if reply.code.is_client_error() || reply.code.is_server_error() {
            let status = serde_json::from_slice::<Value>(&handlers_content).unwrap_or(Value::Null);
            return Err(ApiError::from_status(&status));
        }
        Ok(Object {
            tenant: target.tenant,
            resource: place.resource(),
            name: target.object.clone(),
            revision: Revision::ZERO,
            bytes: handlers_content,
            meta: Arc::new(Meta::default()),
        })
    }

    fn authorize(
        &self,
        actor: &Actor,
        place: &Place,
        plane: Arc<crate::planes::Plane>,
        write: &Write,
    ) -> Result<Authorized, ApiError> {
        let verb = match write {
            Write::Create(_) => "create",
            Write::Update(_) => "update",
            Write::Patch(_) => "patch",
            Write::Delete(_) => "delete",
        };
        let info = RequestInfo::Resource(ResourceRequest {
            verb: verb.into(),
            group: place.row.group.clone(),
            version: place.version.name.clone(),
            namespace: place.namespace.clone(),
            resource: place.row.plural.clone(),
            name: place.name.clone(),
            subresource: place.subresource.clone(),
        });
        let query = Query::parse(&format!("fieldManager={}", actor.manager()));
        let (method, headers) = (http::Method::POST, http::HeaderMap::new());
        let call = Call { plane, method, info, query, headers, target: String::new() };
        match actor {
            Actor::Platform(name) => Ok(Authorized::platform(call, name)),
            Actor::User { user, groups, .. } => {
                let groups = groups.iter().filter(|group| *group != crate::stages::PLATFORM).cloned();
                let of_user = Authenticated::on_behalf_of(call, User::authenticated(user, groups));
                Ok(of_user.authorize(&self.server, None)?.through(actor.manager()))
            }
        }
    }
}

fn decoded(place: &Place, body: &Value) -> Result<Value, ApiError> {
    let bytes = serde_json::to_vec(body).map_err(ApiError::internal)?;
    let mode = api_schema::decode::FieldValidation::Strict;
    let payload = Payload { bytes: bytes.into(), media: Media::Json };
    Ok(crate::decoding::object(place, &payload, mode)?.value)
}

fn delete_options(delete: &Delete) -> DeleteOptions {
    DeleteOptions {
        uid: delete.uid.clone(),
        resource_version: delete.resource_version.clone(),
        grace_period_seconds: delete.grace_period_seconds.map(i64::from),
        propagation: delete.propagation,
        ..DeleteOptions::default()
    }
}
