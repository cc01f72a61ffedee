//! Which values are sealed in the store, and the installation's keys for it: `/insula/sealing` of the host plane.
//!
//! GET says which keys there are and how many planes each one seals. POST makes a new one: it is kept first, then every
//! plane's data key is sealed under it. The old ones stay, for backups that need them.

use crate::reply::Reply;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::PlaneKind;
use api_types::{ApiError, Reason};
use object_store::{CommitError, SealingKeys};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Where it is answered.
pub const PATH: &str = "/insula/sealing";

/// Keeps the installation's keys where they can be found at the next start.
type Keep = dyn Fn(&SealingKeys) -> Result<(), String> + Send + Sync;

/// The installation's keys as the server starts with them.
#[derive(Clone)]
pub struct Sealing {
    /// The keys.
    pub keys: SealingKeys,
    /// Keeps other ones. Blocks until they are on disk.
    pub keep: Arc<Keep>,
    /// Keys change one at a time.
    changing: Arc<Mutex<()>>,
}

impl Sealing {
    /// Keys, and how others are kept.
    pub fn new(
        keys: SealingKeys,
        keep: impl Fn(&SealingKeys) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Sealing { keys, keep: Arc::new(keep), changing: Arc::default() }
    }
}

impl std::fmt::Debug for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealing")
    }
}

/// True for the keys of Secrets and of planes' private keys.
pub fn is_secret(key: &str) -> bool {
    key.starts_with("/secrets/") || key.starts_with("insula.internal/keys/")
}

/// Seals what was written before there were keys, or under one that is not the first.
pub async fn renew(server: &Server) -> Result<(), CommitError> {
    let (count, revision) = server.store.renew().await?;
    server.cache.wait_for(revision).await;
    if count > 0 {
        tracing::info!(count, "secrets and keys of planes were sealed anew");
    }
    Ok(())
}

/// Answers [`PATH`].
pub async fn answer(server: &Server, auth: &Authorized) -> Result<Reply, ApiError> {
    if auth.plane().kind != PlaneKind::Host {
        return Ok(crate::handlers::paths::no_such_page());
    }
    match auth.call().method.as_str() {
        "GET" | "HEAD" => Ok(Reply::value(&shown(server))),
        "POST" => rotate(server).await,
        _ => Err(crate::handlers::not_allowed()),
    }
}

async fn rotate(server: &Server) -> Result<Reply, ApiError> {
    let sealing = &server.options.sealing;
    let _one_at_a_time = sealing.changing.lock().await;
    let keys =
        server.store.keys().rotated().map_err(|error| ApiError::new(Reason::Conflict, error.to_string()))?;
    let (keep, kept) = (sealing.keep.clone(), keys.clone());
    let done = tokio::task::spawn_blocking(move || keep(&kept)).await.map_err(ApiError::internal)?;
    done.map_err(ApiError::internal)?;
    let (count, revision) = server.store.rotate(keys).await.map_err(ApiError::internal)?;
    server.cache.wait_for(revision).await;
    tracing::info!(count, "data keys of planes were sealed under a new key");
    Ok(Reply::value(&shown(server)))
}

/// `{"keys": [{"name": …, "planes": …}]}`: the first one seals.
fn shown(server: &Server) -> Value {
    let key = |(name, planes): (object_store::sealing::KeyName, usize)| json!({"name": name.to_string(), "planes": planes});
    let keys: Vec<Value> = server.store.uses().into_iter().map(key).collect();
    json!({"keys": keys})
}
