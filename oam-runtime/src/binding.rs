//! ServiceBinding: a Secret's keys put into a workload's containers.
//!
//! The component waits until the Secret has every key that is named. The value of the annotation on the pods'
//! template changes with the bound values, so that pods start again when they are rotated.

use crate::field_path::FieldPath;
use crate::names::{digest, fit};
use crate::pod_template::{OnChange, PodTemplate};
use crate::problem::{Cause, Problem};
use api_types::oam::{self, ServiceBindingSpec};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Annotation on a pods' template (and on a ContainerizedWorkload): changes when a bound value does.
pub const BOUND: &str = "insula.dev/bound";

/// What a rendering needs to know of a Secret: for each key, a text that changes with its value. It must not tell the
/// value: hash it together with something that only readers of the Secret know.
pub type SecretFacts = BTreeMap<String, String>;

/// A binding that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The Secret's name.
    pub secret: String,
    /// Variable and key.
    pub env: Vec<(String, String)>,
    /// Where its files go, without a slash at the end.
    pub mount_path: Option<String>,
}

/// True for a trait that is a ServiceBinding.
pub fn is_binding(body: &Value) -> bool {
    body["apiVersion"] == oam::API_VERSION && body["kind"] == "ServiceBinding"
}

/// The Secret that a trait's body names, whether or not the rest of it is right.
pub fn secret_named(body: &Value) -> Option<&str> {
    is_binding(body)
        .then(|| body["spec"]["source"]["secretName"].as_str())
        .flatten()
        .filter(|name| !name.is_empty())
}

impl Binding {
    /// Checks a ServiceBinding's body.
    pub fn parse(body: &Value) -> Result<Self, Problem> {
        let fault = |why: String| Problem::new(Cause::InvalidBinding, format!("ServiceBinding: {why}"));
        let spec: ServiceBindingSpec =
            serde_json::from_value(body["spec"].clone()).map_err(|error| fault(format!("spec: {error}")))?;
        let source = &spec.source;
        let other = [&source.api_version, &source.kind, &source.name, &source.field_path];
        if other.iter().any(|field| !field.is_empty()) {
            return Err(Problem::new(
                Cause::NotImplemented,
                "ServiceBinding: spec.source with apiVersion, kind, name and fieldPath is not implemented; use secretName",
            ));
        }
        if source.secret_name.is_empty() {
            return Err(fault("spec.source.secretName is required".to_owned()));
        }
        if spec.env.is_empty() && spec.files.is_none() {
            return Err(fault("it has neither spec.env nor spec.files, so it binds nothing".to_owned()));
        }
        let mut names = BTreeSet::new();
        for variable in &spec.env {
            let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if variable.name.is_empty()
                || variable.name.starts_with(|c: char| c.is_ascii_digit())
                || !variable.name.chars().all(valid)
            {
                return Err(fault(format!("spec.env: {:?} is not a name for a variable", variable.name)));
            }
            if variable.key.is_empty() {
                return Err(fault(format!("spec.env: variable {:?} names no key", variable.name)));
            }
            if !names.insert(&variable.name) {
                return Err(fault(format!("spec.env: variable {:?} is there twice", variable.name)));
            }
        }
        let mount_path = spec.files.map(|files| files.mount_path);
        if let Some(path) = &mount_path
            && (!path.starts_with('/') || path.trim_end_matches('/').is_empty() || path.contains(':'))
        {
            return Err(fault(format!(
                "spec.files.mountPath: {path:?} is not the absolute path of a directory"
            )));
        }
        Ok(Binding {
            secret: source.secret_name.clone(),
            env: spec.env.into_iter().map(|v| (v.name, v.key)).collect(),
            mount_path: mount_path.map(|path| path.trim_end_matches('/').to_owned()),
        })
    }

    /// Whether the Secret has what is bound.
    pub fn check(&self, secret: Option<&SecretFacts>) -> Result<(), Problem> {
        let Some(facts) = secret else {
            return Err(Problem::new(
                Cause::WaitingForSecret,
                format!("waiting for Secret {:?}, which does not exist yet", self.secret),
            ));
        };
        let missing: Vec<&str> =
            self.env.iter().map(|(_, key)| key.as_str()).filter(|key| !facts.contains_key(*key)).collect();
        if !missing.is_empty() {
            let has: Vec<&String> = facts.keys().collect();
            return Err(Problem::new(
                Cause::SecretKeyMissing,
                format!("waiting for Secret {:?} to have the keys {missing:?}; it has {has:?}", self.secret),
            ));
        }
        Ok(())
    }

    /// The keys whose change must be noticed: all when files are mounted.
    fn watched<'a>(&'a self, facts: &'a SecretFacts) -> impl Iterator<Item = (&'a String, &'a String)> {
        let named: BTreeSet<&str> = self.env.iter().map(|(_, key)| key.as_str()).collect();
        facts.iter().filter(move |(key, _)| self.mount_path.is_some() || named.contains(key.as_str()))
    }
}

/// A text that changes when a bound value does.
pub fn fingerprint(bindings: &[Binding], secrets: &BTreeMap<String, SecretFacts>) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for binding in bindings {
        parts.push(&binding.secret);
        if let Some(facts) = secrets.get(&binding.secret) {
            for (key, value) in binding.watched(facts) {
                parts.extend([key.as_str(), value.as_str()]);
            }
        }
    }
    digest(&parts, 16)
}

/// Puts bindings into a pods' template.
pub fn bind_pods(
    workload: &mut Value,
    template: &PodTemplate,
    bindings: &[Binding],
    fingerprint: &str,
) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    let spec = template.spec.entry(workload).map_err(|error| invalid(&error.to_string()))?;
    for binding in bindings {
        let volume = fit(&format!("binding-{}", binding.secret.replace('.', "-")), 63);
        for list in ["initContainers", "containers"] {
            for container in spec[list].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default() {
                for (name, key) in &binding.env {
                    let from = json!({"name": name, "valueFrom": {"secretKeyRef": {"name": binding.secret, "key": key}}});
                    add(container, "env", "name", from, &mut problems);
                }
                if let Some(path) = &binding.mount_path {
                    let mount = json!({"name": volume, "mountPath": path, "readOnly": true});
                    add(container, "volumeMounts", "mountPath", mount, &mut problems);
                }
            }
        }
        if binding.mount_path.is_some() {
            let body = json!({"name": volume, "secret": {"secretName": binding.secret}});
            let known = spec["volumes"].as_array().is_some_and(|list| list.contains(&body));
            if !known {
                add(spec, "volumes", "name", body, &mut problems);
            }
        }
    }
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        problems.extend(invalid("the workload has no containers to bind to"));
    }
    if let (OnChange::Restart, Some(path)) = (template.on_change, &template.annotations) {
        let annotations = path.entry(workload).map_err(|error| invalid(&error.to_string()))?;
        set_annotation(annotations, fingerprint, &mut problems);
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Puts bindings into a ContainerizedWorkload: variables, and a config file for each key.
pub fn bind_containerized(
    workload: &mut Value,
    bindings: &[Binding],
    secrets: &BTreeMap<String, SecretFacts>,
    fingerprint: &str,
) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    let Some(containers) = workload["spec"]["containers"].as_array_mut().filter(|list| !list.is_empty())
    else {
        return Err(invalid("the workload has no containers to bind to"));
    };
    for container in containers {
        for binding in bindings {
            for (name, key) in &binding.env {
                let from = json!({"name": name, "fromSecret": {"name": binding.secret, "key": key}});
                add(container, "env", "name", from, &mut problems);
            }
            let keys = secrets.get(&binding.secret).map(SecretFacts::keys);
            if let (Some(path), Some(keys)) = (&binding.mount_path, keys) {
                for key in keys {
                    let file = json!({"path": format!("{path}/{key}"),
                        "fromSecret": {"name": binding.secret, "key": key}});
                    add(container, "config", "path", file, &mut problems);
                }
            }
        }
    }
    let path = FieldPath::parse("metadata.annotations").map_err(|error| invalid(&error.to_string()))?;
    let annotations = path.entry(workload).map_err(|error| invalid(&error.to_string()))?;
    set_annotation(annotations, fingerprint, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn invalid(why: &str) -> Vec<Problem> {
    vec![Problem::new(Cause::InvalidBinding, why)]
}

fn set_annotation(annotations: &mut Value, fingerprint: &str, problems: &mut Vec<Problem>) {
    if annotations.is_null() {
        *annotations = json!({});
    }
    match annotations.as_object_mut() {
        Some(map) => {
            map.insert(BOUND.to_owned(), fingerprint.into());
        }
        None => problems.extend(invalid("the annotations of the workload are not an object")),
    }
}

/// Adds an element to a list, unless one with the same value of `id` is there: two writers of one variable is a defect.
fn add(holder: &mut Value, list: &str, id: &str, element: Value, problems: &mut Vec<Problem>) {
    let place = &mut holder[list];
    if place.is_null() {
        *place = json!([]);
    }
    let Some(elements) = place.as_array_mut() else {
        problems.extend(invalid(&format!("{list} of the workload is not a list")));
        return;
    };
    if elements.iter().any(|known| known[id] == element[id]) {
        problems.push(Problem::new(
            Cause::BindingConflict,
            format!("{list} has {id} {} already; a binding does not replace it", element[id]),
        ));
        return;
    }
    elements.push(element);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definitions;
    use api_types::Resource;

    fn body(spec: Value) -> Value {
        json!({"apiVersion": oam::API_VERSION, "kind": "ServiceBinding", "spec": spec})
    }

    fn facts(keys: &[(&str, &str)]) -> SecretFacts {
        keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn template(group: &'static str, resource: &'static str) -> PodTemplate {
        let resource = Resource::new(group, "v1", resource);
        PodTemplate::of(Definitions::default().workload(&resource, &json!({}))).unwrap().unwrap()
    }

    #[test]
    fn a_binding_is_checked() {
        let source = json!({"secretName": "s"});
        for (spec, expected) in [
            (json!({"source": {}}), Cause::InvalidBinding),
            (json!({"source": source}), Cause::InvalidBinding),
            (json!({"source": {"kind": "Database", "name": "d"}}), Cause::NotImplemented),
            (json!({"source": source, "env": [{"name": "A=B", "key": "k"}]}), Cause::InvalidBinding),
            (json!({"source": source, "env": [{"name": "1A", "key": "k"}]}), Cause::InvalidBinding),
            (json!({"source": source, "env": [{"name": "A"}]}), Cause::InvalidBinding),
            (
                json!({"source": source, "env": [{"name": "A", "key": "k"}, {"name": "A", "key": "l"}]}),
                Cause::InvalidBinding,
            ),
            (json!({"source": source, "files": {"mountPath": "etc"}}), Cause::InvalidBinding),
            (json!({"source": source, "files": {"mountPath": "/"}}), Cause::InvalidBinding),
            (json!({"source": 3}), Cause::InvalidBinding),
        ] {
            assert_eq!(Binding::parse(&body(spec.clone())).unwrap_err().cause, expected, "{spec}");
        }
    }

    #[test]
    fn a_component_waits_for_secret_and_keys() {
        let binding =
            Binding::parse(&body(json!({"source": {"secretName": "s"}, "env": [{"name": "A", "key": "k"}]})))
                .unwrap();
        assert_eq!(binding.check(None).unwrap_err().cause, Cause::WaitingForSecret);
        let problem = binding.check(Some(&facts(&[("other", "x")]))).unwrap_err();
        assert_eq!(problem.cause, Cause::SecretKeyMissing);
        assert!(!problem.message.contains('x'), "a value must not be told: {}", problem.message);
        binding.check(Some(&facts(&[("k", "x")]))).unwrap();
    }

    #[test]
    fn every_container_gets_variables_and_files() {
        let binding = Binding::parse(&body(json!({"source": {"secretName": "s.conn"},
            "env": [{"name": "URL", "key": "uri"}], "files": {"mountPath": "/run/s/"}})))
        .unwrap();
        let mut workload = json!({"spec": {"template": {"spec": {
            "initContainers": [{"name": "migrate"}], "containers": [{"name": "web", "env": [{"name": "A", "value": "1"}]}]}}}});
        bind_pods(&mut workload, &template("apps", "deployments"), &[binding], "f1").unwrap();
        let spec = &workload["spec"]["template"]["spec"];
        let variable =
            json!({"name": "URL", "valueFrom": {"secretKeyRef": {"name": "s.conn", "key": "uri"}}});
        assert_eq!(spec["initContainers"][0]["env"], json!([variable]));
        assert_eq!(spec["containers"][0]["env"], json!([{"name": "A", "value": "1"}, variable]));
        assert_eq!(
            spec["containers"][0]["volumeMounts"],
            json!([{"name": "binding-s-conn", "mountPath": "/run/s", "readOnly": true}])
        );
        assert_eq!(spec["volumes"], json!([{"name": "binding-s-conn", "secret": {"secretName": "s.conn"}}]));
        assert_eq!(workload["spec"]["template"]["metadata"]["annotations"][BOUND], "f1");
    }

    #[test]
    fn a_job_is_bound_without_an_annotation_because_its_template_cannot_change() {
        let binding =
            Binding::parse(&body(json!({"source": {"secretName": "s"}, "env": [{"name": "A", "key": "k"}]})))
                .unwrap();
        let mut workload = json!({"spec": {"template": {"spec": {"containers": [{"name": "run"}]}}}});
        bind_pods(&mut workload, &template("batch", "jobs"), &[binding], "f1").unwrap();
        assert!(workload["spec"]["template"]["metadata"].is_null());
        assert_eq!(workload["spec"]["template"]["spec"]["containers"][0]["env"][0]["name"], "A");
    }

    #[test]
    fn what_is_set_already_is_not_replaced() {
        let binding =
            Binding::parse(&body(json!({"source": {"secretName": "s"}, "env": [{"name": "A", "key": "k"}],
            "files": {"mountPath": "/data"}})))
            .unwrap();
        for container in
            [json!({"env": [{"name": "A", "value": "1"}]}), json!({"volumeMounts": [{"mountPath": "/data"}]})]
        {
            let mut workload = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
            let problems = bind_pods(
                &mut workload,
                &template("apps", "deployments"),
                std::slice::from_ref(&binding),
                "f",
            )
            .unwrap_err();
            assert_eq!(problems[0].cause, Cause::BindingConflict);
        }
    }

    #[test]
    fn a_containerized_workload_gets_its_own_words() {
        let binding =
            Binding::parse(&body(json!({"source": {"secretName": "s"}, "env": [{"name": "A", "key": "k"}],
            "files": {"mountPath": "/run/s"}})))
            .unwrap();
        let secrets = BTreeMap::from([("s".to_owned(), facts(&[("k", "1"), ("l", "2")]))]);
        let mut workload = json!({"spec": {"containers": [{"name": "web"}]}});
        bind_containerized(&mut workload, &[binding], &secrets, "f1").unwrap();
        assert_eq!(
            workload,
            json!({"metadata": {"annotations": {BOUND: "f1"}}, "spec": {"containers": [{"name": "web",
            "env": [{"name": "A", "fromSecret": {"name": "s", "key": "k"}}],
            "config": [{"path": "/run/s/k", "fromSecret": {"name": "s", "key": "k"}},
                {"path": "/run/s/l", "fromSecret": {"name": "s", "key": "l"}}]}]}})
        );
    }

    #[test]
    fn the_fingerprint_follows_bound_keys_only() {
        let env =
            Binding::parse(&body(json!({"source": {"secretName": "s"}, "env": [{"name": "A", "key": "k"}]})))
                .unwrap();
        let secrets = |k: &str, l: &str| BTreeMap::from([("s".to_owned(), facts(&[("k", k), ("l", l)]))]);
        let of = |s: &BTreeMap<_, _>| fingerprint(std::slice::from_ref(&env), s);
        assert_eq!(of(&secrets("1", "1")), of(&secrets("1", "2")));
        assert_ne!(of(&secrets("1", "1")), of(&secrets("2", "1")));
    }
}
