//! Numbers as Kubernetes compares them.

use serde_json::Value;

/// True when the number is a multiple of a positive factor. Integers divide as integers.
#[allow(clippy::cast_possible_truncation)] // Kubernetes truncates the factor for integers as well
pub(super) fn is_multiple(value: &Value, number: f64, factor: f64) -> bool {
    if let Some(integer) = value.as_i64()
        && factor >= 1.0
    {
        return integer.checked_rem(factor as i64).is_some_and(|rest| rest == 0);
    }
    let times = if factor < 1.0 { 1.0 / factor * number } else { number / factor };
    // Beyond this, every float is whole, and says nothing.
    if times.abs() > 9_007_199_254_740_991.0 {
        return false;
    }
    let nearest = times.round();
    (times - nearest).abs() <= 1e-9 * nearest.abs().max(1.0)
}

/// Whether a value is the one that is listed. A fraction is cut off where a whole number is listed, as Kubernetes does.
pub(super) fn is_listed(listed: &Value, value: &Value) -> bool {
    match (listed.as_i64(), value.as_f64()) {
        (Some(listed), Some(number)) if value.is_f64() => number.trunc() == listed as f64,
        _ => crate::managed_fields::same_value(listed, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn multiples() {
        for (value, factor, is) in [
            (json!(9), 3.0, true),
            (json!(10), 3.0, false),
            (json!(0), 3.0, true),
            (json!(1.5), 0.5, true),
            (json!(0.3), 0.1, true),
            (json!(0.25), 0.1, false),
            (json!(3), 0.5, true),
            (json!(1e40), 0.5, false),
        ] {
            assert_eq!(is_multiple(&value, value.as_f64().unwrap(), factor), is, "{value} {factor}");
        }
    }
}
