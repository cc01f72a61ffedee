//! The services of the process while they run, by name.

use std::collections::HashMap;
use tokio::task::{Id, JoinSet};

/// Services under way.
#[derive(Default)]
pub struct Tasks {
    set: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts a service. It is to run until shutdown.
    pub fn spawn(&mut self, name: &'static str, service: impl Future<Output = ()> + Send + 'static) {
        let handle = self.set.spawn(service);
        self.names.insert(handle.id(), name);
    }

    /// The next service that ends; `None` when all have ended. Can be cancelled.
    pub async fn ended(&mut self) -> Option<&'static str> {
        let id = match self.set.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a service failed");
                error.id()
            }
        };
        Some(self.names.remove(&id).unwrap_or("a service"))
    }

    /// Waits until all have ended.
    pub async fn all_ended(&mut self) {
        while self.ended().await.is_some() {}
    }

    /// The names of those that have not ended.
    pub fn running(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = self.names.values().copied().collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn services_are_known_by_name_until_they_end() {
        let mut tasks = Tasks::default();
        tasks.spawn("short", async {});
        tasks.spawn("endless", std::future::pending());
        assert_eq!(tasks.running(), ["endless", "short"]);
        assert_eq!(tasks.ended().await, Some("short"));
        assert_eq!(tasks.running(), ["endless"]);
        tasks.spawn("failing", async { panic!("as this test wants it") });
        assert_eq!(tasks.ended().await, Some("failing"));
        tasks.set.abort_all();
        tasks.all_ended().await;
        assert!(tasks.running().is_empty());
    }
}
