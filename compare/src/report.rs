//! What the user reads.

use crate::difference::{Class, Difference};
use crate::exchange::Request;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Longer values are cut.
const SHOWN: usize = 400;

/// The comparison of one exchange.
pub struct Compared {
    /// The name of the exchange.
    pub name: String,
    /// What was asked, as the left side was asked.
    pub request: Request,
    /// Where the answers differ; empty when they are the same.
    pub differences: Vec<Difference>,
    /// Differences that are meant to be, as their reasons.
    pub intended: Vec<String>,
}

/// All differences, an explanation of each class that occurs, and the count.
pub fn text(compared: &[Compared]) -> String {
    let mut text = String::new();
    for Compared { name, request, differences, .. } in
        compared.iter().filter(|one| !one.differences.is_empty())
    {
        let _ = writeln!(text, "{name}: {} {}", request.method, request.path);
        for Difference { class, path, left, right } in differences {
            let _ = writeln!(text, "  {path}");
            let _ = writeln!(text, "    left:  {}", shown(left.as_ref()));
            let _ = writeln!(text, "    right: {}", shown(right.as_ref()));
            let _ = writeln!(text, "    {}", class.explained());
        }
    }
    let classes: BTreeSet<Class> =
        compared.iter().flat_map(|one| &one.differences).map(|difference| difference.class).collect();
    for class in classes {
        let count = compared.iter().flat_map(|one| &one.differences).filter(|one| one.class == class).count();
        let name = class.explained().split(':').next().unwrap_or_default();
        let _ = writeln!(text, "{count} × {name}");
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in compared.iter().flat_map(|one| &one.intended) {
        *reasons.entry(reason).or_default() += 1;
    }
    for (reason, count) in reasons {
        let _ = writeln!(text, "{count} × intended: {reason}");
    }
    let same = compared.iter().filter(|one| one.differences.is_empty()).count();
    let _ = writeln!(text, "{same} of {} the same, or different as intended", compared.len());
    text
}

/// A value, cut when it is long.
pub fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} … ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compared(name: &str, differences: Vec<Difference>) -> Compared {
        let request = Request {
            method: "GET".to_owned(),
            path: "/api".to_owned(),
            content_type: None,
            accept: None,
            body: Value::Null,
        };
        Compared { name: name.to_owned(), request, differences, intended: vec!["our own words".to_owned()] }
    }

    #[test]
    fn differences_are_shown_with_both_values_and_counted() {
        let difference = Difference {
            class: Class::Missing,
            path: ".a".to_owned(),
            left: Some(json!("x".repeat(SHOWN + 100))),
            right: None,
        };
        let text = text(&[compared("first", vec![difference]), compared("second", Vec::new())]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["first: GET /api", "  .a"]);
        assert!(lines[2].starts_with("    left:  \"xxx") && lines[2].ends_with("… (502 bytes)"), "{text}");
        assert_eq!(lines[3], "    right: nothing");
        assert_eq!(lines[4], format!("    {}", Class::Missing.explained()));
        let end = ["1 × missing", "2 × intended: our own words", "1 of 2 the same, or different as intended"];
        assert_eq!(lines[5..], end);
    }
}
