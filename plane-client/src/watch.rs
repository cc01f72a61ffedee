//! A watch that is made again when it ends.

use crate::client::{PlaneClient, Scope, WatchItem};
use api_types::GroupResource;
use service_runtime::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long a watch that ended waits before it is made again.
const DELAY: Duration = Duration::from_millis(100);

/// One resource, watched until shutdown. A watch that ends is made again, and then tells everything anew.
pub struct Watch {
    client: Arc<dyn PlaneClient>,
    resource: GroupResource,
    scope: Scope,
    shutdown: Shutdown,
    items: mpsc::Receiver<WatchItem>,
    /// The watch ended; it is made again at this time.
    again: Option<Instant>,
}

impl Watch {
    /// Begins to watch.
    pub fn new(
        client: Arc<dyn PlaneClient>,
        resource: GroupResource,
        scope: Scope,
        shutdown: Shutdown,
    ) -> Self {
        let items = client.list_watch(&resource, scope);
        Watch { client, resource, scope, shutdown, items, again: None }
    }

    /// The next item; `None` at shutdown. Can be dropped and called again without losing anything.
    pub async fn next(&mut self) -> Option<WatchItem> {
        loop {
            if let Some(again) = self.again {
                tokio::select! {
                    () = tokio::time::sleep_until(again) => {}
                    () = self.shutdown.requested() => return None,
                }
                self.items = self.client.list_watch(&self.resource, self.scope);
                self.again = None;
            }
            tokio::select! {
                item = self.items.recv() => match item {
                    Some(item) => return Some(item),
                    None => self.again = Some(Instant::now() + DELAY),
                },
                () = self.shutdown.requested() => return None,
            }
        }
    }

    /// An item that has come already; `None` when none has.
    pub fn try_next(&mut self) -> Option<WatchItem> {
        self.items.try_recv().ok()
    }
}

#[cfg(all(test, feature = "fake"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fake::FakePlanes;
    use api_types::TenantId;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_ends_begins_anew_however_often_it_is_left() {
        let planes = FakePlanes::new();
        for name in ["a", "b"] {
            let metadata = json!({"name": name, "namespace": "default"});
            planes
                .put(TenantId::HOST, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}));
        }
        planes.break_watches(1);
        let shutdown = Shutdown::new();
        let resource = GroupResource::new("", "configmaps");
        let mut watch = Watch::new(planes.client(), resource, Scope::One(TenantId::HOST), shutdown.clone());
        let mut seen = Vec::new();
        while seen.len() < 3 {
            // Who watches two things leaves one for the other again and again.
            tokio::select! {
                item = watch.next() => match item {
                    Some(WatchItem::Applied(object)) => seen.push(object.name.name.to_string()),
                    other => assert!(matches!(other, Some(WatchItem::Synced)), "{other:?}"),
                },
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
        assert_eq!(seen, ["a", "a", "b"]);
        assert_eq!(planes.watches_to_break(), 0);
        shutdown.trigger();
        while watch.next().await.is_some() {}
    }
}
