//! Waiting for webhooks, so that nobody waits for them who does not have to.
//!
//! A webhook may itself ask something of the plane before it answers. So who waits for one gives its seat up, else a
//! plane whose seats are all taken by waiting writes would wait for itself. The platform's own parts have no seats: of
//! their writes, so many wait for the webhooks of one plane at a time, and of those of each part only one waits long,
//! whatever the plane. The others are told to come again, and their part goes on with other tenants.

use crate::server::Server;
use crate::stages::Authorized;
use api_types::ApiError;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

/// Of the writes of the platform's own parts, so many wait for the webhooks of one plane; the parts come again later.
pub const PLATFORM_WAITS: usize = 4;
/// How long each of them may wait.
const SHORT: Duration = Duration::from_secs(1);

/// The parts of the platform of which a write waits longer than that.
#[derive(Default)]
pub struct LongWaits(Mutex<HashSet<&'static str>>);

struct LongWait<'a>(&'a LongWaits, &'static str);

impl LongWaits {
    fn begin(&self, part: &'static str) -> Option<LongWait<'_>> {
        let first = self.0.lock().insert(part);
        // Made only where it is to be undone.
        first.then(|| LongWait(self, part))
    }
}

impl Drop for LongWait<'_> {
    fn drop(&mut self) {
        self.0.0.lock().remove(self.1);
    }
}

/// Waits for what webhooks answer to a request.
pub(crate) async fn outside<T>(
    server: &Server,
    auth: &Authorized,
    work: impl Future<Output = T>,
) -> Result<T, ApiError> {
    let plane = auth.plane();
    let Some(part) = auth.part() else {
        return auth.leave_seat_for(server, work).await;
    };
    let _place = plane.platform_waits.clone().try_acquire_owned().map_err(|_| slow())?;
    tokio::pin!(work);
    if let Ok(done) = tokio::time::timeout(SHORT, &mut work).await {
        return Ok(done);
    }
    let _long = server.long_waits.begin(part).ok_or_else(slow)?;
    Ok(work.await)
}

fn slow() -> ApiError {
    ApiError::too_many_requests("the webhooks of this plane are slow: too many writes wait for them", 1)
}
