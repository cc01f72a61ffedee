//! Pods that are made and waited for, each watched in its namespace as any client would.

use crate::clock::Clock;
use crate::objects::Kind;
use crate::plane::{Call, Connection};
use crate::report::Measure;
use crate::rooms::Room;
use crate::{Progress, at_once};
use anyhow::{Context, anyhow, bail};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// How long no pod may become ready until those that are missing are given up.
const QUIET: Duration = Duration::from_secs(30);
/// How many times a watch is opened anew that the server has ended.
const REOPENED: usize = 1_000;
/// How many watches are opened at a time.
const AT_A_TIME: usize = 16;
/// How often it is told how far it is, and looked whether it goes on.
const TOLD: Duration = Duration::from_millis(250);

/// A room with a watch of its pods.
pub struct Place {
    connection: Connection,
    path: String,
    shared: Arc<Shared>,
    watch: JoinHandle<()>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    ready: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    pods: HashMap<String, oneshot::Sender<Heard>>,
    /// What was said last of a pod that is not ready.
    why: Option<String>,
    /// Nothing is heard any more, and why.
    over: Option<String>,
}

/// When a pod was heard to be ready, or why nothing is heard any more.
type Heard = Result<Instant, String>;

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pod that was made.
pub struct Made {
    /// When its creation was sent.
    pub sent: Instant,
    /// How long until that was answered.
    pub answered: Duration,
    /// When it was heard that it is ready.
    ready: oneshot::Receiver<Heard>,
}

impl Made {
    /// From the sending of its creation until it was heard that it is ready.
    pub async fn ready(self) -> anyhow::Result<Duration> {
        let heard = self.ready.await.context("nobody watches pods any more")?;
        let at = heard.map_err(|why| anyhow!("the watch of pods broke: {why}"))?;
        Ok(at.saturating_duration_since(self.sent))
    }
}

impl Place {
    /// Opens the watch of a room, over a connection of its own.
    pub async fn open(room: &Room) -> anyhow::Result<Place> {
        let mut connection = room.plane.connect().await?;
        let path = room.path("pods");
        let events = watch(&mut connection, &path).await?;
        let shared = Arc::new(Shared::default());
        let watch = tokio::spawn(hear(connection.clone(), path.clone(), events, shared.clone()));
        Ok(Place { connection, path, shared, watch })
    }

    /// Opens those of all rooms.
    pub async fn open_all(rooms: &[Room]) -> anyhow::Result<Vec<Place>> {
        at_once(AT_A_TIME, rooms, Place::open).await
    }

    /// Makes a pod. A refusal is an error in the server's words.
    pub async fn make(&self, name: &str) -> anyhow::Result<Made> {
        let (tell, ready) = oneshot::channel();
        {
            let mut waiting = self.shared.waiting();
            if let Some(why) = &waiting.over {
                bail!("the watch of pods broke: {why}");
            }
            waiting.pods.insert(name.to_owned(), tell);
        }
        let call = Call::with(Method::POST, self.path.clone(), &Kind::Pod.object(name, 0));
        let (sent, mut connection) = (Instant::now(), self.connection.clone());
        let answer = connection.measure(call).await?;
        let answered = sent.elapsed();
        match answer.refusal {
            None => Ok(Made { sent, answered, ready }),
            Some(refusal) => bail!("{}: {refusal}", answer.status),
        }
    }

    /// Makes a pod and waits until it is ready.
    pub async fn run(&self, name: &str) -> anyhow::Result<Duration> {
        let made = self.make(name).await?;
        match tokio::time::timeout(QUIET, made.ready()).await {
            Ok(ready) => ready,
            Err(_) => bail!(stuck(std::iter::once(self))),
        }
    }
}

/// What is wrong when pods do not become ready.
fn stuck<'a>(mut places: impl Iterator<Item = &'a Place>) -> String {
    let why = places.find_map(|place| place.shared.waiting().why.clone());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("not ready, and no news for {} s{why}", QUIET.as_secs())
}

/// What became of many pods.
#[derive(Default)]
pub struct Burst {
    /// Their creations.
    pub created: Measure,
    /// From the sending of a creation until it was heard that the pod is ready.
    pub ready: Measure,
}

/// Makes many pods, so many at a time, each in the next place, and waits until all are ready.
pub async fn burst(
    places: &[Arc<Place>],
    count: u64,
    at_a_time: usize,
    name: fn(u64) -> String,
    progress: &dyn Progress,
) -> anyhow::Result<Burst> {
    let (clock, next) = (Clock::start(), Arc::new(AtomicU64::new(0)));
    let seen = || places.iter().map(|place| place.shared.ready.load(Ordering::Relaxed)).sum::<u64>();
    let before = seen();
    let mut workers = JoinSet::new();
    for _ in 0..at_a_time {
        let (places, next) = (places.to_vec(), next.clone());
        workers.spawn(async move {
            let mut made = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return made;
                }
                let place = &places[number as usize % places.len()];
                made.push(place.make(&name(number)).await);
            }
        });
    }
    let (mut burst, mut waits) = (Burst::default(), JoinSet::new());
    let (mut told, mut last, mut since) = (tokio::time::interval(TOLD), before, Instant::now());
    while !workers.is_empty() || !waits.is_empty() {
        tokio::select! {
            Some(made) = workers.join_next() => {
                for made in made? {
                    match made {
                        Ok(made) => {
                            burst.created.add(made.answered, 0);
                            waits.spawn(made.ready());
                        }
                        Err(error) => burst.created.fail(format!("{error:#}")),
                    }
                }
                burst.created.elapsed = clock.elapsed();
                since = Instant::now();
            }
            Some(ready) = waits.join_next() => match ready? {
                Ok(time) => burst.ready.add(time, 0),
                Err(error) => burst.ready.fail(format!("{error:#}")),
            },
            _ = told.tick() => {
                let (made, ready) = (next.load(Ordering::Relaxed).min(count), seen());
                progress.at(&format!("pods: {made} of {count} sent, {} ready", ready - before));
                if ready != last || !workers.is_empty() {
                    (last, since) = (ready, Instant::now());
                }
                if since.elapsed() > QUIET {
                    let why = stuck(places.iter().map(AsRef::as_ref));
                    (0..waits.len()).for_each(|_| burst.ready.fail(why.clone()));
                    break;
                }
            }
        }
    }
    burst.ready.elapsed = clock.elapsed();
    Ok(burst)
}

/// Opens a watch, which begins with all that is there.
async fn watch(connection: &mut Connection, path: &str) -> anyhow::Result<Incoming> {
    let response = connection.open(Call::new(Method::GET, format!("{path}?watch=true"))).await?;
    if !response.status().is_success() {
        bail!("a watch of pods is refused with {}", response.status());
    }
    Ok(response.into_body())
}

/// Watches pods. A server may end a watch at any time, and then it is opened anew, [`REOPENED`] times at most. When that is
/// not possible any more, nobody waits any more.
async fn hear(mut connection: Connection, path: String, mut events: Incoming, shared: Arc<Shared>) {
    let mut left = REOPENED;
    let why = loop {
        let why = until_its_end(&mut events, &shared).await;
        if left == 0 {
            break why;
        }
        left -= 1;
        match watch(&mut connection, &path).await {
            Ok(opened) => events = opened,
            Err(error) => break format!("{why}, and it cannot be opened anew: {error:#}"),
        }
    };
    let mut waiting = shared.waiting();
    for (_, tell) in waiting.pods.drain() {
        // Nobody waits for it any more when the benchmark is interrupted.
        let _ = tell.send(Err(why.clone()));
    }
    waiting.over = Some(why);
}

/// A watch, until it ends: why it has.
async fn until_its_end(events: &mut Incoming, shared: &Shared) -> String {
    let mut line = Vec::new();
    loop {
        let frame = match events.frame().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return error.to_string(),
            None => return "the server ended it".to_owned(),
        };
        for part in frame.into_data().unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") {
                note(&line, shared);
                line.clear();
            }
        }
    }
}

fn note(line: &[u8], shared: &Shared) {
    let now = Instant::now();
    let Ok(event) = serde_json::from_slice::<Event<'_>>(line) else { return };
    let conditions = &event.object.status.conditions;
    let mut waiting = shared.waiting();
    if conditions.iter().any(|c| c.is("Ready", "True")) {
        if let Some(tell) = waiting.pods.remove(event.object.metadata.name.as_ref()) {
            shared.ready.fetch_add(1, Ordering::Relaxed);
            // Nobody waits for it any more when the benchmark is interrupted.
            let _ = tell.send(Ok(now));
        }
    } else if let Some(why) = conditions
        .iter()
        .find(|c| c.is("PodScheduled", "False") || c.is("insula.dev/Synced", "False"))
        .filter(|c| !c.message.is_empty())
    {
        waiting.why = Some(why.message.clone().into_owned());
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    object: Pod<'a>,
}

#[derive(Deserialize, Default)]
struct Pod<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
    #[serde(borrow, default)]
    status: Status<'a>,
}

#[derive(Deserialize, Default)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
struct Status<'a> {
    #[serde(borrow, default)]
    conditions: Vec<Condition<'a>>,
}

#[derive(Deserialize, Default)]
struct Condition<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

impl Condition<'_> {
    fn is(&self, kind: &str, status: &str) -> bool {
        self.kind == kind && self.status == status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_ready_when_its_condition_says_so_and_else_it_is_kept_why_not() {
        let (shared, (tell, mut told)) = (Shared::default(), oneshot::channel());
        shared.waiting().pods.insert("a".into(), tell);
        let event = |conditions: &str| {
            format!(
                r#"{{"type":"MODIFIED","object":{{"metadata":{{"name":"a"}},"status":{{"conditions":[{conditions}]}}}}}}"#
            )
        };
        note(br#"{"type":"ADDED","object":{"metadata":{"name":"a"}}}"#, &shared);
        let unscheduled = r#"{"type":"PodScheduled","status":"False","message":"no \"room\""}"#;
        note(event(unscheduled).as_bytes(), &shared);
        note(event(r#"{"type":"Ready","status":"False"}"#).as_bytes(), &shared);
        assert!(told.try_recv().is_err());
        assert_eq!(shared.waiting().why.as_deref(), Some("no \"room\""));
        note(event(r#"{"type":"Ready","status":"True"}"#).as_bytes(), &shared);
        note(event(r#"{"type":"Ready","status":"True"}"#).as_bytes(), &shared);
        assert!(told.try_recv().is_ok());
        assert_eq!(shared.ready.load(Ordering::Relaxed), 1);
    }
}
