use super::*;
use crate::scheduler::cluster::tests::{cluster, put};
use crate::scheduler::cycle::{Asked, Outcome};
use crate::scheduler::plugins::volumes::Volumes;
use crate::scheduler::pod::tests::pod;
use serde_json::{Value, json};

const UNMATCHED: &str = "node(s) didn't match pod topology spread constraints";

fn zone(zone: &str) -> Value {
    json!({"labels": {"zone": zone}})
}

fn spread(more: Value) -> Value {
    let mut constraint = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}}});
    for (key, value) in more.as_object().unwrap() {
        constraint[key] = value.clone();
    }
    json!({"labels": {"app": "web", "version": "2"}, "topologySpreadConstraints": [constraint]})
}

/// Looks for a node where `on` says which nodes have how many pods `web`.
fn look(nodes: &[(&str, Value)], on: &[(&str, usize)], spec: Value) -> Result<String, String> {
    let mut cluster = cluster(nodes);
    for (node, count) in on {
        for index in 0..*count {
            let there = pod(&format!("{node}-{index}"), json!({"labels": {"app": "web", "version": "1"}}));
            put(&mut cluster, there, node);
        }
    }
    let (info, volumes) = (pod("p", spec), Volumes::default());
    let cycle = Cycle::new(&Asked { pod: &info, volumes: &volumes }, &cluster).unwrap();
    match cycle.look(None, 0) {
        Outcome::Fits { node, .. } => Ok(node.to_string()),
        Outcome::Nowhere(nowhere) => Err(nowhere.message()),
    }
}

#[test]
fn hard_rules_keep_the_skew() {
    let two = [("a", zone("1")), ("b", zone("2"))];
    let none = |count: usize, rest: &str| Err(format!("0/2 nodes are available: {count} {UNMATCHED}{rest}."));
    let cordoned =
        [("a", zone("1")), ("b", json!({"labels": {"zone": "2"}, "spec": {"unschedulable": true}}))];
    let tainted =
        json!({"labels": {"zone": "2"}, "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}});
    let tainted = [("a", zone("1")), ("b", tainted)];
    let mut elsewhere = spread(json!({"nodeAffinityPolicy": "Ignore"}));
    elsewhere["nodeSelector"] = json!({"zone": "1"});
    let mut honored = spread(json!({}));
    honored["nodeSelector"] = json!({"zone": "1"});
    for (case, nodes, on, spec, expected) in [
        ("even", &two, vec![("a", 1), ("b", 1)], spread(json!({})), Ok("a")),
        ("one ahead", &two, vec![("a", 1)], spread(json!({})), Ok("b")),
        ("of another version", &two, vec![("a", 1), ("b", 1)], spread(json!({"matchLabelKeys": ["version"]})), Ok("a")),
        ("too few domains", &two, vec![("a", 1), ("b", 1)], spread(json!({"minDomains": 3})), Err(none(2, ""))),
        ("the other is cordoned", &cordoned, vec![("a", 1)], spread(json!({})), Err(none(1, ", 1 node(s) were unschedulable"))),
        ("a tainted domain counts", &tainted, vec![("a", 1)], spread(json!({})),
            Err(Err("0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) had untolerated taint(s).".to_owned()))),
        ("a tainted domain does not count", &tainted, vec![("a", 1)], spread(json!({"nodeTaintsPolicy": "Honor"})), Ok("a")),
        ("a domain out of reach counts", &two, vec![("a", 1)], elsewhere,
            Err(Err("0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) didn't match pod topology spread constraints.".to_owned()))),
        ("a domain out of reach does not count", &two, vec![("a", 1)], honored, Ok("a")),
        ("no label", &two, vec![], spread(json!({"topologyKey": "rack"})), Err(none(2, " (missing required label)"))),
    ] {
        let expected = expected.map(str::to_owned).map_err(|error: Result<String, String>| error.unwrap_err());
        assert_eq!(look(nodes, &on, spec), expected, "{case}");
    }
}

#[test]
fn soft_rules_prefer_where_there_are_fewer() {
    let soft = |key: &str| spread(json!({"whenUnsatisfiable": "ScheduleAnyway", "topologyKey": key}));
    let nodes = [("a", zone("1")), ("b", zone("1")), ("c", zone("2")), ("d", json!({}))];
    assert_eq!(look(&nodes, &[("a", 2)], soft("zone")).unwrap(), "c");
    assert_eq!(look(&nodes, &[("a", 1), ("c", 5)], soft("zone")).unwrap(), "b");
    assert_eq!(look(&nodes, &[("a", 1), ("b", 1), ("c", 1)], soft("kubernetes.io/hostname")).unwrap(), "d");
}

#[test]
fn pods_of_a_workload_spread_without_being_told() {
    let nodes = [
        ("a", json!({"labels": {ZONE: "1"}})),
        ("b", json!({"labels": {ZONE: "1"}})),
        ("c", json!({"labels": {ZONE: "2"}})),
    ];
    let mut cluster = cluster(&nodes);
    put(&mut cluster, pod("there", json!({"labels": {"app": "web"}})), "a");
    let volumes = Volumes::default();
    let (info, web) = (pod("p", json!({})), Selector::of_labels(&json!({"app": "web"})));
    let cycle = Cycle::new(&Asked { pod: &info, volumes: &volumes }, &cluster).unwrap();
    let feasible: Vec<&NodeInfo> = cluster.nodes().collect();
    let soft = Soft::new(&cycle, &feasible, Some(&web));
    let scoring = Scoring { cycle: &cycle, spread: soft, affinity: Default::default() };
    let mut scores: Vec<i64> = feasible.iter().map(|node| score(&scoring, node)).collect();
    // ln(3+2) for the host and ln(2+2) for the zone, with the skews that are allowed.
    assert_eq!(scores, [9, 7, 6]);
    normalize(&scoring, &feasible, &mut scores);
    assert_eq!(scores, [66, 88, 100]);
}
