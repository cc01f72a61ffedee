//! What a simulated pod says of itself: a pure function of the pod, what it lacks, and the time.

use super::usage;
use super::wishes::{Ending, KILLED, Readiness, Wishes, is_of_job};
use crate::access::{elements, number, text};
use crate::conditions::{self, Condition};
use api_types::condition::whole_seconds;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a pod lacks, by what it holds up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lacks {
    /// A volume cannot be mounted: no container is made.
    pub(super) volumes: bool,
    /// Containers that cannot be made, and why.
    pub(super) containers: BTreeMap<String, String>,
}

/// Where a pod runs.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) pod_ip: String,
    pub(super) host_ip: String,
}

/// What a process says that was told to end and did not expect it: 128 and SIGTERM.
const TERMINATED: i32 = 143;

/// The next status, and when to look again.
pub(super) fn next(pod: &Value, place: &Place, lacks: &Lacks, now: Timestamp) -> (Value, Option<Duration>) {
    let mut status = pod["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    for (field, value) in [
        ("hostIP", json!(place.host_ip)),
        ("hostIPs", json!([{"ip": place.host_ip}])),
        ("podIP", json!(place.pod_ip)),
        ("podIPs", json!([{"ip": place.pod_ip}])),
    ] {
        status[field] = value;
    }
    if status["startTime"].is_null() {
        status["startTime"] = whole_seconds(now).into();
    }
    if let Some(generation) = number(pod, "/metadata/generation") {
        status["observedGeneration"] = generation.into();
    }
    let (wishes, bad_annotation) = match Wishes::of(pod) {
        Ok(wishes) => (wishes, None),
        Err(why) => (Wishes::NONE, Some(why)),
    };
    let mut again: Option<Duration> = None;
    let mut look_after = |delay: Duration| again = Some(again.map_or(delay, |known| known.min(delay)));
    let begun = conditions::time(&status["startTime"]).unwrap_or(now);
    let is_made_in = wishes.start_after.saturating_sub(elapsed(begun, now));
    if !is_made_in.is_zero() {
        look_after(is_made_in);
    }
    if let Some(deadline) = deadline(pod) {
        look_after(deadline.saturating_sub(elapsed(begun, now)));
    }
    let holds_up = lacks.volumes || !is_made_in.is_zero();

    let is_sidecar = |spec: &Value| spec["restartPolicy"] == "Always";
    let mut init_done = true;
    let mut init_statuses = Vec::new();
    for spec in elements(pod, "/spec/initContainers") {
        let old = known(pod, "initContainerStatuses", spec);
        let held = holds_up || !init_done;
        let why = if held { None } else { lacks.containers.get(text(spec, "/name")) };
        let state = match (held, why, is_sidecar(spec)) {
            (true, _, _) => State::Waiting("PodInitializing", None),
            (_, Some(why), _) => State::Waiting("CreateContainerConfigError", Some(why.clone())),
            (_, None, true) => State::Running(started_at(old).unwrap_or(now)),
            (_, None, false) => State::Ended {
                started: started_at(old).unwrap_or(now),
                code: 0,
                reason: "Completed",
                at: ended_at(old).unwrap_or(now),
            },
        };
        init_done &= match &state {
            State::Running(_) => true,
            State::Ended { code, .. } => *code == 0,
            State::Waiting(..) => false,
        };
        let is_ready = match &state {
            State::Ended { code, .. } => *code == 0,
            State::Running(_) | State::Waiting(..) => readiness(&state, wishes.ready, now).is_ok(),
        };
        init_statuses.push(container_status(pod, spec, &state, is_ready, 0, old));
    }
    let policy = match text(pod, "/spec/restartPolicy") {
        "" => "Always",
        policy => policy,
    };
    let out_of_memory = usage::out_of_memory(pod);
    let mut statuses = Vec::new();
    let mut states = Vec::new();
    let mut unready = Vec::new();
    for spec in elements(pod, "/spec/containers") {
        let old = known(pod, "containerStatuses", spec);
        let ending = match wishes.ending {
            _ if out_of_memory.contains(&text(spec, "/name")) => Some(Ending::OUT_OF_MEMORY),
            ending => ending,
        };
        let restarts = old.and_then(|old| number(old, "/restartCount")).unwrap_or(0);
        let why = lacks.containers.get(text(spec, "/name")).or(bad_annotation.as_ref());
        let (state, restarts) = if holds_up {
            (State::Waiting("ContainerCreating", None), restarts)
        } else if !init_done {
            (State::Waiting("PodInitializing", None), restarts)
        } else if let (Some(why), None) = (why, started_at(old)) {
            (State::Waiting("CreateContainerConfigError", Some(why.clone())), restarts)
        } else {
            let (state, restarts, later) = run(old, restarts, ending, policy, now);
            if let Some(later) = later {
                look_after(later);
            }
            (state, restarts)
        };
        let ready = readiness(&state, wishes.ready, now);
        if let Err(Some(rest)) = ready {
            look_after(rest);
        }
        if ready.is_err() {
            unready.push(text(spec, "/name"));
        }
        statuses.push(container_status(pod, spec, &state, ready.is_ok(), restarts, old));
        states.push(state);
    }
    let phase = phase(&states, policy, init_done);
    let progress = Progress { initialized: init_done, sandbox: !holds_up };
    set_conditions(pod, &mut status, &unready, phase, progress, now);
    status["phase"] = phase.into();
    if matches!(phase, "Succeeded" | "Failed") {
        init_statuses = stopped(pod, &init_statuses, "/spec/initContainers", 0, now);
    }
    let debugging: Vec<Value> = elements(pod, "/spec/ephemeralContainers")
        .iter()
        .map(|spec| {
            let old = known(pod, "ephemeralContainerStatuses", spec);
            container_status(pod, spec, &State::Running(started_at(old).unwrap_or(now)), false, 0, old)
        })
        .collect();
    if !debugging.is_empty() && init_done && !holds_up {
        status["ephemeralContainerStatuses"] = debugging.into();
    }
    if !init_statuses.is_empty() {
        status["initContainerStatuses"] = init_statuses.into();
    }
    status["containerStatuses"] = statuses.into();
    (status, again)
}

/// How a pod is ended before its containers end by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its containers were told to end, and did.
    Told,
    /// They did not within the pod's grace.
    Killed,
}

/// The last status of a pod that is being deleted.
pub(super) fn ended(pod: &Value, how: Stop, now: Timestamp) -> Value {
    let mut status = pod["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    let code = match how {
        Stop::Killed => KILLED,
        // Work that is broken off is not done.
        Stop::Told if is_of_job(pod) => TERMINATED,
        Stop::Told => 0,
    };
    for (list, specs) in [
        ("initContainerStatuses", "/spec/initContainers"),
        ("containerStatuses", "/spec/containers"),
        ("ephemeralContainerStatuses", "/spec/ephemeralContainers"),
    ] {
        let statuses = stopped(pod, elements(&status, &format!("/{list}")), specs, code, now);
        if !statuses.is_empty() {
            status[list] = statuses.into();
        }
    }
    let ran = elements(&status, "/containerStatuses").iter().any(|c| c["state"]["terminated"].is_object());
    let end = if code == 0 { "Succeeded" } else { "Failed" };
    let phase = if ran && text(pod, "/status/phase") == "Running" { end } else { text(pod, "/status/phase") };
    let progress = Progress { initialized: true, sandbox: false };
    let unready = names(pod);
    set_conditions(pod, &mut status, &unready, if ran { "Succeeded" } else { "Pending" }, progress, now);
    if !phase.is_empty() {
        status["phase"] = phase.into();
    }
    status
}

/// The last status of a pod that fails as a whole: its containers are killed.
pub(super) fn failed(pod: &Value, reason: &str, message: &str, now: Timestamp) -> Value {
    let mut status = ended(pod, Stop::Killed, now);
    status["phase"] = "Failed".into();
    status["reason"] = reason.into();
    status["message"] = message.into();
    let progress = Progress { initialized: true, sandbox: false };
    set_conditions(pod, &mut status, &names(pod), "Failed", progress, now);
    status
}

/// How long the pod may be active.
fn deadline(pod: &Value) -> Option<Duration> {
    let seconds = number(pod, "/spec/activeDeadlineSeconds")?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// True when the pod has been active for as long as it may.
pub(super) fn is_past_deadline(pod: &Value, now: Timestamp) -> bool {
    let begun = conditions::time(&pod["status"]["startTime"]);
    let since = begun.map(|begun| elapsed(begun, now));
    deadline(pod).zip(since).is_some_and(|(deadline, since)| since >= deadline)
}

fn names(pod: &Value) -> Vec<&str> {
    elements(pod, "/spec/containers").iter().map(|spec| text(spec, "/name")).collect()
}

/// Statuses of containers of which those that ran have ended.
fn stopped(pod: &Value, statuses: &[Value], specs: &str, code: i32, now: Timestamp) -> Vec<Value> {
    let end = |status: &Value| {
        let spec = elements(pod, specs).iter().find(|spec| spec["name"] == status["name"]);
        let (Some(spec), Some(started)) = (spec, started_at(Some(status))) else { return status.clone() };
        if ended_at(Some(status)).is_some() {
            return status.clone();
        }
        let reason = if code == 0 { "Completed" } else { "Error" };
        let restarts = number(status, "/restartCount").unwrap_or(0);
        let state = State::Ended { started, code, reason, at: now };
        container_status(pod, spec, &state, false, restarts, Some(status))
    };
    statuses.iter().map(end).collect()
}

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Reason and message.
    Waiting(&'static str, Option<String>),
    Running(Timestamp),
    Ended {
        started: Timestamp,
        code: i32,
        reason: &'static str,
        at: Timestamp,
    },
}

/// Whether a container is ready; else when it will be by time alone.
fn readiness(state: &State, wanted: Readiness, now: Timestamp) -> Result<(), Option<Duration>> {
    let (State::Running(since), Readiness::After(delay)) = (state, wanted) else { return Err(None) };
    let rest = delay.saturating_sub(elapsed(*since, now));
    if rest.is_zero() { Ok(()) } else { Err(Some(rest)) }
}

/// The status of a container as the pod says it now.
fn known<'a>(pod: &'a Value, list: &str, spec: &Value) -> Option<&'a Value> {
    pod["status"][list].as_array()?.iter().find(|status| status["name"] == spec["name"])
}

/// When the container's current run began, running or ended.
fn started_at(status: Option<&Value>) -> Option<Timestamp> {
    let state = &status?["state"];
    conditions::time(&state["running"]["startedAt"])
        .or_else(|| conditions::time(&state["terminated"]["startedAt"]))
}

fn ended_at(status: Option<&Value>) -> Option<Timestamp> {
    conditions::time(&status?["state"]["terminated"]["finishedAt"])
}

/// One container that may run: its state, its restarts, and when something changes by time alone.
fn run(
    old: Option<&Value>,
    restarts: i64,
    ending: Option<Ending>,
    policy: &str,
    now: Timestamp,
) -> (State, i64, Option<Duration>) {
    let Some(ending @ Ending { after, exit_code, .. }) = ending else {
        return (State::Running(started_at(old).unwrap_or(now)), restarts, None);
    };
    let restart = policy == "Always" || (policy == "OnFailure" && exit_code != 0);
    // A container that waits to be restarted tells of its last run only.
    if let Some(finished) = old.and_then(waiting_since) {
        let rest = backoff(restarts).saturating_sub(elapsed(finished, now));
        if !rest.is_zero() {
            return (crash_loop(restarts), restarts, Some(rest));
        }
        return (State::Running(now), restarts + 1, Some(after.max(Duration::from_millis(1))));
    }
    let started = started_at(old).unwrap_or(now);
    let at = ended_at(old).or_else(|| (elapsed(started, now) >= after).then_some(now));
    let ended = |at| State::Ended { started, code: exit_code, reason: ending.reason(), at };
    match at {
        None => (State::Running(started), restarts, Some(after - elapsed(started, now))),
        Some(at) if !restart => (ended(at), restarts, None),
        Some(at) if ended_at(old).is_none() => {
            // Seen as ended once before it waits for its restart.
            (ended(at), restarts, Some(Duration::from_secs(1)))
        }
        Some(_) => (crash_loop(restarts), restarts, Some(backoff(restarts))),
    }
}

/// How long ago something was.
pub(super) fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// When the last run of a container that waits to be restarted ended.
fn waiting_since(status: &Value) -> Option<Timestamp> {
    let waits = status["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    waits.then(|| conditions::time(&status["lastState"]["terminated"]["finishedAt"])).flatten()
}

/// How long a container waits before its next run: 10 s, doubled each time, at most 5 minutes.
fn backoff(restarts: i64) -> Duration {
    let doublings = u32::try_from(restarts.clamp(0, 5)).unwrap_or(0);
    Duration::from_secs((10u64 << doublings).min(300))
}

/// The containers that wait to be restarted, and did not wait before.
pub(super) fn crash_loops(pod: &Value, status: &Value) -> Vec<String> {
    let waits = |status: &Value| status["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    let statuses = elements(status, "/containerStatuses").iter();
    let new = statuses.filter(|now| waits(now) && !known(pod, "containerStatuses", now).is_some_and(waits));
    new.map(|now| text(now, "/name").to_owned()).collect()
}

fn crash_loop(restarts: i64) -> State {
    let seconds = backoff(restarts).as_secs();
    State::Waiting("CrashLoopBackOff", Some(format!("back-off {seconds}s restarting simulated container")))
}

fn container_status(
    pod: &Value,
    spec: &Value,
    state: &State,
    is_ready: bool,
    restarts: i64,
    old: Option<&Value>,
) -> Value {
    let name = text(spec, "/name");
    let image = text(spec, "/image");
    // A startup probe succeeds when the container is ready.
    let passes = is_ready || spec["startupProbe"].is_null();
    // The same when it is told again: the status holds whole seconds.
    let id = |started: Timestamp| {
        let run =
            [text(pod, "/metadata/uid"), name, &restarts.to_string(), &whole_seconds(started)].join(" ");
        format!("simulated://{}", crate::hash::short(&run, 32))
    };
    let (value, started, container) = match state {
        State::Waiting(reason, message) => {
            let mut waiting = json!({"reason": reason});
            if let Some(message) = message {
                waiting["message"] = message.as_str().into();
            }
            (json!({"waiting": waiting}), false, None)
        }
        State::Running(at) => (json!({"running": {"startedAt": whole_seconds(*at)}}), passes, Some(id(*at))),
        State::Ended { started, code, reason, at } => {
            let terminated = json!({
                "exitCode": code, "reason": reason,
                "startedAt": whole_seconds(*started), "finishedAt": whole_seconds(*at), "containerID": id(*started),
            });
            (json!({"terminated": terminated}), false, Some(id(*started)))
        }
    };
    let ran = container.is_some();
    let mut status = json!({
        "name": name, "image": image, "imageID": if ran { format!("simulated://{image}") } else { String::new() },
        "state": value, "lastState": {}, "ready": is_ready, "started": started, "restartCount": restarts,
    });
    if let Some(container) = container {
        status["containerID"] = container.into();
    }
    // What is asked for is there at once, also after a resize.
    if matches!(state, State::Running(_)) {
        let mut resources = json!({});
        for list in ["limits", "requests"] {
            if spec["resources"][list].is_object() {
                resources[list] = spec["resources"][list].clone();
            }
        }
        if resources["requests"].is_object() {
            status["allocatedResources"] = resources["requests"].clone();
        }
        status["resources"] = resources;
    }
    // The last run that ended, of another run than this one.
    let previous = old
        .map(|old| &old["state"]["terminated"])
        .filter(|t| t.is_object() && !matches!(state, State::Ended { .. }));
    let kept = old.map(|old| &old["lastState"]["terminated"]).filter(|terminated| terminated.is_object());
    if let Some(last) = previous.or(kept) {
        status["lastState"] = json!({"terminated": last});
        if status["containerID"].is_null() {
            status["containerID"] = last["containerID"].clone();
        }
    }
    status
}

fn phase(states: &[State], policy: &str, init_done: bool) -> &'static str {
    let is_waiting =
        |state: &State| matches!(state, State::Waiting(reason, _) if *reason != "CrashLoopBackOff");
    if !init_done || states.iter().all(is_waiting) {
        return "Pending";
    }
    let codes: Vec<i32> = states
        .iter()
        .filter_map(|state| match state {
            State::Ended { code, .. } => Some(*code),
            _ => None,
        })
        .collect();
    let all_ended = codes.len() == states.len();
    let failed = codes.iter().any(|code| *code != 0);
    match (all_ended, policy) {
        (true, "Never") if failed => "Failed",
        (true, "Never") => "Succeeded",
        (true, "OnFailure") if !failed => "Succeeded",
        _ => "Running",
    }
}

/// How far a pod has come before its containers.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Its init containers have ended well.
    initialized: bool,
    /// Its volumes are mounted and its network is there.
    sandbox: bool,
}

fn set_conditions(
    pod: &Value,
    status: &mut Value,
    unready: &[&str],
    phase: &str,
    Progress { initialized, sandbox }: Progress,
    now: Timestamp,
) {
    let yes = |holds: bool| if holds { "True" } else { "False" };
    let completed = phase == "Succeeded" || phase == "Failed";
    let ready = unready.is_empty() && phase == "Running";
    let (reason, message) = match (ready, completed) {
        (true, _) => ("", String::new()),
        (_, true) => ("PodCompleted", String::new()),
        _ => ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))),
    };
    let gates = elements(pod, "/spec/readinessGates");
    let existing = elements(pod, "/status/conditions").to_vec();
    let open: Vec<&str> = gates
        .iter()
        .map(|gate| text(gate, "/conditionType"))
        .filter(|gate| !conditions::holds(&existing, gate))
        .collect();
    let (pod_ready, pod_reason, pod_message) = if ready && !open.is_empty() {
        let message = format!("the status of pod readiness gate {:?} is not \"True\"", open[0]);
        (false, "ReadinessGatesNotReady", message)
    } else {
        (ready, reason, message.clone())
    };
    let mut list = existing;
    let observed: Vec<(&str, Value)> =
        number(pod, "/metadata/generation").map(|g| ("observedGeneration", g.into())).into_iter().collect();
    let init_reason = if initialized { "" } else { "ContainersNotInitialized" };
    for (kind, holds, reason, message) in [
        ("PodReadyToStartContainers", sandbox && !completed, "", String::new()),
        ("Initialized", initialized, init_reason, String::new()),
        ("Ready", pod_ready, pod_reason, pod_message),
        ("ContainersReady", ready, reason, message),
        ("PodScheduled", true, "", String::new()),
    ] {
        let condition = Condition { kind, status: yes(holds), reason, message };
        conditions::set(&mut list, &condition, &observed, now);
    }
    status["conditions"] = list.into();
}

#[cfg(test)]
mod tests;
