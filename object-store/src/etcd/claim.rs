//! The claim of one process on all keys under the prefix: a second one is refused, and one that was taken for dead
//! cannot write.
//!
//! It is a key beside the others, with a lease that is kept alive. Every commit expects it as it was made. A process
//! that ends by itself gives it up; that of one that was killed ends with its lease.

use super::errors::{unavailable, why};
use crate::engine::StoreError;
use etcd_client::{Compare, CompareOp, Error, KvClient, LeaseClient, PutOptions, Txn, TxnOp, TxnOpResponse};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Seconds after which the claim of a process that is silent ends.
pub const CLAIM_SECONDS: u64 = 10;
/// How often it says that it is there, and how soon it tries again what failed.
const ALIVE: Duration = Duration::from_secs(CLAIM_SECONDS / 4);
const AGAIN: Duration = Duration::from_millis(500);

pub(super) struct Claim {
    key: Vec<u8>,
    who: String,
    kv: KvClient,
    leases: LeaseClient,
    lease: AtomicI64,
    /// The etcd revision at which the key was made.
    made: AtomicI64,
}

impl Claim {
    /// Takes it; [`StoreError::InUse`] names who has it.
    pub async fn take(
        key: Vec<u8>,
        who: String,
        kv: KvClient,
        leases: LeaseClient,
    ) -> Result<Self, StoreError> {
        let claim = Claim { key, who, kv, leases, lease: AtomicI64::new(0), made: AtomicI64::new(0) };
        claim.try_take().await?;
        Ok(claim)
    }

    /// What a commit expects.
    pub fn expected(&self) -> Compare {
        // One that was lost is at a revision at which nothing is made.
        Compare::create_revision(self.key.clone(), CompareOp::Equal, self.made.load(Ordering::Acquire).max(1))
    }

    /// How a commit that failed finds out whether it was for this.
    pub fn look(&self) -> TxnOp {
        TxnOp::get(self.key.clone(), None)
    }

    /// What such a look says when another process has it, or nobody.
    pub fn lost(&self, look: &TxnOpResponse) -> Option<StoreError> {
        let TxnOpResponse::Get(get) = look else { return None };
        let holder = match get.kvs().first() {
            Some(kv) if kv.create_revision() == self.made.load(Ordering::Acquire) => return None,
            Some(kv) => String::from_utf8_lossy(kv.value()).into_owned(),
            None => "nobody yet".to_owned(),
        };
        Some(StoreError::Unavailable(format!("this process has lost its claim on etcd, which {holder} has")))
    }

    async fn try_take(&self) -> Result<(), StoreError> {
        let failed = |error: Error| unavailable(&error);
        let mut leases = self.leases.clone();
        let lease = leases.grant(CLAIM_SECONDS as i64, None).await.map_err(failed)?.id();
        let put = TxnOp::put(self.key.clone(), self.who.clone(), Some(PutOptions::new().with_lease(lease)));
        let absent = Compare::create_revision(self.key.clone(), CompareOp::Equal, 0);
        let transaction = Txn::new().when([absent]).and_then([put]).or_else([self.look()]);
        let answer = self.kv.clone().txn(transaction).await.map_err(failed)?;
        if answer.succeeded() {
            self.made.store(answer.header().map_or(0, |header| header.revision()), Ordering::Release);
            self.lease.store(lease, Ordering::Release);
            return Ok(());
        }
        if let Err(error) = leases.revoke(lease).await {
            tracing::debug!(error = %why(&error), "a lease is left to end by itself");
        }
        let looks = answer.op_responses();
        let found = looks.iter().find_map(|look| match look {
            TxnOpResponse::Get(get) => get.kvs().first(),
            _ => None,
        });
        match found {
            Some(kv) if kv.create_revision() == self.made.load(Ordering::Acquire) => Ok(()),
            Some(kv) => {
                let (key, holder) = (String::from_utf8_lossy(&self.key), String::from_utf8_lossy(kv.value()));
                Err(StoreError::InUse { path: format!("{key}, which {holder} has,") })
            }
            None => Err(StoreError::Unavailable("the claim on etcd changes all the time".to_owned())),
        }
    }

    /// Keeps it for as long as it runs, and takes it again when it was lost.
    pub async fn keep(&self) {
        let mut told = false;
        loop {
            if let Err(error) = self.keep_lease().await {
                tracing::debug!(error = %why(&error), "the claim on etcd is not kept alive");
            }
            match self.try_take().await {
                Ok(()) => told = false,
                Err(error) if !told => {
                    told = true;
                    tracing::error!(%error, "nothing can be written until this process has etcd again");
                }
                Err(_) => {}
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Keeps the lease alive; returns when it has ended.
    async fn keep_lease(&self) -> Result<(), Error> {
        let lease = self.lease.load(Ordering::Acquire);
        let (mut keeper, mut answers) = self.leases.clone().keep_alive(lease).await?;
        loop {
            keeper.keep_alive().await?;
            match tokio::time::timeout(ALIVE, answers.message()).await.map(Result::transpose) {
                Ok(Some(answer)) if answer.as_ref().is_ok_and(|answer| answer.ttl() > 0) => {}
                Ok(Some(Err(error))) => return Err(error),
                Ok(_) => return Ok(()),
                Err(_) => continue,
            }
            tokio::time::sleep(ALIVE).await;
        }
    }

    /// Gives it up.
    pub async fn give_up(&self) {
        let lease = self.lease.load(Ordering::Acquire);
        if let Err(error) = self.leases.clone().revoke(lease).await {
            tracing::warn!(error = %why(&error), "the claim on etcd is left to end by itself");
        }
    }
}
