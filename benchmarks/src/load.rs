//! Loads: so many requests under way at a time, each followed by the next as soon as it is answered.

use crate::Progress;
use crate::clock::Clock;
use crate::plane::{Call, Connection, Plane};
use crate::report::Measure;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often it is told how far a load is.
const TOLD: Duration = Duration::from_millis(250);

/// How many requests are under way.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// TLS connections.
    pub connections: usize,
    /// Requests at a time on each.
    pub streams: usize,
}

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many requests.
    Requests(u64),
    /// After so long.
    Time(Duration),
}

/// Makes the request of a number.
pub type Make = Arc<dyn Fn(u64) -> Call + Send + Sync>;

/// Runs a load. `what` is told while it runs.
pub async fn run(
    plane: &Arc<Plane>,
    shape: Shape,
    until: Until,
    make: Make,
    (progress, what): (&dyn Progress, &str),
) -> anyhow::Result<Measure> {
    let mut connections = Vec::new();
    for _ in 0..shape.connections {
        connections.push(plane.connect().await?);
    }
    let next = Arc::new(AtomicU64::new(0));
    let (begun, clock) = (Instant::now(), Clock::start());
    let (last, deadline) = match until {
        Until::Requests(count) => (count, None),
        Until::Time(time) => (u64::MAX, Some(begun + time)),
    };
    let mut workers = JoinSet::new();
    for connection in &connections {
        for _ in 0..shape.streams {
            workers.spawn(work(connection.clone(), next.clone(), last, deadline, make.clone()));
        }
    }
    let mut all = Measure::default();
    let mut told = tokio::time::interval(TOLD);
    loop {
        tokio::select! {
            done = workers.join_next() => match done {
                Some(measure) => all.join(measure?),
                None => break,
            },
            _ = told.tick() => {
                let done = next.load(Ordering::Relaxed);
                match until {
                    Until::Requests(count) => progress.at(&format!("{what}: {} of {count}", done.min(count))),
                    Until::Time(_) => progress.at(&format!("{what}: {done}")),
                }
            }
        }
    }
    all.elapsed = clock.elapsed();
    Ok(all)
}

/// One stream: a request after the other. It ends when its connection does.
async fn work(
    mut connection: Connection,
    next: Arc<AtomicU64>,
    last: u64,
    deadline: Option<Instant>,
    make: Make,
) -> Measure {
    let mut measure = Measure::default();
    while deadline.is_none_or(|deadline| Instant::now() < deadline) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= last {
            break;
        }
        let begun = Instant::now();
        match connection.measure(make(number)).await {
            Ok(answer) => match answer.refusal {
                None => measure.add(begun.elapsed(), answer.bytes),
                Some(refusal) => measure.fail(format!("{}: {refusal}", answer.status)),
            },
            Err(error) => {
                measure.fail(format!("{error:#}"));
                break;
            }
        }
    }
    measure
}
