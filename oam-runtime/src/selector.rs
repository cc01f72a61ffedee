//! Label selectors as text: `tier=front,env in (a, b),!legacy`.

use std::collections::BTreeMap;

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// A selector that was parsed; all requirements must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

impl Selector {
    /// Parses a selector; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let requirements: Result<Vec<_>, _> = split(text).into_iter().map(requirement).collect();
        match requirements {
            Ok(list) if list.is_empty() => Err("the label selector is empty".to_owned()),
            Ok(list) => Ok(Selector(list)),
            Err(why) => Err(format!("the label selector {text:?} cannot be read: {why}")),
        }
    }

    /// True when all requirements hold for the labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::Absent(key) => !labels.contains_key(key),
        })
    }
}

/// Splits at commas that are not inside parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0i32, 0);
    for (position, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..position].trim());
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn requirement(part: &str) -> Result<Requirement, String> {
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement::Absent(word(key)?));
    }
    for (operator, negative) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = part.split_once(operator) {
            let (key, values) = (word(key)?, vec![value.trim().to_owned()]);
            return Ok(if negative { Requirement::NotIn(key, values) } else { Requirement::In(key, values) });
        }
    }
    let Some((head, set)) = part.split_once('(') else {
        return Ok(Requirement::Exists(word(part)?));
    };
    let set = set.strip_suffix(')').ok_or("')' is missing")?;
    let values: Vec<String> = set.split(',').map(|value| value.trim().to_owned()).collect();
    match head.split_whitespace().collect::<Vec<_>>().as_slice() {
        [key, "in"] => Ok(Requirement::In(word(key)?, values)),
        [key, "notin"] => Ok(Requirement::NotIn(word(key)?, values)),
        _ => Err(format!("{:?} is not \"KEY in\" or \"KEY notin\"", head.trim())),
    }
}

fn word(text: &str) -> Result<String, String> {
    let text = text.trim();
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if text.is_empty() || !text.chars().all(valid) {
        return Err(format!("{text:?} is not a label key"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_match_as_in_kubernetes() {
        let labels =
            BTreeMap::from([("tier".to_owned(), "front".to_owned()), ("a/b".to_owned(), String::new())]);
        for (selector, expected) in [
            ("tier=front", true),
            ("tier==front", true),
            ("tier = back", false),
            ("tier!=back,a/b", true),
            ("missing!=x", true),
            ("tier in (back, front)", true),
            ("tier notin (back, front)", false),
            ("!tier", false),
            ("!missing,a/b=", true),
        ] {
            assert_eq!(Selector::parse(selector).unwrap().matches(&labels), expected, "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in ["", " , ", "tier in (a", "tier of (a)", "ti er", "tier > 3"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
