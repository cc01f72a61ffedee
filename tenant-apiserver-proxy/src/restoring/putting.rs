//! Making a tenant of a backup: its birth, its objects, its Services' addresses, and its first day.
//!
//! Guarantees: until all objects are there the plane is held, so that no controller sees a part of them. Each commit
//! expects the plane to be alive: nothing is put into one that was deleted meanwhile. Objects go past admission, as they
//! did not change: no webhook and no policy is asked.

use super::selection::is_service;
use super::state::{ACTOR, Held, Stage, held, say};
use super::upload::{Restored, Upload};
use crate::admission::addresses;
use crate::bootstrap;
use crate::cache::feed::store_key;
use crate::gateway::{catch_up, store_failed};
use crate::in_process::InProcess;
use crate::planes::{Plane, PlaneKind};
use crate::server::Server;
use crate::tenants::TENANTS;
use api_types::{ApiError, ObjectName, Reason, TenantId, tenancy};
use object_store::{Commit, CommitError, Operation, Space};
use plane_client::{Delete, PlaneClient, Target, Write};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The most objects of a commit, and the most bytes unless one is larger: less than etcd takes.
const ITEMS: usize = 50;
const BYTES: usize = 1 << 20;
/// How long the rest of a tenant whose restore was cut off may take to go.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the addresses of a Service are waited for where the pods are to run.
const ADDRESSES: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(300);
/// The most Services with another address that are named.
const NAMED: usize = 20;
/// The annotation with the former spec of `kubectl apply` is the former tenant's.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What was put back.
pub struct Done {
    /// The UID of the new tenant.
    pub id: TenantId,
    /// Objects.
    pub objects: u64,
    /// Services that have other addresses than before: `NAMESPACE/NAME`.
    pub moved: Vec<String>,
}

/// Told of how many objects are there.
pub type Progress<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// Refuses a name that is in use. True when what has it is the rest of a restore that did not come to its end.
pub fn check_name(server: &Server, name: &str) -> Result<bool, ApiError> {
    let found = server.cache.get(TenantId::HOST, &TENANTS, &ObjectName::cluster(name));
    let Some(tenant) = found.map(|record| record.value().unwrap_or_default()) else { return Ok(false) };
    if held(&tenant) == Held::Failed {
        return Ok(true);
    }
    let why = match tenant["metadata"]["deletionTimestamp"].is_string() {
        true => format!("the tenant {name} is still being deleted: wait until it has gone"),
        false => format!(
            "the tenant {name} is there: restore under another name (--as NAME), or delete it first (insula tenant delete {name} --wait)"
        ),
    };
    Err(ApiError::new(Reason::AlreadyExists, why))
}

/// Makes the tenant. What goes wrong after its birth is told in its status too.
pub async fn restore(
    server: &Arc<Server>,
    name: &str,
    upload: &mut Upload,
    progress: Progress<'_>,
) -> Result<Done, ApiError> {
    if check_name(server, name)? {
        remove_rest(server, name).await?;
    }
    let plane = birth(server, name, &upload.tenant).await?;
    let done = fill(server, &plane, upload, progress).await;
    match &done {
        Ok(done) => say(server, name, plane.id, &Stage::Done(told(upload, done))).await?,
        Err(error) => say(server, name, plane.id, &Stage::Failed(error.message().to_owned())).await?,
    }
    done
}

fn told(upload: &Upload, done: &Done) -> String {
    let mut text = format!("{} objects of a backup of {}", done.objects, upload.made);
    if !done.moved.is_empty() {
        let more = done.moved.len().saturating_sub(NAMED);
        let named = done.moved.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        text += &format!("; Services with another address than before: {named}");
        if more > 0 {
            text += &format!(" and {more} more");
        }
    }
    text
}

/// Deletes the rest of a restore that did not come to its end, and waits until it has gone.
async fn remove_rest(server: &Arc<Server>, name: &str) -> Result<(), ApiError> {
    let client = InProcess::new(server.clone());
    let target = Target::new(TenantId::HOST, &tenancy::TENANTS, "", name);
    let until = Instant::now() + PATIENCE;
    match client.write(&ACTOR, &target, Write::Delete(Delete::default())).await {
        Err(error) if error.is_not_found() => return Ok(()),
        done => done.map(drop)?,
    }
    while server.cache.get(TenantId::HOST, &TENANTS, &ObjectName::cluster(name)).is_some() {
        if Instant::now() >= until {
            let why = format!("the rest of the tenant {name} is still being deleted: try again later");
            return Err(ApiError::unavailable(why, 30));
        }
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}

/// The `Tenant` as it is asked for again, with its plane.
async fn birth(server: &Arc<Server>, name: &str, former: &Value) -> Result<Arc<Plane>, ApiError> {
    let mut annotations = former["metadata"]["annotations"].clone();
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    let mut tenant = json!({"apiVersion": tenancy::API_VERSION, "kind": "Tenant", "metadata": {"name": name},
        "spec": former["spec"]});
    for (field, value) in [("labels", &former["metadata"]["labels"]), ("annotations", &annotations)] {
        if value.as_object().is_some_and(|map| !map.is_empty()) {
            tenant["metadata"][field] = value.clone();
        }
    }
    let target = Target::new(TenantId::HOST, &tenancy::TENANTS, "", name);
    let made = InProcess::new(server.clone()).write(&ACTOR, &target, Write::Create(tenant)).await?;
    let plane = TenantId::parse(&made.meta.uid).and_then(|id| server.planes.get(id));
    plane.filter(|plane| plane.kind == PlaneKind::Tenant).ok_or_else(|| gone(name))
}

fn gone(name: &str) -> ApiError {
    ApiError::new(Reason::Conflict, format!("the tenant {name} was deleted while it was being restored"))
}

async fn fill(
    server: &Arc<Server>,
    plane: &Arc<Plane>,
    upload: &mut Upload,
    progress: Progress<'_>,
) -> Result<Done, ApiError> {
    let mut done = Done { id: plane.id, objects: 0, moved: Vec::new() };
    let mut batch: (Vec<Operation>, usize) = Default::default();
    let mut reading = upload.read().await?;
    while let Some(restored) = reading.next().await? {
        if is_service(&restored.key) {
            continue;
        }
        let size = restored.stored.as_ref().map_or(0, bytes::Bytes::len);
        if batch.0.len() == ITEMS || batch.1 + size > BYTES {
            done.objects += put(server, plane, std::mem::take(&mut batch).0).await?;
            progress(done.objects);
        }
        batch.1 += size;
        batch.0.push(operation(plane, &restored));
    }
    done.objects += put(server, plane, batch.0).await?;
    // Last, since what is reserved without a Service is given back after a while.
    let mut reading = upload.read().await?;
    while let Some(mut restored) = reading.next().await? {
        if is_service(&restored.key) {
            if put_service(server, plane, &mut restored).await? {
                done.moved.push(restored.key.object.to_string());
            }
            done.objects += 1;
            progress(done.objects);
        }
    }
    Ok(done)
}

fn operation(plane: &Plane, restored: &Restored) -> Operation {
    let space = Space::new(plane.id);
    match &restored.stored {
        Some(stored) => space.put(store_key(&restored.key), stored.clone()),
        None => bootstrap::put(space, &restored.key, &restored.object),
    }
}

/// Commits into a plane that is alive. How many there were.
async fn put(server: &Server, plane: &Plane, operations: Vec<Operation>) -> Result<u64, ApiError> {
    let count = operations.len() as u64;
    let mut commit = Commit { preconditions: Vec::new(), operations };
    while !commit.operations.is_empty() {
        commit.preconditions = server.alive(plane).map_err(|_| gone(&plane.name))?.into_iter().collect();
        match server.commit(commit.clone()).await {
            Ok(_) => break,
            // Its CA was rotated meanwhile, or it has gone.
            Err(CommitError::Precondition { actual, .. }) => catch_up(server, actual).await?,
            Err(error) => return Err(store_failed(&error)),
        }
    }
    Ok(count)
}

/// Puts a Service back with the addresses that it had, if they can be had. True when it has others.
async fn put_service(server: &Server, plane: &Plane, restored: &mut Restored) -> Result<bool, ApiError> {
    let until = Instant::now() + ADDRESSES;
    let (extra, moved) = loop {
        match addresses::again(server, plane, &mut restored.object).await {
            // The tenant was just made, and is placed a moment later.
            Err(error) if error.retry_after_seconds().is_some() && Instant::now() < until => {
                tokio::time::sleep(AGAIN).await;
            }
            done => {
                break done.map_err(|error| {
                    let name = &restored.key.object;
                    ApiError::new(error.reason(), format!("the Service {name}: {}", error.message()))
                })?;
            }
        }
    };
    let mut operations = extra.operations;
    operations.push(bootstrap::put(Space::new(plane.id), &restored.key, &restored.object));
    put(server, plane, operations).await?;
    Ok(moved)
}
