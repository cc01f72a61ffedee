//! Connections that a server closes while a request is on its way.
//!
//! Servers close connections that lie idle, and a client that takes one in the same moment learns of it only when it has
//! sent a request that nobody reads. What changes nothing may then be sent again (RFC 9112, 9.3.1).

use std::error::Error;
use std::io;

/// How often one thing is asked at most: many connections may lie idle and be gone together, as when what stands between
/// has forgotten them.
const TRIES: usize = 10;

/// What was asked; and asked again, when it `may` be, as long as connections were closed before there was any answer.
pub async fn again<T, F>(may: bool, ask: impl Fn() -> F) -> Result<T, kube::Error>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    for _ in 1..TRIES {
        match ask().await {
            Err(error) if may && was_closed(&error) => {
                tracing::debug!(%error, "a connection was just closed; asked again");
            }
            done => return done,
        }
    }
    ask().await
}

/// True when a connection that was there ended without an answer.
fn was_closed(error: &kube::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_incomplete_message()
                || error.is_canceled()
                || error.is_closed()
                || is_reset(error);
        }
        cause = error.source();
    }
    false
}

fn is_reset(error: &hyper::Error) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    io.is_some_and(|io| {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        // The last: closed without the words that TLS has for it.
        matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    })
}
