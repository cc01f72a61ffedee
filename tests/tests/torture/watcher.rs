//! Clients that watch, and hold the watch to what it promises: every change once, in order, without a gap after the list
//! that it begins with or after any version that was seen, or 410.

use crate::client::{Answered, Client, Lines, PATH, mark, version};
use crate::history::{Event, History, Kind, Segment};
use crate::load::Shared;
use http::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(20);
/// The name of the object that is made when all is over.
const LAST: &str = "last";
/// How many versions are resumed from in the end.
const SAMPLES: usize = 20;

/// What a watch knows: the version up to which it saw everything, and what there is.
struct Watcher {
    from: u64,
    at: u64,
    listed: BTreeMap<String, (u64, u64)>,
    there: BTreeMap<String, u64>,
    seen: Vec<u64>,
    over: bool,
}

/// Watches until the object [`LAST`] is there.
pub async fn run(client: Client, shared: std::sync::Arc<Shared>, number: u64) {
    loop {
        // Half of them begin with a list, the other half with the list that a watch sends.
        let begun =
            if number.is_multiple_of(2) { list(&client).await } else { stream_list(&client, &shared).await };
        let Some((mut watcher, mut lines)) = begun else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        loop {
            let followed = match &mut lines {
                Some(lines) => watcher.follow(lines, &shared).await,
                None => watcher.resume(&client, &shared).await,
            };
            lines = None;
            match followed {
                Followed::Ended if watcher.over => break,
                Followed::Ended => shared.history.lock().counts.resumed += 1,
                Followed::Gone => {
                    shared.history.lock().counts.relisted += 1;
                    break;
                }
            }
        }
        let over = watcher.over;
        let Watcher { from, at, listed, seen, .. } = watcher;
        shared.history.lock().segment(Segment { from, listed, seen, to: at });
        if over {
            return;
        }
    }
}

enum Followed {
    /// The stream ended or broke: go on from there.
    Ended,
    /// What comes next is no longer kept.
    Gone,
}

impl Watcher {
    fn new(from: u64, listed: BTreeMap<String, (u64, u64)>) -> Self {
        let there = listed.iter().map(|(name, (_, mark))| (name.clone(), *mark)).collect();
        let over = listed.contains_key(LAST);
        Watcher { from, at: from, listed, there, seen: Vec::new(), over }
    }

    async fn resume(&mut self, client: &Client, shared: &Shared) -> Followed {
        let path = format!("{PATH}?watch=true&allowWatchBookmarks=true&resourceVersion={}", self.at);
        match client.watch(&path).await {
            Some(Ok(mut lines)) => self.follow(&mut lines, shared).await,
            Some(Err(Answered { code: 410, .. })) => Followed::Gone,
            Some(Err(Answered { code: 429 | 503 | 504, .. })) | None => {
                tokio::time::sleep(PAUSE).await;
                Followed::Ended
            }
            Some(Err(other)) => {
                shared.history.lock().violation(format!("a watch from {} was answered {other:?}", self.at));
                Followed::Gone
            }
        }
    }

    async fn follow(&mut self, lines: &mut Lines, shared: &Shared) -> Followed {
        while !self.over {
            let Some(event) = lines.next().await else { return Followed::Ended };
            let mut history = shared.history.lock();
            if event["type"] == "ERROR" {
                if event["object"]["code"] != 410 {
                    history.violation(format!("a watch from {} was told {event}", self.at));
                }
                return Followed::Gone;
            }
            self.take(&event, &mut history);
        }
        Followed::Ended
    }

    fn take(&mut self, event: &Value, history: &mut History) {
        let object = &event["object"];
        let at = version(object);
        if event["type"] == "BOOKMARK" {
            history.counts.bookmarks += 1;
            if at < self.at {
                history.violation(format!("a bookmark at {at} comes after {}", self.at));
            }
            self.at = at;
            return;
        }
        if at <= self.at {
            history.violation(format!("a watch that is at {} shows {event}", self.at));
        }
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        let mark = mark(object);
        let (kind, known) = match event["type"].as_str().unwrap_or("") {
            "ADDED" => (Kind::Added, self.there.insert(name.clone(), mark).is_none()),
            "MODIFIED" => (Kind::Modified, self.there.insert(name.clone(), mark).is_some()),
            "DELETED" => (Kind::Deleted, self.there.remove(&name) == Some(mark)),
            other => panic!("an event of type {other}: {event}"),
        };
        if !known {
            history.violation(format!(
                "a watch shows {event}, which does not follow from what it showed before"
            ));
        }
        self.over |= name == LAST;
        self.at = at;
        self.seen.push(at);
        history.event(at, Event { name, kind, mark });
    }
}

async fn list(client: &Client) -> Option<(Watcher, Option<Lines>)> {
    let answer = client.ask(Method::GET, PATH, None).await.ok().filter(|answer| answer.code == 200)?;
    let items = answer.body["items"].as_array()?;
    let entry =
        |item: &Value| (item["metadata"]["name"].as_str().unwrap().to_owned(), (version(item), mark(item)));
    Some((Watcher::new(version(&answer.body), items.iter().map(entry).collect()), None))
}

/// A list as a stream: additions, and a bookmark behind the last.
async fn stream_list(client: &Client, shared: &Shared) -> Option<(Watcher, Option<Lines>)> {
    let path = format!(
        "{PATH}?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    );
    let mut lines = client.watch(&path).await?.ok()?;
    let mut listed = BTreeMap::new();
    loop {
        let event = lines.next().await?;
        let object = &event["object"];
        match event["type"].as_str() {
            Some("ADDED") => {
                let name = object["metadata"]["name"].as_str()?.to_owned();
                listed.insert(name, (version(object), mark(object)));
            }
            Some("BOOKMARK") if object["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true" => {
                shared.history.lock().counts.bookmarks += 1;
                return Some((Watcher::new(version(object), listed), Some(lines)));
            }
            _ => {
                shared.history.lock().violation(format!("before the end of the list came {event}"));
                return None;
            }
        }
    }
}

/// From any version that was seen, a watch shows just what came after it, or is told that this is no longer kept.
pub async fn resume(client: &Client, shared: &Shared) {
    let seen = shared.history.lock().seen();
    let stride = (seen.len() / SAMPLES).max(1);
    let mut resumed = 0;
    // The newest are those of after the last fault.
    for from in seen.iter().rev().skip(1).step_by(stride) {
        let expected = shared.history.lock().events_after(*from, "");
        let path = format!("{PATH}?watch=true&resourceVersion={from}");
        let mut shown = Vec::new();
        let mut lines = match client.watch(&path).await {
            Some(Ok(lines)) => lines,
            Some(Err(Answered { code: 410, .. })) => continue,
            other => panic!("a watch from {from}: {:?}", other.map(|answer| answer.err())),
        };
        while shown.len() < expected.len() {
            let event = lines.next().await.expect("the watch goes on");
            if event["object"]["code"] == 410 {
                break;
            }
            let mut watcher = Watcher::new(0, BTreeMap::new());
            let object = &event["object"];
            watcher.at = version(object);
            let kind = match event["type"].as_str() {
                Some("ADDED") => Kind::Added,
                Some("MODIFIED") => Kind::Modified,
                _ => Kind::Deleted,
            };
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            shown.push((watcher.at, Event { name, kind, mark: mark(object) }));
        }
        // 410 comes before anything else.
        if shown.is_empty() && !expected.is_empty() {
            continue;
        }
        resumed += 1;
        if shown != expected {
            shared
                .history
                .lock()
                .violation(format!("a watch from {from} shows {shown:?} and not {expected:?}"));
        }
    }
    assert!(resumed > 0, "no watch could be resumed");
}
