//! One request and its whole answer.

use super::{DialError, Dialer, Peer};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use std::time::Duration;

/// What is sent, to whom, and how much of an answer is taken.
pub struct Exchange<'a> {
    /// To whom.
    pub peer: &'a Peer,
    /// What is asked, without `Host`; its URI is a path and a query.
    pub request: Request<Full<Bytes>>,
    /// How long all of it may take.
    pub timeout: Duration,
    /// The most bytes of the answer.
    pub max_answer: usize,
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Dialer {
    /// Sends a request over a connection of its own, and takes the whole answer. A redirect is an error.
    pub async fn exchange(&self, exchange: Exchange<'_>) -> Result<Answer, DialError> {
        let timeout = exchange.timeout;
        // On the heap: what may ask a webhook, as every request and every watch may, keeps no room for its handshake.
        let converse = Box::pin(converse(self, exchange));
        tokio::time::timeout(timeout, converse).await.unwrap_or(Err(DialError::Timeout))
    }
}

async fn converse(dialer: &Dialer, exchange: Exchange<'_>) -> Result<Answer, DialError> {
    let Exchange { peer, mut request, max_answer, .. } = exchange;
    let stream = dialer.open(peer).await?;
    let broken = |error: hyper::Error| DialError::Broken(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with the exchange: whoever gives up waiting ends the connection too.
    let connection = Ended(tokio::spawn(connection));
    let host = peer.authority.parse().map_err(|_| DialError::Address(peer.authority.clone()))?;
    request.headers_mut().insert(http::header::HOST, host);
    let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
    if head.status.is_redirection() && head.status != StatusCode::NOT_MODIFIED {
        return Err(DialError::Redirect(head.status.as_u16()));
    }
    let body = match Limited::new(body, max_answer).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(DialError::TooLarge(max_answer)),
        Err(error) => return Err(DialError::Broken(error.to_string())),
    };
    drop(connection);
    Ok(Answer { status: head.status, headers: head.headers, body })
}

/// A task that ends when this is dropped.
pub struct Ended<T>(pub tokio::task::JoinHandle<T>);

impl<T> Drop for Ended<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
