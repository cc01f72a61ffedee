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

/// A ready one that is not cordoned, has the labels that the tenant asks for, and has no taint `NoSchedule` that the
/// tenant does not tolerate: the one with the fewest taints `PreferNoSchedule` that it does not tolerate, then with
/// the fewest tenants. Among equals, the first by name.
pub fn choose<'a>(tenant: &TenantView, candidates: &'a [Candidate]) -> Option<&'a str> {
    let selector = &tenant.spec.placement.super_cluster_selector;
    let untolerated = |candidate: &Candidate, effect: &str| {
        let taints = candidate.object.spec.taints.iter().filter(|taint| taint["effect"] == effect);
        taints.filter(|taint| !tolerates(&tenant.spec.scheduling.tolerations, taint)).count()
    };
    candidates
        .iter()
        .filter(|c| c.ready && !c.object.spec.cordoned)
        .filter(|c| selector.matches(&c.object.metadata.labels))
        // `NoExecute` is refused since; one that was accepted before keeps away as `NoSchedule` does.
        .filter(|c| untolerated(c, "NoSchedule") + untolerated(c, "NoExecute") == 0)
        .min_by_key(|c| (untolerated(c, "PreferNoSchedule"), c.tenants, c.object.metadata.name.as_str()))
        .map(|c| c.object.metadata.name.as_str())
}

/// As Kubernetes compares tolerations and taints.
fn tolerates(tolerations: &[Value], taint: &Value) -> bool {
    let text = |v: &Value, field: &str| v[field].as_str().unwrap_or("").to_owned();
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
        let shy =
            candidate("aa-1", true, 0, json!({"taints": [{"key": "old", "effect": "PreferNoSchedule"}]}));
        let with_shy: Vec<Candidate> = candidates.iter().cloned().chain([shy.clone()]).collect();
        assert_eq!(choose(&tenant, &with_shy), Some("sh-1"), "what is better avoided is");
        assert_eq!(choose(&tenant, &[shy]), Some("aa-1"), "unless there is nothing else");
        let selector = json!({"superClusterSelector": {"matchLabels": {"region": "hz"}}});
        tenant.spec.placement = serde_json::from_value(selector).unwrap();
        assert_eq!(choose(&tenant, &candidates), Some("hz-2"));
        let selector = json!({"superClusterSelector": {"matchLabels": {"region": "bj"}}});
        tenant.spec.placement = serde_json::from_value(selector).unwrap();
        assert_eq!(choose(&tenant, &candidates), None);
    }
}
