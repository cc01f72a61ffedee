use super::*;
use crate::resources::EVENTS;
use plane_client::Controller;
use plane_client::fake::FakePlanes;
use service_runtime::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const TENANT: TenantId = TenantId::LOCAL_SUPER;
const START: &str = "2026-07-09T10:59:30Z";
/// The job of 11:00.
const FIRST: &str = "c-29726580";

fn cron_job(spec: Value) -> Value {
    let mut cron_job = json!({"apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "c", "namespace": "default", "creationTimestamp": START},
        "spec": {"schedule": "0 * * * *", "concurrencyPolicy": "Allow", "suspend": false,
            "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never"}}}}}});
    for (field, value) in spec.as_object().unwrap() {
        cron_job["spec"][field] = value.clone();
    }
    cron_job
}

/// A controller by the runtime's clock, which begins at [`START`]; and how often it looked at it: once for each key.
fn run(planes: &FakePlanes) -> Arc<AtomicUsize> {
    let looks = Arc::new(AtomicUsize::new(0));
    let (begin, start): (Instant, Timestamp) = (Instant::now(), START.parse().unwrap());
    let counted = looks.clone();
    let clock: Clock = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        start.checked_add(begin.elapsed()).unwrap()
    });
    let reconciler = Arc::new(CronJobs::by_clock(planes.client(), clock));
    tokio::spawn(Controller::new(planes.client(), reconciler, 2).run(Shutdown::new()));
    looks
}

fn jobs(planes: &FakePlanes) -> Vec<String> {
    let all = planes.all(TENANT, &JOBS.group_resource(), "default");
    all.iter().map(|job| text(job, "/metadata/name").to_owned()).collect()
}

async fn status(planes: &FakePlanes, what: impl Fn(&Value) -> bool) -> Value {
    let resource = CRON_JOBS.group_resource();
    let holds = |found: Option<&Value>| found.is_some_and(|found| what(&found["status"]));
    planes.wait_for(TENANT, &resource, "default", "c", holds).await.unwrap()["status"].clone()
}

async fn told(planes: &FakePlanes, reason: &str) {
    let all = |planes: &FakePlanes| planes.all(TENANT, &EVENTS.group_resource(), "default");
    planes.wait_until(reason, |planes| all(planes).iter().any(|event| event["reason"] == reason)).await;
}

fn put_job(planes: &FakePlanes, name: &str, status: Value) {
    let uid =
        planes.find(TENANT, &CRON_JOBS.group_resource(), "default", "c").unwrap()["metadata"]["uid"].clone();
    let known = planes.find(TENANT, &JOBS.group_resource(), "default", name);
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "default",
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "c", "uid": uid, "controller": true}]}});
    if let Some(known) = known {
        job["metadata"]["uid"] = known["metadata"]["uid"].clone();
    }
    job["status"] = status;
    planes.put(TENANT, job);
}

fn complete(second: u8) -> Value {
    let at = format!("2026-07-09T11:00:{second:02}Z");
    json!({"startTime": at, "completionTime": at, "conditions": [{"type": "Complete", "status": "True"}]})
}

#[tokio::test(start_paused = true)]
async fn a_job_is_made_when_its_time_comes_and_followed_to_its_end() {
    let planes = FakePlanes::new();
    planes.put(TENANT, cron_job(json!({})));
    run(&planes);
    let found = status(&planes, |status| !status["active"].is_null()).await;
    assert_eq!(found["lastScheduleTime"], "2026-07-09T11:00:00Z");
    assert_eq!(found["active"][0]["name"], FIRST);
    assert_eq!(jobs(&planes), [FIRST]);
    told(&planes, "SuccessfulCreate").await;
    put_job(&planes, FIRST, complete(5));
    let found = status(&planes, |status| status["active"].is_null()).await;
    assert_eq!(found["lastSuccessfulTime"], "2026-07-09T11:00:05Z");
    told(&planes, "SawCompletedJob").await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_made_before_the_status_was_written_is_taken() {
    let planes = FakePlanes::new();
    planes.put(TENANT, cron_job(json!({"concurrencyPolicy": "Forbid"})));
    put_job(&planes, FIRST, json!({}));
    run(&planes);
    let found = status(&planes, |status| !status["active"].is_null()).await;
    assert_eq!((&found["active"][0]["name"], jobs(&planes)), (&json!(FIRST), vec![FIRST.to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_job_is_replaced() {
    let planes = FakePlanes::new();
    let mut object = cron_job(json!({"concurrencyPolicy": "Replace"}));
    object["status"] = json!({"active": [{"name": "c-1", "namespace": "default", "uid": "u"}]});
    planes.put(TENANT, object);
    put_job(&planes, "c-1", json!({}));
    let mut old = planes.find(TENANT, &JOBS.group_resource(), "default", "c-1").unwrap();
    old["metadata"]["uid"] = json!("u");
    planes.put(TENANT, old);
    run(&planes);
    status(&planes, |status| status["active"][0]["name"] == FIRST).await;
    assert_eq!(jobs(&planes), [FIRST]);
    told(&planes, "SuccessfulDelete").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_forgotten_and_the_history_is_short() {
    let planes = FakePlanes::new();
    let mut object = cron_job(json!({"suspend": true, "successfulJobsHistoryLimit": 1}));
    object["status"] = json!({"active": [{"name": "gone", "namespace": "default", "uid": "u"}]});
    planes.put(TENANT, object);
    for (name, second) in [("c-1", 1), ("c-2", 2), ("c-3", 3)] {
        put_job(&planes, name, complete(second));
    }
    run(&planes);
    let found = status(&planes, |status| status["active"].is_null()).await;
    assert_eq!(found["lastSuccessfulTime"], "2026-07-09T11:00:03Z");
    assert_eq!(jobs(&planes), ["c-3"]);
    told(&planes, "MissingJob").await;
}

#[tokio::test(start_paused = true)]
async fn idle_ones_cost_nothing() {
    const MANY: usize = 500;
    let planes = FakePlanes::new();
    for index in 0..MANY {
        let mut object = cron_job(json!({"schedule": "@yearly"}));
        object["metadata"]["name"] = format!("c{index}").into();
        planes.put(TENANT, object);
    }
    let looks = run(&planes);
    while looks.load(Ordering::SeqCst) < MANY {
        tokio::task::yield_now().await;
    }
    // Days pass.
    tokio::time::advance(Duration::from_secs(100 * 24 * 3600)).await;
    planes.put(TENANT, cron_job(json!({"schedule": "* * * * *"})));
    status(&planes, |status| !status["active"].is_null()).await;
    assert!(looks.load(Ordering::SeqCst) < MANY + 10, "{looks:?}");
}
