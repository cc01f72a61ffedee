//! Components: a revision for each change of the spec.
//!
//! Guarantees: revisions are numbered from 1 without reuse while any is left; a revision never changes; those in use (the
//! newest, pinned ones, those that an application's status names) are kept, and of the others the newest ten. Assumes
//! that the content of a ControllerRevision cannot be changed, as Kubernetes promises.

use crate::author::RUNTIME;
use crate::directory::Directory;
use crate::names::label_value;
use crate::status::{carry_over, write_status};
use api_types::condition::Condition;
use api_types::oam::{
    self, ApplicationConfigurationSpec, ApplicationConfigurationStatus, ComponentRevision, ComponentStatus,
};
use api_types::{ApiError, GroupResource, ObjectName, Resource, TenantId};
use async_trait::async_trait;
use plane_client::{Delete, Next, Object, PlaneClient, Reconciler, Scope, Target, Trigger, Write};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// `apps/v1` ControllerRevisions.
pub(crate) const REVISIONS: Resource = Resource::new("apps", "v1", "controllerrevisions");

/// How many revisions that nobody uses are kept for each component.
const UNUSED_KEPT: usize = 10;

pub(crate) struct Components {
    pub client: Arc<dyn PlaneClient>,
    pub directory: Arc<Directory>,
}

#[async_trait]
impl Reconciler for Components {
    fn name(&self) -> &'static str {
        "component"
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![
            Trigger::own(oam::COMPONENTS.group_resource(), Scope::Tenants),
            Trigger::controlled_by(REVISIONS.group_resource(), Scope::Tenants, "Component"),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if self.directory.is_off(tenant) {
            return Ok(Next::OnEvent);
        }
        let Some(object) = self.client.get(tenant, &oam::COMPONENTS.group_resource(), key).await? else {
            return Ok(Next::OnEvent);
        };
        if object.meta.deleting {
            return Ok(Next::OnEvent);
        }
        let component = object.value()?;
        let revisions = self.revisions(tenant, key).await?;
        let latest = match revisions.iter().rev().find(|r| r.owner == object.meta.uid) {
            Some(latest) if latest.spec == component["spec"] => latest.reference(),
            _ => {
                let number = revisions.last().map_or(0, |r| r.number) + 1;
                self.create(&object, &component, number).await?
            }
        };
        self.trim(tenant, key, &revisions, &latest).await?;

        let old: ComponentStatus = serde_json::from_value(component["status"].clone()).unwrap_or_default();
        let ready = Condition::new(
            "Ready",
            true,
            "RevisionCreated",
            format!("the newest revision is {}", latest.name),
            jiff::Timestamp::now(),
        );
        let status = ComponentStatus {
            observed_generation: Some(object.meta.generation),
            latest_revision: Some(latest),
            conditions: carry_over(&old.conditions, vec![ready.observed(object.meta.generation)]),
        };
        write_status(&*self.client, &oam::COMPONENTS, &object, &component["status"], &status).await?;
        Ok(Next::OnEvent)
    }
}

/// A stored revision.
struct Stored {
    name: String,
    number: i64,
    owner: String,
    spec: Value,
    uid: String,
}

impl Stored {
    fn reference(&self) -> ComponentRevision {
        ComponentRevision { name: self.name.clone(), revision: self.number }
    }
}

impl Components {
    /// The component's revisions in order of number, also those of an earlier component of the name.
    async fn revisions(&self, tenant: TenantId, key: &ObjectName) -> Result<Vec<Stored>, ApiError> {
        let label = label_value(&key.name);
        let mut found = Vec::new();
        for object in self.client.list(tenant, &REVISIONS.group_resource(), &key.namespace).await? {
            if object.meta.label(oam::LABEL_REVISION_OF) != Some(&label) {
                continue;
            }
            let mut value = object.value()?;
            found.push(Stored {
                name: object.name.name.to_string(),
                number: value["revision"].as_i64().unwrap_or(0),
                owner: object.meta.controller().map(|o| o.uid.to_string()).unwrap_or_default(),
                spec: value["data"]["spec"].take(),
                uid: object.meta.uid.to_string(),
            });
        }
        found.sort_by_key(|revision| revision.number);
        Ok(found)
    }

    async fn create(
        &self,
        object: &Object,
        component: &Value,
        number: i64,
    ) -> Result<ComponentRevision, ApiError> {
        let ObjectName { namespace, name } = &object.name;
        let reference = ComponentRevision { name: format!("{name}-v{number}"), revision: number };
        let body = json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision",
            "metadata": {"name": reference.name, "namespace": namespace,
                "labels": {oam::LABEL_REVISION_OF: label_value(name)},
                "ownerReferences": [{"apiVersion": oam::API_VERSION, "kind": "Component", "name": name,
                    "uid": object.meta.uid, "controller": true, "blockOwnerDeletion": true}]},
            "revision": number,
            "data": {"apiVersion": oam::API_VERSION, "kind": "Component",
                "metadata": {"name": name, "namespace": namespace}, "spec": component["spec"]},
        });
        let target = Target::new(object.tenant, &REVISIONS, namespace, &reference.name);
        self.client.write(&RUNTIME, &target, Write::Create(body)).await?;
        Ok(reference)
    }

    /// Deletes revisions that nobody uses, beyond the newest of them.
    async fn trim(
        &self,
        tenant: TenantId,
        key: &ObjectName,
        revisions: &[Stored],
        latest: &ComponentRevision,
    ) -> Result<(), ApiError> {
        if revisions.len() <= UNUSED_KEPT {
            return Ok(());
        }
        let mut used = revisions_in_use(&*self.client, tenant, &key.namespace).await?;
        used.insert(latest.name.clone());
        let unused: Vec<&Stored> = revisions.iter().filter(|r| !used.contains(&r.name)).collect();
        for revision in unused.iter().take(unused.len().saturating_sub(UNUSED_KEPT)) {
            let target = Target::new(tenant, &REVISIONS, &key.namespace, &revision.name);
            let delete = Delete { uid: Some(revision.uid.clone()), ..Delete::default() };
            match self.client.write(&RUNTIME, &target, Write::Delete(delete)).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The revisions that applications of a namespace pin or run.
async fn revisions_in_use(
    client: &dyn PlaneClient,
    tenant: TenantId,
    namespace: &str,
) -> Result<BTreeSet<String>, ApiError> {
    let resource: GroupResource = oam::APPLICATION_CONFIGURATIONS.group_resource();
    let mut used = BTreeSet::new();
    for object in client.list(tenant, &resource, namespace).await? {
        let mut value = object.value()?;
        if let Ok(spec) = serde_json::from_value::<ApplicationConfigurationSpec>(value["spec"].take()) {
            used.extend(spec.components.into_iter().map(|c| c.revision_name));
        }
        if let Ok(status) = serde_json::from_value::<ApplicationConfigurationStatus>(value["status"].take()) {
            used.extend(status.workloads.into_iter().map(|w| w.component_revision_name));
        }
    }
    Ok(used)
}
