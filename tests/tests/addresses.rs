//! Starting a data directory again on another port and with another `--external-address`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::Value;
use std::path::Path;
use tests::{Insula, Kubectl};

/// kubectl with a token and nothing else, at an address.
fn robot(insula: &Insula, kubeconfig: &Path, token: &str) -> Kubectl {
    let config: Value = serde_json::from_str(&Kubectl::new(kubeconfig, &insula.scratch("home")).run(&[
        "config",
        "view",
        "--raw",
        "--output=json",
    ]))
    .unwrap();
    let file = insula.scratch("robot.json");
    let of = serde_json::json!({"apiVersion": "v1", "kind": "Config", "clusters": config["clusters"],
        "users": [{"name": "robot", "user": {"token": token}}], "current-context": "robot",
        "contexts": [{"name": "robot", "context": {"cluster": config["clusters"][0]["name"], "user": "robot"}}]});
    std::fs::write(&file, of.to_string()).unwrap();
    Kubectl::new(&file, &insula.scratch("home"))
}

#[test]
fn tenants_of_before_work_at_another_address() {
    let mut insula = Insula::start();
    std::fs::create_dir(insula.scratch("home")).unwrap();
    let acme = insula.tenant("acme");
    acme.run(&["create", "configmap", "kept"]);
    let copy = insula.scratch("copy.yaml");
    std::fs::copy(insula.scratch("acme.yaml"), &copy).unwrap();
    let mut tokens = vec![acme.run(&["create", "token", "default"]).trim().to_owned()];

    // A name, then the address served on again.
    for external in ["localhost", ""] {
        assert!(insula.interrupt().success());
        insula.start_again_elsewhere(external);
        let acme = insula.tenant_admin("acme");
        let server = acme.run(&["config", "view", "--output=jsonpath={.clusters[0].cluster.server}"]);
        assert_eq!(server, insula.tenant_url("acme"));
        assert!(acme.run(&["get", "configmaps", "--output=name"]).contains("kept"));
        let tenant = insula.host().json(&["get", "tenant", "acme"]);
        assert_eq!(tenant["status"]["endpoint"], insula.tenant_url("acme"));
        // A copy of the old kubeconfig has the old address; its certificates are good at the new one.
        let moved = Kubectl::new(&copy, &insula.scratch("home")).with(&format!("--server={server}"));
        assert!(moved.run(&["auth", "whoami"]).contains("admin"));
        // What is made now and what was made at every address before.
        tokens.push(acme.run(&["create", "token", "default"]).trim().to_owned());
        for token in &tokens {
            let robot = robot(&insula, &insula.scratch("acme.yaml"), token);
            assert!(robot.run(&["auth", "whoami"]).contains("system:serviceaccount:default:default"));
        }
        assert!(insula.insula(&["tenant", "list"]).contains(&insula.tenant_url("acme")));
    }
}
