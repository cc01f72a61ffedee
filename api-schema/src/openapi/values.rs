//! What the values of a field mean, as the descriptions of fields that take one of a few values tell it.

use std::collections::HashMap;

use crate::graph::TypeNode;

/// Words for the values of Kubernetes' types; `tables/README.md` describes the format.
const MEANINGS: &str = include_str!("../../tables/kubernetes.values");

/// Words by the name of the type that errors use, and by the value.
#[derive(Default)]
pub(super) struct Meanings(HashMap<(&'static str, &'static str), &'static str>);

impl Meanings {
    /// All that there are.
    pub(super) fn collect() -> Meanings {
        let mut meanings = HashMap::new();
        let mut current = "";
        for line in MEANINGS.lines().filter(|line| !line.starts_with('#')) {
            match line.strip_prefix(' ').and_then(|line| line.split_once(' ')) {
                Some(("-", words)) => meanings.insert((current, ""), words),
                Some((value, words)) => meanings.insert((current, value), words),
                None => {
                    current = line;
                    None
                }
            };
        }
        Meanings(meanings)
    }

    /// A description, and after it the values of the type with their meanings. The values of lists and maps are told
    /// in their own description only, as Kubernetes has it.
    pub(super) fn add_to(&self, text: &str, of: &TypeNode) -> String {
        if of.values.is_empty() {
            return text.to_owned();
        }
        let values = of.values.iter().map(|value| {
            let words = self.0.get(&(of.alias.as_str(), value.as_str()));
            format!("\n - `\"{value}\"`{}", words.map(|words| format!(" {words}")).unwrap_or_default())
        });
        format!("{text}\n\nPossible enum values:{}", values.collect::<String>())
    }

    /// The types and values that have words.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.keys().copied()
    }
}
