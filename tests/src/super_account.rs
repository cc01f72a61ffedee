//! The account that Insula gets in a super cluster which is not its own.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use crate::kubectl::Kubectl;
use serde_json::json;
use std::path::Path;

/// Does in a super cluster what its admin does for Insula, and writes the kubeconfig of the account into a file. All of
/// it works with the rights of `deploy/super-cluster.yaml` and no more.
///
/// # Panics
/// When kubectl fails.
pub fn write_kubeconfig(admin: &Kubectl, file: &Path) {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/super-cluster.yaml");
    admin.run(&["apply", "--filename", manifest.to_str().unwrap()]);
    let token =
        admin.run(&["create", "token", "insula-syncer", "--namespace=insula-system", "--duration=1h"]);
    let mut config = admin.json(&["config", "view", "--minify", "--flatten"]);
    config["users"] = json!([{"name": "syncer", "user": {"token": token.trim()}}]);
    config["contexts"][0]["context"]["user"] = json!("syncer");
    std::fs::write(file, config.to_string()).unwrap();
}
