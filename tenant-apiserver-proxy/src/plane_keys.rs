//! The keys of planes as the server uses them: read from the store, where they are kept for all processes of the
//! installation, and parsed once for each change.

use crate::bootstrap;
use crate::cache::Cache;
use crate::cache::feed::store_key;
use crate::keyring::{Entry, Ring};
use crate::pki::KeyedCertificate;
use crate::planes::{self, Plane};
use crate::server::Server;
use crate::tokens::TokenKey;
use api_types::{ApiError, ObjectName, ResourceKey, Revision, TenantId};
use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use object_store::{Commit, CommitError, Precondition, Space};
use std::sync::Arc;

/// The time now, in seconds since 1970.
pub fn now() -> i64 {
    Timestamp::now().as_second()
}

/// A client CA as verification needs it: DER.
pub struct Authority(pub Vec<u8>);

impl Authority {
    /// Reads the certificate of a key.
    pub fn read(entry: &Entry) -> Option<Self> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(entry.certificate_pem.as_bytes()).ok()?;
        Some(Authority(pem.contents))
    }
}

/// A ring whose keys have been parsed.
pub struct Parsed<T> {
    /// As it is stored.
    pub ring: Ring,
    keys: Vec<Named<T>>,
}

/// A key with its name and its times.
pub struct Named<T> {
    /// Its name.
    pub id: String,
    /// What it is.
    pub key: T,
    from: i64,
    until: i64,
}

impl<T> Parsed<T> {
    /// Parses every key; `None`: one of them cannot be read.
    pub fn new(ring: Ring, read: impl Fn(&Entry) -> Option<T>) -> Option<Self> {
        let named = |entry: &Entry| {
            let (from, until) = (entry.from, entry.until.unwrap_or(i64::MAX));
            Some(Named { id: entry.id(), key: read(entry)?, from, until })
        };
        let keys = ring.all().map(named).collect::<Option<Vec<_>>>()?;
        Some(Parsed { ring, keys })
    }

    /// The keys that are believed, and the next one.
    pub fn standing(&self, now: i64) -> impl Iterator<Item = &Named<T>> {
        self.keys.iter().filter(move |key| now < key.until)
    }

    /// Until when the key of a name is believed; `None`: no more.
    pub fn until(&self, id: &str, now: i64) -> Option<i64> {
        self.standing(now).find(|key| key.id == id).map(|key| key.until)
    }

    /// The key that signs.
    pub fn current(&self, now: i64) -> Option<&Named<T>> {
        self.standing(now).find(|key| key.from <= now)
    }
}

/// The parsed keys of a plane's ring, as of the last change that was asked for.
pub struct RingCell<T>(ArcSwapOption<(Revision, Parsed<T>)>);

impl<T> Default for RingCell<T> {
    fn default() -> Self {
        RingCell(ArcSwapOption::empty())
    }
}

impl<T> RingCell<T> {
    /// A ring that is not stored and never changes.
    pub fn fixed(ring: Parsed<T>) -> Self {
        RingCell(ArcSwapOption::from_pointee((Revision::ZERO, ring)))
    }

    /// The keys as they are now; `None`: there are none, or they cannot be read.
    pub fn get(
        &self,
        cache: &Cache,
        plane: TenantId,
        name: &str,
        read: impl Fn(&Entry) -> Option<T>,
    ) -> Option<Arc<(Revision, Parsed<T>)>> {
        let known = self.0.load_full();
        let Some(record) = cache.get(plane, &planes::KEYS, &ObjectName::cluster(name)) else {
            return known.filter(|known| known.0 == Revision::ZERO);
        };
        if let Some(known) = known.filter(|known| known.0 == record.revision) {
            return Some(known);
        }
        let parsed = Parsed::new(Ring::read(&record.value().ok()?)?, read)?;
        let read = Arc::new((record.revision, parsed));
        self.0.store(Some(read.clone()));
        Some(read)
    }
}

/// The key under which a ring is stored.
pub fn key(name: &str) -> ResourceKey {
    ResourceKey::new(planes::KEYS.clone(), "", name)
}

/// A stored ring, and what must hold for it to be replaced.
pub fn stored(cache: &Cache, plane: TenantId, name: &str) -> Option<(Ring, Precondition)> {
    let record = cache.get(plane, &planes::KEYS, &ObjectName::cluster(name))?;
    let ring = Ring::read(&record.value().ok()?)?;
    Some((ring, Space::new(plane).expect(store_key(&key(name)), record.expected())))
}

/// The key of a ring that signs.
pub fn signing(cache: &Cache, plane: TenantId, name: &str) -> Option<KeyedCertificate> {
    stored(cache, plane, name).map(|(ring, _)| ring.current(now()).keyed())
}

type Keys<T> = Arc<(Revision, Parsed<T>)>;

impl Server {
    /// The client CAs of a plane.
    pub(crate) fn client_authorities(&self, plane: &Plane) -> Option<Keys<Authority>> {
        plane.client_ca.get(&self.cache, plane.id, planes::CLIENT_CA, Authority::read)
    }

    /// The keys of a plane's tokens; `None` when they were never needed, so that no token can be valid.
    pub(crate) fn stored_token_keys(&self, plane: &Plane) -> Option<Keys<TokenKey>> {
        plane.token_key.get(&self.cache, plane.id, planes::TOKEN_KEY, TokenKey::of)
    }

    /// The keys of a plane's tokens, made when they are first needed.
    pub(crate) async fn token_keys(&self, plane: &Plane) -> Result<Keys<TokenKey>, ApiError> {
        if let Some(found) = self.stored_token_keys(plane) {
            return Ok(found);
        }
        self.plane_ring(plane, planes::TOKEN_KEY, crate::tokens::make_key).await?;
        let why = "it cannot be read";
        self.stored_token_keys(plane).ok_or_else(|| no_key(plane, planes::TOKEN_KEY, &why))
    }

    /// A ring of a plane, made and stored when it is first needed.
    pub(crate) async fn plane_ring<E: std::fmt::Display>(
        &self,
        plane: &Plane,
        name: &str,
        make: impl Fn() -> Result<KeyedCertificate, E> + Send,
    ) -> Result<Ring, ApiError> {
        let _one_at_a_time = self.plane_keys.lock().await;
        loop {
            if let Some((ring, _)) = stored(&self.cache, plane.id, name) {
                return Ok(ring);
            }
            let made = Ring::new(make().map_err(|error| no_key(plane, name, &error))?);
            let space = Space::new(plane.id);
            let mut commit = Commit {
                preconditions: vec![space.expect(store_key(&key(name)), Revision::ZERO)],
                operations: vec![bootstrap::put(space, &key(name), &made.object(name))],
            };
            commit.preconditions.extend(self.alive(plane)?);
            match self.commit(commit).await {
                Ok(_) => return Ok(made),
                // Another process of the installation was first, whose key is the plane's, or the plane's life goes on
                // under another client CA.
                Err(CommitError::Precondition { actual, .. }) => {
                    crate::gateway::catch_up(self, actual).await?;
                }
                Err(error) => return Err(no_key(plane, name, &error)),
            }
        }
    }

    /// What must hold in a commit into a tenant's plane: that the plane has not been removed meanwhile, since nobody
    /// would ever remove keys that come later. `None` for planes that are for ever. Errors: it has been removed.
    pub(crate) fn alive(&self, plane: &Plane) -> Result<Option<Precondition>, ApiError> {
        if !plane.id.is_tenant() {
            return Ok(None);
        }
        // Every plane has it from its birth to its end, and it seldom changes.
        let authority = key(planes::CLIENT_CA);
        let found = self.cache.get(plane.id, &authority.resource, &authority.object);
        let found = found.ok_or_else(|| planes::ended(plane))?;
        Ok(Some(Space::new(plane.id).expect(store_key(&authority), found.revision)))
    }
}

fn no_key(plane: &Plane, name: &str, error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(plane = %plane.id, name, %error, "a key of the plane cannot be had");
    ApiError::internal("a key of the plane cannot be had")
}
