//! The story of the README, with the files of the README: from a tenant to a bound database.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tests::{Insula, Kubectl, Postgres, until};

fn story(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/story").join(file)
}

/// The file with the address and the password of the test's PostgreSQL.
fn account_of(postgres: &Postgres) -> String {
    let text = std::fs::read_to_string(story("cloud-account.yaml")).unwrap();
    let mut with = text.clone();
    for (given, ours) in [
        ("host: 127.0.0.1", format!("host: {}", postgres.host())),
        ("port: 5432", format!("port: {}", postgres.port())),
        ("username: postgres", format!("username: {}", tests::postgres::USER)),
        ("password: change-me", format!("password: {}", postgres.password())),
    ] {
        assert_eq!(text.matches(given).count(), 1, "{given} in\n{text}");
        with = with.replace(given, &ours);
    }
    with
}

fn names(list: &Value) -> BTreeSet<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// A list with exactly so many running pods.
fn running_pods(kubectl: &Kubectl, count: usize) -> Value {
    until(&format!("{count} pods run"), || {
        let pods = kubectl.look(&["get", "pods", "--selector=app.oam.dev/name=shop"])?;
        let items = pods["items"].as_array().unwrap();
        let ready = |pod: &&Value| {
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            pod["status"]["phase"] == "Running"
                && conditions
                    .iter()
                    .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        };
        if items.len() == count && items.iter().filter(ready).count() == count {
            return Ok(pods.clone());
        }
        Err(format!("{pods:#}"))
    })
}

/// The part of a URI `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, to compare with the other keys.
fn parts_of(uri: &str) -> [String; 5] {
    let rest = uri.strip_prefix("postgresql://").unwrap_or_else(|| panic!("not a PostgreSQL URI: {uri}"));
    let (user, rest) = rest.split_once(':').unwrap();
    let (password, rest) = rest.split_once('@').unwrap();
    let (address, rest) = rest.split_once('/').unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    let database = rest.split('?').next().unwrap();
    [user, password, host, port, database].map(str::to_owned)
}

fn secret(kubectl: &Kubectl, name: &str, key: &str) -> String {
    let template = format!("--output=go-template={{{{index .data \"{key}\" | base64decode}}}}");
    kubectl.run(&["get", "secret", name, &template])
}

#[test]
fn from_a_tenant_to_a_bound_database() {
    let postgres = Postgres::start();
    let insula = Insula::start();
    let host = insula.host();

    // The platform admin.
    host.apply(&account_of(&postgres));
    host.run(&["wait", "cloudaccount/datacenter", "--for=condition=Ready", "--timeout=60s"]);
    insula.insula(&["tenant", "create", "acme", "-f", story("tenant.yaml").to_str().unwrap(), "--wait"]);
    let acme = insula.tenant_admin("acme");

    // The component comes first: it waits for the Secret of its database.
    let file = |name: &str| format!("--filename={}", story(name).display());
    acme.run(&["apply", &file("component.yaml"), &file("application.yaml")]);
    until("the application says what it waits for", || {
        let application = acme.look(&["get", "applicationconfiguration", "shop"])?;
        let conditions = application["status"]["conditions"].to_string();
        if conditions.contains("orders-conn") { Ok(()) } else { Err(format!("{application:#}")) }
    });
    assert_eq!(names(&acme.json(&["get", "deployments"])).len(), 0);

    acme.run(&["apply", &file("database.yaml")]);
    acme.run(&["wait", "database/orders", "--for=condition=Ready", "--timeout=60s"]);
    until("there is a deployment", || {
        let deployments = acme.look(&["get", "deployments"])?;
        if names(&deployments).contains("web") { Ok(()) } else { Err(deployments.to_string()) }
    });
    acme.run(&["wait", "deployment/web", "--for=condition=Available", "--timeout=60s"]);
    acme.run(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    acme.run(&["wait", "applicationconfiguration/shop", "--for=condition=Ready", "--timeout=60s"]);

    // Pods and nodes as the tenant sees them.
    let pods = running_pods(&acme, 3);
    let nodes = names(&acme.json(&["get", "nodes"]));
    for pod in pods["items"].as_array().unwrap() {
        let node = pod["spec"]["nodeName"].as_str().unwrap();
        assert!(nodes.contains(node), "{node} is not one of {nodes:?}");
        assert!(pod["status"]["podIP"].is_string(), "{pod:#}");
        assert_eq!(pod["spec"]["containers"][0]["image"], "nginx:1.29");
    }

    the_same_pods_are_on_the_super_cluster(&insula, &pods);
    the_database_is_real(&acme, &postgres);
}

fn the_same_pods_are_on_the_super_cluster(insula: &Insula, pods: &Value) {
    let tenant = insula.host().json(&["get", "tenant", "acme"]);
    let uid = tenant["metadata"]["uid"].as_str().unwrap();
    let local = insula.super_cluster();
    let of_tenant = format!("--selector=insula.dev/tenant-uid={uid}");
    let below = local.json(&["get", "pods", "--all-namespaces", &of_tenant]);
    assert_eq!(names(&below), names(pods));
    let mut namespaces = BTreeSet::new();
    for pod in below["items"].as_array().unwrap() {
        let meta = &pod["metadata"];
        let above =
            pods["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == meta["name"]);
        let above = &above.unwrap()["metadata"];
        assert_eq!(meta["labels"]["insula.dev/tenant"], "acme", "{pod:#}");
        assert_eq!(meta["annotations"]["insula.dev/namespace"], "default", "{pod:#}");
        assert_eq!(meta["annotations"]["insula.dev/name"], meta["name"], "{pod:#}");
        assert_eq!(meta["annotations"]["insula.dev/uid"], above["uid"], "{pod:#}");
        assert_eq!(pod["status"]["phase"], "Running", "{pod:#}");
        assert_eq!(pod["spec"]["containers"][0]["image"], "nginx:1.29");
        let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        for (name, key) in [("DATABASE_URL", "uri"), ("PGPASSWORD", "password")] {
            let variable = env.iter().find(|variable| variable["name"] == name);
            let source =
                &variable.unwrap_or_else(|| panic!("no {name}: {pod:#}"))["valueFrom"]["secretKeyRef"];
            assert_eq!((&source["name"], &source["key"]), (&"orders-conn".into(), &key.into()), "{pod:#}");
        }
        namespaces.insert(meta["namespace"].as_str().unwrap().to_owned());
    }
    assert_eq!(namespaces.len(), 1, "{namespaces:?}");
    let namespace = namespaces.first().unwrap();
    assert!(namespace.starts_with("acme-default-"), "{namespace}");
    let shown = local.json(&["get", "namespace", namespace]);
    assert_eq!(shown["metadata"]["labels"]["insula.dev/tenant-uid"], uid, "{shown:#}");
    // What the env refers to is there with the same value.
    let (in_super, in_tenant) = (local.namespace(namespace), insula.tenant_admin("acme"));
    assert_eq!(secret(&in_super, "orders-conn", "uri"), secret(&in_tenant, "orders-conn", "uri"));
}

fn the_database_is_real(acme: &Kubectl, postgres: &Postgres) {
    let key = |key: &str| secret(acme, "orders-conn", key);
    let [user, password, host, port, database] = parts_of(&key("uri"));
    for (name, value) in [
        ("username", &user),
        ("password", &password),
        ("host", &host),
        ("port", &port),
        ("database", &database),
    ] {
        assert_eq!(&key(name), value, "{name}");
    }
    assert_eq!((host.as_str(), port), (postgres.host(), postgres.port().to_string()));
    let sql = "create table orders (id int primary key, item text not null); \
               insert into orders values (1, 'lamp'); select item from orders";
    assert_eq!(postgres.psql(&user, &password, &database, sql), (true, "lamp".to_owned()));
    let status = acme.json(&["get", "database", "orders"])["status"].clone();
    assert_eq!(status["phase"], "Ready");
    assert_eq!(status["endpoint"], format!("127.0.0.1:{}", postgres.port()));
    assert_eq!(status["externalName"], database.as_str());
}

#[test]
fn what_is_taken_out_of_the_application_goes_away() {
    let postgres = Postgres::start();
    let insula = Insula::start();
    insula.host().apply(&account_of(&postgres));
    insula.insula(&["tenant", "create", "acme", "-f", story("tenant.yaml").to_str().unwrap(), "--wait"]);
    let acme = insula.tenant_admin("acme");
    let file = |name: &str| format!("--filename={}", story(name).display());
    acme.run(&["apply", &file("database.yaml"), &file("component.yaml"), &file("application.yaml")]);
    running_pods(&acme, 3);

    // Fewer replicas, another image, no binding: by the operator alone.
    let text = std::fs::read_to_string(story("application.yaml")).unwrap();
    let changed = text.replace("replicaCount: 3", "replicaCount: 2").replace("nginx:1.29", "nginx:1.30");
    let (kept, _) = changed.split_once("        - trait:\n            apiVersion: core.oam.dev/v1alpha2\n            kind: ServiceBinding").unwrap();
    acme.apply(kept);
    until("the change has reached every pod", || {
        let pods = running_pods(&acme, 2);
        let changed = |pod: &Value| {
            let container = &pod["spec"]["containers"][0];
            let env = container["env"].as_array().is_none_or(Vec::is_empty);
            container["image"] == "nginx:1.30" && env
        };
        if pods["items"].as_array().unwrap().iter().all(changed) { Ok(()) } else { Err(format!("{pods:#}")) }
    });
    until("the binding is gone", || {
        let bindings = acme.look(&["get", "servicebindings"])?;
        if names(&bindings).is_empty() { Ok(()) } else { Err(bindings.to_string()) }
    });

    let name = secret(&acme, "orders-conn", "database");
    let there = format!("select count(*) from pg_database where datname = '{name}'");
    assert_eq!(postgres.query("postgres", &there), "1");
    acme.run(&["delete", "applicationconfiguration/shop", "database/orders", "--timeout=60s"]);
    assert_eq!(postgres.query("postgres", &there), "0");
    assert_eq!(
        postgres.query("postgres", &format!("select count(*) from pg_roles where rolname = '{name}'")),
        "0"
    );
    until("nothing of the application is left", || {
        let kinds = "deployments,replicasets,pods,containerizedworkloads,manualscalertraits,secrets";
        let left = acme.look(&["get", kinds])?;
        if names(&left).is_empty() { Ok(()) } else { Err(format!("{:?}", names(&left))) }
    });
    until("nothing of it is left on the super cluster", || {
        let left = insula.super_cluster().look(&["get", "pods", "--all-namespaces"])?;
        if names(&left).is_empty() { Ok(()) } else { Err(format!("{:?}", names(&left))) }
    });
}
