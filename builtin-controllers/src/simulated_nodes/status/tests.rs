use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pod(extra: Value) -> Value {
    let mut pod = json!({"metadata": {"name": "p", "namespace": "ns", "generation": 2},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]}, "status": {"phase": "Pending", "qosClass": "BestEffort"}});
    for (key, value) in extra.as_object().unwrap() {
        pod[key] = value.clone();
    }
    pod["metadata"]["generation"] = 2.into();
    pod
}

fn place() -> Place {
    Place { pod_ip: "10.244.0.1".into(), host_ip: "198.18.0.1".into() }
}

/// The state of a container in short.
fn state(status: &Value) -> String {
    let state = &status["state"];
    if state["running"].is_object() {
        return format!("running x{}", status["restartCount"]);
    }
    if let Some(reason) = state["waiting"]["reason"].as_str() {
        return format!("{reason} x{}", status["restartCount"]);
    }
    format!("exit {} x{}", state["terminated"]["exitCode"], status["restartCount"])
}

/// Steps through the life of a pod: what it is at each second that it asks to be looked at.
fn life(mut pod: Value, steps: usize) -> Vec<(i64, String, String)> {
    let mut second = 0;
    let mut life = Vec::new();
    for _ in 0..steps {
        let (status, again) = next(&pod, &place(), &Lacks::default(), at(second));
        life.push((second, text(&status, "/phase").to_owned(), state(&status["containerStatuses"][0])));
        pod["status"] = status;
        let Some(again) = again else { break };
        second += i64::try_from(again.as_secs_f64().ceil() as u64).unwrap();
    }
    life
}

fn lives(policy: &str, annotations: Value, steps: usize) -> Vec<(i64, String, String)> {
    let spec = json!({"restartPolicy": policy, "containers": [{"name": "c", "image": "nginx"}]});
    life(pod(json!({"metadata": {"name": "p", "annotations": annotations}, "spec": spec})), steps)
}

#[test]
fn a_pod_runs_and_says_where() {
    let mut pod = pod(json!({}));
    pod["metadata"]["uid"] = "u1".into();
    let begun = at(5) + Duration::from_millis(700);
    let (status, again) = next(&pod, &place(), &Lacks::default(), begun);
    assert_eq!(again, None);
    assert_eq!(
        (text(&status, "/phase"), text(&status, "/podIP"), text(&status, "/hostIP")),
        ("Running", "10.244.0.1", "198.18.0.1")
    );
    assert_eq!(
        (&status["startTime"], &status["qosClass"], &status["observedGeneration"]),
        (&json!("1970-01-01T00:00:05Z"), &json!("BestEffort"), &json!(2))
    );
    let container = &status["containerStatuses"][0];
    assert!(
        text(container, "/containerID").starts_with("simulated://")
            && container["ready"] == true
            && container["started"] == true
    );
    for condition in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
    {
        assert!(conditions::holds(elements(&status, "/conditions"), condition), "{condition}");
    }
    let mut again = pod.clone();
    again["status"] = status.clone();
    assert_eq!(next(&again, &place(), &Lacks::default(), at(99)).0, status, "time alone changes nothing");
    pod["metadata"]["uid"] = "u2".into();
    let another = next(&pod, &place(), &Lacks::default(), begun).0;
    assert_ne!(another["containerStatuses"][0]["containerID"], container["containerID"]);
}

#[test]
fn pods_end_as_they_are_told() {
    let step = |second, phase: &str, state: &str| (second, phase.to_owned(), state.to_owned());
    let five = json!({"sim.insula.dev/run-for": "5s"});
    let failing = json!({"sim.insula.dev/run-for": "5s", "sim.insula.dev/exit-code": "3"});
    let ok = vec![step(0, "Running", "running x0"), step(5, "Succeeded", "exit 0 x0")];
    assert_eq!(lives("Never", five.clone(), 9), ok);
    assert_eq!(lives("OnFailure", five.clone(), 9), ok);
    assert_eq!(
        lives("Never", failing.clone(), 9),
        [step(0, "Running", "running x0"), step(5, "Failed", "exit 3 x0")]
    );
    assert_eq!(lives("Never", json!({"sim.insula.dev/exit-code": "1"}), 9), [step(0, "Failed", "exit 1 x0")]);
    for (policy, annotations, code) in [("Always", five, 0), ("OnFailure", failing, 3)] {
        let expected = [
            step(0, "Running", "running x0"),
            step(5, "Running", &format!("exit {code} x0")),
            step(6, "Running", "CrashLoopBackOff x0"),
            step(16, "Running", "running x1"),
            step(21, "Running", &format!("exit {code} x1")),
            step(22, "Running", "CrashLoopBackOff x1"),
            step(42, "Running", "running x2"),
        ];
        let found = lives(policy, annotations, 9);
        let brief: Vec<_> = found
            .iter()
            .filter(|step| !(step.2.starts_with("Crash") && step.0 != 6 && step.0 != 22))
            .take(7)
            .cloned()
            .collect();
        assert_eq!(brief, expected, "{policy}");
    }
}

#[test]
fn annotations_that_cannot_be_read_are_told() {
    for annotations in [json!({"sim.insula.dev/run-for": "soon"}), json!({"sim.insula.dev/exit-code": "300"})]
    {
        let (status, _) =
            next(&pod(json!({"metadata": {"annotations": annotations}})), &place(), &Lacks::default(), at(0));
        let waiting = &status["containerStatuses"][0]["state"]["waiting"];
        assert_eq!(
            (text(&status, "/phase"), &waiting["reason"]),
            ("Pending", &json!("CreateContainerConfigError"))
        );
        assert!(text(waiting, "/message").starts_with("annotation sim.insula.dev/"));
    }
}

#[test]
fn what_is_missing_holds_the_pod_up() {
    let spec = json!({"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
        "containers": [{"name": "c"}, {"name": "d"}]});
    let pod = pod(json!({"spec": spec}));
    let lacks = |volumes, containers: &[(&str, &str)]| Lacks {
        volumes,
        containers: containers.iter().map(|(name, why)| ((*name).to_owned(), (*why).to_owned())).collect(),
    };
    let states = |lacks: &Lacks| {
        let (status, _) = next(&pod, &place(), lacks, at(0));
        let all = ["initContainerStatuses", "containerStatuses"]
            .map(|list| elements(&status, &format!("/{list}")).iter().map(state).collect::<Vec<_>>());
        (text(&status, "/phase").to_owned(), all.concat(), status)
    };
    let all = |names: [&str; 4]| names.map(|name| format!("{name} x0")).to_vec();
    let (phase, found, status) = states(&lacks(true, &[]));
    assert_eq!(
        (phase.as_str(), found),
        ("Pending", all(["PodInitializing", "PodInitializing", "ContainerCreating", "ContainerCreating"]))
    );
    assert!(!conditions::holds(elements(&status, "/conditions"), "PodReadyToStartContainers"));
    let (phase, found, _) = states(&lacks(false, &[("i", "secret \"x\" not found")]));
    assert_eq!(
        (phase.as_str(), found),
        (
            "Pending",
            all(["CreateContainerConfigError", "PodInitializing", "PodInitializing", "PodInitializing"])
        )
    );
    let (phase, found, status) = states(&lacks(false, &[("d", "secret \"x\" not found")]));
    assert_eq!(
        (phase.as_str(), found),
        ("Running", all(["exit 0", "running", "running", "CreateContainerConfigError"]))
    );
    let ready = conditions::find(elements(&status, "/conditions"), "Ready").unwrap();
    assert_eq!(
        (&ready["status"], &ready["message"]),
        (&json!("False"), &json!("containers with unready status: [d]"))
    );
    let waiting = &status["containerStatuses"][1]["state"]["waiting"];
    assert_eq!(waiting["message"], "secret \"x\" not found");
}

#[test]
fn a_pod_that_is_deleted_has_ended() {
    let mut pod = pod(json!({}));
    pod["status"] = next(&pod, &place(), &Lacks::default(), at(5)).0;
    let status = ended(&pod, Stop::Told, at(9));
    assert_eq!(
        (text(&status, "/phase"), state(&status["containerStatuses"][0])),
        ("Succeeded", "exit 0 x0".into())
    );
    assert!(!conditions::holds(elements(&status, "/conditions"), "Ready"));
    pod["status"] = status.clone();
    assert_eq!(ended(&pod, Stop::Told, at(10)), status);
}

#[test]
fn a_readiness_gate_holds_readiness() {
    let mut pod = pod(json!({}));
    pod["spec"]["readinessGates"] = json!([{"conditionType": "x.dev/ok"}]);
    let (status, _) = next(&pod, &place(), &Lacks::default(), at(0));
    assert!(conditions::holds(elements(&status, "/conditions"), "ContainersReady"));
    assert!(!conditions::holds(elements(&status, "/conditions"), "Ready"));
    pod["status"]["conditions"] = json!([{"type": "x.dev/ok", "status": "True"}]);
    let (status, _) = next(&pod, &place(), &Lacks::default(), at(0));
    assert!(conditions::holds(elements(&status, "/conditions"), "Ready"));
}

#[test]
fn a_pod_of_a_job_ends_by_itself_and_has_failed_when_it_is_broken_off() {
    let mut of_job = pod(json!({}));
    of_job["metadata"]["labels"] = json!({"batch.kubernetes.io/job-name": "j"});
    of_job["spec"]["restartPolicy"] = "Never".into();
    let phase = |pod: &Value, second| {
        let (status, again) = next(pod, &place(), &Lacks::default(), at(second));
        (text(&status, "/phase").to_owned(), again, status)
    };
    let (first, again, status) = phase(&of_job, 5);
    assert_eq!((first.as_str(), again), ("Running", Some(Duration::from_secs(1))));
    of_job["status"] = status;
    let broken_off = ended(&of_job, Stop::Told, at(5));
    assert_eq!(
        (text(&broken_off, "/phase"), state(&broken_off["containerStatuses"][0])),
        ("Failed", "exit 143 x0".into())
    );
    assert_eq!(phase(&of_job, 6).0, "Succeeded");
    of_job["metadata"]["annotations"] = json!({"sim.insula.dev/run-for": "1h"});
    assert_eq!(phase(&of_job, 6).0, "Running", "the annotation goes first");
}

fn annotated(annotations: Value) -> Value {
    pod(json!({"metadata": {"name": "p", "annotations": annotations}}))
}

#[test]
fn containers_are_made_and_ready_when_they_are_told_to_be() {
    let mut pod = annotated(json!({"sim.insula.dev/start-after": "3s", "sim.insula.dev/ready-after": "4s"}));
    pod["spec"]["containers"][0]["startupProbe"] = json!({"exec": {}});
    let mut seen = Vec::new();
    for second in [0, 3, 7] {
        let (status, again) = next(&pod, &place(), &Lacks::default(), at(second));
        let ready = conditions::holds(elements(&status, "/conditions"), "Ready");
        let container = &status["containerStatuses"][0];
        assert_eq!((&container["ready"], &container["started"]), (&json!(ready), &json!(ready)));
        seen.push((state(container), ready, again.map(|again| again.as_secs())));
        pod["status"] = status;
    }
    let expected = [
        ("ContainerCreating x0".to_owned(), false, Some(3)),
        ("running x0".to_owned(), false, Some(4)),
        ("running x0".to_owned(), true, None),
    ];
    assert_eq!(seen, expected);
    let never = annotated(json!({"sim.insula.dev/ready-after": "never"}));
    let (status, again) = next(&never, &place(), &Lacks::default(), at(0));
    assert_eq!((status["containerStatuses"][0]["ready"].as_bool(), again), (Some(false), None));
    assert_eq!(status["containerStatuses"][0]["started"], true, "there is no startup probe");
}

#[test]
fn a_container_that_uses_more_memory_than_its_limit_is_killed_again_and_again() {
    let mut pod = annotated(json!({"sim.insula.dev/memory-usage": "2Gi"}));
    pod["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "1Gi"}});
    let steps = life(pod.clone(), 3);
    let states: Vec<&str> = steps.iter().map(|(.., state)| state.as_str()).collect();
    assert_eq!(states, ["running x0", "exit 137 x0", "CrashLoopBackOff x0"]);
    let (status, _) = next(&pod, &place(), &Lacks::default(), at(0));
    pod["status"] = status;
    let (status, _) = next(&pod, &place(), &Lacks::default(), at(1));
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["reason"], "OOMKilled");
}

#[test]
fn sidecars_end_with_the_pod_and_debugging_containers_run() {
    let spec = json!({"restartPolicy": "Never",
        "initContainers": [{"name": "first", "image": "x"}, {"name": "side", "image": "x", "restartPolicy": "Always"}],
        "containers": [{"name": "c", "image": "x"}],
        "ephemeralContainers": [{"name": "debug", "image": "x"}]});
    let mut pod = pod(json!({"spec": spec, "metadata": {"annotations": {"sim.insula.dev/run-for": "5s"}}}));
    let (status, _) = next(&pod, &place(), &Lacks::default(), at(0));
    let states =
        |status: &Value, list: &str| elements(status, list).iter().map(state).collect::<Vec<_>>().join(", ");
    assert_eq!(states(&status, "/initContainerStatuses"), "exit 0 x0, running x0");
    assert_eq!(states(&status, "/ephemeralContainerStatuses"), "running x0");
    pod["status"] = status;
    let (status, again) = next(&pod, &place(), &Lacks::default(), at(5));
    assert_eq!(states(&status, "/initContainerStatuses"), "exit 0 x0, exit 0 x0");
    assert_eq!((text(&status, "/phase"), again), ("Succeeded", None));
}

#[test]
fn a_pod_is_killed_that_does_not_end_in_time_or_is_active_for_too_long() {
    let mut pod = pod(json!({}));
    pod["spec"]["activeDeadlineSeconds"] = 10.into();
    let (status, again) = next(&pod, &place(), &Lacks::default(), at(4));
    assert_eq!(again, Some(Duration::from_secs(10)));
    pod["status"] = status;
    assert!(!is_past_deadline(&pod, at(13)) && is_past_deadline(&pod, at(14)));
    let killed = ended(&pod, Stop::Killed, at(9));
    assert_eq!(
        (text(&killed, "/phase"), state(&killed["containerStatuses"][0]).as_str()),
        ("Failed", "exit 137 x0")
    );
    let failed = failed(&pod, "DeadlineExceeded", "too long", at(14));
    assert_eq!(
        (text(&failed, "/phase"), text(&failed, "/reason"), text(&failed, "/message")),
        ("Failed", "DeadlineExceeded", "too long")
    );
    assert!(!conditions::holds(elements(&failed, "/conditions"), "Ready"));
}
