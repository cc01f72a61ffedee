//! Following a path through an object.

use super::{End, Filter, Slice, Step};
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

/// The most values that a step may lead to: several descents after each other lead to very many.
const MAX_VALUES: usize = 10_000;

/// A step that cannot be gone. The cell stays empty, so nobody is told why.
#[derive(Debug)]
pub struct Stuck;

type Values<'a> = Vec<Cow<'a, Value>>;

/// All values at the end of the steps.
pub fn values<'a>(steps: &[Step], object: &'a Value) -> Result<Values<'a>, Stuck> {
    follow(steps, vec![Cow::Borrowed(object)])
}

fn follow<'a>(steps: &[Step], from: Values<'a>) -> Result<Values<'a>, Stuck> {
    let mut now = from;
    for step in steps {
        let mut found = Vec::new();
        if let Step::Union(ways) = step {
            for way in ways {
                found.extend(follow(way, now.clone())?);
            }
        }
        for value in &now {
            // What a path says itself holds nothing.
            let inside = match value {
                Cow::Borrowed(value) => Some(*value),
                Cow::Owned(_) => None,
            };
            one(step, inside, &mut found)?;
            if found.len() > MAX_VALUES {
                return Err(Stuck);
            }
        }
        now = found;
    }
    Ok(now)
}

/// Where one step leads from one value.
fn one<'a>(step: &Step, inside: Option<&'a Value>, found: &mut Values<'a>) -> Result<(), Stuck> {
    match (step, inside) {
        (Step::Union(_), _) => {}
        (Step::Literal(literal), _) => found.push(Cow::Owned(literal.clone())),
        (Step::Word(_), _) => return Err(Stuck),
        (Step::Filter(filter), Some(Value::Array(list))) => {
            for element in list {
                if filter.passes(element)? {
                    found.push(Cow::Borrowed(element));
                }
            }
        }
        (Step::Filter(_), _) => return Err(Stuck),
        (Step::Slice(_), Some(Value::Null)) => {}
        (Step::Slice(slice), Some(Value::Array(list))) => {
            found.extend(slice.of(list)?.map(Cow::Borrowed));
        }
        (Step::Slice(_), _) => return Err(Stuck),
        (Step::Field(name), Some(Value::Object(map))) => found.extend(map.get(name).map(Cow::Borrowed)),
        (Step::All, Some(Value::Object(map))) => found.extend(map.values().map(Cow::Borrowed)),
        (Step::All, Some(Value::Array(list))) => found.extend(list.iter().map(Cow::Borrowed)),
        // Go's texts are lists of bytes.
        (Step::All, Some(Value::String(text))) => {
            found.extend(text.bytes().take(MAX_VALUES + 1).map(|byte| Cow::Owned(byte.to_string().into())));
        }
        (Step::Descend, Some(value)) => descend(value, found)?,
        (Step::Field(_) | Step::All | Step::Descend, _) => {}
    }
    Ok(())
}

fn descend<'a>(value: &'a Value, found: &mut Values<'a>) -> Result<(), Stuck> {
    let inner: Vec<&Value> = match value {
        Value::Object(map) => map.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => return Ok(()),
    };
    if found.len() > MAX_VALUES {
        return Err(Stuck);
    }
    if !inner.is_empty() {
        found.push(Cow::Borrowed(value));
    }
    inner.into_iter().try_for_each(|value| descend(value, found))
}

impl Slice {
    fn of<'a>(&self, list: &'a [Value]) -> Result<impl Iterator<Item = &'a Value>, Stuck> {
        let length = i64::try_from(list.len()).map_err(|_| Stuck)?;
        let given = self.from.unwrap_or(0);
        let back = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
        let from = back(given);
        let to = match self.to {
            End::Open => length,
            End::At(at) => back(at),
            // The one before the end is up to the end, the others up to the next.
            End::One if given == -1 => length,
            End::One => back(given.saturating_add(1)),
        };
        let step = self.step.unwrap_or(1);
        let (from, to) = match from == to {
            true => (0, 0),
            false if (0..length).contains(&from) && from <= to && to <= length && step > 0 => (from, to),
            false => return Err(Stuck),
        };
        let index = |at: i64| usize::try_from(at).map_err(|_| Stuck);
        // A step is used only where it is positive.
        Ok(list[index(from)?..index(to)?].iter().step_by(index(step.max(1))?))
    }
}

impl Filter {
    fn passes(&self, element: &Value) -> Result<bool, Stuck> {
        let left = values(&self.left, element);
        let Some((operator, right)) = &self.comparison else {
            return Ok(left.is_ok_and(|left| !left.is_empty()));
        };
        let Some(left) = only(left?)? else { return Ok(false) };
        let Some(right) = only(values(right, element)?)? else { return Ok(false) };
        let order = compare(&left, &right).ok_or(Stuck)?;
        let ordered = !matches!(*left, Value::Bool(_));
        Ok(match operator.as_str() {
            "==" => order == Some(Ordering::Equal),
            "!=" => order != Some(Ordering::Equal),
            "<" if ordered => order == Some(Ordering::Less),
            ">" if ordered => order == Some(Ordering::Greater),
            "<=" if ordered => order.is_some_and(Ordering::is_le),
            ">=" if ordered => order.is_some_and(Ordering::is_ge),
            _ => return Err(Stuck),
        })
    }
}

/// The only value; `None`: there is none.
fn only(mut values: Values<'_>) -> Result<Option<Cow<'_, Value>>, Stuck> {
    if values.len() > 1 { Err(Stuck) } else { Ok(values.pop()) }
}

/// How single values of one type compare; `None`: they do not.
fn compare(left: &Value, right: &Value) -> Option<Option<Ordering>> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(Some(left.cmp(right))),
        (Value::Bool(left), Value::Bool(right)) => Some(Some(left.cmp(right))),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(Some(left.cmp(&right))),
            (None, None) => Some(left.as_f64()?.partial_cmp(&right.as_f64()?)),
            _ => None,
        },
        _ => None,
    }
}
