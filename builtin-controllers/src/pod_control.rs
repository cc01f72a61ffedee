//! How controllers make and remove the pods of an owner.
//!
//! Guarantees: pods are created in batches of 1, 2, 4, … that stop at the first failure, so that a quota that is
//! full costs a few requests and not hundreds; each creation and deletion is an event about the owner, and is
//! remembered until a list shows it.

use crate::access::{Access, refused_by_ending_namespace, text};
use crate::claims;
use crate::events::Severity;
use crate::expectations::{Expectations, Unseen};
use crate::resources::PODS;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use plane_client::{ApiError, Delete, Selected, TenantId};
use serde_json::{Value, json};

/// The most pods made or deleted in one step.
pub(crate) const BURST: usize = 500;

/// How many are written at a time: enough to share the store's commits, and few enough that what they take of memory
/// does not grow with the number of replicas.
const PARALLEL: usize = 64;

/// Makes and removes pods, and remembers it.
pub(crate) struct PodControl {
    access: Access,
    expectations: Expectations,
}

impl PodControl {
    pub(crate) fn new(access: Access) -> Self {
        PodControl { access, expectations: Expectations::default() }
    }

    /// What the list does not show yet of what was done for the owner.
    pub(crate) fn unseen(&self, tenant: TenantId, owner: &Value, listed: &Selected) -> Unseen {
        self.expectations.settle(tenant, text(owner, "/metadata/uid"), listed)
    }

    /// Creates pods; how many were, and why not all. A namespace that ends takes no more, which is no error.
    pub(crate) async fn create(
        &self,
        tenant: TenantId,
        owner: &Value,
        pods: Vec<Value>,
    ) -> (usize, Option<ApiError>) {
        let namespace = text(owner, "/metadata/namespace");
        let (mut pods, mut batch, mut created) = (pods.into_iter(), 1, 0);
        let resource = &PODS;
        while pods.len() > 0 {
            let create = |pod| self.access.create(tenant, resource, namespace, pod).boxed();
            let creations: Vec<BoxFuture<'_, _>> = pods.by_ref().take(batch).map(create).collect();
            let mut failure = None;
            for result in stream::iter(creations).buffered(PARALLEL).collect::<Vec<_>>().await {
                match result {
                    Ok(pod) => {
                        created += 1;
                        self.expectations.created(tenant, text(owner, "/metadata/uid"), &pod);
                        let message = format!("Created pod: {}", pod.name.name);
                        self.event(tenant, owner, Severity::Normal, "SuccessfulCreate", &message);
                    }
                    Err(error) if refused_by_ending_namespace(&error) => return (created, None),
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(error) = failure {
                let message = format!("Error creating: {}", error.message());
                self.event(tenant, owner, Severity::Warning, "FailedCreate", &message);
                return (created, Some(error));
            }
            batch *= 2;
        }
        (created, None)
    }

    /// Deletes pods. One that is gone already is no error.
    pub(crate) async fn delete(
        &self,
        tenant: TenantId,
        owner: &Value,
        pods: &[&Value],
    ) -> Result<(), ApiError> {
        let deletions: Vec<BoxFuture<'_, _>> = pods
            .iter()
            .map(|pod| async move { self.access.delete(tenant, &PODS, pod, Delete::default()).await }.boxed())
            .collect();
        let results: Vec<Result<(), ApiError>> = stream::iter(deletions).buffered(PARALLEL).collect().await;
        let mut failure = None;
        for (pod, result) in pods.iter().zip(results) {
            let (name, uid) = (text(pod, "/metadata/name"), text(pod, "/metadata/uid"));
            match result {
                Ok(()) => {
                    self.expectations.deleted(tenant, text(owner, "/metadata/uid"), uid);
                    let message = format!("Deleted pod: {name}");
                    self.event(tenant, owner, Severity::Normal, "SuccessfulDelete", &message);
                }
                Err(error) => {
                    let message = format!("Error deleting: {}", error.message());
                    self.event(tenant, owner, Severity::Warning, "FailedDelete", &message);
                    failure = Some(error);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn event(&self, tenant: TenantId, about: &Value, severity: Severity, reason: &str, message: &str) {
        self.access.event(tenant, about, severity, reason, message);
    }
}

/// A pod of a template, controlled by `owner`, without a name.
pub(crate) fn pod_of(template: &Value, owner: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"ownerReferences": [claims::controller_reference(owner)]},
        "spec": template["spec"],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if !template["metadata"][field].is_null() {
            pod["metadata"][field] = template["metadata"][field].clone();
        }
    }
    pod
}

/// A pod of a template, controlled by `owner`, whose name the server makes from the owner's. The server cuts the
/// start of generated names to leave room for the end.
pub(crate) fn generated_pod_of(template: &Value, owner: &Value) -> Value {
    let mut pod = pod_of(template, owner);
    pod["metadata"]["generateName"] = format!("{}-", text(owner, "/metadata/name")).into();
    pod
}
