//! Approves requests for the certificates by which kubelets speak to the API server, of who may have them: whoever may
//! create `certificatesigningrequests/nodeclient`, and the node itself with `certificatesigningrequests/selfnodeclient`.
//!
//! Guarantees: nothing that was decided is decided again. Every other request waits for somebody.

use super::{KUBELET_CLIENT, has, is_issued, request, rules, signer, usages};
use crate::access::{Access, elements};
use crate::resources::{CERTIFICATE_REQUESTS, SUBJECT_ACCESS_REVIEWS};
use async_trait::async_trait;
use plane_client::{ApiError, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::{Value, json};
use std::sync::Arc;

/// The permission to renew one's own certificate, and what is said of who has it.
const SELF: (&str, &str) =
    ("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.");
/// The permission to ask for any node's.
const ANY: (&str, &str) =
    ("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.");

/// The reconciler that approves.
pub(crate) struct Approving {
    access: Access,
}

impl Approving {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        Approving { access: Access::new(client, "certificatesigningrequest-approving-controller") }
    }

    /// Whether who asks has a permission.
    async fn may(&self, tenant: TenantId, object: &Value, subresource: &str) -> Result<bool, ApiError> {
        let spec = &object["spec"];
        let mut about = json!({"resourceAttributes": {"group": CERTIFICATE_REQUESTS.group, "version": "*",
            "resource": CERTIFICATE_REQUESTS.resource, "subresource": subresource, "verb": "create"}});
        for (from, to) in [("username", "user"), ("uid", "uid"), ("groups", "groups"), ("extra", "extra")] {
            if !spec[from].is_null() {
                about[to] = spec[from].clone();
            }
        }
        let review =
            json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": about});
        let answer = self.access.create(tenant, &SUBJECT_ACCESS_REVIEWS, "", review).await?;
        Ok(answer.value()?["status"]["allowed"] == true)
    }
}

/// The permissions of which one is enough, the smaller first; none for what nobody gets without being asked.
fn permissions(object: &Value) -> Vec<(&'static str, &'static str)> {
    if is_issued(object)
        || has(object, "Approved")
        || has(object, "Denied")
        || signer(object) != KUBELET_CLIENT
    {
        return Vec::new();
    }
    let Some(asked) = request::der(object).and_then(|der| request::read(&der)) else { return Vec::new() };
    if rules::check(KUBELET_CLIENT, &asked, &usages(object)) != Some(Ok(())) {
        return Vec::new();
    }
    if object["spec"]["username"] == asked.common_name.as_str() { vec![SELF, ANY] } else { vec![ANY] }
}

#[async_trait]
impl Reconciler for Approving {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(CERTIFICATE_REQUESTS.group_resource(), Scope::All)]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(found) = self.access.get(tenant, &CERTIFICATE_REQUESTS, "", &key.name).await? else {
            return Ok(Next::OnEvent);
        };
        for (permission, message) in permissions(&found) {
            if !self.may(tenant, &found, permission).await? {
                continue;
            }
            let mut approved = found.clone();
            let mut conditions = elements(&found, "/status/conditions").to_vec();
            conditions.push(json!({"type": "Approved", "status": "True", "reason": "AutoApproved",
                "message": message}));
            approved["status"]["conditions"] = conditions.into();
            self.access.change(tenant, &CERTIFICATE_REQUESTS, "approval", &found, &approved).await?;
            break;
        }
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::super::signing::tests::request;
    use super::*;

    #[test]
    fn only_kubelets_get_a_certificate_without_being_asked() {
        let node = |signer: &str, user: &str| {
            let usages = json!(["client auth", "digital signature"]);
            let mut object = request(signer, "system:node:a", &["system:nodes"], &usages);
            object["spec"]["username"] = json!(user);
            object
        };
        let names =
            |object: &Value| -> Vec<&str> { permissions(object).iter().map(|(name, _)| *name).collect() };
        assert_eq!(names(&node(KUBELET_CLIENT, "system:node:a")), ["selfnodeclient", "nodeclient"]);
        assert_eq!(names(&node(KUBELET_CLIENT, "system:bootstrap:x")), ["nodeclient"]);
        assert_eq!(names(&node(super::super::CLIENT, "system:node:a")), [""; 0]);
        assert_eq!(names(&node(super::super::KUBELET_SERVING, "system:node:a")), [""; 0]);
        for kind in ["Approved", "Denied"] {
            let mut decided = node(KUBELET_CLIENT, "system:node:a");
            decided["status"] = json!({"conditions": [{"type": kind, "status": "True"}]});
            assert_eq!(names(&decided), [""; 0], "{kind}");
        }
        let user = request(KUBELET_CLIENT, "ann", &["system:nodes"], &json!(["client auth"]));
        assert_eq!(names(&user), [""; 0]);
    }
}
