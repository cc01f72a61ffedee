//! The next time of a schedule.

use super::{Fields, Schedule, When};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A schedule that has no time for so many years has none.
const YEARS: i16 = 5;

impl Schedule {
    /// The first time after `after`, in `zone` unless the schedule names one itself; `None`: there is none in five years
    /// (the 30th of February).
    ///
    /// Hours that a change of clocks leaves out have no times, and those that it repeats have theirs twice.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match &self.when {
            When::Every(period) => {
                // Always on a full second.
                Timestamp::from_second(after.as_second()).ok()?.checked_add(*period).ok()
            }
            When::At(fields) => fields.next(after, self.zone.as_ref().unwrap_or(zone)),
        }
    }
}

impl Fields {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if [self.minutes, self.hours, self.months].contains(&0) {
            return None;
        }
        let start = zone.to_datetime(after);
        let last_year = start.year().saturating_add(YEARS);
        let mut at = Timestamp::from_second(after.as_second()).ok()?;
        at = later(at, 60 - i64::from(start.second()))?;
        loop {
            let local = zone.to_datetime(at);
            if local.year() > last_year {
                return None;
            }
            let rest_of_minute = 60 - i64::from(local.second());
            let day = if !has(self.months, local.month()) {
                local.date().last_of_month().tomorrow().ok()?
            } else if !self.has_day(local.date()) {
                local.date().tomorrow().ok()?
            } else if !has(self.hours, local.hour()) {
                at = later(at, rest_of_minute + 60 * (59 - i64::from(local.minute())))?;
                continue;
            } else if !has(self.minutes, local.minute()) {
                at = later(at, rest_of_minute)?;
                continue;
            } else {
                return Some(at);
            };
            let start = zone.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
            // Clocks that are put back over midnight let a day start twice.
            at = if start > at { start } else { later(at, rest_of_minute)? };
        }
    }

    pub(super) fn has_day(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        if self.both_days { day && weekday } else { day || weekday }
    }
}

fn has(values: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| values & (1 << value) != 0)
}

fn later(at: Timestamp, seconds: i64) -> Option<Timestamp> {
    at.checked_add(SignedDuration::from_secs(seconds)).ok()
}
