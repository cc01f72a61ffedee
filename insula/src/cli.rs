//! The command line.

pub mod backups;
pub mod dns;
pub mod store;
pub mod supercluster;

use crate::external_address::ExternalAddress;
use crate::output::{self, Format};
use crate::store_address::StoreAddress;
use crate::{bench, certs, sealing, sim, tenant, tenant_copies, up};
use anyhow::Context;
use backups::Backups;
use benchmarks::Benchmark;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use store::Etcd;

/// Every tenant gets a Kubernetes of their own, and the platform pays for one.
#[derive(Parser)]
#[command(name = "insula", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in one process: API server, controllers, syncer, applications, clouds
    #[command(after_help = ABOUT_THE_PROCESS)]
    Up(Box<Up>),
    /// Create, list, show and delete tenants, and get their kubeconfigs
    #[command(subcommand)]
    Tenant(Tenant),
    /// The certificates and keys of all planes
    #[command(subcommand)]
    Certs(Certs),
    /// The keys that seal Secrets and private keys in the store
    #[command(subcommand)]
    Sealing(Sealing),
    /// The store: its size, copies of it, and moving it between engines
    #[command(subcommand)]
    Store(store::Store),
    /// Clusters that run tenants' pods: what is needed there
    #[command(subcommand)]
    Supercluster(supercluster::SuperCluster),
    /// Make simulated nodes fail, heal them, and put load on simulated pods
    #[command(subcommand)]
    Sim(Sim),
    /// Measure the API of this server, or of any Kubernetes, from outside
    #[command(after_help = ABOUT_BENCHMARKS)]
    Bench(Bench),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Flags of `insula bench`.
#[derive(Args)]
pub struct Bench {
    #[command(subcommand)]
    pub benchmark: Benchmark,
    /// The kubeconfig of the server to measure: the admin kubeconfig of an Insula, or one of any Kubernetes
    /// [default: `kubeconfig` in INSULA_DATA_DIR, else in .insula]
    #[arg(long, value_name = "FILE", env = "INSULA_KUBECONFIG", global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Leave the controllers of the tenants on, and let their pods run: more than the API is measured then
    #[arg(long, global = true)]
    pub with_controllers: bool,
    /// How to show what was found; json and yaml show no progress
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t = Format::Table, global = true)]
    pub output: Format,
}

/// Said below the flags of `insula bench`.
const ABOUT_BENCHMARKS: &str = "On an Insula the objects go into tenants of their own, elsewhere into namespaces of their own; all of them are \
    removed at the end. Do not measure a server that others use.";

/// Flags of `insula up`. What it says after them is about the process.
#[derive(Args, Clone, Debug)]
pub struct Up {
    /// Where everything is kept; made when it is not there
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR, env = DATA_DIR)]
    pub data_dir: PathBuf,
    /// The IP address and port to serve HTTPS on; 0.0.0.0:7443 for all interfaces
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7443", value_parser = listen_address)]
    pub listen: SocketAddr,
    /// A name or address, with or without a port, by which clients and pods reach the server. Can be repeated: all go
    /// into the certificate, the first into kubeconfigs and tokens [default: the address served on]
    #[arg(long, value_name = "NAME")]
    pub external_address: Vec<ExternalAddress>,
    /// Keep everything in etcd at these URLs, with commas between them, instead of in the data directory
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    pub etcd_servers: Vec<String>,
    #[command(flatten)]
    pub etcd: Etcd,
    /// The keys that seal Secrets and private keys in the store; made when it is not there [default: `sealing.keys` in the
    /// data directory]
    #[arg(long, value_name = "FILE")]
    pub sealing_keys: Option<PathBuf>,
    #[command(flatten)]
    pub audit: Audit,
    #[command(flatten)]
    pub backups: Backups,
    /// How long events stay that nothing changes, in every plane
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    pub event_ttl: Duration,
    /// Simulated nodes of the embedded super cluster, 1 to 5000
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with = "super_kubeconfig", value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub nodes: u32,
    /// Leave the pods of the embedded super cluster to a scheduler of yours
    #[arg(long, conflicts_with = "super_kubeconfig")]
    pub no_scheduler: bool,
    /// What simulated nodes are like that are not there yet: a file of Nodes with labels, annotations, taints and
    /// capacity. Several take turns
    #[arg(long, value_name = "FILE", conflicts_with = "super_kubeconfig")]
    pub node_template: Option<PathBuf>,
    /// A kubeconfig of a real Kubernetes cluster to use as super cluster, instead of the embedded one. Can be repeated
    #[arg(long, value_name = "FILE")]
    pub super_kubeconfig: Vec<PathBuf>,
    #[command(flatten)]
    pub dns: dns::Dns,
    /// How to say where the server is once it is ready; json and yaml show no progress
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// What is written down of requests, named as kube-apiserver names it.
#[derive(Args, Clone, Debug, Default)]
pub struct Audit {
    /// A `Policy` of audit.k8s.io/v1: how much of which requests to all planes is written down [default: nothing]
    #[arg(long, value_name = "FILE")]
    pub audit_policy_file: Option<PathBuf>,
    /// The file to which audit events are written, a line of JSON for each; - for standard output
    #[arg(long, value_name = "FILE", requires = "audit_policy_file")]
    pub audit_log_path: Option<PathBuf>,
    /// The most MiB of it before it is put aside; 0: no limit
    #[arg(long, value_name = "MIB", default_value_t = 100)]
    pub audit_log_maxsize: u64,
    /// The most files that were put aside; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub audit_log_maxbackup: usize,
    /// The most days that they stay; 0: no limit
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    pub audit_log_maxage: i64,
    /// A kubeconfig with the webhook to which audit events are posted
    #[arg(long, value_name = "FILE", requires = "audit_policy_file")]
    pub audit_webhook_config_file: Option<PathBuf>,
}

impl Up {
    /// Where everything is kept.
    pub fn store(&self) -> StoreAddress {
        match self.etcd_servers.as_slice() {
            [] => StoreAddress::Embedded(self.data_dir.clone()),
            urls => StoreAddress::Etcd(urls.to_vec()),
        }
    }

    /// The file of the sealing keys.
    pub fn sealing_keys_file(&self) -> PathBuf {
        self.sealing_keys.clone().unwrap_or_else(|| self.data_dir.join("sealing.keys"))
    }
}

/// Said below the flags of `insula up`.
const ABOUT_THE_PROCESS: &str = "Ctrl-C lets requests under way finish, at most 4 s; a second Ctrl-C ends at once. \
    INSULA_LOG sets the log on standard error: a level, or crates with theirs, such as syncer=debug,warn [default: warn].";

/// `IP:PORT`.
fn listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an IP address and a port are needed, such as 127.0.0.1:7443 or [::1]:7443")
}

/// `1h30m`.
fn time(text: &str) -> Result<Duration, &'static str> {
    let time = text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| !time.is_zero()).ok_or("a time is needed, such as 90s, 30m or 1h30m")
}

#[derive(Subcommand)]
enum Tenant {
    /// Create a tenant
    Create {
        /// A DNS label of at most 40 characters
        name: String,
        /// A file with a Tenant (YAML or JSON) to begin with, - for standard input; its name may be left out
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
    /// Make a copy of a tenant at one revision, while all runs. Its Secrets stay sealed
    Backup {
        /// The tenant's name
        name: String,
        /// The file to make, - for standard output; or s3://BUCKET/KEY
        file: PathBuf,
        #[command(flatten)]
        server: Server,
    },
    /// Make a tenant of a copy, while all runs. It has a CA, keys and a kubeconfig of its own
    Restore {
        /// The copy; a file, or s3://BUCKET/KEY
        file: PathBuf,
        /// The name of the tenant to make [default: the one that it had]
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        common: Common,
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

#[derive(Subcommand)]
enum Sealing {
    /// List the keys, the one that seals first, and how many planes each one seals
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Make a new key and seal every plane's data key under it; the old ones stay, for backups
    Rotate {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Subcommand)]
enum Certs {
    /// List them: whose, what, until when, and whether they sign now
    List {
        #[command(flatten)]
        plane: Plane,
        #[command(flatten)]
        common: Common,
    },
    /// Replace one by a new one; what the former one signed is believed for a while
    Rotate(Rotate),
}

/// Which plane.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub struct Plane {
    /// That of a tenant
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// The host plane
    #[arg(long)]
    pub host: bool,
    /// The embedded super cluster
    #[arg(long)]
    pub local: bool,
}

/// Flags of `insula certs rotate`.
#[derive(Args, Clone, Debug)]
pub struct Rotate {
    /// What is replaced
    #[arg(value_enum)]
    pub what: certs::What,
    #[command(flatten)]
    pub plane: Plane,
    /// Those of every tenant
    #[arg(long, conflicts_with = "Plane")]
    pub all_tenants: bool,
    /// For how long the former one is believed beside the new one, such as 24h, 90m or 7d; 0s: no more, at once
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = certs::seconds)]
    pub overlap: u64,
    /// When the new one begins to sign; until then it is published, so that others know it in time
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = certs::seconds)]
    pub after: u64,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Subcommand)]
enum Sim {
    /// Let a simulated node fail: it is silent, and its pods are left alone
    FailNode {
        /// Its name
        name: String,
        #[command(flatten)]
        server: Server,
    },
    /// Let a simulated node that has failed go on
    HealNode {
        /// Its name
        name: String,
        #[command(flatten)]
        server: Server,
    },
    /// Say how much simulated pods use, for `kubectl top`, autoscalers and memory limits
    Load(Load),
}

/// Flags of `insula sim load`.
#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Load {
    /// The pods
    #[arg(value_name = "POD", required_unless_present = "selector")]
    pub pods: Vec<String>,
    /// The pods with these labels, such as app=web
    #[arg(long, short = 'l', value_name = "SELECTOR", conflicts_with = "pods")]
    pub selector: Option<String>,
    /// Of this tenant [default: of the embedded super cluster itself]
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// Their namespace
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    pub namespace: String,
    /// CPU: an amount (250m) or a share of what is requested (80%)
    #[arg(long, value_name = "USAGE", group = "what")]
    pub cpu: Option<String>,
    /// Memory: an amount (1Gi) or a share of what is requested (80%)
    #[arg(long, value_name = "USAGE", group = "what")]
    pub memory: Option<String>,
    /// No longer
    #[arg(long, group = "what", conflicts_with_all = ["cpu", "memory"])]
    pub off: bool,
    #[command(flatten)]
    pub server: Server,
}

const DEFAULT_DATA_DIR: &str = ".insula";
const DATA_DIR: &str = "INSULA_DATA_DIR";

/// Where the server is.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// The admin kubeconfig [default: `kubeconfig` in INSULA_DATA_DIR, else in .insula]
    #[arg(long, value_name = "FILE", env = "INSULA_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
}

impl Server {
    /// The kubeconfig to use.
    pub fn path(&self) -> PathBuf {
        self.kubeconfig.clone().unwrap_or_else(|| {
            let dir = std::env::var_os(DATA_DIR).filter(|dir| !dir.is_empty());
            dir.map_or_else(|| PathBuf::from(DEFAULT_DATA_DIR), PathBuf::from).join("kubeconfig")
        })
    }
}

/// What commands that show something have in common.
#[derive(Args, Clone, Debug)]
pub struct Common {
    #[command(flatten)]
    pub server: Server,
    /// How to show it
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
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
        Command::Up(flags) => block_on(up::run(*flags)),
        Command::Tenant(command) => block_on(run_tenant(command)),
        Command::Certs(Certs::List { plane, common }) => block_on(certs::list(&plane, &common)),
        Command::Certs(Certs::Rotate(rotate)) => block_on(certs::rotate(&rotate)),
        Command::Sim(Sim::FailNode { name, server }) => block_on(sim::fail_node(&name, &server)),
        Command::Sim(Sim::HealNode { name, server }) => block_on(sim::heal_node(&name, &server)),
        Command::Sim(Sim::Load(load)) => block_on(sim::load(&load)),
        Command::Bench(flags) => block_on(bench::run(flags)),
        Command::Store(command) => block_on(store::run(command)),
        Command::Supercluster(command) => {
            supercluster::run(&command);
            Ok(())
        }
        Command::Sealing(Sealing::List { common }) => block_on(sealing::list(&common)),
        Command::Sealing(Sealing::Rotate { common }) => block_on(sealing::rotate(&common)),
    }
}

/// Runs a command to its end; what it left under way is given up soon after.
fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // One more than processors: while those are busy with requests, it takes what comes in to the line of its tenant.
    runtime.worker_threads(std::thread::available_parallelism().map_or(1, usize::from) + 1);
    // Under load a thread looks at its sockets, and at what other threads have woken (the store's, above all), after so many
    // steps: who asks for little waits behind few steps of those who ask for much. Decision 0018 has the figures.
    runtime.event_interval(15).global_queue_interval(7);
    let runtime = runtime.enable_all().build().context("the runtime cannot be started")?;
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
        Tenant::Backup { name, file, server } => tenant_copies::backup(&name, &file, &server).await,
        Tenant::Restore { file, name, common } => {
            tenant_copies::restore(&file, name.as_deref(), &common).await
        }
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
