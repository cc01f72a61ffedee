//! Affinity and spread on the way down: they see the tenant's pods, and no one else's.

use crate::translation::{Place, list_mut, remove};
use api_types::labels;
use serde_json::{Value, json};

/// What the tenant's API put into the selectors when the pod was made (KEP-3633, KEP-3243). Clusters refuse a key that
/// is in both.
const MERGED: &[&str] = &["matchLabelKeys", "mismatchLabelKeys"];

/// Confines `spec.affinity` and `spec.topologySpreadConstraints` in place.
pub fn confine(place: Place<'_>, spec: &mut Value) {
    for side in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.get_mut("affinity").and_then(|a| a.get_mut(side)) else { continue };
        for term in list_mut(affinity, "requiredDuringSchedulingIgnoredDuringExecution").into_iter().flatten()
        {
            confine_term(place, term);
        }
        let preferred = list_mut(affinity, "preferredDuringSchedulingIgnoredDuringExecution");
        for weighted in preferred.into_iter().flatten() {
            if let Some(term) = weighted.get_mut("podAffinityTerm") {
                confine_term(place, term);
            }
        }
    }
    for constraint in list_mut(spec, "topologySpreadConstraints").into_iter().flatten() {
        remove(constraint, MERGED);
        confine_selector(place, constraint, "labelSelector");
    }
}

fn confine_term(place: Place<'_>, term: &mut Value) {
    remove(term, MERGED);
    confine_selector(place, term, "labelSelector");
    confine_selector(place, term, "namespaceSelector");
    for namespace in list_mut(term, "namespaces").into_iter().flatten() {
        if let Some(name) = namespace.as_str() {
            *namespace = json!(place.tenant.super_namespace(name));
        }
    }
}

/// A selector that is absent selects nothing (or, of namespaces, the pod's own), and stays so.
fn confine_selector(place: Place<'_>, holder: &mut Value, field: &str) {
    if let Some(selector) = holder.get_mut(field).filter(|s| s.is_object()) {
        if !selector["matchLabels"].is_object() {
            selector["matchLabels"] = json!({});
        }
        selector["matchLabels"][labels::TENANT_UID] = json!(place.tenant.id.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::TenantView;
    use crate::translation::tests::shop;

    #[test]
    fn selectors_get_the_tenant_and_namespaces_are_translated() {
        let tenant = TenantView::for_tests("acme", 7);
        let place = shop(&tenant);
        let uid = tenant.id.to_string();
        let mut spec = json!({
            "affinity": {"podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"labelSelector": {"matchLabels": {"app": "web"}}, "namespaces": ["other"], "topologyKey": "h"},
                    {"labelSelector": null, "namespaceSelector": {}, "topologyKey": "h",
                        "mismatchLabelKeys": ["team"]}],
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": {"labelSelector": {"matchExpressions": []}, "topologyKey": "h"}}]}},
            "topologySpreadConstraints": [{"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "z",
                "matchLabelKeys": ["app"]}],
        });
        confine(place, &mut spec);
        assert_eq!(
            spec,
            json!({
                "affinity": {"podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"labelSelector": {"matchLabels": {"app": "web", "insula.dev/tenant-uid": uid}},
                            "namespaces": [place.tenant.super_namespace("other")], "topologyKey": "h"},
                        {"labelSelector": null,
                            "namespaceSelector": {"matchLabels": {"insula.dev/tenant-uid": uid}}, "topologyKey": "h"}],
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {"weight": 1, "podAffinityTerm": {"labelSelector": {"matchExpressions": [],
                            "matchLabels": {"insula.dev/tenant-uid": uid}}, "topologyKey": "h"}}]}},
                "topologySpreadConstraints": [{"labelSelector": {"matchLabels": {"app": "web",
                    "insula.dev/tenant-uid": uid}}, "topologyKey": "z"}],
            })
        );
    }
}
