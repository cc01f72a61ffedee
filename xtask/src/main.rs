//! Project automation: `cargo xtask`.

mod bench;
mod checkout;
mod steps;
mod tables;
mod tidy;
mod tools;
mod torture;

use anyhow::Result;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [ARGUMENTS]  what CI runs: tools, format, clippy, tidy, build, all tests; ARGUMENTS go to `cargo test`
  tidy              file lengths, layering, links, names, reasons
  compare LEFT RIGHT
                    what two servers answer differently; each is a kubeconfig or a recording (`compare --help`)
  torture [--minutes 30] [--seed S]
                    the long form of the proofs: crashes, faults, linearizability, isolation (`torture --help`)
  bench rest        memory and processor time of an installation at rest, by tenants (`bench --help`)
  bench schedule    pods a second that get a node
  tools             installs what the tests need: kubectl and Helm into target/tools, Debian packages when run as root
  tables OPENAPI_V2_JSON DIR
                    generates the table of Kubernetes types from API descriptions";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            steps::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Another program, so that xtask itself stays quick to build; its exit code tells differences from failures.
fn compare(arguments: &[&str]) -> Result<ExitCode> {
    let mut cargo = checkout::cargo();
    // Files are named from where the user is.
    cargo.current_dir(std::env::current_dir()?).arg("run").arg("--quiet").arg("--manifest-path");
    let status = cargo.arg(checkout::root().join("compare/Cargo.toml")).arg("--").args(arguments).status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn run(arguments: &[&str]) -> Result<ExitCode> {
    match arguments {
        ["test", arguments @ ..] => steps::test(arguments)?,
        ["tidy"] => tidy::run()?,
        ["compare", arguments @ ..] => return compare(arguments),
        ["bench", "rest", arguments @ ..] => bench::rest(arguments)?,
        ["bench", "schedule", arguments @ ..] => bench::schedule::run(arguments)?,
        ["bench", "simulation", arguments @ ..] => bench::simulation::run(arguments)?,
        ["bench", ..] => steps::say(bench::USAGE),
        ["torture", "--help" | "-h"] => steps::say(torture::USAGE),
        ["torture", arguments @ ..] => torture::run(arguments)?,
        ["tools"] => tools::install()?,
        ["tables", openapi, sources] => tables::run(Path::new(openapi), Path::new(sources))?,
        ["help" | "--help" | "-h"] => {
            steps::say(USAGE);
        }
        _ => anyhow::bail!("unknown command\n{USAGE}"),
    }
    Ok(ExitCode::SUCCESS)
}
