//! Texts. Places in them are counted in letters, not in bytes.

use super::values::{Given, List, Stop, Value, fail};
use super::work::Work;
use crate::crd::pattern;

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value], work: &mut Work) -> Option<Given> {
    if let ("join", Value::List(list)) = (name, given.first()?) {
        return match given.get(1) {
            None => join(list, "", work),
            Some(Value::Text(between)) => join(list, between, work),
            Some(_) => None,
        };
    }
    let (Value::Text(text), rest) = given.split_first()? else { return None };
    Some(match (name, rest) {
        ("contains", [Value::Text(part)]) => Ok(Value::Bool(text.contains(&**part))),
        ("startsWith", [Value::Text(part)]) => Ok(Value::Bool(text.starts_with(&**part))),
        ("endsWith", [Value::Text(part)]) => Ok(Value::Bool(text.ends_with(&**part))),
        ("matches", [Value::Text(pattern)]) => match pattern::matches(pattern, text) {
            Ok(found) => Ok(Value::Bool(found)),
            Err(why) => fail(why.to_string()),
        },
        ("find", [Value::Text(pattern)]) => match pattern::find_all(pattern, text, 1) {
            Ok(found) => Ok(found.first().copied().unwrap_or("").into()),
            Err(why) => fail(why.to_string()),
        },
        ("findAll", [Value::Text(pattern)]) => find_all(pattern, text, -1, work),
        ("findAll", [Value::Text(pattern), Value::Int(most)]) => find_all(pattern, text, *most, work),
        ("charAt", [Value::Int(at)]) => char_at(text, *at),
        ("indexOf", [Value::Text(part)]) => Ok(Value::Int(first(text, part, 0))),
        ("indexOf", [Value::Text(part), Value::Int(from)]) => index_of(text, part, *from),
        ("lastIndexOf", [Value::Text(part)]) => Ok(Value::Int(last(text, part, None))),
        ("lastIndexOf", [Value::Text(part), Value::Int(from)]) => last_index_of(text, part, *from),
        ("lowerAscii", []) => Ok(text.to_ascii_lowercase().into()),
        ("upperAscii", []) => Ok(text.to_ascii_uppercase().into()),
        ("replace", [Value::Text(what), Value::Text(with)]) => replaced(text, what, with, -1, work),
        ("replace", [Value::Text(what), Value::Text(with), Value::Int(most)]) => {
            replaced(text, what, with, *most, work)
        }
        ("split", [Value::Text(at)]) => split(text, at, -1, work),
        ("split", [Value::Text(at), Value::Int(most)]) => split(text, at, *most, work),
        ("substring", [Value::Int(begin)]) => substring(text, *begin, letters(text)),
        ("substring", [Value::Int(begin), Value::Int(end)]) => substring(text, *begin, *end),
        // What Unicode calls white space.
        ("trim", []) => Ok(text.trim().into()),
        ("jsonpatch.escapeKey", []) => Ok(text.replace('~', "~0").replace('/', "~1").into()),
        _ => return None,
    })
}

fn letters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

fn out_of_range<T>(at: i64) -> Result<T, Stop> {
    fail(format!("index out of range: {at}"))
}

/// Where a letter begins; the end counts too.
fn offset(text: &str, at: i64) -> Option<usize> {
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter().nth(usize::try_from(at).ok()?)
}

fn char_at(text: &str, at: i64) -> Given {
    match offset(text, at).and_then(|begin| text.get(begin..)) {
        Some(rest) => Ok(rest.chars().next().map(String::from).unwrap_or_default().into()),
        None => out_of_range(at),
    }
}

/// Where a part stands first, from a letter on.
fn first(text: &str, part: &str, from: i64) -> i64 {
    let Some(begin) = offset(text, from) else { return -1 };
    let rest = text.get(begin..).unwrap_or("");
    match rest.find(part) {
        Some(at) => from + letters(rest.get(..at).unwrap_or("")),
        None => -1,
    }
}

fn index_of(text: &str, part: &str, from: i64) -> Given {
    if from < 0 {
        return out_of_range(from);
    }
    if part.is_empty() {
        return Ok(Value::Int(if from > letters(text) { -1 } else { from }));
    }
    Ok(Value::Int(first(text, part, from)))
}

/// Where a part stands last, not behind a letter.
fn last(text: &str, part: &str, from: Option<i64>) -> i64 {
    let mut upto = text.len();
    if let Some(from) = from
        && let Some(begin) = offset(text, from)
    {
        upto = upto.min(begin + part.len());
    }
    // The end of a part may be within a letter.
    while !text.is_char_boundary(upto) {
        upto += 1;
    }
    match text.get(..upto).unwrap_or(text).rfind(part) {
        Some(at) => letters(text.get(..at).unwrap_or("")),
        None => -1,
    }
}

fn last_index_of(text: &str, part: &str, from: i64) -> Given {
    if from < 0 {
        return out_of_range(from);
    }
    let length = letters(text);
    if from > length {
        return Ok(Value::Int(-1));
    }
    if part.is_empty() {
        return Ok(Value::Int(from));
    }
    Ok(Value::Int(last(text, part, Some(from))))
}

fn substring(text: &str, begin: i64, end: i64) -> Given {
    let length = letters(text);
    if begin > end {
        if begin < 0 || begin > length {
            return out_of_range(begin);
        }
        return fail(format!("invalid substring range. start: {begin}, end: {end}"));
    }
    match (offset(text, begin), offset(text, end)) {
        (None, _) => out_of_range(begin),
        (_, None) => out_of_range(end),
        (Some(begin), Some(end)) => Ok(text.get(begin..end).unwrap_or("").into()),
    }
}

fn replaced(text: &str, what: &str, with: &str, most: i64, work: &mut Work) -> Given {
    let count = if what.is_empty() { text.len() + 1 } else { text.matches(what).count() };
    let count = count.min(usize::try_from(most).unwrap_or(usize::MAX));
    work.take(text.len().saturating_add(count.saturating_mul(with.len())) / 4)?;
    Ok(text.replacen(what, with, count).into())
}

fn split(text: &str, at: &str, most: i64, work: &mut Work) -> Given {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    work.take(text.len() / 4)?;
    let parts: Vec<Value> = match (most, at) {
        (0, _) => Vec::new(),
        (_, "") => {
            let mut parts = Vec::new();
            let mut rest = text;
            while let Some(letter) = rest.chars().next() {
                if parts.len() + 1 == most {
                    parts.push(rest.into());
                    break;
                }
                let (first, after) = rest.split_at(letter.len_utf8());
                parts.push(first.into());
                rest = after;
            }
            parts
        }
        (most, at) => text.splitn(most, at).map(Value::from).collect(),
    };
    Ok(Value::list(parts))
}

fn find_all(pattern: &str, text: &str, most: i64, work: &mut Work) -> Given {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    match pattern::find_all(pattern, text, most) {
        Ok(found) => {
            work.take(found.len())?;
            Ok(Value::list(found.into_iter().map(Value::from).collect()))
        }
        Err(why) => fail(why.to_string()),
    }
}

/// `None`: there is something else than texts in it.
fn join(list: &List, between: &str, work: &mut Work) -> Option<Given> {
    let texts: Option<Vec<&str>> = list
        .items
        .iter()
        .map(|item| match item {
            Value::Text(text) => Some(&**text),
            _ => None,
        })
        .collect();
    let texts = texts?;
    let size = texts.iter().map(|text| text.len()).sum::<usize>();
    let size = size.saturating_add(between.len().saturating_mul(texts.len()));
    if let Err(stop) = work.take(size / 4) {
        return Some(Err(stop));
    }
    Some(Ok(texts.join(between).into()))
}
