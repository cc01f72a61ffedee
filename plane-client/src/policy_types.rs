//! The port through which a controller has the expressions of policies checked against the kinds that they match.

use api_types::TenantId;
use async_trait::async_trait;
use serde_json::Value;

/// Knows the types of the kinds that planes serve. Implemented by the API server.
#[async_trait]
pub trait PolicyTypes: Send + Sync + 'static {
    /// What is wrong with the expressions of a `ValidatingAdmissionPolicy`, for at most ten of the kinds that it names.
    async fn warnings(&self, tenant: TenantId, policy: &Value) -> Vec<ExpressionWarning>;
}

/// What is wrong with one expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionWarning {
    /// Where it stands: `spec.validations[0].expression`.
    pub field: String,
    /// For which kinds, and what.
    pub warning: String,
}
