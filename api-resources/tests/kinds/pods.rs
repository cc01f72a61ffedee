//! The rules of pods.

use crate::{created, pod, refused_new, refused_status, refused_update, with};
use api_resources::kinds::{pods_ephemeral, strategy};
use serde_json::{Value, json};

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

#[test]
fn a_good_pod_is_good() {
    assert_eq!(refused_new("", "Pod", pod()), Vec::<String>::new());
    let full = with(
        &pod(),
        &[
            (
                "/spec/volumes",
                json!([{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
                {"name": "all", "projected": {"sources": [{"secret": {"name": "s"}},
                    {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}},
                {"name": "disk", "persistentVolumeClaim": {"claimName": "c"}}]),
            ),
            (
                "/spec/initContainers",
                json!([{"name": "side", "image": "a", "restartPolicy": "Always",
                "readinessProbe": {"exec": {"command": ["true"]}}}]),
            ),
            (
                "/spec/containers/0/env",
                json!([{"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}]),
            ),
            (
                "/spec/containers/0/volumeMounts",
                json!([{"name": "data", "mountPath": "/data", "subPath": "a"}]),
            ),
            ("/spec/containers/0/volumeDevices", json!([{"name": "disk", "devicePath": "/dev/x"}])),
            ("/spec/containers/0/livenessProbe", json!({"httpGet": {"port": "http"}})),
            ("/spec/containers/0/resources", json!({"limits": {"cpu": "1", "example.com/gpu": "1"}})),
            (
                "/spec/tolerations",
                json!([{"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5},
                {"operator": "Exists"}]),
            ),
            (
                "/spec/affinity",
                json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}]}},
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                    [{"labelSelector": {}, "topologyKey": "kubernetes.io/hostname"}]}}),
            ),
            (
                "/spec/securityContext",
                json!({"runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}),
            ),
        ],
    );
    assert_eq!(refused_new("", "Pod", full), Vec::<String>::new());
}

#[test]
fn all_defects_are_told_in_order() {
    let bad = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"restartPolicy": "Perhaps",
        "containers": [
            {"name": "Main", "image": "", "ports": [{"containerPort": 70000}],
                "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}},
            {"name": "Main", "image": " a"}]}});
    assert_eq!(
        refused_new("", "Pod", bad),
        [
            format!("spec.containers[0].name: Invalid value: \"Main\": {LABEL}"),
            "spec.containers[0].image: Required value".to_owned(),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"
                .to_owned(),
            "spec.containers[0].resources.requests: Invalid value: \"2Gi\": must be less than or equal to memory limit of 1Gi"
                .to_owned(),
            format!("spec.containers[1].name: Invalid value: \"Main\": {LABEL}"),
            "spec.containers[1].name: Duplicate value: \"Main\"".to_owned(),
            "spec.restartPolicy: Unsupported value: \"Perhaps\": supported values: \"Always\", \"OnFailure\", \"Never\""
                .to_owned(),
            "spec.containers[1].image: Invalid value: \" a\": must not have leading or trailing whitespace".to_owned(),
        ]
    );
}

#[test]
fn each_rule_refuses() {
    let rows: Vec<(&str, Value, &str)> = vec![
        ("/spec/containers", json!([]), "spec.containers: Required value"),
        (
            "/spec/ephemeralContainers",
            json!([{"name": "d", "image": "a"}]),
            "spec.ephemeralContainers: Forbidden: cannot be set on create",
        ),
        (
            "/spec/dnsPolicy",
            json!("None"),
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
        ),
        (
            "/spec/activeDeadlineSeconds",
            json!(0),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        (
            "/spec/tolerations",
            json!([{"value": "x"}]),
            "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        ),
        (
            "/spec/tolerations",
            json!([{"key": "a", "tolerationSeconds": 1}]),
            "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        ),
        (
            "/spec/volumes",
            json!([{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]),
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            "/spec/volumes",
            json!([{"name": "v", "secret": {"secretName": "s", "defaultMode": 512}}]),
            "spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
        ),
        (
            "/spec/volumes",
            json!([{"name": "v", "hostPath": {"path": "/a/../b"}}]),
            "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
        ),
        (
            "/spec/volumes",
            json!([{"name": "v", "configMap": {"items": []}}]),
            "spec.volumes[0].configMap.name: Required value",
        ),
        (
            "/spec/volumes",
            json!([{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
            "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set",
        ),
        (
            "/spec/volumes",
            json!([{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}}]),
            "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
        ),
        (
            "/spec/containers/0/volumeMounts",
            json!([{"name": "none", "mountPath": "/x"}]),
            "spec.containers[0].volumeMounts[0].name: Not found: \"none\"",
        ),
        (
            "/spec/containers/0/env",
            json!([{"name": "a=b"}]),
            "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
        ),
        (
            "/spec/containers/0/env",
            json!([{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
        ),
        (
            "/spec/containers/0/env",
            json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
        ),
        (
            "/spec/containers/0/envFrom",
            json!([{}]),
            "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
        ),
        (
            "/spec/containers/0/livenessProbe",
            json!({}),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            "/spec/containers/0/livenessProbe",
            json!({"tcpSocket": {"port": 80}, "successThreshold": 2}),
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            "/spec/containers/0/lifecycle",
            json!({"preStop": {"sleep": {"seconds": 31}}}),
            "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
        ),
        (
            "/spec/containers/0/resources",
            json!({"requests": {"gpu": "1"}}),
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
        ),
        (
            "/spec/containers/0/resources",
            json!({"requests": {"example.com/gpu": "1"}}),
            "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
        ),
        (
            "/spec/containers/0/resources",
            json!({"limits": {"cpu": "-1"}}),
            "spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
        ),
        (
            "/spec/containers/0/securityContext",
            json!({"privileged": true, "allowPrivilegeEscalation": false}),
            "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        ),
        (
            "/spec/initContainers",
            json!([{"name": "i", "image": "a", "lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}]),
            "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always",
        ),
        (
            "/spec/topologySpreadConstraints",
            json!([{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]),
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
        ),
        (
            "/spec/affinity",
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}),
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term",
        ),
        (
            "/spec/hostAliases",
            json!([{"ip": "300.1.1.1"}]),
            "spec.hostAliases[0].ip: Invalid value: \"300.1.1.1\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
        (
            "/spec/os",
            json!({"name": "plan9"}),
            "spec.os: Unsupported value: \"plan9\": supported values: \"linux\", \"windows\"",
        ),
        (
            "/metadata/annotations",
            json!({"controller.kubernetes.io/pod-deletion-cost": "+1"}),
            "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"+1\": must be a 32bit integer",
        ),
    ];
    for (pointer, value, refusal) in rows {
        let told = refused_new("", "Pod", with(&pod(), &[(pointer, value.clone())]));
        assert_eq!(told.first().map(String::as_str), Some(refusal), "{pointer} {value}");
    }
}

#[test]
fn host_ports_are_taken_once() {
    let port = json!({"containerPort": 80, "hostPort": 8080});
    let bad =
        with(&pod(), &[("/spec/containers/0/ports", json!([port, {"containerPort": 81, "hostPort": 8080}]))]);
    assert_eq!(
        refused_new("", "Pod", bad),
        ["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//8080\""]
    );
    let host =
        with(&pod(), &[("/spec/hostNetwork", json!(true)), ("/spec/containers/0/ports", json!([port]))]);
    assert_eq!(
        refused_new("", "Pod", host),
        [
            "spec.containers[0].ports[0].hostPort: Invalid value: 8080: must match `containerPort` when `hostNetwork` is true"
        ]
    );
}

#[test]
fn only_little_of_a_pod_changes() {
    let old = created("", "Pod", pod());
    let allowed: [&[(&str, Value)]; 5] = [
        &[("/spec/containers/0/image", json!("nginx:1.28"))],
        &[("/spec/activeDeadlineSeconds", json!(60))],
        &[("/spec/tolerations", json!([{"operator": "Exists"}]))],
        &[("/metadata/labels/app", json!("other"))],
        &[("/spec/imagePullSecrets", json!([]))],
    ];
    for changes in allowed {
        assert_eq!(refused_update("", "Pod", with(&old, changes), &old), Vec::<String>::new(), "{changes:?}");
    }
    for (pointer, value) in [
        ("/spec/nodeName", json!("n1")),
        ("/spec/serviceAccountName", json!("other")),
        ("/spec/containers/0/command", json!(["x"])),
        ("/spec/terminationGracePeriodSeconds", json!(1)),
        ("/spec/nodeSelector", json!({"a": "b"})),
    ] {
        let told = refused_update("", "Pod", with(&old, &[(pointer, value)]), &old);
        assert_eq!(told.len(), 1, "{pointer}: {told:?}");
        assert!(
            told[0].starts_with(
                "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
            ),
            "{told:?}"
        );
    }
    let more = with(&old, &[("/spec/containers/-", json!({"name": "b", "image": "b"}))]);
    assert_eq!(
        refused_update("", "Pod", more, &old),
        ["spec.containers: Forbidden: pod updates may not add or remove containers"]
    );
}

#[test]
fn tolerations_and_deadlines_only_grow_or_shrink() {
    let toleration = json!({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5});
    let given = with(
        &pod(),
        &[("/spec/tolerations", json!([toleration])), ("/spec/activeDeadlineSeconds", json!(10))],
    );
    let old = created("", "Pod", given);
    let seconds = with(&old, &[("/spec/tolerations/0/tolerationSeconds", json!(9))]);
    assert_eq!(refused_update("", "Pod", seconds, &old), Vec::<String>::new());
    let removed = with(&old, &[("/spec/tolerations", json!([]))]);
    assert_eq!(
        refused_update("", "Pod", removed, &old),
        ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"]
    );
    let longer = with(&old, &[("/spec/activeDeadlineSeconds", json!(11))]);
    assert_eq!(
        refused_update("", "Pod", longer, &old),
        ["spec.activeDeadlineSeconds: Invalid value: 11: must be less than or equal to previous value"]
    );
}

#[test]
fn a_gated_pod_may_be_narrowed_only() {
    let given = with(
        &pod(),
        &[
            ("/spec/schedulingGates", json!([{"name": "a"}, {"name": "b"}])),
            ("/spec/nodeSelector", json!({"x": "1"})),
        ],
    );
    let old = created("", "Pod", given);
    let narrowed = with(
        &old,
        &[("/spec/nodeSelector/y", json!("2")), ("/spec/schedulingGates", json!([{"name": "b"}]))],
    );
    assert_eq!(refused_update("", "Pod", narrowed, &old), Vec::<String>::new());
    let widened = with(&old, &[("/spec/nodeSelector", json!({}))]);
    assert_eq!(
        refused_update("", "Pod", widened, &old),
        [
            "spec.nodeSelector: Invalid value: {}: only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        ]
    );
    let gated = with(&old, &[("/spec/schedulingGates/-", json!({"name": "c"}))]);
    assert_eq!(
        refused_update("", "Pod", gated, &old),
        [
            "spec.schedulingGates[2].name: Forbidden: only deletion is allowed, but found new scheduling gate 'c'"
        ]
    );
}

#[test]
fn statuses_are_checked() {
    let mut old = created("", "Pod", with(&pod(), &[("/spec/restartPolicy", json!("Never"))]));
    old["status"]["containerStatuses"] = json!([{"name": "main", "state": {"terminated": {"exitCode": 0}}}]);
    let mut new = old.clone();
    new["status"]["podIPs"] = json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]);
    assert_eq!(refused_status("", "Pod", &new, &old), Vec::<String>::new());
    new["status"]["containerStatuses"][0]["state"] = json!({"running": {}});
    new["status"]["qosClass"] = json!("Guaranteed");
    new["status"]["podIPs"] = json!([{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]);
    assert_eq!(
        refused_status("", "Pod", &new, &old),
        [
            "status.qosClass: Invalid value: \"Guaranteed\": field is immutable",
            "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state",
            "status.podIPs: Invalid value: [{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.2\"}]: may specify no more than one IP for each IP family",
        ]
    );
}

#[test]
fn ephemeral_containers_are_only_added() {
    let old = created("", "Pod", pod());
    let debug = json!({"name": "debug", "image": "busybox", "targetContainerName": "main"});
    let add = |pod: &Value, containers: Value| {
        let mut new =
            with(pod, &[("/spec/ephemeralContainers", containers), ("/spec/nodeName", json!("forged"))]);
        pods_ephemeral::prepare(&mut new, pod);
        (strategy("", "Pod").default)(&mut new);
        let told: Vec<String> = pods_ephemeral::validate(&new, pod).iter().map(ToString::to_string).collect();
        (new, told)
    };
    let (new, told) = add(&old, json!([debug]));
    assert_eq!(told, Vec::<String>::new());
    assert_eq!((&new["spec"]["nodeName"], &new["status"]), (&Value::Null, &old["status"]));
    let (_, told) = add(&new, json!([]));
    assert_eq!(
        told,
        ["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"debug\" may not be removed\n"]
    );
    let (_, told) = add(&old, json!([{"name": "main", "image": "a", "ports": [{"containerPort": 1}]}]));
    assert_eq!(
        told,
        [
            "spec.ephemeralContainers[0].name: Duplicate value: \"main\"",
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
        ]
    );
}
