//! Copies of the store, and the way from one engine to the other, while a tenant lives in it.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::path::Path;
use std::process::Output;
use tests::{Etcd, Insula, Kubectl, until};

const PASSWORD: &str = "correct-horse-battery";

/// A tenant with a Secret and an application that runs.
fn live(insula: &Insula) -> Kubectl {
    let acme = insula.tenant("acme");
    acme.run(&["create", "secret", "generic", "login", &format!("--from-literal=password={PASSWORD}")]);
    acme.run(&["create", "deployment", "web", "--image=nginx", "--replicas=2"]);
    acme.run(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    acme
}

/// All of it is there and goes on.
fn lives(acme: &Kubectl) {
    let secret = acme.json(&["get", "secret", "login"]);
    assert_eq!(secret["data"]["password"], "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5");
    acme.run(&["scale", "deployment/web", "--replicas=3"]);
    acme.run(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    acme.run(&["scale", "deployment/web", "--replicas=2"]);
}

/// The newest revision, by a write.
fn revision(acme: &Kubectl) -> u64 {
    let now =
        format!("now={:?}", std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap());
    let space = acme.json(&["annotate", "namespace", "default", "--overwrite", &now]);
    space["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(insula: &Insula, arguments: &[&str]) -> Value {
    serde_json::from_str(&insula.insula(arguments)).unwrap()
}

#[test]
fn a_backup_that_was_made_while_all_runs_comes_back() {
    let mut insula = Insula::start();
    let acme = live(&insula);
    let file = insula.scratch("acme.backup");
    let shown = file.display().to_string();
    insula.insula(&["store", "backup", &shown]);
    let copy = std::fs::read(&file).unwrap();
    assert!(!copy.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()), "a Secret is in the open");
    acme.run(&["create", "configmap", "later"]);
    let last = revision(&acme);

    let checked = json(&insula, &["store", "check", "-o", "json"]);
    assert_eq!(checked["faults"], serde_json::json!([]));
    assert!(checked["keys"].as_u64().unwrap() > 50, "{checked}");
    let compacted = json(&insula, &["store", "compact", "-o", "json"]);
    assert_eq!(compacted["shrunk"], true);
    assert!(insula.insula(&["store", "status"]).contains("embedded"));
    // What goes on after a compaction.
    lives(&acme);

    // A store that is in use, one that is not empty, what is no backup and half of one.
    let dir = insula.data_dir();
    let in_use = insula.try_insula(&["store", "restore", &shown, "--to", &dir.display().to_string()]);
    assert!(refused(&in_use).contains("in use by another process"));
    insula.kill();
    let not_empty = insula.try_insula(&["store", "restore", &shown, "--to", &dir.display().to_string()]);
    assert!(refused(&not_empty).contains("is not empty"));
    let half = insula.scratch("half.backup");
    std::fs::write(&half, &copy[..copy.len() / 2]).unwrap();
    let into_half = insula.scratch("half").display().to_string();
    let restored = insula.try_insula(&["store", "restore", &half.display().to_string(), "--to", &into_half]);
    assert!(refused(&restored).contains("before it is whole"));
    let again = insula.try_insula(&["store", "restore", &shown, "--to", &into_half]);
    assert!(refused(&again).contains("is not empty"));
    let start = insula.try_insula(&["up", "--data-dir", &into_half]);
    assert!(refused(&start).contains("was not finished"));
    let nothing = insula.scratch("nothing").display().to_string();
    let no_backup = insula.try_insula(&["store", "restore", "/etc/hostname", "--to", &nothing]);
    assert!(refused(&no_backup).contains("this is no backup"));
    assert!(!Path::new(&nothing).exists());

    // The backup in the place of what was.
    std::fs::rename(dir.join("objects.redb"), insula.scratch("old.redb")).unwrap();
    insula.insula(&["store", "restore", &shown, "--to", &dir.display().to_string()]);
    insula.start_again();
    acme.refused(&["get", "configmap", "later"]);
    lives(&acme);
    assert!(revision(&acme) > last, "revisions went back");
    let checked = json(&insula, &["store", "check", "-o", "json"]);
    assert_eq!(checked["faults"], serde_json::json!([]));
}

#[test]
fn everything_moves_to_etcd_and_back() {
    let mut insula = Insula::start();
    let acme = live(&insula);
    let last = revision(&acme);
    assert!(insula.interrupt().success());
    let mut etcd = Etcd::start();
    let dir = insula.data_dir().display().to_string();
    insula.insula(&["store", "migrate", "--from", &dir, "--to", &etcd.url()]);
    let again = insula.try_insula(&["store", "migrate", "--from", &dir, "--to", &etcd.url()]);
    assert!(refused(&again).contains("is not empty"));
    insula.start_again_on_etcd(&etcd.url());
    lives(&acme);
    assert!(revision(&acme) > last, "revisions went back");
    assert!(insula.insula(&["store", "status"]).contains("etcd"));
    insula.tenant("globex").run(&["create", "configmap", "its"]);
    // One tenant by itself, too.
    let copy = insula.scratch("acme.backup").display().to_string();
    insula.insula(&["tenant", "backup", "acme", &copy]);
    insula.insula(&["tenant", "restore", &copy, "--as", "again"]);
    lives(&insula.tenant_admin("again"));

    // A second process is told who is there.
    let second = insula.scratch("second").display().to_string();
    let second = insula.try_insula(&[
        "up",
        "--listen=127.0.0.1:0",
        "--data-dir",
        &second,
        "--etcd-servers",
        &etcd.url(),
    ]);
    assert!(refused(&second).contains("is in use by another process"));

    // One that does not start leaves its claim at once.
    let mut taken = Etcd::start();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("--listen={}", busy.local_addr().unwrap());
    let third = insula.scratch("third").display().to_string();
    let third = insula.try_insula(&["up", &listen, "--data-dir", &third, "--etcd-servers", &taken.url()]);
    assert!(refused(&third).contains("cannot listen on"));
    assert!(etcd.look("/insula.claim").contains("\"kvs\""), "that of the server which runs");
    assert!(!taken.look("/insula.claim").contains("\"kvs\""), "its claim is still there");
    taken.kill();

    // It goes on after its etcd was away, and after its own end.
    etcd.kill();
    let message = acme.refused(&["create", "configmap", "meanwhile"]);
    assert!(message.contains("the store cannot be written"), "{message}");
    etcd.start_again();
    until("it writes again", || {
        let said = acme.say(&["create", "configmap", "afterwards"]);
        if said.code == Some(0) { Ok(()) } else { Err(said.stderr) }
    });
    insula.kill();
    insula.start_again();
    acme.run(&["get", "configmap", "afterwards"]);
    lives(&acme);
    insula.insula(&["store", "compact"]);
    let checked = json(&insula, &["store", "check", "-o", "json"]);
    assert_eq!(checked["faults"], serde_json::json!([]));

    let last = revision(&acme);
    assert!(insula.interrupt().success());
    std::fs::remove_file(insula.data_dir().join("objects.redb")).unwrap();
    insula.insula(&["store", "migrate", "--from", &etcd.url(), "--to", &dir]);
    insula.start_again_on_etcd("");
    acme.run(&["get", "configmap", "afterwards"]);
    lives(&acme);
    assert!(revision(&acme) > last, "revisions went back");
}
