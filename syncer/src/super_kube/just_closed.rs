//! Connections that a server closes while a request is on its way.
//!
//! Servers close connections that lie idle, and a client that takes one in the same moment learns of it only when it has
//! sent a request that nobody reads. What changes nothing may then be sent again (RFC 9112, 9.3.1).

use std::error::Error;
use std::io;

/// What was asked; once more, when it `may` be and the connection was closed before there was any answer.
pub async fn again<T, F>(may: bool, ask: impl Fn() -> F) -> Result<T, kube::Error>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    match ask().await {
        Err(error) if may && was_closed(&error) => {
            tracing::debug!(%error, "a connection was just closed; asked again");
            ask().await
        }
        done => done,
    }
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
    io.is_some_and(|io| matches!(io.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe))
}
