//! The port through which the API server learns what pods and nodes use, for `metrics.k8s.io`.

use api_types::{ApiError, ObjectName, TenantId};
use async_trait::async_trait;
use compact_str::CompactString;
use jiff::Timestamp;
use std::time::Duration;

/// Tells what the pods and nodes of some planes use. Implemented by those who know where the pods run: the syncer for
/// tenants, the simulation for the embedded super cluster.
#[async_trait]
pub trait UsageMeter: Send + Sync + 'static {
    /// True for the planes whose usage it tells. Takes no time.
    fn measures(&self, plane: TenantId) -> bool;

    /// What these pods use; those of which nothing is known are left out. The error is for the eyes of the plane's
    /// users.
    async fn pods(&self, plane: TenantId, wanted: &[ObjectName]) -> Result<Vec<PodUsage>, ApiError>;

    /// What is used on these nodes; those of which nothing is known are left out.
    async fn nodes(&self, plane: TenantId, wanted: &[CompactString]) -> Result<Vec<NodeUsage>, ApiError>;
}

/// What something uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of CPUs, in billionths of one.
    pub cpu: u64,
    /// Of memory, in bytes.
    pub memory: u64,
}

impl Usage {
    /// Both together; what cannot be counted is the most that can.
    #[must_use]
    pub fn plus(self, other: Usage) -> Usage {
        Usage { cpu: self.cpu.saturating_add(other.cpu), memory: self.memory.saturating_add(other.memory) }
    }
}

/// When usage was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Its end.
    pub end: Timestamp,
    /// Its length.
    pub window: Duration,
}

/// What a pod uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodUsage {
    /// The pod, by its name in the plane.
    pub pod: ObjectName,
    /// When.
    pub interval: Interval,
    /// By container.
    pub containers: Vec<(CompactString, Usage)>,
}

/// What is used on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUsage {
    /// The node.
    pub node: CompactString,
    /// When.
    pub interval: Interval,
    /// How much.
    pub usage: Usage,
}
