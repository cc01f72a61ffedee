//! How much a benchmark of the embedded super cluster makes, as its flags say.

use super::USAGE;
use crate::checkout;
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;

/// How many Deployments share the pods.
pub const DEPLOYMENTS: usize = 10;

/// What is made, by which binary.
pub struct Size {
    pub nodes: usize,
    pub pods: usize,
    pub insula: PathBuf,
}

impl Size {
    /// Reads the flags; `nodes` and `pods` unless they say otherwise.
    pub fn parse(arguments: &[&str], nodes: usize, pods: usize) -> Result<Self> {
        let insula = checkout::target().join("release/insula");
        let mut size = Size { nodes, pods, insula };
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{flag} has no value\n{USAGE}"))?;
            match *flag {
                "--nodes" => size.nodes = value.parse()?,
                "--pods" => size.pods = value.parse()?,
                "--insula" => size.insula = PathBuf::from(value),
                _ => bail!("unknown flag {flag}\n{USAGE}"),
            }
        }
        ensure!(size.nodes > 0, "--nodes has to be at least 1");
        ensure!(size.pods >= DEPLOYMENTS, "--pods has to be at least {DEPLOYMENTS}");
        Ok(size)
    }
}
