//! POST, PUT and PATCH of objects and their status.

use super::{Incoming, get};
use crate::decoding::{self, Media, Payload};
use crate::gateway::update::Wanted;
use crate::gateway::{self, Place, WriteOptions, Written};
use crate::ownership;
use crate::reply::Reply;
use crate::request_info::RequestInfo;
use crate::server::Server;
use crate::stages::{Authorized, Call};
use api_schema::decode::FieldValidation;
use api_types::{ApiError, Cause};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

/// The longest name of a field manager.
const MAX_MANAGER: usize = 128;
/// The most operations of a JSON patch.
const MAX_PATCH_OPERATIONS: usize = 10_000;

/// Reads `dryRun` and `fieldManager`. Without one, the manager is the client's program name.
pub fn options(call: &Call) -> Result<WriteOptions, ApiError> {
    let mut causes = Vec::new();
    let manager = match call.query.get("fieldManager") {
        Some(manager) => {
            if manager.len() > MAX_MANAGER {
                causes.push(Cause::too_long("fieldManager", MAX_MANAGER));
            }
            for (at, letter) in manager.char_indices().filter(|(_, letter)| letter.is_control()) {
                let why = format!("invalid character U+{:04X} (at position {at})", u32::from(letter));
                causes.push(Cause::invalid("fieldManager", &Value::from(manager), &why));
            }
            manager.to_owned()
        }
        None => call.header("user-agent").split('/').next().unwrap_or("").chars().take(MAX_MANAGER).collect(),
    };
    let dry_runs: Vec<&str> = call.query.all("dryRun").collect();
    causes.extend(dry_run_defect(&dry_runs));
    if !causes.is_empty() {
        return Err(ApiError::invalid("meta.k8s.io", options_kind(call), "", causes));
    }
    Ok(WriteOptions { dry_run: !dry_runs.is_empty(), manager })
}

/// What is wrong with the values of `dryRun`: each has to be `All`.
pub fn dry_run_defect(values: &[&str]) -> Option<Cause> {
    let known = values.iter().all(|value| *value == "All");
    (!known).then(|| Cause::not_supported("dryRun", &Value::from(values.to_vec()), &["All"]))
}

/// The kind of the options that the request's query stands for.
pub fn options_kind(call: &Call) -> &'static str {
    let RequestInfo::Resource(request) = &call.info else { return "CreateOptions" };
    match request.verb.as_str() {
        "update" => "UpdateOptions",
        "patch" => "PatchOptions",
        "delete" | "deletecollection" => "DeleteOptions",
        _ => "CreateOptions",
    }
}

/// Answers with what was written.
pub fn answer(auth: &Authorized, place: &Place, written: Written) -> Result<Reply, ApiError> {
    let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(get::show(auth, place, &written.object, code)?.warnings(written.warnings))
}

/// POST.
pub async fn create(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let call = auth.call();
    let options = options(call)?;
    let mode = decoding::field_validation(call, place)?;
    let decoded = decoding::object(place, &body.payload()?, mode)?;
    let mut written = gateway::create::create(server, auth, place, decoded.value, &options).await?;
    written.warnings.splice(0..0, decoded.warnings);
    answer(auth, place, written)
}

/// PUT.
pub async fn update(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let call = auth.call();
    let options = options(call)?;
    let mode = decoding::field_validation(call, place)?;
    let decoded = decoding::object(place, &body.payload()?, mode)?;
    let strategy = &place.row.strategy;
    let there = gateway::live(server, auth, place).is_some();
    let mut written = if !there && strategy.create_on_update && place.subresource.is_empty() {
        check_create(server, auth)?;
        gateway::create::create(server, auth, place, decoded.value, &options).await?
    } else {
        let must_name = !strategy.unconditional_update;
        gateway::update::update(server, auth, place, &options, must_name, |_| {
            Ok(Wanted { object: decoded.value.clone(), owned: false })
        })
        .await?
    };
    written.warnings.splice(0..0, decoded.warnings);
    answer(auth, place, written)
}

/// Creating by PUT or apply needs `create` too.
fn check_create(server: &Server, auth: &Authorized) -> Result<(), ApiError> {
    match auth.resource() {
        Some(resource) => auth.check_also(server, "create", resource),
        None => Ok(()),
    }
}

/// The kinds of patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchType {
    /// Reads a `Content-Type`; custom resources have no strategic merge.
    pub fn parse(content_type: &str, custom: bool) -> Result<Self, ApiError> {
        match content_type.split(';').next().unwrap_or("").trim() {
            "application/json-patch+json" => Ok(PatchType::Json),
            "application/merge-patch+json" => Ok(PatchType::Merge),
            "application/strategic-merge-patch+json" if !custom => Ok(PatchType::Strategic),
            "application/apply-patch+yaml" => Ok(PatchType::Apply),
            _ if custom => Err(decoding::unsupported(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            _ => Err(decoding::unsupported(
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, \
                 application/apply-patch+yaml",
            )),
        }
    }
}

/// PATCH.
pub async fn patch(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let call = auth.call();
    let of = PatchType::parse(&body.content_type, place.row.is_custom())?;
    let mode = decoding::field_validation(call, place)?;
    if of == PatchType::Apply {
        return apply(server, auth, place, body, mode).await;
    }
    if call.query.get("force").is_some() {
        let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
    }
    let options = options(call)?;
    let patch: Value = serde_json::from_slice(&body.bytes)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if patch.as_array().is_some_and(|operations| operations.len() > MAX_PATCH_OPERATIONS) {
        let count = patch.as_array().map_or(0, Vec::len);
        return Err(ApiError::new(
            api_types::Reason::RequestEntityTooLarge,
            format!("The allowed maximum operations in a JSON patch is {MAX_PATCH_OPERATIONS}, got {count}"),
        ));
    }
    let mut warnings = Vec::new();
    let mut written = gateway::update::update(server, auth, place, &options, false, |old| {
        let patched = patched(place, of, old, &patch)?;
        let decoded = redecode(place, &patched, mode).map_err(|error| unfit(place, &patched, &error))?;
        warnings = decoded.warnings;
        Ok(Wanted { object: decoded.value, owned: false })
    })
    .await?;
    written.warnings.splice(0..0, warnings);
    answer(auth, place, written)
}

/// The old object with the `apiVersion` of the request: one that needs no more than that comes as it is stored.
fn versioned(place: &Place, old: &Value) -> Value {
    let mut old = old.clone();
    old["apiVersion"] = place.api_version().into();
    old
}

/// The old object with a patch.
pub fn patched(place: &Place, of: PatchType, old: &Value, patch: &Value) -> Result<Value, ApiError> {
    let old = versioned(place, old);
    let merged = match of {
        PatchType::Json => api_schema::patch::json_patch(&old, patch),
        PatchType::Merge => api_schema::patch::merge_patch(&old, patch),
        PatchType::Strategic => api_schema::strategic::strategic_merge(place.root(), &old, patch),
        PatchType::Apply => return Err(ApiError::internal("apply is no patch of this form")),
    };
    merged.map_err(|error| error.to_api_error())
}

/// 422 for a patch whose result is no object of the kind. What it says is what decoding says, without the preamble of
/// a body that does not fit.
fn unfit(place: &Place, patched: &Value, error: &ApiError) -> ApiError {
    let text = error.message();
    let preamble = format!("cannot be handled as a {}: ", place.row.kind);
    let why = text.split_once(preamble.as_str()).map_or(text, |(_, why)| why);
    let result = Value::from(patched.to_string());
    if patched.to_string().len() > decoding::MAX_BODY {
        let why = format!("Request entity too large: limit is {}", decoding::MAX_BODY);
        return ApiError::new(api_types::Reason::RequestEntityTooLarge, why);
    }
    ApiError::invalid("", "", "", vec![Cause::invalid("patch", &result, why)])
}

/// A patch may have put in anything: the result is decoded as a body is.
fn redecode(
    place: &Place,
    value: &Value,
    mode: FieldValidation,
) -> Result<api_schema::decode::Decoded, ApiError> {
    let bytes = serde_json::to_vec(value).map_err(ApiError::internal)?;
    decoding::object(place, &Payload { bytes: bytes.into(), media: Media::Json }, mode)
}

async fn apply(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
    mode: FieldValidation,
) -> Result<Reply, ApiError> {
    let call = auth.call();
    let mut options = options(call)?;
    let Some(manager) = call.query.get("fieldManager") else {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
    };
    options.manager = manager.to_owned();
    let force = call.query.is_true("force");
    let payload = Payload { bytes: body.bytes.clone(), media: Media::Yaml };
    let decoded = decoding::object(place, &payload, mode)?;
    let written = apply_object(server, auth, place, &decoded.value, force, &options).await;
    let mut written = written?;
    written.warnings.splice(0..0, decoded.warnings);
    answer(auth, place, written)
}

/// Server-side apply of a decoded configuration.
pub async fn apply_object(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    config: &Value,
    force: bool,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    if config["metadata"]["managedFields"].as_array().is_some_and(|list| !list.is_empty()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let name = config["metadata"]["name"].as_str().unwrap_or("");
    if !name.is_empty() && name != place.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            place.name
        )));
    }
    if gateway::live(server, auth, place).is_none() {
        if !place.subresource.is_empty() {
            return Err(ApiError::not_found(&place.resource(), &place.name));
        }
        check_create(server, auth)?;
        let mut config = config.clone();
        crate::gateway::metadata::of(&mut config).insert("name".into(), place.name.to_string().into());
        let merged = ownership::apply(place, None, &config, &options.manager, force, Timestamp::now())?;
        match gateway::create::create_owned(server, auth, place, merged, options).await {
            Err(error) if error.is_already_exists() => {}
            other => return other,
        }
    }
    gateway::update::update(server, auth, place, options, false, |old| {
        let object = ownership::apply(
            place,
            Some(&versioned(place, old)),
            config,
            &options.manager,
            force,
            Timestamp::now(),
        )?;
        Ok(Wanted { object, owned: true })
    })
    .await
}
