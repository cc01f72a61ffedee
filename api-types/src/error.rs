//! The one error that a client of a plane can see, and the table from its reason to HTTP.

use crate::cause::{Cause, CauseReason};
use crate::identity::{GroupResource, Revision};
use serde_json::{Map, Value, json};
use std::fmt;

/// Why a request failed, in the words of Kubernetes' API conventions (`metav1.StatusReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is documented by the convention of the same name
pub enum Reason {
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Expired,
    Invalid,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    ServiceUnavailable,
    /// No reason on the wire: `Status` without `reason`, code 404 or 500 as given by the row.
    UnknownNotFound,
    /// No reason on the wire, code 500: what Kubernetes answers for errors that are none of its own.
    Unknown,
}

/// Reason, HTTP code, text on the wire, and seconds of `Retry-After` when retrying is the remedy.
const REASONS: &[(Reason, u16, &str, Option<u32>)] = &[
    (Reason::Unauthorized, 401, "Unauthorized", None),
    (Reason::Forbidden, 403, "Forbidden", None),
    (Reason::NotFound, 404, "NotFound", None),
    (Reason::UnknownNotFound, 404, "", None),
    (Reason::AlreadyExists, 409, "AlreadyExists", None),
    (Reason::Conflict, 409, "Conflict", None),
    (Reason::Gone, 410, "Gone", None),
    (Reason::Expired, 410, "Expired", None),
    (Reason::Invalid, 422, "Invalid", None),
    (Reason::ServerTimeout, 500, "ServerTimeout", Some(1)),
    (Reason::Timeout, 504, "Timeout", Some(1)),
    (Reason::TooManyRequests, 429, "TooManyRequests", Some(1)),
    (Reason::BadRequest, 400, "BadRequest", None),
    (Reason::MethodNotAllowed, 405, "MethodNotAllowed", None),
    (Reason::NotAcceptable, 406, "NotAcceptable", None),
    (Reason::RequestEntityTooLarge, 413, "RequestEntityTooLarge", None),
    (Reason::UnsupportedMediaType, 415, "UnsupportedMediaType", None),
    (Reason::InternalError, 500, "InternalError", None),
    (Reason::Unknown, 500, "", None),
    (Reason::ServiceUnavailable, 503, "ServiceUnavailable", Some(1)),
];

/// What a client of a plane is told when its request fails: the content of a `metav1.Status`.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError(Box<Inner>);

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    reason: Reason,
    message: String,
    group: String,
    kind: String,
    name: String,
    uid: String,
    causes: Vec<Cause>,
    retry_after: Option<u32>,
    /// `metadata.continue`: empty for none.
    continue_token: String,
    /// False where Kubernetes sends no `details` at all.
    details: bool,
    /// For `Warning` headers; not part of the status.
    warnings: Vec<String>,
    /// Code, reason and `details` as somebody else gave them, who is no part of the server.
    given: Option<(u16, String, Value)>,
}

impl ApiError {
    /// An error without details: `{reason, message, code}`.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        ApiError(Box::new(Inner {
            reason,
            message: message.into(),
            group: String::new(),
            kind: String::new(),
            name: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after: row(reason).3,
            continue_token: String::new(),
            details: row(reason).3.is_some(),
            warnings: Vec::new(),
            given: None,
        }))
    }

    /// What somebody else has decided who is no part of the server: a webhook, a policy. Code, reason and `details` go
    /// out as they are given.
    pub fn given(code: u16, reason: Option<&str>, message: impl Into<String>, details: &Value) -> Self {
        let text = reason.unwrap_or("");
        let known = REASONS.iter().find(|(_, c, t, _)| *c == code && *t == text);
        let mut error = Self::new(known.map_or(Reason::Unknown, |row| row.0), message);
        error.0.retry_after = details["retryAfterSeconds"].as_u64().and_then(|s| u32::try_from(s).ok());
        error.0.given = Some((code, text.to_owned(), details.clone()));
        error
    }

    fn of(reason: Reason, resource: &GroupResource, name: &str, message: String) -> Self {
        let mut error = Self::new(reason, message);
        error.0.group = resource.group.to_string();
        error.0.kind = resource.resource.to_string();
        error.0.name = name.to_owned();
        error.0.details = true;
        error
    }

    /// 404: `pods "x" not found`.
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::of(Reason::NotFound, resource, name, format!("{resource} {name:?} not found"))
    }

    /// 404 for a path that no resource answers, as Kubernetes words it.
    pub fn no_such_path() -> Self {
        let mut error = Self::new(Reason::NotFound, "the server could not find the requested resource");
        error.0.details = true;
        error
    }

    /// 409: `pods "x" already exists`.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::of(Reason::AlreadyExists, resource, name, format!("{resource} {name:?} already exists"))
    }

    /// 409 for a name that was to be made from a prefix.
    pub fn not_unique(resource: &GroupResource, name: &str) -> Self {
        let why = "the server was not able to generate a unique name for the object";
        Self::of(Reason::AlreadyExists, resource, name, format!("{resource} {name:?} already exists, {why}"))
            .retry_after(1)
    }

    /// The same for a name whose object is on its way out.
    #[must_use]
    pub fn still_exists(mut self) -> Self {
        self.0.message.insert_str(0, "object is being deleted: ");
        self
    }

    /// 409: `Operation cannot be fulfilled on pods "x": why`.
    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Self {
        Self::of(
            Reason::Conflict,
            resource,
            name,
            format!("Operation cannot be fulfilled on {resource} {name:?}: {why}"),
        )
    }

    /// 409 for an update that was computed from an older version.
    pub fn stale(resource: &GroupResource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 403: `pods "x" is forbidden: why`, or `pods is forbidden: why` without a name.
    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        let what = if name.is_empty() { resource.to_string() } else { format!("{resource} {name:?}") };
        Self::of(Reason::Forbidden, resource, name, format!("{what} is forbidden: {why}"))
    }

    /// 422: `Pod "x" is invalid: …` with a cause for each defect. `kind` is the kind, not the resource.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        // The message says once what several causes say.
        let mut list: Vec<String> = Vec::with_capacity(causes.len());
        for text in causes.iter().map(Cause::to_string) {
            if !list.contains(&text) {
                list.push(text);
            }
        }
        let text = match list.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let full_kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut error = Self::new(Reason::Invalid, format!("{full_kind} {name:?} is invalid: {text}"));
        error.0.group = group.to_owned();
        error.0.kind = kind.to_owned();
        error.0.name = name.to_owned();
        error.0.causes = causes;
        error.0.details = true;
        error
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// 500: `Internal error occurred: why`. The message must not name anything of another plane.
    pub fn internal(why: impl fmt::Display) -> Self {
        let mut error = Self::new(Reason::InternalError, format!("Internal error occurred: {why}"));
        error.0.details = true;
        error.0.causes = vec![Cause::new(CauseReason::InternalError, "", why.to_string())];
        // Kubernetes writes this cause without a reason on the wire; see `to_status`.
        error
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(Reason::Unauthorized, "Unauthorized")
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(Reason::ServiceUnavailable, message).retry_after(retry_after_seconds)
    }

    /// 429 with `Retry-After`.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(Reason::TooManyRequests, message).retry_after(retry_after_seconds)
    }

    /// 410: what was asked for is older than what is kept.
    pub fn expired(requested: Revision, oldest: Revision) -> Self {
        Self::new(Reason::Expired, format!("too old resource version: {requested} ({oldest})"))
    }

    /// Says in `metadata.continue` how a list can go on.
    #[must_use]
    pub fn with_continue(mut self, token: String) -> Self {
        self.0.continue_token = token;
        self
    }

    /// Adds or replaces the causes.
    #[must_use]
    pub fn with_causes(mut self, causes: Vec<Cause>) -> Self {
        self.0.details = true;
        self.0.causes = causes;
        self
    }

    /// Says which object is meant in `details`. `kind` is as Kubernetes fills it: mostly the resource's plural.
    #[must_use]
    pub fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        self.0.details = true;
        self.0.group = group.to_owned();
        self.0.kind = kind.to_owned();
        self.0.name = name.to_owned();
        self
    }

    /// Says the UID of the object in `details`.
    #[must_use]
    pub fn with_uid(mut self, uid: &str) -> Self {
        self.0.details = true;
        self.0.uid = uid.to_owned();
        self
    }

    /// Asks the client to come again after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.details = true;
        self.0.retry_after = Some(seconds);
        self
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Adds what the client is warned of beside being refused.
    #[must_use]
    pub fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.0.warnings.splice(0..0, warnings);
        self
    }

    /// What the client is warned of, for `Warning` headers.
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// The causes.
    pub fn causes(&self) -> &[Cause] {
        &self.0.causes
    }

    /// The HTTP status code.
    pub fn code(&self) -> u16 {
        self.0.given.as_ref().map_or(row(self.0.reason).1, |given| given.0)
    }

    /// Seconds for the `Retry-After` header.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.0.retry_after
    }

    /// True for the reasons that another try with the newest version may cure.
    pub fn is_conflict(&self) -> bool {
        self.0.reason == Reason::Conflict
    }

    /// True when the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self.0.reason, Reason::NotFound | Reason::UnknownNotFound)
    }

    /// True when an object of the name is there already.
    pub fn is_already_exists(&self) -> bool {
        self.0.reason == Reason::AlreadyExists
    }

    /// The `metav1.Status` that goes out.
    pub fn to_status(&self) -> Value {
        let inner = &*self.0;
        let (_, code, text, _) = row(inner.reason);
        let mut status = Map::new();
        status.insert("kind".into(), "Status".into());
        status.insert("apiVersion".into(), "v1".into());
        let metadata = match inner.continue_token.as_str() {
            "" => json!({}),
            token => json!({"continue": token}),
        };
        status.insert("metadata".into(), metadata);
        status.insert("status".into(), "Failure".into());
        status.insert("message".into(), inner.message.clone().into());
        if let Some((code, text, details)) = &inner.given {
            if !text.is_empty() {
                status.insert("reason".into(), text.as_str().into());
            }
            if !details.is_null() {
                status.insert("details".into(), details.clone());
            }
            status.insert("code".into(), (*code).into());
            return status.into();
        }
        if !text.is_empty() {
            status.insert("reason".into(), (*text).into());
        }
        if inner.details {
            let mut details = Map::new();
            for (key, value) in
                [("name", &inner.name), ("group", &inner.group), ("kind", &inner.kind), ("uid", &inner.uid)]
            {
                if !value.is_empty() {
                    details.insert(key.into(), value.clone().into());
                }
            }
            if !inner.causes.is_empty() {
                details.insert("causes".into(), inner.causes.iter().map(cause_json).collect());
            }
            if let Some(seconds) = inner.retry_after {
                details.insert("retryAfterSeconds".into(), seconds.into());
            }
            status.insert("details".into(), details.into());
        }
        status.insert("code".into(), (*code).into());
        status.into()
    }

    /// Reads a `metav1.Status` that another server sent. What is not a failure status is an internal error.
    pub fn from_status(status: &Value) -> Self {
        let text = status["reason"].as_str().unwrap_or("");
        let code = status["code"].as_u64().unwrap_or(500);
        let reason = REASONS
            .iter()
            .find(|(_, c, t, _)| *t == text && (!text.is_empty() || u64::from(*c) == code))
            .or_else(|| REASONS.iter().find(|(_, c, ..)| u64::from(*c) == code))
            .map_or(Reason::InternalError, |r| r.0);
        let mut error = Self::new(reason, status["message"].as_str().unwrap_or("the server sent no message"));
        let details = &status["details"];
        if details.is_object() {
            error = error
                .about(
                    details["group"].as_str().unwrap_or(""),
                    details["kind"].as_str().unwrap_or(""),
                    details["name"].as_str().unwrap_or(""),
                )
                .with_uid(details["uid"].as_str().unwrap_or(""));
            error.0.retry_after = details["retryAfterSeconds"]
                .as_u64()
                .and_then(|s| u32::try_from(s).ok())
                .or(error.0.retry_after);
        }
        error
    }
}

fn cause_json(cause: &Cause) -> Value {
    let mut out = Map::new();
    // What went wrong inside has no reason, unless it is a field that could not be judged.
    if cause.reason != CauseReason::InternalError || !cause.field.is_empty() {
        out.insert("reason".into(), json!(cause.reason));
    }
    if !cause.message.is_empty() {
        out.insert("message".into(), cause.message.clone().into());
    }
    if !cause.field.is_empty() {
        out.insert("field".into(), cause.field.clone().into());
    }
    out.into()
}

fn row(reason: Reason) -> &'static (Reason, u16, &'static str, Option<u32>) {
    // The table has a row for each reason: `every_reason_has_a_row` proves it.
    REASONS.iter().find(|r| r.0 == reason).unwrap_or(&REASONS[0])
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests;
