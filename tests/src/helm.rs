//! Real Helm as the client.
#![allow(clippy::panic, clippy::expect_used)]

use crate::kubectl::Said;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Helm with a kubeconfig, and with folders of its own.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Helm {
    /// A release of Helm with a kubeconfig. What it keeps on disk is in `home`.
    pub fn new(program: &Path, kubeconfig: &Path, home: &Path) -> Self {
        let [program, kubeconfig, home] = [program, kubeconfig, home].map(Path::to_owned);
        Helm { program, kubeconfig, home }
    }

    /// Runs Helm.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn say(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--kubeconfig").arg(&self.kubeconfig).env("HOME", &self.home);
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(folder, self.home.join(folder.to_lowercase()));
        }
        let output = command.env_remove("KUBECONFIG").current_dir(&self.home).output().expect("helm starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Runs Helm and returns what it printed.
    ///
    /// # Panics
    /// When it fails, with what it says.
    pub fn run(&self, arguments: &[&str]) -> String {
        let said = self.say(arguments);
        assert_eq!(said.code, Some(0), "helm {arguments:?}:\n{}{}", said.stdout, said.stderr);
        said.stdout
    }

    /// Runs Helm with `--output json` and returns what it printed.
    ///
    /// # Panics
    /// When it fails, or does not print JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.run(&[arguments, &["--output=json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("helm {arguments:?}: {error}:\n{text}"))
    }
}
