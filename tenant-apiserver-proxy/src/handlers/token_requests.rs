//! Tokens of service accounts (KEP-1205, KEP-4193).

use super::{Incoming, actions, write};
use crate::gateway::{Place, metadata};
use crate::planes::Plane;
use crate::reply::Reply;
use crate::server::Server;
use crate::stages::Authorized;
use crate::tokens::{Bound, Claims, MAX_SECONDS, MIN_SECONDS, Reference};
use api_types::{ApiError, Cause, GroupResource, GroupVersion, ObjectName};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How long a token lives that names no time.
const DEFAULT_SECONDS: i64 = 3600;
/// The time that pods ask for whose bearers may not know that tokens expire, as kubelets say it: such a token is to be
/// replaced after it, and lasts for longer.
const WARNED_SECONDS: i64 = 3_607;
/// For how long.
const EXTENDED_SECONDS: i64 = 365 * 24 * 3_600;

/// Issues a token for a service account.
pub async fn token(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let decoded = actions::decode(auth, place, body, ("authentication.k8s.io", "v1", "TokenRequest"))?;
    let (mut request, warnings) = (decoded.value, decoded.warnings);
    let plane = auth.plane();
    metadata::set_namespace(&mut request, place)?;
    let asked = metadata::text(&request, "name");
    if !asked.is_empty() && asked != place.name {
        let why = "must match the service account name if specified";
        let cause = Cause::invalid("metadata.name", &asked.into(), why);
        return Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", &place.name, vec![cause]));
    }
    let found = server.cache.get(plane.id, &place.resource(), &place.object());
    let account = found.ok_or_else(|| ApiError::not_found(&place.resource(), &place.name))?;
    let uid = metadata::text(&request, "uid");
    if !uid.is_empty() && uid != account.meta.uid {
        let why = format!(
            "the UID in the token request ({uid}) does not match the UID of the service account ({})",
            account.meta.uid
        );
        auth.note("authentication.k8s.io/token-request-uid-mismatch", &why);
        let resource = GroupResource::new("authentication.k8s.io", "TokenRequest");
        return Err(ApiError::conflict(&resource, &place.name, &why));
    }
    let dry_run = write::options(auth.call())?.dry_run;
    actions::show_guards(server, auth, place, dry_run, &mut request).await?;
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
    let mut causes = Vec::new();
    let value = json!(seconds);
    if seconds < MIN_SECONDS {
        causes.push(Cause::invalid(
            "spec.expirationSeconds",
            &value,
            "may not specify a duration less than 10 minutes",
        ));
    }
    if seconds > MAX_SECONDS {
        causes.push(Cause::invalid(
            "spec.expirationSeconds",
            &value,
            "may not specify a duration larger than 2^32 seconds",
        ));
    }
    if !causes.is_empty() {
        return Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", "", causes));
    }
    request["spec"]["expirationSeconds"] = seconds.into();
    // The audiences that are filled in below are nobody's.
    super::reviews::own(auth, place, ("authentication.k8s.io", "v1", "TokenRequest"), &mut request);
    let mut audiences: Vec<String> = request["spec"]["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|audience| audience.as_str().map(str::to_owned))
        .collect();
    if audiences.is_empty() {
        audiences.push(server.issuer(plane));
    }
    request["spec"]["audiences"] = json!(audiences);
    let now = Timestamp::now();
    let mut bound = Bound {
        namespace: place.namespace.to_string(),
        pod: None,
        secret: None,
        node: None,
        serviceaccount: Reference { name: place.name.to_string(), uid: account.meta.uid.to_string() },
        warnafter: None,
    };
    bind_token(server, plane, place, &request["spec"]["boundObjectRef"], &mut bound)?;
    let own = server.addresses.issuers(plane);
    let of_plane = audiences.iter().all(|audience| own.contains(audience));
    let extended = bound.pod.is_some() && seconds == WARNED_SECONDS && of_plane;
    bound.warnafter = extended.then_some(now.as_second() + seconds);
    let claims = Claims {
        aud: audiences.clone(),
        exp: now.as_second() + if extended { EXTENDED_SECONDS } else { seconds },
        iat: now.as_second(),
        iss: server.issuer(plane),
        jti: uuid::Uuid::new_v4().to_string(),
        nbf: now.as_second(),
        sub: format!("system:serviceaccount:{}:{}", place.namespace, place.name),
        bound,
    };
    auth.note("authentication.kubernetes.io/issued-credential-id", format!("JTI={}", claims.jti));
    let keys = server.token_keys(plane).await?;
    let key = keys.1.current(now.as_second()).ok_or_else(|| ApiError::internal("no token key signs"))?;
    let signed = key.key.sign(&claims);
    let token = signed.map_err(|error| {
        tracing::error!(%error, "a token could not be signed");
        ApiError::internal("the token could not be signed")
    })?;
    let expires = Timestamp::from_second(now.as_second() + seconds).unwrap_or(now);
    for (field, value) in [
        ("name", json!(place.name)),
        ("namespace", json!(place.namespace)),
        ("uid", json!(account.meta.uid)),
        ("creationTimestamp", metadata::timestamp(now).into()),
    ] {
        request["metadata"][field] = value;
    }
    request["status"] = json!({"token": token, "expirationTimestamp": metadata::timestamp(expires)});
    if request["spec"]["boundObjectRef"].is_null() {
        request["spec"]["boundObjectRef"] = Value::Null;
    }
    let reply = super::reviews::answer(auth, "authentication.k8s.io", "v1", "TokenRequest", &request)?;
    Ok(reply.warnings(warnings))
}

/// Binds the token to the object that the request names.
fn bind_token(
    server: &Server,
    plane: &Plane,
    place: &Place,
    reference: &Value,
    bound: &mut Bound,
) -> Result<(), ApiError> {
    if reference.is_null() {
        return Ok(());
    }
    let text = |field: &str| reference[field].as_str().unwrap_or("");
    let (kind, name) = (text("kind"), text("name"));
    let version = GroupVersion::parse(text("apiVersion"));
    // What is no version says no group either.
    let core = version.as_ref().is_none_or(|version| version.group.is_empty());
    let plural = match kind {
        "Pod" if core => "pods",
        "Secret" if core => "secrets",
        "Node" if core => "nodes",
        _ => {
            let version = version.unwrap_or_else(|| GroupVersion::new("", ""));
            let of = format!("{}/{}, Kind={kind}", version.group, version.version);
            return Err(ApiError::bad_request(format!("cannot bind token to object of type {of}")));
        }
    };
    if name.is_empty() {
        return Err(ApiError::bad_request("Name parameter required."));
    }
    let wrong = api_resources::names::path_segment(name);
    if !wrong.is_empty() {
        let why = format!("Name parameter invalid: {name:?}: {}", wrong.join(";"));
        return Err(ApiError::bad_request(why));
    }
    let resource = GroupResource::new("", plural);
    let found = |resource: &GroupResource, name: &str| {
        let namespace = if resource.resource == "nodes" { "" } else { place.namespace.as_str() };
        server.cache.get(plane.id, resource, &ObjectName::new(namespace, name))
    };
    let object = found(&resource, name).ok_or_else(|| ApiError::not_found(&resource, name))?;
    if kind == "Pod" {
        let pod = super::get::value(&object)?;
        if pod["spec"]["serviceAccountName"].as_str().unwrap_or("") != place.name {
            return Err(ApiError::bad_request(format!(
                "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                place.name
            )));
        }
        if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
            let there = found(&GroupResource::new("", "nodes"), node);
            let uid = there.map_or(String::new(), |there| there.meta.uid.to_string());
            bound.node = Some(Reference { name: node.to_owned(), uid });
        }
    }
    let uid = text("uid");
    if !uid.is_empty() && uid != object.meta.uid {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        );
        return Err(ApiError::conflict(&GroupResource::new("", kind), name, &why));
    }
    let reference = Some(Reference { name: name.to_owned(), uid: object.meta.uid.to_string() });
    match kind {
        "Pod" => bound.pod = reference,
        "Secret" => bound.secret = reference,
        _ => bound.node = reference,
    }
    Ok(())
}
