use super::super::cluster::Cluster;
use super::super::cluster::tests::{cluster, put};
use super::super::cycle::{Asked, Outcome};
use super::super::pod::tests::pod;
use super::*;
use crate::scheduler::plugins::volumes::Volumes;
use serde_json::json;

fn spec(cpu: &str, priority: i64) -> Value {
    json!({"priority": priority, "containers": [{"resources": {"requests": {"cpu": cpu}}}]})
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Node and victims, or why there are none.
fn tried(cluster: &Cluster, info: &PodInfo, budgets: &[Budget]) -> Result<String, String> {
    let volumes = Volumes::default();
    let cycle = Cycle::new(&Asked { pod: info, volumes: &volumes }, cluster).unwrap();
    let Outcome::Nowhere(nowhere) = cycle.look(None, 0) else { panic!("it fits") };
    match preempt(info, cluster, Some(&cycle), &nowhere, budgets, now()) {
        Preemption::Victims { node, uids } => {
            let mut names: Vec<&str> = uids.iter().map(CompactString::as_str).collect();
            names.sort_unstable();
            Ok(format!("{node}: {}", names.join(" ")))
        }
        Preemption::Helpless { why, .. } => Err(why),
    }
}

/// Two nodes of 4 CPUs with these pods: node, name, CPUs and priority.
fn crowded(pods: &[(&str, &str, &str, i64)]) -> Cluster {
    let mut cluster = cluster(&[("a", json!({})), ("b", json!({}))]);
    for (node, name, cpu, priority) in pods {
        put(&mut cluster, pod(name, spec(cpu, *priority)), node);
    }
    cluster
}

#[test]
fn the_fewest_and_least_important_pods_go() {
    for (case, pods, wanted, expected) in [
        ("the less important", vec![("a", "p", "4", 1), ("b", "q", "4", 2)], spec("1", 9), Ok("a: p")),
        (
            "the fewer",
            vec![("a", "p", "2", 1), ("a", "r", "2", 1), ("b", "q", "4", 1)],
            spec("4", 9),
            Ok("b: q"),
        ),
        (
            "only who has to",
            vec![("a", "p", "3", 5), ("a", "r", "1", 1), ("b", "q", "4", 9)],
            spec("1", 9),
            Ok("a: r"),
        ),
        (
            "nobody",
            vec![("a", "p", "4", 9), ("b", "q", "4", 10)],
            spec("1", 9),
            Err("0/2 nodes are available: 2 No preemption victims found for incoming pod."),
        ),
        (
            "not enough",
            vec![("a", "p", "3", 9), ("a", "r", "1", 1), ("b", "q", "4", 9)],
            spec("2", 9),
            Err(
                "0/2 nodes are available: 1 Insufficient cpu, 1 No preemption victims found for incoming pod.",
            ),
        ),
        (
            "never enough",
            vec![("a", "p", "4", 1)],
            spec("5", 9),
            Err("0/2 nodes are available: 2 Preemption is not helpful for scheduling."),
        ),
    ] {
        let found = tried(&crowded(&pods), &pod("new", wanted), &[]);
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{case}");
    }
}

#[test]
fn budgets_are_violated_last() {
    let crowd = crowded(&[("a", "p", "4", 1), ("b", "q", "4", 2)]);
    let budget = |allowed: i64| {
        Budget::of(&json!({"metadata": {"namespace": "default"}, "status": {"disruptionsAllowed": allowed},
            "spec": {"selector": {"matchLabels": {"app": "p"}}}}))
    };
    let new = pod("new", spec("1", 9));
    assert_eq!(tried(&crowd, &new, &[budget(0)]).unwrap(), "b: q");
    assert_eq!(tried(&crowd, &new, &[budget(1)]).unwrap(), "a: p");
    let all = Budget::of(&json!({"metadata": {"namespace": "default"}, "spec": {"selector": {}}}));
    assert_eq!(tried(&crowd, &new, &[all]).unwrap(), "a: p", "a selector of nothing guards nobody");
    let mut one = crowded(&[("a", "guarded", "2", 1), ("a", "free", "2", 2), ("b", "q", "4", 9)]);
    let guards = Budget::of(&json!({"metadata": {"namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "guarded"}}}}));
    let two = pod("new", spec("2", 9));
    assert_eq!(tried(&one, &two, std::slice::from_ref(&guards)).unwrap(), "a: free");
    one.take("free");
    put(&mut one, pod("free", spec("2", 9)), "a");
    assert_eq!(tried(&one, &two, &[guards]).unwrap(), "a: guarded", "a budget does not hold it up for ever");
}

#[test]
fn pods_that_started_later_go_first() {
    let mut crowd = cluster(&[("a", json!({})), ("b", json!({}))]);
    for (node, started) in [("a", "2026-01-01T00:00:00Z"), ("b", "2025-01-01T00:00:00Z")] {
        let mut spec = spec("4", 1);
        spec["status"] = json!({"startTime": started});
        put(&mut crowd, pod(&format!("on-{node}"), spec), node);
    }
    assert_eq!(tried(&crowd, &pod("new", spec("1", 9)), &[]).unwrap(), "a: on-a");
}

#[test]
fn who_may_not_or_waits_already_takes_nobodys_place() {
    let mut crowd = crowded(&[("a", "p", "4", 1), ("b", "q", "4", 2)]);
    let mut never = spec("1", 9);
    never["preemptionPolicy"] = "Never".into();
    let why = tried(&crowd, &pod("new", never), &[]).unwrap_err();
    assert_eq!(why, "not eligible due to preemptionPolicy=Never.");
    crowd.take("p");
    let mut going = pod("p", spec("4", 1));
    (going.is_deleting, going.was_preempted) = (true, true);
    put(&mut crowd, going, "a");
    let mut waiting = pod("new", spec("1", 9));
    assert_eq!(tried(&crowd, &waiting, &[]).unwrap(), "a: p");
    waiting.nominated = "a".into();
    let why = tried(&crowd, &waiting, &[]).unwrap_err();
    assert_eq!(why, "not eligible due to a terminating pod on the nominated node.");
}
