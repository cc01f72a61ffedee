//! Guards of the API: webhook configurations, admission policies and their bindings.

mod bindings;
pub(crate) mod client_config;
mod expressions;
mod policies;
mod rules;
mod webhooks;

pub use bindings::{mutating_binding, validating_binding};
pub use expressions::{CONDITION_NAMES, POLICY_NAMES};
pub use policies::{mutating_policy, validating_policy};
pub use webhooks::{mutating_webhooks, validating_webhooks};

use super::generic::plain;
use crate::resource::Strategy;
use serde_json::{Value, json};

/// The API group of guards. None of its objects is shown to a guard.
pub const GROUP: &str = "admissionregistration.k8s.io";

/// What all these kinds have in common: versions are counted, and an update says from which one it comes.
fn guard() -> Strategy {
    Strategy { generation: true, unconditional_update: false, ..plain() }
}

/// Sets defaults of what matches requests: `MatchResources`, or a webhook, which has the same fields.
fn default_matching(at: &mut Value) {
    super::place::set_default(at, "matchPolicy", "Equivalent");
    super::place::set_default(at, "namespaceSelector", json!({}));
    super::place::set_default(at, "objectSelector", json!({}));
}
