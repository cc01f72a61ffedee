//! A deleted tenant leaves nothing behind.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use api_types::TenantId;
use object_store::{EmbeddedOptions, EmbeddedStore, ObjectStore, Range, Space};
use serde_json::Value;
use tests::{Insula, Kubectl, Postgres, until};

/// Something of every kind that is synced, and of kinds that are not.
const CONTENT: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop, finalizers: [example.com/never]}
data: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: shop}
stringData: {a: b}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: shop}
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
      serviceAccountName: robot
      containers:
      - {name: web, image: 'nginx:1', envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: key}}]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
";

/// Everything on the super cluster with the label of a tenant, as `Kind namespace/name`.
fn on_super_cluster(local: &Kubectl, uid: &str) -> Vec<String> {
    let kinds = local.run(&["api-resources", "--verbs=list", "--output=name"]);
    let kinds: Vec<&str> = kinds.lines().collect();
    let selector = format!("--selector=insula.dev/tenant-uid={uid}");
    let list = local.json(&["get", &kinds.join(","), "--all-namespaces", &selector]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let describe = |item: &Value| {
        format!(
            "{} {}/{}",
            text(&item["kind"]),
            text(&item["metadata"]["namespace"]),
            text(&item["metadata"]["name"])
        )
    };
    list["items"].as_array().unwrap().iter().map(describe).collect()
}

fn keys(store: &EmbeddedStore, uid: &str) -> Vec<String> {
    let tenant = TenantId::parse(uid).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let range = Range { space: Some(Space::new(tenant)), ..Range::default() };
    let page = runtime.block_on(store.range(range)).unwrap();
    page.items.into_iter().map(|item| item.key).collect()
}

fn uid(insula: &Insula, tenant: &str) -> String {
    insula.host().json(&["get", "tenant", tenant])["metadata"]["uid"].as_str().unwrap().to_owned()
}

#[test]
fn a_deleted_tenant_leaves_nothing() {
    let mut insula = Insula::start();
    let (host, local) = (insula.host(), insula.super_cluster());
    let acme = insula.tenant("acme");
    let other = insula.tenant("other");
    let (old, others) = (uid(&insula, "acme"), uid(&insula, "other"));
    for kubectl in [&acme, &other] {
        kubectl.apply(CONTENT);
        kubectl.namespace("shop").run(&[
            "wait",
            "deployment/web",
            "--for=condition=Available",
            "--timeout=60s",
        ]);
    }
    for kind in ["Namespace", "Pod", "ConfigMap", "Secret", "Service", "ServiceAccount"] {
        until(&format!("a {kind} of the tenant is on the super cluster"), || {
            let there = on_super_cluster(&local, &old);
            if there.iter().any(|object| object.starts_with(&format!("{kind} "))) {
                Ok(())
            } else {
                Err(format!("{there:#?}"))
            }
        });
    }
    let kubeconfig = host.namespace("insula-system").json(&["get", "secret", "acme-kubeconfig"]);
    assert!(kubeconfig["data"]["value"].is_string());
    let before = on_super_cluster(&local, &others);

    // The finalizer that nobody removes does not keep it.
    insula.insula(&["tenant", "delete", "acme", "--wait"]);
    assert_eq!(on_super_cluster(&local, &old), Vec::<String>::new());
    let said = host.refused(&["get", "tenant", "acme"]);
    assert!(said.contains("(NotFound)") && said.contains("\"acme\" not found"), "{said}");
    let said = host.namespace("insula-system").refused(&["get", "secret", "acme-kubeconfig"]);
    assert!(said.contains("secrets \"acme-kubeconfig\" not found"), "{said}");
    assert_unauthorized(&acme);
    assert_eq!(on_super_cluster(&local, &others), before);

    // A new one of the same name starts with nothing, and the old credentials stay refused.
    let old_file = insula.scratch("old.yaml");
    std::fs::rename(insula.scratch("acme.yaml"), &old_file).unwrap();
    let again = insula.tenant("acme");
    let new = uid(&insula, "acme");
    assert_ne!(new, old);
    assert_unauthorized(&Kubectl::new(&old_file, &insula.scratch("")));
    let said = again.refused(&["get", "namespace", "shop"]);
    assert!(said.contains("namespaces \"shop\" not found"), "{said}");
    let crds = again.json(&["get", "customresourcedefinitions"]);
    assert_eq!(crds["items"].as_array().unwrap().len(), 0, "{crds:#}");
    let left = again.json(&["get", "deployments,pods,services", "--all-namespaces"]);
    let names: Vec<&Value> =
        left["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["kubernetes"], "{left:#}");

    assert!(insula.interrupt().success());
    let store = EmbeddedStore::open(&insula.data_dir(), EmbeddedOptions::default()).unwrap();
    assert_eq!(keys(&store, &old), Vec::<String>::new());
    assert!(!keys(&store, &new).is_empty() && !keys(&store, &others).is_empty());
}

#[track_caller]
fn assert_unauthorized(kubectl: &Kubectl) {
    let said = kubectl.refused(&["get", "namespaces"]);
    assert!(said.contains("Unauthorized") || said.contains("You must be logged in"), "{said}");
}

#[test]
fn a_deleted_tenant_takes_its_databases_along() {
    let postgres = Postgres::start();
    let insula = Insula::start();
    let host = insula.host();
    host.apply(&format!(
        "
apiVersion: v1
kind: Secret
metadata: {{name: datacenter, namespace: insula-system}}
stringData: {{username: {}, password: {}}}
---
apiVersion: cloud.insula.dev/v1alpha1
kind: CloudAccount
metadata: {{name: datacenter}}
spec:
  provider: selfHosted
  selfHosted: {{postgresql: {{host: {}, port: {}}}}}
  credentialsSecret: {{namespace: insula-system, name: datacenter}}
---
apiVersion: tenancy.insula.dev/v1alpha1
kind: Tenant
metadata: {{name: acme}}
spec: {{cloud: {{accounts: [datacenter]}}}}
",
        tests::postgres::USER,
        postgres.password(),
        postgres.host(),
        postgres.port()
    ));
    host.run(&["wait", "tenant/acme", "--for=condition=Ready", "--timeout=60s"]);
    let acme = insula.tenant_admin("acme");
    let database = |name: &str, policy: &str| {
        format!(
            "apiVersion: cloud.insula.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}}}\n\
             spec: {{engine: postgresql, deletionPolicy: {policy}}}\n---\n"
        )
    };
    acme.apply(&(database("dropped", "Delete") + &database("kept", "Retain")));
    acme.run(&["wait", "database/dropped", "database/kept", "--for=condition=Ready", "--timeout=60s"]);
    let name =
        |database: &str| acme.run(&["get", "database", database, "--output=jsonpath={.status.externalName}"]);
    let (dropped, kept) = (name("dropped"), name("kept"));
    let there = |name: &str| {
        postgres.query("postgres", &format!("select count(*) from pg_database where datname = '{name}'"))
    };
    assert_eq!((there(&dropped), there(&kept)), ("1".to_owned(), "1".to_owned()));
    insula.insula(&["tenant", "delete", "acme", "--wait"]);
    assert_eq!((there(&dropped), there(&kept)), ("0".to_owned(), "1".to_owned()));
}

#[test]
fn a_protected_tenant_is_not_deleted() {
    let insula = Insula::start();
    let (host, acme) = (insula.host(), insula.tenant("acme"));
    host.run(&[
        "patch",
        "tenant",
        "acme",
        "--type=merge",
        "--patch",
        r#"{"spec":{"deletionProtection":true}}"#,
    ]);
    let said = host.refused(&["delete", "tenant", "acme"]);
    assert!(said.contains("deletionProtection"), "{said}");
    acme.run(&["get", "namespaces"]);
    host.run(&[
        "patch",
        "tenant",
        "acme",
        "--type=merge",
        "--patch",
        r#"{"spec":{"deletionProtection":false}}"#,
    ]);
    host.run(&["delete", "tenant", "acme", "--timeout=60s"]);
}
