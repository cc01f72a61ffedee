//! Certificates that are asked for, approved and used.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;
use tests::{Insula, Kubectl, until};

/// The subject's organization, in the two ways in which `rcgen` says it: it keeps one value of each.
const ORGANIZATIONS: [fn() -> rcgen::DnType; 2] =
    [|| rcgen::DnType::OrganizationName, || rcgen::DnType::CustomDnType(vec![2, 5, 4, 10])];

/// A key, and the object that asks for a certificate of it.
fn request(
    name: &str,
    user: &str,
    groups: &[&str],
    signer: &str,
    usages: &Value,
) -> (rcgen::KeyPair, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, user);
    for (kind, group) in ORGANIZATIONS.iter().zip(groups) {
        params.distinguished_name.push(kind(), *group);
    }
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    let object = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": name}, "spec": {"request": STANDARD.encode(pem), "signerName": signer,
            "usages": usages, "expirationSeconds": 3600}});
    (key, object.to_string())
}

/// The certificate of a request, once it is there.
fn issued(kubectl: &Kubectl, name: &str) -> String {
    until("the certificate is signed", || {
        let found = kubectl.json(&["get", "csr", name]);
        found["status"]["certificate"].as_str().map(str::to_owned).ok_or_else(|| format!("{found:#}"))
    })
}

/// kubectl with the address and the CA of another, and with a certificate.
fn with_certificate(
    other: &Kubectl,
    certificate: &str,
    key: &rcgen::KeyPair,
    kubeconfig: &Path,
    home: &Path,
) -> Kubectl {
    let mut config = other.json(&["config", "view", "--raw"]);
    config["users"][0]["user"] = json!({"client-certificate-data": certificate, "client-key-data": STANDARD.encode(key.serialize_pem())});
    std::fs::write(kubeconfig, config.to_string()).unwrap();
    Kubectl::new(kubeconfig, home)
}

const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const KUBELET: &str = "kubernetes.io/kube-apiserver-client-kubelet";

#[test]
fn an_approved_certificate_is_a_user_of_its_tenant_alone() {
    let insula = Insula::start();
    let [acme, globex] = ["acme", "globex"].map(|name| insula.tenant(name));
    let usages = json!(["client auth", "digital signature"]);
    let (key, object) = request("ann", "ann", &["developers", "operators"], CLIENT, &usages);
    acme.apply(&object);
    acme.run(&["certificate", "approve", "ann"]);
    let certificate = issued(&acme, "ann");
    let ann = |at: &Kubectl, file: &str| {
        with_certificate(at, &certificate, &key, &insula.scratch(file), insula.data_dir().as_path())
    };
    let here = ann(&acme, "here");
    let me = here.json(&["auth", "whoami"]);
    assert_eq!(me["status"]["userInfo"]["username"], "ann");
    // DER sorts the values of an attribute, short ones first.
    assert_eq!(
        me["status"]["userInfo"]["groups"],
        json!(["operators", "developers", "system:authenticated"])
    );
    let refused = here.refused(&["get", "configmaps"]);
    assert!(refused.contains("forbidden"), "{refused}");
    // The second organization is a group with rights of its own.
    acme.run(&["create", "clusterrolebinding", "operators", "--clusterrole=view", "--group=operators"]);
    here.run(&["get", "configmaps"]);
    let elsewhere = ann(&globex, "elsewhere").refused(&["get", "configmaps"]);
    assert!(elsewhere.contains("logged in") || elsewhere.contains("Unauthorized"), "{elsewhere}");
}

#[test]
fn what_a_signer_does_not_sign_says_why_and_what_is_denied_is_not_signed() {
    let insula = Insula::start();
    let acme = insula.tenant("acme");
    let (_, object) = request("served", "ann", &[], CLIENT, &json!(["server auth"]));
    acme.apply(&object);
    acme.run(&["certificate", "approve", "served"]);
    let failed = until("it has failed", || {
        let found = acme.json(&["get", "csr", "served"]);
        let condition = found["status"]["conditions"][1].clone();
        if condition["type"] == "Failed" { Ok(condition) } else { Err(format!("{found:#}")) }
    });
    assert_eq!(failed["reason"], "SignerValidationFailure");
    assert_eq!(failed["message"], "invalid usage for client certificate: server auth");
    let (_, object) = request("denied", "ann", &[], CLIENT, &json!(["client auth"]));
    acme.apply(&object);
    acme.run(&["certificate", "deny", "denied"]);
    // What comes after it is signed first.
    let (_, object) = request("after", "ann", &[], CLIENT, &json!(["client auth"]));
    acme.apply(&object);
    acme.run(&["certificate", "approve", "after"]);
    issued(&acme, "after");
    assert_eq!(acme.json(&["get", "csr", "denied"])["status"]["certificate"], Value::Null);
}

#[test]
fn kubelets_that_may_have_a_certificate_get_it_by_themselves() {
    let insula = Insula::start();
    let acme = insula.tenant("acme");
    let usages = json!(["client auth", "digital signature"]);
    let ask = |name: &str, node: &str| request(name, node, &["system:nodes"], KUBELET, &usages).1;
    let of = |group: &str| acme.with("--as=kubelet").with(&format!("--as-group={group}"));
    let binding = |group: &str, role: &str| {
        let (name, role) = (format!("{group}-{}", role.len()), format!("--clusterrole={role}"));
        acme.run(&["create", "clusterrolebinding", &name, &role, &format!("--group={group}")]);
    };
    acme.run(&[
        "create",
        "clusterrole",
        "asks",
        "--verb=create,get",
        "--resource=certificatesigningrequests",
    ]);
    binding("strangers", "asks");
    binding("bootstrappers", "asks");
    binding("bootstrappers", "system:certificates.k8s.io:certificatesigningrequests:nodeclient");
    of("strangers").run_with_input(&["create", "--filename=-"], &ask("stranger", "system:node:b"));
    of("bootstrappers").run_with_input(&["create", "--filename=-"], &ask("node", "system:node:a"));
    issued(&acme, "node");
    let approved = acme.json(&["get", "csr", "node"]);
    let condition = &approved["status"]["conditions"][0];
    assert_eq!(condition["reason"], "AutoApproved", "{approved:#}");
    assert_eq!(condition["message"], "Auto approving kubelet client certificate after SubjectAccessReview.");
    assert_eq!(acme.json(&["get", "csr", "stranger"])["status"], json!({}));
}
