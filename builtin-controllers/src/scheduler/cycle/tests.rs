use super::super::cluster::tests::{cluster, put};
use super::super::pod::tests::pod;
use super::*;
use crate::scheduler::plugins::volumes::Volumes;
use serde_json::{Value, json};

fn look(cluster: &Cluster, info: &PodInfo) -> Result<String, String> {
    let volumes = Volumes::default();
    let cycle = Cycle::new(&Asked { pod: info, volumes: &volumes }, cluster);
    match cycle.map(|cycle| cycle.look(None, 0)) {
        Ok(Outcome::Fits { node, .. }) => Ok(node.to_string()),
        Ok(Outcome::Nowhere(nowhere)) | Err(nowhere) => Err(nowhere.message()),
    }
}

fn requests(cpu: &str) -> Value {
    json!({"containers": [{"resources": {"requests": {"cpu": cpu}}}]})
}

fn tainted(effect: &str) -> Value {
    json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": effect}]}})
}

fn by_field(name: &str) -> Value {
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]}}}})
}

#[test]
fn why_a_pod_fits_nowhere_is_told_as_kubernetes_tells_it() {
    let small = json!({"allocatable": {"cpu": "1", "pods": "1"}});
    let port = json!({"containers": [{"ports": [{"hostPort": 80, "containerPort": 80}]}]});
    for (case, nodes, spec, expected) in [
        ("no nodes", vec![], json!({}), Err("no nodes available to schedule pods")),
        ("room", vec![json!({})], requests("4"), Ok("n0")),
        (
            "no room",
            vec![json!({}), small.clone()],
            requests("5"),
            Err("0/2 nodes are available: 2 Insufficient cpu."),
        ),
        (
            "several reasons, counted and sorted",
            vec![
                json!({}),
                tainted("NoSchedule"),
                tainted("NoExecute"),
                json!({"spec": {"unschedulable": true}}),
            ],
            requests("5"),
            Err(
                "0/4 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable, 2 node(s) had untolerated taint(s).",
            ),
        ),
        ("preferred elsewhere", vec![tainted("PreferNoSchedule")], json!({}), Ok("n0")),
        (
            "by label",
            vec![json!({"labels": {"disk": "hdd"}})],
            json!({"nodeSelector": {"disk": "ssd"}}),
            Err("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."),
        ),
        ("by name", vec![json!({}), json!({})], by_field("n1"), Ok("n1")),
        (
            "by a name that is not there",
            vec![json!({}), json!({})],
            by_field("gone"),
            Err("0/2 nodes are available: 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."),
        ),
        (
            "by name, tainted",
            vec![json!({}), tainted("NoSchedule")],
            by_field("n1"),
            Err(
                "0/2 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity], 1 node(s) had untolerated taint(s).",
            ),
        ),
        ("a port", vec![json!({})], port.clone(), Ok("n0")),
        (
            "an extended resource",
            vec![json!({"allocatable": {"x.dev/gpu": "1"}}), json!({})],
            json!({"containers": [{"resources": {"requests": {"x.dev/gpu": "2", "memory": "1Ti"}}}]}),
            Err("0/2 nodes are available: 2 Insufficient memory, 2 Insufficient x.dev/gpu."),
        ),
        (
            "devices",
            vec![json!({})],
            json!({"resourceClaims": [{"name": "x"}]}),
            Err("0/1 nodes are available: dynamic resource claims are not supported by this scheduler."),
        ),
    ] {
        let names: Vec<String> = (0..nodes.len()).map(|index| format!("n{index}")).collect();
        let nodes: Vec<(&str, Value)> = names.iter().map(String::as_str).zip(nodes).collect();
        let found = look(&cluster(&nodes), &pod("p", spec));
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{case}");
    }
    let mut full = cluster(&[("n0", small)]);
    put(&mut full, pod("there", port.clone()), "n0");
    assert_eq!(look(&full, &pod("p", json!({}))).unwrap_err(), "0/1 nodes are available: 1 Too many pods.");
    assert_eq!(
        look(&full, &pod("p", port)).unwrap_err(),
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    );
}

#[test]
fn the_best_node_is_chosen() {
    let preferred = |key: &str, weight: i64| {
        json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": weight, "preference": {"matchExpressions": [{"key": key, "operator": "Exists"}]}}]}}})
    };
    let image = json!({"containers": [{"image": "app"}]});
    for (case, nodes, there, spec, expected) in [
        ("the emptier", [json!({}), json!({})], Some(requests("1")), requests("1"), "b"),
        ("the larger", [json!({}), json!({"allocatable": {"cpu": "64"}})], None, requests("1"), "b"),
        ("without a taint", [tainted("PreferNoSchedule"), json!({})], None, json!({}), "b"),
        ("of a label", [json!({}), json!({"labels": {"x": ""}})], None, preferred("x", 1), "b"),
        ("the first of equals", [json!({}), json!({})], None, json!({}), "a"),
        ("an image does not matter where nobody has it", [json!({}), json!({})], None, image, "a"),
    ] {
        let [a, b] = nodes;
        let mut cluster = cluster(&[("a", a), ("b", b)]);
        if let Some(there) = there {
            put(&mut cluster, pod("there", there), "a");
        }
        assert_eq!(look(&cluster, &pod("p", spec)).unwrap(), expected, "{case}");
    }
}

#[test]
fn images_draw_pods() {
    let mut nodes = [("a", json!({})), ("b", json!({}))];
    nodes[1].1["allocatable"] = json!({});
    let mut cluster = cluster(&nodes);
    let mut facts = (*cluster.node("b").unwrap().facts).clone();
    facts.images.insert("app:latest".into(), 800 * 1024 * 1024);
    cluster.set_node(&"b".into(), facts);
    assert_eq!(look(&cluster, &pod("p", json!({"containers": [{"image": "app"}]}))).unwrap(), "b");
}

#[test]
fn a_promised_node_is_kept_for_the_pod() {
    let mut cluster = cluster(&[("a", json!({}))]);
    let waiting = |priority: i64| {
        let mut spec = requests("3");
        spec["priority"] = priority.into();
        spec
    };
    cluster.nominate(&Arc::new(pod("important", waiting(9))), "a");
    assert!(look(&cluster, &pod("less", waiting(1))).is_err());
    assert_eq!(look(&cluster, &pod("more", waiting(10))).unwrap(), "a");
    assert_eq!(look(&cluster, &pod("important", waiting(9))).unwrap(), "a");
}

#[test]
fn of_many_nodes_a_part_is_looked_at() {
    for (nodes, expected) in [(5, 5), (99, 99), (100, 100), (1000, 420), (5000, 500), (10_000, 500)] {
        assert_eq!(enough(nodes), expected, "{nodes}");
    }
}

#[test]
fn what_comes_of_preemption_is_told_after() {
    let refusals = [("a".into(), Refusal::curable("Too many pods").unwrap())].into();
    let some = Nowhere { refusals, total: 1, ..Nowhere::default() };
    let none =
        Nowhere { before: Some("pod has unbound immediate PersistentVolumeClaims".into()), ..some.clone() };
    for (nowhere, helpless, expected) in [
        (&Nowhere::default(), Some("x."), "no nodes available to schedule pods"),
        (&some, None, "0/1 nodes are available: 1 Too many pods."),
        (
            &some,
            Some("x."),
            "0/1 nodes are available: 1 Too many pods. no new claims to deallocate, preemption: x.",
        ),
        (
            &none,
            Some("x."),
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
        ),
    ] {
        assert_eq!(nowhere.told(helpless), expected);
    }
}
