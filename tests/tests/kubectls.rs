//! Every supported release of kubectl does the everyday work: make, look, change, wait, delete.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use tests::{Insula, Kubectl, tools};

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'nginx:1.27'}]}
";

/// `Client Version: v1.32.9` becomes `1.32`.
fn minor(kubectl: &Kubectl) -> String {
    let printed = kubectl.run(&["version", "--client"]);
    let version = printed.lines().find_map(|line| line.strip_prefix("Client Version: v")).unwrap();
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

#[test]
fn every_release_does_the_everyday_work() {
    let insula = Insula::start();
    insula.tenant("acme");
    let tested = std::thread::scope(|scope| {
        let work = |program| scope.spawn(|| everyday_work(&insula, program));
        tools::kubectl_releases().map(work).map(|thread| thread.join().unwrap())
    });
    if cfg!(target_arch = "x86_64") {
        assert_eq!(tested, ["1.32", "1.33", "1.34", "1.35", "1.36", "1.37"]);
    }
}

/// What is done in a namespace of its own, with a cache of its own. The release that did it.
fn everyday_work(insula: &Insula, program: PathBuf) -> String {
    let home = insula.scratch(program.file_name().unwrap().to_str().unwrap());
    std::fs::create_dir(&home).unwrap();
    let plain = Kubectl::new(&insula.scratch("acme.yaml"), &home).program(program);
    let release = minor(&plain);
    let namespace = format!("v{}", release.replace('.', "-"));
    assert_eq!(
        plain.run(&["create", "namespace", &namespace]).trim(),
        format!("namespace/{namespace} created")
    );
    let kubectl = plain.namespace(&namespace);

    // Applied by the client, changed, and the same again.
    assert_eq!(kubectl.apply(DEPLOYMENT), "deployment.apps/web created\n", "{release}");
    assert_eq!(kubectl.apply(DEPLOYMENT), "deployment.apps/web unchanged\n", "{release}");
    let scaled = DEPLOYMENT.replace("replicas: 2", "replicas: 1");
    let said = kubectl.say_with_input(&["diff", "--filename=-"], &scaled);
    assert_eq!(said.code, Some(1), "{release}: {}", said.stderr);
    let has = |line: &str| said.stdout.lines().any(|shown| shown.trim_end() == line);
    assert!(has("-  replicas: 2") && has("+  replicas: 1"), "{release}: {}", said.stdout);
    assert_eq!(kubectl.apply(&scaled), "deployment.apps/web configured\n", "{release}");
    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    kubectl.run(&["wait", "deployment/web", "--for=condition=Available", "--timeout=60s"]);

    // Applied by the server.
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {key: one}\n";
    let apply = ["apply", "--server-side", "--field-manager=first", "--filename=-"];
    let said = kubectl.run_with_input(&apply, config);
    assert_eq!(said, "configmap/conf serverside-applied\n", "{release}");
    let other = ["apply", "--server-side", "--field-manager=second", "--filename=-"];
    let refused = kubectl.refused_with_input(&other, &config.replace("one", "two"));
    assert!(refused.contains("conflict with \"first\": .data.key"), "{release}: {refused}");
    assert_eq!(kubectl.json(&["get", "configmap", "conf"])["data"]["key"], "one", "{release}");

    // As people look at it.
    let table = kubectl.run(&["get", "deployments"]);
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"], "{release}");
    assert_eq!(words[1][..4], ["web", "1/1", "1", "1"], "{release}");
    let explained = kubectl.run(&["explain", "deployment.spec.replicas"]);
    assert!(explained.contains("FIELD: replicas <integer>"), "{release}: {explained}");
    assert!(kubectl.run(&["describe", "deployment", "web"]).contains("nginx:1.27"), "{release}");

    kubectl.run(&["delete", "deployment/web", "configmap/conf", "--timeout=60s"]);
    let refused = kubectl.refused(&["get", "deployment", "web"]);
    assert!(refused.contains("deployments.apps \"web\" not found"), "{release}: {refused}");
    release
}
