//! Supervision, drain, readiness, fair queues, clock and randomness for all services.
//!
//! Knows no kinds: queues are generic over the tenant and the key.

pub mod queue;
pub mod seldom;
pub mod shutdown;

pub use queue::{FairQueue, Lease, QueueLimits, Rank};
pub use seldom::Seldom;
pub use shutdown::{Shutdown, ShutdownOnDrop};
