//! Where the time of a tenant's pods went, as the syncer of an Insula counts it: its histograms before and after.

use crate::plane::Plane;
use crate::report::Stage;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FAMILY: &str = "insula_sync_pod_stage_seconds";
/// The stages, in their order: the label's value, and in words.
const STAGES: [(&str, &str); 5] = [
    ("queue-down", "queue down"),
    ("down", "down"),
    ("super", "super"),
    ("queue-up", "queue up"),
    ("up", "up"),
];
/// How long the syncer may take to count what a client has seen already.
const PATIENCE: Duration = Duration::from_secs(5);

/// A histogram: how many are at most each bound, all of them, and their sum in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
struct Times {
    below: Vec<(f64, f64)>,
    count: f64,
    sum: f64,
}

/// What was counted until some time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted(BTreeMap<String, Times>);

impl Counted {
    /// What a server has counted; empty where it does not say that, or not to this user.
    pub async fn by(plane: &Arc<Plane>) -> Counted {
        plane.metrics().await.map(|metrics| Counted::of(&metrics)).unwrap_or_default()
    }

    /// The same, once it has counted so many pods more than before: what is heard of a pod comes before it is counted.
    pub async fn with(plane: &Arc<Plane>, before: &Counted, pods: u64) -> Counted {
        let begun = Instant::now();
        loop {
            let now = Counted::by(plane).await;
            let more = now.last() - before.last();
            if more >= pods as f64 || now.0.is_empty() || begun.elapsed() > PATIENCE {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many pods went through the last stage.
    fn last(&self) -> f64 {
        STAGES.last().and_then(|(name, _)| self.0.get(*name)).map_or(0.0, |times| times.count)
    }

    fn of(metrics: &str) -> Counted {
        let mut all: BTreeMap<String, Times> = BTreeMap::new();
        for line in metrics.lines().filter_map(|line| line.strip_prefix(FAMILY)) {
            let Some((what, value)) = line.rsplit_once(' ') else { continue };
            let (Some(stage), Ok(value)) = (label(what, "stage"), value.parse::<f64>()) else { continue };
            let times = all.entry(stage.to_owned()).or_default();
            match what.split('{').next() {
                Some("_bucket") => {
                    // `+Inf` is the count.
                    let bound = label(what, "le").and_then(|le| le.parse::<f64>().ok());
                    times.below.extend(bound.filter(|bound| bound.is_finite()).map(|bound| (bound, value)));
                }
                Some("_count") => times.count = value,
                Some("_sum") => times.sum = value,
                _ => {}
            }
        }
        Counted(all)
    }

    /// The stages of what was counted since, and what of the whole mean (in milliseconds) lies in none of them. Empty where
    /// nothing is known.
    pub fn since(&self, before: &Counted, mean_milliseconds: f64) -> Vec<Stage> {
        let mut out: Vec<Stage> = Vec::new();
        for (name, shown) in STAGES {
            let Some(after) = self.0.get(name) else { return Vec::new() };
            let empty = Times::default();
            let times = after.since(before.0.get(name).unwrap_or(&empty));
            if times.count < 1.0 {
                return Vec::new();
            }
            out.push(Stage {
                stage: shown.to_owned(),
                pods: Some(times.count as u64),
                mean_milliseconds: times.sum / times.count * 1000.0,
                p50_milliseconds: Some(times.at(0.5) * 1000.0),
                p99_milliseconds: Some(times.at(0.99) * 1000.0),
            });
        }
        let known: f64 = out.iter().map(|stage| stage.mean_milliseconds).sum();
        let rest = mean_milliseconds - known;
        out.push(Stage { stage: "elsewhere".to_owned(), mean_milliseconds: rest, ..Stage::default() });
        out
    }
}

fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = series.split_once(&format!("{name}=\""))?;
    value.split('"').next()
}

impl Times {
    fn since(&self, before: &Times) -> Times {
        let earlier = |n: usize| before.below.get(n).map_or(0.0, |(_, count)| *count);
        let below = self.below.iter().enumerate().map(|(n, (bound, count))| (*bound, count - earlier(n)));
        Times { below: below.collect(), count: self.count - before.count, sum: self.sum - before.sum }
    }

    /// The time, in seconds, that a share of them took at most; between two bounds as if they were evenly spread.
    fn at(&self, share: f64) -> f64 {
        let (rank, mut from, mut passed) = (share * self.count, 0.0, 0.0);
        for (bound, below) in &self.below {
            if *below >= rank && *below > passed {
                return from + (bound - from) * ((rank - passed) / (below - passed)).clamp(0.0, 1.0);
            }
            (from, passed) = (*bound, *below);
        }
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `counts`: of all stages, at most 0.1 s, at most 1 s, and in all.
    fn counted(counts: [u64; 3], sum: f64) -> Counted {
        let [short, middle, all] = counts;
        let of = |(name, _): &(&str, &str)| {
            format!(
                "{FAMILY}_bucket{{stage=\"{name}\",le=\"0.1\"}} {short}\n\
                 {FAMILY}_bucket{{stage=\"{name}\",le=\"1\"}} {middle}\n\
                 {FAMILY}_bucket{{stage=\"{name}\",le=\"+Inf\"}} {all}\n\
                 {FAMILY}_sum{{stage=\"{name}\"}} {sum}\n{FAMILY}_count{{stage=\"{name}\"}} {all}\n"
            )
        };
        Counted::of(&format!("# TYPE {FAMILY} histogram\n{}", STAGES.iter().map(of).collect::<String>()))
    }

    #[test]
    fn stages_and_what_is_elsewhere_are_the_whole() {
        let stages = counted([30, 50, 50], 15.0).since(&counted([10, 10, 10], 1.0), 2000.0);
        assert_eq!(stages.len(), 6);
        let first = &stages[0];
        assert_eq!((first.stage.as_str(), first.pods), ("queue down", Some(40)));
        assert!((first.mean_milliseconds - 350.0).abs() < 1e-6, "{}", first.mean_milliseconds);
        assert_eq!(first.p50_milliseconds, Some(100.0));
        assert!((first.p99_milliseconds.unwrap() - 982.0).abs() < 1e-6, "{:?}", first.p99_milliseconds);
        let sum: f64 = stages.iter().map(|stage| stage.mean_milliseconds).sum();
        assert!((sum - 2000.0).abs() < 1e-6, "{sum}");
        assert_eq!((stages[5].stage.as_str(), stages[5].pods), ("elsewhere", None));
    }

    #[test]
    fn without_counts_there_are_no_stages() {
        assert_eq!(Counted::of("insula_sync_queue_seconds_sum 1\n"), Counted::default());
        assert!(Counted::default().since(&Counted::default(), 1.0).is_empty());
        let same = counted([1, 1, 1], 1.0);
        assert!(same.since(&same, 1.0).is_empty());
    }

    #[test]
    fn what_is_longer_than_all_bounds_is_told_as_the_last_one() {
        assert_eq!(counted([0, 0, 5], 50.0).0["up"].at(0.5), 1.0);
    }
}
