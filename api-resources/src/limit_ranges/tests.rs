use super::*;

fn range(limits: Value) -> Value {
    json!({"metadata": {"name": "r"}, "spec": {"limits": limits}})
}

fn container(name: &str, resources: Value) -> Value {
    json!({"name": name, "resources": resources})
}

#[test]
fn containers_get_what_they_do_not_say() {
    let range = range(json!([
        {"type": "Pod", "max": {"cpu": "9"}},
        {"type": "Container", "default": {"memory": "1Gi", "cpu": "2"}, "defaultRequest": {"cpu": "1", "memory": "1Gi"}},
    ]));
    let mut pod = json!({"metadata": {"annotations": {"a": "b"}}, "spec": {
        "containers": [container("none", json!({})), container("some", json!({"requests": {"cpu": "500m", "memory": "1"}}))],
        "initContainers": [container("init", json!({"limits": {"cpu": "3", "memory": "3Gi"}}))]}});
    let given = fill(&range, &mut pod).unwrap();
    assert_eq!(
        given,
        "LimitRanger plugin set: cpu, memory request for container none; cpu, memory limit for container none; \
         cpu, memory limit for container some; cpu, memory request for init container init"
    );
    let resources = |at: &str| pod.pointer(at).unwrap().clone();
    let all = json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}});
    assert_eq!(resources("/spec/containers/0/resources"), all);
    assert_eq!(resources("/spec/containers/1/resources/requests"), json!({"cpu": "500m", "memory": "1"}));
    assert_eq!(resources("/spec/initContainers/0/resources/limits"), json!({"cpu": "3", "memory": "3Gi"}));
    // The second time there is nothing left to give.
    let before = pod.clone();
    assert_eq!(fill(&range, &mut pod), None);
    assert_eq!(pod, before);
    annotate(&mut pod, given.clone());
    assert_eq!(pod["metadata"]["annotations"], json!({"a": "b", "kubernetes.io/limit-ranger": given}));
}

#[test]
fn containers_are_measured_one_by_one() {
    let limits = json!([{"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1", "memory": "1Gi"},
        "maxLimitRequestRatio": {"cpu": "2"}}]);
    let table = [
        (json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "1Gi"}}), None),
        (
            json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "100m", "memory": "1Gi"}}),
            Some("minimum cpu usage per Container is 100m, but request is 50m"),
        ),
        (
            json!({"limits": {"cpu": "2", "memory": "1Gi"}}),
            Some(
                "[minimum cpu usage per Container is 100m.  No request is specified, maximum cpu usage per Container is 1, \
                 but limit is 2, cpu max limit to request ratio per Container is 2, but no request is specified or request is 0]",
            ),
        ),
        (
            json!({"requests": {"cpu": "300m"}, "limits": {"cpu": "700m"}}),
            Some(
                "[maximum memory usage per Container is 1Gi.  No limit is specified, cpu max limit to request ratio per \
                 Container is 2, but provided ratio is 2.333333]",
            ),
        ),
        (
            json!({"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}),
            Some(
                "[maximum cpu usage per Container is 1.  No limit is specified, cpu max limit to request ratio per \
                 Container is 2, but no limit is specified or limit is 0]",
            ),
        ),
    ];
    for (resources, expected) in table {
        let pod = json!({"spec": {"containers": [container("c", resources.clone())]}});
        assert_eq!(refusal(&range(limits.clone()), Limited::Pods, &pod).as_deref(), expected, "{resources}");
    }
}

#[test]
fn what_is_told_of_several_containers_is_told_once() {
    let range = range(json!([{"type": "Container", "max": {"cpu": "1"}}]));
    let greedy = container("c", json!({"limits": {"cpu": "2"}}));
    let pod = json!({"spec": {"containers": [greedy], "initContainers": [greedy]}});
    let told = refusal(&range, Limited::Pods, &pod);
    assert_eq!(told.as_deref(), Some("maximum cpu usage per Container is 1, but limit is 2"));
}

#[test]
fn pods_are_measured_as_a_whole() {
    let range = range(json!([{"type": "Pod", "max": {"cpu": "3"}, "min": {"memory": "1Gi"}}]));
    let half = |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "512Mi"}, "limits": {"cpu": cpu}});
    let pair = json!([container("a", half("1")), container("b", half("1"))]);
    let mut sidecar = container("s", half("1500m"));
    sidecar["restartPolicy"] = "Always".into();
    let table = [
        (json!({"containers": pair}), None),
        (
            json!({"containers": pair, "initContainers": [container("i", half("4"))]}),
            Some("maximum cpu usage per Pod is 3, but limit is 4"),
        ),
        (
            json!({"containers": pair, "initContainers": [sidecar]}),
            Some("maximum cpu usage per Pod is 3, but limit is 3500m"),
        ),
        (
            json!({"containers": pair, "resources": {"requests": {"memory": "256Mi"}, "limits": {"cpu": "2"}}}),
            Some("minimum memory usage per Pod is 1Gi, but request is 256Mi"),
        ),
    ];
    for (spec, expected) in table {
        let told = refusal(&range, Limited::Pods, &json!({"spec": spec}));
        assert_eq!(told.as_deref(), expected, "{spec}");
    }
}

#[test]
fn claims_are_measured_by_what_they_request() {
    let range = range(
        json!([{"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}]),
    );
    for (storage, expected) in [
        (json!("1Gi"), None),
        (json!("3Gi"), Some("maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi")),
        (json!("1"), Some("minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1")),
        (
            json!(null),
            Some(
                "[minimum storage usage per PersistentVolumeClaim is 1Gi.  No request is specified, maximum storage usage \
                 per PersistentVolumeClaim is 2Gi.  No request is specified]",
            ),
        ),
    ] {
        let claim = json!({"spec": {"resources": {"requests": {"storage": storage}}}});
        assert_eq!(refusal(&range, Limited::Claims, &claim).as_deref(), expected, "{storage}");
    }
}
