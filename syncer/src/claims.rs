//! PersistentVolumeClaims: down with the super cluster's storage class, up with their status.

use crate::difference::merge_patch;
use crate::kinds::Kind;
use crate::names;
use crate::ownership;
use crate::tenants::TenantView;
use crate::translation::{Place, Refusal, meta_text, remove, text};
use serde_json::{Map, Value, json};

/// A tenant's claim as the super cluster gets it.
pub fn downward(place: Place<'_>, claim: &Value) -> Result<Value, Refusal> {
    let name = place.super_name(Kind::Claim, meta_text(claim, "name"))?;
    let mut spec = claim["spec"].clone();
    let volume = text(&spec, "volumeName");
    // That one is the tenant's view of what the super cluster chose.
    if !volume.is_empty() && volume != names::volume(meta_text(claim, "uid")) {
        return Err(Refusal::new(
            "VolumeNameForbidden",
            "spec.volumeName is not allowed: volumes of the super cluster cannot be chosen",
        ));
    }
    if spec.get("selector").is_some_and(|s| !s.is_null()) {
        return Err(Refusal::new(
            "VolumeSelectorForbidden",
            "spec.selector is not allowed: volumes of the super cluster cannot be chosen",
        ));
    }
    remove(&mut spec, &["volumeName", "volumeAttributesClassName"]);
    storage_class(place.tenant, &mut spec)?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": ownership::downward(place.tenant, place.super_namespace, &name, claim),
        "spec": spec,
    }))
}

/// Translates `storageClassName` of a claim's spec. Without a class, the tenant's default is taken, else the super
/// cluster's.
pub fn storage_class(tenant: &TenantView, spec: &mut Value) -> Result<(), Refusal> {
    let classes = &tenant.spec.storage.classes;
    let asked = spec["storageClassName"].as_str().map(str::to_owned);
    let class = match asked.as_deref() {
        None => classes.iter().find(|c| c.default),
        Some(name) => match classes.iter().find(|c| c.tenant == name) {
            Some(class) => Some(class),
            None => {
                let known: Vec<&str> = classes.iter().map(|c| c.tenant.as_str()).collect();
                let offer = if known.is_empty() {
                    "the platform offers none by name; leave it out for its default".to_owned()
                } else {
                    format!("the platform offers {}", known.join(", "))
                };
                let message = format!("spec.storageClassName {name:?} is not known: {offer}");
                return Err(Refusal::new("StorageClassUnknown", message));
            }
        },
    };
    match class {
        Some(class) => spec["storageClassName"] = json!(class.super_class),
        None => remove(spec, &["storageClassName"]),
    }
    Ok(())
}

/// The merge patch for a claim in the super cluster: metadata, and the size, which may grow.
pub fn patch(observed: &Value, wanted: &Value) -> Option<Value> {
    let mut patch = Map::new();
    if let Some(metadata) = ownership::patch(observed, &wanted["metadata"]) {
        patch.insert("metadata".into(), metadata);
    }
    let (old, new) = (&observed["spec"]["resources"]["requests"], &wanted["spec"]["resources"]["requests"]);
    if let Some(requests) = merge_patch(old, new) {
        patch.insert("spec".into(), json!({"resources": {"requests": requests}}));
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The status of a tenant's claim.
pub fn upward(place: Place<'_>, super_claim: &Value) -> Value {
    let mut status = super_claim["status"].clone();
    if !status.is_object() {
        status = json!({"phase": "Pending"});
    }
    remove(&mut status, &["currentVolumeAttributesClassName", "modifyVolumeStatus"]);
    place.scrub_all(&mut status);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translation::tests::shop;

    fn tenant(classes: Value) -> TenantView {
        let mut tenant = TenantView::for_tests("acme", 7);
        tenant.spec.storage = serde_json::from_value(json!({"classes": classes})).unwrap();
        tenant
    }

    #[test]
    fn classes_are_those_of_the_tenants_spec() {
        let classes = json!([{"tenant": "standard", "super": "cloud-ssd", "default": true},
            {"tenant": "slow", "super": "cloud-hdd"}]);
        for (classes, asked, expected) in [
            (classes.clone(), json!(null), Ok(json!("cloud-ssd"))),
            (classes.clone(), json!("slow"), Ok(json!("cloud-hdd"))),
            (classes.clone(), json!("cloud-ssd"), Err("StorageClassUnknown")),
            (json!([]), json!(null), Ok(json!(null))),
            (json!([]), json!("x"), Err("StorageClassUnknown")),
        ] {
            let mut spec = json!({"storageClassName": asked});
            let got = storage_class(&tenant(classes), &mut spec).map_err(|r| r.reason);
            assert_eq!(got.map(|()| spec["storageClassName"].clone()), expected, "{asked}");
        }
    }

    #[test]
    fn volumes_of_the_super_cluster_cannot_be_chosen() {
        let tenant = tenant(json!([]));
        for (spec, reason) in [
            (json!({"volumeName": "pv"}), "VolumeNameForbidden"),
            (json!({"volumeName": "pvc-another"}), "VolumeNameForbidden"),
            (json!({"selector": {}}), "VolumeSelectorForbidden"),
        ] {
            let claim = json!({"metadata": {"name": "data", "namespace": "shop"}, "spec": spec});
            assert_eq!(downward(shop(&tenant), &claim).unwrap_err().reason, reason);
        }
    }

    #[test]
    fn the_name_of_its_own_volume_stays_in_the_tenant() {
        let tenant = tenant(json!([]));
        let claim = json!({"metadata": {"name": "data", "namespace": "shop", "uid": "u1"},
            "spec": {"volumeName": "pvc-u1"}});
        assert_eq!(downward(shop(&tenant), &claim).unwrap()["spec"], json!({}));
    }

    #[test]
    fn the_size_grows_and_the_status_comes_up() {
        let tenant = tenant(json!([]));
        let claim = |size: &str| {
            json!({"metadata": {"name": "data", "namespace": "shop"},
            "spec": {"resources": {"requests": {"storage": size}}}})
        };
        let old = downward(shop(&tenant), &claim("1Gi")).unwrap();
        let new = downward(shop(&tenant), &claim("2Gi")).unwrap();
        assert_eq!(patch(&old, &old), None);
        assert_eq!(patch(&old, &new), Some(json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}})));
        assert_eq!(upward(shop(&tenant), &json!({"status": {"phase": "Bound"}})), json!({"phase": "Bound"}));
    }
}
