//! The `scale` subresource: replicas and selector of anything that has them.

use super::{Incoming, get, write};
use crate::decoding::{self, Media, Payload};
use crate::gateway::update::Wanted;
use crate::gateway::{self, Place};
use crate::reply::Reply;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, Cause};
use http::StatusCode;
use serde_json::{Value, json};

/// Where an object keeps what `Scale` shows: paths of fields.
struct Paths {
    spec: Vec<String>,
    status: Vec<String>,
    selector: Option<Vec<String>>,
}

fn paths(place: &Place) -> Paths {
    let split = |path: &str| path.trim_start_matches('.').split('.').map(str::to_owned).collect::<Vec<_>>();
    match &place.version.scale {
        Some(scale) => Paths {
            spec: split(&scale.spec_replicas_path),
            status: split(&scale.status_replicas_path),
            selector: (!scale.label_selector_path.is_empty()).then(|| split(&scale.label_selector_path)),
        },
        None => Paths { spec: split("spec.replicas"), status: split("status.replicas"), selector: None },
    }
}

fn at<'a>(object: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(object, |value, key| &value[key.as_str()])
}

/// `Scale` of an object.
fn scale_of(place: &Place, object: &Value) -> Value {
    let paths = paths(place);
    let metadata = &object["metadata"];
    let mut shown = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !metadata[field].is_null() {
            shown[field] = metadata[field].clone();
        }
    }
    let mut spec = json!({});
    if let Some(replicas) = at(object, &paths.spec).as_i64().filter(|replicas| *replicas != 0) {
        spec["replicas"] = replicas.into();
    }
    let mut status = json!({"replicas": at(object, &paths.status).as_i64().unwrap_or(0)});
    let selector = match &paths.selector {
        Some(path) => at(object, path).as_str().unwrap_or("").to_owned(),
        None if place.row.is_custom() => String::new(),
        None => selector_text(&object["spec"]["selector"]),
    };
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status})
}

/// A label selector as the query parameter that selects the same; a plain map of labels is one too.
fn selector_text(selector: &Value) -> String {
    let structured = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let wrapped = if structured { selector.clone() } else { json!({"matchLabels": selector}) };
    api_resources::selectors::LabelSelector::from_json(&wrapped).map(|s| s.to_string()).unwrap_or_default()
}

/// GET.
pub fn get(server: &Server, auth: &Authorized, place: &Place) -> Result<Reply, ApiError> {
    let found = server.cache.get(auth.plane().id, &place.resource(), &place.object());
    let record = found.ok_or_else(|| ApiError::not_found(&place.resource(), &place.name))?;
    answer(auth, place, &get::value(&record)?)
}

fn answer(auth: &Authorized, place: &Place, object: &Value) -> Result<Reply, ApiError> {
    let scale = scale_of(place, object);
    let accept = crate::reply::accept(auth.call().header("accept"), true)?;
    if accept.format == crate::reply::Format::Protobuf
        && let Some(id) = api_schema::builtin::kind("autoscaling", "v1", "Scale")
    {
        let root = api_schema::builtin::graph().at(id);
        let content = get::protobuf(root, "autoscaling/v1", "Scale", &scale)?;
        return Ok(Reply::with(StatusCode::OK, content));
    }
    Ok(Reply::value(&scale))
}

/// PUT and PATCH: the number of replicas is the only thing that changes.
pub async fn write(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let call = auth.call();
    let options = write::options(call)?;
    let patching = auth.resource().is_some_and(|request| request.verb == "patch");
    let spec_path = paths(place).spec;
    let written = if patching {
        let of = write::PatchType::parse(&body.content_type, false)?;
        let patch: Value = serde_json::from_slice(&body.bytes)
            .or_else(|error| serde_yaml_ng::from_slice(&body.bytes).map_err(|_| error))
            .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
        gateway::update::update(server, auth, place, &options, false, |old| {
            let scale = scale_of(place, old);
            let patched = match of {
                write::PatchType::Json => api_schema::patch::json_patch(&scale, &patch),
                _ => api_schema::patch::merge_patch(&scale, &patch),
            };
            let patched = patched.map_err(|error| error.to_api_error())?;
            let payload = Payload { bytes: patched.to_string().into(), media: Media::Json };
            wanted(place, old, &decode_scale(&payload)?, &spec_path)
        })
        .await?
    } else {
        let scale = decode_scale(&body.payload()?)?;
        gateway::update::update(server, auth, place, &options, false, |old| {
            wanted(place, old, &scale, &spec_path)
        })
        .await?
    };
    answer(auth, place, &get::value(&written.object)?)
}

fn decode_scale(payload: &Payload) -> Result<Value, ApiError> {
    let Some(id) = api_schema::builtin::kind("autoscaling", "v1", "Scale") else {
        return Err(ApiError::internal("the type of Scale is not known"));
    };
    let root = api_schema::builtin::graph().at(id);
    let mode = api_schema::decode::FieldValidation::Ignore;
    Ok(decoding::of_kind("Scale", "autoscaling/v1", root, payload, mode)?.value)
}

/// The old object with the replicas of a `Scale`.
fn wanted(place: &Place, old: &Value, scale: &Value, path: &[String]) -> Result<Wanted, ApiError> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let cause = Cause::invalid("spec.replicas", &json!(replicas), "must be greater than or equal to 0");
        return Err(ApiError::invalid("autoscaling", "Scale", &place.name, vec![cause]));
    }
    let name = scale["metadata"]["name"].as_str().unwrap_or("");
    if !name.is_empty() && name != place.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            place.name
        )));
    }
    let mut object = old.clone();
    // A version or UID that the `Scale` names is checked like that of the object itself.
    for field in ["resourceVersion", "uid"] {
        match scale["metadata"][field].as_str().filter(|text| !text.is_empty()) {
            Some(text) => object["metadata"][field] = text.into(),
            None => object["metadata"][field] = Value::Null,
        }
    }
    let mut target = &mut object;
    for key in path {
        if !(target.is_object() || target.is_null()) {
            let cause = Cause::invalid(path.join("."), &json!(replicas), "the object has no such field");
            return Err(place.invalid(&place.name, vec![cause]));
        }
        target = &mut target[key.as_str()];
    }
    *target = replicas.into();
    Ok(Wanted { object, owned: false })
}
