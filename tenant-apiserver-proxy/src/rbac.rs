//! The plane's roles and bindings, read from its cache, and what they allow.
//!
//! What was read holds until one of the four collections changes.

mod read;

pub use read::PolicyCell;

use crate::authentication::User;
use crate::authorization::Attributes;
use crate::gateway::Place;
use crate::planes::Plane;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::rbac::{self, Action, Binding, Role, Rule};
use api_types::ApiError;
use compact_str::CompactString;
use read::{Read, policy};
use serde_json::{Value, json};
use std::sync::Arc;

fn groups(user: &User) -> Vec<CompactString> {
    user.groups.iter().map(CompactString::from).collect()
}

/// What is asked for, in RBAC's words.
pub fn action<'a>(what: &Attributes<'a>) -> Action<'a> {
    match what {
        Attributes::Path { path, verb } => Action::Path { verb, path },
        Attributes::Resource(request) => Action::Resource {
            verb: &request.verb,
            group: &request.group,
            resource: &request.resource,
            subresource: &request.subresource,
            namespace: &request.namespace,
            name: &request.name,
        },
    }
}

/// What RBAC says about a user who is not in `system:masters`.
pub fn decide(server: &Server, plane: &Plane, user: &User, what: &Attributes<'_>) -> rbac::Decision {
    let groups = groups(user);
    let user = rbac::User { name: &user.name, groups: &groups };
    rbac::authorize(&*policy(server, plane), user, action(what))
}

/// Says what a user may do, as the plane's roles are now.
pub struct Judge {
    policy: Arc<Read>,
    user: User,
}

/// A judge of a user.
pub fn judge(server: &Server, plane: &Plane, user: &User) -> Judge {
    Judge { policy: policy(server, plane), user: user.clone() }
}

impl Judge {
    /// Whether the user, or the one who is named instead, may do it, and why.
    pub fn ask(&self, instead: Option<&User>, what: &Attributes<'_>) -> (bool, String) {
        let user = instead.unwrap_or(&self.user);
        if user.is_master() {
            return (true, String::new());
        }
        let groups = groups(user);
        let asked = rbac::User { name: &user.name, groups: &groups };
        let decision = rbac::authorize(&*self.policy, asked, action(what));
        (decision.allowed, decision.reason)
    }
}

/// Nobody writes a role that allows more than they may.
pub fn check_escalation(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    if also(server, auth, place, "escalate", &place.row.plural, &place.name) {
        return Ok(());
    }
    check_rules(server, auth, place, &Role::of(object).rules)?;
    let gathers = |role: &Value| {
        let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array();
        selectors.is_some_and(|selectors| !selectors.is_empty())
    };
    if gathers(object) || old.is_some_and(gathers) {
        let groups = groups(auth.user());
        let user = rbac::User { name: &auth.user().name, groups: &groups };
        let (held, _) = rbac::rules_for(&*policy(server, auth.plane()), user, &place.namespace);
        if let Some(why) = rbac::aggregation_refusal(&held) {
            return Err(ApiError::forbidden(&place.resource(), &place.name, why));
        }
    }
    Ok(())
}

/// Nobody binds a role that allows more than they may, unless they may `bind` it.
pub fn check_binding(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    object: &Value,
) -> Result<(), ApiError> {
    let binding = Binding::of(object);
    let plural = format!("{}s", binding.role_kind.to_lowercase());
    if also(server, auth, place, "bind", &plural, &binding.role_name) {
        return Ok(());
    }
    let policy = policy(server, auth.plane());
    // The bindings are named, and not the role: Kubernetes has it so.
    let role = rbac::role_of(&*policy, &binding)
        .map_err(|_| ApiError::not_found(&place.resource(), &binding.role_name))?;
    check_rules(server, auth, place, &role.rules)
}

fn also(server: &Server, auth: &Authorized, place: &Place, verb: &str, resource: &str, name: &str) -> bool {
    let mut request = auth.resource().cloned().unwrap_or_default();
    request.group = place.row.group.clone();
    request.resource = resource.into();
    request.name = name.into();
    request.subresource = "".into();
    auth.check_also(server, verb, &request).is_ok()
}

fn check_rules(server: &Server, auth: &Authorized, place: &Place, wanted: &[Rule]) -> Result<(), ApiError> {
    let groups = groups(auth.user());
    let user = rbac::User { name: &auth.user().name, groups: &groups };
    let (held, missing) = rbac::rules_for(&*policy(server, auth.plane()), user, &place.namespace);
    match rbac::escalation(user, &held, wanted, &missing) {
        None => Ok(()),
        Some(why) => Err(ApiError::forbidden(&place.resource(), &place.name, &why)),
    }
}

/// The status of a `SelfSubjectRulesReview`.
pub fn rules_for(server: &Server, plane: &Plane, user: &User, namespace: &str) -> Value {
    let groups = groups(user);
    let asked = rbac::User { name: &user.name, groups: &groups };
    let (mut rules, missing) = rbac::rules_for(&*policy(server, plane), asked, namespace);
    if user.is_master() {
        let everything = || vec![CompactString::const_new("*")];
        rules.push(Rule {
            api_groups: everything(),
            resources: everything(),
            verbs: everything(),
            ..Rule::default()
        });
    }
    let all: Vec<Value> = rules.iter().map(Rule::to_json).collect();
    let (paths, resources): (Vec<Value>, Vec<Value>) =
        all.into_iter().partition(|rule| rule.get("nonResourceURLs").is_some());
    let mut status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false});
    if !missing.is_empty() {
        status["evaluationError"] = missing.join(", ").into();
    }
    status
}
