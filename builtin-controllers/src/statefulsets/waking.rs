//! Which stateful set waits for a claim: by its name, since most claims name no owner.

use super::identity::ordinal;
use crate::access::{elements, text};
use compact_str::CompactString;
use plane_client::{Object, ObjectName, TenantId};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// The names of the templates of claims, by stateful set.
type Sets = BTreeMap<CompactString, Vec<String>>;

/// The stateful sets that have templates of claims, by namespace.
#[derive(Default)]
pub(super) struct Templates(Mutex<HashMap<(TenantId, CompactString), Sets>>);

impl Templates {
    /// A stateful set is like this; null: it is gone.
    pub(super) fn set(&self, tenant: TenantId, name: &ObjectName, set: &Value) {
        let templates = elements(set, "/spec/volumeClaimTemplates");
        let names: Vec<String> = templates.iter().map(|t| text(t, "/metadata/name").to_owned()).collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (tenant, name.namespace.clone());
        if !names.is_empty() {
            all.entry(place).or_default().insert(name.name.clone(), names);
        } else if let Some(sets) = all.get_mut(&place) {
            sets.remove(&name.name);
            if sets.is_empty() {
                all.remove(&place);
            }
        }
    }

    /// The stateful sets that make a claim of this name.
    pub(super) fn due(&self, claim: &Object) -> Vec<ObjectName> {
        let namespace = &claim.name.namespace;
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let makes_it = |set: &str, template: &str| {
            let pod = claim.name.name.strip_prefix(template).and_then(|rest| rest.strip_prefix('-'));
            pod.is_some_and(|pod| ordinal(set, pod).is_some())
        };
        let sets = all.get(&(claim.tenant, namespace.clone())).into_iter().flatten();
        sets.filter(|(set, templates)| templates.iter().any(|template| makes_it(set, template)))
            .map(|(set, _)| ObjectName::new(namespace, set))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::{GroupResource, Meta, Revision};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn claims_wake_the_sets_that_make_them() {
        let tenant = TenantId::HOST;
        let claim = |namespace: &str, name: &str| Object {
            tenant,
            resource: GroupResource::new("", "persistentvolumeclaims"),
            name: ObjectName::new(namespace, name),
            revision: Revision(1),
            bytes: Default::default(),
            meta: Arc::new(Meta::of(&json!({}))),
        };
        let set = |templates: &[&str]| {
            let all: Vec<Value> = templates.iter().map(|name| json!({"metadata": {"name": name}})).collect();
            json!({"spec": {"volumeClaimTemplates": all}})
        };
        let templates = Templates::default();
        let (db, long) = (ObjectName::new("ns", "db"), ObjectName::new("ns", "logs-db"));
        templates.set(tenant, &db, &set(&["data", "data-logs"]));
        templates.set(tenant, &long, &set(&["data"]));
        for (namespace, name, expected) in [
            ("ns", "data-db-0", vec![db.clone()]),
            ("ns", "data-logs-db-12", vec![db.clone(), long.clone()]),
            ("ns", "data-db-01", vec![]),
            ("ns", "data-db", vec![]),
            ("ns", "other-db-0", vec![]),
            ("elsewhere", "data-db-0", vec![]),
        ] {
            assert_eq!(templates.due(&claim(namespace, name)), expected, "{namespace}/{name}");
        }
        templates.set(tenant, &db, &Value::Null);
        templates.set(tenant, &long, &set(&[]));
        assert!(
            templates.due(&claim("ns", "data-db-0")).is_empty() && templates.0.lock().unwrap().is_empty()
        );
    }
}
