//! The store of many replicas: etcd 3.4 and newer.
//!
//! Keys are `<prefix>/<tenant UID>/<key>`; a commit is one etcd transaction; the revision is etcd's, and in a store that
//! was restored what `<prefix>.floor` says above it. A replica
//! holds one etcd watch of the whole prefix and fans it out itself; a watch that starts further in the past has
//! one of its own until it has caught up. Read in this order: `keys`, `transaction`, `ranging`, `following`,
//! `maintenance`.
//!
//! Guarantees: those of [`ObjectStore`]. Assumes that nothing else writes under the prefix, and that its own
//! limits are those of the servers: 128 operations and 1.5 MiB for a request unless configured otherwise.
//! Caveat: a commit whose connection is lost while it is under way is [`CommitError::Unknown`]; the caller reads
//! before it tries again.

mod claim;
mod errors;
mod following;
mod keys;
mod maintenance;
mod ranging;
mod transaction;

use crate::engine::{CommitError, ObjectStore, Page, Range, Size, StoreError, Watch};
use crate::feed::{Feed, FeedLimits, Joined};
use crate::operation::Commit;
use api_types::Revision;
use async_trait::async_trait;
pub use claim::CLAIM_SECONDS;

use claim::Claim;
use errors::{Refusal, is_refusal, unavailable};
use etcd_client::{
    Certificate, Client, ConnectOptions, GetOptions, Identity, KvClient, MaintenanceClient, TlsOptions,
    WatchClient,
};
use following::{Follower, Past};
use keys::Keys;
use maintenance::read_floor;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How to reach etcd, and the limits of an [`EtcdStore`].
#[derive(Clone, Debug)]
pub struct EtcdOptions {
    /// URLs of the members.
    pub endpoints: Vec<String>,
    /// The key before all keys, without a slash at its end.
    pub prefix: String,
    /// Who alone is to write under the prefix; `None`: it is written by others too.
    pub claim: Option<String>,
    /// User and password, where etcd asks for them.
    pub user: Option<(String, String)>,
    /// For `https` endpoints.
    pub tls: Option<EtcdTls>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// The servers' `--max-request-bytes`.
    pub max_request_bytes: usize,
    /// Batches that a watcher may lag behind before its stream ends.
    pub watch_buffer: usize,
    /// Bytes of recent batches kept in memory for watches that start a little in the past.
    pub recent_bytes: usize,
}

/// Certificates, as PEM.
#[derive(Clone, Debug)]
pub struct EtcdTls {
    /// The CA of the servers.
    pub ca: Vec<u8>,
    /// Certificate and private key of this client.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl EtcdOptions {
    /// Members and prefix; the rest as usual.
    pub fn new(endpoints: Vec<String>, prefix: impl Into<String>) -> Self {
        EtcdOptions {
            endpoints,
            prefix: prefix.into(),
            claim: None,
            user: None,
            tls: None,
            timeout: Duration::from_secs(10),
            max_request_bytes: 3 << 19,
            watch_buffer: 4096,
            recent_bytes: 8 << 20,
        }
    }
}

/// A store in etcd. Dropping it ends its watches.
pub struct EtcdStore {
    core: Arc<Core>,
    /// Dropped with the store: its tasks end.
    _open: watch::Sender<()>,
}

/// What the store and its tasks share.
struct Core {
    keys: Keys,
    kv: KvClient,
    watch: WatchClient,
    feed: Feed,
    timeout: Duration,
    max_request_bytes: usize,
    watch_buffer: usize,
    maintenance: MaintenanceClient,
    claim: Option<Claim>,
    /// What is added to etcd's revisions.
    floor: AtomicU64,
    /// The newest revision that any answer named.
    newest: AtomicU64,
    /// The compacted revision, as far as it is known here.
    compacted: AtomicU64,
    closed: watch::Receiver<()>,
}

impl EtcdStore {
    /// Connects, and starts the replica's watch.
    ///
    /// Errors: [`StoreError::Unavailable`] when etcd does not answer in time or refuses.
    pub async fn connect(options: EtcdOptions) -> Result<Self, StoreError> {
        let mut connect = ConnectOptions::new()
            .with_connect_timeout(options.timeout)
            .with_keep_alive(Duration::from_secs(5), Duration::from_secs(5))
            .with_auto_token_refresh(options.user.is_some());
        if let Some((user, password)) = &options.user {
            connect = connect.with_user(user, password);
        }
        if let Some(tls) = &options.tls {
            let mut with = TlsOptions::new().ca_certificate(Certificate::from_pem(&tls.ca));
            if let Some((certificate, key)) = &tls.identity {
                with = with.identity(Identity::from_pem(certificate, key));
            }
            connect = connect.with_tls(with);
        }
        let keys = Keys::new(&options.prefix);
        let connected = async {
            let client = Client::connect(&options.endpoints, Some(connect)).await?;
            let kv = client.kv_client().max_decoding_message_size(usize::MAX);
            let floor = kv.clone().get(keys.floor(), None).await?;
            Ok((client, kv, floor))
        };
        let (client, kv, found) =
            in_time(options.timeout, connected).await.map_err(|error| unavailable(&error))?;
        let floor = found.kvs().first().map_or(Ok(0), |kv| read_floor(kv.key(), kv.value()))?;
        let start = Revision(floor + found.header().map_or(0, |header| revision(header.revision())));

        let claim = match options.claim {
            None => None,
            Some(who) => {
                let taken = Claim::take(keys.claim(), who, kv.clone(), client.lease_client());
                let late = || StoreError::Unavailable("etcd does not answer in time".to_owned());
                Some(tokio::time::timeout(options.timeout, taken).await.map_err(|_| late())??)
            }
        };
        let limits =
            FeedLimits { recent_batches: options.watch_buffer / 2, recent_bytes: options.recent_bytes };
        let (open, closed) = watch::channel(());
        let core = Arc::new(Core {
            keys,
            kv,
            watch: client.watch_client().max_decoding_message_size(usize::MAX),
            maintenance: client.maintenance_client(),
            claim,
            feed: Feed::new(start, limits),
            timeout: options.timeout,
            max_request_bytes: options.max_request_bytes,
            watch_buffer: options.watch_buffer,
            floor: AtomicU64::new(floor),
            newest: AtomicU64::new(start.0),
            compacted: AtomicU64::new(floor),
            closed,
        });
        // The task connects again by itself, for ever, and ends with the store.
        tokio::spawn(Follower::new(core.clone(), start).run());
        tokio::spawn(keep_claim(core.clone()));
        Ok(EtcdStore { core, _open: open })
    }
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        self.core.feed.close();
    }
}

#[async_trait]
impl ObjectStore for EtcdStore {
    async fn commit(&self, commit: Commit) -> Result<Revision, CommitError> {
        commit.check().map_err(CommitError::Malformed)?;
        self.core.commit(commit).await
    }

    async fn range(&self, range: Range) -> Result<Page, StoreError> {
        self.core.range(range).await
    }

    async fn watch(&self, from: Revision) -> Result<Watch, StoreError> {
        let core = &self.core;
        if from > core.newest() {
            let newest = self.revision().await?;
            if from > newest {
                return Err(StoreError::Future { requested: from, newest });
            }
        }
        let oldest = Revision(core.compacted.load(Ordering::Acquire));
        if from < oldest {
            return Err(StoreError::Compacted { requested: from, oldest });
        }
        let (sender, watch) = mpsc::channel(core.watch_buffer.max(1));
        match core.feed.join(from, &sender) {
            Joined::Live => {}
            Joined::Closed => return Err(StoreError::Unavailable("the store is closed".into())),
            Joined::Behind => {
                // A watch of etcd says too late that its start is compacted; a range says it at once.
                core.check_kept(from).await?;
                // The task ends when it has gone live, when its watcher is gone, and with the store; when etcd
                // fails, the stream ends, and the watcher comes again.
                tokio::spawn(Past::new(core.clone(), from, sender).run());
            }
        }
        Ok(Watch::new(watch))
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.core.fetch_newest().await
    }

    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        let core = &self.core;
        let number = core.number(at);
        if number == 0 {
            return Ok(());
        }
        let mut kv = core.kv.clone();
        match core.call(async { kv.compact(number, None).await }).await {
            Ok(_) => {
                core.compacted.fetch_max(at.0, Ordering::AcqRel);
                Ok(())
            }
            Err(error) if is_refusal(&error, Refusal::Compacted) => Ok(()),
            Err(error) => Err(core.store_error(at, error).await),
        }
    }

    async fn shrink(&self) -> Result<bool, StoreError> {
        // A member answers nothing while it is defragmented: when is for its operators to say.
        Ok(false)
    }

    async fn raise(&self, floor: Revision) -> Result<(), StoreError> {
        self.core.raise(floor).await
    }

    async fn size(&self) -> Result<Size, StoreError> {
        self.core.size().await
    }

    async fn release(&self) {
        if let Some(claim) = &self.core.claim {
            // A late answer says only that others have to wait a little.
            let _ = tokio::time::timeout(self.core.timeout, claim.give_up()).await;
        }
    }
}

/// Keeps the claim for as long as the store is open.
async fn keep_claim(core: Arc<Core>) {
    let Some(claim) = &core.claim else { return };
    let mut closed = core.closed.clone();
    tokio::select! {
        // Only the end of the sender is waited for.
        _ = closed.changed() => {}
        () = claim.keep() => {}
    }
}

impl Core {
    fn newest(&self) -> Revision {
        Revision(self.newest.load(Ordering::Acquire))
    }

    /// Notes a revision that etcd named.
    fn saw(&self, revision: Revision) -> Revision {
        self.newest.fetch_max(revision.0, Ordering::AcqRel);
        revision
    }

    /// A revision of etcd as one of the store.
    fn revision(&self, number: i64) -> Revision {
        match revision(number) {
            0 => Revision::ZERO,
            number => Revision(self.floor.load(Ordering::Acquire).saturating_add(number)),
        }
    }

    /// A revision of the store as one of etcd; zero for what is from before its time.
    fn number(&self, at: Revision) -> i64 {
        let number = at.0.saturating_sub(self.floor.load(Ordering::Acquire));
        i64::try_from(number).unwrap_or(i64::MAX)
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, etcd_client::Error> {
        in_time(self.timeout, call).await
    }

    async fn fetch_newest(&self) -> Result<Revision, StoreError> {
        let mut kv = self.kv.clone();
        let count = GetOptions::new().with_count_only();
        let answer = self.call(async { kv.get(self.keys.start(), Some(count)).await }).await;
        let answer = answer.map_err(|error| unavailable(&error))?;
        Ok(self.saw(self.revision(answer.header().map_or(0, |header| header.revision()))))
    }
}

async fn in_time<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, etcd_client::Error> {
    match tokio::time::timeout(timeout, call).await {
        Ok(result) => result,
        Err(_) => Err(etcd_client::Error::IoError(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer within {} s", timeout.as_secs()),
        ))),
    }
}

/// etcd's revisions are signed, but never negative.
fn revision(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
