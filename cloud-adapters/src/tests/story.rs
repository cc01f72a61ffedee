//! The controllers, from account to bound Secret and back.

use super::postgres::{ADMIN, ADMIN_PASSWORD, Postgres};
use crate::connection::secret_text;
use crate::tenants::FINALIZER;
use crate::{Options, run};
use api_types::cloud::{
    CLOUD_ACCOUNTS, CREATE_PENDING, CREATE_SUCCEEDED, DATABASE_FINALIZER, DATABASES, EXTERNAL_NAME,
};
use api_types::labels::AUTHOR;
use api_types::{ApiError, GroupResource, TenantId, tenancy};
use base64::Engine;
use plane_client::fake::FakePlanes;
use plane_client::{Actor, Delete, PlaneClient, Target, Write};
use serde_json::{Value, json};
use service_runtime::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

const NS: &str = "shop";

/// Planes with the adapters over them, and a server. Tenants' names are new in each test, for the server is shared.
struct World {
    planes: FakePlanes,
    server: Arc<Postgres>,
    shutdown: Shutdown,
    suffix: u64,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl World {
    /// Planes with an account, before the adapters run.
    fn prepare() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let suffix = NEXT.fetch_add(1, Ordering::Relaxed);
        let world =
            World { planes: FakePlanes::new(), server: Postgres::start(), shutdown: Shutdown::new(), suffix };
        world.account(world.server.port(), ADMIN_PASSWORD);
        world
    }

    fn start() -> Self {
        let world = Self::prepare();
        world.run();
        world
    }

    fn run(&self) {
        tokio::spawn(run(self.planes.client(), Options::default(), self.shutdown.clone()));
    }

    fn account(&self, port: u16, password: &str) {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        self.put(
            TenantId::HOST,
            json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"namespace": "insula-system", "name": "datacenter"},
            "data": {"username": encode(ADMIN), "password": encode(password)}}),
        );
        self.put(
            TenantId::HOST,
            json!({"apiVersion": "cloud.insula.dev/v1alpha1", "kind": "CloudAccount",
            "metadata": {"name": "datacenter"}, "spec": {"provider": "selfHosted",
                "selfHosted": {"postgresql": {"host": "127.0.0.1", "port": port, "sslMode": "prefer"}},
                "credentialsSecret": {"namespace": "insula-system", "name": "datacenter"}}}),
        );
    }

    /// Puts an object in place of the one of the name, as the same object.
    fn put(&self, plane: TenantId, mut object: Value) {
        let group = object["apiVersion"].as_str().unwrap().split_once('/').map_or("", |(group, _)| group);
        let resource =
            GroupResource::new(group, format!("{}s", object["kind"].as_str().unwrap().to_lowercase()));
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("").to_owned();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if let Some(old) = self.planes.find(plane, &resource, &namespace, &name) {
            object["metadata"]["uid"] = old["metadata"]["uid"].clone();
        }
        self.planes.put(plane, object);
    }

    fn tenant(&self, name: &str, accounts: &[&str]) -> Tenant<'_> {
        let name = format!("{name}{}", self.suffix);
        let uid = Uuid::new_v4();
        self.put(
            TenantId::HOST,
            json!({"apiVersion": tenancy::API_VERSION, "kind": "Tenant",
            "metadata": {"name": name, "uid": uid.to_string()}, "spec": {"cloud": {"accounts": accounts}}}),
        );
        Tenant { world: self, id: TenantId::new(uid), name }
    }
}

struct Tenant<'a> {
    world: &'a World,
    id: TenantId,
    name: String,
}

impl Tenant<'_> {
    fn database(&self, name: &str, spec: Value) {
        let mut whole = json!({"engine": "postgresql", "connectionSecret": {"name": format!("{name}-conn")}});
        for (key, value) in spec.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let author = json!({"user": "ann", "groups": ["dev"]}).to_string();
        self.world.put(
            self.id,
            json!({"apiVersion": "cloud.insula.dev/v1alpha1", "kind": "Database",
            "metadata": {"namespace": NS, "name": name, "annotations": {AUTHOR: author}}, "spec": whole}),
        );
    }

    fn external(&self, name: &str) -> String {
        format!("insula-{}_{NS}_{name}", self.name)
    }

    async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let resource = DATABASES.group_resource();
        let found = self.world.planes.wait_for(self.id, &resource, NS, name, |d| d.is_some_and(&holds)).await;
        found.unwrap_or_else(|| panic!("{what}"))
    }

    async fn phase(&self, name: &str, phase: &str, reason: &str) -> Value {
        self.until(name, reason, |d| {
            d["status"]["phase"] == phase && d["status"]["conditions"][0]["reason"] == reason
        })
        .await
    }

    fn secret(&self, name: &str) -> Option<Value> {
        self.world.planes.find(self.id, &GroupResource::new("", "secrets"), NS, name)
    }

    async fn delete(&self, name: &str) {
        let target = Target::new(self.id, &DATABASES, NS, name);
        let actor = Actor::Platform("test");
        self.world.planes.write(&actor, &target, Write::Delete(Delete::default())).await.unwrap();
    }

    async fn until_gone(&self, name: &str) {
        let resource = DATABASES.group_resource();
        self.world.planes.wait_for(self.id, &resource, NS, name, |d| d.is_none()).await;
    }

    /// Uses the database as an application would: with nothing but the Secret.
    async fn use_it(&self, secret: &Value) -> Result<(), String> {
        let of = |key: &str| secret_text(secret, key).unwrap();
        let config: tokio_postgres::Config = of("uri").parse().unwrap();
        assert_eq!(config.get_password(), Some(of("password").as_bytes()));
        self.world
            .server
            .sql(&of("username"), &of("password"), &of("database"), "CREATE TABLE IF NOT EXISTS kept (a int)")
            .await
    }
}

#[tokio::test]
async fn two_tenants_with_the_same_names_get_databases_of_their_own() {
    let world = World::start();
    let resource = CLOUD_ACCOUNTS.group_resource();
    world
        .planes
        .wait_for(TenantId::HOST, &resource, "", "datacenter", |a| {
            a.is_some_and(|a| {
                a["status"]["conditions"][0]["status"] == "True" && a["status"]["version"].is_string()
            })
        })
        .await;
    let tenants = [world.tenant("acme", &["datacenter"]), world.tenant("globex", &["datacenter"])];
    let mut users = Vec::new();
    for tenant in &tenants {
        tenant.database("orders", json!({"class": "small"}));
        let database = tenant.phase("orders", "Ready", "Available").await;
        assert_eq!(database["status"]["externalName"], tenant.external("orders"));
        assert_eq!(database["status"]["endpoint"], format!("127.0.0.1:{}", world.server.port()));
        assert!(database["metadata"]["annotations"][CREATE_SUCCEEDED].is_string());
        let secret = tenant.secret("orders-conn").unwrap();
        assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], database["metadata"]["uid"]);
        tenant.use_it(&secret).await.unwrap();
        users.push(secret_text(&secret, "username").unwrap());
    }
    assert_ne!(users[0], users[1]);
    // The Secret is the author's work, and no plane of a tenant has the administrator's credentials.
    for write in world.planes.writes().iter().filter(|w| w.target.tenant.is_tenant()) {
        let text = format!("{:?}", write.write);
        assert!(!text.contains(ADMIN) && !text.contains(ADMIN_PASSWORD), "{text}");
        if write.target.resource.resource == "secrets" {
            assert!(matches!(&write.actor, Actor::User { user, .. } if user == "ann"));
        }
    }
    tenants[0].delete("orders").await;
    tenants[0].until_gone("orders").await;
    assert_eq!(world.server.exists(&tenants[0].external("orders")).await, (false, false));
    assert_eq!(world.server.exists(&tenants[1].external("orders")).await, (true, true));
}

#[tokio::test]
async fn the_intent_is_recorded_before_the_server_hears_of_anything() {
    let world = World::prepare();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    world.account(free, ADMIN_PASSWORD);
    world.run();
    let tenant = world.tenant("acme", &["datacenter"]);
    tenant.database("orders", json!({}));
    let database = tenant.phase("orders", "Creating", "Unreachable").await;
    let annotations = &database["metadata"]["annotations"];
    assert!(
        annotations[CREATE_PENDING].is_string() && annotations[EXTERNAL_NAME] == tenant.external("orders")
    );
    assert_eq!(database["metadata"]["finalizers"], json!([DATABASE_FINALIZER]));
    let held =
        world.planes.find(TenantId::HOST, &tenancy::TENANTS.group_resource(), "", &tenant.name).unwrap();
    assert_eq!(held["metadata"]["finalizers"], json!([FINALIZER]));
    let recorded =
        world.planes.writes().into_iter().find(|w| w.target.resource.resource == "databases").unwrap();
    assert!(format!("{:?}", recorded.write).contains("resourceVersion"), "compare-and-swap");

    // The account comes back, and the database with it.
    world.account(world.server.port(), ADMIN_PASSWORD);
    tenant.phase("orders", "Ready", "Available").await;
}

#[tokio::test]
async fn a_lost_or_spoilt_secret_gets_a_new_password() {
    let world = World::start();
    let tenant = world.tenant("acme", &["datacenter"]);
    tenant.database("orders", json!({}));
    tenant.phase("orders", "Ready", "Available").await;
    let first = tenant.secret("orders-conn").unwrap();
    let secrets = GroupResource::new("", "secrets");
    world.planes.remove(tenant.id, &secrets, NS, "orders-conn");
    let resource = secrets.clone();
    let second =
        world.planes.wait_for(tenant.id, &resource, NS, "orders-conn", |s| s.is_some()).await.unwrap();
    assert_ne!(first["data"]["password"], second["data"]["password"]);
    tenant.use_it(&second).await.unwrap();
    assert!(tenant.use_it(&first).await.is_err());

    let mut spoilt = second.clone();
    spoilt["data"]["password"] = "c3BvaWx0".into();
    world.planes.put(tenant.id, spoilt);
    let third = world
        .planes
        .wait_for(tenant.id, &resource, NS, "orders-conn", |s| {
            s.is_some_and(|s| {
                s["data"]["password"] != "c3BvaWx0" && s["data"]["password"] != second["data"]["password"]
            })
        })
        .await
        .unwrap();
    tenant.use_it(&third).await.unwrap();
}

#[tokio::test]
async fn a_retained_database_stays_and_is_not_taken_by_a_new_object() {
    let world = World::start();
    let tenant = world.tenant("acme", &["datacenter"]);
    tenant.database("orders", json!({"deletionPolicy": "Retain"}));
    tenant.phase("orders", "Ready", "Available").await;
    tenant.delete("orders").await;
    tenant.until_gone("orders").await;
    assert_eq!(world.server.exists(&tenant.external("orders")).await, (true, true));
    // Without garbage collection in the fake, the old Secret goes by hand.
    world.planes.remove(tenant.id, &GroupResource::new("", "secrets"), NS, "orders-conn");
    tenant.database("orders", json!({}));
    tenant.phase("orders", "Failed", "OwnedByAnother").await;
    tenant.delete("orders").await;
    tenant.until_gone("orders").await;
    assert_eq!(world.server.exists(&tenant.external("orders")).await, (true, true));
}

#[tokio::test]
async fn what_cannot_be_is_told_with_its_reason() {
    let world = World::start();
    let tenant = world.tenant("acme", &["datacenter"]);
    for (name, spec, reason) in [
        ("mysql", json!({"engine": "mysql"}), "NotImplemented"),
        ("snapshot", json!({"deletionPolicy": "Snapshot"}), "NotImplemented"),
        ("old", json!({"version": "9"}), "VersionNotOffered"),
        ("class", json!({"class": "gigantic"}), "ClassNotFound"),
        ("other", json!({"account": "elsewhere"}), "AccountNotAllowed"),
    ] {
        tenant.database(name, spec);
        tenant.phase(name, "Failed", reason).await;
        assert_eq!(world.server.exists(&tenant.external(name)).await, (false, false), "{name}");
        tenant.delete(name).await;
        tenant.until_gone(name).await;
    }
    world.put(
        tenant.id,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": NS, "name": "taken-conn"},
        "data": {"own": "eA=="}}),
    );
    tenant.database("taken", json!({}));
    tenant.phase("taken", "Failed", "SecretNotOwned").await;
    assert_eq!(tenant.secret("taken-conn").unwrap()["data"], json!({"own": "eA=="}));

    let stranger = world.tenant("stranger", &[]);
    stranger.database("orders", json!({}));
    stranger.phase("orders", "Failed", "AccountNotFound").await;

    world.planes.refuse(|actor, target, _| {
        let user = matches!(actor, Actor::User { .. });
        (user && target.resource.resource == "secrets").then(|| {
            ApiError::forbidden(&target.group_resource(), &target.object.name, "User \"ann\" cannot")
        })
    });
    tenant.database("refused", json!({}));
    tenant.phase("refused", "Failed", "SecretRefused").await;
}

#[tokio::test]
async fn wrong_credentials_are_told_and_repaired_when_they_are_right_again() {
    let world = World::prepare();
    world.account(world.server.port(), "wrong");
    world.run();
    let resource = CLOUD_ACCOUNTS.group_resource();
    let reason = |reason: &'static str| {
        move |a: Option<&Value>| a.is_some_and(|a| a["status"]["conditions"][0]["reason"] == reason)
    };
    world.planes.wait_for(TenantId::HOST, &resource, "", "datacenter", reason("AuthenticationFailed")).await;
    let tenant = world.tenant("acme", &["datacenter"]);
    tenant.database("orders", json!({}));
    let database = tenant.phase("orders", "Failed", "AuthenticationFailed").await;
    assert!(!database["status"].to_string().contains(ADMIN));
    world.account(world.server.port(), ADMIN_PASSWORD);
    world.planes.wait_for(TenantId::HOST, &resource, "", "datacenter", reason("Connected")).await;
    tenant.phase("orders", "Ready", "Available").await;
}

#[tokio::test]
async fn a_tenant_that_goes_takes_its_databases_along() {
    let world = World::start();
    let tenant = world.tenant("acme", &["datacenter"]);
    tenant.database("dropped", json!({}));
    tenant.database("kept", json!({"deletionPolicy": "Retain"}));
    tenant.phase("dropped", "Ready", "Available").await;
    tenant.phase("kept", "Ready", "Available").await;
    let target = Target::new(TenantId::HOST, &tenancy::TENANTS, "", &tenant.name);
    world.planes.write(&Actor::Platform("test"), &target, Write::Delete(Delete::default())).await.unwrap();
    let resource = tenancy::TENANTS.group_resource();
    world.planes.wait_for(TenantId::HOST, &resource, "", &tenant.name, |t| t.is_none()).await;
    assert_eq!(world.server.exists(&tenant.external("dropped")).await, (false, false));
    assert_eq!(world.server.exists(&tenant.external("kept")).await, (true, true));
}
