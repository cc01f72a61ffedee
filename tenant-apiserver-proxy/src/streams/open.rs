//! What every open stream has: a place among those of its plane, and a lifetime.

use crate::limits::Taken;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::ApiError;
use std::pin::Pin;
use std::sync::Arc;

/// Resolves when a stream has to end.
pub type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream that may go on.
pub struct Open {
    /// Its place.
    pub place: Taken,
    /// Until when.
    pub end: End,
}

/// Begins a stream: 429 when the plane has too many.
pub fn begin(server: &Arc<Server>, auth: &Authorized) -> Result<Open, ApiError> {
    let place = auth.plane().limits.stream()?;
    let lifetime = auth.lifetime(server)?;
    Ok(Open { place, end: Box::pin(async move { _ = lifetime.over().await }) })
}
