//! Addresses of services, reserved where the pods run.

use crate::kinds::Kind;
use crate::options::address_of;
use crate::pods::environment::ApiAddress;
use crate::reconcile::services::{KUBERNETES, RESERVED_AT};
use crate::services::{addresses, downward};
use crate::shared_service::is_refusal;
use crate::state::State;
use crate::tenants::TenantView;
use crate::work::{Work, meta_text};
use api_types::{ApiError, TenantId};
use async_trait::async_trait;
use jiff::Timestamp;
use plane_client::{Reservation, ServiceReserver};
use serde_json::{Value, json};
use std::sync::Arc;

/// The syncer's side of [`ServiceReserver`]. Made before the API server; it answers 503 until the syncer runs.
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

    async fn work(&self, tenant: Arc<TenantView>) -> Result<Work, ApiError> {
        let cluster = match self.state.placed_on(&tenant) {
            Some(cluster) => cluster,
            None => return Err(later()),
        };
        cluster.wait_ready().await;
        let api = tenant.endpoint.as_deref().and_then(address_of);
        let api = api.unwrap_or(ApiAddress { host: String::new(), port: 0 });
        Ok(Work { client: self.state.client()?, state: self.state.clone(), tenant, cluster, api })
    }
}

#[async_trait]
impl ServiceReserver for Reserver {
    async fn reserve(&self, tenant: TenantId, service: &Value) -> Result<Option<Reservation>, ApiError> {
        if !tenant.is_tenant() {
            return Ok(None);
        }
        let (namespace, name) = (meta_text(service, "namespace"), meta_text(service, "name"));
        let is_shared = (namespace, name) == KUBERNETES;
        // A tenant that was just made is placed a moment later. The caller's patience is the limit.
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
        work.ensure_namespace(namespace).await.map_err(|error| told(&error, name, place.super_namespace))?;
        match work.create(Kind::Service, &wanted).await {
            Ok(created) => Ok(Some(addresses(&created))),
            // Reserved before, and the tenant's write had to be repeated.
            Err(error) if error.is_already_exists() => match work.cached(Kind::Service, namespace, name) {
                Some(known) if !known.deleting => Ok(Some(addresses(&known.value()?))),
                _ => Err(later()),
            },
            Err(error) => Err(told(&error, name, place.super_namespace)),
        }
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
fn told(error: &ApiError, name: &str, super_namespace: &str) -> ApiError {
    tracing::warn!(%error, super_namespace, service = name, "a service could not be reserved");
    if is_refusal(error) && !error.message().contains(super_namespace) {
        return ApiError::new(error.reason(), error.message()).about("", "services", name);
    }
    later()
}

fn later() -> ApiError {
    ApiError::unavailable("the service's addresses cannot be reserved now", 1)
}
