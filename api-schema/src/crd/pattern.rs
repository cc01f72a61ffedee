//! Regular expressions of schemas, which are written for RE2 as Go has it.

use super::pattern_error;
use regex_automata::meta::{BuildError, Regex};
use regex_automata::util::syntax;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The most memory that one compiled pattern may take, in bytes.
const MAX_SIZE: usize = 1 << 20;
/// The memory, in bytes, in which a pattern keeps what it finds out while it matches. The less, the slower.
const MAX_FOUND: usize = 64 << 10;
/// The most memory of all patterns of the process that are kept compiled, in bytes.
const MAX_KEPT: usize = 128 << 20;

/// A pattern, or why it is none.
type Compiled = Result<Arc<Regex>, Arc<str>>;

/// Whether a pattern matches anywhere in a text.
///
/// # Errors
/// Why the pattern is none.
pub(crate) fn matches(pattern: &str, text: &str) -> Result<bool, Arc<str>> {
    compiled(pattern).map(|regex| regex.is_match(text))
}

/// What a pattern matches in a text, up to so many times.
///
/// # Errors
/// Why the pattern is none.
pub(crate) fn find_all<'t>(pattern: &str, text: &'t str, most: usize) -> Result<Vec<&'t str>, Arc<str>> {
    let regex = compiled(pattern)?;
    let found = regex.find_iter(text).take(most).filter_map(|found| text.get(found.range()));
    Ok(found.collect())
}

/// Why a pattern is none; `None` when it is one.
pub(crate) fn problem(pattern: &str) -> Option<Arc<str>> {
    compiled(pattern).err()
}

/// A pattern, compiled when it is first used. Schemas keep its text alone: there may be many thousands, of which few are
/// used.
fn compiled(pattern: &str) -> Compiled {
    static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(|| Mutex::new(Kept::new(MAX_KEPT)));
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept().get(pattern) {
        return known;
    }
    let new = compile(pattern);
    kept().put(pattern, new.clone());
    new
}

fn compile(pattern: &str) -> Compiled {
    if let Some(count) = large_repeat(pattern) {
        return Err(format!("error parsing regexp: invalid repeat count: `{count}`").into());
    }
    let config = Regex::config().nfa_size_limit(Some(MAX_SIZE)).hybrid_cache_capacity(MAX_FOUND);
    let built = Regex::builder().configure(config).syntax(syntax::Config::new()).build(&from_go(pattern));
    built.map(Arc::new).map_err(|error| pattern_error::of(pattern).unwrap_or_else(|| plain(&error)).into())
}

/// A count of repetitions that is larger than Go allows.
fn large_repeat(pattern: &str) -> Option<&str> {
    const MOST: u32 = 1000;
    let mut within = false;
    let mut escaped = false;
    for (at, c) in pattern.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => within = true,
            ']' => within = false,
            '{' if !within => {
                let rest = pattern.get(at..)?;
                let end = rest.find('}')?;
                let numbers = rest.get(1..end)?;
                let is_count = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
                let large = |text: &str| !text.is_empty() && text.parse::<u32>().map_or(true, |n| n > MOST);
                if numbers.split(',').all(is_count) && numbers.split(',').any(large) {
                    return rest.get(..=end);
                }
            }
            _ => {}
        }
    }
    None
}

/// What is wrong beyond the syntax.
fn plain(error: &BuildError) -> String {
    match (error.size_limit(), error.syntax_error()) {
        (Some(limit), _) => format!("Compiled regex exceeds size limit of {limit} bytes."),
        (None, Some(syntax)) => syntax.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        (None, None) => error.to_string(),
    }
}

/// Patterns that were used of late: those of now, and those of before, which go when there are as many new ones.
struct Kept {
    now: HashMap<Box<str>, Compiled>,
    before: HashMap<Box<str>, Compiled>,
    size: usize,
    max: usize,
}

impl Kept {
    fn new(max: usize) -> Self {
        Kept { now: HashMap::new(), before: HashMap::new(), size: 0, max }
    }

    fn get(&mut self, pattern: &str) -> Option<Compiled> {
        if let Some(known) = self.now.get(pattern) {
            return Some(known.clone());
        }
        let known = self.before.remove(pattern)?;
        self.put(pattern, known.clone());
        Some(known)
    }

    fn put(&mut self, pattern: &str, compiled: Compiled) {
        let size = pattern.len() + compiled.as_ref().map_or(0, |regex| regex.memory_usage() + MAX_FOUND);
        if self.size + size > self.max / 2 {
            self.before = std::mem::take(&mut self.now);
            self.size = 0;
        }
        if self.now.insert(pattern.into(), compiled).is_none() {
            self.size += size;
        }
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
            assert_eq!(matches(pattern, yes), Ok(true), "{pattern} {yes}");
            assert_eq!(matches(pattern, no), Ok(false), "{pattern} {no}");
        }
    }

    #[test]
    fn bad_and_huge_patterns_are_refused() {
        for pattern in ["(", "[a", r"\", "a{2,1}", "(?=a)", r"((a{0,1000}){0,1000}){0,1000}"] {
            assert!(problem(pattern).is_some(), "{pattern}");
        }
    }

    #[test]
    fn those_that_are_used_stay_and_others_go() {
        let mut kept = Kept::new(40 * MAX_FOUND);
        for index in 0..1_000 {
            let pattern = format!("^{index}$");
            kept.put(&pattern, compile(&pattern));
            kept.put("(", compile("("));
            assert!(kept.get("^0$").is_some(), "it is used all the time");
        }
        assert!(kept.get("(").is_some_and(|known| known.is_err()));
        assert!(kept.get("^500$").is_none());
        assert!(kept.now.len() + kept.before.len() < 42);
    }
}
