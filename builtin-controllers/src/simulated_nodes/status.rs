//! What a simulated pod says of itself: a pure function of the pod, what it lacks, and the time.

use super::durations;
use crate::access::{elements, number, text};
use crate::conditions::{self, Condition};
use api_types::condition::whole_seconds;
use api_types::labels::{SIM_EXIT_CODE, SIM_RUN_FOR};
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

/// How a pod is to end, from its annotations; `None`: it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ending {
    after: Duration,
    exit_code: i32,
}

/// The label of a job's pods. Owners do not go down to super clusters; labels do.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// A job's pod is to end, and does so by itself.
const JOB_RUNS_FOR: Duration = Duration::from_secs(1);
/// What a process says that was told to end and did not expect it: 128 and SIGTERM.
const TERMINATED: i32 = 143;

/// Reads the annotations. Only an exit code: at once, or a job's pod after a second. What cannot be read is told, not guessed.
fn ending(pod: &Value) -> Result<Option<Ending>, String> {
    let annotation = |key: &str| pod["metadata"]["annotations"][key].as_str();
    let run_for = annotation(SIM_RUN_FOR).map(|text| {
        durations::parse(text)
            .ok_or_else(|| format!("annotation {SIM_RUN_FOR}: {text:?} is not a duration such as 5s"))
    });
    let exit_code = annotation(SIM_EXIT_CODE).map(|text| {
        let code = text.parse::<i32>().ok().filter(|code| (0..=255).contains(code));
        code.ok_or_else(|| format!("annotation {SIM_EXIT_CODE}: {text:?} is not a number from 0 to 255"))
    });
    let of_job = pod["metadata"]["labels"][JOB_NAME].is_string() && pod["spec"]["restartPolicy"] != "Always";
    if run_for.is_none() && exit_code.is_none() && !of_job {
        return Ok(None);
    }
    let default = if of_job { JOB_RUNS_FOR } else { Duration::ZERO };
    Ok(Some(Ending {
        after: run_for.transpose()?.unwrap_or(default),
        exit_code: exit_code.transpose()?.unwrap_or(0),
    }))
}

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
    let (ending, bad_annotation) = match ending(pod) {
        Ok(ending) => (ending, None),
        Err(why) => (None, Some(why)),
    };
    let mut again: Option<Duration> = None;
    let mut look_after = |delay: Duration| again = Some(again.map_or(delay, |known| known.min(delay)));

    let is_sidecar = |spec: &Value| spec["restartPolicy"] == "Always";
    let mut init_done = true;
    let mut init_statuses = Vec::new();
    for spec in elements(pod, "/spec/initContainers") {
        let old = known(pod, "initContainerStatuses", spec);
        let held = lacks.volumes || !init_done;
        let why = if held { None } else { lacks.containers.get(text(spec, "/name")) };
        let state = match (held, why, is_sidecar(spec)) {
            (true, _, _) => State::Waiting("PodInitializing", None),
            (_, Some(why), _) => State::Waiting("CreateContainerConfigError", Some(why.clone())),
            (_, None, true) => State::Running(started_at(old).unwrap_or(now)),
            (_, None, false) => State::Ended {
                started: started_at(old).unwrap_or(now),
                code: 0,
                at: ended_at(old).unwrap_or(now),
            },
        };
        init_done &= match &state {
            State::Running(_) => true,
            State::Ended { code, .. } => *code == 0,
            State::Waiting(..) => false,
        };
        init_statuses.push(container_status(Role::Init, spec, &state, 0, old));
    }
    let policy = match text(pod, "/spec/restartPolicy") {
        "" => "Always",
        policy => policy,
    };
    let mut statuses = Vec::new();
    let mut states = Vec::new();
    for spec in elements(pod, "/spec/containers") {
        let old = known(pod, "containerStatuses", spec);
        let restarts = old.and_then(|old| number(old, "/restartCount")).unwrap_or(0);
        let why = lacks.containers.get(text(spec, "/name")).or(bad_annotation.as_ref());
        let (state, restarts) = if lacks.volumes {
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
        statuses.push(container_status(Role::Main, spec, &state, restarts, old));
        states.push(state);
    }
    let phase = phase(&states, policy, init_done);
    let progress = Progress { initialized: init_done, sandbox: !lacks.volumes };
    set_conditions(pod, &mut status, &states, phase, progress, now);
    status["phase"] = phase.into();
    if !init_statuses.is_empty() {
        status["initContainerStatuses"] = init_statuses.into();
    }
    status["containerStatuses"] = statuses.into();
    (status, again)
}

/// The last status of a pod that is being deleted: its containers were told to end, and did.
pub(super) fn ended(pod: &Value, now: Timestamp) -> Value {
    let mut status = pod["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    // Work that is broken off is not done.
    let code = if pod["metadata"]["labels"][JOB_NAME].is_string() { TERMINATED } else { 0 };
    for (list, specs, role) in [
        ("initContainerStatuses", "/spec/initContainers", Role::Init),
        ("containerStatuses", "/spec/containers", Role::Main),
    ] {
        let mut statuses = Vec::new();
        for spec in elements(pod, specs) {
            let Some(old) = known(pod, list, spec) else { continue };
            let restarts = number(old, "/restartCount").unwrap_or(0);
            statuses.push(match started_at(Some(old)) {
                Some(started) if ended_at(Some(old)).is_none() => container_status(
                    role,
                    spec,
                    &State::Ended { started, code, at: now },
                    restarts,
                    Some(old),
                ),
                _ => old.clone(),
            });
        }
        if !statuses.is_empty() {
            status[list] = statuses.into();
        }
    }
    let ran = elements(&status, "/containerStatuses").iter().any(|c| c["state"]["terminated"].is_object());
    let end = if code == 0 { "Succeeded" } else { "Failed" };
    let phase = if ran && text(pod, "/status/phase") == "Running" { end } else { text(pod, "/status/phase") };
    let progress = Progress { initialized: true, sandbox: false };
    set_conditions(pod, &mut status, &[], if ran { "Succeeded" } else { "Pending" }, progress, now);
    if !phase.is_empty() {
        status["phase"] = phase.into();
    }
    status
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
        at: Timestamp,
    },
}

/// Which list of containers one is of. An init container that has ended well counts as ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Init,
    Main,
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
    let Some(Ending { after, exit_code }) = ending else {
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
    match at {
        None => (State::Running(started), restarts, Some(after - elapsed(started, now))),
        Some(at) if !restart => (State::Ended { started, code: exit_code, at }, restarts, None),
        Some(at) if ended_at(old).is_none() => {
            // Seen as ended once before it waits for its restart.
            (State::Ended { started, code: exit_code, at }, restarts, Some(Duration::from_secs(1)))
        }
        Some(_) => (crash_loop(restarts), restarts, Some(backoff(restarts))),
    }
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
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

fn crash_loop(restarts: i64) -> State {
    let seconds = backoff(restarts).as_secs();
    State::Waiting("CrashLoopBackOff", Some(format!("back-off {seconds}s restarting simulated container")))
}

fn container_status(role: Role, spec: &Value, state: &State, restarts: i64, old: Option<&Value>) -> Value {
    let name = text(spec, "/name");
    let image = text(spec, "/image");
    let id = |started: Timestamp| {
        format!("simulated://{}", crate::hash::short(&format!("{name} {restarts} {started}"), 32))
    };
    let (value, started, container) = match state {
        State::Waiting(reason, message) => {
            let mut waiting = json!({"reason": reason});
            if let Some(message) = message {
                waiting["message"] = message.as_str().into();
            }
            (json!({"waiting": waiting}), false, None)
        }
        State::Running(at) => (json!({"running": {"startedAt": whole_seconds(*at)}}), true, Some(id(*at))),
        State::Ended { started, code, at } => {
            let terminated = json!({
                "exitCode": code, "reason": if *code == 0 { "Completed" } else { "Error" },
                "startedAt": whole_seconds(*started), "finishedAt": whole_seconds(*at), "containerID": id(*started),
            });
            (json!({"terminated": terminated}), false, Some(id(*started)))
        }
    };
    let ran = container.is_some();
    let is_ready = match (state, role) {
        (State::Running(_), _) | (State::Ended { code: 0, .. }, Role::Init) => true,
        (State::Ended { .. } | State::Waiting(..), _) => false,
    };
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
    states: &[State],
    phase: &str,
    Progress { initialized, sandbox }: Progress,
    now: Timestamp,
) {
    let unready: Vec<&str> = elements(pod, "/spec/containers")
        .iter()
        .enumerate()
        .filter(|(index, _)| !matches!(states.get(*index), Some(State::Running(_))))
        .map(|(_, spec)| text(spec, "/name"))
        .collect();
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
