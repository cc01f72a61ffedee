//! Where the time goes from a pod in a tenant until the tenant reads that it is ready, by the stages of VirtualCluster's
//! paper.
//!
//! Guarantees: the stages of a pod follow each other without a gap. Counted are pods that were made and became ready while
//! this process ran, each once. Remembered are those that are on their way between two stages, up to a number.

use super::histogram::Histogram;
use api_types::{ObjectName, TenantId};
use std::collections::HashMap;
use tokio::time::Instant;

/// The most pods that are remembered on their way; of more, those that come later are not counted.
const MOST: usize = 50_000;

/// Upper bounds, in seconds: narrow enough that a median between two of them says something.
const BOUNDS: [f64; 30] = [
    0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2,
    0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 60.0,
];

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From hearing of the tenant's pod until a worker takes it, and makes the super pod.
    QueueDown,
    /// What the worker does until the super pod is there.
    Down,
    /// Until it is heard that the super pod is ready.
    Super,
    /// Until a worker takes that.
    QueueUp,
    /// What the worker does until the tenant's pod says it.
    Up,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Stage; 5] = [Stage::QueueDown, Stage::Down, Stage::Super, Stage::QueueUp, Stage::Up];

    /// As a label's value.
    pub fn name(self) -> &'static str {
        match self {
            Stage::QueueDown => "queue-down",
            Stage::Down => "down",
            Stage::Super => "super",
            Stage::QueueUp => "queue-up",
            Stage::Up => "up",
        }
    }
}

/// A pod between two stages.
#[derive(Debug)]
enum Way {
    /// Its super pod was made.
    Below(Instant),
    /// It was heard that the super pod is ready.
    Ready(Instant),
}

/// How long each stage took, and the pods that are on their way.
#[derive(Debug)]
pub struct Stages {
    times: [Histogram; 5],
    ways: HashMap<(TenantId, ObjectName), Way>,
}

impl Default for Stages {
    fn default() -> Self {
        Stages { times: std::array::from_fn(|_| Histogram::of(&BOUNDS)), ways: HashMap::new() }
    }
}

impl Stages {
    /// A super pod was just made, by a worker who took the pod at `taken` and of which was `heard` before.
    pub fn made(&mut self, tenant: TenantId, pod: &ObjectName, heard: Instant, taken: Instant) {
        let now = Instant::now();
        if self.ways.len() >= MOST {
            return;
        }
        self.add(Stage::QueueDown, heard, taken);
        self.add(Stage::Down, taken, now);
        self.ways.insert((tenant, pod.clone()), Way::Below(now));
    }

    /// It was just heard that a super pod is ready.
    pub fn heard_ready(&mut self, tenant: TenantId, pod: &ObjectName) {
        let now = Instant::now();
        let Some(way) = self.ways.get_mut(&(tenant, pod.clone())) else { return };
        if let Way::Below(since) = *way {
            *way = Way::Ready(now);
            self.add(Stage::Super, since, now);
        }
    }

    /// The tenant's pod was just written as ready, by a worker who took it at `taken`.
    pub fn told(&mut self, tenant: TenantId, pod: &ObjectName, taken: Instant) {
        // The worker may see it in the answer to a write of its own.
        self.heard_ready(tenant, pod);
        if let Some(Way::Ready(since)) = self.ways.remove(&(tenant, pod.clone())) {
            self.add(Stage::QueueUp, since, taken.max(since));
            self.add(Stage::Up, taken.max(since), Instant::now());
        }
    }

    /// A pod is gone.
    pub fn gone(&mut self, tenant: TenantId, pod: &ObjectName) {
        self.ways.remove(&(tenant, pod.clone()));
    }

    /// A tenant is gone.
    pub fn forget(&mut self, gone: TenantId) {
        self.ways.retain(|(tenant, _), _| *tenant != gone);
    }

    /// How long each took.
    pub fn times(&self) -> impl Iterator<Item = (Stage, &Histogram)> {
        Stage::ALL.into_iter().zip(&self.times)
    }

    fn add(&mut self, stage: Stage, from: Instant, to: Instant) {
        self.times[stage as usize].add(to.saturating_duration_since(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use uuid::Uuid;

    fn counts(stages: &Stages) -> [u64; 5] {
        std::array::from_fn(|n| stages.times[n].count)
    }

    #[tokio::test(start_paused = true)]
    async fn the_stages_of_a_pod_follow_each_other() {
        let (tenant, pod) = (TenantId::new(Uuid::from_u128(7)), ObjectName::new("shop", "web"));
        let (mut stages, wait) = (Stages::default(), |s| tokio::time::advance(Duration::from_secs(s)));
        let heard = Instant::now();
        wait(1).await;
        let taken = Instant::now();
        wait(2).await;
        stages.made(tenant, &pod, heard, taken);
        wait(3).await;
        stages.heard_ready(tenant, &pod);
        wait(4).await;
        stages.heard_ready(tenant, &pod);
        let taken = Instant::now();
        wait(5).await;
        stages.told(tenant, &pod, taken);
        stages.told(tenant, &pod, taken);
        let sums: Vec<f64> = stages.times().map(|(_, histogram)| histogram.sum).collect();
        assert_eq!(sums, [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(counts(&stages), [1; 5]);
        assert!(stages.ways.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_worker_sees_first_waited_in_no_queue() {
        let (tenant, pod) = (TenantId::new(Uuid::from_u128(7)), ObjectName::new("shop", "web"));
        let (mut stages, now) = (Stages::default(), Instant::now());
        stages.made(tenant, &pod, now, now);
        stages.told(tenant, &pod, now);
        assert_eq!(counts(&stages), [1; 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_pods_that_were_made_now_count_and_none_is_remembered_for_ever() {
        let (tenant, now) = (TenantId::new(Uuid::from_u128(7)), Instant::now());
        let (mut stages, name) =
            (Stages::default(), |number: usize| ObjectName::new("shop", number.to_string()));
        stages.heard_ready(tenant, &name(0));
        stages.told(tenant, &name(0), now);
        assert_eq!(counts(&stages), [0; 5]);
        for number in 0..=MOST {
            stages.made(tenant, &name(number), now, now);
        }
        assert_eq!(stages.ways.len(), MOST);
        stages.gone(tenant, &name(0));
        assert_eq!(stages.ways.len(), MOST - 1);
        stages.forget(tenant);
        assert!(stages.ways.is_empty());
    }
}
