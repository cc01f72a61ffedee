//! What discovery says.

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
            "apiregistration.k8s.io",
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
    let apps = apis["items"].as_array().unwrap().iter().find(|g| g["metadata"]["name"] == "apps").unwrap();
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
fn other_servers_stand_where_their_priorities_say() {
    let foreign = |group: &str, version: &str, group_priority, version_priority| Foreign {
        group: group.into(),
        version: version.into(),
        group_priority,
        version_priority,
        resources: Vec::new(),
        current: version == "v1",
    };
    let all = [
        foreign("z.example.com", "v1alpha1", 100, 30),
        foreign("z.example.com", "v1", 50, 10),
        foreign("y.example.com", "v1", 100, 10),
        foreign("x.example.com", "v9", 1_500, 10),
    ];
    let served = Served { catalog: tenant(), foreign: &all };
    let names = |list: &Value, name: &dyn Fn(&Value) -> Value| -> Vec<String> {
        let items = list["groups"].as_array().or(list["items"].as_array()).unwrap();
        let names = items.iter().map(|item| name(item).as_str().unwrap().to_owned());
        names.filter(|name| name.ends_with("example.com")).collect()
    };
    let list = group_list(served);
    assert_eq!(list["groups"][0]["name"], "apiregistration.k8s.io");
    // By the names of their APIServices, where priorities are the same: v1.y before v1alpha1.z.
    let in_list = names(&list, &|group| group["name"].clone());
    assert_eq!(in_list, ["x.example.com", "y.example.com", "z.example.com"]);
    let z = group(served, "z.example.com").unwrap();
    assert_eq!(z["preferredVersion"]["version"], "v1alpha1");
    assert_eq!(z["versions"][1]["groupVersion"], "z.example.com/v1");
    let aggregated = aggregated(served, Root::Apis);
    let in_aggregated = names(&aggregated, &|item| item["metadata"]["name"].clone());
    assert_eq!(in_aggregated, in_list);
    let items = aggregated["items"].as_array().unwrap();
    let z = items.iter().find(|item| item["metadata"]["name"] == "z.example.com").unwrap();
    assert_eq!(
        z["versions"],
        json!([{"version": "v1alpha1", "freshness": "Stale"}, {"version": "v1", "freshness": "Current"}])
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
