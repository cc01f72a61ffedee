//! What a super cluster can do to its clients.

use crate::super_api::At;
use api_types::{ApiError, Resource};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A call to a super cluster: the verb, the resource with its subresource, the name.
pub struct Call<'a> {
    pub verb: &'static str,
    pub resource: &'a str,
    pub at: &'a At,
    /// How often this verb was called on this resource before.
    pub before: u32,
}

type Rule = Arc<dyn Fn(&Call<'_>) -> Option<ApiError> + Send + Sync>;

/// Faults that are injected into a super cluster.
pub struct Faults {
    rule: Mutex<Option<Rule>>,
    calls: Mutex<HashMap<(&'static str, String), u32>>,
    slowness: Mutex<Duration>,
    cuts: watch::Sender<u32>,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            rule: Mutex::default(),
            calls: Mutex::default(),
            slowness: Mutex::default(),
            cuts: watch::Sender::new(0),
        }
    }
}

impl Faults {
    /// Answers calls with the error that the closure gives; `None` lets them through.
    pub fn answer(&self, rule: impl Fn(&Call<'_>) -> Option<ApiError> + Send + Sync + 'static) {
        *self.rule.lock() = Some(Arc::new(rule));
    }

    /// Everything works again.
    pub fn none(&self) {
        *self.rule.lock() = None;
        *self.slowness.lock() = Duration::ZERO;
    }

    /// Every call takes so long.
    pub fn slow(&self, delay: Duration) {
        *self.slowness.lock() = delay;
    }

    /// Ends all watches.
    pub fn cut_watches(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// Tells of cuts.
    pub fn cuts(&self) -> watch::Receiver<u32> {
        self.cuts.subscribe()
    }

    /// What becomes of a call.
    pub async fn meet(&self, verb: &'static str, resource: &Resource, at: &At) -> Result<(), ApiError> {
        let slowness = *self.slowness.lock();
        if !slowness.is_zero() {
            tokio::time::sleep(slowness).await;
        }
        let name = match at.subresource {
            "" => resource.resource.to_string(),
            sub => format!("{}/{sub}", resource.resource),
        };
        let before = {
            let mut calls = self.calls.lock();
            let count = calls.entry((verb, name.clone())).or_insert(0);
            *count += 1;
            *count - 1
        };
        let rule = self.rule.lock().clone();
        match rule.and_then(|rule| rule(&Call { verb, resource: &name, at, before })) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
