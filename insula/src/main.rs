//! The `insula` binary: parse, run, exit.

mod audit;
mod backup_plan;
mod bench;
mod certs;
mod cli;
mod client;
mod copies;
mod dns;
mod external_address;
mod kubeconfigs;
mod node_templates;
mod output;
mod private_file;
mod progress;
mod sealing;
mod services;
mod sim;
mod store;
mod store_address;
mod tasks;
mod tenant;
mod tenant_copies;
mod up;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
    output::error(&format!("insula: {}", in_a_line(error)));
    ExitCode::FAILURE
}

/// An error and its causes. Libraries that say their cause themselves, or need several lines, are set right.
fn in_a_line(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text: Vec<&str> = text.split_whitespace().collect();
        let text = text.join(" ");
        if told.is_empty() {
            told = text;
        } else if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_a_line_and_once() {
        let inner = anyhow::anyhow!("no such file");
        let error = inner.context("a.pem: no such file").context("the kubeconfig\n  cannot be used");
        assert_eq!(in_a_line(&error), "the kubeconfig cannot be used: a.pem: no such file");
    }
}
