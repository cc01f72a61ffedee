//! Discovery: what a catalog serves, as documents. Legacy lists (`/api`, `/apis`, `/apis/G`, `/apis/G/V`) and the
//! aggregated form of KEP-3352 (`apidiscovery.k8s.io/v2`).
//!
//! Groups are in the order of the table; those of CRDs and of other servers follow by their priorities, versions of one
//! priority in Kubernetes' order (v1 before v1beta1 before v1alpha1 before names of another form).

mod foreign;

pub use foreign::Foreign;

use crate::aggregation;
use crate::catalog::Catalog;
use crate::resource::{ResourceRow, Subresource, Verb};
use api_types::aggregation::CUSTOM_PRIORITIES;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::sync::Arc;

/// What a plane serves: by itself, and through other servers.
#[derive(Clone, Copy)]
pub struct Served<'a> {
    /// By itself.
    pub catalog: &'a Catalog,
    /// What other servers answer for. A version of the catalog that is here too is theirs.
    pub foreign: &'a [Foreign],
}

impl<'a> From<&'a Catalog> for Served<'a> {
    fn from(catalog: &'a Catalog) -> Self {
        Served { catalog, foreign: &[] }
    }
}

/// One API group.
struct Group<'a> {
    name: &'a str,
    /// Preferred first.
    versions: Vec<&'a str>,
    rows: Vec<&'a Arc<ResourceRow>>,
    foreign: Vec<&'a Foreign>,
}

impl<'a> Group<'a> {
    fn version(&self, name: &str) -> Option<&'a Foreign> {
        self.foreign.iter().find(|foreign| foreign.version == name).copied()
    }

    fn version_priority(&self, name: &str) -> i64 {
        self.version(name).map_or(CUSTOM_PRIORITIES.1, |foreign| foreign.version_priority)
    }

    /// Its priority, and the name of the first of its APIServices that say so.
    fn priority(&self) -> (i64, String) {
        let of = |version: &&str| {
            let priority =
                self.version(version).map_or(CUSTOM_PRIORITIES.0, |foreign| foreign.group_priority);
            (priority, Reverse(aggregation::name(self.name, version)))
        };
        let first = self.versions.iter().map(of).max();
        first.map_or((0, String::new()), |(priority, Reverse(name))| (priority, name))
    }
}

/// In which order groups come that are not of the base.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// By priority and the names of APIServices, as the list of groups has them.
    ApiService,
    /// By priority and name, as aggregated discovery has them.
    Name,
}

fn groups(served: Served<'_>, by: By) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    fn at<'a, 'b>(groups: &'b mut Vec<Group<'a>>, name: &'a str) -> &'b mut Group<'a> {
        let found = groups.iter().position(|group| group.name == name);
        let index = found.unwrap_or(groups.len());
        if found.is_none() {
            groups.push(Group { name, versions: Vec::new(), rows: Vec::new(), foreign: Vec::new() });
        }
        &mut groups[index]
    }
    for row in served.catalog.rows() {
        let group = at(&mut groups, &row.group);
        group.rows.push(row);
        for version in &row.versions {
            if !group.versions.contains(&version.name.as_str()) {
                group.versions.push(&version.name);
            }
        }
    }
    for foreign in served.foreign {
        let group = at(&mut groups, &foreign.group);
        group.foreign.push(foreign);
        if !group.versions.contains(&foreign.version.as_str()) {
            group.versions.push(&foreign.version);
        }
    }
    for group in &mut groups {
        let mut versions = std::mem::take(&mut group.versions);
        versions.sort_by_key(|version| {
            (Reverse(group.version_priority(version)), Reverse(version_priority(version)))
        });
        group.versions = versions;
        group.rows.sort_by(|a, b| a.plural.cmp(&b.plural));
    }
    // Those of the base stand first, and are in their order already.
    let base = groups.iter().filter(|group| served.catalog.base_has_group(group.name)).count();
    groups[base..].sort_by_cached_key(|group| {
        let (priority, name) = group.priority();
        (Reverse(priority), if by == By::Name { group.name.to_owned() } else { name })
    });
    groups
}

/// Kubernetes' order of versions: greater is preferred. Stable before beta before alpha, then by number; names of
/// another form come last, the earlier in the alphabet the better.
pub fn version_priority(version: &str) -> (u8, u32, u32, Reverse<String>) {
    let parsed = || {
        let digits = version.strip_prefix('v')?;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let major: u32 = digits[..end].parse().ok()?;
        match &digits[end..] {
            "" => Some((3, major, 0)),
            rest => {
                let (level, minor) = match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
                    (Some(minor), _) => (2, minor),
                    (_, Some(minor)) => (1, minor),
                    _ => return None,
                };
                Some((level, major, minor.parse().ok()?))
            }
        }
    };
    match parsed() {
        Some((level, major, minor)) => (level, major, minor, Reverse(String::new())),
        None => (0, 0, 0, Reverse(version.to_owned())),
    }
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// `/api`: `APIVersions`. `server` is the host and port that in-cluster clients use.
pub fn core_versions(server: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs":
        [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}]})
}

/// `/apis`: `APIGroupList`.
pub fn group_list<'a>(served: impl Into<Served<'a>>) -> Value {
    let named: Vec<Value> = groups(served.into(), By::ApiService)
        .iter()
        .filter(|g| !g.name.is_empty())
        .map(describe_group)
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": named})
}

/// `/apis/G`: `APIGroup`; `None` when the group is not served.
pub fn group<'a>(served: impl Into<Served<'a>>, name: &str) -> Option<Value> {
    let groups = groups(served.into(), By::ApiService);
    let found = groups.iter().find(|group| group.name == name && !name.is_empty())?;
    let mut out = json!({"kind": "APIGroup", "apiVersion": "v1"});
    if let (Some(out), Value::Object(fields)) = (out.as_object_mut(), describe_group(found)) {
        out.extend(fields);
    }
    Some(out)
}

fn describe_group(group: &Group<'_>) -> Value {
    let version = |name: &&str| json!({"groupVersion": group_version(group.name, name), "version": name});
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    let preferred = versions.first().cloned().unwrap_or_default();
    json!({"name": group.name, "versions": versions, "preferredVersion": preferred})
}

/// `/api/v1` and `/apis/G/V`: `APIResourceList`; `None` when the version is not served.
pub fn resource_list(catalog: &Catalog, group: &str, version: &str) -> Option<Value> {
    let groups = groups(catalog.into(), By::ApiService);
    let found = groups.iter().find(|g| g.name == group && g.versions.contains(&version))?;
    let mut resources = Vec::new();
    for row in found.rows.iter().filter(|row| row.version(version).is_some()) {
        let row = row.of_version(version).map_or(&**row, |row| row);
        resources.push(resource(row));
        resources.extend(row.subresources.iter().map(|sub| describe_subresource(row, sub)));
    }
    let mut out = Map::new();
    out.insert("kind".into(), "APIResourceList".into());
    if !group.is_empty() {
        // The core group's list has none, since it was first.
        out.insert("apiVersion".into(), "v1".into());
    }
    out.insert("groupVersion".into(), group_version(group, version).into());
    out.insert("resources".into(), Value::Array(resources));
    Some(Value::Object(out))
}

/// The same for what is served besides the catalog; `None` when it is not.
pub fn foreign_list(foreign: &[Foreign], group: &str, version: &str) -> Option<Value> {
    let found = foreign.iter().find(|one| one.group == group && one.version == version)?;
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group, version),
        "resources": found.resources}))
}

fn verbs(list: &[Verb]) -> Value {
    list.iter().map(|verb| verb.as_str()).collect()
}

/// A resource as an `APIResourceList` has it.
pub fn resource(row: &ResourceRow) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), row.plural.as_str().into());
    out.insert("singularName".into(), row.singular.as_str().into());
    out.insert("namespaced".into(), row.namespaced.into());
    out.insert("kind".into(), row.kind.as_str().into());
    out.insert("verbs".into(), verbs(&row.verbs));
    names(&mut out, row);
    if row.has(Verb::Get) && row.has(Verb::Create) {
        out.insert("storageVersionHash".into(), storage_version_hash(row).into());
    }
    Value::Object(out)
}

fn names(out: &mut Map<String, Value>, row: &ResourceRow) {
    for (key, list) in [("shortNames", &row.short_names), ("categories", &row.categories)] {
        if !list.is_empty() {
            out.insert(key.into(), list.iter().map(|name| name.as_str()).collect());
        }
    }
}

fn describe_subresource(row: &ResourceRow, sub: &Subresource) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), format!("{}/{}", row.plural, sub.name).into());
    out.insert("singularName".into(), "".into());
    out.insert("namespaced".into(), row.namespaced.into());
    for (key, value) in [("group", &sub.group), ("version", &sub.version)] {
        if !value.is_empty() {
            out.insert(key.into(), value.as_str().into());
        }
    }
    out.insert("kind".into(), sub.kind.as_str().into());
    out.insert("verbs".into(), verbs(&sub.verbs));
    Value::Object(out)
}

/// Kinds that Kubernetes 1.36 stores in a version of before, which shows in their hashes.
const STORED_AS_BEFORE: &[(&str, &[&str], &str)] = &[
    ("apiextensions.k8s.io", &["CustomResourceDefinition"], "v1beta1"),
    (
        "admissionregistration.k8s.io",
        &["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"],
        "v1beta1",
    ),
];

/// The hash by which clients see that the storage version has changed: that of group, version and kind.
fn storage_version_hash(row: &ResourceRow) -> String {
    let stored = row.stored_group();
    let version = STORED_AS_BEFORE
        .iter()
        .find(|(group, kinds, _)| *group == stored && kinds.contains(&row.kind.as_str()));
    let version = version.map_or(row.storage_version.as_str(), |(.., version)| version);
    let text = format!("{stored}/{version}/{}", row.kind);
    STANDARD.encode(&Sha256::digest(text)[..8])
}

/// Which half of aggregated discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// `/api`: the core group.
    Api,
    /// `/apis`: all others.
    Apis,
}

/// `/api` and `/apis` in the aggregated form: `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2`.
pub fn aggregated<'a>(served: impl Into<Served<'a>>, root: Root) -> Value {
    let groups = groups(served.into(), By::Name);
    let chosen = groups.iter().filter(|group| group.name.is_empty() == (root == Root::Api));
    let items: Vec<Value> = chosen
        .map(|group| {
            let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": group.name}) };
            let versions: Vec<Value> = group.versions.iter().map(|v| aggregated_version(group, v)).collect();
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_version(group: &Group<'_>, version: &str) -> Value {
    if let Some(theirs) = group.version(version) {
        let resources = foreign::aggregated(&theirs.resources);
        let freshness = if theirs.current { "Current" } else { "Stale" };
        return match resources.is_empty() {
            true => json!({"version": version, "freshness": freshness}),
            false => json!({"version": version, "resources": resources, "freshness": freshness}),
        };
    }
    let rows = group.rows.iter().filter(|row| row.version(version).is_some());
    let resources: Vec<Value> = rows.map(|row| aggregated_resource(row, version)).collect();
    json!({"version": version, "resources": resources, "freshness": "Current"})
}

fn aggregated_resource(row: &ResourceRow, version: &str) -> Value {
    // Built-in resources leave group and version of their own body empty; those of CRDs say them.
    let own = |kind: &str| match row.is_custom() {
        true => json!({"group": row.group, "version": version, "kind": kind}),
        false => json!({"group": "", "version": "", "kind": kind}),
    };
    let mut out = Map::new();
    out.insert("resource".into(), row.plural.as_str().into());
    out.insert("responseKind".into(), own(&row.kind));
    out.insert("scope".into(), if row.namespaced { "Namespaced" } else { "Cluster" }.into());
    out.insert("singularResource".into(), row.singular.as_str().into());
    out.insert("verbs".into(), verbs(&row.verbs));
    names(&mut out, row);
    let subresources: Vec<Value> = row
        .of_version(version)
        .map_or(row, |row| row)
        .subresources
        .iter()
        .map(|sub| {
            let body = match sub.group.is_empty() && sub.version.is_empty() {
                true => own(&sub.kind),
                false => json!({"group": sub.group, "version": sub.version, "kind": sub.kind}),
            };
            json!({"subresource": sub.name, "responseKind": body, "verbs": verbs(&sub.verbs)})
        })
        .collect();
    if !subresources.is_empty() {
        out.insert("subresources".into(), Value::Array(subresources));
    }
    Value::Object(out)
}

/// The entity tag of a document, with its quotes: a hash of the bytes.
pub fn etag(document: &[u8]) -> String {
    let hash = Sha256::digest(document);
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02X}")).collect();
    format!("\"{hex}\"")
}

#[cfg(test)]
mod tests;
