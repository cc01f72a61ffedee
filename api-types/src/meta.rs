//! What selectors, indexes and controllers need of an object without parsing it.

use compact_str::CompactString;
use serde_json::Value;

/// The facts of an object's metadata, read once when the object enters a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// `metadata.uid`.
    pub uid: CompactString,
    /// `metadata.labels`, sorted by key.
    pub labels: Vec<(CompactString, CompactString)>,
    /// `metadata.ownerReferences`.
    pub owners: Vec<Owner>,
    /// `metadata.finalizers`.
    pub finalizers: Vec<CompactString>,
    /// `metadata.generation`; 0 when absent.
    pub generation: i64,
    /// True once `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Values of the resource's selectable fields, as its row of the table of resources lists them.
    pub fields: Vec<(CompactString, CompactString)>,
}

/// One owner reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `apiVersion` of the owner.
    pub api_version: CompactString,
    /// `kind` of the owner.
    pub kind: CompactString,
    /// `name` of the owner; it is in the dependent's namespace or cluster-scoped.
    pub name: CompactString,
    /// `uid` of the owner.
    pub uid: CompactString,
    /// This owner is the managing controller.
    pub controller: bool,
    /// A foreground deletion of the owner waits for this dependent.
    pub block_owner_deletion: bool,
}

impl Meta {
    /// Reads the facts of an object. What has not the type that Kubernetes gives it counts as absent.
    pub fn of(object: &Value) -> Self {
        let meta = &object["metadata"];
        let text = |v: &Value| CompactString::from(v.as_str().unwrap_or(""));
        let mut labels: Vec<(CompactString, CompactString)> = meta["labels"]
            .as_object()
            .map(|m| m.iter().map(|(k, v)| (CompactString::from(k.as_str()), text(v))).collect())
            .unwrap_or_default();
        labels.sort();
        let owners = meta["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
        let finalizers = meta["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
        Meta {
            uid: text(&meta["uid"]),
            labels,
            owners: owners
                .iter()
                .map(|o| Owner {
                    api_version: text(&o["apiVersion"]),
                    kind: text(&o["kind"]),
                    name: text(&o["name"]),
                    uid: text(&o["uid"]),
                    controller: o["controller"].as_bool().unwrap_or(false),
                    block_owner_deletion: o["blockOwnerDeletion"].as_bool().unwrap_or(false),
                })
                .collect(),
            finalizers: finalizers.iter().map(text).collect(),
            generation: meta["generation"].as_i64().unwrap_or(0),
            deleting: meta["deletionTimestamp"].is_string(),
            fields: Vec::new(),
        }
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The value of a selectable field; `None`: the resource has no such field.
    pub fn field(&self, path: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == path).map(|(_, value)| value.as_str())
    }

    /// The managing controller, if there is one.
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|o| o.controller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_labels_owners_and_deletion() {
        let meta =
            Meta::of(&json!({"metadata": {"uid": "u", "labels": {"b": "2", "a": "1"}, "generation": 3,
            "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"],
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "v",
                "controller": true}]}}));
        assert_eq!(meta.label("b"), Some("2"));
        assert_eq!(meta.labels[0].0, "a");
        assert_eq!(meta.controller().unwrap().uid, "v");
        assert!(meta.deleting && meta.generation == 3 && meta.finalizers == ["x/y"]);
        assert_eq!(Meta::of(&json!({"metadata": 3})), Meta::default());
    }
}
