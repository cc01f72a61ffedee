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

/// Gives its signal when it is dropped: for what has to run as long as its owner is used by anybody.
#[derive(Debug, Default)]
pub struct ShutdownOnDrop(Shutdown);

impl ShutdownOnDrop {
    /// The signal.
    pub fn signal(&self) -> Shutdown {
        self.0.clone()
    }
}

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        self.0.trigger();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_is_given_with_the_end_of_its_owner() {
        let owner = ShutdownOnDrop::default();
        let signal = owner.signal();
        assert!(!signal.is_requested());
        drop(owner);
        assert!(signal.is_requested());
    }
}
