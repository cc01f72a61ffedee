//! The names of backups that are made by the clock: `insula-20261122T030000Z.backup`, in UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// How they begin.
pub const PREFIX: &str = "insula-";
const SUFFIX: &str = ".backup";
const FORM: &str = "%Y%m%dT%H%M%SZ";

/// The name of the backup of a time.
pub fn name(at: Timestamp) -> String {
    format!("{PREFIX}{}{SUFFIX}", at.strftime(FORM))
}

/// The time of a name; `None`: it is not the name of such a backup.
pub fn time(name: &str) -> Option<Timestamp> {
    let text = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let at = DateTime::strptime(FORM, text).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    // Only as it is written here, so that order of names is order of times.
    (self::name(at) == name).then_some(at)
}

/// Which of some names go when so many stay: the oldest. Names are in the order of their times.
pub fn superfluous(names: &[String], keep: usize) -> &[String] {
    &names[..names.len().saturating_sub(keep)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_names_of_ours_are_backups() {
        let at: Timestamp = "2026-11-22T03:00:00.7Z".parse().unwrap();
        assert_eq!(name(at), "insula-20261122T030000Z.backup");
        for (text, ours) in [
            ("insula-20261122T030000Z.backup", true),
            (".insula-20261122T030000Z.backup.partial", false),
            ("insula-20261122T030000Z.backup.partial", false),
            ("insula-20261322T030000Z.backup", false),
            ("insula-20261122T0300Z.backup", false),
            ("insula-before-upgrade.backup", false),
            ("insula-.backup", false),
            ("", false),
        ] {
            assert_eq!(time(text).is_some(), ours, "{text}");
        }
    }

    proptest! {
        #[test]
        fn names_are_in_the_order_of_times(a in 0i64..4_000_000_000, b in 0i64..4_000_000_000) {
            let [a, b] = [a, b].map(|second| Timestamp::from_second(second).unwrap());
            prop_assert_eq!(time(&name(a)), Some(a));
            prop_assert_eq!(name(a).cmp(&name(b)), a.cmp(&b));
        }

        #[test]
        fn the_oldest_go(count in 0usize..20, keep in 1usize..10) {
            let names: Vec<String> = (0..count).map(|n| format!("{n:02}")).collect();
            let gone = superfluous(&names, keep);
            prop_assert_eq!(names.len() - gone.len(), count.min(keep));
            prop_assert!(names.starts_with(gone));
        }
    }
}
