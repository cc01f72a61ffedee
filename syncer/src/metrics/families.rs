//! What is counted, as Prometheus reads it.

use super::histogram::Histogram;
use super::worst::Longest;
use super::{Counts, Direction};
use crate::patrol::Finding;
use crate::state::{State, SuperCluster};
use api_types::TenantId;
use plane_client::{MetricFamily, MetricSample, MetricSource};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

/// Tenants that have series of their own in a family.
const WORST: usize = 5;

/// The syncer's counts for the API server.
pub struct SyncMetrics(Arc<State>);

impl SyncMetrics {
    /// Of a syncer that shares this state.
    pub(crate) fn new(state: Arc<State>) -> Self {
        SyncMetrics(state)
    }

    fn tenant(&self, id: TenantId) -> String {
        self.0.tenants.get(id).map_or_else(|| id.to_string(), |tenant| tenant.name.clone())
    }

    fn gauge(
        &self,
        name: &'static str,
        about: &'static str,
        values: impl IntoIterator<Item = (TenantId, f64)>,
    ) -> MetricFamily {
        let family = MetricFamily::new(name, "gauge", about);
        values
            .into_iter()
            .fold(family, |family, (tenant, value)| family.with(vec![("tenant", self.tenant(tenant))], value))
    }

    /// A count of keys in total, and for the tenants with most.
    fn counted(
        &self,
        [total, worst]: [&'static str; 2],
        of: &'static str,
        mut all: Vec<(TenantId, usize)>,
    ) -> [MetricFamily; 2] {
        let sum = all.iter().map(|(_, count)| *count).sum::<usize>();
        all.sort_by_key(|(tenant, count)| (Reverse(*count), *tenant));
        all.truncate(WORST);
        [
            MetricFamily::new(total, "gauge", of).with(Vec::new(), sum as f64),
            self.gauge(worst, of, all.into_iter().map(|(tenant, count)| (tenant, count as f64))),
        ]
    }

    fn of_clusters(
        &self,
        name: &'static str,
        about: &'static str,
        value: fn(&SuperCluster) -> usize,
    ) -> MetricFamily {
        self.0.super_clusters().iter().fold(MetricFamily::new(name, "gauge", about), |family, cluster| {
            family.with(vec![("super_cluster", cluster.name.clone())], value(cluster) as f64)
        })
    }

    fn unscheduled(&self) -> [MetricFamily; 3] {
        [
            self.of_clusters(
                "insula_sync_unscheduled_pods",
                "Pods of tenants that wait for the super cluster's scheduler.",
                |cluster| cluster.unscheduled.places().0,
            ),
            self.of_clusters(
                "insula_sync_unscheduled_pods_limit",
                "How many of them there may be now, as was learnt.",
                |cluster| cluster.unscheduled.places().1,
            ),
            self.of_clusters(
                "insula_sync_held_back_pods",
                "Pods that are made when fewer wait for the scheduler.",
                |cluster| cluster.unscheduled.line().len(),
            ),
        ]
    }

    fn worst(&self, counts: &mut Counts) -> Vec<MetricFamily> {
        let mut told = |value: fn(&Longest) -> Duration| -> Vec<(TenantId, f64)> {
            counts.worst.top(WORST, value).into_iter().map(|(t, value)| (t, value.as_secs_f64())).collect()
        };
        let (queue, down, up) = (told(|l| l.queue), told(|l| l.lag[0]), told(|l| l.lag[1]));
        vec![
            self.gauge(
                "insula_sync_tenant_queue_seconds",
                "The longest wait in the queue in the last one to two minutes, for the tenants with the longest.",
                queue,
            ),
            self.gauge(
                "insula_sync_tenant_lag_down_seconds",
                "The longest way of a change to the super cluster in the last minutes, for the worst tenants.",
                down,
            ),
            self.gauge(
                "insula_sync_tenant_lag_up_seconds",
                "The longest way of a change to the tenant in the last minutes, for the worst tenants.",
                up,
            ),
        ]
    }
}

impl MetricSource for SyncMetrics {
    fn families(&self) -> Vec<MetricFamily> {
        let queue = &self.0.queue;
        let mut out: Vec<MetricFamily> = Vec::new();
        let names = ["insula_sync_queue_length", "insula_sync_tenant_queue_length"];
        out.extend(self.counted(names, "Keys that wait for a worker.", self.0.waiting()));
        let names = ["insula_sync_failing", "insula_sync_tenant_failing"];
        out.extend(self.counted(names, "Keys whose work failed last; they come again.", queue.failing()));
        out.extend(self.unscheduled());
        let mut counts = self.0.metrics.counts.lock();
        out.extend(self.worst(&mut counts));
        out.extend(totals(&counts));
        out
    }
}

fn totals(counts: &Counts) -> Vec<MetricFamily> {
    let family = MetricFamily::new;
    let none = || Vec::new();
    let mut queue = family("insula_sync_queue_seconds", "histogram", "How long keys stood in the queue.");
    add(&mut queue, &none(), &counts.queue);
    let about = "How long work on a key took, by its kind.";
    let mut work = family("insula_sync_work_seconds", "histogram", about);
    for (kind, histogram) in &counts.work {
        add(&mut work, &[("kind", (*kind).to_owned())], histogram);
    }
    let about = "From hearing of a change on one side to having written it on the other.";
    let mut lag = family("insula_sync_lag_seconds", "histogram", about);
    let mut writes = family("insula_sync_writes_total", "counter", "Writes, by the side that was written.");
    for direction in Direction::ALL {
        let labels = vec![("direction", direction.name().to_owned())];
        add(&mut lag, &labels, &counts.lag[direction as usize]);
        writes = writes.with(labels, counts.writes[direction as usize] as f64);
    }
    let about = "Where the time of pods went until their tenant read that they are ready, by stage.";
    let mut stages = family("insula_sync_pod_stage_seconds", "histogram", about);
    for (stage, times) in counts.stages.times() {
        add(&mut stages, &[("stage", stage.name().to_owned())], times);
    }
    let mut errors = family("insula_sync_errors_total", "counter", "Work that failed, by the reason.");
    for (reason, count) in &counts.errors {
        errors = errors.with(vec![("reason", reason.clone())], *count as f64);
    }
    let about = "Objects that the patrol found to differ although no watch had told.";
    let mut found = family("insula_sync_drift_found_total", "counter", about);
    let mut repaired = family(
        "insula_sync_drift_repaired_total",
        "counter",
        "Those of them that a later patrol found right.",
    );
    for finding in Finding::ALL {
        let of =
            |all: &std::collections::BTreeMap<Finding, u64>| all.get(&finding).copied().unwrap_or(0) as f64;
        let labels = || vec![("finding", finding.name().to_owned())];
        found = found.with(labels(), of(&counts.found));
        repaired = repaired.with(labels(), of(&counts.repaired));
    }
    let about = "How long patrols took, without the time that they gave watches.";
    let mut patrols = family("insula_sync_patrol_seconds", "histogram", about);
    add(&mut patrols, &none(), &counts.patrols);
    let about = "Patrols that were given up, since the super cluster could not be listed.";
    let given_up =
        family("insula_sync_patrol_failures_total", "counter", about).with(none(), counts.given_up as f64);
    let mut last = family("insula_sync_patrol_last_seconds", "gauge", "How long the last patrol took.");
    let mut objects =
        family("insula_sync_patrol_objects", "gauge", "Objects that the last patrol looked at.");
    let about = "Objects whose label names a tenant that this installation does not have.";
    let mut unknown = family("insula_sync_unknown_tenant_objects", "gauge", about);
    for (cluster, patrolled) in &counts.patrolled {
        let labels = || vec![("super_cluster", cluster.clone())];
        last = last.with(labels(), patrolled.took.as_secs_f64());
        objects = objects.with(labels(), patrolled.objects as f64);
        unknown = unknown.with(labels(), patrolled.unknown as f64);
    }
    vec![queue, work, lag, stages, writes, errors, found, repaired, patrols, given_up, last, objects, unknown]
}

fn add(family: &mut MetricFamily, labels: &[(&'static str, String)], histogram: &Histogram) {
    let mut push = |suffix: &'static str, more: Option<(&'static str, String)>, value: f64| {
        let labels = labels.iter().cloned().chain(more).collect();
        family.samples.push(MetricSample { suffix, labels, value });
    };
    for (bound, count) in histogram.cumulative() {
        push("_bucket", Some(("le", bound.to_string())), count as f64);
    }
    push("_bucket", Some(("le", "+Inf".to_owned())), histogram.count as f64);
    push("_sum", None, histogram.sum);
    push("_count", None, histogram.count as f64);
}
