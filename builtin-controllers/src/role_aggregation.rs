//! The rules of ClusterRoles with an `aggregationRule`: those of all ClusterRoles that its selectors select.
//!
//! Guarantees: `rules` are exactly these, soon after a role comes, goes or changes. The bootstrap roles of a plane are
//! aggregated where they are made; nothing is done for planes that have no ClusterRoles of their own. Each role carries
//! its rules one further, so that a chain of roles takes as many passes.

use crate::access::Access;
use crate::resources::CLUSTER_ROLES;
use api_resources::bootstrap::aggregated_rules;
use api_resources::rbac::Rule;
use async_trait::async_trait;
use plane_client::{ApiError, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::{Value, json};
use std::sync::Arc;

/// The reconciler of aggregated ClusterRoles; its one key for each plane is all of them.
pub(crate) struct RoleAggregation {
    access: Access,
}

impl RoleAggregation {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        RoleAggregation { access: Access::new(client, "clusterrole-aggregation-controller") }
    }
}

#[async_trait]
impl Reconciler for RoleAggregation {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let all = |_: &_| vec![ObjectName::cluster("clusterroles")];
        vec![Trigger::mapped(CLUSTER_ROLES.group_resource(), Scope::All, all)]
    }

    async fn reconcile(&self, tenant: TenantId, _: &ObjectName) -> Result<Next, ApiError> {
        let mut roles: Vec<Value> = Vec::new();
        for role in self.access.list(tenant, &CLUSTER_ROLES, "").await? {
            roles.push(role.value()?);
        }
        for index in 0..roles.len() {
            let Some(rules) = aggregated_rules(&roles[index], roles.iter()) else { continue };
            let rules: Vec<Value> = rules.iter().map(Rule::to_json).collect();
            if roles[index]["rules"].as_array().map_or(&[][..], Vec::as_slice) != rules {
                let metadata = &roles[index]["metadata"];
                // What is applied without a UID makes a role anew that was deleted meanwhile.
                let wanted = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                    "metadata": {"name": metadata["name"], "uid": metadata["uid"]}, "rules": rules});
                let target = self.access.target_of(tenant, &CLUSTER_ROLES, &roles[index]);
                match self.access.apply(&target, wanted).await {
                    Ok(_) => roles[index]["rules"] = rules.into(),
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
            // There may be thousands, and each of them looks at all.
            tokio::task::yield_now().await;
        }
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use service_runtime::Shutdown;

    fn role(name: &str, labels: Value, rules: Value) -> Value {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels}, "rules": rules})
    }

    fn rule(resource: &str) -> Value {
        json!({"apiGroups": [""], "resources": [resource], "verbs": ["get"]})
    }

    /// A role of what is labelled with a key.
    fn aggregated(name: &str, labels: Value, of: &str) -> Value {
        let mut aggregated = role(name, labels, json!([rule("stale")]));
        aggregated["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {of: "true"}}]});
        aggregated
    }

    #[tokio::test(start_paused = true)]
    async fn roles_have_the_rules_of_those_that_they_select() {
        let planes = FakePlanes::new();
        let reconciler = Arc::new(RoleAggregation::new(planes.client()));
        tokio::spawn(Controller::new(planes.client(), reconciler, 2).run(Shutdown::new()));
        let tenant = TenantId::parse("00000000-0000-4000-8000-0000000000ff").unwrap();
        let rules = async |name: &str, expected: Value| {
            let resource = CLUSTER_ROLES.group_resource();
            let has = |found: Option<&Value>| found.is_some_and(|found| found["rules"] == expected);
            planes.wait_for(tenant, &resource, "", name, has).await;
        };
        planes.put(tenant, aggregated("top", json!({}), "to-top"));
        planes.put(tenant, aggregated("middle", json!({"to-top": "true"}), "to-middle"));
        rules("middle", json!([])).await;
        rules("top", json!([])).await;
        planes.put(tenant, role("b", json!({"to-middle": "true"}), json!([rule("b"), rule("a")])));
        planes.put(tenant, role("a", json!({"to-middle": "true"}), json!([rule("a")])));
        rules("middle", json!([rule("a"), rule("b")])).await;
        rules("top", json!([rule("a"), rule("b")])).await;
        planes.put(tenant, role("b", json!({}), json!([rule("b")])));
        rules("top", json!([rule("a")])).await;
        planes.remove(tenant, &CLUSTER_ROLES.group_resource(), "", "a");
        rules("top", json!([])).await;
    }
}
