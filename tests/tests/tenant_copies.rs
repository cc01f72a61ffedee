//! One tenant into a file and out of it, while the others go on.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use tests::{Insula, Kubectl, until};

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  names: {kind: Gadget, plural: gadgets}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
";

const APPLICATION: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {color: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: shop}
stringData: {password: correct-horse-battery}
---
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: shop, annotations: {kubernetes.io/service-account.name: default}}
type: kubernetes.io/service-account-token
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: nginx, envFrom: [{secretRef: {name: login}}], volumeMounts: [{name: data, mountPath: /data}]}
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: shop}
spec: {containers: [{name: main, image: nginx}]}
";

const GADGET: &str = "
apiVersion: example.com/v1
kind: Gadget
metadata: {name: one, namespace: shop}
spec: {size: 3}
";

/// What comes back as it was.
const THERE: &[&str] =
    &["namespace/shop", "configmap/settings", "secret/login", "gadget/one", "deployment/web", "pod/alone"];

/// A tenant with an application that runs.
fn live(insula: &Insula) -> Kubectl {
    let acme = insula.tenant("acme");
    acme.apply(DEFINITION);
    acme.run(&["wait", "--for=condition=Established", "crd/gadgets.example.com"]);
    acme.apply(APPLICATION);
    acme.apply(GADGET);
    runs(&acme);
    acme
}

/// Its pods are ready, and behind its Service; its account has a token.
fn runs(tenant: &Kubectl) {
    let shop = tenant.namespace("shop");
    until("pods are ready behind the Service", || {
        let web = shop.look(&["get", "endpointslices", "-l", "kubernetes.io/service-name=web"])?;
        let endpoints = web["items"][0]["endpoints"].as_array().map_or(0, Vec::len);
        let deployment = shop.look(&["get", "deployment", "web"])?;
        let pods = shop.look(&["get", "pods"])?;
        let ready = pods["items"].as_array().unwrap().iter().filter(|pod| {
            pod["status"]["containerStatuses"][0]["ready"] == true
                && pod["metadata"]["deletionTimestamp"].is_null()
        });
        let counts = (endpoints, ready.count(), &deployment["status"]["readyReplicas"]);
        if counts == (2, 3, &json!(2)) { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    until("the account has a token", || {
        let secret = shop.look(&["get", "secret", "token"])?;
        secret["data"]["token"].as_str().map(drop).ok_or_else(|| secret.to_string())
    });
}

/// What is the same wherever it is restored.
fn facts(tenant: &Kubectl) -> Vec<Value> {
    let shop = tenant.namespace("shop");
    let of = |name: &&str| {
        let object = shop.json(&["get", name]);
        let metadata = &object["metadata"];
        json!([metadata["uid"], metadata["creationTimestamp"], metadata["ownerReferences"], object["data"]])
    };
    let sets = shop.json(&["get", "replicasets"]);
    let mut facts: Vec<Value> = THERE.iter().map(of).collect();
    facts.push(json!([
        sets["items"].as_array().unwrap().len(),
        sets["items"][0]["metadata"]["ownerReferences"]
    ]));
    facts
}

fn address(tenant: &Kubectl) -> Value {
    tenant.namespace("shop").json(&["get", "service", "web"])["spec"]["clusterIP"].clone()
}

fn restored(insula: &Insula, tenant: &str) -> Value {
    let tenant = insula.host().json(&["get", "tenant", tenant]);
    let conditions = tenant["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == "Restored").unwrap().clone()
}

#[test]
fn a_tenant_comes_back_under_its_own_and_under_another_name() {
    let insula = Insula::start();
    let acme = live(&insula);
    let neighbour = insula.tenant("globex");
    neighbour.run(&["create", "configmap", "its"]);
    let before = (facts(&acme), address(&acme));
    let file = insula.scratch("acme.backup").display().to_string();
    insula.insula(&["tenant", "backup", "acme", &file]);
    acme.namespace("shop").run(&["delete", "configmap", "settings"]);

    // Beside the former one.
    let taken = insula.try_insula(&["tenant", "restore", &file]);
    assert!(
        String::from_utf8_lossy(&taken.stderr).contains("restore under another name (--as NAME)"),
        "{taken:?}"
    );
    let told = insula.try_insula(&["tenant", "restore", &file, "--as", "again"]);
    let stderr = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.success() && stderr.contains("the Service shop/web has another address"), "{stderr}");
    let again = insula.tenant_admin("again");
    runs(&again);
    assert_eq!(facts(&again), before.0);
    assert_ne!(address(&again), before.1);
    assert_eq!(restored(&insula, "again")["reason"], "Restored");
    acme.namespace("shop").refused(&["get", "configmap", "settings"]);

    // In the place of the former one.
    insula.insula(&["tenant", "delete", "acme", "--wait"]);
    insula.insula(&["tenant", "restore", &file]);
    acme.refused(&["get", "namespaces"]);
    let acme = insula.tenant_admin("acme");
    runs(&acme);
    assert_eq!((facts(&acme), address(&acme)), before);
    // Owners still own: all of it goes with the Deployment.
    let shop = acme.namespace("shop");
    shop.run(&["delete", "deployment", "web", "--cascade=foreground"]);
    let pods = shop.json(&["get", "replicasets,pods"]);
    assert_eq!(pods["items"].as_array().unwrap().len(), 1, "{pods}");

    runs(&again);
    neighbour.run(&["get", "configmap", "its"]);
    let checked: Value = serde_json::from_str(&insula.insula(&["store", "check", "-o", "json"])).unwrap();
    assert_eq!(checked["faults"], json!([]));

    // In another installation, which has the key.
    let mut elsewhere = Insula::start();
    let sealed = elsewhere.try_insula(&["tenant", "restore", &file]);
    let why = String::from_utf8_lossy(&sealed.stderr).into_owned();
    assert!(why.contains("which is not among the sealing keys: put it back"), "{why}");
    let keys = |of: &Insula| std::fs::read_to_string(of.data_dir().join("sealing.keys")).unwrap();
    let both = keys(&elsewhere) + &keys(&insula);
    assert!(elsewhere.interrupt().success());
    std::fs::write(elsewhere.data_dir().join("sealing.keys"), both).unwrap();
    elsewhere.start_again();
    elsewhere.insula(&["tenant", "restore", &file]);
    let there = elsewhere.tenant_admin("acme");
    runs(&there);
    assert_eq!(facts(&there), before.0);
}

#[test]
fn a_restore_that_is_killed_says_so_and_is_done_again() {
    let mut insula = Insula::start();
    live(&insula);
    let host = insula.host();
    // There is no place for it, so that its Service waits for an address.
    let nowhere = r#"{"spec": {"placement": {"superClusterSelector": {"matchLabels": {"place": "later"}}}}}"#;
    host.run(&["patch", "tenant", "acme", "--type=merge", "--patch", nowhere]);
    let file = insula.scratch("acme.backup").display().to_string();
    insula.insula(&["tenant", "backup", "acme", &file]);
    let command = ["tenant", "restore", &file, "--as", "again"];
    std::thread::scope(|scope| {
        let restoring = scope.spawn(|| insula.try_insula(&command));
        until("it has begun", || {
            let tenant = host.look(&["get", "tenant", "again"])?;
            if tenant["status"]["phase"] == "Pending" { Ok(()) } else { Err(tenant.to_string()) }
        });
        insula.signal("-KILL");
        assert!(!restoring.join().unwrap().status.success());
    });
    insula.kill();
    insula.start_again();
    let condition = restored(&insula, "again");
    assert_eq!(condition["reason"], "RestoreCutOff", "{condition}");
    insula.tenant_admin("again").refused(&["get", "namespaces"]);

    host.run(&["label", "supercluster", "local", "place=later"]);
    insula.insula(&command);
    let again = insula.tenant_admin("again");
    runs(&again);
    assert_eq!(restored(&insula, "again")["status"], "True");
}
