//! A PostgreSQL server of the tests' own, with TLS, on a free port. Tests that run at once share it; it stops with the last.

use crate::connection::Password;
use crate::postgresql::{Server, SslMode};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tempfile::TempDir;

/// The administrator's name and password have characters that need care in every place.
pub const ADMIN: &str = "platform admin";
pub const ADMIN_PASSWORD: &str = r#"p@ss:w/rd?#[% '"\ü"#;

pub struct Postgres {
    directory: TempDir,
    port: u16,
    ca: String,
    binaries: PathBuf,
    user: Option<(u32, u32)>,
}

static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

impl Postgres {
    /// The server that runs, or a new one.
    pub fn start() -> Arc<Postgres> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::launch());
        *shared = Arc::downgrade(&started);
        started
    }

    fn launch() -> Postgres {
        let binaries =
            find_binaries().expect("PostgreSQL's server is not installed: apt-get install postgresql");
        let directory = tempfile::Builder::new().prefix("insula-pg-").tempdir_in("/tmp").unwrap();
        // PostgreSQL refuses to run as root.
        let user = is_root().then(|| user_id("postgres").expect("there is no user postgres"));
        let (ca, certificate, key) = certificates();
        let root = directory.path();
        for (name, text) in
            [("password", ADMIN_PASSWORD), ("server.crt", certificate.as_str()), ("server.key", key.as_str())]
        {
            let path = root.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = user {
                chown(&path, Some(uid), Some(gid)).unwrap();
            }
        }
        if let Some((uid, gid)) = user {
            chown(root, Some(uid), Some(gid)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Postgres { directory, port, ca, binaries, user };
        let root = server.directory.path();
        server.run(
            "initdb",
            &[
                "-D",
                path(&root.join("data")),
                "-U",
                ADMIN,
                "--pwfile",
                path(&root.join("password")),
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
        );
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={0} -c fsync=off -c ssl=on \
             -c ssl_cert_file={0}/server.crt -c ssl_key_file={0}/server.key -c log_statement=all",
            root.display()
        );
        server.run(
            "pg_ctl",
            &[
                "-D",
                path(&root.join("data")),
                "-l",
                path(&root.join("log")),
                "-o",
                &options,
                "-w",
                "-t",
                "60",
                "start",
            ],
        );
        server
    }

    fn run(&self, binary: &str, arguments: &[&str]) {
        let mut command = Command::new(self.binaries.join(binary));
        command
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        // Not `output`: the server that `pg_ctl` leaves behind would keep the pipe open.
        command.stderr(fs::File::create(self.directory.path().join(format!("{binary}.err"))).unwrap());
        let status = command.status().unwrap();
        let told =
            fs::read_to_string(self.directory.path().join(format!("{binary}.err"))).unwrap_or_default();
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        assert!(status.success(), "{binary}: {told}\n{log}");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// All that the server has logged: every statement.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The server, as its administrator.
    pub fn server(&self) -> Server {
        self.server_as(ADMIN, ADMIN_PASSWORD)
    }

    pub fn server_as(&self, user: &str, password: &str) -> Server {
        Server {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            ssl_mode: SslMode::Prefer,
            ca: None,
            username: user.to_owned(),
            password: Password::new(password),
        }
    }

    /// Runs statements as a user.
    pub async fn sql(
        &self,
        user: &str,
        password: &str,
        database: &str,
        statements: &str,
    ) -> Result<(), String> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(user).password(password).dbname(database);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(|e| describe(&e))?;
        let running = tokio::spawn(connection);
        let result = client.batch_execute(statements).await.map_err(|e| describe(&e));
        drop(client);
        let _ = running.await;
        result
    }

    pub async fn admin(&self, statements: &str) {
        self.sql(ADMIN, ADMIN_PASSWORD, "postgres", statements).await.unwrap();
    }

    /// One number, as the administrator.
    pub async fn count(&self, query: &str) -> i64 {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(ADMIN).password(ADMIN_PASSWORD).dbname("postgres");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        let running = tokio::spawn(connection);
        let count = client.query_one(query, &[]).await.unwrap().get(0);
        drop(client);
        let _ = running.await;
        count
    }

    /// Roles and databases of the name.
    pub async fn exists(&self, name: &str) -> (bool, bool) {
        let role = self.count(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{name}'")).await;
        let database =
            self.count(&format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'")).await;
        (role == 1, database == 1)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run(
            "pg_ctl",
            &["-D", path(&self.directory.path().join("data")), "-m", "immediate", "-w", "stop"],
        );
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |db| format!("{}: {}", db.code().code(), db.message()))
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The newest installed version.
fn find_binaries() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            let binaries = entry.path().join("bin");
            binaries.join("initdb").exists().then_some((version, binaries))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, binaries)| binaries)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn user_id(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// An authority, and a certificate for 127.0.0.1 with its key, as PEM.
fn certificates() -> (String, String, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (authority_pem, params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}
