//! What is not there, or wrong, is refused by name.

use crate::{assert_has, with_each_kubectl};

#[test]
fn unknown_kinds_and_resources_are_named() {
    with_each_kubectl(|_, kubectl| {
        let said = kubectl.refused(&["get", "flurbs"]);
        assert_has(&said, &["error: the server doesn't have a resource type \"flurbs\""]);
        let object = "apiVersion: example.com/v1\nkind: Flurb\nmetadata: {name: x}\n";
        let said = kubectl.refused_with_input(&["apply", "--filename=-"], object);
        assert_has(&said, &["no matches for kind \"Flurb\" in version \"example.com/v1\""]);
        for path in ["/apis/example.com/v1/flurbs", "/api/v1/flurbs", "/apis/apps/v9/deployments"] {
            let said = kubectl.refused(&["get", "--raw", path]);
            assert_has(&said, &["(NotFound): the server could not find the requested resource"]);
        }
    });
}

#[test]
fn unknown_and_doubled_fields_are_named() {
    with_each_kubectl(|_, kubectl| {
        let object = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: b, imag: c}]}\n";
        let said = kubectl.refused_with_input(&["create", "--filename=-"], object);
        assert_has(&said, &["unknown field \"spec.containers[0].imag\""]);
        let said = kubectl
            .say_with_input(&["create", "--filename=-", "--validate=warn", "--dry-run=server"], object);
        assert_has(&said.stderr, &["Warning: unknown field \"spec.containers[0].imag\""]);
        assert_eq!(said.code, Some(0), "{said:?}");
        let object = "apiVersion: core.oam.dev/v1alpha2\nkind: Component\nmetadata: {name: x}\nspec: {workload: {}, nothing: 1}\n";
        let said = kubectl.refused_with_input(&["create", "--filename=-"], object);
        assert_has(&said, &["spec.nothing"]);
    });
}

#[test]
fn wrong_values_are_named_with_their_field() {
    with_each_kubectl(|_, kubectl| {
        for (object, parts) in [
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: []}\n",
                &["The Pod \"x\" is invalid", "spec.containers: Required value"][..],
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {name: Big_Name}\nspec: {containers: [{name: a, image: b}]}\n",
                &[
                    "metadata.name: Invalid value: \"Big_Name\": a lowercase RFC 1123 subdomain must consist of",
                ],
            ),
            (
                "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 70000}]}\n",
                &["spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive"],
            ),
            (
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: nowhere}\n",
                &["namespaces \"nowhere\" not found"],
            ),
            (
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: b}}, \
                 template: {metadata: {labels: {a: c}}, spec: {containers: [{name: a, image: b}]}}}\n",
                &[
                    "spec.template.metadata.labels: Invalid value",
                    "`selector` does not match template `labels`",
                ],
            ),
            (
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 1}\n",
                &["ConfigMap in version \"v1\" cannot be handled as a ConfigMap"],
            ),
        ] {
            let create = ["create", "--filename=-", "--validate=ignore"];
            // A namespace in the object is refused by kubectl itself when the flag names another.
            let plain = if object.contains("nowhere") {
                kubectl.with("--namespace=nowhere")
            } else {
                kubectl.clone()
            };
            assert_has(&plain.refused_with_input(&create, object), parts);
        }
    });
}

#[test]
fn the_host_plane_runs_no_workloads() {
    with_each_kubectl(|insula, _| {
        let said = insula.host().refused(&["run", "web", "--image=nginx:1"]);
        assert_has(&said, &["no matches for kind \"Pod\" in version \"v1\""]);
        assert_has(
            &insula.host().refused(&["get", "pods"]),
            &["the server doesn't have a resource type \"pods\""],
        );
    });
}
