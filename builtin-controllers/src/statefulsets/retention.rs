//! Who owns a claim, by `spec.persistentVolumeClaimRetentionPolicy` (KEP-1847): with its owner it goes.

use crate::access::elements;
use crate::claims::controller_reference;
use serde_json::Value;

/// The pod of a claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder<'a> {
    /// It may not be made yet, and has no UID then.
    pub(super) pod: &'a Value,
    /// Its ordinal is not wanted any more.
    pub(super) condemned: bool,
}

fn deletes(set: &Value, when: &str) -> bool {
    set["spec"]["persistentVolumeClaimRetentionPolicy"][when] == "Delete"
}

fn names(reference: &Value, object: &Value) -> bool {
    reference["apiVersion"] == object["apiVersion"]
        && reference["kind"] == object["kind"]
        && reference["name"] == object["metadata"]["name"]
}

fn is_to(reference: &Value, object: &Value) -> bool {
    object["metadata"]["uid"].is_string() && reference["uid"] == object["metadata"]["uid"]
}

/// True when the claim is of an earlier object of the name.
fn is_stale(claim: &Value, object: &Value) -> bool {
    let references = elements(claim, "/metadata/ownerReferences");
    references.iter().find(|reference| names(reference, object)).is_some_and(|r| !is_to(r, object))
}

/// True when the claim of a pod that is not made yet is still of an earlier one, with which it is about to go.
pub(super) fn is_about_to_go(claim: &Value, set: &Value, pod: &Value) -> bool {
    deletes(set, "whenScaled") && is_stale(claim, pod)
}

/// True when somebody else controls the claim, so that the policy cannot be followed.
pub(super) fn is_controlled_elsewhere(claim: &Value, set: &Value, pod: &Value) -> bool {
    if !deletes(set, "whenScaled") && !deletes(set, "whenDeleted") {
        return false;
    }
    elements(claim, "/metadata/ownerReferences").iter().any(|reference| {
        match [set, pod].into_iter().find(|object| names(reference, object)) {
            Some(object) => !is_to(reference, object),
            None => reference["controller"] == true,
        }
    })
}

/// The owner references that a claim has to have; `None`: it has them, or is better not touched.
pub(super) fn owners(claim: &Value, set: &Value, holder: Holder<'_>) -> Option<Vec<Value>> {
    let Holder { pod, condemned } = holder;
    let references = elements(claim, "/metadata/ownerReferences");
    if is_stale(claim, set) || is_stale(claim, pod) {
        return None;
    }
    let has = |object: &Value| references.iter().any(|reference| is_to(reference, object));
    let ours = |reference: &&Value| names(reference, set) || names(reference, pod);
    let mut new: Vec<Value> = references.iter().filter(|reference| !ours(reference)).cloned().collect();
    if is_controlled_elsewhere(claim, set, pod) {
        return (has(set) || has(pod)).then_some(new);
    }
    let by_pod = deletes(set, "whenScaled") && condemned;
    let by_set = deletes(set, "whenDeleted") && !by_pod;
    let controls = |reference: &Value| {
        reference["controller"] == true || !(is_to(reference, set) || is_to(reference, pod))
    };
    if has(set) == by_set && has(pod) == by_pod && references.iter().all(controls) {
        return None;
    }
    new.extend(by_set.then(|| controller_reference(set)));
    new.extend(by_pod.then(|| controller_reference(pod)));
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, name: &str, uid: &str) -> Value {
        let version = if kind == "Pod" { "v1" } else { "apps/v1" };
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "uid": uid}, "spec": {}})
    }

    #[test]
    fn the_policy_says_who_owns_a_claim() {
        let pod = object("Pod", "db-0", "p");
        for (scaled, deleted, condemned, expected) in [
            ("Retain", "Retain", false, &[][..]),
            ("Retain", "Retain", true, &[]),
            ("Retain", "Delete", false, &["s"]),
            ("Retain", "Delete", true, &["s"]),
            ("Delete", "Retain", false, &[]),
            ("Delete", "Retain", true, &["p"]),
            ("Delete", "Delete", false, &["s"]),
            ("Delete", "Delete", true, &["p"]),
        ] {
            let mut set = object("StatefulSet", "db", "s");
            set["spec"]["persistentVolumeClaimRetentionPolicy"] =
                json!({"whenScaled": scaled, "whenDeleted": deleted});
            let case = format!("{scaled} {deleted} {condemned}");
            let holder = Holder { pod: &pod, condemned };
            for before in [vec![], vec![&set], vec![&pod], vec![&set, &pod]] {
                let mut references: Vec<Value> = before.into_iter().map(controller_reference).collect();
                references.push(json!({"uid": "other"}));
                let claim = json!({"metadata": {"ownerReferences": references}});
                let after = owners(&claim, &set, holder).unwrap_or(references);
                let uids = |list: &[Value]| -> Vec<String> {
                    let all = list.iter().map(|reference| reference["uid"].as_str().unwrap().to_owned());
                    all.filter(|uid| uid != "other").collect()
                };
                assert_eq!(uids(&after), expected, "{case}");
                let claim = json!({"metadata": {"ownerReferences": after}});
                assert_eq!(owners(&claim, &set, holder), None, "{case}: once is enough");
            }
        }
    }

    #[test]
    fn what_is_of_an_earlier_object_or_controlled_elsewhere_is_left_alone() {
        let mut set = object("StatefulSet", "db", "s");
        set["spec"]["persistentVolumeClaimRetentionPolicy"] =
            json!({"whenScaled": "Delete", "whenDeleted": "Delete"});
        let (pod, unmade) = (
            object("Pod", "db-0", "p"),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db-0"}}),
        );
        let holder = Holder { pod: &pod, condemned: false };
        let owned = |by: &[Value]| {
            let all: Vec<Value> = by.iter().map(controller_reference).collect();
            json!({"metadata": {"ownerReferences": all}})
        };
        let earlier = owned(&[object("StatefulSet", "db", "earlier")]);
        assert_eq!(owners(&earlier, &set, holder), None);
        let elsewhere = owned(&[object("Restore", "r", "r")]);
        assert!(is_controlled_elsewhere(&elsewhere, &set, &pod));
        assert_eq!(owners(&elsewhere, &set, holder), None);
        let both = owned(&[object("Restore", "r", "r"), set.clone()]);
        assert_eq!(owners(&both, &set, holder).unwrap().len(), 1);
        assert!(is_about_to_go(&owned(std::slice::from_ref(&pod)), &set, &unmade));
        assert!(!is_about_to_go(&owned(std::slice::from_ref(&set)), &set, &unmade));
        let weak = json!({"metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "s"}]}});
        assert_eq!(owners(&weak, &set, holder).unwrap()[0]["controller"], true);
    }
}
