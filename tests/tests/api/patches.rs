//! The three formats of patches.

use crate::{assert_has, with_each_kubectl};
use serde_json::json;

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: 'nginx:1', env: [{name: A, value: '1'}, {name: B, value: '2'}]}
      - {name: side, image: 'busybox:1'}
";

#[test]
fn a_strategic_patch_merges_lists_by_their_keys() {
    with_each_kubectl(|_, kubectl| {
        kubectl.run_with_input(&["create", "--filename=-"], DEPLOYMENT);
        let patch = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "side", "image": "busybox:2"},
            {"name": "web", "env": [{"name": "B", "$patch": "delete"}, {"name": "C", "value": "3"}]},
            {"name": "third", "image": "alpine:3"},
        ]}}}});
        kubectl.run(&["patch", "deployment", "web", "--patch", &patch.to_string()]);
        let shown = kubectl.json(&["get", "deployment", "web"]);
        let containers = shown["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        let of = |name: &str| containers.iter().find(|container| container["name"] == name).unwrap();
        assert_eq!(containers.len(), 3, "{shown:#}");
        assert_eq!((&of("web")["image"], &of("side")["image"]), (&json!("nginx:1"), &json!("busybox:2")));
        let env = of("web")["env"].as_array().unwrap();
        assert!(env.contains(&json!({"name": "A", "value": "1"})), "{shown:#}");
        assert!(env.contains(&json!({"name": "C", "value": "3"})) && env.len() == 2, "{shown:#}");
    });
}

#[test]
fn a_merge_patch_replaces_lists_and_removes_with_null() {
    with_each_kubectl(|_, kubectl| {
        kubectl.run_with_input(&["create", "--filename=-"], DEPLOYMENT);
        let patch = json!({"metadata": {"labels": {"tier": "front"}}, "spec": {"paused": true, "template": {"spec": {
            "containers": [{"name": "only", "image": "nginx:2"}]}}}});
        kubectl.run(&["patch", "deployment", "web", "--type=merge", "--patch", &patch.to_string()]);
        let shown = kubectl.json(&["get", "deployment", "web"]);
        assert_eq!(shown["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 1, "{shown:#}");
        assert_eq!(shown["metadata"]["labels"]["tier"], "front");
        assert_eq!(shown["metadata"]["generation"], 2);
        let patch = r#"{"metadata":{"labels":{"tier":null}},"spec":{"paused":null}}"#;
        kubectl.run(&["patch", "deployment", "web", "--type=merge", "--patch", patch]);
        let shown = kubectl.json(&["get", "deployment", "web"]);
        assert!(
            shown["metadata"]["labels"]["tier"].is_null() && shown["spec"]["paused"].is_null(),
            "{shown:#}"
        );
        assert_eq!(
            kubectl.run(&["patch", "deployment", "web", "--type=merge", "--patch", "{}"]),
            "deployment.apps/web patched (no change)\n"
        );
    });
}

#[test]
fn a_json_patch_is_done_as_a_whole_or_not_at_all() {
    with_each_kubectl(|_, kubectl| {
        kubectl.run_with_input(&["create", "--filename=-"], DEPLOYMENT);
        let image = || {
            kubectl.run(&[
                "get",
                "deployment",
                "web",
                "--output=jsonpath={.spec.template.spec.containers[0].image}",
            ])
        };
        let patch = |operations: serde_json::Value| {
            kubectl.say(&["patch", "deployment", "web", "--type=json", "--patch", &operations.to_string()])
        };
        let path = "/spec/template/spec/containers/0/image";
        let said = patch(json!([{"op": "replace", "path": path, "value": "nginx:2"},
            {"op": "test", "path": "/spec/replicas", "value": 9}]));
        assert_ne!(said.code, Some(0), "{said:?}");
        assert_eq!(image(), "nginx:1");
        let said = patch(json!([{"op": "test", "path": "/spec/replicas", "value": 0},
            {"op": "replace", "path": path, "value": "nginx:2"},
            {"op": "remove", "path": "/spec/template/spec/containers/1"}]));
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(image(), "nginx:2");
        let said = patch(json!([{"op": "remove", "path": "/spec/nothing"}]));
        assert_has(&said.stderr, &["the server rejected our request due to an error in our request"]);
    });
}

#[test]
fn a_patch_that_makes_the_object_invalid_is_refused_with_the_field() {
    with_each_kubectl(|_, kubectl| {
        kubectl.run_with_input(&["create", "--filename=-"], DEPLOYMENT);
        let said = kubectl.refused(&["patch", "deployment", "web", "--patch", r#"{"spec":{"replicas":-1}}"#]);
        assert_has(
            &said,
            &[
                "The Deployment \"web\" is invalid",
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ],
        );
        let patch = r#"{"spec":{"selector":{"matchLabels":{"app":"other"}}}}"#;
        let said = kubectl.refused(&["patch", "deployment", "web", "--type=merge", "--patch", patch]);
        assert_has(&said, &["`selector` does not match template `labels`"]);
        let patch = r#"{"metadata":{"name":"other"}}"#;
        assert_has(&kubectl.refused(&["patch", "deployment", "web", "--patch", patch]), &["name"]);
    });
}
