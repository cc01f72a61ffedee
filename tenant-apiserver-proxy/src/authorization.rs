//! May the user do it: `system:masters`, else the plane's own RBAC.

use crate::authentication::User;
use crate::planes::Plane;
use crate::request_info::{RequestInfo, ResourceRequest};
use crate::server::Server;
use api_resources::rbac::Decision;
use api_types::{ApiError, GroupResource, Reason};

/// What is to be allowed.
pub enum Attributes<'a> {
    /// A resource.
    Resource(&'a ResourceRequest),
    /// A path that is no resource.
    Path {
        /// The path.
        path: &'a str,
        /// The method in lower case.
        verb: &'a str,
    },
}

impl<'a> Attributes<'a> {
    /// What a request needs.
    pub fn of(info: &'a RequestInfo) -> Self {
        match info {
            RequestInfo::Resource(resource) => Attributes::Resource(resource),
            RequestInfo::Path { path, verb } => Attributes::Path { path, verb },
        }
    }
}

/// Allows it, and says why, or says in Kubernetes' words what is missing.
pub fn check(server: &Server, plane: &Plane, user: &User, what: &Attributes<'_>) -> Result<String, ApiError> {
    match decide(server, plane, user, what) {
        Decision { allowed: true, reason } => Ok(reason),
        Decision { reason, .. } => Err(refusal(user, what, &reason)),
    }
}

/// What the plane's RBAC says, and why.
pub fn decide(server: &Server, plane: &Plane, user: &User, what: &Attributes<'_>) -> Decision {
    if user.is_master() {
        return Decision { allowed: true, reason: String::new() };
    }
    crate::rbac::decide(server, plane, user, what)
}

/// What somebody is told who may not do something, and why not.
pub fn refusal(user: &User, what: &Attributes<'_>, reason: &str) -> ApiError {
    let mut why = crate::rbac::action(what).refusal(&user.name);
    if !reason.is_empty() {
        why = format!("{why}: {reason}");
    }
    match what {
        Attributes::Path { .. } => {
            ApiError::new(Reason::Forbidden, format!("forbidden: {why}")).with_causes(Vec::new())
        }
        Attributes::Resource(request) => {
            ApiError::forbidden(&GroupResource::new(&request.group, &request.resource), &request.name, &why)
        }
    }
}
