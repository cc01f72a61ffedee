//! Wires the services into the process.

use crate::dns;
use crate::tasks::Tasks;
use anyhow::Context;
use api_types::{Resource, TenantId, tenancy};
use base64::Engine;
use builtin_controllers::Template;
use kube::config::Kubeconfig;
use plane_client::{Actor, MetricSource, Patch, PlaneClient, Target, UsageMeter, Write};
use serde_json::json;
use service_runtime::Shutdown;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tenant_apiserver_proxy::in_process::InProcess;
use tenant_apiserver_proxy::server::Server;
use tokio::sync::watch;

/// A real cluster to use as super cluster.
pub struct SuperKubeconfig {
    /// The name of its `SuperCluster`.
    pub name: String,
    /// The kubeconfig.
    pub text: String,
}

/// Reads the kubeconfigs of super clusters; the name of each is that of its current context, made a DNS label.
pub fn read_super_kubeconfigs(paths: &[PathBuf]) -> anyhow::Result<Vec<SuperKubeconfig>> {
    let mut read: Vec<SuperKubeconfig> = Vec::new();
    for path in paths {
        let cluster = read_super_kubeconfig(path)?;
        if read.iter().any(|other| other.name == cluster.name) {
            anyhow::bail!("two kubeconfigs have the current-context {:?}: rename one of them", cluster.name);
        }
        read.push(cluster);
    }
    Ok(read)
}

fn read_super_kubeconfig(path: &Path) -> anyhow::Result<SuperKubeconfig> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).with_context(|| format!("the kubeconfig {shown} cannot be read"))?;
    let config: Kubeconfig = serde_yaml_ng::from_str(&text)
        .with_context(|| format!("the kubeconfig {shown} is not a valid kubeconfig"))?;
    let context = config
        .current_context
        .filter(|name| !name.is_empty())
        .with_context(|| format!("the kubeconfig {shown} has no current-context"))?;
    Ok(SuperKubeconfig { name: label(&context), text })
}

/// A DNS label as close to a text as can be.
fn label(text: &str) -> String {
    let replaced: String = text
        .to_lowercase()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .take(63)
        .collect();
    match replaced.trim_matches('-') {
        "" => "super".to_owned(),
        // The embedded super cluster has this name.
        syncer::LOCAL => format!("super-{}", syncer::LOCAL),
        trimmed => trimmed.to_owned(),
    }
}

/// What the services are told at their start.
pub struct Wiring<'a> {
    /// The server that they work on.
    pub server: &'a Arc<Server>,
    /// Simulated nodes of the embedded super cluster.
    pub nodes: u32,
    /// Whether its pods are scheduled here.
    pub scheduler: bool,
    /// What they are like.
    pub node_templates: Vec<Template>,
    /// How long events stay.
    pub event_ttl: Duration,
    /// The kubeconfig of the embedded super cluster, when there is one, as it is made anew.
    pub local: Option<watch::Receiver<String>>,
    /// Real super clusters.
    pub supers: Vec<SuperKubeconfig>,
    /// DNS for tenants' pods.
    pub dns: Option<dns::Plan>,
}

/// Starts every service. Each supervises its own tasks and runs until shutdown.
pub async fn start(tasks: &mut Tasks, wiring: Wiring<'_>, shutdown: &Shutdown) -> anyhow::Result<()> {
    let in_process = Arc::new(InProcess::new(wiring.server.clone()));
    let client: Arc<dyn PlaneClient> = in_process.clone();
    for cluster in &wiring.supers {
        register(&*client, cluster).await?;
    }
    let reserver = syncer::Reserver::new();
    wiring.server.set_reserver(Box::new(reserver.clone()));
    wiring.server.set_placer(Box::new(reserver.clone()));
    wiring.server.set_pod_tunnel(Box::new(reserver.pod_tunnel()));
    let questions = Arc::new(tenant_dns::Counts::default());
    let mut sources: Vec<Arc<dyn MetricSource>> = vec![Arc::new(reserver.metrics())];
    if wiring.dns.is_some() {
        sources.push(questions.clone());
    }
    wiring.server.set_metric_sources(sources);
    let mut meters: Vec<Arc<dyn UsageMeter>> = vec![Arc::new(reserver.tenant_usage())];
    if wiring.local.is_some() {
        let simulated = builtin_controllers::SimulatedUsage::new(client.clone(), TenantId::LOCAL_SUPER);
        meters.push(Arc::new(simulated));
    }
    wiring.server.set_usage_meters(meters);

    let controllers = builtin_controllers::Options {
        simulated_nodes: wiring.local.as_ref().map(|_| builtin_controllers::SimulatedNodes {
            plane: TenantId::LOCAL_SUPER,
            count: wiring.nodes,
            scheduler: wiring.scheduler,
            templates: wiring.node_templates,
        }),
        event_ttl: wiring.event_ttl,
    };
    let syncing = syncer::Options {
        embedded: wiring.local.map(syncer::Embedded::Kubeconfig),
        dns: wiring.dns.as_ref().map(|plan| plan.pods.clone()),
        ..syncer::Options::default()
    };
    tasks.spawn(
        "controllers",
        builtin_controllers::run(
            client.clone(),
            builtin_controllers::ApiServer::new(in_process),
            controllers,
            shutdown.clone(),
        ),
    );
    if let Some(dns) = wiring.dns {
        let directory = Arc::new(reserver.whereabouts());
        let server = tenant_dns::run(
            dns.sockets,
            client.clone(),
            directory,
            dns.upstreams,
            questions,
            shutdown.clone(),
        );
        tasks.spawn("DNS", server);
    }
    tasks.spawn("syncer", syncer::run(client.clone(), syncing, reserver, shutdown.clone()));
    tasks.spawn(
        "applications",
        oam_runtime::run(client.clone(), oam_runtime::Options::default(), shutdown.clone()),
    );
    tasks.spawn("clouds", cloud_adapters::run(client, cloud_adapters::Options::default(), shutdown.clone()));
    Ok(())
}

/// Makes the `SuperCluster` of a real cluster and the Secret with its kubeconfig, or brings them up to date.
async fn register(client: &dyn PlaneClient, cluster: &SuperKubeconfig) -> anyhow::Result<()> {
    const SECRETS: Resource = Resource::new("", "v1", "secrets");
    let actor = Actor::Platform("insula-up");
    let name = format!("super-{}", cluster.name);
    let encoded = base64::engine::general_purpose::STANDARD.encode(&cluster.text);
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"value": encoded}});
    let target = Target::new(TenantId::HOST, &SECRETS, tenancy::SYSTEM_NAMESPACE, &name);
    client.write(&actor, &target, Write::Patch(Patch::Apply(secret))).await?;
    let object = json!({"apiVersion": tenancy::API_VERSION, "kind": "SuperCluster", "metadata": {"name": cluster.name},
        "spec": {"kubeconfigSecret": {"namespace": tenancy::SYSTEM_NAMESPACE, "name": name, "key": "value"}}});
    let target = Target::new(TenantId::HOST, &tenancy::SUPER_CLUSTERS, "", &cluster.name);
    client.write(&actor, &target, Write::Patch(Patch::Apply(object))).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_contexts_become_labels() {
        for (text, expected) in [
            ("kind-kind", "kind-kind"),
            ("Admin@Prod.EU", "admin-prod-eu"),
            ("@@", "super"),
            ("local", "super-local"),
        ] {
            assert_eq!(label(text), expected);
        }
    }
}
