//! `pods/exec`, `pods/attach` and `pods/portforward`: connections that go on as WebSocket or SPDY.

use super::options;
use super::{containers, hosts, open, passing};
use crate::admission::guards::{self, Asked};
use crate::gateway::Place;
use crate::handlers::Incoming;
use crate::reply::Reply;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, ObjectName};
use hosts::Host;
use plane_client::{PodAnswer, PodRequest};
use std::sync::Arc;

/// What of a pod is asked, whether of one of its containers, and what a simulated one cannot do.
const ASKED: &[(&str, bool, &str)] = &[
    ("attach", true, "there is nothing to attach to"),
    ("exec", true, "no command can be executed"),
    ("portforward", false, "no port can be forwarded"),
];

/// Connects.
pub async fn connect(
    server: &Arc<Server>,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    super::no_dry_run(auth)?;
    let found = ASKED.iter().find(|(name, ..)| place.subresource == *name);
    let (subresource, of_container, cannot) = *found.ok_or_else(ApiError::no_such_path)?;
    let kind = place.row.subresource(subresource).map(|sub| sub.kind.clone()).unwrap_or_default();
    let mut options = options::connection(&kind, subresource, &auth.call().query)?;
    guards::admit_body(&Asked::to_connect(server, auth, place), &mut options).await?;
    // A browser's WebSocket begins with GET. It may do as much as one that begins with POST.
    if let Some(request) = auth.resource().filter(|request| request.verb != "create") {
        auth.check_also(server, "create", request)?;
    }
    let pod = hosts::pod(server, auth, place, &place.name)?;
    let given = options["container"].as_str().unwrap_or("");
    let container = if of_container { containers::choose(&pod, given)? } else { String::new() };
    let host = hosts::of(server, auth.plane(), &place.resource(), &pod)?;
    if matches!(host, Host::Unassigned) {
        let why = format!("pod {} does not have a host assigned", place.name);
        return Err(ApiError::bad_request(why));
    }
    let client = passing::upgrade(auth, body).ok_or_else(passing::upgrade_required)?;
    let tunnel = match host {
        Host::Beyond(tunnel) => tunnel,
        Host::Kubelet(node) => return Err(hosts::no_kubelet(&node)),
        Host::Simulated | Host::Unassigned => {
            return Err(ApiError::bad_request(format!(
                "pod {} is simulated: no container runs on the embedded super cluster, so that {cannot}",
                place.name
            )));
        }
    };
    let open = open::begin(server, auth)?;
    let request = PodRequest {
        subresource,
        method: auth.call().method.clone(),
        query: options::connection_query(&options, &container)?,
        headers: passing::handshake(&auth.call().headers),
    };
    let name = ObjectName::new(&place.namespace, &place.name);
    passing::note_actor(server, auth, &**tunnel).await;
    match tunnel.open(auth.plane().id, &name, request).await? {
        PodAnswer::Upgraded { headers, connection } => {
            Ok(passing::upgraded(&headers, connection, client, open))
        }
        PodAnswer::Body { code, .. } => {
            Err(ApiError::internal(format_args!("invalid upgrade response: status code {}", code.as_u16())))
        }
    }
}
