//! The port through which the DNS server learns whose an address is.

use api_types::{ObjectName, TenantId};
use std::net::IpAddr;

/// Tells whose addresses are. Implemented by who knows where the pods run: the syncer.
pub trait PodDirectory: Send + Sync + 'static {
    /// The tenant's pod that has an address for itself, by its name in the tenant. `None` when none has it, and when pods
    /// of different tenants have it, in super clusters whose networks overlap: it cannot be told then whose it is.
    fn pod_at(&self, address: IpAddr) -> Option<(TenantId, ObjectName)>;

    /// The Service of a tenant that has a cluster IP, by its name in the tenant.
    fn service_at(&self, tenant: TenantId, address: IpAddr) -> Option<ObjectName>;
}
