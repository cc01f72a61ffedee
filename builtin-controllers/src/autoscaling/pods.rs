//! The pods behind an autoscaler: how each counts, and what it requests.

use super::replicas::{Measured, Standing};
use crate::access::{elements, text};
use crate::conditions;
use crate::pod_facts;
use api_resources::amounts::is_sidecar;
use api_schema::quantity::Quantity;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::HashMap;

/// For how long after its start a pod's CPU may be that of its start.
const STARTING: SignedDuration = SignedDuration::from_secs(300);
/// Within this time after its start, a pod that is not ready was never ready.
const FIRST_READY: SignedDuration = SignedDuration::from_secs(30);

/// The metric of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Thousandths.
    pub(super) value: i64,
    /// When its window ended.
    pub(super) end: Timestamp,
    /// How long that was.
    pub(super) window: SignedDuration,
}

/// Metrics by the names of pods.
pub(super) type Samples = HashMap<String, Sample>;

/// What a pod is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted<'a> {
    /// A resource, of a container or (empty) of the whole pod.
    Resource(&'a str, &'a str),
    /// A metric of another kind.
    Metric,
}

/// The pods as the arithmetic takes them; `requests`: with what they request.
///
/// # Errors
/// A pod does not say what it requests.
pub(super) fn measured(
    pods: &[Value],
    samples: &Samples,
    counted: Counted<'_>,
    requests: bool,
    now: Timestamp,
) -> Result<Vec<Measured>, String> {
    let mut all = Vec::new();
    for pod in pods {
        if pod_facts::is_deleting(pod) || text(pod, "/status/phase") == "Failed" {
            continue;
        }
        let sample = samples.get(text(pod, "/metadata/name"));
        let is_cpu = matches!(counted, Counted::Resource("cpu", _));
        let standing = match sample {
            _ if text(pod, "/status/phase") == "Pending" => Standing::Unready,
            None => Standing::Missing,
            Some(sample) if is_cpu && is_young(pod, sample, now) => Standing::Unready,
            Some(_) => Standing::Ready,
        };
        all.push(Measured { standing, used: sample.map_or(0, |sample| sample.value), requested: 0 });
    }
    if !requests || !all.iter().any(|pod| pod.standing == Standing::Ready) {
        return Ok(all);
    }
    let Counted::Resource(resource, container) = counted else { return Ok(all) };
    // Also those that do not count have to say it.
    let mut counting = all.iter_mut();
    for pod in pods {
        let requested = requested(pod, resource, container)?;
        if pod_facts::is_deleting(pod) || text(pod, "/status/phase") == "Failed" {
            continue;
        }
        if let Some(measured) = counting.next() {
            measured.requested = requested;
        }
    }
    Ok(all)
}

/// True when the CPU that was measured may be that of the pod's start.
fn is_young(pod: &Value, sample: &Sample, now: Timestamp) -> bool {
    let ready = conditions::find(elements(pod, "/status/conditions"), "Ready");
    let started = conditions::time(&pod["status"]["startTime"]);
    let (Some(ready), Some(started)) = (ready, started) else { return true };
    let is_unready = ready["status"] == "False";
    let since = conditions::time(&ready["lastTransitionTime"]).unwrap_or(Timestamp::UNIX_EPOCH);
    if now.duration_since(started) < STARTING {
        return is_unready || sample.end.duration_since(since) < sample.window;
    }
    is_unready && since.duration_since(started) < FIRST_READY
}

/// How many pods run and are ready.
pub(super) fn ready(pods: &[Value]) -> i64 {
    let is_ready = |pod: &&Value| text(pod, "/status/phase") == "Running" && pod_facts::is_ready(pod);
    i64::try_from(pods.iter().filter(is_ready).count()).unwrap_or(i64::MAX)
}

/// What a pod, or one container of it, requests.
fn requested(pod: &Value, resource: &str, container: &str) -> Result<i64, String> {
    let name = text(pod, "/metadata/name");
    let amount = |of: &Value| {
        let said = of["resources"]["requests"][resource].as_str();
        said.map(|said| Quantity::parse(said).map_or(0, Quantity::milli_value))
    };
    let sidecars = elements(pod, "/spec/initContainers").iter().filter(|container| is_sidecar(container));
    let containers = || elements(pod, "/spec/containers").iter().chain(sidecars.clone());
    let of_pod = pod["spec"]["resources"]["requests"].as_object().is_some_and(|said| !said.is_empty());
    if container.is_empty() && of_pod {
        let inherited = || containers().filter_map(amount).reduce(i64::saturating_add);
        let overhead = pod["spec"]["overhead"][resource].as_str().and_then(|text| Quantity::parse(text).ok());
        let own = amount(&pod["spec"]).or_else(inherited);
        let own = own.ok_or_else(|| format!("missing pod-level request for {resource} in Pod {name}"))?;
        return Ok(own.saturating_add(overhead.map_or(0, Quantity::milli_value)));
    }
    let mut sum = 0i64;
    for one in containers().filter(|one| container.is_empty() || text(one, "/name") == container) {
        let missing =
            || format!("missing request for {resource} in container {} of Pod {name}", text(one, "/name"));
        sum = sum.saturating_add(amount(one).ok_or_else(missing)?);
        if !container.is_empty() {
            return Ok(sum);
        }
    }
    if container.is_empty() { Ok(sum) } else { Err(format!("container {container} not found in Pod {name}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const START: &str = "2026-07-09T10:00:00Z";

    fn at(second: i64) -> Timestamp {
        START.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
    }

    fn sample(end: i64) -> Sample {
        Sample { value: 500, end: at(end), window: SignedDuration::from_secs(15) }
    }

    /// A pod that started at 0 and is ready or not since a second.
    fn pod(name: &str, ready: &str, since: i64) -> Value {
        json!({"metadata": {"name": name}, "status": {"phase": "Running", "startTime": START, "conditions": [
            {"type": "Ready", "status": ready, "lastTransitionTime": at(since).to_string()}]},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}})
    }

    #[test]
    fn young_cpu_does_not_count() {
        for (ready, since, end, now, resource, expected) in [
            // Within the start, a whole window after it became ready.
            ("True", 10, 25, 60, "cpu", Standing::Ready),
            ("True", 10, 24, 60, "cpu", Standing::Unready),
            ("False", 10, 50, 60, "cpu", Standing::Unready),
            ("False", 10, 50, 60, "memory", Standing::Ready),
            // Later, one that was ready before counts, whatever it is now.
            ("False", 29, 400, 400, "cpu", Standing::Unready),
            ("False", 31, 400, 400, "cpu", Standing::Ready),
            ("True", 399, 400, 400, "cpu", Standing::Ready),
        ] {
            let samples = Samples::from([("p".to_owned(), sample(end))]);
            let counted = Counted::Resource(resource, "");
            let found = measured(&[pod("p", ready, since)], &samples, counted, false, at(now)).unwrap();
            assert_eq!(found[0].standing, expected, "{ready} {since} {end} {now} {resource}");
        }
        let mut never = pod("p", "True", 0);
        never["status"]["startTime"] = Value::Null;
        assert!(is_young(&never, &sample(60), at(60)));
    }

    #[test]
    fn pods_that_end_are_left_out_and_those_that_wait_are_not_ready() {
        let (mut going, mut failed, mut waits) =
            (pod("g", "True", 0), pod("f", "True", 0), pod("w", "True", 0));
        going["metadata"]["deletionTimestamp"] = START.into();
        failed["status"]["phase"] = "Failed".into();
        waits["status"]["phase"] = "Pending".into();
        let pods = [going, pod("a", "True", 0), failed, waits, pod("m", "True", 0)];
        let samples = ["g", "a", "f", "w"].map(|name| (name.to_owned(), sample(100))).into();
        let found = measured(&pods, &samples, Counted::Resource("cpu", ""), true, at(100)).unwrap();
        let told: Vec<_> = found.iter().map(|pod| (pod.standing, pod.requested)).collect();
        assert_eq!(told, [(Standing::Ready, 1000), (Standing::Unready, 1000), (Standing::Missing, 1000)]);
        assert_eq!(ready(&pods), 3);
    }

    #[test]
    fn requests_of_containers_sidecars_and_whole_pods() {
        let container =
            |name: &str, cpu: Value| json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {
            "containers": [container("a", json!("100m")), container("b", json!("1"))],
            "initContainers": [container("once", json!("7")),
                {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "10m"}}}]}});
        assert_eq!(requested(&pod, "cpu", ""), Ok(1110));
        assert_eq!(requested(&pod, "cpu", "side"), Ok(10));
        assert_eq!(requested(&pod, "cpu", "none"), Err("container none not found in Pod p".to_owned()));
        assert_eq!(
            requested(&pod, "memory", ""),
            Err("missing request for memory in container a of Pod p".to_owned())
        );
        pod["spec"]["resources"] = json!({"requests": {"cpu": "2"}});
        pod["spec"]["overhead"] = json!({"cpu": "50m"});
        assert_eq!(requested(&pod, "cpu", ""), Ok(2050));
        assert_eq!(requested(&pod, "cpu", "a"), Ok(100));
        assert_eq!(
            requested(&pod, "memory", ""),
            Err("missing pod-level request for memory in Pod p".to_owned())
        );
    }
}
