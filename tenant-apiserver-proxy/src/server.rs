//! The server: its parts, its start, and what it does with a request from end to end.

use crate::admission::definitions;
use crate::audit;
use crate::authentication::Credentials;
use crate::bodies::{self, Budget};
use crate::cache::{Cache, feed};
use crate::dialer::Network;
use crate::fair_queue::{FairQueue, Who};
use crate::handlers::metrics::Meters;
use crate::issuers::{self, Addresses};
use crate::keyring::Ring;
use crate::pki::{self, KeyedCertificate, PkiError};
use crate::plane_keys::RingCell;
use crate::planes::{self, Plane, PlaneKind, Planes};
use crate::renewal::{self, Renewal};
use crate::restoring::{self, Restores};
use crate::scheduled_backups::{self, Plan, Scheduled};
use crate::sealing::{self, Sealing};
use crate::serving::{Serving, ServingError};
use crate::sources::Failures;
use crate::storage::Backups;
use crate::{bootstrap, crds, own_address, plane_keys, standing, tenants, usage};
use api_types::{ApiError, GroupResource, ResourceKey, Revision, TenantId};
use arc_swap::{ArcSwap, ArcSwapOption};
use object_store::{Commit, CommitError, ObjectStore, Retention, SealedStore, Space, StoreError};
use plane_client::{MetricSource, PodTunnel, ServiceReserver, TenantPlacer, UsageMeter};
use service_runtime::{Shutdown, ShutdownOnDrop};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

/// Commits that the store has at a time, of all planes together: enough for one fsync for many, and few enough that
/// nobody waits long behind another's.
const COMMITS: usize = 128;
/// How long changes are kept for resuming watches and paging lists.
const HISTORY: Duration = Duration::from_secs(600);
/// So many failed logins a source may have at once, and then one in a time.
const LOGINS: u32 = 500;
const LOGIN_EVERY: Duration = Duration::from_millis(200);
/// The same of failed handshakes, which clients with an old authority repeat without knowing better.
const HANDSHAKES: u32 = 500;
const HANDSHAKE_EVERY: Duration = Duration::from_millis(50);

/// How the server is reached.
pub struct Options {
    /// `https://HOST:PORT`, as clients reach it: the base of kubeconfigs and token issuers.
    pub base_url: String,
    /// Names and addresses of the serving certificate.
    pub names: Vec<String>,
    /// Serve the embedded super cluster `local`.
    pub embedded_super: bool,
    /// Under which Secrets and private keys are sealed.
    pub sealing: Sealing,
    /// What of all planes' requests is written down, and where.
    pub audit: Option<audit::Installation>,
    /// A folder for what is kept a while: backups that are sent, until they are checked and put back.
    pub scratch: PathBuf,
    /// The backups that are made by the clock.
    pub backups: Option<Plan>,
}

/// The server.
pub struct Server {
    /// Where objects are kept.
    pub(crate) store: SealedStore,
    /// Every object.
    pub cache: Arc<Cache>,
    /// Every plane.
    pub planes: Planes,
    /// Where requests go whose tenant is not there.
    pub(crate) nobody: Arc<Plane>,
    /// The parts of the platform that wait for slow webhooks.
    pub(crate) long_waits: crate::admission::guards::LongWaits,
    audit: Option<Arc<audit::Target>>,
    /// For the bodies of all requests.
    pub(crate) bodies: Budget,
    pub(crate) options: Options,
    /// Where it is and was reached.
    pub(crate) addresses: Addresses,
    /// What it shows who connects.
    pub(crate) serving: Arc<Serving>,
    /// The ring of what signs that.
    pub(crate) serving_ca: RingCell<()>,
    /// Keeps certificates up to date.
    pub(crate) renewal: Renewal,
    reserver: ArcSwapOption<Box<dyn ServiceReserver>>,
    placer: ArcSwapOption<Box<dyn TenantPlacer>>,
    /// When the process started.
    pub(crate) started: jiff::Timestamp,
    meters: ArcSwap<Meters>,
    pub(crate) metric_sources: ArcSwap<Vec<Arc<dyn MetricSource>>>,
    /// What all planes dial with.
    pub(crate) network: Arc<Network>,
    pub(crate) plane_keys: tokio::sync::Mutex<()>,
    /// Who brought credentials that are nobody's.
    pub(crate) failed_logins: Failures,
    /// Who shook no hands.
    pub(crate) failed_handshakes: Failures,
    pub(crate) crds: crds::Schemas,
    pub(crate) documents: crate::documents::Documents,
    pub(crate) heavy: crate::heavy::Heavy,
    /// Whose requests use the processors.
    pub(crate) processors: Arc<FairQueue>,
    /// Whose writes go into the next commits of the store.
    pub(crate) commits: Arc<FairQueue>,
    /// Who counts for the quotas of a namespace, one after the other.
    pub(crate) quota_turns: crate::admission::quotas::Turns,
    /// Those under way.
    pub(crate) backups: Backups,
    pub(crate) restores: Restores,
    pub(crate) scheduled: Option<Arc<Scheduled>>,
    /// Given when the server is to end.
    pub shutdown: Shutdown,
    /// The store is followed for as long as anybody can write: a write waits until reads show it.
    used: ShutdownOnDrop,
}

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored.
    #[error(transparent)]
    Feed(#[from] feed::FeedError),
    /// The first objects.
    #[error("the first objects cannot be written")]
    Commit(#[from] CommitError),
    /// A definition of custom resources.
    #[error("a definition of custom resources cannot be established")]
    Definition(#[source] ApiError),
    /// The status of a tenant whose restore was cut off.
    #[error("the tenants that were not restored to their end cannot be told of it")]
    Restores(#[source] ApiError),
    /// The certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// What is shown who connects.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// The plane of those whose tenant is not there.
    #[error(transparent)]
    Nobody(#[from] planes::NobodyError),
    /// A plane has no client CA.
    #[error("plane {plane} has no client CA")]
    NoAuthority {
        /// The plane.
        plane: TenantId,
    },
}

impl Server {
    /// Reads the store, makes what a new installation needs, and follows the store from then on.
    pub async fn start(
        store: Arc<dyn ObjectStore>,
        mut options: Options,
        shutdown: Shutdown,
    ) -> Result<Arc<Self>, StartError> {
        let store = SealedStore::new(store, options.sealing.keys.clone(), sealing::is_secret);
        let (cache, revision) = load(&store).await?;
        let network = Arc::new(Network::new(cache.clone()));
        let scheduled = options.backups.take().map(|plan| Arc::new(Scheduled::new(plan)));
        let server = Arc::new(Server {
            store: store.clone(),
            cache: cache.clone(),
            planes: Planes::default(),
            addresses: Addresses::new(&options.base_url),
            nobody: Arc::new(Plane::nobodys(&network)?),
            long_waits: Default::default(),
            audit: options.audit.take().map(|audit| Arc::new(audit.target(&network))),
            bodies: Budget::new(bodies::ALL_BYTES),
            options,
            serving: Arc::default(),
            serving_ca: RingCell::default(),
            renewal: Renewal::default(),
            reserver: ArcSwapOption::empty(),
            placer: ArcSwapOption::empty(),
            started: jiff::Timestamp::now(),
            meters: ArcSwap::default(),
            metric_sources: ArcSwap::default(),
            network: network.clone(),
            plane_keys: tokio::sync::Mutex::default(),
            failed_logins: Failures::new(LOGINS, LOGIN_EVERY),
            failed_handshakes: Failures::new(HANDSHAKES, HANDSHAKE_EVERY),
            crds: crds::Schemas::default(),
            documents: crate::documents::Documents::default(),
            heavy: crate::heavy::Heavy::default(),
            processors: FairQueue::of_threads(),
            commits: FairQueue::new(COMMITS),
            quota_turns: crate::admission::quotas::Turns::default(),
            backups: Backups::default(),
            restores: Restores::default(),
            scheduled: scheduled.clone(),
            shutdown: shutdown.clone(),
            used: ShutdownOnDrop::default(),
        });
        server.planes.add(Plane::new(TenantId::HOST, PlaneKind::Host, "", &network));
        if server.options.embedded_super {
            server.planes.add(Plane::new(TenantId::LOCAL_SUPER, PlaneKind::Super, "local", &network));
        }
        tenants::load(&server);
        for plane in server.planes.all() {
            crds::refresh(&server, &plane);
        }
        let observer = Arc::downgrade(&server);
        let follow = feed::follow(
            cache,
            Arc::new(store),
            revision_to_follow(&server, revision),
            move |tenant, key| {
                if let Some(server) = observer.upgrade() {
                    server.observe(tenant, key);
                }
            },
            server.used.signal(),
        );
        tokio::spawn(follow);
        sealing::renew(&server).await?;
        tokio::spawn(trim(server.clone(), shutdown.clone()));
        bootstrap::ensure(&server).await?;
        definitions::establish_all(&server).await.map_err(StartError::Definition)?;
        // Before the tenants forget where they were reached.
        issuers::ensure(&server).await?;
        own_address::ensure(&server).await?;
        renewal::serve(&server, plane_keys::now())?;
        restoring::state::tell_cut_off(&server).await.map_err(StartError::Restores)?;
        if let Some(scheduled) = scheduled {
            tokio::spawn(scheduled_backups::run(server.clone(), scheduled));
        }
        tokio::spawn(renewal::run(server.clone(), shutdown.clone()));
        tokio::spawn(usage::run(server.clone(), shutdown));
        Ok(server)
    }

    /// Where clients reach it.
    pub fn base_url(&self) -> String {
        self.options.base_url.clone()
    }

    /// The address of a plane.
    pub fn endpoint(&self, plane: &Plane) -> String {
        format!("{}{}", self.options.base_url, plane.path())
    }

    /// The issuer of a plane's new tokens, which is their default audience too.
    pub fn issuer(&self, plane: &Plane) -> String {
        self.endpoint(plane)
    }

    /// The serving CAs that are believed, PEM.
    pub fn ca_pem(&self) -> String {
        self.serving_cas().map_or(String::new(), |(_, bundle)| bundle)
    }

    /// The same, and when they were changed last; `None`: there are none.
    pub(crate) fn serving_cas(&self) -> Option<(Revision, String)> {
        let ring = self.serving_ca.get(&self.cache, TenantId::HOST, planes::SERVING_CA, |_| Some(()))?;
        Some((ring.0, ring.1.ring.bundle(plane_keys::now())))
    }

    /// What the listener shows who connects.
    pub fn serving(&self) -> Arc<Serving> {
        self.serving.clone()
    }

    /// A client certificate for a user of a plane, signed by the plane's client CA.
    pub fn sign_client(
        &self,
        plane: TenantId,
        user: &str,
        group: Option<&str>,
    ) -> Result<KeyedCertificate, StartError> {
        self.sign_client_for(plane, user, group, pki::CLIENT_VALID)
    }

    /// The same, valid for a time.
    pub fn sign_client_for(
        &self,
        plane: TenantId,
        user: &str,
        group: Option<&str>,
        valid: time::Duration,
    ) -> Result<KeyedCertificate, StartError> {
        let authority = plane_keys::signing(&self.cache, plane, planes::CLIENT_CA)
            .ok_or(StartError::NoAuthority { plane })?;
        Ok(pki::sign_client(&authority, user, group, valid)?)
    }

    /// The installation's audit policy, and where its events go.
    pub(crate) fn audit(&self) -> Option<&Arc<audit::Target>> {
        self.audit.as_ref()
    }

    /// Who reserves Services' addresses on super clusters.
    pub fn set_reserver(&self, reserver: Box<dyn ServiceReserver>) {
        self.reserver.store(Some(Arc::new(reserver)));
    }

    pub(crate) fn reserver(&self) -> Option<Arc<Box<dyn ServiceReserver>>> {
        self.reserver.load_full()
    }

    /// Who says where new tenants' pods are to run.
    pub fn set_placer(&self, placer: Box<dyn TenantPlacer>) {
        self.placer.store(Some(Arc::new(placer)));
    }

    pub(crate) fn placer(&self) -> Option<Arc<Box<dyn TenantPlacer>>> {
        self.placer.load_full()
    }

    /// Who tells what pods and nodes use, each of some planes. The first that measures a plane is asked.
    pub fn set_usage_meters(&self, meters: Vec<Arc<dyn UsageMeter>>) {
        self.meters.store(Arc::new(Meters::new(meters)));
    }

    /// Who counts what the host plane's metrics tell beside the server's own.
    pub fn set_metric_sources(&self, sources: Vec<Arc<dyn MetricSource>>) {
        self.metric_sources.store(Arc::new(sources));
    }

    pub(crate) fn meters(&self) -> Arc<Meters> {
        self.meters.load_full()
    }

    /// How many different definitions of custom resources and how many different schemas are kept, over all planes:
    /// equal ones are kept once.
    pub fn custom_kinds_in_use(&self) -> (usize, usize) {
        self.crds.in_use()
    }

    /// Who connects to tenants' pods where they run. Without one they are dialled by their addresses.
    pub fn set_pod_tunnel(&self, tunnel: Box<dyn PodTunnel>) {
        self.network.set_tunnel(tunnel);
    }

    /// Forgets the history that is old at a time, but for what backups under way have still to read of the store.
    pub async fn forget_history(&self, retention: &mut Retention, now: Instant) {
        let Some(revision) = retention.sample(now, self.cache.revision()) else { return };
        self.cache.trim(revision);
        if let Err(error) = self.store.compact(self.backups.spare(revision)).await {
            tracing::warn!(%error, "the store could not be compacted; trying again later");
        }
    }

    /// Commits, and waits until reads show it.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<Revision, CommitError> {
        let revision = self.store.commit(commit).await?;
        self.cache.wait_for(revision).await;
        Ok(revision)
    }

    /// Commits in the plane's turn, and waits until reads show it. In a task of its own, so that a place in the next commits
    /// is taken and given back at once, also while the request waits for its turn on a processor.
    pub(crate) async fn commit_in_turn(&self, who: Who, commit: Commit) -> Result<Revision, CommitError> {
        let (commits, store, cache) = (self.commits.clone(), self.store.clone(), self.cache.clone());
        let committed = tokio::spawn(async move {
            let place = commits.pass(who).await;
            let committed = store.commit(commit).await;
            drop(place);
            let revision = committed?;
            cache.wait_for(revision).await;
            Ok(revision)
        });
        let ended = |error: JoinError| Err(CommitError::Unknown(format!("the commit ended: {error}")));
        AbortOnDropHandle::new(committed).await.unwrap_or_else(ended)
    }

    /// Sees every change after the cache has it and before its write is acknowledged.
    fn observe(&self, tenant: TenantId, key: &ResourceKey) {
        let resource: &GroupResource = &key.resource;
        if tenant == TenantId::HOST && *resource == *tenants::TENANTS {
            tenants::observe(self, &key.object);
        }
        if tenant == TenantId::HOST && *resource == *tenants::PROFILES {
            tenants::observe_profile(self);
        }
        if tenant == TenantId::HOST && *resource == *issuers::ADDRESSES {
            issuers::observe(self);
        }
        if *resource == *planes::KEYS {
            self.renewal.changed(tenant);
        }
        if standing::is_ground(resource)
            && let Some(plane) = self.planes.get(tenant)
        {
            plane.grounds.changed(key);
        }
        if *resource == *crds::DEFINITIONS
            && let Some(plane) = self.planes.get(tenant)
        {
            crds::refresh(self, &plane);
        }
    }

    /// The user and the plane of a request are told by these.
    pub fn claimed_plane(&self, credentials: &Credentials) -> Option<Arc<Plane>> {
        crate::authentication::claimed_plane(self, credentials)
    }
}

/// Fills a cache from the store, in which there is a serving CA. A new installation gets one; when another process makes one
/// in the same moment, the one that is stored first is that of both.
async fn load(store: &SealedStore) -> Result<(Arc<Cache>, Revision), StartError> {
    loop {
        let cache = Arc::new(Cache::new(bootstrap::shared_objects()));
        let revision = feed::load(&cache, store).await?;
        if plane_keys::stored(&cache, TenantId::HOST, planes::SERVING_CA).is_some() {
            return Ok((cache, revision));
        }
        let made = pki::make_authority("insula-serving")?;
        let space = Space::new(TenantId::HOST);
        let key = plane_keys::key(planes::SERVING_CA);
        let commit = Commit {
            preconditions: vec![space.expect(feed::store_key(&key), Revision::ZERO)],
            operations: vec![bootstrap::put(space, &key, &Ring::new(made).object(planes::SERVING_CA))],
        };
        match store.commit(commit).await {
            // Either way it is read back.
            Ok(_) | Err(CommitError::Precondition { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The cache was loaded at its own revision; what was committed after it comes by the watch.
fn revision_to_follow(server: &Server, committed: Revision) -> Revision {
    server.cache.revision().min(committed)
}

/// Forgets history that is old: in the cache and, behind it, in the store.
async fn trim(server: Arc<Server>, shutdown: Shutdown) {
    let mut retention = Retention::new(HISTORY);
    let mut ticks = tokio::time::interval(Duration::from_secs(60));
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.requested() => return,
        }
        server.forget_history(&mut retention, Instant::now()).await;
    }
}
