//! A commit as one transaction of etcd.

use super::Core;
use super::errors::{Refusal, certainly_not_done, refusal, why};
use crate::engine::{CommitError, StoreError};
use crate::operation::{Action, Commit, Precondition};
use api_types::Revision;
use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, Txn, TxnOp, TxnOpResponse};

/// What a request needs beside keys and values, for each compare and operation; more than it really is.
const OVERHEAD: usize = 64;

impl Core {
    pub async fn commit(&self, commit: Commit) -> Result<Revision, CommitError> {
        let Commit { preconditions, operations } = commit;
        let mut size = 0;
        let mut compares = Vec::with_capacity(preconditions.len());
        let mut looks = Vec::with_capacity(preconditions.len());
        for precondition in &preconditions {
            let key = self.keys.key(precondition.tenant, &precondition.key);
            size += 2 * (key.len() + OVERHEAD);
            // etcd compares an absent key as one at revision 0; none is at the last one.
            let at = match (precondition.revision, self.number(precondition.revision)) {
                (Revision::ZERO, _) => 0,
                (_, 0) => i64::MAX,
                (_, number) => number,
            };
            compares.push(Compare::mod_revision(key.clone(), CompareOp::Equal, at));
            looks.push(TxnOp::get(key, Some(GetOptions::new().with_keys_only())));
        }
        if let Some(claim) = &self.claim {
            compares.push(claim.expected());
            looks.push(claim.look());
        }
        let mut writes = Vec::with_capacity(operations.len());
        for operation in operations {
            let key = self.keys.key(operation.tenant, &operation.key);
            size += key.len() + OVERHEAD;
            writes.push(match operation.action {
                Action::Put(value) => {
                    size += value.len();
                    TxnOp::put(key, value, None)
                }
                Action::Delete => TxnOp::delete(key, None),
                Action::DeleteAll => {
                    let (start, end) = self.keys.span(operation.tenant, "");
                    TxnOp::delete(start, Some(DeleteOptions::new().with_range(end)))
                }
            });
        }
        if size > self.max_request_bytes {
            return Err(CommitError::Malformed("a commit is larger than etcd takes in one request"));
        }

        let transaction = Txn::new().when(compares).and_then(writes).or_else(looks);
        let mut kv = self.kv.clone();
        let answer = self.call(async { kv.txn(transaction).await }).await.map_err(commit_error)?;
        let at = self.saw(self.revision(answer.header().map_or(0, |header| header.revision())));
        if answer.succeeded() {
            return Ok(at);
        }
        let looks = answer.op_responses();
        if let Some(lost) = self.claim.as_ref().zip(looks.last()).and_then(|(claim, look)| claim.lost(look)) {
            return Err(lost.into());
        }
        let actual = looks.into_iter().map(|look| match look {
            TxnOpResponse::Get(get) => {
                self.revision(get.kvs().first().map_or(0, |found| found.mod_revision()))
            }
            _ => Revision::ZERO,
        });
        Err(failing(&preconditions, actual))
    }
}

/// The first precondition that does not hold, given where the keys are.
fn failing(preconditions: &[Precondition], actual: impl Iterator<Item = Revision>) -> CommitError {
    let mut looked = preconditions.iter().zip(actual).enumerate();
    match looked.find(|(_, (precondition, actual))| precondition.revision != *actual) {
        Some((index, (_, actual))) => CommitError::Precondition { index, actual },
        None => StoreError::Unavailable("etcd's answer does not fit the question".into()).into(),
    }
}

fn commit_error(error: etcd_client::Error) -> CommitError {
    match refusal(&error) {
        Some(Refusal::TooLarge) => {
            CommitError::Malformed("a commit is larger than etcd takes in one request")
        }
        Some(Refusal::TooManyOperations) => {
            CommitError::Malformed("a commit has more operations than etcd takes")
        }
        Some(Refusal::DuplicateKey) => CommitError::Malformed("a key is in two operations"),
        _ if certainly_not_done(&error) => StoreError::Unavailable(why(&error)).into(),
        _ => CommitError::Unknown(why(&error)),
    }
}
