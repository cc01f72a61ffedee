//! ConfigMaps and Secrets that a pod refers to, as a kubelet looks for them.

use crate::access::{elements, text};
use serde_json::Value;

/// Which kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    ConfigMap,
    Secret,
}

impl Kind {
    /// As messages name it.
    pub(super) fn lower(self) -> &'static str {
        match self {
            Kind::ConfigMap => "configmap",
            Kind::Secret => "secret",
        }
    }
}

/// What needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A volume of this name: without it no container is made.
    Volume(String),
    /// The environment of this container: without it this container is not made.
    Environment(String),
}

/// One object that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// These keys must be in it.
    pub(super) keys: Vec<String>,
    pub(super) used_by: Use,
}

fn is_optional(source: &Value) -> bool {
    source["optional"].as_bool().unwrap_or(false)
}

/// Every reference of a pod that is not optional.
pub(super) fn of(pod: &Value) -> Vec<Reference> {
    let mut all = Vec::new();
    for volume in elements(pod, "/spec/volumes") {
        let name = text(volume, "/name");
        let mut add = |kind, source: &Value, name_field: &str| {
            if !source.is_null() && !is_optional(source) {
                let items = elements(source, "/items").iter().map(|item| text(item, "/key").to_owned());
                all.push(Reference {
                    kind,
                    name: source[name_field].as_str().unwrap_or("").to_owned(),
                    keys: items.collect(),
                    used_by: Use::Volume(name.to_owned()),
                });
            }
        };
        add(Kind::ConfigMap, &volume["configMap"], "name");
        add(Kind::Secret, &volume["secret"], "secretName");
        for source in elements(volume, "/projected/sources") {
            add(Kind::ConfigMap, &source["configMap"], "name");
            add(Kind::Secret, &source["secret"], "name");
        }
    }
    let containers = elements(pod, "/spec/initContainers").iter().chain(elements(pod, "/spec/containers"));
    for container in containers {
        let used_by = || Use::Environment(text(container, "/name").to_owned());
        let mut add = |kind, source: &Value, keys: Vec<String>| {
            if !source.is_null() && !is_optional(source) {
                let name = text(source, "/name").to_owned();
                all.push(Reference { kind, name, keys, used_by: used_by() });
            }
        };
        for source in elements(container, "/envFrom") {
            add(Kind::ConfigMap, &source["configMapRef"], vec![]);
            add(Kind::Secret, &source["secretRef"], vec![]);
        }
        for variable in elements(container, "/env") {
            for (kind, field) in [(Kind::ConfigMap, "configMapKeyRef"), (Kind::Secret, "secretKeyRef")] {
                let source = &variable["valueFrom"][field];
                add(kind, source, vec![text(source, "/key").to_owned()]);
            }
        }
    }
    all
}

/// Why a reference is not met by an object (`None`: there is none), in the words of a kubelet; `None`: it is.
pub(super) fn missing(reference: &Reference, namespace: &str, object: Option<&Value>) -> Option<String> {
    let (kind, name) = (reference.kind, &reference.name);
    let Some(object) = object else { return Some(format!("{} {name:?} not found", kind.lower())) };
    let has = |key: &str| ["data", "binaryData"].iter().any(|field| object[*field].get(key).is_some());
    let key = reference.keys.iter().find(|key| !has(key))?;
    Some(match (&reference.used_by, kind) {
        (Use::Volume(_), Kind::ConfigMap) => format!("configmap references non-existent config key: {key}"),
        (Use::Volume(_), Kind::Secret) => format!("references non-existent secret key: {key}"),
        (Use::Environment(_), Kind::ConfigMap) => {
            format!("couldn't find key {key} in ConfigMap {namespace}/{name}")
        }
        (Use::Environment(_), Kind::Secret) => {
            format!("couldn't find key {key} in Secret {namespace}/{name}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_of_a_pod() {
        let pod = json!({"spec": {
            "volumes": [
                {"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "p"}]}},
                {"name": "w", "secret": {"secretName": "s", "optional": true}},
                {"name": "x", "projected": {"sources": [{"secret": {"name": "t"}}, {"serviceAccountToken": {}}]}},
                {"name": "y", "emptyDir": {}},
            ],
            "containers": [{"name": "c",
                "envFrom": [{"secretRef": {"name": "e"}}, {"configMapRef": {"name": "f", "optional": true}}],
                "env": [{"name": "A", "value": "1"},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "g", "key": "h"}}},
                    {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}],
        }});
        let reference = |kind, name: &str, keys: &[&str], used_by| Reference {
            kind,
            name: name.into(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            used_by,
        };
        let (volume, environment) = (|v: &str| Use::Volume(v.into()), || Use::Environment("c".into()));
        let expected = [
            reference(Kind::ConfigMap, "m", &["k"], volume("v")),
            reference(Kind::Secret, "t", &[], volume("x")),
            reference(Kind::Secret, "e", &[], environment()),
            reference(Kind::Secret, "g", &["h"], environment()),
        ];
        assert_eq!(of(&pod), expected);
        let secret = json!({"data": {"h": "eA=="}});
        for (index, object, why) in [
            (3, Some(&secret), None),
            (3, None, Some("secret \"g\" not found")),
            (3, Some(&json!({})), Some("couldn't find key h in Secret ns/g")),
            (0, Some(&secret), Some("configmap references non-existent config key: k")),
            (2, Some(&json!({})), None),
        ] {
            assert_eq!(missing(&expected[index], "ns", object).as_deref(), why);
        }
    }
}
