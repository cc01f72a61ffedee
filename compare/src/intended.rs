//! Differences that are meant to be, each with its reason.

use crate::difference::Difference;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;

const LIST: &str = include_str!("intended.yaml");

/// A mark. What it does not say may be anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    /// The request, or the object that was changed (`Kind/name`), with `*` for the rest of it.
    of: Option<String>,
    /// The place, with `*` for the rest of it.
    path: Option<String>,
    /// A part of what one of the sides has.
    says: Option<String>,
    /// Why it is meant to be.
    reason: String,
}

/// All marks.
pub struct Intended(Vec<Mark>);

impl Intended {
    /// The tool's own list.
    pub fn read() -> Result<Self> {
        Self::parse(LIST)
    }

    fn parse(text: &str) -> Result<Self> {
        let marks: Vec<Mark> = serde_yaml_ng::from_str(text).context("the list of intended differences")?;
        for mark in &marks {
            ensure!(
                mark.path.is_some() || mark.says.is_some(),
                "`{}`: a mark says a path or a part of a value",
                mark.reason
            );
        }
        Ok(Intended(marks))
    }

    /// Why a difference is meant to be; nothing for one that is not.
    pub fn reason(&self, of: &str, difference: &Difference) -> Option<&str> {
        let sides =
            || [&difference.left, &difference.right].into_iter().flatten().map(|value| value.to_string());
        let mark = self.0.iter().find(|mark| {
            mark.of.as_deref().is_none_or(|pattern| matches(pattern, of))
                && mark.path.as_deref().is_none_or(|pattern| matches(pattern, &difference.path))
                && mark.says.as_deref().is_none_or(|part| sides().any(|side| side.contains(part)))
        });
        mark.map(|mark| mark.reason.as_str())
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => text.starts_with(begin),
        None => pattern == text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::Class;
    use serde_json::json;

    #[test]
    fn the_list_is_sound() {
        assert!(Intended::read().unwrap().0.iter().all(|mark| mark.reason.len() > 10));
    }

    #[test]
    fn marks_tell_by_request_place_and_value() {
        let marks = "[{of: 'a *', path: .x*, reason: first}, {says: secret, reason: second}]";
        let intended = Intended::parse(marks).unwrap();
        let difference = |path: &str, right: &str| Difference {
            class: Class::Extra,
            path: path.to_owned(),
            left: None,
            right: Some(json!(right)),
        };
        // Request, difference, reason.
        for (of, difference, reason) in [
            ("a map", difference(".x.y", ""), Some("first")),
            ("map", difference(".x.y", ""), None),
            ("a map", difference(".y", ""), None),
            ("map", difference(".y", "a secret word"), Some("second")),
        ] {
            assert_eq!(intended.reason(of, &difference), reason, "{of} {difference:?}");
        }
    }

    #[test]
    fn a_mark_of_everything_is_refused() {
        assert!(Intended::parse("[{of: a, reason: all}]").is_err());
    }
}
