//! `insula supercluster …`.

use crate::output;
use clap::{Subcommand, ValueEnum};
use syncer::rights::{self, Part};

/// `insula supercluster …`.
#[derive(Subcommand)]
pub enum SuperCluster {
    /// Print what an admin of a cluster applies there, for Insula to use it: an account with the rights that are needed,
    /// and no more. It asks no server
    Manifest {
        /// What tenants are to do without; the account gets no rights for it. Can be repeated
        #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
        without: Vec<Without>,
    },
}

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Without {
    /// What leads into pods: logs, exec, attach, port-forward, proxied requests, webhooks that are tenants' pods
    Streams,
    /// What pods use: `kubectl top`, and autoscaling by it
    Metrics,
}

/// Runs a command.
pub fn run(command: &SuperCluster) {
    let SuperCluster::Manifest { without } = command;
    let without: Vec<Part> = without
        .iter()
        .map(|part| match part {
            Without::Streams => Part::Streams,
            Without::Metrics => Part::Metrics,
        })
        .collect();
    output::raw(rights::manifest(&without).as_bytes());
}
