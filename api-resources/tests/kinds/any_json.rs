//! No object, however odd, brings a strategy down.

use api_resources::kinds::{pods_admission, strategy};
use api_resources::metadata;
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Kinds with functions of their own.
const KINDS: &[(&str, &str)] = &[
    ("", "Pod"),
    ("", "PodTemplate"),
    ("", "Service"),
    ("", "Endpoints"),
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("", "Namespace"),
    ("", "Node"),
    ("", "Event"),
    ("", "PersistentVolumeClaim"),
    ("", "PersistentVolume"),
    ("", "ReplicationController"),
    ("", "ResourceQuota"),
    ("", "LimitRange"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ControllerRevision"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("coordination.k8s.io", "Lease"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("events.k8s.io", "Event"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "IngressClass"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("networking.k8s.io", "IPAddress"),
    ("networking.k8s.io", "ServiceCIDR"),
    ("node.k8s.io", "RuntimeClass"),
    ("policy", "PodDisruptionBudget"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "CSIStorageCapacity"),
    ("storage.k8s.io", "VolumeAttachment"),
    ("storage.k8s.io", "VolumeAttributesClass"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
];

/// Fields that lead deep into many kinds.
const FIELDS: &[&str] = &[
    "spec",
    "status",
    "template",
    "jobTemplate",
    "metadata",
    "containers",
    "initContainers",
    "volumes",
    "env",
    "ports",
    "resources",
    "limits",
    "requests",
    "name",
    "labels",
    "annotations",
    "selector",
    "matchLabels",
    "matchExpressions",
    "values",
    "operator",
    "key",
    "type",
    "rules",
    "subjects",
    "roleRef",
    "data",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "affinity",
    "nodeAffinity",
    "podAffinity",
    "projected",
    "sources",
    "secret",
    "items",
    "updateStrategy",
    "rollingUpdate",
    "strategy",
    "schedulingGates",
    "tolerations",
    "completions",
    "conditions",
    "metrics",
    "resource",
    "target",
    "behavior",
    "scaleUp",
    "ingress",
    "egress",
    "from",
    "ipBlock",
    "cidr",
    "except",
    "capacity",
    "storage",
    "hostPath",
    "csi",
    "volumeClaimTemplates",
    "finalizers",
    "ownerReferences",
    "min",
    "max",
    "maxLimitRequestRatio",
    "hard",
    "scopes",
    "endpoints",
    "addresses",
    "subsets",
    "cpu",
    "memory",
    "hugepages-2Mi",
    "livenessProbe",
    "httpGet",
    "port",
    "lifecycle",
    "securityContext",
    "podFailurePolicy",
    "onExitCodes",
    "topologySpreadConstraints",
    "dataSource",
    "schedule",
    "timeZone",
    "loadBalancer",
];

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "a",
            "None",
            "RollingUpdate",
            "Container",
            "In",
            "Always",
            "ExternalName",
            "LoadBalancer",
            "1Gi",
            "-1",
            "0",
            "10.0.0.0/8",
            "::1",
            "50%",
            "é-",
            "* * * * *",
            "Indexed",
            "1-3,9",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 96, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((prop::sample::select(FIELDS.to_vec()), inner), 0..6).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
            }),
        ]
    })
}

fn any_object() -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(FIELDS.to_vec()), any_value()), 1..8).prop_map(|fields| {
        Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_panics_and_defaults_settle(object in any_object(), old in any_object()) {
        for (group, kind) in KINDS {
            let strategy = strategy(group, kind);
            let mut new = object.clone();
            (strategy.default)(&mut new);
            let once = new.clone();
            (strategy.default)(&mut new);
            prop_assert_eq!(&once, &new, "{} {}", group, kind);
            let mut created = new.clone();
            (strategy.prepare_create)(&mut created);
            (strategy.validate_create)(&created);
            (strategy.warnings)(&created);
            (strategy.grace)(&created);
            (strategy.prepare_update)(&mut new, &old);
            (strategy.validate_update)(&new, &old);
            (strategy.validate_status)(&new, &old);
            metadata::validate_create(&new, true, strategy.validate_name);
            metadata::validate_update(&new, &old);
        }
        let mut pod = object.clone();
        pods_admission::service_account_admission(&mut pod, &old, "abcde");
        pods_admission::default_tolerations(&mut pod);
        let _ = pods_admission::priority_admission(&mut pod, Some(&old));
    }
}
