//! POST and PUT of objects and their status.

use super::{Incoming, get};
use crate::decoding;
use crate::gateway::update::Wanted;
use crate::gateway::{self, Place, WriteOptions, Written};
use crate::reply::Reply;
use crate::request_info::RequestInfo;
use crate::server::Server;
use crate::stages::{Authorized, Call};
use api_types::{ApiError, Cause};
use http::StatusCode;
use serde_json::Value;

/// The most letters that are taken of a client's name.
const MAX_MANAGER: usize = 128;
/// The manager of a client that does not say its name.
const NAMELESS: &str = "unknown";

/// Reads `dryRun` and `fieldManager`. Without one, the manager is the client's program name.
pub fn options(call: &Call) -> Result<WriteOptions, ApiError> {
    checked_options(call, Vec::new())
}

/// The same, where other options have these defects.
pub fn checked_options(call: &Call, mut causes: Vec<Cause>) -> Result<WriteOptions, ApiError> {
    let manager = match call.query.get("fieldManager") {
        Some(manager) => {
            api_resources::metadata::manager(&mut causes, "fieldManager", manager);
            manager.to_owned()
        }
        None => manager_of(call.header("user-agent")),
    };
    let dry_runs: Vec<&str> = call.query.all("dryRun").collect();
    causes.extend(dry_run_defect(&dry_runs));
    let kind = options_kind(call);
    if kind != "DeleteOptions" {
        causes.extend(decoding::field_validation_defect(call));
    }
    if !causes.is_empty() {
        return Err(ApiError::invalid("meta.k8s.io", kind, "", causes));
    }
    Ok(WriteOptions { dry_run: !dry_runs.is_empty(), manager })
}

/// The manager that a client is by its name.
fn manager_of(user_agent: &str) -> String {
    let program: String = user_agent.split('/').next().unwrap_or("").chars().take(MAX_MANAGER).collect();
    if program.is_empty() { NAMELESS.to_owned() } else { program }
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

/// Answers with what was written. What decoding warned of is told even when the write was refused.
pub fn finish(
    auth: &Authorized,
    place: &Place,
    written: Result<Written, ApiError>,
    mut warnings: Vec<String>,
) -> Result<Reply, ApiError> {
    let written = match written {
        Ok(written) => written,
        Err(error) => return Err(error.with_warnings(warnings)),
    };
    warnings.extend(written.warnings);
    let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(get::show(auth, place, &written.object, code)?.warnings(warnings))
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
    let written = gateway::create::create(server, auth, place, decoded.value, &options).await;
    finish(auth, place, written, decoded.warnings)
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
    let mut decoded = decoding::object(place, &body.payload()?, mode)?;
    // What it names itself is compared with the path before anybody looks whether it is there.
    let named = gateway::metadata::set_namespace(&mut decoded.value, place)
        .and_then(|()| gateway::metadata::check_name(&decoded.value, place))
        .and_then(|()| super::check_name(&place.name));
    named.map_err(|error| error.with_warnings(decoded.warnings.clone()))?;
    let strategy = &place.row.strategy;
    let there = gateway::live(server, auth, place).is_some();
    let written = if !there && strategy.create_on_update && place.subresource.is_empty() {
        check_create(server, auth)?;
        gateway::create::create(server, auth, place, decoded.value, &options).await
    } else {
        let must_name = !strategy.unconditional_update;
        gateway::update::update(server, auth, place, &options, must_name, |old| {
            // The object that it is for may be named by its UID too.
            gateway::metadata::check_uid(&decoded.value, old, place)?;
            Ok(Wanted { object: decoded.value.clone(), owned: false })
        })
        .await
    };
    finish(auth, place, written, decoded.warnings)
}

/// Creating by PUT or apply needs `create` too.
pub(super) fn check_create(server: &Server, auth: &Authorized) -> Result<(), ApiError> {
    match auth.resource() {
        Some(resource) => auth.check_also(server, "create", resource),
        None => Ok(()),
    }
}
