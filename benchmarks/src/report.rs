//! What a benchmark found, for tables and for programs.

use crate::clock::Elapsed;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What one benchmark found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Which benchmark.
    pub benchmark: &'static str,
    /// The address that was measured.
    pub server: String,
    /// The version that it says.
    pub version: String,
    /// Where the objects were.
    pub place: String,
    /// What was asked.
    pub requests: Vec<Row>,
    /// What was seen beside that.
    pub figures: Vec<Figure>,
    /// Where the time went.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stages>,
}

impl Report {
    /// Adds stages, when they are known.
    pub fn stages_of(&mut self, what: &'static str, stages: Vec<Stage>) {
        if !stages.is_empty() {
            self.stages.push(Stages { what, stages });
        }
    }
}

/// Where the time of pods went.
#[derive(Serialize)]
pub struct Stages {
    /// Of which pods.
    pub what: &'static str,
    /// In their order.
    pub stages: Vec<Stage>,
}

/// One stage. Shares are known as well as the server's histogram tells them.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Which.
    pub stage: String,
    /// How many went through it; of what lies in no stage, only the mean is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<u64>,
    /// How long that took.
    pub mean_milliseconds: f64,
    /// Half of them took no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_milliseconds: Option<f64>,
    /// 99 of a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_milliseconds: Option<f64>,
}

/// One kind of request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Which.
    pub what: String,
    /// How many were answered as they should be.
    pub requests: u64,
    /// How many were refused, or not answered, by why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, u64>,
    /// From the first to the last.
    pub seconds: f64,
    /// Requests a second.
    pub per_second: f64,
    /// From the sending of a request to the end of its answer.
    pub mean_milliseconds: f64,
    /// Half of them took no longer.
    pub p50_milliseconds: f64,
    /// Nine of ten.
    pub p90_milliseconds: f64,
    /// 99 of a hundred.
    pub p99_milliseconds: f64,
    /// The longest.
    pub max_milliseconds: f64,
    /// Of answers.
    pub bytes: u64,
    /// What the server's process took of a processor for one request, background work included; where it says that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_microseconds: Option<f64>,
    /// Which share of the processor time that the client's machine wanted meanwhile it did not get from its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stolen_percent: Option<f64>,
}

/// A number that is none of requests.
#[derive(Serialize)]
pub struct Figure {
    /// What it is of.
    pub what: String,
    /// How much.
    pub value: f64,
    /// In what.
    pub unit: &'static str,
}

impl Figure {
    /// A number.
    pub fn new(what: &str, value: f64, unit: &'static str) -> Self {
        Figure { what: what.to_owned(), value, unit }
    }
}

/// Times, counts and refusals while requests run.
#[derive(Clone)]
pub struct Measure {
    pub times: Histogram<u64>,
    pub failed: BTreeMap<String, u64>,
    pub bytes: u64,
    pub elapsed: Elapsed,
}

impl Default for Measure {
    fn default() -> Self {
        Measure { times: times(), failed: BTreeMap::new(), bytes: 0, elapsed: Elapsed::default() }
    }
}

/// Times in microseconds, to a thousandth of themselves, up to ten minutes; longer ones are cut to that.
fn times() -> Histogram<u64> {
    #[allow(clippy::expect_used, reason = "these bounds are right")]
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("bounds of a histogram")
}

impl Measure {
    /// One request was answered as it should be.
    pub fn add(&mut self, time: Duration, bytes: u64) {
        self.times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
        self.bytes += bytes;
    }

    /// One was not.
    pub fn fail(&mut self, why: String) {
        // Messages name objects: those of the same kind are counted as one once there are many.
        let why = if self.failed.len() < 5 || self.failed.contains_key(&why) { why } else { "other".into() };
        *self.failed.entry(why).or_default() += 1;
    }

    /// Adds what another part of the same load found.
    pub fn join(&mut self, other: Measure) {
        // Their bounds are the same.
        let _ = self.times.add(&other.times);
        self.bytes += other.bytes;
        for (why, count) in other.failed {
            *self.failed.entry(why).or_default() += count;
        }
    }

    /// As a row. `cpu`: of the server's process meanwhile.
    pub fn row(&self, what: &str, cpu: Option<Duration>) -> Row {
        let requests = self.times.len();
        let milliseconds = |quantile: f64| self.times.value_at_quantile(quantile) as f64 / 1000.0;
        let seconds = self.elapsed.time.as_secs_f64();
        Row {
            what: what.to_owned(),
            requests,
            failed: self.failed.clone(),
            seconds,
            per_second: if seconds > 0.0 { requests as f64 / seconds } else { 0.0 },
            mean_milliseconds: self.times.mean() / 1000.0,
            p50_milliseconds: milliseconds(0.5),
            p90_milliseconds: milliseconds(0.9),
            p99_milliseconds: milliseconds(0.99),
            max_milliseconds: self.times.max() as f64 / 1000.0,
            bytes: self.bytes,
            server_cpu_microseconds: cpu
                .filter(|_| requests > 0)
                .map(|cpu| cpu.as_secs_f64() * 1e6 / requests as f64),
            stolen_percent: self.elapsed.stolen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_what_was_answered_and_say_why_others_were_not() {
        let mut all = Measure {
            elapsed: Elapsed { time: Duration::from_secs(2), stolen: Some(5.0) },
            ..Default::default()
        };
        let mut part = Measure::default();
        for milliseconds in 1..=100 {
            part.add(Duration::from_millis(milliseconds), 10);
        }
        part.fail("too many".into());
        all.join(part);
        let row = all.row("get", Some(Duration::from_millis(50)));
        assert_eq!((row.requests, row.per_second, row.bytes), (100, 50.0, 1000));
        assert_eq!(row.failed["too many"], 1);
        assert_eq!((row.server_cpu_microseconds, row.stolen_percent), (Some(500.0), Some(5.0)));
        assert!((49.9..=50.1).contains(&row.p50_milliseconds), "{}", row.p50_milliseconds);
        assert!((98.9..=99.2).contains(&row.p99_milliseconds), "{}", row.p99_milliseconds);
        assert!((99.9..=100.2).contains(&row.max_milliseconds), "{}", row.max_milliseconds);
    }

    #[test]
    fn reasons_are_few() {
        let mut measure = Measure::default();
        for number in 0..100 {
            measure.fail(format!("pods \"{number}\" is forbidden"));
        }
        assert_eq!(measure.failed.len(), 6);
        assert_eq!(measure.failed["other"], 95);
    }
}
