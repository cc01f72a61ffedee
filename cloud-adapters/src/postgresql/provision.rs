//! The steps by which a role and a database come and go.
//!
//! Guarantees: a crash between any two steps, and in any of them, is repaired by doing all of them again; nothing that is
//! not ours is touched; nobody but its role can connect to a database, not even while it is made. The same steps, done
//! again later, repair drift.
//!
//! How that is so: a role and its mark come in one transaction. `CREATE DATABASE` cannot be in one, so a new database
//! belongs from its first moment to the marked role, which proves it ours, and takes no connections until rights are
//! taken from PUBLIC.

use super::ownership::Mark;
use super::quote::{identifier, literal};
use super::session::{Session, limited};
use crate::connection::Password;
use crate::fault::{Fault, Reason};
use tokio_postgres::error::SqlState;

/// What is wanted on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The name of the role and of the database.
    pub name: String,
    /// Whose they are.
    pub mark: Mark,
    /// The most connections at once.
    pub connection_limit: u32,
    /// The most roles of the account.
    pub resource_limit: Option<u32>,
}

/// One step. Each can be done again at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The role, with its mark.
    Role,
    /// The database, closed.
    Database,
    /// The mark on the database, for people.
    Comment,
    /// Nothing for PUBLIC.
    Privileges,
    /// The database takes connections.
    Open,
}

/// All steps, in order.
pub const STEPS: [Step; 5] = [Step::Role, Step::Database, Step::Comment, Step::Privileges, Step::Open];

/// The key of the advisory lock under which roles are counted and made: "insula" in ASCII.
const LOCK: i64 = 0x0000_696e_7375_6c61;

/// A role on the server.
struct Role {
    comment: Option<String>,
    connection_limit: i32,
    can_log_in: bool,
}

/// A database on the server.
struct Database {
    owner: String,
    comment: Option<String>,
    connection_limit: i32,
    allows_connections: bool,
    public_connects: bool,
}

impl Session {
    /// Does all steps.
    pub async fn provision(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        for step in STEPS {
            self.step(step, wanted).await?;
        }
        Ok(())
    }

    /// Does one step; those before it must have been done.
    pub async fn step(&mut self, step: Step, wanted: &Wanted) -> Result<(), Fault> {
        if step == Step::Role {
            return self.ensure_role(wanted).await;
        }
        let found = self.database(&wanted.name).await?;
        if let Some(database) = &found
            && database.owner != wanted.name
        {
            return Err(foreign("database", &wanted.name));
        }
        let name = identifier(&wanted.name);
        let (what, statement) = match (step, found) {
            (Step::Database, None) => return self.create_database(wanted).await,
            (Step::Role | Step::Database, _) => return Ok(()),
            (_, None) => {
                let message = "the database is gone; it will be made again, empty";
                return Err(Fault::new(Reason::ConnectionLost, message));
            }
            (Step::Comment, Some(database)) => {
                let text = wanted.mark.text();
                if database.comment.as_deref() == Some(&text) {
                    return Ok(());
                }
                ("marking the database", format!("COMMENT ON DATABASE {name} IS {}", literal(&text)))
            }
            (Step::Privileges, Some(database)) => {
                if !database.public_connects {
                    return Ok(());
                }
                ("taking rights from PUBLIC", format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"))
            }
            (Step::Open, Some(database)) => {
                let limit = wanted.connection_limit;
                if database.allows_connections && i64::from(database.connection_limit) == i64::from(limit) {
                    return Ok(());
                }
                let statement =
                    format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT {limit}");
                ("opening the database", statement)
            }
        };
        limited(what, self.client.batch_execute(&statement)).await
    }

    async fn ensure_role(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        let name = identifier(&wanted.name);
        let limit = wanted.connection_limit;
        let mark = wanted.mark.text();
        if let Some(role) = self.role(&wanted.name).await? {
            if !wanted.mark.owns(role.comment.as_deref()) {
                return Err(foreign("role", &wanted.name));
            }
            let mut repairs = Vec::new();
            if i64::from(role.connection_limit) != i64::from(limit) || !role.can_log_in {
                repairs.push(format!("ALTER ROLE {name} LOGIN CONNECTION LIMIT {limit}"));
            }
            if role.comment.as_deref() != Some(&mark) {
                repairs.push(format!("COMMENT ON ROLE {name} IS {}", literal(&mark)));
            }
            if repairs.is_empty() {
                return Ok(());
            }
            return limited("adjusting the role", self.client.batch_execute(&repairs.join("; "))).await;
        }
        if self.database(&wanted.name).await?.is_some() {
            return Err(foreign("database", &wanted.name));
        }
        let superuser = self.facts.superuser;
        let step = "creating the role";
        let work = async {
            let transaction = self.client.transaction().await?;
            transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
            if let Some(most) = wanted.resource_limit {
                let query = "SELECT count(*) FROM pg_roles WHERE shobj_description(oid, 'pg_authid') LIKE $1";
                let pattern = Mark::pattern_of_account(&wanted.mark.account);
                let count: i64 = transaction.query_one(query, &[&pattern]).await?.get(0);
                if count >= i64::from(most) {
                    return Ok(Err(most));
                }
            }
            let mut statement = format!(
                "CREATE ROLE {name} LOGIN CONNECTION LIMIT {limit}; COMMENT ON ROLE {name} IS {}",
                literal(&mark)
            );
            if !superuser {
                // To give a database to a role one must be a member of it.
                statement.push_str(&format!("; GRANT {name} TO CURRENT_USER"));
            }
            transaction.batch_execute(&statement).await?;
            transaction.commit().await?;
            Ok(Ok(()))
        };
        match limited(step, work).await? {
            Ok(()) => Ok(()),
            Err(most) => Err(Fault::new(
                Reason::LimitReached,
                format!("the account has {most} resources, as many as it may have"),
            )),
        }
    }

    async fn create_database(&self, wanted: &Wanted) -> Result<(), Fault> {
        let name = identifier(&wanted.name);
        let statement = format!(
            "CREATE DATABASE {name} OWNER {name} TEMPLATE template0 ENCODING 'UTF8' ALLOW_CONNECTIONS false"
        );
        let work = async {
            match self.client.batch_execute(&statement).await {
                // Another replica was faster; the next step looks at whose it is.
                Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
                done => done,
            }
        };
        limited("creating the database", work).await
    }

    /// Gives the role a new password. The server gets a SCRAM verifier (RFC 5803), so that the password is in no log.
    pub async fn set_password(&self, name: &str, password: &Password) -> Result<(), Fault> {
        let verifier = postgres_protocol::password::scram_sha_256(password.reveal().as_bytes());
        let statement = format!("ALTER ROLE {} PASSWORD {}", identifier(name), literal(&verifier));
        limited("setting the password", self.client.batch_execute(&statement)).await
    }

    /// Drops the database and the role, as far as they are ours; what is not, stays.
    pub async fn remove(&self, name: &str, mark: &Mark) -> Result<(), Fault> {
        let Some(role) = self.role(name).await? else { return Ok(()) };
        if !mark.owns(role.comment.as_deref()) {
            return Ok(());
        }
        let quoted = identifier(name);
        if self.database(name).await?.is_some_and(|database| database.owner == name) {
            let statement = format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)");
            limited("dropping the database", self.client.batch_execute(&statement)).await?;
        }
        // What the role may have been given, or have made, in the maintenance database would keep it alive.
        let statement = format!("DROP OWNED BY {quoted}; DROP ROLE IF EXISTS {quoted}");
        limited("dropping the role", self.client.batch_execute(&statement)).await
    }

    /// How many roles the account has.
    pub async fn count(&self, account: &str) -> Result<u32, Fault> {
        let query = "SELECT count(*) FROM pg_roles WHERE shobj_description(oid, 'pg_authid') LIKE $1";
        let pattern = Mark::pattern_of_account(account);
        let row =
            limited("counting the account's resources", self.client.query_one(query, &[&pattern])).await?;
        Ok(u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX))
    }

    async fn role(&self, name: &str) -> Result<Option<Role>, Fault> {
        let query = "SELECT shobj_description(oid, 'pg_authid'), rolconnlimit, rolcanlogin FROM pg_roles WHERE rolname = $1";
        let row = limited("looking for the role", self.client.query_opt(query, &[&name])).await?;
        Ok(row.map(|row| Role { comment: row.get(0), connection_limit: row.get(1), can_log_in: row.get(2) }))
    }

    async fn database(&self, name: &str) -> Result<Option<Database>, Fault> {
        let query = "SELECT r.rolname::text, shobj_description(d.oid, 'pg_database'), d.datconnlimit, d.datallowconn, \
                     has_database_privilege('public', d.oid, 'CONNECT') OR has_database_privilege('public', d.oid, 'TEMP') \
                     FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = $1";
        let row = limited("looking for the database", self.client.query_opt(query, &[&name])).await?;
        Ok(row.map(|row| Database {
            owner: row.get(0),
            comment: row.get(1),
            connection_limit: row.get(2),
            allows_connections: row.get(3),
            public_connects: row.get(4),
        }))
    }
}

fn foreign(what: &str, name: &str) -> Fault {
    Fault::new(
        Reason::OwnedByAnother,
        format!(
            "a {what} {name:?} is on the server already and belongs to something else; it is not touched"
        ),
    )
}
