//! Sessions with a server: few of them for each account, none without a time limit.

use super::error::fault;
use super::tls::Tls;
use crate::connection::Password;
use crate::fault::{Fault, Reason};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::config::SslMode as Wire;
use tokio_postgres::{Client, Config, NoTls};

/// How long a connection may take, its handshake and log-in with it.
const CONNECT_LIMIT: Duration = Duration::from_secs(8);
/// How long a statement may take.
pub(super) const STATEMENT_LIMIT: Duration = Duration::from_secs(60);
/// How long work waits for one of its account's sessions.
const TURN_LIMIT: Duration = Duration::from_secs(30);
/// Sessions of an account at once.
const SESSIONS: usize = 4;
/// The oldest server: `DROP DATABASE … WITH (FORCE)` came with it.
const OLDEST_VERSION: i32 = 130_000;

/// Whether connections are encrypted, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// When it works.
    Prefer,
    /// Always.
    Require,
}

impl SslMode {
    /// Reads the word; `None` for another one.
    pub fn parse(word: &str) -> Option<Self> {
        [SslMode::Disable, SslMode::Prefer, SslMode::Require].into_iter().find(|mode| mode.word() == word)
    }

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
        }
    }
}

/// A server, and as whom the platform logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A host name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether connections are encrypted.
    pub ssl_mode: SslMode,
    /// Authorities for the server's certificate, as PEM.
    pub ca: Option<String>,
    /// The platform's user.
    pub username: String,
    /// Its password.
    pub password: Password,
}

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Such as `15.14`.
    pub version: String,
    /// Such as 15.
    pub major: u32,
    /// The platform's user may do everything.
    pub superuser: bool,
}

/// Why a log-in did not work.
enum LogIn {
    /// The password is wrong.
    Refused,
    Failed(Fault),
}

impl Server {
    /// Whether this role can log in to this database with this password.
    pub async fn accepts(&self, role: &str, password: &Password, database: &str) -> Result<bool, Fault> {
        match self.log_in(role, password, database).await {
            Ok(_) => Ok(true),
            Err(LogIn::Refused) => Ok(false),
            // The limit of a role or database is checked after the password.
            Err(LogIn::Failed(fault)) if fault.reason == Reason::TooManyConnections => Ok(true),
            Err(LogIn::Failed(fault)) => Err(fault),
        }
    }

    async fn log_in(&self, user: &str, password: &Password, database: &str) -> Result<Client, LogIn> {
        let tls =
            Tls::new(self.ca.as_deref()).map_err(|why| LogIn::Failed(Fault::new(Reason::TlsFailed, why)))?;
        let mut config = Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .user(user)
            .password(password.reveal())
            .dbname(database)
            .application_name("insula")
            .connect_timeout(CONNECT_LIMIT);
        let attempt = async {
            match self.ssl_mode {
                SslMode::Disable => connect_plain(config.ssl_mode(Wire::Disable)).await,
                SslMode::Require => connect(config.ssl_mode(Wire::Require), tls).await,
                SslMode::Prefer => match connect(config.ssl_mode(Wire::Prefer), tls).await {
                    // The server offers TLS, but a handshake is not possible: `prefer` is content without.
                    Err(error) if error.code().is_none() && fault("", &error).reason == Reason::TlsFailed => {
                        connect_plain(config.ssl_mode(Wire::Disable)).await
                    }
                    done => done,
                },
            }
        };
        match tokio::time::timeout(CONNECT_LIMIT, attempt).await {
            Err(_) => Err(LogIn::Failed(Fault::new(
                Reason::Unreachable,
                "connecting failed: the server did not answer in time",
            ))),
            Ok(Err(error)) if error.code() == Some(&tokio_postgres::error::SqlState::INVALID_PASSWORD) => {
                Err(LogIn::Refused)
            }
            Ok(Err(error)) => Err(LogIn::Failed(fault("connecting", &error))),
            Ok(Ok(client)) => Ok(client),
        }
    }
}

async fn connect(config: &Config, tls: Tls) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(tls).await?;
    // Ends when the client is dropped or the connection breaks; the client's next statement tells of it.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a database server ended");
        }
    });
    Ok(client)
}

async fn connect_plain(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // As above.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a database server ended");
        }
    });
    Ok(client)
}

/// Sessions of all accounts. Clones share them.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<HashMap<String, Arc<Pool>>>>);

struct Pool {
    server: Server,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<(Client, Facts)>>,
}

impl Sessions {
    /// A session of an account, by its UID. When the account's server or credentials have changed, the old sessions end.
    pub async fn open(&self, account: &str, server: &Server) -> Result<Session, Fault> {
        let pool = self.pool(account, server);
        let turn = tokio::time::timeout(TURN_LIMIT, pool.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Fault::new(Reason::TimedOut, "waiting for a session with the account took too long"));
        };
        loop {
            let idle = pool.idle.lock().pop();
            match idle {
                Some((client, _)) if client.is_closed() => {}
                Some((client, facts)) => return Ok(Session { client, facts, pool, _turn: turn }),
                None => break,
            }
        }
        let client = match server.log_in(&server.username, &server.password, "postgres").await {
            Ok(client) => client,
            Err(LogIn::Refused) => {
                return Err(Fault::new(
                    Reason::AuthenticationFailed,
                    "the server refuses the account's credentials",
                ));
            }
            Err(LogIn::Failed(fault)) => return Err(fault),
        };
        let facts = greet(&client).await?;
        Ok(Session { client, facts, pool, _turn: turn })
    }

    /// Ends the sessions of an account that is gone.
    pub fn forget(&self, account: &str) {
        self.0.lock().remove(account);
    }

    fn pool(&self, account: &str, server: &Server) -> Arc<Pool> {
        let mut pools = self.0.lock();
        if let Some(pool) = pools.get(account).filter(|pool| pool.server == *server) {
            return pool.clone();
        }
        let pool = Arc::new(Pool {
            server: server.clone(),
            turns: Arc::new(Semaphore::new(SESSIONS)),
            idle: Mutex::default(),
        });
        pools.insert(account.to_owned(), pool.clone());
        pool
    }
}

async fn greet(client: &Client) -> Result<Facts, Fault> {
    let ask = async {
        client.batch_execute("SET statement_timeout = '55s'; SET lock_timeout = '15s'").await?;
        let query = "SELECT current_setting('server_version_num')::int4, current_setting('server_version'), \
                     rolsuper, rolcreaterole AND rolcreatedb FROM pg_roles WHERE rolname = current_user";
        client.query_one(query, &[]).await
    };
    let row = limited("looking at the server", ask).await?;
    let (number, version, superuser, may_create): (i32, String, bool, bool) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    if number < OLDEST_VERSION {
        let message = format!("the server is PostgreSQL {version}; 13 is the oldest that is supported");
        return Err(Fault::new(Reason::VersionNotOffered, message));
    }
    if !superuser && !may_create {
        let message = "the account's user has neither SUPERUSER nor CREATEDB and CREATEROLE";
        return Err(Fault::new(Reason::PermissionDenied, message));
    }
    // Debian's packages write "15.14 (Debian 15.14-0+deb12u1)".
    let version = version.split_whitespace().next().unwrap_or_default().to_owned();
    Ok(Facts { version, major: u32::try_from(number / 10_000).unwrap_or(0), superuser })
}

/// A statement with a time limit.
pub(super) async fn limited<T>(
    step: &str,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(STATEMENT_LIMIT, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(fault(step, &error)),
        Err(_) => Err(Fault::new(Reason::TimedOut, format!("{step} failed: the server took too long"))),
    }
}

/// A session. Give it back with [`Session::done`] after work that came to its end; dropped, it is closed.
pub struct Session {
    pub(super) client: Client,
    pub(super) facts: Facts,
    pool: Arc<Pool>,
    _turn: OwnedSemaphorePermit,
}

impl Session {
    /// What the server is.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Keeps the session for the next work on the account.
    pub fn done(self) {
        if !self.client.is_closed() {
            self.pool.idle.lock().push((self.client, self.facts));
        }
    }
}
