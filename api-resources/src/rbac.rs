//! RBAC as pure functions: may a user do something, which rules does a user have, may a user give rules away.
//!
//! The rules are those of Kubernetes (`rbac.authorization.k8s.io/v1`): they only allow. Roles and bindings are
//! read once into [`Role`] and [`Binding`]; where they come from is a [`Policy`].

mod escalation;
mod rule;

pub use escalation::{aggregation_refusal, escalation, uncovered};
pub use rule::{Rule, rules_of};

use compact_str::CompactString;
use serde_json::Value;
use std::sync::Arc;

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// The prefix of service accounts' user names: `system:serviceaccount:<namespace>:<name>`.
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Members of this group may do everything; no rule is asked.
pub const MASTERS: &str = "system:masters";

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// The user name.
    pub name: &'a str,
    /// The groups.
    pub groups: &'a [CompactString],
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// Something with a resource.
    Resource {
        /// `get`, `list`, `impersonate`, …
        verb: &'a str,
        /// The API group; empty for the core group.
        group: &'a str,
        /// The plural name.
        resource: &'a str,
        /// Empty when none.
        subresource: &'a str,
        /// The namespace; empty at the cluster scope or over all namespaces.
        namespace: &'a str,
        /// The object's name; empty when no object is named.
        name: &'a str,
    },
    /// Something with a path that is no resource.
    Path {
        /// The HTTP method in lower case.
        verb: &'a str,
        /// `/healthz`.
        path: &'a str,
    },
}

impl<'a> Action<'a> {
    /// The namespace whose role bindings count beside the cluster's; empty for none.
    pub fn namespace(&self) -> &'a str {
        match self {
            Action::Resource { namespace, .. } => namespace,
            Action::Path { .. } => "",
        }
    }

    /// The words of a 403: `User "x" cannot list resource "pods" in API group "" in the namespace "n"`. For
    /// `ApiError::forbidden`.
    pub fn refusal(&self, user: &str) -> String {
        let text = match *self {
            Action::Path { verb, path } => format!("User {user:?} cannot {verb} path {path:?}"),
            Action::Resource { verb, group, resource, subresource, namespace, .. } => {
                let slash = if subresource.is_empty() { "" } else { "/" };
                let scope = match namespace {
                    "" => "at the cluster scope".to_owned(),
                    namespace => format!("in the namespace {namespace:?}"),
                };
                let what = format!("{resource}{slash}{subresource}");
                format!("User {user:?} cannot {verb} resource {what:?} in API group {group:?} {scope}")
            }
        };
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }
}

/// The rules of a Role or ClusterRole.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// The namespace; empty for a ClusterRole.
    pub namespace: CompactString,
    /// The name.
    pub name: CompactString,
    /// What it allows.
    pub rules: Vec<Rule>,
}

impl Role {
    /// Reads an object of `roles` or `clusterroles`.
    pub fn of(object: &Value) -> Self {
        Role {
            namespace: text(&object["metadata"]["namespace"]),
            name: text(&object["metadata"]["name"]),
            rules: rules_of(&object["rules"]),
        }
    }
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The namespace; empty for a ClusterRoleBinding.
    pub namespace: CompactString,
    /// The name.
    pub name: CompactString,
    /// The kind of the role: `Role` or `ClusterRole`.
    pub role_kind: CompactString,
    /// The role.
    pub role_name: CompactString,
    /// Who has the role.
    pub subjects: Vec<Subject>,
}

/// Who has a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: CompactString,
    /// A service account's namespace; empty: the binding's.
    pub namespace: CompactString,
    /// The name.
    pub name: CompactString,
}

impl Binding {
    /// Reads an object of `rolebindings` or `clusterrolebindings`.
    pub fn of(object: &Value) -> Self {
        let subjects = object["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
        Binding {
            namespace: text(&object["metadata"]["namespace"]),
            name: text(&object["metadata"]["name"]),
            role_kind: text(&object["roleRef"]["kind"]),
            role_name: text(&object["roleRef"]["name"]),
            subjects: subjects
                .iter()
                .map(|s| Subject {
                    kind: text(&s["kind"]),
                    namespace: text(&s["namespace"]),
                    name: text(&s["name"]),
                })
                .collect(),
        }
    }

    /// The first subject that the user is.
    pub fn subject_of(&self, user: User<'_>) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.is(user, &self.namespace))
    }

    /// `ClusterRoleBinding "b" of ClusterRole "r" to Group "g"`, for reasons.
    fn describe(&self, subject: &Subject) -> String {
        let (kind, name) = match self.namespace.as_str() {
            "" => ("ClusterRoleBinding", self.name.to_string()),
            namespace => ("RoleBinding", format!("{}/{namespace}", self.name)),
        };
        let who = match subject.kind.as_str() {
            "ServiceAccount" => {
                let namespace =
                    if subject.namespace.is_empty() { &self.namespace } else { &subject.namespace };
                format!("{}/{namespace}", subject.name)
            }
            _ => subject.name.to_string(),
        };
        format!("{kind} {name:?} of {} {:?} to {} {who:?}", self.role_kind, self.role_name, subject.kind)
    }
}

impl Subject {
    /// True when the user is meant. `namespace` is the binding's.
    pub fn is(&self, user: User<'_>, namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => self.name == user.name,
            "Group" => user.groups.contains(&self.name),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { namespace } else { &self.namespace };
                let rest =
                    user.name.strip_prefix(SERVICE_ACCOUNT_PREFIX).and_then(|rest| rest.split_once(':'));
                !namespace.is_empty() && rest == Some((namespace, &self.name))
            }
            _ => false,
        }
    }
}

fn text(value: &Value) -> CompactString {
    value.as_str().unwrap_or("").into()
}

/// Where the roles and bindings of one plane come from.
pub trait Policy {
    /// A ClusterRole.
    fn cluster_role(&self, name: &str) -> Option<Arc<Role>>;
    /// A Role.
    fn role(&self, namespace: &str, name: &str) -> Option<Arc<Role>>;
    /// All ClusterRoleBindings.
    fn cluster_role_bindings(&self) -> &[Arc<Binding>];
    /// The RoleBindings of a namespace.
    fn role_bindings(&self, namespace: &str) -> &[Arc<Binding>];
}

/// What RBAC says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed. RBAC never denies: another authorizer may still allow.
    pub allowed: bool,
    /// Which binding allowed it, or which roles of the user's bindings were not found; empty when there is
    /// nothing to say. In Kubernetes' words.
    pub reason: String,
}

/// Decides by the plane's roles and bindings. Does not know [`MASTERS`].
pub fn authorize(policy: &dyn Policy, user: User<'_>, action: Action<'_>) -> Decision {
    let mut missing = Vec::new();
    for binding in bindings_of(policy, user, action.namespace()) {
        let Some(subject) = binding.subject_of(user) else { continue };
        match role_of(policy, binding) {
            Ok(role) if role.rules.iter().any(|rule| rule.allows(&action)) => {
                return Decision {
                    allowed: true,
                    reason: format!("RBAC: allowed by {}", binding.describe(subject)),
                };
            }
            Ok(_) => {}
            Err(error) => missing.push(error),
        }
    }
    let reason = match missing.as_slice() {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        many => format!("RBAC: [{}]", many.join(", ")),
    };
    Decision { allowed: false, reason }
}

/// The bindings that count for a user in a namespace (empty: only the cluster's).
fn bindings_of<'a>(
    policy: &'a dyn Policy,
    user: User<'a>,
    namespace: &str,
) -> impl Iterator<Item = &'a Arc<Binding>> {
    let of_namespace = if namespace.is_empty() { &[] } else { policy.role_bindings(namespace) };
    let all = policy.cluster_role_bindings().iter().chain(of_namespace);
    all.filter(move |binding| binding.subject_of(user).is_some())
}

/// The role that a binding names.
///
/// # Errors
/// `clusterrole.rbac.authorization.k8s.io "x" not found`.
pub fn role_of(policy: &dyn Policy, binding: &Binding) -> Result<Arc<Role>, String> {
    let (found, kind) = match binding.role_kind.as_str() {
        "ClusterRole" => (policy.cluster_role(&binding.role_name), "clusterrole"),
        "Role" => (policy.role(&binding.namespace, &binding.role_name), "role"),
        other => return Err(format!("unsupported role reference kind: {other:?}")),
    };
    found.ok_or_else(|| format!("{kind}.{GROUP} {:?} not found", binding.role_name))
}

/// All rules that a user has in a namespace (empty: at the cluster scope), and what was not found.
pub fn rules_for(policy: &dyn Policy, user: User<'_>, namespace: &str) -> (Vec<Rule>, Vec<String>) {
    let (mut rules, mut missing) = (Vec::new(), Vec::new());
    for binding in bindings_of(policy, user, namespace) {
        match role_of(policy, binding) {
            Ok(role) => rules.extend(role.rules.iter().cloned()),
            Err(error) => missing.push(error),
        }
    }
    (rules, missing)
}

#[cfg(test)]
mod tests;
