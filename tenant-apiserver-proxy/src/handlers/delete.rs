//! DELETE of one object or of many.

use super::{Incoming, get, list};
use crate::gateway::delete::DeleteOptions;
use crate::gateway::{self, Place};
use crate::reply::Reply;
use crate::server::Server;
use crate::stages::{Authorized, Call};
use api_types::{ApiError, Cause};
use http::StatusCode;
use plane_client::Propagation;
use serde_json::{Value, json};

/// Kinds whose removal answers with the object, not with a `Status`, as in Kubernetes.
const RETURNED: &[&str] = &[
    "pods",
    "podtemplates",
    "persistentvolumes",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "serviceaccounts",
    "services",
];

/// Reads the options of a deletion: the body, else the query.
pub fn options(call: &Call, body: &Incoming) -> Result<DeleteOptions, ApiError> {
    let body: Value = if body.bytes.is_empty() { Value::Null } else { decode_body(body)? };
    let query = &call.query;
    let text = |field: &str| body[field].as_str().or_else(|| query.get(field)).map(str::to_owned);
    let grace = match (&body["gracePeriodSeconds"], query.get("gracePeriodSeconds")) {
        (Value::Null, None) => None,
        (Value::Null, Some(given)) => Some(given.parse::<i64>().map_err(|_| {
            ApiError::bad_request(format!(
                "invalid gracePeriodSeconds {given:?}: it must be a number of seconds"
            ))
        })?),
        (given, _) => Some(given.as_i64().ok_or_else(|| {
            ApiError::bad_request(format!(
                "invalid gracePeriodSeconds {given}: it must be a number of seconds"
            ))
        })?),
    };
    let invalid = |cause| ApiError::invalid("meta.k8s.io", "DeleteOptions", "", vec![cause]);
    let orphan = body["orphanDependents"].as_bool().or(query.get("orphanDependents").map(|v| v == "true"));
    let propagation = match text("propagationPolicy").as_deref() {
        None => orphan.map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }),
        Some(_) if orphan.is_some() => {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            return Err(invalid(Cause::invalid("propagationPolicy", &Value::Null, why)));
        }
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some("Orphan") => Some(Propagation::Orphan),
        Some(other) => {
            let supported = ["Background", "Foreground", "Orphan"];
            return Err(invalid(Cause::not_supported("propagationPolicy", &Value::from(other), &supported)));
        }
    };
    let in_body = body["dryRun"].as_array().is_some_and(|values| values.iter().any(|value| value == "All"));
    Ok(DeleteOptions {
        uid: body["preconditions"]["uid"].as_str().map(str::to_owned),
        resource_version: body["preconditions"]["resourceVersion"].as_str().map(str::to_owned),
        grace_period_seconds: grace,
        propagation,
        dry_run: in_body || super::write::options(call)?.dry_run,
    })
}

fn decode_body(body: &Incoming) -> Result<Value, ApiError> {
    let payload = body.payload()?;
    let graph = api_schema::builtin::graph();
    let Some(root) = graph.named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions") else {
        return Err(ApiError::internal("the type of DeleteOptions is not known"));
    };
    let mode = api_schema::decode::FieldValidation::Ignore;
    match payload.media {
        crate::decoding::Media::Protobuf => api_schema::protobuf::decode(&payload.bytes, graph.at(root))
            .map_err(|error| ApiError::bad_request(error.to_string())),
        media => {
            let format = match media {
                crate::decoding::Media::Yaml => api_schema::decode::Format::Yaml,
                _ => api_schema::decode::Format::Json,
            };
            let decoded = api_schema::decode::decode(&payload.bytes, format, graph.at(root), mode);
            decoded.map(|decoded| decoded.value).map_err(|error| ApiError::bad_request(error.to_string()))
        }
    }
}

/// DELETE of one object.
pub async fn delete(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let options = options(auth.call(), body)?;
    let written = gateway::delete::delete(server, auth, place, &options).await?;
    let returned = place.row.group.is_empty() && RETURNED.contains(&place.row.plural.as_str());
    if written.removed && !returned {
        let mut details =
            json!({"name": place.name, "kind": place.row.plural, "uid": written.object.meta.uid});
        if !place.row.group.is_empty() {
            details["group"] = place.row.group.to_string().into();
        }
        return Ok(Reply::value(&success(Some(details))));
    }
    get::show(auth, place, &written.object, StatusCode::OK)
}

/// A `Status` that says success.
pub fn success(details: Option<Value>) -> Value {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    if let Some(details) = details {
        status["details"] = details;
    }
    status
}

/// DELETE of a collection: everything that is selected, one by one. The answer lists what was selected.
pub async fn collection(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let options = options(auth.call(), body)?;
    let page = list::read(server, auth, place).await?;
    for record in &page.records {
        let mut one = place.clone();
        one.namespace = record.name.namespace.clone();
        one.name = record.name.name.clone();
        match gateway::delete::delete(server, auth, &one, &options).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    list::show(auth, place, &page)
}
