//! The API as kubectl uses it: with the oldest and the newest release that are supported.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

mod custom_resources;
mod daemon_sets;
mod discovery;
mod disruptions;
mod jobs;
mod patches;
mod rbac;
mod reads;
mod refusals;
mod services;
mod stateful_sets;
mod texts;
mod workloads;
mod writes;

use tests::{Insula, Kubectl, tools};

/// Runs a test with every release of kubectl as the admin of one tenant, each in a namespace of its own.
fn with_each_kubectl(test: impl Fn(&Insula, &Kubectl)) {
    let insula = Insula::start();
    let admin = insula.tenant("acme");
    for (namespace, program) in [("oldest", tools::oldest_kubectl_path()), ("newest", tools::kubectl_path())]
    {
        let kubectl = admin.program(program);
        kubectl.run(&["create", "namespace", namespace]);
        test(&insula, &kubectl.namespace(namespace));
    }
}

/// Asserts that a text has all parts, and shows it when not.
#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}
