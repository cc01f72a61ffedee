use super::*;
use crate::resources::{DEPLOYMENTS, EVENTS};
use plane_client::fake::FakePlanes;
use plane_client::{Controller, ServiceAccount};
use serde_json::json;
use service_runtime::Shutdown;
use std::collections::BTreeMap;
use tokio::time::Instant;

const TENANT: TenantId = TenantId::LOCAL_SUPER;
const START: &str = "2026-07-09T10:00:00Z";

/// What a plane serves: scales of its objects, and what is put here by path.
#[derive(Default)]
struct Served {
    planes: FakePlanes,
    answers: Mutex<BTreeMap<String, Result<Value, ApiError>>>,
    asked: Mutex<Vec<String>>,
}

impl Served {
    fn set(&self, path: &str, answer: Value) {
        self.answers.lock().unwrap().insert(path.to_owned(), Ok(answer));
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl ServedApis for Served {
    async fn get(&self, tenant: TenantId, account: ServiceAccount, path: &str) -> Result<Value, ApiError> {
        assert_eq!((tenant, account.0), (TENANT, "horizontal-pod-autoscaler"));
        self.asked.lock().unwrap().push(path.to_owned());
        if let Some(answer) = self.answers.lock().unwrap().get(path) {
            return answer.clone();
        }
        let segments: Vec<&str> = path.split('/').collect();
        let ["", "apis", group, _, "namespaces", namespace, resource, name, "scale"] = segments[..] else {
            return Err(ApiError::new(
                api_types::Reason::NotFound,
                "the server could not find the requested resource",
            ));
        };
        let of = plane_client::GroupResource::new(group, resource);
        let found = self.planes.find(TENANT, &of, namespace, name);
        let found = found.ok_or_else(|| ApiError::not_found(&of, name))?;
        let metadata = json!({"name": name, "namespace": namespace,
            "resourceVersion": found["metadata"]["resourceVersion"]});
        Ok(json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
            "spec": {"replicas": found["spec"]["replicas"]},
            "status": {"replicas": found["spec"]["replicas"], "selector": found["metadata"]["annotations"]["selects"]}}))
    }

    async fn versions(&self, _: TenantId, group: &str) -> Vec<String> {
        let answers = self.answers.lock().unwrap();
        let of_group = answers.keys().filter_map(|path| path.strip_prefix(&format!("/apis/{group}/")));
        of_group.filter_map(|rest| rest.split('/').next()).map(str::to_owned).take(1).collect()
    }
}

struct Story {
    planes: FakePlanes,
    served: Arc<Served>,
}

const PODS_OF_WEB: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3Dweb";

impl Story {
    /// A Deployment with so many pods, which run since an hour.
    fn with(replicas: usize) -> Story {
        let planes = FakePlanes::new();
        let served = Arc::new(Served { planes: planes.clone(), ..Served::default() });
        let story = Story { planes, served };
        story.deployment("web", replicas, "app=web");
        for index in 0..replicas {
            story.pod(&format!("p{index}"), "web");
        }
        let (begin, start): (Instant, Timestamp) = (Instant::now(), START.parse().unwrap());
        let clock: Clock = Arc::new(move || start.checked_add(begin.elapsed()).unwrap());
        let (planes, served) = (story.planes.client(), story.served.clone());
        let reconciler = Arc::new(Autoscalers::by_clock(planes.clone(), served, clock));
        tokio::spawn(Controller::new(planes, reconciler, 2).run(Shutdown::new()));
        story
    }

    fn deployment(&self, name: &str, replicas: usize, selects: &str) {
        self.planes.put(
            TENANT,
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas},
                "metadata": {"name": name, "namespace": "default", "annotations": {"selects": selects}}}),
        );
    }

    fn pod(&self, name: &str, app: &str) {
        let resources = json!({"requests": {"cpu": "1", "memory": "100Mi"}});
        self.planes.put(
            TENANT,
            json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
                "spec": {"containers": [{"name": "c", "resources": resources}]},
                "status": {"phase": "Running", "startTime": "2026-07-09T09:00:00Z", "conditions": [
                    {"type": "Ready", "status": "True", "lastTransitionTime": "2026-07-09T09:00:10Z"}]}}),
        );
    }

    fn autoscaler(&self, name: &str, mut spec: Value) {
        if spec["scaleTargetRef"].is_null() {
            spec["scaleTargetRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        }
        self.planes.put(
            TENANT,
            json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": name, "namespace": "default", "uid": name}, "spec": spec}),
        );
    }

    /// Each pod uses so much CPU.
    fn uses(&self, pods: usize, cpu: &str) {
        let items: Vec<Value> = (0..pods)
            .map(|index| {
                json!({"metadata": {"name": format!("p{index}")}, "timestamp": START, "window": "15s",
                    "containers": [{"name": "c", "usage": {"cpu": cpu, "memory": "50Mi"}}]})
            })
            .collect();
        self.served.set(PODS_OF_WEB, json!({"items": items}));
    }

    async fn until(&self, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let resource = AUTOSCALERS.group_resource();
        let holds = |found: Option<&Value>| found.is_some_and(&is_so);
        self.planes.wait_for(TENANT, &resource, "default", name, holds).await.unwrap()
    }

    async fn replicas(&self, count: i64) {
        let has = |found: Option<&Value>| found.is_some_and(|found| found["spec"]["replicas"] == count);
        self.planes.wait_for(TENANT, &DEPLOYMENTS.group_resource(), "default", "web", has).await;
    }

    async fn told(&self, reason: &str) -> String {
        let find = || {
            let all = self.planes.all(TENANT, &EVENTS.group_resource(), "default");
            all.into_iter().find(|event| event["reason"] == reason)
        };
        self.planes.wait_until(reason, |_| find().is_some()).await;
        let event = find().unwrap();
        assert_eq!(event["source"]["component"], "horizontal-pod-autoscaler");
        event["message"].as_str().unwrap().to_owned()
    }
}

fn cpu(percent: i64) -> Value {
    json!({"minReplicas": 1, "maxReplicas": 10, "metrics": [{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}]})
}

/// Type, status and reason of each condition.
fn conditions_of(autoscaler: &Value) -> Vec<String> {
    let all = autoscaler["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.iter().map(|c| format!("{} {} {}", c["type"], c["status"], c["reason"]).replace('"', "")).collect()
}

fn has_reason(reason: &str) -> impl Fn(&Value) -> bool {
    move |found| conditions_of(found).iter().any(|condition| condition.ends_with(reason))
}

#[tokio::test(start_paused = true)]
async fn usage_scales_up_at_once_and_down_after_a_while() {
    let story = Story::with(2);
    story.uses(2, "900m");
    let mut spec = cpu(50);
    let policies = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
    let rules = |window| json!({"stabilizationWindowSeconds": window, "policies": policies});
    spec["behavior"] = json!({"scaleUp": rules(0), "scaleDown": rules(40)});
    story.autoscaler("web", spec);
    story.replicas(4).await;
    let found = story.until("web", has_reason("SucceededRescale")).await;
    let status = &found["status"];
    assert_eq!(
        (&status["currentReplicas"], &status["desiredReplicas"], &status["lastScaleTime"]),
        // The first look is a period after it is seen.
        (&json!(2), &json!(4), &json!("2026-07-09T10:00:15Z"))
    );
    let current = json!({"averageUtilization": 90, "averageValue": "900m"});
    assert_eq!(
        status["currentMetrics"],
        json!([{"type": "Resource", "resource": {"name": "cpu", "current": current}}])
    );
    assert_eq!(
        conditions_of(&found),
        [
            "AbleToScale True SucceededRescale",
            "ScalingActive True ValidMetricFound",
            "ScalingLimited False DesiredWithinRange",
        ]
    );
    let why = "New size: 4; reason: cpu resource utilization (percentage of request) above target";
    assert_eq!(story.told("SuccessfulRescale").await, why);

    for name in ["p2", "p3"] {
        story.pod(name, "web");
    }
    story.uses(4, "100m");
    let begin = Instant::now();
    story.until("web", has_reason("ScaleDownStabilized")).await;
    story.replicas(1).await;
    assert!(begin.elapsed() > Duration::from_secs(20), "{:?}", begin.elapsed());
    story.until("web", |found| found["status"]["desiredReplicas"] == 1).await;
    // Every 15 s, for its scale and its metrics.
    let looks = story.served.asked() as u64 / 2;
    assert!(looks <= 1 + begin.elapsed().as_secs() / 15, "{looks}");
}

#[tokio::test(start_paused = true)]
async fn bounds_come_before_metrics_and_nothing_stays_nothing() {
    let story = Story::with(2);
    let mut spec = cpu(50);
    (spec["minReplicas"], spec["maxReplicas"]) = (json!(5), json!(7));
    story.autoscaler("web", spec.clone());
    story.replicas(5).await;
    let why = "New size: 5; reason: Current number of replicas below Spec.MinReplicas";
    assert_eq!(story.told("SuccessfulRescale").await, why);
    spec["maxReplicas"] = json!(6);
    story.deployment("web", 9, "app=web");
    // A change waits for the turn, and does not put it off.
    let begin = Instant::now();
    story.autoscaler("web", spec);
    story.replicas(6).await;
    assert_eq!(begin.elapsed().as_secs(), PERIOD.as_secs());
    story.deployment("web", 0, "app=web");
    let found = story.until("web", has_reason("ScalingDisabled")).await;
    assert_eq!(found["status"]["currentReplicas"], 0);
    assert!(
        story.planes.find(TENANT, &DEPLOYMENTS.group_resource(), "default", "web").unwrap()["spec"]["replicas"]
            == 0
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_told_and_changes_nothing() {
    let story = Story::with(2);
    story.autoscaler("web", cpu(50));
    let found = story.until("web", has_reason("FailedGetResourceMetric")).await;
    let why = "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource";
    let active = crate::conditions::find(found["status"]["conditions"].as_array().unwrap(), "ScalingActive");
    assert_eq!(active.unwrap()["message"], format!("the HPA was unable to compute the replica count: {why}"));
    assert_eq!(found["status"]["currentMetrics"], json!([{"type": ""}]));
    assert_eq!(story.told("FailedGetResourceMetric").await, why);
    assert_eq!(
        story.told("FailedComputeMetricsReplicas").await,
        format!(
            "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: {why}"
        )
    );
    story.uses(2, "500m");
    story.until("web", has_reason("ValidMetricFound")).await;

    let gone = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"});
    story.autoscaler("gone", json!({"maxReplicas": 3, "scaleTargetRef": gone}));
    story.until("gone", has_reason("FailedGetScale")).await;
    assert_eq!(story.told("FailedGetScale").await, "deployments.apps \"gone\" not found");
    let unknown = json!({"apiVersion": "example.com/v1", "kind": "Nothing", "name": "x"});
    story.autoscaler("unknown", json!({"maxReplicas": 3, "scaleTargetRef": unknown}));
    let found = story.until("unknown", has_reason("FailedGetScale")).await;
    assert_eq!(
        found["status"]["conditions"][0]["message"],
        "the HPA controller was unable to get the target's current scale: no matches for kind \"Nothing\" in group \"example.com\""
    );
}

#[tokio::test(start_paused = true)]
async fn one_metric_that_fails_lets_replicas_grow_but_not_shrink() {
    let story = Story::with(2);
    let mut spec = cpu(50);
    let external = json!({"type": "External", "external": {"metric": {"name": "queue"},
        "target": {"type": "AverageValue", "averageValue": "10"}}});
    spec["metrics"].as_array_mut().unwrap().push(external);
    story.uses(2, "100m");
    story.autoscaler("web", spec);
    let found = story.until("web", has_reason("FailedGetExternalMetric")).await;
    assert_eq!(found["status"]["currentMetrics"][1], json!({"type": ""}));
    let why = "unable to get external metric default/queue/nil: unable to fetch metrics from external metrics API: the server could not find the requested resource";
    assert_eq!(story.told("FailedGetExternalMetric").await, why);
    let whole = format!(
        "invalid metrics (1 invalid out of 2), first error is: failed to get queue external metric value: failed to get queue external metric: {why}"
    );
    assert_eq!(story.told("FailedComputeMetricsReplicas").await, whole);
    story.uses(2, "1");
    story.replicas(4).await;
}

#[tokio::test(start_paused = true)]
async fn metrics_of_every_source() {
    let story = Story::with(2);
    story.uses(2, "500m");
    let value = |name: &str, value: &str| json!({"describedObject": {"name": name}, "value": value, "timestamp": START});
    let custom = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default";
    let requests = json!({"items": [value("p0", "15"), value("p1", "25")]});
    story.served.set(&format!("{custom}/pods/%2A/requests?labelSelector=app%3Dweb"), requests);
    let hits = json!({"items": [value("main", "3k")]});
    story.served.set(&format!("{custom}/ingresses.networking.k8s.io/main/hits"), hits);
    let here = json!({"items": [value("default", "7")]});
    story.served.set(&format!("{custom}/metrics/here?metricLabelSelector=a%3Db"), here);
    let queue = json!({"items": [{"value": "20"}, {"value": "10"}]});
    story
        .served
        .set("/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue?labelSelector=q%3Djobs", queue);
    story.planes.register(plane_client::fake::FakeKind::custom(
        "networking.k8s.io",
        "v1",
        "ingresses",
        "Ingress",
    ));
    let q = json!({"matchLabels": {"q": "jobs"}});
    let average = |value: &str| json!({"type": "AverageValue", "averageValue": value});
    story.autoscaler("web", json!({"maxReplicas": 20, "metrics": [
        {"type": "Resource", "resource": {"name": "memory", "target": average("50Mi")}},
        {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
            "target": {"type": "Utilization", "averageUtilization": 50}}},
        {"type": "Pods", "pods": {"metric": {"name": "requests"}, "target": average("20")}},
        {"type": "Object", "object": {"metric": {"name": "hits"}, "target": {"type": "Value", "value": "3k"},
            "describedObject": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"}}},
        {"type": "Object", "object": {"metric": {"name": "here", "selector": {"matchLabels": {"a": "b"}}},
            "target": average("3500m"), "describedObject": {"apiVersion": "v1", "kind": "Namespace", "name": "other"}}},
        {"type": "External", "external": {"metric": {"name": "queue", "selector": q}, "target": average("10")}},
    ]}));
    story.replicas(3).await;
    let found = story.until("web", has_reason("SucceededRescale")).await;
    let why = "New size: 3; reason: external metric queue(&LabelSelector{MatchLabels:map[string]string{q: jobs,},MatchExpressions:[]LabelSelectorRequirement{},}) above target";
    assert_eq!(story.told("SuccessfulRescale").await, why);
    let metrics = found["status"]["currentMetrics"].as_array().unwrap();
    let told: Vec<Value> = metrics
        .iter()
        .map(|metric| {
            metric.as_object().unwrap().values().find_map(|source| source.get("current")).unwrap().clone()
        })
        .collect();
    assert_eq!(
        told,
        [
            json!({"averageValue": "50Mi"}),
            json!({"averageUtilization": 50, "averageValue": "500m"}),
            json!({"averageValue": "20"}),
            json!({"value": "3k"}),
            json!({"averageValue": "3500m"}),
            json!({"averageValue": "15"}),
        ]
    );
    assert_eq!(metrics[1]["containerResource"]["container"], "c");
    assert_eq!(metrics[5]["external"]["metric"], json!({"name": "queue", "selector": q}));
}

#[tokio::test(start_paused = true)]
async fn a_custom_metric_that_is_not_there_is_told_as_kubernetes_tells_it() {
    let story = Story::with(2);
    let service = json!({"apiVersion": "v1", "kind": "Service", "name": "svc"});
    story.autoscaler(
        "web",
        json!({"maxReplicas": 20, "metrics": [{"type": "Object", "object": {
        "metric": {"name": "hits"}, "describedObject": service,
        "target": {"type": "AverageValue", "averageValue": "1"}}}]}),
    );
    story.until("web", has_reason("FailedGetObjectMetric")).await;
    let why = "unable to get metric hits: Service on default svc/unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered";
    assert_eq!(story.told("FailedGetObjectMetric").await, why);
    assert_eq!(
        story.told("FailedComputeMetricsReplicas").await,
        format!(
            "invalid metrics (1 invalid out of 1), first error is: failed to get object metric value: failed to get hits object metric: {why}"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn pods_have_one_autoscaler() {
    let story = Story::with(2);
    story.uses(2, "500m");
    story.autoscaler("a", cpu(50));
    story.until("a", has_reason("ValidMetricFound")).await;
    story.autoscaler("b", cpu(50));
    story.until("b", has_reason("AmbiguousSelector")).await;
    let why = "pods by selector app=web are controlled by multiple HPAs: [{a default} {b default}]";
    assert_eq!(story.told("AmbiguousSelector").await, why);
    story.until("a", has_reason("AmbiguousSelector")).await;
    story.planes.remove(TENANT, &AUTOSCALERS.group_resource(), "default", "b");
    story.until("a", has_reason("ValidMetricFound")).await;
    story.deployment("web", 2, "");
    story.until("a", has_reason("InvalidSelector")).await;
    assert_eq!(story.told("SelectorRequired").await, "selector is required");
    story.deployment("web", 2, "a b c");
    story.until("a", has_reason("FailedGetScale")).await;
    assert!(story.told("FailedGetScale").await.contains("couldn't parse the selector string \"a b c\": "));
}
