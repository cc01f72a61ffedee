//! ApplicationConfigurations: rendered, written as their author, and cleaned of what is no longer rendered.
//!
//! Guarantees: every application that uses a component, a revision, a Secret or a definition is looked at again when it
//! changes; a component with a defect keeps what is there of it and does not hold back the others; what is no longer
//! rendered is deleted, found by owner reference, so that nothing is forgotten even when the status was lost; objects that
//! something else made are never touched. Assumes that the API server records the author. Caveats: whether a workload
//! of a kind without a watch works is found out by the patrol; a change of RBAC is, too. Who may write a component decides what is written
//! in the name of the authors of its applications; an application that does not trust them pins a revision.

use crate::apply::{Fault, apply, classify};
use crate::author::author;
use crate::binding::{is_binding, secret_named};
use crate::directory::Directory;
use crate::gather::{SECRETS, gather};
use crate::health::{Health, health};
use crate::index::Index;
use crate::names::label_value;
use crate::plan::{Outcome, Plan, PlannedComponent, Rendered};
use crate::problem::{Cause, Problem, messages};
use crate::render::{Application, render};
use crate::report::{ComponentReport, report};
use crate::status::{carry_over, write_status};
use api_types::condition::Condition;
use api_types::oam::{
    self, ApplicationConfigurationSpec, ApplicationConfigurationStatus, TraitStatus, WorkloadStatus,
    WorkloadTrait,
};
use api_types::{ApiError, GroupResource, GroupVersion, ObjectName, Resource, TenantId};
use async_trait::async_trait;
use plane_client::{
    Actor, Delete, Next, Object, PlaneClient, Propagation, Reconciler, Scope, Target, Trigger, Write,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Repairs what no event told, and finds out about kinds without a watch.
const PATROL: Duration = Duration::from_secs(300);
/// How soon an application that is not ready is looked at again without an event.
const PATROL_UNREADY: Duration = Duration::from_secs(15);

/// What an application uses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Used {
    Component(ObjectName),
    Revision(ObjectName),
    Secret(ObjectName),
}

/// Kinds whose changes are watched when an application controls them.
const CHILDREN: &[(&str, &str)] = &[
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("batch", "jobs"),
    ("", "services"),
    ("", "configmaps"),
    (oam::GROUP, "containerizedworkloads"),
    (oam::GROUP, "manualscalertraits"),
    (oam::GROUP, "servicebindings"),
    (api_types::cloud::GROUP, "databases"),
];

pub(crate) struct Applications {
    pub client: Arc<dyn PlaneClient>,
    pub directory: Arc<Directory>,
    pub index: Arc<Index<Used>>,
}

#[async_trait]
impl Reconciler for Applications {
    fn name(&self) -> &'static str {
        "applicationconfiguration"
    }

    fn triggers(&self) -> Vec<Trigger> {
        let users = |resource: &Resource, used: fn(ObjectName) -> Used| {
            let index = self.index.clone();
            Trigger::mapped(resource.group_resource(), Scope::Tenants, move |object: &Object| {
                index.users(object.tenant, used(object.name.clone()))
            })
        };
        let all = |resource: &Resource| {
            let index = self.index.clone();
            Trigger::mapped(resource.group_resource(), Scope::Tenants, move |object: &Object| {
                index.of_tenant(object.tenant)
            })
        };
        let index = self.index.clone();
        let own = Trigger::mapped(
            oam::APPLICATION_CONFIGURATIONS.group_resource(),
            Scope::Tenants,
            move |object: &Object| {
                index.put(object.tenant, &object.name, uses(object));
                vec![object.name.clone()]
            },
        );
        let mut triggers = vec![
            own,
            users(&oam::COMPONENTS, Used::Component),
            users(&crate::components::REVISIONS, Used::Revision),
            users(&SECRETS, Used::Secret),
            all(&oam::WORKLOAD_DEFINITIONS),
            all(&oam::TRAIT_DEFINITIONS),
        ];
        triggers.extend(CHILDREN.iter().map(|(group, resource)| {
            Trigger::controlled_by(
                GroupResource::new(group, resource),
                Scope::Tenants,
                "ApplicationConfiguration",
            )
        }));
        triggers
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let resource = oam::APPLICATION_CONFIGURATIONS.group_resource();
        let Some(object) = self.client.get(tenant, &resource, key).await? else {
            self.index.remove(tenant, key);
            return Ok(Next::OnEvent);
        };
        // Deletion is the garbage collector's work, by owner references.
        if self.directory.is_off(tenant) || object.meta.deleting {
            return Ok(Next::OnEvent);
        }
        self.bring_about(&object).await
    }
}

/// What an application uses, read from its spec; nothing when the spec cannot be read.
fn uses(object: &Object) -> BTreeSet<Used> {
    let spec = object.value().map(|mut value| value["spec"].take());
    let spec = spec.ok().and_then(|spec| serde_json::from_value::<ApplicationConfigurationSpec>(spec).ok());
    let named = |name: &str| ObjectName::new(&object.name.namespace, name);
    let mut used = BTreeSet::new();
    for component in spec.unwrap_or_default().components {
        if !component.component_name.is_empty() {
            used.insert(Used::Component(named(&component.component_name)));
        }
        if !component.revision_name.is_empty() {
            used.insert(Used::Revision(named(&component.revision_name)));
        }
        used.extend(
            component.traits.iter().filter_map(|t| secret_named(&t.body)).map(|s| Used::Secret(named(s))),
        );
    }
    used
}

impl Applications {
    async fn bring_about(&self, object: &Object) -> Result<Next, ApiError> {
        let value = object.value()?;
        let old: ApplicationConfigurationStatus =
            serde_json::from_value(value["status"].clone()).unwrap_or_default();
        let (reports, retry) = match self.prepare(object, &value).await? {
            Ok((author, plan)) => self.carry_out(object, &author, &plan, &old).await,
            Err(problem) => (vec![ComponentReport::of_all(problem)], None),
        };
        let status = report(object.meta.generation, &old, &reports, jiff::Timestamp::now());
        write_status(&*self.client, &oam::APPLICATION_CONFIGURATIONS, object, &value["status"], &status)
            .await?;
        match retry {
            Some(error) => Err(error),
            None if reports.iter().all(ComponentReport::is_ready) => Ok(Next::After(PATROL)),
            None => Ok(Next::After(PATROL_UNREADY)),
        }
    }

    /// The author and the plan; the defect when there can be none.
    async fn prepare(
        &self,
        object: &Object,
        value: &Value,
    ) -> Result<Result<(Actor, Plan), Problem>, ApiError> {
        let author = match author(value) {
            Ok(author) => author,
            Err(why) => return Ok(Err(Problem::new(Cause::AuthorUnknown, why))),
        };
        let spec: ApplicationConfigurationSpec = match serde_json::from_value(value["spec"].clone()) {
            Ok(spec) => spec,
            Err(error) => return Ok(Err(Problem::new(Cause::InvalidComponent, format!("spec: {error}")))),
        };
        let inputs = gather(&*self.client, object.tenant, &object.name.namespace, &spec).await?;
        let application = Application {
            namespace: object.name.namespace.to_string(),
            name: object.name.name.to_string(),
            uid: object.meta.uid.to_string(),
            spec,
        };
        Ok(Ok((author, render(&application, &inputs))))
    }

    /// Writes the plan and removes what is not in it. An error that another try may cure comes back beside the reports.
    async fn carry_out(
        &self,
        object: &Object,
        author: &Actor,
        plan: &Plan,
        old: &ApplicationConfigurationStatus,
    ) -> (Vec<ComponentReport>, Option<ApiError>) {
        let mut reports = Vec::new();
        let mut retry = None;
        // Components whose objects stay, whatever the plan says.
        let mut held = BTreeSet::new();
        for component in &plan.components {
            let mut report = match &component.outcome {
                Outcome::Held(problems) => ComponentReport::failed(component, problems),
                Outcome::Rendered(rendered) => match self.write(object, author, component, rendered).await {
                    Ok(report) => report,
                    Err(fault) => {
                        let report = ComponentReport::failed(component, &[fault.problem()]);
                        if let Fault::Retry(error) = fault {
                            retry = Some(error);
                        }
                        report
                    }
                },
            };
            if !report.synced {
                held.insert(label_value(&component.name));
                // What was there of it is still there.
                report
                    .workloads
                    .extend(old.workloads.iter().filter(|w| w.component_name == component.name).cloned());
            }
            reports.push(report);
        }
        match self.prune(object, author, plan, &held).await {
            Ok(()) => {}
            Err(Fault::Problem(problem)) => reports.push(ComponentReport::of_removal(problem)),
            Err(Fault::Retry(error)) => retry = retry.or(Some(error)),
        }
        (reports, retry)
    }

    async fn write(
        &self,
        application: &Object,
        author: &Actor,
        component: &PlannedComponent,
        rendered: &Rendered,
    ) -> Result<ComponentReport, Fault> {
        let mut written = Vec::new();
        for planned in rendered.objects() {
            let (object, value) =
                apply(&*self.client, application.tenant, author, planned, &application.meta.uid).await?;
            if is_binding(&planned.value) {
                self.tell_bound(&object, &value).await.map_err(Fault::Retry)?;
            }
            written.push((planned.reference(&object.meta.uid), health(&value)));
        }
        let mut references = written.iter().map(|(reference, _)| reference.clone());
        let workload = WorkloadStatus {
            status: written.first().map_or("", |(_, health)| health.word()).to_owned(),
            component_name: component.name.clone(),
            component_revision_name: component.revision.clone(),
            workload_ref: references.next().unwrap_or_default(),
            traits: references.map(|trait_ref| WorkloadTrait { trait_ref }).collect(),
        };
        let unwell = written.into_iter().find_map(|(reference, health)| {
            let what = format!("{} {:?}", reference.kind, reference.name);
            match health {
                Health::Ready => None,
                Health::Progressing(why) => {
                    Some(Problem::new(Cause::WorkloadNotReady, format!("{what}: {why}")))
                }
                Health::Failed(why) => Some(Problem::new(Cause::WorkloadFailed, format!("{what}: {why}"))),
            }
        });
        Ok(ComponentReport::written(component, workload, unwell))
    }

    /// A binding has no controller of its own: it is in effect as soon as its workload is written, which comes first.
    async fn tell_bound(&self, binding: &Object, value: &Value) -> Result<(), ApiError> {
        let old: TraitStatus = serde_json::from_value(value["status"].clone()).unwrap_or_default();
        let bound = Condition::new("Ready", true, "Bound", "", jiff::Timestamp::now());
        let generation = binding.meta.generation;
        let status = TraitStatus {
            observed_generation: Some(generation),
            conditions: carry_over(&old.conditions, vec![bound.observed(generation)]),
        };
        write_status(&*self.client, &oam::SERVICE_BINDINGS, binding, &value["status"], &status).await
    }

    /// Deletes what the application controls and does not render any more.
    async fn prune(
        &self,
        application: &Object,
        author: &Actor,
        plan: &Plan,
        held: &BTreeSet<String>,
    ) -> Result<(), Fault> {
        let wanted: BTreeSet<(GroupResource, ObjectName)> = plan
            .components
            .iter()
            .filter_map(|component| match &component.outcome {
                Outcome::Rendered(rendered) => Some(rendered),
                Outcome::Held(_) => None,
            })
            .flat_map(Rendered::objects)
            .map(|object| (object.resource.group_resource(), object.name.clone()))
            .collect();
        let uid = application.meta.uid.as_str();
        for object in self.client.dependents(application.tenant, uid).await.map_err(Fault::Retry)? {
            let controlled = object.meta.controller().is_some_and(|owner| owner.uid == uid);
            let component = object.meta.label(oam::LABEL_COMPONENT);
            let ours = controlled && component.is_some_and(|component| !held.contains(component));
            if !ours
                || object.meta.deleting
                || wanted.contains(&(object.resource.clone(), object.name.clone()))
            {
                continue;
            }
            self.delete(author, &object).await?;
        }
        Ok(())
    }

    async fn delete(&self, author: &Actor, object: &Object) -> Result<(), Fault> {
        let value = object.value().map_err(Fault::Retry)?;
        let Some(version) = value["apiVersion"].as_str().and_then(GroupVersion::parse) else {
            return Err(Fault::Retry(ApiError::internal(format_args!("{} has no apiVersion", object.name))));
        };
        let resource = Resource {
            group: version.group,
            version: version.version,
            resource: object.resource.resource.clone(),
        };
        let target = Target::new(object.tenant, &resource, &object.name.namespace, &object.name.name);
        let delete = Delete {
            uid: Some(object.meta.uid.to_string()),
            propagation: Some(Propagation::Background),
            ..Delete::default()
        };
        match self.client.write(author, &target, Write::Delete(delete)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(classify(error)),
        }
    }
}

/// For a held component that was never written, the message tells all its defects.
pub(crate) fn told(problems: &[Problem]) -> (Cause, String) {
    (problems.first().map_or(Cause::ApplyFailed, |p| p.cause), messages(problems))
}
