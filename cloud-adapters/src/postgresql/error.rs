//! Errors of a server, sorted by what helps. What the server wrote is never passed on: it may name the platform's user.

use crate::fault::{Fault, Reason};
use std::error::Error as _;
use std::io;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// A defect from an error of the client; `step` says what was being done: `creating the role`.
pub fn fault(step: &str, error: &Error) -> Fault {
    if let Some(code) = error.code() {
        let (reason, message) = of_code(code);
        let message = match reason {
            Reason::ServerError => {
                format!("{step} failed: the server answered with SQLSTATE {}", code.code())
            }
            _ => format!("{step} failed: {message}"),
        };
        return Fault::new(reason, message);
    }
    if error.is_closed() {
        return Fault::new(Reason::ConnectionLost, format!("{step} failed: the connection was closed"));
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.downcast_ref::<rustls::Error>().is_some() {
            return Fault::new(Reason::TlsFailed, format!("{step} failed: TLS: {inner}"));
        }
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            if let Some(tls) = io.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
                return Fault::new(Reason::TlsFailed, format!("{step} failed: TLS: {tls}"));
            }
            return Fault::new(
                Reason::Unreachable,
                format!("{step} failed: the server cannot be reached: {}", io.kind()),
            );
        }
        source = inner.source();
    }
    if error.to_string().contains("TLS") {
        return Fault::new(Reason::TlsFailed, format!("{step} failed: the server does not offer TLS"));
    }
    Fault::new(Reason::ConnectionLost, format!("{step} failed: the server did not answer as expected"))
}

/// Code, reason, message.
const CODES: &[(&SqlState, Reason, &str)] = &[
    (&SqlState::INVALID_PASSWORD, Reason::AuthenticationFailed, "the server refuses the credentials"),
    (
        &SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        Reason::AuthenticationFailed,
        "the server refuses the user, or the address that it connects from",
    ),
    (
        &SqlState::INSUFFICIENT_PRIVILEGE,
        Reason::PermissionDenied,
        "the account's user may not do this; it needs CREATEDB and CREATEROLE",
    ),
    (&SqlState::TOO_MANY_CONNECTIONS, Reason::TooManyConnections, "the server has no connection left"),
    (&SqlState::QUERY_CANCELED, Reason::TimedOut, "the server took too long"),
    (&SqlState::LOCK_NOT_AVAILABLE, Reason::TimedOut, "another session holds a lock"),
    (&SqlState::CANNOT_CONNECT_NOW, Reason::Unreachable, "the server is starting or stopping"),
    (&SqlState::ADMIN_SHUTDOWN, Reason::ConnectionLost, "the server is stopping"),
    (&SqlState::CRASH_SHUTDOWN, Reason::ConnectionLost, "the server has crashed"),
    (
        &SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        Reason::RoleInUse,
        "the role owns objects in another database, or has rights there",
    ),
    (&SqlState::DUPLICATE_OBJECT, Reason::ServerError, ""),
];

fn of_code(code: &SqlState) -> (Reason, &'static str) {
    let row = CODES.iter().find(|(known, ..)| *known == code);
    row.map_or((Reason::ServerError, ""), |(_, reason, message)| (*reason, message))
}
