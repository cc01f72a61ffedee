//! What the user reads of changed objects: differences of one cause together, the most frequent first.

use super::{Finding, Outcome};
use crate::difference::Difference;
use crate::report::shown;
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many copies are named for each cause.
const EXAMPLES: usize = 3;
/// How much of a text tells causes apart.
const TELLING: usize = 120;

/// All causes with counts and examples, and the count of all.
pub fn text(outcome: &Outcome) -> String {
    let mut causes: BTreeMap<String, Vec<(&Finding, &Difference)>> = BTreeMap::new();
    for finding in &outcome.findings {
        // The first difference stands for the others: the message repeats what the causes say.
        if let Some(first) = finding.differences.first() {
            causes.entry(cause(first)).or_default().push((finding, first));
        }
    }
    let mut causes: Vec<_> = causes.into_values().collect();
    causes.sort_by_key(|of| std::cmp::Reverse(of.len()));
    let mut text = String::new();
    for of in &causes {
        let Some((_, first)) = of.first() else { continue };
        let _ = writeln!(text, "{} × {}", of.len(), first.class.explained());
        for (finding, difference) in of.iter().take(EXAMPLES) {
            let _ = writeln!(text, "  {} with {}: {}", finding.of, finding.mutant, difference.path);
            let _ = writeln!(text, "    left:  {}", shown(difference.left.as_ref()));
            let _ = writeln!(text, "    right: {}", shown(difference.right.as_ref()));
        }
    }
    for (reason, count) in &outcome.intended {
        let _ = writeln!(text, "{count} × intended: {reason}");
    }
    let (asked, different) = (outcome.asked, outcome.findings.len());
    let _ = writeln!(text, "{different} of {asked} different, for {} causes", causes.len());
    text
}

/// What is the same for all differences of one cause: the class, the place without indexes and keys, and both sides
/// without what they quote.
fn cause(difference: &Difference) -> String {
    let value = |side: &Option<serde_json::Value>| match side {
        Some(serde_json::Value::String(text)) => without_quoted(text),
        Some(other) => without_quoted(&other.to_string()),
        None => String::new(),
    };
    let place = without_brackets(&difference.path);
    format!("{:?} {place} {} | {}", difference.class, value(&difference.left), value(&difference.right))
}

fn without_brackets(path: &str) -> String {
    let mut depth = 0usize;
    path.chars()
        .filter(|c| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}

/// A text without what is in double quotes, without digits and what is in brackets.
fn without_quoted(text: &str) -> String {
    let mut quoted = false;
    let mut escaped = false;
    let plain: String = text
        .chars()
        .filter(|c| {
            match (*c, escaped) {
                (_, true) => escaped = false,
                ('\\', false) => escaped = quoted,
                ('"', false) => quoted = !quoted,
                _ => return !quoted && !c.is_ascii_digit(),
            }
            false
        })
        .collect();
    without_brackets(&plain).chars().take(TELLING).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::Class;
    use serde_json::json;

    fn finding(mutant: &str, path: &str, left: &str, right: &str) -> Finding {
        let difference = Difference {
            class: Class::OtherValue,
            path: path.to_owned(),
            left: Some(json!(left)),
            right: Some(json!(right)),
        };
        Finding { of: "Lamp/l".to_owned(), mutant: mutant.to_owned(), differences: vec![difference] }
    }

    #[test]
    fn differences_of_one_cause_are_told_together() {
        let outcome = Outcome {
            asked: 9,
            findings: vec![
                finding("/a = 1", ".causes[a].message", "Invalid value: \"1\": too low", "bad"),
                finding("/z removed", ".kind", "Lamp", "Light"),
                finding("/b = \"x\"", ".causes[b].message", "Invalid value: \"x\\\"y\": too low", "bad"),
            ],
            intended: BTreeMap::from([("our own words".to_owned(), 4)]),
        };
        let text = text(&outcome);
        let lines: Vec<&str> = text.lines().collect();
        let explained = Class::OtherValue.explained();
        assert_eq!(lines[0], format!("2 × {explained}"));
        assert_eq!(lines[1], "  Lamp/l with /a = 1: .causes[a].message");
        assert_eq!(lines[4], "  Lamp/l with /b = \"x\": .causes[b].message");
        assert_eq!(lines[7], format!("1 × {explained}"));
        assert_eq!(lines[11..], ["4 × intended: our own words", "3 of 9 different, for 2 causes"]);
    }

    #[test]
    fn what_is_quoted_tells_nothing() {
        for (text, plain) in [
            ("a \"b\" c5", "a  c"),
            ("a \"b\\\"c\" d", "a  d"),
            ("spec[0].x: [1]", "spec.x: "),
            ("no end \"x", "no end "),
        ] {
            assert_eq!(without_quoted(text), plain);
        }
    }
}
