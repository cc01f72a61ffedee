//! For which requests a guard is: rules, selectors, and equivalent forms of a resource.

use super::asked::{Asked, Form, Operation};
use api_resources::selectors::LabelSelector;
use api_types::{ApiError, GroupResource, ObjectName};
use serde_json::Value;

/// One rule.
#[derive(Debug)]
pub struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    /// Resource and subresource, which is empty for the resource itself.
    resources: Vec<(String, String)>,
    scope: Scope,
    names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Any,
    Namespaced,
    Cluster,
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// What is done.
    pub operation: Operation,
    /// The API group.
    pub group: &'a str,
    /// The version.
    pub version: &'a str,
    /// The resource.
    pub resource: &'a str,
    /// The subresource; empty for none.
    pub subresource: &'a str,
    /// The namespace; empty for none.
    pub namespace: &'a str,
    /// The name; empty when it is not known.
    pub name: &'a str,
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

impl Rule {
    /// Reads a `RuleWithOperations`, perhaps with `resourceNames`.
    pub fn of(rule: &Value) -> Rule {
        let split = |text: String| match text.split_once('/') {
            Some((resource, sub)) => (resource.to_owned(), sub.to_owned()),
            None => (text, String::new()),
        };
        Rule {
            operations: texts(&rule["operations"]),
            groups: texts(&rule["apiGroups"]),
            versions: texts(&rule["apiVersions"]),
            resources: texts(&rule["resources"]).into_iter().map(split).collect(),
            scope: match rule["scope"].as_str() {
                Some("Namespaced") => Scope::Namespaced,
                Some("Cluster") => Scope::Cluster,
                _ => Scope::Any,
            },
            names: texts(&rule["resourceNames"]),
        }
    }

    /// True when the rule is for the target.
    pub fn matches(&self, target: &Target<'_>) -> bool {
        let any = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
        // A namespace is in itself, and yet no namespaced object.
        let is_namespace = target.group.is_empty() && target.resource == "namespaces";
        let namespaced = !target.namespace.is_empty() && !is_namespace;
        let in_scope = match self.scope {
            Scope::Any => true,
            Scope::Namespaced => namespaced,
            Scope::Cluster => !namespaced,
        };
        in_scope
            && any(&self.operations, target.operation.as_str())
            && any(&self.groups, target.group)
            && any(&self.versions, target.version)
            && self.resources.iter().any(|(resource, sub)| {
                (resource == "*" || resource == target.resource) && (sub == "*" || sub == target.subresource)
            })
            && (self.names.is_empty() || self.names.iter().any(|name| name == target.name))
    }
}

/// For which requests a guard is.
#[derive(Debug)]
pub struct Matching {
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    /// Without rules it is for every request.
    all: bool,
    equivalent: bool,
    namespaces: LabelSelector,
    objects: LabelSelector,
}

impl Matching {
    /// That of a webhook.
    pub fn of_webhook(hook: &Value) -> Matching {
        Self::read(hook, "rules", false)
    }

    /// `MatchResources` of a policy or a binding. One that is absent is for every request.
    pub fn of_resources(resources: &Value) -> Matching {
        Self::read(resources, "resourceRules", true)
    }

    fn read(value: &Value, rules: &str, all: bool) -> Matching {
        let read = |field: &str| value[field].as_array().into_iter().flatten().map(Rule::of).collect();
        // Validation lets only selectors pass that can be read.
        let selector = |field: &str| match &value[field] {
            Value::Null => LabelSelector::everything(),
            selector => LabelSelector::from_json(selector).unwrap_or_else(|_| LabelSelector::nothing()),
        };
        Matching {
            rules: read(rules),
            excluded: read("excludeResourceRules"),
            all,
            equivalent: value["matchPolicy"] == "Equivalent",
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
        }
    }

    /// The form of the resource in which the guard wants to see the request; `None`: it is not for it.
    pub fn find(
        &self,
        asked: &Asked<'_>,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<Option<Form>, ApiError> {
        let in_namespace = self.in_namespace(asked, object);
        if matches!(in_namespace, Ok(false)) || !self.selects(object, old) {
            return Ok(None);
        }
        if self.by_rules(&self.excluded, asked).is_some() {
            return Ok(None);
        }
        let found = if self.all && self.rules.is_empty() {
            Some(asked.own_form())
        } else {
            self.by_rules(&self.rules, asked)
        };
        // Whether its namespace can be found matters for what is meant otherwise only.
        match found {
            Some(form) => in_namespace.map(|_| Some(form)),
            None => Ok(None),
        }
    }

    fn by_rules(&self, rules: &[Rule], asked: &Asked<'_>) -> Option<Form> {
        let matches = |form: &Form, rule: &Rule| {
            rule.matches(&Target {
                operation: asked.operation,
                group: &form.row.group,
                version: &form.version.name,
                resource: &form.row.plural,
                subresource: &asked.place.subresource,
                namespace: asked.namespace(),
                name: asked.name(),
            })
        };
        if rules.is_empty() {
            return None;
        }
        let own = asked.own_form();
        if rules.iter().any(|rule| matches(&own, rule)) {
            return Some(own);
        }
        if !self.equivalent {
            return None;
        }
        let others = asked.equivalent_forms();
        rules.iter().find_map(|rule| others.iter().find(|form| matches(form, rule)).cloned())
    }

    fn selects(&self, object: Option<&Value>, old: Option<&Value>) -> bool {
        let selected = |object: Option<&Value>| {
            object.is_some_and(|object| self.objects.matches_json(&object["metadata"]["labels"]))
        };
        self.objects.is_everything() || selected(object) || selected(old)
    }

    fn in_namespace(&self, asked: &Asked<'_>, object: Option<&Value>) -> Result<bool, ApiError> {
        if self.namespaces.is_everything() || asked.namespace().is_empty() {
            return Ok(true);
        }
        if asked.is_namespace()
            && asked.place.subresource.is_empty()
            && let Some(namespace) = object
        {
            return Ok(self.namespaces.matches_json(&namespace["metadata"]["labels"]));
        }
        let resource = GroupResource::new("", "namespaces");
        let name = ObjectName::cluster(asked.namespace());
        let found = asked.server.cache.get(asked.auth.plane().id, &resource, &name);
        let found = found.ok_or_else(|| ApiError::not_found(&resource, asked.namespace()))?;
        Ok(self.namespaces.matches(&found.meta.labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const POD: Target<'_> = Target {
        operation: Operation::Create,
        group: "",
        version: "v1",
        resource: "pods",
        subresource: "",
        namespace: "shop",
        name: "web",
    };

    fn rule(change: Value) -> Rule {
        let mut rule = json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["pods"], "scope": "*"});
        for (field, value) in change.as_object().unwrap() {
            rule[field] = value.clone();
        }
        Rule::of(&rule)
    }

    #[test]
    fn rules_match_by_all_that_they_say() {
        let status = Target { subresource: "status", ..POD };
        let node = Target { resource: "nodes", namespace: "", ..POD };
        let namespace = Target { resource: "namespaces", namespace: "shop", name: "shop", ..POD };
        let deletion = Target { operation: Operation::Delete, ..POD };
        for (change, target, expected) in [
            (json!({}), POD, true),
            (json!({"operations": ["*"]}), deletion, true),
            (json!({"operations": ["UPDATE", "DELETE"]}), deletion, true),
            (json!({"operations": ["UPDATE", "CONNECT"]}), POD, false),
            (json!({"apiGroups": ["*"]}), POD, true),
            (json!({"apiGroups": ["apps"]}), POD, false),
            (json!({"apiVersions": ["*"]}), POD, true),
            (json!({"apiVersions": ["v2"]}), POD, false),
            (json!({"resources": ["*"]}), POD, true),
            (json!({"resources": ["*"]}), status, false),
            (json!({"resources": ["*/*"]}), POD, true),
            (json!({"resources": ["*/*"]}), status, true),
            (json!({"resources": ["pods/*"]}), POD, true),
            (json!({"resources": ["pods/*"]}), status, true),
            (json!({"resources": ["pods/*"]}), node, false),
            (json!({"resources": ["pods/status"]}), status, true),
            (json!({"resources": ["pods/status"]}), POD, false),
            (json!({"resources": ["*/status"]}), status, true),
            (json!({"resources": ["*/scale"]}), status, false),
            (json!({"resources": []}), POD, false),
            (json!({"scope": "Namespaced"}), POD, true),
            (json!({"scope": "Cluster"}), POD, false),
            (json!({"scope": "Cluster", "resources": ["*"]}), node, true),
            (json!({"scope": "Namespaced", "resources": ["*"]}), node, false),
            (json!({"scope": "Namespaced", "resources": ["*"]}), namespace, false),
            (json!({"scope": "Cluster", "resources": ["*"]}), namespace, true),
            (json!({"resourceNames": ["web"]}), POD, true),
            (json!({"resourceNames": ["api"]}), POD, false),
        ] {
            assert_eq!(rule(change.clone()).matches(&target), expected, "{change} {target:?}");
        }
    }
}
