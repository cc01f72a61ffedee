//! What stands in an expression as it is, and what it is given to: durations, points in time, patterns and formats. This
//! is looked at once nothing else is wrong.

use super::check::Checked;
use super::tree::{Kind, Literal, Part};
use super::types::Type;
use crate::cel::{Clause, clauses, duration, fits, timestamp};
use crate::crd::pattern;

/// Literals that their functions cannot take.
pub fn problems(root: &Part, checked: &Checked<'_>) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    look(root, checked, &mut found);
    found
}

fn look(part: &Part, checked: &Checked<'_>, found: &mut Vec<(usize, String)>) {
    if let Kind::Call { target, function, arguments } = &part.kind {
        match (target.as_deref(), function.as_str(), arguments.as_slice()) {
            (None, "duration", [of]) => found.extend(bad(of, function, &is_duration)),
            (None, "timestamp", [of]) => found.extend(bad(of, function, &is_timestamp)),
            (None, "matches", [_, pattern]) | (Some(_), "matches", [pattern]) => {
                found.extend(bad(pattern, function, &is_pattern));
            }
            (Some(Part { kind: Kind::Literal(Literal::Text(text)), .. }), "format", [given]) => {
                found.extend(format(text, given, part.at, checked));
            }
            _ => {}
        }
    }
    part.each(&mut |below| look(below, checked, found));
}

fn bad(of: &Part, function: &str, is_good: &dyn Fn(&Literal) -> bool) -> Option<(usize, String)> {
    let Kind::Literal(literal) = &of.kind else { return None };
    (!is_good(literal)).then(|| (of.at, format!("invalid {function} argument")))
}

fn is_duration(literal: &Literal) -> bool {
    matches!(literal, Literal::Text(text) if duration(text).is_some())
}

fn is_timestamp(literal: &Literal) -> bool {
    match literal {
        Literal::Text(text) => timestamp(text).is_some(),
        Literal::Int(seconds) => (-62_135_596_800..=253_402_300_799).contains(seconds),
        _ => false,
    }
}

fn is_pattern(literal: &Literal) -> bool {
    matches!(literal, Literal::Text(text) if pattern::problem(text).is_none())
}

/// What is wrong with a text that is formatted, or with what it is given.
fn format(text: &str, given: &Part, at: usize, checked: &Checked<'_>) -> Option<(usize, String)> {
    let Kind::List(arguments) = &given.kind else { return None };
    let clauses = match clauses(text) {
        Ok(clauses) => clauses,
        Err(why) => return Some((at, why)),
    };
    let letters = clauses.iter().filter_map(|clause| match clause {
        Clause::Argument(letter, _) => Some(*letter),
        Clause::Text(_) => None,
    });
    let letters: Vec<char> = letters.collect();
    if arguments.len() < letters.len() {
        return Some((at, format!("index {} out of range", arguments.len())));
    }
    if arguments.len() > letters.len() {
        let why = format!(
            "too many arguments supplied to string.format (expected {}, got {})",
            letters.len(),
            arguments.len()
        );
        return Some((at, why));
    }
    letters.into_iter().zip(arguments).find_map(|(letter, argument)| {
        let of = checked.of_part(argument);
        if of.is_dyn() {
            return None;
        }
        fits(letter, &name(of)).map(|why| (argument.at, why))
    })
}

fn name(of: &Type<'_>) -> String {
    match of {
        Type::Null => "null_type".to_owned(),
        Type::Duration => "google.protobuf.Duration".to_owned(),
        Type::Timestamp => "google.protobuf.Timestamp".to_owned(),
        Type::List(_) => "list".to_owned(),
        Type::Map(_) | Type::Object(_) => "map".to_owned(),
        Type::Of(_) => "type".to_owned(),
        Type::Optional(_) => "optional_type".to_owned(),
        other => other.to_string(),
    }
}
