use super::*;
use jiff::Timestamp;
use proptest::prelude::*;

#[test]
fn what_is_no_schedule() {
    let atoi = |text: &str, what: &str| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {what}")
    };
    for (text, why) in [
        ("", "empty spec string".to_owned()),
        (" ", "expected exactly 5 fields, found 0: []".to_owned()),
        ("* * *", "expected exactly 5 fields, found 3: [* * *]".to_owned()),
        ("60 * * * *", "end of range (60) above maximum (59): 60".to_owned()),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0".to_owned()),
        ("* * * * 7", "end of range (7) above maximum (6): 7".to_owned()),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1".to_owned()),
        ("*/0 * * * *", "step of range should be a positive number: */0".to_owned()),
        ("*/-5 * * * *", "negative number (-5) not allowed: -5".to_owned()),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3".to_owned()),
        ("1/2/3 * * * *", "too many slashes: 1/2/3".to_owned()),
        ("x * * * *", atoi("x", "invalid syntax")),
        ("-5 * * * *", atoi("", "invalid syntax")),
        ("* * * */feb *", atoi("feb", "invalid syntax")),
        ("99999999999999999999 * * * *", atoi("99999999999999999999", "value out of range")),
        ("@never", "unrecognized descriptor: @never".to_owned()),
        ("@Daily", "unrecognized descriptor: @Daily".to_owned()),
        ("@every x", "failed to parse duration @every x: time: invalid duration \"x\"".to_owned()),
        ("@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\"".to_owned()),
        (
            "@every 1d",
            "failed to parse duration @every 1d: time: unknown unit \"d\" in duration \"1d\"".to_owned(),
        ),
        ("TZ=0", "invalid schedule format: runtime error: slice bounds out of range [:-1]".to_owned()),
        ("TZ=Mars/Base * * * * *", "provided bad location Mars/Base: unknown time zone Mars/Base".to_owned()),
        ("TZ=../x * * * * *", "provided bad location ../x: time: invalid location name".to_owned()),
        (
            "TZ=europe/berlin * * * * *",
            "provided bad location europe/berlin: unknown time zone europe/berlin".to_owned(),
        ),
    ] {
        assert_eq!(Schedule::parse(text), Err(why), "{text:?}");
    }
}

#[test]
fn the_next_time() {
    const NONE: &str = "";
    for (schedule, zone_name, after, expected) in [
        ("*/15 * * * *", "UTC", "2026-07-09T14:45:00Z", "2026-07-09T15:00:00Z"),
        ("*/15 * * * *", "UTC", "2026-07-09T14:59:59.5Z", "2026-07-09T15:00:00Z"),
        ("5/20 * * * *", "UTC", "2026-07-09T14:06:00Z", "2026-07-09T14:25:00Z"),
        (",5,, * * * *", "UTC", "2026-07-09T14:06:00Z", "2026-07-09T15:05:00Z"),
        ("0 0 1,15 jan-MAR ?", "UTC", "2026-03-15T00:00:00Z", "2027-01-01T00:00:00Z"),
        // Either field of days, where both are limited.
        ("0 0 13 * fri", "UTC", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"),
        ("0 0 */2 * fri", "UTC", "2026-11-13T00:00:00Z", "2026-11-15T00:00:00Z"),
        ("0 0 */1 * fri", "UTC", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"),
        ("0 0 *-5 * *", "UTC", "2026-11-13T00:00:00Z", "2026-11-14T00:00:00Z"),
        ("0 0 29 2 *", "UTC", "2025-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 30 2 *", "UTC", "2025-01-01T00:00:00Z", NONE),
        (", * * * *", "UTC", "2025-01-01T00:00:00Z", NONE),
        ("@weekly", "UTC", "2026-11-21T23:30:00Z", "2026-11-22T00:00:00Z"),
        ("@every 1h30m", "UTC", "2026-11-21T23:30:00.9Z", "2026-11-22T01:00:00Z"),
        ("@every -2s", "UTC", "2026-11-21T23:30:00Z", "2026-11-21T23:30:01Z"),
        ("@daily", "Asia/Kolkata", "2026-11-21T20:00:00Z", "2026-11-22T18:30:00Z"),
        ("TZ=Asia/Tokyo 0 9 * * *", "America/New_York", "2026-11-21T23:30:00Z", "2026-11-22T00:00:00Z"),
        // An hour that is left out, and one that comes twice.
        ("30 2 * * *", "America/New_York", "2026-03-08T05:00:00Z", "2026-03-09T06:30:00Z"),
        ("30 1 * * *", "America/New_York", "2026-11-01T04:00:00Z", "2026-11-01T05:30:00Z"),
        ("30 1 * * *", "America/New_York", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"),
        // A day without midnight.
        ("0 1 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T03:00:00Z"),
    ] {
        let after: Timestamp = after.parse().unwrap();
        let next = Schedule::parse(schedule).unwrap().next(after, &zone(zone_name).unwrap());
        let next = next.map_or(String::new(), |next| next.to_string());
        assert_eq!(next, expected, "{schedule} {zone_name} {after}");
    }
}

proptest! {
    /// Nothing lies between a time and the next one, and the next one is one.
    #[test]
    fn no_time_is_left_out(
        minute in 0..60u64, hours in "(\\*|[0-9]|1[0-9]-23|\\*/5)", days in "(\\*|1[0-9]|\\*/7)", weekdays in "(\\*|[0-6])",
        start in 1_700_000_000i64..1_900_000_000,
        name in prop::sample::select(vec!["UTC", "America/New_York", "Australia/Lord_Howe", "America/Havana"]),
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hours} {days} * {weekdays}")).unwrap();
        let When::At(fields) = &schedule.when else { unreachable!() };
        let zone = zone(name).unwrap();
        let start = Timestamp::from_second(start).unwrap();
        let matches = |at: Timestamp| {
            let local = zone.to_datetime(at);
            let hour = u32::try_from(local.hour()).unwrap();
            let minute = u32::try_from(local.minute()).unwrap();
            fields.has_day(local.date()) && fields.hours & (1 << hour) != 0 && fields.minutes & (1 << minute) != 0
        };
        let minutes = (start.as_second() / 60 + 1)..(start.as_second() / 60 + 60 * 24 * 3);
        let expected = minutes.map(|minute| Timestamp::from_second(minute * 60).unwrap()).find(|at| matches(*at));
        let next = schedule.next(start, &zone);
        match expected {
            Some(expected) => prop_assert_eq!(next, Some(expected)),
            None => prop_assert!(next.is_none_or(matches)),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-zA-Z@*?/,= +:.-]{0,24}") {
        if let Ok(schedule) = Schedule::parse(&text) {
            let start = Timestamp::UNIX_EPOCH;
            prop_assert!(schedule.next(start, &TimeZone::UTC).is_none_or(|next| next > start), "{}", text);
        }
    }
}
