//! What other servers serve, as discovery tells it.

use serde_json::{Map, Value, json};

/// A group and version that another server answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The group.
    pub group: String,
    /// The version.
    pub version: String,
    /// `groupPriorityMinimum` of its APIService.
    pub group_priority: i64,
    /// `versionPriority` of its APIService.
    pub version_priority: i64,
    /// `resources` of the server's own `APIResourceList`; none when it never answered.
    pub resources: Vec<Value>,
    /// False when it does not answer now.
    pub current: bool,
}

/// Resources of an `APIResourceList` as aggregated discovery has them: subresources stand below what they belong to.
pub(super) fn aggregated(resources: &[Value]) -> Vec<Value> {
    let mut made: Vec<Value> = Vec::new();
    let name = |resource: &Value| text(resource, "name").to_owned();
    for resource in resources.iter().filter(|resource| !name(resource).contains('/')) {
        let mut out = Map::new();
        out.insert("resource".into(), name(resource).into());
        out.insert("responseKind".into(), kind(resource));
        out.insert("scope".into(), scope(resource).into());
        out.insert("singularResource".into(), text(resource, "singularName").into());
        for field in ["verbs", "shortNames", "categories"] {
            if resource[field].is_array() {
                out.insert(field.into(), resource[field].clone());
            }
        }
        made.push(Value::Object(out));
    }
    for resource in resources {
        let name = name(resource);
        let Some((parent, sub)) = name.split_once('/') else { continue };
        let at = made.iter().position(|other| other["resource"] == parent).unwrap_or_else(|| {
            let empty = json!({"group": "", "version": "", "kind": ""});
            made.push(json!({"resource": parent, "responseKind": empty, "scope": scope(resource),
                "singularResource": "", "verbs": []}));
            made.len() - 1
        });
        let below = json!({"subresource": sub, "responseKind": kind(resource),
            "verbs": resource["verbs"].as_array().cloned().unwrap_or_default()});
        match made.get_mut(at).and_then(|parent| parent.get_mut("subresources")).and_then(Value::as_array_mut)
        {
            Some(list) => list.push(below),
            None => {
                if let Some(parent) = made.get_mut(at) {
                    parent["subresources"] = json!([below]);
                }
            }
        }
    }
    made
}

fn kind(resource: &Value) -> Value {
    json!({"group": text(resource, "group"), "version": text(resource, "version"), "kind": text(resource, "kind")})
}

fn scope(resource: &Value) -> &'static str {
    if resource["namespaced"] == true { "Namespaced" } else { "Cluster" }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subresources_stand_below_their_resource_even_if_that_is_not_told() {
        let list = [
            json!({"name": "foos/status", "namespaced": true, "kind": "Foo", "verbs": ["get"]}),
            json!({"name": "foos", "singularName": "foo", "namespaced": true, "kind": "Foo", "verbs": ["get", "list"],
                "shortNames": ["f"], "categories": ["all"]}),
            json!({"name": "bars/scale", "kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": ["get"]}),
        ];
        let foo = json!({"group": "", "version": "", "kind": "Foo"});
        assert_eq!(
            aggregated(&list),
            [
                json!({"resource": "foos", "responseKind": foo, "scope": "Namespaced", "singularResource": "foo",
                    "verbs": ["get", "list"], "shortNames": ["f"], "categories": ["all"],
                    "subresources": [{"subresource": "status", "responseKind": foo, "verbs": ["get"]}]}),
                json!({"resource": "bars", "responseKind": {"group": "", "version": "", "kind": ""},
                    "scope": "Cluster", "singularResource": "", "verbs": [],
                    "subresources": [{"subresource": "scale", "verbs": ["get"],
                        "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}}]}),
            ]
        );
        assert!(aggregated(&[json!(1), json!({}), json!({"name": 1})]).len() == 3, "nonsense does no harm");
    }
}
