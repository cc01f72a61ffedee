//! Usage as `kubectl top` shows it, and a workload that is scaled by it.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use tests::{Insula, Kubectl, until};

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {sim.insula.dev/memory-usage: 1Gi}
    spec:
      containers: [{name: web, image: 'web:1', resources: {requests: {cpu: 200m}}}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 5
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
";

const BARE: &str = "
apiVersion: tenancy.insula.dev/v1alpha1
kind: Tenant
metadata: {name: bare}
spec: {sync: {disabled: true}, controllers: {disabled: ['*']}}
";

/// What a path says.
fn raw(kubectl: &Kubectl, path: &str) -> Result<Value, String> {
    let said = kubectl.say(&["get", "--raw", path]);
    serde_json::from_str(&said.stdout).map_err(|_| format!("{}{}", said.stdout, said.stderr))
}

/// CPU and memory of each line of `kubectl top`.
fn top(kubectl: &Kubectl, what: &str, lines: usize) -> Vec<(String, String)> {
    until(&format!("top {what}"), || {
        let said = raw(kubectl, &format!("/apis/metrics.k8s.io/v1beta1/{what}"))?;
        let count = said["items"].as_array().map_or(0, Vec::len);
        if count == lines { Ok(()) } else { Err(said.to_string()) }
    });
    let table = kubectl.run(&["top", what, "--no-headers"]);
    let memory = if what == "nodes" { 3 } else { 2 };
    let read = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[1].to_owned(), words[memory].to_owned())
    };
    table.lines().map(read).collect()
}

fn scaled_to(kubectl: &Kubectl, replicas: i64) -> Value {
    until(&format!("{replicas} replicas"), || {
        let found = kubectl.look(&["get", "hpa", "web", "--output=json"])?;
        let deployment = kubectl.look(&["get", "deployment", "web", "--output=json"])?;
        match deployment["spec"]["replicas"] == replicas && found["status"]["currentReplicas"] == replicas {
            true => Ok(found),
            false => Err(format!("{}\n{}", found["status"], deployment["status"])),
        }
    })
}

#[test]
fn usage_is_seen_and_scales_up_and_down() {
    let insula = Insula::start();
    let kubectl = insula.tenant("acme");
    kubectl.apply(WEB);
    let usage = |cpu: &str, memory: &str| (cpu.to_owned(), memory.to_owned());
    assert_eq!(top(&kubectl, "pods", 2), vec![usage("100m", "1024Mi"); 2]);
    let nodes = top(&kubectl, "nodes", 2);
    assert_eq!(nodes, vec![usage("100m", "1024Mi"); 2], "what others use there is not told");
    let pods = raw(&kubectl, "/apis/metrics.k8s.io/v1beta1/pods").unwrap().to_string();
    assert!(!pods.contains("acme") && !pods.contains("tenant-uid"), "{pods}");

    // Another tenant sees nothing of it, and the super cluster all.
    let globex = insula.tenant("globex");
    let theirs = raw(&globex, "/apis/metrics.k8s.io/v1beta1/pods").unwrap();
    assert_eq!(theirs["items"], Value::Array(Vec::new()));
    let all = insula.super_cluster().run(&["top", "pods", "--all-namespaces", "--no-headers"]);
    assert_eq!(all.lines().count(), 2, "{all}");

    kubectl.run(&["annotate", "pods", "--selector=app=web", "sim.insula.dev/cpu-usage=190%"]);
    let found = scaled_to(&kubectl, 5);
    assert_eq!(found["spec"]["maxReplicas"], 5);
    let events = kubectl.run(&["get", "events", "--field-selector=reason=SuccessfulRescale"]);
    let why = "cpu resource utilization (percentage of request) above target";
    assert!(events.contains(&format!("New size: 5; reason: {why}")), "{events}");

    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    kubectl.run(&["annotate", "pods", "--selector=app=web", "--overwrite", "sim.insula.dev/cpu-usage=1m"]);
    scaled_to(&kubectl, 1);
    let shown = kubectl.run(&["get", "hpa", "web", "--no-headers"]);
    assert!(shown.contains("Deployment/web") && shown.contains("/50%"), "{shown}");
}

#[test]
fn a_tenant_that_runs_nothing_has_no_metrics() {
    let insula = Insula::start();
    insula.host().apply(BARE);
    insula.host().run(&["wait", "tenant/bare", "--for=jsonpath={.status.endpoint}", "--timeout=60s"]);
    let kubectl = insula.tenant_admin("bare");
    let groups = raw(&kubectl, "/apis").unwrap();
    assert!(!groups.to_string().contains("metrics.k8s.io"), "{groups}");
    assert!(kubectl.refused(&["top", "pods"]).contains("Metrics API not available"));
}
