//! Jobs as people run them.

use crate::{assert_has, with_each_kubectl};
use tests::{Kubectl, until};

fn job(name: &str, spec: &str, annotations: &str) -> String {
    format!(
        r#"{{"apiVersion": "batch/v1", "kind": "Job", "metadata": {{"name": "{name}"}}, "spec": {{{spec}
        "template": {{"metadata": {{"annotations": {{{annotations}}}}},
            "spec": {{"restartPolicy": "Never", "containers": [{{"name": "main", "image": "busybox"}}]}}}}}}}}"#
    )
}

/// What is left of a job's pods that still wait to be counted.
fn nothing_is_held(kubectl: &Kubectl, job: &str) {
    let selector = format!("--selector=batch.kubernetes.io/job-name={job}");
    let pods = kubectl.json(&["get", "pods", &selector]);
    for pod in pods["items"].as_array().unwrap() {
        assert!(pod["metadata"]["finalizers"].is_null(), "{pod:#}");
    }
}

#[test]
fn a_job_completes_by_itself() {
    with_each_kubectl(|_, kubectl| {
        let said = kubectl.say(&["create", "job", "once", "--image=busybox"]);
        assert!(said.code == Some(0) && !said.stderr.contains("nothing acts"), "{said:?}");
        kubectl.run(&["wait", "job/once", "--for=condition=Complete", "--timeout=60s"]);
        let found = kubectl.json(&["get", "job", "once"]);
        assert_eq!(found["status"]["succeeded"], 1, "{found:#}");
        assert_eq!(found["status"]["uncountedTerminatedPods"], serde_json::json!({}), "{found:#}");
        assert_has(&kubectl.run(&["get", "job", "once", "--no-headers"]), &["Complete", "1/1"]);
        nothing_is_held(kubectl, "once");

        kubectl.apply(&job(
            "each",
            r#""completionMode": "Indexed", "completions": 3, "parallelism": 2,"#,
            "",
        ));
        kubectl.run(&["wait", "job/each", "--for=condition=Complete", "--timeout=60s"]);
        let found = kubectl.json(&["get", "job", "each"]);
        assert_eq!(found["status"]["completedIndexes"], "0-2", "{found:#}");
        kubectl.run(&["delete", "job", "each"]);
        until("its pods are gone", || {
            let selector = "--selector=batch.kubernetes.io/job-name=each";
            match kubectl.run(&["get", "pods", selector, "--output=name"]) {
                left if left.is_empty() => Ok(()),
                left => Err(left),
            }
        });
    });
}

#[test]
fn a_job_whose_pods_fail_fails_and_one_that_is_finished_goes() {
    with_each_kubectl(|_, kubectl| {
        let fails = r#""sim.insula.dev/exit-code": "3""#;
        kubectl.apply(&job("bad", r#""backoffLimit": 0,"#, fails));
        kubectl.run(&["wait", "job/bad", "--for=condition=Failed", "--timeout=60s"]);
        let found = kubectl.json(&["get", "job", "bad"]);
        assert_eq!(found["status"]["failed"], 1, "{found:#}");
        assert_has(&found.to_string(), &["BackoffLimitExceeded", "FailureTarget"]);
        nothing_is_held(kubectl, "bad");

        kubectl.apply(&job("late", r#""activeDeadlineSeconds": 1,"#, r#""sim.insula.dev/run-for": "1h""#));
        kubectl.run(&["wait", "job/late", "--for=condition=Failed", "--timeout=60s"]);
        let found = kubectl.json(&["get", "job", "late"]);
        assert_has(&found.to_string(), &["DeadlineExceeded"]);
        assert!(found["status"]["succeeded"].is_null(), "{found:#}");

        kubectl.apply(&job("brief", r#""ttlSecondsAfterFinished": 0,"#, ""));
        kubectl.run(&["wait", "job/brief", "--for=delete", "--timeout=60s"]);
    });
}

#[test]
fn a_job_is_suspended_and_resumed() {
    with_each_kubectl(|_, kubectl| {
        kubectl.apply(&job("held", r#""suspend": true,"#, ""));
        kubectl.run(&["wait", "job/held", "--for=condition=Suspended", "--timeout=60s"]);
        let pods = kubectl.run(&["get", "pods", "--output=name"]);
        assert!(pods.is_empty(), "{pods}");
        kubectl.run(&["patch", "job", "held", "--type=merge", r#"--patch={"spec": {"suspend": false}}"#]);
        kubectl.run(&["wait", "job/held", "--for=condition=Complete", "--timeout=60s"]);
    });
}

#[test]
fn a_cron_job_makes_jobs_until_it_is_suspended() {
    with_each_kubectl(|_, kubectl| {
        let create =
            ["create", "cronjob", "tick", "--image=busybox", "--schedule=@every 2s", "--restart=Never"];
        let said = kubectl.say(&create);
        assert!(said.code == Some(0) && !said.stderr.contains("nothing acts"), "{said:?}");
        let succeeded = "--for=jsonpath={.status.lastSuccessfulTime}";
        kubectl.run(&["wait", "cronjob/tick", succeeded, "--timeout=60s"]);
        let suspend = r#"--patch={"spec": {"suspend": true}}"#;
        kubectl.run(&["patch", "cronjob", "tick", "--type=merge", suspend]);
        let made = kubectl.json(&["get", "jobs"]);
        let job = &made["items"][0]["metadata"];
        assert_eq!(job["ownerReferences"][0]["name"], "tick", "{made:#}");
        assert!(
            job["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"].is_string(),
            "{made:#}"
        );
        assert_has(
            &kubectl.run(&["describe", "cronjob", "tick"]),
            &["SuccessfulCreate", "Created job tick-"],
        );
        kubectl.run(&["create", "job", "by-hand", "--from=cronjob/tick"]);
        kubectl.run(&["wait", "job/by-hand", "--for=condition=Complete", "--timeout=60s"]);
        kubectl.run(&["delete", "cronjob", "tick"]);
        until("its jobs are gone", || match kubectl.run(&["get", "jobs", "--output=name"]) {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        });
    });
}
