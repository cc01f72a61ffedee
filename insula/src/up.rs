//! `insula up`: everything in one process.

use crate::audit;
use crate::backup_plan;
use crate::cli::Up;
use crate::dns;
use crate::external_address::ExternalAddress;
use crate::node_templates;
use crate::output::{self, Format};
use crate::private_file;
use crate::progress::Progress;
use crate::sealing;
use crate::services;
use crate::tasks::Tasks;
use anyhow::Context;
use object_store::ObjectStore;
use serde_json::json;
use service_runtime::Shutdown;
use std::fs;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tenant_apiserver_proxy::kubeconfig::{self, Context as KubeContext};
use tenant_apiserver_proxy::listener;
use tenant_apiserver_proxy::renewal::Admins;
use tenant_apiserver_proxy::scheduled_backups::Plan;
use tenant_apiserver_proxy::server::{Options, Server};
use tenant_dns::Sockets;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing_subscriber::EnvFilter;

/// What is logged unless `INSULA_LOG` says otherwise. The client of super clusters tells its callers of every failure,
/// and they log what matters of it.
const DEFAULT_LOG: &str = "warn,kube_client=off";
/// How long requests and work under way may take after Ctrl-C.
const DRAIN: Duration = Duration::from_millis(3_500);

/// Runs until Ctrl-C.
pub async fn run(flags: Up) -> anyhow::Result<()> {
    let progress = Progress::new(flags.output != Format::Table);
    init_log()?;
    let supers = services::read_super_kubeconfigs(&flags.super_kubeconfig)?;
    let node_templates = flags.node_template.as_deref().map(node_templates::read).transpose()?;
    let backups = backup_plan::read(&flags.backups)?;

    progress.step("opening the store");
    create_private_dir(&flags.data_dir)?;
    let store = flags.store().open_whole(&flags.etcd).await?;
    let done = serve(&flags, store.clone(), Read { supers, node_templates, backups }, progress).await;
    // Also when it did not start: another process may begin at once.
    store.release().await;
    done
}

/// What was read before anything was begun.
struct Read {
    supers: Vec<services::SuperKubeconfig>,
    node_templates: Option<Vec<builtin_controllers::Template>>,
    backups: Option<Plan>,
}

/// Serves what is in a store until Ctrl-C.
async fn serve(
    flags: &Up,
    store: Arc<dyn ObjectStore>,
    read: Read,
    progress: Progress,
) -> anyhow::Result<()> {
    let Read { supers, node_templates, backups } = read;
    let embedded = supers.is_empty();
    let super_names: Vec<String> = supers.iter().map(|cluster| cluster.name.clone()).collect();
    let listener = TcpListener::bind(flags.listen).await.with_context(|| {
        format!("cannot listen on {}; choose another address with --listen", flags.listen)
    })?;
    let address = listener.local_addr()?;
    let dns = dns::plan(&flags.dns).await?;
    let dns_addresses: Vec<SocketAddr> =
        dns.iter().flat_map(|plan| &plan.sockets).map(Sockets::local_addr).collect::<Result<_, _>>()?;

    progress.step("starting the API server");
    let shutdown = Shutdown::new();
    let options = Options {
        base_url: base_url(flags, address),
        names: serving_names(flags, address),
        embedded_super: embedded,
        sealing: sealing::open(&flags.sealing_keys_file())?,
        audit: audit::open(&flags.audit)?,
        scratch: flags.data_dir.clone(),
        backups,
    };
    let base_url = options.base_url.clone();
    let server = Server::start(store, options, shutdown.clone()).await?;
    let acceptor = TlsAcceptor::from(tenant_apiserver_proxy::tls::server_config(server.serving())?);
    let mut tasks = Tasks::default();
    tasks.spawn("API server", listener::serve(server.clone(), listener, acceptor));

    progress.step("starting controllers, syncer, applications and clouds");
    let path = flags.data_dir.join("kubeconfig");
    let local = keep_kubeconfig(&server, &path, address, &base_url).await?;
    let local = embedded.then_some(local);
    let wiring = services::Wiring {
        server: &server,
        nodes: flags.nodes,
        scheduler: !flags.no_scheduler,
        node_templates: node_templates.unwrap_or_default(),
        event_ttl: flags.event_ttl,
        local,
        supers,
        dns,
    };
    services::start(&mut tasks, wiring, &shutdown).await?;

    // From here on a signal ends it in good order, also one that comes with the first word of its being ready.
    let mut signals = Signals::new()?;
    let took = progress.done();
    announce(flags, &base_url, &path, &super_names, &dns_addresses, took)?;
    let failed = tokio::select! {
        () = signals.next() => None,
        ended = tasks.ended() => ended,
    };
    match failed {
        None => output::error("stopping; Ctrl-C again to stop at once"),
        Some(name) => {
            output::error(&format!("stopping: {name} ended by itself, which is a defect of Insula"))
        }
    }
    shutdown.trigger();
    tokio::select! {
        () = tasks.all_ended() => {}
        () = tokio::time::sleep(DRAIN) => {
            output::error(&format!("not finished in time, given up: {}", tasks.running().join(", ")));
        }
        () = signals.next() => std::process::exit(130),
    }
    match failed {
        None => Ok(()),
        Some(name) => anyhow::bail!("{name} ended by itself; start it again, and see the log"),
    }
}

/// What tells the process to end. While this is there, no such signal ends it by itself.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn init_log() -> anyhow::Result<()> {
    let said = std::env::var("INSULA_LOG").unwrap_or_default();
    let filter = if said.is_empty() { DEFAULT_LOG } else { said.as_str() };
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("INSULA_LOG {said:?} is not a filter of logs, such as \"info\" or \"syncer=debug,warn\"")
    })?;
    // A second call in one process (there is none) would be refused and change nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    Ok(())
}

fn create_private_dir(dir: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("the data directory {} cannot be made", dir.display()))
}

/// The first external address, else the address served on.
fn base_url(flags: &Up, address: SocketAddr) -> String {
    match flags.external_address.first() {
        Some(external) => external.url(address.port()),
        None => ExternalAddress::local(address).url(address.port()),
    }
}

fn serving_names(flags: &Up, address: SocketAddr) -> Vec<String> {
    let mut names: Vec<String> =
        flags.external_address.iter().map(|external| external.host.clone()).collect();
    for fixed in [
        "localhost",
        "127.0.0.1",
        "::1",
        tenant_apiserver_proxy::bootstrap::KUBERNETES_IP,
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ] {
        names.push(fixed.to_owned());
    }
    if !address.ip().is_unspecified() {
        names.push(address.ip().to_string());
    }
    names.sort();
    names.dedup();
    names
}

/// Keeps the admin kubeconfig up to date; returns that of the embedded super cluster for the syncer, as it is made anew.
async fn keep_kubeconfig(
    server: &Server,
    path: &Path,
    address: SocketAddr,
    base_url: &str,
) -> anyhow::Result<watch::Receiver<String>> {
    let (newer, local) = watch::channel(String::new());
    let (path, base_url) = (path.to_owned(), base_url.to_owned());
    // The syncer is in this process: it needs no external address.
    let own_url = ExternalAddress::local(address).url(address.port());
    let keep = move |admins: &Admins| {
        private_file::write(&path, &admin_kubeconfig(admins, &base_url))
            .map_err(|error| format!("{error:#}"))?;
        if let Some(credentials) = &admins.local {
            let server = format!("{own_url}{LOCAL_PATH}");
            let context = KubeContext { name: "local", server: &server, user: "admin", credentials };
            newer.send_replace(kubeconfig::render(&[context], &admins.ca_pem));
        }
        Ok(())
    };
    server.keep_admins(keep).await.map_err(anyhow::Error::msg)?;
    Ok(local)
}

/// Where the embedded super cluster is, below the server's address.
const LOCAL_PATH: &str = "/supers/local";

/// The kubeconfig with the contexts of the platform's admins.
fn admin_kubeconfig(admins: &Admins, base_url: &str) -> String {
    let local_url = format!("{base_url}{LOCAL_PATH}");
    let mut contexts =
        vec![KubeContext { name: "host", server: base_url, user: "admin", credentials: &admins.host }];
    if let Some(credentials) = &admins.local {
        contexts.push(KubeContext { name: "local", server: &local_url, user: "admin", credentials });
    }
    kubeconfig::render(&contexts, &admins.ca_pem)
}

fn announce(
    flags: &Up,
    base_url: &str,
    path: &Path,
    supers: &[String],
    dns: &[SocketAddr],
    took: Duration,
) -> anyhow::Result<()> {
    let embedded = supers.is_empty();
    let kubeconfig = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let kubeconfig = kubeconfig.display();
    if flags.output != Format::Table {
        let mut contexts = vec!["host"];
        if embedded {
            contexts.push("local");
        }
        let mut ready =
            json!({"address": base_url, "kubeconfig": kubeconfig.to_string(), "contexts": contexts});
        if !dns.is_empty() {
            ready["dns"] = dns.iter().map(SocketAddr::to_string).collect();
        }
        match flags.output {
            Format::Yaml => output::value(&ready, Format::Yaml)?,
            _ => output::line(&ready.to_string()),
        }
        return Ok(());
    }
    output::line(&format!("Insula is ready at {base_url} ({} ms)\n", took.as_millis()));
    output::line(&format!("  admin kubeconfig   {kubeconfig}"));
    for name in supers {
        output::line(&format!("  super cluster      {name}"));
    }
    if embedded {
        output::line(&format!(
            "  super cluster      local, embedded: its {} nodes are simulated, no container runs",
            flags.nodes
        ));
    }
    for dns in dns {
        output::line(&format!("  DNS of pods        {dns}"));
    }
    output::line("\nNext, in another terminal:\n");
    output::line(&format!("  export INSULA_KUBECONFIG={kubeconfig}"));
    output::line("  insula tenant create acme");
    output::line("  insula tenant kubeconfig acme > acme.yaml");
    output::line("  kubectl --kubeconfig acme.yaml get namespaces");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn flags(extra: &[&str]) -> Up {
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            up: Up,
        }
        Only::parse_from(["up"].iter().chain(extra)).up
    }

    #[test]
    fn clients_are_sent_to_the_first_external_address() {
        let address = "0.0.0.0:7443".parse().unwrap();
        let table: [(&[&str], &str); 5] = [
            (&[], "https://127.0.0.1:7443"),
            (&["--external-address", "k8s.example.com"], "https://k8s.example.com:7443"),
            (&["--external-address", "k8s.example.com:443"], "https://k8s.example.com:443"),
            (&["--external-address", "10.0.0.1", "--external-address", "x"], "https://10.0.0.1:7443"),
            (&["--external-address", "fd00::1"], "https://[fd00::1]:7443"),
        ];
        for (extra, expected) in table {
            assert_eq!(base_url(&flags(extra), address), expected);
        }
        let names = serving_names(&flags(&["--external-address", "k8s.example.com:443"]), address);
        assert!(names.contains(&"k8s.example.com".to_owned()), "{names:?}");
    }
}
