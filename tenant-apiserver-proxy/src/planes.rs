//! The planes that this server serves, and what belongs to each alone.

use crate::admission::guards;
use crate::aggregation;
use crate::audit;
use crate::authentication::Identity;
use crate::bodies::{self, Budget};
use crate::dialer::{Dialer, Network, addresses::Reach};
use crate::fair_queue::Who;
use crate::impersonation::LastModes;
use crate::keyring::Ring;
use crate::lifetime::Grounds;
use crate::limits::{Amounts, Limits};
use crate::metrics::Metrics;
use crate::pki::{self, PkiError};
use crate::plane_keys::{Authority, Parsed, RingCell};
use crate::secret_tokens::Kept;
use crate::tokens::{Proved, TokenError, TokenKey};
use crate::verified::Verified;
use api_resources::Catalog;
use api_types::{ApiError, GroupResource, Reason, TenantId};
use arc_swap::{ArcSwap, ArcSwapOption};
use compact_str::CompactString;
use parking_lot::RwLock;
use service_runtime::Shutdown;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};
use tokio::sync::broadcast;

pub use api_resources::PlaneKind;

/// The resource under which a plane's keys are stored. It has no row in the table of resources: no request reaches
/// it.
pub static KEYS: LazyLock<GroupResource> = LazyLock::new(|| GroupResource::new("insula.internal", "keys"));

/// The key that signs client certificates of the plane.
pub const CLIENT_CA: &str = "client-ca";
/// The key that signs service account tokens of the plane.
pub const TOKEN_KEY: &str = "token";
/// The key that signs the certificate by which extension servers know who asks them.
pub const FRONT_PROXY_CA: &str = "front-proxy-ca";
/// The key that signs the serving certificate; in the host plane's space only.
pub const SERVING_CA: &str = "serving-ca";

/// One plane.
pub struct Plane {
    /// Its identity: its key space.
    pub id: TenantId,
    /// What it is for.
    pub kind: PlaneKind,
    /// `acme`; empty for the host plane.
    pub name: CompactString,
    /// Whether it answers.
    pub state: ArcSwap<PlaneState>,
    /// Its resources: the shared rows and its own custom ones.
    pub catalog: ArcSwap<Catalog>,
    /// Told when they have changed.
    pub catalog_changed: tokio::sync::Notify,
    /// Given when its open streams have to end.
    pub ended: ArcSwap<Shutdown>,
    /// Its open streams, by what their users' credentials stand on.
    pub(crate) grounds: Grounds,
    /// Its client CAs, once they were needed.
    pub(crate) client_ca: RingCell<Authority>,
    /// The keys of its tokens, once they were needed.
    pub(crate) token_key: RingCell<TokenKey>,
    /// Its roles and bindings, read.
    pub(crate) policy: crate::rbac::PolicyCell,
    /// Tokens for the plane's own audience that have been verified.
    pub(crate) tokens: Verified<Proved>,
    /// Those that Secrets hold.
    pub(crate) secret_tokens: Verified<Kept>,
    /// How its users were let through as others.
    pub(crate) impersonations: LastModes,
    /// The issuers of its users.
    pub(crate) oidc: crate::oidc::Issuers,
    /// Client certificates that have been verified.
    pub(crate) certificates: Verified<Identity>,
    /// What it may take of the server.
    pub(crate) limits: Limits,
    /// Its webhooks and admission policies, read.
    pub(crate) guards: guards::GuardsCell,
    /// Its extension servers, read.
    pub(crate) extensions: aggregation::ExtensionsCell,
    /// Its OpenAPI v2 with what they say of themselves.
    pub(crate) openapi_v2: crate::documents::ExtendedCell,
    /// Who asks them, once that was needed.
    pub(crate) front_proxy: aggregation::IdentityCell,
    /// Places for requests to them.
    pub(crate) extension_connections: Arc<tokio::sync::Semaphore>,
    /// Places for those of them that are asked whether they answer.
    pub(crate) extension_checks: Arc<tokio::sync::Semaphore>,
    /// Places for writes of the platform that wait for its webhooks.
    pub(crate) platform_waits: Arc<tokio::sync::Semaphore>,
    /// Dials the addresses that it chooses.
    pub(crate) dialer: Dialer,
    /// For the bodies of its requests.
    pub bodies: Budget,
    /// What is counted of its requests.
    pub(crate) metrics: Metrics,
    /// Its own audit policy, and where the events go.
    pub(crate) audit: ArcSwapOption<audit::Target>,
}

/// Why nobody's plane could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NobodyError {
    /// Its client CA.
    #[error(transparent)]
    Authority(#[from] PkiError),
    /// A key, as it is read.
    #[error("a new key cannot be read")]
    Key,
    /// The key of its tokens.
    #[error(transparent)]
    TokenKey(#[from] TokenError),
}

/// Whether a plane answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaneState {
    /// It answers.
    Active,
    /// Its users are refused: `spec.suspended`.
    Suspended,
    /// Its users wait: it is being made of a backup.
    Restoring,
    /// Its users are refused: it was not made of a backup to the end.
    NotRestored,
    /// Its users are refused: it is being deleted.
    Terminating,
}

impl Plane {
    /// A plane that answers.
    pub fn new(id: TenantId, kind: PlaneKind, name: &str, network: &Arc<Network>) -> Self {
        Plane {
            id,
            kind,
            name: name.into(),
            state: ArcSwap::from_pointee(PlaneState::Active),
            catalog: ArcSwap::from_pointee(Catalog::of(kind).clone()),
            catalog_changed: tokio::sync::Notify::new(),
            ended: ArcSwap::from_pointee(Shutdown::new()),
            grounds: Grounds::default(),
            client_ca: RingCell::default(),
            token_key: RingCell::default(),
            policy: crate::rbac::PolicyCell::default(),
            tokens: Verified::default(),
            secret_tokens: Verified::default(),
            impersonations: LastModes::default(),
            oidc: crate::oidc::Issuers::default(),
            certificates: Verified::default(),
            limits: Limits::new(Amounts::platform()),
            metrics: Metrics::default(),
            guards: guards::GuardsCell::default(),
            extensions: aggregation::ExtensionsCell::default(),
            openapi_v2: crate::documents::ExtendedCell::default(),
            front_proxy: aggregation::IdentityCell::default(),
            extension_connections: Arc::new(tokio::sync::Semaphore::new(aggregation::CONNECTIONS)),
            extension_checks: Arc::new(tokio::sync::Semaphore::new(aggregation::CHECKS)),
            platform_waits: Arc::new(tokio::sync::Semaphore::new(guards::PLATFORM_WAITS)),
            // Until more is said, a tenant reaches what is public.
            dialer: Dialer::new(
                network.clone(),
                id,
                match kind {
                    PlaneKind::Tenant => Reach::PublicAnd(Vec::new()),
                    PlaneKind::Host | PlaneKind::Super => Reach::Everything,
                },
            ),
            bodies: Budget::new(bodies::PLANE_BYTES),
            audit: ArcSwapOption::empty(),
        }
    }

    /// A tenant's plane that is nobody's: who asks for a tenant that is not there is answered from it, as by one that
    /// is there and does not know the caller. Nothing that proves who one is was ever signed by its keys.
    pub(crate) fn nobodys(network: &Arc<Network>) -> Result<Self, NobodyError> {
        let id = TenantId::new(uuid::Uuid::new_v4());
        let mut plane = Plane::new(id, PlaneKind::Tenant, "", network);
        let authority = pki::make_authority(&format!("{}{id}", crate::authentication::AUTHORITY_PREFIX))?;
        let authorities = Parsed::new(Ring::new(authority), Authority::read).ok_or(NobodyError::Key)?;
        let token_keys = Ring::new(crate::tokens::make_key()?);
        let token_keys = Parsed::new(token_keys, TokenKey::of).ok_or(NobodyError::Key)?;
        plane.client_ca = RingCell::fixed(authorities);
        plane.limits.set(Amounts { weight: 1, ..Amounts::platform() });
        plane.token_key = RingCell::fixed(token_keys);
        Ok(plane)
    }

    /// Who it is in fair queues.
    pub(crate) fn who(&self) -> Who {
        Who { plane: self.id, weight: self.limits.weight() }
    }

    /// Its path below the server's address: empty for the host plane.
    pub fn path(&self) -> String {
        match self.kind {
            PlaneKind::Host => String::new(),
            PlaneKind::Tenant => format!("/tenants/{}", self.name),
            PlaneKind::Super => format!("/supers/{}", self.name),
        }
    }

    /// Changes the state; its users' open streams end when they are refused from now on.
    pub fn set_state(&self, state: PlaneState) {
        let before = self.state.swap(Arc::new(state));
        if *before == PlaneState::Active && state != PlaneState::Active {
            self.ended.swap(Arc::new(Shutdown::new())).trigger();
        }
    }
}

/// Who lags by more planes that are shown begins anew.
const SHOWN: usize = 256;

/// All planes.
pub struct Planes {
    by_id: RwLock<HashMap<TenantId, Arc<Plane>>>,
    by_name: RwLock<HashMap<(PlaneKind, CompactString), Arc<Plane>>>,
    /// What is in these is not shown to the platform's services yet: not all of it is there.
    held: RwLock<HashSet<TenantId>>,
    shown: broadcast::Sender<TenantId>,
}

impl Default for Planes {
    fn default() -> Self {
        let (by_id, by_name, held) = Default::default();
        Planes { by_id, by_name, held, shown: broadcast::Sender::new(SHOWN) }
    }
}

impl Planes {
    /// Keeps what is in a plane from the platform's services, until it is shown.
    pub fn hold(&self, id: TenantId) {
        self.held.write().insert(id);
    }

    /// True for a plane that is held.
    pub fn is_held(&self, id: TenantId) -> bool {
        let held = self.held.read();
        !held.is_empty() && held.contains(&id)
    }

    /// Shows what is in a plane that was held, or that has gone.
    pub fn show(&self, id: TenantId) {
        if self.held.write().remove(&id) {
            // Nobody may listen.
            let _ = self.shown.send(id);
        }
    }

    /// The planes that are shown from now on.
    pub fn shown(&self) -> broadcast::Receiver<TenantId> {
        self.shown.subscribe()
    }

    /// The plane of an identity.
    pub fn get(&self, id: TenantId) -> Option<Arc<Plane>> {
        self.by_id.read().get(&id).cloned()
    }

    /// The plane of a name.
    pub fn named(&self, kind: PlaneKind, name: &str) -> Option<Arc<Plane>> {
        self.by_name.read().get(&(kind, CompactString::from(name))).cloned()
    }

    /// Every plane.
    pub fn all(&self) -> Vec<Arc<Plane>> {
        self.by_id.read().values().cloned().collect()
    }

    /// Adds a plane, unless its identity is there already, and returns the one that is there.
    pub fn add(&self, plane: Plane) -> Arc<Plane> {
        let mut by_id = self.by_id.write();
        let plane = by_id.entry(plane.id).or_insert_with(|| Arc::new(plane)).clone();
        self.by_name.write().insert((plane.kind, plane.name.clone()), plane.clone());
        plane
    }

    /// Removes a plane and ends its streams.
    pub fn remove(&self, id: TenantId) {
        let Some(plane) = self.by_id.write().remove(&id) else { return };
        let mut by_name = self.by_name.write();
        let name = (plane.kind, plane.name.clone());
        // A tenant of the same name may have been made meanwhile.
        if by_name.get(&name).is_some_and(|other| other.id == id) {
            by_name.remove(&name);
        }
        plane.set_state(PlaneState::Terminating);
    }
}

/// What a client is told whose plane went away while its request was under way.
pub fn ended(plane: &Plane) -> ApiError {
    ApiError::new(Reason::Forbidden, format!("the tenant {} is being deleted", plane.name))
}
