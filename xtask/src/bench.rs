//! What an installation costs at rest, by the number of its tenants; and in [`schedule`] how fast it places pods, in
//! [`simulation`] what pods on simulated nodes cost.
//!
//! Prints figures, and judges none of them. Reads `/proc`: Linux only.

pub mod schedule;
pub mod simulation;
mod size;

use crate::{checkout, steps};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const USAGE: &str = "\
usage: cargo xtask bench rest [--tenants 1,100,1000] [--seconds 30] [--insula target/release/insula]
       cargo xtask bench schedule [--nodes 1000] [--pods 5000] [--insula target/release/insula]
       cargo xtask bench simulation [--nodes 100] [--pods 10000] [--insula target/release/insula]

Starts the binary on an empty folder, makes so many tenants, waits until nothing is left to do, and prints resident memory
and the processor time that it takes at rest; or makes so many nodes and Deployments with so many pods in its super
cluster, and prints how many pods a second are made and get a node; or makes pods on simulated nodes, waits until they are
ready, deletes them, and prints times and memory.";

/// How long a server that makes tenants has before its rest is measured.
const SETTLE: Duration = Duration::from_secs(20);
/// How many tenants go to kubectl at once.
const BATCH: usize = 100;

struct Options {
    tenants: Vec<usize>,
    rest: Duration,
    insula: PathBuf,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Options {
            tenants: vec![1, 100, 1000],
            rest: Duration::from_secs(30),
            insula: checkout::target().join("release/insula"),
        };
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{flag} has no value\n{USAGE}"))?;
            match *flag {
                "--tenants" => {
                    options.tenants = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                "--seconds" => options.rest = Duration::from_secs(value.parse()?),
                "--insula" => options.insula = PathBuf::from(value),
                _ => bail!("unknown flag {flag}\n{USAGE}"),
            }
        }
        ensure!(options.tenants.is_sorted(), "--tenants has to grow");
        ensure!(!options.rest.is_zero(), "--seconds has to be at least 1");
        ensure!(
            options.insula.exists(),
            "{} is not there: `cargo build --release` makes it",
            options.insula.display()
        );
        Ok(options)
    }
}

/// A server, killed when it is dropped, with its folder.
struct Server {
    child: Child,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Server {
    fn start(insula: &Path, flags: &[&str]) -> Result<Self> {
        let folder = checkout::target().join(format!("bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut child = Command::new(insula)
            .args(["up", "--output", "json", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(folder.join("data"))
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().context("its output")?;
        let server = Server { child, folder };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line.contains("kubeconfig"), "insula up did not become ready");
        Ok(server)
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(checkout::target().join("tools/kubectl"))
            .arg("--kubeconfig")
            .arg(self.folder.join("data/kubeconfig"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("kubectl is not there: `cargo xtask tools` fetches it")?;
        child.stdin.take().context("its input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "kubectl {arguments:?} failed");
        Ok(String::from_utf8(output.stdout)?)
    }

    fn make_tenants(&self, numbers: std::ops::Range<usize>) -> Result<()> {
        let all: Vec<usize> = numbers.collect();
        for batch in all.chunks(BATCH) {
            let mut list = String::new();
            for number in batch {
                writeln!(
                    list,
                    "---\napiVersion: tenancy.insula.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: t{number}}}"
                )?;
            }
            self.kubectl(&["create", "--filename=-"], &list)?;
        }
        let tenants: Value = serde_json::from_str(&self.kubectl(&["get", "tenants", "--output=json"], "")?)?;
        let tenants = tenants["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        ensure!(tenants.iter().all(|tenant| tenant["status"]["phase"] == "Ready"), "a tenant is not ready");
        Ok(())
    }

    /// Resident memory, in KiB.
    fn resident(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    /// Processor time so far, in hundredths of a second.
    fn ticks(&self) -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, which may have spaces, ends with the last parenthesis.
        let (_, fields) = stat.rsplit_once(')').context("no name")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field =
            |index: usize| fields.get(index).context("too few fields").and_then(|f| Ok(f.parse::<u64>()?));
        Ok(field(11)? + field(12)?)
    }
}

/// `cargo xtask bench rest`.
pub fn rest(arguments: &[&str]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let server = Server::start(&options.insula, &[])?;
    steps::say("tenants  resident MiB  KiB for each more  processor at rest  tenants made in");
    let mut before: Option<(usize, u64)> = None;
    for count in options.tenants {
        let known = before.map_or(0, |(known, _)| known);
        let start = Instant::now();
        server.make_tenants(known..count)?;
        let made = start.elapsed();
        std::thread::sleep(SETTLE);
        let ticks = server.ticks()?;
        std::thread::sleep(options.rest);
        let ticks = server.ticks()? - ticks;
        let resident = server.resident()?;
        let each = before.filter(|(known, _)| *known < count).map_or("-".to_owned(), |(known, memory)| {
            (resident.saturating_sub(memory) / u64::try_from(count - known).unwrap_or(1)).to_string()
        });
        steps::say(&format!(
            "{count:7}  {:12.1}  {each:>17}  {:>16.2}%  {:.1} s",
            f64::from(u32::try_from(resident).unwrap_or(u32::MAX)) / 1024.0,
            f64::from(u32::try_from(ticks).unwrap_or(u32::MAX)) / options.rest.as_secs_f64(),
            made.as_secs_f64(),
        ));
        before = Some((count, resident));
    }
    Ok(())
}
