//! How fast pods are made and get a node.

use super::Server;
use super::size::{DEPLOYMENTS, Size};
use crate::steps;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(900);
/// How often it is looked.
const INTERVAL: Duration = Duration::from_millis(200);

fn node(index: usize) -> String {
    let name = format!("bench-{index}");
    let amounts = json!({"cpu": "8", "memory": "32Gi", "pods": "110"});
    let labels = json!({"bench": "yes", "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": format!("z{}", index % 3)});
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "status": {"capacity": amounts, "allocatable": amounts}})
    .to_string()
}

/// Its pods go to the nodes of the benchmark alone, where nobody runs them.
fn deployment(index: usize, replicas: usize) -> String {
    let labels = json!({"app": format!("bench-{index}")});
    let container =
        json!({"name": "c", "image": "bench", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": format!("bench-{index}")},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "nodeSelector": {"bench": "yes"},
                // Nobody says that these nodes are ready.
                "tolerations": [{"operator": "Exists"}], "containers": [container]}}}})
    .to_string()
}

/// `cargo xtask bench schedule`.
pub fn run(arguments: &[&str]) -> Result<()> {
    let options = Size::parse(arguments, 1000, 5000)?;
    let server = Server::start(&options.insula, &[])?;
    let local = |arguments: &[&str], input: &str| {
        let all: Vec<&str> = ["--context=local"].iter().chain(arguments).copied().collect();
        server.kubectl(&all, input)
    };
    let nodes: Vec<String> = (0..options.nodes).map(node).collect();
    local(&["create", "--filename=-"], &nodes.join("\n---\n"))?;
    let share = options.pods / DEPLOYMENTS;
    let deployments: Vec<String> = (0..DEPLOYMENTS).map(|index| deployment(index, share)).collect();
    let start = Instant::now();
    let ticks = server.ticks()?;
    local(&["create", "--filename=-"], &deployments.join("\n---\n"))?;
    let wanted = share * DEPLOYMENTS;
    // Neither look is long, or this would take much of the machine itself.
    let count = |query: &str| -> Result<u64> {
        let path = format!("/api/v1/namespaces/default/pods?limit=1{query}");
        let listed: Value = serde_json::from_str(&local(&["get", "--raw", &path], "")?)?;
        let shown = listed["items"].as_array().map_or(0, Vec::len) as u64;
        Ok(shown + listed["metadata"]["remainingItemCount"].as_u64().unwrap_or(0))
    };
    let all = u64::try_from(wanted)?;
    loop {
        let made = count("")?;
        if made >= all && count("&fieldSelector=spec.nodeName%3D")? == 0 {
            break;
        }
        ensure!(start.elapsed() < PATIENCE, "not all of {wanted} pods have a node: there are {made}");
        std::thread::sleep(INTERVAL);
    }
    let took = start.elapsed().as_secs_f64();
    let busy = f64::from(u32::try_from(server.ticks()? - ticks)?) / 100.0;
    let rate = f64::from(u32::try_from(wanted)?) / took;
    steps::say(&format!(
        "{wanted} pods were made and got one of {} nodes in {took:.1} s: {rate:.0} a second, with {busy:.1} s of processor time",
        options.nodes
    ));
    Ok(())
}
