//! One rule: what it allows.

use super::Action;
use compact_str::CompactString;
use serde_json::{Map, Value};

/// A rule of a role (`PolicyRule`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// `""` is the core group, `*` is all.
    pub api_groups: Vec<CompactString>,
    /// Plural names, `pods/log`, `*/scale`, `*`.
    pub resources: Vec<CompactString>,
    /// Empty: all.
    pub resource_names: Vec<CompactString>,
    /// `/healthz`, `/healthz/*`, `*`.
    pub non_resource_urls: Vec<CompactString>,
    /// `*` is all.
    pub verbs: Vec<CompactString>,
}

/// The `rules` of a role.
pub fn rules_of(rules: &Value) -> Vec<Rule> {
    rules.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(Rule::of).collect()
}

impl Rule {
    /// Reads one of a role's rules.
    pub fn of(rule: &Value) -> Rule {
        let list = |name: &str| -> Vec<CompactString> {
            let values = rule[name].as_array().map(Vec::as_slice).unwrap_or_default();
            values.iter().filter_map(Value::as_str).map(CompactString::from).collect()
        };
        Rule {
            api_groups: list("apiGroups"),
            resources: list("resources"),
            resource_names: list("resourceNames"),
            non_resource_urls: list("nonResourceURLs"),
            verbs: list("verbs"),
        }
    }

    /// As a role's object has it; empty lists are left out, but `verbs`.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        for (name, list) in [
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
            ("verbs", &self.verbs),
        ] {
            if !list.is_empty() || name == "verbs" {
                out.insert(name.into(), list.iter().map(|s| s.as_str()).collect());
            }
        }
        Value::Object(out)
    }

    /// True when it allows the action.
    pub fn allows(&self, action: &Action<'_>) -> bool {
        match *action {
            Action::Path { verb, path } => {
                has_or_all(&self.verbs, verb)
                    && self.non_resource_urls.iter().any(|url| url == "*" || covers_path(url, path))
            }
            Action::Resource { verb, group, resource, subresource, name, .. } => {
                has_or_all(&self.verbs, verb)
                    && has_or_all(&self.api_groups, group)
                    && self.resources.iter().any(|rule| resource_is(rule, resource, subresource))
                    && (self.resource_names.is_empty() || self.resource_names.iter().any(|n| n == name))
            }
        }
    }
}

pub(super) fn has_or_all(set: &[CompactString], element: &str) -> bool {
    set.iter().any(|e| e == "*" || e == element)
}

fn resource_is(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    if subresource.is_empty() {
        return rule == resource;
    }
    rule.split_once('/').is_some_and(|(r, s)| s == subresource && (r == resource || r == "*"))
}

/// True when a URL of a rule covers a path: it is the same, or ends in `*` and the path begins with the rest.
pub(super) fn covers_path(url: &str, path: &str) -> bool {
    url == path || (url.ends_with('*') && path.starts_with(url.trim_end_matches('*')))
}
