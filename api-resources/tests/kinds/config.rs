//! The rules of what pods are given: config maps, secrets, claims, quotas, endpoints, leases, events.

use crate::{created, refused_new, refused_status, refused_update, updated, with};
use serde_json::{Value, json};

fn named(extra: Value) -> Value {
    let mut object = json!({"metadata": {"name": "x", "namespace": "shop"}});
    object.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    object
}

#[test]
fn config_maps_are_checked() {
    let good = named(json!({"data": {"a.txt": "1"}, "binaryData": {"b": "AA=="}}));
    assert_eq!(refused_new("", "ConfigMap", good), Vec::<String>::new());
    let twice = named(json!({"data": {"a": "1"}, "binaryData": {"a": "AA=="}}));
    assert_eq!(
        refused_new("", "ConfigMap", twice),
        ["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"]
    );
    let large = named(json!({"data": {"a": "x".repeat(1 << 20), "b": "y"}}));
    assert_eq!(refused_new("", "ConfigMap", large), ["[]: Too long: may not be more than 1048576 bytes"]);
    let key = named(json!({"data": {"a/b": "1"}}));
    assert!(
        refused_new("", "ConfigMap", key)[0]
            .starts_with("data[a/b]: Invalid value: \"a/b\": a valid config key")
    );
}

#[test]
fn what_is_immutable_stays() {
    let message = "field is immutable when `immutable` is set";
    for kind in ["ConfigMap", "Secret"] {
        let old = created("", kind, named(json!({"data": {"a": "eA=="}, "immutable": true})));
        let labelled = with(&old, &[("/metadata/labels", json!({"a": "b"}))]);
        assert_eq!(refused_update("", kind, labelled, &old), Vec::<String>::new());
        let changed = with(&old, &[("/data/a", json!("eQ==")), ("/immutable", Value::Null)]);
        assert_eq!(
            refused_update("", kind, changed, &old),
            [format!("immutable: Forbidden: {message}"), format!("data: Forbidden: {message}")]
        );
    }
}

#[test]
fn secrets_have_the_keys_of_their_type() {
    for (kind, data, told) in [
        ("kubernetes.io/tls", json!({"tls.crt": "eA=="}), vec!["data[tls.key]: Required value"]),
        (
            "kubernetes.io/basic-auth",
            json!({}),
            vec!["data[username]: Required value", "data[password]: Required value"],
        ),
        (
            "kubernetes.io/ssh-auth",
            json!({"ssh-privatekey": ""}),
            vec!["data[ssh-privatekey]: Required value"],
        ),
        ("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "e30="}), vec![]),
        (
            "kubernetes.io/dockerconfigjson",
            json!({".dockerconfigjson": "eA=="}),
            vec![
                "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": invalid character 'x' looking for beginning of value",
            ],
        ),
        (
            "kubernetes.io/service-account-token",
            json!({}),
            vec!["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
        ("example.com/own", json!({}), vec![]),
    ] {
        assert_eq!(refused_new("", "Secret", named(json!({"type": kind, "data": data}))), told, "{kind}");
    }
    let old = created("", "Secret", named(json!({})));
    let retyped = with(&old, &[("/type", json!("example.com/own"))]);
    assert_eq!(
        refused_update("", "Secret", retyped, &old),
        ["type: Invalid value: \"example.com/own\": field is immutable"]
    );
}

fn claim() -> Value {
    named(json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}))
}

#[test]
fn claims_grow_once_bound() {
    let kind = "PersistentVolumeClaim";
    assert_eq!(refused_new("", kind, claim()), Vec::<String>::new());
    let mut old = created("", kind, claim());
    let larger = with(&old, &[("/spec/resources/requests/storage", json!("2Gi"))]);
    assert!(
        refused_update("", kind, larger.clone(), &old)[0].starts_with(
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"
        )
    );
    old["status"] = json!({"phase": "Bound", "capacity": {"storage": "1Gi"}});
    assert_eq!(refused_update("", kind, larger, &old), Vec::<String>::new());
    let smaller = with(&old, &[("/spec/resources/requests/storage", json!("512Mi"))]);
    assert_eq!(
        refused_update("", kind, smaller, &old),
        ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
    );
    let bound = with(&old, &[("/spec/volumeName", json!("v"))]);
    assert_eq!(refused_update("", kind, bound, &old), Vec::<String>::new());
}

#[test]
fn each_rule_of_claims_refuses() {
    for (pointer, value, refusal) in [
        (
            "/spec/accessModes",
            json!([]),
            "spec.accessModes: Required value: at least 1 access mode is required",
        ),
        (
            "/spec/accessModes",
            json!(["ReadWriteOnce", "ReadWriteOncePod"]),
            "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
        ),
        ("/spec/resources", json!({}), "spec.resources[storage]: Required value"),
        (
            "/spec/resources/requests/storage",
            json!("0"),
            "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
        ),
        (
            "/spec/volumeMode",
            json!("Tape"),
            "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"",
        ),
    ] {
        let told = refused_new("", "PersistentVolumeClaim", with(&claim(), &[(pointer, value)]));
        assert_eq!(told, [refusal], "{pointer}");
    }
    // What one of the two sources says, the other says too.
    let from = json!({"kind": "Pod", "name": "p"});
    let told = refused_new("", "PersistentVolumeClaim", with(&claim(), &[("/spec/dataSourceRef", from)]));
    let why = "Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default apiGroup";
    assert_eq!(told, ["dataSource", "dataSourceRef"].map(|field| format!("spec.{field}: {why}")));
    let from = json!({"apiGroup": "a.example.com", "kind": "Image", "name": "p"});
    let claim =
        created("", "PersistentVolumeClaim", with(&claim(), &[("/spec/dataSourceRef", from.clone())]));
    assert_eq!(claim["spec"]["dataSource"], from);
}

#[test]
fn the_class_of_a_claim_comes_from_its_annotation_or_once() {
    let kind = "PersistentVolumeClaim";
    let old_class = "volume.beta.kubernetes.io/storage-class";
    let annotated = |class: Value| json!({old_class: class});
    let old = created("", kind, with(&claim(), &[("/metadata/annotations", annotated(json!("x")))]));
    let immutable = |class: &str| {
        vec![format!("metadata.annotations.{old_class}: Invalid value: {class:?}: field is immutable")]
    };
    for (changes, expected) in [
        (vec![("/spec/storageClassName", json!("x"))], vec![]),
        (vec![("/spec/storageClassName", json!("x")), ("/metadata/annotations", json!({}))], vec![]),
        (vec![("/metadata/annotations", json!({}))], immutable("")),
        (vec![("/metadata/annotations", annotated(json!("y")))], immutable("y")),
    ] {
        assert_eq!(refused_update("", kind, with(&old, &changes), &old), expected, "{changes:?}");
    }
}

#[test]
fn quotas_and_limits_are_checked() {
    let quota = |spec: Value| refused_new("", "ResourceQuota", named(json!({"spec": spec})));
    let good = json!({"hard": {"pods": "10", "requests.cpu": "1", "count/widgets.example.com": "5",
        "requests.example.com/gpu": "2"}, "scopes": []});
    assert_eq!(quota(good), Vec::<String>::new());
    assert_eq!(
        quota(json!({"hard": {"pods": "1500m"}})),
        ["spec.hard[pods]: Invalid value: \"1500m\": must be an integer"]
    );
    assert_eq!(
        quota(json!({"hard": {"cows": "1"}})),
        [
            "spec.hard[cows]: Invalid value: \"cows\": must be a standard resource type or fully qualified",
            "spec.hard[cows]: Invalid value: \"cows\": must be a standard resource for quota"
        ]
    );
    assert_eq!(
        quota(json!({"hard": {"services": "1"}, "scopes": ["BestEffort"]})),
        ["spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource"]
    );
    assert_eq!(
        quota(json!({"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]})),
        ["spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes"]
    );
    let limit = |limit: Value| refused_new("", "LimitRange", named(json!({"spec": {"limits": [limit]}})));
    assert_eq!(
        limit(json!({"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1"}})),
        Vec::<String>::new()
    );
    assert_eq!(
        limit(json!({"type": "Pod", "max": {"cpu": "1"}, "min": {"cpu": "2"}})),
        ["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"]
    );
    assert_eq!(
        limit(json!({"type": "PersistentVolumeClaim"})),
        [
            "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided"
        ]
    );
    assert_eq!(
        limit(
            json!({"type": "Container", "max": {"cpu": "4"}, "min": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "3"}})
        ),
        [
            "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"3\": ratio 3 is greater than max/min = 2.000000"
        ]
    );
}

#[test]
fn endpoints_are_checked() {
    let endpoints = |subset: Value| refused_new("", "Endpoints", named(json!({"subsets": [subset]})));
    assert_eq!(
        endpoints(json!({"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]})),
        Vec::<String>::new()
    );
    assert_eq!(
        endpoints(json!({})),
        ["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"]
    );
    assert_eq!(
        endpoints(json!({"addresses": [{"ip": "169.254.0.1"}], "ports": [{"port": 0}]})),
        [
            "subsets[0].addresses[0].ip: Invalid value: \"169.254.0.1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)",
            "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ]
    );
    let slice = |kind: &str, address: &str| {
        let slice = named(json!({"addressType": kind, "endpoints": [{"addresses": [address]}]}));
        refused_new("discovery.k8s.io", "EndpointSlice", slice)
    };
    for (kind, address) in [("IPv4", "10.0.0.1"), ("IPv6", "fd00::1"), ("FQDN", "a.example")] {
        assert_eq!(slice(kind, address), Vec::<String>::new(), "{kind}");
    }
    assert_eq!(
        slice("IPv4", "fd00::1"),
        ["endpoints[0].addresses: Invalid value: \"fd00::1\": must be an IPv4 address"]
    );
    assert_eq!(
        slice("IPv6", "FD00::1"),
        ["endpoints[0].addresses[0]: Invalid value: \"FD00::1\": must be in canonical form (\"fd00::1\")"]
    );
    assert_eq!(
        slice("IPX", "1"),
        ["addressType: Unsupported value: \"IPX\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""]
    );
}

#[test]
fn leases_and_events_are_checked() {
    let lease = |spec: Value| refused_new("coordination.k8s.io", "Lease", named(json!({"spec": spec})));
    assert_eq!(lease(json!({"holderIdentity": "me", "leaseDurationSeconds": 15})), Vec::<String>::new());
    assert_eq!(
        lease(json!({"leaseDurationSeconds": 0, "leaseTransitions": -1})),
        [
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        ]
    );
    let event =
        |about: &str| refused_new("", "Event", named(json!({"involvedObject": {"namespace": about}})));
    assert_eq!(event("shop"), Vec::<String>::new());
    assert_eq!(
        event("other"),
        ["involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"]
    );
}

#[test]
fn volumes_keep_their_source() {
    let volume = json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}});
    assert_eq!(refused_new("", "PersistentVolume", volume.clone()), Vec::<String>::new());
    let old = created("", "PersistentVolume", volume.clone());
    let moved = with(&old, &[("/spec/hostPath/path", json!("/y"))]);
    assert!(refused_update("", "PersistentVolume", moved, &old)[0].starts_with(
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n"
    ));
    let bound = with(&old, &[("/spec/claimRef", json!({"name": "c", "namespace": "shop"}))]);
    assert_eq!(refused_update("", "PersistentVolume", bound, &old), Vec::<String>::new());
    let nothing = with(&volume, &[("/spec/hostPath", Value::Null), ("/spec/capacity", Value::Null)]);
    assert_eq!(
        refused_new("", "PersistentVolume", nothing),
        [
            "spec.capacity: Required value",
            "spec.capacity: Unsupported value: null: supported values: \"storage\"",
            "spec: Required value: must specify a volume type"
        ]
    );
}

#[test]
fn namespaces_keep_their_finalizers_and_phase() {
    let old = created("", "Namespace", json!({"metadata": {"name": "shop"}}));
    let robbed = updated("", "Namespace", with(&old, &[("/spec", json!({}))]), &old);
    assert_eq!(robbed["spec"]["finalizers"], json!(["kubernetes"]));
    let ending = with(&old, &[("/status/phase", json!("Terminating"))]);
    assert_eq!(
        refused_status("", "Namespace", &ending, &old),
        [
            "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
        ]
    );
    let odd = json!({"metadata": {"name": "shop"}, "spec": {"finalizers": ["mine"]}});
    assert_eq!(
        refused_new("", "Namespace", odd),
        [
            "spec.finalizers: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified"
        ]
    );
}
