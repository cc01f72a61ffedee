//! The status of a super pod as the tenant reads it.

use crate::translation::{Place, list, remove, text};
use serde_json::{Value, json};

/// The condition on a tenant's pod that says whether the platform runs it.
pub const SYNCED: &str = "insula.dev/Synced";

/// The tenant pod's whole status from the super pod's. Conditions of types that only the tenant has (readiness
/// gates) stay.
pub fn status(place: Place<'_>, super_pod: &Value, tenant_pod: &Value) -> Value {
    let mut status = super_pod["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    remove(&mut status, &["resourceClaimStatuses", "extendedResourceClaimStatus"]);
    place.scrub_all(&mut status);
    generations(&mut status, super_pod, tenant_pod);
    let mut conditions = list(&status, "conditions").to_vec();
    for condition in &mut conditions {
        generations(condition, super_pod, tenant_pod);
    }
    let own = list(&tenant_pod["status"], "conditions").iter();
    let gates = list(&tenant_pod["spec"], "readinessGates");
    let is_gate = |c: &Value| gates.iter().any(|g| g["conditionType"] == c["type"]);
    for condition in own.filter(|c| is_gate(c)) {
        conditions.retain(|c| c["type"] != condition["type"]);
        conditions.push(condition.clone());
    }
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    status
}

/// True for the status of a pod of which nothing is known but that it has a node: its binding says the same.
pub fn is_told_by_binding(status: &Value) -> bool {
    let says_more = |(field, value): (&String, &Value)| match field.as_str() {
        "phase" => *value != "Pending",
        "conditions" => {
            list(status, "conditions").iter().any(|c| c["type"] != "PodScheduled" || c["status"] != "True")
        }
        "qosClass" | "observedGeneration" => false,
        _ => true,
    };
    !status.as_object().into_iter().flatten().any(says_more)
}

/// The tenant reads its own generation where the super cluster has seen ours.
fn generations(holder: &mut Value, super_pod: &Value, tenant_pod: &Value) {
    let Some(observed) = holder.get("observedGeneration").and_then(Value::as_i64) else { return };
    let current = super_pod["metadata"]["generation"].as_i64();
    match (current, tenant_pod["metadata"]["generation"].as_i64()) {
        (Some(current), Some(own)) if observed >= current => holder["observedGeneration"] = json!(own),
        _ => remove(holder, &["observedGeneration"]),
    }
}

/// Conditions for readiness gates that the tenant set and the super pod has not.
pub fn gates_down(super_pod: &Value, tenant_pod: &Value) -> Vec<Value> {
    let there = list(&super_pod["status"], "conditions");
    list(&tenant_pod["spec"], "readinessGates")
        .iter()
        .filter_map(|gate| {
            let of_type = |c: &&Value| c["type"] == gate["conditionType"];
            let wanted = list(&tenant_pod["status"], "conditions").iter().find(of_type)?;
            let found = there.iter().find(of_type);
            (found.map(|c| text(c, "status")) != Some(text(wanted, "status"))).then(|| wanted.clone())
        })
        .collect()
}

/// The status of a pod that cannot run, over what it has: still pending, and why.
pub fn refused(tenant_pod: &Value, reason: &str, message: &str, now: &str) -> Value {
    let mut status = tenant_pod["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    if status.get("phase").is_none() {
        status["phase"] = json!("Pending");
    }
    let before = list(&status, "conditions").iter().find(|c| c["type"] == SYNCED);
    let since =
        before.filter(|c| c["status"] == "False").map_or(now, |c| text(c, "lastTransitionTime")).to_owned();
    let mut conditions: Vec<Value> =
        list(&status, "conditions").iter().filter(|c| c["type"] != SYNCED).cloned().collect();
    conditions.push(json!({"type": SYNCED, "status": "False", "reason": reason, "message": message,
        "lastTransitionTime": since}));
    status["conditions"] = conditions.into();
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::TenantView;
    use crate::translation::tests::shop;

    #[test]
    fn the_whole_status_comes_up_without_super_names() {
        let tenant = TenantView::for_tests("acme", 7);
        let place = shop(&tenant);
        let super_pod = json!({"metadata": {"generation": 4}, "status": {"phase": "Running", "podIP": "10.2.0.1",
            "hostIP": "192.168.0.1", "observedGeneration": 4, "message": "in acme-shop-hash",
            "conditions": [{"type": "Ready", "status": "True", "observedGeneration": 3}]}});
        let tenant_pod = json!({"metadata": {"generation": 2},
            "spec": {"readinessGates": [{"conditionType": "lb"}]},
            "status": {"conditions": [{"type": "lb", "status": "True"}, {"type": SYNCED, "status": "False"}]}});
        assert_eq!(
            status(place, &super_pod, &tenant_pod),
            json!({"phase": "Running", "podIP": "10.2.0.1", "hostIP": "192.168.0.1", "observedGeneration": 2,
                "message": "in shop",
                "conditions": [{"type": "Ready", "status": "True"}, {"type": "lb", "status": "True"}]})
        );
        assert_eq!(gates_down(&super_pod, &tenant_pod), [json!({"type": "lb", "status": "True"})]);
    }

    #[test]
    fn what_a_binding_says_needs_no_status() {
        let scheduled = json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": "t"}]);
        let both = json!([scheduled[0], {"type": "Initialized", "status": "True"}]);
        for (status, is_told) in [
            (json!({"phase": "Pending", "qosClass": "Burstable", "conditions": scheduled}), true),
            (json!({"phase": "Pending", "observedGeneration": 1, "conditions": scheduled}), true),
            (json!({"phase": "Running", "conditions": scheduled}), false),
            (json!({"phase": "Pending", "conditions": both}), false),
            (json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}), false),
            (json!({"phase": "Pending", "hostIP": "10.0.0.1", "conditions": scheduled}), false),
        ] {
            assert_eq!(is_told_by_binding(&status), is_told, "{status}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_time() {
        let first = refused(&json!({}), "R", "m", "t1");
        assert_eq!(first["phase"], "Pending");
        let second = refused(&json!({"status": first}), "R", "m2", "t2");
        assert_eq!(second["conditions"][0]["lastTransitionTime"], "t1");
        assert_eq!(second["conditions"][0]["message"], "m2");
    }
}
