//! Quantities such as `100m`, `1.5`, `2Gi` and `12e6`, with the rules of Kubernetes' `resource.Quantity`.
//!
//! A quantity is a whole number of billionths up to about 1.7e29; larger ones are refused. What is smaller than a
//! billionth is rounded away from zero.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use thiserror::Error;

/// Billionths in one.
const NANO: i128 = 1_000_000_000;
/// Digits that always fit a 64-bit number.
const FAST_DIGITS: i32 = 18;

/// A quantity. Two are equal when their amounts are, however they are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

/// How a quantity is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `12M`.
    #[default]
    DecimalSi,
    /// `12Mi`.
    BinarySi,
    /// `12e6`.
    DecimalExponent,
}

/// Why a text is no quantity; the words are Kubernetes'.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum QuantityError {
    /// Not a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number is out of range.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// No such suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// The parts of a text.
struct Parts<'a> {
    negative: bool,
    /// Digits before the point, without leading zeros; never empty.
    whole: &'a str,
    /// Digits behind the point.
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    let (negative, rest) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let rest = rest.trim_start_matches('0');
    let (whole, rest) = rest.split_at(digits(rest));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let letters = suffix.bytes().take_while(|b| b"eEinumkKMGTP".contains(b)).count();
    let tail = &suffix[letters..];
    let tail = tail.strip_prefix(['-', '+']).unwrap_or(tail);
    if digits(tail) != tail.len() {
        return Err(QuantityError::Format);
    }
    Ok(Parts { negative, whole: if whole.is_empty() { "0" } else { whole }, fraction, suffix })
}

/// The base, exponent and format of a suffix.
fn interpret(suffix: &str) -> Result<(u32, i32, Format), QuantityError> {
    let decimal = |exponent| Ok((10, exponent, Format::DecimalSi));
    let binary = |exponent| Ok((2, exponent, Format::BinarySi));
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => match suffix.strip_prefix(['e', 'E']) {
            Some(exponent) => {
                let exponent = exponent.parse().map_err(|_| QuantityError::Suffix)?;
                Ok((10, exponent, Format::DecimalExponent))
            }
            None => Err(QuantityError::Suffix),
        },
    }
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity { nano: 0, format: Format::DecimalSi };

    /// A whole number.
    pub const fn from_whole(value: i64, format: Format) -> Quantity {
        Quantity { nano: value as i128 * NANO, format }
    }

    /// From billionths.
    pub fn from_billionths(nano: i128, format: Format) -> Quantity {
        Quantity { nano, format }
    }

    /// A number of thousandths.
    pub fn from_milli(value: i64, format: Format) -> Quantity {
        Quantity { nano: i128::from(value) * (NANO / 1000), format }
    }

    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        let parts = split(text)?;
        let (base, exponent, mut format) = interpret(parts.suffix)?;
        let digits = [parts.whole, parts.fraction].concat();
        let digits = digits.trim_start_matches('0');
        let mut nano = 0;
        if !digits.is_empty() {
            let mantissa: i128 = digits.parse().map_err(|_| QuantityError::Numeric)?;
            let places = parts.fraction.len() as i32;
            nano = if base == 2 {
                let whole = mantissa.checked_mul(1i128 << exponent).ok_or(QuantityError::Numeric)?;
                let nano = scale_up(whole, 9i32.saturating_sub(places))?;
                nano.min(i128::from(i64::MAX) * NANO)
            } else {
                scale_up(mantissa, exponent.saturating_add(9).saturating_sub(places))?
            };
        }
        if format == Format::BinarySi && nano > 0 && nano < NANO {
            format = Format::DecimalSi;
        }
        Ok(Quantity { nano: if parts.negative { -nano } else { nano }, format })
    }

    /// The text as Kubernetes keeps it: texts that count as canonical stay as they are (`1.500` too), others are
    /// rewritten (`1000m` to `1`, `1024Mi` to `1Gi`).
    pub fn normalize(text: &str) -> Result<Cow<'_, str>, QuantityError> {
        let quantity = Quantity::parse(text)?;
        let parts = split(text)?;
        let (base, exponent, _) = interpret(parts.suffix)?;
        let digits = (parts.whole.len() + parts.fraction.len()) as i32;
        let kept = if text == "0" {
            true
        } else if base == 2 {
            let precision = 15 - digits - (exponent * 3 / 10) - 1;
            let value: Option<i64> = parts.whole.parse().ok();
            parts.fraction.is_empty()
                && precision >= 0
                && value.is_some_and(|v| v & 7 != 0 && v.checked_mul(1i64 << exponent).is_some())
        } else {
            let scale = exponent.saturating_sub(parts.fraction.len() as i32);
            let zeros = if parts.fraction.len() >= 3 {
                parts.fraction.ends_with("000")
            } else {
                [parts.whole, parts.fraction].concat().ends_with("000")
            };
            digits <= FAST_DIGITS && scale >= -9 && scale % 3 == 0 && !zeros && !parts.whole.starts_with('0')
        };
        Ok(if kept { Cow::Borrowed(text) } else { Cow::Owned(quantity.to_string()) })
    }

    /// True for nothing.
    pub fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// True for less than nothing.
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// Whole ones, rounded away from zero; the nearest 64-bit number when out of range.
    pub fn value(self) -> i64 {
        clamp(divide_up(self.nano, NANO))
    }

    /// In billionths, exactly.
    pub fn billionths(self) -> i128 {
        self.nano
    }

    /// Thousandths, rounded away from zero; the nearest 64-bit number when out of range.
    pub fn milli_value(self) -> i64 {
        clamp(divide_up(self.nano, NANO / 1000))
    }

    /// Whole ones, rounded away from zero.
    #[must_use]
    pub fn rounded_up(self) -> Quantity {
        Quantity { nano: divide_up(self.nano, NANO).saturating_mul(NANO), ..self }
    }

    /// How it is written.
    pub fn format(self) -> Format {
        self.format
    }

    fn with(self, other: Quantity, nano: i128) -> Quantity {
        Quantity { nano, format: if self.nano == 0 { other.format } else { self.format } }
    }
}

/// Times ten to a power, rounded away from zero. The mantissa is positive.
fn scale_up(mantissa: i128, power: i32) -> Result<i128, QuantityError> {
    if power >= 0 {
        let factor = 10i128.checked_pow(power as u32).ok_or(QuantityError::Numeric)?;
        return mantissa.checked_mul(factor).ok_or(QuantityError::Numeric);
    }
    match 10i128.checked_pow(power.unsigned_abs()) {
        Some(divisor) => Ok(divide_up(mantissa, divisor)),
        None => Ok(1),
    }
}

fn divide_up(value: i128, divisor: i128) -> i128 {
    let quotient = value / divisor;
    quotient + (value % divisor).signum()
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nano.hash(state);
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl std::ops::Add for Quantity {
    type Output = Quantity;

    /// The sum, written as the first unless that is nothing.
    fn add(self, other: Quantity) -> Quantity {
        self.with(other, self.nano.saturating_add(other.nano))
    }
}

impl std::ops::Sub for Quantity {
    type Output = Quantity;

    /// The difference, written as the first unless that is nothing.
    fn sub(self, other: Quantity) -> Quantity {
        self.with(other, self.nano.saturating_sub(other.nano))
    }
}

impl std::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}

impl std::ops::SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Quantity>>(iter: I) -> Quantity {
        iter.fold(Quantity::ZERO, |a, b| a + b)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        Quantity::parse(text)
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that allows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        let whole = self.nano / NANO;
        if self.format == Format::BinarySi && self.nano % NANO == 0 && whole.abs() >= 1024 {
            let suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
            let mut value = whole;
            let mut power = 0;
            while value % 1024 == 0 && power + 1 < suffixes.len() {
                value /= 1024;
                power += 1;
            }
            return write!(f, "{value}{}", suffixes[power]);
        }
        let mut value = self.nano;
        let mut exponent = -9;
        while value % 1000 == 0 && (exponent < 18 || self.format == Format::DecimalExponent) {
            value /= 1000;
            exponent += 3;
        }
        if self.format == Format::DecimalExponent {
            return match exponent {
                0 => write!(f, "{value}"),
                _ => write!(f, "{value}e{exponent}"),
            };
        }
        let suffix = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][(exponent / 3 + 3) as usize];
        write!(f, "{value}{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_kept_or_rewritten_as_kubernetes_does() {
        let cases = [
            ("0", "0"),
            ("0Gi", "0"),
            ("-0", "0"),
            ("1", "1"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1.5", "1500m"),
            ("1.500", "1.500"),
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("1025Mi", "1025Mi"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("100000", "100k"),
            ("12e6", "12e6"),
            ("1e3", "1e3"),
            ("1000e3", "1e6"),
            ("100E", "100E"),
            ("0.0000000001", "1n"),
            ("-1.5", "-1500m"),
            ("+5", "+5"),
            ("16Ei", "9223372036854775807"),
            ("1.1i", "error"),
            (".5", "500m"),
            ("5.", "5."),
            ("0.1Ki", "102400m"),
            ("0.0001Ki", "102400u"),
        ];
        for (text, want) in cases {
            let got = Quantity::normalize(text).map_or_else(|_| "error".to_owned(), Cow::into_owned);
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn says_why_a_text_is_refused() {
        for (text, error) in [
            ("", QuantityError::Format),
            ("abc", QuantityError::Format),
            ("1 Gi", QuantityError::Format),
            ("1.2.3", QuantityError::Format),
            ("1x", QuantityError::Format),
            ("1KiB", QuantityError::Format),
            ("1mm", QuantityError::Suffix),
            ("1Ki5", QuantityError::Suffix),
            ("1e", QuantityError::Suffix),
            ("1e40", QuantityError::Numeric),
        ] {
            assert_eq!(Quantity::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn counts() {
        let quantity = |text| Quantity::parse(text).unwrap();
        assert_eq!((quantity("1Gi") + quantity("512Mi")).to_string(), "1536Mi");
        assert_eq!((quantity("2") - quantity("500m")).to_string(), "1500m");
        assert_eq!((Quantity::ZERO + quantity("1Gi")).to_string(), "1Gi");
        assert_eq!(quantity("1500m").value(), 2);
        assert_eq!(quantity("0.5").milli_value(), 500);
        assert!(quantity("1Gi") > quantity("1G"));
        assert_eq!(quantity("1500m").rounded_up().to_string(), "2");
        assert_eq!(quantity("0.1Ki").rounded_up(), quantity("103"));
        assert_eq!(quantity("1000m"), quantity("1"));
    }

    fn texts() -> impl Strategy<Value = String> {
        let suffix = prop::sample::select(vec![
            "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "e3", "e-2", "E6",
        ]);
        (any::<bool>(), 0u64..1_000_000_000, prop::option::of(0u32..100_000), suffix).prop_map(
            |(minus, whole, fraction, suffix)| {
                let fraction = fraction.map(|f| format!(".{f}")).unwrap_or_default();
                format!("{}{whole}{fraction}{suffix}", if minus { "-" } else { "" })
            },
        )
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_stable_and_equal(text in texts()) {
            let quantity = Quantity::parse(&text).unwrap();
            let canonical = quantity.to_string();
            let again = Quantity::parse(&canonical).unwrap();
            prop_assert_eq!(quantity, again);
            prop_assert_eq!(again.to_string(), canonical);
            let kept = Quantity::normalize(&text).unwrap().into_owned();
            prop_assert_eq!(Quantity::parse(&kept).unwrap(), quantity);
        }

        #[test]
        fn adding_and_taking_away_is_no_change(a in texts(), b in texts()) {
            let (a, b) = (Quantity::parse(&a).unwrap(), Quantity::parse(&b).unwrap());
            prop_assert_eq!(a + b - b, a);
            prop_assert_eq!(a + b, b + a);
            prop_assert_eq!(a.cmp(&b), (a - b).cmp(&Quantity::ZERO));
        }

        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = Quantity::normalize(&text);
        }
    }
}
