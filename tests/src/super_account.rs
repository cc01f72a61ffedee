//! The account that Insula gets in a super cluster which is not its own.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use crate::kubectl::Kubectl;
use crate::tools;
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// Does in a super cluster what its admin does for Insula, and writes the kubeconfig of the account into a file. All of
/// it works with the rights of `insula supercluster manifest` and no more.
///
/// # Panics
/// When kubectl fails.
pub fn write_kubeconfig(admin: &Kubectl, file: &Path) {
    write_kubeconfig_without(admin, file, &[]);
}

/// The same, without the rights for some parts.
///
/// # Panics
/// When kubectl fails.
pub fn write_kubeconfig_without(admin: &Kubectl, file: &Path, parts: &[&str]) {
    let mut command = Command::new(tools::insula_binary());
    command.args(["supercluster", "manifest"]).args(parts.iter().map(|part| format!("--without={part}")));
    let printed = command.output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    admin.apply(std::str::from_utf8(&printed.stdout).unwrap());
    let token =
        admin.run(&["create", "token", "insula-syncer", "--namespace=insula-system", "--duration=1h"]);
    let mut config = admin.json(&["config", "view", "--minify", "--flatten"]);
    config["users"] = json!([{"name": "syncer", "user": {"token": token.trim()}}]);
    config["contexts"][0]["context"]["user"] = json!("syncer");
    std::fs::write(file, config.to_string()).unwrap();
}
