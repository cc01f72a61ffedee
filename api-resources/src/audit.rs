//! Audit policies of `audit.k8s.io/v1`: how much of which requests is written down.
//!
//! The first rule that fits decides; what no rule fits is not written down.

use crate::rbac::Action;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The version of policies and events.
pub const API_VERSION: &str = "audit.k8s.io/v1";
/// The most rules of a policy.
pub const MAX_RULES: usize = 1_000;

/// How much is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Level {
    /// Nothing.
    #[default]
    None,
    /// Who asked for what, and how it ended.
    Metadata,
    /// And what was sent.
    Request,
    /// And what was answered.
    RequestResponse,
}

impl Level {
    /// As events say it.
    pub fn name(self) -> &'static str {
        match self {
            Level::None => "None",
            Level::Metadata => "Metadata",
            Level::Request => "Request",
            Level::RequestResponse => "RequestResponse",
        }
    }
}

/// When an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Stage {
    /// The request is there, and nothing has been done.
    RequestReceived,
    /// The head of a long answer goes out.
    ResponseStarted,
    /// The answer is complete.
    ResponseComplete,
    /// The server failed.
    Panic,
}

impl Stage {
    /// As events say it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::RequestReceived => "RequestReceived",
            Stage::ResponseStarted => "ResponseStarted",
            Stage::ResponseComplete => "ResponseComplete",
            Stage::Panic => "Panic",
        }
    }
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Rule {
    level: Level,
    users: Vec<String>,
    user_groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<GroupResources>,
    namespaces: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct GroupResources {
    group: String,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

/// What a policy says of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// How much.
    pub level: Level,
    /// When not.
    pub omit_stages: Vec<Stage>,
    /// Without `metadata.managedFields`.
    pub omit_managed_fields: bool,
}

/// What is wrong with a policy: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// `rules[3].level`; empty for the policy as a whole.
    pub field: String,
    /// What is wrong.
    pub why: String,
}

fn defect(field: impl Into<String>, why: impl Into<String>) -> Defect {
    Defect { field: field.into(), why: why.into() }
}

impl Policy {
    /// Reads the fields of a policy: `rules`, `omitStages`, `omitManagedFields`.
    pub fn parse(fields: &Map<String, Value>) -> Result<Self, Vec<Defect>> {
        let mut defects = Vec::new();
        let mut policy = Policy::default();
        for (name, value) in fields {
            match name.as_str() {
                "rules" => policy.rules = rules(value, &mut defects),
                "omitStages" => take(&mut policy.omit_stages, "omitStages", value, &mut defects),
                "omitManagedFields" => {
                    take(&mut policy.omit_managed_fields, "omitManagedFields", value, &mut defects);
                }
                _ => defects.push(defect(name, "is no field of a policy")),
            }
        }
        if policy.rules.is_empty() && defects.is_empty() {
            defects.push(defect("rules", "a policy needs at least one rule"));
        }
        if defects.is_empty() { Ok(policy) } else { Err(defects) }
    }

    /// Reads a whole `Policy` object.
    pub fn of_object(object: &Value) -> Result<Self, Vec<Defect>> {
        let mut fields = object.as_object().cloned().ok_or_else(|| vec![defect("", "is no object")])?;
        for (name, expected) in [("kind", "Policy"), ("apiVersion", API_VERSION)] {
            let found = fields.remove(name).unwrap_or_default();
            if found != expected {
                return Err(vec![defect(name, format!("must be {expected:?}, not {found}"))]);
            }
        }
        fields.remove("metadata");
        Self::parse(&fields)
    }

    /// What it says of a request of a user.
    pub fn decide(&self, user: &str, groups: &[String], action: Action<'_>) -> Decision {
        let Some(rule) = self.rules.iter().find(|rule| rule.fits(user, groups, action)) else {
            return Decision::default();
        };
        Decision {
            level: rule.level,
            omit_stages: [&self.omit_stages[..], &rule.omit_stages].concat(),
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        }
    }
}

fn take<'v, T: Deserialize<'v>>(to: &mut T, field: &str, value: &'v Value, defects: &mut Vec<Defect>) {
    match T::deserialize(value) {
        Ok(read) => *to = read,
        Err(error) => defects.push(defect(field, error.to_string())),
    }
}

fn rules(value: &Value, defects: &mut Vec<Defect>) -> Vec<Rule> {
    let Some(list) = value.as_array() else {
        defects.push(defect("rules", "must be a list"));
        return Vec::new();
    };
    if list.len() > MAX_RULES {
        defects.push(defect("rules", format!("must have at most {MAX_RULES} rules")));
        return Vec::new();
    }
    let mut rules = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let at = format!("rules[{index}]");
        let mut rule = Rule::default();
        take(&mut rule, &at, value, defects);
        if value.get("level").is_none() {
            defects.push(defect(
                format!("{at}.level"),
                "is required: None, Metadata, Request or RequestResponse",
            ));
        }
        rule.check(&at, defects);
        rules.push(rule);
    }
    rules
}

impl Rule {
    fn check(&self, at: &str, defects: &mut Vec<Defect>) {
        if !(self.non_resource_urls.is_empty() || self.names_no_resources()) {
            let why = "a rule is about resources or about other paths, not both";
            defects.push(defect(format!("{at}.nonResourceURLs"), why));
        }
        for (index, url) in self.non_resource_urls.iter().enumerate() {
            let stem = url.strip_suffix('*').unwrap_or(url);
            if url != "*" && (!stem.starts_with('/') || stem.contains('*')) {
                let why = "must be a path, or a path and a * at its end";
                defects.push(defect(format!("{at}.nonResourceURLs[{index}]"), why));
            }
        }
        for (index, of) in self.resources.iter().enumerate() {
            let at = format!("{at}.resources[{index}]");
            if of.group.contains('/') {
                defects.push(defect(format!("{at}.group"), "must be a group without its version"));
            }
            if !of.resource_names.is_empty() && of.resources.is_empty() {
                defects.push(defect(format!("{at}.resourceNames"), "needs resources that are named"));
            }
        }
    }

    fn fits(&self, user: &str, groups: &[String], action: Action<'_>) -> bool {
        let has = |list: &[String], one: &str| list.is_empty() || list.iter().any(|known| known == one);
        let (Action::Resource { verb, .. } | Action::Path { verb, .. }) = action;
        has(&self.users, user)
            && (self.user_groups.is_empty() || groups.iter().any(|group| self.user_groups.contains(group)))
            && has(&self.verbs, verb)
            && self.fits_target(action)
    }

    /// True unless it says which resources it is about.
    fn names_no_resources(&self) -> bool {
        self.resources.is_empty() && self.namespaces.is_empty()
    }

    fn fits_target(&self, action: Action<'_>) -> bool {
        match action {
            Action::Path { path, .. } => {
                let fits = |url: &String| match url.strip_suffix('*') {
                    Some(stem) => path.starts_with(stem),
                    None => path == url,
                };
                let about_resources = !(self.resources.is_empty() && self.namespaces.is_empty());
                !about_resources
                    && (self.non_resource_urls.is_empty() || self.non_resource_urls.iter().any(fits))
            }
            Action::Resource { group, resource, subresource, namespace, name, .. } => {
                let in_namespace =
                    self.namespaces.is_empty() || self.namespaces.iter().any(|known| known == namespace);
                let of = |of: &GroupResources| of.fits(group, resource, subresource, name);
                self.non_resource_urls.is_empty()
                    && in_namespace
                    && (self.resources.is_empty() || self.resources.iter().any(of))
            }
        }
    }
}

impl GroupResources {
    fn fits(&self, group: &str, resource: &str, subresource: &str, name: &str) -> bool {
        if self.group != group {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        let named = self.resource_names.is_empty() || self.resource_names.iter().any(|known| known == name);
        named
            && self.resources.iter().any(|pattern| match pattern.split_once('/') {
                None => pattern == "*" || (pattern == resource && subresource.is_empty()),
                // As in Kubernetes, the resource itself is among its subresources.
                Some((of, "*")) => of == resource,
                Some((of, sub)) => (of == "*" || of == resource) && sub == subresource && !sub.is_empty(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(fields: Value) -> Result<Policy, Vec<Defect>> {
        Policy::parse(fields.as_object().unwrap())
    }

    fn pods<'a>(verb: &'a str, namespace: &'a str, name: &'a str, subresource: &'a str) -> Action<'a> {
        Action::Resource { verb, group: "", resource: "pods", subresource, namespace, name }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let get = pods("get", "a", "x", "");
        let log = pods("get", "a", "x", "log");
        let path = Action::Path { verb: "get", path: "/healthz/etcd" };
        let everything = [get, log, path];
        // A rule, and which of the three it fits.
        let table = [
            (json!({}), [true, true, true]),
            (json!({"users": ["ann"]}), [true, true, true]),
            (json!({"users": ["bob"]}), [false, false, false]),
            (json!({"userGroups": ["other", "dev"]}), [true, true, true]),
            (json!({"userGroups": ["other"]}), [false, false, false]),
            (json!({"verbs": ["list", "get"]}), [true, true, true]),
            (json!({"verbs": ["list"]}), [false, false, false]),
            (json!({"namespaces": ["a"]}), [true, true, false]),
            (json!({"namespaces": ["", "b"]}), [false, false, false]),
            (json!({"resources": [{}]}), [true, true, false]),
            (json!({"resources": [{"group": "apps"}, {"group": ""}]}), [true, true, false]),
            (json!({"resources": [{"group": "apps"}]}), [false, false, false]),
            (json!({"resources": [{"resources": ["pods"]}]}), [true, false, false]),
            (json!({"resources": [{"resources": ["pods/log"]}]}), [false, true, false]),
            (json!({"resources": [{"resources": ["pods/*"]}]}), [true, true, false]),
            (json!({"resources": [{"resources": ["*/log"]}]}), [false, true, false]),
            (json!({"resources": [{"resources": ["*"]}]}), [true, true, false]),
            (json!({"resources": [{"resources": ["pods"], "resourceNames": ["x"]}]}), [true, false, false]),
            (json!({"resources": [{"resources": ["pods"], "resourceNames": ["y"]}]}), [false, false, false]),
            (json!({"nonResourceURLs": ["/healthz*"]}), [false, false, true]),
            (json!({"nonResourceURLs": ["*"]}), [false, false, true]),
            (json!({"nonResourceURLs": ["/healthz"]}), [false, false, false]),
        ];
        for (mut rule, expected) in table {
            rule["level"] = "Request".into();
            let policy = parse(json!({"rules": [rule, {"level": "Metadata"}]})).unwrap();
            let found = everything
                .map(|action| policy.decide("ann", &["dev".to_owned()], action).level == Level::Request);
            assert_eq!(found, expected, "{rule}");
        }
        let none = parse(json!({"rules": [{"level": "Request", "users": ["bob"]}]})).unwrap();
        assert_eq!(none.decide("ann", &[], get), Decision::default());
    }

    #[test]
    fn rules_add_to_what_the_policy_leaves_out() {
        let policy = parse(json!({"omitStages": ["RequestReceived"], "omitManagedFields": true, "rules": [
            {"level": "Metadata", "verbs": ["get"], "omitStages": ["Panic"], "omitManagedFields": false},
            {"level": "RequestResponse"}]}))
        .unwrap();
        let decide = |verb| policy.decide("ann", &[], pods(verb, "a", "", ""));
        assert_eq!(decide("get").omit_stages, [Stage::RequestReceived, Stage::Panic]);
        assert!(!decide("get").omit_managed_fields);
        assert_eq!(decide("list").omit_stages, [Stage::RequestReceived]);
        assert!(decide("list").omit_managed_fields);
    }

    #[test]
    fn defects_are_named() {
        let rule = |fields: Value| json!({"rules": [{"level": "None"}, fields]});
        let table = [
            (json!({}), "rules"),
            (json!({"rules": []}), "rules"),
            (json!({"rules": {}}), "rules"),
            (json!({"rule": []}), "rule"),
            (json!({"rules": [{"level": "None"}], "omitStages": ["Never"]}), "omitStages"),
            (rule(json!({})), "rules[1].level"),
            (rule(json!({"level": "All"})), "rules[1]"),
            (rule(json!({"level": "None", "user": []})), "rules[1]"),
            (rule(json!({"level": "None", "nonResourceURLs": ["x"]})), "rules[1].nonResourceURLs[0]"),
            (rule(json!({"level": "None", "nonResourceURLs": ["/a*b"]})), "rules[1].nonResourceURLs[0]"),
            (
                rule(json!({"level": "None", "nonResourceURLs": ["/a"], "namespaces": ["b"]})),
                "rules[1].nonResourceURLs",
            ),
            (
                rule(json!({"level": "None", "resources": [{"group": "apps/v1"}]})),
                "rules[1].resources[0].group",
            ),
            (
                rule(json!({"level": "None", "resources": [{"resourceNames": ["a"]}]})),
                "rules[1].resources[0].resourceNames",
            ),
        ];
        for (fields, expected) in table {
            let found: Vec<String> =
                parse(fields.clone()).unwrap_err().into_iter().map(|defect| defect.field).collect();
            assert_eq!(found, [expected], "{fields}");
        }
        let object =
            |kind: &str| json!({"apiVersion": API_VERSION, "kind": kind, "rules": [{"level": "None"}]});
        assert!(Policy::of_object(&object("Policy")).is_ok());
        assert_eq!(Policy::of_object(&object("Event")).unwrap_err()[0].field, "kind");
    }
}
