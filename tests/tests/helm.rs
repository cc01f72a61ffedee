//! Helm 3 and Helm 4 install, change, test and remove a chart in a tenant.
//!
//! For x86-64 alone: `cargo xtask tools` has Helm for no other machine.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use tests::{Helm, Insula, Kubectl, tools, until};

/// Every kind that the chart makes, and what follows from it.
const KINDS: &str = "deployments,replicasets,pods,services,endpointslices,configmaps,secrets,serviceaccounts,roles,\
                     rolebindings,flavors";

/// What every namespace has.
const BORN_WITH: &[&str] = &["ConfigMap/kube-root-ca.crt", "Service/kubernetes", "ServiceAccount/default"];

fn chart() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/kiosk");
    folder.to_str().unwrap().to_owned()
}

/// `KIND/NAME` of the objects that the test asks for, without those that a namespace is born with.
fn objects_where(kubectl: &Kubectl, counts: fn(&Value) -> bool) -> Result<BTreeSet<String>, String> {
    let list = kubectl.look(&["get", KINDS])?;
    let items = list["items"].as_array().unwrap();
    let name = |item: &Value| {
        format!("{}/{}", item["kind"].as_str().unwrap(), item["metadata"]["name"].as_str().unwrap())
    };
    let names = items.iter().filter(|item| counts(item)).map(name);
    Ok(names.filter(|name| !BORN_WITH.contains(&name.as_str())).collect())
}

/// What a chart made: no object of a controller, and not what Helm notes of a release.
fn objects(kubectl: &Kubectl) -> BTreeSet<String> {
    let of_chart =
        |item: &Value| item["metadata"]["ownerReferences"].is_null() && item["type"] != "helm.sh/release.v1";
    objects_where(kubectl, of_chart).unwrap()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What the chart always has.
fn with(others: &[&str]) -> BTreeSet<String> {
    let always = [
        "ConfigMap/kiosk",
        "ConfigMap/kiosk-before",
        "Deployment/kiosk",
        "Flavor/kiosk",
        "Role/kiosk",
        "RoleBinding/kiosk",
        "Secret/kiosk",
        "Service/kiosk",
        "ServiceAccount/kiosk",
    ];
    &set(&always) | &set(others)
}

/// The deployment is as the values say, and `--wait` has waited for it; so are the settings and the custom resource.
fn is_deployed(kubectl: &Kubectl, replicas: u64, color: &str) {
    let deployment = kubectl.json(&["get", "deployment", "kiosk"]);
    assert_eq!(deployment["spec"]["replicas"], replicas, "{deployment:#}");
    assert!(deployment["status"]["availableReplicas"].as_u64() >= Some(replicas), "{deployment:#}");
    // Helm does not wait for pods that are too many.
    let exact = format!("--for=jsonpath={{.status.replicas}}={replicas}");
    kubectl.run(&["wait", "deployment/kiosk", &exact, "--timeout=60s"]);
    let labels = &deployment["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{deployment:#}");
    assert_eq!(kubectl.json(&["get", "configmap", "kiosk"])["data"], json!({"color": color}));
    let flavor = kubectl.json(&["get", "flavor", "kiosk"]);
    assert_eq!(flavor["spec"], json!({"taste": color, "scoops": 2}), "{flavor:#}");
}

/// Revision and status, oldest first.
fn history(helm: &Helm) -> Vec<(u64, String)> {
    let list = helm.json(&["history", "kiosk"]);
    let entry =
        |entry: &Value| (entry["revision"].as_u64().unwrap(), entry["status"].as_str().unwrap().to_owned());
    list.as_array().unwrap().iter().map(entry).collect()
}

/// How the manager of the deployment's replicas wrote them.
fn operation_on_replicas(kubectl: &Kubectl) -> String {
    let deployment = kubectl.json(&["get", "deployment", "kiosk", "--show-managed-fields"]);
    let managers = deployment["metadata"]["managedFields"].as_array().unwrap();
    let manager = managers.iter().find(|entry| entry["fieldsV1"]["f:spec"]["f:replicas"].is_object());
    manager.unwrap_or_else(|| panic!("{deployment:#}"))["operation"].as_str().unwrap().to_owned()
}

/// `operation` is how this release of Helm writes: Helm 3 with patches, Helm 4 with server-side apply.
fn a_chart_lives(insula: &Insula, program: &Path, tenant: &str, operation: &str) {
    let acme = insula.tenant(tenant);
    let home = insula.scratch(&format!("{tenant}-home"));
    std::fs::create_dir(&home).unwrap();
    let helm = Helm::new(program, &insula.scratch(&format!("{tenant}.yaml")), &home);
    let chart = chart();

    installed(&acme, &helm, &chart);
    upgraded(&acme, &helm, &chart);
    assert_eq!(operation_on_replicas(&acme), operation);

    helm.run(&["rollback", "kiosk", "1", "--wait", "--timeout=60s"]);
    is_deployed(&acme, 1, "green");
    // A rollback runs no hook of an upgrade. It tests what the first revision tests.
    assert_eq!(objects(&acme), with(&["ConfigMap/kiosk-old", "Pod/kiosk-test"]));
    let done = |revision, status: &str| (revision, status.to_owned());
    assert_eq!(history(&helm), [done(1, "superseded"), done(2, "superseded"), done(3, "deployed")]);
    helm.run(&["test", "kiosk", "--timeout=60s"]);

    helm.run(&["uninstall", "kiosk", "--wait", "--timeout=60s"]);
    assert_eq!(helm.json(&["list"]), json!([]));
    // Helm leaves definitions and hooks to their owner.
    acme.run(&["get", "customresourcedefinition", "flavors.kiosk.example.com"]);
    assert_eq!(objects(&acme), set(&["ConfigMap/kiosk-before", "Pod/kiosk-test"]));
    acme.run(&["delete", "configmap/kiosk-before", "pod/kiosk-test"]);
    until("nothing of the chart is left", || {
        let left = objects_where(&acme, |_| true)?;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

fn installed(acme: &Kubectl, helm: &Helm, chart: &str) {
    let said = helm.json(&["install", "kiosk", chart, "--wait", "--timeout=60s"]);
    assert_eq!((&said["info"]["status"], &said["version"]), (&json!("deployed"), &json!(1)));
    is_deployed(acme, 1, "green");
    assert_eq!(objects(acme), with(&["ConfigMap/kiosk-old"]));
    let before = acme.json(&["get", "configmap", "kiosk-before"]);
    assert_eq!(before["data"]["color"], "green", "{before:#}");

    helm.run(&["test", "kiosk", "--timeout=60s"]);
    let pod = acme.json(&["get", "pod", "kiosk-test"]);
    assert_eq!(pod["status"]["phase"], "Succeeded", "{pod:#}");
}

fn upgraded(acme: &Kubectl, helm: &Helm, chart: &str) {
    let changes = "--set=replicas=3,color=red,old=false,new=true,testExitCode=1";
    let upgrade = ["upgrade", "kiosk", chart, changes, "--wait", "--timeout=60s"];
    // First as a question: the server answers and keeps nothing.
    helm.run(&[&upgrade[..], &["--dry-run=server"]].concat());
    is_deployed(acme, 1, "green");
    helm.run(&upgrade);
    is_deployed(acme, 3, "red");
    // The hook before an install did not run again; that after an upgrade ran and is gone.
    assert_eq!(objects(acme), with(&["ConfigMap/kiosk-new", "Pod/kiosk-test"]));
    let before = acme.json(&["get", "configmap", "kiosk-before"]);
    assert_eq!(before["data"]["color"], "green", "{before:#}");
    let status = helm.json(&["status", "kiosk"]);
    assert_eq!((&status["info"]["status"], &status["version"]), (&json!("deployed"), &json!(2)));
    let hook = |name: &str| {
        let hooks = status["hooks"].as_array().unwrap();
        hooks.iter().find(|hook| hook["name"] == name).unwrap_or_else(|| panic!("no {name}: {hooks:#?}"))
    };
    assert_eq!(hook("kiosk-after")["last_run"]["phase"], "Succeeded", "{status:#}");
    let list = helm.json(&["list"]);
    assert_eq!(list[0]["chart"], "kiosk-1.0.0", "{list:#}");
    assert_eq!(list[0]["revision"], "2", "{list:#}");

    let failed = helm.say(&["test", "kiosk", "--timeout=60s"]);
    assert_ne!(failed.code, Some(0), "{}", failed.stdout);
    assert!(failed.stderr.contains("pod kiosk-test failed"), "{}", failed.stderr);
}

#[test]
fn a_chart_lives_in_a_tenant() {
    let insula = Insula::start();
    let [three, four] = tools::helm_releases();
    std::thread::scope(|scope| {
        let third = scope.spawn(|| a_chart_lives(&insula, &three, "three", "Update"));
        a_chart_lives(&insula, &four, "four", "Apply");
        third.join().unwrap();
    });
}
