//! What is done with an authorized request. One file for each verb; [`dispatch`] chooses.

mod actions;
pub mod bindings;
pub mod components;
pub mod continuation;
pub mod delete;
pub mod events;
pub mod evictions;
pub mod get;
pub mod health;
pub mod list;
pub mod list_options;
pub mod metrics;
mod outlet;
mod pages;
pub mod patch;
pub mod paths;
mod review_rules;
pub mod reviews;
pub mod scale;
pub mod token_requests;
pub mod token_reviews;
pub mod watch;
pub mod web_sockets;
pub mod write;

use crate::aggregation;
use crate::decoding::Payload;
use crate::gateway::Place;
use crate::heavy;
use crate::negotiation::{Offer, Produced};
use crate::reply::Reply;
use crate::request_info::ResourceRequest;
use crate::server::Server;
use crate::stages::Authorized;
use crate::streams;
use api_resources::Verb;
use api_types::{ApiError, Reason};
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use std::sync::Arc;

/// A body that has been read, and its `Content-Type`.
pub struct Incoming {
    /// The bytes.
    pub bytes: bytes::Bytes,
    /// The header as it was sent.
    pub content_type: String,
    /// The connection, when the client wants to speak another protocol over it.
    pub upgrade: Mutex<Option<OnUpgrade>>,
}

impl Incoming {
    /// A body alone.
    pub fn new(bytes: impl Into<bytes::Bytes>, content_type: impl Into<String>) -> Self {
        Incoming { bytes: bytes.into(), content_type: content_type.into(), upgrade: Mutex::default() }
    }

    /// The connection, once.
    pub fn take_upgrade(&self) -> Option<OnUpgrade> {
        self.upgrade.lock().take()
    }

    /// True when reading it, and what follows from it, takes long.
    pub fn is_long(&self) -> bool {
        let yaml = self.content_type.to_ascii_lowercase().contains("yaml");
        self.bytes.len() > if yaml { heavy::YAML_BYTES } else { heavy::OTHER_BYTES }
    }

    /// The body as an object's.
    pub fn payload(&self) -> Result<Payload, ApiError> {
        Ok(Payload { bytes: self.bytes.clone(), media: crate::decoding::media_type(&self.content_type)? })
    }
}

/// Does what an authorized request asks for.
pub async fn dispatch(server: &Arc<Server>, auth: &Authorized, body: Incoming) -> Result<Reply, ApiError> {
    if let Some(extension) = aggregation::find(server, auth.plane(), &auth.call().info) {
        // On the heap, so that requests of this server's own are no larger by it.
        return Box::pin(aggregation::proxy::forward(server, auth, &extension, &body)).await;
    }
    let Some(request) = auth.resource() else {
        return paths::answer(server, auth).await;
    };
    let catalog = auth.plane().catalog.load_full();
    let row = catalog.lookup(&request.group, &request.version, &request.resource);
    let Some(row) = row.or_else(|| metrics::row(server, auth.plane(), request)) else {
        return if paths::is_built_in(&catalog, &request.group) {
            Err(ApiError::no_such_path())
        } else {
            Ok(paths::no_such_page())
        };
    };
    // What definitions add has handlers that know no paths but those of its scope.
    let collection = matches!(request.verb.as_str(), "list" | "watch");
    let outside = row.namespaced && request.namespace.is_empty() && !collection;
    if row.is_custom() && (outside || check_scope(request, row.namespaced, false).is_err()) {
        return Ok(paths::no_such_page());
    }
    let Some(version) = row.version(&request.version).cloned() else { return Err(ApiError::no_such_path()) };
    let row = row.of_version(&version.name).cloned().unwrap_or(row);
    let place = Place {
        namespace: if row.namespaced { request.namespace.clone() } else { "".into() },
        row,
        version,
        name: request.name.clone(),
        subresource: request.subresource.clone(),
        known: Arc::default(),
    };
    let warnings: Vec<String> = place.version.deprecation.iter().cloned().collect();
    match answer(server, auth, &place, request, body).await {
        Ok(mut reply) => {
            reply.warnings.splice(0..0, warnings);
            Ok(reply)
        }
        Err(error) => Err(error.with_warnings(warnings)),
    }
}

async fn answer(
    server: &Arc<Server>,
    auth: &Authorized,
    place: &Place,
    request: &ResourceRequest,
    body: Incoming,
) -> Result<Reply, ApiError> {
    check_scope(request, place.row.namespaced, place.row.verbs == [Verb::Create])?;
    if streams::is_stream(place) {
        // On the heap, so that other requests are no larger by it.
        return Box::pin(streams::answer(server, auth, place, &body)).await;
    }
    check_method(auth, request, place)?;
    // Nothing is done whose answer could not be given.
    let wish = auth.call().wish();
    if !place.row.is_custom() {
        let collection = matches!(request.verb.as_str(), "list" | "watch");
        wish.is_produced(if collection { Produced::Collections } else { Produced::Objects })?;
    }
    let protobuf = place.has_protobuf() || !place.subresource.is_empty();
    wish.accept(Offer::Objects { protobuf })?;
    if matches!(request.verb.as_str(), "get" | "patch" | "delete") && !place.name.is_empty() {
        check_name(&place.name)?;
    }
    if place.subresource.is_empty() {
        whole(server, auth, place, body).await
    } else {
        sub(server, auth, place, body).await
    }
}

/// A namespaced object is reached through its namespace; a cluster-scoped one is not. What is only created has no
/// paths outside of namespaces at all.
fn check_scope(request: &ResourceRequest, namespaced: bool, only_created: bool) -> Result<(), ApiError> {
    // A namespace is its own.
    let its_own = request.resource == "namespaces" && request.name == request.namespace;
    let in_namespace = !request.namespace.is_empty() && !its_own;
    match (namespaced, in_namespace) {
        (false, true) => Err(ApiError::no_such_path()),
        (true, false) if only_created => Err(ApiError::no_such_path()),
        (true, false) if !request.name.is_empty() && request.verb != "list" && request.verb != "watch" => {
            Err(ApiError::no_such_path())
        }
        (true, false) if request.verb == "create" || request.verb == "deletecollection" => Err(not_allowed()),
        _ => Ok(()),
    }
}

/// A name that could be no segment of a path is nobody's.
pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
    let defects = api_resources::names::path_segment(name);
    if defects.is_empty() {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("Name parameter invalid: {name:?}: {}", defects.join(";"))))
}

/// What is done is what the verb says; some methods come to a verb that they are not served by.
fn check_method(auth: &Authorized, request: &ResourceRequest, place: &Place) -> Result<(), ApiError> {
    let reading = matches!(request.verb.as_str(), "get" | "list" | "watch");
    let sub = place.row.subresource(&place.subresource);
    if place.row.is_custom() {
        // Custom resources ask for the verb alone.
        if !place.subresource.is_empty() && (sub.is_none() || request.verb == "watch") {
            return Err(ApiError::not_found(&place.resource(), &place.name));
        }
        let offered = sub.is_none_or(|sub| sub.verbs.iter().any(|verb| verb.as_str() == request.verb));
        if request.verb.is_empty() || !offered {
            let resource = place.resource();
            let kind = resource.to_string();
            let why = format!("{} is not supported on resources of kind {kind:?}", request.verb);
            let error = ApiError::new(Reason::MethodNotAllowed, why);
            return Err(error.about(&resource.group, &resource.resource, ""));
        }
        if place.name.is_empty() && matches!(request.verb.as_str(), "update" | "patch") {
            return Err(ApiError::bad_request("name must be provided"));
        }
        return Ok(());
    }
    if request.verb == "watch" && !place.subresource.is_empty() {
        return Err(ApiError::no_such_path());
    }
    // What is only created has no paths of its own.
    if place.row.verbs == [Verb::Create] && !place.name.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let served = |verbs: &[Verb]| verbs.iter().any(|verb| verb.as_str() == request.verb);
    let known = match sub {
        // These say themselves what they are not asked for.
        _ if components::is(place) => true,
        _ if place.subresource.is_empty() => served(&place.row.verbs),
        Some(sub) => served(&sub.verbs),
        // That it is not there is said before how it was asked for.
        None => return Ok(()),
    };
    if known && (!reading || auth.call().method == http::Method::GET) { Ok(()) } else { Err(not_allowed()) }
}

/// 405.
pub fn not_allowed() -> ApiError {
    ApiError::new(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource")
        .with_causes(Vec::new())
}

async fn whole(
    server: &Arc<Server>,
    auth: &Authorized,
    place: &Place,
    body: Incoming,
) -> Result<Reply, ApiError> {
    let verb = auth.resource().map_or("", |request| request.verb.as_str());
    if components::is(place) {
        return components::answer(server, auth, place, verb).await;
    }
    if metrics::is(place) {
        return metrics::answer(server, auth, place, verb).await;
    }
    let offered = |verb: Verb| if place.row.has(verb) { Ok(()) } else { Err(not_allowed()) };
    match verb {
        "get" => {
            offered(Verb::Get)?;
            get::get(server, auth, place).await
        }
        "list" => {
            offered(Verb::List)?;
            list::list(server, auth, place).await
        }
        "watch" => {
            offered(Verb::Watch)?;
            watch::watch(server, auth, place, &body).await
        }
        "create" if !place.name.is_empty() => Err(not_allowed()),
        "create" => {
            offered(Verb::Create)?;
            if place.row.verbs == [Verb::Create] {
                return match (place.row.group.as_str(), place.row.plural.as_str()) {
                    ("", "bindings") => bindings::bind_named(server, auth, place, &body).await,
                    _ => Box::pin(reviews::create(server, auth, place, &body)).await,
                };
            }
            write::create(server, auth, place, &body).await
        }
        "update" | "patch" if place.name.is_empty() => Err(not_allowed()),
        "update" => {
            offered(Verb::Update)?;
            write::update(server, auth, place, &body).await
        }
        "patch" => {
            offered(Verb::Patch)?;
            patch::patch(server, auth, place, &body).await
        }
        "delete" => {
            offered(Verb::Delete)?;
            delete::delete(server, auth, place, &body).await
        }
        "deletecollection" => {
            offered(Verb::DeleteCollection)?;
            delete::collection(server, auth, place, &body).await
        }
        _ => Err(not_allowed()),
    }
}

async fn sub(
    server: &Arc<Server>,
    auth: &Authorized,
    place: &Place,
    body: Incoming,
) -> Result<Reply, ApiError> {
    let verb = auth.resource().map_or("", |request| request.verb.as_str());
    let Some(subresource) = place.row.subresource(&place.subresource) else {
        let name = place.subresource.as_str();
        return Err(match name {
            _ if place.row.is_custom() => ApiError::not_found(&place.resource(), &place.name),
            _ => ApiError::no_such_path(),
        });
    };
    let offered = subresource.verbs.iter().any(|offered| offered.as_str() == verb);
    if !offered {
        return Err(not_allowed());
    }
    match (place.subresource.as_str(), verb) {
        ("status" | "finalize" | "ephemeralcontainers" | "resize" | "approval", "get") => {
            get::get(server, auth, place).await
        }
        ("status" | "finalize" | "ephemeralcontainers" | "resize" | "approval", "update") => {
            write::update(server, auth, place, &body).await
        }
        ("status" | "ephemeralcontainers" | "resize" | "approval", "patch") => {
            patch::patch(server, auth, place, &body).await
        }
        ("scale", "get") => scale::get(server, auth, place).await,
        ("scale", "update" | "patch") => scale::write(server, auth, place, &body).await,
        ("binding", "create") => bindings::bind(server, auth, place, &body).await,
        ("eviction", "create") => evictions::evict(server, auth, place, &body).await,
        ("token", "create") => token_requests::token(server, auth, place, &body).await,
        (name, _) => Err(not_implemented(place, name)),
    }
}

fn not_implemented(place: &Place, subresource: &str) -> ApiError {
    let name = format!("{}/{subresource}", place.row.plural);
    ApiError::new(Reason::MethodNotAllowed, format!("{name} is not implemented"))
}
