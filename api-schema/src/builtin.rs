//! The types that every plane has: Kubernetes' and ours.

use std::sync::{Arc, LazyLock};

use crate::graph::{GroupVersionKind, TypeGraph, TypeId};
use crate::table;

/// The tables in the order in which they are read.
const TABLES: &[&str] = &[
    include_str!("../tables/kubernetes-1.36.types"),
    include_str!("../tables/discovery.types"),
    include_str!("../tables/metrics.types"),
    include_str!("../tables/insula.types"),
];

// A test reads the tables, which are part of the binary: at run time there is no other outcome.
static GRAPH: LazyLock<Arc<TypeGraph>> = LazyLock::new(|| Arc::new(table::read(TABLES).unwrap_or_default()));

/// The graph of all built-in types.
pub fn graph() -> &'static Arc<TypeGraph> {
    &GRAPH
}

/// The type of a built-in kind; the core group is the empty string. Kinds that every group has, such as
/// `DeleteOptions`, are found under any group and version.
pub fn kind(group: &str, version: &str, kind: &str) -> Option<TypeId> {
    let find = |group: &str, version: &str| {
        graph().kind(&GroupVersionKind { group: group.into(), version: version.into(), kind: kind.into() })
    };
    find(group, version).or_else(|| find("*", "*"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{ListKind, Presence, Scalar, Shape};

    #[test]
    fn the_tables_can_be_read() {
        table::read(TABLES).unwrap();
    }

    #[test]
    fn pods_are_known() {
        let pod = graph().at(kind("", "v1", "Pod").unwrap());
        let spec = pod.member("spec").unwrap();
        let containers = spec.member("containers").unwrap();
        assert!(matches!(containers.shape(), Shape::List(_, ListKind::Map(keys)) if keys == &["name"]));
        let container = containers.element().unwrap();
        assert_eq!(container.node().name, "io.k8s.api.core.v1.Container");
        assert_eq!(container.field("resources").unwrap().presence, Presence::Always);
        assert_eq!(container.field("image").unwrap().presence, Presence::NonZero);
        assert_eq!(spec.field("priority").unwrap().presence, Presence::Set);
        let port = container.member("ports").unwrap().element().unwrap();
        assert_eq!(port.field("protocol").unwrap().default, Some("TCP".into()));
        let volume = spec.member("volumes").unwrap().element().unwrap();
        let host_path = volume.field("hostPath").unwrap();
        assert_eq!((host_path.within.as_slice(), host_path.number), ([2].as_slice(), 1));
        let limits = container.member("resources").unwrap().member("limits").unwrap();
        assert!(matches!(limits.member("cpu").unwrap().shape(), Shape::Scalar(Scalar::Quantity)));
    }

    #[test]
    fn our_kinds_are_known_with_their_lists() {
        let kinds = [
            (
                "tenancy.insula.dev",
                "v1alpha1",
                ["Tenant", "TenantProfile", "SuperCluster", "SyncRule"].as_slice(),
            ),
            ("cloud.insula.dev", "v1alpha1", &["CloudAccount", "CloudClass", "Database"]),
            (
                "core.oam.dev",
                "v1alpha2",
                &[
                    "Component",
                    "ApplicationConfiguration",
                    "WorkloadDefinition",
                    "TraitDefinition",
                    "ContainerizedWorkload",
                    "ManualScalerTrait",
                    "ServiceBinding",
                ],
            ),
        ];
        for (group, version, names) in kinds {
            for name in names {
                let of = graph().at(kind(group, version, name).unwrap());
                assert_eq!(of.field("spec").unwrap().presence, Presence::Set, "{name}");
                let list = graph().at(kind(group, version, &format!("{name}List")).unwrap());
                assert_eq!(list.member("items").unwrap().element().unwrap().id, of.id, "{name}");
            }
        }
        let component = graph().at(kind("core.oam.dev", "v1alpha2", "Component").unwrap());
        let workload = component.member("spec").unwrap().member("workload").unwrap();
        assert!(workload.node().embedded && workload.node().preserve_unknown);
    }

    #[test]
    fn options_are_kinds_of_every_group() {
        assert_eq!(kind("apps", "v1", "DeleteOptions"), kind("", "v1", "DeleteOptions"));
        assert!(kind("apps", "v1", "DeleteOptions").is_some());
        assert_eq!(kind("apps", "v1", "Pod"), None);
    }
}
