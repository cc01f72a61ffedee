//! Requests that an extension server answers: sent on with who makes them, and the answer sent back as it comes.
//!
//! Authentication and authorization have been done. A request holds a seat of its plane until the head of the answer
//! is there, and a connection of its plane until the answer ends; watches, and connections that are upgraded, count as
//! watches of the plane too. All of them end when the plane or the user's credentials do.

use super::call;
use super::extensions::{Extension, Known};
use super::idle::Connection;
use crate::dialer::{DialError, Ended, Peer};
use crate::handlers::Incoming;
use crate::lifetime::Lifetime;
use crate::limits::Taken;
use crate::reply::{self, Content, Reply};
use crate::server::Server;
use crate::stages::Authorized;
use api_types::ApiError;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// How long it may take to be connected, hands shaken.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long the head of an answer may take.
const HEAD: Duration = Duration::from_secs(60);
/// The same where the question is what the server serves.
const DISCOVERY: Duration = Duration::from_secs(5);
/// How long an answer may take that is no stream, from its request to its end.
const WHOLE: Duration = Duration::from_secs(60);

/// What concerns one connection only (RFC 9110, 7.6.1), is not for extension servers, or is said anew.
pub(crate) const NOT_SENT: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Who is to be impersonated has been dealt with; by which way a request came, nobody but this server could say.
pub(crate) const NOT_SENT_PREFIXES: &[&str] = &["impersonate-", "x-forwarded-"];
/// What an answer cannot say for the host that this server answers at, which belongs to all tenants.
pub(crate) const NOT_SAID: &[&str] =
    &["alt-svc", "clear-site-data", "set-cookie", "strict-transport-security"];
/// What is said with every answer: should a browser show it, it is nobody's page.
pub(crate) const SAID: &[(&str, &str)] =
    &[("content-security-policy", "sandbox"), ("x-content-type-options", "nosniff")];
/// Subresources whose answers are streams.
const STREAMS: &[&str] = &["attach", "exec", "log", "portforward", "proxy"];

/// Sends a request on, and gives the answer.
pub async fn forward(
    server: &Arc<Server>,
    auth: &Authorized,
    extension: &Extension,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    if climbs(&auth.call().target) {
        return Err(ApiError::bad_request("the path has a segment \".\" or \"..\""));
    }
    if !extension.is_available {
        return Ok(unavailable("service unavailable"));
    }
    let plane = auth.plane();
    let Ok(place) = plane.extension_connections.clone().try_acquire_owned() else {
        let why = "too many requests to extension servers are under way in this plane";
        return Err(ApiError::too_many_requests(why, 1));
    };
    let upgrade = body.take_upgrade();
    let (stream, lifetime) = match upgrade.is_some() || is_stream(auth) {
        true => (Some(plane.limits.watch()?), Some(auth.lifetime(server)?)),
        false => (None, None),
    };
    let begun = Instant::now();
    let request = match request(auth, body, upgrade.is_some()) {
        Ok(request) => request,
        Err(error) => return Ok(unavailable(&format!("error trying to reach service: {error}"))),
    };
    let (response, used) = match send(server, auth, extension, request).await {
        Ok(answered) => answered,
        Err(error) => return Ok(unavailable(&format!("error trying to reach service: {error}"))),
    };
    if response.status().is_redirection() && response.headers().contains_key(header::LOCATION) {
        let told = "the backend attempted to redirect this request, which is not permitted";
        return Ok(Reply::with(StatusCode::BAD_GATEWAY, text(told)));
    }
    let held = Held { _place: place, _stream: stream, used: Some((used, extension.known.clone())) };
    let end = end(lifetime, begun);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(match upgrade {
            Some(client) => upgraded(response, client, held, end),
            None => unavailable("error trying to reach service: it switches protocols unasked"),
        });
    }
    Ok(answer(response, held, end))
}

/// True for a path that another server may read as another one than that which the user was allowed.
fn climbs(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or("");
    path.split('/').any(|segment| {
        let segment = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
        segment.split('/').any(|part| matches!(part, "." | ".."))
    })
}

/// What is held until an answer ends.
struct Held {
    _place: OwnedSemaphorePermit,
    /// Its place among the watches that the plane may have open.
    _stream: Option<Taken>,
    /// Its connection, and where that goes when it has said all.
    used: Option<(Connection, Arc<Known>)>,
}

impl Held {
    /// The answer has been said to its end: the connection can take the next request.
    fn release(&mut self) {
        if let Some((connection, known)) = self.used.take() {
            known.idle.put(connection);
        }
    }
}

fn is_stream(auth: &Authorized) -> bool {
    auth.resource().is_some_and(|request| {
        let sub = request.subresource.split('/').next().unwrap_or("");
        request.verb == "watch" || STREAMS.contains(&sub)
    })
}

/// 503 in plain text, as the proxy of Kubernetes says it.
fn unavailable(why: &str) -> Reply {
    Reply::with(StatusCode::SERVICE_UNAVAILABLE, text(&format!("{why}\n")))
}

fn text(told: &str) -> Content {
    Content::Raw("text/plain; charset=utf-8", Bytes::from(told.to_owned()))
}

/// The request as it is sent on.
fn request(auth: &Authorized, body: &Incoming, upgrade: bool) -> Result<Request<Full<Bytes>>, http::Error> {
    let call = auth.call();
    let mut request = Request::builder()
        .method(call.method.clone())
        .uri(&call.target)
        .body(Full::new(body.bytes.clone()))?;
    let headers = request.headers_mut();
    for (name, value) in &call.headers {
        let left_out = NOT_SENT.contains(&name.as_str())
            || NOT_SENT_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
        if !left_out && !is_named_by_connection(&call.headers, name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if upgrade && let Some(protocol) = call.headers.get(header::UPGRADE) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
    }
    call::sign(headers, auth.user());
    Ok(request)
}

pub(crate) fn is_named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    let all = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|named| named.trim().eq_ignore_ascii_case(name.as_str()))
}

/// Sends a request, over a connection that waits or a new one, and waits for the head of the answer.
async fn send(
    server: &Server,
    auth: &Authorized,
    extension: &Extension,
    mut request: Request<Full<Bytes>>,
) -> Result<(Response<hyper::body::Incoming>, Connection), DialError> {
    let peer = call::peer(server, auth.plane(), extension).await?;
    let host = peer.1.authority.parse().map_err(|_| DialError::Address(peer.1.authority.clone()))?;
    request.headers_mut().insert(header::HOST, host);
    let patience = if auth.resource().is_none() { DISCOVERY } else { HEAD };
    if let Some(mut waiting) = extension.known.idle.take() {
        // What only reads can be asked twice, when the server has hung up on the first.
        let again = request.method().is_safe().then(|| request.clone());
        let answered = tokio::time::timeout(patience, waiting.sender.try_send_request(request)).await;
        match answered.map_err(|_| DialError::Timeout)? {
            Ok(response) => return Ok((response, waiting)),
            // The server has closed it meanwhile.
            Err(mut error) => match error.take_message().or(again) {
                Some(unanswered) => request = unanswered,
                None => return Err(DialError::Broken(error.into_error().to_string())),
            },
        }
    }
    let mut fresh = connect(auth, &peer.1).await?;
    let answered = tokio::time::timeout(patience, fresh.sender.send_request(request)).await;
    let answered = answered.map_err(|_| DialError::Timeout)?;
    Ok((answered.map_err(|error| DialError::Broken(error.to_string()))?, fresh))
}

async fn connect(auth: &Authorized, peer: &Peer) -> Result<Connection, DialError> {
    let opened = tokio::time::timeout(CONNECTING, auth.plane().dialer.open(peer)).await;
    let stream = TokioIo::new(opened.unwrap_or(Err(DialError::Timeout))?);
    let shaken = hyper::client::conn::http1::handshake(stream).await;
    let (sender, connection) = shaken.map_err(|error| DialError::Broken(error.to_string()))?;
    let connection = connection.with_upgrades();
    // Ends when it is dropped: whoever goes away ends the connection too. What breaks it is told by the answer.
    let ended = Ended(tokio::spawn(async move {
        let _ = connection.await;
    }));
    Ok(Connection::new(sender, ended))
}

/// The answer as it is sent back.
fn answer(response: Response<hyper::body::Incoming>, held: Held, end: End) -> Reply {
    let (head, body) = response.into_parts();
    let mut reply = Reply::with(head.status, Content::Foreign(bounded(body, held, end)));
    for (name, value) in &head.headers {
        let left_out = NOT_SENT.contains(&name.as_str()) || NOT_SAID.contains(&name.as_str());
        if (!left_out || name == header::CONTENT_LENGTH) && !is_named_by_connection(&head.headers, name) {
            reply.headers.append(name.clone(), value.clone());
        }
    }
    for (name, value) in SAID {
        reply.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    reply
}

/// Resolves when an answer may not go on.
type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Until when an answer may go on: a stream for its lifetime, all else for a minute.
fn end(lifetime: Option<Lifetime>, begun: Instant) -> End {
    Box::pin(async move {
        match lifetime {
            Some(lifetime) => drop(lifetime.over().await),
            None => tokio::time::sleep_until(begun + WHOLE).await,
        }
    })
}

/// A body that breaks off when it may not go on.
fn bounded(body: hyper::body::Incoming, held: Held, end: End) -> reply::Body {
    let state = (body, end, held, false);
    let frames = futures::stream::unfold(state, |(mut body, mut end, mut held, done)| async move {
        if done {
            return None;
        }
        let next = tokio::select! {
            frame = body.frame() => match frame {
                Some(frame) => frame.map_err(io::Error::other),
                None => {
                    held.release();
                    return None;
                }
            },
            () = &mut end => Err(io::Error::new(io::ErrorKind::TimedOut, "the answer may not go on")),
        };
        let done = next.is_err();
        Some((next, (body, end, held, done)))
    });
    let frames: Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, io::Error>> + Send>> = frames.boxed();
    StreamBody::new(frames).boxed_unsync()
}

/// Joins two connections until one of them ends.
fn upgraded(mut response: Response<hyper::body::Incoming>, client: OnUpgrade, held: Held, end: End) -> Reply {
    let theirs = hyper::upgrade::on(&mut response);
    let mut reply = Reply::with(StatusCode::SWITCHING_PROTOCOLS, Content::Foreign(reply::full(Bytes::new())));
    let trail = reply.goes_on();
    // Ends with either connection, the plane or the user's credentials.
    tokio::spawn(async move {
        let held = held;
        let joined = async {
            let joined = tokio::try_join!(client, theirs);
            let Ok((client, theirs)) = joined else { return };
            let (mut client, mut theirs) = (TokioIo::new(client), TokioIo::new(theirs));
            // Who goes away first is nobody's error.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut theirs).await;
        };
        tokio::select! {
            () = joined => {}
            () = end => {}
        }
        drop(held);
        drop(trail.await);
    });
    for (name, value) in response.headers() {
        let left_out = name == header::CONTENT_LENGTH || name == header::TRANSFER_ENCODING;
        if !left_out && !NOT_SAID.contains(&name.as_str()) {
            reply.headers.append(name.clone(), value.clone());
        }
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_elsewhere_are_seen() {
        for (target, leads) in [
            ("/apis/x.io/v1/foos/a.b?x=../y", false),
            ("/apis/x.io/v1/foos/...", false),
            ("/apis/x.io/v1/foos/../bars", true),
            ("/apis/x.io/v1/foos/%2e%2E/bars", true),
            ("/apis/x.io/v1/foos/a%2F..%2Fbars", true),
            ("/apis/x.io/v1/.", true),
        ] {
            assert_eq!(climbs(target), leads, "{target}");
        }
    }
}
