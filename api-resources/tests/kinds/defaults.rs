//! What each kind is when its author says the least.

use crate::{created, pod, workload};
use api_resources::kinds::strategy;
use serde_json::{Value, json};

fn template() -> Value {
    json!({"containers": [{"name": "main", "image": "nginx:1.27", "imagePullPolicy": "IfNotPresent",
            "resources": {}, "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File"}],
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler", "securityContext": {}})
}

/// Group, kind, what is given, what must be there of the result by JSON pointer.
type Row = (&'static str, &'static str, Value, Vec<(&'static str, Value)>);

fn rows() -> Vec<Row> {
    let named = |spec: Value| json!({"metadata": {"name": "x", "namespace": "shop"}, "spec": spec});
    let path = json!({"path": "/", "pathType": "Prefix"});
    vec![
        (
            "",
            "Pod",
            pod(),
            vec![
                ("/spec/enableServiceLinks", json!(true)),
                ("/spec/containers", template()["containers"].clone()),
                ("/status", json!({"phase": "Pending", "qosClass": "BestEffort"})),
            ],
        ),
        (
            "apps",
            "Deployment",
            workload(),
            vec![
                ("/spec/replicas", json!(1)),
                ("/spec/template/spec", template()),
                (
                    "/spec/strategy",
                    json!({"type": "RollingUpdate",
                        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}),
                ),
                ("/spec/revisionHistoryLimit", json!(10)),
                ("/spec/progressDeadlineSeconds", json!(600)),
                ("/status", json!({})),
            ],
        ),
        (
            "apps",
            "ReplicaSet",
            workload(),
            vec![
                ("/spec/replicas", json!(1)),
                ("/spec/template/spec", template()),
                ("/status", json!({"replicas": 0})),
            ],
        ),
        (
            "apps",
            "StatefulSet",
            crate::with(
                &workload(),
                &[("/spec/volumeClaimTemplates", json!([{"metadata": {"name": "data"}, "spec": {}}]))],
            ),
            vec![
                ("/spec/podManagementPolicy", json!("OrderedReady")),
                ("/spec/updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})),
                (
                    "/spec/persistentVolumeClaimRetentionPolicy",
                    json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
                ),
                (
                    "/spec/volumeClaimTemplates/0",
                    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
                        "spec": {"volumeMode": "Filesystem", "resources": {}}, "status": {"phase": "Pending"}}),
                ),
                ("/status", json!({"replicas": 0, "availableReplicas": 0})),
            ],
        ),
        (
            "apps",
            "DaemonSet",
            workload(),
            vec![
                (
                    "/spec/updateStrategy",
                    json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}),
                ),
                ("/metadata/annotations", json!({"deprecated.daemonset.template.generation": "1"})),
            ],
        ),
        (
            "",
            "ReplicationController",
            json!({"metadata": {"name": "x"}, "spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}),
            vec![
                ("/spec/selector", json!({"a": "b"})),
                ("/metadata/labels", json!({"a": "b"})),
                ("/spec/replicas", json!(1)),
            ],
        ),
        (
            "batch",
            "Job",
            json!({"metadata": {"name": "once", "uid": "u-1"}, "spec": {"template": {"spec": {}}}}),
            vec![
                ("/spec/parallelism", json!(1)),
                ("/spec/completions", json!(1)),
                ("/spec/backoffLimit", json!(6)),
                ("/spec/completionMode", json!("NonIndexed")),
                ("/spec/suspend", json!(false)),
                ("/spec/podReplacementPolicy", json!("TerminatingOrFailed")),
                ("/spec/selector/matchLabels", json!({"batch.kubernetes.io/controller-uid": "u-1"})),
                ("/spec/template/metadata/labels/job-name", json!("once")),
                ("/metadata/labels/batch.kubernetes.io~1job-name", json!("once")),
            ],
        ),
        (
            "batch",
            "Job",
            json!({"metadata": {"name": "x"}, "spec": {"parallelism": 3, "backoffLimitPerIndex": 1,
                "podFailurePolicy": {"rules": [{"onPodConditions": [{"type": "T"}]}]}, "template": {}}}),
            vec![
                ("/spec/backoffLimit", json!(i32::MAX)),
                ("/spec/podReplacementPolicy", json!("Failed")),
                ("/spec/podFailurePolicy/rules/0/onPodConditions/0/status", json!("True")),
            ],
        ),
        (
            "batch",
            "CronJob",
            named(json!({"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec": {}}}}})),
            vec![
                ("/spec/concurrencyPolicy", json!("Allow")),
                ("/spec/successfulJobsHistoryLimit", json!(3)),
                ("/spec/failedJobsHistoryLimit", json!(1)),
                ("/spec/jobTemplate/spec/template/spec/dnsPolicy", json!("ClusterFirst")),
            ],
        ),
        (
            "",
            "Service",
            named(json!({"selector": {"a": "b"}, "ports": [{"port": 80}]})),
            vec![
                ("/spec/type", json!("ClusterIP")),
                ("/spec/ports", json!([{"port": 80, "targetPort": 80, "protocol": "TCP"}])),
                ("/spec/sessionAffinity", json!("None")),
                ("/spec/ipFamilies", json!(["IPv4"])),
                ("/spec/ipFamilyPolicy", json!("SingleStack")),
                ("/spec/internalTrafficPolicy", json!("Cluster")),
                ("/status", json!({"loadBalancer": {}})),
            ],
        ),
        (
            "",
            "Service",
            named(json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP", "ports": [
                {"port": 80, "targetPort": "http"}]})),
            vec![
                ("/spec/externalTrafficPolicy", json!("Cluster")),
                ("/spec/allocateLoadBalancerNodePorts", json!(true)),
                ("/spec/sessionAffinityConfig/clientIP/timeoutSeconds", json!(10800)),
                ("/spec/ports/0/targetPort", json!("http")),
            ],
        ),
        (
            "",
            "Service",
            named(json!({"clusterIP": "None"})),
            vec![
                ("/spec/clusterIPs", json!(["None"])),
                ("/spec/ipFamilyPolicy", json!("RequireDualStack")),
                ("/spec/ipFamilies", json!(["IPv4", "IPv6"])),
            ],
        ),
        (
            "",
            "Secret",
            json!({"data": {"a": "eA==", "b": "eA=="}, "stringData": {"a": "y"}}),
            vec![("", json!({"type": "Opaque", "data": {"a": "eQ==", "b": "eA=="}}))],
        ),
        (
            "",
            "Namespace",
            json!({"metadata": {"name": "shop"}}),
            vec![(
                "",
                json!({"metadata": {"name": "shop", "labels": {"kubernetes.io/metadata.name": "shop"}},
                    "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
            )],
        ),
        (
            "",
            "Node",
            json!({"status": {"capacity": {"cpu": "4"}}}),
            vec![
                ("/status/allocatable", json!({"cpu": "4"})),
                ("/status/nodeInfo/kubeletVersion", json!("")),
            ],
        ),
        (
            "",
            "PersistentVolumeClaim",
            named(json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "old"}})),
            vec![
                ("/metadata/finalizers", json!(["kubernetes.io/pvc-protection"])),
                ("/spec/volumeMode", json!("Filesystem")),
                ("/spec/dataSourceRef", json!({"kind": "PersistentVolumeClaim", "name": "old"})),
                ("/status", json!({"phase": "Pending"})),
            ],
        ),
        (
            "",
            "PersistentVolume",
            json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"hostPath": {"path": "/x"}}}),
            vec![
                ("/metadata/finalizers", json!(["kubernetes.io/pv-protection"])),
                ("/spec/persistentVolumeReclaimPolicy", json!("Retain")),
                ("/spec/hostPath/type", json!("")),
                ("/status", json!({"phase": "Pending", "lastPhaseTransitionTime": "2026-01-01T00:00:00Z"})),
            ],
        ),
        (
            "",
            "LimitRange",
            named(
                json!({"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1Gi"}},
                {"type": "Pod", "max": {"cpu": "2"}}]}),
            ),
            vec![
                ("/spec/limits/0/default", json!({"cpu": "2"})),
                ("/spec/limits/0/defaultRequest", json!({"cpu": "2", "memory": "1Gi"})),
                ("/spec/limits/1", json!({"type": "Pod", "max": {"cpu": "2"}})),
            ],
        ),
        ("", "ResourceQuota", named(json!({"hard": {"pods": "1"}})), vec![("/status", json!({}))]),
        (
            "",
            "Endpoints",
            json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}),
            vec![("/subsets/0/ports/0/protocol", json!("TCP"))],
        ),
        (
            "discovery.k8s.io",
            "EndpointSlice",
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]}),
            vec![
                ("/endpoints/0/conditions", json!({})),
                ("/ports/0", json!({"port": 80, "name": "", "protocol": "TCP"})),
            ],
        ),
        (
            "networking.k8s.io",
            "Ingress",
            named(json!({"rules": [{"http": {"paths": [path]}}]})),
            vec![("/status", json!({"loadBalancer": {}}))],
        ),
        (
            "networking.k8s.io",
            "IngressClass",
            named(json!({"controller": "a.example/b", "parameters": {"kind": "K", "name": "n"}})),
            vec![("/spec/parameters/scope", json!("Cluster"))],
        ),
        (
            "networking.k8s.io",
            "NetworkPolicy",
            named(json!({"egress": [{"ports": [{"port": 53}]}]})),
            vec![
                ("/spec/policyTypes", json!(["Ingress", "Egress"])),
                ("/spec/podSelector", json!({})),
                ("/spec/egress/0/ports/0/protocol", json!("TCP")),
            ],
        ),
        (
            "policy",
            "PodDisruptionBudget",
            named(json!({})),
            vec![(
                "/status",
                json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}),
            )],
        ),
        (
            "autoscaling",
            "HorizontalPodAutoscaler",
            named(json!({"maxReplicas": 3, "behavior": {"scaleUp": {"selectPolicy": "Min"}}})),
            vec![
                ("/spec/minReplicas", json!(1)),
                ("/spec/metrics/0/resource/target/averageUtilization", json!(80)),
                ("/spec/behavior/scaleUp/selectPolicy", json!("Min")),
                ("/spec/behavior/scaleUp/policies/0/value", json!(4)),
                ("/spec/behavior/scaleDown/policies/0/type", json!("Percent")),
                ("/status", json!({"desiredReplicas": 0, "currentMetrics": null})),
            ],
        ),
        (
            "rbac.authorization.k8s.io",
            "RoleBinding",
            json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"},
                {"kind": "ServiceAccount", "name": "s"}]}),
            vec![
                ("/roleRef/apiGroup", json!("rbac.authorization.k8s.io")),
                ("/subjects/0/apiGroup", json!("rbac.authorization.k8s.io")),
                ("/subjects/1", json!({"kind": "ServiceAccount", "name": "s"})),
            ],
        ),
        (
            "storage.k8s.io",
            "StorageClass",
            json!({"provisioner": "a.example/b"}),
            vec![("/reclaimPolicy", json!("Delete")), ("/volumeBindingMode", json!("Immediate"))],
        ),
        (
            "storage.k8s.io",
            "CSIDriver",
            named(json!({})),
            vec![
                ("/spec/attachRequired", json!(true)),
                ("/spec/fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
                ("/spec/volumeLifecycleModes", json!(["Persistent"])),
            ],
        ),
        (
            "scheduling.k8s.io",
            "PriorityClass",
            json!({"value": 1}),
            vec![("/preemptionPolicy", json!("PreemptLowerPriority"))],
        ),
    ]
}

#[test]
fn what_is_not_said_is_set() {
    for (group, kind, given, expected) in rows() {
        let object = created(group, kind, given);
        for (pointer, value) in expected {
            assert_eq!(object.pointer(pointer), Some(&value), "{kind} {pointer} of {object:#}");
        }
    }
}

#[test]
fn defaults_of_defaults_are_the_same() {
    for (group, kind, given, _) in rows() {
        let once = created(group, kind, given);
        let mut twice = once.clone();
        (strategy(group, kind).default)(&mut twice);
        assert_eq!(once, twice, "{kind}");
    }
}

#[test]
fn what_is_said_stays() {
    for (group, kind, given, _) in rows().into_iter().filter(|(_, kind, _, _)| *kind != "Secret") {
        let object = created(group, kind, given.clone());
        let (Some(said), Some(is)) = (given["spec"].as_object(), object["spec"].as_object()) else {
            continue;
        };
        for (field, value) in said.iter().filter(|(_, value)| !value.is_object() && !value.is_array()) {
            assert_eq!(is.get(field), Some(value), "{kind} {field}");
        }
    }
}

#[test]
fn a_client_cannot_bring_or_change_a_status() {
    let forged = json!({"phase": "Forged", "replicas": 7, "loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}});
    for (group, kind, given, _) in rows() {
        // Nodes register with their status; the others here have none.
        if matches!(
            kind,
            "Node"
                | "Endpoints"
                | "EndpointSlice"
                | "NetworkPolicy"
                | "RoleBinding"
                | "LimitRange"
                | "CSIDriver"
        ) {
            continue;
        }
        let mut bad = given.clone();
        bad["status"] = forged.clone();
        assert_eq!(created(group, kind, bad), created(group, kind, given.clone()), "{kind}");
        let old = created(group, kind, given);
        let mut bad = old.clone();
        bad["status"] = forged.clone();
        assert_eq!(crate::updated(group, kind, bad, &old)["status"], old["status"], "{kind}");
    }
}

#[test]
fn generations_are_counted_where_controllers_observe_them() {
    for (group, kind, counted) in [
        ("", "Pod", true),
        ("apps", "Deployment", true),
        ("discovery.k8s.io", "EndpointSlice", true),
        ("networking.k8s.io", "Ingress", true),
        ("", "Service", false),
        ("", "ConfigMap", false),
        ("autoscaling", "HorizontalPodAutoscaler", false),
        ("coordination.k8s.io", "Lease", false),
    ] {
        assert_eq!(strategy(group, kind).generation, counted, "{kind}");
    }
}

#[test]
fn pods_wait_for_their_grace_where_they_run() {
    let grace = |changes: &[(&str, Value)]| {
        let pod = crate::with(&created("", "Pod", pod()), changes);
        (strategy("", "Pod").grace)(&pod)
    };
    let node = ("/spec/nodeName", json!("n1"));
    assert_eq!(grace(std::slice::from_ref(&node)), Some(30));
    assert_eq!(grace(&[node.clone(), ("/spec/terminationGracePeriodSeconds", json!(5))]), Some(5));
    assert_eq!(grace(&[]), Some(0), "nobody runs it");
    assert_eq!(grace(&[node, ("/status/phase", json!("Succeeded"))]), Some(0), "it has ended");
    assert_eq!((strategy("", "ConfigMap").grace)(&json!({})), None);
}

#[test]
fn quality_of_service_follows_requests_and_limits() {
    let full = json!({"cpu": "1", "memory": "1Gi"});
    for (resources, class) in [
        (json!({}), "BestEffort"),
        (json!({"limits": full}), "Guaranteed"),
        (json!({"limits": full, "requests": {"cpu": "1000m", "memory": "1024Mi"}}), "Guaranteed"),
        (json!({"limits": full, "requests": {"cpu": "500m"}}), "Burstable"),
        (json!({"requests": full}), "Burstable"),
        (json!({"requests": {"cpu": "0"}}), "BestEffort"),
        (json!({"limits": {"example.com/gpu": "1"}}), "BestEffort"),
    ] {
        let given = crate::with(&pod(), &[("/spec/containers/0/resources", resources.clone())]);
        assert_eq!(created("", "Pod", given)["status"]["qosClass"], class, "{resources}");
    }
}

#[test]
fn a_gated_pod_says_why_it_waits() {
    let gated = crate::with(&pod(), &[("/spec/schedulingGates", json!([{"name": "a.example/b"}]))]);
    let gated = created("", "Pod", gated);
    assert_eq!(gated["status"]["conditions"][0]["reason"], "SchedulingGated");
}

#[test]
fn label_keys_become_expressions() {
    let constraint = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {}, "matchLabelKeys": ["app", "none"]});
    let spread = crate::with(&pod(), &[("/spec/topologySpreadConstraints", json!([constraint]))]);
    let spread = created("", "Pod", spread);
    assert_eq!(
        spread["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchExpressions"],
        json!([{"key": "app", "operator": "In", "values": ["web"]}])
    );
}
