//! Which times of a schedule were missed, and when the next one is.

use api_resources::cron::Schedule;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The key comes a little after its time, so that a clock that is a little behind has reached it too.
const PADDING: SignedDuration = SignedDuration::from_millis(100);
/// More missed times than this are told of.
const MANY: i64 = 100;

/// When a cron job is due, and since when that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times<'a> {
    pub(super) schedule: &'a Schedule,
    pub(super) zone: &'a TimeZone,
    /// The last time that a job was made for, or the creation of the cron job.
    pub(super) since: Timestamp,
    /// Older times do not count for a start (`spec.startingDeadlineSeconds`).
    pub(super) deadline: Option<SignedDuration>,
}

/// Times between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) latest: Option<Timestamp>,
    /// How many, roughly: as if all were as far apart as the first two.
    count: i64,
}

impl Missed {
    pub(super) fn too_many(&self) -> bool {
        self.count > MANY
    }
}

impl Times<'_> {
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.schedule.next(after, self.zone)
    }

    /// The last time that a job can still be started for.
    ///
    /// # Errors
    /// The schedule never comes.
    pub(super) fn missed(&self, now: Timestamp) -> Result<Missed, String> {
        let earliest = self.deadline.and_then(|deadline| now.checked_sub(deadline).ok());
        self.between(earliest.map_or(self.since, |earliest| earliest.max(self.since)), now)
    }

    fn between(&self, since: Timestamp, now: Timestamp) -> Result<Missed, String> {
        let never = || "time difference between two schedules is less than 1 second".to_owned();
        let first = self.next(since).ok_or_else(never)?;
        if now < first {
            return Ok(Missed::default());
        }
        let Some(second) = self.next(first).filter(|second| *second <= now) else {
            return Ok(Missed { latest: Some(first), count: 0 });
        };
        let gap = second.duration_since(first).as_secs();
        if gap < 1 {
            return Err(never());
        }
        let count = now.duration_since(first).as_secs() / gap + 1;
        // From one step before the last, as times may be closer to each other than the first two.
        let start = SignedDuration::from_secs((count - 2).saturating_mul(gap));
        let mut at = first.checked_add(start).ok().and_then(|start| self.next(start));
        let mut latest = None;
        while let Some(time) = at.filter(|time| *time <= now) {
            latest = Some(time);
            at = self.next(time);
        }
        Ok(Missed { latest, count })
    }

    /// How long until the next time that nothing was made for yet; `None`: there is none.
    pub(super) fn wait(&self, now: Timestamp) -> Option<Duration> {
        let after = match self.between(self.since, now) {
            Ok(Missed { latest: Some(latest), .. }) => latest,
            Ok(Missed { count: 0, .. }) => self.since,
            _ => now,
        };
        let next = self.next(after)?.checked_add(PADDING).ok()?;
        Some(Duration::try_from(next.duration_since(now)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-07-{text}Z").parse().unwrap()
    }

    #[test]
    fn missed_times_and_the_next() {
        let hour = 3600;
        for (schedule, since, deadline, now, latest, many, wait) in [
            ("0 * * * *", "09T10:00:00", None, "09T10:59:59", None, false, 1),
            ("0 * * * *", "09T10:00:00", None, "09T11:00:00", Some("09T11:00:00"), false, hour),
            ("0 * * * *", "09T10:00:00", None, "09T15:30:00", Some("09T15:00:00"), false, hour / 2),
            ("0 * * * *", "09T10:00:00", Some(600), "09T15:30:00", None, false, hour / 2),
            ("0 * * * *", "09T10:00:00", Some(1800), "09T15:30:00", None, false, hour / 2),
            ("0 * * * *", "09T10:00:00", Some(1801), "09T15:30:00", Some("09T15:00:00"), false, hour / 2),
            ("* * * * *", "09T10:00:00", None, "09T12:00:30", Some("09T12:00:00"), true, 30),
            ("* * * * *", "09T10:00:00", Some(300), "09T12:00:30", Some("09T12:00:00"), false, 30),
            // On weekdays, four times a day; the 11th is a Saturday.
            (
                "30 6-16/4 * * 1-5",
                "10T10:30:00",
                None,
                "11T12:00:00",
                Some("10T14:30:00"),
                false,
                42 * hour + 1800,
            ),
            // From a start that is not the schedule's own.
            ("@every 1h", "09T10:20:00", None, "09T12:30:00", Some("09T12:20:00"), false, 50 * 60),
        ] {
            let schedule = Schedule::parse(schedule).unwrap();
            let deadline = deadline.map(SignedDuration::from_secs);
            let times = Times { schedule: &schedule, zone: &TimeZone::UTC, since: at(since), deadline };
            let missed = times.missed(at(now)).unwrap();
            assert_eq!((missed.latest, missed.too_many()), (latest.map(at), many), "{schedule:?} {now}");
            let expected = Duration::from_secs(wait) + Duration::from_millis(100);
            assert_eq!(times.wait(at(now)), Some(expected), "{schedule:?} {now}");
        }
    }

    #[test]
    fn what_never_comes() {
        let schedule = Schedule::parse("59 23 31 2 *").unwrap();
        let times =
            Times { schedule: &schedule, zone: &TimeZone::UTC, since: at("09T10:00:00"), deadline: None };
        assert!(times.missed(at("09T11:00:00")).is_err() && times.wait(at("09T11:00:00")).is_none());
    }
}
