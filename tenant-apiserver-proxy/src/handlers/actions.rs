//! Subresources that do something: binding a pod, evicting it, asking for a token.

use super::{Incoming, write};
use crate::admission::guards::{self, Asked, Operation};
use crate::decoding;
use crate::gateway::delete::DeleteOptions;
use crate::gateway::update::Wanted;
use crate::gateway::{self, Place, metadata};
use crate::reply::Reply;
use crate::server::Server;
use crate::stages::Authorized;
use crate::tokens::{Bound, Claims, MAX_SECONDS, MIN_SECONDS, Reference};
use api_types::{ApiError, Cause, GroupResource, ObjectName};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

/// How long a token lives that names no time.
const DEFAULT_SECONDS: i64 = 3600;

fn decode(body: &Incoming, group: &str, version: &str, kind: &str) -> Result<Value, ApiError> {
    let Some(id) = api_schema::builtin::kind(group, version, kind) else {
        return Err(ApiError::internal(format_args!("the type of {kind} is not known")));
    };
    let root = api_schema::builtin::graph().at(id);
    let api_version = api_types::GroupVersion::new(group, version).to_string();
    let mode = api_schema::decode::FieldValidation::Ignore;
    Ok(decoding::of_kind(kind, &api_version, root, &body.payload()?, mode)?.value)
}

/// Success with a code.
fn done(code: StatusCode) -> Reply {
    let mut status = super::delete::success(None);
    status["code"] = code.as_u16().into();
    Reply::status(status).code(code)
}

/// Shows the body of an action to the plane's guards.
async fn show_guards(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    dry_run: bool,
    body: &mut Value,
) -> Result<(), ApiError> {
    metadata::set_namespace(body, place)?;
    let asked = Asked::to_write(server, auth, place, Operation::Create, dry_run);
    guards::admit_body(&asked, body).await
}

/// `bindings`: binds the pod that the body names, as clients did before pods had `binding`.
pub async fn bind_named(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let binding = decode(body, "", "v1", "Binding")?;
    let pods =
        auth.plane().catalog.load_full().lookup("", "v1", "pods").ok_or_else(ApiError::no_such_path)?;
    let pod = Place {
        version: pods.version("v1").cloned().ok_or_else(ApiError::no_such_path)?,
        row: pods,
        namespace: place.namespace.clone(),
        name: metadata::text(&binding, "name").into(),
        subresource: "binding".into(),
        known: std::sync::Arc::default(),
    };
    bind(server, auth, &pod, body).await
}

/// Binds a pod to a node: once, and only while it is not being deleted.
pub async fn bind(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let mut binding = decode(body, "", "v1", "Binding")?;
    let options = write::options(auth.call())?;
    show_guards(server, auth, place, options.dry_run, &mut binding).await?;
    let node = binding["target"]["name"].as_str().unwrap_or("").to_owned();
    let kind = binding["target"]["kind"].as_str().unwrap_or("");
    let mut causes = Vec::new();
    if !kind.is_empty() && kind != "Node" {
        causes.push(Cause::not_supported("target.kind", &json!(kind), &["Node", "<empty>"]));
    }
    if node.is_empty() {
        causes.push(Cause::required("target.name", ""));
    }
    if !causes.is_empty() {
        return Err(ApiError::invalid("", "Binding", &place.name, causes));
    }
    gateway::update::update(server, auth, place, &options, false, |old| {
        let conflict =
            |why: String| ApiError::conflict(&GroupResource::new("", "pods/binding"), &place.name, &why);
        if old["metadata"]["deletionTimestamp"].is_string() {
            return Err(conflict(format!(
                "pod {} is being deleted, cannot be assigned to a host",
                place.name
            )));
        }
        if let Some(current) = old["spec"]["nodeName"].as_str().filter(|name| !name.is_empty()) {
            return Err(conflict(format!("pod {} is already assigned to node {current:?}", place.name)));
        }
        if old["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
            return Err(conflict(format!("pod {} has non-empty .spec.schedulingGates", place.name)));
        }
        if let Some(uid) = binding["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty())
            && uid != metadata::text(old, "uid")
        {
            return Err(conflict(format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                metadata::text(old, "uid")
            )));
        }
        let mut pod = old.clone();
        pod["spec"]["nodeName"] = node.clone().into();
        if let Some(annotations) = binding["metadata"]["annotations"].as_object() {
            for (key, value) in annotations {
                pod["metadata"]["annotations"][key.as_str()] = value.clone();
            }
        }
        set_scheduled(&mut pod);
        Ok(Wanted { object: pod, owned: true })
    })
    .await?;
    Ok(done(StatusCode::CREATED))
}

/// `PodScheduled` holds from the binding on.
fn set_scheduled(pod: &mut Value) {
    let now = metadata::timestamp(Timestamp::now());
    let condition = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": now});
    let conditions = &mut pod["status"]["conditions"];
    match conditions.as_array_mut() {
        Some(list) => {
            list.retain(|condition| condition["type"] != "PodScheduled");
            list.push(condition);
        }
        None => *conditions = json!([condition]),
    }
}

/// Evicts a pod: deletes it unless a disruption budget says no. There is no disruption controller yet, so that a
/// budget that selects the pod and has not been observed refuses with 429, as in Kubernetes.
pub async fn evict(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let mut eviction = decode(body, "policy", "v1", "Eviction")?;
    let of_body = &eviction["deleteOptions"]["dryRun"];
    let dry_run =
        of_body.as_array().is_some_and(|list| !list.is_empty()) || write::options(auth.call())?.dry_run;
    show_guards(server, auth, place, dry_run, &mut eviction).await?;
    let found = server.cache.get(auth.plane().id, &place.resource(), &place.object());
    let pod = found.ok_or_else(|| ApiError::not_found(&place.resource(), &place.name))?;
    let budgets = GroupResource::new("policy", "poddisruptionbudgets");
    for budget in server.cache.collection(auth.plane().id, &budgets).list(&place.namespace) {
        let value = super::get::value(&budget)?;
        let selector = api_resources::selectors::LabelSelector::from_json(&value["spec"]["selector"]);
        if selector.is_ok_and(|selector| selector.matches(&pod.meta.labels))
            && value["status"]["disruptionsAllowed"].as_i64().unwrap_or(0) <= 0
        {
            let why = "Cannot evict pod as it would violate the pod's disruption budget.";
            return Err(ApiError::too_many_requests(why, 10));
        }
    }
    let wanted = &eviction["deleteOptions"];
    let options = DeleteOptions {
        uid: wanted["preconditions"]["uid"].as_str().map(str::to_owned),
        resource_version: wanted["preconditions"]["resourceVersion"].as_str().map(str::to_owned),
        grace_period_seconds: wanted["gracePeriodSeconds"].as_i64(),
        dry_run,
        admitted: true,
        ..DeleteOptions::default()
    };
    let mut whole = place.clone();
    whole.subresource = "".into();
    gateway::delete::delete(server, auth, &whole, &options).await?;
    Ok(done(StatusCode::CREATED))
}

/// Issues a token for a service account.
pub async fn token(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let mut request = decode(body, "authentication.k8s.io", "v1", "TokenRequest")?;
    let plane = auth.plane();
    let found = server.cache.get(plane.id, &place.resource(), &place.object());
    let account = found.ok_or_else(|| ApiError::not_found(&place.resource(), &place.name))?;
    let dry_run = write::options(auth.call())?.dry_run;
    show_guards(server, auth, place, dry_run, &mut request).await?;
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
        serviceaccount: Reference { name: place.name.to_string(), uid: account.meta.uid.to_string() },
    };
    bind_token(server, plane, place, &request["spec"]["boundObjectRef"], &mut bound)?;
    let claims = Claims {
        aud: audiences.clone(),
        exp: now.as_second() + seconds,
        iat: now.as_second(),
        iss: server.issuer(plane),
        jti: uuid::Uuid::new_v4().to_string(),
        nbf: now.as_second(),
        sub: format!("system:serviceaccount:{}:{}", place.namespace, place.name),
        bound,
    };
    let signed = server.token_key(plane).await?.sign(&claims);
    let token = signed.map_err(|error| {
        tracing::error!(%error, "a token could not be signed");
        ApiError::internal("the token could not be signed")
    })?;
    let expires = Timestamp::from_second(claims.exp).unwrap_or(now);
    let managed = request["metadata"]["managedFields"].take();
    let metadata = json!({"name": place.name, "namespace": place.namespace,
        "uid": account.meta.uid, "creationTimestamp": metadata::timestamp(now)});
    request["metadata"] = metadata;
    request["metadata"]["managedFields"] = managed;
    request["status"] = json!({"token": token, "expirationTimestamp": metadata::timestamp(expires)});
    if request["spec"]["boundObjectRef"].is_null() {
        request["spec"]["boundObjectRef"] = Value::Null;
    }
    super::reviews::answer(auth, "authentication.k8s.io", "v1", "TokenRequest", &request)
}

fn bind_token(
    server: &Server,
    plane: &crate::planes::Plane,
    place: &Place,
    reference: &Value,
    bound: &mut Bound,
) -> Result<(), ApiError> {
    if reference.is_null() {
        return Ok(());
    }
    let text = |field: &str| reference[field].as_str().unwrap_or("");
    let (kind, name) = (text("kind"), text("name"));
    let resource = match (text("apiVersion"), kind) {
        ("v1", "Pod") => GroupResource::new("", "pods"),
        ("v1", "Secret") => GroupResource::new("", "secrets"),
        (version, kind) => {
            return Err(ApiError::bad_request(format!(
                "cannot bind token for serviceaccount {:?} to type {version}, Kind={kind}",
                place.name
            )));
        }
    };
    let found = server.cache.get(plane.id, &resource, &ObjectName::new(&place.namespace, name));
    let found = found.ok_or_else(|| ApiError::not_found(&resource, name))?;
    let uid = text("uid");
    if !uid.is_empty() && uid != found.meta.uid {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record ({})",
            found.meta.uid
        );
        return Err(ApiError::conflict(&resource, name, &why));
    }
    let reference = Some(Reference { name: name.to_owned(), uid: found.meta.uid.to_string() });
    if kind == "Pod" {
        bound.pod = reference
    } else {
        bound.secret = reference
    }
    Ok(())
}
