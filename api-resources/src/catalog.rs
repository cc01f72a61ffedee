//! What one plane serves: the shared rows, and over them the rows of the plane's own CRDs.

use crate::resource::ResourceRow;
use crate::table::{builtin_rows, insula};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The kinds of planes, which differ in what they serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaneKind {
    /// Where platform admins work; it never runs pods.
    Host,
    /// A tenant's.
    Tenant,
    /// An embedded super cluster.
    Super,
}

/// True when planes of the kind serve the row.
pub fn serves(row: &ResourceRow, plane: PlaneKind) -> bool {
    row.planes.contains(&plane)
}

/// What a plane serves. Cloning costs two reference counts: the base is shared by all planes of a kind, and the
/// overlay by all who hold this catalog.
#[derive(Clone)]
pub struct Catalog {
    base: Arc<Index>,
    custom: Arc<Index>,
}

impl Catalog {
    /// The catalog of a kind of plane, without any CRD. Built once in a process.
    pub fn of(plane: PlaneKind) -> &'static Catalog {
        static CATALOGS: LazyLock<[Catalog; 3]> =
            LazyLock::new(|| [PlaneKind::Host, PlaneKind::Tenant, PlaneKind::Super].map(Catalog::build));
        &CATALOGS[match plane {
            PlaneKind::Host => 0,
            PlaneKind::Tenant => 1,
            PlaneKind::Super => 2,
        }]
    }

    fn build(plane: PlaneKind) -> Catalog {
        let rows = builtin_rows().iter().chain(insula::rows()).filter(|row| serves(row, plane)).cloned();
        Catalog { base: Arc::new(Index::new(rows.collect())), custom: Arc::default() }
    }

    /// The same base with these rows of CRDs in place of the overlay there was. Nothing of the base is copied. A
    /// row of a resource that the base has is hidden by the base.
    #[must_use]
    pub fn with_custom(&self, rows: &[Arc<ResourceRow>]) -> Catalog {
        Catalog { base: self.base.clone(), custom: Arc::new(Index::new(rows.to_vec())) }
    }

    /// The resource that a path names, when it is served in the version.
    pub fn lookup(&self, group: &str, version: &str, plural: &str) -> Option<Arc<ResourceRow>> {
        self.resource(group, plural).filter(|row| row.version(version).is_some())
    }

    /// The resource, in whatever version.
    pub fn resource(&self, group: &str, plural: &str) -> Option<Arc<ResourceRow>> {
        self.indexes().find_map(|index| index.by_plural(group, plural)).cloned()
    }

    /// The resource of a kind, when it is served in the version.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<ResourceRow>> {
        self.indexes()
            .find_map(|index| index.by_kind(group, kind))
            .filter(|row| row.version(version).is_some())
            .cloned()
    }

    /// All rows: those of the base in discovery's group order, then those of CRDs by group and plural.
    pub fn rows(&self) -> impl Iterator<Item = &Arc<ResourceRow>> {
        self.base.rows.iter().chain(self.custom_rows())
    }

    /// The rows of CRDs, by group and plural.
    pub fn custom_rows(&self) -> impl Iterator<Item = &Arc<ResourceRow>> {
        let hidden = |row: &ResourceRow| self.base.by_plural(&row.group, &row.plural).is_some();
        let order = self.custom.plurals.iter().map(|i| &self.custom.rows[*i as usize]);
        order.filter(move |row| !hidden(row))
    }

    /// The rows of the base.
    pub fn base_rows(&self) -> impl Iterator<Item = &Arc<ResourceRow>> {
        self.base.rows.iter()
    }

    /// True when the base has the group, so that a CRD may not define it.
    pub fn base_has_group(&self, group: &str) -> bool {
        self.base.rows.iter().any(|row| row.group == group)
    }

    fn indexes(&self) -> impl Iterator<Item = &Index> {
        [&*self.base, &*self.custom].into_iter()
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Catalog({} rows, {} custom)", self.base.rows.len(), self.custom.rows.len())
    }
}

/// Rows, found by group and plural or kind. Two sorted lists of positions: about 4 bytes a row each.
#[derive(Default)]
struct Index {
    rows: Vec<Arc<ResourceRow>>,
    plurals: Vec<u32>,
    kinds: Vec<u32>,
}

impl Index {
    fn new(rows: Vec<Arc<ResourceRow>>) -> Self {
        let mut plurals: Vec<u32> = (0..rows.len() as u32).collect();
        let mut kinds = plurals.clone();
        plurals.sort_by_key(|i| plural_key(&rows[*i as usize]));
        kinds.sort_by_key(|i| kind_key(&rows[*i as usize]));
        Index { rows, plurals, kinds }
    }

    fn by_plural(&self, group: &str, plural: &str) -> Option<&Arc<ResourceRow>> {
        self.find(&self.plurals, |row| plural_key(row).cmp(&(group, plural)))
    }

    fn by_kind(&self, group: &str, kind: &str) -> Option<&Arc<ResourceRow>> {
        self.find(&self.kinds, |row| kind_key(row).cmp(&(group, kind)))
    }

    fn find(
        &self,
        order: &[u32],
        compare: impl Fn(&ResourceRow) -> std::cmp::Ordering,
    ) -> Option<&Arc<ResourceRow>> {
        let found = order.binary_search_by(|i| compare(&self.rows[*i as usize])).ok()?;
        Some(&self.rows[order[found] as usize])
    }
}

fn plural_key(row: &ResourceRow) -> (&str, &str) {
    (&row.group, &row.plural)
}

fn kind_key(row: &ResourceRow) -> (&str, &str) {
    (&row.group, &row.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_serve_their_own_kinds() {
        let has = |plane, group, plural| Catalog::of(plane).resource(group, plural).is_some();
        for (group, plural, host, tenant, superior) in [
            ("", "configmaps", true, true, true),
            ("", "pods", false, true, true),
            ("apps", "deployments", false, true, true),
            ("apiextensions.k8s.io", "customresourcedefinitions", true, true, true),
            ("tenancy.insula.dev", "tenants", true, false, false),
            ("cloud.insula.dev", "cloudaccounts", true, false, false),
            ("cloud.insula.dev", "databases", false, true, false),
            ("core.oam.dev", "components", false, true, false),
        ] {
            let served =
                [PlaneKind::Host, PlaneKind::Tenant, PlaneKind::Super].map(|p| has(p, group, plural));
            assert_eq!(served, [host, tenant, superior], "{plural}.{group}");
        }
    }

    #[test]
    fn every_row_is_found_by_its_names() {
        for plane in [PlaneKind::Host, PlaneKind::Tenant, PlaneKind::Super] {
            let catalog = Catalog::of(plane);
            for row in catalog.rows() {
                for version in &row.versions {
                    let found = catalog.lookup(&row.group, &version.name, &row.plural).unwrap();
                    assert!(Arc::ptr_eq(&found, row));
                    let found = catalog.by_kind(&row.group, &version.name, &row.kind).unwrap();
                    assert!(Arc::ptr_eq(&found, row));
                }
                assert!(catalog.lookup(&row.group, "v0", &row.plural).is_none());
            }
        }
    }

    #[test]
    fn an_overlay_shares_the_base_and_cannot_hide_it() {
        let base = Catalog::of(PlaneKind::Super);
        let tenants = Catalog::of(PlaneKind::Host).resource("tenancy.insula.dev", "tenants").unwrap();
        let pods = Catalog::of(PlaneKind::Tenant).resource("", "pods").unwrap();
        let over = base.with_custom(&[tenants.clone(), pods]);
        assert!(Arc::ptr_eq(&over.base, &base.base));
        assert!(Arc::ptr_eq(&over.lookup("tenancy.insula.dev", "v1alpha1", "tenants").unwrap(), &tenants));
        assert_eq!(over.rows().count(), base.rows().count() + 1);
        assert!(base.resource("tenancy.insula.dev", "tenants").is_none());
    }
}
