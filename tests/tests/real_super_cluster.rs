//! A real Kubernetes as super cluster. None can be fetched or run as part of the other tests, so this one is run by
//! whoever has one at hand, of any version from 1.30 to 1.37:
//!
//! ```sh
//! INSULA_TEST_SUPER_KUBECONFIG=~/.kube/config cargo test -p tests --test real_super_cluster -- --ignored
//! ```
//!
//! It applies `insula supercluster manifest`, which stays; makes a tenant in each test, whose name is new each time, and
//! removes all of it.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use serde_json::Value;
use std::path::PathBuf;
use tests::{Insula, Kubectl, super_account, until};

const VARIABLE: &str = "INSULA_TEST_SUPER_KUBECONFIG";

const ISOLATION: &str = "insula-sync-isolation";

/// The revision of a cluster now. `kubectl get` alone does not tell it.
fn revision(below: &Kubectl) -> String {
    let list: Value = serde_json::from_str(&below.run(&["get", "--raw", "/api/v1/namespaces"])).unwrap();
    list["metadata"]["resourceVersion"].as_str().filter(|r| !r.is_empty()).expect("it has one").to_owned()
}

/// At which revisions objects were made since a revision, as a watch tells it.
fn made_since(below: &Kubectl, path: &str) -> Vec<u64> {
    let said = below.run(&["get", "--raw", &format!("{path}&watch=true&timeoutSeconds=1")]);
    let events = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let made = events
        .filter(|event| event["type"] == "ADDED")
        .map(|event| event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap());
    made.collect()
}

fn items(kubectl: &Kubectl, arguments: &[&str]) -> Vec<Value> {
    kubectl.json(&[&["get"], arguments].concat())["items"].as_array().unwrap().clone()
}

#[test]
#[ignore = "needs a Kubernetes with nodes: set INSULA_TEST_SUPER_KUBECONFIG to its admin kubeconfig"]
fn an_application_lives_on_a_real_cluster_and_leaves_nothing() {
    let file = std::env::var_os(VARIABLE).map(PathBuf::from);
    let file = file.unwrap_or_else(|| panic!("{VARIABLE} names no kubeconfig"));
    let home = tempfile::tempdir().unwrap();
    let below = Kubectl::new(&file, home.path());
    let account = home.path().join("super.yaml");
    super_account::write_kubeconfig(&below, &account);
    let insula = Insula::start_with_super_cluster(&account);
    println!("super cluster: {}", below.json(&["version"])["serverVersion"]["gitVersion"]);
    let before = revision(&below);
    let name = format!("it-{}", std::process::id());
    let tenant = insula.tenant(&name);
    let selector = format!("--selector=insula.dev/tenant={name}");

    tenant.run(&["create", "configmap", "settings", "--from-literal=color=red"]);
    tenant.run(&["create", "deployment", "web", "--image=registry.k8s.io/pause:3.10", "--replicas=2"]);
    tenant.run(&["expose", "deployment", "web", "--port=80"]);
    tenant.run(&["rollout", "status", "deployment/web", "--timeout=120s"]);

    let nodes: Vec<Value> =
        items(&tenant, &["nodes"]).iter().map(|node| node["metadata"]["name"].clone()).collect();
    let pods = items(&tenant, &["pods"]);
    assert_eq!(pods.len(), 2, "{pods:#?}");
    for pod in &pods {
        assert!(nodes.contains(&pod["spec"]["nodeName"]), "{pod:#} is not on one of {nodes:?}");
        assert!(pod["metadata"]["labels"]["insula.dev/simulated"].is_null(), "{pod:#}");
    }
    let synced = |kind: &str| items(&below, &[kind, "--all-namespaces", &selector]);
    assert_eq!(synced("pods").len(), 2);
    let above = tenant.json(&["get", "service", "web"]);
    let services = synced("services");
    let same = services.iter().find(|service| service["metadata"]["name"] == "web").expect("it is synced");
    assert_eq!(same["spec"]["clusterIP"], above["spec"]["clusterIP"]);

    // The namespace was isolated before its first pod, and is again when it is not.
    let namespace = same["metadata"]["namespace"].as_str().unwrap();
    let there = below.namespace(namespace);
    let made = |resource: &str| made_since(&below, &format!("{resource}?resourceVersion={before}"));
    let policies = made(&format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"));
    let made = made(&format!("/api/v1/namespaces/{namespace}/pods"));
    let (isolated, first) = (policies.iter().max().unwrap(), made.iter().min().unwrap());
    assert!(isolated < first, "{policies:?} {made:?}");
    let policy = |name: &str| {
        let there = || there.look(&["get", "networkpolicy", name]);
        until(&format!("the policy {name} is there"), there)["spec"].clone()
    };
    let spec = policy(ISOLATION);
    there.run(&["delete", "networkpolicy", ISOLATION]);
    assert_eq!(policy(ISOLATION), spec);
    let opened = r#"{"spec": {"ingress": [{}], "podSelector": {"matchLabels": {"no": "pod"}}}}"#;
    there.run(&["patch", "networkpolicy", ISOLATION, "--type=merge", "--patch", opened]);
    until("the policy is set back", || match policy(ISOLATION) {
        now if now == spec => Ok(()),
        now => Err(now.to_string()),
    });
    tenant.run(&["patch", "service", "web", "--patch", r#"{"spec": {"type": "NodePort"}}"#]);
    let ports = policy("insula-sync-published-web")["ingress"][0]["ports"].clone();
    assert_eq!(ports, serde_json::json!([{"port": 80, "protocol": "TCP"}]));

    // Drift is repaired, and scaling goes down and comes back up.
    until("the tenant's settings are below", || there.look(&["get", "configmap", "settings"]));
    there.run(&["patch", "configmap", "settings", "--patch", r#"{"data":{"color":"wrong"}}"#]);
    until("the tenant's color is below", || {
        match there.look(&["get", "configmap", "settings"])?["data"]["color"].clone() {
            color if color == "red" => Ok(()),
            color => Err(color.to_string()),
        }
    });
    tenant.run(&["scale", "deployment", "web", "--replicas=1"]);
    until("one pod is left on both sides", || {
        match (items(&tenant, &["pods"]).len(), synced("pods").len()) {
            (1, 1) => Ok(()),
            counts => Err(format!("{counts:?}")),
        }
    });

    // A pod that is lost below is made anew; a namespace takes along what is below it.
    there.run(&["delete", "pods", "--all", "--wait=false"]);
    let lost = &pods.iter().map(|pod| &pod["metadata"]["name"]).collect::<Vec<_>>();
    until("another pod runs", || {
        let now = items(&tenant, &["pods"]);
        let is_new = |pod: &Value| !lost.contains(&&pod["metadata"]["name"]);
        let runs = now.iter().any(|pod| is_new(pod) && pod["status"]["phase"] == "Running");
        if runs { Ok(()) } else { Err(format!("{now:#?}")) }
    });
    // What is changed through a subresource goes down too.
    tenant.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: gated, labels: {app: gated}}
spec:
  readinessGates: [{conditionType: example.com/ok}]
  topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {tier: a}}
    matchLabelKeys: [app]
  affinity:
    podAntiAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
      - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {tier: a}}, mismatchLabelKeys: [app]}
  containers: [{name: c, image: 'registry.k8s.io/pause:3.10'}]
",
    );
    tenant.run(&["wait", "pod/gated", "--for=jsonpath={.status.phase}=Running", "--timeout=60s"]);
    let ok = r#"{"status": {"conditions": [{"type": "example.com/ok", "status": "True"}]}}"#;
    tenant.run(&["patch", "pod", "gated", "--subresource=status", "--patch", ok]);
    // The first asks for more than the Pod Security Standard allows, and does not hold up the second.
    for (profile, container) in [("general", "trace"), ("baseline", "look")] {
        let (profile, container) = (format!("--profile={profile}"), format!("--container={container}"));
        tenant.run(&["debug", "gated", "--image=busybox:1", "--attach=false", &profile, &container]);
    }
    until("the pod below has its gate and its debug container", || {
        let pod = there.look(&["get", "pod", "gated"])?;
        let is_ok =
            pod["status"]["conditions"].as_array().unwrap().iter().any(|c| c["type"] == "example.com/ok");
        let looks = pod["spec"]["ephemeralContainers"][0]["name"] == "look";
        if is_ok && looks { Ok(()) } else { Err(pod.to_string()) }
    });
    tenant.run(&["create", "namespace", "short"]);
    tenant.apply(
        "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: short}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
",
    );
    let claim = until("the claim is below", || match synced("persistentvolumeclaims").as_slice() {
        [claim] => Ok(claim.clone()),
        claims => Err(format!("{claims:?}")),
    });
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
    tenant.run(&["delete", "namespace", "short"]);
    until("one namespace is left below", || match synced("namespaces").len() {
        1 => Ok(()),
        count => Err(count.to_string()),
    });

    // A field that came after 1.30 is there, or the tenant is told that it cannot be.
    tenant.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: renamed}
spec: {hostnameOverride: other, containers: [{name: c, image: 'registry.k8s.io/pause:3.10'}]}
",
    );
    until("the pod has its host name, or the tenant is told why not", || {
        let pod = there.say(&["get", "pod", "renamed", "--output=jsonpath={.spec.hostnameOverride}"]);
        let events = tenant.look(&["get", "events", "--field-selector=involvedObject.name=renamed"])?;
        let is_told = events.to_string().contains("unknown field \\\"spec.hostnameOverride");
        if is_told || pod.stdout == "other" { Ok(()) } else { Err(format!("{pod:?} {events}")) }
    });

    until("the patrol has gone round", || {
        let text = insula.host().run(&["get", "--raw", "/metrics"]);
        let rounds = text.lines().find_map(|line| line.strip_prefix("insula_sync_patrol_seconds_count "));
        rounds.filter(|rounds| *rounds != "0").map(drop).ok_or(text)
    });

    insula.insula(&["tenant", "delete", &name, "--wait"]);
    let kinds = [
        "pods",
        "configmaps",
        "secrets",
        "services",
        "endpointslices",
        "serviceaccounts",
        "persistentvolumeclaims",
        "networkpolicies",
        "namespaces",
    ];
    let left = items(&below, &[&kinds.join(","), "--all-namespaces", &selector]);
    assert_eq!(left.len(), 0, "{left:#?}");
}

const KINDS: &str = "
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
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: front}}}], ports: [{port: 80}]}]
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
apiVersion: v1
kind: Endpoints
metadata: {name: old}
subsets: [{addresses: [{ip: 198.51.100.8}], ports: [{port: 9200}]}]
---
apiVersion: v1
kind: Service
metadata: {name: old}
spec: {ports: [{port: 9200}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {type: ExternalName, externalName: example.com}
---
apiVersion: v1
kind: Service
metadata: {name: balanced}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: important}
value: 500
---
apiVersion: v1
kind: Pod
metadata: {name: full}
spec:
  hostname: db-0
  subdomain: headless
  setHostnameAsFQDN: true
  hostAliases: [{ip: 192.0.2.1, hostnames: [other]}]
  dnsConfig: {searches: [example.com], options: [{name: ndots, value: '2'}, {name: edns0}]}
  priorityClassName: important
  containers: [{name: c, image: 'registry.k8s.io/pause:3.10', resources: {requests: {cpu: 10m}}}]
";

/// Ingresses, budgets, endpoints without pods of ours, all types of Services, names, priorities, resizing, streams.
#[test]
#[ignore = "needs a Kubernetes with nodes: set INSULA_TEST_SUPER_KUBECONFIG to its admin kubeconfig"]
fn every_kind_lives_on_a_real_cluster_and_leaves_nothing() {
    let file = std::env::var_os(VARIABLE).map(PathBuf::from);
    let file = file.unwrap_or_else(|| panic!("{VARIABLE} names no kubeconfig"));
    let home = tempfile::tempdir().unwrap();
    let below = Kubectl::new(&file, home.path());
    let account = home.path().join("super.yaml");
    super_account::write_kubeconfig(&below, &account);
    let listen = format!("--dns-listen=127.0.0.1:{}", tests::tools::free_port());
    let flags = [&listen, "--dns-address=10.96.0.53", "--dns-upstream=192.0.2.53"];
    let insula = Insula::start_with_super_cluster_and(&account, &flags);
    let name = format!("kinds-{}", std::process::id());
    let tenant = insula.tenant(&name);
    let selector = format!("--selector=insula.dev/tenant={name}");
    let down = |kind: &str, name: &str| {
        items(&below, &[kind, "--all-namespaces", &selector])
            .into_iter()
            .find(|o| o["metadata"]["name"] == name)
    };
    let is_down = |kind: &str, name: &str| {
        until(&format!("the {kind} {name} is below"), || {
            down(kind, name).ok_or_else(|| "not there".to_owned())
        })
    };

    tenant.run(&["create", "deployment", "web", "--image=registry.k8s.io/pause:3.10", "--replicas=2"]);
    tenant.run(&["expose", "deployment", "web", "--port=80"]);
    tenant.apply(KINDS);
    tenant.run(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    for (kind, name) in [
        ("ingresses", "web"),
        ("poddisruptionbudgets", "web"),
        ("networkpolicies", "web"),
        ("endpointslices", "search-1"),
        ("services", "old"),
        ("services", "outside"),
        ("services", "balanced"),
    ] {
        is_down(kind, name);
    }
    let same = |field: &str, service: &str| {
        let (there, above) = (is_down("services", service), tenant.json(&["get", "service", service]));
        assert_eq!(there["spec"][field], above["spec"][field], "{service}");
    };
    for service in ["web", "headless", "old", "balanced"] {
        same("clusterIP", service);
        same("ipFamilies", service);
    }
    until("the node port is the same", || {
        let (there, above) =
            (down("services", "balanced").unwrap(), tenant.json(&["get", "service", "balanced"]));
        let port = |service: &Value| service["spec"]["ports"][0]["nodePort"].clone();
        let same = port(&there) == port(&above) && port(&there).is_u64();
        if same { Ok(()) } else { Err(format!("{there:#} {above:#}")) }
    });
    until("the old endpoints are below as a slice", || {
        let slices = items(&below, &["endpointslices", "--all-namespaces", &selector]);
        let found = slices.iter().any(|slice| slice["endpoints"][0]["addresses"][0] == "198.51.100.8");
        if found { Ok(()) } else { Err(format!("{slices:#?}")) }
    });
    let space = is_down("ingresses", "web")["metadata"]["namespace"].as_str().unwrap().to_owned();
    let there = below.namespace(&space);
    until("the cluster's own controller knows the budget's pods", || {
        let budget = there.look(&["get", "poddisruptionbudget", "web"])?;
        if budget["status"]["currentHealthy"] == 2 { Ok(()) } else { Err(budget.to_string()) }
    });
    let status = r#"{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.8"}]}}}"#;
    for (kind, name) in [("ingress", "web"), ("service", "balanced")] {
        there.run(&["patch", kind, name, "--subresource=status", "--type=merge", "--patch", status]);
        until("the tenant sees the address", || {
            let above = tenant.json(&["get", kind, name]);
            let is_told = above["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.8";
            if is_told { Ok(()) } else { Err(above.to_string()) }
        });
    }

    // Names, or why an older cluster cannot give them.
    let full = until("the pod is there, or the tenant is told why not", || {
        let events = tenant.look(&["get", "events", "--field-selector=involvedObject.name=full"])?;
        match there.look(&["get", "pod", "full"]) {
            Ok(pod) => Ok(Some(pod)),
            Err(_) if events.to_string().contains("unknown field \\\"spec.hostnameOverride") => Ok(None),
            Err(error) => Err(format!("{error} {events}")),
        }
    });
    if let Some(pod) = full {
        let spec = &pod["spec"];
        assert_eq!(spec["hostnameOverride"], "db-0.headless.default.svc.cluster.local");
        assert_eq!(spec["dnsPolicy"], "None");
        assert_eq!(
            spec["dnsConfig"]["searches"],
            serde_json::json!([
                "default.svc.cluster.local",
                "svc.cluster.local",
                "cluster.local",
                "example.com"
            ])
        );
        assert_eq!((&spec["priority"], &spec["hostAliases"][0]["ip"]), (&500.into(), &"192.0.2.1".into()));
        tenant.run(&["wait", "pod/full", "--for=jsonpath={.status.phase}=Running", "--timeout=60s"]);
        // A kubelet that can resize says what its containers have; Kubernetes refuses it elsewhere.
        let running = tenant.json(&["get", "pod", "full"]);
        if running["status"]["containerStatuses"][0]["resources"].is_object() {
            let more =
                r#"{"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "20m"}}}]}}"#;
            tenant.run(&["patch", "pod", "full", "--subresource=resize", "--patch", more]);
            until("the pod below is resized", || {
                let pod = there.look(&["get", "pod", "full"])?;
                let cpu = &pod["spec"]["containers"][0]["resources"]["requests"]["cpu"];
                if cpu == "20m" { Ok(()) } else { Err(pod.to_string()) }
            });
        }
        // Whether anybody answers depends on the kubelet; that we may ask does not.
        for arguments in [&["logs", "full"][..], &["exec", "full", "--", "true"]] {
            let said = tenant.say(arguments);
            assert!(!said.stderr.contains("does not let the platform"), "{said:?}");
        }
    }

    tenant.run(&[
        "delete",
        "ingress/web",
        "poddisruptionbudget/web",
        "endpointslice/search-1",
        "service/balanced",
    ]);
    until("what the tenant deleted is gone below", || {
        let left = [
            down("ingresses", "web"),
            down("poddisruptionbudgets", "web"),
            down("endpointslices", "search-1"),
            down("services", "balanced"),
        ];
        if left.iter().all(Option::is_none) { Ok(()) } else { Err(format!("{left:#?}")) }
    });
    insula.insula(&["tenant", "delete", &name, "--wait"]);
    let kinds = "pods,configmaps,secrets,services,endpointslices,serviceaccounts,persistentvolumeclaims,networkpolicies,\
                 ingresses,poddisruptionbudgets,namespaces";
    let left = items(&below, &[kinds, "--all-namespaces", &selector]);
    assert_eq!(left.len(), 0, "{left:#?}");
}
