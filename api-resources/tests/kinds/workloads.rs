//! The rules of the kinds that make pods.

use crate::{created, refused_new, refused_status, refused_update, updated, with, workload};
use serde_json::{Value, json};

#[test]
fn good_workloads_are_good() {
    for (group, kind) in
        [("apps", "Deployment"), ("apps", "ReplicaSet"), ("apps", "StatefulSet"), ("apps", "DaemonSet")]
    {
        assert_eq!(refused_new(group, kind, workload()), Vec::<String>::new(), "{kind}");
    }
    let claims = with(
        &workload(),
        &[
            (
                "/spec/volumeClaimTemplates",
                json!([{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]),
            ),
            ("/spec/template/spec/containers/0/volumeMounts", json!([{"name": "data", "mountPath": "/d"}])),
        ],
    );
    assert_eq!(refused_new("apps", "StatefulSet", claims), Vec::<String>::new());
}

#[test]
fn a_selector_selects_its_template_and_stays() {
    let mismatch = "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`";
    for (group, kind, own) in [
        ("apps", "Deployment", "deployment"),
        ("apps", "ReplicaSet", "deployment"),
        ("apps", "StatefulSet", "statefulset"),
        ("apps", "DaemonSet", "daemonset"),
    ] {
        let without = refused_new(group, kind, with(&workload(), &[("/spec/selector", Value::Null)]));
        // Kubernetes requires no selector of daemon sets, but then it selects nothing.
        let required = if kind == "DaemonSet" { vec![] } else { vec!["spec.selector: Required value"] };
        assert_eq!(without, [required, vec![mismatch]].concat());
        assert_eq!(
            refused_new(group, kind, with(&workload(), &[("/spec/selector", json!({}))])),
            [format!("spec.selector: Invalid value: {{}}: empty selector is invalid for {own}")]
        );
        let other = json!({"matchLabels": {"app": "other"}});
        assert_eq!(
            refused_new(group, kind, with(&workload(), &[("/spec/selector", other.clone())])),
            [mismatch]
        );
        let old = created(group, kind, workload());
        let moved =
            with(&old, &[("/spec/selector", other), ("/spec/template/metadata/labels/app", json!("other"))]);
        let told = refused_update(group, kind, moved, &old);
        let stays = "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"other\"}}: field is immutable";
        let fixed = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        assert_eq!(told, [if kind == "StatefulSet" { fixed } else { stays }]);
    }
}

#[test]
fn each_rule_refuses() {
    let rows: Vec<(&str, &str, Value, &str)> = vec![
        (
            "Deployment",
            "/spec/replicas",
            json!(-1),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "Deployment",
            "/spec/template/spec/restartPolicy",
            json!("Never"),
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        ),
        (
            "Deployment",
            "/spec/template/spec/activeDeadlineSeconds",
            json!(5),
            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
        ),
        (
            "Deployment",
            "/spec/strategy",
            json!({"type": "Recreate", "rollingUpdate": {}}),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            "Deployment",
            "/spec/strategy",
            json!({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (
            "Deployment",
            "/spec/strategy",
            json!({"rollingUpdate": {"maxUnavailable": "101%"}}),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
        ),
        (
            "Deployment",
            "/spec/strategy",
            json!({"rollingUpdate": {"maxSurge": "a lot"}}),
            "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"a lot\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ),
        (
            "Deployment",
            "/spec/minReadySeconds",
            json!(600),
            "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
        ),
        (
            "Deployment",
            "/spec/template/spec/ephemeralContainers",
            json!([{"name": "d", "image": "a"}]),
            "spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template",
        ),
        (
            "StatefulSet",
            "/spec/podManagementPolicy",
            json!("Chaos"),
            "spec.podManagementPolicy: Invalid value: \"Chaos\": must be 'OrderedReady' or 'Parallel'",
        ),
        (
            "StatefulSet",
            "/spec/updateStrategy",
            json!({"type": "OnDelete", "rollingUpdate": {"partition": 1}}),
            "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'",
        ),
        (
            "DaemonSet",
            "/spec/updateStrategy",
            json!({"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}),
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
        ),
    ];
    for (kind, pointer, value, refusal) in rows {
        let told = refused_new("apps", kind, with(&workload(), &[(pointer, value)]));
        assert_eq!(told.first().map(String::as_str), Some(refusal), "{kind} {pointer}");
    }
}

#[test]
fn a_daemon_sets_template_is_counted() {
    let old = created("apps", "DaemonSet", workload());
    let count = |object: &Value| {
        object["metadata"]["annotations"]["deprecated.daemonset.template.generation"].clone()
    };
    let labelled = updated("apps", "DaemonSet", with(&old, &[("/spec/minReadySeconds", json!(1))]), &old);
    assert_eq!(count(&labelled), "1");
    let image = with(&old, &[("/spec/template/spec/containers/0/image", json!("b"))]);
    let changed = updated("apps", "DaemonSet", image, &old);
    assert_eq!(count(&changed), "2");
    let forged = with(&old, &[("/metadata/annotations", json!({}))]);
    assert_eq!(count(&updated("apps", "DaemonSet", forged, &old)), "1");
}

#[test]
fn counts_of_a_status_fit_together() {
    let old = created("apps", "Deployment", workload());
    let mut new = old.clone();
    new["status"] = json!({"replicas": 2, "updatedReplicas": 2, "readyReplicas": 1, "availableReplicas": 1});
    assert_eq!(refused_status("apps", "Deployment", &new, &old), Vec::<String>::new());
    new["status"] = json!({"replicas": 1, "readyReplicas": 2, "availableReplicas": -1});
    assert_eq!(
        refused_status("apps", "Deployment", &new, &old),
        [
            "status.availableReplicas: Invalid value: -1: must be greater than or equal to 0",
            "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
        ]
    );
}

fn job() -> Value {
    json!({"metadata": {"name": "once", "namespace": "shop", "uid": "u-1"}, "spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "main", "image": "a"}]}}}})
}

#[test]
fn jobs_make_their_selector_and_keep_their_template() {
    assert_eq!(refused_new("batch", "Job", job()), Vec::<String>::new());
    let old = created("batch", "Job", job());
    let image = with(&old, &[("/spec/template/spec/containers/0/image", json!("b"))]);
    let told = refused_update("batch", "Job", image, &old);
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("spec.template: Invalid value: ") && told[0].ends_with(": field is immutable")
    );
    let empty = with(&old, &[("/spec/template/spec/volumes", json!([]))]);
    assert_eq!(refused_update("batch", "Job", empty, &old), Vec::<String>::new());
    let faster = with(&old, &[("/spec/parallelism", json!(3)), ("/spec/suspend", json!(true))]);
    assert_eq!(refused_update("batch", "Job", faster, &old), Vec::<String>::new());
    let waiting = with(&old, &[("/spec/suspend", json!(true))]);
    let placed = with(&waiting, &[("/spec/template/spec/nodeSelector", json!({"a": "b"}))]);
    assert_eq!(refused_update("batch", "Job", placed, &waiting), Vec::<String>::new());
    let by_hand = with(&job(), &[("/spec/selector", json!({"matchLabels": {"a": "b"}}))]);
    assert!(!refused_new("batch", "Job", by_hand).is_empty());
}

#[test]
fn jobs_end_once() {
    let old = created("batch", "Job", job());
    let mut done = old.clone();
    done["status"] = json!({"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:00Z",
        "succeeded": 1, "conditions": [{"type": "SuccessCriteriaMet", "status": "True"},
            {"type": "Complete", "status": "True"}]});
    assert_eq!(refused_status("batch", "Job", &done, &old), Vec::<String>::new());
    let mut undone = done.clone();
    undone["status"]["conditions"] = json!([]);
    undone["status"]["succeeded"] = json!(0);
    assert_eq!(
        refused_status("batch", "Job", &undone, &done),
        [
            "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
            "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
            "status.succeeded: Invalid value: 0: cannot decrease the succeeded counter",
            "status.completionTime: Invalid value: \"2026-01-01T00:01:00Z\": cannot set completionTime when there is no Complete=True condition",
        ]
    );
}

#[test]
fn each_rule_of_jobs_refuses() {
    for (pointer, value, refusal) in [
        (
            "/spec/template/spec/restartPolicy",
            json!("Always"),
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
        ),
        ("/spec/completionMode", json!("Indexed"), ""),
        (
            "/spec/maxFailedIndexes",
            json!(1),
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
        ),
        (
            "/spec/podFailurePolicy",
            json!({"rules": [{"action": "Ignore"}]}),
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
        ),
        (
            "/spec/podFailurePolicy",
            json!({"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [2, 1]}}]}),
            "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,1]: must be ordered",
        ),
        (
            "/spec/successPolicy",
            json!({"rules": []}),
            "spec.successPolicy: Invalid value: {\"rules\":[]}: requires indexed completion mode",
        ),
        (
            "/spec/managedBy",
            json!("me"),
            "spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")",
        ),
    ] {
        let told = refused_new("batch", "Job", with(&job(), &[(pointer, value)]));
        assert_eq!(told.first().map_or("", String::as_str), refusal, "{pointer}");
    }
}

#[test]
fn cron_jobs_are_scheduled() {
    let cron = json!({"metadata": {"name": "nightly", "namespace": "shop"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": job()["spec"]}}});
    assert_eq!(refused_new("batch", "CronJob", cron.clone()), Vec::<String>::new());
    for (pointer, value, refusal) in [
        ("/spec/schedule", json!(""), "spec.schedule: Required value"),
        (
            "/spec/schedule",
            json!("every night"),
            "spec.schedule: Invalid value: \"every night\": expected exactly 5 fields, found 2: [every night]",
        ),
        (
            "/spec/schedule",
            json!("TZ=UTC 0 3 * * *"),
            "spec.schedule: Invalid value: \"TZ=UTC 0 3 * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ),
        (
            "/spec/timeZone",
            json!("Mars/Base"),
            "spec.timeZone: Invalid value: \"Mars/Base\": unknown time zone Mars/Base",
        ),
        (
            "/spec/concurrencyPolicy",
            json!("Sometimes"),
            "spec.concurrencyPolicy: Unsupported value: \"Sometimes\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
        ),
        (
            "/metadata/name",
            json!("n".repeat(53)),
            "metadata.name: Invalid value: \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\": must be no more than 52 characters",
        ),
    ] {
        assert_eq!(refused_new("batch", "CronJob", with(&cron, &[(pointer, value)])), [refusal], "{pointer}");
    }
}
