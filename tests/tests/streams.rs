//! What kubectl does with pods where they run: their logs, commands in them, their ports. The super cluster is that of
//! another server, reached with the rights that `insula supercluster manifest` gives and no more.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use tests::{Insula, Kubectl, super_account, until};

/// A pod that runs for a time and then ends with 3.
fn ending(kubectl: &Kubectl, name: &str, restart: &str, run_for: &str) {
    let run_for = format!("--annotations=sim.insula.dev/run-for={run_for}");
    let restart = format!("--restart={restart}");
    let code = "--annotations=sim.insula.dev/exit-code=3";
    kubectl.run(&["run", name, "--image=busybox:1", &restart, &run_for, code]);
}

fn ready(kubectl: &Kubectl, name: &str) {
    kubectl.run(&["wait", &format!("pod/{name}"), "--for=condition=Ready", "--timeout=60s"]);
}

#[test]
fn kubectl_reaches_pods_where_they_run() {
    let below = Insula::start();
    let file = below.scratch("super.yaml");
    super_account::write_kubeconfig(&below.super_cluster(), &file);
    let insula = Insula::start_with_super_cluster(&file);
    let acme = insula.tenant("acme");

    acme.run(&["run", "web", "--image=nginx:1"]);
    ready(&acme, "web");
    let said = acme.run(&["logs", "web"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert_eq!(lines[0], "simulated: no container runs here, so that image nginx:1 prints nothing");
    assert!(lines[1].starts_with("simulated: container web started at "), "{said}");
    let with_time = acme.run(&["logs", "web", "--tail=1", "--timestamps"]);
    let (time, line) = with_time.split_once(' ').unwrap();
    assert!(time.ends_with(".000000000Z") && line.trim_end() == lines[1], "{with_time}");

    // Who follows sees it end, and is done.
    ending(&acme, "once", "Never", "3s");
    ready(&acme, "once");
    let followed = acme.run(&["logs", "--follow", "once"]);
    assert!(followed.trim_end().ends_with("with exit code 3"), "{followed}");
    ending(&acme, "again", "Always", "1s");
    until("the log of a run before", || {
        let said = acme.say(&["logs", "--previous", "again"]);
        let told = said.code == Some(0) && said.stdout.trim_end().ends_with("with exit code 3");
        if told { Ok(()) } else { Err(format!("{said:?}")) }
    });
    assert!(acme.refused(&["logs", "--previous", "web"]).contains("previous terminated container"));

    let simulated = "pod web is simulated: no container runs on the embedded super cluster";
    for arguments in [
        &["exec", "web", "--", "ls"][..],
        &["exec", "--stdin", "web", "--", "sh"],
        &["attach", "web"],
        &["port-forward", "pod/web", ":80"],
    ] {
        let refused = acme.refused(arguments);
        assert!(refused.contains(simulated), "{arguments:?}: {refused}");
    }
    let proxied = acme.refused(&["get", "--raw", "/api/v1/namespaces/default/pods/web/proxy/"]);
    assert!(proxied.contains("it is simulated"), "{proxied}");
    // Of the super cluster nobody hears.
    for name in ["missing", "web"] {
        let refused = acme.refused(&["exec", name, "--container=none", "--", "ls"]);
        assert!(!refused.contains("acme-default"), "{refused}");
    }
    let shared = acme.refused(&["get", "--raw", "/api/v1/nodes/sim-0/proxy/metrics"]);
    assert!(shared.contains("nodes are shared with other tenants"), "{shared}");
}
