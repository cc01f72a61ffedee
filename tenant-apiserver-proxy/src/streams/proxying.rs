//! `pods/proxy`, `services/proxy` and `nodes/proxy`: a request that a port of a pod answers.
//!
//! It goes through the pod's own network, as a forwarded port does, so that no policy of the super cluster stops it, and
//! nothing of the super cluster's API is in between. Its path is passed on as it was sent. Redirects come back as paths
//! below the proxy's. Caveats: links within pages are left as they are; cookies and the client's credentials stay behind.

use super::open::{self, Open};
use super::targets::{self, Target, unreachable};
use super::{hosts, passing};
use crate::admission::guards::{self, Asked};
use crate::aggregation::proxy::{NOT_SAID, NOT_SENT, NOT_SENT_PREFIXES, SAID, is_named_by_connection};
use crate::dialer::{DialError, Ended};
use crate::gateway::Place;
use crate::handlers::{Incoming, web_sockets};
use crate::planes::PlaneKind;
use crate::reply::{self, Content, Reply};
use crate::request_info;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, ObjectName};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyStream, Full};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long it may take to be connected, hands shaken.
const CONNECTING: Duration = Duration::from_secs(30);
/// What a browser's page has no business to say or to hear through this server, which answers for all tenants.
const WITHHELD: [HeaderName; 1] = [header::COOKIE];

/// Passes a request on.
pub async fn proxy(
    server: &Arc<Server>,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    super::no_dry_run(auth)?;
    let call = auth.call();
    let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
    let rest = request_info::proxied_part(path);
    show_guards(server, auth, place, rest).await?;
    let kind = place.row.kind.to_ascii_lowercase();
    let named = targets::read(&kind, &place.name)?;
    let target = match kind.as_str() {
        "pod" => {
            let pod = hosts::pod(server, auth, place, named.name)?;
            targets::of_pod(named, &ObjectName::new(&place.namespace, named.name), &pod)?
        }
        "service" => targets::of_service(auth.plane(), place, named)?,
        _ => return Err(no_node(server, auth, place, named.name)),
    };
    let client = passing::upgrade(auth, body);
    if rest.is_empty() && client.is_none() && matches!(call.method, Method::GET | Method::HEAD) {
        return Ok(to_root(auth, path, query));
    }
    let open = open::begin(server, auth)?;
    let sent = request(server, auth, (rest, query), body, client.is_some())?;
    let response = send(auth, &target, sent).await?;
    if let Some(tunnel) = server.network.tunnel() {
        passing::note_actor(server, auth, &**tunnel).await;
    }
    let prefix = format!("{}{}", auth.plane().path(), &path[..path.len() - rest.len()]);
    answer(response, &prefix, client, open)
}

/// Guards see the path.
async fn show_guards(server: &Server, auth: &Authorized, place: &Place, rest: &str) -> Result<(), ApiError> {
    let kind = place.row.subresource(&place.subresource).map(|sub| sub.kind.clone()).unwrap_or_default();
    let mut options = json!({"kind": kind, "apiVersion": "v1"});
    if !rest.is_empty() {
        options["path"] = percent_decode_str(rest).decode_utf8_lossy().into();
    }
    let shown = options.clone();
    guards::admit_body(&Asked::to_connect(server, auth, place), &mut options).await?;
    if options != shown {
        return Err(ApiError::internal(
            "admission changed the path of a proxied request, which is not supported",
        ));
    }
    Ok(())
}

/// Nodes are not reached. A tenant's are shared with others; those of an embedded super cluster run nothing.
fn no_node(server: &Server, auth: &Authorized, place: &Place, name: &str) -> ApiError {
    if auth.plane().kind == PlaneKind::Tenant {
        let why = "nodes are shared with other tenants, so that their kubelets are not reached through a tenant's API";
        return ApiError::forbidden(&place.resource(), name, why);
    }
    let Some(node) = hosts::node(server, auth.plane(), name) else {
        return ApiError::not_found(&place.resource(), name);
    };
    if hosts::is_simulated(&node) {
        return ApiError::bad_request(format!("node {name} is simulated: it has no kubelet"));
    }
    hosts::reachable(&node).err().unwrap_or_else(|| hosts::no_kubelet(name))
}

/// Relative links need a slash at the end.
fn to_root(auth: &Authorized, path: &str, query: &str) -> Reply {
    let ask = if query.is_empty() { "" } else { "?" };
    let mut reply = Reply::with(StatusCode::MOVED_PERMANENTLY, Content::Foreign(reply::full(Bytes::new())));
    let to = format!("{}{path}/{ask}{query}", auth.plane().path());
    // A path that came in a request is a header's value.
    if let Ok(to) = HeaderValue::from_str(&to) {
        reply.headers.insert(header::LOCATION, to);
    }
    reply
}

/// The request as it is passed on.
fn request(
    server: &Server,
    auth: &Authorized,
    (path, query): (&str, &str),
    body: &Incoming,
    upgrade: bool,
) -> Result<Request<Full<Bytes>>, ApiError> {
    let call = auth.call();
    let (slash, ask) = (if path.is_empty() { "/" } else { "" }, if query.is_empty() { "" } else { "?" });
    let built = Request::builder()
        .method(call.method.clone())
        .uri(format!("{slash}{path}{ask}{query}"))
        .body(Full::new(body.bytes.clone()));
    let mut request = built.map_err(|error| ApiError::bad_request(error.to_string()))?;
    let headers = request.headers_mut();
    for (name, value) in &call.headers {
        let left_out = NOT_SENT.contains(&name.as_str())
            || WITHHELD.contains(name)
            || NOT_SENT_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
        if !left_out && !is_named_by_connection(&call.headers, name) {
            headers.append(name.clone(), value.clone());
        }
    }
    web_sockets::forget_tokens(headers);
    if upgrade && let Some(protocol) = call.headers.get(header::UPGRADE) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
    }
    let base = server.base_url();
    let host = base.split_once("://").map_or(base.as_str(), |(_, host)| host).to_owned();
    let own = call.target.split('?').next().unwrap_or("");
    for (name, value) in [
        (header::HOST, host.clone()),
        (HeaderName::from_static("x-forwarded-host"), host),
        (HeaderName::from_static("x-forwarded-proto"), "https".to_owned()),
        (HeaderName::from_static("x-forwarded-uri"), format!("{}{own}", auth.plane().path())),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    Ok(request)
}

/// An answer, and the connection that it comes over.
type Answered = (Response<hyper::body::Incoming>, Ended<()>);

async fn send(
    auth: &Authorized,
    target: &Target,
    request: Request<Full<Bytes>>,
) -> Result<Answered, ApiError> {
    let failed = |error: &dyn std::fmt::Display| unreachable(&error.to_string());
    let tls = target.tls.then_some(target.address);
    let opened = auth.plane().dialer.open_pod(&target.pod, target.port, tls);
    let opened = tokio::time::timeout(CONNECTING, opened).await;
    let stream = opened.unwrap_or(Err(DialError::Timeout)).map_err(|error| failed(&error))?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| failed(&error))?;
    let connection = connection.with_upgrades();
    // Ends when it is dropped: whoever goes away ends the connection too. What breaks it is told by the answer.
    let ended = Ended(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    Ok((response, ended))
}

/// The answer as it is passed back.
fn answer(
    (mut response, connection): Answered,
    prefix: &str,
    client: Option<OnUpgrade>,
    open: Open,
) -> Result<Reply, ApiError> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let client = client.ok_or_else(|| unreachable("it switches protocols unasked"))?;
        let theirs = hyper::upgrade::on(&mut response);
        let headers = response.headers().clone();
        return Ok(passing::joined(&headers, theirs, connection, client, open));
    }
    let (head, body) = response.into_parts();
    let kept = BodyStream::new(Kept { body, _connection: connection });
    let mut reply = Reply::with(head.status, Content::Foreign(passing::bounded(kept, open)));
    for (name, value) in &head.headers {
        let left_out = NOT_SENT.contains(&name.as_str()) || NOT_SAID.contains(&name.as_str());
        if (!left_out || name == header::CONTENT_LENGTH) && !is_named_by_connection(&head.headers, name) {
            reply.headers.append(name.clone(), value.clone());
        }
    }
    for (name, value) in SAID {
        reply.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    lead_back(&mut reply.headers, prefix);
    Ok(reply)
}

/// A redirect within the server that answered leads back through the proxy.
fn lead_back(headers: &mut HeaderMap, prefix: &str) {
    let to = headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("");
    if to.starts_with('/')
        && !to.starts_with("//")
        && let Ok(to) = HeaderValue::from_str(&format!("{prefix}{to}"))
    {
        headers.insert(header::LOCATION, to);
    }
}

/// A body, and the connection that it comes over.
struct Kept {
    body: hyper::body::Incoming,
    _connection: Ended<()>,
}

impl http_body::Body for Kept {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, hyper::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_back_through_the_proxy() {
        for (to, expected) in [
            ("/login?a=b", "/tenants/acme/api/v1/namespaces/default/pods/p/proxy/login?a=b"),
            ("login", "login"),
            ("//example.com/", "//example.com/"),
            ("https://example.com/", "https://example.com/"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, HeaderValue::from_static(to));
            lead_back(&mut headers, "/tenants/acme/api/v1/namespaces/default/pods/p/proxy");
            assert_eq!(headers[header::LOCATION], expected);
        }
    }
}
