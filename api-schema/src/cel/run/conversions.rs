//! From one type to another: `int("1")`, `string(1.5)`.

use super::machine::{constant, is_constant};
use super::times;
use super::values::{Given, Stop, Value, fail};
use crate::crd::pattern;
use crate::crd::rules::{Kind, Part};
use api_types::go_float;

/// The functions that make a value into one of another type.
const NAMES: [&str; 9] = ["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "uint"];

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value]) -> Option<Given> {
    let [of] = given else { return None };
    Some(match (name, of) {
        ("int", Value::Int(_))
        | ("uint", Value::Uint(_))
        | ("double", Value::Double(_))
        | ("bool", Value::Bool(_))
        | ("string", Value::Text(_))
        | ("bytes", Value::Bytes(_))
        | ("duration", Value::Duration(_))
        | ("timestamp", Value::Time(_)) => Ok(of.clone()),
        ("int", _) => int(of)?,
        ("uint", _) => uint(of)?,
        ("double", _) => double(of)?,
        ("bool", Value::Text(text)) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => no_conversion("string", "bool"),
        },
        ("bytes", Value::Text(text)) => Ok(Value::Bytes(text.as_bytes().into())),
        ("string", _) => text(of)?.map(Value::from),
        ("duration", Value::Text(text)) => match times::duration(text) {
            Some(nanoseconds) => Ok(Value::Duration(nanoseconds)),
            None => no_conversion("string", "google.protobuf.Duration"),
        },
        ("duration", Value::Int(nanoseconds)) => Ok(Value::Duration(*nanoseconds)),
        ("timestamp", Value::Text(text)) => match times::timestamp(text) {
            Some(time) => Ok(Value::Time(time)),
            None => no_conversion("string", "google.protobuf.Timestamp"),
        },
        ("timestamp", Value::Int(seconds)) => match times::at_second(*seconds) {
            Some(time) => Ok(Value::Time(time)),
            None => fail("timestamp overflow"),
        },
        _ => return None,
    })
}

/// Why a conversion of something that stands in the expression as it is always fails, as does a regular expression there
/// that is none.
pub(crate) fn problem(part: &Part) -> Option<String> {
    let mut found = None;
    part.each(&mut |below| found = found.take().or_else(|| problem(below)));
    if found.is_some() {
        return found;
    }
    if let Kind::Call { target: Some(_), function, arguments } = &part.kind
        && matches!(function.as_str(), "matches" | "find" | "findAll")
        && let Some(Value::Text(pattern)) = arguments.first().and_then(folded)
    {
        return pattern::problem(&pattern).map(|why| why.to_string());
    }
    let (name, of) = conversion(part)?;
    match converted(name, &folded(of)?) {
        Err(Stop::Error(why)) => Some(why.into_owned()),
        _ => None,
    }
}

fn conversion(part: &Part) -> Option<(&str, &Part)> {
    match &part.kind {
        Kind::Call { target: None, function, arguments } if NAMES.contains(&function.as_str()) => {
            Some((function, arguments.first()?))
        }
        _ => None,
    }
}

/// What a literal is, also when it is converted; `None`: it is known only when it runs.
fn folded(part: &Part) -> Option<Value> {
    match &part.kind {
        Kind::Literal(literal) => Some(constant(literal)),
        Kind::List(_) if is_constant(part) => Some(Value::list(Vec::new())),
        _ => {
            let (name, of) = conversion(part)?;
            converted(name, &folded(of)?).ok()
        }
    }
}

fn converted(name: &str, of: &Value) -> Given {
    if name == "dyn" {
        return Ok(of.clone());
    }
    let given = call(name, std::slice::from_ref(of));
    given.unwrap_or_else(|| fail(format!("no such overload: {name}({})", of.type_name())))
}

fn no_conversion<T>(from: &str, to: &str) -> Result<T, super::Stop> {
    fail(format!("type conversion error from '{from}' to '{to}'"))
}

#[allow(clippy::cast_possible_truncation)] // the range is checked
fn int(of: &Value) -> Option<Given> {
    Some(match of {
        Value::Uint(uint) => match i64::try_from(*uint) {
            Ok(int) => Ok(Value::Int(int)),
            Err(_) => fail("integer overflow"),
        },
        Value::Double(double) if double.abs() < 9_223_372_036_854_775_807.0 => Ok(Value::Int(*double as i64)),
        Value::Double(_) => fail("integer overflow"),
        Value::Text(text) => match text.parse() {
            Ok(int) => Ok(Value::Int(int)),
            Err(_) => no_conversion("string", "int"),
        },
        Value::Time(time) => Ok(Value::Int(time.seconds())),
        Value::Duration(nanoseconds) => Ok(Value::Int(*nanoseconds)),
        _ => return None,
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the range is checked
fn uint(of: &Value) -> Option<Given> {
    Some(match of {
        Value::Int(int) => match u64::try_from(*int) {
            Ok(uint) => Ok(Value::Uint(uint)),
            Err(_) => fail("unsigned integer overflow"),
        },
        Value::Double(double) if *double >= 0.0 && *double < 18_446_744_073_709_551_615.0 => {
            Ok(Value::Uint(*double as u64))
        }
        Value::Double(_) => fail("unsigned integer overflow"),
        Value::Text(text) if text.starts_with('+') => no_conversion("string", "uint"),
        Value::Text(text) => match text.parse() {
            Ok(uint) => Ok(Value::Uint(uint)),
            Err(_) => no_conversion("string", "uint"),
        },
        _ => return None,
    })
}

#[allow(clippy::cast_precision_loss)] // as CEL converts them
fn double(of: &Value) -> Option<Given> {
    Some(match of {
        Value::Int(int) => Ok(Value::Double(*int as f64)),
        Value::Uint(uint) => Ok(Value::Double(*uint as f64)),
        Value::Text(text) => match go_double(text) {
            Some(double) => Ok(Value::Double(double)),
            None => no_conversion("string", "double"),
        },
        _ => return None,
    })
}

/// A number as Go reads it, but for hexadecimal ones.
fn go_double(text: &str) -> Option<f64> {
    let is_finite = text.contains(|c: char| c.is_ascii_digit());
    let double: f64 = text.parse().ok()?;
    (!is_finite || double.is_finite()).then_some(double)
}

/// A value as a text; `None`: it has none.
pub(super) fn text(of: &Value) -> Option<Result<String, super::Stop>> {
    Some(Ok(match of {
        Value::Text(text) => text.to_string(),
        Value::Bool(bool) => bool.to_string(),
        Value::Int(int) => int.to_string(),
        Value::Uint(uint) => uint.to_string(),
        Value::Double(double) => printed(*double),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => return Some(fail("invalid UTF-8 in bytes, cannot convert to string")),
        },
        Value::Duration(nanoseconds) => times::seconds(*nanoseconds),
        Value::Time(time) => time.to_string(),
        Value::Type(name) => (*name).to_owned(),
        Value::Ip(address) => address.to_string(),
        Value::Cidr(address, long) => format!("{address}/{long}"),
        _ => return None,
    }))
}

/// A number as Go prints it, the infinite ones too.
pub(super) fn printed(double: f64) -> String {
    if double.is_nan() {
        "NaN".to_owned()
    } else if double.is_infinite() {
        if double > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        go_float::printed(double)
    }
}
