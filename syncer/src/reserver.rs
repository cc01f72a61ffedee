//! What the API server asks of the syncer: addresses of services, reserved where the pods run, and where new tenants are.

use crate::kinds::Kind;
use crate::metrics::Turn;
use crate::metrics::families::SyncMetrics;
use crate::pod_tunnel::PodTunnels;
use crate::reconcile::services::{KUBERNETES, RESERVED_AT, address_differs};
use crate::reconcile::tenants::placement;
use crate::refusals::No;
use crate::services::{addresses, downward, patch};
use crate::state::State;
use crate::tenants::TenantView;
use crate::translation::{Place, meta_text};
use crate::usage::TenantUsage;
use crate::whereabouts::Whereabouts;
use crate::work::Work;
use api_types::{ApiError, TenantId, labels};
use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use plane_client::{Patch, Placement, Reservation, ServiceReserver, TenantPlacer};
use serde_json::{Value, json};
use std::sync::Arc;

/// The syncer's side of [`ServiceReserver`] and [`TenantPlacer`]. Made before the API server; it answers 503, and places
/// nobody, until the syncer runs.
#[derive(Clone, Default)]
pub struct Reserver {
    state: Arc<State>,
}

impl Reserver {
    /// A reserver, to be given to the API server and then to [`crate::run`].
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.state.clone()
    }

    /// Connections to the pods of the tenants that the same syncer knows.
    pub fn pod_tunnel(&self) -> PodTunnels {
        PodTunnels::new(self.state.clone())
    }

    /// What the same syncer counts.
    pub fn metrics(&self) -> SyncMetrics {
        SyncMetrics::new(self.state.clone())
    }

    /// What the pods of the tenants use that the same syncer knows.
    pub fn tenant_usage(&self) -> TenantUsage {
        TenantUsage::new(self.state.clone())
    }

    /// Whose addresses are, as far as the same syncer knows.
    pub fn whereabouts(&self) -> Whereabouts {
        Whereabouts::new(self.state.clone())
    }

    async fn work(&self, tenant: Arc<TenantView>) -> Result<Work, ApiError> {
        let cluster = match self.state.placed_on(&tenant) {
            Some(cluster) => cluster,
            None => return Err(later()),
        };
        cluster.wait_ready().await;
        let api = self.state.api_address(&tenant).ok_or_else(later)?;
        let (client, state) = (self.state.client()?, self.state.clone());
        Ok(Work {
            client,
            state,
            tenant,
            cluster,
            api,
            turn: Arc::new(Turn::begin()),
            refused: Mutex::default(),
        })
    }
}

#[async_trait]
impl TenantPlacer for Reserver {
    async fn place(&self, tenant: &Value) -> Option<Placement> {
        placement(&self.state, tenant).await
    }
}

#[async_trait]
impl ServiceReserver for Reserver {
    fn may_reserve(&self, tenant: TenantId) -> bool {
        self.state.tenants.get(tenant).is_none_or(|view| !view.spec.sync.disabled)
    }

    async fn reserve(&self, tenant: TenantId, service: &Value) -> Result<Option<Reservation>, ApiError> {
        if !tenant.is_tenant() {
            return Ok(None);
        }
        let (namespace, name) = (meta_text(service, "namespace"), meta_text(service, "name"));
        let is_shared = (namespace, name) == KUBERNETES;
        // A tenant that was just made may be placed a moment later, when nobody could say where at its birth. The
        // caller's patience is the limit.
        let can_go_on = |t: &TenantView| is_shared || t.spec.sync.disabled || t.super_cluster.is_some();
        let view = self.state.tenants.wait_for(tenant, can_go_on).await;
        if view.spec.sync.disabled {
            return Ok(None);
        }
        if is_shared {
            return self.shared(&view).map(Some);
        }
        let work = self.work(view).await?;
        let super_namespace = work.super_namespace(namespace);
        let place = work.place(namespace, &super_namespace);
        let mut wanted = downward(place, service).map_err(|refusal| {
            ApiError::forbidden(&Kind::Service.group_resource(), name, &refusal.message)
        })?;
        wanted["metadata"]["annotations"][RESERVED_AT] = json!(Timestamp::now().as_second().to_string());
        work.ensure_namespace(namespace).await.map_err(|error| told(&work, &error, name, place))?;
        match reserve(&work, namespace, name, &wanted).await {
            Ok(there) => Ok(Some(addresses(&there))),
            Err(error) => Err(told(&work, &error, name, place)),
        }
    }
}

/// The super service as it is once it has what `wanted` asks for.
async fn reserve(work: &Work, namespace: &str, name: &str, wanted: &Value) -> Result<Value, ApiError> {
    if work.cached(Kind::Service, namespace, name).is_none() {
        match work.create(Kind::Service, wanted).await {
            // It is in the cache now.
            Err(error) if error.is_already_exists() => {}
            done => return done,
        }
    }
    let Some(known) = work.cached(Kind::Service, namespace, name).filter(|k| !k.deleting) else {
        return Err(later());
    };
    let observed = known.value()?;
    let uid =
        |object: &Value| object["metadata"]["annotations"][labels::UID].as_str().unwrap_or("").to_owned();
    let (there, own) = (uid(&observed), uid(wanted));
    let is_of_former_life = !there.is_empty() && !own.is_empty() && there != own;
    if is_of_former_life || address_differs(&observed, wanted) {
        work.delete(&known, None).await?;
        work.forget(&known);
        return work.create(Kind::Service, wanted).await;
    }
    // Reserved before, when the tenant's write had to be repeated, or a later change of the service.
    match patch(&observed, wanted) {
        Some(patch) => work.patch(&known, "", Patch::Merge(patch)).await,
        None => Ok(observed),
    }
}

impl Reserver {
    /// The address of the tenants' API. A tenant that was not placed yet gets it from any super cluster that is ready.
    fn shared(&self, tenant: &TenantView) -> Result<Reservation, ApiError> {
        let clusters = match self.state.placed_on(tenant) {
            Some(cluster) => vec![cluster],
            None => self.state.super_clusters(),
        };
        clusters.iter().find_map(|c| c.shared_address.get().cloned()).ok_or_else(later)
    }
}

/// What the tenant is told: why the super cluster refuses, without its names; anything else only that it did not
/// work now.
fn told(work: &Work, error: &ApiError, name: &str, place: Place<'_>) -> ApiError {
    tracing::warn!(%error, super_namespace = place.super_namespace, service = name, "a service could not be reserved");
    let no = work.refused.lock().take();
    match no.map(|no| (work.told(place, &no).message, no)) {
        Some((message, No::Said(error))) => {
            ApiError::new(error.reason(), message).about("", "services", name)
        }
        Some((message, No::Taken(..))) => {
            ApiError::forbidden(&Kind::Service.group_resource(), name, &message)
        }
        None => later(),
    }
}

fn later() -> ApiError {
    ApiError::unavailable("the service's addresses cannot be reserved now", 1)
}
