//! What the scheduler watches.

use crate::resources::{
    NAMESPACES, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, SERVICES, STORAGE_CLASSES,
};
use plane_client::{Object, PlaneClient, Resource, Scope, TenantId, Watch, WatchItem};
use service_runtime::Shutdown;
use std::sync::Arc;

/// Something happened: the object, and whether it is there.
pub(super) enum News {
    Pod(Object, bool),
    Node(Object, bool),
    Namespace(Object, bool),
    Service(Object, bool),
    /// A claim, a volume or a class.
    Storage,
}

struct One {
    watch: Watch,
    news: fn(Object, bool) -> News,
    is_synced: bool,
}

/// All watches of one plane.
pub(super) struct Watches {
    nodes: One,
    namespaces: One,
    services: One,
    claims: One,
    volumes: One,
    classes: One,
    pods: One,
}

impl One {
    /// What an item tells; `None`: nothing.
    fn tell(&mut self, item: WatchItem) -> Option<News> {
        match item {
            WatchItem::Applied(object) => Some((self.news)(object, true)),
            WatchItem::Deleted(object) => Some((self.news)(object, false)),
            WatchItem::Synced => {
                self.is_synced = true;
                None
            }
        }
    }
}

impl Watches {
    pub(super) fn new(client: &Arc<dyn PlaneClient>, plane: TenantId, shutdown: &Shutdown) -> Self {
        let watch = |resource: &Resource, news| One {
            watch: Watch::new(client.clone(), resource.group_resource(), Scope::One(plane), shutdown.clone()),
            news,
            is_synced: false,
        };
        let storage = |_, _| News::Storage;
        Watches {
            nodes: watch(&NODES, News::Node),
            namespaces: watch(&NAMESPACES, News::Namespace),
            services: watch(&SERVICES, News::Service),
            claims: watch(&PERSISTENT_VOLUME_CLAIMS, storage),
            volumes: watch(&PERSISTENT_VOLUMES, storage),
            classes: watch(&STORAGE_CLASSES, storage),
            pods: watch(&PODS, News::Pod),
        }
    }

    /// True when everything that was there has been told.
    pub(super) fn are_synced(&self) -> bool {
        [
            &self.nodes,
            &self.namespaces,
            &self.services,
            &self.claims,
            &self.volumes,
            &self.classes,
            &self.pods,
        ]
        .iter()
        .all(|one| one.is_synced)
    }

    /// What happened next; `None` at shutdown. Can be dropped and called again without losing anything.
    pub(super) async fn next(&mut self) -> Option<News> {
        loop {
            let told = tokio::select! {
                biased;
                item = self.nodes.watch.next() => self.nodes.tell(item?),
                item = self.namespaces.watch.next() => self.namespaces.tell(item?),
                item = self.services.watch.next() => self.services.tell(item?),
                item = self.classes.watch.next() => self.classes.tell(item?),
                item = self.volumes.watch.next() => self.volumes.tell(item?),
                item = self.claims.watch.next() => self.claims.tell(item?),
                item = self.pods.watch.next() => self.pods.tell(item?),
            };
            match told {
                Some(news) => return Some(news),
                // The caller sees that everything is told now.
                None if self.are_synced() => return Some(News::Storage),
                None => {}
            }
        }
    }
}
