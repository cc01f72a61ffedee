//! Guards of a plane, chosen by who administers it: webhooks and admission policies, as `admissionregistration.k8s.io`
//! describes them.
//!
//! Read in this order: [`asked`] (a request as guards see it), [`matching`] (for which guards it is), [`compiled`] (the
//! plane's guards, read once), [`conditions`] and [`parameters`] (what expressions see), then the guards themselves:
//! [`mutations`], [`webhooks`] with [`reviews`], [`policies`].
//!
//! Guarantees: who writes does not matter, the platform's own parts are guarded too. Webhooks are
//! shown no object of `admissionregistration.k8s.io`, and policies no policy or binding, so that a bad one can always be
//! removed. A plane without guards
//! pays for looking. Who waits for a webhook holds up neither its plane nor the platform ([`waiting`]). A guard that
//! cannot be read lets nothing pass.

pub mod asked;
mod compiled;
mod conditions;
pub mod matching;
mod mutations;
mod parameters;
mod policies;
mod reinvocation;
mod reviews;
mod waiting;
mod webhooks;

pub use asked::{Asked, Operation};
pub use compiled::GuardsCell;
pub(crate) use waiting::outside;
pub use waiting::{LongWaits, PLATFORM_WAITS};

use api_types::ApiError;
use reinvocation::Reinvocation;
use serde_json::Value;

/// What happens to an object between two mutations.
pub trait Between: Send + Sync {
    /// Sets defaults after a mutation.
    fn default(&self, object: &mut Value);
    /// Runs the built-in rules that mutate again.
    fn admit(&self, object: &mut Value) -> Result<(), ApiError>;
}

/// True when the plane has guards. A write that nobody guards need not be made ready to be shown.
pub fn are_there(asked: &Asked<'_>) -> bool {
    compiled::of(asked).is_some()
}

/// Lets mutating guards change a new or changed object, in its stored form. `None` for a deletion, which they may only
/// refuse.
pub async fn mutate(
    asked: &Asked<'_>,
    mut object: Option<&mut Value>,
    old: Option<&Value>,
    between: &dyn Between,
) -> Result<(), ApiError> {
    let Some(guards) = compiled::of(asked) else { return Ok(()) };
    // Whoever mends a guard has to get by.
    if asked.is_for_webhooks() {
        guards.check()?;
    }
    if guards.mutating_policies.is_empty() && guards.mutating_webhooks.is_empty() {
        return Ok(());
    }
    let mut again = Reinvocation::default();
    for round in 0..2 {
        // Boxed, here and below: the state of a call is large, and most writes make none.
        Box::pin(mutations::run(asked, &guards, object.as_deref_mut(), old, between, &mut again)).await?;
        Box::pin(webhooks::mutate(asked, &guards, object.as_deref_mut(), old, between, &mut again)).await?;
        let Some(object) = object.as_deref_mut() else { break };
        if round == 1 || !again.next_round() {
            break;
        }
        let before = object.clone();
        between.admit(object)?;
        if *object != before {
            again.everything_again();
        }
    }
    if let Some(object) = object {
        asked.check_identity(object)?;
    }
    Ok(())
}

/// Lets validating guards refuse a write.
pub async fn validate(
    asked: &Asked<'_>,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let Some(guards) = compiled::of(asked) else { return Ok(()) };
    // Whoever mends a guard has to get by.
    if asked.is_for_webhooks() {
        guards.check()?;
    }
    Box::pin(policies::run(asked, &guards, object, old)).await?;
    Box::pin(webhooks::validate(asked, &guards, object, old)).await
}

/// Nothing happens between mutations of what is not stored.
struct Nothing;

impl Between for Nothing {
    fn default(&self, _object: &mut Value) {}
    fn admit(&self, _object: &mut Value) -> Result<(), ApiError> {
        Ok(())
    }
}

/// Shows guards the body of an action: a binding, an eviction, a review.
pub async fn admit_body(asked: &Asked<'_>, body: &mut Value) -> Result<(), ApiError> {
    mutate(asked, Some(body), None, &Nothing).await?;
    validate(asked, Some(body), None).await
}
