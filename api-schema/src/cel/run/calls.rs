//! Which function is which.

use super::values::{Given, Value, fail, no_overload};
use super::work::Work;
use super::{
    addresses, authorizer, conversions, formatting, lists, named_formats, operators, optionals, quantities,
    semvers, texts, times, urls,
};

/// Calls a function, a method or an operator with values, the first one being what a method is called on.
pub(super) fn call(name: &str, method: bool, given: &[Value], work: &mut Work) -> Given {
    match (name, given) {
        ("_==_", [a, b]) => return a.equals(b, work).map(Value::Bool),
        ("_!=_", [a, b]) => return a.equals(b, work).map(|same| Value::Bool(!same)),
        ("_<_" | "_<=_" | "_>_" | "_>=_", [a, b]) => return operators::compared(name, a, b),
        ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [a, b]) => return operators::calculate(name, a, b, work),
        ("_[_]", [of @ Value::Optional(_), index]) | ("_[?_]", [of, index]) => {
            return optionals::at(of, index);
        }
        ("_[_]", [of, index]) => return operators::at(of, index),
        ("@in", [sought, of]) => return operators::within(sought, of, work),
        ("!_", [Value::Bool(bool)]) => return Ok(Value::Bool(!bool)),
        ("!_", _) => return no_overload(),
        ("-_", [of]) => return operators::negated(of),
        ("dyn", [of]) => return Ok(of.clone()),
        ("type", [of]) => return Ok(Value::Type(of.type_name())),
        ("size", [Value::Text(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_)]) => {
            let size = given.first().map_or(0, Value::size);
            return Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)));
        }
        ("size", _) => return fail("no such overload: size"),
        _ => {}
    }
    let found = optionals::call(name, given)
        .or_else(|| conversions::call(name, given))
        .or_else(|| times::call(name, given))
        .or_else(|| authorizer::call(name, given))
        .or_else(|| formatting::call(name, given, work))
        .or_else(|| named_formats::call(name, given))
        .or_else(|| lists::call(name, given, work))
        .or_else(|| texts::call(name, given, work))
        .or_else(|| urls::call(name, given))
        .or_else(|| addresses::call(name, given))
        .or_else(|| quantities::call(name, given))
        .or_else(|| semvers::call(name, given));
    found.unwrap_or_else(|| missing(name, method, given))
}

/// Functions that say no more than that they do not know the values.
const PLAIN: &[&str] = &[
    "asApproximateFloat",
    "asInteger",
    "contains",
    "endsWith",
    "isInteger",
    "matches",
    "max",
    "min",
    "startsWith",
    "sum",
];

fn missing(name: &str, method: bool, given: &[Value]) -> Given {
    if PLAIN.contains(&name) && method {
        return no_overload();
    }
    let types: Vec<&str> = given.iter().map(Value::type_name).collect();
    fail(format!("no such overload: {name}({})", types.join(", ")))
}
