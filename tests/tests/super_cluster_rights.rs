//! The rights that `insula supercluster manifest` asks for in a super cluster: each of them is used, nothing that is done
//! there is refused for lack of one, and a cluster with fewer does without the parts that were left out.
//!
//! What was done is read from the audit log of the server that stands for the cluster.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use tests::{Insula, Kubectl, super_account, until};

/// A verb and a resource: `get`, `pods/log.`.
type Right = (String, String);

const USER: &str = "system:serviceaccount:insula-system:insula-syncer";

/// What the role gives.
fn given(below: &Kubectl) -> BTreeSet<Right> {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let role = below.json(&["get", "clusterrole", "insula-syncer"]);
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                rights.extend(
                    texts(&rule["verbs"]).into_iter().map(|verb| (verb, format!("{resource}.{group}"))),
                );
            }
        }
    }
    rights
}

/// What the account did, and what of it was refused because it may not. Every user may ask who they are.
fn done(log: &Path) -> (BTreeSet<Right>, Vec<Value>) {
    let (mut used, mut refused) = (BTreeSet::new(), Vec::new());
    for line in std::fs::read_to_string(log).unwrap().lines() {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let of = &event["objectRef"];
        if event["user"]["username"] != USER || of["resource"].is_null() {
            continue;
        }
        if event["annotations"]["authorization.k8s.io/decision"] == "forbid" {
            refused.push(event);
            continue;
        }
        let text = |field: &str| of[field].as_str().unwrap_or("");
        let sub = if text("subresource").is_empty() { "" } else { "/" };
        let resource = format!("{}{sub}{}.{}", text("resource"), text("subresource"), text("apiGroup"));
        if text("apiGroup") != "authentication.k8s.io" {
            used.insert((event["verb"].as_str().unwrap().to_owned(), resource));
        }
    }
    (used, refused)
}

/// An object of every kind that tenants have; endpoints are those of the Service `web`.
fn one_of_each(name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}}}
data: {{color: red}}
---
apiVersion: v1
kind: Secret
metadata: {{name: {name}}}
stringData: {{color: red}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{type: NodePort, ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
endpoints: [{{addresses: [198.51.100.7]}}]
ports: [{{port: 80}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}}}
spec: {{defaultBackend: {{service: {{name: {name}, port: {{number: 80}}}}}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: {name}}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: {name}}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  priorityClassName: {name}
  readinessGates: [{{conditionType: example.com/ok}}]
  containers: [{{name: c, image: 'nginx:1', resources: {{requests: {{cpu: 100m}}}}}}]
"
    )
}

/// The kinds of [`one_of_each`], without the Service.
const KINDS: &str =
    "serviceaccount,configmap,secret,persistentvolumeclaim,endpointslice,ingress,poddisruptionbudget,pod";

fn priority(name: &str, value: u32) -> String {
    format!(
        "{{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {{name: {name}}}, value: {value}}}"
    )
}

/// The one super namespace of a tenant.
fn super_namespace(local: &Kubectl) -> String {
    until("the super namespace is there", || {
        let list = local.look(&["get", "namespaces", "--selector=insula.dev/tenant=acme"])?;
        list["items"][0]["metadata"]["name"].as_str().map(str::to_owned).ok_or_else(|| list.to_string())
    })
}

/// Reaches into a pod in every way, by WebSocket and by SPDY. That no container runs there is said after the rights were
/// looked at.
fn reach_into_pod(acme: &Kubectl) {
    acme.run(&["logs", "web"]);
    for websockets in ["true", "false"] {
        for arguments in [&["exec", "web", "--", "ls"][..], &["attach", "web"]] {
            let mut command = acme.command(arguments);
            let said = command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets).output().unwrap();
            assert!(!said.status.success(), "{said:?}");
        }
        let mut command = acme.command(&["port-forward", "pod/web", ":80"]);
        let said = command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets).output().unwrap();
        assert!(!said.status.success(), "{said:?}");
    }
}

#[test]
fn every_right_is_used_and_none_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, log) = (folder.path().join("policy.yaml"), folder.path().join("audit.log"));
    let rules = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";
    std::fs::write(&policy, rules).unwrap();
    let flags = ["--audit-policy-file", policy.to_str().unwrap(), "--audit-log-path", log.to_str().unwrap()];
    let below = Insula::start_with(&flags, &[]);
    let local = below.super_cluster();
    let account = below.scratch("super.yaml");
    super_account::write_kubeconfig(&local, &account);
    let insula = Insula::start_with_super_cluster(&account);
    let acme = insula.tenant("acme");

    // Made, changed, and read.
    acme.apply(&priority("web", 400));
    acme.apply(&one_of_each("web"));
    acme.run(&["wait", "pod/web", "--for=jsonpath={.status.phase}=Running", "--timeout=60s"]);
    let there = local.namespace(&super_namespace(&local));
    let kinds = format!("{KINDS},service");
    for kind in kinds.split(',') {
        until(&format!("the {kind} is there"), || there.look(&["get", kind, "web"]));
        acme.run(&["label", kind, "web", "a=b"]);
    }
    acme.run(&["label", "namespace", "default", "a=b"]);
    let ok = r#"{"status": {"conditions": [{"type": "example.com/ok", "status": "True"}]}}"#;
    acme.run(&["patch", "pod", "web", "--subresource=status", "--patch", ok]);
    let more = r#"{"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "200m"}}}]}}"#;
    acme.run(&["patch", "pod", "web", "--subresource=resize", "--patch", more]);
    acme.run(&["debug", "web", "--image=busybox:1", "--attach=false", "--profile=baseline"]);
    let opened = r#"{"spec": {"ingress": [{}]}}"#;
    there.run(&["patch", "networkpolicy", "insula-sync-isolation", "--type=merge", "--patch", opened]);
    reach_into_pod(&acme);
    until("the usage of pods is known", || {
        let said = acme.say(&["top", "pods"]);
        if said.code == Some(0) { Ok(()) } else { Err(said.stderr) }
    });

    // What is there of somebody else's is looked at, and left alone.
    local.apply(&priority("insula-500", 500));
    acme.apply(&priority("taken", 500));
    local.apply(&priority("taken", 500));
    there.apply(&one_of_each("taken"));
    there.apply(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: insula-sync-published-open}, \
         spec: {podSelector: {}}}",
    );
    acme.run(&["create", "service", "nodeport", "open", "--tcp=80"]);
    acme.say_with_input(&["apply", "--filename=-"], &one_of_each("taken"));
    acme.run(&[
        "run",
        "important",
        "--image=nginx:1",
        "--overrides={\"spec\": {\"priorityClassName\": \"taken\"}}",
    ]);

    // Removed, and with it its namespace; which then is there, of somebody else's.
    acme.run(&["create", "namespace", "late"]);
    let late = acme.namespace("late");
    late.run(&["run", "web", "--image=nginx:1"]);
    let selector = "--selector=insula.dev/tenant=acme";
    let spaces = || {
        let list = local.look(&["get", "namespaces", selector])?;
        let names = list["items"].as_array().unwrap().iter();
        Ok::<_, String>(
            names.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
        )
    };
    let name = until("the second super namespace is there", || {
        let spaces = spaces()?;
        spaces.iter().find(|name| name.contains("-late-")).cloned().ok_or_else(|| format!("{spaces:?}"))
    });
    acme.run(&["delete", "namespace", "late"]);
    until("it is gone", || if spaces()?.contains(&name) { Err("it is there".to_owned()) } else { Ok(()) });
    local.run(&["create", "namespace", &name]);
    acme.run(&["create", "namespace", "late"]);
    late.run(&["run", "web", "--image=nginx:1"]);
    acme.run(&["create", "service", "nodeport", "shut", "--tcp=80"]);
    until("it is open", || there.look(&["get", "networkpolicy", "insula-sync-published-shut"]));
    acme.run(&["delete", "service/shut"]);
    acme.run(&["delete", KINDS, "web"]);

    let given = given(&local);
    until("all rights are used", || {
        let (used, refused) = done(&log);
        assert_eq!(refused, Vec::<Value>::new(), "refused");
        let beyond: Vec<_> = used.difference(&given).collect();
        assert_eq!(beyond, Vec::<&Right>::new(), "by another role than ours");
        let unused: Vec<_> = given.difference(&used).collect();
        if unused.is_empty() { Ok(()) } else { Err(format!("never used: {unused:?}")) }
    });
}

#[test]
fn a_cluster_that_gives_less_does_without() {
    let below = Insula::start();
    let local = below.super_cluster();
    let account = below.scratch("super.yaml");
    super_account::write_kubeconfig_without(&local, &account, &["streams", "metrics"]);
    let insula = Insula::start_with_super_cluster(&account);
    let acme = insula.tenant("acme");
    acme.run(&["run", "web", "--image=nginx:1"]);
    acme.run(&["wait", "pod/web", "--for=condition=Ready", "--timeout=60s"]);
    let said = acme.refused(&["logs", "web"]);
    assert!(said.contains("does not let the platform reach into pods in this way"), "{said}");
}
