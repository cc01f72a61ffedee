//! How streams are passed on: which headers go along, bodies that end when they have to, connections that are joined.

use super::open::Open;
use crate::audit;
use crate::dialer::Ended;
use crate::handlers::{Incoming, web_sockets};
use crate::reply::{self, Content, Reply};
use crate::server::Server;
use crate::stages::Authorized;
use api_types::ApiError;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use plane_client::{Duplex, PodTunnel};
use std::io;
use std::pin::Pin;

/// The headers of a handshake (RFC 6455, and SPDY as Kubernetes speaks it). Nothing else is said to a super cluster.
const HANDSHAKE: [HeaderName; 7] = [
    header::UPGRADE,
    header::ORIGIN,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    HeaderName::from_static("x-stream-protocol-version"),
];
/// The same of the answer.
const SHAKEN: [HeaderName; 5] = [
    header::UPGRADE,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    HeaderName::from_static("x-stream-protocol-version"),
];

/// The connection of a client that wants to go on in another protocol.
pub fn upgrade(auth: &Authorized, body: &Incoming) -> Option<OnUpgrade> {
    let asked = auth.call().headers.get_all(header::CONNECTION).iter();
    let asks = asked
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("upgrade"));
    body.take_upgrade().filter(|_| asks)
}

/// What of a client's headers belongs to its handshake.
pub fn handshake(from: &HeaderMap) -> HeaderMap {
    let mut headers = chosen(from, &HANDSHAKE);
    web_sockets::forget_tokens(&mut headers);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers
}

fn chosen(from: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in names {
        for value in from.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// A body that breaks off when it may not go on.
pub fn bounded<E>(
    body: impl Stream<Item = Result<Frame<Bytes>, E>> + Send + 'static,
    open: Open,
) -> reply::Body
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let state = Some((Box::pin(body), open));
    let frames = futures::stream::unfold(state, |state| async move {
        let (mut body, mut open) = state?;
        tokio::select! {
            frame = body.next() => match frame? {
                Ok(frame) => Some((Ok(frame), Some((body, open)))),
                Err(error) => Some((Err(io::Error::other(error)), None)),
            },
            () = &mut open.end => {
                Some((Err(io::Error::new(io::ErrorKind::TimedOut, "the stream may not go on")), None))
            }
        }
    });
    let frames: Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>> + Send>> = frames.boxed();
    StreamBody::new(frames).boxed_unsync()
}

/// Answers that the connection goes on, and joins it with another until one of them ends, or may not go on.
pub fn upgraded(headers: &HeaderMap, theirs: Box<dyn Duplex>, client: OnUpgrade, open: Open) -> Reply {
    going_on(headers, open, async move {
        let (mut theirs, Ok(client)) = (theirs, client.await) else { return };
        // Who goes away first is nobody's error.
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut theirs).await;
    })
}

/// The same with a connection that is still to be taken over from HTTP, and what drives it.
pub fn joined(
    headers: &HeaderMap,
    theirs: OnUpgrade,
    driven: Ended<()>,
    client: OnUpgrade,
    open: Open,
) -> Reply {
    going_on(headers, open, async move {
        let _driven = driven;
        let Ok((client, theirs)) = tokio::try_join!(client, theirs) else { return };
        let (mut client, mut theirs) = (TokioIo::new(client), TokioIo::new(theirs));
        // Who goes away first is nobody's error.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut theirs).await;
    })
}

fn going_on(headers: &HeaderMap, open: Open, joined: impl Future<Output = ()> + Send + 'static) -> Reply {
    let mut reply = Reply::with(StatusCode::SWITCHING_PROTOCOLS, Content::Foreign(reply::full(Bytes::new())));
    reply.headers = chosen(headers, &SHAKEN);
    reply.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let trail = reply.goes_on();
    // Ends with either connection, or with the stream's end.
    tokio::spawn(async move {
        let Open { place, end } = open;
        tokio::select! {
            () = joined => {}
            () = end => {}
        }
        drop(place);
        // Nobody follows it, or it is written down now that it has ended.
        drop(trail.await);
    });
    reply
}

/// Has written down, for the platform alone, as whom a super cluster is asked.
pub async fn note_actor(server: &Server, auth: &Authorized, tunnel: &dyn PodTunnel) {
    if server.audit().is_none() {
        return;
    }
    let Some(actor) = tunnel.actor(auth.plane().id).await else { return };
    auth.note(audit::event::SUPER_CLUSTER, actor.cluster);
    if let Some(user) = actor.user {
        auth.note(audit::event::SUPER_ACTOR, user);
    }
}

/// 400: a stream has to be asked for.
pub fn upgrade_required() -> ApiError {
    ApiError::bad_request("Upgrade request required")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_behind() {
        let given = [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-protocol", "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWJj"),
            ("authorization", "Bearer abc"),
            ("cookie", "a=b"),
            ("impersonate-user", "eve"),
            ("x-remote-user", "eve"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
            ("x-stream-protocol-version", "v3.channel.k8s.io"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let sent = handshake(&headers);
        let mut told: Vec<String> =
            sent.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        told.sort();
        assert_eq!(
            told,
            [
                "connection: Upgrade",
                "sec-websocket-protocol: v5.channel.k8s.io",
                "upgrade: websocket",
                "x-stream-protocol-version: v3.channel.k8s.io",
                "x-stream-protocol-version: v4.channel.k8s.io",
            ]
        );
    }
}
