//! Tokens of service accounts as kubectl makes, uses and takes them back, and where they must not be seen.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::{Insula, Kubectl, until};

const TOKEN_SECRET: &str = "
apiVersion: v1
kind: Secret
metadata: {name: robot-token, annotations: {kubernetes.io/service-account.name: robot}}
type: kubernetes.io/service-account-token
";

/// What a Secret holds under a key; empty: nothing.
fn held(secret: &Value, key: &str) -> String {
    let encoded = secret["data"][key].as_str().unwrap_or("");
    String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
}

/// The token of the Secret, once it is there and is not another one.
fn token(kubectl: &Kubectl, not: &str) -> String {
    until("the Secret has a token", || {
        let token = held(&kubectl.json(&["get", "secret", "robot-token"]), "token");
        if token.is_empty() || token == not { Err(token) } else { Ok(token) }
    })
}

/// A tenant's admin, and a kubeconfig of the same server without a user.
fn acme(insula: &Insula) -> (Kubectl, Kubectl) {
    let admin = insula.tenant("acme");
    let own = admin.json(&["config", "view", "--raw"]);
    let nobody = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": own["clusters"][0]["cluster"]}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {}}]});
    let file = insula.scratch("nobody");
    std::fs::write(&file, nobody.to_string()).unwrap();
    (admin, Kubectl::new(&file, &insula.data_dir()))
}

fn by(nobody: &Kubectl, token: &str) -> Kubectl {
    nobody.with(&format!("--token={token}"))
}

fn is_refused(kubectl: &Kubectl) {
    let refused = kubectl.refused(&["get", "configmaps"]);
    assert!(refused.contains("logged in") || refused.contains("Unauthorized"), "{refused}");
}

#[test]
fn a_secrets_token_is_made_used_replaced_and_ended() {
    let insula = Insula::start();
    let (admin, nobody) = acme(&insula);
    admin.run(&["create", "serviceaccount", "robot"]);
    admin.run(&["create", "rolebinding", "robot", "--clusterrole=view", "--serviceaccount=default:robot"]);
    admin.run_with_input(&["create", "-f", "-"], TOKEN_SECRET);
    let first = token(&admin, "");
    let secret = admin.json(&["get", "secret", "robot-token"]);
    assert_eq!(held(&secret, "namespace"), "default");
    let published = admin.json(&["get", "configmap", "kube-root-ca.crt"]);
    assert_eq!(published["data"]["ca.crt"], held(&secret, "ca.crt"));
    let account = admin.json(&["get", "serviceaccount", "robot"]);
    let annotation = &secret["metadata"]["annotations"]["kubernetes.io/service-account.uid"];
    assert_eq!(*annotation, account["metadata"]["uid"]);
    let who = by(&nobody, &first).run(&["auth", "whoami"]);
    assert!(who.contains("system:serviceaccount:default:robot"), "{who}");
    by(&nobody, &first).run(&["get", "configmaps"]);
    assert!(by(&nobody, &first).refused(&["get", "secrets"]).contains("Forbidden"));

    // Another key: the Secret has another token, and the first one is good until the former key is not.
    insula.insula(&["certs", "rotate", "token-key", "--tenant=acme", "--overlap=24h"]);
    let second = token(&admin, &first);
    for token in [&first, &second] {
        by(&nobody, token).run(&["get", "configmaps"]);
    }
    insula.insula(&["certs", "rotate", "token-key", "--tenant=acme", "--overlap=0s"]);
    let third = token(&admin, &second);
    for token in [&first, &second] {
        is_refused(&by(&nobody, token));
    }
    let mut watch = by(&nobody, &third).start(&["get", "configmaps", "--watch"], &insula.scratch("watched"));
    until("the watch sees what is there", || {
        let printed = watch.printed();
        if printed.contains("kube-root-ca.crt") { Ok(()) } else { Err(printed) }
    });
    admin.run(&["delete", "secret", "robot-token"]);
    until("the watch has ended", || if watch.has_ended() { Ok(()) } else { Err(watch.printed()) });
    is_refused(&by(&nobody, &third));

    admin.run_with_input(&["create", "-f", "-"], TOKEN_SECRET);
    token(&admin, "");
    admin.run(&["delete", "serviceaccount", "robot"]);
    until("the Secret goes with its account", || {
        let left = admin.run(&["get", "secrets", "-o", "name"]);
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}

#[test]
fn no_log_line_shows_a_token_or_what_a_secret_holds() {
    const HIDDEN: &str = "correct horse battery staple";
    let insula = Insula::start_with_log("trace");
    let (admin, nobody) = acme(&insula);
    admin.run(&["create", "serviceaccount", "robot"]);
    admin.run(&["create", "rolebinding", "robot", "--clusterrole=edit", "--serviceaccount=default:robot"]);
    admin.run(&["create", "secret", "generic", "hidden", &format!("--from-literal=password={HIDDEN}")]);
    admin.run_with_input(&["create", "-f", "-"], TOKEN_SECRET);
    let (kept, asked) = (token(&admin, ""), admin.run(&["create", "token", "robot"]));
    let asked = asked.trim();
    for token in [kept.as_str(), asked] {
        let robot = by(&nobody, token);
        robot.run(&["get", "secret", "hidden", "-o", "yaml"]);
        robot.run(&["annotate", "secret", "hidden", "--overwrite", "seen=yes"]);
        robot.refused(&["get", "nodes"]);
        by(&nobody, &format!("{token}x")).refused(&["get", "secrets"]);
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        admin.run_with_input(&["create", "--raw", path, "-f", "-"], &review.to_string());
    }
    // The Secrets and the pod's own token go to the super cluster, too.
    admin.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: a, image: i, env: [{name: P, valueFrom: {secretKeyRef: {name: hidden, key: password}}}]}]
  volumes: [{name: v, secret: {secretName: robot-token}}]
",
    );
    admin.run(&["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"]);
    let own = admin.json(&["config", "view", "--raw"]);
    let key = own["users"][0]["user"]["client-key-data"].as_str().unwrap().to_owned();
    let said = insula.stderr();
    assert!(said.contains("TRACE") && said.contains("DEBUG"), "it says everything");
    let signature = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    let encoded = [STANDARD.encode(HIDDEN), STANDARD.encode(&kept), key, "PRIVATE KEY".to_owned()];
    for hidden in [HIDDEN.to_owned(), signature(&kept), signature(asked)].into_iter().chain(encoded) {
        let line = said.lines().find(|line| line.contains(&hidden));
        assert_eq!(line, None, "{hidden}");
    }
}
