use super::*;
use serde_json::json;
use std::collections::BTreeMap;

fn workload(spec: Value) -> Workload {
    Workload {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        uid: "u".to_owned(),
        labels: BTreeMap::from([
            (oam::LABEL_APPLICATION.to_owned(), "shop".to_owned()),
            (oam::LABEL_REVISION.to_owned(), "web-v3".to_owned()),
            ("other".to_owned(), "x".to_owned()),
        ]),
        bound: String::new(),
        spec: serde_json::from_value(spec).unwrap(),
    }
}

#[test]
fn a_whole_workload_is_translated() {
    let translation = translate(&workload(json!({"osType": "linux", "arch": "i386", "containers": [{
        "name": "web", "image": "nginx:1", "command": ["nginx"], "args": ["-g"],
        "resources": {"cpu": {"required": "500m"}, "memory": {"required": "64Mi"}, "gpu": {"required": 1},
            "volumes": [{"name": "cache", "mountPath": "/cache", "accessMode": "RO",
                "disk": {"required": "1Gi", "ephemeral": true}}],
            "extended": [{"name": "example.com/widget", "required": 2}]},
        "env": [{"name": "A", "value": "1"}, {"name": "B", "fromSecret": {"name": "s", "key": "k"}}],
        "config": [{"path": "/etc/web/a.conf", "value": "text"}, {"path": "/etc/web/key", "fromSecret": {"name": "s", "key": "k"}}],
        "ports": [{"name": "http", "containerPort": 80}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}],
        "livenessProbe": {"httpGet": {"path": "/", "port": 80, "httpHeaders": [{"name": "h", "value": "v"}]}, "periodSeconds": 5},
        "readinessProbe": {"exec": {"command": ["true"]}},
        "imagePullSecret": "registry"}]})))
    .unwrap();
    let spec = &translation.deployment["spec"];
    assert!(spec["replicas"].is_null());
    assert_eq!(spec["selector"]["matchLabels"], json!({LABEL_WORKLOAD: "web"}));
    let labels = &spec["template"]["metadata"]["labels"];
    assert_eq!(*labels, json!({LABEL_WORKLOAD: "web", oam::LABEL_APPLICATION: "shop"}));
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux", "kubernetes.io/arch": "386"}));
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
    let container = &pod["containers"][0];
    let amounts = json!({"cpu": "500m", "memory": "64Mi", "nvidia.com/gpu": "1", "example.com/widget": "2"});
    assert_eq!(container["resources"], json!({"requests": amounts, "limits": amounts}));
    assert_eq!(
        container["env"][1],
        json!({"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}})
    );
    assert_eq!(container["ports"][1], json!({"name": "dns", "containerPort": 53, "protocol": "UDP"}));
    assert_eq!(
        container["livenessProbe"],
        json!({"httpGet": {"path": "/", "port": 80,
        "httpHeaders": [{"name": "h", "value": "v"}]}, "periodSeconds": 5})
    );

    // Every mount has its volume.
    let declared: Vec<&Value> = pod["volumes"].as_array().unwrap().iter().map(|v| &v["name"]).collect();
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert_eq!(mounts.len(), 3);
    assert!(mounts.iter().all(|m| declared.contains(&&m["name"])), "{mounts:?} {declared:?}");
    assert_eq!((&mounts[0]["mountPath"], &mounts[0]["readOnly"]), (&json!("/cache"), &json!(true)));
    assert_eq!(pod["volumes"][0], json!({"name": mounts[0]["name"], "emptyDir": {"sizeLimit": "1Gi"}}));

    let config = translation.config.unwrap();
    assert_eq!(config["metadata"]["name"], "web-config");
    let key = mounts[1]["subPath"].as_str().unwrap();
    assert_eq!(config["data"], json!({key: "text"}));
    let service = translation.service.unwrap();
    assert_eq!(
        service["spec"],
        json!({"selector": {LABEL_WORKLOAD: "web"}, "ports": [
        {"name": "http", "port": 80, "targetPort": 80, "protocol": "TCP"},
        {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"}]})
    );
    assert_eq!(service["metadata"]["ownerReferences"][0]["controller"], true);
}

#[test]
fn without_ports_there_is_no_service_and_without_files_no_config() {
    let translation =
        translate(&workload(json!({"containers": [{"name": "a", "image": "i", "cmd": ["x"]}]}))).unwrap();
    assert!(translation.service.is_none() && translation.config.is_none());
    assert_eq!(
        translation.deployment["spec"]["template"]["spec"],
        json!({"containers": [{"name": "a", "image": "i", "command": ["x"]}]})
    );
}

#[test]
fn a_shared_volume_is_one_and_an_exclusive_one_is_each_containers_own() {
    let container = |name: &str, policy: &str| {
        json!({"name": name, "image": "i", "resources": {"volumes":
            [{"name": "d", "mountPath": "/d", "sharingPolicy": policy}]}})
    };
    for (policy, expected) in [("Shared", 1), ("Exclusive", 2)] {
        let spec = json!({"containers": [container("a", policy), container("b", policy)]});
        let translation = translate(&workload(spec)).unwrap();
        let volumes = &translation.deployment["spec"]["template"]["spec"]["volumes"];
        assert_eq!(volumes.as_array().unwrap().len(), expected, "{policy}");
    }
}

#[test]
fn pods_start_again_when_bound_values_or_files_change() {
    let with = |bound: &str, content: &str| {
        let mut workload = workload(json!({"containers": [{"name": "a", "image": "i",
            "config": [{"path": "/a", "value": content}]}]}));
        workload.bound = bound.to_owned();
        translate(&workload).unwrap().deployment["spec"]["template"]["metadata"]["annotations"].clone()
    };
    assert_ne!(with("1", "x"), with("2", "x"));
    assert_ne!(with("1", "x"), with("1", "y"));
    assert_eq!(with("1", "x"), with("1", "x"));
}

#[test]
fn what_cannot_be_translated_is_refused_by_field() {
    let container = |extra: Value| {
        let mut container = json!({"name": "a", "image": "i"});
        for (key, value) in extra.as_object().unwrap() {
            container[key] = value.clone();
        }
        json!({"containers": [container]})
    };
    for (spec, field) in [
        (json!({"containers": []}), "spec.containers"),
        (json!({"containers": [{"name": "a"}]}), "spec.containers[0].image"),
        (
            json!({"containers": [{"name": "a", "image": "i"}, {"name": "a", "image": "i"}]}),
            "spec.containers[1].name",
        ),
        (json!({"osType": "plan9", "containers": [{"name": "a", "image": "i"}]}), "spec.osType"),
        (container(json!({"command": ["a"], "cmd": ["b"]})), "spec.containers[0]"),
        (container(json!({"env": [{"name": "A"}]})), "spec.containers[0].env[0]"),
        (
            container(json!({"env": [{"name": "A", "value": "", "fromSecret": {}}]})),
            "spec.containers[0].env[0]",
        ),
        (
            container(json!({"ports": [{"name": "a", "containerPort": 0}]})),
            "spec.containers[0].ports[0].containerPort",
        ),
        (
            container(json!({"ports": [{"name": "a", "containerPort": 1, "protocol": "SCTP"}]})),
            "spec.containers[0].ports[0].protocol",
        ),
        (
            container(
                json!({"ports": [{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]}),
            ),
            "spec.containers[0].ports[1].name",
        ),
        (container(json!({"livenessProbe": {}})), "spec.containers[0].livenessProbe"),
        (container(json!({"resources": {"cpu": {}}})), "spec.containers[0].resources.cpu.required"),
        (
            container(json!({"resources": {"extended": [{"name": "w", "required": 1}]}})),
            "spec.containers[0].resources.extended[0].name",
        ),
        (
            container(
                json!({"resources": {"volumes": [{"name": "d", "mountPath": "/d", "disk": {"required": "1Gi"}}]}}),
            ),
            "spec.containers[0].resources.volumes[0].disk",
        ),
        (
            container(json!({"resources": {"volumes": [{"name": "d", "mountPath": "d"}]}})),
            "spec.containers[0].resources.volumes[0].mountPath",
        ),
        (container(json!({"config": [{"path": "/a/", "value": ""}]})), "spec.containers[0].config[0].path"),
        (container(json!({"config": [{"path": "/a"}]})), "spec.containers[0].config[0]"),
    ] {
        let faults = translate(&workload(spec.clone())).unwrap_err();
        assert!(faults.iter().any(|f| f.starts_with(&format!("{field}:"))), "{spec}: {faults:?}");
    }
}
