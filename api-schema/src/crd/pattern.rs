//! Regular expressions of schemas, which are written for RE2 as Go has it.

use super::pattern_error;
use regex::{Regex, RegexBuilder};

/// The most memory that one compiled pattern may take, in bytes.
const MAX_SIZE: usize = 1 << 20;

/// A `pattern` with what became of it.
#[derive(Debug)]
pub(super) struct Pattern {
    /// As the schema says it.
    pub text: String,
    /// The pattern, or why it is none.
    pub compiled: Result<Regex, String>,
}

impl Pattern {
    pub fn new(text: &str) -> Pattern {
        let compiled = RegexBuilder::new(&from_go(text)).size_limit(MAX_SIZE).build().map_err(|error| {
            let plain = || error.to_string().lines().last().unwrap_or("").trim().to_owned();
            pattern_error::of(text).unwrap_or_else(plain)
        });
        Pattern { text: text.to_owned(), compiled }
    }
}

/// Says the same in the dialect of the `regex` crate: classes such as `\d` are ASCII in Go, and within brackets
/// Go knows no set operations.
fn from_go(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    // Within brackets: true, with whether something stood in them yet.
    let mut class: Option<bool> = None;
    while let Some(c) = chars.next() {
        match (c, class) {
            ('\\', _) => {
                let Some(next) = chars.next() else {
                    out.push('\\');
                    break;
                };
                match (next, class.is_some()) {
                    ('d', false) => out.push_str("[0-9]"),
                    ('D', false) => out.push_str("[^0-9]"),
                    ('w', false) => out.push_str("[0-9A-Za-z_]"),
                    ('W', false) => out.push_str("[^0-9A-Za-z_]"),
                    ('s', false) => out.push_str(r"[\t\n\x0C\r ]"),
                    ('S', false) => out.push_str(r"[^\t\n\x0C\r ]"),
                    ('b', false) => out.push_str(r"(?-u:\b)"),
                    ('B', false) => out.push_str(r"(?-u:\B)"),
                    ('d', true) => out.push_str("0-9"),
                    ('w', true) => out.push_str("0-9A-Za-z_"),
                    ('s', true) => out.push_str(r"\t\n\x0C\r "),
                    ('D', true) => out.push_str("[^0-9]"),
                    ('W', true) => out.push_str("[^0-9A-Za-z_]"),
                    ('S', true) => out.push_str(r"[^\t\n\x0C\r ]"),
                    (other, _) => {
                        out.push('\\');
                        out.push(other);
                    }
                }
                class = class.map(|_| true);
            }
            ('[', None) => {
                out.push('[');
                class = Some(false);
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            (']', Some(true)) => {
                out.push(']');
                class = None;
            }
            (']', Some(false)) => {
                out.push_str("\\]");
                class = Some(true);
            }
            ('[', Some(_)) => {
                if chars.peek() == Some(&':') {
                    out.push('[');
                    // A named class such as [:alpha:] ends with its own bracket.
                    for c in chars.by_ref() {
                        out.push(c);
                        if c == ']' {
                            break;
                        }
                    }
                } else {
                    out.push_str("\\[");
                }
                class = Some(true);
            }
            ('&' | '~', Some(_)) => {
                out.push('\\');
                out.push(c);
                class = Some(true);
            }
            (c, Some(_)) => {
                out.push(c);
                class = Some(true);
            }
            (c, None) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, yes, no) in [
            (r"^\d+$", "123", "\u{664}"),
            (r"^\w+$", "a_1", "\u{e9}"),
            (r"^[\w.-]+$", "a.b-c", "a b"),
            (r"^[[a]+$", "[a", "b"),
            (r"^[]a]+$", "]a", "b"),
            (r"^[^]]$", "a", "]"),
            (r"^[a&&b]+$", "a&b", "c"),
            (r"^[[:alpha:]]+$", "abc", "1"),
            (r"^a\/b\.c$", "a/b.c", "a/bxc"),
            (r"^[^\s]+$", "ab", "a b"),
            (r"^(a|b)(?:-[a-z0-9]{1,3})?$", "a-b1", "a-B"),
        ] {
            let regex = Pattern::new(pattern).compiled.unwrap();
            assert!(regex.is_match(yes), "{pattern} {yes}");
            assert!(!regex.is_match(no), "{pattern} {no}");
        }
    }

    #[test]
    fn bad_and_huge_patterns_are_refused() {
        for pattern in ["(", "[a", r"\", "a{2,1}", "(?=a)", r"((a{0,1000}){0,1000}){0,1000}"] {
            assert!(Pattern::new(pattern).compiled.is_err(), "{pattern}");
        }
    }
}
