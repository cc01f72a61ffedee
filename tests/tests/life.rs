//! The life of one application with a workload of every kind: rollout, rollback, scaling, the loss of a node, the end.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use tests::{Insula, Kubectl, until};

const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: 'web:1', resources: {requests: {cpu: 100m}}}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  # It never asks for another number than there is.
  minReplicas: 3
  maxReplicas: 4
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  behavior: {scaleUp: {selectPolicy: Disabled}, scaleDown: {selectPolicy: Disabled}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: 'db:1', volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: main, image: 'agent:1'}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec:
  completions: 2
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: 'migrate:1'}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick, namespace: shop}
spec:
  schedule: '0 0 1 1 *'
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: main, image: 'tick:1'}]}
";

/// What is rolled out.
const ROLLED: [&str; 3] = ["deployment/web", "statefulset/db", "daemonset/agent"];

fn rolled_out(kubectl: &Kubectl) {
    for workload in ROLLED {
        kubectl.run(&["rollout", "status", workload, "--timeout=120s"]);
    }
}

fn items(kubectl: &Kubectl, what: &[&str]) -> Vec<Value> {
    kubectl.json(&[&["get"], what].concat())["items"].as_array().unwrap().clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Waits until the pods of an app are so many, ready, of an image and on some of these nodes; their names, sorted.
fn pods(kubectl: &Kubectl, app: &str, count: usize, image: &str, nodes: &[&str]) -> Vec<String> {
    let selector = format!("--selector=app={app}");
    until(&format!("{count} pods of {image} on {nodes:?}"), || {
        let pods = items(kubectl, &["pods", &selector]);
        let is_well = |pod: &&Value| {
            is_ready(pod)
                && pod["metadata"]["deletionTimestamp"].is_null()
                && pod["spec"]["containers"][0]["image"] == image
                && nodes.contains(&text(&pod["spec"]["nodeName"]))
        };
        if pods.len() != count || pods.iter().filter(is_well).count() != count {
            return Err(format!("{pods:#?}"));
        }
        let mut names: Vec<String> =
            pods.iter().map(|pod| text(&pod["metadata"]["name"]).to_owned()).collect();
        names.sort();
        Ok(names)
    })
}

fn claims(kubectl: &Kubectl) -> Vec<String> {
    let claims = items(kubectl, &["persistentvolumeclaims"]);
    claims.iter().map(|claim| text(&claim["metadata"]["name"]).to_owned()).collect()
}

/// Waits until the budget counts so many healthy pods and lets one go.
fn is_counted(kubectl: &Kubectl, healthy: u32) {
    for (field, count) in [("currentHealthy", healthy), ("disruptionsAllowed", 1)] {
        let wanted = format!("--for=jsonpath={{.status.{field}}}={count}");
        kubectl.run(&["wait", "poddisruptionbudget/web", &wanted, "--timeout=60s"]);
    }
}

/// Makes the schedule of the CronJob one that was missed a moment ago; its job runs and ends.
fn ticks(kubectl: &Kubectl) {
    let past = r#"--patch={"status": {"lastScheduleTime": "2020-06-01T00:00:00Z"}}"#;
    kubectl.run(&["patch", "cronjob", "tick", "--subresource=status", "--type=merge", past]);
    let job = until("the CronJob's job", || {
        let jobs = items(kubectl, &["jobs"]);
        let of_tick = |job: &&Value| job["metadata"]["ownerReferences"][0]["name"] == "tick";
        jobs.iter()
            .find(of_tick)
            .map(|job| text(&job["metadata"]["name"]).to_owned())
            .ok_or_else(|| format!("{jobs:#?}"))
    });
    kubectl.run(&["wait", &format!("job/{job}"), "--for=condition=Complete", "--timeout=60s"]);
    kubectl.run(&["wait", "cronjob/tick", "--for=jsonpath={.status.lastSuccessfulTime}", "--timeout=60s"]);
}

#[test]
fn an_application_lives_through_everything() {
    let mut insula = Insula::start();
    let admin = insula.tenant("acme");
    let all_nodes = r#"--patch={"spec": {"sync": {"nodes": "all"}}}"#;
    insula.host().run(&["patch", "tenant", "acme", "--type=merge", all_nodes]);
    admin.apply(SHOP);
    let kubectl = admin.namespace("shop");
    let three = ["sim-0", "sim-1", "sim-2"];

    rolled_out(&kubectl);
    pods(&kubectl, "web", 3, "web:1", &three);
    assert_eq!(pods(&kubectl, "db", 2, "db:1", &three), ["db-0", "db-1"]);
    pods(&kubectl, "agent", 3, "agent:1", &three);
    assert_eq!(claims(&kubectl), ["data-db-0", "data-db-1"]);
    kubectl.run(&["wait", "job/migrate", "--for=condition=Complete", "--timeout=60s"]);
    is_counted(&kubectl, 3);
    ticks(&kubectl);

    for workload in ROLLED {
        let name = workload.split_once('/').unwrap().1;
        kubectl.run(&["set", "image", workload, &format!("main={name}:2")]);
    }
    rolled_out(&kubectl);
    for (name, count) in [("web", 3), ("db", 2), ("agent", 3)] {
        pods(&kubectl, name, count, &format!("{name}:2"), &three);
    }
    for workload in ROLLED {
        kubectl.run(&["rollout", "undo", workload]);
    }
    rolled_out(&kubectl);
    for (name, count) in [("web", 3), ("db", 2), ("agent", 3)] {
        pods(&kubectl, name, count, &format!("{name}:1"), &three);
    }

    kubectl.run(&["scale", "deployment/web", "--replicas=4"]);
    kubectl.run(&["scale", "statefulset/db", "--replicas=3"]);
    rolled_out(&kubectl);
    pods(&kubectl, "web", 4, "web:1", &three);
    pods(&kubectl, "db", 3, "db:1", &three);
    is_counted(&kubectl, 4);

    // The third node does not come back; pods that were on it are made anew on the others.
    let lost: Vec<String> = items(&kubectl, &["pods", "--selector=app"])
        .iter()
        // Those of the StatefulSet come again by the same names, perhaps before somebody looks.
        .filter(|pod| pod["spec"]["nodeName"] == "sim-2" && pod["metadata"]["labels"]["app"] != "db")
        .map(|pod| format!("pod/{}", text(&pod["metadata"]["name"])))
        .collect();
    insula.interrupt();
    insula.start_again_with_nodes(2);
    let lost: Vec<&str> = lost.iter().map(String::as_str).collect();
    kubectl.run(&[&["wait", "--for=delete", "--timeout=180s"], &lost[..]].concat());
    let two = ["sim-0", "sim-1"];
    pods(&kubectl, "web", 4, "web:1", &two);
    assert_eq!(pods(&kubectl, "db", 3, "db:1", &two), ["db-0", "db-1", "db-2"]);
    pods(&kubectl, "agent", 2, "agent:1", &two);
    assert_eq!(claims(&kubectl), ["data-db-0", "data-db-1", "data-db-2"]);
    rolled_out(&kubectl);
    is_counted(&kubectl, 4);

    admin.run(&["delete", "namespace", "shop", "--timeout=120s"]);
    until("nothing of it runs", || {
        let pods = items(&insula.super_cluster(), &["pods", "--all-namespaces"]);
        if pods.is_empty() { Ok(()) } else { Err(format!("{pods:#?}")) }
    });
}
