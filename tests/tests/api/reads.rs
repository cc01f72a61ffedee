//! Getting, listing, selecting, paging, watching.

use crate::{assert_has, with_each_kubectl};
use tests::until;

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web, tier: front}}
spec: {containers: [{name: web, image: 'nginx:1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, labels: {app: db}}
spec: {containers: [{name: db, image: 'postgres:17'}]}
";

/// Columns of a table, by its heading.
fn headings(table: &str) -> Vec<&str> {
    table
        .lines()
        .next()
        .unwrap_or_default()
        .split("  ")
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .collect()
}

#[test]
fn objects_are_shown_as_tables_and_in_every_format() {
    with_each_kubectl(|_, kubectl| {
        kubectl.apply(POD);
        kubectl.run(&["wait", "pod/web", "pod/db", "--for=condition=Ready", "--timeout=60s"]);
        let table = kubectl.run(&["get", "pods"]);
        assert_eq!(headings(&table), ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
        let row: Vec<&str> = table.lines().nth(2).unwrap().split_whitespace().collect();
        assert_eq!(row[..4], ["web", "1/1", "Running", "0"], "{table}");
        let wide = kubectl.run(&["get", "pods", "--output=wide"]);
        assert_eq!(headings(&wide)[5..], ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]);
        assert_eq!(kubectl.run(&["get", "pods", "--output=name"]), "pod/db\npod/web\n");
        let labels = kubectl.run(&["get", "pod", "web", "--show-labels", "--no-headers"]);
        assert_has(&labels, &["app=web,", ",tier=front"]);
        let sorted = kubectl.run(&["get", "pods", "--sort-by=.spec.containers[0].image", "--output=name"]);
        assert_eq!(sorted, "pod/web\npod/db\n");
        assert_has(&kubectl.run(&["get", "pod", "web", "--output=yaml"]), &["kind: Pod", "phase: Running"]);
        let columns = kubectl.run(&[
            "get",
            "pods",
            "--output=custom-columns=N:.metadata.name,I:.spec.containers[*].image",
        ]);
        assert_eq!(
            columns.split_whitespace().collect::<Vec<_>>(),
            ["N", "I", "db", "postgres:17", "web", "nginx:1"]
        );
        let described = kubectl.run(&["describe", "pod", "web"]);
        assert_has(
            &described,
            &["Name:             web", "Image:          nginx:1", "Status:           Running"],
        );
        let all = kubectl.run(&["get", "pods", "--all-namespaces"]);
        assert_eq!(headings(&all)[0], "NAMESPACE");
    });
}

#[test]
fn lists_are_selected_by_labels_and_fields() {
    with_each_kubectl(|_, kubectl| {
        kubectl.apply(POD);
        kubectl.run(&["wait", "pod/web", "pod/db", "--for=condition=Ready", "--timeout=60s"]);
        let names =
            |flag: &str| kubectl.run(&["get", "pods", "--output=jsonpath={.items[*].metadata.name}", flag]);
        for (flag, expected) in [
            ("--selector=app=web", "web"),
            ("--selector=app!=web", "db"),
            ("--selector=app in (web,db)", "db web"),
            ("--selector=app notin (db)", "web"),
            ("--selector=tier", "web"),
            ("--selector=!tier", "db"),
            ("--selector=app=web,tier=back", ""),
            ("--field-selector=metadata.name=db", "db"),
            ("--field-selector=metadata.name!=db", "web"),
            ("--field-selector=status.phase=Running", "db web"),
            ("--field-selector=status.phase=Pending", ""),
        ] {
            assert_eq!(names(flag), expected, "{flag}");
        }
        let said = kubectl.refused(&["get", "pods", "--field-selector=spec.nothing=x"]);
        assert_has(&said, &["field label not supported: spec.nothing"]);
        let said = kubectl.refused(&["get", "pods", "--selector=app in (web"]);
        assert_has(&said, &["parse"]);
    });
}

#[test]
fn long_lists_come_in_pages() {
    with_each_kubectl(|_, kubectl| {
        let many: String = (0..10)
            .map(|number| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: page-{number}, labels: {{page: a}}}}\n---\n"))
            .collect();
        kubectl.run_with_input(&["create", "--filename=-"], &many);
        let said =
            kubectl.say(&["get", "configmaps", "--selector=page", "--chunk-size=3", "--output=name", "-v=6"]);
        assert_eq!(said.stdout.lines().count(), 10, "{said:?}");
        assert_eq!(said.stderr.matches("limit=3").count(), 4, "{}", said.stderr);

        let namespace =
            kubectl.run(&["get", "configmap", "page-0", "--output=jsonpath={.metadata.namespace}"]);
        let path = format!("/api/v1/namespaces/{namespace}/configmaps?labelSelector=page&limit=4");
        let first: serde_json::Value = serde_json::from_str(&kubectl.run(&["get", "--raw", &path])).unwrap();
        let token = first["metadata"]["continue"].as_str().unwrap();
        // What comes after the first page is of the first page's revision.
        kubectl.run(&["delete", "configmap", "page-9"]);
        let mut names: Vec<String> = Vec::new();
        let mut page = first.clone();
        loop {
            names.extend(
                page["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].to_string()),
            );
            let Some(next) = page["metadata"]["continue"].as_str().filter(|next| !next.is_empty()) else {
                break;
            };
            page = serde_json::from_str(&kubectl.run(&["get", "--raw", &format!("{path}&continue={next}")]))
                .unwrap();
            assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        }
        assert_eq!(names.len(), 10, "{names:?}");
        let bad = format!("{path}&continue=x{token}");
        assert_has(&kubectl.refused(&["get", "--raw", &bad]), &["continue"]);
    });
}

#[test]
fn changes_are_watched() {
    with_each_kubectl(|insula, kubectl| {
        kubectl.run(&["create", "configmap", "before", "--from-literal=a=1"]);
        let template = "--output=jsonpath={.type} {.object.metadata.name} {.object.data.a}{'\\n'}";
        let arguments = [
            "get",
            "configmaps",
            "--watch",
            "--output-watch-events",
            template,
            "--field-selector=metadata.name!=kube-root-ca.crt",
        ];
        let watch = kubectl.start(&arguments, &insula.scratch("watched"));
        let seen = |event: &str| {
            until(&format!("the watch shows {event:?}"), || {
                let printed = watch.printed();
                if printed.lines().any(|line| line.trim_end() == event) { Ok(()) } else { Err(printed) }
            });
        };
        seen("ADDED before 1");
        kubectl.run(&["create", "configmap", "after", "--from-literal=a=2"]);
        seen("ADDED after 2");
        kubectl.run(&["patch", "configmap", "before", "--patch", r#"{"data":{"a":"3"}}"#]);
        seen("MODIFIED before 3");
        kubectl.run(&["delete", "configmap", "before"]);
        seen("DELETED before 3");
        assert_eq!(watch.printed().lines().count(), 4, "{}", watch.printed());
    });
}

#[test]
fn a_wait_ends_when_the_state_is_there() {
    with_each_kubectl(|_, kubectl| {
        kubectl.apply(POD);
        kubectl.run(&["wait", "pod/web", "--for=jsonpath={.status.phase}=Running", "--timeout=60s"]);
        kubectl.run(&["delete", "pod", "web", "--wait=false"]);
        kubectl.run(&["wait", "pod/web", "--for=delete", "--timeout=60s"]);
        let said =
            kubectl.refused(&["wait", "pod/db", "--for=jsonpath={.status.phase}=Failed", "--timeout=1s"]);
        assert_has(&said, &["timed out waiting for the condition on pods/db"]);
    });
}
