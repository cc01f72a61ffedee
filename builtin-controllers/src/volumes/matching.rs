//! Which volume fits a claim: pure rules.

use crate::access::{elements, text};
use crate::selectors::{Selector, labels_of};
use api_schema::quantity::Quantity;
use serde_json::Value;
use std::borrow::Borrow;
use std::cmp::Ordering;

/// An amount in billionths; what is missing or none is zero.
pub(super) fn size(amount: &Value) -> i128 {
    amount.as_str().and_then(|text| Quantity::parse(text).ok()).map_or(0, Quantity::billionths)
}

/// How much a claim asks for.
pub(super) fn requested(claim: &Value) -> &Value {
    &claim["spec"]["resources"]["requests"]["storage"]
}

/// The class of a claim or a volume, which is "" for neither; the former annotation counts.
pub(super) fn class(object: &Value) -> &str {
    let annotation = object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].as_str();
    annotation.unwrap_or_else(|| text(object, "/spec/storageClassName"))
}

/// True when the volume is meant for this claim, or bound to it.
pub(super) fn refers_to(volume: &Value, claim: &Value) -> bool {
    let reference = &volume["spec"]["claimRef"];
    let uid = text(reference, "/uid");
    reference.is_object()
        && reference["name"] == claim["metadata"]["name"]
        && reference["namespace"] == claim["metadata"]["namespace"]
        && (uid.is_empty() || claim["metadata"]["uid"] == uid)
}

fn mode(object: &Value) -> &str {
    match text(object, "/spec/volumeMode") {
        "" => "Filesystem",
        mode => mode,
    }
}

/// Why a volume cannot be the claim's, in the order in which Kubernetes looks; `None`: it can.
pub(super) fn unfit(volume: &Value, claim: &Value) -> Option<&'static str> {
    if size(&volume["spec"]["capacity"]["storage"]) < size(requested(claim)) {
        return Some("requested PV is too small");
    }
    if class(volume) != class(claim) {
        return Some("storageClassName does not match");
    }
    if mode(volume) != mode(claim) {
        return Some("incompatible volumeMode");
    }
    let offered = elements(volume, "/spec/accessModes");
    if !elements(claim, "/spec/accessModes").iter().all(|wanted| offered.contains(wanted)) {
        return Some("incompatible accessMode");
    }
    None
}

fn is_selected(volume: &Value, claim: &Value) -> bool {
    let selector = &claim["spec"]["selector"];
    if selector.is_null() {
        return true;
    }
    let labels = labels_of(&volume["metadata"]["labels"]);
    Selector::parse(selector).is_some_and(|selector| selector.matches(&labels))
}

/// The volume for a claim that has none: one that was meant for it, else the smallest free one that fits. `reaches` says
/// whether a volume can be used where the claim's consumer is.
pub(super) fn best<'a>(
    claim: &Value,
    volumes: &'a [impl Borrow<Value>],
    reaches: impl Fn(&Value) -> bool,
) -> Option<&'a Value> {
    let there = || {
        let all = volumes.iter().map(Borrow::<Value>::borrow);
        all.filter(|volume| volume["metadata"]["deletionTimestamp"].is_null())
    };
    if let Some(meant) = there().find(|volume| refers_to(volume, claim) && unfit(volume, claim).is_none()) {
        return Some(meant);
    }
    let is_free = |volume: &&Value| {
        volume["spec"]["claimRef"].is_null()
            && volume["status"]["phase"] == "Available"
            && unfit(volume, claim).is_none()
            && is_selected(volume, claim)
            && reaches(volume)
    };
    there().filter(is_free).min_by(|a, b| smaller(a, b))
}

fn smaller(a: &Value, b: &Value) -> Ordering {
    let key = |volume: &Value| size(&volume["spec"]["capacity"]["storage"]);
    key(a).cmp(&key(b)).then_with(|| text(a, "/metadata/name").cmp(text(b, "/metadata/name")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn volume(name: &str, size: &str, change: Value) -> Value {
        let mut volume = json!({"metadata": {"name": name, "labels": {"disk": name}}, "status": {"phase": "Available"},
            "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "slow"}});
        for (field, value) in change.as_object().unwrap() {
            volume["spec"][field] = value.clone();
        }
        volume
    }

    fn claim(change: Value) -> Value {
        let mut claim = json!({"metadata": {"namespace": "n", "name": "c", "uid": "u"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "slow",
                "resources": {"requests": {"storage": "5Gi"}}}});
        for (field, value) in change.as_object().unwrap() {
            claim["spec"][field] = value.clone();
        }
        claim
    }

    #[test]
    fn a_claim_gets_the_smallest_volume_that_fits() {
        let both = json!(["ReadWriteOnce", "ReadWriteMany"]);
        let volumes = [
            volume("small", "1Gi", json!({})),
            volume("large", "100Gi", json!({"accessModes": both})),
            volume("fits", "10Gi", json!({})),
            volume("fits-too", "10Gi", json!({})),
            volume("block", "6Gi", json!({"volumeMode": "Block"})),
            volume("fast", "6Gi", json!({"storageClassName": "fast"})),
            volume("classless", "6Gi", json!({"storageClassName": ""})),
            volume("taken", "5Gi", json!({"claimRef": {"namespace": "n", "name": "other"}})),
        ];
        for (change, expected) in [
            (json!({}), Some("fits")),
            (json!({"resources": {"requests": {"storage": "11Gi"}}}), Some("large")),
            (json!({"resources": {"requests": {"storage": "1Ti"}}}), None),
            (json!({"accessModes": ["ReadWriteMany"]}), Some("large")),
            (json!({"volumeMode": "Block"}), Some("block")),
            (json!({"storageClassName": "fast"}), Some("fast")),
            (json!({"storageClassName": ""}), Some("classless")),
            (json!({"storageClassName": "other"}), None),
            (json!({"selector": {"matchLabels": {"disk": "fits-too"}}}), Some("fits-too")),
            (json!({"selector": {"matchExpressions": [{"key": "disk", "operator": "DoesNotExist"}]}}), None),
        ] {
            let found = best(&claim(change.clone()), &volumes, |_| true);
            assert_eq!(found.map(|volume| text(volume, "/metadata/name")), expected, "{change}");
        }
        let found = best(&claim(json!({})), &volumes, |volume| volume["metadata"]["name"] == "large");
        assert_eq!(
            found.map(|volume| text(volume, "/metadata/name")),
            Some("large"),
            "the others are elsewhere"
        );
    }

    #[test]
    fn a_volume_that_is_meant_for_the_claim_comes_first() {
        let reference = json!({"namespace": "n", "name": "c"});
        let meant = volume("meant", "50Gi", json!({"claimRef": reference}));
        let volumes = [volume("fits", "10Gi", json!({})), meant.clone()];
        assert_eq!(best(&claim(json!({})), &volumes, |_| true), Some(&meant));
        let mut leaving = meant;
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(best(&claim(json!({})), &[leaving], |_| true), None);
        for (uid, expected) in [("", true), ("u", true), ("former", false)] {
            let reference = json!({"namespace": "n", "name": "c", "uid": uid});
            assert_eq!(
                refers_to(&volume("v", "1Gi", json!({"claimRef": reference})), &claim(json!({}))),
                expected
            );
        }
    }
}
