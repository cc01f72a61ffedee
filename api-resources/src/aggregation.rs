//! APIServices as facts: their names, and those that say that the server itself answers for a group and version.

use crate::catalog::{Catalog, PlaneKind};
use crate::kinds::place::lookup;
use api_types::GroupResource;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::LazyLock;

pub use api_types::aggregation::{AUTOMANAGED, GROUP, ON_START, name};

/// The resource of APIServices.
pub static API_SERVICES: LazyLock<GroupResource> =
    LazyLock::new(|| api_types::aggregation::API_SERVICES.group_resource());

/// Those of the platform's own groups: after Kubernetes' and before those of definitions.
const PLATFORM_PRIORITIES: (i64, i64) = (15_000, 15);

/// Group (empty for core), version, priority of the group, priority of the version: as Kubernetes has them.
const PRIORITIES: &[(&str, &str, i64, i64)] = &[
    ("", "v1", 18_000, 1),
    ("apps", "v1", 17_800, 15),
    ("events.k8s.io", "v1", 17_750, 15),
    ("authentication.k8s.io", "v1", 17_700, 15),
    ("authorization.k8s.io", "v1", 17_600, 15),
    ("autoscaling", "v1", 17_500, 15),
    ("autoscaling", "v2", 17_500, 30),
    ("batch", "v1", 17_400, 15),
    ("certificates.k8s.io", "v1", 17_300, 15),
    ("networking.k8s.io", "v1", 17_200, 15),
    ("policy", "v1", 17_100, 15),
    ("rbac.authorization.k8s.io", "v1", 17_000, 15),
    ("storage.k8s.io", "v1", 16_800, 15),
    ("admissionregistration.k8s.io", "v1", 16_700, 15),
    ("apiextensions.k8s.io", "v1", 16_700, 15),
    ("scheduling.k8s.io", "v1", 16_600, 15),
    ("coordination.k8s.io", "v1", 16_500, 15),
    ("node.k8s.io", "v1", 16_300, 15),
    ("discovery.k8s.io", "v1", 16_200, 15),
    ("resource.k8s.io", "v1", 16_200, 21),
    ("flowcontrol.apiserver.k8s.io", "v1", 16_100, 21),
];

/// True for an APIService that another server answers for.
pub fn is_remote(api_service: &Value) -> bool {
    lookup(api_service, "spec.service").is_object()
}

/// The condition of an APIService that the server answers for itself; without a time where it always did.
pub fn local_condition(since: Option<Timestamp>) -> Value {
    let mut condition = json!({"type": "Available", "status": "True", "reason": "Local",
        "message": "Local APIServices are always available"});
    if let Some(since) = since {
        condition["lastTransitionTime"] = api_types::condition::whole_seconds(since).into();
    }
    condition
}

fn local(group: &str, version: &str, priorities: (i64, i64), managed: &str) -> Value {
    let mut spec =
        json!({"version": version, "groupPriorityMinimum": priorities.0, "versionPriority": priorities.1});
    if !group.is_empty() {
        spec["group"] = group.into();
    }
    json!({"apiVersion": format!("{GROUP}/v1"), "kind": "APIService",
        "metadata": {"name": name(group, version), "labels": {AUTOMANAGED: managed}}, "spec": spec})
}

/// The APIServices that a plane has from its birth: one for each group and version that it serves without any
/// definition, but for that of APIServices, which needs none.
pub fn built_in(plane: PlaneKind) -> Vec<Value> {
    let mut made: Vec<Value> = Vec::new();
    for row in Catalog::of(plane).base_rows().filter(|row| row.group != GROUP) {
        for version in &row.versions {
            let known = PRIORITIES.iter().find(|(group, v, ..)| *group == row.group && *v == version.name);
            let priorities = known.map_or(PLATFORM_PRIORITIES, |(.., group, version)| (*group, *version));
            let mut object = local(&row.group, &version.name, priorities, ON_START);
            object["status"] = json!({"conditions": [local_condition(None)]});
            if !made.iter().any(|other| other["metadata"]["name"] == object["metadata"]["name"]) {
                made.push(object);
            }
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_and_version_has_one_in_the_order_of_discovery() {
        let made = built_in(PlaneKind::Tenant);
        let priority = |object: &Value| object["spec"]["groupPriorityMinimum"].as_i64();
        assert!(made.windows(2).all(|pair| priority(&pair[0]) >= priority(&pair[1])));
        let names: Vec<&str> = made.iter().filter_map(|o| o["metadata"]["name"].as_str()).collect();
        for name in ["v1.", "v1.apps", "v2.autoscaling", "v1.autoscaling", "v1alpha1.cloud.insula.dev"] {
            assert_eq!(names.iter().filter(|other| **other == name).count(), 1, "{name} of {names:?}");
        }
        assert!(!names.iter().any(|name| name.ends_with(GROUP)));
        let host = built_in(PlaneKind::Host);
        assert!(host.iter().all(|object| object["spec"]["group"] != "apps"));
        for (group, version, ..) in PRIORITIES {
            assert!(names.contains(&name(group, version).as_str()), "{version}.{group} is served");
        }
    }
}
