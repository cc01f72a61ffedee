//! The tenants' own NetworkPolicies: which pods they close, and what stands for them in the super cluster.

use super::harness::*;
use api_types::{Resource, TenantId};
use plane_client::fake::FakePlanes;
use serde_json::{Value, json};

const POLICIES: Resource = Resource::new("networking.k8s.io", "v1", "networkpolicies");

fn policy(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

impl Story {
    /// Waits until a pod's labels say in which directions policies close it.
    async fn says(&self, space: &str, pod: &str, ingress: &str, egress: &str) {
        let is_so = |p: &Value| {
            let labels = &p["metadata"]["labels"];
            labels["insula.dev/ingress"] == ingress && labels["insula.dev/egress"] == egress
        };
        self.until(SUPER, "pods", space, pod, is_so).await;
    }

    async fn below(&self, space: &str, name: &str, is_so: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
        self.planes.wait_for(SUPER, &policies(), space, name, is_so).await
    }
}

#[tokio::test]
async fn a_policy_closes_the_pods_that_it_selects_for_as_long_as_it_does() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    for name in ["web", "db"] {
        story.planes.put(acme, pod(name, json!({})));
    }
    let space = story.super_namespace(acme, "default").await;
    story.says(&space, "web", "open", "open").await;
    story.says(&space, "db", "open", "open").await;

    let from_web = json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]});
    story.planes.put(acme, policy("from-web", from_web.clone()));
    let down = story.below(&space, "from-web", |p| p.is_some()).await.unwrap();
    assert_eq!(down["spec"], from_web);
    story.says(&space, "db", "closed", "open").await;
    story.says(&space, "web", "open", "open").await;

    // A pod of later is closed from its first moment.
    let mut second = pod("second", json!({}));
    second["metadata"]["labels"]["app"] = json!("db");
    story.planes.put(acme, second);
    let made = story.in_super("pods", &space, "second").await;
    assert_eq!(made["metadata"]["labels"]["insula.dev/ingress"], "closed");

    // One that gets other labels is selected no more.
    let mut freed = story.planes.find(acme, &core("pods"), "default", "second").unwrap();
    freed["metadata"]["labels"]["app"] = json!("free");
    story.planes.put(acme, freed);
    story.says(&space, "second", "open", "open").await;

    // The policy changes what it holds for.
    let spec = json!({"podSelector": {}, "policyTypes": ["Egress"]});
    story.planes.put(acme, policy("from-web", spec));
    for name in ["web", "db", "second"] {
        story.says(&space, name, "open", "closed").await;
    }
    let nothing = |p: Option<&Value>| p.is_some_and(|p| p["spec"]["egress"] == json!([]));
    story.below(&space, "from-web", nothing).await;

    story.delete(acme, &POLICIES, "default", "from-web").await;
    story.below(&space, "from-web", |p| p.is_none()).await;
    for name in ["web", "db", "second"] {
        story.says(&space, name, "open", "open").await;
    }
}

#[tokio::test]
async fn namespaces_are_selected_by_the_labels_that_they_have_now() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    let labelled = |name: &str, team: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": team}}});
    story.planes.put(acme, labelled("back", "b"));
    story.planes.put(acme, pod("web", json!({})));
    let from = json!([{"namespaceSelector": {"matchLabels": {"team": "b"}}}]);
    story.planes.put(acme, policy("team-b", json!({"podSelector": {}, "ingress": [{"from": from}]})));
    let space = story.super_namespace(acme, "default").await;
    let names = |spaces: &[&str]| {
        let mut spaces: Vec<String> =
            spaces.iter().map(|name| crate::names::super_namespace("acme", acme, name)).collect();
        spaces.sort();
        json!(spaces)
    };
    let selects = |expected: Value| {
        move |p: Option<&Value>| {
            p.is_some_and(|p| {
                let from = &p["spec"]["ingress"][0]["from"][0]["namespaceSelector"];
                from["matchExpressions"][0]["values"] == expected
                    && from["matchLabels"]["insula.dev/tenant-uid"] == acme.to_string()
            })
        }
    };
    story.below(&space, "team-b", selects(names(&["back"]))).await;
    story.planes.put(acme, labelled("tools", "b"));
    story.below(&space, "team-b", selects(names(&["back", "tools"]))).await;
    story.planes.put(acme, labelled("back", "c"));
    story.below(&space, "team-b", selects(names(&["tools"]))).await;
    story.planes.remove(acme, &core("namespaces"), "", "tools");
    let is_empty = |p: Option<&Value>| p.is_some_and(|p| p["spec"]["ingress"] == json!([]));
    story.below(&space, "team-b", is_empty).await;
}

#[tokio::test]
async fn what_is_published_comes_through_as_the_tenants_policies_say() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    let service = |kind: &str, port: u16| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"type": kind, "clusterIP": "10.96.0.9", "selector": {"app": "web"},
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": port}]}})
    };
    story.planes.put(acme, service("LoadBalancer", 8080));
    story.planes.put(acme, pod("web", json!({})));
    let from = json!([{"ipBlock": {"cidr": "8.0.0.0/8"}}]);
    let spec =
        json!({"podSelector": {}, "ingress": [{"from": from, "ports": [{"port": 8000, "endPort": 9000}]}]});
    story.planes.put(acme, policy("office", spec));
    let space = story.super_namespace(acme, "default").await;
    let through = crate::names::through("office", "web");
    let at = |port: u16| {
        let from = from.clone();
        move |p: Option<&Value>| {
            let ports = json!([{"port": port, "protocol": "TCP"}]);
            p.is_some_and(|p| p["spec"]["ingress"] == json!([{"from": from, "ports": ports}]))
        }
    };
    story.below(&space, &through, at(8080)).await;
    story.planes.put(acme, service("LoadBalancer", 8443));
    story.below(&space, &through, at(8443)).await;
    story.planes.put(acme, service("LoadBalancer", 443));
    story.below(&space, &through, |p| p.is_none()).await;
    story.planes.put(acme, service("NodePort", 8080));
    story.below(&space, &through, at(8080)).await;
    story.planes.put(acme, service("ClusterIP", 8080));
    story.below(&space, &through, |p| p.is_none()).await;
    assert!(story.planes.find(SUPER, &policies(), &space, "office").is_some());
}

#[tokio::test]
async fn a_policy_that_cannot_be_translated_closes_and_says_why() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    let odd = json!({"matchExpressions": [{"key": "insula.dev/tenant-uid", "operator": "Exists"}]});
    let wide = json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": odd}]}]});
    story.planes.put(acme, policy("odd", wide));
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.says(&space, "web", "closed", "open").await;
    let said = |planes: &FakePlanes| {
        planes.all(acme, &core("events"), "default").iter().any(|event| {
            event["reason"] == "PolicyNotSupported" && event["involvedObject"]["kind"] == "NetworkPolicy"
        })
    };
    story.planes.wait_until("the event", said).await;
    assert!(story.planes.find(SUPER, &policies(), &space, "odd").is_none());
}

#[tokio::test]
async fn who_takes_the_labels_or_a_policy_away_below_changes_nothing_for_long() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, pod("web", json!({})));
    story.planes.put(acme, policy("none", json!({"podSelector": {}, "policyTypes": ["Ingress"]})));
    let space = story.super_namespace(acme, "default").await;
    story.says(&space, "web", "closed", "open").await;
    let down = story.below(&space, "none", |p| p.is_some()).await.unwrap();
    let mut opened = story.in_super("pods", &space, "web").await;
    opened["metadata"]["labels"]["insula.dev/ingress"] = json!("open");
    story.planes.put(SUPER, opened);
    story.says(&space, "web", "closed", "open").await;
    let mut wider = down.clone();
    wider["spec"]["ingress"] = json!([{}]);
    story.planes.put(SUPER, wider);
    story.below(&space, "none", |p| p.is_some_and(|p| p["spec"] == down["spec"])).await;
    story.planes.remove(SUPER, &policies(), &space, "none");
    story.below(&space, "none", |p| p.is_some_and(|p| p["spec"] == down["spec"])).await;

    // Not even a pod whose spec the platform would refuse by now keeps what a policy closed.
    let mut enforced = story.planes.find(TenantId::HOST, &tenants(), "", "acme").unwrap();
    enforced["spec"]["runtime"] = json!({"className": "kata", "enforce": true});
    let mut odd = pod("odd", json!({"runtimeClassName": "gvisor"}));
    odd["metadata"]["labels"] = json!({"app": "odd"});
    story.planes.put(acme, odd);
    story.says(&space, "odd", "closed", "open").await;
    story.planes.put(TenantId::HOST, enforced);
    story.delete(acme, &POLICIES, "default", "none").await;
    story.says(&space, "odd", "open", "open").await;
}
