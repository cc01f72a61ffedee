//! Keys and certificates that are replaced while everything runs.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use tests::{Insula, Kubectl, until};

fn rotate(insula: &Insula, arguments: &[&str]) -> Value {
    let text = insula.insula(&[&["certs", "rotate", "--output=json"], arguments].concat());
    serde_json::from_str(&text).unwrap()
}

fn is_refused(kubectl: &Kubectl) {
    let refused = kubectl.refused(&["get", "configmaps"]);
    assert!(refused.contains("logged in") || refused.contains("Unauthorized"), "{refused}");
}

/// A copy of the kubeconfig that a tenant's admin has now.
fn copied(insula: &Insula, tenant: &str, name: &str) -> Kubectl {
    let file = insula.scratch(name);
    std::fs::write(&file, insula.insula(&["tenant", "kubeconfig", tenant])).unwrap();
    Kubectl::new(&file, &insula.data_dir())
}

#[test]
fn a_tenants_client_ca_is_replaced_with_an_overlap_and_at_once() {
    let insula = Insula::start();
    insula.tenant("acme");
    let old = copied(&insula, "acme", "old");
    let mut watch = old.start(&["get", "configmaps", "--watch"], &insula.scratch("watched"));
    let seen = |watch: &tests::Running, name: &str| {
        until("the watch sees it", || {
            let printed = watch.printed();
            if printed.contains(name) { Ok(()) } else { Err(printed) }
        });
    };
    seen(&watch, "kube-root-ca.crt");
    rotate(&insula, &["client-ca", "--tenant=acme", "--overlap=24h"]);
    let listed = insula.insula(&["certs", "list", "--tenant=acme"]);
    assert!(listed.contains("client-ca") && listed.contains("old, until "), "{listed}");
    let new = copied(&insula, "acme", "new");
    old.run(&["create", "configmap", "by-the-old"]);
    new.run(&["create", "configmap", "by-the-new"]);
    seen(&watch, "by-the-new");

    rotate(&insula, &["client-ca", "--tenant=acme", "--overlap=0s"]);
    until("the watch has ended", || if watch.has_ended() { Ok(()) } else { Err(watch.printed()) });
    is_refused(&old);
    is_refused(&new);
    let newest = copied(&insula, "acme", "newest");
    let names = newest.json(&["get", "configmaps"]);
    assert_eq!(names["items"].as_array().unwrap().len(), 3);
    let listed = insula.insula(&["certs", "list", "--tenant=acme"]);
    assert!(!listed.contains("old, until"), "{listed}");
}

#[test]
fn the_platforms_own_are_replaced_and_everything_goes_on() {
    let mut insula = Insula::start();
    let acme = insula.tenant("acme");
    acme.run(&["create", "deployment", "web", "--image=nginx"]);
    acme.run(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let before = copied(&insula, "acme", "before");
    rotate(&insula, &["serving-ca", "--overlap=24h"]);
    before.run(&["get", "configmaps"]);
    rotate(&insula, &["serving-ca", "--overlap=0s"]);
    rotate(&insula, &["client-ca", "--host", "--overlap=0s"]);
    rotate(&insula, &["client-ca", "--local", "--overlap=0s"]);
    rotate(&insula, &["token-key", "--all-tenants", "--overlap=0s"]);
    let untrusted = before.refused(&["get", "configmaps"]);
    assert!(untrusted.contains("certificate"), "{untrusted}");
    let acme = insula.tenant_admin("acme");
    // The syncer reaches the embedded super cluster with its new kubeconfig.
    acme.run(&["scale", "deployment/web", "--replicas=3"]);
    acme.run(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let authority = acme.json(&["config", "view", "--raw"])["clusters"][0]["cluster"].clone();
    until("the root CA is published", || {
        use base64::Engine;
        let map = acme.json(&["get", "configmap", "kube-root-ca.crt"]);
        let published = map["data"]["ca.crt"].as_str().unwrap();
        let published = base64::engine::general_purpose::STANDARD.encode(published);
        if json!(published) == authority["certificate-authority-data"] { Ok(()) } else { Err(published) }
    });
    insula.super_cluster().run(&["get", "nodes"]);
    insula.interrupt();
    insula.start_again();
    acme.run(&["get", "pods"]);
    insula.insula(&["certs", "list"]);
}

#[test]
fn whose_key_it_is_has_to_be_said() {
    let insula = Insula::start();
    for (arguments, said) in [
        (&["client-ca"][..], "whose client-ca? Say --tenant NAME, --all-tenants, --host or --local"),
        (&["serving-ca", "--host"], "the serving-ca is the whole installation's: leave out whose it is"),
        (&["token-key", "--tenant=none"], "there is no plane \"tenants/none\""),
        (&["token-key", "--host", "--overlap=tomorrow"], "such as 24h"),
        (&["token-key", "--host", "--local"], "cannot be used with"),
    ] {
        let output = insula.try_insula(&[&["certs", "rotate"], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && stderr.contains(said), "{arguments:?}: {stderr}");
    }
}
