//! Wires the services into the process.

use crate::cli::Up;
use anyhow::Context;
use kube::config::Kubeconfig;
use plane_client::PlaneClient;
use service_runtime::Shutdown;
use std::path::PathBuf;
use std::sync::Arc;
use tenant_apiserver_proxy::in_process::InProcess;
use tenant_apiserver_proxy::server::Server;
use tokio::task::JoinSet;

/// A real cluster to use as super cluster.
pub struct SuperKubeconfig {
    /// The name of its `SuperCluster`.
    pub name: String,
    /// The kubeconfig.
    pub text: String,
}

/// Reads the kubeconfigs of super clusters; the name of each is that of its current context, made a DNS label.
pub fn read_super_kubeconfigs(paths: &[PathBuf]) -> anyhow::Result<Vec<SuperKubeconfig>> {
    paths
        .iter()
        .map(|path| {
            let shown = path.display();
            let text = std::fs::read_to_string(path).with_context(|| format!("the kubeconfig {shown} cannot be read"))?;
            let config: Kubeconfig = serde_yaml_ng::from_str(&text)
                .with_context(|| format!("the kubeconfig {shown} is not a valid kubeconfig"))?;
            let context = config
                .current_context
                .filter(|name| !name.is_empty())
                .with_context(|| format!("the kubeconfig {shown} has no current-context"))?;
            Ok(SuperKubeconfig { name: label(&context), text })
        })
        .collect()
}

/// A DNS label as close to a text as can be.
fn label(text: &str) -> String {
    let replaced: String = text
        .to_lowercase()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .take(63)
        .collect();
    let trimmed = replaced.trim_matches('-');
    if trimmed.is_empty() { "super".to_owned() } else { trimmed.to_owned() }
}

/// Starts every service; each runs until shutdown.
pub async fn start(
    _tasks: &mut JoinSet<()>,
    server: &Arc<Server>,
    _flags: &Up,
    _base_url: &str,
    _local: Option<String>,
    _supers: Vec<SuperKubeconfig>,
    _shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let _client: Arc<dyn PlaneClient> = Arc::new(InProcess::new(server.clone()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_contexts_become_labels() {
        for (text, expected) in [("kind-kind", "kind-kind"), ("Admin@Prod.EU", "admin-prod-eu"), ("@@", "super")] {
            assert_eq!(label(text), expected);
        }
    }
}
