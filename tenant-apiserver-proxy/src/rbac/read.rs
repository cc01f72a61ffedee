//! The roles and bindings of a plane, decoded.
//!
//! When a collection changes, only what has changed in it is decoded again: a tenant with thousands of bindings that adds
//! one pays for one. Bootstrap roles and bindings are decoded once for all planes.

use crate::cache::record::Record;
use crate::planes::Plane;
use crate::server::Server;
use api_resources::rbac::{self, Binding, Policy, Role};
use api_resources::{PlaneKind, bootstrap};
use api_types::{GroupResource, ObjectName, Revision};
use arc_swap::ArcSwapOption;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

/// What was read last.
pub type PolicyCell = ArcSwapOption<Read>;

/// The roles and bindings of a plane.
pub struct Read {
    versions: [u64; 4],
    cluster_roles: Arc<Sorted<Role>>,
    roles: Arc<Sorted<Role>>,
    cluster_bindings: Arc<Sorted<Binding>>,
    bindings: Arc<Sorted<Binding>>,
}

const RESOURCES: [&str; 4] = ["clusterroles", "roles", "clusterrolebindings", "rolebindings"];

/// Of collections that were not read.
const UNREAD: u64 = u64::MAX;

/// The roles and bindings of a plane as they are now.
pub fn policy(server: &Server, plane: &Plane) -> Arc<Read> {
    let collections =
        RESOURCES.map(|name| server.cache.collection(plane.id, &GroupResource::new(rbac::GROUP, name)));
    let versions = [0, 1, 2, 3].map(|index| collections[index].version());
    let known = plane.policy.load_full().unwrap_or_else(|| of_bootstrap(plane.kind));
    if known.versions == versions {
        return known;
    }
    let changed =
        |index: usize| (known.versions[index] != versions[index]).then(|| collections[index].list(""));
    let read = Arc::new(Read {
        versions,
        cluster_roles: renewed(&known.cluster_roles, changed(0), Role::of),
        roles: renewed(&known.roles, changed(1), Role::of),
        cluster_bindings: renewed(&known.cluster_bindings, changed(2), Binding::of),
        bindings: renewed(&known.bindings, changed(3), Binding::of),
    });
    plane.policy.store(Some(read.clone()));
    read
}

/// Those that planes of a kind share.
fn of_bootstrap(plane: PlaneKind) -> Arc<Read> {
    static OF_HOST: LazyLock<Arc<Read>> = LazyLock::new(|| bootstrapped(PlaneKind::Host));
    static OF_TENANTS: LazyLock<Arc<Read>> = LazyLock::new(|| bootstrapped(PlaneKind::Tenant));
    static OF_SUPERS: LazyLock<Arc<Read>> = LazyLock::new(|| bootstrapped(PlaneKind::Super));
    match plane {
        PlaneKind::Host => OF_HOST.clone(),
        PlaneKind::Tenant => OF_TENANTS.clone(),
        PlaneKind::Super => OF_SUPERS.clone(),
    }
}

fn bootstrapped(plane: PlaneKind) -> Arc<Read> {
    Arc::new(Read {
        versions: [UNREAD; 4],
        cluster_roles: shared(plane, RESOURCES[0], Role::of),
        roles: shared(plane, RESOURCES[1], Role::of),
        cluster_bindings: shared(plane, RESOURCES[2], Binding::of),
        bindings: shared(plane, RESOURCES[3], Binding::of),
    })
}

fn shared<T>(plane: PlaneKind, resource: &str, read: fn(&Value) -> T) -> Arc<Sorted<T>> {
    let all = bootstrap::objects(plane).iter().filter(|one| one.key.resource.resource == resource);
    let mut all: Vec<_> = all.map(|one| (one.key.object.clone(), Arc::new(read(&one.object)))).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (names, objects) = all.into_iter().map(|(name, of)| ((name, Revision::ZERO), of)).unzip();
    Arc::new(Sorted { names, objects })
}

fn renewed<T>(
    known: &Arc<Sorted<T>>,
    records: Option<Vec<Arc<Record>>>,
    read: fn(&Value) -> T,
) -> Arc<Sorted<T>> {
    match records {
        None => known.clone(),
        Some(records) => Arc::new(known.renewed(&records, read)),
    }
}

/// Decoded objects of one resource in the order of their names, with the revisions that a commit would expect: zero for
/// those that are shared.
struct Sorted<T> {
    names: Vec<(ObjectName, Revision)>,
    objects: Vec<Arc<T>>,
}

impl<T> Sorted<T> {
    fn get(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        let of = |(of, _): &(ObjectName, Revision)| {
            (of.namespace.as_str(), of.name.as_str()).cmp(&(namespace, name))
        };
        self.objects.get(self.names.binary_search_by(of).ok()?)
    }

    fn of_namespace(&self, namespace: &str) -> &[Arc<T>] {
        let from = self.names.partition_point(|(of, _)| of.namespace.as_str() < namespace);
        let until = self.names.partition_point(|(of, _)| of.namespace.as_str() <= namespace);
        &self.objects[from..until]
    }

    /// The objects of records that come in order. Those that are known are not decoded again. What cannot be decoded
    /// allows nothing.
    fn renewed(&self, records: &[Arc<Record>], read: fn(&Value) -> T) -> Self {
        let mut out =
            Sorted { names: Vec::with_capacity(records.len()), objects: Vec::with_capacity(records.len()) };
        let mut known = self.names.iter().zip(&self.objects).peekable();
        for record in records {
            while known.next_if(|((name, _), _)| *name < record.name).is_some() {}
            let revision = record.expected();
            let same = known.next_if(|((name, of), _)| *name == record.name && *of == revision);
            let object = same.map(|(_, object)| object.clone());
            let decoded = || record.value().ok().map(|value| Arc::new(read(&value)));
            if let Some(object) = object.or_else(decoded) {
                out.names.push((record.name.clone(), revision));
                out.objects.push(object);
            }
        }
        out
    }
}

impl Policy for Read {
    fn cluster_role(&self, name: &str) -> Option<Arc<Role>> {
        self.cluster_roles.get("", name).cloned()
    }

    fn role(&self, namespace: &str, name: &str) -> Option<Arc<Role>> {
        self.roles.get(namespace, name).cloned()
    }

    fn cluster_role_bindings(&self) -> &[Arc<Binding>] {
        &self.cluster_bindings.objects
    }

    fn role_bindings(&self, namespace: &str) -> &[Arc<Binding>] {
        self.bindings.of_namespace(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::record;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn records(stored: &BTreeMap<(u8, u8), u64>) -> Vec<Arc<Record>> {
        let record = |(name, revision): (&(u8, u8), &u64)| {
            let name = ObjectName::new(format!("n{}", name.0), format!("b{}", name.1));
            let object = json!({"metadata": {"namespace": name.namespace, "name": name.name},
                "roleRef": {"kind": "Role", "name": revision.to_string()}});
            Arc::new(
                record::decode(name, &record::encode(&object, Vec::new(), 0), Revision(*revision)).unwrap(),
            )
        };
        stored.iter().map(record).collect()
    }

    proptest! {
        /// Whatever is written and deleted in between: what is read anew is what is there.
        #[test]
        fn what_is_renewed_is_what_is_there(
            rounds in prop::collection::vec(prop::collection::vec((0..4u8, 0..4u8, any::<bool>()), 0..8), 1..6)
        ) {
            let (mut stored, mut revision) = (BTreeMap::new(), 0);
            let mut read = Sorted { names: Vec::new(), objects: Vec::new() };
            for round in rounds {
                for (namespace, name, is_there) in round {
                    revision += 1;
                    if is_there {
                        stored.insert((namespace, name), revision);
                    } else {
                        stored.remove(&(namespace, name));
                    }
                }
                read = read.renewed(&records(&stored), Binding::of);
                prop_assert_eq!(read.objects.len(), stored.len());
                for (at, revision) in &stored {
                    let (namespace, name) = (format!("n{}", at.0), format!("b{}", at.1));
                    let found = read.get(&namespace, &name).unwrap();
                    prop_assert_eq!(&found.role_name, &revision.to_string());
                    prop_assert!(read.of_namespace(&namespace).iter().any(|of| Arc::ptr_eq(of, found)));
                }
                let all: usize = (0..4).map(|of| read.of_namespace(&format!("n{of}")).len()).sum();
                prop_assert_eq!(all, stored.len());
                prop_assert!(read.get("n9", "b0").is_none());
            }
        }
    }

    #[test]
    fn what_has_not_changed_is_not_decoded_again() {
        let mut stored = BTreeMap::from([((0, 0), 1), ((0, 1), 2)]);
        let nothing = Sorted { names: Vec::new(), objects: Vec::new() };
        let before = nothing.renewed(&records(&stored), Binding::of);
        stored.insert((0, 1), 3);
        let after = before.renewed(&records(&stored), Binding::of);
        assert!(Arc::ptr_eq(&before.objects[0], &after.objects[0]));
        assert!(!Arc::ptr_eq(&before.objects[1], &after.objects[1]));
    }
}
