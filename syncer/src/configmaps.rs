//! ConfigMaps, downward only.

use crate::kinds::Kind;
use crate::ownership;
use crate::translation::{Place, Refusal, meta_text};
use serde_json::{Value, json};

/// A tenant's ConfigMap as the super cluster gets it.
pub fn downward(place: Place<'_>, object: &Value) -> Result<Value, Refusal> {
    let name = place.super_name(Kind::ConfigMap, meta_text(object, "name"))?;
    let mut out = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": ownership::downward(place.tenant, place.super_namespace, &name, object),
    });
    for field in ["data", "binaryData", "immutable"] {
        if let Some(value) = object.get(field).filter(|v| !v.is_null()) {
            out[field] = value.clone();
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::TenantView;
    use crate::translation::tests::shop;

    #[test]
    fn content_goes_down_and_the_root_ca_under_another_name() {
        let tenant = TenantView::for_tests("acme", 7);
        let object = |name: &str| json!({"metadata": {"name": name, "namespace": "shop"}, "data": {"a": "1"}, "immutable": true});
        let down = downward(shop(&tenant), &object("app")).unwrap();
        assert_eq!((&down["data"], &down["immutable"]), (&json!({"a": "1"}), &json!(true)));
        assert_eq!(down["metadata"]["name"], "app");
        let down = downward(shop(&tenant), &object("kube-root-ca.crt")).unwrap();
        assert_eq!(down["metadata"]["name"], "insula-sync-root-ca.crt");
        assert_eq!(downward(shop(&tenant), &object("insula-sync-x")).unwrap_err().reason, "ReservedName");
    }
}
