//! The status of PodDisruptionBudgets: how many of the pods that they select may be disrupted.
//!
//! Guarantees: what is allowed is written only over the status that it was computed from, so that an eviction that uses a
//! budget up meanwhile is never undone; a pod that an eviction let go counts as gone for two minutes, and as it is from
//! then on. A budget that cannot be computed allows nothing, and says why (`SyncFailed`). As in Kubernetes, the scale of
//! what owns the pods is read when a pod or the budget changes. A pod that several budgets
//! select is told of. The condition `DisruptionTarget` of a pod that stays after all is taken back ([`targets`]).

mod scale;
mod status;
pub(crate) mod targets;

use crate::access::Access;
use crate::events::Severity;
use crate::pace::Pace;
use crate::resources::{DISRUPTION_BUDGETS, PODS};
use crate::selectors::{Selector, SelectorIndex, go_text};
use crate::slim;
use async_trait::async_trait;
use compact_str::CompactString;
use jiff::Timestamp;
use plane_client::{
    ApiError, Next, Object, ObjectName, PlaneClient, Reconciler, Scope, Seen, TenantId, Trigger,
};
use scale::Expected;
use serde_json::Value;
use status::Disrupted;
use std::sync::Arc;

/// What time it is.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The reconciler of PodDisruptionBudgets.
pub(crate) struct DisruptionBudgets {
    access: Access,
    index: Arc<SelectorIndex>,
    pace: Pace,
    clock: Clock,
}

/// The selector of a budget; `None`: it selects nothing.
fn selector_of(budget: &Value) -> Option<Selector> {
    Some(&budget["spec"]["selector"]).filter(|selector| selector.is_object()).and_then(Selector::parse)
}

impl DisruptionBudgets {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        Self::by_clock(client, Arc::new(Timestamp::now))
    }

    fn by_clock(client: Arc<dyn PlaneClient>, clock: Clock) -> Self {
        let access = Access::new(client, "disruption-controller").reporting_as("controllermanager");
        DisruptionBudgets { access, index: Arc::default(), pace: Pace::default(), clock }
    }

    fn tell(&self, tenant: TenantId, about: &Value, severity: Severity, reason: &str, message: &str) {
        self.access.event(tenant, about, severity, reason, message);
    }

    /// How many pods there should be, and how many of them healthy; the inner error is the budget's own.
    async fn expected(
        &self,
        tenant: TenantId,
        budget: &Value,
        pods: &[Value],
    ) -> Result<Result<Expected, String>, ApiError> {
        let expected = scale::expected(&self.access, tenant, budget, pods).await?;
        match &expected {
            Ok(Expected { unmanaged: true, .. }) => {
                let selector = go_text(&budget["spec"]["selector"]);
                let message = format!(
                    "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value."
                );
                self.tell(tenant, budget, Severity::Warning, "UnmanagedPods", &message);
            }
            Ok(_) => {}
            Err(why) => {
                let message = format!("Failed to calculate the number of expected pods: {why}");
                self.tell(tenant, budget, Severity::Warning, "CalculateExpectedPodCountFailed", &message);
            }
        }
        Ok(expected)
    }
}

/// Tells of a pod that several budgets select: no eviction gets by.
fn tell_of_several(access: &Access, pod: &Object, budgets: &[CompactString]) {
    let [first, _, ..] = budgets else { return };
    let Ok(value) = pod.value() else { return };
    let ObjectName { namespace, name } = &pod.name;
    let message = format!(
        "Pod {namespace:?}/{name:?} matches multiple PodDisruptionBudgets.  Chose {first:?} arbitrarily."
    );
    access.event(pod.tenant, &value, Severity::Warning, "MultiplePodDisruptionBudgets", &message);
}

#[async_trait]
impl Reconciler for DisruptionBudgets {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let (own, pods) = (self.index.clone(), self.index.clone());
        let access = self.access.clone();
        vec![
            Trigger::mapped(DISRUPTION_BUDGETS.group_resource(), Scope::All, move |budget| {
                let value = budget.value().unwrap_or_default();
                own.set(budget.tenant, &budget.name, selector_of(&value));
                vec![budget.name.clone()]
            }),
            Trigger::seen(PODS.group_resource(), Scope::All, move |pod, seen| {
                if seen == Seen::There {
                    tell_of_several(&access, pod, &pods.selecting(pod));
                }
                pods.due(pod)
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if let Some(rest) = self.pace.wait(tenant, key) {
            return Ok(Next::After(rest));
        }
        let found = self.access.get(tenant, &DISRUPTION_BUDGETS, &key.namespace, &key.name).await?;
        let Some(budget) = found else {
            self.index.set(tenant, key, None);
            return Ok(Next::OnEvent);
        };
        let selector = selector_of(&budget);
        let listed = self.access.list(tenant, &PODS, &key.namespace).await?;
        let selected: Vec<&Object> = listed
            .iter()
            .filter(|pod| selector.as_ref().is_some_and(|selector| selector.matches(&pod.meta.labels)))
            .collect();
        self.index.observe(tenant, key, &listed, &selected);
        let pods: Vec<Value> =
            selected.iter().map(|pod| slim::decode(pod, &slim::DECIDED)).collect::<Result<_, _>>()?;
        self.pace.worked(tenant, key, pods.len());
        if pods.is_empty() {
            self.tell(tenant, &budget, Severity::Normal, "NoPods", "No matching pods found");
        }
        let now = (self.clock)();
        let expected = match self.expected(tenant, &budget, &pods).await? {
            Ok(expected) => expected,
            Err(why) => {
                let status = status::failed(&budget, &why, now);
                self.access.set_status(tenant, &DISRUPTION_BUDGETS, &budget, status).await?;
                return Ok(Next::OnEvent);
            }
        };
        let Disrupted { pods: disrupted, overdue, until } = status::disrupted(&budget, &pods, now);
        for pod in overdue {
            let message = format!("Pod was expected by PDB {key} to be deleted but it wasn't");
            self.tell(tenant, pod, Severity::Warning, "NotDeleted", &message);
        }
        let status = status::status(&budget, &pods, &expected, disrupted, now);
        self.access.set_status(tenant, &DISRUPTION_BUDGETS, &budget, status).await?;
        Ok(until.map_or(Next::OnEvent, Next::After))
    }
}

#[cfg(test)]
mod tests;
