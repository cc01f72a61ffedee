//! Service accounts, downward only: their names and what their images are pulled with, never their tokens.
//!
//! Pods do not run as them in the super cluster (there they are `default`, without a token); policies of the
//! super cluster can select by them.

use crate::difference::merge_patch;
use crate::kinds::Kind;
use crate::ownership;
use crate::translation::{Place, Refusal, meta_text};
use serde_json::{Map, Value, json};

/// The account that every Kubernetes makes in every namespace. The super cluster's own stands in its place.
pub const DEFAULT: &str = "default";

/// A tenant's service account as the super cluster gets it; `None` for the one that is there already.
pub fn downward(place: Place<'_>, account: &Value) -> Result<Option<Value>, Refusal> {
    let name = meta_text(account, "name");
    if name == DEFAULT {
        return Ok(None);
    }
    let name = place.super_name(Kind::ServiceAccount, name)?;
    let mut out = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": ownership::downward(place.tenant, place.super_namespace, &name, account),
        "automountServiceAccountToken": false,
    });
    if let Some(secrets) = account["imagePullSecrets"].as_array().filter(|s| !s.is_empty()) {
        out["imagePullSecrets"] = json!(secrets);
    }
    Ok(Some(out))
}

/// The merge patch for an account in the super cluster; `None` when it is as wanted.
pub fn patch(observed: &Value, wanted: &Value) -> Option<Value> {
    let mut patch = Map::new();
    if let Some(metadata) = ownership::patch(observed, &wanted["metadata"]) {
        patch.insert("metadata".into(), metadata);
    }
    for field in ["automountServiceAccountToken", "imagePullSecrets"] {
        if let Some(change) = merge_patch(&observed[field], &wanted[field]) {
            patch.insert(field.into(), change);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::TenantView;
    use crate::translation::tests::shop;

    #[test]
    fn names_go_down_and_tokens_do_not() {
        let tenant = TenantView::for_tests("acme", 7);
        let account = |name: &str| {
            json!({"metadata": {"name": name, "namespace": "shop"},
            "secrets": [{"name": "token"}], "imagePullSecrets": [{"name": "pull"}]})
        };
        assert_eq!(downward(shop(&tenant), &account("default")), Ok(None));
        let down = downward(shop(&tenant), &account("builder")).unwrap().unwrap();
        assert_eq!(down["automountServiceAccountToken"], false);
        assert_eq!(down["imagePullSecrets"], json!([{"name": "pull"}]));
        assert!(down.get("secrets").is_none());
        assert_eq!(patch(&down, &down), None);
        let mut observed = down.clone();
        observed["imagePullSecrets"] = json!([]);
        assert_eq!(patch(&observed, &down), Some(json!({"imagePullSecrets": [{"name": "pull"}]})));
    }
}
