//! Which tenants are worst off: the longest waits of the last one to two minutes.

use super::Direction;
use api_types::TenantId;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a window is.
const WINDOW: Duration = Duration::from_secs(60);
/// The most tenants that are remembered in a window; of more, those that come later are not.
const MOST: usize = 20_000;

/// The longest waits of one tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Longest {
    /// In the queue.
    pub queue: Duration,
    /// From hearing of a change to having written it on the other side, by direction.
    pub lag: [Duration; 2],
}

type Window = HashMap<TenantId, Longest>;

/// The window that is under way, and the one before it.
#[derive(Debug, Default)]
pub struct Worst {
    began: Option<Instant>,
    now: Window,
    before: Window,
}

impl Worst {
    /// A tenant's work waited.
    pub fn waited(&mut self, tenant: TenantId, waited: Duration) {
        self.change(tenant, |longest| longest.queue = longest.queue.max(waited));
    }

    /// A tenant's change reached the other side.
    pub fn behind(&mut self, tenant: TenantId, direction: Direction, lag: Duration) {
        let index = direction as usize;
        self.change(tenant, |longest| longest.lag[index] = longest.lag[index].max(lag));
    }

    fn change(&mut self, tenant: TenantId, change: impl Fn(&mut Longest)) {
        self.turn();
        if self.now.len() < MOST || self.now.contains_key(&tenant) {
            change(self.now.entry(tenant).or_default());
        }
    }

    fn turn(&mut self) {
        let age = self.began.map_or(WINDOW * 2, |began| began.elapsed());
        if age < WINDOW {
            return;
        }
        self.before = std::mem::take(&mut self.now);
        if age >= WINDOW * 2 {
            self.before.clear();
        }
        self.began = Some(Instant::now());
    }

    /// The tenants for which a value is largest and not nothing, the largest first.
    pub fn top(&mut self, count: usize, value: impl Fn(&Longest) -> Duration) -> Vec<(TenantId, Duration)> {
        self.turn();
        let mut all: HashMap<TenantId, Duration> = HashMap::new();
        for (tenant, longest) in self.before.iter().chain(&self.now) {
            let known = all.entry(*tenant).or_default();
            *known = (*known).max(value(longest));
        }
        let mut all: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_zero()).collect();
        all.sort_by_key(|(tenant, value)| (std::cmp::Reverse(*value), *tenant));
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test(start_paused = true)]
    async fn the_worst_of_the_last_minutes_are_told_and_no_others() {
        let tenant = |n: u128| TenantId::new(Uuid::from_u128(n));
        let seconds = Duration::from_secs;
        let mut worst = Worst::default();
        for n in 1..=9 {
            worst.waited(tenant(n.into()), seconds(n));
            worst.behind(tenant(1), Direction::Up, seconds(n));
        }
        let queue = |worst: &mut Worst| worst.top(2, |l| l.queue);
        assert_eq!(queue(&mut worst), [(tenant(9), seconds(9)), (tenant(8), seconds(8))]);
        assert_eq!(worst.top(5, |l| l.lag[1]), [(tenant(1), seconds(9))]);
        assert!(worst.top(5, |l| l.lag[0]).is_empty());
        tokio::time::advance(seconds(61)).await;
        worst.waited(tenant(2), seconds(20));
        assert_eq!(queue(&mut worst), [(tenant(2), seconds(20)), (tenant(9), seconds(9))]);
        tokio::time::advance(seconds(61)).await;
        assert_eq!(queue(&mut worst), [(tenant(2), seconds(20))]);
        tokio::time::advance(seconds(200)).await;
        assert!(queue(&mut worst).is_empty());
    }
}
