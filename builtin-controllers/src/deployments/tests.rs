use super::*;
use crate::access::{elements, number};
use crate::conditions;
use crate::replicasets::{ReplicaSets, SETS};
use plane_client::Controller;
use plane_client::fake::FakePlanes;
use replica_sets::{DESIRED, MAXIMUM, REVISION};
use service_runtime::Shutdown;

const TENANT: TenantId = TenantId::LOCAL_SUPER;

fn deployment(replicas: i64, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "revisionHistoryLimit": 2,
            "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": image}]}}}})
}

/// A replica set of the image with so many replicas, all available.
fn set(image: &str, wanted: i64, revision: i64, desired: i64) -> Value {
    let mut set = replica_sets::new_replica_set(&deployment(1, image), wanted);
    set["metadata"]["creationTimestamp"] = format!("2026-01-01T00:00:{revision:02}Z").into();
    set["metadata"]["annotations"] = json!({REVISION: revision.to_string(), DESIRED: desired.to_string(), MAXIMUM: (desired + 1).to_string()});
    set["status"] = json!({"replicas": wanted, "availableReplicas": wanted, "readyReplicas": wanted});
    set
}

/// The actions in short; the status apart.
fn short(actions: &[Action]) -> (Vec<String>, Value) {
    let mut status = Value::Null;
    let image = |set: &Value| text(set, "/spec/template/spec/containers/0/image").to_owned();
    let mut short = Vec::new();
    for action in actions {
        match action {
            Action::Create(set) => {
                short.push(format!(
                    "create {} {} r{}",
                    image(set),
                    set["spec"]["replicas"],
                    replica_sets::revision(set)
                ));
            }
            Action::Change { old, new } => short.push(format!(
                "{} {}->{} r{}",
                image(new),
                old["spec"]["replicas"],
                new["spec"]["replicas"],
                replica_sets::revision(new)
            )),
            Action::Delete(set) => short.push(format!("delete {}", image(set))),
            Action::SetRevision(revision) => short.push(format!("revision {revision}")),
            Action::SetStatus(new) => status = new.clone(),
            Action::Event(_) | Action::After(_) => {}
        }
    }
    (short, status)
}

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

/// What it shows, the deployment, its replica sets, whether old pods live, and the actions in short.
type Case = (&'static str, Value, Vec<Value>, bool, Vec<&'static str>);

#[test]
fn steps() {
    let at_revision = |mut deployment: Value, revision: &str| {
        deployment["metadata"]["annotations"] = json!({REVISION: revision});
        deployment
    };
    let with = |mut deployment: Value, pointer: [&str; 2], value: Value| {
        deployment[pointer[0]][pointer[1]] = value;
        deployment
    };
    let recreate = |deployment| with(deployment, ["spec", "strategy"], json!({"type": "Recreate"}));
    let paused = |deployment| with(deployment, ["spec", "paused"], json!(true));
    let at_1 = |image| at_revision(deployment(4, image), "1");
    let cases: Vec<Case> = vec![
        ("the first", deployment(4, "a"), vec![], false, vec!["revision 1", "create a 4 r1"]),
        ("nothing to do", at_1("a"), vec![set("a", 4, 1, 4)], false, vec![]),
        (
            "an update begins with the surge",
            at_1("b"),
            vec![set("a", 4, 1, 4)],
            false,
            vec!["revision 2", "create b 1 r2"],
        ),
        (
            "then the old shrink",
            at_revision(deployment(4, "b"), "2"),
            vec![set("a", 4, 1, 4), set("b", 1, 2, 4)],
            false,
            vec!["a 4->2 r1"],
        ),
        (
            "then the new grow",
            at_revision(deployment(4, "b"), "2"),
            vec![set("a", 2, 1, 4), set("b", 1, 2, 4)],
            false,
            vec!["b 1->3 r2"],
        ),
        (
            "an earlier template is taken up again",
            at_revision(deployment(4, "a"), "2"),
            vec![set("a", 0, 1, 4), set("b", 4, 2, 4)],
            false,
            vec!["a 0->1 r3", "revision 3"],
        ),
        (
            "a deployment is scaled",
            at_revision(deployment(6, "a"), "1"),
            vec![set("a", 4, 1, 4)],
            false,
            vec!["a 4->6 r1"],
        ),
        (
            "and to nothing",
            at_revision(deployment(0, "a"), "1"),
            vec![set("a", 4, 1, 4)],
            false,
            vec!["a 4->0 r1"],
        ),
        (
            "in the middle of an update, in proportion",
            at_revision(deployment(8, "b"), "2"),
            vec![set("a", 2, 1, 4), set("b", 3, 2, 4)],
            false,
            vec!["a 2->4 r1", "b 3->6 r2"],
        ),
        ("paused, it does not update", paused(at_1("b")), vec![set("a", 4, 1, 4)], false, vec![]),
        (
            "paused, it scales",
            paused(at_revision(deployment(5, "b"), "1")),
            vec![set("a", 4, 1, 4)],
            false,
            vec!["a 4->5 r1"],
        ),
        ("recreate ends the old", recreate(at_1("b")), vec![set("a", 4, 1, 4)], true, vec!["a 4->0 r1"]),
        ("and waits for them", recreate(at_1("b")), vec![set("a", 0, 1, 4)], true, vec![]),
        (
            "before the new",
            recreate(at_1("b")),
            vec![set("a", 0, 1, 4)],
            false,
            vec!["revision 2", "create b 4 r2"],
        ),
        (
            "history has its limit",
            at_revision(deployment(4, "d"), "4"),
            vec![set("a", 0, 1, 4), set("b", 0, 2, 4), set("c", 0, 3, 4), set("d", 4, 4, 4)],
            false,
            vec!["delete a"],
        ),
    ];
    for (case, deployment, sets, old_pods, expected) in cases {
        let (found, _) = short(&plan(&deployment, &sets, old_pods, now()));
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn a_deployment_that_is_being_deleted_is_left_alone() {
    let mut deleting = deployment(4, "b");
    deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let (actions, status) = short(&plan(&deleting, &[set("a", 4, 1, 4)], false, now()));
    assert_eq!((actions, &status["availableReplicas"]), (vec![], &json!(4)));
}

/// Status, reason and update time of a condition.
fn condition(status: &Value, kind: &str) -> [String; 3] {
    let found = conditions::find(elements(status, "/conditions"), kind);
    ["status", "reason", "lastUpdateTime"]
        .map(|field| found.map_or("", |f| f[field].as_str().unwrap()).to_owned())
}

#[test]
fn status_tells_availability_and_progress() {
    let mut deployment = deployment(4, "b");
    deployment["spec"]["progressDeadlineSeconds"] = 60.into();
    let mut new = set("b", 4, 2, 4);
    new["status"] = json!({"replicas": 4, "availableReplicas": 1, "readyReplicas": 2});
    let (_, status) = short(&plan(&deployment, &[set("a", 0, 1, 4), new.clone()], false, now()));
    let counts = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"];
    assert_eq!(counts.map(|field| number(&status, &format!("/{field}")).unwrap()), [4, 4, 2, 1, 3]);
    let start = "2026-01-01T01:00:00Z".to_owned();
    assert_eq!(condition(&status, "Available")[..2], ["False", "MinimumReplicasUnavailable"]);
    assert_eq!(
        condition(&status, "Progressing"),
        ["True".into(), "ReplicaSetUpdated".to_owned(), start.clone()]
    );

    deployment["status"] = status;
    let later = |seconds: i64| now() + jiff::SignedDuration::from_secs(seconds);
    let sets = [set("a", 0, 1, 4), new];
    let still = plan(&deployment, &sets, false, later(59));
    assert!(still.iter().any(|action| matches!(action, Action::After(rest) if rest.as_secs() == 2)));
    assert_eq!(condition(&short(&still).1, "Progressing")[2], start, "standing still is no progress");
    let (_, late) = short(&plan(&deployment, &sets, false, later(60)));
    assert_eq!(condition(&late, "Progressing")[..2], ["False", "ProgressDeadlineExceeded"]);

    deployment["status"] = late;
    let (_, done) = short(&plan(&deployment, &[set("a", 0, 1, 4), set("b", 4, 2, 4)], false, later(70)));
    assert_eq!(condition(&done, "Progressing")[..2], ["True", "NewReplicaSetAvailable"]);
    assert_eq!(condition(&done, "Available")[..2], ["True", "MinimumReplicasAvailable"]);
}

/// Marks pods ready as they come, as a kubelet would.
fn make_ready(planes: &FakePlanes) {
    let planes = planes.clone();
    tokio::spawn(async move {
        let resource = PODS.group_resource();
        let mut watch = planes.client().list_watch(&resource, Scope::All);
        while let Some(item) = watch.recv().await {
            let plane_client::WatchItem::Applied(pod) = item else { continue };
            let mut value = pod.value().unwrap();
            if value["status"]["phase"] == "Pending" {
                value["status"] = json!({"phase": "Running", "conditions": [
                    {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
                planes.put(TENANT, value);
            }
        }
    });
}

#[tokio::test(start_paused = true)]
async fn with_replica_sets_it_rolls_out_rolls_back_and_stays_within_bounds() {
    let planes = FakePlanes::new();
    let reconcilers: [Arc<dyn Reconciler>; 2] =
        [Arc::new(Deployments::new(planes.client())), Arc::new(ReplicaSets::new(planes.client(), SETS))];
    for reconciler in reconcilers {
        tokio::spawn(Controller::new(planes.client(), reconciler, 4).run(Shutdown::new()));
    }
    make_ready(&planes);
    let resource = DEPLOYMENTS.group_resource();
    let target = Target::new(TENANT, &DEPLOYMENTS, "default", "web");
    let admin = plane_client::Actor::Platform("admin");
    let create = plane_client::Write::Create(deployment(4, "a"));
    planes.client().write(&admin, &target, create).await.unwrap();
    let done_at = |generation: i64| {
        move |found: Option<&Value>| {
            let status = &found.unwrap()["status"];
            let full = ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|f| status[*f] == 4);
            full && status["observedGeneration"] == generation
                && conditions::find(elements(status, "/conditions"), "Progressing").unwrap()["reason"]
                    == "NewReplicaSetAvailable"
        }
    };
    planes.wait_for(TENANT, &resource, "default", "web", done_at(1)).await;

    for (generation, image, revision) in [(2, "b", "2"), (3, "a", "3")] {
        let template = deployment(4, image)["spec"]["template"].clone();
        let patch = plane_client::Patch::Merge(json!({"spec": {"template": template}}));
        planes.client().write(&admin, &target, plane_client::Write::Patch(patch)).await.unwrap();
        let bounds = planes.wait_until("done", |planes| {
            let pods = planes.all(TENANT, &PODS.group_resource(), "default");
            let live: Vec<&Value> = pods.iter().filter(|pod| pod_facts::is_active(pod)).collect();
            assert!(live.len() <= 5, "more than the surge: {}", live.len());
            let ready = live.iter().filter(|pod| pod_facts::is_ready(pod)).count();
            assert!(ready >= 3, "fewer than may be unavailable: {ready}");
            done_at(generation)(planes.find(TENANT, &resource, "default", "web").as_ref())
        });
        bounds.await;
        let found = planes.find(TENANT, &resource, "default", "web").unwrap();
        assert_eq!(replica_sets::annotation(&found, REVISION), revision);
        let pods = planes.all(TENANT, &PODS.group_resource(), "default");
        assert!(pods.iter().all(|pod| text(pod, "/spec/containers/0/image") == image));
    }
    assert_eq!(planes.all(TENANT, &REPLICA_SETS.group_resource(), "default").len(), 2);
}
