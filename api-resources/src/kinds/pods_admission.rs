//! What admission puts into a new pod: its service account and token, tolerations, priority. Pure: the server looks
//! the other objects up and draws the random suffix.

use super::place::{each_mut, list_at, lookup, object_at, set_default};
use super::pods_defaults::same_service_account;
use serde_json::{Value, json};

/// Where a pod's token is mounted.
pub const TOKEN_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The seconds for which a mounted token is asked: an hour, and the 7 by which it is told from others.
pub const TOKEN_SECONDS: i64 = 3607;
/// The service account of pods that name none.
pub const DEFAULT_SERVICE_ACCOUNT: &str = "default";
/// The highest priority of a class that users make.
pub const MAX_USER_PRIORITY: i64 = 1_000_000_000;

const TOKEN_VOLUME: &str = "kube-api-access-";

/// True for a pod that stands for a static one on its node; it has no service account.
pub fn is_mirror(pod: &Value) -> bool {
    lookup(pod, "metadata.annotations").get("kubernetes.io/config.mirror").is_some()
}

/// The name of the service account that a pod runs as.
pub fn service_account_name(pod: &Value) -> &str {
    let spec = lookup(pod, "spec");
    ["serviceAccountName", "serviceAccount"]
        .iter()
        .find_map(|field| lookup(spec, field).as_str().filter(|s| !s.is_empty()))
        .unwrap_or(DEFAULT_SERVICE_ACCOUNT)
}

/// Puts a service account into a new pod: its name, its pull secrets when the pod has none, and, unless the pod or
/// the account opts out, the projected volume `kube-api-access-SUFFIX` with token, CA and namespace, mounted into
/// every container that has nothing at [`TOKEN_MOUNT`]. `suffix` is five random characters. Mirror pods stay.
pub fn service_account_admission(pod: &mut Value, account: &Value, suffix: &str) {
    if is_mirror(pod) {
        return;
    }
    let name = service_account_name(pod).to_owned();
    let automount = lookup(pod, "spec.automountServiceAccountToken")
        .as_bool()
        .or_else(|| lookup(account, "automountServiceAccountToken").as_bool())
        .unwrap_or(true);
    let Some(spec) = object_at(pod, "spec") else { return };
    spec["serviceAccountName"] = Value::from(name);
    same_service_account(spec);
    if automount {
        mount_token(spec, suffix);
    }
    let secrets: Vec<Value> = lookup(account, "imagePullSecrets")
        .as_array()
        .into_iter()
        .flatten()
        .map(|s| json!({"name": s["name"]}))
        .collect();
    let has_secrets = lookup(spec, "imagePullSecrets").as_array().is_some_and(|s| !s.is_empty());
    if !has_secrets && !secrets.is_empty() {
        spec["imagePullSecrets"] = Value::Array(secrets);
    }
}

fn mount_token(spec: &mut Value, suffix: &str) {
    let given = lookup(spec, "volumes").as_array().into_iter().flatten();
    let given = given.filter_map(|v| v["name"].as_str()).find(|n| n.starts_with(TOKEN_VOLUME));
    let given = given.map(str::to_owned);
    let name = given.clone().unwrap_or_else(|| format!("{TOKEN_VOLUME}{suffix}"));
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in each_mut(spec, list) {
            let mounts = lookup(container, "volumeMounts").as_array().map(Vec::as_slice).unwrap_or_default();
            if mounts.iter().any(|m| m["mountPath"] == TOKEN_MOUNT) {
                continue;
            }
            if let Some(mounts) = list_at(container, "volumeMounts") {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": TOKEN_MOUNT}));
                mounted = true;
            }
        }
    }
    if given.is_some() || !mounted {
        return;
    }
    if let Some(volumes) = list_at(spec, "volumes") {
        volumes.push(json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}}));
    }
}

/// Pods stay 300 s on a node that is not ready or not reachable, unless they tolerate that differently.
pub fn default_tolerations(pod: &mut Value) {
    let Some(spec) = object_at(pod, "spec") else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerations = lookup(spec, "tolerations").as_array().map(Vec::as_slice).unwrap_or_default();
        let tolerated = tolerations.iter().any(|t| {
            let (of, effect) = (t["key"].as_str().unwrap_or(""), t["effect"].as_str().unwrap_or(""));
            (of == key || of.is_empty()) && matches!(effect, "NoExecute" | "")
        });
        if tolerated {
            continue;
        }
        if let Some(list) = list_at(spec, "tolerations") {
            list.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            );
        }
    }
}

/// Sets priority and preemption policy by the pod's class: the one that it names, the plane's default one when it
/// names none, or 0 without any.
///
/// # Errors
/// A text for 403 when the pod itself says another priority or policy than its class.
pub fn priority_admission(pod: &mut Value, class: Option<&Value>) -> Result<(), String> {
    let priority = class.and_then(|c| c["value"].as_i64()).unwrap_or(0);
    let policy = class.and_then(|c| c["preemptionPolicy"].as_str()).unwrap_or("PreemptLowerPriority");
    let Some(spec) = object_at(pod, "spec") else { return Ok(()) };
    let said = lookup(spec, "priority").as_i64();
    if said.is_some_and(|p| p != priority) {
        return Err(format!(
            "the integer value of priority ({}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name",
            said.unwrap_or(0)
        ));
    }
    let said = lookup(spec, "preemptionPolicy").as_str();
    if let Some(said) = said.filter(|s| *s != policy) {
        return Err(format!(
            "the string value of PreemptionPolicy ({said}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        ));
    }
    if let Some(name) = class.and_then(|c| c["metadata"]["name"].as_str()) {
        super::place::set_default_text(spec, "priorityClassName", name);
    }
    spec["priority"] = Value::from(priority);
    spec["preemptionPolicy"] = Value::from(policy);
    Ok(())
}

/// A change that does not say the priority of a pod or what it may preempt leaves them as they are.
pub fn keep_priority(new: &mut Value, old: &Value) {
    let Some(spec) = object_at(new, "spec") else { return };
    for field in ["priority", "preemptionPolicy"] {
        let before = lookup(old, "spec").get(field).filter(|before| !before.is_null());
        if let Some(before) = before {
            set_default(spec, field, before.clone());
        }
    }
}

/// The two classes that every plane has: name and value.
pub const SYSTEM_PRIORITY_CLASSES: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({"spec": {"containers": [{"name": "a"}, {"name": "b", "volumeMounts": [
            {"name": "own", "mountPath": TOKEN_MOUNT}]}], "initContainers": [{"name": "i"}]}})
    }

    #[test]
    fn the_token_is_mounted_where_nothing_is() {
        let mut pod = pod();
        let account = json!({"imagePullSecrets": [{"name": "pull"}]});
        service_account_admission(&mut pod, &account, "abcde");
        let spec = &pod["spec"];
        assert_eq!(
            (&spec["serviceAccountName"], &spec["serviceAccount"]),
            (&json!("default"), &json!("default"))
        );
        assert_eq!(spec["volumes"][0]["name"], "kube-api-access-abcde");
        assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], "kube-api-access-abcde");
        assert_eq!(spec["containers"][1]["volumeMounts"].as_array().unwrap().len(), 1);
        assert_eq!(spec["initContainers"][0]["volumeMounts"][0]["mountPath"], TOKEN_MOUNT);
        assert_eq!(spec["imagePullSecrets"], json!([{"name": "pull"}]));
        let once = pod.clone();
        service_account_admission(&mut pod, &account, "fghij");
        assert_eq!(pod, once);
    }

    #[test]
    fn pod_and_account_can_opt_out_of_the_token() {
        let no = json!({"automountServiceAccountToken": false});
        for (pod_says, account, mounted) in
            [(json!(null), json!({}), true), (json!(null), no.clone(), false), (json!(true), no, true)]
        {
            let mut pod = pod();
            pod["spec"]["automountServiceAccountToken"] = pod_says;
            service_account_admission(&mut pod, &account, "abcde");
            assert_eq!(pod["spec"]["volumes"].is_array(), mounted);
        }
    }

    #[test]
    fn tolerations_are_added_unless_tolerated() {
        let mut pod = json!({"spec": {"tolerations": [{"key": "node.kubernetes.io/not-ready"}]}});
        default_tolerations(&mut pod);
        assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
        let mut all = json!({"spec": {"tolerations": [{"operator": "Exists"}]}});
        default_tolerations(&mut all);
        assert_eq!(all["spec"]["tolerations"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_change_keeps_the_priority() {
        let old = json!({"spec": {"priority": 7, "preemptionPolicy": "Never"}});
        let mut new = json!({"spec": {"priority": 8}});
        keep_priority(&mut new, &old);
        assert_eq!(new["spec"], json!({"priority": 8, "preemptionPolicy": "Never"}));
    }

    #[test]
    fn priority_follows_the_class() {
        let class = json!({"metadata": {"name": "high"}, "value": 7, "preemptionPolicy": "Never"});
        let mut pod = json!({"spec": {}});
        assert_eq!(priority_admission(&mut pod, Some(&class)), Ok(()));
        assert_eq!(
            pod["spec"],
            json!({"priority": 7, "preemptionPolicy": "Never", "priorityClassName": "high"})
        );
        assert!(priority_admission(&mut pod, None).unwrap_err().contains("(7)"));
        let mut none = json!({"spec": {}});
        assert_eq!(priority_admission(&mut none, None), Ok(()));
        assert_eq!(none["spec"], json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}));
    }
}
