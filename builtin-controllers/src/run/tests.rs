//! All controllers together on the fake.

use super::*;
use crate::access::{elements, text};
use crate::resources::{
    DEPLOYMENTS, ENDPOINT_SLICES, NAMESPACES, NODES, PODS, REPLICA_SETS, SERVICE_ACCOUNTS,
};
use plane_client::fake::FakePlanes;
use plane_client::{Actor, ApiError, Delete, Patch, Propagation, Resource, Target, Write};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const PLANE: TenantId = TenantId::LOCAL_SUPER;
const ADMIN: Actor = Actor::Platform("admin");

/// There are no extension servers, and nothing is signed.
struct NoServers;

#[async_trait::async_trait]
impl CertificateSigner for NoServers {
    async fn sign(
        &self,
        _: TenantId,
        _: &plane_client::CertificateOrder,
    ) -> Result<String, plane_client::SigningError> {
        Err(plane_client::SigningError::Unavailable("there is no authority".into()))
    }
}

#[async_trait::async_trait]
impl plane_client::TokenSigner for NoServers {
    async fn sign_token(
        &self,
        _: TenantId,
        _: &plane_client::TokenOrder,
    ) -> Result<String, plane_client::SigningError> {
        Err(plane_client::SigningError::Unavailable("there is no key".into()))
    }

    fn is_former(&self, _: TenantId, _: &plane_client::TokenOrder, _: &str) -> bool {
        false
    }
}

#[async_trait::async_trait]
impl PolicyTypes for NoServers {
    async fn warnings(&self, _: TenantId, _: &Value) -> Vec<plane_client::ExpressionWarning> {
        Vec::new()
    }
}

#[async_trait::async_trait]
impl ExtensionServers for NoServers {
    async fn check(&self, _: TenantId, _: &str) -> plane_client::Checked {
        plane_client::Checked::NotRemote
    }

    async fn authentication(&self, _: TenantId) -> Result<BTreeMap<String, String>, ApiError> {
        Ok(BTreeMap::new())
    }
}

impl Authorities for NoServers {
    fn serving(&self) -> String {
        "PEM".to_owned()
    }

    fn changes(&self) -> tokio::sync::broadcast::Receiver<TenantId> {
        tokio::sync::broadcast::channel(1).1
    }
}

#[async_trait::async_trait]
impl ServedApis for NoServers {
    async fn get(&self, _: TenantId, _: plane_client::ServiceAccount, _: &str) -> Result<Value, ApiError> {
        Err(ApiError::no_such_path())
    }

    async fn versions(&self, _: TenantId, _: &str) -> Vec<String> {
        Vec::new()
    }
}

pub(super) fn no_server() -> ApiServer {
    ApiServer::new(Arc::new(NoServers))
}

fn start(planes: &FakePlanes) -> (Shutdown, tokio::task::JoinHandle<()>) {
    let shutdown = Shutdown::new();
    let options = Options {
        simulated_nodes: Some(SimulatedNodes { plane: PLANE, count: 2, templates: vec![], scheduler: true }),
        event_ttl: Duration::from_secs(3_600),
    };
    (shutdown.clone(), tokio::spawn(run(planes.client(), no_server(), options, shutdown)))
}

async fn write(planes: &FakePlanes, tenant: TenantId, resource: &Resource, name: &str, write: Write) {
    let namespace = if resource.resource == "namespaces" { "" } else { "shop" };
    planes.client().write(&ADMIN, &Target::new(tenant, resource, namespace, name), write).await.unwrap();
}

fn running(planes: &FakePlanes) -> usize {
    let pods = planes.all(PLANE, &PODS.group_resource(), "shop");
    pods.iter().filter(|pod| text(pod, "/status/phase") == "Running").count()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_runs_is_served_and_goes_without_a_trace() {
    let planes = FakePlanes::new();
    let (shutdown, controllers) = start(&planes);
    write(&planes, PLANE, &NAMESPACES, "shop", Write::Create(json!({"metadata": {"name": "shop"}}))).await;
    let template = json!({"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "nginx", "ports": [{"name": "http", "containerPort": 80}]}]}});
    let deployment = json!({"metadata": {"name": "web"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}});
    write(&planes, PLANE, &DEPLOYMENTS, "web", Write::Create(deployment)).await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "selector": {"app": "web"},
            "ports": [{"port": 80, "targetPort": "http"}]}});
    planes.put(PLANE, service);
    planes.wait_until("three pods run", |planes| running(planes) == 3).await;
    let available = |found: Option<&Value>| found.unwrap()["status"]["availableReplicas"] == 3;
    planes.wait_for(PLANE, &DEPLOYMENTS.group_resource(), "shop", "web", available).await;
    planes
        .wait_until("three endpoints", |planes| {
            let slices = planes.all(PLANE, &ENDPOINT_SLICES.group_resource(), "shop");
            let endpoints = slices.iter().flat_map(|slice| elements(slice, "/endpoints"));
            endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true).count() == 3
        })
        .await;
    let nodes: std::collections::BTreeSet<String> = planes
        .all(PLANE, &PODS.group_resource(), "shop")
        .iter()
        .map(|pod| text(pod, "/spec/nodeName").to_owned())
        .collect();
    assert_eq!(nodes.len(), 2, "pods are spread over the nodes");

    let foreground = Delete { propagation: Some(Propagation::Foreground), ..Delete::default() };
    write(&planes, PLANE, &DEPLOYMENTS, "web", Write::Delete(foreground)).await;
    let gone = |resource: &Resource| planes.all(PLANE, &resource.group_resource(), "shop").is_empty();
    planes
        .wait_until("nothing is left", |_| [&DEPLOYMENTS, &REPLICA_SETS, &PODS].into_iter().all(gone))
        .await;
    write(&planes, PLANE, &NAMESPACES, "shop", Write::Delete(Delete::default())).await;
    planes.wait_for(PLANE, &NAMESPACES.group_resource(), "", "shop", |found| found.is_none()).await;
    assert_eq!(planes.all(PLANE, &NODES.group_resource(), "").len(), 2);
    shutdown.trigger();
    controllers.await.unwrap();
}

#[tokio::test]
async fn the_names_that_a_tenant_may_switch_off_are_those_of_the_controllers() {
    let controllers = everywhere(&FakePlanes::new().client(), &no_server());
    let mut names: Vec<&str> = controllers.iter().map(|(controller, _)| controller.name()).collect();
    names.push(crate::garbage_collector::NAME);
    let mut known = api_types::tenancy::CONTROLLERS.to_vec();
    names.sort_unstable();
    // Several may do the work of one.
    names.dedup();
    known.sort_unstable();
    assert_eq!(names, known);
}

#[tokio::test(start_paused = true)]
async fn a_profile_switches_controllers_off_for_its_tenants() {
    let planes = FakePlanes::new();
    let api_version = api_types::tenancy::API_VERSION;
    let defaults = json!({"controllers": {"disabled": ["serviceaccount-controller"]}});
    planes.put(
        TenantId::HOST,
        json!({"apiVersion": api_version, "kind": "TenantProfile", "metadata": {"name": "bare"},
            "spec": {"defaults": defaults}}),
    );
    let uid = "00000000-0000-4000-9000-000000000001";
    planes.put(
        TenantId::HOST,
        json!({"apiVersion": api_version, "kind": "Tenant", "metadata": {"name": "acme", "uid": uid},
            "spec": {"profile": "bare"}}),
    );
    let acme = TenantId::parse(uid).unwrap();
    let (_shutdown, _controllers) = start(&planes);
    let namespace = || Write::Create(json!({"metadata": {"name": "shop"}}));
    let accounts = SERVICE_ACCOUNTS.group_resource();
    let has = |found: Option<&Value>| found.is_some();
    write(&planes, acme, &NAMESPACES, "shop", namespace()).await;
    write(&planes, PLANE, &NAMESPACES, "shop", namespace()).await;
    planes.wait_for(PLANE, &accounts, "shop", "default", has).await;
    let maps = crate::resources::CONFIG_MAPS.group_resource();
    planes.wait_for(acme, &maps, "shop", "kube-root-ca.crt", has).await;
    assert!(planes.find(acme, &accounts, "shop", "default").is_none());
    let target = Target::new(TenantId::HOST, &api_types::tenancy::TENANT_PROFILES, "", "bare");
    let on = Write::Patch(Patch::Merge(json!({"spec": {"defaults": {"controllers": null}}})));
    planes.client().write(&ADMIN, &target, on).await.unwrap();
    planes.wait_for(acme, &accounts, "shop", "default", has).await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_switches_controllers_off_and_on() {
    let planes = FakePlanes::new();
    let tenant = |name: &str, disabled: Value| {
        let uid = format!("00000000-0000-4000-9000-{:012}", name.len());
        let object = json!({"apiVersion": "tenancy.insula.dev/v1alpha1", "kind": "Tenant",
            "metadata": {"name": name, "uid": uid}, "spec": {"controllers": {"disabled": disabled}}});
        planes.put(TenantId::HOST, object);
        TenantId::parse(&uid).unwrap()
    };
    let off = tenant("off", json!(["*"]));
    let some = tenant("some", json!(["serviceaccount-controller"]));
    let (_shutdown, _controllers) = start(&planes);
    let namespace = || Write::Create(json!({"metadata": {"name": "shop"}}));
    for id in [off, some] {
        write(&planes, id, &NAMESPACES, "shop", namespace()).await;
    }
    let maps = crate::resources::CONFIG_MAPS.group_resource();
    let has = |found: Option<&Value>| found.is_some();
    planes.wait_for(some, &maps, "shop", "kube-root-ca.crt", has).await;
    // What comes in another plane after shows that these keys have had their turn.
    write(&planes, PLANE, &NAMESPACES, "shop", namespace()).await;
    let accounts = SERVICE_ACCOUNTS.group_resource();
    planes.wait_for(PLANE, &accounts, "shop", "default", has).await;
    assert!(planes.find(off, &maps, "shop", "kube-root-ca.crt").is_none());
    for id in [off, some] {
        assert!(planes.find(id, &accounts, "shop", "default").is_none());
    }
    let on = Write::Patch(Patch::Merge(json!({"spec": {"controllers": {"disabled": []}}})));
    let target = Target::new(TenantId::HOST, &api_types::tenancy::TENANTS, "", "off");
    planes.client().write(&ADMIN, &target, on).await.unwrap();
    planes.wait_for(off, &accounts, "shop", "default", has).await;
    planes.wait_for(off, &maps, "shop", "kube-root-ca.crt", has).await;
}
