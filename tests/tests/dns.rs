//! DNS for tenants' pods, asked with dig. Linux answers on every address of 127.0.0.0/8, and lets a client ask from any of
//! them: pods whose status has such addresses stand for clients with a network. No scheduler is there, so that nobody else
//! writes their status.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use std::process::Command;
use tests::{Insula, Kubectl, tools, until};

struct World {
    insula: Insula,
    port: u16,
}

impl World {
    fn start() -> Self {
        let port = tools::free_port();
        let listen = format!("--dns-listen=127.0.0.1:{port}");
        // Nobody answers there.
        let upstream = format!("--dns-upstream=127.0.0.1:{}", tools::free_port());
        let flags = ["--no-scheduler", &listen, "--dns-address=10.96.0.53", &upstream];
        World { insula: Insula::start_with(&flags, &[]), port }
    }

    /// What dig says to somebody who has an address.
    fn dig(&self, source: &str, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let mut command = Command::new("dig");
        command.args(["@127.0.0.1", "-p", &port, "-b", source, "+time=8", "+tries=1"]).args(arguments);
        let said = command.output().expect("dig is there: cargo xtask tools");
        String::from_utf8(said.stdout).unwrap()
    }

    /// The records alone, in order.
    fn short(&self, source: &str, arguments: &[&str]) -> Vec<String> {
        let said = self.dig(source, &[&["+short"], arguments].concat());
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// `NOERROR`, `NXDOMAIN`, …
    fn status(&self, source: &str, arguments: &[&str]) -> String {
        let said = self.dig(source, arguments);
        let (_, rest) = said.split_once("status: ").unwrap_or_else(|| panic!("{arguments:?}: {said}"));
        rest.split(',').next().unwrap().to_owned()
    }

    /// The pod that stands for a tenant's pod, and its namespace.
    fn below(&self, tenant: &str, pod: &str) -> (Kubectl, Value) {
        let local = self.insula.super_cluster();
        let selector = format!("--selector=insula.dev/tenant={tenant}");
        let there = until(&format!("{tenant}'s {pod} is on the super cluster"), || {
            let all = local.look(&["get", "pods", "--all-namespaces", &selector])?;
            let found = all["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == pod);
            found.cloned().ok_or_else(|| all.to_string())
        });
        (local.namespace(there["metadata"]["namespace"].as_str().unwrap()), there)
    }

    /// Gives a pod that is on no node an address, as its kubelet would.
    fn give_address(&self, tenant: &str, pod: &str, ip: &str) {
        let (space, _) = self.below(tenant, pod);
        let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}).to_string();
        space.run(&["patch", "pod", pod, "--subresource=status", "--type=merge", "--patch", &status]);
    }

    /// Puts a pod on a simulated node, and gives the address that it gets there.
    fn run_on_node(&self, tenant: &str, pod: &str) -> String {
        let (space, there) = self.below(tenant, pod);
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod},
            "target": {"kind": "Node", "name": "sim-0"}});
        let namespace = there["metadata"]["namespace"].as_str().unwrap();
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/binding");
        space.run_with_input(&["create", "--raw", &path, "--filename=-"], &binding.to_string());
        space.run(&["wait", &format!("pod/{pod}"), "--for=condition=Ready", "--timeout=60s"]);
        space.run(&["get", "pod", pod, "--output=jsonpath={.status.podIP}"])
    }
}

const OBJECTS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop}
spec: {containers: [{name: c, image: 'nginx:1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
spec:
  hostname: db-0
  subdomain: db
  dnsConfig: {searches: [example.com], options: [{name: ndots, value: '2'}]}
  containers: [{name: c, image: 'postgres:17'}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: shop}
spec: {type: ExternalName, externalName: web.shop.svc.cluster.local}
";

fn cluster_ip(tenant: &Kubectl) -> String {
    tenant.namespace("shop").run(&["get", "service", "web", "--output=jsonpath={.spec.clusterIP}"])
}

#[test]
fn pods_find_the_names_of_their_tenant_and_of_nobody_else() {
    let world = World::start();
    let (acme, globex) = (world.insula.tenant("acme"), world.insula.tenant("globex"));
    for tenant in [&acme, &globex] {
        tenant.run(&["create", "namespace", "shop"]);
        let account = || tenant.namespace("shop").look(&["get", "serviceaccount", "default"]);
        until("the namespace has its account", account);
        tenant.apply(OBJECTS);
    }
    const CLIENT: &str = "127.0.1.1";
    const OTHER: &str = "127.0.2.1";
    world.give_address("acme", "client", CLIENT);
    world.give_address("globex", "client", OTHER);
    let db = world.run_on_node("acme", "db-0");
    let by_address = format!("{}.shop.pod.cluster.local", db.replace('.', "-"));
    let name = "db.shop.svc.cluster.local";
    until("the endpoint is ready", || match world.short(CLIENT, &[name]).as_slice() {
        [ip] if *ip == db => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let web = cluster_ip(&acme);
    let reverse = format!("{}.in-addr.arpa", web.rsplit('.').collect::<Vec<_>>().join("."));
    for (arguments, expected) in [
        (&["web.shop.svc.cluster.local"][..], vec![web.as_str()]),
        (&["+tcp", "web.shop.svc.cluster.local"], vec![&web]),
        (&["+noedns", "WEB.shop.svc.Cluster.Local"], vec![&web]),
        (&["+search", "+domain=shop.svc.cluster.local", "web"], vec![&web]),
        (&["+search", "+ndots=5", "+domain=svc.cluster.local", "web.shop"], vec![&web]),
        (&["_http._tcp.web.shop.svc.cluster.local", "SRV"], vec!["0 100 80 web.shop.svc.cluster.local."]),
        (&["db-0.db.shop.svc.cluster.local"], vec![&db]),
        (&["_sql._tcp.db.shop.svc.cluster.local", "SRV"], vec!["0 100 5432 db-0.db.shop.svc.cluster.local."]),
        (&["outside.shop.svc.cluster.local"], vec![&web, "web.shop.svc.cluster.local."]),
        (&[&by_address], vec![&db]),
        (&["-x", &db], vec!["db-0.db.shop.svc.cluster.local."]),
        (&[&reverse, "PTR"], vec!["web.shop.svc.cluster.local."]),
        (&["dns-version.cluster.local", "TXT"], vec!["\"1.1.0\""]),
        (&["kubernetes.default.svc.cluster.local"], vec!["10.96.0.1"]),
    ] {
        if arguments[0].starts_with("kubernetes") {
            // Its address is that of one Service for all tenants.
            assert_eq!(world.short(CLIENT, arguments).len(), 1);
            continue;
        }
        assert_eq!(world.short(CLIENT, arguments), expected, "{arguments:?}");
    }
    // Another tenant has a cluster of its own.
    assert_eq!(world.short(OTHER, &["web.shop.svc.cluster.local"]), [cluster_ip(&globex)]);
    for arguments in [&[name][..], &[&by_address], &["-x", &db], &[&reverse, "PTR"]] {
        assert_eq!(world.status(OTHER, arguments), "NXDOMAIN", "{arguments:?}");
    }
    assert_eq!(world.status(CLIENT, &["missing.shop.svc.cluster.local"]), "NXDOMAIN");
    assert_eq!(world.status(CLIENT, &["web.shop.svc.cluster.local", "AAAA"]), "NOERROR");
    assert_eq!(world.status(CLIENT, &["example.com"]), "SERVFAIL");
    let refused = world.dig("127.0.3.1", &["web.shop.svc.cluster.local"]);
    assert!(refused.contains("status: REFUSED") && refused.contains("EDE: 18 (Prohibited)"), "{refused}");
    let metrics = world.insula.host().run(&["get", "--raw", "/metrics"]);
    assert!(metrics.contains("insula_dns_questions_total{outcome=\"unknown_source\"} 1\n"), "{metrics}");

    // What the pod's kubelet is told is what one of the tenant's own cluster would write.
    let spec = &world.below("acme", "db-0").1["spec"];
    assert_eq!(spec["dnsPolicy"], "None");
    assert_eq!(
        spec["dnsConfig"],
        json!({"nameservers": ["10.96.0.53"],
            "searches": ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com"],
            "options": [{"name": "ndots", "value": "2"}]})
    );
    assert_eq!((&spec["hostname"], &spec["subdomain"]), (&json!("db-0"), &Value::Null));

    // Names follow objects.
    acme.namespace("shop").run(&["delete", "service", "web"]);
    assert_eq!(world.status(CLIENT, &["web.shop.svc.cluster.local"]), "NXDOMAIN");
    world.insula.insula(&["tenant", "delete", "globex", "--wait"]);
    assert_eq!(world.status(OTHER, &["web.shop.svc.cluster.local"]), "REFUSED");
    assert_eq!(world.short(CLIENT, &[name]), [db]);
}

#[test]
fn it_says_in_a_line_why_dns_cannot_be_served() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("--dns-listen={}", taken.local_addr().unwrap());
    let home = tempfile::tempdir().unwrap();
    for (flags, expected) in [
        (&["--dns-listen=0.0.0.0:0"][..], "--dns-address"),
        (&[&taken, "--dns-upstream=192.0.2.1"], "cannot be served on"),
        (&["--dns-listen=localhost:53"], "an IP address and a port are needed"),
        (&["--dns-address=10.0.0.1"], "--dns-listen"),
        (&["--dns-listen=127.0.0.1:5353", "--dns-upstream=127.0.0.1:5353"], "ask itself"),
    ] {
        let mut command = tests::insula::command(home.path());
        let said = command.args(["up", "--listen=127.0.0.1:0"]).args(flags).output().unwrap();
        let stderr = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && stderr.contains(expected), "{flags:?}: {stderr}");
    }
}
