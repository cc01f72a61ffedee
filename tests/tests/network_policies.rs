//! Tenants are kept apart on the network: what of it is written to a super cluster.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use tests::{Insula, Kubectl, until};

const ISOLATION: &str = "insula-sync-isolation";

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
        assert_eq!((policies.len(), pods.len()), (1, 2), "{policies:?} {pods:?}");
        assert!(policies[0] < pods[0].min(pods[1]), "{policies:?} {pods:?}");

        let uid = &insula.host().json(&["get", "tenant", name])["metadata"]["uid"];
        let namespace = below.json(&["get", "namespace", space]);
        assert_eq!(namespace["metadata"]["labels"]["insula.dev/tenant-uid"], *uid);
        let own = json!([{"namespaceSelector": {"matchLabels": {"insula.dev/tenant-uid": uid}}}]);
        let spec = policy(&below.namespace(space), ISOLATION, |_| true)["spec"].clone();
        assert_eq!(spec["podSelector"], json!({}));
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
        assert_eq!(spec["ingress"], json!([{"from": own}]));
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

    // A tenant's own policies stay with the tenant, who is told so.
    let own = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: open}, \
        spec: {podSelector: {}, ingress: [{}]}}";
    let said = acme.say_with_input(&["apply", "--filename=-"], own);
    assert!(said.stderr.contains("it isolates nothing"), "{said:?}");
    acme.run(&["scale", "deployment", "web", "--replicas=3"]);
    acme.run(&["wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=60s"]);
    let mut names: Vec<String> =
        items(&there, &["networkpolicies"]).iter().map(|p| p["metadata"]["name"].to_string()).collect();
    names.sort();
    assert_eq!(names, [format!("\"{ISOLATION}\""), "\"monitoring\"".to_owned()]);

    insula.insula(&["tenant", "delete", "acme", "--wait"]);
    let left = items(&below, &["networkpolicies", "--all-namespaces"]);
    let left: Vec<&Value> = left.iter().map(|policy| &policy["metadata"]["namespace"]).collect();
    assert_eq!(left, [&spaces[1]]);
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
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"port": 8080, "protocol": "TCP"}]}]})
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
    policy(&there, ISOLATION, |p| {
        let to = p["spec"]["egress"][2]["to"].as_array().unwrap();
        to.last() == Some(&json!({"ipBlock": {"cidr": "10.9.0.0/16"}}))
    });
    let wrong = r#"{"spec": {"egress": {"allowedCIDRs": ["10.9.0.1"]}}}"#;
    let refused = insula.host().refused(&["patch", "tenant", "acme", "--type=merge", "--patch", wrong]);
    assert!(refused.contains("spec.egress.allowedCIDRs[0]"), "{refused}");
}
