//! Discovery: what a catalog serves, as documents. Legacy lists (`/api`, `/apis`, `/apis/G`, `/apis/G/V`) and the
//! aggregated form of KEP-3352 (`apidiscovery.k8s.io/v2`).
//!
//! Groups are in the order of the table; those of CRDs follow by name, their versions in Kubernetes' priority (v1
//! before v1beta1 before v1alpha1 before names of another form).

use crate::catalog::Catalog;
use crate::resource::{ResourceRow, Subresource, Verb};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::sync::Arc;

/// One API group of a catalog.
struct Group<'a> {
    name: &'a str,
    /// Preferred first.
    versions: Vec<&'a str>,
    rows: Vec<&'a Arc<ResourceRow>>,
}

fn groups(catalog: &Catalog) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in catalog.rows() {
        let index = groups.iter().position(|group| group.name == row.group).unwrap_or_else(|| {
            groups.push(Group { name: &row.group, versions: Vec::new(), rows: Vec::new() });
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(index) else { continue };
        group.rows.push(row);
        for version in &row.versions {
            if !group.versions.contains(&version.name.as_str()) {
                group.versions.push(&version.name);
            }
        }
    }
    for group in &mut groups {
        group.versions.sort_by_key(|version| Reverse(version_priority(version)));
        group.rows.sort_by(|a, b| a.plural.cmp(&b.plural));
    }
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
pub fn group_list(catalog: &Catalog) -> Value {
    let named: Vec<Value> =
        groups(catalog).iter().filter(|g| !g.name.is_empty()).map(describe_group).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": named})
}

/// `/apis/G`: `APIGroup`; `None` when the group is not served.
pub fn group(catalog: &Catalog, name: &str) -> Option<Value> {
    let groups = groups(catalog);
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
    let groups = groups(catalog);
    let found = groups.iter().find(|g| g.name == group && g.versions.contains(&version))?;
    let mut resources = Vec::new();
    for row in found.rows.iter().filter(|row| row.version(version).is_some()) {
        resources.push(describe_resource(row));
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

fn verbs(list: &[Verb]) -> Value {
    list.iter().map(|verb| verb.as_str()).collect()
}

fn describe_resource(row: &ResourceRow) -> Value {
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

/// The hash by which clients see that the storage version has changed: that of group, version and kind.
fn storage_version_hash(row: &ResourceRow) -> String {
    let text = format!("{}/{}/{}", row.group, row.storage_version, row.kind);
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
pub fn aggregated(catalog: &Catalog, root: Root) -> Value {
    let groups = groups(catalog);
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
mod tests {
    use super::*;
    use crate::catalog::PlaneKind;

    fn tenant() -> &'static Catalog {
        Catalog::of(PlaneKind::Tenant)
    }

    #[test]
    fn groups_are_in_kubernetes_order() {
        let list = group_list(tenant());
        let names: Vec<&str> =
            list["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "apps",
                "events.k8s.io",
                "authentication.k8s.io",
                "authorization.k8s.io",
                "autoscaling",
                "batch",
                "certificates.k8s.io",
                "networking.k8s.io",
                "policy",
                "rbac.authorization.k8s.io",
                "storage.k8s.io",
                "admissionregistration.k8s.io",
                "apiextensions.k8s.io",
                "scheduling.k8s.io",
                "coordination.k8s.io",
                "node.k8s.io",
                "discovery.k8s.io",
                "resource.k8s.io",
                "flowcontrol.apiserver.k8s.io",
                "cloud.insula.dev",
                "core.oam.dev",
            ]
        );
        assert_eq!(
            group(tenant(), "apps").unwrap(),
            json!({"kind": "APIGroup", "apiVersion": "v1", "name": "apps",
                "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"}})
        );
        assert_eq!(group(tenant(), ""), None);
        assert_eq!(group(tenant(), "tenancy.insula.dev"), None);
    }

    #[test]
    fn resources_are_described_with_their_subresources() {
        let list = resource_list(tenant(), "apps", "v1").unwrap();
        let resources = list["resources"].as_array().unwrap();
        let find = |name: &str| resources.iter().find(|r| r["name"] == name).unwrap().clone();
        assert_eq!(
            find("deployments"),
            json!({"name": "deployments", "singularName": "deployment", "namespaced": true, "kind": "Deployment",
                "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
                "shortNames": ["deploy"], "categories": ["all"], "storageVersionHash": "8aSe+NMegvE="})
        );
        assert_eq!(
            find("deployments/scale"),
            json!({"name": "deployments/scale", "singularName": "", "namespaced": true, "group": "autoscaling",
                "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]})
        );
        let core = resource_list(tenant(), "", "v1").unwrap();
        assert_eq!((core.get("apiVersion"), &core["groupVersion"]), (None, &json!("v1")));
        assert_eq!(resource_list(tenant(), "apps", "v2"), None);
        let reviews = resource_list(tenant(), "authentication.k8s.io", "v1").unwrap();
        assert_eq!(reviews["resources"][0].get("storageVersionHash"), None);
    }

    #[test]
    fn the_aggregated_form_says_the_same() {
        let api = aggregated(tenant(), Root::Api);
        assert_eq!((api["items"].as_array().unwrap().len(), &api["items"][0]["metadata"]), (1, &json!({})));
        let apis = aggregated(tenant(), Root::Apis);
        assert_eq!(
            apis["items"].as_array().unwrap().len(),
            group_list(tenant())["groups"].as_array().unwrap().len()
        );
        let apps =
            apis["items"].as_array().unwrap().iter().find(|g| g["metadata"]["name"] == "apps").unwrap();
        let resources = apps["versions"][0]["resources"].as_array().unwrap();
        let daemons = resources.iter().find(|r| r["resource"] == "daemonsets").unwrap();
        assert_eq!(
            daemons,
            &json!({"resource": "daemonsets", "responseKind": {"group": "", "version": "", "kind": "DaemonSet"},
                "scope": "Namespaced", "singularResource": "daemonset",
                "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
                "shortNames": ["ds"], "categories": ["all"], "subresources": [{"subresource": "status",
                "responseKind": {"group": "", "version": "", "kind": "DaemonSet"}, "verbs": ["get", "patch", "update"]}]})
        );
    }

    #[test]
    fn versions_are_ordered_as_kubernetes_orders_them() {
        let mut versions = [
            "foo10",
            "v1alpha1",
            "v10",
            "v3beta1",
            "v11alpha2",
            "v1",
            "v12alpha1",
            "v11beta2",
            "v2",
            "foo1",
            "v10beta3",
        ];
        versions.sort_by_key(|v| Reverse(version_priority(v)));
        assert_eq!(
            versions,
            [
                "v10",
                "v2",
                "v1",
                "v11beta2",
                "v10beta3",
                "v3beta1",
                "v12alpha1",
                "v11alpha2",
                "v1alpha1",
                "foo1",
                "foo10"
            ]
        );
    }

    #[test]
    fn tags_follow_the_content() {
        assert_eq!(etag(b"a"), etag(b"a"));
        assert_ne!(etag(b"a"), etag(b"b"));
        assert!(etag(b"a").starts_with('"') && etag(b"a").ends_with('"'));
    }
}
