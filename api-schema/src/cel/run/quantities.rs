//! Quantities: `100m`, `2Gi`.

use super::values::{Given, Value, fail};
use crate::quantity::Quantity;
use std::cmp::Ordering;

/// A quantity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    pub billionths: i128,
    /// It is written as a whole number, which not every whole number is: `1000m` is none.
    whole: bool,
}

/// Billionths in one.
const ONE: i128 = 1_000_000_000;

impl Amount {
    fn parse(text: &str) -> Result<Amount, String> {
        let quantity = Quantity::parse(text).map_err(|error| error.to_string())?;
        let billionths = quantity.billionths();
        let fits = billionths % ONE == 0 && i64::try_from(billionths / ONE).is_ok();
        Ok(Amount { billionths, whole: fits && is_short(text) })
    }

    fn of(whole: i64) -> Amount {
        Amount { billionths: i128::from(whole) * ONE, whole: true }
    }

    fn int(self) -> Option<i64> {
        if self.whole { i64::try_from(self.billionths / ONE).ok() } else { None }
    }

    fn plus(self, billionths: i128, whole: bool) -> Amount {
        let billionths = self.billionths.saturating_add(billionths);
        let whole = self.whole && whole && i64::try_from(billionths / ONE).is_ok();
        Amount { billionths, whole }
    }
}

/// True for what Kubernetes keeps as a whole number with a scale that is not negative.
fn is_short(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']).trim_start_matches('0');
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (number, suffix) = digits.split_at(end);
    let length = number.len().max(1);
    // By the power of two, that of which three tenths are the power of ten.
    let lost = match suffix {
        "" | "k" | "M" | "G" | "T" | "P" | "E" => return length <= 18,
        "Ki" => 3,
        "Mi" => 6,
        "Gi" => 9,
        "Ti" => 12,
        "Pi" => 15,
        "Ei" => 18,
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E']).unwrap_or("-");
            return !exponent.starts_with('-') && length <= 18;
        }
    };
    length + lost < 15
}

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value]) -> Option<Given> {
    Some(match (name, given) {
        ("quantity", [Value::Text(text)]) => match Amount::parse(text) {
            Ok(amount) => Ok(Value::Quantity(amount)),
            Err(why) => fail(why),
        },
        ("isQuantity", [Value::Text(text)]) => Ok(Value::Bool(Amount::parse(text).is_ok())),
        ("sign", [Value::Quantity(of)]) => Ok(Value::Int(match of.billionths.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        })),
        ("isInteger", [Value::Quantity(of)]) => Ok(Value::Bool(of.int().is_some())),
        ("asInteger", [Value::Quantity(of)]) => match of.int() {
            Some(int) => Ok(Value::Int(int)),
            None => fail("cannot convert value to integer"),
        },
        ("asApproximateFloat", [Value::Quantity(of)]) => Ok(Value::Double(approximately(of.billionths))),
        ("add", [Value::Quantity(a), Value::Quantity(b)]) => {
            Ok(Value::Quantity(a.plus(b.billionths, b.whole)))
        }
        ("sub", [Value::Quantity(a), Value::Quantity(b)]) => {
            Ok(Value::Quantity(a.plus(-b.billionths, b.whole)))
        }
        ("add", [Value::Quantity(a), Value::Int(b)]) => {
            Ok(Value::Quantity(a.plus(Amount::of(*b).billionths, true)))
        }
        ("sub", [Value::Quantity(a), Value::Int(b)]) => {
            Ok(Value::Quantity(a.plus(-Amount::of(*b).billionths, true)))
        }
        ("compareTo", [Value::Quantity(a), Value::Quantity(b)]) => {
            Ok(Value::Int(match a.billionths.cmp(&b.billionths) {
                Ordering::Less => -1,
                Ordering::Equal => 0,
                Ordering::Greater => 1,
            }))
        }
        ("isGreaterThan", [Value::Quantity(a), Value::Quantity(b)]) => {
            Ok(Value::Bool(a.billionths > b.billionths))
        }
        ("isLessThan", [Value::Quantity(a), Value::Quantity(b)]) => {
            Ok(Value::Bool(a.billionths < b.billionths))
        }
        _ => return None,
    })
}

/// The nearest number.
fn approximately(billionths: i128) -> f64 {
    // By its decimals, so that a tenth is a tenth.
    let size = billionths.unsigned_abs();
    let one = ONE.unsigned_abs();
    let text = format!("{}.{:09}", size / one, size % one);
    let value: f64 = text.parse().unwrap_or(f64::NAN);
    if billionths < 0 { -value } else { value }
}
