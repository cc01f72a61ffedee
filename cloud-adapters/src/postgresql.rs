//! PostgreSQL servers: sessions, ownership, and the steps by which a role and a database come and go.

pub mod error;
pub mod ownership;
pub mod provision;
pub mod quote;
pub mod session;
mod tls;

pub use ownership::Mark;
pub use provision::{STEPS, Step, Wanted};
pub use session::{Facts, Server, Session, Sessions, SslMode};
