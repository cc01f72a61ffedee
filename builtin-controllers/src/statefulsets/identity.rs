//! What makes a pod the one of an ordinal: its name, its labels, its storage.

use super::Revision;
use crate::access::{elements, number, text};
use crate::pod_control::pod_of;
use serde_json::{Value, json};

pub(super) const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
pub(super) const POD_INDEX: &str = "apps.kubernetes.io/pod-index";
/// The name of the revision that a pod was made of.
pub(super) const REVISION: &str = "controller-revision-hash";

/// The first ordinal.
pub(super) fn start(set: &Value) -> i64 {
    number(set, "/spec/ordinals/start").unwrap_or(0)
}

/// How many pods are wanted.
pub(super) fn wanted(set: &Value) -> i64 {
    number(set, "/spec/replicas").unwrap_or(1).max(0)
}

/// The ordinal of a pod by its name; `None`: the set makes no such name.
pub(super) fn ordinal(set_name: &str, pod_name: &str) -> Option<i64> {
    let digits = pod_name.strip_prefix(set_name)?.strip_prefix('-')?;
    let ordinal = i64::from(digits.parse::<i32>().ok()?);
    (ordinal >= 0 && ordinal.to_string() == digits).then_some(ordinal)
}

/// The name of the pod of an ordinal.
pub(super) fn pod_name(set: &Value, ordinal: i64) -> String {
    format!("{}-{ordinal}", text(set, "/metadata/name"))
}

/// The name of the claim that a template makes for an ordinal.
pub(super) fn claim_name(set: &Value, template: &Value, ordinal: i64) -> String {
    format!("{}-{}", text(template, "/metadata/name"), pod_name(set, ordinal))
}

/// The revision that a pod was made of.
pub(super) fn revision(pod: &Value) -> &str {
    pod["metadata"]["labels"][REVISION].as_str().unwrap_or("")
}

/// The claim that a template makes for an ordinal.
pub(super) fn new_claim(set: &Value, template: &Value, ordinal: i64) -> Value {
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim_name(set, template, ordinal)},
        "spec": template["spec"],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if !template["metadata"][field].is_null() {
            claim["metadata"][field] = template["metadata"][field].clone();
        }
    }
    for (key, value) in set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten() {
        claim["metadata"]["labels"][key] = value.clone();
    }
    claim
}

/// The pod of an ordinal, of a revision.
pub(super) fn new_pod(set: &Value, of: &Revision, ordinal: i64) -> Value {
    let mut pod = pod_of(&of.template, set);
    let name = pod_name(set, ordinal);
    pod["metadata"]["name"] = name.as_str().into();
    // It says what the name begins with, as on pods whose names are generated.
    pod["metadata"]["generateName"] = format!("{}-", text(set, "/metadata/name")).into();
    pod["metadata"]["namespace"] = set["metadata"]["namespace"].clone();
    set_labels(&mut pod, &name, ordinal);
    pod["metadata"]["labels"][REVISION] = of.name.as_str().into();
    pod["spec"]["hostname"] = name.into();
    if !text(set, "/spec/serviceName").is_empty() {
        pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
    }
    set_storage(set, &mut pod, ordinal);
    pod
}

fn set_labels(pod: &mut Value, name: &str, ordinal: i64) {
    if !pod["metadata"]["labels"].is_object() {
        pod["metadata"]["labels"] = json!({});
    }
    pod["metadata"]["labels"][POD_NAME] = name.into();
    pod["metadata"]["labels"][POD_INDEX] = ordinal.to_string().into();
}

/// The volumes of the claims go before all others, and in place of those of their names.
fn set_storage(set: &Value, pod: &mut Value, ordinal: i64) {
    let templates = elements(set, "/spec/volumeClaimTemplates");
    if templates.is_empty() {
        return;
    }
    let mut volumes: Vec<Value> = templates
        .iter()
        .map(|template| {
            let claim = claim_name(set, template, ordinal);
            json!({"name": template["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim}})
        })
        .collect();
    let is_claimed =
        |volume: &&Value| templates.iter().any(|template| template["metadata"]["name"] == volume["name"]);
    volumes.extend(elements(pod, "/spec/volumes").iter().filter(|volume| !is_claimed(volume)).cloned());
    pod["spec"]["volumes"] = volumes.into();
}

fn has_storage(set: &Value, pod: &Value, ordinal: i64) -> bool {
    elements(set, "/spec/volumeClaimTemplates").iter().all(|template| {
        let claim = claim_name(set, template, ordinal);
        elements(pod, "/spec/volumes").iter().any(|volume| {
            volume["name"] == template["metadata"]["name"]
                && volume["persistentVolumeClaim"]["claimName"] == claim.as_str()
        })
    })
}

/// A pod as it has to be to be the one of its ordinal; `None`: it is.
pub(super) fn repaired(set: &Value, pod: &Value, ordinal: i64) -> Option<Value> {
    let name = text(pod, "/metadata/name");
    let is_named = pod["metadata"]["labels"][POD_NAME] == name;
    let is_stored = has_storage(set, pod, ordinal);
    if is_named && is_stored {
        return None;
    }
    let mut new = pod.clone();
    set_labels(&mut new, name, ordinal);
    if !is_stored {
        set_storage(set, &mut new, ordinal);
    }
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_read_from_names_as_they_are_written() {
        for (name, expected) in [
            ("web-0", Some(0)),
            ("web-12", Some(12)),
            ("web-01", None),
            ("web--1", None),
            ("web-+1", None),
            ("web-x", None),
            ("web", None),
            ("web-a-0", None),
            ("web-99999999999", None),
        ] {
            assert_eq!(ordinal("web", name), expected, "{name}");
        }
        assert_eq!(ordinal("web-0", "web-0-3"), Some(3));
    }

    fn set() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "db", "namespace": "ns", "uid": "s"},
            "spec": {"serviceName": "dbs", "selector": {"matchLabels": {"app": "db"}},
                "volumeClaimTemplates": [{"metadata": {"name": "data", "labels": {"x": "y"}},
                    "spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Pending"}}]}})
    }

    #[test]
    fn a_pod_has_its_name_labels_address_and_storage() {
        let of = Revision {
            name: "db-1".into(),
            template: json!({"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c"}],
                "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]}}),
        };
        let pod = new_pod(&set(), &of, 3);
        assert_eq!(
            pod["metadata"]["labels"],
            json!({"app": "db", POD_NAME: "db-3", POD_INDEX: "3", REVISION: "db-1"})
        );
        assert_eq!((&pod["spec"]["hostname"], &pod["spec"]["subdomain"]), (&json!("db-3"), &json!("dbs")));
        let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-3"}},
            {"name": "tmp", "emptyDir": {}}]);
        assert_eq!(pod["spec"]["volumes"], volumes);
        assert_eq!(repaired(&set(), &pod, 3), None);
        let mut odd = pod.clone();
        odd["metadata"]["labels"] = json!({"app": "db"});
        odd["spec"]["volumes"] = json!([]);
        let new = repaired(&set(), &odd, 3).unwrap();
        assert_eq!(new["metadata"]["labels"][POD_NAME], "db-3");
        assert_eq!(new["spec"]["volumes"], json!([volumes[0]]));
    }

    #[test]
    fn a_claim_is_its_template_with_the_labels_of_the_selector() {
        let claim = new_claim(&set(), &set()["spec"]["volumeClaimTemplates"][0], 3);
        assert_eq!(claim["metadata"], json!({"name": "data-db-3", "labels": {"x": "y", "app": "db"}}));
        assert_eq!(
            (&claim["spec"]["accessModes"][0], &claim["status"]),
            (&json!("ReadWriteOnce"), &Value::Null)
        );
    }
}
