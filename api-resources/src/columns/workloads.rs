//! Columns of what makes pods: deployments, replica sets, jobs and their like, and what scales and guards them.

use super::about::{field, words};
use super::pods::{containers, images};
use super::{
    AGE, Col, Kind, age, boolean, int, labels, list, number, selector, string, string_or, text, wide,
};
use jiff::Timestamp;
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[
    ("apps", "deployments", DEPLOYMENTS),
    ("apps", "replicasets", REPLICA_SETS),
    ("apps", "statefulsets", STATEFUL_SETS),
    ("apps", "daemonsets", DAEMON_SETS),
    ("apps", "controllerrevisions", CONTROLLER_REVISIONS),
    ("", "replicationcontrollers", REPLICATION_CONTROLLERS),
    ("batch", "jobs", JOBS),
    ("batch", "cronjobs", CRON_JOBS),
    ("autoscaling", "horizontalpodautoscalers", AUTOSCALERS),
    ("policy", "poddisruptionbudgets", DISRUPTION_BUDGETS),
];

const CONTAINERS: Col =
    wide("Containers", words("Names of each container in the template."), |o, _| containers(template(o)));
const IMAGES: Col =
    wide("Images", words("Images referenced by each container in the template."), |o, _| images(template(o)));

const fn selector_of(spec: &'static str) -> Col {
    wide("Selector", field(spec, "selector"), |o, _| Value::from(selector(&o["spec"]["selector"])))
}

fn template(object: &Value) -> &Value {
    &object["spec"]["template"]
}

const DEPLOYMENTS: &[Col] = &[
    text("Ready", words("Number of the pod with ready state"), |o, _| ready(o)),
    text("Up-to-date", field("apps.v1.DeploymentStatus", "updatedReplicas"), |o, _| {
        number(&o["status"]["updatedReplicas"]).into()
    }),
    text("Available", field("apps.v1.DeploymentStatus", "availableReplicas"), |o, _| {
        number(&o["status"]["availableReplicas"]).into()
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    wide("Selector", field("apps.v1.DeploymentSpec", "selector"), |o, _| {
        // Deployments print what others show as `<none>` and `<error>` in their own way.
        let parsed = crate::selectors::LabelSelector::from_json(&o["spec"]["selector"]);
        Value::from(parsed.map_or_else(|_| "<invalid>".to_owned(), |selector| selector.to_string()))
    }),
];

fn ready(object: &Value) -> Value {
    Value::from(format!(
        "{}/{}",
        number(&object["status"]["readyReplicas"]),
        number(&object["spec"]["replicas"])
    ))
}

const REPLICA_SETS: &[Col] = &[
    int("Desired", field("apps.v1.ReplicaSetSpec", "replicas"), |o, _| number(&o["spec"]["replicas"]).into()),
    int("Current", field("apps.v1.ReplicaSetStatus", "replicas"), |o, _| {
        number(&o["status"]["replicas"]).into()
    }),
    int("Ready", field("apps.v1.ReplicaSetStatus", "readyReplicas"), |o, _| {
        number(&o["status"]["readyReplicas"]).into()
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    selector_of("apps.v1.ReplicaSetSpec"),
];

const REPLICATION_CONTROLLERS: &[Col] = &[
    Col { about: field("core.v1.ReplicationControllerSpec", "replicas"), ..REPLICA_SETS[0] },
    Col { about: field("core.v1.ReplicationControllerStatus", "replicas"), ..REPLICA_SETS[1] },
    Col { about: field("core.v1.ReplicationControllerStatus", "readyReplicas"), ..REPLICA_SETS[2] },
    AGE,
    CONTAINERS,
    IMAGES,
    wide("Selector", field("core.v1.ReplicationControllerSpec", "selector"), |o, _| {
        Value::from(labels(&o["spec"]["selector"]))
    }),
];

const STATEFUL_SETS: &[Col] =
    &[text("Ready", words("Number of the pod with ready state"), |o, _| ready(o)), AGE, CONTAINERS, IMAGES];

const DAEMON_SETS: &[Col] = &[
    int("Desired", field("apps.v1.DaemonSetStatus", "desiredNumberScheduled"), |o, _| {
        number(&o["status"]["desiredNumberScheduled"]).into()
    }),
    int("Current", field("apps.v1.DaemonSetStatus", "currentNumberScheduled"), |o, _| {
        number(&o["status"]["currentNumberScheduled"]).into()
    }),
    int("Ready", field("apps.v1.DaemonSetStatus", "numberReady"), |o, _| {
        number(&o["status"]["numberReady"]).into()
    }),
    int("Up-to-date", field("apps.v1.DaemonSetStatus", "updatedNumberScheduled"), |o, _| {
        number(&o["status"]["updatedNumberScheduled"]).into()
    }),
    int("Available", field("apps.v1.DaemonSetStatus", "numberAvailable"), |o, _| {
        number(&o["status"]["numberAvailable"]).into()
    }),
    text("Node Selector", field("core.v1.PodSpec", "nodeSelector"), |o, _| {
        Value::from(labels(&template(o)["spec"]["nodeSelector"]))
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    selector_of("apps.v1.DaemonSetSpec"),
];

const CONTROLLER_REVISIONS: &[Col] = &[
    text("Controller", words("Controller of the object"), |o, _| controller(o)),
    text("Revision", field("apps.v1.ControllerRevision", "revision"), |o, _| number(&o["revision"]).into()),
    AGE,
];

fn controller(object: &Value) -> Value {
    let owner = list(&object["metadata"]["ownerReferences"]).iter().find(|owner| owner["controller"] == true);
    let Some(owner) = owner else { return Value::from("<none>") };
    let field = |name: &str| owner[name].as_str().unwrap_or("").to_owned();
    let kind = match field("apiVersion").split_once('/') {
        Some((group, _)) => format!("{}.{group}", field("kind")),
        None => field("kind"),
    };
    Value::from(format!("{}/{}", kind.to_lowercase(), field("name")))
}

const JOBS: &[Col] = &[
    text("Status", words("Status of the job."), |o, _| Value::from(job_status(o))),
    text("Completions", field("batch.v1.JobStatus", "succeeded"), |o, _| Value::from(completions(o))),
    text("Duration", words("Time required to complete the job."), |o, now| Value::from(job_duration(o, now))),
    AGE,
    CONTAINERS,
    IMAGES,
    selector_of("batch.v1.JobSpec"),
];

fn job_status(job: &Value) -> &'static str {
    let holds = |kind: &str| {
        let condition = list(&job["status"]["conditions"]).iter().find(|c| c["type"] == kind);
        condition.is_some_and(|c| c["status"] == "True")
    };
    let first = |kinds: &[&'static str]| kinds.iter().find(|kind| holds(kind)).copied();
    match first(&["Complete", "Failed"]) {
        Some(ended) => ended,
        None if job["metadata"]["deletionTimestamp"].is_string() => "Terminating",
        None => first(&["Suspended", "FailureTarget", "SuccessCriteriaMet"]).unwrap_or("Running"),
    }
}

fn completions(job: &Value) -> String {
    let succeeded = number(&job["status"]["succeeded"]);
    match (job["spec"]["completions"].as_i64(), number(&job["spec"]["parallelism"])) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn job_duration(job: &Value, now: Timestamp) -> String {
    let status = &job["status"];
    match (age::moment(&status["startTime"]), age::moment(&status["completionTime"])) {
        (None, _) => String::new(),
        (Some(start), end) => age::between(start, end.unwrap_or(now)),
    }
}

const CRON_JOBS: &[Col] = &[
    text("Schedule", field("batch.v1.CronJobSpec", "schedule"), |o, _| string(&o["spec"]["schedule"])),
    text("Timezone", field("batch.v1.CronJobSpec", "timeZone"), |o, _| {
        string_or(&o["spec"]["timeZone"], "<none>")
    }),
    boolean("Suspend", field("batch.v1.CronJobSpec", "suspend"), |o, _| {
        Value::from(match o["spec"]["suspend"].as_bool() {
            None => "<unset>",
            Some(true) => "True",
            Some(false) => "False",
        })
    }),
    int("Active", field("batch.v1.CronJobStatus", "active"), |o, _| {
        Value::from(list(&o["status"]["active"]).len())
    }),
    text("Last Schedule", field("batch.v1.CronJobStatus", "lastScheduleTime"), |o, now| {
        let last = &o["status"]["lastScheduleTime"];
        if last.is_string() { age::since(last, now) } else { Value::from("<none>") }
    }),
    AGE,
    wide("Containers", words("Names of each container in the template."), |o, _| {
        containers(cron_template(o))
    }),
    wide("Images", words("Images referenced by each container in the template."), |o, _| {
        images(cron_template(o))
    }),
    wide("Selector", field("batch.v1.JobSpec", "selector"), |o, _| {
        Value::from(selector(&o["spec"]["jobTemplate"]["spec"]["selector"]))
    }),
];

fn cron_template(object: &Value) -> &Value {
    &object["spec"]["jobTemplate"]["spec"]["template"]
}

const AUTOSCALERS: &[Col] = &[
    text("Reference", field("autoscaling.v2.HorizontalPodAutoscalerSpec", "scaleTargetRef"), |o, _| {
        let target = &o["spec"]["scaleTargetRef"];
        Value::from(format!(
            "{}/{}",
            target["kind"].as_str().unwrap_or(""),
            target["name"].as_str().unwrap_or("")
        ))
    }),
    text("Targets", field("autoscaling.v2.HorizontalPodAutoscalerSpec", "metrics"), |o, _| {
        Value::from(metrics(o))
    }),
    text("MinPods", field("autoscaling.v2.HorizontalPodAutoscalerSpec", "minReplicas"), |o, _| {
        Value::from(o["spec"]["minReplicas"].as_i64().map_or("<unset>".to_owned(), |n| n.to_string()))
    }),
    text("MaxPods", field("autoscaling.v2.HorizontalPodAutoscalerSpec", "maxReplicas"), |o, _| {
        number(&o["spec"]["maxReplicas"]).into()
    }),
    text("Replicas", field("autoscaling.v2.HorizontalPodAutoscalerStatus", "currentReplicas"), |o, _| {
        number(&o["status"]["currentReplicas"]).into()
    }),
    AGE,
];

/// At most two metrics, then how many more there are.
fn metrics(scaler: &Value) -> String {
    let specs = list(&scaler["spec"]["metrics"]);
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let status = &scaler["status"]["currentMetrics"];
    let shown: Vec<String> =
        specs.iter().take(2).enumerate().map(|(i, spec)| metric(spec, &status[i])).collect();
    match specs.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} + {more} more...", shown.join(", ")),
    }
}

fn metric(spec: &Value, status: &Value) -> String {
    let (source, by_resource) = match spec["type"].as_str().unwrap_or("") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let (target, current) = (&spec[source]["target"], &status[source]["current"]);
    let now = |field: &str| current[field].as_str().unwrap_or("<unknown>").to_owned();
    let percent = |value: &Value, otherwise: &str| {
        value["averageUtilization"].as_i64().map_or(otherwise.to_owned(), |n| format!("{n}%"))
    };
    let average = target["averageValue"].as_str();
    match (by_resource, average) {
        (true, Some(wanted)) => {
            format!("{}: {}/{wanted}", spec[source]["name"].as_str().unwrap_or(""), now("averageValue"))
        }
        (true, None) => format!(
            "{}: {}/{}",
            spec[source]["name"].as_str().unwrap_or(""),
            percent(current, "<unknown>"),
            percent(target, "<auto>")
        ),
        (false, Some(wanted)) if source == "pods" => format!("{}/{wanted}", now("averageValue")),
        (false, Some(wanted)) => format!("{}/{wanted} (avg)", now("averageValue")),
        (false, None) => format!("{}/{}", now("value"), target["value"].as_str().unwrap_or("0")),
    }
}

const DISRUPTION_BUDGETS: &[Col] = &[
    text("Min Available", words("The minimum number of pods that must be available."), |o, _| {
        bound(&o["spec"]["minAvailable"])
    }),
    text("Max Unavailable", words("The maximum number of pods that may be unavailable."), |o, _| {
        bound(&o["spec"]["maxUnavailable"])
    }),
    int(
        "Allowed Disruptions",
        words("Calculated number of pods that may be disrupted at this time."),
        |o, _| number(&o["status"]["disruptionsAllowed"]).into(),
    ),
    AGE,
];

fn bound(value: &Value) -> Value {
    Value::from(match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => "N/A".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cells(columns: &[Col], object: &Value) -> Vec<Value> {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        columns.iter().map(|c| (c.cell)(object, now)).collect()
    }

    fn with_template(mut object: Value) -> Value {
        object["metadata"] = json!({"creationTimestamp": "2026-01-01T00:00:57Z"});
        object["spec"]["template"] =
            json!({"spec": {"containers": [{"name": "c", "image": "nginx"}, {"name": "d", "image": "b:1"}]}});
        object["spec"]["selector"] = json!({"matchLabels": {"app": "w"}});
        object
    }

    #[test]
    fn replicated_kinds_print_as_in_kubernetes() {
        let object = with_template(json!({"spec": {"replicas": 3},
            "status": {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 2}}));
        assert_eq!(
            json!(cells(DEPLOYMENTS, &object)),
            json!(["1/3", 2, 0, "3s", "c,d", "nginx,b:1", "app=w"])
        );
        assert_eq!(json!(cells(REPLICA_SETS, &object)), json!([3, 2, 1, "3s", "c,d", "nginx,b:1", "app=w"]));
        assert_eq!(json!(cells(STATEFUL_SETS, &object)), json!(["1/3", "3s", "c,d", "nginx,b:1"]));
    }

    #[test]
    fn jobs_tell_how_far_they_are() {
        let job = with_template(json!({"spec": {"completions": 5}, "status": {"succeeded": 2,
            "startTime": "2026-01-01T00:00:00Z"}}));
        assert_eq!(json!(cells(JOBS, &job)[..4]), json!(["Running", "2/5", "60s", "3s"]));
        for (object, status) in [
            (json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}), "Complete"),
            (
                json!({"status": {"conditions": [{"type": "Failed", "status": "False"}, {"type": "Suspended", "status": "True"}]}}),
                "Suspended",
            ),
            (json!({"metadata": {"deletionTimestamp": "x"}}), "Terminating"),
        ] {
            assert_eq!(job_status(&object), status);
        }
        assert_eq!(completions(&json!({"spec": {"parallelism": 3}, "status": {}})), "0/1 of 3");
        assert_eq!(completions(&json!({})), "0/1");
    }

    #[test]
    fn autoscalers_show_two_metrics() {
        let cpu =
            json!({"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}});
        let scaler = json!({"spec": {"metrics": [cpu, {"type": "External", "external": {"target": {"averageValue": "5"}}}, cpu]},
            "status": {"currentMetrics": [{"resource": {"current": {"averageUtilization": 20}}}]}});
        assert_eq!(metrics(&scaler), "cpu: 20%/80%, <unknown>/5 (avg) + 1 more...");
        assert_eq!(metrics(&json!({})), "<none>");
    }

    #[test]
    fn revisions_name_their_controller() {
        let revision = json!({"metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet",
            "name": "db", "controller": true}]}, "revision": 3});
        assert_eq!(json!(cells(CONTROLLER_REVISIONS, &revision)[..2]), json!(["statefulset.apps/db", 3]));
    }
}
