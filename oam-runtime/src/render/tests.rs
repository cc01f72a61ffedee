use super::*;
use crate::binding::BOUND;
use crate::definition::Definition;
use crate::plan::Rendered;
use api_types::Resource;
use api_types::oam::{self, TraitDefinitionSpec};
use serde_json::json;

fn kind(inputs: &mut Inputs, api_version: &str, kind: &str, plural: &'static str, namespaced: bool) {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = Resource { group: group.into(), version: version.into(), resource: plural.into() };
    let info = KindInfo { resource, kind: kind.to_owned(), namespaced };
    inputs.kinds.insert((api_version.to_owned(), kind.to_owned()), info);
}

fn inputs(workloads: &[(&str, Value)]) -> Inputs {
    let mut inputs = Inputs { definitions: Definitions::new(Vec::new(), Vec::new()), ..Inputs::default() };
    kind(&mut inputs, "apps/v1", "Deployment", "deployments", true);
    kind(&mut inputs, "v1", "ConfigMap", "configmaps", true);
    kind(&mut inputs, "v1", "Namespace", "namespaces", false);
    kind(&mut inputs, oam::API_VERSION, "ContainerizedWorkload", "containerizedworkloads", true);
    kind(&mut inputs, oam::API_VERSION, "ManualScalerTrait", "manualscalertraits", true);
    kind(&mut inputs, oam::API_VERSION, "ServiceBinding", "servicebindings", true);
    kind(&mut inputs, "cloud.insula.dev/v1alpha1", "Database", "databases", true);
    kind(&mut inputs, "example.com/v1", "Ingress", "ingresses", true);
    for (name, workload) in workloads {
        inputs.revisions.push(Some(Ok(Revision {
            component: (*name).to_owned(),
            name: format!("{name}-v2"),
            spec: serde_json::from_value(json!({"workload": workload, "parameters": [
                {"name": "image", "fieldPaths": ["spec.template.spec.containers[0].image"]}]}))
            .unwrap(),
        })));
    }
    inputs
}

fn application(components: Value) -> Application {
    Application {
        namespace: "shop".to_owned(),
        name: "store".to_owned(),
        uid: "uid-1".to_owned(),
        spec: serde_json::from_value(json!({"components": components})).unwrap(),
    }
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"labels": {"own": "1"}, "uid": "x"},
        "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "old"}]}}}, "status": {"x": 1}})
}

fn scaler(count: i64) -> Value {
    json!({"trait": {"apiVersion": oam::API_VERSION, "kind": "ManualScalerTrait", "spec": {"replicaCount": count}}})
}

fn binding(secret: &str, variable: &str) -> Value {
    json!({"trait": {"apiVersion": oam::API_VERSION, "kind": "ServiceBinding",
        "spec": {"source": {"secretName": secret}, "env": [{"name": variable, "key": "k"}]}}})
}

fn rendered(plan: &Plan, position: usize) -> &Rendered {
    match &plan.components[position].outcome {
        Outcome::Rendered(rendered) => rendered,
        Outcome::Held(problems) => panic!("held: {problems:?}"),
    }
}

fn causes(plan: &Plan, position: usize) -> Vec<Cause> {
    match &plan.components[position].outcome {
        Outcome::Rendered(_) => Vec::new(),
        Outcome::Held(problems) => problems.iter().map(|p| p.cause).collect(),
    }
}

#[test]
fn a_workload_gets_its_name_labels_owner_and_values() {
    let plan = render(
        &application(
            json!([{"componentName": "web", "parameterValues": [{"name": "image", "value": "nginx:1"}]}]),
        ),
        &inputs(&[("web", deployment())]),
    );
    let object = &rendered(&plan, 0).workload;
    assert_eq!(object.resource, Resource::new("apps", "v1", "deployments"));
    assert_eq!(
        object.value,
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop",
            "labels": {"own": "1", oam::LABEL_APPLICATION: "store", oam::LABEL_COMPONENT: "web",
                oam::LABEL_REVISION: "web-v2", oam::LABEL_ROLE: "WORKLOAD"},
            "ownerReferences": [{"apiVersion": oam::API_VERSION, "kind": "ApplicationConfiguration", "name": "store",
                "uid": "uid-1", "controller": true, "blockOwnerDeletion": true}]},
            "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:1"}]}}}})
    );
    assert_eq!((plan.components[0].name.as_str(), plan.components[0].revision.as_str()), ("web", "web-v2"));
}

#[test]
fn unnamed_traits_of_a_kind_have_names_of_their_own() {
    let mut inputs = inputs(&[("web", deployment())]);
    inputs.secrets.insert("s".to_owned(), SecretFacts::from([("k".to_owned(), "1".to_owned())]));
    let mut named = binding("s", "C");
    named["trait"]["metadata"] = json!({"name": "web-servicebinding-2"});
    let traits = json!([binding("s", "A"), binding("s", "B"), named, scaler(3)]);
    let plan = render(&application(json!([{"componentName": "web", "traits": traits}])), &inputs);
    let names: Vec<&str> = rendered(&plan, 0).traits.iter().map(|t| t.name.name.as_str()).collect();
    assert_eq!(
        names,
        ["web-servicebinding", "web-servicebinding-3", "web-servicebinding-2", "web-manualscalertrait"]
    );
    let scaler = &rendered(&plan, 0).traits[3].value;
    assert_eq!(
        scaler["spec"]["workloadRef"],
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})
    );
    assert_eq!(scaler["metadata"]["labels"][oam::LABEL_ROLE], "TRAIT");
}

#[test]
fn the_number_of_replicas_is_the_scalers() {
    let mut with = deployment();
    with["spec"]["replicas"] = json!(7);
    for (workload, expected) in [(deployment(), json!(null)), (with, json!(3))] {
        let application = application(json!([{"componentName": "web", "traits": [scaler(3)]}]));
        let plan = render(&application, &inputs(&[("web", workload)]));
        assert_eq!(rendered(&plan, 0).workload.value["spec"]["replicas"], expected);
    }
}

#[test]
fn defects_hold_their_component_only() {
    let ingress = json!({"trait": {"apiVersion": "example.com/v1", "kind": "Ingress"}});
    let named = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    for (what, entry, workload, expected) in [
        ("neither name", json!({}), deployment(), Cause::InvalidComponent),
        (
            "both names",
            json!({"componentName": "web", "revisionName": "web-v2"}),
            deployment(),
            Cause::InvalidComponent,
        ),
        ("inputs", json!({"componentName": "web", "dataInputs": [{}]}), deployment(), Cause::NotImplemented),
        (
            "trait outputs",
            json!({"componentName": "web", "traits": [{"trait": {}, "dataOutputs": [{}]}]}),
            deployment(),
            Cause::NotImplemented,
        ),
        ("scopes", json!({"componentName": "web", "scopes": [{}]}), deployment(), Cause::NotImplemented),
        ("no kind", json!({"componentName": "web"}), json!({"apiVersion": "v1"}), Cause::InvalidWorkload),
        ("no object", json!({"componentName": "web"}), json!(3), Cause::InvalidWorkload),
        (
            "unknown kind",
            json!({"componentName": "web"}),
            json!({"apiVersion": "v1", "kind": "Nope"}),
            Cause::UnknownKind,
        ),
        (
            "cluster scope",
            json!({"componentName": "web"}),
            json!({"apiVersion": "v1", "kind": "Namespace"}),
            Cause::ClusterScopedKind,
        ),
        (
            "other namespace",
            json!({"componentName": "web"}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "kube-system"}}),
            Cause::OtherNamespace,
        ),
        (
            "unknown parameter",
            json!({"componentName": "web", "parameterValues": [{"name": "x", "value": 1}]}),
            deployment(),
            Cause::UnknownParameter,
        ),
        (
            "trait without kind",
            json!({"componentName": "web", "traits": [{"trait": {"kind": "X"}}]}),
            deployment(),
            Cause::InvalidTrait,
        ),
        (
            "two scalers",
            json!({"componentName": "web", "traits": [scaler(1), scaler(2)]}),
            deployment(),
            Cause::TraitConflict,
        ),
        (
            "same trait twice",
            json!({"componentName": "web", "traits": [ingress.clone(), {"trait": {"apiVersion": "example.com/v1",
            "kind": "Ingress", "metadata": {"name": "a"}}}, {"trait": {"apiVersion": "example.com/v1", "kind": "Ingress",
            "metadata": {"name": "a"}}}]}),
            deployment(),
            Cause::DuplicateObject,
        ),
        (
            "no secret",
            json!({"componentName": "web", "traits": [binding("s", "A")]}),
            deployment(),
            Cause::WaitingForSecret,
        ),
        (
            "no pods",
            json!({"componentName": "web", "traits": [binding("s", "A")]}),
            named("c"),
            Cause::InvalidBinding,
        ),
        (
            "same variable twice",
            json!({"componentName": "web", "traits": [binding("s", "A"), binding("t", "A")]}),
            deployment(),
            Cause::BindingConflict,
        ),
        ("same object", json!({"componentName": "web"}), named("other"), Cause::DuplicateObject),
    ] {
        let inputs = inputs(&[("other", named("other")), ("web", workload)]);
        let plan = render(&application(json!([{"componentName": "other"}, entry])), &inputs);
        assert_eq!(causes(&plan, 1).first(), Some(&expected), "{what}: {:?}", plan.components[1]);
        rendered(&plan, 0);
    }
}

#[test]
fn a_component_that_was_not_found_is_held_with_that_reason() {
    let mut inputs = inputs(&[]);
    inputs.revisions.push(Some(Err(Problem::new(Cause::ComponentNotFound, "no"))));
    let plan = render(&application(json!([{"componentName": "web"}])), &inputs);
    assert_eq!((causes(&plan, 0), plan.components[0].name.as_str()), (vec![Cause::ComponentNotFound], "web"));
}

#[test]
fn definitions_say_what_goes_with_what() {
    let entry = json!([{"componentName": "web", "traits": [
        {"trait": {"apiVersion": "example.com/v1", "kind": "Ingress"}}, scaler(1)]}]);
    for (applies, conflicts, path, expected) in [
        (vec![], vec![], "", None),
        (vec!["*"], vec![], "spec.ref", None),
        (vec!["*.apps"], vec!["*.other.io"], "", None),
        (vec!["statefulsets.apps"], vec![], "", Some(Cause::TraitNotApplicable)),
        (vec![], vec!["*"], "", Some(Cause::TraitConflict)),
        (vec![], vec!["*.core.oam.dev"], "", Some(Cause::TraitConflict)),
        (vec!["labelSelector:a b"], vec![], "", Some(Cause::InvalidDefinition)),
        (vec![], vec![], "spec..ref", Some(Cause::InvalidDefinition)),
    ] {
        let mut definition =
            Definition::<TraitDefinitionSpec> { name: "ingress".to_owned(), ..Default::default() };
        definition.spec.definition_ref.name = "ingresses.example.com".to_owned();
        definition.spec.applies_to_workloads = applies.iter().map(|s: &&str| (*s).to_owned()).collect();
        definition.spec.conflicts_with = conflicts.iter().map(|s: &&str| (*s).to_owned()).collect();
        definition.spec.workload_ref_path = path.to_owned();
        let mut inputs = inputs(&[("web", deployment())]);
        inputs.definitions = Definitions::new(Vec::new(), vec![definition]);
        let plan = render(&application(entry.clone()), &inputs);
        assert_eq!(causes(&plan, 0).first().copied(), expected, "{applies:?} {conflicts:?} {path:?}");
        if path == "spec.ref" {
            assert_eq!(rendered(&plan, 0).traits[0].value["spec"]["ref"]["name"], "web");
        }
    }
}

#[test]
fn a_revision_enabled_trait_names_the_workload_after_the_revision() {
    let mut definition =
        Definition::<TraitDefinitionSpec> { name: "ingress".to_owned(), ..Default::default() };
    definition.spec.definition_ref.name = "ingresses.example.com".to_owned();
    definition.spec.revision_enabled = true;
    let mut inputs = inputs(&[("web", deployment())]);
    inputs.definitions = Definitions::new(Vec::new(), vec![definition]);
    let entry = json!([{"componentName": "web", "traits": [{"trait": {"apiVersion": "example.com/v1", "kind": "Ingress"}}]}]);
    let plan = render(&application(entry), &inputs);
    assert_eq!(rendered(&plan, 0).workload.name.name, "web-v2");
}

#[test]
fn a_binding_is_put_in_when_its_secret_is_there() {
    let mut inputs = inputs(&[
        ("web", deployment()),
        (
            "oam",
            json!({"apiVersion": oam::API_VERSION,
        "kind": "ContainerizedWorkload", "spec": {"containers": [{"name": "c", "image": "i"}]}}),
        ),
    ]);
    inputs.secrets.insert("s".to_owned(), SecretFacts::from([("k".to_owned(), "1".to_owned())]));
    let entries = json!([{"componentName": "web", "traits": [binding("s", "A")]},
        {"componentName": "oam", "traits": [binding("s", "A")]}]);
    let plan = render(&application(entries.clone()), &inputs);
    let template = &rendered(&plan, 0).workload.value["spec"]["template"];
    assert_eq!(template["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["name"], "s");
    let mark = template["metadata"]["annotations"][BOUND].clone();
    let containerized = &rendered(&plan, 1).workload.value;
    assert_eq!(containerized["spec"]["containers"][0]["env"][0]["fromSecret"]["key"], "k");
    assert_eq!(containerized["metadata"]["annotations"][BOUND], mark);

    inputs.secrets.insert("s".to_owned(), SecretFacts::from([("k".to_owned(), "2".to_owned())]));
    let rotated = render(&application(entries), &inputs);
    assert_ne!(
        rendered(&rotated, 0).workload.value["spec"]["template"]["metadata"]["annotations"][BOUND],
        mark
    );
}

#[test]
fn a_circle_of_bindings_is_refused_and_told() {
    let written = |secret: &str| {
        let mut workload = deployment();
        workload["spec"]["writeConnectionSecretToRef"] = json!({"name": secret});
        workload
    };
    let mut inputs = inputs(&[("a", written("sa")), ("b", written("sb")), ("c", written("sc"))]);
    inputs.secrets.insert("sc".to_owned(), SecretFacts::from([("k".to_owned(), "1".to_owned())]));
    let plan = render(
        &application(json!([{"componentName": "a", "traits": [binding("sb", "X")]},
            {"componentName": "b", "traits": [binding("sa", "X")]}, {"componentName": "c", "traits": [binding("sa", "X")]}])),
        &inputs,
    );
    assert_eq!(causes(&plan, 0), [Cause::BindingCycle]);
    assert_eq!(causes(&plan, 1), [Cause::BindingCycle]);
    assert_eq!(causes(&plan, 2), [Cause::WaitingForSecret]);
}

#[test]
fn a_trait_that_names_another_workload_is_a_defect() {
    let with = |reference: Value| {
        let mut entry = scaler(2);
        entry["trait"]["spec"]["workloadRef"] = reference;
        let components = json!([{"componentName": "web", "traits": [entry]}]);
        causes(&render(&application(components), &inputs(&[("web", deployment())])), 0)
    };
    let own = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    for reference in [Value::Null, json!({}), json!({"name": "web"}), own] {
        assert_eq!(with(reference.clone()), [], "{reference}");
    }
    for reference in [
        json!({"name": "other"}),
        json!({"kind": "StatefulSet", "name": "web"}),
        json!("web"),
        json!({"uid": "u"}),
    ] {
        assert_eq!(with(reference.clone()), [Cause::InvalidTrait], "{reference}");
    }
}
