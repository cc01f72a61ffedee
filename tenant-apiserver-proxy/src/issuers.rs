//! Who issued a plane's tokens: the address that the server is reached at signs, those of before verify too, as
//! kube-apiserver has it with several `--service-account-issuer`.
//!
//! Guarantees: a token outlives a change of the address; it is still only the plane's own key that verifies it. The
//! last 16 addresses are known.

use crate::bootstrap;
use crate::cache::feed::store_key;
use crate::planes::{Plane, PlaneKind};
use crate::server::{Server, StartError};
use crate::tenants::TENANTS;
use api_types::{GroupResource, ResourceKey, Revision, TenantId};
use arc_swap::ArcSwap;
use object_store::{Commit, CommitError, Space};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// The resource under which the addresses are stored, in the host plane. It has no row in the table of resources: no
/// request reaches it.
pub static ADDRESSES: LazyLock<GroupResource> =
    LazyLock::new(|| GroupResource::new("insula.internal", "addresses"));
const NAME: &str = "served";
/// The most addresses that are known.
const MAX: usize = 16;

/// Addresses that the server is or was reached at, the one of now first.
pub struct Addresses(ArcSwap<Vec<String>>);

impl Addresses {
    /// Only the one of now.
    pub fn new(base_url: &str) -> Self {
        Addresses(ArcSwap::from_pointee(vec![base_url.to_owned()]))
    }

    /// The issuers of a plane's tokens, of which the first signs. They are the audiences of its API as well.
    pub fn issuers(&self, plane: &Plane) -> Vec<String> {
        let path = plane.path();
        self.0.load().iter().map(|address| format!("{address}{path}")).collect()
    }

    /// The path of the plane that an issuer stands for; `None` when it is not one of ours.
    pub fn path_of<'a>(&self, issuer: &'a str) -> Option<&'a str> {
        let addresses = self.0.load();
        let below = |address: &String| issuer.strip_prefix(address.as_str());
        addresses.iter().filter_map(below).find(|path| path.is_empty() || path.starts_with('/'))
    }
}

fn key() -> ResourceKey {
    ResourceKey::new(ADDRESSES.clone(), "", NAME)
}

/// What is stored, and at which revision.
fn stored(server: &Server) -> (Vec<String>, Revision) {
    let key = key();
    let record = server.cache.get(TenantId::HOST, &key.resource, &key.object);
    let value = record.as_ref().and_then(|record| record.value().ok()).unwrap_or_default();
    let revision = record.map_or(Revision::ZERO, |record| record.expected());
    (serde_json::from_value(value["addresses"].clone()).unwrap_or_default(), revision)
}

/// Follows a change of what is stored.
pub fn observe(server: &Server) {
    let known = newest_first(&server.base_url(), stored(server).0);
    server.addresses.0.store(Arc::new(known));
}

/// Remembers the address that the server is started with. The first time, the addresses that tenants tell are taken
/// over: an earlier release remembered none.
pub async fn ensure(server: &Server) -> Result<(), StartError> {
    loop {
        let (before, revision) = stored(server);
        let told = if before.is_empty() { told_by_tenants(server) } else { Vec::new() };
        let now = newest_first(&server.base_url(), before.iter().cloned().chain(told));
        if now == before {
            observe(server);
            return Ok(());
        }
        let (space, key) = (Space::new(TenantId::HOST), key());
        let object: Value = json!({"kind": "Addresses", "apiVersion": "insula.internal/v1",
            "metadata": {"name": NAME}, "addresses": now});
        let commit = Commit {
            preconditions: vec![space.expect(store_key(&key), revision)],
            operations: vec![bootstrap::put(space, &key, &object)],
        };
        match server.commit(commit).await {
            Ok(_) => {}
            // Another process of the installation starts too: its address is one of ours.
            Err(CommitError::Precondition { actual, .. }) => server.cache.wait_for(actual).await,
            Err(error) => return Err(error.into()),
        }
    }
}

fn newest_first(now: &str, others: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut all = vec![now.to_owned()];
    for other in others {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all.truncate(MAX);
    all
}

fn told_by_tenants(server: &Server) -> Vec<String> {
    let tenants = server.planes.all().into_iter().filter(|plane| plane.kind == PlaneKind::Tenant);
    let address = |plane: Arc<Plane>| {
        let key = ResourceKey::new(TENANTS.clone(), "", &plane.name);
        let tenant = server.cache.get(TenantId::HOST, &key.resource, &key.object)?.value().ok()?;
        Some(tenant["status"]["endpoint"].as_str()?.strip_suffix(plane.path().as_str())?.to_owned())
    };
    tenants.filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_of_all_addresses_lead_to_a_plane() {
        let addresses = Addresses::new("https://a");
        addresses
            .0
            .store(Arc::new(newest_first("https://a", ["https://a:8".to_owned(), "https://b".to_owned()])));
        let cache = crate::cache::Cache::new(crate::bootstrap::shared_objects());
        let network = std::sync::Arc::new(crate::dialer::Network::new(std::sync::Arc::new(cache)));
        let acme = Plane::new(TenantId::LOCAL_SUPER, PlaneKind::Tenant, "acme", &network);
        assert_eq!(
            addresses.issuers(&acme),
            ["https://a/tenants/acme", "https://a:8/tenants/acme", "https://b/tenants/acme"]
        );
        for (issuer, path) in [
            ("https://a/tenants/acme", Some("/tenants/acme")),
            ("https://a:8/tenants/acme", Some("/tenants/acme")),
            ("https://b", Some("")),
            ("https://a.evil/tenants/acme", None),
            ("https://c/tenants/acme", None),
        ] {
            assert_eq!(addresses.path_of(issuer), path, "{issuer}");
        }
    }

    #[test]
    fn the_newest_addresses_are_kept() {
        let many = (0..2 * MAX).map(|n| format!("https://{n}"));
        let kept = newest_first("https://5", many);
        assert_eq!(kept.len(), MAX);
        assert_eq!(kept[..2], ["https://5", "https://0"]);
        assert_eq!(kept.iter().filter(|address| *address == "https://5").count(), 1);
    }
}
