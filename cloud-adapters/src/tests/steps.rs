//! What is done on a server, step by step.

use super::postgres::{ADMIN, ADMIN_PASSWORD, Postgres};
use crate::connection::Password;
use crate::fault::{Fault, Reason};
use crate::postgresql::{Mark, STEPS, Session, Sessions, SslMode, Step, Wanted};
use uuid::Uuid;

fn wanted(name: &str) -> Wanted {
    Wanted {
        name: name.to_owned(),
        mark: Mark {
            account: format!("account-{name}"),
            tenant: Uuid::from_u128(1).to_string(),
            object: Uuid::from_u128(2).to_string(),
        },
        connection_limit: 5,
        resource_limit: None,
    }
}

async fn session(server: &Postgres) -> Session {
    Sessions::default().open("a", &server.server()).await.unwrap()
}

/// The database can be used by its role, and is as it should be.
async fn check(server: &Postgres, name: &str) {
    let password = Password::random();
    session(server).await.set_password(name, &password).await.unwrap();
    server
        .sql(name, password.reveal(), name, "CREATE TABLE t (a int); INSERT INTO t VALUES (1); DROP TABLE t")
        .await
        .unwrap();
    for (what, query) in [
        ("limit", format!("SELECT datconnlimit::int8 - 5 FROM pg_database WHERE datname = '{name}'")),
        (
            "public",
            format!(
                "SELECT count(*) FROM pg_database WHERE datname = '{name}' AND has_database_privilege('public', oid, 'CONNECT')"
            ),
        ),
        (
            "mark",
            format!(
                "SELECT count(*) - 1 FROM pg_database WHERE datname = '{name}' AND shobj_description(oid, 'pg_database') LIKE 'managed by insula.dev:%'"
            ),
        ),
    ] {
        assert_eq!(server.count(&query).await, 0, "{what}");
    }
}

#[tokio::test]
async fn a_crash_after_any_step_is_repaired_by_doing_all_again() {
    let server = Postgres::start();
    for done in 0..=STEPS.len() {
        let wanted = wanted(&format!("insula-crash-{done}"));
        let mut first = session(&server).await;
        for step in &STEPS[..done] {
            first.step(*step, &wanted).await.unwrap();
        }
        // Until all is done nobody gets in.
        if (1..STEPS.len()).contains(&done) && done >= 2 {
            let closed = server.sql(ADMIN, ADMIN_PASSWORD, &wanted.name, "SELECT 1").await.unwrap_err();
            assert!(closed.starts_with("55000") || closed.contains("not currently accepting"), "{closed}");
        }
        drop(first);
        let mut second = session(&server).await;
        second.provision(&wanted).await.unwrap();
        second.provision(&wanted).await.unwrap();
        check(&server, &wanted.name).await;

        // A removal that was cut off after the database is repaired in the same way.
        if done % 2 == 0 {
            server.admin(&format!("DROP DATABASE \"{}\" WITH (FORCE)", wanted.name)).await;
        }
        second.remove(&wanted.name, &wanted.mark).await.unwrap();
        second.remove(&wanted.name, &wanted.mark).await.unwrap();
        assert_eq!(server.exists(&wanted.name).await, (false, false));
    }
}

#[tokio::test]
async fn drift_is_repaired() {
    let server = Postgres::start();
    let wanted = wanted("insula-drift");
    let mut session = session(&server).await;
    session.provision(&wanted).await.unwrap();
    server
        .admin(
            "ALTER ROLE \"insula-drift\" NOLOGIN CONNECTION LIMIT 99; GRANT CONNECT ON DATABASE \"insula-drift\" TO PUBLIC; \
             ALTER DATABASE \"insula-drift\" CONNECTION LIMIT 77; COMMENT ON DATABASE \"insula-drift\" IS 'x'",
        )
        .await;
    session.provision(&wanted).await.unwrap();
    check(&server, "insula-drift").await;
}

#[tokio::test]
async fn what_is_not_ours_is_not_touched() {
    let server = Postgres::start();
    let mut session = session(&server).await;
    server.admin("CREATE ROLE \"insula-foreign-role\" LOGIN PASSWORD 'x'").await;
    server.admin("CREATE DATABASE \"insula-foreign-db\"").await;
    session.provision(&wanted("insula-others")).await.unwrap();
    let mut others = wanted("insula-others");
    others.mark.tenant = Uuid::from_u128(9).to_string();
    // A database that was given to another role is not ours any more.
    session.provision(&wanted("insula-given-away")).await.unwrap();
    server.admin(&format!("ALTER DATABASE \"insula-given-away\" OWNER TO \"{ADMIN}\"")).await;

    for wanted in [
        wanted("insula-foreign-role"),
        wanted("insula-foreign-db"),
        others.clone(),
        wanted("insula-given-away"),
    ] {
        let before = server.exists(&wanted.name).await;
        let fault = session.provision(&wanted).await.unwrap_err();
        assert_eq!(fault.reason, Reason::OwnedByAnother, "{}", wanted.name);
        if wanted.name != "insula-given-away" {
            session.remove(&wanted.name, &wanted.mark).await.unwrap();
            assert_eq!(server.exists(&wanted.name).await, before, "{}", wanted.name);
        }
    }
    server.sql("insula-foreign-role", "x", "postgres", "SELECT 1").await.unwrap();
    session.remove("insula-given-away", &wanted("insula-given-away").mark).await.unwrap();
    assert_eq!(server.exists("insula-given-away").await, (false, true));
}

#[tokio::test]
async fn tenants_are_apart() {
    let server = Postgres::start();
    let mut session = session(&server).await;
    for name in ["insula-apart-a", "insula-apart-b"] {
        session.provision(&wanted(name)).await.unwrap();
        session.set_password(name, &Password::new("pw")).await.unwrap();
    }
    server.sql("insula-apart-a", "pw", "insula-apart-a", "SELECT 1").await.unwrap();
    let refused = server.sql("insula-apart-a", "pw", "insula-apart-b", "SELECT 1").await.unwrap_err();
    assert!(refused.starts_with("42501"), "{refused}");
    for statement in [
        "CREATE DATABASE x",
        "CREATE ROLE x",
        "ALTER ROLE \"insula-apart-b\" PASSWORD 'x'",
        "COMMENT ON ROLE \"insula-apart-a\" IS 'x'",
        "DROP DATABASE \"insula-apart-b\"",
        "ALTER ROLE \"insula-apart-a\" CONNECTION LIMIT 1000",
    ] {
        let refused = server.sql("insula-apart-a", "pw", "insula-apart-a", statement).await.unwrap_err();
        assert!(refused.starts_with("42501"), "{statement}: {refused}");
    }
}

#[tokio::test]
async fn a_user_that_is_not_superuser_is_enough() {
    let server = Postgres::start();
    server.admin("CREATE ROLE creator LOGIN CREATEDB CREATEROLE PASSWORD 'x'; CREATE ROLE nobody LOGIN PASSWORD 'x'").await;
    let sessions = Sessions::default();
    let mut session = sessions.open("a", &server.server_as("creator", "x")).await.unwrap();
    assert!(!session.facts().superuser);
    let wanted = wanted("insula-creator");
    for _ in 0..2 {
        session.provision(&wanted).await.unwrap();
    }
    check(&server, "insula-creator").await;
    session.remove(&wanted.name, &wanted.mark).await.unwrap();
    assert_eq!(server.exists("insula-creator").await, (false, false));
    let fault = sessions.open("b", &server.server_as("nobody", "x")).await.err().unwrap();
    assert_eq!(fault.reason, Reason::PermissionDenied);
}

#[tokio::test]
async fn the_limit_of_an_account_holds_for_many_at_once() {
    let server = Postgres::start();
    let sessions = Sessions::default();
    let tasks: Vec<_> = (0..6)
        .map(|n| {
            let (server, sessions) = (server.server(), sessions.clone());
            tokio::spawn(async move {
                let mut wanted = wanted(&format!("insula-limit-{n}"));
                wanted.mark.account = "limited_account".to_owned();
                wanted.resource_limit = Some(2);
                let mut session = sessions.open("limited", &server).await?;
                let result = session.step(Step::Role, &wanted).await;
                session.done();
                result
            })
        })
        .collect();
    let mut results: Vec<Result<(), Fault>> = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 2, "{results:?}");
    assert!(
        results.iter().filter_map(|r| r.as_ref().err()).all(|f| f.reason == Reason::LimitReached),
        "{results:?}"
    );
    let session = sessions.open("limited", &server.server()).await.unwrap();
    assert_eq!(session.count("limited_account").await.unwrap(), 2);
    assert_eq!(session.count("limitedXaccount").await.unwrap(), 0, "an underscore is no wildcard");
}

#[tokio::test]
async fn connections_are_encrypted_as_the_account_says() {
    let server = Postgres::start();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
                     WHERE a.application_name = 'insula' AND a.usename = 'tls_user' AND s.ssl";
    server.admin("CREATE ROLE tls_user LOGIN SUPERUSER PASSWORD 'x'").await;
    let other = super::postgres::Postgres::ca(&server).replace("CERTIFICATE", "NOTHING");
    for (mode, ca, expected) in [
        (SslMode::Disable, None, Ok(0)),
        (SslMode::Prefer, None, Ok(1)),
        (SslMode::Require, None, Ok(1)),
        (SslMode::Require, Some(server.ca().to_owned()), Ok(1)),
        (SslMode::Require, Some(other), Err(Reason::TlsFailed)),
        (SslMode::Require, Some(foreign_authority()), Err(Reason::TlsFailed)),
        // `prefer` is content without TLS when there can be none.
        (SslMode::Prefer, Some(foreign_authority()), Ok(0)),
    ] {
        let mut with = server.server_as("tls_user", "x");
        (with.ssl_mode, with.ca) = (mode, ca);
        let opened = Sessions::default().open("tls", &with).await;
        match (opened, expected) {
            (Ok(session), Ok(count)) => {
                assert_eq!(server.count(encrypted).await, count, "{mode:?}");
                drop(session);
                while server.count("SELECT count(*) FROM pg_stat_activity WHERE usename = 'tls_user'").await
                    > 0
                {
                    tokio::task::yield_now().await;
                }
            }
            (Err(fault), Err(reason)) => assert_eq!(fault.reason, reason, "{mode:?}"),
            (opened, expected) => panic!("{mode:?}: {:?} instead of {expected:?}", opened.err()),
        }
    }
}

fn foreign_authority() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.self_signed(&key).unwrap().pem()
}

#[tokio::test]
async fn errors_are_told_apart_and_tell_no_credentials() {
    let server = Postgres::start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let wrong = server.server_as(ADMIN, "wrong-password");
    let unknown = server.server_as("unknown-user", "x");
    let mut closed = server.server();
    closed.port = free;
    for (server, reason) in [
        (wrong, Reason::AuthenticationFailed),
        (unknown, Reason::AuthenticationFailed),
        (closed, Reason::Unreachable),
    ] {
        let fault = Sessions::default().open("a", &server).await.err().unwrap();
        assert_eq!(fault.reason, reason);
        for secret in [ADMIN, ADMIN_PASSWORD, "wrong-password", "unknown-user", "127.0.0.1"] {
            assert!(!fault.message.contains(secret), "{}", fault.message);
        }
    }
}

#[tokio::test]
async fn a_password_is_in_no_log() {
    let server = Postgres::start();
    let mut session = session(&server).await;
    session.provision(&wanted("insula-quiet")).await.unwrap();
    let password = Password::random();
    session.set_password("insula-quiet", &password).await.unwrap();
    server.sql("insula-quiet", password.reveal(), "insula-quiet", "SELECT 1").await.unwrap();
    let log = server.log();
    assert!(
        log.contains("ALTER ROLE \"insula-quiet\" PASSWORD 'SCRAM-SHA-256$"),
        "the log has the statement"
    );
    assert!(!log.contains(password.reveal()));
    let right = server.server().accepts("insula-quiet", &password, "insula-quiet").await;
    assert_eq!(right, Ok(true));
    let wrong = server.server().accepts("insula-quiet", &Password::new("x"), "insula-quiet").await;
    assert_eq!(wrong, Ok(false));
}

#[tokio::test]
async fn sessions_are_kept_and_few() {
    let server = Postgres::start();
    server.admin("CREATE ROLE pooled LOGIN SUPERUSER PASSWORD 'x'").await;
    let with = server.server_as("pooled", "x");
    let sessions = Sessions::default();
    for _ in 0..10 {
        sessions.open("p", &with).await.unwrap().done();
    }
    assert_eq!(server.count("SELECT count(*) FROM pg_stat_activity WHERE usename = 'pooled'").await, 1);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(sessions.open("p", &with).await.unwrap());
    }
    let fifth = tokio::spawn({
        let (sessions, with) = (sessions.clone(), with.clone());
        async move { sessions.open("p", &with).await.is_ok() }
    });
    assert_eq!(server.count("SELECT count(*) FROM pg_stat_activity WHERE usename = 'pooled'").await, 4);
    assert!(!fifth.is_finished());
    held.pop().unwrap().done();
    assert!(fifth.await.unwrap());
}
