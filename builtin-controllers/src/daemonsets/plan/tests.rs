use super::super::placing::{HASH, pin};
use super::*;
use serde_json::json;

fn set(rolling: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "ns", "uid": "s", "generation": 2},
        "spec": {"selector": {"matchLabels": {"app": "agent"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
            "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {"nodeSelector": {"daemons": "yes"}}}}})
}

/// `c` and those after it take no pods; on `t` they may stay.
fn node(name: &str) -> Value {
    let taints = if name == "t" { json!([{"key": "x", "effect": "NoSchedule"}]) } else { json!([]) };
    let daemons = if name < "c" || name == "t" { "yes" } else { "no" };
    json!({"metadata": {"name": name, "labels": {"daemons": daemons}}, "spec": {"taints": taints}})
}

/// A pod as name, node, revision and what becomes of it say: `run` is available, `wait` pending, `plan` not placed,
/// `fail` and `done` ended, `end` being deleted. Names are in order of creation.
fn pod((name, node, hash, what): (&str, &str, &str, &str)) -> Value {
    let mut pod =
        json!({"metadata": {"name": name, "uid": name, "labels": {HASH: hash}}, "spec": {"nodeName": node}});
    pod["status"] = match what {
        "wait" => json!({"phase": "Pending"}),
        "plan" => {
            pod["spec"] = json!({});
            pin(&mut pod, node);
            json!({"phase": "Pending"})
        }
        "fail" => json!({"phase": "Failed"}),
        "done" => json!({"phase": "Succeeded"}),
        _ => json!({"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z"}]}),
    };
    if what == "end" {
        pod["metadata"]["deletionTimestamp"] = "1970-01-01T00:16:00Z".into();
    }
    pod
}

type Pods = &'static [(&'static str, &'static str, &'static str, &'static str)];

/// Nodes that get pods, then pods that go, each sorted.
fn check(case: &str, set: &Value, nodes: &[&str], pods: Pods, expected: (&[&str], &[&str])) {
    let nodes: Vec<Value> = nodes.iter().map(|name| node(name)).collect();
    let pods: Vec<Value> = pods.iter().map(|parts| pod(*parts)).collect();
    let state =
        State { set, hash: "new", nodes: &nodes, pods: &pods, now: Timestamp::from_second(1000).unwrap() };
    let daemons = Daemons::new(state);
    let plan = daemons.plan(|node| (node == "b").then_some(Duration::from_secs(7)));
    let mut gone: Vec<&str> = plan.delete.iter().map(|pod| text(pod, "/metadata/name")).collect();
    gone.sort_unstable();
    assert_eq!((plan.create.as_slice(), gone.as_slice()), expected, "{case}");
}

#[test]
fn every_node_gets_one_pod() {
    let set = set(json!({"maxUnavailable": 1, "maxSurge": 0}));
    let check = |case, nodes: &[&str], pods: Pods, expected| check(case, &set, nodes, pods, expected);
    check("the first", &["a", "b", "c"], &[], (&["a", "b"], &[]));
    check("there already", &["a", "b"], &[("1", "a", "new", "wait"), ("2", "b", "new", "plan")], (&[], &[]));
    check("one that ends is waited for", &["a"], &[("1", "a", "new", "end")], (&[], &[]));
    check("too many", &["a"], &[("1", "a", "new", "plan"), ("2", "a", "new", "run")], (&[], &["1"]));
    check("one that failed", &["a"], &[("1", "a", "new", "fail")], (&[], &["1"]));
    check("one that failed again", &["b"], &[("1", "b", "new", "fail")], (&[], &[]));
    check("one that ended", &["a"], &[("1", "a", "new", "done")], (&[], &["1"]));
    check("not for this node", &["c"], &[("1", "c", "new", "run"), ("2", "c", "new", "end")], (&[], &["1"]));
    check("tainted later", &["t"], &[("1", "t", "new", "run")], (&[], &[]));
    check("tainted before", &["t"], &[], (&[], &[]));
    check(
        "the node is gone",
        &["a"],
        &[("1", "a", "new", "run"), ("2", "z", "new", "plan"), ("3", "z", "new", "run")],
        (&[], &["2"]),
    );
}

#[test]
fn updates_replace_as_many_pods_as_may_be_unavailable() {
    let old: Pods = &[("1", "a", "old", "run"), ("2", "aa", "old", "run"), ("3", "b", "old", "run")];
    let nodes = ["a", "aa", "b"];
    let by = |most: Value| set(json!({"maxUnavailable": most, "maxSurge": 0}));
    check("one", &by(json!(1)), &nodes, old, (&[], &["1"]));
    check("a percentage is rounded up", &by(json!("34%")), &nodes, old, (&[], &["1", "2"]));
    check("all", &by(json!("100%")), &nodes, old, (&[], &["1", "2", "3"]));
    check(
        "those that are down count",
        &by(json!(1)),
        &nodes,
        &[("1", "a", "new", "wait"), ("2", "aa", "old", "run"), ("3", "b", "old", "run")],
        (&[], &[]),
    );
    check(
        "old ones that are down go at once",
        &by(json!(1)),
        &nodes,
        &[("1", "a", "old", "wait"), ("2", "aa", "old", "wait"), ("3", "b", "old", "run")],
        (&[], &["1", "2"]),
    );
    check(
        "one that ends leaves its node without",
        &by(json!(1)),
        &nodes,
        &[("1", "a", "old", "end"), ("2", "aa", "old", "run"), ("3", "b", "new", "run")],
        (&[], &[]),
    );
    let mut by_hand = by(json!(1));
    by_hand["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    check("by hand", &by_hand, &nodes, old, (&[], &[]));
    check("placing goes first", &by(json!(3)), &["a", "b"], &[("1", "a", "old", "run")], (&["b"], &[]));
}

#[test]
fn surging_updates_add_new_pods_before_old_ones_go() {
    let set = set(json!({"maxUnavailable": 0, "maxSurge": 1}));
    let check = |case, nodes: &[&str], pods: Pods, expected| check(case, &set, nodes, pods, expected);
    let nodes = ["a", "b"];
    check("one", &nodes, &[("1", "a", "old", "run"), ("2", "b", "old", "run")], (&["a"], &[]));
    check(
        "it is waited for",
        &nodes,
        &[("1", "a", "old", "run"), ("2", "b", "old", "run"), ("3", "a", "new", "wait")],
        (&[], &[]),
    );
    check(
        "the old one goes",
        &nodes,
        &[("1", "a", "old", "run"), ("2", "b", "old", "run"), ("3", "a", "new", "run")],
        (&[], &["1"]),
    );
    check(
        "an old one that is down goes too",
        &nodes,
        &[("1", "a", "old", "wait"), ("2", "b", "old", "run"), ("3", "a", "new", "wait")],
        (&[], &["1"]),
    );
    check("the next", &nodes, &[("2", "b", "old", "run"), ("3", "a", "new", "run")], (&["b"], &[]));
    check(
        "beside all that are down",
        &nodes,
        &[("1", "a", "old", "wait"), ("2", "b", "old", "wait")],
        (&["a", "b"], &[]),
    );
    check(
        "where it may only stay, it stays until there are enough",
        &["a", "t"],
        &[("1", "a", "new", "wait"), ("2", "t", "old", "run")],
        (&[], &[]),
    );
    check(
        "and goes when there are",
        &["a", "t"],
        &[("1", "a", "new", "run"), ("2", "t", "old", "run")],
        (&[], &["2"]),
    );
    check(
        "too many",
        &["a"],
        &[
            ("1", "a", "old", "run"),
            ("2", "a", "old", "run"),
            ("3", "a", "new", "wait"),
            ("4", "a", "new", "wait"),
        ],
        (&[], &["2", "4"]),
    );
    check("one that ends does not hold the next up", &["a"], &[("1", "a", "old", "end")], (&["a"], &[]));
}

#[test]
fn the_status_counts_nodes() {
    let mut set = set(json!({"maxUnavailable": 1, "maxSurge": 0}));
    set["status"] = json!({"numberAvailable": 9, "conditions": []});
    let nodes = ["a", "aa", "b", "c", "t"].map(node);
    let pods = [
        ("1", "a", "new", "run"),
        ("2", "aa", "old", "wait"),
        ("3", "c", "new", "run"),
        ("4", "t", "new", "run"),
        ("5", "a", "old", "plan"),
    ]
    .map(pod);
    let state = State {
        set: &set,
        hash: "new",
        nodes: &nodes,
        pods: &pods,
        now: Timestamp::from_second(1000).unwrap(),
    };
    let daemons = Daemons::new(state);
    let expected = json!({"desiredNumberScheduled": 3, "currentNumberScheduled": 2, "numberMisscheduled": 2,
        "numberReady": 1, "updatedNumberScheduled": 1, "numberAvailable": 1, "numberUnavailable": 2,
        "observedGeneration": 2, "conditions": []});
    assert_eq!(daemons.status(true, 0), expected);
    assert_eq!(daemons.status(false, 1)["collisionCount"], 1);
    assert_eq!(daemons.status(false, 0)["observedGeneration"], Value::Null);
}

#[test]
fn what_waits_is_looked_at_again() {
    let mut set = set(json!({"maxUnavailable": 1, "maxSurge": 0}));
    set["spec"]["minReadySeconds"] = 1003.into();
    let (nodes, now) = (["a", "b"].map(node), Timestamp::from_second(1000).unwrap());
    let ready = [("1", "a", "new", "run"), ("2", "b", "new", "fail")].map(pod);
    let daemons = Daemons::new(State { set: &set, hash: "new", nodes: &nodes, pods: &ready, now });
    let plan = daemons.plan(|_| Some(Duration::from_secs(7)));
    assert_eq!((plan.delete.len(), plan.look_again), (0, Some(Duration::from_secs(3))));
    let plan = daemons.plan(|_| None);
    assert_eq!((plan.failed.len(), plan.delete.len()), (1, 1));
}
