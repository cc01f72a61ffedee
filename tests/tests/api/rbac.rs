//! Who may do what, and as whom.

use crate::{assert_has, with_each_kubectl};
use tests::{Insula, Kubectl, until};

/// kubectl with a token instead of the admin's certificate.
fn with_token(insula: &Insula, tenant: &str, token: &str) -> Kubectl {
    let file = insula.scratch("token.yaml");
    let admin = std::fs::read_to_string(insula.scratch(&format!("{tenant}.yaml"))).unwrap();
    let without_certificate: Vec<&str> = admin
        .lines()
        .filter(|line| !line.contains("client-certificate-data") && !line.contains("client-key-data"))
        .collect();
    std::fs::write(&file, without_certificate.join("\n")).unwrap();
    Kubectl::new(&file, file.parent().unwrap()).with(&format!("--token={}", token.trim()))
}

#[test]
fn a_user_may_do_what_a_role_says_and_nothing_else() {
    with_each_kubectl(|_, kubectl| {
        let jane = kubectl.with("--as=jane");
        let said = jane.refused(&["get", "pods"]);
        assert_has(
            &said,
            &[
                "(Forbidden)",
                "User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace",
            ],
        );
        kubectl.run(&["create", "role", "reader", "--verb=get,list", "--resource=pods"]);
        kubectl.run(&["create", "rolebinding", "jane", "--role=reader", "--user=jane"]);
        let can =
            |arguments: &[&str]| jane.say(&[&["auth", "can-i"], arguments].concat()).stdout.trim().to_owned();
        assert_eq!(can(&["list", "pods"]), "yes");
        assert_eq!(can(&["delete", "pods"]), "no");
        assert_eq!(can(&["list", "pods", "--all-namespaces"]), "no");
        assert_eq!(can(&["get", "pods", "--subresource=log"]), "no");
        assert_eq!(jane.json(&["get", "pods"])["items"].as_array().unwrap().len(), 0);
        assert_has(
            &jane.with("--namespace=default").refused(&["get", "pods"]),
            &["in the namespace \"default\""],
        );
        let said = jane.refused(&["delete", "pod", "x"]);
        assert_has(&said, &["pods \"x\" is forbidden: User \"jane\" cannot delete resource \"pods\""]);
        assert_has(
            &jane.refused(&["get", "nodes"]),
            &["cannot list resource \"nodes\" in API group \"\" at the cluster scope"],
        );
        assert_has(&jane.run(&["auth", "can-i", "--list"]), &["pods", "[get list]"]);
        kubectl.run(&["delete", "rolebinding", "jane"]);
        assert_eq!(can(&["list", "pods"]), "no");
    });
}

#[test]
fn groups_and_aggregated_roles_count() {
    with_each_kubectl(|_, kubectl| {
        kubectl.run(&["create", "rolebinding", "editors", "--clusterrole=edit", "--group=staff"]);
        let member = kubectl.with("--as=joe").with("--as-group=staff");
        member.run(&["create", "configmap", "made", "--from-literal=by=joe"]);
        member.run(&["auth", "can-i", "create", "deployments.apps"]);
        assert_has(
            &member.refused(&["create", "role", "more", "--verb=get", "--resource=pods"]),
            &["forbidden"],
        );
        let kubectl_whoami = member.json(&["auth", "whoami"]);
        let user = &kubectl_whoami["status"]["userInfo"];
        assert_eq!(user["username"], "joe");
        assert!(user["groups"].to_string().contains("staff"), "{user}");
    });
}

#[test]
fn roles_take_the_rules_of_those_that_they_aggregate() {
    with_each_kubectl(|_, kubectl| {
        let namespace = own_namespace_of(kubectl);
        let label = format!("--aggregation-rule=example.com/{namespace}=true");
        kubectl.run(&["create", "clusterrole", "monitoring", &label]);
        kubectl.run(&["create", "clusterrole", "endpoints", "--verb=get", "--resource=endpoints"]);
        kubectl.run(&["label", "clusterrole", "endpoints", &format!("example.com/{namespace}=true")]);
        let first = "--for=jsonpath={.rules[0].resources[0]}=endpoints";
        kubectl.run(&["wait", "clusterrole/monitoring", first, "--timeout=60s"]);
        kubectl.apply(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: confidants, labels: \
             {rbac.authorization.k8s.io/aggregate-to-view: 'true'}}\nrules: [{apiGroups: [''], \
             resources: [secrets], verbs: [get]}]",
        );
        kubectl.run(&["create", "rolebinding", "viewers", "--clusterrole=view", "--user=vera"]);
        let can = |word: &str| {
            until("what the role view says", || {
                let said = kubectl.say(&["auth", "can-i", "get", "secrets", "--as=vera"]);
                if said.stdout.trim() == word { Ok(()) } else { Err(format!("{said:?}")) }
            });
        };
        can("yes");
        kubectl.run(&["delete", "clusterrole", "endpoints", "confidants", "monitoring"]);
        can("no");
    });
}

#[test]
fn nobody_gives_away_more_than_they_have() {
    with_each_kubectl(|_, kubectl| {
        kubectl.run(&[
            "create",
            "role",
            "makers",
            "--verb=get,list,create,update,patch,delete",
            "--resource=roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io",
        ]);
        kubectl.run(&["create", "rolebinding", "makers", "--role=makers", "--user=mallory"]);
        let mallory = kubectl.with("--as=mallory");
        let said = mallory.refused(&["create", "role", "thief", "--verb=get", "--resource=secrets"]);
        assert_has(&said, &["is attempting to grant RBAC permissions not currently held", "secrets"]);
        let said =
            mallory.refused(&["create", "rolebinding", "thief", "--clusterrole=admin", "--user=mallory"]);
        assert_has(&said, &["is attempting to grant RBAC permissions not currently held"]);
        mallory.run(&["create", "role", "same", "--verb=get", "--resource=roles.rbac.authorization.k8s.io"]);
        let said = mallory.with("--as-group=system:masters").run(&["auth", "can-i", "get", "secrets"]);
        assert_eq!(said.trim(), "yes", "the admin impersonates, not mallory");
    });
}

#[test]
fn a_service_account_has_a_token_and_the_rights_of_its_roles() {
    with_each_kubectl(|insula, kubectl| {
        kubectl.run(&["create", "serviceaccount", "robot"]);
        let token = kubectl.run(&["create", "token", "robot", "--duration=10m"]);
        let namespace = own_namespace_of(kubectl);
        let robot = with_token(insula, "acme", &token).with(&format!("--namespace={namespace}"));
        let name = format!("system:serviceaccount:{namespace}:robot");
        assert_eq!(robot.json(&["auth", "whoami"])["status"]["userInfo"]["username"], name.as_str());
        assert_has(
            &robot.refused(&["get", "configmaps"]),
            &[&format!("User \"{name}\" cannot list resource \"configmaps\"")],
        );
        kubectl.run(&[
            "create",
            "rolebinding",
            "robot",
            "--clusterrole=view",
            &format!("--serviceaccount={namespace}:robot"),
        ]);
        assert_has(&robot.run(&["get", "configmaps"]), &["kube-root-ca.crt"]);
        assert_has(&robot.refused(&["get", "secrets"]), &["forbidden"]);
        assert_has(&robot.refused(&["create", "configmap", "x"]), &["forbidden"]);
        // The token ends with the account, also when another one gets its name.
        kubectl.run(&["delete", "serviceaccount", "robot"]);
        until("the token is refused", || match robot.say(&["get", "configmaps"]) {
            said if said.stderr.contains("Unauthorized") || said.stderr.contains("logged in") => Ok(()),
            said => Err(format!("{said:?}")),
        });
        kubectl.run(&["create", "serviceaccount", "robot"]);
        let said = robot.refused(&["get", "configmaps"]);
        assert!(said.contains("Unauthorized") || said.contains("logged in"), "{said}");
    });
}

/// The namespace that the commands of a kubectl are in.
fn own_namespace_of(kubectl: &Kubectl) -> String {
    kubectl.run(&["get", "serviceaccount", "default", "--output=jsonpath={.metadata.namespace}"])
}

#[test]
fn a_wrong_token_is_nobody() {
    with_each_kubectl(|insula, _| {
        let nobody = with_token(insula, "acme", "not-a-token");
        let said = nobody.refused(&["get", "namespaces"]);
        assert!(said.contains("Unauthorized") || said.contains("logged in"), "{said}");
    });
}

#[test]
fn a_bootstrap_role_that_is_deleted_is_another_at_once() {
    with_each_kubectl(|_, kubectl| {
        let uid =
            || kubectl.run(&["get", "clusterrole", "system:basic-user", "--output=jsonpath={.metadata.uid}"]);
        let mut seen = vec![uid()];
        // The shared one, the copy in its place, and the shared one again.
        for _ in 0..3 {
            kubectl.run(&["delete", "clusterrole", "system:basic-user", "--timeout=60s"]);
            seen.push(uid());
            assert_ne!(seen[seen.len() - 1], seen[seen.len() - 2]);
        }
        assert_has(
            &kubectl.run(&["describe", "clusterrole", "system:basic-user"]),
            &["selfsubjectaccessreviews.authorization.k8s.io", "kubernetes.io/bootstrapping=rbac-defaults"],
        );
        // A changed one too, with what was changed.
        kubectl.run(&["label", "clusterrole", "system:basic-user", "changed=yes", "--overwrite"]);
        let changed = uid();
        kubectl.run(&["delete", "clusterrole", "system:basic-user", "--timeout=60s"]);
        assert_ne!(uid(), changed);
        let selected = kubectl.run(&["get", "clusterroles", "--selector=changed=yes", "--output=name"]);
        assert!(!selected.contains("system:basic-user"), "{selected}");
    });
}
