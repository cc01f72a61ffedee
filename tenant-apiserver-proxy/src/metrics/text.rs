//! Counts as Prometheus reads them: its text format, version 0.0.4.

use super::{Labels, Metrics, Series, histogram};
use crate::planes::{Plane, PlaneKind};
use crate::server::Server;
use plane_client::MetricFamily;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// The type of the text.
pub const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Labels by their names, in the order in which they are written.
type Pairs<'a> = Vec<(&'static str, &'a str)>;

/// A text under way.
#[derive(Default)]
pub struct Text(String);

impl Text {
    /// Begins a family of series.
    pub fn family(&mut self, name: &str, of: &str, about: &str) {
        self.0.push_str(&format!("# HELP {name} {about}\n# TYPE {name} {of}\n"));
    }

    /// One series.
    pub fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.0.push_str(&format!("{label}=\"{value}\""));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "{end} {}", api_types::go_float::printed(value));
    }

    fn histogram<const N: usize>(
        &mut self,
        name: &str,
        labels: &Pairs<'_>,
        bounds: &[f64; N],
        values: &histogram::Histogram<N>,
    ) {
        let bucket = format!("{name}_bucket");
        let ends = bounds.iter().map(|bound| api_types::go_float::printed(*bound));
        let counts = values.cumulative().chain([values.count]);
        for (end, count) in ends.chain(["+Inf".to_owned()]).zip(counts) {
            let mut labels = labels.clone();
            labels.push(("le", &end));
            self.line(&bucket, &labels, count as f64);
        }
        self.line(&format!("{name}_sum"), labels, values.sum);
        self.line(&format!("{name}_count"), labels, values.count as f64);
    }

    /// What a service counts.
    fn counted(&mut self, family: &MetricFamily) {
        self.family(family.name, family.kind, family.about);
        for sample in &family.samples {
            let labels: Vec<_> = sample.labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
            self.line(&format!("{}{}", family.name, sample.suffix), &labels, sample.value);
        }
    }

    /// The text.
    pub fn end(self) -> String {
        self.0
    }
}

/// All that is counted of a plane; in the host plane what the process takes too.
pub fn of(server: &Server, plane: &Plane, version: &serde_json::Value) -> String {
    let mut text = Text::default();
    requests(&mut text, &plane.metrics);
    stored(&mut text, server, plane);
    text.family("kubernetes_build_info", "gauge", "What is running.");
    let said = |key: &str| version[key].as_str().unwrap_or("");
    let labels = [
        ("build_date", said("buildDate")),
        ("compiler", said("compiler")),
        ("git_commit", said("gitCommit")),
        ("git_tree_state", said("gitTreeState")),
        ("git_version", said("gitVersion")),
        ("go_version", said("goVersion")),
        ("major", said("major")),
        ("minor", said("minor")),
        ("platform", said("platform")),
    ];
    text.line("kubernetes_build_info", &labels, 1.0);
    if plane.kind == PlaneKind::Host {
        for (name, of, about, value) in super::process::values(server.started) {
            text.family(name, of, about);
            text.line(name, &[], value);
        }
        for family in server.scheduled.iter().flat_map(|scheduled| scheduled.metrics()) {
            text.family(family.name, family.kind, family.about);
            for (result, value) in family.values {
                let labels: Vec<_> = result.map(|result| ("result", result)).into_iter().collect();
                text.line(family.name, &labels, value);
            }
        }
        for family in server.metric_sources.load().iter().flat_map(|source| source.families()) {
            text.counted(&family);
        }
    }
    text.end()
}

fn requests(text: &mut Text, metrics: &Metrics) {
    const UNDER_WAY: &str = "apiserver_current_inflight_requests";
    text.family(UNDER_WAY, "gauge", "Requests under way, streams left out.");
    for (index, kind) in ["readOnly", "mutating"].into_iter().enumerate() {
        let now = metrics.under_way[index].load(Ordering::Relaxed);
        text.line(UNDER_WAY, &[("request_kind", kind)], now as f64);
    }
    let mut all: Vec<(Labels, Series)> = metrics.counts.lock().clone().into_iter().collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));

    const TOTAL: &str = "apiserver_request_total";
    text.family(TOTAL, "counter", "Requests that were answered.");
    for (labels, series) in &all {
        for (code, count) in &series.codes {
            let code = code.to_string();
            let mut labels = labels.pairs(true);
            labels.insert(0, ("code", &code));
            text.line(TOTAL, &labels, *count as f64);
        }
    }
    const SECONDS: &str = "apiserver_request_duration_seconds";
    text.family(SECONDS, "histogram", "How long requests took; those for streams up to the first answer.");
    for (labels, series) in &all {
        text.histogram(SECONDS, &labels.pairs(true), &histogram::SECONDS, &series.seconds);
    }
    const BYTES: &str = "apiserver_response_sizes";
    text.family(BYTES, "histogram", "The sizes of answers, streams left out, in bytes.");
    for (labels, series) in all.iter().filter(|(_, series)| series.bytes.count > 0) {
        text.histogram(BYTES, &labels.pairs(false), &histogram::BYTES, &series.bytes);
    }
    const OPEN: &str = "apiserver_longrunning_requests";
    text.family(OPEN, "gauge", "Streams that are open, watches mostly.");
    for (labels, series) in all.iter().filter(|(labels, series)| series.open > 0 || labels.verb == "WATCH") {
        text.line(OPEN, &labels.pairs(false), series.open as f64);
    }
    const DEPRECATED: &str = "apiserver_requested_deprecated_apis";
    text.family(DEPRECATED, "gauge", "APIs that are deprecated and were asked for.");
    let mut told: Vec<Pairs<'_>> = Vec::new();
    for (labels, _) in all.iter().filter(|(labels, _)| labels.subresource.is_empty()) {
        if api_resources::table::deprecated(&labels.group, &labels.version, &labels.resource).is_none() {
            continue;
        }
        let pairs = vec![
            ("group", labels.group.as_str()),
            ("removed_release", ""),
            ("resource", &labels.resource),
            ("subresource", ""),
            ("version", &labels.version),
        ];
        if !told.contains(&pairs) {
            text.line(DEPRECATED, &pairs, 1.0);
            told.push(pairs);
        }
    }
}

impl Labels {
    fn pairs(&self, dry_run: bool) -> Pairs<'_> {
        let mut pairs = vec![("component", self.component)];
        if dry_run {
            pairs.push(("dry_run", self.dry_run));
        }
        pairs.extend([
            ("group", self.group.as_str()),
            ("resource", &self.resource),
            ("scope", self.scope),
            ("subresource", &self.subresource),
            ("verb", self.verb),
            ("version", &self.version),
        ]);
        pairs
    }
}

/// How many objects there are of each resource that the plane serves.
fn stored(text: &mut Text, server: &Server, plane: &Plane) {
    let catalog = plane.catalog.load();
    let mut counts: Vec<(String, String, usize)> = server
        .cache
        .resources(plane.id)
        .into_iter()
        .filter(|resource| catalog.resource(&resource.group, &resource.resource).is_some())
        .map(|resource| {
            let count = server.cache.collection(plane.id, &resource).len();
            (resource.group.to_string(), resource.resource.to_string(), count)
        })
        .collect();
    counts.sort();
    const OBJECTS: &str = "apiserver_resource_objects";
    text.family(OBJECTS, "gauge", "Objects that are stored.");
    for (group, resource, count) in &counts {
        text.line(OBJECTS, &[("group", group), ("resource", resource)], *count as f64);
    }
    const BEFORE: &str = "apiserver_storage_objects";
    text.family(BEFORE, "gauge", "The same under its older name.");
    for (group, resource, count) in &counts {
        let dot = if group.is_empty() { "" } else { "." };
        text.line(BEFORE, &[("resource", &format!("{resource}{dot}{group}"))], *count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_written_as_prometheus_reads_them() {
        let mut text = Text::default();
        text.family("a", "gauge", "About a.");
        text.line("a", &[], 1.5);
        text.line("a", &[("x", "q\"\\\n"), ("y", "")], 3.0);
        let mut values = histogram::Histogram::<2>::default();
        values.add(&[0.5, 2.0], 1.0);
        text.histogram("h", &vec![("x", "y")], &[0.5, 2.0], &values);
        assert_eq!(
            text.end(),
            "# HELP a About a.\n# TYPE a gauge\na 1.5\na{x=\"q\\\"\\\\\\n\",y=\"\"} 3\n\
             h_bucket{x=\"y\",le=\"0.5\"} 0\nh_bucket{x=\"y\",le=\"2\"} 1\nh_bucket{x=\"y\",le=\"+Inf\"} 1\n\
             h_sum{x=\"y\"} 1\nh_count{x=\"y\"} 1\n"
        );
    }
}
