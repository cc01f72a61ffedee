//! How many replicas the usage of a resource asks for: arithmetic over what pods use and request.

/// What is known of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pod {
    /// It is ready, and uses so many thousandths of those that it requests.
    Ready {
        /// Used.
        used: i64,
        /// Requested.
        requested: i64,
    },
    /// It is not ready, or its usage is too young to count.
    Unready {
        /// Requested.
        requested: i64,
    },
    /// It has no metrics.
    Missing {
        /// Requested.
        requested: i64,
    },
}

/// How far the usage may be from the target before replicas change, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// Below the target.
    pub down: i64,
    /// Above it.
    pub up: i64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance { down: 100, up: 100 }
    }
}

impl Tolerance {
    fn covers(self, utilization: i64, target: i64) -> bool {
        (1000 - self.down) * target <= 1000 * utilization && 1000 * utilization <= (1000 + self.up) * target
    }
}

/// What the usage comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// How many replicas it asks for.
    pub replicas: i64,
    /// Percent of what is requested by the pods that are ready.
    pub utilization: i64,
    /// Thousandths used by each of them, on average.
    pub average: i64,
}

/// Sums of used and requested, and how many pods these are.
fn sums(pods: impl Iterator<Item = (i64, i64)>) -> (i64, i64, i64) {
    pods.fold((0, 0, 0), |(used, requested, count), (u, r)| (used + u, requested + r, count + 1))
}

/// Replicas for a utilization of `target` percent; pods that are going or have failed are not in `pods`.
///
/// # Errors
/// No pod says what it uses, or none requests anything.
pub fn by_utilization(
    pods: &[Pod],
    current: i64,
    target: i64,
    tolerance: Tolerance,
) -> Result<Proposal, &'static str> {
    let ready = pods.iter().filter_map(|pod| match *pod {
        Pod::Ready { used, requested } => Some((used, requested)),
        _ => None,
    });
    let (used, requested, count) = sums(ready);
    if count == 0 {
        return Err("did not receive metrics for targeted pods (pods might be unready)");
    }
    if requested == 0 || target <= 0 {
        return Err("no metrics returned matched known pods");
    }
    let utilization = used * 100 / requested;
    let proposal = |replicas| Proposal { replicas, utilization, average: used / count };
    let up = utilization > target;
    let is = |wanted: fn(&Pod) -> bool| pods.iter().any(wanted);
    let with_unready = up && is(|pod| matches!(pod, Pod::Unready { .. }));
    if !with_unready && !is(|pod| matches!(pod, Pod::Missing { .. })) {
        let kept = tolerance.covers(utilization, target);
        return Ok(proposal(if kept { current } else { ceiling(utilization * count, target) }));
    }
    // The rest is taken to use what makes the change smaller.
    let all = pods.iter().filter_map(|pod| match *pod {
        Pod::Ready { used, requested } => Some((used, requested)),
        Pod::Missing { requested } if up => Some((0, requested)),
        Pod::Missing { requested } if utilization < target => {
            Some((requested * target.max(100) / 100, requested))
        }
        Pod::Unready { requested } if with_unready => Some((0, requested)),
        _ => None,
    });
    let (used, requested, count) = sums(all);
    let careful = used * 100 / requested;
    let turned = (utilization < target && careful > target) || (up && careful < target);
    if tolerance.covers(careful, target) || turned {
        return Ok(proposal(current));
    }
    let replicas = ceiling(careful * count, target);
    let turned = (careful < target && replicas > current) || (careful > target && replicas < current);
    Ok(proposal(if turned { current } else { replicas }))
}

fn ceiling(value: i64, by: i64) -> i64 {
    (value + by - 1).div_euclid(by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_by_utilization() {
        let ready = |used| Pod::Ready { used, requested: 1000 };
        let unready = Pod::Unready { requested: 1000 };
        let missing = Pod::Missing { requested: 1000 };
        for (pods, target, replicas, utilization) in [
            // Three pods, of which each uses more than it should.
            (vec![ready(300), ready(500), ready(700)], 30, 5, 50),
            (vec![ready(300), ready(500), ready(700)], 50, 3, 50),
            // A tenth more or less changes nothing.
            (vec![ready(550), ready(550), ready(550)], 50, 3, 55),
            (vec![ready(560), ready(560), ready(560)], 50, 4, 56),
            (vec![ready(450), ready(450), ready(450)], 50, 3, 45),
            (vec![ready(100), ready(100), ready(100)], 50, 1, 10),
            // Going up, those that are not ready use nothing.
            (vec![unready, ready(500), ready(700)], 30, 4, 60),
            (vec![unready, unready, ready(400)], 30, 3, 40),
            // Going down, they do not count; those without metrics use all.
            (vec![unready, ready(100), ready(100)], 50, 1, 10),
            (vec![missing, ready(100), ready(100)], 50, 3, 10),
            (vec![missing, ready(100), ready(100)], 80, 2, 10),
            (vec![missing, ready(500), ready(700)], 30, 4, 60),
        ] {
            let count = i64::try_from(pods.len()).unwrap();
            let found = by_utilization(&pods, count, target, Tolerance::default()).unwrap();
            assert_eq!((found.replicas, found.utilization), (replicas, utilization), "{pods:?} {target}");
        }
        let wide = Tolerance { down: 500, up: 0 };
        assert_eq!(by_utilization(&[ready(300), ready(300)], 2, 50, wide).unwrap().replicas, 2);
        assert_eq!(by_utilization(&[ready(510), ready(510)], 2, 50, wide).unwrap().replicas, 3);
    }

    #[test]
    fn what_cannot_be_told() {
        for pods in [vec![], vec![Pod::Unready { requested: 1 }], vec![Pod::Missing { requested: 1 }]] {
            assert!(by_utilization(&pods, 1, 50, Tolerance::default()).is_err(), "{pods:?}");
        }
        let none = Pod::Ready { used: 1, requested: 0 };
        assert_eq!(
            by_utilization(&[none], 1, 50, Tolerance::default()),
            Err("no metrics returned matched known pods")
        );
    }
}
