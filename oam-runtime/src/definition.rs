//! Definitions: what the platform says of workload and trait kinds, and which go together.
//!
//! A kind without a definition is still usable, as in v1alpha2: a workload without a known pod template, a trait that
//! applies to everything and gets no reference. ManualScalerTrait and ServiceBinding have built-in definitions, which a
//! TraitDefinition of the same kind replaces.

use crate::selector::Selector;
use api_types::oam::{LABEL_TRAIT_TYPE, LABEL_WORKLOAD_TYPE, TraitDefinitionSpec, WorkloadDefinitionSpec};
use api_types::{GroupResource, Resource};
use serde_json::Value;
use std::collections::BTreeMap;

/// A definition with its name and labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition<Spec> {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`, for `labelSelector:`.
    pub labels: BTreeMap<String, String>,
    /// What it says.
    pub spec: Spec,
}

/// All definitions of a plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definitions {
    workloads: Vec<Definition<WorkloadDefinitionSpec>>,
    traits: Vec<Definition<TraitDefinitionSpec>>,
}

/// A kind, and its definition if it has one: what the forms of `appliesToWorkloads` and `conflictsWith` look at.
#[derive(Debug)]
pub struct Described<'a, Spec> {
    /// The kind's resource.
    pub resource: &'a Resource,
    /// Its definition.
    pub definition: Option<&'a Definition<Spec>>,
}

impl<Spec> Clone for Described<'_, Spec> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Spec> Copy for Described<'_, Spec> {}

impl Definitions {
    /// Definitions in order of name, and the built-in ones.
    pub fn new(
        mut workloads: Vec<Definition<WorkloadDefinitionSpec>>,
        mut traits: Vec<Definition<TraitDefinitionSpec>>,
    ) -> Self {
        workloads.sort_by(|a, b| a.name.cmp(&b.name));
        traits.sort_by(|a, b| a.name.cmp(&b.name));
        for built_in in built_in_traits() {
            if !traits.iter().any(|t| t.spec.definition_ref.name == built_in.spec.definition_ref.name) {
                traits.push(built_in);
            }
        }
        Definitions { workloads, traits }
    }

    /// A workload object's kind with its definition: the one that its label names, else the one called as its
    /// resource, else the first that refers to it.
    pub fn workload<'a>(
        &'a self,
        resource: &'a Resource,
        object: &Value,
    ) -> Described<'a, WorkloadDefinitionSpec> {
        let reference =
            |d: &WorkloadDefinitionSpec| (d.definition_ref.name.clone(), d.definition_ref.version.clone());
        Described {
            resource,
            definition: choose(&self.workloads, resource, object, LABEL_WORKLOAD_TYPE, reference),
        }
    }

    /// A trait object's kind with its definition, found in the same way.
    pub fn of_trait<'a>(
        &'a self,
        resource: &'a Resource,
        object: &Value,
    ) -> Described<'a, TraitDefinitionSpec> {
        let reference =
            |d: &TraitDefinitionSpec| (d.definition_ref.name.clone(), d.definition_ref.version.clone());
        Described {
            resource,
            definition: choose(&self.traits, resource, object, LABEL_TRAIT_TYPE, reference),
        }
    }
}

fn built_in_traits() -> [Definition<TraitDefinitionSpec>; 2] {
    let built_in = |resource: &str, conflicts: &[&str]| {
        let mut definition =
            Definition::<TraitDefinitionSpec> { name: resource.to_owned(), ..Default::default() };
        definition.spec.definition_ref.name = resource.to_owned();
        definition.spec.workload_ref_path = "spec.workloadRef".to_owned();
        definition.spec.conflicts_with = conflicts.iter().map(|c| (*c).to_owned()).collect();
        definition
    };
    [
        // Two of these, or one beside an autoscaler, would fight over the number of replicas.
        built_in(
            "manualscalertraits.core.oam.dev",
            &["manualscalertraits.core.oam.dev", "horizontalpodautoscalers.autoscaling"],
        ),
        built_in("servicebindings.core.oam.dev", &[]),
    ]
}

fn choose<'a, Spec>(
    all: &'a [Definition<Spec>],
    resource: &Resource,
    object: &Value,
    label: &str,
    reference: impl Fn(&Spec) -> (String, String),
) -> Option<&'a Definition<Spec>> {
    let named = object["metadata"]["labels"][label].as_str();
    let crd = resource.group_resource().to_string();
    let refers = |d: &&Definition<Spec>| {
        let (name, version) = reference(&d.spec);
        name == crd && (version.is_empty() || version == resource.version)
    };
    let by_label = named.and_then(|name| all.iter().find(|d| d.name == name));
    let by_name = || all.iter().filter(refers).find(|d| d.name == crd);
    by_label.or_else(by_name).or_else(|| all.iter().find(refers))
}

/// Whether one of the forms means the kind; the error says which form cannot be read.
pub fn means<Spec>(
    forms: &[String],
    kind: Described<'_, Spec>,
    labels: impl Fn(&Definition<Spec>) -> &BTreeMap<String, String>,
) -> Result<bool, String> {
    let GroupResource { group, .. } = kind.resource.group_resource();
    let crd = kind.resource.group_resource().to_string();
    for form in forms {
        let matched = if let Some(selector) = form.strip_prefix("labelSelector:") {
            let selector = Selector::parse(selector)?;
            kind.definition.is_some_and(|d| selector.matches(labels(d)))
        } else if let Some(of_group) = form.strip_prefix("*.") {
            group == of_group
        } else {
            form == "*" || *form == crd || kind.definition.is_some_and(|d| d.name == *form)
        };
        if matched {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workload(name: &str, resource: &str, labels: &[(&str, &str)]) -> Definition<WorkloadDefinitionSpec> {
        let mut definition =
            Definition::<WorkloadDefinitionSpec> { name: name.to_owned(), ..Default::default() };
        definition.spec.definition_ref.name = resource.to_owned();
        definition.labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        definition
    }

    #[test]
    fn forms_mean_kinds() {
        let definitions =
            Definitions::new(vec![workload("server", "deployments.apps", &[("tier", "front")])], Vec::new());
        let (deployments, pods) =
            (Resource::new("apps", "v1", "deployments"), Resource::new("", "v1", "pods"));
        for (form, of_deployment, of_pod) in [
            ("*", true, true),
            ("*.apps", true, false),
            ("deployments.apps", true, false),
            ("pods", false, true),
            ("server", true, false),
            ("labelSelector:tier=front", true, false),
            ("labelSelector:tier=back", false, false),
            ("labelSelector:!tier", false, false),
            ("*.example.com", false, false),
        ] {
            let forms = [form.to_owned()];
            let check =
                |resource| means(&forms, definitions.workload(resource, &json!({})), |d| &d.labels).unwrap();
            assert_eq!((check(&deployments), check(&pods)), (of_deployment, of_pod), "{form}");
        }
        let bad = ["labelSelector:a in".to_owned()];
        assert!(means(&bad, definitions.workload(&pods, &json!({})), |d| &d.labels).is_err());
    }

    #[test]
    fn a_label_chooses_among_definitions_of_one_kind() {
        let definitions = Definitions::new(
            vec![workload("worker", "deployments.apps", &[]), workload("api", "deployments.apps", &[])],
            Vec::new(),
        );
        let resource = Resource::new("apps", "v1", "deployments");
        let name = |object: Value| definitions.workload(&resource, &object).definition.unwrap().name.clone();
        assert_eq!(name(json!({})), "api");
        assert_eq!(name(json!({"metadata": {"labels": {"workload.oam.dev/type": "worker"}}})), "worker");
    }

    #[test]
    fn a_trait_definition_replaces_the_built_in_one() {
        let resource = Resource::new("core.oam.dev", "v1alpha2", "manualscalertraits");
        let built_in = Definitions::new(Vec::new(), Vec::new());
        assert_eq!(
            built_in.of_trait(&resource, &json!({})).definition.unwrap().spec.workload_ref_path,
            "spec.workloadRef"
        );
        let mut own = Definition::<TraitDefinitionSpec> { name: "scaler".to_owned(), ..Default::default() };
        own.spec.definition_ref.name = "manualscalertraits.core.oam.dev".to_owned();
        let replaced = Definitions::new(Vec::new(), vec![own]);
        assert_eq!(replaced.of_trait(&resource, &json!({})).definition.unwrap().name, "scaler");
    }
}
