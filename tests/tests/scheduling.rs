//! Where pods of the embedded super cluster go, and why they go nowhere, as kubectl shows it.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::collections::BTreeSet;
use tests::{Insula, Kubectl, until};

const APART: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: apart}
spec:
  replicas: 4
  selector: {matchLabels: {app: apart}}
  template:
    metadata: {labels: {app: apart}}
    spec:
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: apart}}}
      containers: [{name: c, image: 'web:1'}]
";

const CROWD: &str = "
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: crowd}
spec:
  replicas: 3
  selector: {matchLabels: {app: crowd}}
  template:
    metadata: {labels: {app: crowd}}
    spec:
      containers: [{name: c, image: 'web:1', resources: {requests: {cpu: '20'}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: crowd}
spec: {minAvailable: 2, selector: {matchLabels: {app: crowd}}}
";

const IMPORTANT: &str = "
apiVersion: v1
kind: Pod
metadata: {name: important}
spec:
  priorityClassName: high
  containers: [{name: c, image: 'web:1', resources: {requests: {cpu: '20'}}}]
";

fn pods(kubectl: &Kubectl, app: &str) -> Vec<Value> {
    let found = kubectl.json(&["get", "pods", &format!("--selector=app={app}")]);
    found["items"].as_array().unwrap().clone()
}

fn nodes_of(pods: &[Value]) -> BTreeSet<String> {
    pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).map(str::to_owned).collect()
}

/// What the condition `PodScheduled` says of the one pod that has no node.
fn why(pods: &[Value]) -> String {
    let waiting = pods.iter().find(|pod| pod["spec"]["nodeName"].is_null());
    let conditions =
        waiting.and_then(|pod| pod["status"]["conditions"].as_array()).cloned().unwrap_or_default();
    let scheduled = conditions.iter().find(|condition| condition["type"] == "PodScheduled");
    scheduled.and_then(|condition| condition["message"].as_str()).unwrap_or("").to_owned()
}

#[test]
fn rules_between_pods_cordons_and_priorities_are_kept() {
    let insula = Insula::start();
    let kubectl = insula.super_cluster();
    kubectl.apply(APART);
    let full = "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. no new claims to deallocate, preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.";
    until("three pods apart, and one waits", || {
        let found = pods(&kubectl, "apart");
        if nodes_of(&found).len() == 3 && why(&found) == full { Ok(()) } else { Err(format!("{found:#?}")) }
    });
    let waiting = pods(&kubectl, "apart").into_iter().find(|pod| pod["spec"]["nodeName"].is_null()).unwrap();
    let name = waiting["metadata"]["name"].as_str().unwrap().to_owned();
    until("kubectl describes it", || {
        let told = kubectl.run(&["describe", "pod", &name]);
        if told.contains("FailedScheduling") && told.contains(full) { Ok(()) } else { Err(told) }
    });

    // A node that takes no more says so; the pod waits for another to leave one that does.
    kubectl.run(&["cordon", "sim-0"]);
    let cordoned = "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod anti-affinity rules.";
    until("the cordon is told", || {
        let said = why(&pods(&kubectl, "apart"));
        if said.starts_with(cordoned) { Ok(()) } else { Err(said) }
    });
    kubectl.run(&["uncordon", "sim-0"]);
    kubectl.run(&["scale", "deployment/apart", "--replicas=3"]);
    until("nobody waits", || {
        let found = pods(&kubectl, "apart");
        if found.len() == 3 && nodes_of(&found).len() == 3 { Ok(()) } else { Err(format!("{found:#?}")) }
    });

    kubectl.apply(CROWD);
    kubectl.run(&["rollout", "status", "deployment/crowd", "--timeout=60s"]);
    until("the budget is counted", || {
        let budget = kubectl.json(&["get", "pdb", "crowd"]);
        if budget["status"]["disruptionsAllowed"] == 1 { Ok(()) } else { Err(budget.to_string()) }
    });
    kubectl.apply(IMPORTANT);
    kubectl.run(&["wait", "pod/important", "--for=condition=Ready", "--timeout=60s"]);
    let important = kubectl.json(&["get", "pod", "important"]);
    let node = important["spec"]["nodeName"].as_str().unwrap();
    let uid = important["metadata"]["uid"].as_str().unwrap();
    let told = format!("Preempted by pod {uid} on node {node}");
    until("who went is told why", || {
        let events = kubectl.run(&["get", "events", "--field-selector=reason=Preempted"]);
        if events.matches(&told).count() == 1 { Ok(()) } else { Err(events) }
    });
    until("one of the crowd waits", || {
        let found = pods(&kubectl, "crowd");
        let said = why(&found);
        let expected = "0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate, preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.";
        if nodes_of(&found).len() == 2 && said == expected {
            Ok(())
        } else {
            Err(format!("{said}: {found:#?}"))
        }
    });
    kubectl.run(&["delete", "pod", "important"]);
    kubectl.run(&["rollout", "status", "deployment/crowd", "--timeout=60s"]);
}
