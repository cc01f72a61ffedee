//! The rules of roles, classes, nodes, network policies, ingresses, autoscalers and certificates.

use crate::{created, refused_new, refused_status, refused_update, with};
use api_resources::kinds::strategy;
use serde_json::{Value, json};

const RBAC: &str = "rbac.authorization.k8s.io";

#[test]
fn rules_of_roles_say_enough() {
    let role = |kind: &str, rule: Value| refused_new(RBAC, kind, json!({"rules": [rule]}));
    assert_eq!(
        role("Role", json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]})),
        Vec::<String>::new()
    );
    assert_eq!(
        role("ClusterRole", json!({"nonResourceURLs": ["/healthz"], "verbs": ["get"]})),
        Vec::<String>::new()
    );
    assert_eq!(
        role("Role", json!({})),
        [
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ]
    );
    assert_eq!(
        role("Role", json!({"nonResourceURLs": ["/x"], "resources": ["pods"], "verbs": ["get"]})),
        [
            "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
            "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: rules cannot apply to both regular resources and non-resource URLs",
        ]
    );
    assert_eq!(
        refused_new(RBAC, "ClusterRole", json!({"aggregationRule": {}})),
        [
            "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil"
        ]
    );
    assert_eq!((strategy(RBAC, "Role").validate_name)("system:a b"), Vec::<String>::new());
    assert_eq!((strategy(RBAC, "Role").validate_name)("a/b"), ["may not contain '/'"]);
}

#[test]
fn bindings_keep_their_role() {
    let binding = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "s"}]});
    assert_eq!(refused_new(RBAC, "RoleBinding", binding.clone()), Vec::<String>::new());
    assert_eq!(
        refused_new(RBAC, "ClusterRoleBinding", binding.clone()),
        ["subjects[0].namespace: Required value"]
    );
    let old = created(RBAC, "RoleBinding", binding.clone());
    let other = with(&old, &[("/roleRef/name", json!("edit"))]);
    assert_eq!(
        refused_update(RBAC, "RoleBinding", other, &old),
        [
            "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"edit\"}: cannot change roleRef"
        ]
    );
    let odd = with(
        &binding,
        &[("/roleRef", json!({"kind": "Role"})), ("/subjects/0", json!({"kind": "Robot", "name": "r"}))],
    );
    assert_eq!(
        refused_new(RBAC, "ClusterRoleBinding", odd),
        [
            "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
            "roleRef.name: Required value",
            "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
        ]
    );
}

#[test]
fn nodes_are_checked() {
    let node = json!({"metadata": {"name": "n"}, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}],
        "podCIDRs": ["10.0.0.0/24"], "providerID": "x"}});
    assert_eq!(refused_new("", "Node", node.clone()), Vec::<String>::new());
    let old = created("", "Node", node);
    let moved = with(&old, &[("/spec/podCIDR", json!("10.0.1.0/24")), ("/spec/providerID", json!("y"))]);
    assert_eq!(
        refused_update("", "Node", moved, &old),
        [
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
            "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid",
        ]
    );
    let twice = with(&old, &[("/spec/taints/-", json!({"key": "a", "effect": "NoSchedule"}))]);
    assert_eq!(
        refused_new("", "Node", twice),
        [
            "metadata.taints[1]: Duplicate value: {\"Key\":\"a\",\"Value\":\"\",\"Effect\":\"NoSchedule\",\"TimeAdded\":null}: taints must be unique by key and effect pair"
        ]
    );
}

#[test]
fn classes_are_checked() {
    let class = |object: Value| refused_new("scheduling.k8s.io", "PriorityClass", object);
    assert_eq!(class(json!({"metadata": {"name": "high"}, "value": 1000})), Vec::<String>::new());
    assert_eq!(
        class(json!({"metadata": {"name": "system-node-critical"}, "value": 2000001000})),
        Vec::<String>::new()
    );
    assert_eq!(
        class(json!({"metadata": {"name": "system-mine"}, "value": 1})),
        [
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class"
        ]
    );
    assert_eq!(
        class(json!({"metadata": {"name": "x"}, "value": 1000000001})),
        ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]
    );
    let storage = json!({"metadata": {"name": "s"}, "provisioner": "a.example/b", "parameters": {"k": "v"}});
    assert_eq!(refused_new("storage.k8s.io", "StorageClass", storage.clone()), Vec::<String>::new());
    let old = created("storage.k8s.io", "StorageClass", storage);
    let changed = with(&old, &[("/parameters/k", json!("w")), ("/reclaimPolicy", json!("Retain"))]);
    assert_eq!(
        refused_update("storage.k8s.io", "StorageClass", changed, &old),
        [
            "parameters: Invalid value: {\"k\":\"w\"}: field is immutable",
            "reclaimPolicy: Invalid value: \"Retain\": field is immutable",
        ]
    );
    assert_eq!(refused_new("node.k8s.io", "RuntimeClass", json!({"handler": "Kata!"})).len(), 1);
}

fn ingress(path: Value) -> Value {
    json!({"metadata": {"name": "i"}, "spec": {"rules": [{"host": "a.example", "http": {"paths": [path]}}]}})
}

#[test]
fn ingresses_are_checked() {
    let backend = json!({"service": {"name": "w", "port": {"number": 80}}});
    let told = |object: Value| refused_new("networking.k8s.io", "Ingress", object);
    let good = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    assert_eq!(told(ingress(good.clone())), Vec::<String>::new());
    let path = "spec.rules[0].http.paths[0]";
    for (change, refusal) in [
        (("/pathType", Value::Null), format!("{path}.pathType: Required value: pathType must be specified")),
        (("/path", json!("x")), format!("{path}.path: Invalid value: \"x\": must be an absolute path")),
        (("/path", json!("/a//b")), format!("{path}.path: Invalid value: \"/a//b\": must not contain '//'")),
        (
            ("/backend", json!({"service": {"name": "w"}})),
            format!("{path}.backend: Required value: port name or number is required"),
        ),
        (
            ("/backend", json!({})),
            format!("{path}.backend: Invalid value: \"\": resource or service backend is required"),
        ),
    ] {
        assert_eq!(told(ingress(with(&good, &[change]))), [refusal]);
    }
    assert_eq!(
        told(json!({"spec": {}})),
        ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]
    );
    let by_address = with(&ingress(good), &[("/spec/rules/0/host", json!("10.0.0.1"))]);
    assert_eq!(
        told(by_address),
        ["spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address"]
    );
}

#[test]
fn network_policies_are_checked() {
    let told =
        |rule: Value| refused_new("networking.k8s.io", "NetworkPolicy", json!({"spec": {"ingress": [rule]}}));
    assert_eq!(
        told(json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
            "ports": [{"port": 80, "endPort": 90}, {"port": "http"}]})),
        Vec::<String>::new()
    );
    for (rule, refusal) in [
        (json!({"from": [{}]}), "spec.ingress[0].from[0]: Required value: must specify a peer"),
        (
            json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}),
            "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer",
        ),
        (
            json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}),
            "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
        ),
        (
            json!({"ports": [{"port": 80, "endPort": 79}]}),
            "spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`",
        ),
        (
            json!({"ports": [{"endPort": 79}]}),
            "spec.ingress[0].ports[0].endPort: Invalid value: 79: may not be specified when `port` is not specified",
        ),
    ] {
        assert_eq!(told(rule), [refusal]);
    }
}

#[test]
fn budgets_and_autoscalers_are_checked() {
    let budget = |spec: Value| refused_new("policy", "PodDisruptionBudget", json!({"spec": spec}));
    assert_eq!(budget(json!({"minAvailable": "50%", "selector": {}})), Vec::<String>::new());
    assert_eq!(
        budget(json!({"minAvailable": 1, "maxUnavailable": 1})),
        [
            "spec: Invalid value: {\"maxUnavailable\":1,\"minAvailable\":1}: minAvailable and maxUnavailable cannot be both set"
        ]
    );
    let scaler = |changes: &[(&str, Value)]| {
        let base = json!({"spec": {"maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"}}});
        refused_new("autoscaling", "HorizontalPodAutoscaler", with(&base, changes))
    };
    assert_eq!(scaler(&[]), Vec::<String>::new());
    assert_eq!(
        scaler(&[("/spec/minReplicas", json!(4))]),
        ["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"]
    );
    assert_eq!(
        scaler(&[(
            "/spec/metrics",
            json!([{"type": "Pods", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 50}}}])
        )]),
        [
            "spec.metrics[0].pods: Required value: must populate information for the given metric source",
            "spec.metrics[0].resource: Forbidden: must populate the given metric source only",
        ]
    );
    assert_eq!(
        scaler(&[(
            "/spec/metrics",
            json!([{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization"}}}])
        )]),
        [
            "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization"
        ]
    );
}

#[test]
fn certificate_requests_are_decided_once() {
    let (group, kind) = ("certificates.k8s.io", "CertificateSigningRequest");
    // -----BEGIN CERTIFICATE REQUEST----- and its end: what is between is for the server.
    let pem =
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";
    let request = json!({"metadata": {"name": "c"}, "spec": {"request": pem, "usages": ["client auth"],
        "signerName": "kubernetes.io/kube-apiserver-client"}});
    assert_eq!(refused_new(group, kind, request.clone()), Vec::<String>::new());
    let mut approved = created(group, kind, request);
    approved["status"] = json!({"conditions": [{"type": "Approved", "status": "True"}]});
    let mut denied = approved.clone();
    denied["status"] = json!({"conditions": [{"type": "Denied", "status": "True"}]});
    assert_eq!(
        refused_status(group, kind, &denied, &approved),
        [
            "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\"",
            "status.conditions: Forbidden: updates may not add a condition of type \"Denied\"",
        ]
    );
}
