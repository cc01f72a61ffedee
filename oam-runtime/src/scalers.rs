//! ManualScalerTraits: the number of replicas set through the `scale` subresource, as the trait's author.
//!
//! A ContainerizedWorkload is scaled by its Deployment. Of several scalers of one workload the oldest has its way, and
//! the others say so. Guarantees: what others set is set back, at once for the watched kinds and by the patrol for others.

use crate::apply::{Fault, classify};
use crate::author::author;
use crate::directory::Directory;
use crate::index::Index;
use crate::problem::{Cause, Problem};
use crate::status::{carry_over, write_status};
use api_types::condition::Condition;
use api_types::oam::{self, ManualScalerTraitSpec, TraitStatus};
use api_types::{ApiError, ObjectName, Resource, TenantId};
use async_trait::async_trait;
use plane_client::{Next, Object, Patch, PlaneClient, Reconciler, Scope, Target, Trigger, Write};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Finds out about kinds without a watch.
const PATROL: Duration = Duration::from_secs(60);
/// How soon a scaler that is not in effect is looked at again without an event.
const PATROL_UNREADY: Duration = Duration::from_secs(15);

/// A scaled object: its kind and its name.
pub(crate) type Scaled = (String, ObjectName);

/// Kinds whose changes are watched: group, resource, kind.
const WATCHED: &[(&str, &str, &str)] = &[
    ("apps", "deployments", "Deployment"),
    ("apps", "statefulsets", "StatefulSet"),
    ("apps", "replicasets", "ReplicaSet"),
];

pub(crate) struct Scalers {
    pub client: Arc<dyn PlaneClient>,
    pub directory: Arc<Directory>,
    pub index: Arc<Index<Scaled>>,
}

#[async_trait]
impl Reconciler for Scalers {
    fn name(&self) -> &'static str {
        "manualscalertrait"
    }

    fn triggers(&self) -> Vec<Trigger> {
        let index = self.index.clone();
        let own = Trigger::mapped(
            oam::MANUAL_SCALER_TRAITS.group_resource(),
            Scope::Tenants,
            move |object: &Object| {
                let mut due = vec![object.name.clone()];
                if let Some(scaled) = scaled(object) {
                    // Others of the same workload may have their way now.
                    due.extend(
                        index.users(object.tenant, scaled.clone()).into_iter().filter(|k| *k != object.name),
                    );
                    index.put(object.tenant, &object.name, BTreeSet::from([scaled]));
                }
                due
            },
        );
        let mut triggers = vec![own];
        triggers.extend(WATCHED.iter().map(|(group, resource, kind)| {
            let index = self.index.clone();
            Trigger::mapped(
                api_types::GroupResource::new(group, resource),
                Scope::Tenants,
                move |object: &Object| index.users(object.tenant, ((*kind).to_owned(), object.name.clone())),
            )
        }));
        triggers
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let resource = oam::MANUAL_SCALER_TRAITS.group_resource();
        let Some(object) = self.client.get(tenant, &resource, key).await? else {
            self.index.remove(tenant, key);
            return Ok(Next::OnEvent);
        };
        if self.directory.is_off(tenant) || object.meta.deleting {
            return Ok(Next::OnEvent);
        }
        let value = object.value()?;
        let old: TraitStatus = serde_json::from_value(value["status"].clone()).unwrap_or_default();
        let result = self.scale(&object, &value).await;
        let now = jiff::Timestamp::now();
        let condition = match &result {
            Ok(message) => Condition::new("Ready", true, "Scaled", message, now),
            Err(fault) => {
                let Problem { cause, message } = fault.problem();
                Condition::new("Ready", false, &cause.to_string(), message, now)
            }
        };
        let status = TraitStatus {
            observed_generation: Some(object.meta.generation),
            conditions: carry_over(&old.conditions, vec![condition.observed(object.meta.generation)]),
        };
        write_status(&*self.client, &oam::MANUAL_SCALER_TRAITS, &object, &value["status"], &status).await?;
        match result {
            Ok(_) => Ok(Next::After(PATROL)),
            Err(Fault::Problem(_)) => Ok(Next::After(PATROL_UNREADY)),
            Err(Fault::Retry(error)) => Err(error),
        }
    }
}

/// What a scaler scales: for a ContainerizedWorkload, its Deployment.
fn scaled(object: &Object) -> Option<Scaled> {
    let value = object.value().ok()?;
    let reference = &value["spec"]["workloadRef"];
    let (kind, name) = (reference["kind"].as_str()?, reference["name"].as_str()?);
    let kind = if is_containerized(reference) { "Deployment" } else { kind };
    Some((kind.to_owned(), ObjectName::new(&object.name.namespace, name)))
}

fn is_containerized(reference: &Value) -> bool {
    reference["apiVersion"] == oam::API_VERSION && reference["kind"] == "ContainerizedWorkload"
}

impl Scalers {
    /// Sets the number; tells what is in effect.
    async fn scale(&self, object: &Object, value: &Value) -> Result<String, Fault> {
        let refused = |cause, message: String| Fault::Problem(Problem::new(cause, message));
        let author = author(value).map_err(|why| refused(Cause::AuthorUnknown, why))?;
        let spec: ManualScalerTraitSpec = serde_json::from_value(value["spec"].clone())
            .map_err(|error| refused(Cause::InvalidTrait, format!("spec: {error}")))?;
        if spec.replica_count < 0 {
            return Err(refused(Cause::InvalidTrait, "spec.replicaCount: must be 0 or more".to_owned()));
        }
        if spec.workload_ref.is_empty() {
            let message = "spec.workloadRef is empty: a trait is made by an ApplicationConfiguration, which fills it in";
            return Err(refused(Cause::InvalidTrait, message.to_owned()));
        }
        if let Some(older) = self.older_scaler(object, value).await.map_err(Fault::Retry)? {
            let message = format!(
                "{} {:?} is scaled by {older:?} already",
                spec.workload_ref.kind, spec.workload_ref.name
            );
            return Err(refused(Cause::ScalerConflict, message));
        }
        let (resource, live) = self.target(object, value, &spec).await?;
        let wanted = i64::from(spec.replica_count);
        let current = live.value().map_err(Fault::Retry)?["spec"]["replicas"].as_i64();
        let what = format!("{} {:?}", live.resource, live.name.name);
        if current == Some(wanted) {
            return Ok(format!("{what} has {wanted} replicas in its spec"));
        }
        let target =
            Target::new(object.tenant, &resource, &live.name.namespace, &live.name.name).subresource("scale");
        let patch = Write::Patch(Patch::Merge(json!({"spec": {"replicas": wanted}})));
        match self.client.write(&author, &target, patch).await {
            Ok(_) => Ok(format!("{what} has {wanted} replicas in its spec")),
            Err(error) if error.is_not_found() => Err(refused(
                Cause::NotScalable,
                format!("{what} cannot be scaled: it has no scale subresource, or is gone ({error})"),
            )),
            Err(error) => Err(classify(error)),
        }
    }

    /// The object whose replicas are set, and its resource.
    async fn target(
        &self,
        object: &Object,
        value: &Value,
        spec: &ManualScalerTraitSpec,
    ) -> Result<(Resource, Object), Fault> {
        let reference = &spec.workload_ref;
        let (api_version, kind) = if is_containerized(&value["spec"]["workloadRef"]) {
            ("apps/v1", "Deployment")
        } else {
            (reference.api_version.as_str(), reference.kind.as_str())
        };
        let known = self.client.kind(object.tenant, api_version, kind).await.map_err(Fault::Retry)?;
        let Some(info) = known.filter(|info| info.namespaced) else {
            let message = format!("{kind} of {api_version} is not a kind that can be scaled here");
            return Err(Fault::Problem(Problem::new(Cause::UnknownKind, message)));
        };
        let name = ObjectName::new(&object.name.namespace, &reference.name);
        let live = self
            .client
            .get(object.tenant, &info.resource.group_resource(), &name)
            .await
            .map_err(Fault::Retry)?;
        match live.filter(|live| !live.meta.deleting) {
            Some(live) => Ok((info.resource, live)),
            None => Err(Fault::Problem(Problem::new(
                Cause::WaitingForWorkload,
                format!("waiting for {kind} {:?}", reference.name),
            ))),
        }
    }

    /// An older scaler of the same workload.
    async fn older_scaler(&self, object: &Object, value: &Value) -> Result<Option<String>, ApiError> {
        let Some(own) = scaled(object) else { return Ok(None) };
        let age = |value: &Value, name: &str| {
            (value["metadata"]["creationTimestamp"].as_str().unwrap_or("").to_owned(), name.to_owned())
        };
        let own_age = age(value, &object.name.name);
        let resource = oam::MANUAL_SCALER_TRAITS.group_resource();
        for other in self.client.list(object.tenant, &resource, &object.name.namespace).await? {
            if other.name == object.name || other.meta.deleting || scaled(&other).as_ref() != Some(&own) {
                continue;
            }
            if age(&other.value()?, &other.name.name) < own_age {
                return Ok(Some(other.name.name.to_string()));
            }
        }
        Ok(None)
    }
}
