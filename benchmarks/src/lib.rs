//! `insula bench`: measures an API server from outside, by the same requests whatever it is: a tenant of Insula, or any
//! Kubernetes.
//!
//! Read in this order: [`plane`] (connections), [`rooms`] (where objects are put), [`load`] (requests under way),
//! [`report`] (what is found), then a benchmark, such as [`writes`].
//!
//! What this process takes of the machine it takes from the server, when both are on one. Times are seen from here.

mod clock;
mod fairness;
mod lists;
mod load;
mod objects;
mod pace;
mod plane;
mod pods;
mod reads;
mod ready;
mod report;
mod rooms;
mod stages;
mod sync_fairness;
mod tenants;
mod watches;
mod writes;

pub use report::{Figure, Report, Row, Stage, Stages};

use anyhow::bail;
use clap::{Args, Subcommand};
use futures::stream::{self, StreamExt, TryStreamExt};
use kube::config::Kubeconfig;
use load::Shape;
use rooms::{Room, Rooms};
use std::time::Duration;

/// How much higher threads that measure stand with the system's scheduler, as `nice` counts.
const PROMPT: i32 = 10;

/// Hears how far a benchmark is.
pub trait Progress: Send + Sync {
    /// The next step begins.
    fn step(&self, text: &str);
    /// How far it is.
    fn at(&self, text: &str);
}

/// What to measure.
#[derive(Subcommand, Clone, Debug)]
pub enum Benchmark {
    /// Create, change and delete objects
    Writes(writes::Writes),
    /// Get one object at a time
    Reads(reads::Reads),
    /// List many pods, at once and by pages
    List(lists::Lists),
    /// Change objects that many watch, and see how soon they are told
    Watch(watches::Watches),
    /// Make tenants, and see when their kubeconfigs answer and what they take (Insula only)
    Tenants(tenants::Tenants),
    /// Load one tenant with far more than there is room for, and see what others notice (Insula only)
    Fairness(fairness::Fairness),
    /// Make pods in tenants, or straight on the super cluster, and see when they are ready and where the time went
    Pods(pods::Pods),
    /// Let some tenants make many pods at once, and see how long those of others take meanwhile (Insula only)
    SyncFairness(sync_fairness::SyncFairness),
}

/// How many requests are under way.
#[derive(Args, Clone, Copy, Debug)]
pub struct Concurrency {
    /// TLS connections
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = positive)]
    connections: usize,
    /// Requests under way at a time on each connection
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = positive)]
    streams: usize,
}

impl Concurrency {
    fn shape(self) -> Shape {
        Shape { connections: self.connections, streams: self.streams }
    }
}

/// A number above zero.
fn positive(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|number| *number > 0).ok_or("a whole number above zero is needed")
}

/// A time of whole or broken seconds.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    let time =
        text.strip_suffix('s').unwrap_or(text).parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    time.filter(|time| !time.is_zero()).ok_or("a number of seconds above zero is needed")
}

/// Runs a benchmark on the server of a kubeconfig's current context. `whole`: tenants have their controllers, and
/// their pods run. What was made is removed, also when Ctrl-C comes; why something of it is left comes beside the report.
pub async fn run(
    benchmark: Benchmark,
    kubeconfig: Kubeconfig,
    whole: bool,
    progress: &dyn Progress,
) -> anyhow::Result<(Report, anyhow::Result<()>)> {
    let mut rooms = Rooms::of(kubeconfig.clone(), whole).await?;
    if let Benchmark::Pods(flags) = &benchmark
        && flags.direct
        && rooms.sort == rooms::Sort::Tenants
    {
        rooms = rooms.below(kubeconfig).await?;
    }
    let found = tokio::select! {
        found = measure(benchmark, &mut rooms, progress) => found,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let removed = rooms.remove(progress).await;
    Ok((found?, removed))
}

async fn measure(benchmark: Benchmark, rooms: &mut Rooms, progress: &dyn Progress) -> anyhow::Result<Report> {
    let needs_tenants = match &benchmark {
        Benchmark::Tenants(_) => Some("tenants"),
        Benchmark::Fairness(_) => Some("fairness"),
        Benchmark::SyncFairness(_) => Some("sync-fairness"),
        Benchmark::Pods(flags) if !flags.direct => Some("pods` without `--direct"),
        _ => None,
    };
    if let Some(name) = needs_tenants
        && rooms.sort != rooms::Sort::Tenants
    {
        bail!("{} has no tenants: `bench {name}` needs the admin kubeconfig of an Insula", rooms.host.url());
    }
    if rooms.whole && rooms.sort != rooms::Sort::Tenants {
        bail!(
            "{} has no tenants: --with-controllers is for an Insula; elsewhere controllers run as they do",
            rooms.host.url()
        );
    }
    if matches!(benchmark, Benchmark::Pods(_) | Benchmark::SyncFairness(_)) {
        rooms.whole = rooms.sort == rooms::Sort::Tenants;
    }
    match benchmark {
        Benchmark::Writes(flags) => writes::run(&flags, rooms, progress).await,
        Benchmark::Reads(flags) => reads::run(&flags, rooms, progress).await,
        Benchmark::List(flags) => lists::run(&flags, rooms, progress).await,
        Benchmark::Watch(flags) => watches::run(&flags, rooms, progress).await,
        Benchmark::Tenants(flags) => tenants::run(&flags, rooms, progress).await,
        Benchmark::Fairness(flags) => fairness::run(&flags, rooms, progress).await,
        Benchmark::Pods(flags) => pods::run(&flags, rooms, progress).await,
        Benchmark::SyncFairness(flags) => sync_fairness::run(&flags, rooms, progress).await,
    }
}

/// The only room of a benchmark that needs one.
async fn one_room(rooms: &mut Rooms, progress: &dyn Progress) -> anyhow::Result<Room> {
    let mut all = rooms.open(1, progress).await?;
    all.pop().ok_or_else(|| anyhow::anyhow!("no room was made"))
}

/// Runs something on a runtime of its own.
async fn on_a_thread<T: Send + 'static>(
    mut runtime: tokio::runtime::Builder,
    work: impl AsyncFnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let done = runtime.build().map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(work()));
        // Nobody waits any more when the benchmark was interrupted.
        let _ = tell.send(done);
    });
    told.await?
}

/// Does something on one thread, so that nobody waits for a greedy load on this side. It stands higher with the system's
/// scheduler where it may: on a machine that also runs the server, who measures waits for no processor, as if it were
/// elsewhere.
async fn on_a_prompt_thread<T: Send + 'static>(
    work: impl AsyncFnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all();
    on_a_thread(runtime, async move || {
        // Where it may not be raised, it is as it was.
        let _ = rustix::process::nice(-PROMPT);
        work().await
    })
    .await
}

/// Does something with each, so many at a time, and gives what came of it in their order. The first error ends it.
async fn at_once<'a, T, R, F>(
    at_a_time: usize,
    all: &'a [T],
    each: impl Fn(&'a T) -> F,
) -> anyhow::Result<Vec<R>>
where
    F: Future<Output = anyhow::Result<R>>,
{
    stream::iter(all.iter().map(each)).buffered(at_a_time).try_collect().await
}

/// What the server's process took of a processor between two looks.
fn cpu(before: Option<rooms::Taken>, after: Option<rooms::Taken>) -> Option<Duration> {
    after?.cpu.checked_sub(before?.cpu)
}
