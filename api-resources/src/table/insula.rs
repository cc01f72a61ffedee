//! The platform's own kinds: tenancy and cloud in the host plane, databases and applications in tenants.

use super::{line::parse, row};
use crate::resource::ResourceRow;
use std::sync::{Arc, LazyLock};

/// In the form of `builtin.txt`, with `host` or `tenant` for the planes that have the resource.
pub(super) const TEXT: &str = "
@ tenancy.insula.dev v1alpha1 host
superclusters SuperCluster C sub=status
syncrules SyncRule C sub=status
tenantprofiles TenantProfile C
tenants Tenant C sub=status
@ cloud.insula.dev v1alpha1
cloudaccounts CloudAccount C sub=status host
cloudclasses CloudClass C host
databases Database N short=db sub=status tenant
@ core.oam.dev v1alpha2 tenant
applicationconfigurations ApplicationConfiguration N short=appconfig oam sub=status
components Component N short=comp oam sub=status
containerizedworkloads ContainerizedWorkload N oam sub=status
manualscalertraits ManualScalerTrait N oam sub=status
servicebindings ServiceBinding N oam sub=status
traitdefinitions TraitDefinition C short=trait oam
workloaddefinitions WorkloadDefinition C short=workload oam
";

/// True for the platform's own groups, whose objects are refused when they have unknown fields.
pub fn is_ours(group: &str) -> bool {
    [api_types::tenancy::GROUP, api_types::cloud::GROUP, api_types::oam::GROUP].contains(&group)
}

/// The rows of the platform's kinds. Which plane serves which: `catalog::serves`.
pub fn rows() -> &'static [Arc<ResourceRow>] {
    static ROWS: LazyLock<Vec<Arc<ResourceRow>>> = LazyLock::new(|| {
        parse(TEXT).iter().map(|line| Arc::new(row(line, crate::kinds_insula::strategy))).collect()
    });
    &ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_type_and_a_status_where_its_type_has_one() {
        assert_eq!(rows().len(), 14);
        for row in rows() {
            let version =
                row.version(&row.storage_version).unwrap_or_else(|| panic!("{} has no type", row.plural));
            let root = version.graph.at(version.root);
            assert_eq!(root.field("status").is_some(), row.has_status(), "{}", row.plural);
            assert!(root.field("spec").is_some() && !row.columns.is_empty(), "{}", row.plural);
            assert!(is_ours(&row.group));
            assert!(row.strategy.generation, "{} counts no generations", row.plural);
        }
    }
}
