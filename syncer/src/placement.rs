//! On which super cluster a tenant goes.

use crate::tenants::TenantView;
use api_types::tenancy::SuperCluster;
use serde_json::Value;

/// A super cluster to choose from.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The object.
    pub object: SuperCluster,
    /// It can be used.
    pub ready: bool,
    /// How many tenants are on it.
    pub tenants: usize,
}

/// The ready one with the fewest tenants that is not cordoned, has the labels that the tenant asks for, and has no
/// taint that the tenant does not tolerate. Among equals, the first by name.
pub fn choose<'a>(tenant: &TenantView, candidates: &'a [Candidate]) -> Option<&'a str> {
    let selector = &tenant.spec.placement.super_cluster_selector;
    candidates
        .iter()
        .filter(|c| c.ready && !c.object.spec.cordoned)
        .filter(|c| selector.matches(&c.object.metadata.labels))
        .filter(|c| c.object.spec.taints.iter().all(|t| tolerates(&tenant.spec.scheduling.tolerations, t)))
        .min_by_key(|c| (c.tenants, c.object.metadata.name.as_str()))
        .map(|c| c.object.metadata.name.as_str())
}

/// As Kubernetes compares tolerations and taints; `PreferNoSchedule` keeps no one away.
fn tolerates(tolerations: &[Value], taint: &Value) -> bool {
    let text = |v: &Value, field: &str| v[field].as_str().unwrap_or("").to_owned();
    if text(taint, "effect") == "PreferNoSchedule" {
        return true;
    }
    tolerations.iter().any(|t| {
        let (key, effect) = (text(t, "key"), text(t, "effect"));
        let exists = text(t, "operator") == "Exists";
        (effect.is_empty() || effect == text(taint, "effect"))
            && ((key.is_empty() && exists) || key == text(taint, "key"))
            && (exists || text(t, "value") == text(taint, "value"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn candidate(name: &str, ready: bool, tenants: usize, spec: Value) -> Candidate {
        let object = json!({"metadata": {"name": name, "labels": {"region": &name[..2]}}, "spec": spec});
        Candidate { object: serde_json::from_value(object).unwrap(), ready, tenants }
    }

    #[test]
    fn the_emptiest_usable_one_is_chosen() {
        let candidates = [
            candidate("hz-1", true, 5, json!({})),
            candidate("hz-2", true, 3, json!({})),
            candidate("hz-3", false, 0, json!({})),
            candidate("hz-4", true, 0, json!({"cordoned": true})),
            candidate("sh-1", true, 1, json!({"taints": [{"key": "gpu", "effect": "NoSchedule"}]})),
        ];
        let mut tenant = TenantView::for_tests("acme", 7);
        assert_eq!(choose(&tenant, &candidates), Some("hz-2"));
        tenant.spec.scheduling.tolerations = vec![json!({"key": "gpu", "operator": "Exists"})];
        assert_eq!(choose(&tenant, &candidates), Some("sh-1"));
        let selector = json!({"superClusterSelector": {"matchLabels": {"region": "hz"}}});
        tenant.spec.placement = serde_json::from_value(selector).unwrap();
        assert_eq!(choose(&tenant, &candidates), Some("hz-2"));
        let selector = json!({"superClusterSelector": {"matchLabels": {"region": "bj"}}});
        tenant.spec.placement = serde_json::from_value(selector).unwrap();
        assert_eq!(choose(&tenant, &candidates), None);
    }
}
