//! StatefulSets as people run them.

use crate::{assert_has, with_each_kubectl};
use serde_json::Value;
use tests::{Kubectl, until};

const DB: &str = "
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Retain}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: db, image: 'db:1', volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

fn rolled_out(kubectl: &Kubectl) {
    let said = kubectl.run(&["rollout", "status", "statefulset/db", "--timeout=60s"]);
    assert!(said.contains("complete") || said.contains("roll out"), "{said}");
}

fn items(kubectl: &Kubectl, kind: &str) -> Vec<Value> {
    kubectl.json(&["get", kind, "--selector=app=db"])["items"].as_array().unwrap().clone()
}

/// Name and image of each pod.
fn images(kubectl: &Kubectl) -> Vec<String> {
    let pod = |pod: &Value| {
        let name = pod["metadata"]["name"].as_str().unwrap();
        format!("{name}={}", pod["spec"]["containers"][0]["image"].as_str().unwrap())
    };
    items(kubectl, "pods").iter().map(pod).collect()
}

#[test]
fn a_stateful_set_runs_in_order_is_updated_undone_and_scaled() {
    with_each_kubectl(|_, kubectl| {
        kubectl.apply(DB);
        rolled_out(kubectl);
        assert_eq!(images(kubectl), ["db-0=db:1", "db-1=db:1"]);
        let pods = items(kubectl, "pods");
        assert_eq!(pods[0]["spec"]["hostname"], "db-0");
        assert_eq!(pods[0]["spec"]["subdomain"], "db");
        assert_eq!(pods[1]["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "1");
        assert!(
            pods[0]["metadata"]["creationTimestamp"].as_str()
                <= pods[1]["metadata"]["creationTimestamp"].as_str()
        );
        for claim in items(kubectl, "persistentvolumeclaims") {
            assert_eq!(claim["metadata"]["ownerReferences"][0]["kind"], "StatefulSet", "{claim:#}");
        }
        let set = kubectl.json(&["get", "statefulset", "db"]);
        assert_eq!(
            pods[0]["metadata"]["labels"]["controller-revision-hash"],
            set["status"]["currentRevision"]
        );

        kubectl.run(&["set", "image", "statefulset/db", "db=db:2"]);
        rolled_out(kubectl);
        assert_eq!(images(kubectl), ["db-0=db:2", "db-1=db:2"]);
        let history = kubectl.run(&["rollout", "history", "statefulset/db"]);
        assert_has(&history, &["REVISION", "\n1 ", "\n2 "]);
        assert_has(&kubectl.run(&["rollout", "undo", "statefulset/db"]), &["rolled back"]);
        rolled_out(kubectl);
        assert_eq!(images(kubectl), ["db-0=db:1", "db-1=db:1"]);
        assert_has(&kubectl.run(&["rollout", "history", "statefulset/db"]), &["\n2 ", "\n3 "]);
        let again = kubectl.json(&["get", "statefulset", "db"]);
        assert_eq!(again["status"]["currentRevision"], set["status"]["currentRevision"]);

        kubectl.run(&["scale", "statefulset/db", "--replicas=1"]);
        until("the highest pod is gone", || match images(kubectl) {
            left if left == ["db-0=db:1"] => Ok(()),
            left => Err(format!("{left:?}")),
        });
        assert_eq!(items(kubectl, "persistentvolumeclaims").len(), 2, "claims are kept");
        let told = kubectl.run(&["describe", "statefulset", "db"]);
        assert_has(&told, &["Create Claim data-db-0 Pod db-0 in StatefulSet db success", "SuccessfulDelete"]);

        kubectl.run(&["delete", "statefulset", "db"]);
        until("pods and claims are gone", || {
            match kubectl.run(&["get", "pods,pvc,controllerrevisions", "--selector=app=db", "--output=name"])
            {
                left if left.is_empty() => Ok(()),
                left => Err(left),
            }
        });
    });
}
