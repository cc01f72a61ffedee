//! DaemonSets as people run them.

use crate::{assert_has, with_each_kubectl};
use serde_json::Value;
use tests::{Kubectl, until};

const AGENT: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: agent, image: 'agent:1'}]
";

fn rolled_out(kubectl: &Kubectl) {
    let said = kubectl.run(&["rollout", "status", "daemonset/agent", "--timeout=60s"]);
    assert_has(&said, &["successfully rolled out"]);
}

fn items(kubectl: &Kubectl, arguments: &[&str]) -> Vec<Value> {
    kubectl.json(&[&["get"], arguments].concat())["items"].as_array().unwrap().clone()
}

/// Node and image of each pod that is not being deleted, sorted.
fn placed(kubectl: &Kubectl) -> Vec<String> {
    let pods = items(kubectl, &["pods", "--selector=app=agent"]);
    let alive = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let place = |pod: &Value| {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or("none");
        format!("{node}={}", pod["spec"]["containers"][0]["image"].as_str().unwrap())
    };
    let mut all: Vec<String> = alive.map(place).collect();
    all.sort();
    all
}

#[test]
fn a_daemon_set_runs_on_the_nodes_that_a_tenant_sees() {
    with_each_kubectl(|_, kubectl| {
        // A tenant sees the nodes that its pods are on.
        kubectl.run(&["run", "first", "--image=first:1"]);
        kubectl.run(&["wait", "pod/first", "--for=condition=Ready", "--timeout=60s"]);
        kubectl.apply(AGENT);
        let on_all = |image: &str| {
            until("each node has one", || {
                let nodes = items(kubectl, &["nodes"]);
                let name = |node: &Value| format!("{}={image}", node["metadata"]["name"].as_str().unwrap());
                let mut expected: Vec<String> = nodes.iter().map(name).collect();
                expected.sort();
                match placed(kubectl) {
                    pods if pods == expected && !pods.is_empty() => Ok(()),
                    pods => Err(format!("{pods:?} on {expected:?}")),
                }
            });
        };
        rolled_out(kubectl);
        on_all("agent:1");
        kubectl.run(&["set", "image", "daemonset/agent", "agent=agent:2"]);
        rolled_out(kubectl);
        on_all("agent:2");
        assert_has(&kubectl.run(&["rollout", "undo", "daemonset/agent"]), &["rolled back"]);
        rolled_out(kubectl);
        on_all("agent:1");
        assert_has(&kubectl.run(&["rollout", "history", "daemonset/agent"]), &["\n2 ", "\n3 "]);
        let set = kubectl.json(&["get", "daemonset", "agent"]);
        assert_eq!(set["status"]["desiredNumberScheduled"], set["status"]["numberAvailable"], "{set:#}");
        let patch = r#"{"spec": {"template": {"spec": {"nodeSelector": {"no": "node"}}}}}"#;
        kubectl.run(&["patch", "daemonset", "agent", "--patch", patch]);
        until("no node is for it", || match placed(kubectl) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        });
        kubectl.run(&["delete", "daemonset", "agent"]);
        until("its revisions are gone", || {
            match kubectl.run(&["get", "controllerrevisions", "--selector=app=agent", "--output=name"]) {
                left if left.is_empty() => Ok(()),
                left => Err(left),
            }
        });
    });
}
