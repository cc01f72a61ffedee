//! What is wrong with a policy's expressions for objects of one kind: they were compiled without knowing which kinds
//! they will see.

use super::kinds::{OWN_VARIABLES, REQUEST_RESOURCE, RESOURCE_CHECK, variable_type};
use crate::crd::rules::{Found, Objects, PARSER_STACK, check_found};

/// What a policy's expressions read.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The objects that are written.
    pub objects: &'a Objects,
    /// The policy's parameters, if it has some, and what they are, if that is known.
    pub params: Option<Option<&'a Objects>>,
    /// The policy's own variables, names and expressions, in their order.
    pub own: &'a [(&'a str, &'a str)],
}

/// What is wrong with expressions, each, in the words of CEL's checker. `None`: nothing, or nothing that can be told.
pub fn problems(scope: Scope<'_>, texts: &[&str]) -> Vec<Option<String>> {
    // On a thread of its own, since a long expression would overflow the stack of the caller's.
    std::thread::scope(|threads| {
        let thread = std::thread::Builder::new().name("expressions".into()).stack_size(PARSER_STACK);
        let running = thread.spawn_scoped(threads, || problems_here(scope, texts));
        let told = running.ok().and_then(|running| running.join().ok());
        told.unwrap_or_else(|| vec![None; texts.len()])
    })
}

fn problems_here(scope: Scope<'_>, texts: &[&str]) -> Vec<Option<String>> {
    let mut variables = vec![
        ("object".to_owned(), Found::objects(scope.objects)),
        ("oldObject".to_owned(), Found::objects(scope.objects)),
        (REQUEST_RESOURCE.to_owned(), Found::named(RESOURCE_CHECK)),
        ("variables".to_owned(), Found::named(OWN_VARIABLES)),
    ];
    for name in ["request", "namespaceObject", "authorizer"] {
        variables.push((name.to_owned(), Found::named(variable_type(name).unwrap_or("dyn"))));
    }
    if let Some(params) = scope.params {
        let params = params.map_or_else(|| Found::named("dyn"), Found::objects);
        variables.push(("params".to_owned(), params));
    }
    for (name, text) in scope.own {
        // What is wrong with a variable is not told of those who read it.
        let found = read(text, &variables).unwrap_or_else(|_| Found::named("dyn"));
        variables.push((format!("variables.{name}"), found));
    }
    texts.iter().map(|text| read(text, &variables).err()).collect()
}

fn read<'a>(text: &str, variables: &[(String, Found<'a>)]) -> Result<Found<'a>, String> {
    let variables: Vec<(&str, Found<'a>)> =
        variables.iter().map(|(name, found)| (name.as_str(), found.clone())).collect();
    check_found(text, &variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    fn objects(group: &str, version: &str, kind: &str) -> Objects {
        Objects::of(builtin::graph().at(builtin::kind(group, version, kind).unwrap()), kind)
    }

    /// What is told first of an expression, without its place.
    fn told(scope: Scope<'_>, text: &str) -> String {
        let problem = problems(scope, &[text]).remove(0).unwrap_or_default();
        let first = problem.lines().next().unwrap_or("").to_owned();
        first.splitn(5, ':').last().unwrap_or("").trim().to_owned()
    }

    #[test]
    fn fields_have_the_types_of_their_kind() {
        let pod = objects("", "v1", "Pod");
        let secret = objects("", "v1", "Secret");
        let deployment = objects("apps", "v1", "Deployment");
        let definition = objects("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        let is = |of: &str| format!("found no matching overload for '_==_' applied to '({of}, double)'");
        let undefined = |field: &str| format!("undefined field '{field}'");
        let schema = "object.spec.versions[0].schema.openAPIV3Schema";
        for (kind, path, expected) in [
            (&pod, "object.metadata.creationTimestamp", is("timestamp")),
            (&pod, "object.metadata.labels", is("map(string, string)")),
            (&pod, "object.metadata.labels['a']", is("string")),
            (&pod, "object.metadata", is("Pod.metadata")),
            (&pod, "object.spec.containers", is("list(Pod.spec.containers.@idx)")),
            (&pod, "object.spec.containers[0].livenessProbe.httpGet.port", String::new()),
            (&pod, "object.spec.containers[0].resources.limits", undefined("limits")),
            (&pod, "object.metadata.managedFields[0].fieldsV1.a", undefined("a")),
            (&pod, "object.spec.hostNetwork", is("bool")),
            (&pod, "object.spec.replicas", undefined("replicas")),
            (&pod, "oldObject.foo", undefined("foo")),
            (&pod, "params.foo", "undeclared reference to 'params' (in container '')".to_owned()),
            (&pod, "request.foo", undefined("foo")),
            (&secret, "object.data['a']", is("bytes")),
            (&secret, "object.immutable", is("bool")),
            (&deployment, "object.spec.replicas", is("int")),
            (&definition, &format!("{schema}.maximum"), String::new()),
            (&definition, &format!("{schema}.default"), undefined("default")),
            (&definition, &format!("{schema}.properties['a'].type"), undefined("type")),
        ] {
            let scope = Scope { objects: kind, params: None, own: &[] };
            let found = told(scope, &format!("{path} == 1.5"));
            assert!(found.ends_with(&expected) && found.is_empty() == expected.is_empty(), "{path}: {found}");
        }
    }

    #[test]
    fn parameters_and_variables_have_their_types_too() {
        let (pod, map) = (objects("", "v1", "Pod"), objects("", "v1", "ConfigMap"));
        let own = [
            ("names", "object.spec.containers.map(c, c.name)"),
            ("wrong", "object.foo"),
            ("next", "variables.names[0]"),
        ];
        let scope = Scope { objects: &pod, params: Some(Some(&map)), own: &own };
        for (text, expected) in [
            ("variables.next == 1", "(string, int)"),
            ("variables.names.exists(n, n > 1)", "(string, int)"),
            ("variables.wrong > 1", ""),
            ("params.data.x == 'y'", ""),
            ("params.nodata == 1", "undefined field 'nodata'"),
            ("params.data.x == 1", "(string, int)"),
        ] {
            let found = told(scope, text);
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{text}: {found}");
        }
        let unknown = Scope { params: Some(None), ..scope };
        assert_eq!(told(unknown, "params.anything == 1"), "");
    }
}
