//! Project automation: `cargo xtask`.

mod checkout;
mod steps;
mod tables;
mod tidy;
mod tools;

use anyhow::Result;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [ARGUMENTS]  what CI runs: tools, format, clippy, tidy, build, all tests; ARGUMENTS go to `cargo test`
  tidy              file lengths, layering, links, names, reasons
  tools             installs what the tests need: kubectl and Helm into target/tools, Debian packages when run as root
  tables OPENAPI_V2_JSON DIR
                    generates the table of Kubernetes types from API descriptions";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            steps::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["test", arguments @ ..] => steps::test(arguments),
        ["tidy"] => tidy::run(),
        ["tools"] => tools::install(),
        ["tables", openapi, sources] => tables::run(Path::new(openapi), Path::new(sources)),
        ["help" | "--help" | "-h"] => {
            steps::say(USAGE);
            Ok(())
        }
        _ => anyhow::bail!("unknown command\n{USAGE}"),
    }
}
