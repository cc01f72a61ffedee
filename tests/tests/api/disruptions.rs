//! Evictions and what budgets allow of them.

use crate::{assert_has, with_each_kubectl};
use tests::Kubectl;

/// Waits until the budget allows so many.
fn allows(kubectl: &Kubectl, count: u32) {
    let allowed = format!("--for=jsonpath={{.status.disruptionsAllowed}}={count}");
    kubectl.run(&["wait", "poddisruptionbudget/web", &allowed, "--timeout=60s"]);
}

#[test]
fn a_budget_refuses_evictions_until_it_allows_them() {
    with_each_kubectl(|_, kubectl| {
        kubectl.run(&["create", "deployment", "web", "--image=nginx:1", "--replicas=2"]);
        kubectl.run(&["rollout", "status", "deployment/web", "--timeout=60s"]);
        let create = ["create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=100%"];
        let said = kubectl.say(&create);
        assert!(said.code == Some(0) && !said.stderr.contains("nothing acts"), "{said:?}");
        kubectl.run(&[
            "wait",
            "poddisruptionbudget/web",
            "--for=jsonpath={.status.currentHealthy}=2",
            "--timeout=60s",
        ]);
        allows(kubectl, 0);
        let pods = kubectl.json(&["get", "pods", "--selector=app=web"]);
        let meta = &pods["items"][0]["metadata"];
        let (namespace, name) = (meta["namespace"].as_str().unwrap(), meta["name"].as_str().unwrap());
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        let eviction = format!(
            r#"{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": "{name}", "namespace": "{namespace}"}}}}"#
        );
        let evict = ["create", "--raw", &path, "--filename=-"];
        assert_has(&kubectl.refused_with_input(&evict, &eviction), &["violate the pod's disruption budget"]);

        let half = r#"--patch={"spec": {"minAvailable": "50%"}}"#;
        kubectl.run(&["patch", "poddisruptionbudget", "web", "--type=merge", half]);
        allows(kubectl, 1);
        kubectl.run_with_input(&evict, &eviction);
        kubectl.run(&["wait", &format!("pod/{name}"), "--for=delete", "--timeout=60s"]);
        // The pod that takes its place is healthy, and the budget whole again.
        allows(kubectl, 1);
        let table = kubectl.run(&["get", "poddisruptionbudget", "web", "--no-headers"]);
        assert_has(&table, &["50%", "N/A"]);
    });
}

#[test]
fn a_pod_of_two_budgets_is_not_evicted_and_is_told_of() {
    with_each_kubectl(|_, kubectl| {
        kubectl.run(&["create", "deployment", "web", "--image=nginx:1"]);
        kubectl.run(&["rollout", "status", "deployment/web", "--timeout=60s"]);
        for name in ["one", "two"] {
            kubectl.run(&[
                "create",
                "poddisruptionbudget",
                name,
                "--selector=app=web",
                "--max-unavailable=1",
            ]);
        }
        let pods = kubectl.json(&["get", "pods", "--selector=app=web"]);
        let meta = &pods["items"][0]["metadata"];
        let (namespace, name) = (meta["namespace"].as_str().unwrap(), meta["name"].as_str().unwrap());
        // Anything that happens to the pod tells of it.
        kubectl.run(&["label", "pod", name, "seen=1"]);
        let about = format!("pod/{name}");
        tests::until("the event", || {
            let told = kubectl.run(&["events", "--for", &about]);
            if told.contains("matches multiple PodDisruptionBudgets") { Ok(()) } else { Err(told) }
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        let eviction = format!(
            r#"{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": "{name}", "namespace": "{namespace}"}}}}"#
        );
        let refused = kubectl.refused_with_input(&["create", "--raw", &path, "--filename=-"], &eviction);
        assert_has(&refused, &["more than one PodDisruptionBudget"]);
        kubectl.run(&["get", "pod", name]);
    });
}
