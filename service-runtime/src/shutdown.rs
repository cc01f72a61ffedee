//! One signal that asks every task to end.

use tokio_util::sync::CancellationToken;

/// Asks tasks to end. Clones share the signal.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A signal that nobody has given yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every holder of a clone to end.
    pub fn trigger(&self) {
        self.0.cancel();
    }

    /// Waits until the signal is given.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// True once the signal is given.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }
}
