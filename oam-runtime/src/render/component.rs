//! One component rendered.

use super::{Application, Inputs, Revision, kind_of, traits};
use crate::binding::{Binding, bind_containerized, bind_pods, fingerprint, is_binding};
use crate::definition::Described;
use crate::names::label_value;
use crate::parameters::set_parameters;
use crate::plan::{PlannedObject, Rendered};
use crate::pod_template::PodTemplate;
use crate::problem::{Cause, Problem};
use api_types::ObjectName;
use api_types::oam::{self, ApplicationComponent, WorkloadDefinitionSpec};
use plane_client::KindInfo;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What can be refused without looking at anything else.
pub(super) fn refuse(component: &ApplicationComponent) -> Vec<Problem> {
    let mut problems = Vec::new();
    match (component.component_name.is_empty(), component.revision_name.is_empty()) {
        (true, true) => problems.push(Problem::new(
            Cause::InvalidComponent,
            "a component has neither componentName nor revisionName",
        )),
        (false, false) => problems.push(Problem::new(
            Cause::InvalidComponent,
            format!(
                "component {:?} has both componentName and revisionName; they exclude each other",
                component.component_name
            ),
        )),
        _ => {}
    }
    let in_traits =
        |list: fn(&oam::ComponentTrait) -> &Vec<Value>| component.traits.iter().any(|t| !list(t).is_empty());
    for (field, present) in [
        ("dataInputs", !component.data_inputs.is_empty() || in_traits(|t| &t.data_inputs)),
        ("dataOutputs", !component.data_outputs.is_empty() || in_traits(|t| &t.data_outputs)),
        ("scopes", !component.scopes.is_empty()),
    ] {
        if present {
            problems
                .push(Problem::new(Cause::NotImplemented, format!("{field} is not implemented; remove it")));
        }
    }
    problems
}

/// Renders the workload and the traits.
pub(super) fn render(
    application: &Application,
    component: &ApplicationComponent,
    revision: &Revision,
    inputs: &Inputs,
) -> Result<Rendered, Vec<Problem>> {
    let mut value = revision.spec.workload.clone();
    let kind = object_kind(&value, "the workload", Cause::InvalidWorkload, inputs)?;
    set_parameters(&mut value, &revision.spec.parameters, &component.parameter_values)?;
    if kind_of(&value) != kind_of(&revision.spec.workload) {
        let message = "a parameter must not change apiVersion or kind of the workload";
        return Err(vec![Problem::new(Cause::InvalidParameter, message)]);
    }
    let described = inputs.definitions.workload(&kind.resource, &value);
    let drafts = traits::draft(component, described, inputs)?;

    // A trait that tells revisions apart needs a workload for each.
    let by_revision = drafts.iter().any(|draft| draft.revision_enabled);
    let default_name = if by_revision { &revision.name } else { &revision.component };
    let context = Labelling { application, component: &revision.component, revision: &revision.name };
    let mut workload = context.object(kind, value, default_name, "WORKLOAD", Cause::InvalidWorkload)?;
    if drafts.iter().any(|draft| traits::is_scaler(&draft.body)) {
        traits::leave_replicas_to_scaler(&mut workload.value, &drafts);
    }
    bind(&mut workload, &drafts, described, inputs)?;
    let traits = traits::finish(drafts, &workload, &context)?;
    Ok(Rendered { workload, traits })
}

/// The kind of an object: known to the plane, and namespaced.
pub(super) fn object_kind<'a>(
    object: &Value,
    what: &str,
    cause: Cause,
    inputs: &'a Inputs,
) -> Result<&'a KindInfo, Vec<Problem>> {
    let fault = |cause, message: String| vec![Problem::new(cause, message)];
    let Some((api_version, kind)) = kind_of(object) else {
        return Err(fault(cause, format!("{what} needs apiVersion and kind")));
    };
    let Some(info) = inputs.kinds.get(&(api_version.clone(), kind.clone())) else {
        let message = format!("{what} is a {kind} of {api_version}, a kind that is not served here");
        return Err(fault(Cause::UnknownKind, message));
    };
    if !info.namespaced {
        let message =
            format!("{what} is a {kind}, which is not in a namespace and cannot belong to an application");
        return Err(fault(Cause::ClusterScopedKind, message));
    }
    Ok(info)
}

/// What all objects of a component share.
pub(super) struct Labelling<'a> {
    pub application: &'a Application,
    pub component: &'a str,
    pub revision: &'a str,
}

impl Labelling<'_> {
    /// Gives an object its name, namespace, labels and owner.
    pub fn object(
        &self,
        kind: &KindInfo,
        mut value: Value,
        default_name: &str,
        role: &str,
        cause: Cause,
    ) -> Result<PlannedObject, Vec<Problem>> {
        let fault = |cause, message: String| Err(vec![Problem::new(cause, message)]);
        let what = format!("{} of component {:?}", kind.kind, self.component);
        let Some(root) = value.as_object_mut() else {
            return fault(cause, format!("{what} is not an object"));
        };
        root.remove("status");
        let meta = root.entry("metadata").or_insert_with(|| json!({}));
        if meta.is_null() {
            *meta = json!({});
        }
        let Some(meta) = meta.as_object_mut() else {
            return fault(cause, format!("metadata of {what} is not an object"));
        };
        for given_by_server in
            ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "generateName"]
        {
            meta.remove(given_by_server);
        }
        let name = match meta.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) {
            Some(name) => name.to_owned(),
            None => default_name.to_owned(),
        };
        let namespace = &self.application.namespace;
        if let Some(other) =
            meta.get("namespace").and_then(Value::as_str).filter(|n| !n.is_empty() && n != namespace)
        {
            let message =
                format!("{what} is to be in namespace {other:?}; an application's objects are in its own");
            return fault(Cause::OtherNamespace, message);
        }
        meta.insert("name".to_owned(), name.as_str().into());
        meta.insert("namespace".to_owned(), namespace.as_str().into());
        let labels = meta.entry("labels").or_insert_with(|| json!({}));
        if labels.is_null() {
            *labels = json!({});
        }
        let Some(labels) = labels.as_object_mut() else {
            return fault(cause, format!("metadata.labels of {what} is not an object"));
        };
        self.label(labels, role);
        meta.insert("ownerReferences".to_owned(), json!([owner(self.application)]));
        Ok(PlannedObject { resource: kind.resource.clone(), name: ObjectName::new(namespace, &name), value })
    }

    fn label(&self, labels: &mut Map<String, Value>, role: &str) {
        for (key, value) in [
            (oam::LABEL_APPLICATION, self.application.name.as_str()),
            (oam::LABEL_COMPONENT, self.component),
            (oam::LABEL_REVISION, self.revision),
            (oam::LABEL_ROLE, role),
        ] {
            labels.insert(key.to_owned(), label_value(value).into());
        }
    }
}

/// The application as the controlling owner.
pub(super) fn owner(application: &Application) -> Value {
    json!({"apiVersion": oam::API_VERSION, "kind": "ApplicationConfiguration", "name": application.name,
        "uid": application.uid, "controller": true, "blockOwnerDeletion": true})
}

fn bind(
    workload: &mut PlannedObject,
    drafts: &[traits::Draft],
    described: Described<'_, WorkloadDefinitionSpec>,
    inputs: &Inputs,
) -> Result<(), Vec<Problem>> {
    let mut bindings = Vec::new();
    let mut problems = Vec::new();
    for draft in drafts.iter().filter(|draft| is_binding(&draft.body)) {
        match Binding::parse(&draft.body) {
            Ok(binding) => bindings.push(binding),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    if bindings.is_empty() {
        return Ok(());
    }
    let containerized =
        workload.resource.group == oam::GROUP && workload.resource.resource == "containerizedworkloads";
    let template = PodTemplate::of(described).map_err(|error| {
        vec![Problem::new(
            Cause::InvalidDefinition,
            format!("podSpecPath of the WorkloadDefinition: {error}"),
        )]
    })?;
    if template.is_none() && !containerized {
        let message = format!(
            "{} has no pods that are known of, so nothing can be bound to it; a WorkloadDefinition's podSpecPath says where",
            described.resource.group_resource()
        );
        return Err(vec![Problem::new(Cause::InvalidBinding, message)]);
    }
    // A defect of the binding itself is told before a Secret is waited for: it would never come right.
    let mut trial = workload.value.clone();
    put(&mut trial, template.as_ref(), &bindings, &inputs.secrets)?;
    let missing: Vec<Problem> =
        bindings.iter().filter_map(|b| b.check(inputs.secrets.get(&b.secret)).err()).collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    workload.value = trial;
    Ok(())
}

fn put(
    workload: &mut Value,
    template: Option<&PodTemplate>,
    bindings: &[Binding],
    secrets: &BTreeMap<String, crate::binding::SecretFacts>,
) -> Result<(), Vec<Problem>> {
    let mark = fingerprint(bindings, secrets);
    match template {
        Some(template) => bind_pods(workload, template, bindings, &mark),
        None => bind_containerized(workload, bindings, secrets, &mark),
    }
}
