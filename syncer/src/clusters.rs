//! The super clusters that the host plane names: connected, watched, and their health told.
//!
//! Guarantees: a `SuperCluster` whose kubeconfig changes is connected anew; one that is removed is let go. Its `Ready`
//! condition says why it cannot be used. A cluster that fails is tried again, for ever.

use crate::cluster_watch;
use crate::names::digest;
use crate::options::{Embedded, LOCAL, Options};
use crate::pods::dns::PodDns;
use crate::state::{Health, State, SuperCluster};
use crate::super_api::SuperApi;
use crate::super_kube::KubeSuper;
use crate::work::ACTOR;
use api_types::condition::{self, Condition};
use api_types::tenancy::{self, API_VERSION, SUPER_CLUSTERS, SecretKeyRef};
use api_types::{ApiError, GroupResource, ObjectName, TenantId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use plane_client::{Object, Patch, PlaneClient, Scope, Target, Watch, Write};
use serde_json::json;
use service_runtime::Shutdown;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A connected super cluster, and how to let it go.
struct Running {
    source: String,
    stop: Shutdown,
}

/// Connects what the host plane names, until shutdown.
pub async fn run(state: Arc<State>, client: Arc<dyn PlaneClient>, options: Options, shutdown: Shutdown) {
    let mut running: HashMap<String, Running> = HashMap::new();
    let mut tasks = JoinSet::new();
    let watch = |resource| Watch::new(client.clone(), resource, Scope::One(TenantId::HOST), shutdown.clone());
    let mut cluster_watch = watch(SUPER_CLUSTERS.group_resource());
    let mut secret_watch = watch(GroupResource::new("", "secrets"));
    let mut newer = match &options.embedded {
        Some(Embedded::Kubeconfig(text)) => Some(text.clone()),
        _ => None,
    };
    let mut is_made = options.embedded.is_none();
    loop {
        if !is_made {
            is_made = make_local(&client).await;
        }
        if let Err(error) = connect_all(&state, &client, &options, &mut running, &mut tasks).await {
            tracing::warn!(%error, "the super clusters could not be listed");
        }
        // A burst of events is one look.
        let retry = if is_made { Duration::from_secs(30) } else { Duration::from_millis(500) };
        tokio::select! {
            _ = cluster_watch.next() => {}
            _ = secret_watch.next() => {}
            () = changed(&mut newer) => {}
            () = tokio::time::sleep(retry) => {}
            () = shutdown.requested() => break,
        }
        while cluster_watch.try_next().is_some() || secret_watch.try_next().is_some() {}
    }
    for cluster in running.values() {
        cluster.stop.trigger();
    }
    while tasks.join_next().await.is_some() {}
}

/// Resolves when there is a newer text; never, when none can come.
async fn changed(text: &mut Option<watch::Receiver<String>>) {
    if let Some(newer) = text
        && newer.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Makes the `SuperCluster` of the embedded super cluster, if it is not there; true when it is then.
async fn make_local(client: &Arc<dyn PlaneClient>) -> bool {
    let at = ObjectName::cluster(LOCAL);
    if let Ok(Some(_)) = client.get(TenantId::HOST, &SUPER_CLUSTERS.group_resource(), &at).await {
        return true;
    }
    let body =
        json!({"apiVersion": API_VERSION, "kind": "SuperCluster", "metadata": {"name": LOCAL}, "spec": {}});
    let target = Target::new(TenantId::HOST, &SUPER_CLUSTERS, "", "");
    match client.write(&ACTOR, &target, Write::Create(body)).await {
        Ok(_) => true,
        Err(error) if error.is_already_exists() => true,
        Err(error) => {
            tracing::warn!(%error, "the SuperCluster of the embedded super cluster could not be made; trying again");
            false
        }
    }
}

async fn connect_all(
    state: &Arc<State>,
    client: &Arc<dyn PlaneClient>,
    options: &Options,
    running: &mut HashMap<String, Running>,
    tasks: &mut JoinSet<()>,
) -> Result<(), ApiError> {
    let mut named = Vec::new();
    for object in client.list(TenantId::HOST, &SUPER_CLUSTERS.group_resource(), "").await? {
        let cluster: tenancy::SuperCluster = object.decode()?;
        let name = cluster.metadata.name.clone();
        named.push(name.clone());
        let wanted = match source(client, options, &cluster).await {
            Ok(wanted) => wanted,
            Err(problem) => {
                say(client, &object, &problem, None).await;
                continue;
            }
        };
        let mark = wanted.mark();
        let servers = cluster.spec.dns_addresses;
        let dns = (!servers.is_empty()).then_some(PodDns { servers });
        if running.get(&name).is_some_and(|r| r.source == mark) {
            if let Some(known) = state.super_cluster(&name) {
                *known.dns.write() = dns;
            }
            continue;
        }
        let api = match wanted.connect().await {
            Ok(api) => api,
            Err(problem) => {
                say(client, &object, &problem, None).await;
                continue;
            }
        };
        if let Some(old) = running.remove(&name) {
            old.stop.trigger();
        }
        let is_here = cluster.spec.kubeconfig_secret.is_none()
            && matches!(options.embedded, Some(Embedded::Kubeconfig(_)));
        // Never more than there are beside: others have theirs, whatever becomes of it.
        let workers = if is_here { options.embedded_workers.min(options.workers) } else { options.workers };
        let handle = Arc::new(SuperCluster::new(&name, api, workers));
        *handle.dns.write() = dns;
        state.put_super_cluster(handle.clone());
        let stop = Shutdown::new();
        running.insert(name, Running { source: mark, stop: stop.clone() });
        // Ends when the cluster is let go or at shutdown; everything in it is tried again inside.
        let options = Options { workers, ..options.clone() };
        tasks.spawn(cluster_watch::run(state.clone(), client.clone(), handle, options, stop));
    }
    running.retain(|name, cluster| {
        let stays = named.contains(name);
        if !stays {
            cluster.stop.trigger();
            state.remove_super_cluster(name);
        }
        stays
    });
    while tasks.try_join_next().is_some() {}
    Ok(())
}

enum Source {
    Kubeconfig(String),
    InCluster,
    Api(Arc<dyn SuperApi>),
}

impl Source {
    /// Changes when the cluster must be connected anew.
    fn mark(&self) -> String {
        match self {
            Source::Kubeconfig(text) => digest(text.as_bytes()),
            Source::InCluster => "in-cluster".to_owned(),
            Source::Api(_) => "api".to_owned(),
        }
    }

    async fn connect(self) -> Result<Arc<dyn SuperApi>, Health> {
        let invalid =
            |error: crate::super_kube::ConnectError| Health::Failed("KubeconfigInvalid", error.to_string());
        Ok(match self {
            Source::Kubeconfig(text) => Arc::new(KubeSuper::from_kubeconfig(&text).await.map_err(invalid)?),
            Source::InCluster => Arc::new(KubeSuper::in_cluster().await.map_err(invalid)?),
            Source::Api(api) => api,
        })
    }
}

async fn source(
    client: &Arc<dyn PlaneClient>,
    options: &Options,
    cluster: &tenancy::SuperCluster,
) -> Result<Source, Health> {
    if let Some(reference) = &cluster.spec.kubeconfig_secret {
        return kubeconfig(client, reference).await.map(Source::Kubeconfig);
    }
    match &options.embedded {
        Some(Embedded::Kubeconfig(text)) => Ok(Source::Kubeconfig(text.borrow().clone())),
        Some(Embedded::InCluster) => Ok(Source::InCluster),
        Some(Embedded::Api(api)) => Ok(Source::Api(api.clone())),
        None => Err(Health::Failed(
            "KubeconfigMissing",
            "spec.kubeconfigSecret is not set, and this installation has no super cluster of its own"
                .to_owned(),
        )),
    }
}

async fn kubeconfig(client: &Arc<dyn PlaneClient>, reference: &SecretKeyRef) -> Result<String, Health> {
    let missing = |what: String| Health::Failed("KubeconfigMissing", what);
    let at = ObjectName::new(&reference.namespace, &reference.name);
    let secret = client.get(TenantId::HOST, &GroupResource::new("", "secrets"), &at).await;
    let secret = match secret.and_then(|s| s.map(|s| s.value()).transpose()) {
        Ok(Some(secret)) => secret,
        Ok(None) => return Err(missing(format!("the Secret {at} is not there"))),
        Err(error) => return Err(missing(format!("the Secret {at} cannot be read: {error}"))),
    };
    let Some(encoded) = secret["data"][&reference.key].as_str() else {
        return Err(missing(format!("the Secret {at} has no key {:?}", reference.key)));
    };
    let bytes = STANDARD.decode(encoded).ok();
    bytes.and_then(|b| String::from_utf8(b).ok()).ok_or_else(|| {
        Health::Failed(
            "KubeconfigInvalid",
            format!("the key {:?} of the Secret {at} is not text", reference.key),
        )
    })
}

/// What a `SuperCluster`'s status tells beside its health.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Nodes.
    pub nodes: usize,
    /// Tenants placed on it.
    pub tenants: usize,
}

/// Writes a super cluster's health into the status of its `SuperCluster`.
pub async fn say(client: &Arc<dyn PlaneClient>, object: &Object, health: &Health, counts: Option<Counts>) {
    if let Err(error) = try_say(client, object, health, counts).await
        && !error.is_conflict()
    {
        tracing::warn!(cluster = %object.name, %error, "the status of the SuperCluster could not be written");
    }
}

async fn try_say(
    client: &Arc<dyn PlaneClient>,
    object: &Object,
    health: &Health,
    counts: Option<Counts>,
) -> Result<(), ApiError> {
    let cluster: tenancy::SuperCluster = object.decode()?;
    let mut status = cluster.status.clone();
    let now = Timestamp::now();
    let ready = match health {
        Health::Unknown => {
            Condition::new("Ready", false, "Connecting", "the cluster was not reached yet", now)
        }
        Health::Ready { version, lacks } => {
            status.version = Some(version.clone());
            match lacks.as_str() {
                "" => Condition::new("Ready", true, "Connected", "", now),
                lacks => Condition::new(
                    "Ready",
                    true,
                    "RightsMissing",
                    format!("not shown to tenants: {lacks}"),
                    now,
                ),
            }
        }
        Health::Failed(reason, message) => Condition::new("Ready", false, reason, message.clone(), now),
    };
    condition::set(&mut status.conditions, ready.observed(object.meta.generation));
    if let Some(counts) = counts {
        status.nodes = u32::try_from(counts.nodes).ok();
        status.tenants = u32::try_from(counts.tenants).ok();
    }
    if status == cluster.status {
        return Ok(());
    }
    let status = serde_json::to_value(status).map_err(ApiError::internal)?;
    let patch = json!({"metadata": {"uid": object.meta.uid.as_str(), "resourceVersion": object.revision.to_string()},
        "status": status});
    let target = Target::new(TenantId::HOST, &SUPER_CLUSTERS, "", &object.name.name).subresource("status");
    client.write(&ACTOR, &target, Write::Patch(Patch::Merge(patch))).await.map(drop)
}
