//! Extension servers: what answers for a group and version instead of this server, as the plane's APIServices say.
//!
//! Read in this order: [`extensions`] (the APIServices of a plane, read once), [`identity`] (who asks them), [`call`]
//! (one question), [`check`] (do they answer), [`openapi`] (how
//! they describe themselves), [`proxy`] (requests that are theirs).
//!
//! Guarantees: what a plane's extension servers take, they take from that plane: its seats, its watches, and a number
//! of connections that is its own. A server that does not answer costs its own group. Groups that this server itself
//! serves are nobody else's.

pub mod call;
pub mod check;
pub mod extensions;
pub mod identity;
pub mod idle;
pub mod openapi;
pub mod proxy;

pub use extensions::{Extension, ExtensionsCell, find, foreign, of};
pub use identity::IdentityCell;

/// Requests of one plane to its extension servers that are under way, watches and streams among them.
pub const CONNECTIONS: usize = 256;
/// Extension servers of one plane that are asked whether they answer at a time.
pub const CHECKS: usize = 4;
