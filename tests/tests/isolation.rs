//! Two tenants that use the same names and never see each other.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::collections::BTreeSet;
use tests::{Insula, Kubectl, until};

#[track_caller]
fn assert_unauthorized(kubectl: &Kubectl) {
    let said = kubectl.refused(&["get", "namespaces"]);
    assert!(said.contains("Unauthorized") || said.contains("You must be logged in"), "{said}");
}

fn names(kubectl: &Kubectl, arguments: &[&str]) -> BTreeSet<String> {
    let list = kubectl.json(&[&["get"], arguments].concat());
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn uids(kubectl: &Kubectl, arguments: &[&str]) -> BTreeSet<String> {
    let list = kubectl.json(&[&["get"], arguments].concat());
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
}

/// The same names in each tenant, with the tenant's name as the content.
fn fill(kubectl: &Kubectl, tenant: &str) {
    kubectl.run(&["create", "namespace", "shop"]);
    let shop = kubectl.namespace("shop");
    shop.run(&["create", "configmap", "settings", &format!("--from-literal=of={tenant}")]);
    shop.run(&["create", "secret", "generic", "key", &format!("--from-literal=of={tenant}")]);
    shop.run(&["create", "deployment", "web", &format!("--image={tenant}:1"), "--replicas=2"]);
    shop.run(&["expose", "deployment/web", "--port=80"]);
    shop.run(&["wait", "deployment/web", "--for=condition=Available", "--timeout=60s"]);
}

#[test]
fn the_same_names_are_different_objects() {
    let insula = Insula::start();
    let tenants = ["acme", "globex"].map(|name| (name, insula.tenant(name)));
    for (name, kubectl) in &tenants {
        fill(kubectl, name);
    }
    for (name, kubectl) in &tenants {
        let all = kubectl.json(&["get", "configmaps,secrets,deployments,pods,services", "--all-namespaces"]);
        let text = all.to_string();
        let other = tenants.iter().find(|(other, _)| other != name).unwrap().0;
        assert!(text.contains(&format!("{name}:1")), "{text}");
        assert!(!text.contains(other), "{name} sees {other}: {text}");
        let of = kubectl.namespace("shop").json(&["get", "configmap", "settings"]);
        assert_eq!(of["data"]["of"], *name);
    }
    let kinds = ["namespaces", "configmaps", "secrets", "serviceaccounts", "pods", "services"];
    for kind in kinds {
        let [ours, theirs] = [0, 1].map(|index| uids(&tenants[index].1, &[kind, "--all-namespaces"]));
        assert!(!ours.is_empty(), "{kind}");
        assert!(ours.is_disjoint(&theirs), "{kind}: {:?}", ours.intersection(&theirs).collect::<Vec<_>>());
    }

    // On the super cluster: a namespace each, with each one's own objects.
    let local = insula.super_cluster();
    let namespaces: Vec<String> = tenants
        .iter()
        .map(|(name, kubectl)| {
            let selector = format!("--selector=insula.dev/tenant={name}");
            let pods = local.json(&["get", "pods", "--all-namespaces", &selector]);
            let items = pods["items"].as_array().unwrap();
            let found: BTreeSet<&str> =
                items.iter().map(|pod| pod["metadata"]["namespace"].as_str().unwrap()).collect();
            assert_eq!((items.len(), found.len()), (2, 1), "{pods:#}");
            let below: BTreeSet<String> = items
                .iter()
                .map(|pod| pod["metadata"]["annotations"]["insula.dev/uid"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(below, uids(kubectl, &["pods", "--namespace=shop"]));
            (*found.first().unwrap()).to_owned()
        })
        .collect();
    assert_ne!(namespaces[0], namespaces[1]);

    // What one deletes is still there for the other one.
    tenants[0].1.run(&["delete", "namespace", "shop", "--timeout=60s"]);
    let left = names(&tenants[1].1, &["deployments,services,configmaps", "--namespace=shop"]);
    assert!(left.contains("web") && left.contains("settings"), "{left:?}");
    until("the super namespace of the deleted one is gone", || {
        let there = names(&local, &["namespaces"]);
        if there.contains(&namespaces[0]) { Err(format!("{there:?}")) } else { Ok(there) }
    });
    assert_eq!(names(&local, &["pods", &format!("--namespace={}", namespaces[1])]).len(), 2);
}

#[test]
fn a_watch_over_all_namespaces_shows_no_other_tenant() {
    let insula = Insula::start();
    let [acme, globex] = ["acme", "globex"].map(|name| insula.tenant(name));
    let template = "--output=jsonpath={.type} {.object.metadata.name}{'\\n'}";
    let arguments =
        ["get", "configmaps", "--all-namespaces", "--watch-only", "--output-watch-events", template];
    let watch = acme.start(&arguments, &insula.scratch("watched"));
    // The watch is up once it shows something.
    let mut number = 0;
    until("the watch shows acme's own", || {
        number += 1;
        acme.run(&["create", "configmap", &format!("own-{number}")]);
        if watch.printed().contains("ADDED own-") { Ok(()) } else { Err(watch.printed()) }
    });
    globex.run(&["create", "configmap", "foreign"]);
    globex.run(&["delete", "configmap", "foreign"]);
    acme.run(&["create", "configmap", "last"]);
    until("the watch shows what came after", || {
        if watch.printed().contains("ADDED last") { Ok(()) } else { Err(watch.printed()) }
    });
    assert!(!watch.printed().contains("foreign"), "{}", watch.printed());
}

fn definition(field: &str) -> String {
    format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.example.com}}
spec:
  group: example.com
  scope: Namespaced
  names: {{plural: widgets, singular: widget, kind: Widget}}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [{field}]
            properties:
              {field}: {{type: string, description: Only here.}}
"
    )
}

#[test]
fn definitions_of_the_same_name_have_each_their_own_schema() {
    let insula = Insula::start();
    let tenants = [("color", insula.tenant("acme")), ("size", insula.tenant("globex"))];
    let bystander = insula.tenant("initech");
    for (field, kubectl) in &tenants {
        kubectl.apply(&definition(field));
        kubectl.run(&["wait", "crd/widgets.example.com", "--for=condition=Established", "--timeout=60s"]);
    }
    for (index, (field, kubectl)) in tenants.iter().enumerate() {
        let widget = |field: &str| {
            format!(
                "apiVersion: example.com/v1\nkind: Widget\nmetadata: {{name: one}}\nspec: {{{field}: x}}\n"
            )
        };
        let other = tenants[1 - index].0;
        kubectl.apply(&widget(field));
        let said = kubectl.refused_with_input(&["replace", "--filename=-"], &widget(other));
        assert!(
            said.contains(&format!("spec.{field}: Required value"))
                || said.contains(&format!("unknown field \"spec.{other}\"")),
            "{said}"
        );
        let text = kubectl.run(&["explain", "widget.spec"]);
        assert!(text.contains(field) && !text.contains(other), "{text}");
        let object = kubectl.json(&["get", "widget", "one"]);
        assert_eq!(object["spec"], serde_json::json!({*field: "x"}), "{object:#}");
    }
    let said = bystander.refused(&["get", "widgets"]);
    assert!(said.contains("the server doesn't have a resource type \"widgets\""), "{said}");

    tenants[0].1.run(&["delete", "crd", "widgets.example.com", "--timeout=60s"]);
    assert_eq!(names(&tenants[1].1, &["widgets"]), BTreeSet::from(["one".to_owned()]));
}

#[test]
fn a_credential_is_of_no_use_on_another_plane() {
    let insula = Insula::start();
    let tenants = ["acme", "globex"].map(|name| (name, insula.tenant(name)));
    let base = format!("https://127.0.0.1:{}", insula.port());
    let local = format!("{base}/supers/local");
    // Certificates: everybody on everybody else's path.
    let host = insula.host();
    let super_cluster = insula.super_cluster();
    let planes = [
        ("host", &host, base.clone()),
        ("local", &super_cluster, local),
        ("acme", &tenants[0].1, insula.tenant_url("acme")),
        ("globex", &tenants[1].1, insula.tenant_url("globex")),
    ];
    for (who, kubectl, own) in &planes {
        let namespaces = uids(&kubectl.with(&format!("--server={own}")), &["namespaces"]);
        for (_, _, url) in &planes {
            let there = kubectl.with(&format!("--server={url}"));
            if url == own || *url == base {
                // Without a path, a credential leads to its own plane.
                assert_eq!(uids(&there, &["namespaces"]), namespaces, "{who} on {url}");
            } else {
                assert_unauthorized(&there);
            }
        }
    }
    // A tenant that is not there looks like one that is not yours.
    assert_unauthorized(&tenants[0].1.with(&format!("--server={}", insula.tenant_url("nobody"))));

    // Tokens of service accounts, with the same names in both.
    let tokens = tenants.clone().map(|(name, kubectl)| {
        kubectl.run(&["create", "serviceaccount", "robot"]);
        kubectl.run(&[
            "create",
            "rolebinding",
            "robot",
            "--clusterrole=view",
            "--serviceaccount=default:robot",
        ]);
        (name, kubectl.run(&["create", "token", "robot"]).trim().to_owned())
    });
    let anonymous = insula.scratch("anonymous.yaml");
    std::fs::write(
        &anonymous,
        without_certificate(&std::fs::read_to_string(insula.scratch("acme.yaml")).unwrap()),
    )
    .unwrap();
    for (of, token) in &tokens {
        for (tenant, _) in &tenants {
            let robot = Kubectl::new(&anonymous, &insula.scratch(""))
                .with(&format!("--server={}", insula.tenant_url(tenant)))
                .with(&format!("--token={token}"));
            if of == tenant {
                assert!(names(&robot, &["configmaps"]).contains("kube-root-ca.crt"));
                let said = robot.refused(&["get", "secrets"]);
                assert!(
                    said.contains(
                        "User \"system:serviceaccount:default:robot\" cannot list resource \"secrets\""
                    ),
                    "{said}"
                );
            } else {
                assert_unauthorized(&robot);
            }
        }
        // Without a path, as a client in a pod, which knows only a host and a port: the token's own plane.
        let robot = Kubectl::new(&anonymous, &insula.scratch("")).with(&format!("--server={base}"));
        let own = tenants.iter().find(|(tenant, _)| tenant == of).unwrap().1.clone();
        let found = uids(&robot.with(&format!("--token={token}")), &["configmaps"]);
        assert_eq!(found, uids(&own, &["configmaps"]), "{of}");
    }
}

/// A kubeconfig without its client certificate.
fn without_certificate(kubeconfig: &str) -> String {
    let credential =
        |line: &&str| !line.contains("client-certificate-data") && !line.contains("client-key-data");
    kubeconfig.lines().filter(credential).collect::<Vec<_>>().join("\n")
}

#[test]
fn tenants_do_not_see_the_platform() {
    let insula = Insula::start();
    let acme = insula.tenant("acme");
    acme.run(&["run", "web", "--image=nginx:1"]);
    acme.run(&["wait", "pod/web", "--for=condition=Ready", "--timeout=60s"]);
    let said = acme.refused(&["get", "tenants"]);
    assert!(said.contains("the server doesn't have a resource type \"tenants\""), "{said}");
    assert!(!names(&acme, &["namespaces"]).contains("insula-system"));
    let tenant = insula.host().json(&["get", "tenant", "acme"]);
    let pods: Value = acme.json(&["get", "pods,nodes,events,services,endpointslices", "--all-namespaces"]);
    let text = pods.to_string();
    // The super namespace's name has the tenant's name and namespace in it.
    for secret in ["acme-default-", tenant["metadata"]["uid"].as_str().unwrap(), "insula.dev/tenant"] {
        assert!(!text.contains(secret), "{secret} in {pods:#}");
    }
}
