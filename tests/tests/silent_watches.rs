//! A super cluster whose watches fall silent while their connections stay open, over real TLS: the patrol finds what they
//! do not tell.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use tests::{Forgetful, Insula, super_account, until};

#[test]
fn what_a_silent_watch_does_not_tell_the_patrol_finds() {
    let below = Insula::start();
    let there = below.super_cluster();
    let file = below.scratch("super.yaml");
    super_account::write_kubeconfig(&there, &file);
    let between = Forgetful::before(below.port());
    let kubeconfig = std::fs::read_to_string(&file).unwrap();
    let port = format!(":{}", below.port());
    assert!(kubeconfig.contains(&port), "{kubeconfig}");
    std::fs::write(&file, kubeconfig.replace(&port, &format!(":{}", between.port))).unwrap();

    let insula = Insula::start_with_super_cluster(&file);
    let acme = insula.tenant("acme");
    acme.run(&["create", "configmap", "settings", "--from-literal=key=right"]);
    acme.run(&["run", "web", "--image=nginx:1"]);
    acme.run(&["wait", "pod/web", "--for=condition=Ready", "--timeout=60s"]);
    let spaces = there.json(&["get", "namespaces", "--selector=insula.dev/tenant=acme"]);
    let space = there.namespace(spaces["items"][0]["metadata"]["name"].as_str().unwrap());
    until("the ConfigMap is there", || space.look(&["get", "configmap", "settings"]));

    // A changed object, one that is gone, and a status to bring up.
    between.forget();
    space.run(&[
        "patch",
        "configmap",
        "settings",
        "--type=merge",
        "--patch={\"data\": {\"key\": \"wrong\"}}",
    ]);
    space.run(&["delete", "networkpolicy", "insula-sync-open-egress"]);
    let status = "--patch={\"status\": {\"message\": \"told late\"}}";
    space.run(&["patch", "pod", "web", "--subresource=status", "--type=merge", status]);
    until("it is set right", || match space.look(&["get", "configmap", "settings"])? {
        now if now["data"]["key"] == "right" => Ok(()),
        now => Err(now.to_string()),
    });
    until("it is made again", || space.look(&["get", "networkpolicy", "insula-sync-open-egress"]));
    until("the tenant reads it", || match acme.look(&["get", "pod", "web"])? {
        now if now["status"]["message"] == "told late" => Ok(()),
        now => Err(now["status"].to_string()),
    });
    // It was the patrol, and no watch.
    let told = until("the host plane tells of it", || {
        let events = insula.host().look(&["get", "events", "--field-selector=reason=DriftFound"])?;
        let first = events["items"].get(0).ok_or("no event")?;
        Ok::<_, String>(first["message"].clone())
    });
    assert!(told.as_str().unwrap().contains("no watch had told of"), "{told}");

    // What is asked of it goes over new connections.
    acme.run(&["run", "late", "--image=nginx:1"]);
    until("a new pod is there", || space.look(&["get", "pod", "late"]));
}
