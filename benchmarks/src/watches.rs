//! `insula bench watch`.

use crate::clock::Clock;
use crate::objects::Kind;
use crate::plane::{Call, Connection};
use crate::report::{Figure, Measure, Report};
use crate::rooms::{Room, Rooms};
use crate::{Progress, cpu};
use anyhow::bail;
use clap::Args;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What says in an object when its change was sent, in microseconds since the benchmark began.
const SENT: &str = "bench-sent";
/// The ConfigMap of each tenant that is changed.
const WATCHED: &str = "watched";
/// Changes under way at a time: beyond that they are sent later than they should be.
const UNDER_WAY: usize = 256;
/// How long nothing may arrive until what is missing is given up.
const QUIET: Duration = Duration::from_secs(5);

/// Flags of `insula bench watch`.
#[derive(Args, Clone, Debug)]
pub struct Watches {
    /// Watches in total
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = crate::positive)]
    watchers: usize,
    /// Tenants (or namespaces) that they are spread over
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = crate::positive)]
    tenants: usize,
    /// Changes a second in total; each is told to all watchers of its tenant
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = crate::positive)]
    changes: usize,
    /// For how long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = crate::seconds)]
    time: Duration,
}

/// What all watchers share.
struct Shared {
    begun: Instant,
    arrived: AtomicU64,
    /// Nothing more is expected.
    over: CancellationToken,
}

/// Opens the watches, changes objects at an even pace, and measures from the sending of a change to its arrival.
pub async fn run(flags: &Watches, rooms: &mut Rooms, progress: &dyn Progress) -> anyhow::Result<Report> {
    let all = rooms.open(flags.tenants, progress).await?;
    let each = flags.watchers.div_ceil(all.len());
    progress.step(&format!("opening {} watches", each * all.len()));
    let (begun, over) = (Instant::now(), CancellationToken::new());
    let shared = Arc::new(Shared { begun, arrived: AtomicU64::new(0), over });
    let (mut watchers, mut connections) = (JoinSet::new(), Vec::new());
    for room in &all {
        let mut connection = room.plane.connect().await?;
        let object = Kind::ConfigMap.object(WATCHED, 0);
        let made = connection.ask(Call::with(Method::POST, room.path("configmaps"), &object)).await?;
        let version = made["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        for _ in 0..each {
            let events = open(&mut connection, room, version).await?;
            watchers.spawn(hear(events, shared.clone()));
        }
        connections.push(connection);
    }
    progress.step(&format!("{} changes a second for {} s", flags.changes, flags.time.as_secs_f64()));
    let before = rooms.taken().await;
    let sent = send(flags, &all, &connections, &shared, progress).await?;
    let expected = sent.times.len() * each as u64;
    settle(&shared, expected).await;
    let after = rooms.taken().await;
    shared.over.cancel();
    let mut told = Measure { elapsed: sent.elapsed, ..Default::default() };
    while let Some(heard) = watchers.join_next().await {
        told.join(heard?);
    }
    let lost = expected.saturating_sub(told.times.len());
    let figures = vec![Figure::new("events that did not arrive", lost as f64, "events")];
    let requests =
        vec![sent.row("patch a ConfigMap", None), told.row("an event arrives", cpu(before, after))];
    Ok(rooms.report("watch", all.len(), requests, figures))
}

/// Opens a watch from a version on.
async fn open(connection: &mut Connection, room: &Room, version: &str) -> anyhow::Result<Incoming> {
    let path = format!("{}?watch=true&resourceVersion={version}", room.path("configmaps"));
    let response = connection.open(Call::new(Method::GET, path)).await?;
    if !response.status().is_success() {
        bail!("a watch is refused with {}", response.status());
    }
    Ok(response.into_body())
}

/// Changes objects at an even pace, whatever becomes of the changes before.
async fn send(
    flags: &Watches,
    rooms: &[Room],
    connections: &[Connection],
    shared: &Arc<Shared>,
    progress: &dyn Progress,
) -> anyhow::Result<Measure> {
    let total = (flags.changes as f64 * flags.time.as_secs_f64()).ceil() as u64;
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let (clock, begun, mut changes) = (Clock::start(), tokio::time::Instant::now(), JoinSet::new());
    for number in 0..total {
        tokio::time::sleep_until(begun + Duration::from_secs_f64(number as f64 / flags.changes as f64)).await;
        let place = under_way.clone().acquire_owned().await?;
        let index = usize::try_from(number)? % rooms.len();
        let path = format!("{}/{WATCHED}", rooms[index].path("configmaps"));
        let (mut connection, shared) = (connections[index].clone(), shared.clone());
        changes.spawn(async move {
            let sent = shared.begun.elapsed();
            let change = json!({"metadata": {"annotations": {SENT: sent.as_micros().to_string()}}});
            let call = Call {
                content_type: "application/merge-patch+json",
                ..Call::with(Method::PATCH, path, &change)
            };
            let answer = connection.measure(call).await;
            drop(place);
            (answer, shared.begun.elapsed().saturating_sub(sent))
        });
        if number % 100 == 0 {
            progress.at(&format!("changes: {number} of {total}"));
        }
    }
    let mut measure = Measure::default();
    while let Some(done) = changes.join_next().await {
        match done? {
            (Ok(answer), time) => match answer.refusal {
                None => measure.add(time, answer.bytes),
                Some(refusal) => measure.fail(refusal),
            },
            (Err(error), _) => measure.fail(format!("{error:#}")),
        }
    }
    measure.elapsed = clock.elapsed();
    Ok(measure)
}

/// Waits until everything has arrived, or nothing has for a while.
async fn settle(shared: &Shared, expected: u64) {
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        let arrived = shared.arrived.load(Ordering::Relaxed);
        if arrived >= expected || arrived == seen && since.elapsed() > QUIET {
            return;
        }
        if arrived != seen {
            (seen, since) = (arrived, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One watch, until it is over.
async fn hear(mut events: Incoming, shared: Arc<Shared>) -> Measure {
    let (mut measure, mut line) = (Measure::default(), Vec::new());
    loop {
        let frame = tokio::select! {
            frame = events.frame() => frame,
            () = shared.over.cancelled() => return measure,
        };
        let data = match frame {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => {
                measure.fail(format!("a watch broke: {error}"));
                return measure;
            }
            None => {
                measure.fail("the server ended a watch".into());
                return measure;
            }
        };
        for part in data.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") {
                if let Some(sent) = sent(&line) {
                    measure.add(shared.begun.elapsed().saturating_sub(sent), line.len() as u64);
                    shared.arrived.fetch_add(1, Ordering::Relaxed);
                }
                line.clear();
            }
        }
    }
}

/// When the change of an event was sent; `None`: it is none of ours.
fn sent(event: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(event).ok()?;
    // The annotation itself, and not its field in `managedFields`.
    let (_, value) = text.split_once(&format!("\"{SENT}\":\""))?;
    let (micros, _) = value.split_once('"')?;
    micros.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_say_when_their_change_was_sent() {
        let event = br#"{"type":"MODIFIED","object":{"metadata":{"managedFields":[{"f:bench-sent":{}}],"annotations":{"bench-sent":"1500"}}}}"#;
        assert_eq!(sent(event), Some(Duration::from_micros(1500)));
        assert_eq!(sent(br#"{"type":"BOOKMARK","object":{}}"#), None);
    }
}
