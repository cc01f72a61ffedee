//! Paths and operations of resources, independent of the document's version.

use super::parameters::{self, Parameter};
use super::schemas::definition_name;
use super::{ApiResource, ApiSubresource, GroupVersionApi};
use crate::builtin;

/// A path.
pub(super) struct Path {
    pub(super) path: String,
    /// Of its `{name}`.
    pub(super) kind: String,
    pub(super) operations: Vec<Operation>,
}

/// What a request or a response carries.
#[derive(Clone)]
pub(super) enum Body {
    /// An object of this definition.
    Object(String),
    /// A list that can also be watched.
    List(String),
    /// Text.
    Text,
    /// Nothing known.
    None,
}

/// One method of a path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) action: &'static str,
    pub(super) id: String,
    pub(super) tag: String,
    pub(super) description: String,
    pub(super) parameters: &'static [Parameter],
    /// The definition of the request's body, and whether it has to be there.
    pub(super) request: Option<(String, bool)>,
    pub(super) response: Body,
    /// Beside 200 and 401.
    pub(super) codes: &'static [(&'static str, &'static str)],
    /// Group, version, kind.
    pub(super) kind: (String, String, String),
}

const CREATED: (&str, &str) = ("201", "Created");
const ACCEPTED: (&str, &str) = ("202", "Accepted");
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The media types of patches.
pub(super) const PATCHES: &[&str] = &[
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// All paths of a group and version.
pub(super) fn paths(api: &GroupVersionApi) -> Vec<Path> {
    let base = format!("/{}", api.path());
    let mut paths = Vec::new();
    for resource in &api.resources {
        let names = Names::new(api, resource);
        let plural = &resource.plural;
        let inside = if resource.namespaced {
            let all = collection(&names, resource, true);
            push(&mut paths, format!("{base}/{plural}"), resource, all);
            format!("{base}/namespaces/{{namespace}}/{plural}")
        } else {
            format!("{base}/{plural}")
        };
        push(&mut paths, inside.clone(), resource, collection(&names, resource, false));
        push(&mut paths, format!("{inside}/{{name}}"), resource, object(&names, resource));
        for sub in &resource.subresources {
            let path = format!("{inside}/{{name}}/{}", sub.name);
            push(&mut paths, path, resource, subresource(&names, sub));
        }
    }
    paths
}

fn push(paths: &mut Vec<Path>, path: String, resource: &ApiResource, operations: Vec<Operation>) {
    if !operations.is_empty() {
        paths.push(Path { path, kind: resource.kind.clone(), operations });
    }
}

/// What operations are called.
struct Names {
    /// `AppsV1`.
    api: String,
    /// `apps_v1`.
    tag: String,
    /// `Namespaced` or nothing.
    scope: &'static str,
    kind: (String, String, String),
    definition: String,
}

impl Names {
    fn new(api: &GroupVersionApi, resource: &ApiResource) -> Names {
        let group = if api.group.is_empty() { "core" } else { api.group.trim_end_matches(".k8s.io") };
        let parts: Vec<String> = group.split(['.', '-']).map(capital).collect();
        let group = parts.concat();
        let tag = group.char_indices().map(|(at, c)| if at == 0 { c.to_ascii_lowercase() } else { c });
        Names {
            api: format!("{group}{}", capital(&api.version)),
            tag: format!("{}_{}", tag.collect::<String>(), api.version),
            scope: if resource.namespaced { "Namespaced" } else { "" },
            kind: (api.group.clone(), api.version.clone(), resource.kind.clone()),
            definition: definition_name(&resource.schema, &api.group, &api.version, &resource.kind),
        }
    }

    fn operation(
        &self,
        method: &'static str,
        action: &'static str,
        id: &str,
        description: String,
    ) -> Operation {
        Operation {
            method,
            action,
            id: id.to_owned(),
            tag: self.tag.clone(),
            description,
            parameters: &[],
            request: None,
            response: Body::Object(self.definition.clone()),
            codes: &[],
            kind: self.kind.clone(),
        }
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

fn has(verbs: &[String], verb: &str) -> bool {
    verbs.iter().any(|known| known == verb)
}

fn collection(names: &Names, resource: &ApiResource, all_namespaces: bool) -> Vec<Operation> {
    let Names { api, scope, definition, .. } = names;
    let kind = &resource.kind;
    let mut operations = Vec::new();
    if has(&resource.verbs, "list") {
        let id = if all_namespaces {
            format!("list{api}{kind}ForAllNamespaces")
        } else {
            format!("list{api}{scope}{kind}")
        };
        operations.push(Operation {
            parameters: parameters::LIST,
            response: Body::List(format!("{definition}List")),
            ..names.operation("get", "list", &id, format!("list or watch objects of kind {kind}"))
        });
    }
    if all_namespaces {
        return operations;
    }
    if has(&resource.verbs, "create") {
        operations.push(Operation {
            parameters: parameters::WRITE,
            request: Some((definition.clone(), true)),
            codes: &[CREATED, ACCEPTED],
            ..names.operation(
                "post",
                "post",
                &format!("create{api}{scope}{kind}"),
                format!("create a {kind}"),
            )
        });
    }
    if has(&resource.verbs, "deletecollection") {
        operations.push(Operation {
            parameters: parameters::DELETE_COLLECTION,
            request: Some((format!("{META}.DeleteOptions"), false)),
            response: Body::Object(format!("{META}.Status")),
            ..names.operation(
                "delete",
                "deletecollection",
                &format!("delete{api}Collection{scope}{kind}"),
                format!("delete collection of {kind}"),
            )
        });
    }
    operations
}

fn object(names: &Names, resource: &ApiResource) -> Vec<Operation> {
    let Names { api, scope, .. } = names;
    let kind = &resource.kind;
    let id = |verb: &str| format!("{verb}{api}{scope}{kind}");
    let mut operations = Vec::new();
    if has(&resource.verbs, "get") {
        operations.push(names.operation("get", "get", &id("read"), format!("read the specified {kind}")));
    }
    operations.extend(writes(names, &resource.verbs, &id, kind));
    if has(&resource.verbs, "delete") {
        operations.push(Operation {
            parameters: parameters::DELETE,
            request: Some((format!("{META}.DeleteOptions"), false)),
            response: Body::Object(format!("{META}.Status")),
            codes: &[ACCEPTED],
            ..names.operation("delete", "delete", &id("delete"), format!("delete a {kind}"))
        });
    }
    operations
}

fn writes(names: &Names, verbs: &[String], id: &dyn Fn(&str) -> String, kind: &str) -> Vec<Operation> {
    let mut operations = Vec::new();
    let definition = match names.operation("put", "put", "", String::new()).response {
        Body::Object(definition) => definition,
        _ => return operations,
    };
    if has(verbs, "update") {
        operations.push(Operation {
            parameters: parameters::WRITE,
            request: Some((definition, true)),
            codes: &[CREATED],
            ..names.operation("put", "put", &id("replace"), format!("replace the specified {kind}"))
        });
    }
    if has(verbs, "patch") {
        operations.push(Operation {
            parameters: parameters::PATCH,
            request: Some((format!("{META}.Patch"), true)),
            codes: &[CREATED],
            ..names.operation(
                "patch",
                "patch",
                &id("patch"),
                format!("partially update the specified {kind}"),
            )
        });
    }
    operations
}

fn subresource(names: &Names, sub: &ApiSubresource) -> Vec<Operation> {
    let Names { api, scope, kind: (_, _, kind), .. } = names;
    let suffix = capital(&sub.name);
    if let Some((_, connects, parameters)) = parameters::RAW.iter().find(|(name, ..)| *name == sub.name) {
        return raw(names, sub, &suffix, *connects, parameters);
    }
    let own = sub.version.is_empty()
        || (&sub.group, &sub.version, &sub.kind) == {
            let (group, version, kind) = &names.kind;
            (group, version, kind)
        };
    let definition = if own {
        names.definition.clone()
    } else {
        match builtin::kind(&sub.group, &sub.version, &sub.kind) {
            Some(id) => builtin::graph().at(id).node().name.to_string(),
            None => return Vec::new(),
        }
    };
    let of_sub = Names {
        api: names.api.clone(),
        tag: names.tag.clone(),
        scope: names.scope,
        kind: if own {
            names.kind.clone()
        } else {
            (sub.group.clone(), sub.version.clone(), sub.kind.clone())
        },
        definition: definition.clone(),
    };
    let id = |verb: &str| format!("{verb}{api}{scope}{kind}{suffix}");
    let what = format!("{} of the specified {kind}", sub.name);
    let mut operations = Vec::new();
    if has(&sub.verbs, "get") {
        operations.push(of_sub.operation("get", "get", &id("read"), format!("read {what}")));
    }
    if has(&sub.verbs, "create") {
        operations.push(Operation {
            parameters: parameters::WRITE,
            request: Some((definition, true)),
            codes: &[CREATED, ACCEPTED],
            ..of_sub.operation("post", "post", &id("create"), format!("create {} of a {kind}", sub.name))
        });
    }
    operations.extend(writes(&of_sub, &sub.verbs, &id, kind).into_iter().map(|operation| Operation {
        description: operation.description.replacen(
            "the specified",
            &format!("{} of the specified", sub.name),
            1,
        ),
        ..operation
    }));
    operations
}

fn raw(
    names: &Names,
    sub: &ApiSubresource,
    suffix: &str,
    connects: bool,
    parameters: &'static [Parameter],
) -> Vec<Operation> {
    let Names { api, scope, kind: (_, _, kind), .. } = names;
    let of_sub = |method, action, id: String, description| Operation {
        parameters,
        response: if connects { Body::None } else { Body::Text },
        ..names.operation(method, action, &id, description)
    };
    if !connects {
        let id = format!("read{api}{scope}{kind}{suffix}");
        return vec![of_sub("get", "get", id, format!("read {} of the specified {kind}", sub.name))];
    }
    let methods =
        [("get", "get"), ("create", "post"), ("update", "put"), ("delete", "delete"), ("patch", "patch")];
    methods
        .into_iter()
        .filter(|(verb, _)| has(&sub.verbs, verb))
        .map(|(_, method)| {
            let id = format!("connect{api}{}{scope}{kind}{suffix}", capital(method));
            let description = format!("connect {} requests to {} of {kind}", method.to_uppercase(), sub.name);
            of_sub(method, "connect", id, description)
        })
        .collect()
}
