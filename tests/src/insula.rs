//! The binary under test.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use crate::kubectl::Kubectl;
use crate::small_disk::SmallDisk;
use crate::tools;
use crate::waiting::until;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use tempfile::TempDir;

/// `insula up` on a free port, with its data in a temporary folder. Killed when dropped; a test that fails shows what
/// it said on standard error.
#[derive(Debug)]
pub struct Insula {
    /// What the data is on; goes before the folder that it is in.
    disk: Option<SmallDisk>,
    dir: TempDir,
    port: u16,
    super_kubeconfig: Option<PathBuf>,
    /// `--external-address`; empty for the address that it serves on.
    external: String,
    /// `INSULA_LOG`; empty for what it is without it.
    log: &'static str,
    /// `--nodes`; `None` for as many as there are without it.
    nodes: Option<u32>,
    /// `--etcd-servers`; empty for the embedded store.
    etcd: String,
    /// Without `--no-scheduler`.
    schedules: bool,
    /// More flags.
    flags: Vec<String>,
    /// More variables of its environment, and of commands.
    environment: Vec<(&'static str, String)>,
    child: Option<Child>,
}

impl Insula {
    /// Starts a server with nothing in it, and with the embedded super cluster.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start() -> Self {
        Self::start_on(None, "")
    }

    /// Starts a server with nothing in it, with its data on a disk of so many MB.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_on_small_disk(megabytes: u32) -> Self {
        Self::start_as(None, "", &[], &[], Some(megabytes))
    }

    /// Starts a server with more flags, and with more in its environment, which commands find in theirs too.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_with(flags: &[&str], environment: &[(&'static str, String)]) -> Self {
        Self::start_as(None, "", flags, environment, None)
    }

    /// Starts a server that says on standard error what a filter lets through, as [`Insula::start`] does.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_with_log(filter: &'static str) -> Self {
        Self::start_on(None, filter)
    }

    /// Starts a server whose super cluster is that of a kubeconfig.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_with_super_cluster(kubeconfig: &Path) -> Self {
        Self::start_on(Some(kubeconfig.to_owned()), "")
    }

    /// The same with more flags.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_with_super_cluster_and(kubeconfig: &Path, flags: &[&str]) -> Self {
        Self::start_as(Some(kubeconfig.to_owned()), "", flags, &[], None)
    }

    fn start_on(super_kubeconfig: Option<PathBuf>, log: &'static str) -> Self {
        Self::start_as(super_kubeconfig, log, &[], &[], None)
    }

    fn start_as(
        super_kubeconfig: Option<PathBuf>,
        log: &'static str,
        flags: &[&str],
        environment: &[(&'static str, String)],
        disk: Option<u32>,
    ) -> Self {
        let mut dir = tempfile::Builder::new().prefix("insula-test-").tempdir().unwrap();
        for _ in 0..5 {
            let port = tools::free_port();
            let disk = disk.map(|megabytes| SmallDisk::at(&dir.path().join("data"), megabytes));
            let mut server = Insula {
                disk,
                dir,
                port,
                super_kubeconfig: super_kubeconfig.clone(),
                external: String::new(),
                log,
                nodes: None,
                etcd: String::new(),
                schedules: true,
                flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
                environment: environment.to_vec(),
                child: None,
            };
            server.spawn();
            match server.ready() {
                Ok(()) => return server,
                // Another process was faster to take the port.
                Err(stderr) if stderr.contains("cannot listen") => {
                    server.disk = None;
                    dir = std::mem::replace(&mut server.dir, TempDir::new().unwrap());
                }
                Err(stderr) => panic!("insula up ended:\n{stderr}"),
            }
        }
        panic!("no free port for insula")
    }

    /// Makes the disk of [`Insula::start_on_small_disk`] larger.
    ///
    /// # Panics
    /// When it is not on one.
    pub fn grow_disk(&mut self, megabytes: u32) {
        self.disk.as_mut().expect("it is on a small disk").grow(megabytes);
    }

    /// Starts it again on the same folder and port, after [`Insula::kill`] or [`Insula::interrupt`].
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_again(&mut self) {
        self.spawn();
        if let Err(stderr) = self.ready() {
            panic!("insula up ended:\n{stderr}");
        }
    }

    /// Starts it again with so many simulated nodes: those beyond are gone.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_again_with_nodes(&mut self, count: u32) {
        self.nodes = Some(count);
        self.start_again();
    }

    /// Starts it again with what is in an etcd.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_again_on_etcd(&mut self, url: &str) {
        url.clone_into(&mut self.etcd);
        self.start_again();
    }

    /// Starts it again, and leaves pods to a scheduler from elsewhere.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_again_without_scheduler(&mut self) {
        self.schedules = false;
        self.start_again();
    }

    /// Starts it again on the same folder, but on another port and with another address for its clients.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_again_elsewhere(&mut self, external: &str) {
        external.clone_into(&mut self.external);
        for _ in 0..5 {
            self.port = tools::free_port();
            self.spawn();
            match self.ready() {
                Ok(()) => return,
                // Another process was faster to take the port.
                Err(stderr) if stderr.contains("cannot listen") => {}
                Err(stderr) => panic!("insula up ended:\n{stderr}"),
            }
        }
        panic!("no free port for insula")
    }

    /// Kills it with SIGKILL: it has no chance to tidy up.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Presses Ctrl-C and waits for the end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn interrupt(&mut self) -> ExitStatus {
        self.press_ctrl_c();
        self.end()
    }

    /// Presses Ctrl-C, and waits for nothing.
    ///
    /// # Panics
    /// When it does not run.
    pub fn press_ctrl_c(&self) {
        self.signal("-INT");
    }

    /// Sends it a signal, and waits for nothing.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// How many bytes of memory it holds now.
    ///
    /// # Panics
    /// When it does not run.
    pub fn memory(&self) -> usize {
        let id = self.child.as_ref().expect("it runs").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let held = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        held.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it does not come.
    pub fn end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        until("the server ends after Ctrl-C", || {
            child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned())
        })
    }

    /// What it has said on standard error since the last start.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    /// Where it keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A place for files of the test.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The port that it serves on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where clients reach it.
    pub fn url(&self) -> String {
        let host = if self.external.is_empty() { "127.0.0.1" } else { &self.external };
        format!("https://{host}:{}", self.port)
    }

    /// The address of a tenant's plane.
    pub fn tenant_url(&self, tenant: &str) -> String {
        format!("{}/tenants/{tenant}", self.url())
    }

    /// The admin kubeconfig that it writes.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("kubeconfig")
    }

    /// kubectl as the admin of the host plane.
    pub fn host(&self) -> Kubectl {
        Kubectl::new(&self.kubeconfig(), self.dir.path())
    }

    /// kubectl as the admin of the embedded super cluster.
    pub fn super_cluster(&self) -> Kubectl {
        self.host().with("--context=local")
    }

    /// Makes a tenant and waits until it is ready; kubectl as its admin.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn tenant(&self, name: &str) -> Kubectl {
        self.insula(&["tenant", "create", name, "--wait"]);
        self.tenant_admin(name)
    }

    /// kubectl as the admin of a tenant that is there, with the kubeconfig that `insula tenant kubeconfig` prints.
    ///
    /// # Panics
    /// When there is none.
    pub fn tenant_admin(&self, name: &str) -> Kubectl {
        let file = self.scratch(&format!("{name}.yaml"));
        std::fs::write(&file, self.insula(&["tenant", "kubeconfig", name])).unwrap();
        Kubectl::new(&file, self.dir.path())
    }

    /// Runs a command of `insula` against this server and returns what it printed.
    ///
    /// # Panics
    /// When it fails, with what it says.
    pub fn insula(&self, arguments: &[&str]) -> String {
        let output = self.try_insula(arguments);
        assert!(output.status.success(), "insula {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command of `insula` against this server.
    pub fn try_insula(&self, arguments: &[&str]) -> Output {
        let mut command = command(self.dir.path());
        command.args(arguments).env("INSULA_KUBECONFIG", self.kubeconfig());
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command.output().unwrap()
    }

    fn spawn(&mut self) {
        let file = |name: &str| File::create(self.dir.path().join(name)).unwrap();
        let program = tools::insula_binary();
        let program = match &self.disk {
            Some(disk) => disk.program(&program),
            None => Command::new(program),
        };
        let child = at_home(program, self.dir.path())
            .args(["up", "--output", "json", "--listen", &format!("127.0.0.1:{}", self.port), "--data-dir"])
            .arg(self.data_dir())
            .args((!self.external.is_empty()).then(|| format!("--external-address={}", self.external)))
            .envs((!self.log.is_empty()).then_some(("INSULA_LOG", self.log)))
            .args((!self.etcd.is_empty()).then(|| format!("--etcd-servers={}", self.etcd)))
            .args(self.nodes.map(|count| format!("--nodes={count}")))
            .args((!self.schedules).then_some("--no-scheduler"))
            .args(&self.flags)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .args(
                self.super_kubeconfig
                    .iter()
                    .flat_map(|file| [OsStr::new("--super-kubeconfig"), file.as_ref()]),
            )
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Waits for the line that says that it is ready; what it said on standard error when it ended instead.
    fn ready(&mut self) -> Result<(), String> {
        let stdout = self.dir.path().join("stdout");
        let embedded = self.super_kubeconfig.is_none();
        until("the server is ready", || {
            let text = std::fs::read_to_string(&stdout).unwrap_or_default();
            if let Some((line, _)) = text.split_once('\n') {
                let ready: Value =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert_eq!(ready["address"], self.url(), "{line}");
                let contexts: &[&str] = if embedded { &["host", "local"] } else { &["host"] };
                assert_eq!(ready["contexts"], serde_json::json!(contexts), "{line}");
                return Ok(Ok(()));
            }
            let ended = self.child.as_mut().expect("it was started").try_wait().unwrap();
            if ended.is_some() {
                return Ok(Err(self.stderr()));
            }
            Err(self.stderr())
        })
    }
}

impl Drop for Insula {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A failure here must not hide why the test failed.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- standard error of insula up\n{}---", self.stderr());
        }
    }
}

/// The binary, with nothing in its environment that would lead it to another server.
pub fn command(home: &Path) -> Command {
    at_home(Command::new(tools::insula_binary()), home)
}

fn at_home(mut command: Command, home: &Path) -> Command {
    command.env("HOME", home).current_dir(home);
    for variable in ["KUBECONFIG", "INSULA_KUBECONFIG", "INSULA_DATA_DIR"] {
        command.env_remove(variable);
    }
    command
}
