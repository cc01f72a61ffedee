//! The types of what rules say, found before they run: a rule that cannot give what it has to is refused with the
//! definition, in the words and with the places of CEL's own checker, and with its estimate of what a run costs.
//!
//! Read in this order: [`tokens`], [`parse`] and [`macros`] (from a text to a [`tree`] that knows its places),
//! [`types`], [`declared`] and [`objects`] (what a schema or a kind declares), [`functions`] (what can be called),
//! [`check`], [`alike`], [`literals`], [`cost`].
//!
//! Caveat: what is wrong with the grammar of a text is told in the words of a library's parser.

mod alike;
mod check;
mod cost;
mod declared;
mod functions;
mod literals;
mod macros;
mod objects;
mod parse;
mod span;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;
mod types;

pub(super) use declared::{cardinality, increase, is_declared};
pub(super) use functions::overloads;
pub use objects::Objects;
pub(crate) use objects::{Found, check_found};
pub(crate) use parse::OPTIONAL;
pub(crate) use tree::{GATHERED, INSERT, Kind, Literal, Loop, Part, Tree};

use crate::crd::schema::Schema;
use check::Checked;
use kube_cel::cel::parser::Parser;
use types::Type;

/// What is known of an expression that has been checked.
pub(super) struct Typed {
    /// What it gives is a bool.
    pub is_bool: bool,
    /// What it gives is a text.
    pub is_text: bool,
    /// It names `oldSelf`.
    pub uses_old: bool,
    /// The most that one run costs.
    pub cost: u64,
}

/// Checks an expression over `self`, a value of a schema, and `oldSelf`. `None`: the schema declares no type.
///
/// Errors: all that is wrong, as CEL tells it.
pub(super) fn check(
    text: &str,
    schema: &Schema,
    resource: bool,
    optional_old: bool,
) -> Option<Result<Typed, String>> {
    let this = declared::type_of(schema, resource, "selfType")?;
    let old = if optional_old { Type::Optional(Box::new(this.clone())) } else { this.clone() };
    let tree = match parsed(text) {
        Ok(tree) => tree,
        Err(why) => return Some(Err(why)),
    };
    let checked: Checked<'_> = match check::check(&tree, vec![("self", this), ("oldSelf", old)], false) {
        Ok(checked) => checked,
        Err(problems) => return Some(Err(shown(text, problems))),
    };
    let gives = checked.of(&tree);
    let (is_bool, is_text) = (matches!(gives, Type::Bool), matches!(gives, Type::Text));
    let cost = cost::estimate(&tree, &checked, schema, resource);
    Some(Ok(Typed { is_bool, is_text, uses_old: checked.names("oldSelf"), cost }))
}

/// Reads an expression over variables, given by the names of their types. Gives the name of the type of what it gives
/// too. `constructs`: objects and patches may be made.
///
/// Errors: all that is wrong, as CEL tells it.
pub(crate) fn read(
    text: &str,
    variables: &[(&str, &str)],
    constructs: bool,
) -> Result<(Tree, String), String> {
    let tree = parsed(text)?;
    let variables =
        variables.iter().map(|(name, of)| (*name, functions::read(of).unwrap_or(Type::Dyn))).collect();
    match check::check(&tree, variables, constructs) {
        Ok(checked) => {
            let of = checked.of(&tree).to_string();
            Ok((tree, of))
        }
        Err(problems) => Err(shown(text, problems)),
    }
}

/// The tree of an expression.
///
/// Errors: what is wrong with its grammar, as CEL tells it.
pub(super) fn parsed(text: &str) -> Result<Tree, String> {
    match parse::parse(text) {
        Some(tree) if tree.problems.is_empty() => Ok(tree),
        Some(tree) => Err(shown(text, tree.problems)),
        None => Err(unread(text)),
    }
}

/// What is wrong with a text that cannot be read.
fn unread(text: &str) -> String {
    if let Some(at) = text.chars().position(|c| c == '`') {
        return shown_at(text, at, "unsupported syntax: '`'");
    }
    match Parser::default().enable_optional_syntax(true).parse(text) {
        // Excerpts of the text are indented by a blank.
        Err(error) => error.to_string().replace("\n| ", "\n | "),
        Ok(_) => shown_at(text, 0, "Syntax error: the expression cannot be read"),
    }
}

/// The most problems that are told.
const MAX_SHOWN: usize = 100;

/// Problems with the lines where they are.
fn shown(text: &str, mut problems: Vec<(usize, String)>) -> String {
    problems.sort_by_key(|(at, _)| *at);
    problems.truncate(MAX_SHOWN);
    let shown: Vec<String> = problems.iter().map(|(at, what)| shown_at(text, *at, what)).collect();
    shown.join("\n")
}

/// One problem. Letters that are not in ASCII are pointed at by marks that are as wide.
fn shown_at(text: &str, at: usize, what: &str) -> String {
    let before: Vec<char> = text.chars().take(at).collect();
    let line = before.iter().filter(|c| **c == '\n').count();
    let column = before.iter().rev().take_while(|c| **c != '\n').count();
    let excerpt = text.split('\n').nth(line).unwrap_or("").replace('\t', " ");
    let mut marks: String =
        excerpt.chars().take(column).map(|c| if c.is_ascii() { '.' } else { '．' }).collect();
    let wide = excerpt.chars().nth(column).is_some_and(|c| !c.is_ascii());
    marks.push(if wide { '＾' } else { '^' });
    format!("ERROR: <input>:{}:{}: {what}\n | {excerpt}\n | {marks}", line + 1, column + 1)
}
