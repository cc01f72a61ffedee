//! The traits of one component: checked against definitions, named, and told which workload is theirs.

use super::Inputs;
use super::component::{Labelling, object_kind};
use crate::definition::{Definition, Described, means};
use crate::field_path::FieldPath;
use crate::names::fit;
use crate::plan::PlannedObject;
use crate::problem::{Cause, Problem};
use api_types::oam::{self, ApplicationComponent, TraitDefinitionSpec, WorkloadDefinitionSpec};
use plane_client::KindInfo;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A trait before it has its name and its workload.
pub(super) struct Draft {
    /// Its body as the application has it.
    pub body: Value,
    /// Its kind.
    pub kind: KindInfo,
    /// Where the reference to the workload goes.
    pub workload_ref_path: Option<FieldPath>,
    /// It tells revisions apart.
    pub revision_enabled: bool,
}

/// Checks the traits' kinds and definitions.
pub(super) fn draft(
    component: &ApplicationComponent,
    workload: Described<'_, WorkloadDefinitionSpec>,
    inputs: &Inputs,
) -> Result<Vec<Draft>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut drafts = Vec::new();
    let mut described: Vec<Described<'_, TraitDefinitionSpec>> = Vec::new();
    for (position, entry) in component.traits.iter().enumerate() {
        let what = format!("trait {}", position + 1);
        let kind = match object_kind(&entry.body, &what, Cause::InvalidTrait, inputs) {
            Ok(kind) => kind,
            Err(found) => {
                problems.extend(found);
                continue;
            }
        };
        let definition = inputs.definitions.of_trait(&kind.resource, &entry.body);
        described.push(definition);
        let spec = definition.definition.map(|d| &d.spec);
        if let Some(spec) = spec {
            problems.extend(applies(spec, kind, workload));
        }
        let path = spec.map_or("", |spec| spec.workload_ref_path.as_str());
        let workload_ref_path = match FieldPath::parse(path) {
            _ if path.is_empty() => None,
            Ok(path) => Some(path),
            Err(error) => {
                let message = format!("workloadRefPath of the TraitDefinition for {}: {error}", kind.kind);
                problems.push(Problem::new(Cause::InvalidDefinition, message));
                None
            }
        };
        drafts.push(Draft {
            body: entry.body.clone(),
            kind: kind.clone(),
            workload_ref_path,
            revision_enabled: spec.is_some_and(|spec| spec.revision_enabled),
        });
    }
    problems.extend(conflicts(&described));
    if problems.is_empty() { Ok(drafts) } else { Err(problems) }
}

fn applies(
    spec: &TraitDefinitionSpec,
    kind: &KindInfo,
    workload: Described<'_, WorkloadDefinitionSpec>,
) -> Option<Problem> {
    if spec.applies_to_workloads.is_empty() {
        return None;
    }
    match means(&spec.applies_to_workloads, workload, labels) {
        Ok(true) => None,
        Ok(false) => Some(Problem::new(
            Cause::TraitNotApplicable,
            format!(
                "{} does not apply to {}; it applies to {:?}",
                kind.kind,
                workload.resource.group_resource(),
                spec.applies_to_workloads
            ),
        )),
        Err(why) => Some(Problem::new(
            Cause::InvalidDefinition,
            format!("appliesToWorkloads of the TraitDefinition for {}: {why}", kind.kind),
        )),
    }
}

fn conflicts(traits: &[Described<'_, TraitDefinitionSpec>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut told = BTreeSet::new();
    for (i, one) in traits.iter().enumerate() {
        let Some(definition) = one.definition else { continue };
        for (j, other) in traits.iter().enumerate().filter(|(j, _)| *j != i) {
            match means(&definition.spec.conflicts_with, *other, labels) {
                Ok(true) if told.insert((i.min(j), i.max(j))) => problems.push(Problem::new(
                    Cause::TraitConflict,
                    format!(
                        "{} and {} conflict with each other",
                        one.resource.group_resource(),
                        other.resource.group_resource()
                    ),
                )),
                Ok(_) => {}
                Err(why) => problems.push(Problem::new(
                    Cause::InvalidDefinition,
                    format!("conflictsWith of TraitDefinition {:?}: {why}", definition.name),
                )),
            }
        }
    }
    problems
}

fn labels<Spec>(definition: &Definition<Spec>) -> &std::collections::BTreeMap<String, String> {
    &definition.labels
}

/// Names the traits and gives them their workload. Unnamed traits of a kind are told apart by a number, and keep clear
/// of names that were given.
pub(super) fn finish(
    drafts: Vec<Draft>,
    workload: &PlannedObject,
    context: &Labelling<'_>,
) -> Result<Vec<PlannedObject>, Vec<Problem>> {
    let given = |draft: &Draft| draft.body["metadata"]["name"].as_str().unwrap_or("").to_owned();
    let mut taken: BTreeSet<(String, String)> = drafts
        .iter()
        .map(|draft| (draft.kind.kind.clone(), given(draft)))
        .filter(|(_, name)| !name.is_empty())
        .collect();
    let mut planned = Vec::new();
    for draft in drafts {
        let default_name = if given(&draft).is_empty() {
            let base = format!("{}-{}", context.component, draft.kind.kind.to_ascii_lowercase());
            let mut number = 1;
            loop {
                let name = if number == 1 { fit(&base, 63) } else { format!("{}-{number}", fit(&base, 58)) };
                if taken.insert((draft.kind.kind.clone(), name.clone())) {
                    break name;
                }
                number += 1;
            }
        } else {
            String::new()
        };
        let mut object =
            context.object(&draft.kind, draft.body, &default_name, "TRAIT", Cause::InvalidTrait)?;
        if let Some(path) = &draft.workload_ref_path {
            let reference = workload.reference("");
            let value =
                json!({"apiVersion": reference.api_version, "kind": reference.kind, "name": reference.name});
            if let Some(given) = path.get(&object.value).filter(|given| names_another(given, &value)) {
                let message = format!(
                    "{}: {path} is {given}, but the trait's workload is {value}; leave it out, it is filled in",
                    draft.kind.kind
                );
                return Err(vec![Problem::new(Cause::InvalidTrait, message)]);
            }
            path.set(&mut object.value, value).map_err(|error| {
                vec![Problem::new(Cause::InvalidTrait, format!("{}: {error}", draft.kind.kind))]
            })?;
        }
        planned.push(object);
    }
    Ok(planned)
}

/// True when a reference says something that is not so of the workload. What it does not say, it leaves open.
fn names_another(given: &Value, workload: &Value) -> bool {
    match given {
        Value::Null => false,
        Value::Object(fields) => fields.iter().any(|(name, value)| workload[name.as_str()] != *value),
        _ => true,
    }
}

/// True for a ManualScalerTrait.
pub(super) fn is_scaler(body: &Value) -> bool {
    body["apiVersion"] == oam::API_VERSION && body["kind"] == "ManualScalerTrait"
}

/// The number of replicas is the scaler's. Where the component sets one of its own, it is the scaler's number instead:
/// leaving it out would, for a moment, bring the default of one replica back when the trait is added.
pub(super) fn leave_replicas_to_scaler(workload: &mut Value, drafts: &[Draft]) {
    let count = drafts
        .iter()
        .find(|draft| is_scaler(&draft.body))
        .map(|draft| draft.body["spec"]["replicaCount"].clone());
    if let (Some(replicas), Some(count)) =
        (workload.pointer_mut("/spec/replicas"), count.filter(Value::is_number))
    {
        *replicas = count;
    }
}
