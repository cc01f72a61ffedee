//! How many replicas each replica set has next: arithmetic over counts.

use crate::shares::Share;

/// How far a rolling update may go above and below the wanted replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) surge: i64,
    pub(super) unavailable: i64,
}

impl Bounds {
    /// Surge is rounded up and unavailability down; when both come to nothing, one pod may be unavailable, or
    /// no update could ever go on.
    pub(super) fn resolve(surge: Share, unavailable: Share, replicas: i64) -> Self {
        let surge = surge.of(replicas, true).max(0);
        let unavailable = unavailable.of(replicas, false).clamp(0, replicas.max(0));
        if surge == 0 && unavailable == 0 {
            return Bounds { surge, unavailable: 1 };
        }
        Bounds { surge, unavailable }
    }
}

/// What is known of one replica set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// `spec.replicas`.
    pub(super) wanted: i64,
    /// `status.availableReplicas`.
    pub(super) available: i64,
    /// The most replicas of the deployment when this set was last scaled: wanted and surge.
    pub(super) maximum: i64,
}

/// The replicas of the new set in a rolling update.
pub(super) fn grow_new(new: i64, all_wanted: i64, wanted: i64, bounds: Bounds) -> i64 {
    if new > wanted {
        return wanted;
    }
    let room = wanted + bounds.surge - all_wanted;
    if room <= 0 { new } else { new + room.min(wanted - new) }
}

/// The replicas of the old sets, oldest first, in a rolling update: first what is not available goes, then as
/// many as availability lets go.
pub(super) fn shrink_old(old: &[Counts], new: Counts, wanted: i64, bounds: Bounds) -> Vec<i64> {
    let mut next: Vec<i64> = old.iter().map(|set| set.wanted).collect();
    let old_wanted: i64 = next.iter().sum();
    if old_wanted == 0 {
        return next;
    }
    let least = wanted - bounds.unavailable;
    let mut unhealthy = (old_wanted + new.wanted) - least - (new.wanted - new.available);
    if unhealthy <= 0 {
        return next;
    }
    for (set, next) in old.iter().zip(&mut next) {
        let gone = unhealthy.min(set.wanted - set.available).max(0);
        *next -= gone;
        unhealthy -= gone;
    }
    let mut spare = old.iter().map(|set| set.available).sum::<i64>() + new.available - least;
    for next in &mut next {
        let gone = spare.min(*next).max(0);
        *next -= gone;
        spare -= gone;
    }
    next
}

/// The replicas of sets (the largest of equals first is the caller's order: newest first when growing, oldest
/// first when shrinking) when a deployment is scaled in the middle of an update: in proportion.
pub(super) fn scale_in_proportion(sets: &[Counts], wanted: i64, surge: i64) -> Vec<i64> {
    let total: i64 = sets.iter().map(|set| set.wanted).sum();
    let allowed = if wanted > 0 { wanted + surge } else { 0 };
    let to_add = allowed - total;
    let mut order: Vec<usize> = (0..sets.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(sets[*index].wanted));
    let mut next: Vec<i64> = sets.iter().map(|set| set.wanted).collect();
    let mut added = 0;
    for index in &order {
        let set = sets[*index];
        if to_add == 0 || set.wanted == 0 {
            continue;
        }
        let share = if wanted == 0 {
            -set.wanted
        } else {
            let before = if set.maximum > 0 { set.maximum } else { total.max(1) };
            rounded(set.wanted * (wanted + surge), before) - set.wanted
        };
        let share = if to_add > 0 { share.min(to_add - added) } else { share.max(to_add - added) };
        next[*index] += share;
        added += share;
    }
    // What rounding left over goes to the largest.
    if let Some(largest) = order.first() {
        next[*largest] = (next[*largest] + to_add - added).max(0);
    }
    next
}

/// `a / b` to the nearest, halves away from zero; both are not negative.
fn rounded(a: i64, b: i64) -> i64 {
    (2 * a + b) / (2 * b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn bounds_of_shares() {
        let share = |value| Share::parse(&value);
        assert_eq!(share(json!("x")), None);
        for (surge, unavailable, replicas, expected) in [
            (json!("25%"), json!("25%"), 4, (1, 1)),
            (json!("25%"), json!("25%"), 3, (1, 0)),
            (json!("25%"), json!("25%"), 1, (1, 0)),
            (json!(0), json!("10%"), 3, (0, 1)),
            (json!(2), json!(5), 3, (2, 3)),
            (json!("100%"), json!(0), 7, (7, 0)),
            (json!("50%"), json!("50%"), 0, (0, 1)),
        ] {
            let bounds = Bounds::resolve(share(surge).unwrap(), share(unavailable).unwrap(), replicas);
            assert_eq!((bounds.surge, bounds.unavailable), expected, "of {replicas}");
        }
    }

    fn counts(wanted: i64, available: i64) -> Counts {
        Counts { wanted, available, maximum: 0 }
    }

    #[test]
    fn growing_and_shrinking() {
        let bounds = Bounds { surge: 1, unavailable: 1 };
        for (new, all, wanted, expected) in
            [(0, 4, 4, 1), (1, 5, 4, 1), (0, 0, 4, 4), (3, 3, 4, 4), (6, 6, 4, 4)]
        {
            assert_eq!(grow_new(new, all, wanted, bounds), expected, "{new} of {all}, wanted {wanted}");
        }
        for (old, new, expected) in [
            (vec![counts(4, 4)], counts(1, 0), vec![3]),
            (vec![counts(4, 4)], counts(1, 1), vec![2]),
            (vec![counts(3, 3)], counts(2, 0), vec![3]),
            (vec![counts(2, 0), counts(2, 2)], counts(1, 0), vec![1, 2]),
            (vec![counts(0, 0)], counts(4, 4), vec![0]),
            (vec![counts(1, 1)], counts(4, 4), vec![0]),
        ] {
            assert_eq!(shrink_old(&old, new, 4, bounds), expected, "{old:?} {new:?}");
        }
    }

    #[test]
    fn proportion() {
        let set = |wanted, maximum| Counts { wanted, available: wanted, maximum };
        assert_eq!(scale_in_proportion(&[set(5, 10), set(5, 10)], 20, 0), [10, 10]);
        assert_eq!(scale_in_proportion(&[set(8, 10), set(2, 10)], 5, 0), [4, 1]);
        assert_eq!(scale_in_proportion(&[set(8, 13), set(5, 13)], 0, 3), [0, 0]);
        assert_eq!(scale_in_proportion(&[set(8, 13), set(5, 13)], 30, 3), [20, 13]);
    }

    proptest! {
        /// Whatever the pods do, an update never leaves its bounds, and ends when new pods become available.
        #[test]
        fn an_update_stays_in_bounds_and_ends(
            wanted in 1..30i64, surge in 0..5i64, unavailable in 0..5i64, lazy in prop::collection::vec(any::<bool>(), 60),
        ) {
            let bounds = Bounds::resolve(Share::Count(surge), Share::Count(unavailable), wanted);
            let (mut old, mut new) = (counts(wanted, wanted), counts(0, 0));
            for step in 0..300 {
                new.wanted = grow_new(new.wanted, old.wanted + new.wanted, wanted, bounds);
                prop_assert!(old.wanted + new.wanted <= wanted + bounds.surge);
                old.wanted = shrink_old(&[old], new, wanted, bounds)[0];
                old.available = old.available.min(old.wanted);
                prop_assert!(old.available + new.available >= wanted - bounds.unavailable);
                if lazy.get(step).copied().unwrap_or(true) && new.available < new.wanted {
                    new.available += 1;
                }
            }
            prop_assert_eq!((old.wanted, new.wanted), (0, wanted));
        }

        #[test]
        fn a_scaled_update_comes_to_the_whole(
            sizes in prop::collection::vec(1..50i64, 1..5), wanted in 0..100i64, surge in 0..5i64,
        ) {
            let maximum = sizes.iter().sum();
            let sets: Vec<Counts> = sizes.iter().map(|s| Counts { wanted: *s, available: *s, maximum }).collect();
            let next = scale_in_proportion(&sets, wanted, surge);
            let allowed = if wanted > 0 { wanted + surge } else { 0 };
            prop_assert_eq!(next.iter().sum::<i64>(), allowed);
            prop_assert!(next.iter().all(|n| *n >= 0));
        }
    }
}
