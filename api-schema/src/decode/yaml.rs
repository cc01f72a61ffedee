//! YAML into JSON text, as Kubernetes does before decoding.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde_json::{Map, Number, Value};

use super::DecodeError;

/// How many values a document may have once its aliases are followed.
const MAX_VALUES: usize = 1_000_000;

/// How Go's JSON begins to refuse a number that JSON has not.
const UNSUPPORTED: &str = "json: unsupported value: ";

/// The key whose value is merged into its map.
const MERGE: &str = "<<";
const NO_MERGE: &str = "map merge requires map or sequence of maps as the value";

/// How many more brackets may be opened than closed. The parser's work for a token grows with how many are open.
const MAX_OPEN: usize = 1_000;

/// Refuses what nests too deeply, before the parser sees it. Brackets in quoted texts count as well.
fn check_brackets(body: &[u8]) -> Result<(), DecodeError> {
    let mut open = 0usize;
    for byte in body {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_OPEN {
            return Err(DecodeError::Syntax(format!(
                "yaml: more than {MAX_OPEN} brackets are open at once; send JSON instead"
            )));
        }
    }
    Ok(())
}

/// Converts one document. Also gives the duplicate keys, worded as strict errors.
pub(super) fn to_json(body: &[u8]) -> Result<(Vec<u8>, Vec<String>), DecodeError> {
    check_brackets(body)?;
    let mut state = State { path: String::new(), notes: Vec::new(), values: 0 };
    // Of several documents the first is meant.
    let mut documents = serde_yaml_ng::Deserializer::from_slice(body);
    let value = match documents.next() {
        Some(first) => {
            Seed(&mut state).deserialize(first).map_err(|error| refusal(&error.to_string(), body))?
        }
        None => Value::Null,
    };
    let text = serde_json::to_vec(&value).map_err(|error| DecodeError::Syntax(error.to_string()))?;
    Ok((text, state.notes))
}

/// The parser's words as Go's YAML has them: its problem, after the line it is on unless that is the first. The parser
/// says `PROBLEM at line N column M, CONTEXT at …`.
fn refusal(said: &str, body: &[u8]) -> DecodeError {
    let (problem, context) = said.split_once(", while ").unwrap_or((said, ""));
    let (problem, place) = match problem.split_once(" at line ") {
        Some((problem, place)) => (problem, place),
        None => (problem.split(" at position ").next().unwrap_or(problem), ""),
    };
    if let Some(at) = problem.find(UNSUPPORTED) {
        return DecodeError::Syntax(problem[at..].to_owned());
    }
    if problem.ends_with(NO_MERGE) {
        return DecodeError::Syntax(format!("yaml: {NO_MERGE}"));
    }
    let mut numbers = place.split(" column ").map(|number| number.parse().unwrap_or(1));
    let (line, column): (usize, usize) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
    let problem = match problem {
        "unknown anchor" => {
            let name = alias_at(body, line, column);
            return DecodeError::Syntax(format!("yaml: unknown anchor '{name}' referenced"));
        }
        "did not find expected hexadecimal number" => "did not find expected hexdecimal number",
        other => other,
    };
    // The scanner tells the line it is on, the parser the one before.
    let of_scanner = context.starts_with("scanning")
        || context.starts_with("parsing a quoted scalar")
        || context.is_empty();
    let line = if of_scanner { line } else { line - 1 };
    let is_first = line <= 1 && of_scanner || line == 0;
    DecodeError::Syntax(if is_first {
        format!("yaml: {problem}")
    } else {
        format!("yaml: line {line}: {problem}")
    })
}

/// The name of the alias at a place, counted from one.
fn alias_at(body: &[u8], line: usize, column: usize) -> String {
    let text = String::from_utf8_lossy(body);
    let rest = text.lines().nth(line - 1).unwrap_or("").chars().skip(column);
    rest.take_while(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-')).collect()
}

struct State {
    path: String,
    notes: Vec<String>,
    values: usize,
}

struct Seed<'s>(&'s mut State);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.values += 1;
        if self.0.values > MAX_VALUES {
            return Err(D::Error::custom("document contains excessive aliasing"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| {
            let name = if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            };
            E::custom(format_args!("{UNSUPPORTED}{name}"))
        })
    }

    /// A tag of the writer's own means nothing here: what it is on is taken as it is.
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let (_, value) = access.variant_seed(std::marker::PhantomData::<IgnoredAny>)?;
        value.newtype_variant_seed(self)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let length = self.0.path.len();
        loop {
            self.0.path.push_str(&format!("[{}]", list.len()));
            let next = access.next_element_seed(Seed(self.0))?;
            self.0.path.truncate(length);
            match next {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let mut merged = Vec::new();
        while let Some(key) = access.next_key_seed(Seed(self.0))? {
            let key = match key {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(value) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    return Err(A::Error::custom("a key is no string"));
                }
            };
            let length = self.0.path.len();
            if length > 0 {
                self.0.path.push('.');
            }
            self.0.path.push_str(&key);
            if object.contains_key(&key) {
                self.0.notes.push(format!("duplicate field {:?}", self.0.path));
            }
            let value = access.next_value_seed(Seed(self.0))?;
            self.0.path.truncate(length);
            if key != MERGE {
                object.insert(key, value);
                continue;
            }
            match value {
                Value::Object(other) => merged.push(other),
                Value::Array(others) => {
                    for other in others {
                        let Value::Object(other) = other else { return Err(A::Error::custom(NO_MERGE)) };
                        merged.push(other);
                    }
                }
                _ => return Err(A::Error::custom(NO_MERGE)),
            }
        }
        // What is said here goes before what is merged in, and that before what is merged in after it.
        for (key, value) in merged.into_iter().flatten() {
            object.entry(key).or_insert(value);
        }
        Ok(Value::Object(object))
    }
}
