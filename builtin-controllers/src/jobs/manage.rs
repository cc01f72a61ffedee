//! Which pods a job makes or removes next.

use super::assess::Assessment;
use super::backoff;
use super::facts::{FAILURES, FINALIZER, IGNORED_FAILURES, INDEX, Pod, earlier_failures, finished_at};
use super::indexes::Indexes;
use crate::access::text;
use crate::pod_control::{BURST, generated_pod_of, pod_of};
use crate::ranking;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The environment variable of containers of indexed jobs.
const VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// How long the start of a generated name may be.
const LONGEST_PREFIX: usize = 58;

/// What to do with the pods of a job.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work<'a> {
    Nothing,
    /// The job ends: delete these. They are counted still.
    End(Vec<&'a Value>),
    /// These are too many, or the job is suspended: delete them and count them as nothing.
    Remove(Vec<&'a Value>),
    Create(Vec<Value>),
    /// Nothing before this time has passed.
    Wait(Duration),
}

/// What to do for a job that has been assessed. `settled`: every pod that was made for it is in the list.
pub(super) fn manage<'a>(state: &Assessment<'a>, settled: bool) -> Work<'a> {
    let job = &state.job;
    let active: Vec<&Pod<'a>> = state.pods.iter().filter(|pod| pod.active).collect();
    if state.ending.is_some() {
        return Work::End(active.iter().map(|pod| pod.value).collect());
    }
    if !settled || job.deleting {
        return Work::Nothing;
    }
    if job.suspended {
        return Work::Remove(active.iter().map(|pod| pod.value).collect());
    }
    let running = i64::try_from(active.len()).unwrap_or(i64::MAX);
    let wanted = match job.completions {
        Some(completions) => (completions - state.succeeded).clamp(0, job.parallelism),
        // A queue of work: after the first success none is added, and those that run end by themselves.
        None if state.succeeded > 0 => running,
        None => job.parallelism,
    };
    let surplus = surplus(state, &active, usize::try_from(running - wanted).unwrap_or(0));
    if !surplus.is_empty() {
        return Work::Remove(surplus);
    }
    let ending =
        if job.replaces_failed_only { state.pods.iter().filter(|pod| pod.ending).count() } else { 0 };
    let missing = wanted - running - i64::try_from(ending).unwrap_or(0);
    let missing = usize::try_from(missing).unwrap_or(0).min(BURST);
    if missing == 0 { Work::Nothing } else { create(state, &active, missing) }
}

/// Active pods to remove: those without a valid index of their own, and the cheapest of the rest.
fn surplus<'a>(state: &Assessment<'a>, active: &[&Pod<'a>], at_least: usize) -> Vec<&'a Value> {
    let (mut doomed, mut kept): (Vec<&Value>, Vec<&Value>) = (Vec::new(), Vec::new());
    if state.job.indexed {
        let mut by_index: BTreeMap<i64, Vec<&'a Value>> = BTreeMap::new();
        for pod in active {
            match pod.index.filter(|_| state.job.has_index(pod.index)) {
                Some(index) => by_index.entry(index).or_default().push(pod.value),
                None => doomed.push(pod.value),
            }
        }
        for same in by_index.into_values() {
            let mut ranked = ranked(&same, same.len(), state);
            kept.extend(ranked.pop());
            doomed.append(&mut ranked);
        }
    } else {
        kept = active.iter().map(|pod| pod.value).collect();
    }
    let more = at_least.saturating_sub(doomed.len());
    doomed.extend(ranked(&kept, more, state));
    doomed.truncate(BURST);
    doomed
}

fn ranked<'a>(pods: &[&'a Value], count: usize, state: &Assessment<'_>) -> Vec<&'a Value> {
    ranking::ranked(pods, count, state.now)
}

fn create<'a>(state: &Assessment<'_>, active: &[&Pod<'_>], missing: usize) -> Work<'a> {
    let job = &state.job;
    let per_index = job.backoff_limit_per_index.is_some();
    let rest = state.backoff.rest(state.now);
    if !per_index && !rest.is_zero() {
        return Work::Wait(rest);
    }
    let template = &job.value["spec"]["template"];
    if !job.indexed {
        let pod = with_finalizer(generated_pod_of(template, job.value));
        return Work::Create(vec![pod; missing]);
    }
    let mut taken: Indexes = active.iter().filter_map(|pod| pod.index).collect();
    if job.replaces_failed_only {
        taken = taken.with(state.pods.iter().filter(|pod| pod.ending).filter_map(|pod| pod.index));
    }
    taken = taken.and(&state.completed);
    if let Some(failed) = &state.failed_indexes {
        taken = taken.and(failed);
    }
    let indexes = taken.first_missing(missing, job.completions.unwrap_or(0));
    let rest = |index: &i64| match state.held.get(index).filter(|_| per_index) {
        Some(failed) => {
            let (counted, ignored) = earlier_failures(failed);
            let failures = usize::try_from(counted + ignored + 1).unwrap_or(usize::MAX);
            finished_at(failed).map_or(Duration::ZERO, |last| backoff::rest(failures, last, state.now))
        }
        None => Duration::ZERO,
    };
    let (now, later): (Vec<i64>, Vec<i64>) = indexes.into_iter().partition(|index| rest(index).is_zero());
    if now.is_empty() {
        return later.iter().map(rest).min().map_or(Work::Nothing, Work::Wait);
    }
    Work::Create(now.into_iter().map(|index| indexed_pod(state, index)).collect())
}

fn with_finalizer(mut pod: Value) -> Value {
    let mut finalizers = pod["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.into());
    }
    pod["metadata"]["finalizers"] = finalizers.into();
    pod
}

/// A pod for one index of an indexed job.
fn indexed_pod(state: &Assessment<'_>, index: i64) -> Value {
    let job = &state.job;
    let mut pod = with_finalizer(pod_of(&job.value["spec"]["template"], job.value));
    let name = text(job.value, "/metadata/name");
    let end = format!("-{index}-");
    let start: String = name.chars().take(LONGEST_PREFIX.saturating_sub(end.len())).collect();
    pod["metadata"]["generateName"] = format!("{start}{end}").into();
    for field in ["labels", "annotations"] {
        if !pod["metadata"][field].is_object() {
            pod["metadata"][field] = json!({});
        }
        pod["metadata"][field][INDEX] = index.to_string().into();
    }
    pod["spec"]["hostname"] = format!("{name}-{index}").into();
    for list in ["/spec/initContainers", "/spec/containers"] {
        for container in pod.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            add_variable(container);
        }
    }
    if job.backoff_limit_per_index.is_some() {
        let (mut counted, mut ignored) = (0, 0);
        if let Some(failed) = state.held.get(&index) {
            (counted, ignored) = earlier_failures(failed);
            let counts =
                job.failure_policy.is_none_or(|policy| super::failure_policy::apply(policy, failed).counts);
            *(if counts { &mut counted } else { &mut ignored }) += 1;
        }
        pod["metadata"]["annotations"][FAILURES] = counted.to_string().into();
        if ignored > 0 {
            pod["metadata"]["annotations"][IGNORED_FAILURES] = ignored.to_string().into();
        }
    }
    pod
}

fn add_variable(container: &mut Value) {
    let mut variables = container["env"].as_array().cloned().unwrap_or_default();
    if variables.iter().any(|variable| variable["name"] == VARIABLE) {
        return;
    }
    let path = format!("metadata.labels['{INDEX}']");
    variables.push(json!({"name": VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": path}}}));
    container["env"] = variables.into();
}
