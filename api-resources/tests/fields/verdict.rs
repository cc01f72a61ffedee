//! What can become of a field.

use crate::leaves::Leaf;
use crate::tenancy;
use serde_json::Value;

/// A kind and what becomes of its fields.
pub struct KindFields {
    /// Its group.
    pub group: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The page of `docs/` that tells about it.
    pub page: &'static str,
    /// A spec that is accepted, JSON.
    pub good: &'static str,
    /// Each field with its verdict. A row also speaks for the fields below its own that have no row.
    pub rows: &'static [(&'static str, Verdict)],
}

/// What becomes of a field.
pub enum Verdict {
    /// It has an effect: the file that reads it.
    Enforced(&'static str),
    /// It has an effect, by this file; some of its values are refused.
    Partly(&'static str, &'static [Refused]),
    /// It is refused whatever it says.
    Refused(Refused),
    /// The platform writes it: the file that does.
    Written(&'static str),
    /// It is kept for people and tools, and says so.
    Informational,
    /// A profile's default of a tenant's field: the verdict is the tenant's.
    AsInTenant,
}

/// What is refused, and what is said then.
#[derive(Clone, Copy)]
pub struct Refused {
    /// A spec that sets the field, laid over the good one; empty: the field alone with some value.
    pub given: &'static str,
    /// Words of the message.
    pub says: &'static str,
}

/// What is refused whatever it says.
pub const fn refused(says: &'static str) -> Verdict {
    Verdict::Refused(Refused { given: "", says })
}

/// A refused value.
pub const fn value(given: &'static str, says: &'static str) -> Refused {
    Refused { given, says }
}

impl Verdict {
    /// The file that acts on the field.
    pub fn file(&self) -> Option<&'static str> {
        match self {
            Verdict::Enforced(file) | Verdict::Partly(file, _) | Verdict::Written(file) => Some(file),
            Verdict::Refused(_) | Verdict::Informational | Verdict::AsInTenant => None,
        }
    }

    /// What must be refused: the spec that is laid over the good one, and the words.
    pub fn refusals(&self, leaf: &Leaf) -> Vec<(Value, &'static str)> {
        let given = |refused: &Refused| match refused.given {
            "" => (leaf.sample.clone(), refused.says),
            text => (serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}")), refused.says),
        };
        match self {
            Verdict::Refused(refused) => vec![given(refused)],
            Verdict::Partly(_, list) => list.iter().map(given).collect(),
            Verdict::AsInTenant => {
                let inner = leaf.path.strip_prefix("spec.defaults.").unwrap();
                let path = format!("spec.{inner}");
                let row = tenancy::TENANT.rows.iter().filter(|(row, _)| covers(row, &path));
                let (_, verdict) = row.max_by_key(|(row, _)| row.len()).unwrap();
                let sample = Leaf {
                    path: path.clone(),
                    holders: leaf.holders.clone(),
                    sample: leaf.sample["defaults"].clone(),
                };
                let below = |spec| serde_json::json!({"defaults": spec});
                verdict.refusals(&sample).into_iter().map(|(spec, says)| (below(spec), says)).collect()
            }
            Verdict::Enforced(_) | Verdict::Written(_) | Verdict::Informational => Vec::new(),
        }
    }

    /// What `kubectl explain` must say of the field, or of one around it.
    pub fn explained(&self) -> Option<&'static str> {
        match self {
            Verdict::Partly(..) => Some("not in this release"),
            Verdict::Refused(refused) if refused.says.contains("not implemented") => {
                Some("not in this release")
            }
            Verdict::Refused(_) => Some("cannot"),
            Verdict::Informational => Some("insula does not read it"),
            Verdict::Enforced(_) | Verdict::Written(_) | Verdict::AsInTenant => None,
        }
    }
}

/// True when a row speaks for a field.
pub fn covers(row: &str, path: &str) -> bool {
    path.strip_prefix(row).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// `connectionLimit` as Rust writes it.
pub fn snake_case(name: &str) -> String {
    let mut out = String::new();
    let mut after_lower = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && after_lower {
            out.push('_');
        }
        after_lower = letter.is_ascii_lowercase();
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// True when a text has the word, with nothing of a word around it.
pub fn has_word(text: &str, word: &str) -> bool {
    let of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(of_word) && !text[at + word.len()..].starts_with(of_word))
}

#[test]
fn names_and_words_are_read() {
    assert_eq!(snake_case("connectionLimit"), "connection_limit");
    assert_eq!(snake_case("allowedCIDRs"), "allowed_cidrs");
    assert!(covers("spec.a", "spec.a") && covers("spec.a", "spec.a[].b") && !covers("spec.a", "spec.ab"));
    assert!(has_word("the weight, once", "weight") && !has_word("weights", "weight"));
}
