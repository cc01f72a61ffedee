//! How fast the scheduler decides, in memory: pods of several kinds on 1,000 nodes.
//!
//! `cargo run --release -p builtin-controllers --example schedule -- [NODES] [PODS]`
#![allow(clippy::print_stdout)]

use builtin_controllers::Placing;
use serde_json::{Value, json};
use std::time::Instant;

fn node(index: usize) -> Value {
    let name = format!("n{index}");
    json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": format!("z{}", index % 3)}},
        "status": {"allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"}}})
}

fn pod(index: usize, more: &Value) -> Value {
    let name = format!("p{index}");
    let mut spec =
        json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({"metadata": {"namespace": "default", "name": name, "uid": name, "labels": {"app": "web"}}, "spec": spec})
}

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let (nodes, pods) = (numbers.first().copied().unwrap_or(1000), numbers.get(1).copied().unwrap_or(5000));
    let selector = json!({"matchLabels": {"app": "web"}});
    let rule = |when: &str| json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": when, "labelSelector": selector});
    let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": selector});
    let preferred = json!([{"weight": 10, "podAffinityTerm": term}]);
    for (kind, spec) in [
        ("plain", json!({})),
        ("spread over zones", json!({"topologySpreadConstraints": [rule("DoNotSchedule")]})),
        ("preferably spread", json!({"topologySpreadConstraints": [rule("ScheduleAnyway")]})),
        (
            "preferably apart",
            json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}),
        ),
    ] {
        let mut placing = Placing::default();
        (0..nodes).for_each(|index| placing.add_node(&node(index)));
        let start = Instant::now();
        let placed = (0..pods).filter(|index| placing.place(&pod(*index, &spec)).is_ok()).count();
        let took = start.elapsed().as_secs_f64();
        println!("{kind:18} {placed} of {pods} pods on {nodes} nodes: {:7.0} a second", pods as f64 / took);
    }
}
