//! 64-bit floats as Go writes them.

use serde_json::Value;

/// A number as Go prints it: `10`, `0.5`, `1e+06`, `1e-05`.
pub fn printed(number: f64) -> String {
    shortest(&format!("{number:e}"))
}

/// A finite number as JSON: with an exponent only when it is very large or very small.
pub fn json(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return if size >= 1e21 { text.replacen('e', "e+", 1) } else { text };
    }
    number.to_string()
}

/// A value as JSON, its floats so.
pub fn json_of(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => number.as_f64().map(json).unwrap_or_default(),
        Value::Array(items) => format!("[{}]", items.iter().map(json_of).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let members = map.iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), json_of(v)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// The shortest form of a number that is given as `1.5e-9`: with an exponent of two digits from `1e+06` on and below
/// `0.0001`.
pub fn shortest(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    if !(-4..6).contains(&exponent) {
        let of = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{of}{:02}", exponent.abs());
    }
    let digits = mantissa.replace('.', "");
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", zeros(-exponent - 1));
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    match digits.split_at_checked(whole) {
        Some((before, "")) => format!("{sign}{before}"),
        Some((before, after)) => format!("{sign}{before}.{after}"),
        None => format!("{sign}{digits}{}", zeros(exponent + 1 - i32::try_from(digits.len()).unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_in_go() {
        let cases = [
            (0.0, "0", "0", "0"),
            (0.5, "0.5", "0.5", "0.5"),
            (-1000.0, "-1000", "-1000", "-1000"),
            (123_456.0, "123456", "123456", "123456"),
            (1_234_567.0, "1.234567e+06", "1234567", "1.234567e+06"),
            (1e20, "1e+20", "100000000000000000000", "1e+20"),
            (1e21, "1e+21", "1e+21", "1e+21"),
            (0.000_1, "0.0001", "0.0001", "0.0001"),
            (0.000_012, "1.2e-05", "0.000012", "1.2e-05"),
            (1.5e-9, "1.5e-09", "1.5e-9", "1.5e-09"),
        ];
        for (number, as_printed, as_json, as_shortest) in cases {
            assert_eq!(printed(number), as_printed);
            assert_eq!(json(number), as_json);
            assert_eq!(shortest(&format!("{number:e}")), as_shortest);
        }
    }
}
