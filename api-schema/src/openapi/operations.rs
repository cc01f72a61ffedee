//! Paths and operations of resources, independent of the document's version.

use super::discovery::{capital, group_names};
use super::parameters::{self, Parameter};
use super::schemas::definition_name;
use super::{ApiResource, ApiSchema, ApiSubresource, GroupVersionApi};
use crate::builtin;

/// A path.
pub(super) struct Path {
    pub(super) path: String,
    /// What its `{name}` is the name of.
    pub(super) kind: String,
    pub(super) operations: Vec<Operation>,
}

/// In which forms objects come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// JSON, YAML and protobuf.
    Protobuf,
    /// JSON and YAML.
    Plain,
    /// The same, without strategic merge patches.
    Custom,
}

impl Media {
    fn of(resource: &ApiResource) -> Media {
        match resource.schema {
            ApiSchema::Custom(_) => Media::Custom,
            ApiSchema::Types(..) if resource.protobuf => Media::Protobuf,
            ApiSchema::Types(..) => Media::Plain,
        }
    }
}

/// What a request or a response carries.
#[derive(Clone)]
pub(super) enum Body {
    /// An object of this definition.
    Object(String),
    /// A list that can also be watched.
    List(String),
    /// A list's changes.
    Events,
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
    pub(super) media: Media,
}

/// The subresource that passes on whatever comes.
const PROXY: &str = "proxy";
const CREATED: (&str, &str) = ("201", "Created");
const ACCEPTED: (&str, &str) = ("202", "Accepted");
pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The media types of patches.
pub(super) const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
/// The same for custom resources.
pub(super) const CUSTOM_PATCHES: &[&str] =
    &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];

/// All paths of a group and version.
pub(super) fn paths(api: &GroupVersionApi) -> Vec<Path> {
    let base = format!("/{}", api.path());
    let mut paths = Vec::new();
    for resource in &api.resources {
        let names = Names::new(api, resource);
        let plural = &resource.plural;
        let inside = if resource.namespaced {
            let all = collection(&names, resource, true);
            push(&mut paths, format!("{base}/{plural}"), &resource.kind, all);
            push(
                &mut paths,
                format!("{base}/watch/{plural}"),
                &resource.kind,
                watch_list(&names, resource, true),
            );
            format!("namespaces/{{namespace}}/{plural}")
        } else {
            plural.clone()
        };
        let (watched, inside) = (format!("{base}/watch/{inside}"), format!("{base}/{inside}"));
        push(&mut paths, watched.clone(), &resource.kind, watch_list(&names, resource, false));
        push(&mut paths, format!("{watched}/{{name}}"), &resource.kind, watch_one(&names, resource));
        push(&mut paths, inside.clone(), &resource.kind, collection(&names, resource, false));
        push(&mut paths, format!("{inside}/{{name}}"), &resource.kind, object(&names, resource));
        for sub in &resource.subresources {
            let path = format!("{inside}/{{name}}/{}", sub.name);
            let kind = sub_kind(resource, sub);
            if names.media != Media::Custom && sub.name == PROXY {
                let below = format!("{path}/{{path}}");
                push(&mut paths, below, kind, proxied(&names, sub));
            }
            push(&mut paths, path, kind, subresource(&names, sub));
        }
    }
    paths
}

fn push(paths: &mut Vec<Path>, path: String, kind: &str, operations: Vec<Operation>) {
    if !operations.is_empty() {
        paths.push(Path { path, kind: kind.to_owned(), operations });
    }
}

/// What the name in the path of a subresource is said to be the name of.
fn sub_kind<'a>(resource: &'a ApiResource, sub: &'a ApiSubresource) -> &'a str {
    if matches!(resource.schema, ApiSchema::Custom(_)) { &resource.kind } else { &sub.kind }
}

/// `a Pod`, `an Ingress`, `Endpoints`.
fn with_article(kind: &str) -> String {
    if kind.ends_with('s') && !kind.ends_with("ss") {
        return kind.to_owned();
    }
    let article = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    format!("{article} {kind}")
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
    media: Media,
}

impl Names {
    fn new(api: &GroupVersionApi, resource: &ApiResource) -> Names {
        let (group, tag) = group_names(&api.group);
        Names {
            api: format!("{group}{}", capital(&api.version)),
            tag: format!("{tag}_{}", api.version),
            scope: if resource.namespaced { "Namespaced" } else { "" },
            kind: (api.group.clone(), api.version.clone(), resource.kind.clone()),
            definition: definition_name(&resource.schema, &api.group, &api.version, &resource.kind),
            media: Media::of(resource),
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
            media: self.media,
        }
    }

    /// A read of one object. That of a custom resource may say how new it has to be.
    fn read(&self, id: &str, description: String) -> Operation {
        let parameters = if self.media == Media::Custom { parameters::READ_CUSTOM } else { &[] };
        Operation { parameters, ..self.operation("get", "get", id, description) }
    }
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
            ..names.operation("get", "list", &id, list_words(names.media, kind))
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
                format!("create {}", with_article(kind)),
            )
        });
    }
    if has(&resource.verbs, "deletecollection") {
        let custom = names.media == Media::Custom;
        operations.push(Operation {
            parameters: if custom { parameters::LIST } else { parameters::DELETE_COLLECTION },
            request: (!custom).then(|| (format!("{META}.DeleteOptions"), false)),
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

/// The old paths of watches, which custom resources have not.
fn watch_list(names: &Names, resource: &ApiResource, all_namespaces: bool) -> Vec<Operation> {
    let Names { api, scope, .. } = names;
    let kind = &resource.kind;
    let id = if all_namespaces {
        format!("watch{api}{kind}ListForAllNamespaces")
    } else {
        format!("watch{api}{scope}{kind}List")
    };
    let words = format!(
        "watch individual changes to a list of {kind}. deprecated: use the 'watch' parameter with a list operation \
         instead."
    );
    watch(names, resource, "watchlist", &id, words)
}

fn watch_one(names: &Names, resource: &ApiResource) -> Vec<Operation> {
    let Names { api, scope, .. } = names;
    let kind = &resource.kind;
    let words = format!(
        "watch changes to an object of kind {kind}. deprecated: use the 'watch' parameter with a list operation \
         instead, filtered to a single item with the 'fieldSelector' parameter."
    );
    watch(names, resource, "watch", &format!("watch{api}{scope}{kind}"), words)
}

fn watch(
    names: &Names,
    resource: &ApiResource,
    action: &'static str,
    id: &str,
    words: String,
) -> Vec<Operation> {
    if names.media == Media::Custom || !has(&resource.verbs, "watch") {
        return Vec::new();
    }
    let operation = names.operation("get", action, id, words);
    vec![Operation { parameters: parameters::LIST, response: Body::Events, ..operation }]
}

fn list_words(media: Media, kind: &str) -> String {
    let what = if media == Media::Custom { "list" } else { "list or watch" };
    format!("{what} objects of kind {kind}")
}

fn object(names: &Names, resource: &ApiResource) -> Vec<Operation> {
    let Names { api, scope, .. } = names;
    let kind = &resource.kind;
    let id = |verb: &str| format!("{verb}{api}{scope}{kind}");
    let mut operations = Vec::new();
    if has(&resource.verbs, "get") {
        operations.push(names.read(&id("read"), format!("read the specified {kind}")));
    }
    operations.extend(writes(names, &resource.verbs, &id, kind));
    if has(&resource.verbs, "delete") {
        operations.push(Operation {
            parameters: parameters::DELETE,
            request: Some((format!("{META}.DeleteOptions"), false)),
            response: Body::Object(if resource.returns_deleted {
                names.definition.clone()
            } else {
                format!("{META}.Status")
            }),
            codes: &[ACCEPTED],
            ..names.operation("delete", "delete", &id("delete"), format!("delete {}", with_article(kind)))
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
            codes: if names.media == Media::Custom { &[] } else { &[CREATED] },
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
    // What has a kind of its own without saying of which version is of the core group.
    let core = sub.version.is_empty() && sub.kind != names.kind.2;
    let (group, version) = if core { ("", "v1") } else { (sub.group.as_str(), sub.version.as_str()) };
    let own = (sub.version.is_empty() && !core)
        || (&sub.group, &sub.version, &sub.kind) == {
            let (group, version, kind) = &names.kind;
            (group, version, kind)
        };
    let definition = if own {
        names.definition.clone()
    } else {
        match builtin::kind(group, version, &sub.kind) {
            Some(id) => builtin::graph().at(id).node().name.to_string(),
            None => return Vec::new(),
        }
    };
    let of_sub = Names {
        api: names.api.clone(),
        tag: names.tag.clone(),
        scope: names.scope,
        kind: if own || names.media == Media::Custom {
            names.kind.clone()
        } else {
            (group.to_owned(), version.to_owned(), sub.kind.clone())
        },
        definition: definition.clone(),
        media: names.media,
    };
    let id = |verb: &str| format!("{verb}{api}{scope}{kind}{suffix}");
    let what = format!("{} of the specified {kind}", sub.name);
    let mut operations = Vec::new();
    if has(&sub.verbs, "get") {
        operations.push(of_sub.read(&id("read"), format!("read {what}")));
    }
    if has(&sub.verbs, "create") {
        operations.push(Operation {
            parameters: parameters::WRITE,
            request: Some((definition, true)),
            codes: &[CREATED, ACCEPTED],
            ..of_sub.operation(
                "post",
                "post",
                &id("create"),
                format!("create {} of {}", sub.name, with_article(kind)),
            )
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

/// What leads below a proxy.
fn proxied(names: &Names, sub: &ApiSubresource) -> Vec<Operation> {
    let found = parameters::RAW.iter().find(|(name, ..)| *name == PROXY);
    let parameters = found.map_or(&[][..], |(_, _, parameters)| parameters);
    raw(names, sub, &format!("{}WithPath", capital(&sub.name)), true, parameters)
}

fn raw(
    names: &Names,
    sub: &ApiSubresource,
    suffix: &str,
    connects: bool,
    parameters: &'static [Parameter],
) -> Vec<Operation> {
    let Names { api, scope, kind: (_, _, kind), .. } = names;
    let kind_of_sub = (names.kind.0.clone(), names.kind.1.clone(), sub.kind.clone());
    let of_sub = |method, action, id: String, description| Operation {
        parameters,
        response: if connects { Body::None } else { Body::Text },
        kind: kind_of_sub.clone(),
        ..names.operation(method, action, &id, description)
    };
    if !connects {
        let id = format!("read{api}{scope}{kind}{suffix}");
        return vec![of_sub("get", "get", id, format!("read {} of the specified {kind}", sub.name))];
    }
    let methods =
        [("get", "get"), ("create", "post"), ("update", "put"), ("delete", "delete"), ("patch", "patch")];
    let offered = methods.into_iter().filter(|(verb, _)| has(&sub.verbs, verb));
    // These are no verbs of their own.
    let more: &[(&str, &str)] = if sub.name == PROXY { &[("", "head"), ("", "options")] } else { &[] };
    offered
        .chain(more.iter().copied())
        .map(|(_, method)| {
            let id = format!("connect{api}{}{scope}{kind}{suffix}", capital(method));
            let description = format!("connect {} requests to {} of {kind}", method.to_uppercase(), sub.name);
            of_sub(method, "connect", id, description)
        })
        .collect()
}
