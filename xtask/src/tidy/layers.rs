//! Crates depend downwards only; services never on each other.

use super::Finding;
use crate::checkout;
use anyhow::{Context, Result};
use serde_json::Value;

/// A crate, and those of ours that it may depend on.
type Layer = (&'static str, &'static [&'static str]);

/// What services may use: everything but the store, which is the API server's alone.
const SERVICE: &[&str] = &["api-types", "api-schema", "api-resources", "plane-client", "service-runtime"];

/// From the bottom up, as in `ARCHITECTURE.md`.
pub const LAYERS: &[Layer] = &[
    ("api-types", &[]),
    ("api-schema", &["api-types"]),
    ("api-resources", &["api-types", "api-schema"]),
    ("object-store", &["api-types"]),
    ("backup-storage", &[]),
    ("service-runtime", &[]),
    ("plane-client", &["api-types", "service-runtime"]),
    // A part of tests alone.
    ("https-server", &[]),
    (
        "tenant-apiserver-proxy",
        &[
            "api-types",
            "api-schema",
            "api-resources",
            "object-store",
            "backup-storage",
            "plane-client",
            "service-runtime",
            "https-server",
        ],
    ),
    ("builtin-controllers", SERVICE),
    ("syncer", SERVICE),
    ("oam-runtime", SERVICE),
    ("cloud-adapters", SERVICE),
    ("tenant-dns", SERVICE),
    // It knows servers by their API alone.
    ("benchmarks", &[]),
    (
        "insula",
        &[
            "benchmarks",
            "api-types",
            "api-schema",
            "api-resources",
            "object-store",
            "backup-storage",
            "plane-client",
            "service-runtime",
            "tenant-apiserver-proxy",
            "builtin-controllers",
            "syncer",
            "oam-runtime",
            "cloud-adapters",
            "tenant-dns",
        ],
    ),
    // They know the binary from outside, and read what it leaves in its store.
    ("tests", &["api-types", "object-store", "backup-storage", "https-server"]),
    // As the benchmarks.
    ("compare", &[]),
    ("xtask", &[]),
];

/// A crate of ours, and the crates that it depends on, in tests too.
pub struct Crate {
    name: String,
    depends: Vec<String>,
}

/// Reads the crates of the workspace.
pub fn read() -> Result<Vec<Crate>> {
    let printed = checkout::output(checkout::cargo().args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--locked",
    ]))?;
    let metadata: Value = serde_json::from_str(&printed)?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(packages
        .iter()
        .map(|package| Crate {
            name: text(&package["name"]),
            // Crates of ours are those with a path.
            depends: package["dependencies"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|dependency| dependency["path"].is_string())
                .map(|dependency| text(&dependency["name"]))
                .collect(),
        })
        .collect())
}

/// Finds dependencies that lead upwards or sideways, and crates without a layer.
pub fn check(crates: &[Crate], layers: &[Layer]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Crate { name, depends } in crates {
        let Some((_, allowed)) = layers.iter().find(|(layer, _)| layer == name) else {
            findings.push(format!("{name}: the crate has no layer"));
            continue;
        };
        // A crate may name itself to switch on features in its tests.
        for other in depends.iter().filter(|other| *other != name && !allowed.contains(&other.as_str())) {
            findings.push(format!("{name}: must not depend on {other}"));
        }
    }
    for (layer, _) in layers.iter().filter(|(layer, _)| !crates.iter().any(|known| known.name == *layer)) {
        findings.push(format!("{layer}: there is no such crate"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_depend_downwards() {
        let layers: &[Layer] = &[("low", &[]), ("a", &["low"]), ("b", &["low"])];
        // What `a` depends on, findings.
        let table: [(&[&str], &[&str]); 4] = [
            (&["low"], &[]),
            (&["low", "a"], &[]),
            (&["b"], &["a: must not depend on b"]),
            (&["low", "other"], &["a: must not depend on other"]),
        ];
        let named = |name: &str, depends: &[&str]| Crate {
            name: name.to_owned(),
            depends: depends.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (depends, expected) in table {
            let crates = [named("low", &[]), named("a", depends), named("b", &[])];
            assert_eq!(check(&crates, layers), expected, "{depends:?}");
        }
        let crates = [named("low", &["a"]), named("a", &[]), named("c", &[])];
        let expected =
            ["low: must not depend on a", "c: the crate has no layer", "b: there is no such crate"];
        assert_eq!(check(&crates, layers), expected);
    }

    #[test]
    fn the_table_has_no_cycle() {
        for (at, (name, allowed)) in LAYERS.iter().enumerate() {
            for other in *allowed {
                let below = LAYERS[..at].iter().any(|(layer, _)| layer == other);
                assert!(below, "{name} is not above {other}");
            }
        }
    }
}
