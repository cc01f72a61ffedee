use super::*;
use serde_json::json;

fn node(name: &str, extra: Value) -> NodeState {
    let mut node = json!({"metadata": {"name": name, "labels": {"zone": name, "size": "4"}}, "spec": {},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "2"}}});
    for (key, value) in extra.as_object().unwrap() {
        node["spec"][key] = value.clone();
    }
    NodeState::new(node)
}

fn pod(spec: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": spec})
}

fn requesting(cpu: &str) -> Value {
    json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]})
}

#[test]
fn what_a_pod_needs() {
    let cpu = |spec: Value| needs(&pod(spec)).get("cpu").copied().unwrap_or(0);
    let container = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
    let sidecar = |cpu: &str| json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
    for (case, spec, expected) in [
        ("nothing", json!({"containers": [{}]}), 0),
        ("the sum", json!({"containers": [container("1"), container("500m")]}), 1500),
        ("a limit", json!({"containers": [{"resources": {"limits": {"cpu": "2"}}}]}), 2000),
        (
            "init at its peak",
            json!({"containers": [container("1")], "initContainers": [container("3")]}),
            3000,
        ),
        (
            "init below the sum",
            json!({"containers": [container("1")], "initContainers": [container("500m")]}),
            1000,
        ),
        ("sidecars run on", json!({"containers": [container("1")], "initContainers": [sidecar("1")]}), 2000),
        (
            "sidecars run beside later init",
            json!({"containers": [container("1")],
            "initContainers": [sidecar("1"), container("3")]}),
            4000,
        ),
        ("overhead", json!({"containers": [container("1")], "overhead": {"cpu": "250m"}}), 1250),
        (
            "the pod as a whole",
            json!({"containers": [container("1")], "resources": {"requests": {"cpu": "3"}}}),
            3000,
        ),
    ] {
        assert_eq!(cpu(spec), expected, "{case}");
    }
}

#[test]
fn nodes_that_cannot() {
    let taint = json!({"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]});
    let untolerated = &["node(s) had untolerated taint(s)"][..];
    let unmatched = &["node(s) didn't match Pod's node affinity/selector"][..];
    let affinity = |terms: Value| {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": terms}}}})
    };
    let expression = |key: &str, operator: &str, values: Value| json!([{"key": key, "operator": operator, "values": values}]);
    let cases: Vec<(&str, Value, Value, &[&str])> = vec![
        ("anything", json!({}), json!({}), &[]),
        ("cordoned", json!({}), json!({"unschedulable": true}), &["node(s) were unschedulable"]),
        (
            "cordoned and tolerated",
            json!({"tolerations": [{"operator": "Exists"}]}),
            json!({"unschedulable": true}),
            &[],
        ),
        ("tainted", json!({}), taint.clone(), untolerated),
        (
            "a taint that only discourages",
            json!({}),
            json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}),
            &[],
        ),
        (
            "tolerated",
            json!({"tolerations": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}),
            taint.clone(),
            &[],
        ),
        (
            "tolerated by key",
            json!({"tolerations": [{"key": "k", "operator": "Exists"}]}),
            taint.clone(),
            &[],
        ),
        ("another value", json!({"tolerations": [{"key": "k", "value": "w"}]}), taint.clone(), untolerated),
        (
            "another effect",
            json!({"tolerations": [{"key": "k", "value": "v", "effect": "NoExecute"}]}),
            taint.clone(),
            untolerated,
        ),
        (
            "an unknown operator",
            json!({"tolerations": [{"key": "k", "operator": "Like"}]}),
            taint,
            untolerated,
        ),
        ("selected", json!({"nodeSelector": {"zone": "n"}}), json!({}), &[]),
        ("not selected", json!({"nodeSelector": {"zone": "m"}}), json!({}), unmatched),
        (
            "affine",
            affinity(json!([{"matchExpressions": expression("size", "Gt", json!(["3"]))}])),
            json!({}),
            &[],
        ),
        (
            "one term is enough",
            affinity(json!([{"matchExpressions": expression("zone", "In", json!(["m"]))},
            {"matchFields": expression("metadata.name", "In", json!(["n"]))}])),
            json!({}),
            &[],
        ),
        (
            "not affine",
            affinity(json!([{"matchExpressions": expression("zone", "NotIn", json!(["n"]))}])),
            json!({}),
            unmatched,
        ),
        ("a term that says nothing", affinity(json!([{}])), json!({}), unmatched),
        ("too much", requesting("5"), json!({}), &["Insufficient cpu"]),
        (
            "what the node does not have",
            json!({"containers": [{"resources": {"limits": {"x.dev/gpu": 1}}}]}),
            json!({}),
            &["Insufficient x.dev/gpu"],
        ),
        (
            "pod affinity",
            json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}}),
            json!({}),
            &[
                "node(s) cannot be chosen by required pod anti-affinity, which this scheduler does not support",
            ],
        ),
    ];
    for (case, spec, extra, expected) in cases {
        let pod = pod(spec);
        assert_eq!(filter(&pod, &needs(&pod), &node("n", extra)), expected, "{case}");
    }
}

#[test]
fn what_is_bound_counts() {
    let mut full = node("n", json!({}));
    let pod =
        pod(json!({"containers": [{"ports": [{"hostPort": 80}], "resources": {"requests": {"cpu": "1"}}}]}));
    full.bind(&needs(&pod), &host_ports(&pod));
    let ports = ["node(s) didn't have free ports for the requested pod ports"];
    assert_eq!(filter(&pod, &needs(&pod), &full), ports);
    let other = super::tests::pod(requesting("3"));
    assert!(filter(&other, &needs(&other), &full).is_empty());
    full.bind(&needs(&other), &[]);
    assert_eq!(filter(&other, &needs(&other), &full), ["Insufficient cpu", "Too many pods"]);
}

#[test]
fn the_emptiest_node_is_chosen_or_the_reasons_are_counted() {
    let pod = pod(requesting("1"));
    let mut nodes =
        vec![node("a", json!({})), node("b", json!({})), node("c", json!({"unschedulable": true}))];
    assert_eq!(choose(&pod, &needs(&pod), &nodes), Ok("a"));
    nodes[0].bind(&needs(&pod), &[]);
    assert_eq!(choose(&pod, &needs(&pod), &nodes), Ok("b"));
    let large = super::tests::pod(requesting("9"));
    let why = choose(&large, &needs(&large), &nodes).unwrap_err();
    assert_eq!(why, "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.");
    assert_eq!(choose(&large, &needs(&large), &[]).unwrap_err(), "no nodes available to schedule pods");
}
