//! From the store into the cache: everything at start, then every commit.

use super::record::{self, RecordError};
use super::{Cache, Incoming};
use api_types::{GroupResource, ResourceKey, Revision, TenantId};
use object_store::{ObjectStore, Range, StoreError};
use service_runtime::Shutdown;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// Objects read at a time while starting.
const PAGE: usize = 10_000;

/// The key of an object in its plane's space.
pub fn store_key(key: &ResourceKey) -> String {
    let (resource, object) = (&key.resource, &key.object);
    format!("{}/{}/{}/{}", resource.group, resource.resource, object.namespace, object.name)
}

/// The object of a key. `None` for a key that is not of this form.
pub fn parse_key(key: &str) -> Option<ResourceKey> {
    let mut parts = key.splitn(4, '/');
    let (group, resource) = (parts.next()?, parts.next()?);
    let (namespace, name) = (parts.next()?, parts.next()?);
    Some(ResourceKey::new(GroupResource::new(group, resource), namespace, name))
}

/// Why the cache could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A newer release wrote an object: this one would lose what it does not know, and does not start.
    #[error("the stored object {key} of plane {tenant} cannot be read")]
    Object {
        /// Whose.
        tenant: TenantId,
        /// Which.
        key: String,
        /// Why.
        source: RecordError,
    },
}

/// Reads everything, at one revision.
pub async fn load(cache: &Cache, store: &dyn ObjectStore) -> Result<Revision, FeedError> {
    let mut range = Range { limit: PAGE, ..Range::default() };
    loop {
        let page = store.range(range.clone()).await?;
        range.at = Some(page.revision);
        for item in &page.items {
            let Some(key) = parse_key(&item.key) else { continue };
            let record = match record::decode(key.object.clone(), &item.value, item.modified) {
                Ok(record) => record,
                Err(source @ RecordError::NewerFormat(_)) => {
                    return Err(FeedError::Object { tenant: item.tenant, key: key.to_string(), source });
                }
                Err(error) => told_broken(item.tenant, &key, &error, item.modified),
            };
            let record = Arc::new(record);
            cache.admit(item.tenant, page.revision);
            let change = super::collection::Change::loaded(record.clone());
            cache.index(item.tenant, &key.resource, &change);
            cache.collection(item.tenant, &key.resource).load(record);
        }
        match page.items.last() {
            Some(last) if page.more => range.after = Some((last.tenant, last.key.clone())),
            _ => {
                cache.publish(page.revision);
                return Ok(page.revision);
            }
        }
    }
}

/// An object that cannot be read has its place in the cache, so that who asks for it is told, and the others go on.
fn told_broken(tenant: TenantId, key: &ResourceKey, error: &RecordError, at: Revision) -> record::Record {
    tracing::error!(%tenant, %key, %error, "a stored object cannot be read; requests for it are refused with its name");
    record::broken(key.object.clone(), error, at)
}

/// Follows the store until shutdown. `observe` sees each change after the cache has it and before the write that
/// caused it is acknowledged.
pub async fn follow(
    cache: Arc<Cache>,
    store: Arc<dyn ObjectStore>,
    mut from: Revision,
    observe: impl Fn(TenantId, &ResourceKey) + Send,
    shutdown: Shutdown,
) {
    loop {
        let watch = tokio::select! {
            watch = store.watch(from) => watch,
            () = shutdown.requested() => return,
        };
        match watch {
            Ok(mut watch) => loop {
                let batch = tokio::select! {
                    batch = watch.recv() => batch,
                    () = shutdown.requested() => return,
                };
                let Some(batch) = batch else { break };
                cache.begin(batch.revision);
                for event in &batch.events {
                    let Some(key) = parse_key(&event.key) else { continue };
                    let incoming = match &event.value {
                        None => Incoming::Removed(batch.revision),
                        Some(value) => match record::decode(key.object.clone(), value, batch.revision) {
                            Ok(record) => Incoming::Put(record),
                            Err(error) => {
                                Incoming::Put(told_broken(event.tenant, &key, &error, batch.revision))
                            }
                        },
                    };
                    cache.apply(event.tenant, &key.resource, key.object.clone(), incoming);
                    // A defect in what follows one object must not stop every plane's writes.
                    let observed = std::panic::catch_unwind(AssertUnwindSafe(|| observe(event.tenant, &key)));
                    if observed.is_err() {
                        tracing::error!(tenant = %event.tenant, %key, "a change could not be followed");
                    }
                }
                from = batch.revision;
                cache.publish(from);
            },
            Err(error) => {
                tracing::error!(%error, "the store cannot be watched; trying again");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    () = shutdown.requested() => return,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{SharedByPlane, SharedObjects};

    #[test]
    fn keys_are_reversible() {
        for (namespace, name) in [("", "system:node"), ("default", "a.b-c"), ("x", "")] {
            let key = ResourceKey::new(GroupResource::new("apps", "deployments"), namespace, name);
            assert_eq!(parse_key(&store_key(&key)), Some(key));
        }
        assert_eq!(parse_key("only/three/parts"), None);
    }
    #[tokio::test]
    async fn a_commit_that_is_coming_in_is_waited_for() {
        let [host, tenant, superior] = std::array::from_fn(|_| SharedObjects::default());
        let cache = Cache::new(SharedByPlane { host, tenant, superior });
        cache.wait_for_whole_commit().await;
        cache.begin(Revision(7));
        let mut waiting = Box::pin(cache.wait_for_whole_commit());
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        cache.publish(Revision(7));
        waiting.await;
    }

    #[tokio::test]
    async fn a_list_shows_no_older_object_than_was_read_before() {
        let [host, tenant, superior] = std::array::from_fn(|_| SharedObjects::default());
        let cache = Cache::new(SharedByPlane { host, tenant, superior });
        let maps = GroupResource::new("", "configmaps");
        let name = api_types::ObjectName::new("a", "x");
        let put = |revision| {
            let stored = record::encode(&serde_json::json!({"metadata": {"name": "x"}}), Vec::new(), 0);
            let record = record::decode(name.clone(), &stored, revision).unwrap();
            cache.begin(revision);
            cache.apply(TenantId::HOST, &maps, name.clone(), Incoming::Put(record));
        };
        put(Revision(1));
        cache.publish(Revision(1));
        put(Revision(2));
        assert_eq!(cache.get(TenantId::HOST, &maps, &name).unwrap().revision, Revision(2));
        // The rest of the second commit is still to come.
        let collection = cache.collection(TenantId::HOST, &maps);
        let mut list = Box::pin(cache.newest(&collection));
        assert!(futures::poll!(list.as_mut()).is_pending());
        cache.publish(Revision(2));
        let (snapshot, at) = list.await;
        let shown: Vec<_> = snapshot.records("a", None).iter().map(|record| record.revision).collect();
        assert_eq!((shown, at), (vec![Revision(2)], Revision(2)));
    }
}
