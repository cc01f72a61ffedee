//! The logs of simulated containers: what is known of them, and that nothing runs.
//!
//! A container's run has a beginning and perhaps an end, each a time; the lines say both. Options select among them as a
//! kubelet does among lines that were printed. Who follows a run hears of its end, and is done.

use super::options::LogOptions;
use crate::cache::watchers::Changes;
use crate::gateway::Place;
use crate::handlers::get;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, ObjectName};
use bytes::Bytes;
use futures::Stream;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::VecDeque;
use std::io;

/// The lists of the status with containers.
const LISTS: [&str; 3] = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];

/// One run of a container.
#[derive(Clone, Debug, PartialEq)]
struct Run {
    id: String,
    started: Timestamp,
    /// When it ended, and how.
    ended: Option<(Timestamp, i64)>,
}

/// A line, and when it was printed.
type Line = (Timestamp, String);

/// The log of a container as it comes; refused where a kubelet has none.
pub fn log(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    container: &str,
    options: &LogOptions,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, ApiError> {
    let name = ObjectName::new(&place.namespace, &place.name);
    let pods = server.cache.collection(auth.plane().id, &place.resource());
    // Before the pod is looked at, so that nothing falls between.
    let changes = options.follow.then(|| pods.list_and_watch(&place.namespace).1);
    let found = pods.get(&name).ok_or_else(|| ApiError::not_found(&place.resource(), &place.name))?;
    let pod = get::value(&found)?;
    let run = run(&pod, container, options.previous)?;
    let mut writer = Writer::new(options);
    let first = writer.write(&select(lines(&pod, container, &run), options, Timestamp::now()));
    let state = Following {
        ready: VecDeque::from([first]),
        changes: changes.filter(|_| run.ended.is_none()),
        name,
        container: container.to_owned(),
        run,
        writer,
    };
    Ok(futures::stream::unfold(state, |mut state| async move {
        let bytes = state.next().await?;
        Some((Ok(bytes), state))
    }))
}

/// A log that is being read.
struct Following {
    ready: VecDeque<Bytes>,
    /// `None`: nothing comes any more.
    changes: Option<Changes>,
    name: ObjectName,
    container: String,
    run: Run,
    writer: Writer,
}

impl Following {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                if !bytes.is_empty() {
                    return Some(bytes);
                }
                continue;
            }
            if self.writer.is_full() {
                return None;
            }
            // Ends for who lags, too.
            let event = self.changes.as_mut()?.recv().await?;
            if event.change.object.name != self.name {
                continue;
            }
            let pod = event.change.object.value().ok()?;
            let goes_on = |now: &Run| now.id == self.run.id && now.ended.is_none();
            if !event.change.is_deleted() && run(&pod, &self.container, false).is_ok_and(|now| goes_on(&now))
            {
                continue;
            }
            self.changes = None;
            let current = [false, true].into_iter().filter_map(|of| run(&pod, &self.container, of).ok());
            if let Some(ended) = current.into_iter().find(|now| now.id == self.run.id && now.ended.is_some())
            {
                let lines = lines(&pod, &self.container, &ended);
                self.ready.push_back(self.writer.write(&lines[lines.len() - 1..]));
            }
        }
    }
}

/// A run of a container: the last one, or the one before.
fn run(pod: &Value, container: &str, previous: bool) -> Result<Run, ApiError> {
    let name = pod["metadata"]["name"].as_str().unwrap_or("");
    let statuses = LISTS.iter().filter_map(|list| pod["status"][list].as_array()).flatten();
    let status = statuses.into_iter().find(|status| status["name"] == container).unwrap_or(&Value::Null);
    let before = &status["lastState"]["terminated"];
    if previous {
        let why = format!("previous terminated container {container:?} in pod {name:?} not found");
        return ended(before).ok_or_else(|| ApiError::bad_request(why));
    }
    let state = &status["state"];
    if let Some(started) = time(&state["running"]["startedAt"]) {
        return Ok(Run { id: text(&status["containerID"]), started, ended: None });
    }
    ended(&state["terminated"]).or_else(|| ended(before)).ok_or_else(|| {
        let reason = state["waiting"]["reason"].as_str().unwrap_or("ContainerCreating");
        let why = format!("container {container:?} in pod {name:?} is waiting to start: {reason}");
        ApiError::bad_request(why)
    })
}

fn ended(terminated: &Value) -> Option<Run> {
    let finished = time(&terminated["finishedAt"])?;
    let started = time(&terminated["startedAt"]).unwrap_or(finished);
    let code = terminated["exitCode"].as_i64().unwrap_or(0);
    Some(Run { id: text(&terminated["containerID"]), started, ended: Some((finished, code)) })
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

/// What there is to say of a run.
fn lines(pod: &Value, container: &str, run: &Run) -> Vec<Line> {
    let specs = ["initContainers", "containers", "ephemeralContainers"];
    let mut specs = specs.iter().filter_map(|list| pod["spec"][list].as_array()).flatten();
    let image = specs.find(|spec| spec["name"] == container).map(|spec| text(&spec["image"]));
    let image = image.unwrap_or_default();
    let mut lines = vec![
        (run.started, format!("simulated: no container runs here, so that image {image} prints nothing")),
        (run.started, format!("simulated: container {container} started at {}", run.started)),
    ];
    if let Some((at, code)) = run.ended {
        lines.push((at, format!("simulated: container {container} ended at {at} with exit code {code}")));
    }
    lines
}

/// The lines that the options ask for.
fn select(mut lines: Vec<Line>, options: &LogOptions, now: Timestamp) -> Vec<Line> {
    let ago =
        options.since_seconds.and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
    if let Some(since) = options.since_time.or(ago) {
        lines.retain(|(at, _)| *at >= since);
    }
    if let Some(tail) = options.tail_lines {
        let tail = usize::try_from(tail).unwrap_or(usize::MAX);
        lines.drain(..lines.len().saturating_sub(tail));
    }
    lines
}

/// Writes lines, up to a number of bytes.
struct Writer {
    timestamps: bool,
    left: Option<usize>,
}

impl Writer {
    fn new(options: &LogOptions) -> Self {
        let left = options.limit_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Writer { timestamps: options.timestamps, left }
    }

    fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    fn write(&mut self, lines: &[Line]) -> Bytes {
        let mut out = String::new();
        for (at, text) in lines {
            if self.timestamps {
                out.push_str(&format!("{at:.9} "));
            }
            out.push_str(text);
            out.push('\n');
        }
        let mut out = Bytes::from(out);
        if let Some(left) = &mut self.left {
            out.truncate(*left);
            *left -= out.len();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::Query;
    use serde_json::json;

    fn pod(status: Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]},
            "status": {"containerStatuses": [status]}})
    }

    fn ended_at(id: &str, from: &str, to: &str, code: i64) -> Value {
        json!({"terminated": {"containerID": id, "exitCode": code, "startedAt": format!("2026-01-01T00:00:{from}Z"),
            "finishedAt": format!("2026-01-01T00:00:{to}Z")}})
    }

    #[test]
    fn the_last_run_is_told_or_the_one_before() {
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:09Z"}});
        let ended = ended_at("a", "01", "03", 2);
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let status = |state: &Value, last: &Value| {
            pod(json!({"name": "c", "containerID": "b", "state": state, "lastState": last}))
        };
        let none = json!({});
        for (pod, previous, expected) in [
            (status(&running, &none), false, Ok(("b", None))),
            (status(&running, &ended), true, Ok(("a", Some(2)))),
            (status(&waiting, &ended), false, Ok(("a", Some(2)))),
            (status(&ended, &none), false, Ok(("a", Some(2)))),
            (
                status(&running, &none),
                true,
                Err("previous terminated container \"c\" in pod \"p\" not found"),
            ),
            (
                status(&json!({"waiting": {"reason": "PodInitializing"}}), &none),
                false,
                Err("container \"c\" in pod \"p\" is waiting to start: PodInitializing"),
            ),
            (
                json!({"metadata": {"name": "p"}}),
                false,
                Err("container \"c\" in pod \"p\" is waiting to start: ContainerCreating"),
            ),
        ] {
            let found = run(&pod, "c", previous);
            let found = found.as_ref().map(|run| (run.id.as_str(), run.ended.map(|(_, code)| code)));
            assert_eq!(
                found.map_err(|error| error.message().to_owned()),
                expected.map_err(str::to_owned),
                "{pod}"
            );
        }
    }

    #[test]
    fn options_choose_among_the_lines() {
        let pod = pod(json!({"name": "c", "state": ended_at("a", "01", "09", 3)}));
        let run = run(&pod, "c", false).unwrap();
        let now = "2026-01-01T00:00:11Z".parse().unwrap();
        let said = |query: &str| {
            let options = LogOptions::read(&Query::parse(query)).unwrap();
            let bytes = Writer::new(&options).write(&select(lines(&pod, "c", &run), &options, now));
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        let nothing = "simulated: no container runs here, so that image nginx prints nothing\n";
        let started = "simulated: container c started at 2026-01-01T00:00:01Z\n";
        let ended = "simulated: container c ended at 2026-01-01T00:00:09Z with exit code 3\n";
        assert_eq!(said(""), format!("{nothing}{started}{ended}"));
        assert_eq!(said("tailLines=1"), ended);
        assert_eq!(said("tailLines=0"), "");
        assert_eq!(said("limitBytes=9"), "simulated");
        assert_eq!(said("sinceSeconds=3"), ended);
        assert_eq!(said("sinceTime=2026-01-01T00:00:10Z"), "");
        assert_eq!(said("timestamps=true&tailLines=1"), format!("2026-01-01T00:00:09.000000000Z {ended}"));
    }
}
