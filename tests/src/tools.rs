//! The programs that the tests drive.
//!
//! What is missing is a panic that says what to do: a test cannot go on without it.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// kubectl, the newest release that there is.
///
/// # Panics
/// When `cargo xtask tools` has not fetched it.
pub fn kubectl_path() -> PathBuf {
    tool("kubectl")
}

/// kubectl, the oldest release that Insula supports.
///
/// # Panics
/// When `cargo xtask tools` has not fetched it.
pub fn oldest_kubectl_path() -> PathBuf {
    tool("kubectl-oldest")
}

/// A release of kubectl for each minor version that Insula supports, from the oldest on.
///
/// # Panics
/// When `cargo xtask tools` has not fetched them.
pub fn kubectl_releases() -> [PathBuf; 6] {
    ["kubectl-oldest", "kubectl-1.33", "kubectl-1.34", "kubectl-1.35", "kubectl-1.36", "kubectl"].map(tool)
}

/// Helm, one of each major release: 3 and 4. There is none for other machines than x86-64.
///
/// # Panics
/// When `cargo xtask tools` has not fetched them.
pub fn helm_releases() -> [PathBuf; 2] {
    ["helm-3", "helm"].map(tool)
}

/// The folder of a package of Python with what it needs.
///
/// # Panics
/// When `cargo xtask tools` has not fetched it.
pub fn python_packages(name: &str) -> PathBuf {
    existing(folder().join(name))
}

fn tool(name: &str) -> PathBuf {
    existing(folder().join(name))
}

/// Where `cargo xtask tools` puts what it fetches.
fn folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("tools")
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask test`, or `cargo xtask tools` once",
        path.display()
    );
    path
}

/// The `insula` binary built with the profile of the running test.
///
/// # Panics
/// When it is not built.
pub fn insula_binary() -> PathBuf {
    // The test is target/PROFILE/deps/NAME.
    let test = std::env::current_exe().expect("the path of the test");
    let profile = test.ancestors().nth(2).expect("the profile's folder");
    let file = profile.join(format!("insula{}", std::env::consts::EXE_SUFFIX));
    assert!(
        file.is_file(),
        "{} is missing: run `cargo xtask test`, or `cargo build --workspace --all-features --bin insula` first",
        file.display()
    );
    file
}

/// A TCP port of the loopback interface that nobody listens on. Another process may take it before it is used;
/// where that can be noticed, try again with another.
///
/// # Panics
/// When the system has none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
