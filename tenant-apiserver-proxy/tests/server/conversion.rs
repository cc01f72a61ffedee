//! Kinds that are served in more than one form: one object, read and written in each.

use crate::harness::{Installation, names, text};
use serde_json::{Value, json};

const V1: &str = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
const V2: &str = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
const CORE: &str = "/api/v1/namespaces/default/events";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

fn autoscaler(name: &str) -> Value {
    json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
        "spec": {"maxReplicas": 5, "targetCPUUtilizationPercentage": 70,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}})
}

fn event(name: &str) -> Value {
    json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name}, "type": "Normal",
        "eventTime": "2026-01-02T03:04:05.000006Z", "reportingController": "test/me",
        "reportingInstance": "me-1", "action": "Try", "reason": "Trying", "note": "it was tried",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}})
}

#[tokio::test]
async fn an_autoscaler_is_read_and_written_in_both_versions() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let made = admin.post(V1, &autoscaler("a")).await.expect_code(201).json();
    assert_eq!((text(&made["apiVersion"]), &made["spec"]["minReplicas"]), ("autoscaling/v1", &json!(1)));
    assert_eq!(made["status"], json!({"currentReplicas": 0, "desiredReplicas": 0}));
    assert_eq!(made["metadata"]["managedFields"][0]["apiVersion"], "autoscaling/v1");

    let path = format!("{V2}/a");
    let read = admin.get(&path).await.expect_code(200).json();
    assert_eq!(text(&read["apiVersion"]), "autoscaling/v2");
    let target = &read["spec"]["metrics"][0]["resource"]["target"];
    assert_eq!(target, &json!({"type": "Utilization", "averageUtilization": 70}));

    let patch = json!({"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}}});
    admin.merge(&path, &patch).await.expect_code(200);
    let shown = admin.get(&format!("{V1}/a")).await.expect_code(200).json();
    let annotation = text(&shown["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/behavior"]);
    assert!(annotation.contains(r#""StabilizationWindowSeconds":5"#), "{shown}");
    // What v1 has no field for is kept by those who write through v1.
    let patch = json!({"spec": {"targetCPUUtilizationPercentage": 55}});
    admin.merge(&format!("{V1}/a"), &patch).await.expect_code(200);
    let read = admin.get(&path).await.expect_code(200).json();
    assert_eq!(read["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 5);
    assert_eq!(read["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 55);

    let list = admin.get(V1).await.expect_code(200).json();
    assert_eq!((text(&list["apiVersion"]), names(&list)), ("autoscaling/v1", vec!["a"]));
    assert_eq!(list["items"][0].get("apiVersion"), None);
    assert_eq!(list["items"][0]["spec"]["targetCPUUtilizationPercentage"], 55);
    let refused = admin.post(V1, &json!({"metadata": {"name": "b"}, "spec": {"maxReplicas": 0}})).await;
    refused.expect_code(422);
}

#[tokio::test]
async fn an_autoscaler_is_applied_and_watched_in_the_other_version() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let mut watch = admin.watch(&format!("{V1}?watch=true")).await;
    let apply = |percent: i64| {
        let mut object = autoscaler("a");
        object["spec"]["targetCPUUtilizationPercentage"] = percent.into();
        object.to_string()
    };
    let path = format!("{V1}/a?fieldManager=me");
    let of = "application/apply-patch+yaml";
    admin.send("PATCH", &path, of, apply(40)).await.expect_code(201);
    let applied = admin.send("PATCH", &path, of, apply(41)).await.expect_code(200).json();
    assert_eq!(applied["spec"]["targetCPUUtilizationPercentage"], 41);
    let managed = &applied["metadata"]["managedFields"];
    assert_eq!((managed[0]["operation"].as_str(), managed.as_array().unwrap().len()), (Some("Apply"), 1));
    for percent in [40, 41] {
        let seen = watch.next().await.unwrap();
        assert_eq!(seen["object"]["apiVersion"], "autoscaling/v1");
        assert_eq!(seen["object"]["spec"]["targetCPUUtilizationPercentage"], percent);
    }
}

#[tokio::test]
async fn an_event_is_one_object_of_two_groups() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let made = admin.post(EVENTS, &event("e")).await.expect_code(201).json();
    assert_eq!((text(&made["apiVersion"]), text(&made["note"])), ("events.k8s.io/v1", "it was tried"));
    let core = admin.get(&format!("{CORE}/e")).await.expect_code(200).json();
    assert_eq!((text(&core["apiVersion"]), text(&core["message"])), ("v1", "it was tried"));
    assert_eq!((&core["involvedObject"], core.get("regarding")), (&made["regarding"], None));
    assert_eq!(core["metadata"]["uid"], made["metadata"]["uid"]);

    for (path, count) in [
        (format!("{EVENTS}?fieldSelector=regarding.name=p,reportingController=test/me"), 1),
        (format!("{EVENTS}?fieldSelector=regarding.name=q"), 0),
        (format!("{CORE}?fieldSelector=involvedObject.name=p,reportingComponent=test/me"), 1),
        ("/apis/events.k8s.io/v1/events?fieldSelector=type=Normal".to_owned(), 1),
    ] {
        let list = admin.get(&path).await.expect_code(200).json();
        assert_eq!(names(&list).len(), count, "{path}");
    }
    admin.get(&format!("{EVENTS}?fieldSelector=involvedObject.name=p")).await.expect_code(400);

    // Old clients may put what they like in an event, new ones may not.
    let old = json!({"metadata": {"name": "old"}, "involvedObject": {"namespace": "default"}, "count": 3});
    admin.post(CORE, &old).await.expect_code(201);
    let mut loose = event("loose");
    loose["eventTime"] = Value::Null;
    loose["type"] = "Odd".into();
    let refused = admin.post(EVENTS, &loose).await.expect_code(422).json();
    let fields: Vec<&str> =
        refused["details"]["causes"].as_array().unwrap().iter().map(|cause| text(&cause["field"])).collect();
    assert_eq!(fields, ["eventTime", "type"]);
    let mut changed = made.clone();
    changed["note"] = "it was not".into();
    let refused = admin.put(&format!("{EVENTS}/e"), &changed).await.expect_code(422).json();
    assert_eq!(text(&refused["details"]["causes"][0]["field"]), "message");

    admin.delete(&format!("{EVENTS}/e")).await.expect_code(200);
    let gone = admin.get(&format!("{CORE}/e")).await.expect_code(404).json();
    assert_eq!(text(&gone["message"]), "events \"e\" not found");
}

#[tokio::test]
async fn a_pod_is_bound_by_a_binding_too() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    admin.post(pods, &pod).await.expect_code(201);
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n1"}});
    let bindings = "/api/v1/namespaces/default/bindings";
    admin.post(bindings, &binding).await.expect_code(201);
    assert_eq!(admin.get(&format!("{pods}/p")).await.json()["spec"]["nodeName"], "n1");
    admin.post(bindings, &binding).await.expect_code(409);
    let mut other = binding.clone();
    other["metadata"]["name"] = "nobody".into();
    admin.post(bindings, &other).await.expect_code(404);
}
