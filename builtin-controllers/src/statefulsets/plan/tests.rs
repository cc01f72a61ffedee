use super::*;
use serde_json::json;

fn set(spec: Value) -> Value {
    let mut set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "ns", "uid": "s", "generation": 4},
        "spec": {"replicas": 3, "podManagementPolicy": "OrderedReady", "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}});
    for (field, value) in spec.as_object().unwrap() {
        set["spec"][field] = value.clone();
    }
    set
}

fn revision(name: &str) -> Revision {
    let template = json!({"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": name}]}});
    Revision { name: name.into(), template }
}

/// A pod as `ordinal`, `revision` and what becomes of it say: `run` is available, `new` ready for 5 seconds,
/// `wait` pending, `fail` failed, `end` being deleted.
fn pod((ordinal, revision_name, what): (i64, &str, &str)) -> Value {
    let mut pod = new_pod(&set(json!({})), &revision(revision_name), ordinal);
    pod["metadata"]["uid"] = format!("p{ordinal}").into();
    let ready = |since: &str| {
        json!({"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": since}]})
    };
    pod["status"] = match what {
        "wait" => json!({"phase": "Pending"}),
        "fail" => json!({"phase": "Failed"}),
        "new" => ready("1970-01-01T00:16:35Z"),
        _ => ready("1970-01-01T00:00:00Z"),
    };
    if what == "end" {
        pod["metadata"]["deletionTimestamp"] = "1970-01-01T00:16:00Z".into();
    }
    pod
}

fn planned(set: &Value, pods: &[Value], claims: &Claims) -> Plan {
    plan(State {
        set,
        current: &revision("old"),
        update: &revision("new"),
        collisions: 0,
        pods,
        claims,
        now: Timestamp::from_second(1000).unwrap(),
    })
}

/// Each action as a word.
fn said(plan: &Plan) -> Vec<String> {
    let name = |pod: &Value| text(pod, "/metadata/name").trim_start_matches("db-").to_owned();
    let word = |action: &Action| match action {
        Action::Create { pod, .. } => format!("+{}:{}", name(pod), identity::revision(pod)),
        Action::Delete(pod) => format!("-{}", name(pod)),
        Action::Claims { pod, .. } => format!("claims of {pod}"),
        Action::Update { old, .. } => format!("~{}", name(old)),
    };
    plan.phases.iter().flatten().map(word).collect()
}

type Pods = &'static [(i64, &'static str, &'static str)];

fn check(case: &str, spec: Value, pods: Pods, expected: &[&str]) {
    let pods: Vec<Value> = pods.iter().map(|pod| self::pod(*pod)).collect();
    assert_eq!(said(&planned(&set(spec), &pods, &Claims::new())), expected, "{case}");
}

#[test]
fn in_order_one_pod_at_a_time_is_made_and_removed() {
    let ordered = || json!({});
    check("the first", ordered(), &[], &["+0:new"]);
    check("the next", ordered(), &[(0, "new", "run")], &["+1:new"]);
    check("not before the last is ready", ordered(), &[(0, "new", "wait")], &[]);
    check("a gap goes first", ordered(), &[(1, "new", "run"), (2, "new", "run")], &["+0:new"]);
    check("one that failed goes", ordered(), &[(0, "new", "run"), (1, "new", "fail")], &["-1"]);
    check("one that ends is waited for", ordered(), &[(0, "new", "end"), (2, "new", "run")], &[]);
    check("enough", ordered(), &[(0, "new", "run"), (1, "new", "run"), (2, "new", "run")], &[]);
    let one = || json!({"replicas": 1});
    let three: Pods = &[(0, "new", "run"), (1, "new", "run"), (2, "new", "run")];
    check("the highest goes first", one(), three, &["-2"]);
    check("and is waited for", one(), &[(0, "new", "run"), (1, "new", "run"), (2, "new", "end")], &[]);
    check("not while one below is down", one(), &[(0, "new", "wait"), (1, "new", "run")], &[]);
    check("the one that is down itself goes", one(), &[(0, "new", "run"), (1, "new", "wait")], &["-1"]);
    check(
        "a lower one that is down holds the one that is down above it",
        one(),
        &[(0, "new", "run"), (1, "new", "wait"), (2, "new", "wait")],
        &[],
    );
    check("none", json!({"replicas": 0}), &[(0, "new", "run")], &["-0"]);
    check("from five", json!({"ordinals": {"start": 5}, "replicas": 1}), &[], &["+5:new"]);
    check(
        "those before the start go",
        json!({"ordinals": {"start": 1}, "replicas": 1}),
        &[(0, "new", "run"), (1, "new", "run")],
        &["-0"],
    );
    check("ready for too short", json!({"minReadySeconds": 10}), &[(0, "new", "new")], &[]);
}

#[test]
fn in_parallel_all_pods_are_made_and_removed_at_once() {
    let parallel = |replicas: i64| json!({"podManagementPolicy": "Parallel", "replicas": replicas});
    check("all", parallel(3), &[(1, "new", "wait")], &["+0:new", "+2:new"]);
    check(
        "both ways",
        parallel(2),
        &[(0, "new", "fail"), (2, "new", "run"), (3, "new", "end"), (4, "new", "wait")],
        &["-0", "+1:new", "-4", "-2"],
    );
}

#[test]
fn updates_go_from_the_highest_ordinal_to_the_partition() {
    let all_old: Pods = &[(0, "old", "run"), (1, "old", "run"), (2, "old", "run")];
    let partition = |from: i64| json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": from}}});
    check("the highest", partition(0), all_old, &["-2"]);
    check("it is waited for", partition(0), &[(0, "old", "run"), (1, "old", "run"), (2, "old", "end")], &[]);
    check(
        "and has to be available",
        partition(0),
        &[(0, "old", "run"), (1, "old", "run"), (2, "new", "wait")],
        &[],
    );
    check("the next", partition(0), &[(0, "old", "run"), (1, "old", "run"), (2, "new", "run")], &["-1"]);
    check("not below", partition(2), &[(0, "old", "run"), (1, "old", "run"), (2, "new", "run")], &[]);
    check("below it is made of the old", partition(1), &[(1, "new", "run"), (2, "new", "run")], &["+0:old"]);
    check("beyond all", partition(9), all_old, &[]);
    check("by hand", json!({"updateStrategy": {"type": "OnDelete"}}), all_old, &[]);
    check(
        "by hand it is made of the new",
        json!({"updateStrategy": {"type": "OnDelete"}}),
        &[(0, "old", "run")],
        &["+1:new"],
    );
    let several = |most: Value| {
        json!({"podManagementPolicy": "Parallel", "updateStrategy": {"type": "RollingUpdate",
            "rollingUpdate": {"partition": 0, "maxUnavailable": most}}})
    };
    check("two at a time", several(json!(2)), all_old, &["-2", "-1"]);
    check("a percentage is rounded down", several(json!("70%")), all_old, &["-2", "-1"]);
    check("but to one at least", several(json!("10%")), all_old, &["-2"]);
    check(
        "those that are down count",
        several(json!(2)),
        &[(0, "old", "run"), (1, "old", "run"), (2, "new", "wait")],
        &["-1"],
    );
    check(
        "as many as may be",
        several(json!(1)),
        &[(0, "old", "wait"), (1, "old", "run"), (2, "old", "run")],
        &[],
    );
    check(
        "scaling goes before updating",
        json!({"replicas": 1}),
        &[(0, "old", "run"), (1, "old", "run")],
        &["-1"],
    );
}

#[test]
fn a_set_that_is_being_deleted_only_counts() {
    let mut ending = set(json!({}));
    ending["metadata"]["deletionTimestamp"] = "1970-01-01T00:16:00Z".into();
    let plan = planned(&ending, &[pod((0, "old", "run"))], &Claims::new());
    assert_eq!((said(&plan), &plan.status["replicas"]), (vec![], &json!(1)));
}

#[test]
fn the_status_counts_by_revision_and_ends_the_update() {
    let pods = [(0, "old", "run"), (1, "old", "new"), (2, "new", "wait"), (3, "new", "end")].map(pod);
    let plan = planned(&set(json!({"minReadySeconds": 10})), &pods, &Claims::new());
    assert_eq!(
        plan.status,
        json!({"observedGeneration": 4, "collisionCount": 0, "currentRevision": "old", "updateRevision": "new",
            "replicas": 4, "readyReplicas": 3, "availableReplicas": 2, "currentReplicas": 2, "updatedReplicas": 1})
    );
    assert_eq!(plan.look_again, Some(Duration::from_secs(5)));
    let plan = planned(&set(json!({"replicas": 1})), &[pod((0, "new", "run"))], &Claims::new());
    assert_eq!(
        (&plan.status["currentRevision"], &plan.status["currentReplicas"]),
        (&json!("new"), &json!(1))
    );
    let plan = planned(&set(json!({"replicas": 1})), &[pod((0, "old", "run"))], &Claims::new());
    assert_eq!(plan.status["currentReplicas"], 1);
    assert_eq!(plan.status_when_done["currentReplicas"], Value::Null, "the one that goes is not counted");
}

fn with_claims(spec: Value) -> Value {
    let mut set = set(spec);
    set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {}}]);
    set
}

fn claim(ordinal: i64, owners: Value) -> (String, Value) {
    let name = format!("data-db-{ordinal}");
    (name.clone(), json!({"metadata": {"name": name, "ownerReferences": owners}}))
}

#[test]
fn claims_come_before_their_pod_and_are_owned_as_the_policy_says() {
    let policy =
        json!({"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"}});
    let set = with_claims(policy);
    let plan = planned(&set, &[], &Claims::new());
    let [Action::Create { claims, .. }] = &plan.phases[0][..] else { panic!("{plan:?}") };
    let [ClaimWork::Create(made)] = &claims[..] else { panic!("{claims:?}") };
    assert_eq!(
        (text(made, "/metadata/name"), text(made, "/metadata/ownerReferences/0/uid")),
        ("data-db-0", "s")
    );

    let mut ending = claim(0, json!([]));
    ending.1["metadata"]["deletionTimestamp"] = "1970-01-01T00:16:00Z".into();
    let plan = planned(&set, &[], &Claims::from([ending]));
    let [Action::Create { claims, .. }] = &plan.phases[0][..] else { panic!("{plan:?}") };
    assert_eq!(*claims, [ClaimWork::Ending("data-db-0".into())]);

    let earlier =
        json!([{"apiVersion": "v1", "kind": "Pod", "name": "db-0", "uid": "earlier", "controller": true}]);
    let plan = planned(&set, &[], &Claims::from([claim(0, earlier)]));
    assert_eq!(
        (said(&plan), plan.look_again),
        (vec![], None),
        "it goes with the earlier pod, and its end wakes the set"
    );
}

#[test]
fn a_pod_that_goes_takes_its_claim_along_and_one_that_waits_gets_it_back() {
    let policy = |replicas: i64| {
        with_claims(json!({"replicas": replicas,
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Delete"}}))
    };
    let with_volume = |set: &Value, ordinal: i64, what: &str| {
        let mut pod = pod((ordinal, "new", what));
        pod["spec"]["volumes"] = new_pod(set, &revision("new"), ordinal)["spec"]["volumes"].clone();
        pod
    };
    let set = policy(0);
    let plan = planned(&set, &[with_volume(&set, 0, "run")], &Claims::from([claim(0, json!([]))]));
    assert_eq!(said(&plan), ["claims of db-0", "-0"]);
    let Action::Claims { work, .. } = &plan.phases[0][0] else { panic!("{plan:?}") };
    let [ClaimWork::Change { new, .. }] = &work[..] else { panic!("{work:?}") };
    assert_eq!(text(new, "/metadata/ownerReferences/0/uid"), "p0");
    let set = policy(1);
    let plan = planned(&set, &[with_volume(&set, 0, "wait")], &Claims::new());
    assert_eq!(said(&plan), ["claims of db-0"]);
    let plan = planned(&set, &[with_volume(&set, 0, "run")], &Claims::new());
    assert_eq!(said(&plan), [""; 0], "a claim that was removed under a running pod is not made again");
}
