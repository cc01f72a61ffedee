//! The status of ValidatingAdmissionPolicies: which generation was looked at, and what is wrong with its expressions
//! for the kinds that it names.
//!
//! Guarantees: each generation is looked at once. What is wrong is only told: the policy works as it says.
//!
//! Caveat: a kind that is defined later is seen with the policy's next change, as in Kubernetes.

use crate::access::{Access, number};
use crate::resources::VALIDATING_POLICIES;
use async_trait::async_trait;
use plane_client::{
    ApiError, Next, ObjectName, PlaneClient, PolicyTypes, Reconciler, Scope, TenantId, Trigger,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The reconciler of their status.
pub(crate) struct PolicyStatus {
    access: Access,
    types: Arc<dyn PolicyTypes>,
}

impl PolicyStatus {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, types: Arc<dyn PolicyTypes>) -> Self {
        PolicyStatus { access: Access::new(client, "validatingadmissionpolicy-status-controller"), types }
    }
}

#[async_trait]
impl Reconciler for PolicyStatus {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(VALIDATING_POLICIES.group_resource(), Scope::All)]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(policy) = self.access.get(tenant, &VALIDATING_POLICIES, "", &key.name).await? else {
            return Ok(Next::OnEvent);
        };
        let generation = number(&policy, "/metadata/generation").unwrap_or(0);
        if generation <= number(&policy, "/status/observedGeneration").unwrap_or(0) {
            return Ok(Next::OnEvent);
        }
        let found = self.types.warnings(tenant, &policy).await;
        let warnings: Vec<Value> = found
            .into_iter()
            .map(|found| json!({"fieldRef": found.field, "warning": found.warning}))
            .collect();
        let checked = if warnings.is_empty() { json!({}) } else { json!({"expressionWarnings": warnings}) };
        let mut status = policy["status"].clone();
        if !status.is_object() {
            status = json!({});
        }
        status["observedGeneration"] = generation.into();
        status["typeChecking"] = checked;
        self.access.set_status(tenant, &VALIDATING_POLICIES, &policy, status).await?;
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::fake::FakePlanes;
    use plane_client::{Controller, ExpressionWarning};
    use service_runtime::Shutdown;

    /// Finds the generation wrong.
    struct Generations;

    #[async_trait]
    impl PolicyTypes for Generations {
        async fn warnings(&self, _: TenantId, policy: &Value) -> Vec<ExpressionWarning> {
            match number(policy, "/metadata/generation") {
                Some(1) => vec![ExpressionWarning {
                    field: "spec.validations[0].expression".into(),
                    warning: "w".into(),
                }],
                _ => Vec::new(),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_generation_is_looked_at() {
        let planes = FakePlanes::new();
        let (plane, resource) = (TenantId::HOST, VALIDATING_POLICIES.group_resource());
        let policy = |generation: i64, status: Value| {
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
                "metadata": {"name": "p", "generation": generation}, "spec": {"n": generation}, "status": status})
        };
        planes.put(plane, policy(1, json!({})));
        let reconciler = Arc::new(PolicyStatus::new(planes.client(), Arc::new(Generations)));
        let shutdown = Shutdown::new();
        let running = tokio::spawn(Controller::new(planes.client(), reconciler, 1).run(shutdown.clone()));
        let warned = json!({"observedGeneration": 1, "typeChecking": {"expressionWarnings": [
            {"fieldRef": "spec.validations[0].expression", "warning": "w"}]}});
        planes
            .wait_for(plane, &resource, "", "p", |found| found.is_some_and(|p| p["status"] == warned))
            .await;
        planes.put(plane, policy(2, warned));
        let sound = json!({"observedGeneration": 2, "typeChecking": {}});
        planes.wait_for(plane, &resource, "", "p", |found| found.is_some_and(|p| p["status"] == sound)).await;
        shutdown.trigger();
        running.await.unwrap();
    }
}
