//! `"%s".format([…])`, and texts in quotes.

use super::conversions::{self, printed};
use super::times;
use super::values::{Given, Key, Stop, Value, fail};
use super::work::Work;

/// A piece of what `format` is called on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    Text(String),
    /// A place for an argument, by its letter, with the number of decimals.
    Argument(char, usize),
}

/// The decimals of numbers of which nothing is said.
const DECIMALS: usize = 6;
/// More are refused: nobody can read them.
const MAX_DECIMALS: usize = 10_000;

/// The pieces of a text.
///
/// Errors: what is wrong with it.
pub(crate) fn clauses(text: &str) -> Result<Vec<Clause>, String> {
    let mut out = Vec::new();
    let mut plain = String::new();
    let mut rest = text.chars();
    let unreadable = |why: String| Err(format!("could not parse formatting clause: {why}"));
    while let Some(c) = rest.next() {
        if c != '%' {
            plain.push(c);
            continue;
        }
        let mut next = match rest.next() {
            None => return Err("unexpected end of string".to_owned()),
            Some('%') => {
                plain.push('%');
                continue;
            }
            Some(next) => next,
        };
        let mut decimals = DECIMALS;
        if next == '.' {
            let mut digits = String::new();
            loop {
                match rest.next() {
                    Some(c) if c.is_ascii_digit() => digits.push(c),
                    Some(c) => {
                        next = c;
                        break;
                    }
                    None => {
                        return unreadable(
                            "error while parsing precision: could not find end of precision specifier"
                                .to_owned(),
                        );
                    }
                }
            }
            decimals = match digits.parse() {
                Ok(decimals) if decimals <= MAX_DECIMALS => decimals,
                _ => {
                    return unreadable(format!(
                        "error while parsing precision: error while converting precision to integer: strconv.Atoi: \
                         parsing {digits:?}: invalid syntax"
                    ));
                }
            };
        }
        if !"sdfeboxX".contains(next) {
            return unreadable(format!("unrecognized formatting clause {:?}", next.to_string()));
        }
        if !plain.is_empty() {
            out.push(Clause::Text(std::mem::take(&mut plain)));
        }
        out.push(Clause::Argument(next, decimals));
    }
    if !plain.is_empty() {
        out.push(Clause::Text(plain));
    }
    Ok(out)
}

/// Why a value of a type cannot stand at a place; `None`: it can.
pub(crate) fn fits(letter: char, of: &str) -> Option<String> {
    let (types, why): (&[&str], &str) = match letter {
        's' => (
            &[
                "string",
                "bool",
                "bytes",
                "int",
                "uint",
                "double",
                "map",
                "list",
                "type",
                "null_type",
                "google.protobuf.Duration",
                "google.protobuf.Timestamp",
            ],
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, \
             and timestamps, was given ",
        ),
        'd' => (&["int", "uint"], "decimal clause can only be used on integers, was given "),
        // Texts may say that they are no number.
        'f' => (&["double", "string"], "fixed-point clause can only be used on doubles, was given "),
        'e' => (&["double", "string"], "scientific clause can only be used on doubles, was given "),
        'b' => (&["int", "uint", "bool"], "only integers and bools can be formatted as binary, was given "),
        'o' => (&["int", "uint"], "octal clause can only be used on integers, was given "),
        _ => (
            &["int", "uint", "string", "bytes"],
            "only integers, byte buffers, and strings can be formatted as hex, was given ",
        ),
    };
    (!types.contains(&of)).then(|| format!("error during formatting: {why}{of}"))
}

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value], work: &mut Work) -> Option<Given> {
    match (name, given) {
        ("format", [Value::Text(text), Value::List(list)]) => {
            Some(formatted(text, &list.items, work).map(Value::from))
        }
        ("strings.quote", [Value::Text(text)]) => Some(Ok(in_quotes(text).into())),
        _ => None,
    }
}

fn formatted(text: &str, arguments: &[Value], work: &mut Work) -> Result<String, Stop> {
    let clauses = clauses(text).or_else(fail)?;
    let mut out = String::new();
    let mut next = 0;
    for clause in &clauses {
        match clause {
            Clause::Text(text) => out.push_str(text),
            Clause::Argument(letter, decimals) => {
                let Some(argument) = arguments.get(next) else {
                    return fail(format!("index {next} out of range"));
                };
                next += 1;
                let shown = argument_shown(*letter, *decimals, argument)?;
                work.take(shown.len() / 4)?;
                out.push_str(&shown);
            }
        }
    }
    if next < arguments.len() {
        return fail(format!(
            "too many arguments supplied to string.format (expected {next}, got {})",
            arguments.len()
        ));
    }
    Ok(out)
}

fn argument_shown(letter: char, decimals: usize, argument: &Value) -> Result<String, Stop> {
    if let Some(why) = fits(letter, argument.type_name()) {
        return fail(why);
    }
    let unfit = || fits(letter, "string?").unwrap_or_default().replace("string?", "string");
    Ok(match (letter, argument) {
        ('s', Value::Null) => "null".to_owned(),
        ('s', Value::List(_) | Value::Map(_)) => within(argument)?,
        ('s' | 'd', other) => match conversions::text(other) {
            Some(Ok(text)) => text,
            Some(Err(Stop::Error(why))) => {
                return fail(format!(
                    "error during formatting: could not convert argument {:?} to string",
                    why.as_ref()
                ));
            }
            _ => return fail(fits(letter, other.type_name()).unwrap_or_default()),
        },
        ('f' | 'e', Value::Double(double)) => decimal(letter, decimals, *double),
        ('f' | 'e', Value::Text(text)) => match &**text {
            "NaN" => decimal(letter, decimals, f64::NAN),
            "Infinity" => decimal(letter, decimals, f64::INFINITY),
            "-Infinity" => decimal(letter, decimals, f64::NEG_INFINITY),
            _ => return fail(unfit()),
        },
        ('b', Value::Bool(bool)) => if *bool { "1" } else { "0" }.to_owned(),
        (_, Value::Int(int)) => {
            let sign = if *int < 0 { "-" } else { "" };
            format!("{sign}{}", digits(letter, int.unsigned_abs()))
        }
        (_, Value::Uint(uint)) => digits(letter, *uint),
        (_, Value::Text(text)) => hex(letter, text.as_bytes()),
        (_, Value::Bytes(bytes)) => hex(letter, bytes),
        (_, other) => return fail(fits(letter, other.type_name()).unwrap_or_default()),
    })
}

fn digits(letter: char, number: u64) -> String {
    match letter {
        'b' => format!("{number:b}"),
        'o' => format!("{number:o}"),
        'X' => format!("{number:X}"),
        _ => format!("{number:x}"),
    }
}

fn hex(letter: char, bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| if letter == 'X' { format!("{byte:02X}") } else { format!("{byte:02x}") })
        .collect()
}

/// A number as it is printed for readers in the United States: with commas between thousands, and powers
/// of ten written out.
fn decimal(letter: char, decimals: usize, double: f64) -> String {
    let sign = if double < 0.0 { "-" } else { "" };
    if double.is_nan() {
        return "NaN".to_owned();
    }
    if double.is_infinite() {
        return format!("{sign}\u{221e}");
    }
    if letter == 'f' {
        let text = format!("{:.decimals$}", double.abs());
        let (whole, part) = text.find('.').and_then(|dot| text.split_at_checked(dot)).unwrap_or((&text, ""));
        let mut out = String::from(sign);
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        return out + part;
    }
    let text = format!("{double:.6e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (minus, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ("\u{207b}", exponent),
        None => ("", exponent),
    };
    let raised = |c: char| match c {
        '1' => '\u{b9}',
        '2' => '\u{b2}',
        '3' => '\u{b3}',
        c => char::from_u32(0x2070 + c.to_digit(10).unwrap_or(0)).unwrap_or(c),
    };
    let exponent: String = format!("{exponent:0>2}").chars().map(raised).collect();
    format!("{mantissa}\u{d7}10{minus}{exponent}")
}

/// A value within a list or a map, as an expression would say it.
fn within(value: &Value) -> Result<String, Stop> {
    Ok(match value {
        Value::List(list) => {
            let items: Vec<String> = list.items.iter().map(within).collect::<Result<_, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map.iter() {
                let key = match key {
                    Key::Text(text) => go_quoted(text),
                    other => super::operators::shown(&other.value()),
                };
                entries.push((key, within(value)?));
            }
            entries.sort();
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}:{value}")).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Text(text) => go_quoted(text),
        Value::Bytes(bytes) => format!("b{}", go_quoted(&String::from_utf8_lossy(bytes))),
        Value::Double(double) if double.is_finite() => format!("{double:.6}"),
        Value::Double(double) => format!("{:?}", printed(*double)),
        Value::Duration(nanoseconds) => format!("duration(\"{}\")", times::seconds(*nanoseconds)),
        Value::Time(time) => format!("timestamp(\"{time}\")"),
        Value::Null => "null".to_owned(),
        other => match conversions::text(other) {
            Some(text) => text?,
            None => {
                return fail(format!(
                    "error during formatting: no formatting function for {}",
                    other.type_name()
                ));
            }
        },
    })
}

/// A text in quotes as Go writes it.
fn go_quoted(text: &str) -> String {
    quoted(text, |c| match c {
        c if c.is_control() && u32::from(c) < 0x80 => format!("\\x{:02x}", u32::from(c)),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    })
}

/// A text in quotes as CEL writes it.
fn in_quotes(text: &str) -> String {
    quoted(text, |c| c.to_string())
}

fn quoted(text: &str, other: impl Fn(char) -> String) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            c => out.push_str(&other(c)),
        }
    }
    out.push('"');
    out
}
