//! Durations as Kubernetes prints them for people.

use jiff::Timestamp;
use serde_json::Value;

/// A duration in whole seconds with two or three significant figures: `45s`, `3m20s`, `5h`, `2d4h`, `3y40d`. A little
/// below zero, as clocks differ, is `0s`; more is `<invalid>`.
pub fn human_duration(seconds: i64) -> String {
    let pair = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{small_unit}"),
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// The moment that a text says (RFC 3339).
pub(super) fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// How long ago a moment was, as text; `<unknown>` when there is none.
pub(super) fn ago(value: &Value, now: Timestamp) -> String {
    moment(value).map_or_else(|| "<unknown>".to_owned(), |then| between(then, now))
}

/// [`ago`] as a cell.
pub(super) fn since(value: &Value, now: Timestamp) -> Value {
    Value::from(ago(value, now))
}

/// The time between two moments.
pub(super) fn between(from: Timestamp, to: Timestamp) -> String {
    human_duration(to.duration_since(from).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations_print_as_kubernetes_prints_them() {
        let (minute, hour, day, year) = (60, 3600, 86400, 86400 * 365);
        for (seconds, text) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (2 * minute, "2m"),
            (2 * minute + 1, "2m1s"),
            (10 * minute, "10m"),
            (10 * minute + 59, "10m"),
            (3 * hour - 1, "179m"),
            (3 * hour, "3h"),
            (3 * hour + 5 * minute, "3h5m"),
            (8 * hour + 5 * minute, "8h"),
            (2 * day - 1, "47h"),
            (2 * day, "2d"),
            (2 * day + hour, "2d1h"),
            (8 * day + hour, "8d"),
            (2 * year - 1, "729d"),
            (2 * year, "2y"),
            (2 * year + day, "2y1d"),
            (8 * year + day, "8y"),
            (100 * year, "100y"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn ages_are_counted_from_a_moment() {
        let now: Timestamp = "2026-01-01T00:01:30Z".parse().unwrap();
        assert_eq!(ago(&json!("2026-01-01T00:00:00Z"), now), "90s");
        assert_eq!(ago(&json!("2026-01-01T00:00:00.500000Z"), now), "89s");
        assert_eq!(ago(&Value::Null, now), "<unknown>");
    }
}
