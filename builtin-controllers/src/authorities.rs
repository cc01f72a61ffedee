//! What is published of certificate authorities is made due when one of them changes: no object that controllers watch
//! tells of it.

use crate::api_services::trust;
use crate::resources::{CONFIG_MAPS, NAMESPACES, SECRETS};
use crate::token_secrets::is_typed;
use plane_client::{ObjectName, PlaneClient, Scope, TenantId, WatchItem};
use service_runtime::{FairQueue, Shutdown};
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// The queues of those who publish.
pub(crate) struct Publishers {
    /// Keys are namespaces.
    pub(crate) root_ca: FairQueue<TenantId, ObjectName>,
    /// Its key is the one ConfigMap of a plane.
    pub(crate) trust: FairQueue<TenantId, ObjectName>,
    /// Keys are Secrets with tokens.
    pub(crate) token_secrets: FairQueue<TenantId, ObjectName>,
}

/// Follows the changes of planes' authorities until shutdown.
pub(crate) async fn follow(
    client: Arc<dyn PlaneClient>,
    mut changes: broadcast::Receiver<TenantId>,
    publishers: Publishers,
    shutdown: Shutdown,
) {
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = shutdown.requested() => return,
        };
        match change {
            Ok(plane) => {
                publish_trust(&*client, &publishers, plane).await;
                if plane == TenantId::HOST {
                    every_namespace(&*client, &publishers, |_| ()).await;
                    every_token(&*client, &publishers).await;
                } else {
                    tokens(&*client, &publishers, plane).await;
                }
            }
            Err(RecvError::Lagged(_)) => {
                let mut planes = Vec::new();
                every_namespace(&*client, &publishers, |plane| planes.push(plane)).await;
                planes.dedup();
                for plane in planes {
                    publish_trust(&*client, &publishers, plane).await;
                }
                every_token(&*client, &publishers).await;
            }
            Err(RecvError::Closed) => return shutdown.requested().await,
        }
    }
}

/// Makes the ConfigMap due by which a plane's extension servers know who asks them, where there is one.
async fn publish_trust(client: &dyn PlaneClient, publishers: &Publishers, plane: TenantId) {
    // What cannot be read is not there: the ConfigMap's own events come again with it.
    if let Ok(Some(_)) = client.get(plane, &CONFIG_MAPS.group_resource(), &trust::key()).await {
        publishers.trust.add(plane, trust::key());
    }
}

/// Makes the Secrets of a plane due that hold tokens: its keys are others.
async fn tokens(client: &dyn PlaneClient, publishers: &Publishers, plane: TenantId) {
    // What cannot be read comes again with its own events.
    let Ok(secrets) = client.list(plane, &SECRETS.group_resource(), "").await else { return };
    for secret in secrets.into_iter().filter(is_typed) {
        publishers.token_secrets.add(plane, secret.name);
    }
}

/// The same for all planes: the CAs that stand beside the tokens are others.
async fn every_token(client: &dyn PlaneClient, publishers: &Publishers) {
    let mut secrets = client.list_watch(&SECRETS.group_resource(), Scope::All);
    while let Some(item) = secrets.recv().await {
        match item {
            WatchItem::Applied(secret) if is_typed(&secret) => {
                publishers.token_secrets.add(secret.tenant, secret.name);
            }
            WatchItem::Applied(_) | WatchItem::Deleted(_) => {}
            WatchItem::Synced => return,
        }
    }
}

/// Makes the root CA of every namespace due.
async fn every_namespace(
    client: &dyn PlaneClient,
    publishers: &Publishers,
    mut seen: impl FnMut(TenantId) + Send,
) {
    let mut namespaces = client.list_watch(&NAMESPACES.group_resource(), Scope::All);
    while let Some(item) = namespaces.recv().await {
        match item {
            WatchItem::Applied(namespace) => {
                seen(namespace.tenant);
                publishers.root_ca.add(namespace.tenant, ObjectName::cluster(&namespace.name.name));
            }
            WatchItem::Deleted(_) => {}
            WatchItem::Synced => return,
        }
    }
}
