use super::*;
use crate::scheduler::cluster::tests::{cluster, put};
use crate::scheduler::cycle::{Asked, Outcome};
use crate::scheduler::plugins::volumes::Volumes;
use crate::scheduler::pod::tests::pod;
use serde_json::{Value, json};

fn term(app: &str) -> Value {
    json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}})
}

fn required(kind: &str, term: Value) -> Value {
    json!({"labels": {"app": "web"}, "affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
}

fn preferred(kind: &str, weight: i64, term: Value) -> Value {
    json!({"labels": {"app": "web"}, "affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": weight, "podAffinityTerm": term}]}}})
}

/// Nodes `a` and `b` of zone 1, `c` of zone 2, `d` of none, with these pods.
fn look(there: Vec<(&str, Value)>, spec: Value) -> Result<String, String> {
    let zone = |zone: &str| json!({"labels": {"zone": zone}});
    let mut cluster = cluster(&[("a", zone("1")), ("b", zone("1")), ("c", zone("2")), ("d", json!({}))]);
    cluster.namespaces.insert("default".into(), vec![("team".into(), "x".into())]);
    for (index, (node, spec)) in there.into_iter().enumerate() {
        put(&mut cluster, pod(&format!("there-{index}"), spec), node);
    }
    let (info, volumes) = (pod("p", spec), Volumes::default());
    let cycle = Cycle::new(&Asked { pod: &info, volumes: &volumes }, &cluster).unwrap();
    match cycle.look(None, 0) {
        Outcome::Fits { node, .. } => Ok(node.to_string()),
        Outcome::Nowhere(nowhere) => Err(nowhere.message()),
    }
}

#[test]
fn required_rules() {
    let db = || json!({"labels": {"app": "db"}});
    let mut of_others = term("db");
    of_others["namespaceSelector"] = json!({"matchLabels": {"team": "y"}});
    let mut of_team = term("db");
    of_team["namespaceSelector"] = json!({"matchLabels": {"team": "x"}});
    let no =
        |count: usize, what: &str| Err(format!("0/4 nodes are available: {count} node(s) didn't {what}."));
    for (case, there, spec, expected) in [
        ("near", vec![("c", db())], required("podAffinity", term("db")), Ok("c")),
        ("near nobody", vec![], required("podAffinity", term("db")), no(4, "match pod affinity rules")),
        ("near its own kind, the first", vec![], required("podAffinity", term("web")), Ok("a")),
        ("near its own kind", vec![("c", json!({"labels": {"app": "web"}}))], required("podAffinity", term("web")), Ok("c")),
        ("of namespaces of a label", vec![("c", db())], required("podAffinity", of_team), Ok("c")),
        ("of others", vec![("c", db())], required("podAffinity", of_others), no(4, "match pod affinity rules")),
        ("apart", vec![("a", db()), ("d", db())], required("podAntiAffinity", term("db")), Ok("c")),
        (
            "apart from all",
            vec![("a", db()), ("c", db()), ("d", json!({"labels": {"app": "x"}, "containers": [{"resources": {"requests": {"cpu": "4"}}}]}))],
            {
                let mut spec = required("podAntiAffinity", term("db"));
                spec["containers"] = json!([{"resources": {"requests": {"cpu": "1"}}}]);
                spec
            },
            Err("0/4 nodes are available: 1 Insufficient cpu, 3 node(s) didn't match pod anti-affinity rules.".to_owned()),
        ),
        (
            "kept away",
            vec![("a", required("podAntiAffinity", term("web"))), ("c", required("podAntiAffinity", term("web")))],
            json!({"labels": {"app": "web"}, "nodeSelector": {"zone": "1"}}),
            Err("0/4 nodes are available: 2 node(s) didn't match Pod's node affinity/selector, 2 node(s) didn't satisfy existing pods anti-affinity rules.".to_owned()),
        ),
    ] {
        assert_eq!(look(there, spec), expected.map(str::to_owned), "{case}");
    }
}

#[test]
fn preferred_rules() {
    let db = || json!({"labels": {"app": "db"}});
    let web = || json!({"labels": {"app": "web"}});
    for (case, there, spec, expected) in [
        ("near", vec![("c", db())], preferred("podAffinity", 1, term("db")), "c"),
        ("apart", vec![("a", db()), ("d", db())], preferred("podAntiAffinity", 1, term("db")), "c"),
        ("who is there wants it near", vec![("c", preferred("podAffinity", 5, term("web")))], web(), "c"),
        ("who is there needs its kind", vec![("c", required("podAffinity", term("web")))], web(), "c"),
        (
            "who is there wants it away",
            vec![
                ("a", preferred("podAntiAffinity", 5, term("web"))),
                ("c", json!({})),
                ("c", json!({})),
                ("d", json!({})),
                ("d", json!({})),
            ],
            web(),
            "c",
        ),
    ] {
        assert_eq!(look(there, spec).unwrap(), expected, "{case}");
    }
}

#[test]
fn counts_follow_pods_that_come_and_go() {
    let zone = |zone: &str| json!({"labels": {"zone": zone}});
    let cluster = cluster(&[("a", zone("1"))]);
    let (own, other) =
        (pod("p", required("podAntiAffinity", term("db"))), pod("q", json!({"labels": {"app": "db"}})));
    let node = cluster.node("a").unwrap();
    let mut hard = Hard::new(&own, &cluster);
    hard.count(&own, &other, node, &cluster, 1);
    assert!(!hard.unwanted.is_empty());
    hard.count(&own, &other, node, &cluster, -1);
    assert!(hard.unwanted.is_empty());
}
