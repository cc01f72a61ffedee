//! Quantities (`resource.Quantity`) as thousandths.

use serde_json::Value;

/// Suffixes and what they stand for: a power of ten or of two.
const SUFFIXES: &[(&str, Power)] = &[
    ("n", Power::Ten(-9)),
    ("u", Power::Ten(-6)),
    ("m", Power::Ten(-3)),
    ("", Power::Ten(0)),
    ("k", Power::Ten(3)),
    ("M", Power::Ten(6)),
    ("G", Power::Ten(9)),
    ("T", Power::Ten(12)),
    ("P", Power::Ten(15)),
    ("E", Power::Ten(18)),
    ("Ki", Power::Two(10)),
    ("Mi", Power::Two(20)),
    ("Gi", Power::Two(30)),
    ("Ti", Power::Two(40)),
    ("Pi", Power::Two(50)),
    ("Ei", Power::Two(60)),
];

#[derive(Clone, Copy)]
enum Power {
    Ten(i32),
    Two(u32),
}

/// A quantity in thousandths, rounded up; `None`: it is none, or larger than can be counted.
pub(crate) fn thousandths(quantity: &Value) -> Option<i128> {
    match quantity {
        Value::String(text) => parse(text),
        Value::Number(number) => parse(&number.to_string()),
        _ => None,
    }
}

fn parse(text: &str) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let power =
        SUFFIXES.iter().find(|(known, _)| *known == suffix).map(|(_, power)| *power).or_else(|| {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            exponent.parse().ok().filter(|exponent: &i32| exponent.abs() <= 30).map(Power::Ten)
        })?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || number.len() > 30 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?;
    let (factor, exponent) = match power {
        Power::Ten(exponent) => (1, exponent - scale + 3),
        Power::Two(bits) => (1i128 << bits, 3 - scale),
    };
    let value = digits.checked_mul(factor)?;
    let power_of_ten = 10i128.checked_pow(exponent.unsigned_abs())?;
    let value = if exponent >= 0 {
        value.checked_mul(power_of_ten)?
    } else {
        value / power_of_ten + i128::from(value % power_of_ten != 0)
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities() {
        for (quantity, expected) in [
            (json!("100m"), Some(100)),
            (json!("1"), Some(1000)),
            (json!(2), Some(2000)),
            (json!("0.5"), Some(500)),
            (json!(".5"), Some(500)),
            (json!("1.5Gi"), Some(1_610_612_736_000)),
            (json!("1e3"), Some(1_000_000)),
            (json!("1E"), Some(1_000_000_000_000_000_000_000)),
            (json!("1n"), Some(1)),
            (json!("-1k"), Some(-1_000_000)),
            (json!(""), None),
            (json!("x"), None),
            (json!("1.2.3"), None),
            (json!("1KB"), None),
            (json!("99999999999999999999999999999Ei"), None),
            (json!(null), None),
        ] {
            assert_eq!(thousandths(&quantity), expected, "{quantity}");
        }
    }
}
