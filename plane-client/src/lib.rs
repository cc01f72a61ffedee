//! How services read and write planes, in process or over HTTPS.
//!
//! A service sees all planes through one [`PlaneClient`]. It reads bytes and [`Meta`] and decodes only what it
//! asks for. Read in this order: [`client`] (what a client can do), [`watch`] and [`tenants`] (what is watched for
//! ever), [`controller`] (the loop that most services are), [`keep`] (reading less than a whole object), the ports
//! between services and the API server ([`placer`], [`reserver`], [`pod_tunnel`], [`pod_directory`], [`usage_meter`], [`metrics`], [`extension_servers`], [`served_apis`],
//! [`certificate_signer`], [`token_signer`], [`policy_types`],
//! [`authorities`]), then the implementations. The in-process one lives in the API server, over its own cache, and is wired
//! by the binary.

pub mod authorities;
pub mod certificate_signer;
pub mod client;
pub mod controller;
pub mod extension_servers;
#[cfg(feature = "fake")]
pub mod fake;
pub mod keep;
pub mod metrics;
pub mod placer;
pub mod pod_directory;
pub mod pod_tunnel;
pub mod policy_types;
pub mod reserver;
pub mod served_apis;
pub mod tenants;
pub mod token_signer;
pub mod usage_meter;
pub mod watch;
pub mod write;

pub use api_types::{ApiError, GroupResource, Meta, ObjectName, Resource, ResourceKey, Revision, TenantId};
pub use authorities::Authorities;
pub use certificate_signer::{CertificateOrder, CertificateSigner, SigningError};
pub use client::{KindInfo, Object, PlaneClient, Scope, Selected, Wanted, WatchItem};
pub use controller::{Controller, Next, Reconciler, Seen, Trigger};
pub use extension_servers::{Availability, Checked, ExtensionServers};
pub use keep::Keep;
pub use metrics::{MetricFamily, MetricSample, MetricSource};
pub use placer::{Placement, TenantPlacer};
pub use pod_directory::PodDirectory;
pub use pod_tunnel::{Duplex, PodAnswer, PodRequest, PodTunnel, SuperActor, TunnelError};
pub use policy_types::{ExpressionWarning, PolicyTypes};
pub use reserver::{Reservation, ServiceReserver};
pub use served_apis::{ServedApis, ServiceAccount};
pub use tenants::{TenantItem, TenantNow, TenantWatch};
pub use token_signer::{TokenOrder, TokenSigner};
pub use usage_meter::{Interval, NodeUsage, PodUsage, Usage, UsageMeter};
pub use watch::Watch;
pub use write::{Actor, Delete, Patch, Propagation, Target, Write};
