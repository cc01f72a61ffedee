//! `pods/log`.

use super::options::LogOptions;
use super::{containers, hosts, open, passing, simulated};
use crate::gateway::Place;
use crate::negotiation::Offer;
use crate::reply::{self, Content, Reply};
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, ObjectName};
use bytes::Bytes;
use futures::StreamExt;
use hosts::Host;
use http::{HeaderMap, Method, StatusCode};
use hyper::body::Frame;
use plane_client::{PodAnswer, PodRequest};
use std::sync::Arc;

/// The types that the path is said to have. Of these, text can be asked for by nobody, as in Kubernetes.
const TYPES: &[&str] =
    &["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// Reads the logs of a container.
pub async fn get(server: &Arc<Server>, auth: &Authorized, place: &Place) -> Result<Reply, ApiError> {
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
            return Ok(Reply::with(
                StatusCode::OK,
                Content::Stream(TYPES[0], passing::bounded(lines.map(|bytes| bytes.map(Frame::data)), open)),
            ));
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
        PodAnswer::Body { body, .. } => {
            let frames = body.map(|bytes| bytes.map(Frame::data));
            Ok(Reply::with(StatusCode::OK, Content::Stream(TYPES[0], passing::bounded(frames, open))))
        }
        PodAnswer::Upgraded { .. } => Err(ApiError::internal("logs came as another protocol")),
    }
}

/// A pod that runs nowhere has logged nothing.
fn nothing() -> Reply {
    Reply::with(StatusCode::NO_CONTENT, Content::Foreign(reply::full(Bytes::new())))
}
