//! The command line.

use crate::output::{self, Format};
use crate::{tenant, up};
use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Every tenant gets a Kubernetes of their own, and the platform pays for one.
#[derive(Parser)]
#[command(name = "insula", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in one process: API server, controllers, syncer, applications, clouds, on the embedded store
    Up(Up),
    /// Create, list, show and delete tenants, and get their kubeconfigs
    #[command(subcommand)]
    Tenant(Tenant),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Flags of `insula up`.
#[derive(Args, Clone, Debug)]
pub struct Up {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR, env = "INSULA_DATA_DIR")]
    pub data_dir: PathBuf,
    /// The address to serve on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7443")]
    pub listen: SocketAddr,
    /// A name or address by which clients reach the server; the first one goes into kubeconfigs
    #[arg(long, value_name = "NAME")]
    pub external_address: Vec<String>,
    /// Simulated nodes of the embedded super cluster, 1 to 256
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with = "super_kubeconfig", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub nodes: u32,
    /// A kubeconfig of a real Kubernetes cluster to use as super cluster, instead of the embedded one
    #[arg(long, value_name = "FILE")]
    pub super_kubeconfig: Vec<PathBuf>,
    /// How to say where the server is once it is ready
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

#[derive(Subcommand)]
enum Tenant {
    /// Create a tenant
    Create {
        /// A DNS label of at most 40 characters
        name: String,
        /// A file with a Tenant (YAML or JSON) to begin with; its name may be left out
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Return only when it is ready
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        common: Common,
    },
    /// List the tenants
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Show a tenant
    Get {
        /// Its name
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Print the kubeconfig of a tenant's admin
    Kubeconfig {
        /// The tenant's name
        name: String,
        /// Put it into the kubeconfig that kubectl uses ($KUBECONFIG or ~/.kube/config), and make it current
        #[arg(long)]
        merge: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Delete a tenant and everything in it
    Delete {
        /// Its name
        name: String,
        /// Return only when nothing of it is left
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        server: Server,
    },
}

const DEFAULT_DATA_DIR: &str = ".insula";

/// Where the server is.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// The admin kubeconfig; without it, that of the data directory
    #[arg(long, value_name = "FILE", env = "INSULA_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
}

impl Server {
    /// The kubeconfig to use.
    pub fn path(&self) -> PathBuf {
        self.kubeconfig.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR).join("kubeconfig"))
    }
}

/// What commands that show something have in common.
#[derive(Args, Clone, Debug)]
pub struct Common {
    #[command(flatten)]
    pub server: Server,
    /// How to show it
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Runs a command.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Version => {
            output::line(&format!("insula {}", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "insula", &mut script);
            output::raw(&script);
            Ok(())
        }
        Command::Up(flags) => block_on(up::run(flags)),
        Command::Tenant(command) => block_on(run_tenant(command)),
    }
}

/// Runs a command to its end; what it left under way is given up soon after.
fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot be started")?;
    let done = runtime.block_on(command);
    runtime.shutdown_timeout(Duration::from_millis(500));
    done
}

async fn run_tenant(command: Tenant) -> anyhow::Result<()> {
    match command {
        Tenant::Create { name, file, wait, common } => tenant::create(&name, file, wait, &common).await,
        Tenant::List { common } => tenant::list(&common).await,
        Tenant::Get { name, common } => tenant::get(&name, &common).await,
        Tenant::Kubeconfig { name, merge, server } => tenant::kubeconfig(&name, merge, &server).await,
        Tenant::Delete { name, wait, server } => tenant::delete(&name, wait, &server).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let Command::Up(up) = Cli::try_parse_from(["insula", "up"]).unwrap().command else {
            panic!("not up")
        };
        assert_eq!(
            (up.data_dir.to_str(), up.listen.to_string().as_str(), up.nodes),
            (Some(".insula"), "127.0.0.1:7443", 3)
        );
    }
}
