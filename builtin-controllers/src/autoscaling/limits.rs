//! How far and how fast replicas may change: bounds, `spec.behavior`, and what was asked for before.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// How long a scale-down waits for higher recommendations, unless the behavior says otherwise.
const DOWN_WINDOW: i64 = 300;
/// Nothing older than this is ever asked for: the longest window and period that can be written.
const LONGEST: i64 = 3600;

/// Numbers and their times.
type Samples = Vec<(Timestamp, i64)>;

/// What is remembered of one autoscaler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The replicas of the beginning are noted.
    is_begun: bool,
    /// What metrics asked for.
    recommended: Samples,
    /// Replicas that were added and removed.
    added: Samples,
    removed: Samples,
}

/// What the metrics ask for, and the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Replicas of now.
    pub current: i64,
    /// What the metrics ask for.
    pub desired: i64,
    /// `spec.minReplicas`.
    pub least: i64,
    /// `spec.maxReplicas`.
    pub most: i64,
}

/// Reason and message of a condition.
pub type Told = (&'static str, &'static str);

/// What is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// How many replicas.
    pub replicas: i64,
    /// Of the condition `AbleToScale`, which is true.
    pub able: Told,
    /// Of the condition `ScalingLimited`, which is true when a limit was met.
    pub limited: (bool, Told),
}

const READY: Told = ("ReadyForNewScale", "recommended size matches current size");
const UP_STABILIZED: Told = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const DOWN_STABILIZED: Told = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const IN_RANGE: Told = ("DesiredWithinRange", "the desired count is within the acceptable range");
const UP_LIMIT: Told =
    ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const DOWN_LIMIT: Told =
    ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");
const TOO_MANY: Told =
    ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FEW: Told = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");

fn within(samples: &Samples, seconds: i64, now: Timestamp) -> impl Iterator<Item = i64> {
    let window = SignedDuration::from_secs(seconds);
    samples.iter().filter(move |(at, _)| now.duration_since(*at) < window).map(|(_, count)| *count)
}

impl History {
    /// Notes, the first time, how many replicas there are: they count as recommended.
    pub fn begin(&mut self, replicas: i64, now: Timestamp) {
        if !self.is_begun {
            self.is_begun = true;
            self.recommended.push((now, replicas));
        }
    }

    /// Notes that the scale was changed.
    pub fn scaled(&mut self, from: i64, to: i64, now: Timestamp) {
        let list = if to > from { &mut self.added } else { &mut self.removed };
        list.push((now, (to - from).abs()));
        self.forget(now);
    }

    fn forget(&mut self, now: Timestamp) {
        let window = SignedDuration::from_secs(LONGEST);
        for list in [&mut self.recommended, &mut self.added, &mut self.removed] {
            list.retain(|(at, _)| now.duration_since(*at) < window);
        }
    }

    /// What is given of what is asked for, by `spec.behavior` with its defaults (null: there is none).
    pub fn limit(&mut self, asked: Asked, behavior: &Value, now: Timestamp) -> Given {
        self.forget(now);
        let (stable, told) = self.stabilize(asked, behavior, now);
        self.recommended.push((now, asked.desired));
        let able = if stable == asked.desired { READY } else { told };
        let asked = Asked { desired: stable, ..asked };
        let (replicas, why) =
            if behavior.is_null() { plain(asked) } else { self.by_policies(asked, behavior, now) };
        Given { replicas, able, limited: (replicas != stable, why) }
    }

    /// The recommendation that recent ones agree with, and what to tell where it is not the one that was asked for.
    fn stabilize(&self, asked: Asked, behavior: &Value, now: Timestamp) -> (i64, Told) {
        let told = if asked.desired >= asked.current { UP_STABILIZED } else { DOWN_STABILIZED };
        let highest = |seconds| within(&self.recommended, seconds, now).fold(asked.desired, i64::max);
        if behavior.is_null() {
            return (highest(DOWN_WINDOW), DOWN_STABILIZED);
        }
        let window = |way: &str, or| behavior[way]["stabilizationWindowSeconds"].as_i64().unwrap_or(or);
        let low = within(&self.recommended, window("scaleUp", 0), now).fold(asked.desired, i64::min);
        let high = highest(window("scaleDown", DOWN_WINDOW));
        (asked.current.max(low).min(high), told)
    }

    /// Bounds and policies.
    fn by_policies(&self, asked: Asked, behavior: &Value, now: Timestamp) -> (i64, Told) {
        let Asked { current, desired, least, most } = asked;
        if desired > current {
            let fastest = self.policy_limit(current, &behavior["scaleUp"], true, now).max(current);
            let (limit, why) = if most > fastest { (fastest, UP_LIMIT) } else { (most, TOO_MANY) };
            return if desired > limit { (limit, why) } else { (desired, IN_RANGE) };
        }
        if desired < current {
            let fastest = self.policy_limit(current, &behavior["scaleDown"], false, now).min(current);
            let (limit, why) = if least < fastest { (fastest, DOWN_LIMIT) } else { (least, TOO_FEW) };
            return if desired < limit { (limit, why) } else { (desired, IN_RANGE) };
        }
        (desired, IN_RANGE)
    }

    /// How far the policies of one direction let replicas go.
    fn policy_limit(&self, current: i64, rules: &Value, up: bool, now: Timestamp) -> i64 {
        let select = rules["selectPolicy"].as_str().unwrap_or("Max");
        if select == "Disabled" {
            return current;
        }
        let limits = rules["policies"].as_array().into_iter().flatten().map(|policy| {
            let seconds = policy["periodSeconds"].as_i64().unwrap_or(0);
            let value = policy["value"].as_i64().unwrap_or(0);
            let added: i64 = within(&self.added, seconds, now).sum();
            let removed: i64 = within(&self.removed, seconds, now).sum();
            let start = current - added + removed;
            match (policy["type"].as_str(), up) {
                (Some("Percent"), true) => (start * (100 + value) + 99).div_euclid(100),
                (Some("Percent"), false) => (start * (100 - value)) / 100,
                (_, true) => start + value,
                (_, false) => start - value,
            }
        });
        // The policy that changes most, or least.
        let furthest = (select == "Max") == up;
        if furthest { limits.max() } else { limits.min() }.unwrap_or(current)
    }
}

/// Bounds without a behavior: at most twice as many at a time, or four.
fn plain(Asked { current, desired, least, most }: Asked) -> (i64, Told) {
    let fastest = (2 * current).max(4);
    let (limit, why) = if most > fastest { (fastest, UP_LIMIT) } else { (most, TOO_MANY) };
    if desired < least {
        (least, TOO_FEW)
    } else if desired > limit {
        (limit, why)
    } else {
        (desired, IN_RANGE)
    }
}

#[cfg(test)]
mod tests;
