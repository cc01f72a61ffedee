//! ContainerizedWorkloads: a Deployment, a Service and a ConfigMap, written as the workload's author.
//!
//! Guarantees: fields and objects that the workload does not ask for any more go; the number of replicas is never
//! written, so that a scaler and this controller do not fight.

use crate::apply::{Fault, apply, classify};
use crate::author::author;
use crate::binding::BOUND;
use crate::containerized::{Workload, translate};
use crate::directory::Directory;
use crate::health::{Health, health};
use crate::plan::PlannedObject;
use crate::problem::{Cause, Problem};
use crate::status::{carry_over, write_status};
use api_types::condition::Condition;
use api_types::oam::{self, ContainerizedWorkloadStatus, TypedReference};
use api_types::{ApiError, GroupResource, ObjectName, Resource, TenantId};
use async_trait::async_trait;
use plane_client::{Actor, Delete, Next, Object, PlaneClient, Reconciler, Scope, Target, Trigger, Write};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
const SERVICES: Resource = Resource::new("", "v1", "services");
const CONFIG_MAPS: Resource = Resource::new("", "v1", "configmaps");

/// What the controller makes, in the order of writing: what pods need comes first.
static CHILDREN: [Resource; 3] = [CONFIG_MAPS, SERVICES, DEPLOYMENTS];

/// Repairs what no event told.
const PATROL: Duration = Duration::from_secs(300);
/// How soon a refused workload is tried again: a change of RBAC causes no event.
const PATROL_REFUSED: Duration = Duration::from_secs(15);

pub(crate) struct ContainerizedWorkloads {
    pub client: Arc<dyn PlaneClient>,
    pub directory: Arc<Directory>,
}

#[async_trait]
impl Reconciler for ContainerizedWorkloads {
    fn name(&self) -> &'static str {
        "containerizedworkload"
    }

    fn triggers(&self) -> Vec<Trigger> {
        let mut triggers = vec![Trigger::own(oam::CONTAINERIZED_WORKLOADS.group_resource(), Scope::Tenants)];
        triggers.extend(CHILDREN.iter().map(|child| {
            Trigger::controlled_by(child.group_resource(), Scope::Tenants, "ContainerizedWorkload")
        }));
        triggers
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let resource: GroupResource = oam::CONTAINERIZED_WORKLOADS.group_resource();
        let Some(object) = self.client.get(tenant, &resource, key).await? else {
            return Ok(Next::OnEvent);
        };
        if self.directory.is_off(tenant) || object.meta.deleting {
            return Ok(Next::OnEvent);
        }
        let value = object.value()?;
        let old: ContainerizedWorkloadStatus =
            serde_json::from_value(value["status"].clone()).unwrap_or_default();
        let result = self.bring_about(&object, &value).await;
        let now = jiff::Timestamp::now();
        let (synced, ready, resources) = match &result {
            Ok((resources, health)) => {
                let synced = Condition::new("Synced", true, "Applied", "", now);
                let (reason, message) = match health {
                    Health::Ready => ("Ready".to_owned(), String::new()),
                    Health::Progressing(why) => (Cause::WorkloadNotReady.to_string(), why.clone()),
                    Health::Failed(why) => (Cause::WorkloadFailed.to_string(), why.clone()),
                };
                let ready = Condition::new("Ready", *health == Health::Ready, &reason, message, now);
                (synced, ready, resources.clone())
            }
            Err(fault) => {
                let Problem { cause, message } = fault.problem();
                let failed = |kind| Condition::new(kind, false, &cause.to_string(), message.clone(), now);
                (failed("Synced"), failed("Ready"), old.resources.clone())
            }
        };
        let generation = object.meta.generation;
        let conditions = vec![ready.observed(generation), synced.observed(generation)];
        let status = ContainerizedWorkloadStatus {
            observed_generation: Some(generation),
            conditions: carry_over(&old.conditions, conditions),
            resources,
        };
        write_status(&*self.client, &oam::CONTAINERIZED_WORKLOADS, &object, &value["status"], &status)
            .await?;
        match result {
            Ok(_) => Ok(Next::After(PATROL)),
            Err(Fault::Problem(_)) => Ok(Next::After(PATROL_REFUSED)),
            Err(Fault::Retry(error)) => Err(error),
        }
    }
}

impl ContainerizedWorkloads {
    /// Writes the objects and removes those that are not wanted any more.
    async fn bring_about(
        &self,
        object: &Object,
        value: &Value,
    ) -> Result<(Vec<TypedReference>, Health), Fault> {
        let refused = |cause, message: String| Fault::Problem(Problem::new(cause, message));
        let author = author(value).map_err(|why| refused(Cause::AuthorUnknown, why))?;
        let spec = serde_json::from_value(value["spec"].clone())
            .map_err(|error| refused(Cause::InvalidWorkload, format!("spec: {error}")))?;
        let workload = Workload {
            namespace: object.name.namespace.to_string(),
            name: object.name.name.to_string(),
            uid: object.meta.uid.to_string(),
            labels: object.meta.labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            bound: value["metadata"]["annotations"][BOUND].as_str().unwrap_or("").to_owned(),
            spec,
        };
        let translation =
            translate(&workload).map_err(|faults| refused(Cause::InvalidWorkload, faults.join("; ")))?;
        let wanted = [translation.config, translation.service, Some(translation.deployment)];
        let mut references = Vec::new();
        let mut state = Health::Progressing("the Deployment is not written yet".to_owned());
        let mut names: Vec<(GroupResource, ObjectName)> = Vec::new();
        for (resource, body) in CHILDREN.iter().zip(wanted) {
            let Some(body) = body else { continue };
            let name = body["metadata"]["name"].as_str().unwrap_or("");
            let planned = PlannedObject {
                resource: resource.clone(),
                name: ObjectName::new(&workload.namespace, name),
                value: body,
            };
            let (written, live) =
                apply(&*self.client, object.tenant, &author, &planned, &workload.uid).await?;
            references.push(planned.reference(&written.meta.uid));
            names.push((resource.group_resource(), planned.name));
            state = health(&live);
        }
        self.prune(object, &author, &names).await?;
        Ok((references, state))
    }

    async fn prune(
        &self,
        workload: &Object,
        author: &Actor,
        wanted: &[(GroupResource, ObjectName)],
    ) -> Result<(), Fault> {
        let uid = workload.meta.uid.as_str();
        for object in self.client.dependents(workload.tenant, uid).await.map_err(Fault::Retry)? {
            let Some(resource) = CHILDREN.iter().find(|child| child.group_resource() == object.resource)
            else {
                continue;
            };
            let controlled = object.meta.controller().is_some_and(|owner| owner.uid == uid);
            let keep = wanted.contains(&(object.resource.clone(), object.name.clone()));
            if !controlled || keep || object.meta.deleting {
                continue;
            }
            let target = Target::new(workload.tenant, resource, &object.name.namespace, &object.name.name);
            let delete = Delete { uid: Some(object.meta.uid.to_string()), ..Delete::default() };
            match self.client.write(author, &target, Write::Delete(delete)).await {
                Err(error) if !error.is_not_found() => return Err(classify(error)),
                _ => {}
            }
        }
        Ok(())
    }
}
