//! The stages of a request as types: `Received → Authenticated → Authorized`. Each is made only by the one before,
//! so that a request which skipped a stage does not compile.

use crate::audit::Trail;
use crate::authentication::{self, Credentials, Identity, User};
use crate::authorization::{self, Attributes};
use crate::impersonation::{self, Acting};
use crate::lifetime::Lifetime;
use crate::limits::{Limits, Taken};
use crate::negotiation::Wish;
use crate::planes::{Plane, PlaneState};
use crate::request_info::{RequestInfo, ResourceRequest};
use crate::secret_tokens::Remarks;
use crate::server::Server;
use crate::sources::Source;
use crate::standing::Standing;
use api_types::{ApiError, GroupResource};
use parking_lot::Mutex;
use std::sync::Arc;

/// What a request says, beside its credentials and its body.
#[derive(Clone)]
pub struct Call {
    /// Whose plane.
    pub plane: Arc<Plane>,
    /// By which method.
    pub method: http::Method,
    /// What it asks for.
    pub info: RequestInfo,
    /// Its query, decoded, in order.
    pub query: Query,
    /// Path and query as they were sent, without the plane's prefix; empty for requests of the platform's own parts.
    pub target: String,
    /// Its headers.
    pub headers: http::HeaderMap,
}

/// The query of a request.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query.
    pub fn parse(query: &str) -> Self {
        Query(
            form_urlencoded::parse(query.as_bytes()).map(|(k, v)| (k.into_owned(), v.into_owned())).collect(),
        )
    }

    /// The first value of a parameter; empty counts as absent.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// The first value of a parameter, which may be empty.
    pub fn first(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// True when the parameter is there and says neither `0` nor `false`, as Kubernetes reads it.
    pub fn is_true(&self, key: &str) -> bool {
        self.first(key).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

impl Call {
    /// In which form the answer is wanted.
    pub fn wish(&self) -> Wish {
        Wish::of(&self.headers, &self.query)
    }

    /// A header as text; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// A request whose plane is known.
pub struct Received {
    call: Call,
    credentials: Credentials,
    source: Source,
}

impl Received {
    /// Takes in a request.
    pub fn new(call: Call, credentials: Credentials, source: Source) -> Self {
        Received { call, credentials, source }
    }

    /// Finds out who makes it.
    pub async fn authenticate(
        self,
        server: &Server,
        trail: &mut Option<Trail>,
    ) -> Result<Authenticated, ApiError> {
        let Received { call, credentials, source } = self;
        // What was proved before is let through: others may come from where somebody fails.
        let refused = server.failed_logins.wait(source);
        let mut remarks = Remarks::default();
        let found = match refused.filter(|_| !authentication::is_known(&call.plane, &credentials)) {
            Some(wait) => Err(ApiError::too_many_requests(
                "too many logins failed from this address: try again later",
                u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1),
            )),
            None => authentication::authenticate(server, &call.plane, &credentials, &mut remarks).await,
        };
        if found.as_ref().is_err_and(|error| error.code() == 401) && server.failed_logins.failed(source) {
            tracing::warn!(%source, "too many logins failed: new credentials from there are refused for a while");
        }
        if let Some(trail) = trail {
            trail.annotate(remarks.notes);
            match &found {
                Ok(identity) => trail.is_of(&call, &identity.user),
                Err(error) => trail.is_of_nobody(&call, error),
            }
        }
        let Identity { user, expires, standing } = found?;
        Ok(Authenticated { call, user, expires, standing, warning: remarks.warning })
    }
}

/// A request whose user is known.
pub struct Authenticated {
    call: Call,
    user: User,
    expires: Option<i64>,
    standing: Standing,
    /// What the user is to be warned of.
    warning: Option<&'static str>,
}

impl Authenticated {
    /// A request that a part of the platform makes for a user of the plane.
    pub(crate) fn on_behalf_of(call: Call, user: User) -> Self {
        Authenticated { call, user, expires: None, standing: Standing::Nothing, warning: None }
    }

    /// Finds out whether the user may do it: first to be whom the headers say, then the plane's state, then the
    /// plane's RBAC. `trail`: takes note of whom.
    pub fn authorize(self, server: &Server, trail: Option<&mut Trail>) -> Result<Authorized, ApiError> {
        let Authenticated { call, user, expires, standing, warning } = self;
        let Acting { user, constraint } = impersonation::act(server, &call, user)?;
        if let Some(trail) = trail {
            trail.acts_as(&user, constraint);
        }
        let allowed_by = authorization::check(server, &call.plane, &user, &Attributes::of(&call.info))?;
        // What clients ask first is answered, so that they go on to a request whose refusal they show.
        if !call.info.is_about_the_server() {
            answers(&call.plane)?;
        }
        let warnings = Mutex::new(warning.into_iter().map(str::to_owned).collect());
        let seat = Mutex::default();
        Ok(Authorized {
            call,
            user,
            expires,
            standing,
            warnings,
            seat,
            part: None,
            allowed_by,
            notes: Mutex::default(),
        })
    }
}

/// A suspended or ending plane answers nobody.
fn answers(plane: &Plane) -> Result<(), ApiError> {
    let why = match **plane.state.load() {
        PlaneState::Active => return Ok(()),
        PlaneState::Restoring => {
            return Err(ApiError::unavailable("the tenant is being restored", 1));
        }
        PlaneState::NotRestored => "the tenant was not restored to its end",
        PlaneState::Suspended => "the tenant is suspended",
        PlaneState::Terminating => "the tenant is being deleted",
    };
    Err(ApiError::new(api_types::Reason::Forbidden, why))
}

/// A request that may be done.
pub struct Authorized {
    call: Call,
    user: User,
    expires: Option<i64>,
    standing: Standing,
    warnings: Mutex<Vec<String>>,
    /// The seat that it has.
    seat: Mutex<Option<Taken>>,
    /// The part of the platform that asks, for itself or for a user.
    part: Option<&'static str>,
    /// Why it is allowed.
    allowed_by: String,
    /// What is written down beside it.
    notes: Mutex<Vec<(String, String)>>,
}

/// The most characters of a warning when all of them are too long.
const MAX_WARNING: usize = 256;
/// The most characters of all of them.
const MAX_WARNINGS: usize = 4 << 10;

/// Warnings that are not too long together; where they would be, each is cut.
fn bounded(warnings: Vec<String>) -> Vec<String> {
    if warnings.iter().map(|warning| warning.chars().count()).sum::<usize>() <= MAX_WARNINGS {
        return warnings;
    }
    warnings.iter().map(|warning| warning.chars().take(MAX_WARNING).collect()).collect()
}

/// The most notes for the audit event of a request.
const MAX_NOTES: usize = 100;

/// A request on its seat, which is free again when this is dropped.
pub struct Seated<'a>(&'a Authorized);

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        self.0.seat.lock().take();
    }
}

impl Authorized {
    /// A request of a part of the platform: all is allowed, in every state of the plane.
    pub(crate) fn platform(call: Call, component: &'static str) -> Self {
        let user = User::authenticated(
            format!("system:{component}"),
            ["system:masters".to_owned(), PLATFORM.into()],
        );
        let (warnings, seat) = (Mutex::default(), Mutex::default());
        let (allowed_by, notes) = (String::new(), Mutex::default());
        let (expires, standing, part) = (None, Standing::Nothing, Some(component));
        Authorized { call, user, expires, standing, warnings, seat, part, allowed_by, notes }
    }

    /// A request of a user that a part of the platform makes. It takes no seat.
    pub(crate) fn through(self, part: &'static str) -> Self {
        Authorized { part: Some(part), ..self }
    }

    /// The part of the platform that makes the request.
    pub fn part(&self) -> Option<&'static str> {
        self.part
    }

    /// Takes a seat, or waits for one.
    pub async fn sit(&self, server: &Server) -> Result<Seated<'_>, ApiError> {
        let seat = self.seats(server).seat().await?;
        *self.seat.lock() = Some(seat);
        Ok(Seated(self))
    }

    /// Waits for somebody outside, who may ask something of the plane meanwhile: others may have the seat until then.
    pub async fn leave_seat_for<T>(
        &self,
        server: &Server,
        work: impl Future<Output = T>,
    ) -> Result<T, ApiError> {
        let Some(seat) = self.seat.lock().take() else { return Ok(work.await) };
        let limits = self.seats(server);
        let outside = limits.leave(seat).await?;
        let done = work.await;
        let seat = limits.back(outside).await?;
        *self.seat.lock() = Some(seat);
        Ok(done)
    }

    /// What is asked.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Whose plane.
    pub fn plane(&self) -> &Arc<Plane> {
        &self.call.plane
    }

    /// By whom.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// How long a stream that is opened for this request may go on.
    pub fn lifetime(&self, server: &Arc<Server>) -> Result<Lifetime, ApiError> {
        // In this order: a plane that ceases to answer after the check gives the signal that was taken before it.
        let ended = self.call.plane.ended.load_full();
        if !self.is_platform() {
            answers(&self.call.plane)?;
        }
        let (plane, standing) = (self.call.plane.clone(), self.standing.clone());
        Ok(Lifetime::begin(server.clone(), plane, ended, self.expires, standing))
    }

    /// Has the user warned, whatever becomes of the request; of the same thing once.
    pub fn warn(&self, text: &str) {
        let mut warnings = self.warnings.lock();
        let text: String = text.chars().take(MAX_WARNINGS).collect();
        if warnings.len() < MAX_WARNINGS / MAX_WARNING && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// What the user is to be warned of.
    pub fn take_warnings(&self) -> Vec<String> {
        bounded(std::mem::take(&mut self.warnings.lock()))
    }

    /// Why it is allowed, in the words of RBAC; empty for `system:masters`.
    pub fn allowed_by(&self) -> &str {
        &self.allowed_by
    }

    /// Has something written down beside the request, if it is written down.
    pub fn note(&self, key: impl Into<String>, value: impl Into<String>) {
        let mut notes = self.notes.lock();
        if notes.len() < MAX_NOTES {
            notes.push((key.into(), value.into()));
        }
    }

    /// What is to be written down beside it.
    pub fn take_notes(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.notes.lock())
    }

    /// Whose seats it takes. Those who do not say who they are, and ask for what says nothing of a plane, take none of
    /// any plane's: how full one is would tell that it is there.
    pub fn seats<'a>(&'a self, server: &'a Server) -> &'a Limits {
        if self.user.is_anonymous() && self.call.info.is_about_the_server() {
            &server.nobody.limits
        } else {
            &self.call.plane.limits
        }
    }

    /// True when a part of the platform asks.
    pub fn is_platform(&self) -> bool {
        self.user.groups.iter().any(|group| group == PLATFORM)
    }

    /// The resource asked for.
    pub fn resource(&self) -> Option<&ResourceRequest> {
        match &self.call.info {
            RequestInfo::Resource(resource) => Some(resource),
            RequestInfo::Path { .. } => None,
        }
    }

    /// The same user may also do something else with a resource of the same plane; used where one request needs a
    /// second permission (creating by PUT or apply, binding a role).
    pub fn check_also(
        &self,
        server: &Server,
        verb: &str,
        resource: &ResourceRequest,
    ) -> Result<(), ApiError> {
        let mut attributes = resource.clone();
        attributes.verb = verb.into();
        let info = RequestInfo::Resource(attributes);
        authorization::check(server, &self.call.plane, &self.user, &Attributes::of(&info)).map(drop)
    }

    /// The resource asked for, without its version.
    pub fn group_resource(&self) -> GroupResource {
        self.resource()
            .map_or_else(|| GroupResource::new("", ""), |r| GroupResource::new(&r.group, &r.resource))
    }
}

/// The group of the platform's own parts. No credential carries it: authentication strips it.
pub const PLATFORM: &str = "insula:platform";
