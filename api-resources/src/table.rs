//! The one table of built-in resources, and the rows made of it.
//!
//! The facts are text (`table/builtin.txt`, and `table/insula.rs` for the platform's own kinds); rows are made of
//! them once and shared by all planes.

mod deleted;
mod fields;
pub mod insula;
mod line;
pub mod metrics;
mod notes;

use crate::resource::{Alias, ResourceRow, SelectableField, Strategy, Subresource, Verb, Version};
pub use deleted::returns_deleted;
use line::{Line, parse};
pub use notes::{deprecated, idle};
use std::sync::{Arc, LazyLock};

const BUILTIN: &str = include_str!("table/builtin.txt");

/// All verbs, in the order in which discovery lists them for built-in resources.
pub const ALL_VERBS: [Verb; 8] = [
    Verb::Create,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
];

const CHANGE: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];
const CREATE: &[Verb] = &[Verb::Create];
const STREAM: &[Verb] = &[Verb::Create, Verb::Get];
const PROXY: &[Verb] = &[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch, Verb::Update];

/// Name, group and version of the body (empty: the resource's own), kind of the body, verbs. In the kind, `.` is
/// the resource's own kind.
const SUBRESOURCES: &[(&str, &str, &str, &str, &[Verb])] = &[
    ("approval", "", "", ".", CHANGE),
    ("attach", "", "", ".AttachOptions", STREAM),
    ("binding", "", "", "Binding", CREATE),
    ("ephemeralcontainers", "", "", ".", CHANGE),
    ("eviction", "policy", "v1", "Eviction", CREATE),
    ("exec", "", "", ".ExecOptions", STREAM),
    ("finalize", "", "", ".", &[Verb::Update]),
    ("log", "", "", ".", &[Verb::Get]),
    ("portforward", "", "", ".PortForwardOptions", STREAM),
    ("proxy", "", "", ".ProxyOptions", PROXY),
    ("resize", "", "", ".", CHANGE),
    ("scale", "autoscaling", "v1", "Scale", CHANGE),
    ("status", "", "", ".", CHANGE),
    ("token", "authentication.k8s.io", "v1", "TokenRequest", CREATE),
];

/// The rows of Kubernetes' built-in resources, in discovery's group order.
pub fn builtin_rows() -> &'static [Arc<ResourceRow>] {
    static ROWS: LazyLock<Vec<Arc<ResourceRow>>> =
        LazyLock::new(|| parse(BUILTIN).into_iter().map(|line| Arc::new(row(&line, strategy_of))).collect());
    &ROWS
}

fn strategy_of(group: &str, kind: &str) -> Strategy {
    match (group, kind) {
        (crate::crd::GROUP, "CustomResourceDefinition") => crate::crd::strategy(),
        _ => crate::kinds::strategy(group, kind),
    }
}

/// The description of a subresource by its name, for a resource of the kind.
pub(crate) fn subresource(name: &str, kind: &str) -> Option<Subresource> {
    SUBRESOURCES.iter().find(|(n, ..)| *n == name).map(|(name, group, version, body, verbs)| Subresource {
        name: (*name).into(),
        group: (*group).into(),
        version: (*version).into(),
        kind: body.replace('.', kind).into(),
        verbs: verbs.to_vec(),
    })
}

/// The type of a kind in a version, when the table of types has it.
pub(crate) fn version(group: &str, version: &str, kind: &str) -> Option<Version> {
    let root = api_schema::builtin::kind(group, version, kind)?;
    let graph = api_schema::builtin::graph().clone();
    let converter = crate::convert::of(group, version, kind);
    Some(Version {
        name: version.into(),
        graph,
        root,
        schema: None,
        schema_hash: 0,
        converter,
        scale: None,
        columns: None,
        deprecation: None,
    })
}

/// Group and plural, the group whose objects they are, the version that is stored, its kind, and the fields that
/// selectors name otherwise.
type AliasRow = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const ALIASES: &[AliasRow] = &[(
    "events.k8s.io",
    "events",
    "",
    "v1",
    "Event",
    &[
        ("regarding.apiVersion", "involvedObject.apiVersion"),
        ("regarding.fieldPath", "involvedObject.fieldPath"),
        ("regarding.kind", "involvedObject.kind"),
        ("regarding.name", "involvedObject.name"),
        ("regarding.namespace", "involvedObject.namespace"),
        ("regarding.resourceVersion", "involvedObject.resourceVersion"),
        ("regarding.uid", "involvedObject.uid"),
        ("reportingController", "reportingComponent"),
    ],
)];

fn alias(group: &str, plural: &str) -> Option<Alias> {
    let (_, _, group, name, kind, fields) = ALIASES.iter().find(|row| (row.0, row.1) == (group, plural))?;
    let line = parse(BUILTIN).into_iter().find(|line| line.group == *group && line.plural == plural)?;
    Some(Alias {
        group: (*group).into(),
        version: version(group, name, kind)?,
        fields,
        selectable_fields: selectable_fields(&line),
    })
}

fn selectable_fields(line: &Line<'_>) -> Vec<SelectableField> {
    line.fields.iter().map(|path| fields::selectable(line.group, line.plural, path)).collect()
}

fn row(line: &Line<'static>, strategy_of: fn(&str, &str) -> Strategy) -> ResourceRow {
    let versions: Vec<Version> =
        line.versions.iter().filter_map(|name| version(line.group, name, line.kind)).collect();
    ResourceRow {
        group: line.group.into(),
        kind: line.kind.into(),
        list_kind: format!("{}List", line.kind).into(),
        plural: line.plural.into(),
        singular: line.kind.to_lowercase().into(),
        short_names: line.short.iter().map(|s| (*s).into()).collect(),
        categories: line.categories.iter().map(|s| (*s).into()).collect(),
        namespaced: line.namespaced,
        unserved: Vec::new(),
        conversion: None,
        storage_version: versions.first().map(|v| v.name.clone()).unwrap_or_default(),
        alias_of: alias(line.group, line.plural),
        versions,
        verbs: line.verbs.clone(),
        subresources: line.subresources.iter().filter_map(|name| subresource(name, line.kind)).collect(),
        strategy: strategy_of(line.group, line.kind),
        selectable_fields: selectable_fields(line),
        kept_fields: Vec::new(),
        through: Vec::new(),
        columns: crate::columns::of(line.group, line.plural),
        planes: line.planes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_makes_a_row_with_a_type_and_known_subresources() {
        let served = parse(BUILTIN);
        assert_eq!(served.len(), builtin_rows().len());
        for (line, row) in served.iter().zip(builtin_rows()) {
            assert!(row.version(&row.storage_version).is_some(), "{} has no version", row.plural);
            assert!(!row.columns.is_empty() || row.verbs == CREATE, "{} has no columns", row.plural);
            for name in &line.subresources {
                assert!(subresource(name, line.kind).is_some(), "{}/{name} is not described", line.plural);
            }
        }
    }

    #[test]
    fn rows_have_what_discovery_of_kubernetes_says() {
        let find = |plural: &str| builtin_rows().iter().find(|row| row.plural == plural).cloned().unwrap();
        let pods = find("pods");
        assert_eq!(
            (pods.kind.as_str(), pods.list_kind.as_str(), pods.singular.as_str()),
            ("Pod", "PodList", "pod")
        );
        assert!(pods.namespaced && pods.has_status() && pods.verbs == ALL_VERBS);
        assert_eq!(pods.subresource("eviction").unwrap().group, "policy");
        for (name, kind, verbs) in [
            ("log", "Pod", &[Verb::Get][..]),
            ("exec", "PodExecOptions", STREAM),
            ("portforward", "PodPortForwardOptions", STREAM),
            ("proxy", "PodProxyOptions", PROXY),
        ] {
            let sub = pods.subresource(name).unwrap();
            assert_eq!((sub.kind.as_str(), sub.verbs.as_slice()), (kind, verbs), "{name}");
        }
        assert_eq!(find("nodes").subresource("proxy").unwrap().kind, "NodeProxyOptions");
        assert_eq!(find("endpoints").singular, "endpoints");
        assert!(!find("namespaces").has(Verb::DeleteCollection));
        assert_eq!(find("deployments").subresource("scale").unwrap().kind, "Scale");
        assert_eq!(find("serviceaccounts").subresource("token").unwrap().kind, "TokenRequest");
        assert_eq!(find("tokenreviews").verbs, [Verb::Create]);
        assert_eq!(find("horizontalpodautoscalers").storage_version, "v2");
        assert_eq!(find("customresourcedefinitions").short_names, ["crd", "crds"]);
    }
}
