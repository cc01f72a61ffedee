//! The roles and bindings that every plane has from its birth: Kubernetes' own, and rules for the platform's kinds.
//!
//! They exist once in the process and are overlaid by what a plane stores. The facts are text
//! (`bootstrap/kubernetes.txt`); `admin`, `edit` and `view` come with their rules aggregated.

mod text;

use crate::catalog::PlaneKind;
use crate::rbac::{Rule, rules_of};
use crate::selectors::LabelSelector;
use api_types::{GroupResource, ObjectName, ResourceKey};
use serde_json::Value;
use std::sync::LazyLock;

/// One object that a plane has from its birth.
#[derive(Clone, Debug)]
pub struct BootstrapObject {
    /// Its resource and name.
    pub key: ResourceKey,
    /// The object in `rbac.authorization.k8s.io/v1`, without UID, times and resource version.
    pub object: Value,
}

const KUBERNETES: &str = include_str!("bootstrap/kubernetes.txt");

/// What tenants' planes have beside Kubernetes' own.
const TENANT: &str = "
role insula:aggregate-to-edit to-edit
 cloud.insula.dev databases write
 core.oam.dev applicationconfigurations,components,containerizedworkloads,manualscalertraits,servicebindings write
role insula:aggregate-to-view to-view
 cloud.insula.dev databases,databases/status read
 core.oam.dev applicationconfigurations,components,containerizedworkloads,manualscalertraits,servicebindings read
 core.oam.dev applicationconfigurations/status,components/status,containerizedworkloads/status read
 core.oam.dev manualscalertraits/status,servicebindings/status read
 core.oam.dev traitdefinitions,workloaddefinitions read
role insula:definition-viewer
 core.oam.dev traitdefinitions,workloaddefinitions read
binding insula:definition-viewer group:system:authenticated
";

/// What the host plane has beside Kubernetes' own.
const HOST: &str = "
role insula:aggregate-to-admin to-admin
 tenancy.insula.dev superclusters,syncrules,tenantprofiles,tenants write
 cloud.insula.dev cloudaccounts,cloudclasses write
role insula:aggregate-to-view to-view
 tenancy.insula.dev superclusters,superclusters/status,syncrules,syncrules/status read
 tenancy.insula.dev tenantprofiles,tenants,tenants/status read
 cloud.insula.dev cloudaccounts,cloudaccounts/status,cloudclasses read
";

/// The roles and bindings of a kind of plane, made once in the process. Objects of a namespace come with its name:
/// `kube-system` and `kube-public`.
pub fn objects(plane: PlaneKind) -> &'static [BootstrapObject] {
    static HOST_OBJECTS: LazyLock<Vec<BootstrapObject>> = LazyLock::new(|| build(HOST));
    static TENANT_OBJECTS: LazyLock<Vec<BootstrapObject>> = LazyLock::new(|| build(TENANT));
    static SUPER_OBJECTS: LazyLock<Vec<BootstrapObject>> = LazyLock::new(|| build(""));
    match plane {
        PlaneKind::Host => &HOST_OBJECTS,
        PlaneKind::Tenant => &TENANT_OBJECTS,
        PlaneKind::Super => &SUPER_OBJECTS,
    }
}

fn build(ours: &str) -> Vec<BootstrapObject> {
    let mut all: Vec<Value> = text::objects(KUBERNETES);
    all.extend(text::objects(ours));
    aggregate_all(&mut all);
    let plural = |object: &Value| object["kind"].as_str().unwrap_or("").to_lowercase() + "s";
    all.into_iter()
        .map(|object| {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or("").to_owned();
            let resource = GroupResource::new(crate::rbac::GROUP, plural(&object));
            let name = ObjectName::new(text("namespace"), text("name"));
            BootstrapObject { key: ResourceKey { resource, object: name }, object }
        })
        .collect()
}

/// Fills in the rules of the aggregated ClusterRoles among objects until nothing changes: `admin` takes `edit`'s,
/// which takes `view`'s.
pub fn aggregate_all(objects: &mut [Value]) {
    // Each round carries rules one role further, so that more rounds than roles change nothing.
    for _ in 0..objects.len() {
        let changes: Vec<(usize, Value)> = objects
            .iter()
            .enumerate()
            .filter_map(|(index, role)| {
                let rules = aggregated_rules(role, objects.iter().filter(|o| o["kind"] == "ClusterRole"))?;
                let rules: Value = rules.iter().map(Rule::to_json).collect();
                (role["rules"] != rules).then_some((index, rules))
            })
            .collect();
        if changes.is_empty() {
            return;
        }
        for (index, rules) in changes {
            objects[index]["rules"] = rules;
        }
    }
}

/// The rules that a ClusterRole with an `aggregationRule` is to have: those of all ClusterRoles that its selectors
/// select but itself, by selector and name, each rule once. `None` for a role without aggregation, or with a selector that is
/// none.
pub fn aggregated_rules<'a>(
    role: &Value,
    cluster_roles: impl Iterator<Item = &'a Value>,
) -> Option<Vec<Rule>> {
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array()?;
    let selectors: Vec<LabelSelector> =
        selectors.iter().map(LabelSelector::from_json).collect::<Result<_, _>>().ok()?;
    let own_name = &role["metadata"]["name"];
    let mut chosen: Vec<(usize, &Value)> = cluster_roles
        .filter(|other| other["metadata"]["name"] != *own_name)
        .filter_map(|other| {
            let by = selectors.iter().position(|s| s.matches_json(&other["metadata"]["labels"]))?;
            Some((by, other))
        })
        .collect();
    chosen.sort_by_key(|(by, other)| (*by, other["metadata"]["name"].as_str()));
    let mut rules: Vec<Rule> = Vec::new();
    for rule in chosen.iter().flat_map(|(_, other)| rules_of(&other["rules"])) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn aggregated_rules_come_by_selector_then_by_name() {
        let role = |name: &str, label: &str| {
            json!({"metadata": {"name": name, "labels": {label: "1"}},
                "rules": [{"apiGroups": [""], "resources": [name], "verbs": ["get"]}]})
        };
        let all = json!({"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": [
            {"matchLabels": {"first": "1"}}, {"matchLabels": {"second": "1"}}]}});
        let others = [role("c", "first"), role("a", "second"), role("b", "first"), role("d", "none")];
        let rules = aggregated_rules(&all, others.iter()).unwrap();
        let told: Vec<Value> = rules.iter().map(|rule| rule.to_json()["resources"][0].clone()).collect();
        assert_eq!(told, ["b", "c", "a"]);
    }

    fn find<'a>(plane: PlaneKind, resource: &str, name: &str) -> &'a Value {
        &objects(plane)
            .iter()
            .find(|o| o.key.resource.resource == resource && o.key.object.name == name)
            .unwrap()
            .object
    }

    #[test]
    fn names_are_unique_and_bindings_name_roles_that_are_there() {
        for plane in [PlaneKind::Host, PlaneKind::Tenant, PlaneKind::Super] {
            let mut keys: Vec<_> = objects(plane).iter().map(|o| o.key.clone()).collect();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), objects(plane).len());
            for bound in objects(plane).iter().filter(|o| o.object["roleRef"].is_object()) {
                let role = bound.object["roleRef"]["name"].as_str().unwrap();
                let (kind, namespace) = match bound.object["roleRef"]["kind"].as_str().unwrap() {
                    "ClusterRole" => ("clusterroles", ""),
                    _ => ("roles", bound.key.object.namespace.as_str()),
                };
                let key = ResourceKey::new(GroupResource::new(crate::rbac::GROUP, kind), namespace, role);
                assert!(keys.contains(&key), "{key} of {}", bound.key);
            }
        }
    }

    #[test]
    fn objects_have_what_kubernetes_gives_them() {
        let binding = find(PlaneKind::Super, "clusterrolebindings", "cluster-admin");
        assert_eq!(
            binding,
            &json!({"kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1",
                "metadata": {"name": "cluster-admin", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
                    "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:masters"}]})
        );
        let role = find(PlaneKind::Super, "clusterroles", "system:auth-delegator");
        assert_eq!(
            role["rules"],
            json!([{"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
                {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]}])
        );
        let dns = find(PlaneKind::Super, "clusterrolebindings", "system:kube-dns");
        assert_eq!(
            dns["subjects"],
            json!([{"kind": "ServiceAccount", "name": "kube-dns", "namespace": "kube-system"}])
        );
        assert_eq!(
            find(PlaneKind::Super, "rolebindings", "system:controller:token-cleaner")["roleRef"]["kind"],
            "Role"
        );
    }

    #[test]
    fn people_roles_are_aggregated_one_into_the_other() {
        for plane in [PlaneKind::Host, PlaneKind::Tenant, PlaneKind::Super] {
            let rules = |name: &str| rules_of(&find(plane, "clusterroles", name)["rules"]);
            let (view, edit, admin) = (rules("view"), rules("edit"), rules("admin"));
            assert!(!view.is_empty() && view.len() < edit.len() && edit.len() < admin.len());
            assert!(crate::rbac::uncovered(&admin, &edit).is_empty());
            assert!(crate::rbac::uncovered(&edit, &view).is_empty());
            assert!(!crate::rbac::uncovered(&view, &edit).is_empty());
        }
        let edit = find(PlaneKind::Tenant, "clusterroles", "edit");
        assert_eq!(edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"], "true");
    }

    #[test]
    fn aggregation_takes_each_rule_once_and_never_its_own() {
        let rule = json!({"apiGroups": ["x"], "resources": ["y"], "verbs": ["get"]});
        let labelled =
            |name: &str| json!({"metadata": {"name": name, "labels": {"to": "all"}}, "rules": [rule]});
        let role = json!({"metadata": {"name": "all", "labels": {"to": "all"}}, "rules": [{"verbs": ["old"]}],
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}});
        let others =
            [labelled("a"), labelled("b"), role.clone(), json!({"metadata": {"name": "c"}, "rules": [{}]})];
        assert_eq!(aggregated_rules(&role, others.iter()).unwrap(), [Rule::of(&rule)]);
        assert_eq!(aggregated_rules(&labelled("a"), others.iter()), None);
    }
}
