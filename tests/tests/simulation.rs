//! The embedded super cluster as its users see it: a node that fails, containers that end, a Job that tries again,
//! volumes and load balancers.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use tests::{Insula, Kubectl, until};

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      containers: [{name: main, image: 'web:1'}]
";

fn items(kubectl: &Kubectl, what: &[&str]) -> Vec<Value> {
    kubectl.json(&[&["get"], what].concat())["items"].as_array().unwrap().clone()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn names(pods: &[Value]) -> Vec<String> {
    let mut names: Vec<String> =
        pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn pods_leave_a_node_that_fails_and_are_gone_when_it_is_healed() {
    let insula = Insula::start();
    let kubectl = insula.tenant("acme");
    kubectl.apply(WEB);
    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    let on = |node: &str, pods: &[Value]| -> Vec<Value> {
        pods.iter().filter(|pod| pod["spec"]["nodeName"] == node).cloned().collect()
    };
    let before = items(&kubectl, &["pods"]);
    let node = before[0]["spec"]["nodeName"].as_str().unwrap().to_owned();
    let lost = names(&on(&node, &before));

    let said = insula.insula(&["sim", "fail-node", &node]);
    assert!(said.starts_with(&format!("node {node} has failed")), "{said}");
    let nodes = insula.super_cluster();
    until("the node is not ready", || {
        let told = nodes.run(&["get", "node", &node, "--no-headers"]);
        told.contains("NotReady").then_some(()).ok_or(told)
    });
    until("six pods are ready elsewhere, and those that were there end", || {
        let pods = items(&kubectl, &["pods"]);
        let there = on(&node, &pods);
        let elsewhere = pods.iter().filter(|pod| pod["spec"]["nodeName"] != *node && is_ready(pod)).count();
        let ending = there.iter().all(|pod| pod["metadata"]["deletionTimestamp"].is_string());
        (elsewhere == 6 && ending && names(&there) == lost).then_some(()).ok_or(format!("{pods:#?}"))
    });
    let told = kubectl.run(&["get", "events", "--field-selector=reason=TaintManagerEviction"]);
    assert!(lost.iter().all(|pod| told.contains(pod)), "{told}");

    insula.insula(&["sim", "heal-node", &node]);
    until("they are gone", || {
        let pods = names(&items(&kubectl, &["pods"]));
        lost.iter().all(|pod| !pods.contains(pod)).then_some(()).ok_or(format!("{pods:?}"))
    });
    nodes.run(&["wait", &format!("node/{node}"), "--for=condition=Ready", "--timeout=60s"]);
    let refused = insula.try_insula(&["sim", "fail-node", "nobody"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("nodes \"nobody\" not found"));
}

#[test]
fn crash_loops_and_jobs_that_try_again_are_told_by_kubectl() {
    let insula = Insula::start();
    let kubectl = insula.tenant("acme");
    kubectl.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: broken, annotations: {sim.insula.dev/exit-code: '3', sim.insula.dev/run-for: 1s}}
spec: {containers: [{name: main, image: 'x:1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: late, annotations: {sim.insula.dev/ready-after: never}}
spec: {containers: [{name: main, image: 'x:1'}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: tries}
spec:
  backoffLimit: 1
  template:
    metadata: {annotations: {sim.insula.dev/exit-code: '4'}}
    spec: {restartPolicy: Never, containers: [{name: main, image: 'x:1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  containers: [{name: main, image: 'x:1', resources: {requests: {memory: 1Mi}, limits: {memory: 64Mi}}}]
",
    );
    kubectl.run(&["wait", "pod/hungry", "--for=condition=Ready", "--timeout=60s"]);
    let said = insula.insula(&["sim", "load", "hungry", "--tenant=acme", "--memory=65Mi"]);
    assert_eq!(said, "pod hungry: memory 65Mi\n");
    for (pod, expected) in [("broken", "Reason:       Error"), ("hungry", "Reason:       OOMKilled")] {
        until("it waits to be restarted", || {
            let told = kubectl.run(&["describe", "pod", pod]);
            let all = ["CrashLoopBackOff", expected, "Back-off restarting failed container main in pod"];
            all.iter().all(|part| told.contains(part)).then_some(()).ok_or(told)
        });
    }
    until("it runs again", || {
        let told = kubectl.json(&["get", "pod", "broken"]);
        let restarts = told["status"]["containerStatuses"][0]["restartCount"].as_i64();
        (restarts >= Some(1)).then_some(()).ok_or(format!("{told:#}"))
    });
    let late = kubectl.run(&["get", "pod", "late", "--no-headers"]);
    assert!(late.contains("0/1") && late.contains("Running"), "{late}");
    kubectl.run(&["wait", "job/tries", "--for=condition=Failed", "--timeout=120s"]);
    let told = kubectl.run(&["describe", "job", "tries"]);
    assert!(told.contains("BackoffLimitExceeded") && told.contains("2 Failed"), "{told}");
}

#[test]
fn volumes_and_load_balancers_of_a_tenant() {
    let insula = Insula::start();
    let (kubectl, super_cluster) = (insula.tenant("acme"), insula.super_cluster());
    kubectl.apply(
        "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
",
    );
    kubectl.run(&[
        "wait",
        "service/web",
        "--for=jsonpath={.status.loadBalancer.ingress[0].ip}",
        "--timeout=60s",
    ]);
    let told = kubectl.run(&["get", "service", "web", "--no-headers"]);
    assert!(told.contains("203.0.113."), "{told}");
    until("the claim waits for a pod", || {
        let told = super_cluster.run(&["describe", "persistentvolumeclaims", "--all-namespaces"]);
        told.contains("WaitForFirstConsumer").then_some(()).ok_or(told)
    });
    kubectl.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: db}
spec:
  containers: [{name: main, image: 'db:1', volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
",
    );
    kubectl.run(&["wait", "pvc/data", "--for=jsonpath={.status.phase}=Bound", "--timeout=60s"]);
    kubectl.run(&["wait", "pod/db", "--for=condition=Ready", "--timeout=60s"]);
    let more = r#"--patch={"spec": {"resources": {"requests": {"storage": "3Gi"}}}}"#;
    kubectl.run(&["patch", "pvc", "data", "--type=merge", more]);
    kubectl.run(&["wait", "pvc/data", "--for=jsonpath={.status.capacity.storage}=3Gi", "--timeout=60s"]);
    assert_eq!(items(&super_cluster, &["persistentvolumes"]).len(), 1);
    kubectl.run(&["delete", "pod/db", "pvc/data", "--timeout=60s"]);
    until("the volume is gone", || {
        let left = super_cluster.run(&["get", "persistentvolumes", "--output=name"]);
        left.is_empty().then_some(()).ok_or(left)
    });
}
