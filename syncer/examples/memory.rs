//! What the syncer remembers of pods takes in memory: `cargo run --release -p syncer --example memory`.
//!
//! Pods and their token Secrets, as a super cluster tells them, go into the cache and are settled; what is resident then and
//! was not before is divided by their number (Linux only). What is on its way in queues is not in it.

#![allow(clippy::print_stdout, reason = "an example tells what it found")]

use api_types::{Revision, TenantId};
use serde_json::{Value, json};
use syncer::kinds::{Key, Kind};
use syncer::names;
use syncer::settled::{Settled, Stand};
use syncer::super_cache::SuperCache;
use uuid::Uuid;

const TENANTS: u128 = 100;
/// Many, so that what the process takes for itself does not count.
const PODS: usize = 100_000;

fn main() {
    let (cache, settled) = (SuperCache::default(), Settled::default());
    let before = resident();
    for number in 0..PODS {
        let tenant = TenantId::new(Uuid::from_u128(number as u128 % TENANTS + 1));
        let uid = Uuid::from_u128(u128::MAX - number as u128).to_string();
        cache.apply(Kind::Secret, secret(tenant, number, &uid));
        cache.apply(Kind::Pod, pod(tenant, number, &uid));
        let key = Key::object(Kind::Pod, "default", name(number));
        let stand =
            Stand { above: Some(Revision(number as u64)), below: Some(version(number).as_str().into()) };
        settled.note(tenant, &key, stand);
    }
    let taken = resident().saturating_sub(before);
    println!("{PODS} pods of {TENANTS} tenants: {} bytes each", taken / PODS);
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap_or(0) * 1024
}

fn name(number: usize) -> String {
    format!("bench-{number:06}")
}

fn version(number: usize) -> String {
    (1_000_000 + number).to_string()
}

fn metadata(tenant: TenantId, number: usize, name: &str, uid: &str) -> Value {
    let space = names::super_namespace("acme", tenant, "default");
    json!({
        "name": name, "namespace": space, "uid": Uuid::from_u128(number as u128).to_string(), "generation": 1,
        "resourceVersion": version(number), "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"insula.dev/tenant": "acme", "insula.dev/tenant-uid": tenant.to_string()},
        "annotations": {"insula.dev/name": name, "insula.dev/namespace": "default", "insula.dev/uid": uid},
        "managedFields": [{"manager": "insula-syncer", "fieldsV1": {"f:metadata": {}}}],
    })
}

fn secret(tenant: TenantId, number: usize, uid: &str) -> Value {
    let mut metadata = metadata(tenant, number, &names::token_secret(uid), uid);
    metadata["annotations"]["insula.dev/name"] = name(number).into();
    metadata["annotations"]["insula.dev/rotate-at"] = "1795374440".into();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque",
        "data": {"kube-api-access.token": "x".repeat(1_000)}})
}

/// A pod of one container, as the embedded super cluster has it when it runs.
fn pod(tenant: TenantId, number: usize, uid: &str) -> Value {
    let mut metadata = metadata(tenant, number, &name(number), uid);
    for (label, value) in [("app", "bench"), ("ingress", "open"), ("egress", "open"), ("simulated", "true")] {
        metadata["labels"][format!("insula.dev/{label}")] = value.into();
    }
    let resources = json!({"requests": {"cpu": "10m", "memory": "16Mi"}});
    let address = format!("10.2.{}.{}", number / 250, number % 250);
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "lastProbeTime": null, "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let kinds = ["PodScheduled", "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];
    let toleration = |key: &str| {
        json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute",
            "tolerationSeconds": 300})
    };
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {
            "automountServiceAccountToken": false, "dnsPolicy": "None", "enableServiceLinks": false,
            "nodeName": format!("node-{}", number % 100), "preemptionPolicy": "PreemptLowerPriority", "priority": 0,
            "restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {},
            "serviceAccount": "default", "serviceAccountName": "default", "terminationGracePeriodSeconds": 30,
            "tolerations": [toleration("not-ready"), toleration("unreachable")],
            "volumes": [{"name": "kube-api-access", "projected": {"sources": []}}],
            "containers": [{
                "name": "web", "image": "registry.example.com/web:1", "imagePullPolicy": "IfNotPresent",
                "env": [{"name": "KUBERNETES_SERVICE_HOST", "value": "10.96.0.1"}], "resources": resources,
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "volumeMounts": [{"name": "kube-api-access", "readOnly": true,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
            }],
        },
        "status": {
            "phase": "Running", "qosClass": "Burstable", "hostIP": "10.1.0.1", "hostIPs": [{"ip": "10.1.0.1"}],
            "podIP": address, "podIPs": [{"ip": address}], "startTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
            "conditions": kinds.map(condition),
            "containerStatuses": [{
                "name": "web", "image": "registry.example.com/web:1", "ready": true, "started": true,
                "imageID": "simulated://registry.example.com/web:1", "restartCount": 0, "lastState": {},
                "containerID": "simulated://7jhrvwk2fs7hm7t669ctfdh5rsh42z2b", "resources": resources,
                "allocatedResources": resources["requests"],
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            }],
        },
    })
}
