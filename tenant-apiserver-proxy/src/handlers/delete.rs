//! DELETE of one object or of many.

use super::{Incoming, get, list};
use crate::conversion::{self, Caller};
use crate::decoding;
use crate::gateway::delete::DeleteOptions;
use crate::gateway::{self, Place};
use crate::reply::Reply;
use crate::request_info::RequestInfo;
use crate::server::Server;
use crate::stages::{Authorized, Call};
use api_schema::decode;
use api_types::{ApiError, Cause};
use http::StatusCode;
use plane_client::Propagation;
use serde_json::{Value, json};

/// Reads the options of a deletion: the body, or the query when there is no body.
pub fn options(call: &Call, body: &Incoming) -> Result<DeleteOptions, ApiError> {
    from_value(&if body.bytes.is_empty() { from_query(call)? } else { decode_body(body)? })
}

/// Reads the options of a deletion from `DeleteOptions`.
pub fn from_value(given: &Value) -> Result<DeleteOptions, ApiError> {
    let grace = match &given["gracePeriodSeconds"] {
        Value::Null => None,
        seconds => Some(seconds.as_i64().ok_or_else(|| {
            ApiError::bad_request(format!(
                "invalid gracePeriodSeconds {seconds}: it must be a number of seconds"
            ))
        })?),
    };
    let mut causes = Vec::new();
    let orphan = given["orphanDependents"].as_bool();
    let policy = given["propagationPolicy"].as_str();
    if let (Some(_), Some(policy)) = (orphan, policy) {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        causes.push(Cause::invalid("propagationPolicy", &Value::from(policy), why));
    }
    let propagation = match policy {
        None => orphan.map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }),
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some("Orphan") => Some(Propagation::Orphan),
        Some(other) => {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            causes.push(Cause::not_supported("propagationPolicy", &Value::from(other), &supported));
            None
        }
    };
    let dry_runs: Vec<&str> =
        given["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    causes.extend(super::write::dry_run_defect(&dry_runs));
    if !causes.is_empty() {
        return Err(ApiError::invalid("meta.k8s.io", "DeleteOptions", "", causes));
    }
    let text = |field: &Value| field.as_str().map(str::to_owned);
    Ok(DeleteOptions {
        uid: text(&given["preconditions"]["uid"]),
        resource_version: text(&given["preconditions"]["resourceVersion"]),
        grace_period_seconds: grace,
        propagation,
        cascades: orphan == Some(false),
        dry_run: !dry_runs.is_empty(),
        admitted: false,
    })
}

/// The query as a body would say it.
fn from_query(call: &Call) -> Result<Value, ApiError> {
    let query = &call.query;
    let mut options = json!({});
    if let Some(seconds) = super::list_options::integer(query, "gracePeriodSeconds")? {
        options["gracePeriodSeconds"] = seconds.into();
    }
    if query.first("orphanDependents").is_some() {
        options["orphanDependents"] = query.is_true("orphanDependents").into();
    }
    if let Some(policy) = query.first("propagationPolicy") {
        options["propagationPolicy"] = policy.into();
    }
    let dry_runs: Vec<&str> = query.all("dryRun").collect();
    if !dry_runs.is_empty() {
        options["dryRun"] = dry_runs.into();
    }
    // The same parameter selects from which version on a collection is listed.
    let one = matches!(&call.info, RequestInfo::Resource(request) if request.verb == "delete");
    for field in ["uid", "resourceVersion"] {
        if let Some(text) = query.get(field).filter(|_| one || field == "uid") {
            options["preconditions"][field] = text.into();
        }
    }
    Ok(options)
}

/// What messages of Kubernetes call the list of kinds in which it looks for options.
const SCHEME: &str = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";

fn decode_body(body: &Incoming) -> Result<Value, ApiError> {
    let payload = body.payload()?;
    let graph = api_schema::builtin::graph();
    let Some(root) = graph.named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions") else {
        return Err(ApiError::internal("the type of DeleteOptions is not known"));
    };
    let refused = |error: &dyn std::fmt::Display| ApiError::bad_request(error.to_string());
    let (version, kind) = decoding::said_kind(&payload).map_err(|error| refused(&error))?;
    if !kind.is_empty() && kind != "DeleteOptions" {
        // A version that is not said is that of the options themselves.
        let version = if version.is_empty() { "meta.k8s.io/v1" } else { version.as_str() };
        return Err(refused(&format_args!(
            "no kind {kind:?} is registered for version {version:?} in scheme {SCHEME:?}"
        )));
    }
    let Some(format) = payload.media.format() else {
        return api_schema::protobuf::decode(&payload.bytes, graph.at(root)).map_err(|error| refused(&error));
    };
    let decoded = decode::decode(&payload.bytes, format, graph.at(root), decode::FieldValidation::Ignore);
    decoded.map(|decoded| decoded.value).map_err(|error| refused(&error))
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
    let returned = api_resources::table::returns_deleted(&place.row.group, &place.row.plural);
    let warnings: Vec<String> = gateway::delete::warning(place, &options).into_iter().collect();
    if written.removed && !returned {
        let mut details =
            json!({"name": place.name, "kind": place.row.plural, "uid": written.object.meta.uid});
        if !place.row.group.is_empty() {
            details["group"] = place.row.group.to_string().into();
        }
        return Ok(Reply::status(success(Some(details))).warnings(warnings));
    }
    // Only who asks for dependents in the old way is told that they are still to go.
    let code = if options.cascades && !written.removed { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(get::show(auth, place, &written.object, code)?.warnings(warnings))
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
    let form = get::Form::of(auth, place)?;
    let mut page = list::find(server, auth, place).await?.page();
    page.records = conversion::shown(&Caller::of(server, auth), place, page.records).await?;
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
    let warnings = gateway::delete::warning(place, &options).into_iter().collect();
    Ok(list::show(&form, place, &page)?.warnings(warnings))
}
