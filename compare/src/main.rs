//! Compares the answers of two Kubernetes API servers: `cargo xtask compare`.

mod difference;
mod exchange;
mod intended;
mod learned;
mod live;
mod mutate;
mod report;
mod requests;
mod sides;
mod volatile;

use anyhow::{Result, ensure};
use clap::Parser;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compares the answers of two API servers and explains the differences; exits with 1 when there are any, with 2 when
/// it could not compare.
#[derive(Parser)]
#[command(name = "compare")]
struct Arguments {
    /// A kubeconfig, or a recording (.jsonl), whose requests are then sent to the other side
    left: PathBuf,
    /// The other one; with --record the recording to write (.jsonl)
    right: PathBuf,
    /// Write what LEFT answers to the built-in requests to RIGHT
    #[arg(long)]
    record: bool,
    /// Send sound objects of the tool's own, and copies of them changed in one place each, by the schemas of LEFT
    #[arg(long, conflicts_with = "record")]
    mutate: bool,
    /// With --mutate: only these kinds, or objects (Kind/name)
    #[arg(long, value_delimiter = ',', requires = "mutate")]
    only: Vec<String>,
    /// With --mutate: send the copies as updates, of objects that are created for it
    #[arg(long, requires = "mutate")]
    update: bool,
    /// The user agent of requests; its part before the slash is the field manager
    #[arg(long, default_value = concat!("compare/", env!("CARGO_PKG_VERSION")))]
    user_agent: String,
    /// The namespace that the built-in requests create, work in and delete
    #[arg(long, default_value = "compared")]
    namespace: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            // Nobody is left to be told when standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether both sides are the same.
async fn run(arguments: &Arguments) -> Result<bool> {
    let Arguments { left, right, record, mutate, only, update, user_agent, namespace } = arguments;
    if *mutate {
        let (left, right) =
            (live::Live::connect(left, user_agent).await?, live::Live::connect(right, user_agent).await?);
        let options = mutate::Options { only: only.clone(), update: *update, namespace: namespace.clone() };
        let outcome = mutate::compare(left, right, &options).await?;
        std::io::stdout().write_all(mutate::text(&outcome).as_bytes())?;
        return Ok(outcome.findings.is_empty());
    }
    if *record {
        ensure!(right.extension().is_some_and(|end| end == "jsonl"), "a recording's name ends with .jsonl");
        let exchanges = sides::record(&live::Live::connect(left, user_agent).await?, namespace).await?;
        exchange::write(right, &exchanges)?;
        writeln!(std::io::stdout(), "recorded {} exchanges", exchanges.len())?;
        return Ok(true);
    }
    let (left, right) =
        (sides::Side::open(left, user_agent).await?, sides::Side::open(right, user_agent).await?);
    let compared = sides::compare(&left, &right, namespace).await?;
    std::io::stdout().write_all(report::text(&compared).as_bytes())?;
    Ok(compared.iter().all(|one| one.differences.is_empty()))
}
