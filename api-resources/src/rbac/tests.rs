use super::*;
use crate::bootstrap;
use crate::catalog::PlaneKind;
use serde_json::json;
use std::collections::BTreeMap;

/// Bootstrap roles and bindings, and the given ones.
struct Fixed {
    roles: Vec<Arc<Role>>,
    bindings: BTreeMap<CompactString, Vec<Arc<Binding>>>,
}

impl Fixed {
    fn with(objects: &[Value]) -> Self {
        let mut fixed = Fixed { roles: Vec::new(), bindings: BTreeMap::new() };
        let bootstrap = bootstrap::objects(PlaneKind::Tenant).iter().map(|entry| &entry.object);
        for object in bootstrap.chain(objects) {
            match object["kind"].as_str().unwrap() {
                "Role" | "ClusterRole" => fixed.roles.push(Arc::new(Role::of(object))),
                _ => {
                    let binding = Binding::of(object);
                    fixed.bindings.entry(binding.namespace.clone()).or_default().push(Arc::new(binding));
                }
            }
        }
        fixed
    }
}

impl Policy for Fixed {
    fn cluster_role(&self, name: &str) -> Option<Arc<Role>> {
        self.role("", name)
    }

    fn role(&self, namespace: &str, name: &str) -> Option<Arc<Role>> {
        self.roles.iter().find(|r| r.namespace == namespace && r.name == name).cloned()
    }

    fn cluster_role_bindings(&self) -> &[Arc<Binding>] {
        self.role_bindings("")
    }

    fn role_bindings(&self, namespace: &str) -> &[Arc<Binding>] {
        self.bindings.get(namespace).map(Vec::as_slice).unwrap_or_default()
    }
}

fn role(namespace: &str, name: &str, rules: Value) -> Value {
    let kind = if namespace.is_empty() { "ClusterRole" } else { "Role" };
    json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}, "rules": rules})
}

fn binding(namespace: &str, role_kind: &str, role_name: &str, subject: Value) -> Value {
    let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    json!({"kind": kind, "metadata": {"namespace": namespace, "name": "b"}, "subjects": [subject],
        "roleRef": {"kind": role_kind, "name": role_name}})
}

fn user(name: &str) -> User<'_> {
    User { name, groups: &[] }
}

fn resource<'a>(
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    namespace: &'a str,
    name: &'a str,
) -> Action<'a> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Action::Resource { verb, group, resource, subresource, namespace, name }
}

#[test]
fn rules_allow_what_they_say_and_nothing_else() {
    let of = |rule: Value| Rule::of(&rule);
    let pods = of(json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}));
    let logs = of(json!({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}));
    let scales = of(json!({"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["get"]}));
    let named =
        of(json!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["*"]}));
    let all = of(json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}));
    let paths = of(json!({"nonResourceURLs": ["/healthz", "/logs/*"], "verbs": ["get"]}));
    let any_path = of(json!({"nonResourceURLs": ["*"], "verbs": ["*"]}));
    for (rule, action, allowed) in [
        (&pods, resource("get", "", "pods", "n", "x"), true),
        (&pods, resource("list", "", "pods", "", ""), true),
        (&pods, resource("delete", "", "pods", "n", "x"), false),
        (&pods, resource("get", "apps", "pods", "n", "x"), false),
        (&pods, resource("get", "", "pods/log", "n", "x"), false),
        (&logs, resource("get", "", "pods/log", "n", "x"), true),
        (&logs, resource("get", "", "pods", "n", "x"), false),
        (&scales, resource("get", "apps", "deployments/scale", "n", "x"), true),
        (&scales, resource("get", "apps", "deployments", "n", "x"), false),
        (&scales, resource("get", "apps", "deployments/status", "n", "x"), false),
        (&named, resource("update", "", "configmaps", "n", "a"), true),
        (&named, resource("update", "", "configmaps", "n", "b"), false),
        (&named, resource("create", "", "configmaps", "n", ""), false),
        (&all, resource("impersonate", "", "users", "", "x"), true),
        (&all, Action::Path { verb: "get", path: "/healthz" }, false),
        (&paths, Action::Path { verb: "get", path: "/healthz" }, true),
        (&paths, Action::Path { verb: "get", path: "/healthz/ping" }, false),
        (&paths, Action::Path { verb: "get", path: "/logs/a/b" }, true),
        (&paths, Action::Path { verb: "post", path: "/logs/a" }, false),
        (&paths, resource("get", "", "healthz", "", ""), false),
        (&any_path, Action::Path { verb: "get", path: "/anything" }, true),
    ] {
        assert_eq!(rule.allows(&action), allowed, "{rule:?} {action:?}");
        assert_eq!(Rule::of(&rule.to_json()), *rule);
    }
}

#[test]
fn subjects_are_users_groups_and_service_accounts() {
    let groups = ["devs".into()];
    let is = |subject: Value, name: &str, namespace: &str| {
        let binding = Binding::of(&binding(namespace, "Role", "r", subject));
        binding.subject_of(User { name, groups: &groups }).is_some()
    };
    for (subject, name, namespace, expected) in [
        (json!({"kind": "User", "name": "ann"}), "ann", "n", true),
        (json!({"kind": "User", "name": "ann"}), "bob", "n", false),
        (json!({"kind": "Group", "name": "devs"}), "ann", "n", true),
        (json!({"kind": "Group", "name": "ann"}), "ann", "n", false),
        (
            json!({"kind": "ServiceAccount", "name": "s", "namespace": "m"}),
            "system:serviceaccount:m:s",
            "n",
            true,
        ),
        (json!({"kind": "ServiceAccount", "name": "s"}), "system:serviceaccount:n:s", "n", true),
        (json!({"kind": "ServiceAccount", "name": "s"}), "system:serviceaccount:n:s", "", false),
        (json!({"kind": "ServiceAccount", "name": "s"}), "s", "n", false),
        (json!({"kind": "Robot", "name": "ann"}), "ann", "n", false),
    ] {
        assert_eq!(is(subject.clone(), name, namespace), expected, "{subject} {name}");
    }
}

#[test]
fn decisions_name_the_binding_that_allows() {
    let policy = Fixed::with(&[
        role("n", "reader", json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])),
        binding("n", "Role", "reader", json!({"kind": "User", "name": "ann"})),
        binding("n", "ClusterRole", "gone", json!({"kind": "User", "name": "bob"})),
    ]);
    let decide = |name: &str, namespace: &str| {
        authorize(&policy, user(name), resource("get", "", "pods", namespace, "x"))
    };
    let yes = decide("ann", "n");
    assert!(yes.allowed);
    assert_eq!(yes.reason, "RBAC: allowed by RoleBinding \"b/n\" of Role \"reader\" to User \"ann\"");
    assert_eq!(decide("ann", "m"), Decision { allowed: false, reason: String::new() });
    assert_eq!(decide("bob", "n").reason, "RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found");
    let masters = ["system:masters".into()];
    let root =
        authorize(&policy, User { name: "root", groups: &masters }, resource("delete", "", "nodes", "", "x"));
    assert_eq!(
        root.reason,
        "RBAC: allowed by ClusterRoleBinding \"cluster-admin\" of ClusterRole \"cluster-admin\" to Group \"system:masters\""
    );
}

#[test]
fn refusals_are_worded_as_in_kubernetes() {
    for (action, text) in [
        (
            resource("list", "", "pods", "n", ""),
            "User \"u\" cannot list resource \"pods\" in API group \"\" in the namespace \"n\"",
        ),
        (
            resource("get", "apps", "deployments/scale", "", "x"),
            "User \"u\" cannot get resource \"deployments/scale\" in API group \"apps\" at the cluster scope",
        ),
        (Action::Path { verb: "get", path: "/a<b>" }, "User \"u\" cannot get path \"/a&lt;b&gt;\""),
    ] {
        assert_eq!(action.refusal("u"), text);
    }
}

#[test]
fn nobody_gives_what_they_do_not_have() {
    let rule = |groups: Value, resources: Value, verbs: Value| {
        Rule::of(&json!({"apiGroups": groups, "resources": resources, "verbs": verbs}))
    };
    let held = [
        rule(json!([""]), json!(["pods", "*/status"]), json!(["get", "list"])),
        Rule::of(
            &json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"], "verbs": ["*"]}),
        ),
        Rule::of(&json!({"nonResourceURLs": ["/logs/*"], "verbs": ["get"]})),
    ];
    for (wanted, covered) in [
        (rule(json!([""]), json!(["pods"]), json!(["get"])), true),
        (rule(json!([""]), json!(["pods", "nodes/status"]), json!(["get", "list"])), true),
        (rule(json!([""]), json!(["nodes"]), json!(["get"])), false),
        (rule(json!(["*"]), json!(["pods"]), json!(["get"])), false),
        (rule(json!([""]), json!(["*"]), json!(["get"])), false),
        (rule(json!([""]), json!(["pods"]), json!(["*"])), false),
        (rule(json!([""]), json!(["secrets"]), json!(["get"])), false),
        (
            Rule::of(
                &json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"], "verbs": ["get"]}),
            ),
            true,
        ),
        (
            Rule::of(
                &json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a", "b"], "verbs": ["get"]}),
            ),
            false,
        ),
        (Rule::of(&json!({"nonResourceURLs": ["/logs/x", "/logs/*"], "verbs": ["get"]})), true),
        (Rule::of(&json!({"nonResourceURLs": ["*"], "verbs": ["get"]})), false),
    ] {
        assert_eq!(uncovered(&held, std::slice::from_ref(&wanted)).is_empty(), covered, "{wanted:?}");
    }
    let groups = ["devs".into(), "system:authenticated".into()];
    let ann = User { name: "ann", groups: &groups };
    let wanted = [rule(json!([""]), json!(["pods", "nodes"]), json!(["get", "delete"]))];
    assert_eq!(
        escalation(ann, &held, &wanted, &[]).unwrap(),
        "user \"ann\" (groups=[\"devs\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\" \"delete\"]}\n\
         {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}"
    );
    assert_eq!(escalation(ann, &held, &held, &[]), None);
}

#[test]
fn only_who_holds_everything_aggregates() {
    let policy = Fixed::with(&[]);
    let all = policy.cluster_role("cluster-admin").unwrap();
    assert_eq!(aggregation_refusal(&all.rules), None);
    assert!(aggregation_refusal(&all.rules[..1]).is_some());
    assert!(aggregation_refusal(&policy.cluster_role("admin").unwrap().rules).is_some());
}

/// The golden matrix: what the roles that people are given allow. Each cell lists the verbs of
/// `get create update delete` by their first letters, `-` for none.
const MATRIX: &[(&str, &str, &str, &str, &str, &str)] = &[
    // group, resource, cluster-admin, admin, edit, view
    ("", "pods", "gcud", "gcud", "gcud", "g---"),
    ("", "pods/log", "gcud", "g---", "g---", "g---"),
    ("", "pods/exec", "gcud", "gcud", "gcud", "----"),
    ("", "pods/eviction", "gcud", "-c--", "-c--", "----"),
    ("", "secrets", "gcud", "gcud", "gcud", "----"),
    ("", "configmaps", "gcud", "gcud", "gcud", "g---"),
    ("", "services", "gcud", "gcud", "gcud", "g---"),
    ("", "serviceaccounts/token", "gcud", "-c--", "-c--", "----"),
    ("", "resourcequotas", "gcud", "g---", "g---", "g---"),
    ("", "nodes", "gcud", "----", "----", "----"),
    ("", "namespaces", "gcud", "g---", "g---", "g---"),
    ("apps", "deployments", "gcud", "gcud", "gcud", "g---"),
    ("apps", "deployments/scale", "gcud", "gcud", "gcud", "g---"),
    ("apps", "deployments/status", "gcud", "g---", "g---", "g---"),
    ("rbac.authorization.k8s.io", "roles", "gcud", "gcud", "----", "----"),
    ("rbac.authorization.k8s.io", "rolebindings", "gcud", "gcud", "----", "----"),
    ("rbac.authorization.k8s.io", "clusterroles", "gcud", "----", "----", "----"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "gcud", "----", "----", "----"),
    ("cloud.insula.dev", "databases", "gcud", "gcud", "gcud", "g---"),
    ("cloud.insula.dev", "databases/status", "gcud", "g---", "g---", "g---"),
    ("core.oam.dev", "components", "gcud", "gcud", "gcud", "g---"),
    ("core.oam.dev", "applicationconfigurations", "gcud", "gcud", "gcud", "g---"),
    ("core.oam.dev", "servicebindings", "gcud", "gcud", "gcud", "g---"),
    ("core.oam.dev", "traitdefinitions", "gcud", "g---", "g---", "g---"),
    ("made.example", "widgets", "gcud", "----", "----", "----"),
];

#[test]
fn the_matrix_of_roles_verbs_and_resources_holds() {
    for (group, name, admin_all, admin, edit, view) in MATRIX {
        for (role, expected) in
            [("cluster-admin", admin_all), ("admin", admin), ("edit", edit), ("view", view)]
        {
            let policy =
                Fixed::with(&[binding("n", "ClusterRole", role, json!({"kind": "User", "name": "ann"}))]);
            let cell: String = ["get", "create", "update", "delete"]
                .into_iter()
                .map(|verb| {
                    match authorize(&policy, user("ann"), resource(verb, group, name, "n", "x")).allowed {
                        true => &verb[..1],
                        false => "-",
                    }
                })
                .collect();
            assert_eq!(cell, *expected, "{role} on {name}.{group}");
            let elsewhere = authorize(&policy, user("ann"), resource("get", group, name, "other", "x"));
            assert!(!elsewhere.allowed, "{role} on {name}.{group} reaches another namespace");
        }
    }
}

#[test]
fn everybody_authenticated_can_discover_and_ask_about_themselves() {
    let policy = Fixed::with(&[]);
    let authenticated = ["system:authenticated".into()];
    let unauthenticated = ["system:unauthenticated".into()];
    let ann = User { name: "ann", groups: &authenticated };
    let nobody = User { name: "system:anonymous", groups: &unauthenticated };
    let path = |path| Action::Path { verb: "get", path };
    for (who, action, allowed) in [
        (ann, path("/apis"), true),
        (ann, path("/openapi/v3"), true),
        (ann, path("/version"), true),
        (ann, path("/metrics"), false),
        (nobody, path("/version"), true),
        (nobody, path("/livez"), true),
        (nobody, path("/api"), false),
        (ann, resource("create", "authorization.k8s.io", "selfsubjectaccessreviews", "", ""), true),
        (ann, resource("create", "authorization.k8s.io", "subjectaccessreviews", "", ""), false),
        (ann, resource("list", "core.oam.dev", "workloaddefinitions", "", ""), true),
        (nobody, resource("list", "core.oam.dev", "workloaddefinitions", "", ""), false),
    ] {
        assert_eq!(authorize(&policy, who, action).allowed, allowed, "{} {action:?}", who.name);
    }
}
