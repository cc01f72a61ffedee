//! What tenants use, told in their `status.usage`.
//!
//! Guarantees: a tenant's status is written at most once in each pass (one a minute), and only when what it says is
//! no longer so: an idle tenant costs no write. Caveat: `requestsPerSecond` is the average since the last pass of the
//! requests that this process served to the tenant's clients; those of the platform's own parts are not counted.

use crate::in_process::InProcess;
use crate::planes::{Plane, PlaneKind, PlaneState};
use crate::server::Server;
use crate::tenants::TENANTS;
use api_types::tenancy::{self, Usage};
use api_types::{ApiError, GroupResource, ObjectName, TenantId};
use futures::{StreamExt, stream};
use plane_client::{Actor, Patch, PlaneClient, Target, Write};
use serde_json::json;
use service_runtime::Shutdown;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is told.
const EVERY: Duration = Duration::from_secs(60);
/// Writes at a time: they share commits.
const AT_ONCE: usize = 32;
/// As whom it is written.
const ACTOR: Actor = Actor::Platform("insula-usage");

/// What was told, and when.
pub struct Meter {
    last: Instant,
    tenants: HashMap<TenantId, Told>,
}

#[derive(Clone, Copy)]
struct Told {
    served: u64,
    usage: Option<Usage>,
}

impl Default for Meter {
    fn default() -> Self {
        Meter { last: Instant::now(), tenants: HashMap::new() }
    }
}

impl Meter {
    /// Tells what each tenant uses whose status says something else. How many that were.
    pub async fn pass(&mut self, server: &Arc<Server>) -> usize {
        let seconds = self.last.elapsed().as_secs_f64().max(1.0);
        self.last = Instant::now();
        let mut now = HashMap::new();
        let mut due = Vec::new();
        let tenants = server.planes.all().into_iter().filter(|plane| plane.kind == PlaneKind::Tenant);
        for plane in tenants.filter(|plane| **plane.state.load() != PlaneState::Terminating) {
            let before = self.tenants.get(&plane.id).copied();
            let before = before.unwrap_or_else(|| Told { served: 0, usage: told(server, &plane) });
            let served = plane.limits.served();
            let usage = measure(server, &plane, served.saturating_sub(before.served), seconds);
            now.insert(plane.id, Told { served, usage: Some(usage) });
            if before.usage != Some(usage) {
                due.push((plane, usage));
            }
        }
        self.tenants = now;
        let count = due.len();
        let failed: Vec<TenantId> = stream::iter(due)
            .map(|(plane, usage)| async move { (plane.id, write(server, &plane, usage).await) })
            .buffer_unordered(AT_ONCE)
            .filter_map(|(id, written)| async move {
                let error = written.err()?;
                tracing::debug!(tenant = %id, %error, "the tenant's usage could not be told");
                Some(id)
            })
            .collect()
            .await;
        for id in failed {
            // The next pass tells it.
            self.tenants.entry(id).and_modify(|told| told.usage = None);
        }
        count
    }
}

/// What the status of a tenant says.
fn told(server: &Server, plane: &Plane) -> Option<Usage> {
    let record = server.cache.get(TenantId::HOST, &TENANTS, &ObjectName::cluster(&plane.name))?;
    serde_json::from_value(record.value().ok()?["status"]["usage"].take()).ok()
}

fn measure(server: &Server, plane: &Plane, served: u64, seconds: f64) -> Usage {
    let stored = server.cache.usage(plane.id);
    let pods = server.cache.collection(plane.id, &GroupResource::new("", "pods")).len();
    Usage {
        objects: stored.objects,
        bytes: stored.bytes,
        pods: pods as u64,
        // Rounded: a request now and then is none a second.
        requests_per_second: (served as f64 / seconds).round() as u64,
    }
}

async fn write(server: &Arc<Server>, plane: &Plane, usage: Usage) -> Result<(), ApiError> {
    let patch = json!({"metadata": {"uid": plane.id.to_string()}, "status": {"usage": usage}});
    let target = Target::new(TenantId::HOST, &tenancy::TENANTS, "", &plane.name).subresource("status");
    InProcess::new(server.clone()).write(&ACTOR, &target, Write::Patch(Patch::Merge(patch))).await.map(drop)
}

/// Tells it again and again, until shutdown.
pub async fn run(server: Arc<Server>, shutdown: Shutdown) {
    let mut meter = Meter::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.requested() => return,
        }
        meter.pass(&server).await;
    }
}
