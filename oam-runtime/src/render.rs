//! An application rendered into a plan. Pure: all that it reads is in [`Inputs`].
//!
//! For each component, in this order: refuse what is not implemented, set parameters, name and label the workload, name
//! and label the traits and give them their reference, check definitions, put bindings in. Then, over all components:
//! duplicate objects, and circles of bindings. A component with a defect is held; the others are rendered.

mod component;
mod traits;

use crate::binding::{SecretFacts, secret_named};
use crate::cycle::{cycles, secret_written};
use crate::definition::Definitions;
use crate::parameters::set_parameters;
use crate::plan::{Outcome, Plan, PlannedComponent};
use crate::problem::{Cause, Problem};
use api_types::ObjectName;
use api_types::oam::{ApplicationComponent, ApplicationConfigurationSpec, ComponentSpec};
use plane_client::KindInfo;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The application.
#[derive(Clone, Debug)]
pub struct Application {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `spec`.
    pub spec: ApplicationConfigurationSpec,
}

/// One revision of a component.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The component's name.
    pub component: String,
    /// The revision's name.
    pub name: String,
    /// The component's spec as of then.
    pub spec: ComponentSpec,
}

/// All that a rendering reads beside the application.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// For each component of the application, in its order: its revision, or why there is none.
    pub revisions: Vec<Option<Result<Revision, Problem>>>,
    /// The kinds of workloads and traits by `apiVersion` and `kind`; a kind that the plane has not is missing.
    pub kinds: BTreeMap<(String, String), KindInfo>,
    /// Definitions of the plane.
    pub definitions: Definitions,
    /// The Secrets that bindings name, as far as they exist.
    pub secrets: BTreeMap<String, SecretFacts>,
}

/// Renders an application.
pub fn render(application: &Application, inputs: &Inputs) -> Plan {
    let mut components = Vec::new();
    for (position, component) in application.spec.components.iter().enumerate() {
        let revision = inputs.revisions.get(position).and_then(Option::as_ref);
        components.push(render_one(application, component, revision, inputs));
    }
    hold_duplicates(&mut components);
    hold_cycles(&application.spec.components, inputs, &mut components);
    Plan { components }
}

fn render_one(
    application: &Application,
    component: &ApplicationComponent,
    revision: Option<&Result<Revision, Problem>>,
    inputs: &Inputs,
) -> PlannedComponent {
    let named = if component.component_name.is_empty() {
        &component.revision_name
    } else {
        &component.component_name
    };
    let held = |revision: &str, name: &str, problems| PlannedComponent {
        name: name.to_owned(),
        revision: revision.to_owned(),
        outcome: Outcome::Held(problems),
    };
    let problems = component::refuse(component);
    let revision = match revision {
        _ if !problems.is_empty() => {
            let known = revision.and_then(|r| r.as_ref().ok());
            let (name, revision) =
                known.map_or((named.as_str(), ""), |r| (r.component.as_str(), r.name.as_str()));
            return held(revision, name, problems);
        }
        Some(Ok(revision)) => revision,
        Some(Err(problem)) => return held("", named, vec![problem.clone()]),
        None => {
            let message = format!("component {named:?} was not looked up");
            return held("", named, vec![Problem::new(Cause::ComponentNotFound, message)]);
        }
    };
    let outcome = match component::render(application, component, revision, inputs) {
        Ok(rendered) => Outcome::Rendered(rendered),
        Err(problems) => Outcome::Held(problems),
    };
    PlannedComponent { name: revision.component.clone(), revision: revision.name.clone(), outcome }
}

/// Two components, or two traits, must not be the same object: the later one is held.
fn hold_duplicates(components: &mut [PlannedComponent]) {
    let mut seen: BTreeSet<(String, ObjectName)> = BTreeSet::new();
    for component in components {
        let Outcome::Rendered(rendered) = &component.outcome else { continue };
        let keys: Vec<_> =
            rendered.objects().map(|o| (o.resource.group_resource().to_string(), o.name.clone())).collect();
        let mut own = BTreeSet::new();
        let problems: Vec<Problem> = keys
            .iter()
            .filter(|key| seen.contains(*key) || !own.insert((*key).clone()))
            .map(|(resource, name)| {
                let message =
                    format!("{resource} {:?} is in the application twice; set metadata.name", name.name);
                Problem::new(Cause::DuplicateObject, message)
            })
            .collect();
        if problems.is_empty() {
            seen.extend(keys);
        } else {
            component.outcome = Outcome::Held(problems);
        }
    }
}

/// Components that wait for each other's Secrets would wait for ever. What a component writes is read from its workload
/// with the values set, whether or not the component is held: most that are in a circle wait for their Secret.
fn hold_cycles(specs: &[ApplicationComponent], inputs: &Inputs, components: &mut [PlannedComponent]) {
    let written: Vec<Option<String>> = specs
        .iter()
        .zip(&inputs.revisions)
        .map(|(spec, revision)| {
            let revision = revision.as_ref()?.as_ref().ok()?;
            let mut workload = revision.spec.workload.clone();
            set_parameters(&mut workload, &revision.spec.parameters, &spec.parameter_values).ok()?;
            secret_written(&workload, &revision.component)
        })
        .collect();
    let bound: Vec<Vec<String>> = specs
        .iter()
        .map(|spec| spec.traits.iter().filter_map(|t| secret_named(&t.body)).map(str::to_owned).collect())
        .collect();
    let names: Vec<String> = components.iter().map(|c| c.name.clone()).collect();
    for (position, path) in cycles(&written, &bound) {
        let path: Vec<&str> = path.iter().filter_map(|i| names.get(*i)).map(String::as_str).collect();
        let message = format!("components bind each other's Secrets in a circle: {}", path.join(" → "));
        if let Some(component) = components.get_mut(position) {
            component.outcome = Outcome::Held(vec![Problem::new(Cause::BindingCycle, message)]);
        }
    }
}

/// `apiVersion` and `kind` of an object, when it has both.
pub fn kind_of(object: &Value) -> Option<(String, String)> {
    let text = |field: &str| object[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    Some((text("apiVersion")?, text("kind")?))
}

#[cfg(test)]
mod tests;
