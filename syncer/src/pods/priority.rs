//! Priorities on the way down: the tenant's number, cut to what the tenant may have, as a class of the super
//! cluster that is made when it is first needed.
//!
//! Kubernetes takes a pod's priority only from a class, so that each number needs one. They are shared by all
//! tenants, and stay. A class that is published to the tenant is used itself.

use crate::tenants::TenantView;
use crate::translation::{Refusal, text};
use api_types::TenantId;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The highest priority that a class of ours can have (Kubernetes keeps what is above for itself).
const HIGHEST: i64 = 1_000_000_000;

/// How many classes are made in a super cluster.
const MOST: usize = 200;
/// How many of them one tenant's pods can bring, so that it cannot use up all.
const OF_TENANT: usize = 20;

/// The class that a super pod gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorityWanted {
    /// Its name.
    pub class: String,
    /// Its number.
    pub value: i64,
    /// `PreemptLowerPriority` or `Never`.
    pub policy: &'static str,
}

/// The class of the super cluster that a tenant's pod names by the tenant's name for it.
pub fn published<'a>(tenant: &'a TenantView, spec: &Value) -> Option<&'a str> {
    let asked = text(spec, "priorityClassName");
    let classes = &tenant.spec.scheduling.priority_classes;
    classes.iter().find(|class| class.tenant == asked).map(|class| class.super_class.as_str())
}

/// The class for a tenant's pod, with the priority cut to `max`; `None` for a pod of no priority.
pub fn wanted(spec: &Value, max: i32) -> Option<PriorityWanted> {
    let value = spec["priority"].as_i64().unwrap_or(0).min(i64::from(max)).clamp(-HIGHEST, HIGHEST);
    if value == 0 {
        return None;
    }
    let sign = if value < 0 { "minus-" } else { "" };
    let (policy, suffix) =
        if spec["preemptionPolicy"] == "Never" { ("Never", "-never") } else { ("PreemptLowerPriority", "") };
    Some(PriorityWanted { class: format!("insula-{sign}{}{suffix}", value.abs()), value, policy })
}

/// The classes that are known to be there, and for whom they were looked at first. Bounded by [`MOST`].
#[derive(Debug, Default)]
pub struct Priorities(BTreeMap<String, TenantId>);

impl Priorities {
    /// Whether a tenant's pod may have a class that has still to be made. `Err` when that is settled: with nothing for a
    /// class that is known, with a refusal for one too many.
    pub fn may_have(&self, tenant: TenantId, class: &str) -> Result<(), Option<Refusal>> {
        if self.0.contains_key(class) {
            return Err(None);
        }
        let refusal = |whose: &str, most: usize| {
            let message = format!("{whose} {most} different priorities already; use one of them");
            Err(Some(Refusal::new("TooManyPriorities", message)))
        };
        if self.0.len() >= MOST {
            return refusal("the platform has", MOST);
        }
        match self.0.values().filter(|of| **of == tenant).count() >= OF_TENANT {
            true => refusal("the tenant's pods have brought", OF_TENANT),
            false => Ok(()),
        }
    }

    /// A class is there, which a tenant's pod needs.
    pub fn note(&mut self, tenant: TenantId, class: String) {
        self.0.entry(class).or_insert(tenant);
    }
}

/// The class as it is made in the super cluster.
pub fn class(wanted: &PriorityWanted) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": wanted.class},
        "value": wanted.value,
        "globalDefault": false,
        "preemptionPolicy": wanted.policy,
        "description": "Pods of tenants of Insula with this priority.",
    })
}

/// True when a class of the name that is there already means the same.
pub fn agrees(there: &Value, wanted: &PriorityWanted) -> bool {
    there["value"].as_i64() == Some(wanted.value)
        && there["preemptionPolicy"].as_str().unwrap_or("PreemptLowerPriority") == wanted.policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_is_published_is_used_itself() {
        let mut tenant = TenantView::for_tests("acme", 7);
        let classes = json!([{"tenant": "high", "super": "tenants-high"}]);
        tenant.spec.scheduling.priority_classes = serde_json::from_value(classes).unwrap();
        for (asked, expected) in [("high", Some("tenants-high")), ("tenants-high", None), ("", None)] {
            assert_eq!(published(&tenant, &json!({"priorityClassName": asked})), expected);
        }
    }

    #[test]
    fn one_tenant_does_not_use_up_all_priorities() {
        let tenant = |n: u128| TenantId::new(uuid::Uuid::from_u128(n));
        let mut priorities = Priorities::default();
        for n in 0..20 {
            assert_eq!(priorities.may_have(tenant(7), &format!("insula-{n}")), Ok(()));
            priorities.note(tenant(7), format!("insula-{n}"));
        }
        let reason = |done: Result<(), Option<Refusal>>| done.unwrap_err().map(|refusal| refusal.reason);
        assert_eq!(reason(priorities.may_have(tenant(7), "insula-20")), Some("TooManyPriorities"));
        assert_eq!(reason(priorities.may_have(tenant(7), "insula-3")), None, "it is there");
        assert_eq!(priorities.may_have(tenant(8), "insula-20"), Ok(()));
        for n in 0..180 {
            priorities.note(tenant(100 + n / 20), format!("more-{n}"));
        }
        assert_eq!(reason(priorities.may_have(tenant(8), "insula-20")), Some("TooManyPriorities"));
    }

    #[test]
    fn priorities_are_cut_and_named_by_their_number() {
        for (spec, max, expected) in [
            (json!({}), 1000, None),
            (json!({"priority": 0}), 1000, None),
            (json!({"priority": 500}), 1000, Some(("insula-500", 500))),
            (json!({"priority": 2_000_001_000_i64}), 1000, Some(("insula-1000", 1000))),
            (json!({"priority": -5}), 1000, Some(("insula-minus-5", -5))),
            (json!({"priority": 5, "preemptionPolicy": "Never"}), 1000, Some(("insula-5-never", 5))),
            (json!({"priority": 5}), 0, None),
        ] {
            let got = wanted(&spec, max);
            assert_eq!(got.as_ref().map(|w| (w.class.as_str(), w.value)), expected, "{spec}");
            assert!(got.is_none_or(|w| agrees(&class(&w), &w)));
        }
    }
}
