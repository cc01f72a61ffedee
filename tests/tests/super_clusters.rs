//! What tenants' objects become on a super cluster, embedded or not.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::path::PathBuf;
use tests::{Insula, Kubectl, super_account, until};

/// A kubeconfig for the embedded super cluster of another server, as for any cluster.
fn kubeconfig_of_super_cluster(insula: &Insula) -> PathBuf {
    let file = insula.scratch("super.yaml");
    super_account::write_kubeconfig(&insula.super_cluster(), &file);
    file
}

fn items(kubectl: &Kubectl, arguments: &[&str]) -> Vec<Value> {
    kubectl.json(&[&["get"], arguments].concat())["items"].as_array().unwrap().clone()
}

fn deploy(kubectl: &Kubectl, name: &str) {
    kubectl.run(&["create", "deployment", name, "--image=nginx:1", "--replicas=2"]);
}

fn available(kubectl: &Kubectl, name: &str) {
    kubectl.run(&["wait", &format!("deployment/{name}"), "--for=condition=Available", "--timeout=60s"]);
}

/// The other server's embedded super cluster stands for any cluster: all there is to it is its kubeconfig.
#[test]
fn a_cluster_of_ones_own_is_reached_by_its_kubeconfig() {
    let mut below = Insula::start();
    let mut insula = Insula::start_with_super_cluster(&kubeconfig_of_super_cluster(&below));
    let acme = insula.tenant("acme");
    assert_eq!(insula.host().json(&["get", "tenant", "acme"])["status"]["superCluster"], "super-local");
    deploy(&acme, "web");
    available(&acme, "web");
    let nodes: Vec<Value> =
        items(&acme, &["nodes"]).iter().map(|node| node["metadata"]["name"].clone()).collect();
    for pod in items(&acme, &["pods"]) {
        assert!(nodes.contains(&pod["spec"]["nodeName"]), "{pod:#} is not on one of {nodes:?}");
    }
    let selector = "--selector=insula.dev/tenant=acme";
    let synced = items(&below.super_cluster(), &["pods", "--all-namespaces", selector]);
    assert_eq!(synced.len(), 2, "{synced:#?}");
    // It belongs to the other installation alone.
    assert_eq!(items(&below.host(), &["tenants"]).len(), 0);

    // The patrol looks at all of it with the rights that it has, and finds nothing wrong.
    let metric = |insula: &Insula, name: &str| -> f64 {
        let text = insula.host().run(&["get", "--raw", "/metrics"]);
        let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    let patrolled = |insula: &Insula| {
        until("a patrol looks at the pods", || {
            let objects = metric(insula, "insula_sync_patrol_objects");
            if objects >= 4.0 { Ok(()) } else { Err(format!("it looked at {objects}")) }
        });
        assert_eq!(metric(insula, "insula_sync_drift_found_total"), 0.0);
    };
    patrolled(&insula);
    assert!(metric(&insula, "insula_sync_lag_seconds_count") > 0.0);

    // What is listed anew is what was watched before: nothing is written for it on either side.
    let worked_off = |insula: &Insula| {
        until("all that was heard is worked off", || {
            let waits = metric(insula, "insula_sync_queue_length") + metric(insula, "insula_sync_failing");
            if waits == 0.0 { Ok(()) } else { Err(format!("{waits} wait")) }
        });
    };
    let versions = || -> Vec<Value> {
        let of = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let there = items(&below.super_cluster(), &["pods", "--all-namespaces", selector]);
        items(&acme, &["pods"]).iter().chain(&there).map(of).collect()
    };
    worked_off(&insula);
    let before = versions();
    insula.kill();
    insula.start_again();
    patrolled(&insula);
    worked_off(&insula);
    assert_eq!(versions(), before);

    // While the super cluster is away, the tenant's API answers; what was asked for is done afterwards.
    below.kill();
    deploy(&acme, "later");
    below.start_again();
    available(&acme, "later");

    insula.insula(&["tenant", "delete", "acme", "--wait"]);
    let kinds = "pods,configmaps,secrets,services,serviceaccounts,namespaces";
    let left = items(&below.super_cluster(), &[kinds, "--all-namespaces", selector]);
    assert_eq!(left.len(), 0, "{left:#?}");
}

#[test]
fn a_tenant_is_born_on_its_super_cluster() {
    let insula = Insula::start();
    let host = insula.host();
    host.run(&["wait", "supercluster/local", "--for=condition=Ready", "--timeout=60s"]);
    let tenant = "{apiVersion: tenancy.insula.dev/v1alpha1, kind: Tenant, metadata: {name: acme}}";
    let shown = "-o=jsonpath={.status.superCluster}, {.status.conditions[*].type}";
    let made = |more: &[&str]| host.run_with_input(&[&["create", "-f", "-", shown], more].concat(), tenant);
    assert_eq!(made(&["--dry-run=server"]), ", ");
    assert_eq!(made(&[]), "local, Ready Synced", "what the first answer says");
}

#[test]
fn what_the_platform_says_of_runtime_and_storage_is_enforced() {
    let insula = Insula::start();
    insula.host().apply(
        "
apiVersion: tenancy.insula.dev/v1alpha1
kind: Tenant
metadata: {name: acme}
spec:
  runtime: {className: kata, enforce: true}
  storage: {classes: [{tenant: standard, super: cloud-ssd, default: true}]}
",
    );
    insula.host().run(&["wait", "tenant/acme", "--for=condition=Ready", "--timeout=60s"]);
    let (acme, local) = (insula.tenant_admin("acme"), insula.super_cluster());
    let class = |name: &str| {
        format!(
            "{{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {{name: {name}}}, handler: {name}}}"
        )
    };
    acme.apply(&class("gvisor"));
    local.apply(&class("kata"));
    acme.apply(
        "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec: {containers: [{name: web, image: 'nginx:1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: other}
spec: {runtimeClassName: gvisor, containers: [{name: web, image: 'nginx:1'}]}
",
    );
    let on_super = |kind: &str, name: &str| {
        until(&format!("the {kind} {name} is on the super cluster"), || {
            let list = local.look(&["get", kind, "--all-namespaces", "--selector=insula.dev/tenant=acme"])?;
            let found =
                list["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == name);
            found.cloned().ok_or_else(|| list.to_string())
        })
    };
    assert_eq!(on_super("pods", "plain")["spec"]["runtimeClassName"], "kata");
    assert_eq!(on_super("persistentvolumeclaims", "data")["spec"]["storageClassName"], "cloud-ssd");
    until("the tenant is told why the other pod does not run", || {
        let events = acme.look(&["get", "events", "--field-selector=involvedObject.name=other"])?;
        let text = events.to_string();
        if text.contains("gvisor") && text.contains("kata") { Ok(()) } else { Err(text) }
    });
    let there = items(&local, &["pods", "--all-namespaces", "--field-selector=metadata.name=other"]);
    assert_eq!(there.len(), 0, "{there:#?}");
    // The tenant's own objects are as the tenant wrote them.
    let plain = acme.json(&["get", "pod", "plain"]);
    assert!(plain["spec"]["runtimeClassName"].is_null(), "{plain:#}");
}

#[test]
fn what_pods_refer_to_comes_along_and_changes_with_it() {
    let insula = Insula::start();
    let (acme, local) = (insula.tenant("acme"), insula.super_cluster());
    acme.apply(
        "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: red}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: 'nginx:1', envFrom: [{configMapRef: {name: settings}}]}]}
",
    );
    acme.run(&["wait", "pod/web", "--for=condition=Ready", "--timeout=60s"]);
    let color = || {
        let list = local.look(&[
            "get",
            "configmaps",
            "--all-namespaces",
            "--field-selector=metadata.name=settings",
        ])?;
        list["items"][0]["data"]["color"].as_str().map(str::to_owned).ok_or_else(|| list.to_string())
    };
    let becomes = |expected: &str| {
        until(&format!("the color below is {expected}"), || match color()? {
            seen if seen == expected => Ok(()),
            seen => Err(seen),
        });
    };
    becomes("red");
    acme.run(&["patch", "configmap", "settings", "--patch", r#"{"data":{"color":"blue"}}"#]);
    becomes("blue");
    // Drift below is repaired: the tenant's object is the truth.
    let list =
        local.json(&["get", "configmaps", "--all-namespaces", "--field-selector=metadata.name=settings"]);
    let namespace = list["items"][0]["metadata"]["namespace"].as_str().unwrap();
    let there = local.namespace(namespace);
    there.run(&["patch", "configmap", "settings", "--patch", r#"{"data":{"color":"wrong"}}"#]);
    becomes("blue");
    there.run(&["delete", "configmap", "settings"]);
    becomes("blue");
    // A pod that is killed below ends above.
    there.run(&["delete", "pod", "web"]);
    until("the tenant sees that its pod ended", || {
        let said = acme.say(&["get", "pod", "web", "--output=json"]);
        let pod: Value = serde_json::from_str(&said.stdout).unwrap_or_default();
        let gone = said.stderr.contains("(NotFound)");
        if gone || pod["status"]["phase"] != "Running" { Ok(()) } else { Err(said.stdout) }
    });
}

#[test]
fn a_suspended_tenant_waits() {
    let insula = Insula::start();
    let (host, acme, local) = (insula.host(), insula.tenant("acme"), insula.super_cluster());
    deploy(&acme, "web");
    available(&acme, "web");
    let suspended = |value: bool| {
        let patch = format!("{{\"spec\":{{\"suspended\":{value}}}}}");
        host.run(&["patch", "tenant", "acme", "--type=merge", "--patch", &patch]);
    };
    let pods = |count: usize| {
        until(&format!("{count} pods are on the super cluster"), || {
            let pods = local.look(&["get", "pods", "--all-namespaces"])?;
            if pods["items"].as_array().unwrap().len() == count { Ok(()) } else { Err(pods.to_string()) }
        });
    };
    pods(2);
    suspended(true);
    until("the API refuses", || match acme.say(&["get", "namespaces"]) {
        said if said.stderr.contains("suspended") => Ok(()),
        said => Err(format!("{said:?}")),
    });
    pods(0);
    suspended(false);
    pods(2);
    available(&acme, "web");
}

fn so(is_so: bool) -> Result<(), String> {
    if is_so { Ok(()) } else { Err("not yet".to_owned()) }
}

/// With the rights of `insula supercluster manifest`, over TLS.
#[test]
fn ingresses_budgets_and_endpoints_work_on_a_cluster_of_ones_own() {
    let below = Insula::start();
    let insula = Insula::start_with_super_cluster(&kubeconfig_of_super_cluster(&below));
    let (acme, local) = (insula.tenant("acme"), below.super_cluster());
    acme.apply(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - host: web.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: Service
metadata: {name: search}
spec: {ports: [{port: 9200}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: search-1, labels: {kubernetes.io/service-name: search}}
addressType: IPv4
endpoints: [{addresses: [198.51.100.7]}]
ports: [{port: 9200}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: search-2, labels: {kubernetes.io/service-name: search}}
addressType: IPv4
endpoints: [{addresses: [10.96.0.1]}]
ports: [{port: 9200}]
",
    );
    deploy(&acme, "web");
    acme.run(&["expose", "deployment/web", "--port=80"]);
    available(&acme, "web");

    let selector = "--selector=insula.dev/tenant=acme";
    let down = |kind: &str, name: &str| {
        items(&local, &[kind, "--all-namespaces", selector])
            .into_iter()
            .find(|object| object["metadata"]["name"] == name)
    };
    until("all of it is below", || {
        so(down("ingresses", "web").is_some()
            && down("poddisruptionbudgets", "web").is_some()
            && down("endpointslices", "search-1").is_some())
    });
    let budget = down("poddisruptionbudgets", "web").unwrap();
    let space = budget["metadata"]["namespace"].as_str().unwrap().to_owned();
    let of_space = local.namespace(&space);
    until("the budget knows the pods below", || {
        so(of_space.json(&["get", "poddisruptionbudget", "web"])["status"]["currentHealthy"] == 2)
    });
    until("the address that is not the tenant's is refused", || {
        so(acme.run(&["get", "events", "--output=jsonpath={.items[*].reason}"]).contains("AddressForbidden"))
    });
    assert!(down("endpointslices", "search-2").is_none());

    // As an Ingress controller says where it answers.
    let status = r#"{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.8"}]}}}"#;
    of_space.run(&["patch", "ingress", "web", "--subresource=status", "--type=merge", "--patch", status]);
    until("the tenant sees the address", || {
        so(acme.run(&["get", "ingress", "web", "--no-headers"]).contains("192.0.2.8"))
    });
    acme.run(&["delete", "ingress/web", "poddisruptionbudget/web", "endpointslice/search-1"]);
    until("all of it is gone below", || {
        so(down("ingresses", "web").is_none()
            && down("poddisruptionbudgets", "web").is_none()
            && down("endpointslices", "search-1").is_none())
    });
}

#[test]
fn classes_and_volumes_of_a_cluster_of_ones_own_are_seen_by_the_tenants_names() {
    let below = Insula::start();
    let insula = Insula::start_with_super_cluster(&kubeconfig_of_super_cluster(&below));
    below.super_cluster().apply(
        "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: kata}, handler: kata-qemu, \
         overhead: {podFixed: {memory: 64Mi}}}",
    );
    below.super_cluster().apply(
        "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: tenants-high}, value: 700}",
    );
    below.super_cluster().apply(
        "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx}, spec: {controller: example.com/c}}",
    );
    insula.host().apply(
        "
apiVersion: tenancy.insula.dev/v1alpha1
kind: Tenant
metadata: {name: acme}
spec:
  runtime: {className: kata}
  storage: {classes: [{tenant: fast, super: standard, default: true}]}
  network: {ingressClasses: [{tenant: outer, super: nginx, default: true}]}
  scheduling: {priorityClasses: [{tenant: high, super: tenants-high}]}
",
    );
    insula.host().run(&["wait", "tenant/acme", "--for=condition=Ready", "--timeout=60s"]);
    let acme = insula.tenant_admin("acme");
    let class = until("the class is there", || acme.look(&["get", "storageclass", "fast"]));
    assert_eq!(class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"], "true");
    let runtime = until("the sandbox is there", || acme.look(&["get", "runtimeclass", "kata"]));
    assert_eq!(
        (&runtime["handler"], &runtime["overhead"]["podFixed"]["memory"]),
        (&"kata".into(), &"64Mi".into())
    );

    until("the priority is there", || acme.look(&["get", "priorityclass", "high"]));
    until("the class of Ingresses is there", || acme.look(&["get", "ingressclass", "outer"]));

    acme.apply(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  runtimeClassName: kata
  priorityClassName: high
  containers: [{name: c, image: nginx:1, volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
",
    );
    acme.run(&["wait", "pod/web", "--for=condition=Ready", "--timeout=60s"]);
    let pod = acme.json(&["get", "pod", "web"]);
    assert_eq!((&pod["spec"]["overhead"]["memory"], &pod["spec"]["priority"]), (&"64Mi".into(), &700.into()));
    assert_eq!(acme.json(&["get", "ingress", "web"])["spec"]["ingressClassName"], "outer");
    let there = |plural: &str| {
        below.super_cluster().json(&["get", plural, "--all-namespaces"])["items"][0]["spec"].clone()
    };
    assert_eq!(there("pods")["priorityClassName"], "tenants-high");
    until("the Ingress is there", || match there("ingresses")["ingressClassName"] == "nginx" {
        true => Ok(()),
        false => Err("not yet".to_owned()),
    });
    acme.run(&["wait", "pvc/data", "--for=jsonpath={.status.phase}=Bound", "--timeout=60s"]);
    let claim = acme.json(&["get", "pvc", "data"]);
    assert_eq!(claim["spec"]["storageClassName"], "fast");
    let name = format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap());
    let table = acme.run(&["get", "pvc", "data"]);
    assert!(table.contains(&name), "{table}");
    let volume = acme.json(&["get", "pv", &name]);
    assert_eq!(volume["status"]["phase"], "Bound");
    assert_eq!(
        (&volume["spec"]["claimRef"]["namespace"], &volume["spec"]["claimRef"]["name"]),
        (&"default".into(), &"data".into())
    );
    for object in [&volume, &claim, &class] {
        assert!(!object.to_string().contains("acme-default-"), "{object:#}");
    }
    acme.run(&["delete", "pod/web", "pvc/data", "--timeout=60s"]);
    until("the volume is gone", || match acme.say(&["get", "pv", &name]) {
        said if said.stderr.contains("(NotFound)") => Ok(()),
        said => Err(format!("{said:?}")),
    });
}
