//! The controllers over planes in memory.
//!
//! The fake records no author, as the API server does; [`Stamping`] does it for what a user writes.

use crate::{Options, run};
use api_types::labels::AUTHOR;
use api_types::{ApiError, GroupResource, ObjectName, TenantId, oam};
use async_trait::async_trait;
use plane_client::fake::FakePlanes;
use plane_client::{Actor, KindInfo, Object, Patch, PlaneClient, Scope, Target, WatchItem, Write};
use serde_json::{Value, json};
use service_runtime::Shutdown;
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

const NS: &str = "shop";

struct Stamping(FakePlanes);

#[async_trait]
impl PlaneClient for Stamping {
    fn list_watch(&self, resource: &GroupResource, scope: Scope) -> mpsc::Receiver<WatchItem> {
        self.0.list_watch(resource, scope)
    }
    async fn get(&self, t: TenantId, r: &GroupResource, o: &ObjectName) -> Result<Option<Object>, ApiError> {
        self.0.get(t, r, o).await
    }
    async fn list(&self, t: TenantId, r: &GroupResource, namespace: &str) -> Result<Vec<Object>, ApiError> {
        self.0.list(t, r, namespace).await
    }
    async fn dependents(&self, t: TenantId, uid: &str) -> Result<Vec<Object>, ApiError> {
        self.0.dependents(t, uid).await
    }
    async fn kind(&self, t: TenantId, api_version: &str, kind: &str) -> Result<Option<KindInfo>, ApiError> {
        self.0.kind(t, api_version, kind).await
    }
    async fn resources(&self, t: TenantId) -> Result<Vec<KindInfo>, ApiError> {
        self.0.resources(t).await
    }
    async fn write(&self, actor: &Actor, target: &Target, mut write: Write) -> Result<Object, ApiError> {
        if let (Actor::User { user, groups, .. }, Write::Patch(Patch::Apply(body))) = (actor, &mut write)
            && target.resource.group == oam::GROUP
        {
            body["metadata"]["annotations"][AUTHOR] =
                json!({"user": user, "groups": groups}).to_string().into();
        }
        self.0.write(actor, target, write).await
    }
}

/// Planes with one tenant, and the runtime over them.
struct World {
    planes: FakePlanes,
    tenant: TenantId,
    shutdown: Shutdown,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl World {
    fn start() -> Self {
        let planes = FakePlanes::new();
        let tenant = TenantId::new(Uuid::from_u128(77));
        let world = World { planes, tenant, shutdown: Shutdown::new() };
        world.set_tenant(json!({}));
        let client = Arc::new(Stamping(world.planes.clone()));
        tokio::spawn(run(client, Options { workers: 2 }, world.shutdown.clone()));
        world
    }

    fn set_tenant(&self, spec: Value) {
        self.planes.put(
            TenantId::HOST,
            json!({"apiVersion": "tenancy.insula.dev/v1alpha1", "kind": "Tenant",
                "metadata": {"name": "acme", "uid": self.tenant.to_string()}, "spec": spec}),
        );
    }

    fn put(&self, mut object: Value) {
        object["metadata"]["namespace"] = NS.into();
        let group = GroupResource::new(
            object["apiVersion"].as_str().unwrap().split_once('/').map_or("", |(g, _)| g),
            format!("{}s", object["kind"].as_str().unwrap().to_lowercase()),
        );
        // A change of the spec is a new generation of the same object.
        if let Some(old) = self.find(&group, object["metadata"]["name"].as_str().unwrap()) {
            object["metadata"]["uid"] = old["metadata"]["uid"].clone();
            object["metadata"]["generation"] =
                (old["metadata"]["generation"].as_i64().unwrap_or(0) + 1).into();
            object["status"] = old["status"].clone();
        }
        self.planes.put(self.tenant, object);
    }

    fn component(&self, name: &str, workload: Value) {
        self.put(json!({"apiVersion": oam::API_VERSION, "kind": "Component", "metadata": {"name": name},
            "spec": {"workload": workload}}));
    }

    fn application(&self, name: &str, components: Value) {
        let author = json!({"user": "ann", "groups": ["dev"]}).to_string();
        self.put(json!({"apiVersion": oam::API_VERSION, "kind": "ApplicationConfiguration",
            "metadata": {"name": name, "annotations": {AUTHOR: author}}, "spec": {"components": components}}));
    }

    fn find(&self, resource: &GroupResource, name: &str) -> Option<Value> {
        self.planes.find(self.tenant, resource, NS, name)
    }

    async fn until(&self, resource: GroupResource, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.planes
            .wait_for(self.tenant, &resource, NS, name, |object| object.is_some_and(&holds))
            .await
            .unwrap()
    }

    async fn until_gone(&self, resource: GroupResource, name: &str) {
        self.planes.wait_for(self.tenant, &resource, NS, name, |object| object.is_none()).await;
    }

    async fn condition(&self, name: &str, kind: &str, reason: &str) -> Value {
        self.until(oam::APPLICATION_CONFIGURATIONS.group_resource(), name, |object| {
            has_condition(object, kind, reason)
        })
        .await
    }

    /// What the Deployment's controller would say.
    fn make_available(&self, name: &str) {
        let mut deployment = self.find(&deployments(), name).unwrap();
        let replicas = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
        deployment["status"] = json!({"observedGeneration": deployment["metadata"]["generation"],
            "updatedReplicas": replicas, "availableReplicas": replicas});
        self.planes.put(self.tenant, deployment);
    }
}

fn has_condition(object: &Value, kind: &str, reason: &str) -> bool {
    object["status"]["conditions"]
        .as_array()
        .is_some_and(|list| list.iter().any(|c| c["type"] == kind && c["reason"] == reason))
}

fn deployments() -> GroupResource {
    GroupResource::new("apps", "deployments")
}

fn services() -> GroupResource {
    GroupResource::new("", "services")
}

fn containerized(image: &str) -> Value {
    json!({"apiVersion": oam::API_VERSION, "kind": "ContainerizedWorkload", "spec": {"containers": [
        {"name": "web", "image": image, "ports": [{"name": "http", "containerPort": 80}]}]}})
}

fn deployment(image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec":
        {"containers": [{"name": "web", "image": image}]}}}})
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

fn image_of(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]["image"]
}

fn scaler(count: i64) -> Value {
    json!({"trait": {"apiVersion": oam::API_VERSION, "kind": "ManualScalerTrait", "spec": {"replicaCount": count}}})
}

fn binding(secret: &str) -> Value {
    json!({"trait": {"apiVersion": oam::API_VERSION, "kind": "ServiceBinding",
        "spec": {"source": {"secretName": secret}, "env": [{"name": "URL", "key": "uri"}]}}})
}

fn secret(name: &str, uri: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"uri": uri}})
}

#[tokio::test]
async fn an_application_becomes_workloads_as_its_author() {
    let world = World::start();
    world.component("web", containerized("nginx:1"));
    world.application("store", json!([{"componentName": "web", "traits": [scaler(3)]}]));
    world.until(deployments(), "web", |d| d["spec"]["replicas"] == 3 && *image_of(d) == "nginx:1").await;
    world.until(services(), "web", |s| s["spec"]["ports"][0]["port"] == 80).await;
    world.condition("store", "Synced", "Applied").await;
    world.make_available("web");
    let store = world.condition("store", "Ready", "Ready").await;
    let workload = &store["status"]["workloads"][0];
    assert_eq!(workload["componentRevisionName"], "web-v1");
    assert_eq!(workload["workloadRef"]["kind"], "ContainerizedWorkload");
    assert_eq!(workload["traits"][0]["traitRef"]["name"], "web-manualscalertrait");
    for write in world.planes.writes() {
        let status = write.target.subresource == "status";
        let revision = write.target.resource.resource == "controllerrevisions";
        let user = matches!(&write.actor, Actor::User { user, .. } if user == "ann");
        assert_eq!(user, !status && !revision, "{:?}", write.target);
    }
}

#[tokio::test]
async fn every_application_of_a_component_follows_it_and_a_pinned_one_does_not() {
    let world = World::start();
    world.component("web", deployment("nginx:1"));
    world
        .until(oam::COMPONENTS.group_resource(), "web", |c| c["status"]["latestRevision"]["name"] == "web-v1")
        .await;
    let rename =
        json!([{"name": "name", "fieldPaths": ["metadata.name"]}, {"name": "image", "fieldPaths": ["x"]}]);
    let with_name = |image: &str| {
        json!({"apiVersion": oam::API_VERSION, "kind": "Component", "metadata": {"name": "web"},
            "spec": {"workload": deployment(image), "parameters": rename}})
    };
    world.put(with_name("nginx:2"));
    world
        .until(oam::COMPONENTS.group_resource(), "web", |c| c["status"]["latestRevision"]["name"] == "web-v2")
        .await;
    let values = |name: &str| json!([{"name": "name", "value": name}]);
    world.application("one", json!([{"componentName": "web", "parameterValues": values("one")}]));
    world.application("two", json!([{"componentName": "web", "parameterValues": values("two")}]));
    world.application("pinned", json!([{"revisionName": "web-v1"}]));
    for (name, image) in [("one", "nginx:2"), ("two", "nginx:2"), ("web", "nginx:1")] {
        world.until(deployments(), name, |d| *image_of(d) == image).await;
    }
    world.put(with_name("nginx:3"));
    for name in ["one", "two"] {
        world.until(deployments(), name, |d| *image_of(d) == "nginx:3").await;
    }
    let pinned = world.find(&deployments(), "web").unwrap();
    assert_eq!(
        (image_of(&pinned), &pinned["metadata"]["labels"][oam::LABEL_REVISION]),
        (&json!("nginx:1"), &json!("web-v1"))
    );
}

#[tokio::test]
async fn what_is_no_longer_rendered_goes() {
    let world = World::start();
    world.component("web", containerized("nginx:1"));
    world.component("extra", config_map("extra"));
    world.application(
        "store",
        json!([{"componentName": "web", "traits": [scaler(2)]}, {"componentName": "extra"}]),
    );
    world.until(deployments(), "web", |d| d["spec"]["replicas"] == 2).await;
    world.until(GroupResource::new("", "configmaps"), "extra", |_| true).await;
    world.until(services(), "web", |_| true).await;

    // Objects: a trait, a component, and the Service whose ports go. Fields: the command that comes and goes.
    let mut without_ports = containerized("nginx:1");
    without_ports["spec"]["containers"][0] = json!({"name": "web", "image": "nginx:1", "command": ["x"]});
    world.component("web", without_ports.clone());
    world.application("store", json!([{"componentName": "web"}]));
    world.until_gone(GroupResource::new("", "configmaps"), "extra").await;
    world.until_gone(oam::MANUAL_SCALER_TRAITS.group_resource(), "web-manualscalertrait").await;
    world.until_gone(services(), "web").await;
    let command = |d: &Value| d["spec"]["template"]["spec"]["containers"][0]["command"].clone();
    world.until(deployments(), "web", |d| command(d) == json!(["x"])).await;
    without_ports["spec"]["containers"][0] = json!({"name": "web", "image": "nginx:1"});
    world.component("web", without_ports);
    world.until(deployments(), "web", |d| command(d).is_null()).await;
}

#[tokio::test]
async fn a_component_waits_for_its_secret_and_follows_rotation() {
    let world = World::start();
    world.component("web", containerized("nginx:1"));
    world.component("job", deployment("busybox:1"));
    world.application(
        "store",
        json!([{"componentName": "web", "traits": [binding("conn"), scaler(2)]}, {"componentName": "job"}]),
    );
    world.condition("store", "web/Ready", "WaitingForSecret").await;
    // The other component is not held back, and nothing of the waiting one is there.
    world.until(deployments(), "job", |_| true).await;
    assert!(world.find(&oam::CONTAINERIZED_WORKLOADS.group_resource(), "web").is_none());
    assert!(world.find(&oam::SERVICE_BINDINGS.group_resource(), "web-servicebinding").is_none());

    world.put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "conn"}, "data": {"other": "eA=="}}));
    world.condition("store", "web/Ready", "SecretKeyMissing").await;
    assert!(world.find(&oam::CONTAINERIZED_WORKLOADS.group_resource(), "web").is_none());

    world.put(secret("conn", "b25l"));
    let mark = |d: &Value| d["spec"]["template"]["metadata"]["annotations"][crate::binding::BOUND].clone();
    let env = |d: &Value| {
        d["spec"]["template"]["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["name"].clone()
    };
    let first = mark(&world.until(deployments(), "web", |d| env(d) == "conn" && mark(d).is_string()).await);
    world.put(secret("conn", "dHdv"));
    world.until(deployments(), "web", |d| mark(d).is_string() && mark(d) != first).await;

    // A Secret that goes does not take the running workload with it.
    let bound = |b: &Value| has_condition(b, "Ready", "Bound");
    world.until(oam::SERVICE_BINDINGS.group_resource(), "web-servicebinding", bound).await;
    world.planes.remove(world.tenant, &GroupResource::new("", "secrets"), NS, "conn");
    world.condition("store", "web/Ready", "WaitingForSecret").await;
    let store = world.find(&oam::APPLICATION_CONFIGURATIONS.group_resource(), "store").unwrap();
    assert!(store["status"]["workloads"].as_array().unwrap().iter().any(|w| w["componentName"] == "web"));
    assert!(world.find(&deployments(), "web").is_some());
}

#[tokio::test]
async fn without_an_author_nothing_is_written_and_a_refusal_is_told() {
    let world = World::start();
    world.component("web", deployment("nginx:1"));
    world.put(json!({"apiVersion": oam::API_VERSION, "kind": "ApplicationConfiguration", "metadata": {"name": "nobody"},
        "spec": {"components": [{"componentName": "web"}]}}));
    world.condition("nobody", "Synced", "AuthorUnknown").await;
    assert!(world.find(&deployments(), "web").is_none());

    world.planes.refuse(|actor, target, _| {
        let user = matches!(actor, Actor::User { .. });
        (user && target.resource.resource == "deployments").then(|| {
            ApiError::forbidden(
                &target.group_resource(),
                &target.object.name,
                "User \"ann\" cannot patch resource",
            )
        })
    });
    world.application("store", json!([{"componentName": "web"}]));
    let store = world.condition("store", "web/Ready", "Forbidden").await;
    assert!(store.to_string().contains("ann"), "{store}");
    assert!(world.find(&deployments(), "web").is_none());
}

#[tokio::test]
async fn what_other_hands_made_is_left_alone() {
    let world = World::start();
    world.put(deployment_named("web", "other:1"));
    world.component("web", deployment("nginx:1"));
    world.application("store", json!([{"componentName": "web"}]));
    world.condition("store", "web/Ready", "NotOwned").await;
    assert_eq!(image_of(&world.find(&deployments(), "web").unwrap()), "other:1");
}

fn deployment_named(name: &str, image: &str) -> Value {
    let mut object = deployment(image);
    object["metadata"] = json!({"name": name});
    object
}

#[tokio::test]
async fn drift_is_set_back_by_runtime_and_scaler_without_a_fight() {
    let world = World::start();
    world.component("web", containerized("nginx:1"));
    world.application("store", json!([{"componentName": "web", "traits": [scaler(3)]}]));
    world.until(deployments(), "web", |d| d["spec"]["replicas"] == 3).await;
    let mut changed = world.find(&deployments(), "web").unwrap();
    changed["spec"]["replicas"] = 9.into();
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "evil:1".into();
    world.planes.put(world.tenant, changed);
    world.until(deployments(), "web", |d| d["spec"]["replicas"] == 3 && *image_of(d) == "nginx:1").await;
    for write in world.planes.writes().iter().filter(|w| w.target.resource.resource == "deployments") {
        if let Write::Patch(Patch::Apply(body)) = &write.write {
            assert!(body["spec"]["replicas"].is_null(), "the runtime must not say the number of replicas");
        }
    }
}

#[tokio::test]
async fn a_tenant_without_the_application_model_is_left_alone_until_it_is_switched_on() {
    let world = World::start();
    world.component("web", deployment("nginx:1"));
    world.until(oam::COMPONENTS.group_resource(), "web", |c| c["status"]["latestRevision"].is_object()).await;
    world.set_tenant(json!({"oam": {"disabled": true}}));
    // A second tenant shows that the runtime has seen the change before the application comes.
    let other = TenantId::new(Uuid::from_u128(78));
    world.planes.put(
        TenantId::HOST,
        json!({"apiVersion": "tenancy.insula.dev/v1alpha1", "kind": "Tenant",
        "metadata": {"name": "other", "uid": other.to_string()}, "spec": {"oam": {"disabled": true}}}),
    );
    let directory = crate::directory::Directory::default();
    let shutdown = Shutdown::new();
    let follow = directory.follow(world.planes.client(), shutdown.clone());
    tokio::select! {
        () = follow => {}
        () = directory.filled() => {}
    }
    assert!(directory.is_off(world.tenant) && directory.is_off(other));
    assert!(!directory.is_off(TenantId::HOST));

    world.set_tenant(json!({}));
    world.application("store", json!([{"componentName": "web"}]));
    world.until(deployments(), "web", |_| true).await;
}

#[tokio::test]
async fn revisions_are_numbered_and_unused_ones_do_not_pile_up() {
    let world = World::start();
    for number in 1..=16 {
        world.component("web", deployment(&format!("nginx:{number}")));
        let name = format!("web-v{number}");
        world
            .until(oam::COMPONENTS.group_resource(), "web", |c| {
                c["status"]["latestRevision"]["name"] == *name
            })
            .await;
        if number == 1 {
            world.application("pinned", json!([{"revisionName": "web-v1"}]));
            world.until(deployments(), "web", |_| true).await;
        }
    }
    let revisions = crate::components::REVISIONS.group_resource();
    world.until_gone(revisions.clone(), "web-v4").await;
    let left: Vec<String> = world
        .planes
        .all(world.tenant, &revisions, NS)
        .iter()
        .map(|r| r["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(left.contains(&"web-v1".to_owned()) && left.contains(&"web-v16".to_owned()), "{left:?}");
    assert!(left.len() <= 13, "{left:?}");
}

#[tokio::test]
async fn a_binding_without_an_application_says_that_it_binds_nothing() {
    let world = World::start();
    let spec = json!({"source": {"secretName": "s"}, "env": [{"name": "A", "key": "k"}]});
    world
        .put(json!({"apiVersion": oam::API_VERSION, "kind": "ServiceBinding", "metadata": {"name": "alone"},
        "spec": spec}));
    let ready = |object: &Value| object["status"]["conditions"][0].clone();
    let resource = oam::SERVICE_BINDINGS.group_resource();
    let told = world.until(resource, "alone", |binding| ready(binding)["reason"] == "NoApplication").await;
    assert_eq!(ready(&told)["status"], "False");
}
