//! The metadata of objects in super clusters: whose they are, and how they are kept in step.
//!
//! Everything downward passes [`downward`], which writes the labels and annotations that [`Identity::of`] reads
//! back. An object whose tenant UID is another, or absent, is never written.

use crate::tenants::TenantView;
use api_types::{ApiError, TenantId, labels};
use compact_str::CompactString;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Annotation: the keys of labels and annotations that came from the tenant, so that those can be taken away that
/// the tenant takes away, and those of others stay.
const KEYS: &str = "insula.dev/keys";
/// The prefix of our own labels and annotations. Those that a tenant writes do not go down.
const OURS: &str = "insula.dev/";
/// Labels and annotations that stay in the tenant: of its own machinery, or such that they would reach past the
/// tenant's network or machines in the super cluster.
const KEPT_BACK: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubernetes.io/config.",
    "k8s.v1.cni.cncf.io/",
    "v1.multus-cni.io/",
    "ovn.kubernetes.io/",
    "cni.projectcalico.org/",
    "scheduler.alpha.kubernetes.io/",
    "pv.kubernetes.io/",
    "volume.kubernetes.io/",
    "volume.beta.kubernetes.io/",
];

/// Which object of which tenant an object in a super cluster stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Whose.
    pub tenant: TenantId,
    /// Its namespace there; empty for namespaces.
    pub namespace: CompactString,
    /// Its name there.
    pub name: CompactString,
    /// Its UID there; empty while an address is only reserved.
    pub uid: CompactString,
}

impl Identity {
    /// Reads it from an object of a super cluster; `None` for objects that are not of a tenant.
    pub fn of(object: &Value) -> Option<Identity> {
        let meta = &object["metadata"];
        let tenant = TenantId::parse(meta["labels"][labels::TENANT_UID].as_str()?)?;
        let annotation = |key: &str| meta["annotations"][key].as_str().unwrap_or("").into();
        Some(Identity {
            tenant,
            namespace: annotation(labels::NAMESPACE),
            name: annotation(labels::NAME),
            uid: annotation(labels::UID),
        })
    }
}

/// The metadata in the super cluster of a tenant's object: name, namespace, labels, annotations, and nothing of
/// owners, finalizers or history.
pub fn downward(tenant: &TenantView, super_namespace: &str, super_name: &str, object: &Value) -> Value {
    let meta = &object["metadata"];
    let mut keys = BTreeSet::new();
    let mut labels = taken_down(&meta["labels"], 'l', &mut keys);
    let mut annotations = taken_down(&meta["annotations"], 'a', &mut keys);
    labels.insert(labels::TENANT.into(), json!(tenant.name));
    labels.insert(labels::TENANT_UID.into(), json!(tenant.id.to_string()));
    for (key, field) in [(labels::NAMESPACE, "namespace"), (labels::NAME, "name"), (labels::UID, "uid")] {
        annotations.insert(key.into(), json!(meta[field].as_str().unwrap_or("")));
    }
    if !keys.is_empty() {
        let list: Vec<String> = keys.into_iter().collect();
        annotations.insert(KEYS.into(), json!(list.join(",")));
    }
    let mut out = json!({"name": super_name, "labels": labels, "annotations": annotations});
    if !super_namespace.is_empty() {
        out["namespace"] = json!(super_namespace);
    }
    out
}

/// True for keys of labels and annotations that stay in the tenant.
pub fn stays(key: &str) -> bool {
    key.starts_with(OURS) || KEPT_BACK.iter().any(|prefix| key.starts_with(prefix))
}

fn taken_down(map: &Value, sort: char, keys: &mut BTreeSet<String>) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in map.as_object().into_iter().flatten() {
        if stays(key) {
            continue;
        }
        keys.insert(format!("{sort}:{key}"));
        out.insert(key.clone(), value.clone());
    }
    out
}

/// What of `observed` metadata must be patched to have the labels and annotations of `wanted`; `None` when
/// nothing. Labels and annotations that the super cluster added stay.
pub fn patch(observed: &Value, wanted: &Value) -> Option<Value> {
    let mut out = Map::new();
    let before: Vec<&str> =
        observed["metadata"]["annotations"][KEYS].as_str().unwrap_or("").split(',').collect();
    for (field, sort) in [("labels", "l:"), ("annotations", "a:")] {
        let (old, new) = (&observed["metadata"][field], &wanted[field]);
        let mut change = Map::new();
        for (key, value) in new.as_object().into_iter().flatten() {
            if old.get(key) != Some(value) {
                change.insert(key.clone(), value.clone());
            }
        }
        for key in before.iter().filter_map(|k| k.strip_prefix(sort)) {
            if new.get(key).is_none() && old.get(key).is_some() {
                change.insert(key.to_owned(), Value::Null);
            }
        }
        if field == "annotations" && new.get(KEYS).is_none() && old.get(KEYS).is_some() {
            change.insert(KEYS.into(), Value::Null);
        }
        if !change.is_empty() {
            out.insert(field.into(), change.into());
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// Fails unless the object is the tenant's. Checked before every write to an object that is there already.
pub fn check(tenant: &TenantView, object: &Value) -> Result<(), ApiError> {
    match Identity::of(object) {
        Some(identity) if identity.tenant == tenant.id => Ok(()),
        _ => Err(ApiError::internal(format_args!(
            "{} {} in the super cluster is not the tenant's",
            object["kind"].as_str().unwrap_or("the object"),
            object["metadata"]["name"].as_str().unwrap_or("")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantView {
        TenantView::for_tests("acme", 7)
    }

    #[test]
    fn metadata_says_whose_it_is_and_drops_history() {
        let object = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u1", "resourceVersion": "9",
            "generation": 2, "ownerReferences": [{"uid": "o"}], "finalizers": ["f"], "generateName": "web-",
            "managedFields": [], "creationTimestamp": "t",
            "labels": {"app": "web", "insula.dev/tenant-uid": "forged"},
            "annotations": {"note": "x", "ovn.kubernetes.io/logical_switch": "other",
                "kubectl.kubernetes.io/last-applied-configuration": "{}"}}});
        let down = downward(&tenant(), "acme-shop-h", "web", &object);
        assert_eq!(
            down,
            json!({"name": "web", "namespace": "acme-shop-h",
                "labels": {"app": "web", "insula.dev/tenant": "acme", "insula.dev/tenant-uid": tenant().id.to_string()},
                "annotations": {"note": "x", "insula.dev/namespace": "shop", "insula.dev/name": "web",
                    "insula.dev/uid": "u1", "insula.dev/keys": "a:note,l:app"}})
        );
        let identity = Identity::of(&json!({"metadata": down})).unwrap();
        assert_eq!(identity.tenant, tenant().id);
        assert_eq!((&*identity.namespace, &*identity.name, &*identity.uid), ("shop", "web", "u1"));
    }

    #[test]
    fn only_what_came_from_the_tenant_is_taken_away() {
        let object = |labels: Value| json!({"metadata": {"name": "w", "namespace": "n", "uid": "u", "labels": labels}});
        let mut observed =
            json!({"metadata": downward(&tenant(), "s", "w", &object(json!({"a": "1", "b": "2"})))});
        observed["metadata"]["labels"]["topology.kubernetes.io/zone"] = json!("z");
        let same = downward(&tenant(), "s", "w", &object(json!({"a": "1", "b": "2"})));
        assert_eq!(patch(&observed, &same), None);
        let changed = downward(&tenant(), "s", "w", &object(json!({"a": "3"})));
        assert_eq!(
            patch(&observed, &changed),
            Some(json!({"labels": {"a": "3", "b": null}, "annotations": {"insula.dev/keys": "l:a"}}))
        );
        let none = downward(&tenant(), "s", "w", &object(json!({})));
        assert_eq!(
            patch(&observed, &none),
            Some(json!({"labels": {"a": null, "b": null}, "annotations": {"insula.dev/keys": null}}))
        );
    }

    #[test]
    fn objects_of_others_are_not_written() {
        let other = TenantView::for_tests("acme", 8);
        let object = json!({"metadata": downward(&other, "s", "w", &json!({"metadata": {"name": "w"}}))});
        assert!(check(&other, &object).is_ok());
        assert!(check(&tenant(), &object).is_err());
        assert!(check(&tenant(), &json!({"metadata": {"name": "w"}})).is_err());
    }
}
