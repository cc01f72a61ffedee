//! What the server adds to the rules of the core kinds: addresses, taints, subresources of pods, components.

use crate::harness::{Installation, names, text};
use serde_json::{Value, json};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const PODS: &str = "/api/v1/namespaces/default/pods";

fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn services_get_the_ports_that_they_need() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [
        {"name": "tcp", "port": 53, "protocol": "TCP"}, {"name": "udp", "port": 53, "protocol": "UDP"}]});
    for query in ["?dryRun=All", ""] {
        let made = acme.post(&format!("{SERVICES}{query}"), &service("dns", spec.clone())).await;
        let made = made.expect_code(201).json()["spec"].clone();
        assert!(made["ports"][0]["nodePort"].as_i64().is_some_and(|port| port >= 30_000), "{made}");
        assert_eq!(made["ports"][0]["nodePort"], made["ports"][1]["nodePort"], "one number, two protocols");
        assert!(made["healthCheckNodePort"].as_i64().is_some_and(|port| port >= 30_000), "{made}");
        assert_ne!(made["ports"][0]["nodePort"], made["healthCheckNodePort"]);
    }
    for (ports, field) in [
        (
            json!([{"name": "a", "port": 1}, {"name": "b", "port": 2, "nodePort": 80}]),
            "spec.ports[1].nodePort",
        ),
        (json!([{"name": "a", "port": 1, "nodePort": 70_000}]), "spec.ports[0].nodePort"),
    ] {
        let refused = acme.post(SERVICES, &service("odd", json!({"type": "NodePort", "ports": ports}))).await;
        let cause = refused.expect_code(422).json()["details"]["causes"][0].clone();
        assert_eq!(cause["field"], field);
        assert!(text(&cause["message"]).contains("provided port is not in the valid range"), "{cause}");
    }
    let two = service("two", json!({"ipFamilyPolicy": "RequireDualStack", "ports": [{"port": 80}]}));
    let refused = acme.post(SERVICES, &two).await.expect_code(422).json();
    assert!(text(&refused["message"]).contains("not configured for dual-stack"), "{refused}");
}

#[tokio::test]
async fn a_pod_is_resized_in_cpu_and_memory_only() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "c", "image": "i", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}});
    acme.post(PODS, &pod).await.expect_code(201);
    let path = format!("{PODS}/p/resize");
    let of = "application/strategic-merge-patch+json";
    let patch = |resources: Value| {
        let container = json!({"name": "c", "image": "other", "resources": resources});
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}).to_string()
    };
    let resized = acme.send("PATCH", &path, of, patch(json!({"requests": {"cpu": "2"}}))).await;
    let resized = resized.expect_code(200).json();
    let container = &resized["spec"]["containers"][0];
    assert_eq!(container["resources"]["requests"], json!({"cpu": "2", "memory": "1Gi"}));
    assert_eq!((text(&container["image"]), &resized["metadata"]["generation"]), ("i", &json!(2)));
    assert!(resized["metadata"]["labels"].is_null());
    let refused = acme.send("PATCH", &path, of, patch(json!({"requests": {"example.com/gpu": "2"}}))).await;
    let refused = refused.expect_code(422).json();
    assert!(text(&refused["message"]).contains("only cpu and memory resources are mutable"), "{refused}");
    assert_eq!(acme.get(&path).await.expect_code(200).json()["metadata"]["generation"], 2);
}

#[tokio::test]
async fn a_pod_that_leaves_its_admitted_fields_out_keeps_them() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
        "automountServiceAccountToken": false, "serviceAccountName": "default",
        "containers": [{"name": "c", "image": "i"}]}});
    let made = acme.post(PODS, &pod).await.expect_code(201).json();
    let same = acme.put(&format!("{PODS}/p"), &pod).await.expect_code(200).json();
    assert_eq!(same["spec"], made["spec"]);
}

#[tokio::test]
async fn a_node_of_a_client_is_not_ready() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
        "spec": {"podCIDR": "10.0.0.0/24"}});
    let made = acme.post("/api/v1/nodes", &node).await.expect_code(201).json();
    assert_eq!(made["spec"]["taints"][0]["key"], "node.kubernetes.io/not-ready");
    assert_eq!(made["spec"]["podCIDRs"], json!(["10.0.0.0/24"]));
}

#[tokio::test]
async fn components_are_made_up_and_deprecated() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let path = "/api/v1/componentstatuses";
    let listed = acme.get(path).await;
    assert!(listed.header("warning").contains("v1 ComponentStatus is deprecated"));
    let list = listed.expect_code(200).json();
    assert_eq!(names(&list), ["scheduler", "controller-manager", "etcd-0"]);
    assert_eq!(list["metadata"], json!({}));
    let one = acme.get(&format!("{path}?fieldSelector=metadata.name=etcd-0")).await.json();
    assert_eq!(names(&one), ["etcd-0"]);
    let table = acme.with("accept", "application/json;as=Table;v=v1;g=meta.k8s.io").get(path).await.json();
    assert_eq!(table["rows"][2]["cells"], json!(["etcd-0", "Healthy", "ok", ""]));
    let missing = acme.get(&format!("{path}/none")).await;
    assert!(missing.header("warning").contains("deprecated"));
    assert_eq!(missing.expect_code(404).json()["message"], "componentstatus \"none\" not found");
    acme.get(&format!("{path}?watch=1")).await.expect_code(405);
    acme.post(path, &json!({"apiVersion": "v1", "kind": "ComponentStatus", "metadata": {"name": "x"}}))
        .await
        .expect_code(405);
}

/// What a class says that is the default one.
fn class(group: &str, kind: &str, name: &str, annotation: &str) -> Value {
    let mut class = json!({"apiVersion": format!("{group}/v1"), "kind": kind,
        "metadata": {"name": name, "annotations": {annotation: "true"}}});
    match kind {
        "StorageClass" => class["provisioner"] = json!("example.com/p"),
        _ => class["spec"] = json!({"controller": "example.com/c"}),
    }
    class
}

#[tokio::test]
async fn claims_and_ingresses_get_the_default_class_when_they_name_none() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let claim = |name: &str, more: Value| {
        let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        put_into(&mut claim, more);
        claim
    };
    let made = acme.post(claims, &claim("before", json!({}))).await.expect_code(201).json();
    assert_eq!(made["spec"]["storageClassName"], Value::Null, "there is no class yet");
    let fast = class("storage.k8s.io", "StorageClass", "fast", "storageclass.kubernetes.io/is-default-class");
    acme.post("/apis/storage.k8s.io/v1/storageclasses", &fast).await.expect_code(201);
    for (name, more, expected) in [
        ("none", json!({}), json!("fast")),
        ("empty", json!({"spec": {"storageClassName": ""}}), json!("")),
        ("other", json!({"spec": {"storageClassName": "slow"}}), json!("slow")),
        (
            "old",
            json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "slow"}}}),
            Value::Null,
        ),
    ] {
        let made = acme.post(claims, &claim(name, more)).await.expect_code(201).json();
        assert_eq!(made["spec"]["storageClassName"], expected, "{name}");
    }

    let web =
        class("networking.k8s.io", "IngressClass", "web", "ingressclass.kubernetes.io/is-default-class");
    acme.post("/apis/networking.k8s.io/v1/ingressclasses", &web).await.expect_code(201);
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}});
    let made = acme.post("/apis/networking.k8s.io/v1/namespaces/default/ingresses", &ingress).await;
    assert_eq!(made.expect_code(201).json()["spec"]["ingressClassName"], "web");
}

/// Puts the fields of one object into another.
fn put_into(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter().for_each(|(key, value)| put_into(into.entry(key).or_insert(Value::Null), value));
        }
        (into, from) => *into = from,
    }
}

#[tokio::test]
async fn a_dry_run_refuses_addresses_as_the_write_would() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let services = "/api/v1/namespaces/default/services";
    let service = |name: &str, more: Value| {
        let mut service = json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
        service["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service
    };
    admin.post(services, &service("a", json!({"clusterIP": "10.96.1.1"}))).await.expect_code(201);
    for more in [
        json!({"clusterIP": "1.2.3.4"}),
        json!({"clusterIP": "10.96.1.1"}),
        json!({"clusterIP": "::1"}),
        json!({"ipFamilies": ["IPv6"]}),
        json!({"ipFamilyPolicy": "RequireDualStack"}),
        json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}),
    ] {
        let told = |answer: crate::harness::Answer| answer.expect_code(422).json()["message"].clone();
        let written = told(admin.post(services, &service("b", more.clone())).await);
        let dry = told(admin.post(&format!("{services}?dryRun=All"), &service("b", more.clone())).await);
        assert_eq!(written, dry, "{more}");
    }
}

#[tokio::test]
async fn a_change_of_another_object_of_the_name_says_where_it_is() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    for (path, kept) in
        [("/api/v1/namespaces/default/configmaps", "configmaps/default"), ("/api/v1/nodes", "minions")]
    {
        let mut object = admin.post(path, &json!({"metadata": {"name": "a"}})).await.expect_code(201).json();
        object["metadata"]["uid"] = json!("other");
        let refused = admin.put(&format!("{path}/a"), &object).await.expect_code(409).json();
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains(&format!("Key: /registry/{kept}/a,")), "{message}");
    }
}

#[tokio::test]
async fn a_runtime_class_has_to_be_there_and_adds_to_pods() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let pod = |name: &str, more: Value| {
        let mut spec = json!({"runtimeClassName": "kata", "containers": [{"name": "c", "image": "i"}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    };
    let refused = acme.post(PODS, &pod("p", json!({}))).await.expect_code(403).json();
    assert_eq!(refused["message"], "pods \"p\" is forbidden: pod rejected: RuntimeClass \"kata\" not found");
    let class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "kata"},
        "handler": "kata", "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "kata", "operator": "Exists"}]}});
    let classes = "/apis/node.k8s.io/v1/runtimeclasses";
    acme.post(classes, &class).await.expect_code(201);
    let made = acme.post(PODS, &pod("p", json!({}))).await.expect_code(201).json();
    assert_eq!(made["spec"]["overhead"], json!({"cpu": "250m"}));
    assert_eq!(made["spec"]["nodeSelector"], json!({"a": "b"}));
    assert_eq!(made["spec"]["tolerations"].as_array().unwrap().len(), 3, "{made}");
    for (more, told) in [
        (json!({"nodeSelector": {"a": "c"}}), "nodeSelector[a] = b; pod.spec.nodeSelector[a] = c"),
        (json!({"overhead": {"cpu": "1"}}), "Pod's Overhead doesn't match"),
        (
            json!({"runtimeClassName": null, "overhead": {"cpu": "1"}}),
            "Pod Overhead set without corresponding",
        ),
    ] {
        let refused = acme.post(PODS, &pod("q", more)).await.expect_code(403).json();
        assert!(text(&refused["message"]).contains(told), "{refused}");
    }
    // What is there stays as it is without its class.
    acme.delete(&format!("{classes}/kata")).await.expect_code(200);
    let mut labelled = made;
    labelled["metadata"]["labels"] = json!({"x": "y"});
    acme.put(&format!("{PODS}/p"), &labelled).await.expect_code(200);
}

#[tokio::test]
async fn a_refused_change_of_a_pod_shows_what_differs() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
        "automountServiceAccountToken": false, "containers": [{"name": "c", "image": "i"}]}});
    acme.post(PODS, &pod).await.expect_code(201);
    let patch = json!({"spec": {"nodeName": "n1"}}).to_string();
    let refused = acme.send("PATCH", &format!("{PODS}/p"), "application/merge-patch+json", patch).await;
    let refused = refused.expect_code(422).json();
    let end = text(&refused["message"]).split_once("negative)\n").unwrap().1.to_owned();
    let shown = [
        "@@ -42,7 +42,7 @@",
        "  \"NodeSelector\": null,",
        "  \"ServiceAccountName\": \"default\",",
        "  \"AutomountServiceAccountToken\": false,",
        "- \"NodeName\": \"\",",
        "+ \"NodeName\": \"n1\",",
        "  \"SecurityContext\": {",
        "   \"HostNetwork\": false,",
        "   \"HostPID\": false,",
        "",
    ];
    assert_eq!(end, shown.join("\n"));
}

#[tokio::test]
async fn empty_lists_are_judged_and_not_stored() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let scalers = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let scaler = |policies: Value| {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
            "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                "behavior": {"scaleUp": {"policies": policies}}}})
    };
    let refused = acme.post(scalers, &scaler(json!([]))).await.expect_code(422).json();
    assert_eq!(
        refused["details"]["causes"][0]["message"],
        "Required value: must specify at least one Policy"
    );
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "finalizers": []}, "spec": {
        "volumes": [], "automountServiceAccountToken": false, "serviceAccountName": "default",
        "containers": [{"name": "c", "image": "i", "args": []}]}});
    let made = acme.post(PODS, &pod).await.expect_code(201).json();
    for field in ["/metadata/finalizers", "/spec/volumes", "/spec/containers/0/args"] {
        assert_eq!(made.pointer(field), None, "{made}");
    }
    pod["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    let same = acme.put(&format!("{PODS}/p"), &pod).await.expect_code(200).json();
    assert_eq!(same, made);
}

#[tokio::test]
async fn an_emptied_map_is_told_as_empty() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let classes = "/apis/storage.k8s.io/v1/storageclasses";
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "c"},
        "provisioner": "a.b", "parameters": {"k": "v"}});
    let mut made = acme.post(classes, &class).await.expect_code(201).json();
    made["parameters"] = json!({});
    let refused = acme.put(&format!("{classes}/c"), &made).await.expect_code(422).json();
    assert_eq!(refused["details"]["causes"][0]["message"], "Invalid value: {}: field is immutable");
    // One that was empty before is the same as none.
    acme.delete(&format!("{classes}/c")).await.expect_code(200);
    let mut bare = class.clone();
    bare["parameters"] = json!({});
    let mut made = acme.post(classes, &bare).await.expect_code(201).json();
    assert_eq!(made["parameters"], Value::Null);
    made["parameters"] = json!({});
    acme.put(&format!("{classes}/c"), &made).await.expect_code(200);
}
