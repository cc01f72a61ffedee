use super::*;
use crate::access::elements;
use crate::conditions;
use crate::resources::EVENTS;
use plane_client::Controller;
use plane_client::fake::FakePlanes;
use serde_json::json;
use service_runtime::Shutdown;

const TENANT: TenantId = TenantId::LOCAL_SUPER;

fn job(spec: Value) -> Value {
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
            "selector": {"matchLabels": {"job": "j"}},
            "template": {"metadata": {"labels": {"job": "j"}},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}}}});
    for (field, value) in spec.as_object().unwrap() {
        job["spec"][field] = value.clone();
    }
    job
}

fn start(spec: Value) -> FakePlanes {
    let planes = FakePlanes::new();
    planes.put(TENANT, job(spec));
    let controller = Controller::new(planes.client(), Arc::new(Jobs::new(planes.client())), 2);
    tokio::spawn(controller.run(Shutdown::new()));
    planes
}

fn pods(planes: &FakePlanes) -> Vec<Value> {
    planes.all(TENANT, &PODS.group_resource(), "default")
}

/// Waits for so many pods that have not ended.
async fn active(planes: &FakePlanes, count: usize) -> Vec<Value> {
    let alive = |planes: &FakePlanes| -> Vec<Value> {
        pods(planes).into_iter().filter(pod_facts::is_active).collect()
    };
    planes.wait_until("pods", |planes| alive(planes).len() == count).await;
    alive(planes)
}

fn end(planes: &FakePlanes, mut pod: Value, code: i64) {
    let now = Timestamp::now().to_string();
    pod["status"] = json!({"phase": if code == 0 { "Succeeded" } else { "Failed" }, "containerStatuses": [
        {"name": "c", "state": {"terminated": {"exitCode": code, "finishedAt": now}}}]});
    planes.put(TENANT, pod);
}

async fn has(planes: &FakePlanes, kind: &'static str) -> Value {
    let resource = JOBS.group_resource();
    let there = |job: Option<&Value>| {
        job.is_some_and(|job| conditions::holds(elements(job, "/status/conditions"), kind))
    };
    planes.wait_for(TENANT, &resource, "default", "j", there).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_its_completions_and_counts_each_once() {
    let planes = start(json!({"completions": 3, "parallelism": 2}));
    for left in [2, 2, 1] {
        let pod = active(&planes, left).await.remove(0);
        assert_eq!(pod["metadata"]["finalizers"], json!([FINALIZER]));
        end(&planes, pod, 0);
    }
    let done = has(&planes, "Complete").await;
    assert_eq!(done["status"]["succeeded"], 3);
    assert_eq!(done["status"]["uncountedTerminatedPods"], json!({}));
    assert!(done["status"]["completionTime"].is_string() && done["status"]["active"].is_null());
    let kinds: Vec<&str> = elements(&done, "/status/conditions").iter().map(|c| text(c, "/type")).collect();
    assert_eq!(kinds, ["SuccessCriteriaMet", "Complete"]);
    assert_eq!(pods(&planes).len(), 3, "pods stay to be read");
    assert!(!pods(&planes).iter().any(has_finalizer));
    planes
        .wait_until("its event", |planes| {
            let events = planes.all(TENANT, &EVENTS.group_resource(), "default");
            events.iter().any(|e| e["reason"] == "Completed" && e["message"] == "Job completed")
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_fail_it() {
    let planes = start(json!({"backoffLimit": 0}));
    let pod = active(&planes, 1).await.remove(0);
    end(&planes, pod, 1);
    let done = has(&planes, "Failed").await;
    assert_eq!(done["status"]["failed"], 1);
    let failed = conditions::find(elements(&done, "/status/conditions"), "Failed").unwrap();
    assert_eq!(
        (&failed["reason"], &failed["message"]),
        (&json!("BackoffLimitExceeded"), &json!("Job has reached the specified backoff limit"))
    );
    assert!(conditions::holds(elements(&done, "/status/conditions"), "FailureTarget"));
}

#[tokio::test(start_paused = true)]
async fn an_indexed_job_gives_each_index_a_pod() {
    let planes = start(json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3}));
    for pod in active(&planes, 3).await {
        let index = pod["metadata"]["annotations"][facts::INDEX].as_str().unwrap().to_owned();
        assert_eq!(pod["metadata"]["labels"][facts::INDEX], index.as_str());
        assert_eq!(pod["spec"]["hostname"], format!("j-{index}"));
        assert!(text(&pod, "/metadata/name").starts_with(&format!("j-{index}-")));
        assert_eq!(pod["spec"]["containers"][0]["env"][0]["name"], "JOB_COMPLETION_INDEX");
        end(&planes, pod, 0);
    }
    let done = has(&planes, "Complete").await;
    assert_eq!(
        (&done["status"]["completedIndexes"], &done["status"]["succeeded"]),
        (&json!("0-2"), &json!(3))
    );
}

#[tokio::test(start_paused = true)]
async fn an_index_out_of_tries_fails_alone() {
    let planes = start(json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2,
        "backoffLimitPerIndex": 0, "backoffLimit": 100}));
    for pod in active(&planes, 2).await {
        let code = i64::from(pod["metadata"]["annotations"][facts::INDEX] == "1");
        end(&planes, pod, code);
    }
    let done = has(&planes, "Failed").await;
    assert_eq!(
        (&done["status"]["failedIndexes"], &done["status"]["completedIndexes"]),
        (&json!("1"), &json!("0"))
    );
    let failed = conditions::find(elements(&done, "/status/conditions"), "Failed").unwrap();
    assert_eq!(failed["reason"], "FailedIndexes");
}

#[tokio::test(start_paused = true)]
async fn a_suspended_job_has_no_pods_until_it_is_resumed() {
    let planes = start(json!({"suspend": true}));
    let held = has(&planes, "Suspended").await;
    assert!(held["status"]["startTime"].is_null() && pods(&planes).is_empty());
    let mut resumed = held;
    resumed["spec"]["suspend"] = false.into();
    planes.put(TENANT, resumed);
    active(&planes, 1).await;
    let resource = JOBS.group_resource();
    planes
        .wait_for(TENANT, &resource, "default", "j", |job| {
            job.is_some_and(|job| {
                job["status"]["startTime"].is_string()
                    && job["status"]["conditions"][0]["reason"] == "JobResumed"
            })
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_job_that_is_gone_lose_their_finalizer() {
    let planes = start(json!({}));
    active(&planes, 1).await;
    planes.remove(TENANT, &JOBS.group_resource(), "default", "j");
    planes.wait_until("no finalizer", |planes| !pods(planes).iter().any(has_finalizer)).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_of_another_controller_is_left_alone() {
    let planes = start(json!({"managedBy": "example.com/other"}));
    let mut ours = job(json!({"selector": {"matchLabels": {"job": "k"}}}));
    ours["metadata"]["name"] = "k".into();
    ours["spec"]["template"]["metadata"]["labels"]["job"] = "k".into();
    planes.put(TENANT, ours);
    let found = active(&planes, 1).await;
    assert_eq!(found[0]["metadata"]["ownerReferences"][0]["name"], "k");
    let other = planes.find(TENANT, &JOBS.group_resource(), "default", "j").unwrap();
    assert!(other["status"].is_null(), "{other}");
}

#[test]
fn a_finished_job_expires() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut done = job(json!({"ttlSecondsAfterFinished": 10}));
    assert_eq!(until_expiry(&done, at(0)), None);
    done["status"] = json!({"conditions": [
        {"type": "Complete", "status": "True", "lastTransitionTime": "1970-01-01T00:01:40Z"}]});
    for (now, rest) in [(100, 10), (105, 5), (110, 0), (200, 0)] {
        assert_eq!(until_expiry(&done, at(now)), Some(Duration::from_secs(rest)), "{now}");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_that_a_success_makes_needless_are_no_failures() {
    let planes = start(json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2,
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]}}));
    for mut pod in active(&planes, 2).await {
        // On a node, it stays for a while once it is deleted.
        pod["spec"]["nodeName"] = "n".into();
        pod["status"] = json!({"phase": "Running"});
        let first = pod["metadata"]["annotations"][facts::INDEX] == "0";
        let pod = planes.put(TENANT, pod).value().unwrap();
        if first {
            end(&planes, pod, 0);
        }
    }
    let met = has(&planes, "SuccessCriteriaMet").await;
    assert_eq!(met["status"]["failed"], Value::Null);
    planes.wait_until("the finalizers are gone", |planes| !pods(planes).iter().any(has_finalizer)).await;
    let ending = pods(&planes).into_iter().find(pod_facts::is_deleting).unwrap();
    planes.remove(TENANT, &PODS.group_resource(), "default", text(&ending, "/metadata/name"));
    let done = has(&planes, "Complete").await;
    assert_eq!((&done["status"]["failed"], &done["status"]["succeeded"]), (&Value::Null, &json!(1)));
}
