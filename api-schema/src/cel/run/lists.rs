//! Lists, and lists as sets.

use super::operators::{self, contains};
use super::values::{Given, List, Stop, Value, fail};
use super::work::Work;
use std::cmp::Ordering;

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value], work: &mut Work) -> Option<Given> {
    if let ("lists.range", [Value::Int(count)]) = (name, given) {
        return Some(Ok(Value::list((0..*count).map(Value::Int).collect())));
    }
    let (Value::List(list), rest) = given.split_first()? else { return None };
    Some(match (name, rest) {
        ("slice", [Value::Int(begin), Value::Int(end)]) => slice(list, *begin, *end),
        ("flatten", []) => flattened(list, 1, work),
        ("flatten", [Value::Int(depth)]) if *depth < 0 => fail("level must be non-negative"),
        ("flatten", [Value::Int(depth)]) => flattened(list, *depth, work),
        ("reverse", []) => Ok(Value::list(list.items.iter().rev().cloned().collect())),
        ("first", []) => Ok(Value::Optional(list.items.first().cloned().map(Into::into))),
        ("last", []) => Ok(Value::Optional(list.items.last().cloned().map(Into::into))),
        ("distinct", []) => distinct(list, work),
        ("sort", []) => sorted(list, list),
        ("@sortByAssociatedKeys", [Value::List(keys)]) => sorted(list, keys),
        ("isSorted", []) => is_sorted(list),
        ("sum", []) => sum(list, work),
        ("max" | "min", []) => extreme(name, list),
        ("indexOf", [sought]) => index(list, sought, false, work),
        ("lastIndexOf", [sought]) => index(list, sought, true, work),
        ("sets.contains", [Value::List(other)]) => all_within(other, list, work).map(Value::Bool),
        ("sets.equivalent", [Value::List(other)]) => all_within(other, list, work)
            .and_then(|one| Ok(Value::Bool(one && all_within(list, other, work)?))),
        ("sets.intersects", [Value::List(other)]) => intersects(list, other, work),
        _ => return None,
    })
}

fn slice(list: &List, begin: i64, end: i64) -> Given {
    let length = list.items.len();
    if begin < 0 || end < 0 {
        return fail(format!("cannot slice({begin}, {end}), negative indexes not supported"));
    }
    if begin > end {
        return fail(format!(
            "cannot slice({begin}, {end}), start index must be less than or equal to end index"
        ));
    }
    let places = usize::try_from(begin).ok().zip(usize::try_from(end).ok());
    match places.and_then(|(begin, end)| list.items.get(begin..end)) {
        Some(items) => Ok(Value::list(items.to_vec())),
        None => fail(format!("cannot slice({begin}, {end}), list is length {length}")),
    }
}

fn flattened(list: &List, depth: i64, work: &mut Work) -> Given {
    let mut out = Vec::new();
    flatten(list, depth, &mut out, work)?;
    Ok(Value::list(out))
}

fn flatten(list: &List, depth: i64, out: &mut Vec<Value>, work: &mut Work) -> Result<(), Stop> {
    work.take(list.items.len())?;
    for item in &list.items {
        match item {
            Value::List(inner) if depth > 0 => flatten(inner, depth - 1, out, work)?,
            other => out.push(other.clone()),
        }
    }
    Ok(())
}

fn distinct(list: &List, work: &mut Work) -> Given {
    let mut out: Vec<Value> = Vec::new();
    for item in &list.items {
        if !contains(&out, item, work)? {
            out.push(item.clone());
        }
    }
    Ok(Value::list(out))
}

/// True for values that have an order.
fn has_order(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_)
            | Value::Text(_)
            | Value::Bytes(_)
            | Value::Duration(_)
            | Value::Time(_)
    )
}

/// A list in the order of its elements' keys.
fn sorted(list: &List, keys: &List) -> Given {
    if list.items.len() != keys.items.len() {
        return fail(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got {} and {} \
             elements respectively",
            list.items.len(),
            keys.items.len()
        ));
    }
    let Some(first) = keys.items.first() else { return Ok(Value::list(Vec::new())) };
    if !has_order(first) {
        return fail("list elements must be comparable");
    }
    if keys.items.iter().any(|key| key.type_name() != first.type_name()) {
        return fail("list elements must have the same type");
    }
    let mut pairs: Vec<(&Value, &Value)> = keys.items.iter().zip(&list.items).collect();
    pairs.sort_by(|(a, _), (b, _)| operators::order(a, b).unwrap_or(Ordering::Equal));
    Ok(Value::list(pairs.into_iter().map(|(_, item)| item.clone()).collect()))
}

fn is_sorted(list: &List) -> Given {
    for pair in list.items.windows(2) {
        let [a, b] = pair else { continue };
        match operators::order(a, b) {
            Some(Ordering::Greater) => return Ok(Value::Bool(false)),
            Some(_) => {}
            None => return fail("no such overload"),
        }
    }
    Ok(Value::Bool(true))
}

fn sum(list: &List, work: &mut Work) -> Given {
    let Some((first, rest)) = list.items.split_first() else { return Ok(Value::Int(0)) };
    if !matches!(first, Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_)) {
        return fail("no such overload");
    }
    let mut total = first.clone();
    for item in rest {
        total = operators::calculate("_+_", &total, item, work)?;
    }
    Ok(total)
}

fn extreme(name: &str, list: &List) -> Given {
    let Some((first, rest)) = list.items.split_first() else {
        return fail(format!("{name} called on empty list"));
    };
    if !has_order(first) {
        return fail("no such overload");
    }
    let better = if name == "max" { Ordering::Greater } else { Ordering::Less };
    let mut found = first;
    for item in rest {
        match operators::order(item, found) {
            Some(order) if order == better => found = item,
            Some(_) => {}
            None => return fail("no such overload"),
        }
    }
    Ok(found.clone())
}

fn index(list: &List, sought: &Value, last: bool, work: &mut Work) -> Given {
    let mut places: Vec<usize> = (0..list.items.len()).collect();
    if last {
        places.reverse();
    }
    for at in places {
        if let Some(item) = list.items.get(at)
            && item.equals(sought, work)?
        {
            return Ok(Value::Int(i64::try_from(at).unwrap_or(i64::MAX)));
        }
    }
    Ok(Value::Int(-1))
}

fn all_within(items: &List, of: &List, work: &mut Work) -> Result<bool, Stop> {
    for item in &items.items {
        if !contains(&of.items, item, work)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn intersects(a: &List, b: &List, work: &mut Work) -> Given {
    for item in &a.items {
        if contains(&b.items, item, work)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}
