//! Tenants are kept apart on the network: what of it is written to a super cluster.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use tests::{Insula, Kubectl, super_account, until};

const ISOLATION: &str = "insula-sync-isolation";
const OPEN_EGRESS: &str = "insula-sync-open-egress";

fn items(kubectl: &Kubectl, arguments: &[&str]) -> Vec<Value> {
    kubectl.json(&[&["get"], arguments].concat())["items"].as_array().unwrap().clone()
}

/// The super namespace of a tenant's namespace `default`.
fn super_namespace(below: &Kubectl, tenant: &str) -> String {
    let selector = format!("--selector=insula.dev/tenant={tenant}");
    let spaces = items(below, &["namespaces", &selector]);
    let space = spaces.iter().find(|n| n["metadata"]["annotations"]["insula.dev/name"] == "default");
    space.expect("it is there")["metadata"]["name"].as_str().unwrap().to_owned()
}

fn policy(there: &Kubectl, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    until(&format!("the policy {name} is as it should be"), || {
        let policy = there.look(&["get", "networkpolicy", name])?;
        if is_so(&policy) { Ok(policy) } else { Err(policy.to_string()) }
    })
}

fn no_policy(there: &Kubectl, name: &str) {
    until(&format!("the policy {name} is gone"), || match there.say(&["get", "networkpolicy", name]) {
        said if said.stderr.contains("(NotFound)") => Ok(()),
        said => Err(format!("{said:?}")),
    });
}

/// The revision of a cluster now. `kubectl get` alone does not tell it.
fn revision(below: &Kubectl) -> String {
    let list: Value = serde_json::from_str(&below.run(&["get", "--raw", "/api/v1/namespaces"])).unwrap();
    list["metadata"]["resourceVersion"].as_str().filter(|r| !r.is_empty()).expect("it has one").to_owned()
}

/// At which revisions objects were made since a revision, as a watch of a resource tells it.
fn made_since(below: &Kubectl, resource: &str, revision: &str) -> Vec<u64> {
    let path = format!("{resource}?watch=true&timeoutSeconds=1&resourceVersion={revision}");
    let said = below.run(&["get", "--raw", &path]);
    let events = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let made = events
        .filter(|event| event["type"] == "ADDED")
        .map(|event| event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap());
    made.collect()
}

#[test]
fn tenants_are_isolated_before_their_first_pod_and_stay_so() {
    let insula = Insula::start();
    let below = insula.super_cluster();
    let before = revision(&below);
    let (acme, globex) = (insula.tenant("acme"), insula.tenant("globex"));
    for tenant in [&acme, &globex] {
        tenant.run(&["create", "deployment", "web", "--image=nginx:1", "--replicas=2"]);
        tenant.run(&["wait", "deployment/web", "--for=condition=Available", "--timeout=60s"]);
    }
    let spaces: Vec<String> =
        ["acme", "globex"].iter().map(|tenant| super_namespace(&below, tenant)).collect();
    for (space, name) in spaces.iter().zip(["acme", "globex"]) {
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{space}/networkpolicies");
        let policies = made_since(&below, &path, &before);
        let pods = made_since(&below, &format!("/api/v1/namespaces/{space}/pods"), &before);
        assert_eq!((policies.len(), pods.len()), (3, 2), "{policies:?} {pods:?}");
        assert!(policies.iter().max() < pods.iter().min(), "{policies:?} {pods:?}");

        let uid = &insula.host().json(&["get", "tenant", name])["metadata"]["uid"];
        let namespace = below.json(&["get", "namespace", space]);
        assert_eq!(namespace["metadata"]["labels"]["insula.dev/tenant-uid"], *uid);
        let own = json!([{"namespaceSelector": {"matchLabels": {"insula.dev/tenant-uid": uid}}}]);
        let there = below.namespace(space);
        let all = policy(&there, ISOLATION, |_| true)["spec"].clone();
        assert_eq!(all, json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
        let spec = policy(&there, "insula-sync-open-ingress", |_| true)["spec"].clone();
        assert_eq!(spec["podSelector"], json!({"matchLabels": {"insula.dev/ingress": "open"}}));
        assert_eq!(spec["ingress"], json!([{"from": own}]));
        let spec = policy(&there, OPEN_EGRESS, |_| true)["spec"].clone();
        assert_eq!(spec["podSelector"], json!({"matchLabels": {"insula.dev/egress": "open"}}));
        assert_eq!(spec["egress"][0], json!({"to": own}));
        let api = json!([{"ipBlock": {"cidr": "127.0.0.1/32"}}]);
        assert_eq!(spec["egress"][3]["to"], api, "where the tenant's API is: {spec:#}");
    }

    // Whatever is done to it below, it comes back; what the super cluster's own admin adds, stays.
    let there = below.namespace(&spaces[0]);
    let spec = policy(&there, ISOLATION, |_| true)["spec"].clone();
    there.apply(
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: monitoring}
spec:
  podSelector: {}
  ingress: [{from: [{namespaceSelector: {matchLabels: {name: monitoring}}}]}]
",
    );
    there.run(&["delete", "networkpolicy", ISOLATION]);
    policy(&there, ISOLATION, |p| p["spec"] == spec);
    let opened = r#"{"spec": {"ingress": [{}], "podSelector": {"matchLabels": {"no": "pod"}}}}"#;
    there.run(&["patch", "networkpolicy", ISOLATION, "--type=merge", "--patch", opened]);
    policy(&there, ISOLATION, |p| p["spec"] == spec);

    let mut names: Vec<String> =
        items(&there, &["networkpolicies"]).iter().map(|p| p["metadata"]["name"].to_string()).collect();
    names.sort();
    let expected = ["insula-sync-isolation", OPEN_EGRESS, "insula-sync-open-ingress", "monitoring"];
    assert_eq!(names, expected.map(|name| format!("{name:?}")));

    insula.insula(&["tenant", "delete", "acme", "--wait"]);
    let left = items(&below, &["networkpolicies", "--all-namespaces"]);
    let left: Vec<&Value> = left.iter().map(|policy| &policy["metadata"]["namespace"]).collect();
    assert_eq!(left, [&spaces[1]; 3]);
}

#[test]
fn what_is_published_is_open_and_what_the_platform_allows_is_reached() {
    let insula = Insula::start();
    let (acme, below) = (insula.tenant("acme"), insula.super_cluster());
    acme.run(&["create", "deployment", "web", "--image=nginx:1"]);
    acme.run(&["expose", "deployment", "web", "--type=NodePort", "--port=80", "--target-port=8080"]);
    until("the Service has its namespace below", || {
        let spaces = items(&below, &["namespaces", "--selector=insula.dev/tenant=acme"]);
        if spaces.is_empty() { Err("there is none".to_owned()) } else { Ok(()) }
    });
    let there = below.namespace(&super_namespace(&below, "acme"));
    let name = "insula-sync-published-web";
    let open = policy(&there, name, |_| true)["spec"].clone();
    assert_eq!(
        open,
        json!({"podSelector": {"matchLabels": {"app": "web", "insula.dev/ingress": "open"}},
            "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 8080, "protocol": "TCP"}]}]})
    );
    there.run(&["delete", "networkpolicy", name]);
    policy(&there, name, |p| p["spec"] == open);
    let becomes = |kind: &str| {
        let patch = format!("{{\"spec\": {{\"type\": \"{kind}\"}}}}");
        acme.run(&["patch", "service", "web", "--patch", &patch]);
    };
    becomes("ClusterIP");
    no_policy(&there, name);
    becomes("LoadBalancer");
    policy(&there, name, |p| p["spec"] == open);
    acme.run(&["delete", "service", "web"]);
    no_policy(&there, name);

    let allow = r#"{"spec": {"egress": {"allowedCIDRs": ["10.9.0.0/16"]}}}"#;
    insula.host().run(&["patch", "tenant", "acme", "--type=merge", "--patch", allow]);
    policy(&there, OPEN_EGRESS, |p| {
        let to = p["spec"]["egress"][2]["to"].as_array().unwrap();
        to.last() == Some(&json!({"ipBlock": {"cidr": "10.9.0.0/16"}}))
    });
    let wrong = r#"{"spec": {"egress": {"allowedCIDRs": ["10.9.0.1"]}}}"#;
    let refused = insula.host().refused(&["patch", "tenant", "acme", "--type=merge", "--patch", wrong]);
    assert!(refused.contains("spec.egress.allowedCIDRs[0]"), "{refused}");
}

/// Over TLS, with the rights that an account of the syncer has and no more.
#[test]
fn tenants_policies_hold_on_a_cluster_of_ones_own() {
    let cluster = Insula::start();
    let file = cluster.scratch("super.yaml");
    super_account::write_kubeconfig(&cluster.super_cluster(), &file);
    let insula = Insula::start_with_super_cluster(&file);
    let (acme, below) = (insula.tenant("acme"), cluster.super_cluster());
    acme.run(&["create", "namespace", "back"]);
    acme.run(&["label", "namespace", "back", "team=b"]);
    acme.run(&["run", "db", "--image=postgres:17", "--labels=app=db"]);
    acme.run(&["run", "web", "--image=nginx:1", "--labels=app=web"]);
    acme.run(&["expose", "pod", "db", "--type=NodePort", "--port=5432"]);
    acme.run(&["wait", "pod/db", "pod/web", "--for=condition=Ready", "--timeout=60s"]);
    let there = below.namespace(&super_namespace(&below, "acme"));
    let says = |pod: &str, ingress: &str, egress: &str| {
        until(&format!("{pod} is {ingress} and {egress}"), || {
            let labels = there.look(&["get", "pod", pod])?["metadata"]["labels"].clone();
            let is_so = labels["insula.dev/ingress"] == ingress && labels["insula.dev/egress"] == egress;
            if is_so { Ok(()) } else { Err(labels.to_string()) }
        });
    };
    says("db", "open", "open");
    let applied = acme.say_with_input(
        &["apply", "--filename=-"],
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{namespaceSelector: {matchLabels: {team: b}}}]
  - from: [{ipBlock: {cidr: 203.0.113.0/24}}]
    ports: [{port: 5432}]
  egress:
  - to: [{ipBlock: {cidr: 0.0.0.0/0}}]
    ports: [{port: 443}]
",
    );
    assert!(applied.stderr.is_empty(), "{applied:?}");
    says("db", "closed", "closed");
    says("web", "open", "open");
    let spec = policy(&there, "db", |_| true)["spec"].clone();
    let from = &spec["ingress"][0]["from"][0]["namespaceSelector"];
    let spaces = &from["matchExpressions"][0]["values"];
    assert!(spaces[0].as_str().unwrap().starts_with("acme-back-"), "{spec:#}");
    assert_eq!(
        spec["ingress"].as_array().unwrap().len(),
        1,
        "blocks come through what is published: {spec:#}"
    );
    let to = &spec["egress"][0]["to"];
    assert_eq!(to[0]["ipBlock"]["cidr"], "0.0.0.0/0");
    assert!(to[0]["ipBlock"]["except"].as_array().unwrap().contains(&json!("10.0.0.0/8")), "{spec:#}");
    let through = until("the published port is open from there", || {
        let all = items(&there, &["networkpolicies"]);
        let name = |p: &Value| p["metadata"]["name"].as_str().unwrap().starts_with("insula-sync-through-");
        all.into_iter().find(name).ok_or_else(|| "there is no such policy".to_owned())
    });
    let rule = json!([{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 5432, "protocol": "TCP"}]}]);
    assert_eq!(through["spec"]["ingress"], rule);

    acme.run(&["label", "namespace", "default", "team=b"]);
    policy(&there, "db", |p| {
        let rule = &p["spec"]["ingress"][0]["from"][0]["namespaceSelector"];
        rule["matchExpressions"][0]["values"].as_array().is_some_and(|spaces| spaces.len() == 2)
    });
    acme.run(&["delete", "networkpolicy", "db"]);
    no_policy(&there, "db");
    says("db", "open", "open");
    until("nothing comes through any more", || {
        let all = items(&there, &["networkpolicies"]);
        let left = all.iter().filter(|p| p["metadata"]["name"].as_str().unwrap().contains("through")).count();
        if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
    });
}
