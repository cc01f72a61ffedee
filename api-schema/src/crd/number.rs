//! Numbers as Kubernetes compares and prints them.

use serde_json::Value;

/// A number as Go prints a 64-bit float: `10`, `0.5`, `1e+21`, `1e-05`.
pub(super) fn go_float(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e21).contains(&magnitude) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn floats_print_as_in_go() {
        for (value, text) in
            [(10.0, "10"), (0.5, "0.5"), (-3.0, "-3"), (1e21, "1e+21"), (1.5e-5, "1.5e-05"), (0.0, "0")]
        {
            assert_eq!(go_float(value), text);
        }
    }

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
