//! What leads to where pods run: `log`, `exec`, `attach`, `portforward` and `proxy` of pods, `proxy` of services and nodes.
//!
//! A tenant's pod runs in a super cluster. What is said to it goes through the [`plane_client::PodTunnel`], and once a
//! connection is upgraded (WebSocket, SPDY) its bytes are passed on as they are. Pods of the embedded super cluster are
//! simulated: their logs say so, and everything else is refused with that reason.
//!
//! Guarantees: the client's credentials are never passed on; no answer names the super cluster. Every stream has a place
//! among those of its plane ([`open`]), and ends with the plane, the credentials of its user, or the server. A request
//! holds a seat only until its answer has a head. What is read waits for who writes: nothing piles up.
//!
//! Read in this order: [`options`] (what is asked), [`containers`] (of which container), [`hosts`] (where it runs),
//! [`open`], [`passing`] (how it is passed on), then [`logs`] with [`simulated`], [`connecting`], [`proxying`] with
//! [`targets`].

mod connecting;
mod containers;
mod hosts;
mod logs;
mod open;
mod options;
mod passing;
mod proxying;
mod simulated;
mod targets;

use crate::gateway::Place;
use crate::handlers::{self, Incoming};
use crate::reply::Reply;
use crate::request_info::ResourceRequest;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::ApiError;
use std::sync::Arc;

const READ: &[&str] = &["GET"];
const UPGRADED: &[&str] = &["GET", "POST"];
const PROXIED: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// Subresources of the core group, and the methods that they are asked with.
const STREAMS: &[(&str, &[&str])] =
    &[("attach", UPGRADED), ("exec", UPGRADED), ("log", READ), ("portforward", UPGRADED), ("proxy", PROXIED)];

fn methods(group: &str, subresource: &str) -> Option<&'static [&'static str]> {
    let found = STREAMS.iter().find(|(name, _)| group.is_empty() && *name == subresource);
    found.map(|(_, methods)| *methods)
}

/// True for a request that leads to where pods run: it may go on for long, and its body is nobody's here.
pub fn leads_on(request: &ResourceRequest) -> bool {
    methods(&request.group, &request.subresource).is_some()
}

/// True where this module answers.
pub fn is_stream(place: &Place) -> bool {
    methods(&place.row.group, &place.subresource).is_some()
        && place.row.subresource(&place.subresource).is_some()
}

/// Answers.
pub async fn answer(
    server: &Arc<Server>,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    if auth.resource().is_some_and(|request| request.verb == "watch") {
        return Err(ApiError::no_such_path());
    }
    let served = methods(&place.row.group, &place.subresource).unwrap_or_default();
    if !served.contains(&auth.call().method.as_str()) {
        return Err(handlers::not_allowed());
    }
    handlers::check_name(&place.name)?;
    match place.subresource.as_str() {
        "log" => logs::get(server, auth, place, body).await,
        "proxy" => proxying::proxy(server, auth, place, body).await,
        _ => connecting::connect(server, auth, place, body).await,
    }
}

/// Connections are made or not.
fn no_dry_run(auth: &Authorized) -> Result<(), ApiError> {
    if auth.call().query.first("dryRun").is_some() {
        return Err(ApiError::bad_request("dryRun is not supported"));
    }
    Ok(())
}
