//! A tenant's own extension server, with the binary and kubectl.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod server;

use serde_json::json;
use server::{GROUP, Server};
use tests::{Insula, until};

#[test]
fn kubectl_uses_what_a_tenants_own_server_serves() {
    let insula = Insula::start();
    let acme = insula.tenant("acme");
    let allowed = r#"{"spec": {"egress": {"allowedCIDRs": ["127.0.0.1/32"]}}}"#;
    insula.host().run(&["patch", "tenant", "acme", "--type=merge", "--patch", allowed]);

    // Who runs such a server lets it read how to know who asks it.
    acme.run(&[
        "create",
        "rolebinding",
        "flavours",
        "--namespace=kube-system",
        "--role=extension-apiserver-authentication-reader",
        "--serviceaccount=default:default",
    ]);
    let trusted = until("the ConfigMap is there", || {
        acme.look(&["get", "configmap", "extension-apiserver-authentication", "--namespace=kube-system"])
    });
    let data = &trusted["data"];
    assert_eq!(data["requestheader-allowed-names"], r#"["front-proxy-client"]"#);
    assert_eq!(data["requestheader-username-headers"], r#"["X-Remote-User"]"#);
    let server = Server::start(data["requestheader-client-ca-file"].as_str().unwrap());

    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "flavours"},
        "spec": {"type": "ExternalName", "externalName": "localhost"}});
    let api_service = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": format!("v1.{GROUP}")},
        "spec": {"group": GROUP, "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
            "caBundle": server.ca_bundle,
            "service": {"namespace": "default", "name": "flavours", "port": server.port}}});
    acme.apply(&api_service.to_string());
    acme.run(&[
        "wait",
        "apiservice",
        &format!("v1.{GROUP}"),
        "--for=condition=Available=false",
        "--timeout=30s",
    ]);
    let refused = acme.refused(&["get", "--raw", "/apis/flavours.example.com/v1/flavours"]);
    assert!(refused.contains("ServiceUnavailable"), "{refused}");
    acme.apply(&service.to_string());
    acme.run(&["wait", "apiservice", &format!("v1.{GROUP}"), "--for=condition=Available", "--timeout=30s"]);

    assert!(acme.run(&["api-resources"]).contains("flavours.example.com/v1"));
    let list = acme.json(&["get", "fl"]);
    assert_eq!(list["items"][0]["metadata"]["labels"]["asked-by"], "admin");
    let as_jane = acme.refused(&["get", "flavours", "--as=jane"]);
    assert!(as_jane.contains("\"jane\" cannot list resource \"flavours\""), "{as_jane}");
    let explained = acme.run(&["explain", "flavours"]);
    assert!(explained.contains("What something tastes of.") && explained.contains("strength"), "{explained}");
    let output = insula.scratch("watched");
    let watch = acme.start(&["get", "flavours", "--watch-only", "--output=name"], &output);
    until("the watch tells of it", || match watch.printed() {
        printed if printed.contains("flavour.flavours.example.com/vanilla") => Ok(()),
        printed => Err(printed),
    });

    // Without its Service it costs its own group, and nothing else.
    acme.run(&["delete", "service", "flavours"]);
    acme.run(&[
        "wait",
        "apiservice",
        &format!("v1.{GROUP}"),
        "--for=condition=Available=false",
        "--timeout=30s",
    ]);
    assert!(
        acme.refused(&["get", "--raw", "/apis/flavours.example.com/v1/flavours"]).contains("Unavailable")
    );
    acme.run(&["get", "configmaps"]);
    acme.run(&["delete", "apiservice", &format!("v1.{GROUP}")]);
    assert!(!acme.run(&["api-resources"]).contains("flavours"));
}

#[test]
fn the_groups_of_definitions_are_registered_while_they_are_there() {
    let insula = Insula::start();
    let acme = insula.tenant("acme");
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "foos", "kind": "Foo"}, "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}},
                {"name": "v2", "served": false, "storage": false,
                    "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    acme.apply(&definition.to_string());
    let found = until("its APIService is there", || acme.look(&["get", "apiservice", "v1.example.com"]));
    assert_eq!(found["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"], "true");
    assert_eq!(
        found["spec"],
        json!({"group": "example.com", "version": "v1", "groupPriorityMinimum": 1000,
        "versionPriority": 100})
    );
    assert_eq!(found["status"]["conditions"][0]["reason"], "Local");
    assert!(acme.refused(&["get", "apiservice", "v2.example.com"]).contains("NotFound"));
    acme.run(&["delete", "crd", "foos.example.com"]);
    acme.run(&["wait", "apiservice", "v1.example.com", "--for=delete", "--timeout=30s"]);
}
