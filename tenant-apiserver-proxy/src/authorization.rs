//! May the user do it: `system:masters`, else the plane's own RBAC.

use crate::authentication::User;
use crate::planes::Plane;
use crate::request_info::{RequestInfo, ResourceRequest};
use crate::server::Server;
use crate::stages::{Call, PLATFORM};
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

fn refusal(user: &User, what: &Attributes<'_>, reason: &str) -> ApiError {
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

/// What was asked for without a user's name, as Kubernetes prints it.
fn unnamed(groups: &[String], uid: &str, extra: &std::collections::BTreeMap<String, Vec<String>>) -> String {
    let list = |texts: &[String]| {
        let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
        format!("[]string{{{}}}", quoted.join(", "))
    };
    let groups = if groups.is_empty() { "[]string(nil)".to_owned() } else { list(groups) };
    let pairs: Vec<String> = extra.iter().map(|(key, values)| format!("{key:?}:{}", list(values))).collect();
    let extra = if pairs.is_empty() { "(nil)".to_owned() } else { format!("{{{}}}", pairs.join(", ")) };
    format!("&user.DefaultInfo{{Name:\"\", UID:{uid:?}, Groups:{groups}, Extra:map[string][]string{extra}}}")
}

/// The user that the `Impersonate-*` headers name, if the authenticated user may be that one; else the same user.
pub fn impersonate(server: &Server, call: &Call, user: User) -> Result<User, ApiError> {
    let values = |header: &str| -> Result<Vec<String>, ApiError> {
        let all = call.headers.get_all(header).into_iter();
        // What cannot be read must not be passed over: the request would be made as someone else.
        all.map(|value| String::from_utf8(value.as_bytes().to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|_| ApiError::bad_request(format!("the header {header} is not UTF-8")))
    };
    let first = |header: &str| Ok::<_, ApiError>(values(header)?.into_iter().next().unwrap_or_default());
    let name = first("impersonate-user")?;
    let name = name.as_str();
    let groups = values("impersonate-group")?;
    let uid = first("impersonate-uid")?;
    let mut extra = std::collections::BTreeMap::new();
    for key in call.headers.keys() {
        if let Some(name) = key.as_str().strip_prefix("impersonate-extra-") {
            let decoded = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
            extra.insert(decoded, values(key.as_str())?);
        }
    }
    if name.is_empty() {
        if !groups.is_empty() || !uid.is_empty() || !extra.is_empty() {
            let asked = unnamed(&groups, &uid, &extra);
            return Err(ApiError::bad_request(format!(
                "requested {asked} without impersonating a user name"
            )));
        }
        return Ok(user);
    }
    let may = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        let request = ResourceRequest {
            verb: "impersonate".into(),
            group: group.into(),
            version: "v1".into(),
            namespace: namespace.into(),
            resource: resource.into(),
            name: name.into(),
            subresource: subresource.into(),
        };
        check(server, &call.plane, &user, &Attributes::Resource(&request)).map(drop)
    };
    let mut target_groups = groups.clone();
    match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, account)) => {
            may("", "serviceaccounts", "", namespace, account)?;
            if groups.is_empty() {
                target_groups =
                    vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
            }
        }
        None => may("", "users", "", "", name)?,
    }
    for group in &groups {
        may("", "groups", "", "", group)?;
    }
    if !uid.is_empty() {
        may("authentication.k8s.io", "uids", "", "", &uid)?;
    }
    for (key, values) in &extra {
        for value in values {
            may("authentication.k8s.io", "userextras", key, "", value)?;
        }
    }
    target_groups.retain(|group| group != PLATFORM && group != "system:authenticated");
    let mut target = if name == "system:anonymous" {
        const UNAUTHENTICATED: &str = "system:unauthenticated";
        if !target_groups.iter().any(|group| group == UNAUTHENTICATED) {
            target_groups.push(UNAUTHENTICATED.into());
        }
        User { name: name.to_owned(), groups: target_groups, ..User::default() }
    } else {
        User::authenticated(name, target_groups)
    };
    target.uid = uid;
    target.extra = extra;
    Ok(target)
}
