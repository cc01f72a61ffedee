//! The `insula` binary: parse, run, exit.

mod cli;
mod client;
mod output;
mod progress;
mod services;
mod tenant;
mod up;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // The one place where a process-wide choice is made: which cryptography all TLS uses.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return fail(&anyhow::anyhow!("the cryptographic provider is installed already"));
    }
    match cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// One line: what is wrong, and why.
fn fail(error: &anyhow::Error) -> ExitCode {
    output::error(&format!("insula: {error:#}"));
    ExitCode::FAILURE
}
