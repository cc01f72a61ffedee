//! Deployments as people run them.

use crate::{assert_has, with_each_kubectl};
use tests::{Kubectl, until};

fn deployed(kubectl: &Kubectl) {
    kubectl.run(&["create", "deployment", "web", "--image=nginx:1", "--replicas=2", "--port=80"]);
    rolled_out(kubectl);
}

fn rolled_out(kubectl: &Kubectl) {
    assert_has(
        &kubectl.run(&["rollout", "status", "deployment/web", "--timeout=60s"]),
        &["successfully rolled out"],
    );
}

/// Images of the pods that are not being deleted, sorted.
fn images(kubectl: &Kubectl) -> Vec<String> {
    let pods = kubectl.json(&["get", "pods", "--selector=app=web"]);
    let alive =
        pods["items"].as_array().unwrap().iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let mut images: Vec<String> =
        alive.map(|pod| pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()).collect();
    images.sort();
    images
}

#[test]
fn a_deployment_is_scaled() {
    with_each_kubectl(|_, kubectl| {
        deployed(kubectl);
        assert_eq!(images(kubectl).len(), 2);
        kubectl.run(&["scale", "deployment/web", "--replicas=4"]);
        rolled_out(kubectl);
        assert_eq!(images(kubectl).len(), 4);
        let said = kubectl.refused(&["scale", "deployment/web", "--current-replicas=2", "--replicas=1"]);
        assert_has(&said, &["Expected replicas to be 2, was 4"]);
        kubectl.run(&["scale", "deployment/web", "--replicas=0"]);
        until("no pod is left", || match images(kubectl) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        });
        let table = kubectl.run(&["get", "deployment", "web", "--no-headers"]);
        assert_has(&table, &["0/0"]);
    });
}

#[test]
fn a_rollout_is_undone() {
    with_each_kubectl(|_, kubectl| {
        deployed(kubectl);
        kubectl.run(&["set", "image", "deployment/web", "nginx=nginx:2"]);
        rolled_out(kubectl);
        assert_eq!(images(kubectl), ["nginx:2", "nginx:2"]);
        let history = kubectl.run(&["rollout", "history", "deployment/web"]);
        assert_has(&history, &["REVISION", "\n1 ", "\n2 "]);
        assert_has(&kubectl.run(&["rollout", "history", "deployment/web", "--revision=1"]), &["nginx:1"]);
        assert_has(&kubectl.run(&["rollout", "undo", "deployment/web"]), &["rolled back"]);
        rolled_out(kubectl);
        assert_eq!(images(kubectl), ["nginx:1", "nginx:1"]);
        assert_has(&kubectl.run(&["rollout", "history", "deployment/web"]), &["\n2 ", "\n3 "]);

        kubectl.run(&["rollout", "pause", "deployment/web"]);
        kubectl.run(&["set", "image", "deployment/web", "nginx=nginx:3"]);
        assert_has(&kubectl.refused(&["rollout", "undo", "deployment/web"]), &["paused"]);
        kubectl.run(&["rollout", "resume", "deployment/web"]);
        rolled_out(kubectl);
        assert_eq!(images(kubectl), ["nginx:3", "nginx:3"]);
        kubectl.run(&["rollout", "restart", "deployment/web"]);
        rolled_out(kubectl);
    });
}

#[test]
fn a_pod_that_is_deleted_comes_back_and_a_deployment_takes_its_pods_along() {
    with_each_kubectl(|_, kubectl| {
        deployed(kubectl);
        let names = || kubectl.run(&["get", "pods", "--selector=app=web", "--output=name"]);
        let before = names();
        let victim = before.lines().next().unwrap();
        kubectl.run(&["delete", victim]);
        until("another pod is there", || match names() {
            now if now.lines().count() == 2 && !now.contains(victim) => Ok(()),
            now => Err(now),
        });
        rolled_out(kubectl);
        kubectl.run(&["delete", "deployment", "web"]);
        until("its replica sets and pods are gone", || {
            match kubectl.run(&["get", "replicasets,pods", "--selector=app=web", "--output=name"]) {
                left if left.is_empty() => Ok(()),
                left => Err(left),
            }
        });

        // Orphans stay.
        deployed(kubectl);
        kubectl.run(&["delete", "deployment", "web", "--cascade=orphan"]);
        let left = kubectl.json(&["get", "replicasets", "--selector=app=web"]);
        assert_eq!(left["items"].as_array().unwrap().len(), 1, "{left:#}");
        until("it has no owner", || {
            let left = kubectl.look(&["get", "replicasets", "--selector=app=web"])?;
            if left["items"][0]["metadata"]["ownerReferences"].is_null() {
                Ok(())
            } else {
                Err(left.to_string())
            }
        });
        kubectl.run(&["delete", "replicaset", "--all"]);
    });
}

#[test]
fn a_service_has_the_addresses_of_its_pods() {
    with_each_kubectl(|_, kubectl| {
        deployed(kubectl);
        kubectl.run(&["expose", "deployment/web", "--port=8080", "--target-port=80"]);
        let service = kubectl.json(&["get", "service", "web"]);
        assert!(
            service["spec"]["clusterIP"].as_str().is_some_and(|address| !address.is_empty()),
            "{service:#}"
        );
        let pods = kubectl.json(&["get", "pods", "--selector=app=web"]);
        let mut expected: Vec<&str> = pods["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pod| pod["status"]["podIP"].as_str().unwrap())
            .collect();
        expected.sort_unstable();
        until("its endpoint slice has the pods", || {
            let slices =
                kubectl.look(&["get", "endpointslices", "--selector=kubernetes.io/service-name=web"])?;
            let endpoints = slices["items"][0]["endpoints"].as_array().cloned().unwrap_or_default();
            let mut found: Vec<&str> =
                endpoints.iter().filter_map(|endpoint| endpoint["addresses"][0].as_str()).collect();
            found.sort_unstable();
            if found == expected && slices["items"][0]["ports"][0]["port"] == 80 {
                Ok(())
            } else {
                Err(format!("{slices:#}"))
            }
        });
        kubectl.run(&["delete", "service", "web"]);
        until("the slice is gone", || {
            match kubectl.run(&[
                "get",
                "endpointslices",
                "--selector=kubernetes.io/service-name=web",
                "--output=name",
            ]) {
                left if left.is_empty() => Ok(()),
                left => Err(left),
            }
        });
    });
}
