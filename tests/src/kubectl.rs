//! Real kubectl as the client.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use crate::tools;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// kubectl with a kubeconfig, and with a cache of its own.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    home: PathBuf,
    flags: Vec<String>,
}

/// What kubectl said.
#[derive(Clone, Debug)]
pub struct Said {
    /// How it ended; `None`: by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Kubectl {
    /// The newest kubectl with a kubeconfig. What it caches is kept in `home`.
    pub fn new(kubeconfig: &Path, home: &Path) -> Self {
        let flags = vec![format!("--kubeconfig={}", kubeconfig.display())];
        Kubectl { program: tools::kubectl_path(), home: home.to_owned(), flags }
    }

    /// The same with a flag on every command.
    #[must_use]
    pub fn with(&self, flag: &str) -> Self {
        let mut other = self.clone();
        other.flags.push(flag.to_owned());
        other
    }

    /// The same in a namespace.
    #[must_use]
    pub fn namespace(&self, namespace: &str) -> Self {
        self.with(&format!("--namespace={namespace}"))
    }

    /// The same with another release of kubectl.
    #[must_use]
    pub fn program(&self, program: PathBuf) -> Self {
        Kubectl { program, ..self.clone() }
    }

    /// Runs kubectl.
    pub fn say(&self, arguments: &[&str]) -> Said {
        self.say_with_input(arguments, "")
    }

    /// Runs kubectl with text on its standard input.
    pub fn say_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        let input = input.to_owned();
        // In a thread: kubectl may write before it has read everything. It may end without reading, too.
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("kubectl ends");
        let _ = writer.join().expect("the writer does not panic");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Runs kubectl and returns what it printed.
    ///
    /// # Panics
    /// When it fails, with what it says.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.run_with_input(arguments, "")
    }

    /// Runs kubectl with text on its standard input and returns what it printed.
    ///
    /// # Panics
    /// When it fails, with what it says.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> String {
        let said = self.say_with_input(arguments, input);
        assert_eq!(said.code, Some(0), "kubectl {arguments:?}:\n{}{}", said.stdout, said.stderr);
        said.stdout
    }

    /// Runs kubectl, which must fail, and returns what it says of the failure.
    ///
    /// # Panics
    /// When it succeeds.
    pub fn refused(&self, arguments: &[&str]) -> String {
        self.refused_with_input(arguments, "")
    }

    /// Runs kubectl with text on its standard input, which must fail, and returns what it says of the failure.
    ///
    /// # Panics
    /// When it succeeds.
    pub fn refused_with_input(&self, arguments: &[&str], input: &str) -> String {
        let said = self.say_with_input(arguments, input);
        assert_ne!(said.code, Some(0), "kubectl {arguments:?} succeeded:\n{}{}", said.stdout, said.stderr);
        said.stderr
    }

    /// Runs kubectl with `-o json` and returns the object or list.
    ///
    /// # Panics
    /// When it fails, or does not print JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.run(&[arguments, &["--output=json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}:\n{text}"))
    }

    /// The object or list, or what kubectl says when it fails.
    ///
    /// # Errors
    /// What kubectl says.
    pub fn look(&self, arguments: &[&str]) -> Result<Value, String> {
        let said = self.say(&[arguments, &["--output=json"]].concat());
        if said.code != Some(0) {
            return Err(said.stderr);
        }
        serde_json::from_str(&said.stdout).map_err(|error| format!("{error}:\n{}", said.stdout))
    }

    /// `kubectl apply` of YAML.
    ///
    /// # Panics
    /// When it fails, with what it says.
    pub fn apply(&self, yaml: &str) -> String {
        self.run_with_input(&["apply", "--filename=-"], yaml)
    }

    /// Starts kubectl with its output in a file, for commands that go on until they are stopped.
    pub fn start(&self, arguments: &[&str], output: &Path) -> Running {
        let file = std::fs::File::create(output).unwrap();
        let errors = file.try_clone().unwrap();
        let child = self.command(arguments).stdin(Stdio::null()).stdout(file).stderr(errors).spawn().unwrap();
        Running { child, output: output.to_owned() }
    }

    /// The command to run, for those who need more.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // Flags of the test come before those of kubectl's plugins and after nothing, so that `--` works.
        command.args(arguments.iter().take_while(|argument| **argument != "--"));
        command.args(&self.flags);
        command.args(arguments.iter().skip_while(|argument| **argument != "--"));
        command
            .env("HOME", &self.home)
            .env("KUBECACHEDIR", self.home.join("cache"))
            .env_remove("KUBECONFIG")
            .current_dir(&self.home);
        command
    }
}

/// A kubectl that runs until it ends or is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: PathBuf,
}

impl Running {
    /// What it has printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// True when it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
