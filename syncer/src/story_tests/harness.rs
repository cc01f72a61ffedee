//! The planes, the super cluster played by one of them, and what a cluster's own controllers would do in it.

use super::faults::Faults;
use crate::kinds::Kind;
use crate::patrol::{Whose, pass};
use crate::rights;
use crate::state::SuperCluster;
use crate::super_api::{At, Head, SuperApi, SuperItem};
use crate::{ApiAddress, Embedded, Options, Reserver};
use api_types::tenancy::{API_VERSION, TENANTS};
use api_types::{ApiError, GroupResource, ObjectName, Resource, TenantId};
use async_trait::async_trait;
use plane_client::fake::FakePlanes;
use plane_client::{
    Actor, Delete, Duplex, MetricSample, MetricSource, Object, Patch, PlaneClient, PodAnswer, PodRequest,
    Scope, Target, WatchItem, Write,
};
use serde_json::{Value, json};
use service_runtime::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

pub const USER: Actor = Actor::Platform("a-test");
pub const SUPER: TenantId = TenantId::LOCAL_SUPER;
/// How many keys a story's syncer works on at a time.
pub const WORKERS: usize = 4;

/// A resource of the core group.
pub fn core(plural: &str) -> GroupResource {
    GroupResource::new("", plural)
}

/// NetworkPolicies.
pub fn policies() -> GroupResource {
    GroupResource::new("networking.k8s.io", "networkpolicies")
}

/// A super cluster that a plane plays.
pub struct PlaneSuper {
    planes: FakePlanes,
    faults: Arc<Faults>,
    addresses: AtomicU32,
    /// Objects that were read one by one.
    reads: Arc<AtomicU32>,
    /// Pods that were made in a namespace without its NetworkPolicy.
    exposed: Arc<AtomicU32>,
    /// Its watches tell nothing any more.
    silent: Arc<AtomicBool>,
}

impl PlaneSuper {
    /// Refuses what is not among the rights that an admin gives us, and does what else it is to do to its clients.
    async fn authorize(&self, verb: &'static str, resource: &Resource, at: &At) -> Result<(), ApiError> {
        self.faults.meet(verb, resource, at).await?;
        if rights::allow(verb, resource, at.subresource) {
            return Ok(());
        }
        let why = format!("no right to {verb} {} {}", resource.resource, at.subresource);
        Err(ApiError::forbidden(&resource.group_resource(), &at.name, &why))
    }

    fn target(&self, resource: &Resource, at: &At) -> Target {
        Target::new(SUPER, resource, &at.namespace, &at.name).subresource(at.subresource)
    }
}

/// A super cluster in which there is nothing.
pub fn cluster(name: &str) -> Arc<SuperCluster> {
    cluster_on(name, FakePlanes::new(), Arc::default())
}

/// A super cluster that a plane of these plays.
pub fn cluster_on(name: &str, planes: FakePlanes, faults: Arc<Faults>) -> Arc<SuperCluster> {
    let api = PlaneSuper {
        planes,
        addresses: AtomicU32::new(1),
        exposed: Arc::default(),
        silent: Arc::default(),
        reads: Arc::default(),
        faults,
    };
    Arc::new(SuperCluster::new(name, Arc::new(api), WORKERS))
}

#[async_trait]
impl SuperApi for PlaneSuper {
    async fn version(&self) -> Result<String, ApiError> {
        self.faults.meet("get", &Resource::new("", "v1", "version"), &At::new("", "")).await?;
        Ok("v1.36.0".to_owned())
    }

    async fn get(&self, resource: &Resource, at: &At) -> Result<Option<Value>, ApiError> {
        self.authorize("get", resource, at).await?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(self.planes.find(SUPER, &resource.group_resource(), &at.namespace, &at.name))
    }

    async fn list(
        &self,
        resource: &Resource,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<Value>, ApiError> {
        self.authorize("list", resource, &At::new(namespace, "")).await?;
        let all = self.planes.all(SUPER, &resource.group_resource(), namespace);
        Ok(all.into_iter().filter(|o| selected(o, selector)).collect())
    }

    async fn heads(&self, resource: &Resource, selector: &str) -> Result<Vec<Head>, ApiError> {
        let head = |object: Value| {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or("").to_owned();
            let at = ObjectName::new(text("namespace"), text("name"));
            Head { at, uid: text("uid").into(), version: text("resourceVersion").into() }
        };
        Ok(self.list(resource, "", selector).await?.into_iter().map(head).collect())
    }

    async fn create(&self, resource: &Resource, at: &At, body: &Value) -> Result<Value, ApiError> {
        self.authorize("create", resource, at).await?;
        let mut body = body.clone();
        if !at.namespace.is_empty() {
            let namespace = self.planes.find(SUPER, &core("namespaces"), "", &at.namespace);
            if namespace.is_none() {
                return Err(ApiError::not_found(&core("namespaces"), &at.namespace));
            }
        }
        if resource.resource == "pods"
            && self.planes.find(SUPER, &policies(), &at.namespace, "insula-sync-isolation").is_none()
        {
            self.exposed.fetch_add(1, Ordering::SeqCst);
        }
        if resource.resource == "services" && body["spec"]["clusterIP"].is_null() {
            let ip = format!("10.96.0.{}", self.addresses.fetch_add(1, Ordering::Relaxed));
            body["spec"]["clusterIP"] = json!(ip);
            body["spec"]["clusterIPs"] = json!([ip]);
        }
        self.planes.write(&USER, &self.target(resource, at), Write::Create(body)).await?.value()
    }

    async fn patch(&self, resource: &Resource, at: &At, patch: &Patch) -> Result<Value, ApiError> {
        self.authorize("patch", resource, at).await?;
        if let Patch::Strategic(body) = patch
            && body.to_string().contains("SYS_PTRACE")
        {
            let why = "violates PodSecurity \"baseline:latest\"";
            return Err(ApiError::forbidden(&resource.group_resource(), &at.name, why));
        }
        let mut target = self.target(resource, at);
        if target.subresource == "ephemeralcontainers" {
            // The planes have it as a part of the pod.
            target.subresource = "";
        }
        self.planes.write(&USER, &target, Write::Patch(patch.clone())).await?.value()
    }

    async fn delete(&self, resource: &Resource, at: &At, how: &Delete) -> Result<(), ApiError> {
        self.authorize("delete", resource, at).await?;
        self.planes.write(&USER, &self.target(resource, at), Write::Delete(how.clone())).await.map(drop)
    }

    async fn connect(&self, _pod: &At, _port: u16) -> Result<Box<dyn Duplex>, ApiError> {
        Err(ApiError::internal("no ports are forwarded here"))
    }

    /// Tells what it is asked, and for whom it does not want to, in words that name the place.
    async fn open(&self, pod: &At, request: PodRequest) -> Result<PodAnswer, ApiError> {
        let verb = if request.method == http::Method::GET { "get" } else { "create" };
        self.authorize(verb, Kind::Pod.resource(), pod).await?;
        let At { namespace, name, subresource } = pod;
        match request.query.as_str() {
            "forbidden" => {
                let why = format!("User \"the-syncer\" cannot get pods/log in the namespace {namespace:?}");
                Err(ApiError::forbidden(&core("pods"), name, &why))
            }
            "dead" => {
                let why = format!("Get \"https://10.1.2.3:10250/containerLogs/{namespace}/{name}\": refused");
                Err(ApiError::internal(why))
            }
            "waiting" => Err(ApiError::bad_request(format!("{name} in {namespace} is waiting to start"))),
            query => {
                let told = format!("{} {namespace}/{name}/{subresource}?{query}", request.method);
                let body = futures::stream::once(async move { Ok(told.into()) });
                Ok(PodAnswer::Body { code: http::StatusCode::OK, body: Box::pin(body) })
            }
        }
    }

    async fn user(&self) -> Result<String, ApiError> {
        Ok("the-syncer".to_owned())
    }

    fn list_watch(&self, resource: &Resource, selector: &str) -> mpsc::Receiver<SuperItem> {
        let (sender, receiver) = mpsc::channel(64);
        let (planes, faults) = (self.planes.clone(), self.faults.clone());
        let (resource, selector, silent) = (resource.clone(), selector.to_owned(), self.silent.clone());
        tokio::spawn(async move {
            let mut cuts = faults.cuts();
            while !sender.is_closed() {
                if let Err(error) = faults.meet("watch", &resource, &At::new("", "")).await {
                    let _ = sender.send(SuperItem::Failed(error)).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
                let _ = sender.send(SuperItem::Restart).await;
                let mut watch = planes.list_watch(&resource.group_resource(), Scope::One(SUPER));
                loop {
                    let item = tokio::select! {
                        item = watch.recv() => item,
                        // A cut loses what was under way.
                        _ = cuts.changed() => break,
                    };
                    let Some(item) = item else { return };
                    if silent.load(Ordering::SeqCst) {
                        continue;
                    }
                    let item = match item {
                        WatchItem::Applied(o) => SuperItem::Applied(o.value().unwrap()),
                        WatchItem::Deleted(o) => SuperItem::Deleted(o.value().unwrap()),
                        WatchItem::Synced => SuperItem::Synced,
                    };
                    let item = match item {
                        // What is selected no more is gone for who watches what is.
                        SuperItem::Applied(o) if !selected(&o, &selector) => SuperItem::Deleted(o),
                        item => item,
                    };
                    if sender.send(item).await.is_err() {
                        return;
                    }
                }
            }
        });
        receiver
    }
}

fn selected(object: &Value, selector: &str) -> bool {
    let labels = &object["metadata"]["labels"];
    selector.split(',').all(|one| match one.split_once('=') {
        _ if one.is_empty() => true,
        None => labels.get(one).is_some(),
        Some((key, value)) => labels[key] == value,
    })
}

/// Planes, a running syncer, and a super cluster whose namespaces go with what is in them.
pub struct Story {
    pub planes: FakePlanes,
    pub reserver: Reserver,
    pub faults: Arc<Faults>,
    reads: Arc<AtomicU32>,
    exposed: Arc<AtomicU32>,
    silent: Arc<AtomicBool>,
    _shutdown: End,
}

/// Ends the syncer with its story.
struct End(Shutdown);

impl Drop for End {
    fn drop(&mut self) {
        self.0.trigger();
    }
}

impl Story {
    /// With these tenants, whose UIDs are 101, 102, …, each with the namespace `default`.
    pub fn with_tenants(names: &[&str]) -> Story {
        let planes = FakePlanes::new();
        for (index, name) in names.iter().enumerate() {
            planes.put(TenantId::HOST, tenant(name, index, json!({})));
            namespace(&planes, id(index), "default");
        }
        Self::on(planes, Duration::from_secs(60))
    }

    /// Over planes that were prepared before, with a super cluster that a plane plays.
    pub fn on(planes: FakePlanes, patrol: Duration) -> Story {
        let silent = Arc::new(AtomicBool::new(false));
        let faults = Arc::new(Faults::default());
        let (reads, exposed) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let api = Arc::new(PlaneSuper {
            planes: planes.clone(),
            faults: faults.clone(),
            addresses: AtomicU32::new(1),
            reads: reads.clone(),
            exposed: exposed.clone(),
            silent: silent.clone(),
        });
        let story = Self::start(planes, patrol, Some(Embedded::Api(api)));
        Story { faults, reads, exposed, silent, ..story }
    }

    /// Over planes that were prepared before, without an embedded super cluster.
    pub fn without_embedded(planes: FakePlanes) -> Story {
        Self::start(planes, Duration::from_secs(60), None)
    }

    fn start(planes: FakePlanes, patrol: Duration, embedded: Option<Embedded>) -> Story {
        let shutdown = Shutdown::new();
        let reserver = Reserver::new();
        let options = Options {
            embedded,
            api_address: Some(ApiAddress { host: "10.0.0.1".into(), port: 7443 }),
            workers: WORKERS,
            patrol,
            health: Duration::from_millis(100),
            ..Options::default()
        };
        tokio::spawn(crate::run(planes.client(), options, reserver.clone(), shutdown.clone()));
        tokio::spawn(empty_namespaces(planes.clone()));
        Story {
            planes,
            reserver,
            faults: Arc::default(),
            reads: Arc::default(),
            exposed: Arc::default(),
            silent: Arc::default(),
            _shutdown: End(shutdown),
        }
    }

    /// From now on, the watches of the super cluster miss everything.
    pub fn silence(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    /// How many objects of the super cluster were read one by one.
    pub fn reads(&self) -> u32 {
        self.reads.load(Ordering::SeqCst)
    }

    /// How many pods were made in a namespace of the super cluster that had no NetworkPolicy.
    pub fn exposed(&self) -> u32 {
        self.exposed.load(Ordering::SeqCst)
    }

    /// Patrols until nothing is found: what has just been written may be told by the watch a moment later.
    pub async fn patrolled(&self) {
        let state = self.reserver.state();
        let cluster = state.super_cluster("local").unwrap();
        let looked = async {
            loop {
                let client = self.planes.client();
                let pass = pass(&state, &client, &cluster, Whose::All, Duration::ZERO).await;
                if pass.unwrap().found.is_empty() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looked)
            .await
            .expect("the patrol goes on finding something");
    }

    /// The value of a series of the syncer's metrics; nothing where there is none.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let families = self.reserver.metrics().families();
        let samples = families.iter().filter(|f| f.name == name).flat_map(|f| &f.samples);
        let of_label =
            |sample: &&MetricSample| label.is_empty() || sample.labels.iter().any(|(_, v)| v == label);
        samples.filter(of_label).map(|sample| sample.value).sum()
    }

    /// The super namespace of a tenant's namespace, once it is there.
    pub async fn super_namespace(&self, tenant: TenantId, namespace: &str) -> String {
        let find = || {
            self.planes.all(SUPER, &core("namespaces"), "").into_iter().find(|n| {
                n["metadata"]["labels"]["insula.dev/tenant-uid"] == tenant.to_string()
                    && n["metadata"]["annotations"]["insula.dev/name"] == namespace
            })
        };
        self.planes.wait_until("the super namespace", |_| find().is_some()).await;
        find().unwrap()["metadata"]["name"].as_str().unwrap().to_owned()
    }

    /// Waits for an object of the super cluster.
    pub async fn in_super(&self, plural: &str, namespace: &str, name: &str) -> Value {
        let found = self.planes.wait_for(SUPER, &core(plural), namespace, name, |o| o.is_some()).await;
        found.unwrap()
    }

    /// Waits until an object of a plane is as the condition wants it.
    pub async fn until(
        &self,
        tenant: TenantId,
        plural: &str,
        namespace: &str,
        name: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> Value {
        let is_so = |o: Option<&Value>| o.is_some_and(&condition);
        self.planes.wait_for(tenant, &core(plural), namespace, name, is_so).await.unwrap()
    }

    /// Waits until an object is gone.
    pub async fn gone(&self, tenant: TenantId, plural: &str, namespace: &str, name: &str) {
        self.planes.wait_for(tenant, &core(plural), namespace, name, |o| o.is_none()).await;
    }

    /// What scheduler and kubelet do: the pod runs on the node `n1`.
    pub async fn runs(&self, super_namespace: &str, name: &str) {
        self.planes.put(SUPER, node("n1"));
        let mut pod = self.in_super("pods", super_namespace, name).await;
        pod["spec"]["nodeName"] = json!("n1");
        pod["metadata"]["labels"]["insula.dev/simulated"] = json!("true");
        pod["status"] = json!({"phase": "Running", "podIP": "10.2.0.7", "hostIP": "192.168.0.1",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]});
        self.planes.put(SUPER, pod);
    }

    /// Deletes an object as a user does.
    pub async fn delete(&self, tenant: TenantId, resource: &Resource, namespace: &str, name: &str) -> Object {
        let target = Target::new(tenant, resource, namespace, name);
        self.planes.write(&USER, &target, Write::Delete(Delete::default())).await.unwrap()
    }
}

/// Waits for something that no plane tells of.
pub async fn comes(what: &str, is_so: impl Fn() -> bool) {
    let looked = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(60), looked).await.is_ok(),
        "waited for too long: {what}"
    );
}

/// The identity of the tenant of this index.
pub fn id(index: usize) -> TenantId {
    TenantId::new(uuid::Uuid::from_u128(101 + index as u128))
}

pub fn tenant(name: &str, index: usize, spec: Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "Tenant",
        "metadata": {"name": name, "uid": id(index).to_string(), "finalizers": ["tenancy.insula.dev/plane"]},
        "spec": spec, "status": {"endpoint": format!("https://127.0.0.1:7443/tenants/{name}")}})
}

pub fn tenants() -> GroupResource {
    TENANTS.group_resource()
}

pub fn namespace(planes: &FakePlanes, tenant: TenantId, name: &str) {
    planes.put(tenant, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
}

pub fn node(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "rack": "7"}},
        "status": {"capacity": {"cpu": "4"}, "conditions": [{"type": "Ready", "status": "True"}]}})
}

pub fn pod(name: &str, mut spec: Value) -> Value {
    spec["containers"] = json!([{"name": "c", "image": "i",
        "envFrom": [{"configMapRef": {"name": "settings"}}]}]);
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}}, "spec": spec,
        "status": {"phase": "Pending"}})
}

pub fn config(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
        "data": {"key": value}})
}

/// What the super cluster's namespace controller does.
async fn empty_namespaces(planes: FakePlanes) {
    let mut watch = planes.list_watch(&core("namespaces"), Scope::One(SUPER));
    while let Some(item) = watch.recv().await {
        let WatchItem::Applied(namespace) = item else { continue };
        if !namespace.meta.deleting {
            continue;
        }
        for kind in Kind::ALL.into_iter().filter(|kind| kind.labelled() && *kind != Kind::Namespace) {
            let resource = kind.group_resource();
            for object in planes.list(SUPER, &resource, &namespace.name.name).await.unwrap() {
                planes.remove(SUPER, &resource, &object.name.namespace, &object.name.name);
            }
        }
        planes.remove(SUPER, &core("namespaces"), "", &namespace.name.name);
    }
}

/// For tests that ask a plane for one object.
pub fn at(namespace: &str, name: &str) -> ObjectName {
    ObjectName::new(namespace, name)
}
