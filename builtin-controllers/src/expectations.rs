//! What a controller did that the cache may not show yet.

use plane_client::{Object, Revision, Selected, TenantId};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// What a cache has not shown after this long is not waited for: the pod was created and removed again while
/// the watch was interrupted.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Pending {
    created: HashMap<String, (Revision, Instant)>,
    deleted: HashMap<String, Instant>,
}

/// Creations and deletions by owner, until a list shows them.
#[derive(Default)]
pub(crate) struct Expectations(Mutex<HashMap<(TenantId, String), Pending>>);

/// What a list does not show yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unseen {
    /// How many creations.
    pub(crate) created: usize,
    /// Deletions, by UID.
    pub(crate) deleted: HashSet<String>,
}

impl Expectations {
    fn with<R>(&self, tenant: TenantId, owner: &str, act: impl FnOnce(&mut Pending) -> R) -> R {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = (tenant, owner.to_owned());
        let pending = all.entry(key.clone()).or_default();
        let result = act(pending);
        if pending.created.is_empty() && pending.deleted.is_empty() {
            all.remove(&key);
        }
        result
    }

    /// A pod was created for the owner.
    pub(crate) fn created(&self, tenant: TenantId, owner: &str, pod: &Object) {
        self.with(tenant, owner, |pending| {
            pending.created.insert(pod.meta.uid.to_string(), (pod.revision, Instant::now()));
        });
    }

    /// A pod of the owner was deleted.
    pub(crate) fn deleted(&self, tenant: TenantId, owner: &str, uid: &str) {
        self.with(tenant, owner, |pending| pending.deleted.insert(uid.to_owned(), Instant::now()));
    }

    /// Forgets what the list shows, and tells the rest. A list that shows anything newer than a creation shows
    /// the creation too, or the pod is gone already.
    pub(crate) fn settle(&self, tenant: TenantId, owner: &str, listed: &Selected) -> Unseen {
        let newest = listed.newest;
        let live: HashMap<&str, bool> =
            listed.objects.iter().map(|pod| (pod.meta.uid.as_str(), pod.meta.deleting)).collect();
        self.with(tenant, owner, |pending| {
            pending.created.retain(|_, (revision, at)| newest < *revision && at.elapsed() < PATIENCE);
            pending
                .deleted
                .retain(|uid, at| live.get(uid.as_str()) == Some(&false) && at.elapsed() < PATIENCE);
            Unseen { created: pending.created.len(), deleted: pending.deleted.keys().cloned().collect() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::{GroupResource, Meta, ObjectName};
    use serde_json::json;
    use std::sync::Arc;

    fn pod(uid: &str, revision: u64, deleting: bool) -> Object {
        let deletion = deleting.then_some("2026-01-01T00:00:00Z");
        Object {
            tenant: TenantId::HOST,
            resource: GroupResource::new("", "pods"),
            name: ObjectName::new("ns", uid),
            revision: Revision(revision),
            bytes: Default::default(),
            meta: Arc::new(Meta::of(&json!({"metadata": {"uid": uid, "deletionTimestamp": deletion}}))),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_lags_is_noticed() {
        let memory = Expectations::default();
        let seen = |listed: &[Object]| {
            let newest = listed.iter().map(|pod| pod.revision).max().unwrap_or_default();
            memory.settle(TenantId::HOST, "owner", &Selected { objects: listed.to_vec(), newest })
        };
        memory.created(TenantId::HOST, "owner", &pod("a", 5, false));
        memory.deleted(TenantId::HOST, "owner", "b");
        let lagging = seen(&[pod("b", 3, false)]);
        assert_eq!(lagging, Unseen { created: 1, deleted: HashSet::from(["b".to_owned()]) });
        assert_eq!(seen(&[pod("a", 5, false), pod("b", 6, true)]), Unseen::default());
        memory.created(TenantId::HOST, "owner", &pod("c", 7, false));
        tokio::time::advance(PATIENCE).await;
        assert_eq!(seen(&[]), Unseen::default());
    }
}
