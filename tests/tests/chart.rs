//! The chart of `deploy/` is rendered by Helm 3 and Helm 4, and what comes of it is taken by an API server.
//!
//! For x86-64 alone: `cargo xtask tools` has Helm for no other machine.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use tests::{Insula, tools};

/// What comes of these values.
fn rendered(helm: &Path, values: &[&str]) -> String {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/chart");
    let mut command = Command::new(helm);
    command.args(["template", "insula"]).arg(chart);
    for value in values {
        command.args(["--set", value]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{values:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_chart_is_rendered_and_taken() {
    let insula = Insula::start();
    let acme = insula.tenant("acme");
    let address = "externalAddress=insula.example.com";
    for (dns, services, expected) in [
        (None, 1, &[][..]),
        (Some("dns.addresses={10.96.0.9}"), 2, &["--dns-listen=0.0.0.0:5353", "--dns-address=10.96.0.9"]),
        (
            Some("dns.addresses={10.96.0.9,fd00::9}"),
            3,
            &["--dns-listen=[::]:5353", "--dns-address=10.96.0.9", "--dns-address=fd00::9"],
        ),
    ] {
        let values: Vec<&str> = [address].into_iter().chain(dns).collect();
        for helm in tools::helm_releases() {
            let text = rendered(&helm, &values);
            assert_eq!(text.matches("kind: Service\n").count(), services, "{text}");
            let taken =
                acme.run_with_input(&["apply", "--dry-run=server", "--filename=-", "--output=json"], &text);
            let taken: Value = serde_json::from_str(&taken).unwrap();
            let set = taken["items"].as_array().unwrap().iter().find(|item| item["kind"] == "StatefulSet");
            let arguments = &set.unwrap()["spec"]["template"]["spec"]["containers"][0]["args"];
            let of_dns: Vec<&str> = arguments
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|a| a.as_str())
                .filter(|a| a.contains("dns"))
                .collect();
            assert_eq!(of_dns, expected);
        }
    }
}
