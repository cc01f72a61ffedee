//! What simulated pods cost: time until they are ready, memory while they are there and after they are gone.

use super::Server;
use super::size::{DEPLOYMENTS, Size};
use crate::steps;
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long each part may take.
const PATIENCE: Duration = Duration::from_secs(900);
/// How often it is looked: seldom enough to cost little beside the work.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long memory has to come back after all.
const REST: Duration = Duration::from_secs(30);

fn deployment(index: usize, replicas: usize) -> String {
    let labels = json!({"app": format!("bench-{index}")});
    let container =
        json!({"name": "c", "image": "bench", "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": format!("bench-{index}")},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}})
    .to_string()
}

/// Waits until a list of numbers that kubectl prints adds up to what is wanted.
fn until(wanted: usize, look: impl Fn() -> Result<String>) -> Result<f64> {
    let start = Instant::now();
    loop {
        let printed = look()?;
        let sum: usize = printed.split_whitespace().filter_map(|number| number.parse::<usize>().ok()).sum();
        if sum == wanted {
            return Ok(start.elapsed().as_secs_f64());
        }
        ensure!(start.elapsed() < PATIENCE, "{sum} of {wanted} after {} s", PATIENCE.as_secs());
        std::thread::sleep(INTERVAL);
    }
}

/// `cargo xtask bench simulation`.
pub fn run(arguments: &[&str]) -> Result<()> {
    let options = Size::parse(arguments, 100, 10_000)?;
    ensure!(options.pods <= options.nodes * 110, "a simulated node has room for 110 pods");
    let server = Server::start(&options.insula, &["--nodes", &options.nodes.to_string()])?;
    let local = |arguments: &[&str], input: &str| {
        let all: Vec<&str> = ["--context=local"].iter().chain(arguments).copied().collect();
        server.kubectl(&all, input)
    };
    let mib = || server.resident().map(|kib| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0);
    until(options.nodes, || {
        let ready = r#"-o=jsonpath={range .items[*].status.conditions[?(@.type=="Ready")]}1 {end}"#;
        local(&["get", "nodes", ready], "")
    })?;
    let (before, ticks) = (mib()?, server.ticks()?);
    let share = options.pods / DEPLOYMENTS;
    let wanted = share * DEPLOYMENTS;
    let all: Vec<String> = (0..DEPLOYMENTS).map(|index| deployment(index, share)).collect();
    let start = Instant::now();
    local(&["create", "--filename=-"], &all.join("\n---\n"))?;
    until(wanted, || local(&["get", "deployments", "-o=jsonpath={.items[*].status.readyReplicas}"], ""))?;
    let took = start.elapsed().as_secs_f64();
    let count = f64::from(u32::try_from(wanted)?);
    let busy = f64::from(u32::try_from(server.ticks()? - ticks)?) / 100.0;
    let with = mib()?;
    steps::say(&format!(
        "{wanted} pods on {} nodes were ready after {took:.1} s ({:.0} a second, {busy:.1} s of processor time)",
        options.nodes,
        count / took
    ));
    steps::say(&format!(
        "resident: {before:.1} MiB without them, {with:.1} MiB with them, {:.1} KiB each",
        (with - before) * 1024.0 / count
    ));
    local(&["delete", "deployments", "--all"], "")?;
    let took = until(0, || {
        let left = local(&["get", "pods", "--output=name", "--chunk-size=0"], "")?;
        Ok(left.lines().count().to_string())
    })?;
    steps::say(&format!("all were gone after {took:.1} s: {:.1} MiB", mib()?));
    std::thread::sleep(REST);
    steps::say(&format!("{} s later: {:.1} MiB", REST.as_secs(), mib()?));
    Ok(())
}
