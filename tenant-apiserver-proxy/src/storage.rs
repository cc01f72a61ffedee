//! The store as operators see it: `/insula/store` of the host plane.
//!
//! - GET `/insula/store`: how large it is, and in `failure` why it cannot be written, if it cannot.
//! - POST `/insula/store/check`: reads everything as it is on disk, opens what is sealed, decodes every object.
//! - POST `/insula/store/compact`: forgets history, and gives the space of it back.
//! - GET `/insula/store/backup`: a copy of everything at one revision, as [`object_store::backup`] describes it.
//! - GET `/insula/store/tenants/NAME`: the same of a tenant's plane, with its `Tenant` in the note. What POST does there is
//!   in [`crate::restoring`].

use crate::cache::feed::parse_key;
use crate::cache::record;
use crate::handlers::{not_allowed, paths::no_such_page};
use crate::reply::{Content, Reply};
use crate::request_info::RequestInfo;
use crate::restoring::state;
use crate::server::Server;
use crate::stages::Authorized;
use crate::tenants;
use api_resources::PlaneKind;
use api_types::{ApiError, ObjectName, Reason, Revision, TenantId};
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use object_store::backup::Backup;
use object_store::{Item, ObjectStore, Paging, Range, Size, Space, StoreError};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where it is answered, and below it.
pub const PATH: &str = "/insula/store";
/// Before the name of a tenant that is backed up or restored.
pub const TENANTS: &str = "/insula/store/tenants/";

/// The most faults that are told.
const FAULTS: usize = 100;

/// The backups under way: what they have still to read is not compacted.
#[derive(Clone, Default)]
pub struct Backups(Arc<Mutex<BTreeMap<u64, Revision>>>);

impl Backups {
    /// Holds what is there at a revision and after it, until it is dropped.
    pub(crate) fn hold(&self, from: Revision) -> Held {
        let mut held = self.0.lock();
        let number = held.last_key_value().map_or(0, |(last, _)| last + 1);
        held.insert(number, from);
        Held { all: self.clone(), number }
    }

    /// Up to where history can be forgotten, of what could be without backups.
    pub fn spare(&self, at: Revision) -> Revision {
        self.0.lock().values().copied().fold(at, Revision::min)
    }
}

/// One of [`Backups`].
pub(crate) struct Held {
    all: Backups,
    number: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.number);
    }
}

/// True for requests that may take as long as the store is large.
pub fn takes_its_time(auth: &Authorized) -> bool {
    let of_host = auth.plane().kind == PlaneKind::Host;
    matches!(&auth.call().info, RequestInfo::Path { path, .. } if of_host && path.starts_with(PATH))
}

/// Answers [`PATH`] and what is below.
pub async fn answer(server: &Server, auth: &Authorized, path: &str) -> Result<Reply, ApiError> {
    if auth.plane().kind != PlaneKind::Host {
        return Ok(no_such_page());
    }
    let done = match (path.strip_prefix(PATH), auth.call().method.as_str()) {
        (Some(""), "GET" | "HEAD") => Reply::value(&status(server).await.map_err(failed)?),
        (Some("/check"), "POST") => Reply::value(&check(server).await.map_err(failed)?),
        (Some("/compact"), "POST") => Reply::value(&compact(server).await.map_err(failed)?),
        (Some("/backup"), "GET") => backup(server, None, json!({})).await.map_err(failed)?,
        (Some(below), "GET") if below.starts_with("/tenants/") => {
            let (space, tenant) = tenant(server, path.trim_start_matches(TENANTS))?;
            backup(server, Some(space), json!({"tenant": tenant})).await.map_err(failed)?
        }
        (Some("" | "/check" | "/compact" | "/backup"), _) => return Err(not_allowed()),
        _ => return Ok(no_such_page()),
    };
    Ok(done)
}

fn failed(error: StoreError) -> ApiError {
    ApiError::internal(error)
}

/// How large it is, and why it cannot be written, if it cannot.
async fn status(server: &Server) -> Result<Value, StoreError> {
    let mut status = shown(&server.store.size().await?);
    status["backups"] = server.scheduled.as_ref().map(|scheduled| scheduled.shown()).into();
    if let Err(why) = server.store.writable().await {
        status["failure"] = json!(why.to_string());
    }
    Ok(status)
}

fn shown(size: &Size) -> Value {
    json!({"engine": size.engine, "revision": size.revision.0, "compacted": size.compacted.0,
        "diskBytes": size.disk_bytes, "usedBytes": size.used_bytes})
}

/// What was found by reading everything.
#[derive(Default)]
struct Checked {
    keys: u64,
    bytes: u64,
    by_plane: BTreeMap<TenantId, u64>,
    faults: Vec<String>,
    more_faults: u64,
}

impl Checked {
    fn fault(&mut self, what: String) {
        if self.faults.len() < FAULTS { self.faults.push(what) } else { self.more_faults += 1 }
    }
}

async fn check(server: &Server) -> Result<Value, StoreError> {
    // As it lies there: what cannot be opened is then known by its key.
    let engine = server.store.engine();
    let mut range = Range { at: Some(engine.revision().await?), ..Range::default() };
    let mut paging = Paging::default();
    let mut checked = Checked::default();
    loop {
        range.limit = paging.limit();
        let before = checked.bytes;
        let page = match engine.range(range.clone()).await {
            Ok(page) => page,
            Err(error @ StoreError::Corrupt { .. }) => {
                checked.fault(format!("{error}; nothing behind it was read"));
                break;
            }
            Err(error) => return Err(error),
        };
        for item in &page.items {
            checked.keys += 1;
            checked.bytes += (item.key.len() + item.value.len()) as u64;
            *checked.by_plane.entry(item.tenant).or_default() += 1;
            if let Err(why) = check_item(server, item).await {
                checked.fault(format!("{} of plane {}: {why}", item.key, item.tenant));
            }
        }
        paging.had(usize::try_from(checked.bytes - before).unwrap_or(usize::MAX));
        range.after = page.items.last().map(|last| (last.tenant, last.key.clone()));
        if !page.more {
            break;
        }
    }
    // Those that were made or ended meanwhile are told the next time.
    for (plane, keys) in checked.by_plane.clone() {
        if server.planes.get(plane).is_none() && plane != TenantId::LOCAL_SUPER {
            checked.fault(format!("{keys} keys of plane {plane}, of which there is no tenant"));
        }
    }
    let at = range.at.unwrap_or_default();
    Ok(
        json!({"revision": at.0, "planes": checked.by_plane.len(), "keys": checked.keys, "bytes": checked.bytes,
        "faults": checked.faults, "moreFaults": checked.more_faults}),
    )
}

async fn check_item(server: &Server, item: &Item) -> Result<(), String> {
    let Some(value) = server.store.opened(item).await.map_err(|error| error.to_string())? else {
        return Ok(());
    };
    let key = parse_key(&item.key).ok_or("it is not the key of an object")?;
    let record = record::decode(key.object, &value, item.modified).map_err(|error| error.to_string())?;
    record.value().map(drop).map_err(|error| error.to_string())
}

async fn compact(server: &Server) -> Result<Value, StoreError> {
    let before = server.store.size().await?;
    // The server itself still follows what comes after what it has seen.
    match server.store.compact(server.backups.spare(server.cache.revision())).await {
        // Another one was faster.
        Ok(()) | Err(StoreError::Compacted { .. }) => {}
        Err(error) => return Err(error),
    }
    let shrunk = server.store.shrink().await?;
    let after = server.store.size().await?;
    Ok(json!({"before": shown(&before), "after": shown(&after), "shrunk": shrunk}))
}

/// The space of a tenant, and what is noted of it.
fn tenant(server: &Server, name: &str) -> Result<(Space, Value), ApiError> {
    let not_found = || ApiError::not_found(&tenants::TENANTS, name);
    let found = server.cache.get(TenantId::HOST, &tenants::TENANTS, &ObjectName::cluster(name));
    let tenant = found.ok_or_else(not_found)?.value().map_err(ApiError::internal)?;
    if state::held(&tenant) != state::Held::No {
        let why = format!("not all of the tenant {name} is there: it was not restored to its end");
        return Err(ApiError::new(Reason::Conflict, why));
    }
    let id = tenant["metadata"]["uid"].as_str().and_then(TenantId::parse).ok_or_else(not_found)?;
    Ok((Space::new(id), tenant))
}

/// What is noted in a backup: when and by whom it was made.
pub(crate) fn note(mut more: Value) -> String {
    more["made"] = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    more["by"] = env!("CARGO_PKG_VERSION").into();
    more.to_string()
}

async fn backup(server: &Server, of: Option<Space>, more: Value) -> Result<Reply, StoreError> {
    let held = server.backups.hold(server.cache.revision());
    let backup = Backup::begin(server.store.engine(), of, note(more).into()).await?;
    tracing::info!(revision = %backup.revision(), "a backup begins");
    let stream = futures::stream::try_unfold((backup, held), |(mut backup, held)| async {
        let bytes = backup.next().await.map_err(std::io::Error::other).inspect_err(|error| {
            tracing::error!(%error, "a backup was not finished");
        })?;
        Ok(bytes.map(|bytes| (Frame::data(bytes), (backup, held))))
    });
    let body = BodyExt::boxed_unsync(StreamBody::new(stream));
    Ok(Reply::with(StatusCode::OK, Content::Stream("application/octet-stream", body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_oldest_backup_has_to_read_is_spared() {
        let backups = Backups::default();
        assert_eq!(backups.spare(Revision(9)), Revision(9));
        let held = [5, 7, 5].map(|from| backups.hold(Revision(from)));
        assert_eq!((backups.spare(Revision(9)), backups.spare(Revision(3))), (Revision(5), Revision(3)));
        let [first, second, third] = held;
        drop(first);
        assert_eq!(backups.spare(Revision(9)), Revision(5));
        drop(third);
        assert_eq!(backups.spare(Revision(9)), Revision(7));
        let fourth = backups.hold(Revision(6));
        drop(second);
        assert_eq!(backups.spare(Revision(9)), Revision(6));
        drop(fourth);
        assert_eq!(backups.spare(Revision(9)), Revision(9));
    }
}
