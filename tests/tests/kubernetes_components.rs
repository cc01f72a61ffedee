//! Kubernetes' own scheduler and controller manager in place of ours. They cannot be fetched as part of the other tests,
//! so these are run by whoever has them at hand, of version 1.36:
//!
//! ```sh
//! INSULA_TEST_COMPONENTS=/usr/local/bin cargo test -p tests --test kubernetes_components -- --ignored
//! ```
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tests::{Insula, until};

const VARIABLE: &str = "INSULA_TEST_COMPONENTS";

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}
      containers: [{name: c, image: 'web:1'}]
---
apiVersion: v1
kind: Pod
metadata: {name: large}
spec:
  containers: [{name: c, image: 'web:1', resources: {requests: {cpu: '1000'}}}]
";

/// A component that runs until it is dropped.
struct Component {
    child: Child,
    log: PathBuf,
}

impl Component {
    fn start(name: &str, kubeconfig: &Path, log: PathBuf, arguments: &[String]) -> Self {
        let folder = std::env::var_os(VARIABLE).map(PathBuf::from);
        let folder = folder.unwrap_or_else(|| panic!("{VARIABLE} names no folder with {name}"));
        let child = Command::new(folder.join(name))
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--secure-port=0"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Component { child, log }
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let start = log.len().saturating_sub(4000);
            println!("{}", log.get(start..).unwrap_or(&log));
        }
    }
}

#[test]
#[ignore = "needs a kube-scheduler: set INSULA_TEST_COMPONENTS to its folder"]
fn a_kube_scheduler_places_the_pods_of_the_embedded_super_cluster() {
    let mut insula = Insula::start();
    insula.interrupt();
    insula.start_again_without_scheduler();
    let kubectl = insula.super_cluster();
    kubectl.apply(WEB);
    let config = insula.scratch("local.kubeconfig");
    std::fs::write(&config, kubectl.run(&["config", "view", "--raw", "--minify"])).unwrap();
    let name = "kube-scheduler";
    let _scheduler =
        Component::start(name, &config, insula.scratch(name), &["--leader-elect=false".to_owned()]);
    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    let pods = kubectl.json(&["get", "pods", "--selector=app=web"]);
    let nodes: std::collections::BTreeSet<&str> = pods["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| pod["spec"]["nodeName"].as_str().unwrap())
        .collect();
    assert_eq!(nodes.len(), 3, "each on a node of its own");
    until("why the large one waits is told", || {
        let events = kubectl.run(&["get", "events", "--field-selector=reason=FailedScheduling"]);
        if events.contains("3 Insufficient cpu") { Ok(()) } else { Err(events) }
    });
}

#[test]
#[ignore = "needs a kube-controller-manager: set INSULA_TEST_COMPONENTS to its folder"]
fn a_kube_controller_manager_works_for_a_tenant_that_wants_none_of_ours() {
    const WITHOUT: &str = "*,-node-lifecycle-controller,-taint-eviction-controller,-device-taint-eviction-controller,\
        -pod-garbage-collector-controller,-node-ipam-controller,-node-route-controller,-service-lb-controller,\
        -ttl-controller,-persistentvolume-binder-controller,-persistentvolume-attach-detach-controller,\
        -persistentvolume-expander-controller,-ephemeral-volume-controller";
    let insula = Insula::start();
    insula.host().apply(
        "
apiVersion: tenancy.insula.dev/v1alpha1
kind: Tenant
metadata: {name: own}
spec: {controllers: {disabled: ['*']}}
",
    );
    insula.host().run(&["wait", "tenant/own", "--for=condition=Ready", "--timeout=60s"]);
    let kubectl = insula.tenant_admin("own");
    let (config, authority) = (insula.scratch("own.kubeconfig"), insula.scratch("ca.crt"));
    std::fs::write(&config, insula.insula(&["tenant", "kubeconfig", "own"])).unwrap();
    let of = "-o=jsonpath={.clusters[0].cluster.certificate-authority-data}";
    let encoded = kubectl.run(&["config", "view", "--raw", of]);
    std::fs::write(&authority, STANDARD.decode(encoded.trim()).unwrap()).unwrap();
    let name = "kube-controller-manager";
    let arguments = [
        format!("--root-ca-file={}", authority.display()),
        "--use-service-account-credentials".to_owned(),
        format!("--controllers={WITHOUT}"),
    ];
    let _manager = Component::start(name, &config, insula.scratch(name), &arguments);
    until("there are service accounts", || kubectl.look(&["get", "serviceaccount", "default"]).map(drop));
    kubectl.run(&["create", "deployment", "web", "--image=web:1", "--replicas=3"]);
    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    kubectl.run(&["delete", "deployment/web", "--cascade=foreground", "--timeout=120s"]);
    let left = kubectl.json(&["get", "pods,replicasets"]);
    assert_eq!(left["items"], serde_json::json!([]));
}
