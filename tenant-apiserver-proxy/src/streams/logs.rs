//! `pods/log`, also over WebSocket, in messages that a client does not answer.

use super::open::Open;
use super::options::LogOptions;
use super::{containers, hosts, open, passing, simulated};
use crate::gateway::Place;
use crate::handlers::Incoming;
use crate::handlers::web_sockets::{self, Protocols};
use crate::negotiation::Offer;
use crate::reply::{self, Content, Reply};
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, ObjectName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt, future, stream};
use hosts::Host;
use http::{HeaderMap, Method, StatusCode};
use hyper::body::Frame;
use plane_client::{PodAnswer, PodRequest};
use std::io;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::Message;

/// The types that the path is said to have. Of these, text can be asked for by nobody, as in Kubernetes.
const TYPES: &[&str] =
    &["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The subprotocol that sends bytes as text; without one they are sent as they are.
const AS_TEXT: &str = "base64.binary.k8s.io";
const PROTOCOLS: Protocols = Protocols::Of(&["binary.k8s.io", AS_TEXT]);
/// How much is in a message at most.
const MESSAGE: usize = 2048;

/// Reads the logs of a container.
pub async fn get(
    server: &Arc<Server>,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let wish = auth.call().wish();
    wish.is_of(TYPES)?;
    wish.accept(Offer::Objects { protobuf: true })?;
    let options = LogOptions::read(&auth.call().query)?;
    options.check(&place.name)?;
    let pod = hosts::pod(server, auth, place, &place.name)?;
    let container = containers::choose(&pod, &options.container)?;
    let tunnel = match hosts::of(server, auth.plane(), &place.resource(), &pod)? {
        Host::Unassigned => return Ok(nothing()),
        Host::Kubelet(node) => return Err(hosts::no_kubelet(&node)),
        Host::Simulated => {
            let open = open::begin(server, auth)?;
            let lines = simulated::log(server, auth, place, &container, &options)?;
            return Ok(send(auth, body, lines, open));
        }
        Host::Beyond(tunnel) => tunnel,
    };
    let open = open::begin(server, auth)?;
    let request = PodRequest {
        subresource: "log",
        method: Method::GET,
        query: options.query(&container),
        headers: HeaderMap::new(),
    };
    let name = ObjectName::new(&place.namespace, &place.name);
    passing::note_actor(server, auth, &**tunnel).await;
    match tunnel.open(auth.plane().id, &name, request).await? {
        PodAnswer::Body { code: StatusCode::NO_CONTENT, .. } => Ok(nothing()),
        PodAnswer::Body { body: lines, .. } => Ok(send(auth, body, lines, open)),
        PodAnswer::Upgraded { .. } => Err(ApiError::internal("logs came as another protocol")),
    }
}

/// What is logged, as messages to who asks for a WebSocket, else as the body.
fn send(
    auth: &Authorized,
    body: &Incoming,
    lines: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    open: Open,
) -> Reply {
    let headers = &auth.call().headers;
    let socket = web_sockets::is_asked_for(headers);
    let Some(client) = body.take_upgrade().filter(|_| socket) else {
        let frames = lines.map(|bytes| bytes.map(Frame::data));
        return Reply::with(StatusCode::OK, Content::Stream(TYPES[0], passing::bounded(frames, open)));
    };
    match web_sockets::shake(headers, PROTOCOLS) {
        Ok((reply, chosen)) => {
            web_sockets::go_on(reply, client, messages(lines, chosen.as_deref() == Some(AS_TEXT), open))
        }
        Err(refused) => *refused,
    }
}

/// An empty message, by which a client knows that it is heard, and then what is logged.
fn messages(
    lines: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    as_text: bool,
    open: Open,
) -> impl Stream<Item = Message> + Send + 'static {
    let message = move |bytes: &[u8]| {
        if as_text { Message::text(STANDARD.encode(bytes)) } else { Message::binary(bytes.to_vec()) }
    };
    let Open { place, end } = open;
    let sent = lines.take_while(|bytes| future::ready(bytes.is_ok())).flat_map(move |bytes| {
        let bytes = bytes.unwrap_or_default();
        stream::iter(bytes.chunks(MESSAGE).map(message).collect::<Vec<_>>())
    });
    // The place is given back when nothing more is sent.
    let held = stream::once(async move { drop(place) }).filter_map(|()| future::ready(None));
    stream::once(future::ready(message(&[]))).chain(sent).take_until(end).chain(held)
}

/// A pod that runs nowhere has logged nothing.
fn nothing() -> Reply {
    Reply::with(StatusCode::NO_CONTENT, Content::Foreign(reply::full(Bytes::new())))
}
