//! The certificates and keys of all planes: `/insula/certs` of the host plane.
//!
//! GET lists them; `?plane=` limits it to one. POST makes a new key: `?what=` says which, `plane` (or none, for all
//! tenants) whose, `overlap` for how many seconds the former ones are believed, `after` in how many the new one signs.
//! What follows from it is done before the answer: certificates and kubeconfigs are made anew.

mod list;

use crate::bootstrap;
use crate::keyring::Schedule;
use crate::pki::{self, KeyedCertificate, PkiError};
use crate::plane_keys;
use crate::planes::{self, Plane, PlaneKind};
use crate::renewal;
use crate::reply::Reply;
use crate::server::Server;
use crate::stages::{Authorized, Query};
use crate::tokens;
use api_types::{ApiError, Reason, TenantId};
use object_store::{Commit, CommitError, Space};
use serde_json::json;
use std::sync::Arc;

/// Where it is answered.
pub const PATH: &str = "/insula/certs";
/// The longest `overlap` and `after`, in seconds: a year and a day.
const MAX_SECONDS: i64 = 366 * 24 * 3_600;
/// How often a change is tried that somebody else comes before.
const TRIES: usize = 16;

/// What can be rotated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// The serving certificate, under the authority that is there.
    Serving,
    /// The key of a ring.
    Ring(&'static str),
}

impl What {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "serving-certificate" => Some(What::Serving),
            _ => renewal::RINGS.into_iter().find(|name| shown(name) == text).map(What::Ring),
        }
    }
}

/// How a ring is called outside.
fn shown(ring: &str) -> &str {
    if ring == planes::TOKEN_KEY { "token-key" } else { ring }
}

/// `host`, `tenants/NAME` or `supers/NAME`.
fn plane_name(plane: &Plane) -> String {
    let path = plane.path();
    if path.is_empty() { "host".to_owned() } else { path.trim_start_matches('/').to_owned() }
}

/// Answers [`PATH`].
pub async fn answer(server: &Server, auth: &Authorized) -> Result<Reply, ApiError> {
    if auth.plane().kind != PlaneKind::Host {
        return Ok(crate::handlers::paths::no_such_page());
    }
    let query = &auth.call().query;
    match auth.call().method.as_str() {
        "GET" | "HEAD" => {
            let planes = chosen(server, query)?;
            Ok(Reply::value(&json!({"items": list::items(server, &planes)})))
        }
        "POST" => {
            let planes = rotate(server, query).await?;
            Ok(Reply::value(&json!({"items": list::items(server, &planes)})))
        }
        _ => Err(crate::handlers::not_allowed()),
    }
}

/// The planes that a query names; all when it names none.
fn chosen(server: &Server, query: &Query) -> Result<Vec<Arc<Plane>>, ApiError> {
    let mut all = server.planes.all();
    all.sort_by_key(|plane| (plane.kind == PlaneKind::Tenant, plane_name(plane)));
    let Some(name) = query.get("plane") else { return Ok(all) };
    all.retain(|plane| plane_name(plane) == name);
    if all.is_empty() {
        return Err(ApiError::new(Reason::NotFound, format!("there is no plane {name:?}")));
    }
    Ok(all)
}

fn seconds(query: &Query, name: &str) -> Result<i64, ApiError> {
    let text = query.get(name).unwrap_or("0");
    let number = text.parse().ok().filter(|seconds| (0..=MAX_SECONDS).contains(seconds));
    number.ok_or_else(|| {
        ApiError::bad_request(format!("{name}: {text:?} is no number of seconds from 0 to {MAX_SECONDS}"))
    })
}

async fn rotate(server: &Server, query: &Query) -> Result<Vec<Arc<Plane>>, ApiError> {
    let named = query.get("what").unwrap_or("");
    let what = What::parse(named).ok_or_else(|| {
        let why = "one of serving-ca, serving-certificate, client-ca, token-key and front-proxy-ca";
        ApiError::bad_request(format!("what: {named:?} is not {why}"))
    })?;
    let schedule = Schedule { after: seconds(query, "after")?, overlap: seconds(query, "overlap")? };
    let of_installation = matches!(what, What::Serving | What::Ring(planes::SERVING_CA));
    let mut planes = chosen(server, query)?;
    if of_installation {
        planes.retain(|plane| plane.id == TenantId::HOST);
    } else if query.get("plane").is_none() {
        planes.retain(|plane| plane.kind == PlaneKind::Tenant);
    }
    for plane in &planes {
        change(server, plane, what, schedule).await?;
    }
    let changed = planes.iter().map(|plane| plane.id).collect();
    renewal::pass(server, Some(changed), plane_keys::now()).await;
    Ok(planes)
}

/// Changes the ring of a plane. One that was never needed has nothing to rotate.
async fn change(server: &Server, plane: &Plane, what: What, schedule: Schedule) -> Result<(), ApiError> {
    let name = match what {
        What::Serving => planes::SERVING_CA,
        What::Ring(name) => name,
    };
    for _ in 0..TRIES {
        let now = plane_keys::now();
        let Some((ring, expected)) = plane_keys::stored(&server.cache, plane.id, name) else { return Ok(()) };
        let changed = match what {
            What::Serving => {
                let mut ring = ring;
                ring.renewals += 1;
                ring
            }
            What::Ring(_) => {
                let current = ring.current(now).keyed();
                let (made, crossed) = make(plane, name, &current).map_err(|error| {
                    tracing::error!(plane = %plane.id, name, %error, "a new key cannot be made");
                    ApiError::internal("a new key cannot be made")
                })?;
                let rotated = ring.rotated(made, crossed, schedule, now);
                rotated.map_err(|error| ApiError::new(Reason::Conflict, error.to_string()))?
            }
        };
        let put = bootstrap::put(Space::new(plane.id), &plane_keys::key(name), &changed.object(name));
        match server.commit(Commit { preconditions: vec![expected], operations: vec![put] }).await {
            Ok(_) => {
                tracing::info!(plane = plane_name(plane), name, ?schedule, "a key of a plane was rotated");
                return Ok(());
            }
            Err(CommitError::Precondition { actual, .. }) => crate::gateway::catch_up(server, actual).await?,
            Err(error) => return Err(crate::gateway::store_failed(&error)),
        }
    }
    Err(ApiError::new(Reason::Conflict, "others change the same keys at the same time: try again"))
}

/// A new key of a ring, and its certificate by the one before it where clients need that.
fn make(
    plane: &Plane,
    name: &str,
    current: &KeyedCertificate,
) -> Result<(KeyedCertificate, String), Box<dyn std::error::Error + Send + Sync>> {
    let authority = |common_name: &str| pki::make_authority(common_name);
    let id = plane.id;
    Ok(match name {
        planes::TOKEN_KEY => (tokens::make_key()?, String::new()),
        // By this name a certificate says whose plane it is of.
        planes::CLIENT_CA => {
            (authority(&format!("{}{id}", crate::authentication::AUTHORITY_PREFIX))?, String::new())
        }
        planes::FRONT_PROXY_CA => (authority(&format!("insula-front-proxy-{id}"))?, String::new()),
        _ => {
            // Another name than the one before it, so that nobody takes one for the other.
            let common_name = format!("insula-serving-{:08x}", rand::random::<u32>());
            let made = authority(&common_name)?;
            let crossed: Result<String, PkiError> = pki::cross_sign(&made, &common_name, current);
            (made, crossed?)
        }
    })
}
