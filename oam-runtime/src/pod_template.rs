//! Where a workload keeps its pods' template.

use crate::definition::Described;
use crate::field_path::{FieldPath, PathError};
use api_types::oam::WorkloadDefinitionSpec;

/// What the controllers of a kind do when its pod template changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// Pods are replaced.
    Restart,
    /// The template cannot change, or pods stay as they are.
    Nothing,
}

/// Where the pods' template of a kind is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodTemplate {
    /// The pods' spec.
    pub spec: FieldPath,
    /// The pods' annotations; `None` where the definition's path does not end in `spec`.
    pub annotations: Option<FieldPath>,
    /// What a change does.
    pub on_change: OnChange,
}

/// Group, resource, path of the pods' spec, what a change does.
const KNOWN: &[(&str, &str, &str, OnChange)] = &[
    ("apps", "deployments", "spec.template.spec", OnChange::Restart),
    ("apps", "statefulsets", "spec.template.spec", OnChange::Restart),
    ("apps", "daemonsets", "spec.template.spec", OnChange::Restart),
    ("apps", "replicasets", "spec.template.spec", OnChange::Nothing),
    ("batch", "jobs", "spec.template.spec", OnChange::Nothing),
    ("batch", "cronjobs", "spec.jobTemplate.spec.template.spec", OnChange::Restart),
    ("", "pods", "spec", OnChange::Nothing),
];

impl PodTemplate {
    /// The pods' template of a kind: by its definition's `podSpecPath`, else as Kubernetes has it. `None` for a kind
    /// that is not known to have pods.
    pub fn of(kind: Described<'_, WorkloadDefinitionSpec>) -> Result<Option<Self>, PathError> {
        let resource = kind.resource;
        let known = KNOWN.iter().find(|(g, r, ..)| resource.group == *g && resource.resource == *r);
        let defined = kind.definition.map(|d| d.spec.pod_spec_path.as_str()).filter(|path| !path.is_empty());
        let Some(path) = defined.or(known.map(|row| row.2)) else {
            return Ok(None);
        };
        let on_change = known.map_or(OnChange::Restart, |row| row.3);
        let annotations = match path.strip_suffix("spec") {
            Some("") => Some("metadata.annotations".to_owned()),
            Some(parent) if parent.ends_with('.') => Some(format!("{parent}metadata.annotations")),
            _ => None,
        };
        Ok(Some(PodTemplate {
            spec: FieldPath::parse(path)?,
            annotations: annotations.map(|a| FieldPath::parse(&a)).transpose()?,
            on_change,
        }))
    }
}
