//! One rendered object written as the author, if it may be.

use crate::drift::{is_as_written, mark};
use crate::plan::PlannedObject;
use crate::problem::{Cause, Problem};
use api_types::{ApiError, Reason, TenantId};
use plane_client::{Actor, Object, Patch, PlaneClient, Target, Write};
use serde_json::Value;

/// Why an object could not be written.
#[derive(Debug)]
pub enum Fault {
    /// It needs a change by somebody.
    Problem(Problem),
    /// Another try may do.
    Retry(ApiError),
}

impl Fault {
    /// The defect, to be told.
    pub fn problem(&self) -> Problem {
        match self {
            Fault::Problem(problem) => problem.clone(),
            Fault::Retry(error) => Problem::new(Cause::ApplyFailed, error.message()),
        }
    }
}

/// Applies an object, unless it is there as it should be. An object that something else controls, or that was made by
/// other hands, is left alone.
pub async fn apply(
    client: &dyn PlaneClient,
    tenant: TenantId,
    author: &Actor,
    object: &PlannedObject,
    owner_uid: &str,
) -> Result<(Object, Value), Fault> {
    let group_resource = object.resource.group_resource();
    let live = client.get(tenant, &group_resource, &object.name).await.map_err(Fault::Retry)?;
    let mut desired = object.value.clone();
    mark(&mut desired);
    if let Some(live) = live {
        if let Some(problem) = not_ours(object, &live, owner_uid) {
            return Err(Fault::Problem(problem));
        }
        if live.meta.deleting {
            let why = format!("{group_resource} {:?} is still being deleted", object.name.name);
            return Err(Fault::Retry(ApiError::conflict(&group_resource, &object.name.name, &why)));
        }
        let value = live.value().map_err(Fault::Retry)?;
        if is_as_written(&desired, &value) {
            return Ok((live, value));
        }
    }
    let target = Target::new(tenant, &object.resource, &object.name.namespace, &object.name.name);
    let written =
        client.write(author, &target, Write::Patch(Patch::Apply(desired))).await.map_err(classify)?;
    let value = written.value().map_err(Fault::Retry)?;
    Ok((written, value))
}

fn not_ours(object: &PlannedObject, live: &Object, owner_uid: &str) -> Option<Problem> {
    let what = format!("{} {:?}", live.resource, object.name.name);
    let message = match live.meta.controller() {
        Some(owner) if owner.uid == owner_uid => return None,
        Some(owner) => format!("{what} belongs to {} {:?}", owner.kind, owner.name),
        None => format!("{what} was not made by this application; rename one of them, or delete it"),
    };
    Some(Problem::new(Cause::NotOwned, message))
}

/// What only another input can cure is a problem; the rest is tried again.
pub fn classify(error: ApiError) -> Fault {
    match error.reason() {
        Reason::Forbidden | Reason::Unauthorized => {
            Fault::Problem(Problem::new(Cause::Forbidden, error.message()))
        }
        Reason::Invalid
        | Reason::BadRequest
        | Reason::NotFound
        | Reason::UnknownNotFound
        | Reason::MethodNotAllowed
        | Reason::UnsupportedMediaType
        | Reason::RequestEntityTooLarge => Fault::Problem(Problem::new(Cause::Rejected, error.message())),
        _ => Fault::Retry(error),
    }
}
