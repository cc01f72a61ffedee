//! What etcd's errors mean.

use super::Core;
use crate::engine::StoreError;
use api_types::Revision;
use etcd_client::{Error, WatchOptions};
use std::sync::atomic::Ordering;

/// Refusals that have a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Compacted,
    Future,
    TooLarge,
    TooManyOperations,
    DuplicateKey,
}

/// What etcd answers, in the words of its `rpctypes`.
const REFUSALS: &[(Refusal, &str)] = &[
    (Refusal::Compacted, "required revision has been compacted"),
    (Refusal::Future, "required revision is a future revision"),
    (Refusal::TooLarge, "request is too large"),
    // What gRPC itself says where the request is larger still.
    (Refusal::TooLarge, "received message larger than max"),
    (Refusal::TooManyOperations, "too many operations in txn request"),
    (Refusal::DuplicateKey, "duplicate key given in txn request"),
];

/// gRPC codes with which a server says that it did not do what was asked: InvalidArgument, NotFound,
/// AlreadyExists, PermissionDenied, ResourceExhausted, FailedPrecondition, OutOfRange, Unimplemented,
/// Unauthenticated.
const NOT_DONE: &[i32] = &[3, 5, 6, 7, 8, 9, 11, 12, 16];

/// The refusal that an error is.
pub(super) fn refusal(error: &Error) -> Option<Refusal> {
    let Error::GRpcStatus(status) = error else { return None };
    REFUSALS.iter().find(|(_, text)| status.message().contains(text)).map(|(refusal, _)| *refusal)
}

pub(super) fn is_refusal(error: &Error, one: Refusal) -> bool {
    refusal(error) == Some(one)
}

/// True when it is certain that the request changed nothing: the server said so, or it was never reached.
pub(super) fn certainly_not_done(error: &Error) -> bool {
    match error {
        Error::GRpcStatus(status) => NOT_DONE.contains(&(status.code() as i32)) || not_connected(status),
        Error::IoError(_) | Error::TransportError(_) | Error::Internal(_) => false,
        _ => true,
    }
}

/// The connection could not be made.
fn not_connected(error: &dyn std::error::Error) -> bool {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        next = error.source();
    }
    false
}

/// What is wrong, in a line.
pub(super) fn why(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) => format!("etcd: {}", status.message()),
        error => format!("etcd: {error}"),
    }
}

pub(super) fn unavailable(error: &Error) -> StoreError {
    StoreError::Unavailable(why(error))
}

impl Core {
    /// The error of a read at a revision.
    pub async fn store_error(&self, requested: Revision, error: Error) -> StoreError {
        match refusal(&error) {
            Some(Refusal::Compacted) => {
                let oldest = self.fetch_compacted().await.unwrap_or(Revision(requested.0 + 1));
                StoreError::Compacted { requested, oldest }
            }
            Some(Refusal::Future) => match self.fetch_newest().await {
                Ok(newest) => StoreError::Future { requested, newest },
                Err(error) => error,
            },
            _ => unavailable(&error),
        }
    }

    /// The compacted revision. Only a watch that starts before it is told; so it is to be asked only when
    /// something has been compacted.
    async fn fetch_compacted(&self) -> Option<Revision> {
        let mut client = self.watch.clone();
        let answer = self.call(async {
            let from_start = WatchOptions::new().with_start_revision(1);
            let mut stream = client.watch(self.keys.start(), Some(from_start)).await?;
            while let Some(message) = stream.message().await? {
                if message.compact_revision() > 0 {
                    return Ok(Some(message.compact_revision()));
                }
            }
            Ok(None)
        });
        let compacted = self.revision(answer.await.ok()??);
        self.compacted.fetch_max(compacted.0, Ordering::AcqRel);
        Some(compacted)
    }
}
