//! Creating, applying, replacing, editing, deleting.

use crate::{assert_has, with_each_kubectl};
use tests::Kubectl;

const SETTINGS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {color: red, size: big}
";

fn data(kubectl: &Kubectl, name: &str) -> String {
    kubectl.run(&["get", "configmap", name, "--output=jsonpath={.data}"])
}

#[test]
fn what_is_created_once_is_refused_the_second_time() {
    with_each_kubectl(|_, kubectl| {
        let create = ["create", "configmap", "one", "--from-literal=a=1"];
        assert_eq!(kubectl.run(&create), "configmap/one created\n");
        assert_eq!(
            kubectl.refused(&create),
            "error: failed to create configmap: configmaps \"one\" already exists\n"
        );
        assert_eq!(data(kubectl, "one"), r#"{"a":"1"}"#);

        let dry = kubectl.json(&["create", "configmap", "dry", "--from-literal=a=1", "--dry-run=server"]);
        assert!(dry["metadata"]["uid"].is_string(), "{dry:#}");
        assert_has(
            &kubectl.refused(&["get", "configmap", "dry"]),
            &["(NotFound): configmaps \"dry\" not found"],
        );

        let generated = "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: many-}\n";
        let name = kubectl.run_with_input(&["create", "--filename=-", "--output=name"], generated);
        assert!(
            name.starts_with("configmap/many-") && name.trim_end().len() > "configmap/many-".len(),
            "{name}"
        );
    });
}

#[test]
fn applying_changes_what_was_applied_and_nothing_else() {
    with_each_kubectl(|_, kubectl| {
        assert_eq!(kubectl.apply(SETTINGS), "configmap/settings created\n");
        assert_eq!(kubectl.apply(SETTINGS), "configmap/settings unchanged\n");
        let before = kubectl.json(&["get", "configmap", "settings"]);
        kubectl.run(&["patch", "configmap", "settings", "--patch", r#"{"data":{"other":"kept"}}"#]);

        let changed = SETTINGS.replace("color: red, size: big", "color: blue");
        let said = kubectl.say_with_input(&["diff", "--filename=-"], &changed);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert_has(&said.stdout, &["-  color: red", "+  color: blue", "-  size: big"]);
        assert_eq!(kubectl.apply(&changed), "configmap/settings configured\n");
        assert_eq!(data(kubectl, "settings"), r#"{"color":"blue","other":"kept"}"#);
        assert_eq!(kubectl.say_with_input(&["diff", "--filename=-"], &changed).code, Some(0));

        let after = kubectl.json(&["get", "configmap", "settings"]);
        assert_eq!(before["metadata"]["uid"], after["metadata"]["uid"]);
        assert_ne!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
    });
}

#[test]
fn applying_on_the_server_keeps_who_owns_which_field() {
    with_each_kubectl(|_, kubectl| {
        let apply = ["apply", "--server-side", "--filename=-"];
        let said = kubectl.run_with_input(&[&apply[..], &["--field-manager=one"]].concat(), SETTINGS);
        assert_eq!(said, "configmap/settings serverside-applied\n");

        let other = SETTINGS.replace("color: red, size: big", "color: green");
        let as_two = [&apply[..], &["--field-manager=two"]].concat();
        let said = kubectl.refused_with_input(&as_two, &other);
        assert_has(&said, &["conflict with \"one\"", ".data.color"]);
        kubectl.run_with_input(&[&as_two[..], &["--force-conflicts"]].concat(), &other);
        assert_eq!(data(kubectl, "settings"), r#"{"color":"green","size":"big"}"#);

        // The first one gives up what it owns alone; what the second one owns stays.
        let less = SETTINGS.replace("data: {color: red, size: big}", "");
        kubectl.run_with_input(&[&apply[..], &["--field-manager=one"]].concat(), &less);
        assert_eq!(data(kubectl, "settings"), r#"{"color":"green"}"#);
        let shown = kubectl.json(&["get", "configmap", "settings", "--show-managed-fields"]);
        let managers = shown["metadata"]["managedFields"].as_array().unwrap();
        let owner = managers.iter().find(|entry| entry["fieldsV1"]["f:data"]["f:color"].is_object()).unwrap();
        assert_eq!((&owner["manager"], &owner["operation"]), (&"two".into(), &"Apply".into()), "{shown:#}");
    });
}

#[test]
fn an_old_version_is_not_written_over_a_new_one() {
    with_each_kubectl(|_, kubectl| {
        kubectl.run_with_input(&["create", "--filename=-"], SETTINGS);
        let old = kubectl.run(&["get", "configmap", "settings", "--output=yaml"]);
        kubectl.run(&["label", "configmap", "settings", "tier=front"]);
        let said = kubectl.refused_with_input(&["replace", "--filename=-"], &old);
        assert_has(
            &said,
            &["(Conflict)", "the object has been modified; please apply your changes to the latest version"],
        );
        kubectl.run_with_input(&["replace", "--filename=-"], SETTINGS);
        let now = kubectl.json(&["get", "configmap", "settings"]);
        assert!(now["metadata"]["labels"]["tier"].is_null(), "{now:#}");
        let said = kubectl.refused(&["label", "configmap", "settings", "app=x"]);
        assert_has(&said, &["'app' already has a value (web)"]);
        kubectl.run(&["annotate", "configmap", "settings", "note=a b"]);
        let note =
            kubectl.run(&["get", "configmap", "settings", "--output=jsonpath={.metadata.annotations.note}"]);
        assert_eq!(note, "a b");
    });
}

#[test]
fn objects_are_edited() {
    with_each_kubectl(|_, kubectl| {
        kubectl.run_with_input(&["create", "--filename=-"], SETTINGS);
        let edit = |program: &str| {
            let output = kubectl
                .command(&["edit", "configmap", "settings"])
                .env("KUBE_EDITOR", format!("sed -i {program}"))
                .output()
                .unwrap();
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat()
        };
        assert_eq!(edit("s/nothing/else/").trim(), "Edit cancelled, no changes made.");
        assert_eq!(edit("s/red/blue/").trim(), "configmap/settings edited");
        assert_eq!(data(kubectl, "settings"), r#"{"color":"blue","size":"big"}"#);
    });
}

#[test]
fn objects_are_deleted_one_by_one_and_together() {
    with_each_kubectl(|_, kubectl| {
        for (name, app) in [("a", "web"), ("b", "web"), ("c", "db"), ("d", "db"), ("e", "other")] {
            kubectl.run(&["create", "configmap", name]);
            kubectl.run(&["label", "configmap", name, &format!("app={app}")]);
        }
        assert_has(&kubectl.run(&["delete", "configmap", "a"]), &["configmap \"a\" deleted"]);
        assert_has(
            &kubectl.refused(&["delete", "configmap", "a"]),
            &["(NotFound): configmaps \"a\" not found"],
        );
        kubectl.run(&["delete", "configmap", "a", "--ignore-not-found"]);
        kubectl.run(&["delete", "configmap", "--selector=app=web"]);
        let names = || {
            kubectl.run(&[
                "get",
                "configmaps",
                "--selector=app",
                "--output=jsonpath={.items[*].metadata.name}",
            ])
        };
        assert_eq!(names(), "c d e");
        // kubectl itself deletes one by one: this is the request that deletes a collection.
        let namespace = kubectl.run(&["get", "configmap", "c", "--output=jsonpath={.metadata.namespace}"]);
        let collection = format!("/api/v1/namespaces/{namespace}/configmaps?labelSelector=app%3Ddb");
        kubectl.run(&["delete", "--raw", &collection]);
        assert_eq!(names(), "e");
        kubectl.run(&["delete", "configmap", "--all"]);
        assert_eq!(names(), "");
    });
}

#[test]
fn a_namespace_goes_with_everything_in_it() {
    with_each_kubectl(|_, kubectl| {
        kubectl.run(&["create", "namespace", "gone"]);
        let inside = kubectl.with("--namespace=gone");
        inside.apply(SETTINGS);
        inside.run(&["create", "deployment", "web", "--image=nginx", "--replicas=2"]);
        inside.run(&["wait", "deployment/web", "--for=condition=Available", "--timeout=60s"]);
        inside.run(&["delete", "namespace", "gone", "--timeout=60s"]);
        assert_has(&kubectl.refused(&["get", "namespace", "gone"]), &["namespaces \"gone\" not found"]);
        let left = kubectl.json(&[
            "get",
            "pods,configmaps,deployments",
            "--all-namespaces",
            "--field-selector=metadata.namespace=gone",
        ]);
        assert_eq!(left["items"].as_array().unwrap().len(), 0, "{left:#}");
        let said = inside.refused_with_input(&["create", "--filename=-"], SETTINGS);
        assert_has(&said, &["namespaces \"gone\" not found"]);
    });
}
