//! Sets of completion indexes as a job's status writes them: `0,2-4,7`.

use std::collections::BTreeSet;
use std::fmt;

/// Runs of indexes, first and last included, in order and apart. A job may have 10^5 indexes; its runs are few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(Vec<(i64, i64)>);

impl Indexes {
    /// Reads the text; what is at `completions` or above, and what is no index, is left out.
    pub(super) fn parse(text: &str, completions: i64) -> Self {
        let runs = text.split(',').filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse::<i64>().ok()?, last.parse::<i64>().ok()?.min(completions - 1));
            (first >= 0 && first <= last).then_some((first, last))
        });
        Self::default().with_runs(runs)
    }

    fn with_runs(&self, more: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut all = self.0.clone();
        all.extend(more);
        all.sort_unstable();
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for (first, last) in all {
            match runs.last_mut() {
                Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
                _ => runs.push((first, last)),
            }
        }
        Indexes(runs)
    }

    /// The same and these.
    pub(super) fn with(&self, more: impl IntoIterator<Item = i64>) -> Self {
        self.with_runs(more.into_iter().map(|index| (index, index)))
    }

    /// All of both.
    pub(super) fn and(&self, other: &Self) -> Self {
        self.with_runs(other.0.iter().copied())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many.
    pub(super) fn count(&self) -> i64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    pub(super) fn has(&self, index: i64) -> bool {
        let next = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(next).is_some_and(|(first, _)| *first <= index)
    }

    /// How many are in both.
    pub(super) fn in_common(&self, other: &Self) -> i64 {
        let pairs = self.0.iter().flat_map(|a| other.0.iter().map(move |b| (a, b)));
        pairs.map(|(a, b)| (a.1.min(b.1) - a.0.max(b.0) + 1).max(0)).sum()
    }

    /// The first `count` indexes below `completions` that are not in the set.
    pub(super) fn first_missing(&self, count: usize, completions: i64) -> Vec<i64> {
        let mut missing = Vec::new();
        let mut candidate = 0;
        let end = [(completions, completions)];
        for (first, last) in self.0.iter().chain(&end) {
            while candidate < *first && candidate < completions && missing.len() < count {
                missing.push(candidate);
                candidate += 1;
            }
            candidate = candidate.max(last + 1);
        }
        missing
    }
}

impl FromIterator<i64> for Indexes {
    fn from_iter<I: IntoIterator<Item = i64>>(indexes: I) -> Self {
        let sorted: BTreeSet<i64> = indexes.into_iter().collect();
        Indexes::default().with(sorted)
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (first, last)) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            match last - first {
                0 => write!(f, "{first}")?,
                1 => write!(f, "{first},{last}")?,
                _ => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts() {
        for (text, completions, expected) in [
            ("", 5, ""),
            ("0", 5, "0"),
            ("0,1", 5, "0,1"),
            ("0,1,2", 5, "0-2"),
            ("4,1-2", 9, "1,2,4"),
            ("1-7,9", 5, "1-4"),
            ("6", 5, ""),
            ("x,1,3-y", 5, "1"),
        ] {
            assert_eq!(Indexes::parse(text, completions).to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_missing() {
        for (text, count, completions, expected) in [
            ("", 2, 5, vec![0, 1]),
            ("0,2", 9, 5, vec![1, 3, 4]),
            ("0-4", 3, 5, vec![]),
            ("1-3", 1, 5, vec![0]),
            ("", 0, 5, vec![]),
        ] {
            assert_eq!(
                Indexes::parse(text, completions).first_missing(count, completions),
                expected,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_set_is_its_text(indexes in prop::collection::btree_set(0i64..40, 0..30)) {
            let set: Indexes = indexes.iter().copied().collect();
            prop_assert_eq!(&Indexes::parse(&set.to_string(), 40), &set);
            prop_assert_eq!(set.count(), i64::try_from(indexes.len()).unwrap());
            for index in 0..40 {
                prop_assert_eq!(set.has(index), indexes.contains(&index));
            }
        }

        #[test]
        fn what_is_common_is_counted(
            a in prop::collection::btree_set(0i64..20, 0..15), b in prop::collection::btree_set(0i64..20, 0..15),
        ) {
            let (left, right): (Indexes, Indexes) = (a.iter().copied().collect(), b.iter().copied().collect());
            prop_assert_eq!(left.in_common(&right), i64::try_from(a.intersection(&b).count()).unwrap());
            let both: Indexes = a.union(&b).copied().collect();
            prop_assert_eq!(left.and(&right), both);
        }
    }
}
