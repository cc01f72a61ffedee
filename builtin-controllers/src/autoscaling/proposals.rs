//! What each metric of an autoscaler asks for, and its current state for `status.currentMetrics`.

use super::metrics::Metrics;
use super::pods::{self, Counted};
use super::replicas::{self, Tolerance};
use crate::access::{elements, number, text};
use crate::selectors::go_text;
use api_resources::selectors::LabelSelector;
use api_schema::quantity::{Format, Quantity};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The pods behind an autoscaler, and how many there are and are to be.
pub(super) struct Scaled<'a> {
    /// What selects them.
    pub(super) selector: LabelSelector,
    /// They.
    pub(super) pods: &'a [Value],
    /// `spec.replicas` of the scale.
    pub(super) current: i64,
    /// `status.replicas` of the scale.
    pub(super) there: i64,
    /// What time it is.
    pub(super) now: Timestamp,
}

/// What one metric asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Proposal {
    /// Replicas.
    pub(super) replicas: i64,
    /// The metric, for people.
    pub(super) metric: String,
    /// Its entry of `status.currentMetrics`.
    pub(super) status: Value,
}

/// Why a metric asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// Of the event and the condition.
    pub(super) reason: &'static str,
    /// Of both.
    pub(super) why: String,
    /// The same as part of the error about all metrics.
    pub(super) whole: String,
}

const NO_PODS: &str = "no pods returned by selector while calculating replica count";

/// The tolerances of an autoscaler.
pub(super) fn tolerance(autoscaler: &Value) -> Tolerance {
    let said = |way: &str| {
        let text = autoscaler["spec"]["behavior"][way]["tolerance"].as_str()?;
        Some(Quantity::parse(text).ok()?.billionths() as f64 / 1e9)
    };
    let usual = Tolerance::default();
    Tolerance { down: said("scaleDown").unwrap_or(usual.down), up: said("scaleUp").unwrap_or(usual.up) }
}

/// What one entry of `spec.metrics` asks for.
pub(super) async fn proposal(
    metrics: &Metrics<'_>,
    spec: &Value,
    scaled: &Scaled<'_>,
    tolerance: Tolerance,
) -> Result<Proposal, Failure> {
    let ask = Ask { metrics, scaled, tolerance };
    let kind = text(spec, "/type");
    let failure = |reason, head: String| {
        move |Fault { why, at }: Fault| Failure {
            reason,
            whole: format!("failed to get {head}: {at}{why}"),
            why,
        }
    };
    match kind {
        "Resource" => {
            let source = &spec["resource"];
            let head = format!("{} resource metric value", text(source, "/name"));
            ask.resource(source, "resource", kind).await.map_err(failure("FailedGetResourceMetric", head))
        }
        "ContainerResource" => {
            let source = &spec["containerResource"];
            let head = format!("{} container metric value", text(source, "/container"));
            let failure = failure("FailedGetContainerResourceMetric", head);
            ask.resource(source, "containerResource", kind).await.map_err(failure)
        }
        "Pods" => {
            let failure = failure("FailedGetPodsMetric", "pods metric value".to_owned());
            ask.pods(&spec["pods"]).await.map_err(failure)
        }
        "Object" => {
            let failure = failure("FailedGetObjectMetric", "object metric value".to_owned());
            ask.object(&spec["object"]).await.map_err(failure)
        }
        "External" => {
            let source = &spec["external"];
            let head = format!("{} external metric value", text(source, "/metric/name"));
            ask.external(source).await.map_err(failure("FailedGetExternalMetric", head))
        }
        other => {
            let why = format!("unknown metric source type {other:?}");
            Err(Failure { reason: "InvalidMetricSourceType", whole: why.clone(), why })
        }
    }
}

/// What went wrong with one metric.
struct Fault {
    why: String,
    /// What all metrics' error says before it.
    at: String,
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Fault { why, at: String::new() }
    }
}

impl From<&str> for Fault {
    fn from(why: &str) -> Self {
        why.to_owned().into()
    }
}

/// An amount of a target, in thousandths.
fn amount(target: &Value, field: &str) -> Option<i64> {
    Some(Quantity::parse(target[field].as_str()?).ok()?.milli_value())
}

fn written(milli: i64, format: Format) -> Value {
    Quantity::from_milli(milli, format).to_string().into()
}

/// The selector of a metric: without one nothing is asked of its labels.
fn selector_of(metric: &Value) -> Result<LabelSelector, String> {
    LabelSelector::from_json(&metric["selector"]).map_err(|error| error.to_string())
}

/// `{name, selector}`, as the status repeats it.
fn identifier(metric: &Value) -> Value {
    let mut out = json!({"name": metric["name"]});
    if !metric["selector"].is_null() {
        out["selector"] = metric["selector"].clone();
    }
    out
}

/// A metric as messages name it.
fn named(metric: &Value) -> String {
    format!("external metric {}({})", text(metric, "/name"), go_text(&metric["selector"]))
}

struct Ask<'a> {
    metrics: &'a Metrics<'a>,
    scaled: &'a Scaled<'a>,
    tolerance: Tolerance,
}

impl Ask<'_> {
    /// `resource` and `containerResource`.
    async fn resource(&self, source: &Value, field: &str, kind: &str) -> Result<Proposal, Fault> {
        let (resource, container) = (text(source, "/name"), text(source, "/container"));
        let target = &source["target"];
        let format = if resource == "memory" { Format::BinarySi } else { Format::DecimalSi };
        let (average, percent) = (amount(target, "averageValue"), number(target, "/averageUtilization"));
        let (what, utilization) = match (average, percent) {
            (Some(_), _) => ("usage", false),
            (None, Some(_)) => ("utilization", true),
            (None, None) => {
                let why = "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set";
                return Err(why.into());
            }
        };
        let Scaled { selector, pods, current, now, .. } = self.scaled;
        let failed = |why: String| format!("failed to get {resource} {what}: {why}");
        let samples = self
            .metrics
            .of_resource(selector, resource, container)
            .await
            .map_err(|why| failed(format!("unable to get metrics for resource {resource}: {why}")))?;
        if pods.is_empty() {
            return Err(failed(NO_PODS.to_owned()).into());
        }
        let counted = Counted::Resource(resource, container);
        let measured = pods::measured(pods, &samples, counted, utilization, *now).map_err(failed)?;
        let found = match (average, percent) {
            (Some(average), _) => replicas::by_average(&measured, *current, average, self.tolerance),
            (None, percent) => {
                replicas::by_utilization(&measured, *current, percent.unwrap_or(0), self.tolerance)
            }
        };
        let found = found.map_err(|why| failed(why.to_owned()))?;
        let mut now = json!({"averageValue": written(found.average, format)});
        let metric = match (utilization, container) {
            (false, _) => format!("{resource} resource"),
            (true, "") => format!("{resource} resource utilization (percentage of request)"),
            (true, _) => format!("{resource} container resource utilization (percentage of request)"),
        };
        if utilization {
            now["averageUtilization"] = found.utilization.into();
        }
        let mut told = json!({"name": resource, "current": now});
        if !container.is_empty() {
            told["container"] = container.into();
        }
        Ok(Proposal { replicas: found.replicas, metric, status: json!({"type": kind, field: told}) })
    }

    async fn pods(&self, source: &Value) -> Result<Proposal, Fault> {
        let metric = &source["metric"];
        let name = text(metric, "/name");
        let selector = selector_of(metric)?;
        let Scaled { selector: pods_selector, pods, current, now, .. } = self.scaled;
        let samples = self.metrics.of_pods(pods_selector, name, &selector).await;
        let samples = samples.map_err(|why| format!("unable to get metric {name}: {why}"))?;
        if pods.is_empty() {
            return Err(NO_PODS.into());
        }
        let measured = pods::measured(pods, &samples, Counted::Metric, false, *now)?;
        let target = amount(&source["target"], "averageValue").unwrap_or(0);
        let found = replicas::by_average(&measured, *current, target, self.tolerance)?;
        let status = json!({"type": "Pods", "pods": {"metric": identifier(metric),
            "current": {"averageValue": written(found.average, Format::DecimalSi)}}});
        Ok(Proposal { replicas: found.replicas, metric: format!("pods metric {name}"), status })
    }

    async fn object(&self, source: &Value) -> Result<Proposal, Fault> {
        let (metric, object, target) = (&source["metric"], &source["describedObject"], &source["target"]);
        let name = text(metric, "/name");
        let selector = selector_of(metric)?;
        let used = async || {
            let used = self.metrics.of_object(object, name, &selector).await;
            let (kind, at) = (text(object, "/kind"), text(object, "/name"));
            let namespace = self.metrics.namespace;
            // In this order Kubernetes says it.
            used.map_err(|why| format!("unable to get metric {name}: {kind} on {namespace} {at}/{why}"))
        };
        let (replicas, told, current) = match text(target, "/type") {
            "Value" if amount(target, "value").is_some() => {
                let used = used().await?;
                let replicas = self.by_value(used, amount(target, "value").unwrap_or(0))?;
                let told = format!("{} metric {name}", text(object, "/kind"));
                (replicas, told, json!({"value": written(used, Format::DecimalSi)}))
            }
            "AverageValue" if amount(target, "averageValue").is_some() => {
                let at = format!("failed to get {name} object metric: ");
                let used = used().await.map_err(|why| Fault { why, at })?;
                let (replicas, share) = self.by_share(used, amount(target, "averageValue").unwrap_or(0));
                (replicas, named(metric), json!({"averageValue": written(share, Format::DecimalSi)}))
            }
            _ => {
                let why = "invalid object metric source: neither a value target nor an average value target was set";
                return Err(why.into());
            }
        };
        let status = json!({"type": "Object", "object": {"metric": identifier(metric),
            "describedObject": object, "current": current}});
        Ok(Proposal { replicas, metric: told, status })
    }

    async fn external(&self, source: &Value) -> Result<Proposal, Fault> {
        let (metric, target) = (&source["metric"], &source["target"]);
        let name = text(metric, "/name");
        let used = async || {
            let values = self.metrics.external(name, &selector_of(metric)?).await;
            let namespace = self.metrics.namespace;
            let shown = go_text(&metric["selector"]);
            let values = values
                .map_err(|why| format!("unable to get external metric {namespace}/{name}/{shown}: {why}"))?;
            Ok::<i64, String>(values.into_iter().fold(0, i64::saturating_add))
        };
        let (replicas, current) = if let Some(average) = amount(target, "averageValue") {
            let at = format!("failed to get {name} external metric: ");
            let used = used().await.map_err(|why| Fault { why, at })?;
            let (replicas, share) = self.by_share(used, average);
            (replicas, json!({"averageValue": written(share, Format::DecimalSi)}))
        } else if let Some(value) = amount(target, "value") {
            let failed = |why| Fault { why, at: format!("failed to get external metric {name}: ") };
            let used = used().await.map_err(failed)?;
            let replicas = self.by_value(used, value).map_err(failed)?;
            (replicas, json!({"value": written(used, Format::DecimalSi)}))
        } else {
            let why =
                "invalid external metric source: neither a value target nor an average value target was set";
            return Err(why.into());
        };
        let status =
            json!({"type": "External", "external": {"metric": identifier(metric), "current": current}});
        Ok(Proposal { replicas, metric: named(metric), status })
    }

    fn by_value(&self, used: i64, target: i64) -> Result<i64, String> {
        let ready = || match self.scaled.pods {
            [] => Err(format!("unable to calculate ready pods: {NO_PODS}")),
            pods => Ok(pods::ready(pods)),
        };
        replicas::by_value((used, target), self.scaled.current, self.tolerance, ready)
    }

    fn by_share(&self, used: i64, target: i64) -> (i64, i64) {
        replicas::by_share((used, target), self.scaled.there, self.tolerance)
    }
}

/// What all metrics together ask for.
pub(super) struct Verdict {
    /// The most that is asked for, and by which metric; or the condition `ScalingActive` that says why nothing is done.
    pub(super) asked: Result<(i64, String), Failure>,
    /// What went wrong, each for an event.
    pub(super) failures: Vec<Failure>,
    /// `status.currentMetrics`.
    pub(super) statuses: Vec<Value>,
    /// What went wrong, together.
    pub(super) error: Option<String>,
}

/// Asks every metric. The most counts; nothing is made fewer while a metric cannot be read.
pub(super) async fn verdict(metrics: &Metrics<'_>, autoscaler: &Value, scaled: &Scaled<'_>) -> Verdict {
    let tolerance = tolerance(autoscaler);
    let specs = elements(autoscaler, "/spec/metrics");
    let (mut most, mut by) = (0, String::new());
    let (mut failures, mut statuses): (Vec<Failure>, Vec<Value>) = (Vec::new(), Vec::new());
    for spec in specs {
        match proposal(metrics, spec, scaled, tolerance).await {
            Ok(proposal) => {
                statuses.push(proposal.status);
                if most == 0 || proposal.replicas > most {
                    (most, by) = (proposal.replicas, proposal.metric);
                }
            }
            Err(failure) => {
                failures.push(failure);
                // What could not be read is told as nothing.
                statuses.push(json!({"type": ""}));
            }
        }
    }
    let (invalid, all) = (failures.len(), specs.len());
    let error = failures.first().map(|first| {
        format!("invalid metrics ({invalid} invalid out of {all}), first error is: {}", first.whole)
    });
    let is_void = invalid >= all || (invalid > 0 && most < scaled.current);
    let asked = match failures.first() {
        Some(first) if is_void => Err(first.clone()),
        _ => Ok((most, by)),
    };
    Verdict { asked, failures, statuses, error }
}
