//! What was acknowledged is there after `kill -9`, and everything works on.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fmt::Write;
use tests::{Insula, Kubectl, until};

/// Writers at once, spread over the tenants.
const WRITERS: usize = 4;
/// How often the server is killed.
const ROUNDS: usize = 3;
/// What each writer must have got acknowledged before.
const ACKNOWLEDGED: usize = 15;

/// More than a writer can write before the server is killed.
fn objects(prefix: &str) -> String {
    (0..5000).fold(String::new(), |mut text, number| {
        writeln!(
            text,
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {prefix}-{number}, labels: {{load: 'true'}}}}\n\
             data: {{name: {prefix}-{number}}}\n---"
        )
        .unwrap();
        text
    })
}

/// Names in lines such as `configmap/NAME created`. The last line may be cut off.
fn acknowledged(printed: &str) -> BTreeSet<String> {
    let whole = printed.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .filter_map(|line| Some(line.strip_prefix("configmap/")?.strip_suffix(" created")?.to_owned()))
        .collect()
}

fn stored(kubectl: &Kubectl) -> BTreeSet<String> {
    let list = kubectl.json(&["get", "configmaps", "--selector=load"]);
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| {
            assert_eq!(item["metadata"]["name"], item["data"]["name"], "{item:#}");
            item["metadata"]["name"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn what_was_acknowledged_survives_being_killed() {
    let mut insula = Insula::start();
    let tenants = ["acme", "globex"].map(|name| insula.tenant(name));
    let mut expected = [BTreeSet::new(), BTreeSet::new()];
    for round in 0..ROUNDS {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let name = format!("round-{round}-writer-{writer}");
                let file = insula.scratch(&format!("{name}.yaml"));
                std::fs::write(&file, objects(&name)).unwrap();
                let file = format!("--filename={}", file.display());
                let output = insula.scratch(&format!("{name}.out"));
                (writer % 2, tenants[writer % 2].start(&["create", &file, "--validate=false"], &output))
            })
            .collect();
        until("every writer has written", || {
            let counts: Vec<usize> =
                writers.iter().map(|(_, writer)| acknowledged(&writer.printed()).len()).collect();
            if counts.iter().all(|count| *count >= ACKNOWLEDGED) {
                Ok(())
            } else {
                let printed: Vec<String> =
                    writers.iter().map(|(_, writer)| writer.printed().chars().take(300).collect()).collect();
                Err(format!("{counts:?} {printed:?}"))
            }
        });
        insula.kill();
        for (tenant, writer) in writers {
            expected[tenant].extend(acknowledged(&writer.printed()));
        }
        insula.start_again();
        for (kubectl, expected) in tenants.iter().zip(&expected) {
            let stored = stored(kubectl);
            let lost: Vec<&String> = expected.difference(&stored).collect();
            assert!(lost.is_empty(), "lost after round {round}: {lost:?}");
        }
    }
}

#[test]
fn everything_works_on_after_being_killed() {
    let mut insula = Insula::start();
    let acme = insula.tenant("acme");
    acme.run(&["create", "deployment", "web", "--image=nginx:1", "--replicas=2"]);
    acme.run(&["wait", "deployment/web", "--for=condition=Available", "--timeout=60s"]);
    acme.run(&["create", "serviceaccount", "robot"]);
    acme.run(&["create", "rolebinding", "robot", "--clusterrole=view", "--serviceaccount=default:robot"]);
    let token = acme.run(&["create", "token", "robot"]);
    let authority = std::fs::read_to_string(insula.kubeconfig()).unwrap();
    let before = acme.json(&["get", "pods", "--output=json"]);
    // Work that is under way when it is killed.
    acme.run(&["scale", "deployment/web", "--replicas=5"]);
    acme.run(&["create", "deployment", "late", "--image=nginx:1", "--replicas=3"]);
    insula.kill();
    insula.start_again();

    // The same kubeconfigs, the same certificates, the same tokens.
    let certificate =
        |text: &str| text.lines().find(|line| line.contains("certificate-authority-data")).map(str::to_owned);
    assert_eq!(certificate(&std::fs::read_to_string(insula.kubeconfig()).unwrap()), certificate(&authority));
    let robot = acme.with(&format!("--token={}", token.trim()));
    assert_eq!(robot.run(&["auth", "can-i", "list", "pods"]).trim(), "yes");
    assert_eq!(insula.host().json(&["get", "tenant", "acme"])["status"]["phase"], "Ready");

    for (name, replicas) in [("web", 5), ("late", 3)] {
        acme.run(&["rollout", "status", &format!("deployment/{name}"), "--timeout=60s"]);
        until("the pods run", || {
            let pods = acme.look(&["get", "pods", &format!("--selector=app={name}")])?;
            let items = pods["items"].as_array().unwrap();
            let running = items.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
            if (running, items.len()) == (replicas, replicas) { Ok(()) } else { Err(format!("{pods:#}")) }
        });
    }
    let names = |list: &serde_json::Value| -> BTreeSet<String> {
        list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["uid"].to_string()).collect()
    };
    let after = acme.json(&["get", "pods"]);
    assert!(names(&before).is_subset(&names(&after)), "pods that ran are other ones now");
    let newest = |list: &serde_json::Value| {
        list["metadata"]["resourceVersion"].as_str().unwrap_or("0").parse::<u64>().unwrap()
    };
    let raw =
        |path: &str| serde_json::from_str::<serde_json::Value>(&acme.run(&["get", "--raw", path])).unwrap();
    let revision = newest(&raw("/api/v1/namespaces/default/configmaps"));
    acme.run(&["create", "configmap", "after"]);
    assert!(newest(&raw("/api/v1/namespaces/default/configmaps")) > revision);

    // And no object of the super cluster was made twice.
    until("the super cluster has the tenant's pods and no other", || {
        let below = insula.super_cluster().look(&["get", "pods", "--all-namespaces"])?;
        let uids: BTreeSet<String> = below["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pod| pod["metadata"]["annotations"]["insula.dev/uid"].to_string())
            .collect();
        if uids == names(&after) { Ok(()) } else { Err(format!("{below:#}")) }
    });
}

#[test]
fn an_orderly_stop_leaves_everything_as_it_was() {
    let mut insula = Insula::start();
    let acme = insula.tenant("acme");
    acme.run(&["create", "configmap", "kept", "--from-literal=a=1"]);
    let before = acme.json(&["get", "configmap", "kept"]);
    let status = insula.interrupt();
    assert!(status.success(), "{status}: {}", insula.stderr());
    insula.start_again();
    assert_eq!(acme.json(&["get", "configmap", "kept"]), before);
}
