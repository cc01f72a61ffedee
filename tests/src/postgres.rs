//! A PostgreSQL server of a test's own.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use crate::tools::free_port;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The name of the superuser.
pub const USER: &str = "postgres";

/// A real server on a free port of 127.0.0.1, with its data in a temporary folder; stopped when dropped.
///
/// PostgreSQL refuses to run as root: then its programs run as the user `postgres`, which Debian's package makes.
#[derive(Debug)]
pub struct Postgres {
    dir: TempDir,
    port: u16,
    password: String,
}

impl Postgres {
    /// Makes and starts a server.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start, with what it says.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("insula-postgres-").tempdir().unwrap();
        let password = format!("secret-{}", dir.path().file_name().unwrap().to_string_lossy());
        let password_file = dir.path().join("password");
        std::fs::write(&password_file, &password).unwrap();
        if is_root() {
            succeed(Command::new("chown").args(["-R", "postgres"]).arg(dir.path()));
        }
        succeed(
            program("initdb")
                .args(["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale"])
                .args(["--no-sync", "--pwfile"])
                .arg(&password_file)
                .arg("--pgdata")
                .arg(dir.path().join("data")),
        );
        let mut server = Postgres { dir, port: 0, password };
        for _ in 0..5 {
            server.port = free_port();
            if server
                .control()
                .args(["--wait", "--log"])
                .arg(server.log())
                .arg("start")
                .status()
                .unwrap()
                .success()
            {
                return server;
            }
            let log = std::fs::read_to_string(server.log()).unwrap_or_default();
            // Another process was faster to take the port.
            assert!(log.contains("Address already in use"), "PostgreSQL does not start:\n{log}");
        }
        panic!("no free port for PostgreSQL")
    }

    /// The address that it listens on.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of the superuser [`USER`].
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Runs SQL as the superuser in a database, and returns the rows: columns separated by `|`, a row a line.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn query(&self, database: &str, sql: &str) -> String {
        let (ok, text) = self.psql(USER, &self.password, database, sql);
        assert!(ok, "{sql}: {text}");
        text
    }

    /// Runs SQL as a user. True and the rows, or false and what the server says.
    pub fn psql(&self, user: &str, password: &str, database: &str, sql: &str) -> (bool, String) {
        let mut psql = Command::new(client());
        psql.args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1"])
            .args(["--host", self.host(), "--port", &self.port.to_string()])
            .args(["--username", user, "--dbname", database, "--command", sql])
            .env("PGPASSWORD", password)
            .stdin(Stdio::null());
        let output = psql.output().unwrap();
        let text = if output.status.success() { &output.stdout } else { &output.stderr };
        (output.status.success(), String::from_utf8_lossy(text).trim_end().to_owned())
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("data/log")
    }

    fn control(&self) -> Command {
        let mut control = program("pg_ctl");
        let sockets = self.dir.path().display();
        control.arg("--silent").arg("--pgdata").arg(self.dir.path().join("data")).args([
            "--options",
            &format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={sockets}", self.port),
        ]);
        control.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        control
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its data is of no use any more. A failure here must not hide why the test failed.
        let _ = self.control().args(["--mode", "immediate", "stop"]).status();
    }
}

/// The program `psql`.
pub fn client() -> PathBuf {
    let found = file("psql");
    if found.is_absolute() {
        return found;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(&found)).find(|file| file.is_file()).unwrap_or(found)
}

/// A program of the server, to be run as a user that may.
fn program(name: &str) -> Command {
    let file = file(name);
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(file);
        command
    } else {
        Command::new(file)
    };
    // The user may not enter where the test runs.
    command.current_dir("/");
    command
}

/// The newest release in Debian's place, else what is on the path.
fn file(name: &str) -> PathBuf {
    let releases = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = releases
        .filter_map(|release| Some((release.file_name().to_str()?.parse::<u32>().ok()?, release.path())))
        .map(|(release, path)| (release, path.join("bin").join(name)))
        .filter(|(_, path)| path.is_file())
        .max();
    newest.map_or_else(|| Path::new(name).to_owned(), |(_, path)| path)
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8_lossy(&id.stdout).trim() == "0"
}

fn succeed(command: &mut Command) -> Output {
    let started = command.stdin(Stdio::null()).output();
    let output = started.unwrap_or_else(|error| {
        panic!("{command:?}: {error}: run `cargo xtask test`, which installs PostgreSQL")
    });
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_ones_own_starts_answers_and_stops() {
        let server = Postgres::start();
        assert_eq!(server.query("postgres", "select 1, 'x'"), "1|x");
        server.query("postgres", "create role app login password 'right'");
        assert_eq!(server.psql("app", "right", "postgres", "select current_user"), (true, "app".to_owned()));
        let (ok, text) = server.psql("app", "wrong", "postgres", "select 1");
        assert!(!ok && text.contains("password authentication failed"), "{text}");
        let (port, dir) = (server.port(), server.dir.path().to_owned());
        drop(server);
        assert!(!dir.exists());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}
