//! The door: accepts connections, shakes hands, and takes each request through the stages in their order.

use crate::audit::{self, Trail};
use crate::authentication::Credentials;
use crate::bodies::{self, Held};
use crate::connection_task::{ConnectionTask, Streams};
use crate::gathered_io::gathered;
use crate::handlers::{self, Incoming, web_sockets};
use crate::metrics::Measured;
use crate::negotiation::{self, Wish};
use crate::planes::{Plane, PlaneKind};
use crate::reply::{self, Body, Content, Reply};
use crate::request_info::{self, PlanePath, RequestInfo};
use crate::restoring;
use crate::server::Server;
use crate::sources::Source;
use crate::stages::{Call, Query, Received};
use crate::storage;
use crate::streams;
use api_types::{ApiError, Reason, TenantId};
use bytes::Bytes;
use futures::{FutureExt, TryFutureExt};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// Connections at a time.
const MAX_CONNECTIONS: usize = 20_000;
/// Handshakes at a time of one source, which cost the most before anyone is known.
const MAX_HANDSHAKES: usize = 128;
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an HTTP/1.1 connection may be open without a request, or with half of one's head, as in Kubernetes. Clients keep
/// connections for later and are unlucky when they take one that is just closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a connection may be open before its first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request that is no watch may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Streams of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 250;
/// The longest head of a request: long selectors, many groups of whom somebody impersonates. A quarter of what
/// Kubernetes takes, because all streams of a connection may have one each.
const MAX_HEAD: u32 = 256 << 10;
/// The most headers of a request.
const MAX_HEADERS: usize = 1_000;

/// Serves until shutdown, then lets requests under way finish; the caller bounds how long.
pub async fn serve(server: Arc<Server>, listener: TcpListener, acceptor: TlsAcceptor) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let handshakes = Arc::new(Handshakes::default());
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.shutdown.requested() => break,
        };
        let (stream, address) = match accepted {
            Ok((stream, address)) => (stream, address.ip()),
            Err(error) => {
                // Mostly: no file descriptors are left. Others may be freed soon.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while tasks.try_join_next().is_some() {}
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            tracing::warn!("a connection was refused: too many are open");
            continue;
        };
        let source = Source::of(address);
        if server.failed_handshakes.wait(source).is_some() {
            tracing::debug!(%source, "a connection was refused: too many handshakes failed");
            continue;
        }
        let Some(handshake) = Handshakes::begin(&handshakes, source) else {
            tracing::debug!(%source, "a connection was refused: too many handshakes are under way");
            continue;
        };
        let (server, acceptor) = (server.clone(), acceptor.clone());
        tasks.spawn(async move {
            let _open = permit;
            if let Err(error) = connection(server, stream, acceptor, handshake, address).await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    server: Arc<Server>,
    stream: TcpStream,
    acceptor: TlsAcceptor,
    handshake: Handshake,
    address: IpAddr,
) -> Result<(), ConnectionError> {
    stream.set_nodelay(true)?;
    let stream = tokio::select! {
        stream = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => stream,
        () = server.shutdown.requested() => return Err("the server is stopping".into()),
    };
    let source = Source::of(address);
    if !matches!(stream, Ok(Ok(_))) && server.failed_handshakes.failed(source) {
        tracing::warn!(%source, "too many handshakes failed: connections from there are refused for a while");
    }
    let stream = stream??;
    drop(handshake);
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.map(|der| Arc::new(der.as_ref().to_vec()));
    let serving = server.clone();
    let used = Arc::new(AtomicBool::new(false));
    let using = used.clone();
    let streams = Streams::default();
    let task = streams.clone();
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        using.store(true, Ordering::Relaxed);
        let (server, certificate) = (serving.clone(), certificate.clone());
        let client = Client { certificate, address };
        let shared = request.version() == http::Version::HTTP_2;
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let task = task.clone();
        // Whoever else is on this connection does not suffer from a panic.
        let answer = AssertUnwindSafe(respond(server, client, request)).catch_unwind();
        let mut answer = Box::pin(answer.map_err(|_| io::Error::other("a request panicked")));
        async move {
            if !shared {
                return answer.await;
            }
            // Most reads wait for nothing.
            if reads
                && task.may_compute()
                && let Poll::Ready(answer) = futures::poll!(&mut answer)
            {
                return answer;
            }
            // A task of its own: others on this connection do not wait for it.
            AbortOnDropHandle::new(tokio::spawn(answer)).await.map_err(io::Error::other)?
        }
    });
    let gathers = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let (stream, written) = gathered(stream, gathers);
    let mut builder = Builder::new(streams.clone());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut task = ConnectionTask::new(connection, streams, written);
    let first = tokio::time::sleep(FIRST_REQUEST_TIMEOUT);
    tokio::pin!(first);
    let mut waiting = true;
    loop {
        tokio::select! {
            ended = &mut task => return ended,
            () = &mut first, if waiting => {
                if !used.load(Ordering::Relaxed) {
                    return Err("no request came".into());
                }
                waiting = false;
            }
            () = server.shutdown.requested() => {
                task.connection.as_mut().graceful_shutdown();
                return task.await;
            }
        }
    }
}

/// How many handshakes are under way, by source, so that none keeps the door from the others.
#[derive(Default)]
struct Handshakes(Mutex<HashMap<Source, usize>>);

/// One handshake under way; ends when dropped.
struct Handshake(Arc<Handshakes>, Source);

impl Handshakes {
    /// Counts one more; `None`: the source has enough.
    fn begin(all: &Arc<Self>, source: Source) -> Option<Handshake> {
        let mut counts = all.0.lock();
        let count = counts.entry(source).or_default();
        if *count >= MAX_HANDSHAKES {
            return None;
        }
        *count += 1;
        Some(Handshake(all.clone(), source))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock();
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

/// Who is at the other end of a connection.
struct Client {
    certificate: Option<Arc<Vec<u8>>>,
    address: IpAddr,
}

/// One request from its head to its response. Errors become a `Status`.
async fn respond(
    server: Arc<Server>,
    client: Client,
    request: Request<hyper::body::Incoming>,
) -> Response<Body> {
    let encodings = request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let gzip = encodings.is_some_and(negotiation::takes_gzip);
    let head = request.method() == Method::HEAD;
    let query = Query::parse(request.uri().query().unwrap_or(""));
    let wish = Wish::of(request.headers(), &query);
    let (id, mut trail, mut measured) = (audit::id(request.headers()), None, None);
    let followed = Followed { client, id: &id, trail: &mut trail, measured: &mut measured };
    let reply = stages(server.clone(), followed, request, query).await.unwrap_or_else(Reply::from);
    let reply = match trail {
        Some(trail) => trail.finish(reply),
        None => reply,
    };
    let (long, for_error) = (reply.is_long(&wish, gzip), wish.clone());
    let written = server.heavy.compute(long, move || reply.into_response(&wish, gzip)).await;
    let mut response = written.unwrap_or_else(|error| Reply::from(error).into_response(&for_error, gzip));
    if let Some(measured) = measured {
        response = measured.finish(response);
    }
    response.headers_mut().entry(audit::HEADER).or_insert(id);
    if head {
        *response.body_mut() = reply::full(Bytes::new());
    }
    response
}

/// Whose request it is, and what is written down and counted of it.
struct Followed<'a> {
    client: Client,
    id: &'a HeaderValue,
    trail: &'a mut Option<Trail>,
    measured: &'a mut Option<Measured>,
}

/// The answer to what is no request, after which the connection ends.
fn malformed(why: &'static str) -> Reply {
    let why = Content::Raw("text/plain; charset=utf-8", Bytes::from_static(why.as_bytes()));
    let mut refused = Reply::with(StatusCode::BAD_REQUEST, why);
    refused.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    refused
}

/// The stages in their order: plane, turn, user, permission, seat, body, handler.
async fn stages(
    server: Arc<Server>,
    followed: Followed<'_>,
    mut request: Request<hyper::body::Incoming>,
    query: Query,
) -> Result<Reply, ApiError> {
    // RFC 9112, 3.2.
    if request.version() == http::Version::HTTP_11 && !request.headers().contains_key(header::HOST) {
        return Ok(malformed("400 Bad Request: missing required Host header"));
    }
    let upgrade =
        request.headers().contains_key(header::UPGRADE) && request.version() == http::Version::HTTP_11;
    let upgrade = upgrade.then(|| hyper::upgrade::on(&mut request));
    let (mut head, body) = request.into_parts();
    let of_socket = web_sockets::take_token(&mut head.headers);
    let Followed { client: Client { certificate, address }, id, trail, measured } = followed;
    let credentials = Credentials { certificate, token: bearer(&head.headers).or(of_socket) };
    let (plane, path) = plane(&server, head.uri.path(), &credentials);
    let sent = head.uri.query().unwrap_or("");
    let Some(info) = request_info::parse(&head.method, path, sent) else {
        return Ok(malformed("400 Bad Request"));
    };
    let watching = matches!(&info, RequestInfo::Resource(resource) if resource.verb == "watch");
    let headers = head.headers;
    let ask = if sent.is_empty() { "" } else { "?" };
    let target = format!("{path}{ask}{sent}");
    let leads_on = matches!(&info, RequestInfo::Resource(resource) if streams::leads_on(resource));
    if !watching
        && !leads_on
        && let Some(timeout) = query.get("timeout")
    {
        request_info::check_timeout(timeout)?;
    }
    let call = Call { plane: plane.clone(), method: head.method, info, query, target, headers };
    *trail = Trail::begin(&server, &call, id, address);
    *measured = Some(Measured::begin(&call));
    let sent = Sent { credentials, address, watching, leads_on, upgrade, body };
    let turns = server.processors.clone();
    turns.fairly(plane.who(), in_turn(server, call, sent, trail)).await
}

/// What comes with a call.
struct Sent {
    credentials: Credentials,
    address: IpAddr,
    watching: bool,
    leads_on: bool,
    upgrade: Option<OnUpgrade>,
    body: hyper::body::Incoming,
}

/// The stages of which each step is done in the plane's turn.
async fn in_turn(
    server: Arc<Server>,
    call: Call,
    sent: Sent,
    trail: &mut Option<Trail>,
) -> Result<Reply, ApiError> {
    let Sent { credentials, address, watching, leads_on, upgrade, body } = sent;
    let plane = call.plane.clone();
    let reading = matches!(call.method, Method::GET | Method::HEAD);
    let content_type = call.header("content-type").to_owned();
    let authenticated =
        Received::new(call, credentials, Source::of(address)).authenticate(&server, trail).await?;
    let authorized = authenticated.authorize(&server, trail.as_mut());
    if let Some(trail) = trail {
        trail.decided(authorized.as_ref());
    }
    let authorized = Arc::new(authorized?);
    let _seat = authorized.sit(&server).await?;
    // It is read as it comes: it is longer than any other body.
    if let Some(name) = restoring::asked(&authorized) {
        return restoring::answer(&server, name, body).await;
    }
    // Nobody waits for what a GET sends after its head: a slow body would hold the seat, and reading needs few rights.
    let held =
        if reading { Held::default() } else { bodies::read(body, &plane.bodies, &server.bodies).await? };
    if let Some(trail) = trail.as_mut().filter(|_| !leads_on) {
        trail.sent(&held.bytes, &content_type);
    }
    let body = Incoming { upgrade: Mutex::new(upgrade), ..Incoming::new(held.bytes, content_type) };
    let deprecated = authorized.resource().filter(|of| of.subresource.is_empty()).and_then(|of| {
        api_resources::table::deprecated(&of.group, &of.version, &of.resource).map(str::to_owned)
    });
    let done = if watching || storage::takes_its_time(&authorized) {
        handlers::dispatch(&server, &authorized, body).await
    } else if body.is_long() {
        let (serving, doing) = (server.clone(), authorized.clone());
        let work = async move {
            let _room = held.room;
            timeout(REQUEST_TIMEOUT, handlers::dispatch(&serving, &doing, body)).await.unwrap_or_else(late)
        };
        server.heavy.drive(Box::pin(work)).await?
    } else {
        timeout(REQUEST_TIMEOUT, handlers::dispatch(&server, &authorized, body)).await.unwrap_or_else(late)
    };
    if let Some(trail) = trail {
        trail.annotate(authorized.take_notes());
    }
    // What guards warn of is told with a refusal too.
    let told = authorized.take_warnings();
    // Of what is not served nobody is warned.
    let deprecated = deprecated.filter(|_| !done.as_ref().is_err_and(is_no_answer));
    if deprecated.is_none() && told.is_empty() {
        return done;
    }
    let mut reply = done.unwrap_or_else(Reply::from);
    reply.warnings.splice(0..0, deprecated);
    reply.warnings.extend(told);
    Ok(reply)
}

/// What becomes of a request that takes too long.
fn late<T>(_: tokio::time::error::Elapsed) -> Result<T, ApiError> {
    Err(ApiError::new(Reason::Timeout, "the request did not finish in time"))
}

/// True for an error that says that nothing is served so.
fn is_no_answer(error: &ApiError) -> bool {
    let not_produced = error.code() == 406 && error.message().starts_with("406");
    error.code() == 405 || not_produced || error.message() == ApiError::no_such_path().message()
}

fn bearer(headers: &http::HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// The plane of a request: by its path, else by its credential, else the host plane. Whether a tenant exists is
/// nobody's business without a credential for it: one that is not there is answered by a plane that is nobody's.
fn plane<'a>(server: &Server, path: &'a str, credentials: &Credentials) -> (Arc<Plane>, &'a str) {
    let (found, rest) = match request_info::plane_of(path) {
        PlanePath::Tenant(name, rest) => (server.planes.named(PlaneKind::Tenant, name), rest),
        PlanePath::Super(name, rest) => (server.planes.named(PlaneKind::Super, name), rest),
        PlanePath::Root(rest) => {
            let claimed = server.claimed_plane(credentials);
            (claimed.or_else(|| server.planes.get(TenantId::HOST)), rest)
        }
    };
    (found.unwrap_or_else(|| server.nobody.clone()), rest)
}
