//! How many replicas metrics ask for: arithmetic over what pods use, in Kubernetes' order of operations, since its results
//! are rounded.

/// How a pod counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is ready, and its metric counts.
    Ready,
    /// It is not ready, or its metric is too young.
    Unready,
    /// It has no metric.
    Missing,
}

/// One pod that is neither going nor failed. Amounts are in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How it counts.
    pub standing: Standing,
    /// Its metric, where it counts.
    pub used: i64,
    /// What it requests; 0 where that does not matter.
    pub requested: i64,
}

/// How far from the target replicas do not change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Below it.
    pub down: f64,
    /// Above it.
    pub up: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance { down: 0.1, up: 0.1 }
    }
}

impl Tolerance {
    fn covers(self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// What is asked for, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Replicas.
    pub replicas: i64,
    /// Percent of what is requested by the pods that count; 0 where that is not asked.
    pub utilization: i64,
    /// Thousandths, on average.
    pub average: i64,
}

/// No metric counts.
pub const NOTHING: &str = "did not receive metrics for targeted pods (pods might be unready)";

/// Used and requested, of the pods that count.
type Sample = (i64, i64);

/// What samples come to: the ratio to the target, the utilization and the average.
type Rated = (f64, i64, i64);

/// A number of replicas: rounded up, and no more than can be written.
fn ceiling(value: f64) -> i64 {
    // As it is cast, what is no number is 0, and what is too large the largest.
    i64::from(value.ceil() as i32)
}

/// Replicas for a utilization of `target` percent of what is requested.
///
/// # Errors
/// No pod says what it uses, or none requests anything.
pub fn by_utilization(
    pods: &[Measured],
    current: i64,
    target: i64,
    tolerance: Tolerance,
) -> Result<Proposal, &'static str> {
    let rate = |samples: &[Sample]| {
        let (used, requested) = samples.iter().fold((0i64, 0i64), |sum, sample| {
            (sum.0.saturating_add(sample.0), sum.1.saturating_add(sample.1))
        });
        if requested == 0 {
            return Err("no metrics returned matched known pods");
        }
        let utilization = used.saturating_mul(100) / requested;
        Ok((utilization as f64 / target as f64, utilization, used / count(samples)))
    };
    propose(pods, current, tolerance, rate, |requested| requested.saturating_mul(target.max(100)) / 100)
}

/// Replicas for an average of `target` thousandths.
///
/// # Errors
/// No pod says what it uses.
pub fn by_average(
    pods: &[Measured],
    current: i64,
    target: i64,
    tolerance: Tolerance,
) -> Result<Proposal, &'static str> {
    let rate = |samples: &[Sample]| {
        let used = samples.iter().fold(0i64, |sum, sample| sum.saturating_add(sample.0));
        let average = used / count(samples);
        Ok((average as f64 / target as f64, 0, average))
    };
    propose(pods, current, tolerance, rate, |_| target)
}

fn count(samples: &[Sample]) -> i64 {
    i64::try_from(samples.len()).unwrap_or(i64::MAX).max(1)
}

/// Pods that are not ready or have no metric are taken to use what makes the change smaller; `missing_down` is what one
/// without a metric uses that way when replicas become fewer.
fn propose(
    pods: &[Measured],
    current: i64,
    tolerance: Tolerance,
    rate: impl Fn(&[Sample]) -> Result<Rated, &'static str>,
    missing_down: impl Fn(i64) -> i64,
) -> Result<Proposal, &'static str> {
    let of = |standing| pods.iter().filter(move |pod| pod.standing == standing);
    let mut samples: Vec<Sample> = of(Standing::Ready).map(|pod| (pod.used, pod.requested)).collect();
    if samples.is_empty() {
        return Err(NOTHING);
    }
    let (ratio, utilization, average) = rate(&samples)?;
    let proposal = |replicas| Ok(Proposal { replicas, utilization, average });
    let with_unready = ratio > 1.0 && of(Standing::Unready).next().is_some();
    if !with_unready && of(Standing::Missing).next().is_none() {
        let kept = tolerance.covers(ratio);
        return proposal(if kept { current } else { ceiling(ratio * samples.len() as f64) });
    }
    if ratio < 1.0 {
        samples.extend(of(Standing::Missing).map(|pod| (missing_down(pod.requested), pod.requested)));
    } else if ratio > 1.0 {
        samples.extend(of(Standing::Missing).map(|pod| (0, pod.requested)));
    }
    if with_unready {
        samples.extend(of(Standing::Unready).map(|pod| (0, pod.requested)));
    }
    let (careful, ..) = rate(&samples)?;
    let turned = (ratio < 1.0 && careful > 1.0) || (ratio > 1.0 && careful < 1.0);
    if tolerance.covers(careful) || turned {
        return proposal(current);
    }
    let replicas = ceiling(careful * samples.len() as f64);
    let turned = (careful < 1.0 && replicas > current) || (careful > 1.0 && replicas < current);
    proposal(if turned { current } else { replicas })
}

/// Replicas for a metric that is not of pods: it is `used` where `target` is wanted, and the ready pods bring it about.
/// `ready` is only asked where it counts.
///
/// # Errors
/// What `ready` says.
pub fn by_value<E>(
    (used, target): (i64, i64),
    current: i64,
    tolerance: Tolerance,
    ready: impl FnOnce() -> Result<i64, E>,
) -> Result<i64, E> {
    let ratio = used as f64 / target as f64;
    if current == 0 {
        return Ok(ceiling(ratio));
    }
    if tolerance.covers(ratio) {
        return Ok(current);
    }
    Ok(ceiling(ratio * ready()? as f64))
}

/// Replicas for a metric that is not of pods, of which each pod is to have `target`; and what each has.
pub fn by_share((used, target): (i64, i64), replicas: i64, tolerance: Tolerance) -> (i64, i64) {
    let kept = tolerance.covers(used as f64 / (target as f64 * replicas as f64));
    let wanted = if kept { replicas } else { ceiling(used as f64 / target as f64) };
    // Where there are no replicas the share is no number, which is written as 0.
    let share = if replicas == 0 { 0 } else { (used as f64 / replicas as f64).ceil() as i64 };
    (wanted, share)
}

#[cfg(test)]
mod tests;
