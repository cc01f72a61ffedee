//! Who writes an admission policy or its binding can read what the policy takes its parameters from: else it would tell
//! them, through its messages, what they may not see.

use crate::authorization::Attributes;
use crate::gateway::Place;
use crate::request_info::ResourceRequest;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::kinds::admission::GROUP;
use api_types::{ApiError, Cause, GroupResource, GroupVersion, ObjectName};
use serde_json::Value;

/// The resources with parameters: for a binding, the resource of its policies.
const OF: [(&str, Option<&str>); 4] = [
    ("validatingadmissionpolicies", None),
    ("mutatingadmissionpolicies", None),
    ("validatingadmissionpolicybindings", Some("validatingadmissionpolicies")),
    ("mutatingadmissionpolicybindings", Some("mutatingadmissionpolicies")),
];

/// Checks a new or changed policy or binding that is valid otherwise.
pub fn check(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let of = OF.iter().find(|(plural, _)| place.row.group == GROUP && place.row.plural == *plural);
    let Some((_, policies)) = of.filter(|_| !auth.user().is_master()) else { return Ok(()) };
    let why = match policies {
        None => of_policy(server, auth, new, old).map_err(|why| ("spec.paramKind", why)),
        Some(policies) => of_binding(server, auth, policies, new, old).map_err(|why| ("spec.paramRef", why)),
    };
    why.map_err(|(field, why)| place.invalid(&place.name, vec![Cause::forbidden(field, &why)]))
}

fn of_policy(server: &Server, auth: &Authorized, new: &Value, old: Option<&Value>) -> Result<(), String> {
    let kind = &new["spec"]["paramKind"];
    if kind.is_null() || old.is_some_and(|old| old["spec"]["paramKind"] == *kind) {
        return Ok(());
    }
    let asked = ResourceRequest {
        verb: "get".into(),
        namespace: "*".into(),
        name: "*".into(),
        ..resource(auth, kind)
    };
    if may(server, auth, &asked) {
        return Ok(());
    }
    let text = |field: &str| kind[field].as_str().unwrap_or("");
    Err(format!(
        "user {:?} must have \"get\" permission on all objects of the referenced paramKind (kind={}, apiVersion={})",
        auth.user().name,
        text("kind"),
        text("apiVersion")
    ))
}

fn of_binding(
    server: &Server,
    auth: &Authorized,
    policies: &str,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), String> {
    let reference = &new["spec"]["paramRef"];
    let name = new["spec"]["policyName"].as_str().unwrap_or("");
    let same = |old: &Value| old["spec"]["paramRef"] == *reference && old["spec"]["policyName"] == name;
    if reference.is_null() || old.is_some_and(same) {
        return Ok(());
    }
    let stored =
        server.cache.get(auth.plane().id, &GroupResource::new(GROUP, policies), &ObjectName::cluster(name));
    let policy = stored.and_then(|record| record.value().ok());
    // Without the policy it is not known what is read: it may be anything.
    let kind = policy.as_ref().map_or(&Value::Null, |policy| &policy["spec"]["paramKind"]);
    let text = |field: &str| reference[field].as_str().unwrap_or("");
    let verb = if text("name").is_empty() { "list" } else { "get" };
    let asked = ResourceRequest {
        verb: verb.into(),
        namespace: text("namespace").into(),
        name: text("name").into(),
        ..resource(auth, kind)
    };
    if may(server, auth, &asked) {
        return Ok(());
    }
    let user = &auth.user().name;
    Err(if policy.is_none() {
        format!(
            "unable to get policy {name} to determine minimum required permissions and user {user:?} does not have \
             {verb:?} permission for all groups, versions and resources"
        )
    } else {
        format!("user {user:?} does not have {verb:?} permission on the object referenced by paramRef")
    })
}

/// The resource of a kind; whatever is not known counts as all.
fn resource(auth: &Authorized, kind: &Value) -> ResourceRequest {
    let mut out = ResourceRequest {
        verb: "".into(),
        group: "*".into(),
        version: "*".into(),
        namespace: "".into(),
        resource: "*".into(),
        name: "".into(),
        subresource: "".into(),
    };
    let Some(version) = kind["apiVersion"].as_str().and_then(GroupVersion::parse) else { return out };
    let catalog = auth.plane().catalog.load();
    let row = catalog.by_kind(&version.group, &version.version, kind["kind"].as_str().unwrap_or(""));
    out.group = version.group;
    out.version = version.version;
    if let Some(row) = row {
        out.resource = row.plural.clone();
    }
    out
}

fn may(server: &Server, auth: &Authorized, asked: &ResourceRequest) -> bool {
    let judge = crate::rbac::judge(server, auth.plane(), auth.user());
    judge.ask(None, &Attributes::Resource(asked)).0
}
