//! Keeps certificates up to date: what signs, what is shown, and the kubeconfigs that the platform writes.
//!
//! Guarantees: level-triggered, from what is stored, so that a restart misses nothing and several processes agree. A key
//! whose time is over goes; a certificate is made anew once a third of its time is left, or when its authority signs no
//! more; kubeconfigs name every serving CA that is believed. Assumes that clocks are right to a second or so. Caveats: a
//! kubeconfig that somebody rewrote so that it cannot be read is left as it is, and one that was deleted is not made
//! again; authorities themselves are rotated by hand.

pub mod kubeconfigs;

use crate::bootstrap;
use crate::keyring::Ring;
use crate::pki::KeyedCertificate;
use crate::plane_keys;
use crate::planes::{self, Plane, PlaneKind};
use crate::server::{Server, StartError};
use crate::serving::ServingError;
use crate::tenants;
use api_types::{ResourceKey, TenantId};
use jiff::Timestamp;
use object_store::{Commit, CommitError, Space};
use parking_lot::Mutex;
use service_runtime::Shutdown;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, broadcast};

/// Everything is looked at again after this, whatever happens.
const PATROL: Duration = Duration::from_secs(3_600);
/// What failed is tried again after this, in seconds.
const AGAIN: i64 = 30;
/// So many planes are looked at before others have their turn.
const BREATH: usize = 16;
/// The most changes that one who follows them may be behind.
const CHANGES: usize = 256;

/// The keys of planes, by their names.
pub const RINGS: [&str; 4] =
    [planes::SERVING_CA, planes::CLIENT_CA, planes::TOKEN_KEY, planes::FRONT_PROXY_CA];

/// The certificates of the platform's admins, and what they need beside them.
#[derive(Clone)]
pub struct Admins {
    /// Of the host plane.
    pub host: KeyedCertificate,
    /// Of the embedded super cluster, when there is one.
    pub local: Option<KeyedCertificate>,
    /// The serving CAs, PEM.
    pub ca_pem: String,
}

/// Keeps the admins' kubeconfigs where they are found. May block.
type Keep = dyn Fn(&Admins) -> Result<(), String> + Send + Sync;

/// What is to be looked at, and who is told of it.
pub struct Renewal {
    due: Mutex<BTreeSet<TenantId>>,
    news: Notify,
    changes: broadcast::Sender<TenantId>,
    one_at_a_time: tokio::sync::Mutex<()>,
    keep: Mutex<Option<Arc<Keep>>>,
    /// Those that are kept.
    admins: Mutex<Option<Admins>>,
    /// The admins' are kept one after the other.
    keeping: tokio::sync::Mutex<()>,
}

impl Default for Renewal {
    fn default() -> Self {
        Renewal {
            due: Mutex::default(),
            news: Notify::new(),
            changes: broadcast::channel(CHANGES).0,
            one_at_a_time: tokio::sync::Mutex::default(),
            keep: Mutex::default(),
            admins: Mutex::default(),
            keeping: tokio::sync::Mutex::default(),
        }
    }
}

impl Renewal {
    /// A key of a plane has changed.
    pub fn changed(&self, plane: TenantId) {
        self.due.lock().insert(plane);
        self.news.notify_one();
        // Nobody may follow yet.
        let _ = self.changes.send(plane);
    }

    /// The planes whose keys change from now on.
    pub fn changes(&self) -> broadcast::Receiver<TenantId> {
        self.changes.subscribe()
    }

    /// The certificates of the platform's admins, if somebody keeps them.
    pub fn admins(&self) -> Option<Admins> {
        self.admins.lock().clone()
    }
}

impl Server {
    /// Has the admins' certificates kept, now and whenever they are made anew.
    ///
    /// # Errors
    /// They could not be made, or not be kept.
    pub async fn keep_admins(
        &self,
        keep: impl Fn(&Admins) -> Result<(), String> + Send + Sync + 'static,
    ) -> Result<(), String> {
        *self.renewal.keep.lock() = Some(Arc::new(keep));
        follow_admins(self, plane_keys::now()).await.map(drop)
    }
}

/// Runs until shutdown.
pub async fn run(server: Arc<Server>, shutdown: Shutdown) {
    let mut next = pass(&server, None, plane_keys::now()).await;
    let mut patrol = tokio::time::Instant::now() + PATROL;
    loop {
        let left = u64::try_from(next.saturating_sub(plane_keys::now())).unwrap_or(0);
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep_until(patrol) => {
                next = pass(&server, None, plane_keys::now()).await;
                patrol = tokio::time::Instant::now() + PATROL;
            }
            () = tokio::time::sleep(Duration::from_secs(left).min(PATROL)) => {
                if plane_keys::now() >= next {
                    next = pass(&server, None, plane_keys::now()).await;
                }
            }
            () = server.renewal.news.notified() => {
                let due = std::mem::take(&mut *server.renewal.due.lock());
                next = next.min(pass(&server, Some(due), plane_keys::now()).await);
            }
        }
    }
}

/// Looks at planes (`None`: at all), and brings up to date what is due at a time. Gives when to look again, in seconds
/// since 1970.
pub async fn pass(server: &Server, planes: Option<BTreeSet<TenantId>>, now: i64) -> i64 {
    let _one_at_a_time = server.renewal.one_at_a_time.lock().await;
    // The serving CAs are in the kubeconfigs of all planes.
    let some = planes.filter(|planes| !planes.contains(&TenantId::HOST));
    // A tenant's keys are nobody else's business: nothing here may grow with the number of the other tenants.
    let admins = some.as_ref().is_none_or(|planes| planes.contains(&TenantId::LOCAL_SUPER));
    let mut next = i64::MAX;
    let mut at = |found: i64| next = next.min(found);
    let due = match &some {
        Some(planes) => planes.iter().filter_map(|id| server.planes.get(*id)).collect(),
        None => server.planes.all(),
    };
    for (index, plane) in due.iter().enumerate() {
        // When it is due tells the next patrol, long before.
        if some.is_some() && is_as_made(server, plane) {
            continue;
        }
        for name in RINGS {
            at(tidy(server, plane, name, now).await);
        }
        if plane.kind == PlaneKind::Tenant {
            at(follow_tenant(server, plane, now).await);
        }
        if index % BREATH == BREATH - 1 {
            tokio::task::yield_now().await;
        }
    }
    if !admins {
        return next;
    }
    at(serve(server, now).unwrap_or_else(|error| {
        tracing::error!(%error, "the serving certificate cannot be made anew; trying again");
        now + AGAIN
    }));
    at(follow_admins(server, now).await.unwrap_or_else(|error| {
        tracing::error!(error, "the admins' kubeconfig cannot be made anew; trying again");
        now + AGAIN
    }));
    next
}

/// True for a tenant whose keys and kubeconfig were made in one commit, which was made for the serving CAs of now: they fit.
/// Nothing of it has to be read, which for a new tenant would be a good part of the work.
fn is_as_made(server: &Server, plane: &Plane) -> bool {
    let written = |id, key: &ResourceKey| {
        server.cache.get(id, &key.resource, &key.object).map(|record| record.revision)
    };
    let ring = |id, name| written(id, &plane_keys::key(name));
    let Some(made) = written(TenantId::HOST, &tenants::kubeconfig_secret(&plane.name)) else { return false };
    plane.kind == PlaneKind::Tenant
        && ring(plane.id, planes::CLIENT_CA) == Some(made)
        && RINGS.iter().filter_map(|name| ring(plane.id, name)).all(|revision| revision == made)
        && ring(TenantId::HOST, planes::SERVING_CA).is_some_and(|serving| serving < made)
}

/// Removes what is over from a ring.
async fn tidy(server: &Server, plane: &Plane, name: &str, now: i64) -> i64 {
    let Some((ring, expected)) = plane_keys::stored(&server.cache, plane.id, name) else { return i64::MAX };
    let Some(tidied) = ring.tidied(now) else { return ring.next_change(now).unwrap_or(i64::MAX) };
    let operations = vec![bootstrap::put(Space::new(plane.id), &plane_keys::key(name), &tidied.object(name))];
    match server.commit(Commit { preconditions: vec![expected], operations }).await {
        Ok(_) => tidied.next_change(now).unwrap_or(i64::MAX),
        // Somebody else was first: the change is looked at when it is seen.
        Err(CommitError::Precondition { .. }) => now + AGAIN,
        Err(error) => {
            tracing::warn!(plane = %plane.id, name, %error, "a former key cannot be removed; trying again");
            now + AGAIN
        }
    }
}

/// Brings the certificate up to date that this server shows.
pub fn serve(server: &Server, now: i64) -> Result<i64, ServingError> {
    let Some((ring, _)) = plane_keys::stored(&server.cache, TenantId::HOST, planes::SERVING_CA) else {
        return Ok(now + AGAIN);
    };
    server.serving.renew(&ring, &server.options.names, now)
}

/// Brings a tenant's kubeconfig up to date.
async fn follow_tenant(server: &Server, plane: &Plane, now: i64) -> i64 {
    let secret = tenants::kubeconfig_secret(&plane.name);
    let Some((mut object, expected)) = kubeconfigs::stored(server, &secret) else { return i64::MAX };
    let Some((ring, _)) = plane_keys::stored(&server.cache, plane.id, planes::CLIENT_CA) else {
        return i64::MAX;
    };
    let Some(found) = kubeconfigs::Kubeconfig::read(&object["data"]["value"]) else {
        tracing::debug!(tenant = %plane.name, "the tenant's kubeconfig cannot be read; it keeps its certificate");
        return i64::MAX;
    };
    let bundle = server.ca_pem();
    let renewed = match kubeconfigs::renewed(&found, &ring, &bundle, now) {
        Ok(Some(renewed)) => renewed,
        Ok(None) => return found.renewal().unwrap_or(i64::MAX),
        Err(error) => {
            tracing::error!(tenant = %plane.name, %error, "the tenant's kubeconfig cannot be made anew");
            return now + AGAIN;
        }
    };
    object["data"]["value"] = renewed.encoded().into();
    let operations = vec![bootstrap::put(Space::new(TenantId::HOST), &secret, &object)];
    match server.commit(Commit { preconditions: vec![expected], operations }).await {
        Ok(_) => {
            tracing::info!(tenant = %plane.name, "the tenant's kubeconfig was made anew");
            renewed.renewal().unwrap_or(i64::MAX)
        }
        // Somebody else was first, perhaps another process with the same.
        Err(CommitError::Precondition { actual, .. }) => {
            server.cache.wait_for(actual).await;
            now + AGAIN
        }
        Err(error) => {
            tracing::warn!(tenant = %plane.name, %error, "the tenant's kubeconfig cannot be stored; trying again");
            now + AGAIN
        }
    }
}

/// Brings the admins' certificates up to date, and has them kept.
async fn follow_admins(server: &Server, now: i64) -> Result<i64, String> {
    let _one_at_a_time = server.renewal.keeping.lock().await;
    let Some(keep) = server.renewal.keep.lock().clone() else { return Ok(i64::MAX) };
    let before = server.renewal.admins();
    let ring = |plane| plane_keys::stored(&server.cache, plane, planes::CLIENT_CA).map(|(ring, _)| ring);
    let current = |keyed: &KeyedCertificate, plane| {
        let ring: Option<Ring> = ring(plane);
        ring.is_some_and(|ring| kubeconfigs::is_current(&keyed.certificate_pem, &ring, now))
    };
    let fresh = |keyed: Option<&KeyedCertificate>, plane| -> Result<KeyedCertificate, StartError> {
        match keyed.filter(|keyed| current(keyed, plane)) {
            Some(keyed) => Ok(keyed.clone()),
            None => server.sign_client(plane, "admin", Some("system:masters")),
        }
    };
    let host = fresh(before.as_ref().map(|admins| &admins.host), TenantId::HOST);
    let local = server
        .options
        .embedded_super
        .then(|| fresh(before.as_ref().and_then(|admins| admins.local.as_ref()), TenantId::LOCAL_SUPER));
    let admins = Admins {
        host: host.map_err(|error| error.to_string())?,
        local: local.transpose().map_err(|error| error.to_string())?,
        ca_pem: server.ca_pem(),
    };
    let shown = |admins: &Admins| {
        let certificates = [Some(&admins.host), admins.local.as_ref()];
        let pems: Vec<String> =
            certificates.into_iter().flatten().map(|keyed| keyed.certificate_pem.clone()).collect();
        (pems, admins.ca_pem.clone())
    };
    if before.as_ref().map(shown) != Some(shown(&admins)) {
        let kept = admins.clone();
        tokio::task::spawn_blocking(move || keep(&kept)).await.map_err(|error| error.to_string())??;
        *server.renewal.admins.lock() = Some(admins.clone());
    }
    let certificates = [Some(&admins.host), admins.local.as_ref()].into_iter().flatten();
    Ok(certificates.filter_map(|keyed| crate::pki::renewal(&keyed.certificate_pem)).min().unwrap_or(i64::MAX))
}

/// A time as it is shown.
pub fn shown(second: i64) -> Option<String> {
    Timestamp::from_second(second).ok().map(crate::gateway::metadata::timestamp)
}
