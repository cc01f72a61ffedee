//! Roles and bindings.

use super::generic::plain;
use super::place::{Causes, Place, each_mut, invalid_all, lookup, map_at, set_default, set_default_text};
use super::workloads::usable_selector;
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;

/// The group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// How roles are written.
pub fn role() -> Strategy {
    Strategy {
        validate_create: |object| rules(object, true),
        validate_update: |new, _| rules(new, true),
        ..both()
    }
}

/// How cluster roles are written.
pub fn cluster_role() -> Strategy {
    Strategy { validate_create: cluster_rules, validate_update: |new, _| cluster_rules(new), ..both() }
}

/// How role bindings are written.
pub fn role_binding() -> Strategy {
    Strategy {
        default: default_binding,
        validate_create: |object| binding(object, true),
        validate_update: |new, old| {
            let mut out = binding(new, true);
            same_role(&mut out, new, old);
            out
        },
        ..both()
    }
}

/// How cluster role bindings are written.
pub fn cluster_role_binding() -> Strategy {
    Strategy {
        default: default_binding,
        validate_create: |object| binding(object, false),
        validate_update: |new, old| {
            let mut out = binding(new, false);
            same_role(&mut out, new, old);
            out
        },
        ..both()
    }
}

fn both() -> Strategy {
    Strategy {
        // Kubernetes always writes the rules, `null` when there are none.
        default: |object| set_default(object, "rules", Value::Null),
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        validate_name: names::path_segment,
        create_on_update: true,
        ..plain()
    }
}

fn rules(object: &Value, namespaced: bool) -> Causes {
    let mut out = Vec::new();
    for rule in Place::root(object).list("rules") {
        policy_rule(&mut out, &rule, namespaced);
    }
    out
}

/// The rules of one policy rule.
pub fn policy_rule(out: &mut Causes, rule: &Place<'_>, namespaced: bool) {
    if rule.lacks("verbs") {
        out.push(Cause::required(rule.of("verbs"), "verbs must contain at least one value"));
    }
    let urls = rule.field("nonResourceURLs");
    if !rule.lacks("nonResourceURLs") {
        if namespaced {
            let message = "namespaced rules cannot apply to non-resource URLs";
            out.push(Cause::invalid(&urls.path, urls.value, message));
        }
        if ["apiGroups", "resources", "resourceNames"].iter().any(|field| !rule.lacks(field)) {
            let message = "rules cannot apply to both regular resources and non-resource URLs";
            out.push(Cause::invalid(&urls.path, urls.value, message));
        }
        return;
    }
    for (field, what) in [("apiGroups", "api group"), ("resources", "resource")] {
        if rule.lacks(field) {
            let message = format!("resource rules must supply at least one {what}");
            out.push(Cause::required(rule.of(field), &message));
        }
    }
}

fn cluster_rules(object: &Value) -> Causes {
    let mut out = rules(object, false);
    if let Some(aggregation) = Place::root(object).present("aggregationRule") {
        if aggregation.lacks("clusterRoleSelectors") {
            out.push(Cause::required(
                aggregation.of("clusterRoleSelectors"),
                "at least one clusterRoleSelector required if aggregationRule is non-nil",
            ));
        }
        for selector in aggregation.list("clusterRoleSelectors") {
            if !usable_selector(&mut out, &selector) {
                out.push(Cause::invalid(&selector.path, &Value::Null, "invalid label selector."));
            }
        }
    }
    out
}

fn default_binding(object: &mut Value) {
    if let Some(role) = map_at(object, "roleRef") {
        set_default_text(role, "apiGroup", GROUP);
    }
    for subject in each_mut(object, "subjects") {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            set_default_text(subject, "apiGroup", GROUP);
        }
    }
}

fn binding(object: &Value, namespaced: bool) -> Causes {
    let mut out = Vec::new();
    let root = Place::root(object);
    let role = root.field("roleRef");
    let not_supported = |at: &Place<'_>, field: &str, supported: &[&str]| {
        Cause::not_supported(at.of(field), &Value::from(at.text(field)), supported)
    };
    if role.text("apiGroup") != GROUP {
        out.push(not_supported(&role, "apiGroup", &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&role.text("kind")) {
        out.push(not_supported(&role, "kind", kinds));
    }
    if role.lacks("name") {
        out.push(Cause::required(role.of("name"), ""));
    } else {
        invalid_all(&mut out, &role.of("name"), role.text("name"), names::path_segment(role.text("name")));
    }
    for subject in root.list("subjects") {
        let name = subject.text("name");
        if name.is_empty() {
            out.push(Cause::required(subject.of("name"), ""));
        }
        match subject.text("kind") {
            "ServiceAccount" => {
                if !name.is_empty() {
                    invalid_all(&mut out, &subject.of("name"), name, names::dns_subdomain(name));
                }
                if !subject.lacks("apiGroup") {
                    out.push(not_supported(&subject, "apiGroup", &[""]));
                }
                if !namespaced && subject.lacks("namespace") {
                    out.push(Cause::required(subject.of("namespace"), ""));
                }
            }
            "User" | "Group" => {
                if subject.text("apiGroup") != GROUP {
                    out.push(not_supported(&subject, "apiGroup", &[GROUP]));
                }
            }
            _ => out.push(not_supported(&subject, "kind", &["ServiceAccount", "User", "Group"])),
        }
    }
    out
}

fn same_role(out: &mut Causes, new: &Value, old: &Value) {
    let role = lookup(new, "roleRef");
    if role != lookup(old, "roleRef") {
        out.push(Cause::invalid("roleRef", role, "cannot change roleRef"));
    }
}
