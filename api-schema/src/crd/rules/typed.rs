//! The types of what rules say, found before they run: a rule that cannot give what it has to is refused with the
//! definition, in the words and with the places of CEL's own checker, and with its estimate of what a run costs.
//!
//! Read in this order: [`tokens`], [`parse`] and [`macros`] (from a text to a [`tree`] that knows its places),
//! [`types`], [`declared`] and [`objects`] (what a schema or a kind declares), [`functions`] (what can be called), [`check`], [`alike`], [`cost`].
//!
//! Caveat: what this reader cannot read, because the library that runs rules has it otherwise or not at all, is left
//! to that library.

mod alike;
mod check;
mod cost;
mod declared;
mod functions;
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

use crate::crd::schema::Schema;
use check::Checked;
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

/// Checks an expression over `self`, a value of a schema, and `oldSelf`. `None`: it cannot be read here.
///
/// Errors: all that is wrong, as CEL tells it.
pub(super) fn check(
    text: &str,
    schema: &Schema,
    resource: bool,
    optional_old: bool,
) -> Option<Result<Typed, String>> {
    let tree = parse::parse(text)?;
    let this = declared::type_of(schema, resource, "selfType")?;
    let old = if optional_old { Type::Optional(Box::new(this.clone())) } else { this.clone() };
    let checked: Checked<'_> = match check::check(&tree, vec![("self", this), ("oldSelf", old)]) {
        Ok(checked) => checked,
        Err(problems) => return Some(Err(shown(text, problems))),
    };
    let gives = checked.of(&tree);
    let (is_bool, is_text) = (matches!(gives, Type::Bool), matches!(gives, Type::Text));
    let cost = cost::estimate(&tree, &checked, schema, resource);
    Some(Ok(Typed { is_bool, is_text, uses_old: checked.names("oldSelf"), cost }))
}

/// Checks an expression over the variables of a request, given by the names of their types. `None`: it cannot be read
/// here. Gives the name of the type of what it gives.
///
/// Errors: all that is wrong, as CEL tells it.
pub(crate) fn check_over(text: &str, variables: &[(&str, &str)]) -> Option<Result<String, String>> {
    let tree = parse::parse(text)?;
    let variables = variables.iter().map(|(name, of)| Some((*name, functions::read(of)?)));
    Some(match check::check(&tree, variables.collect::<Option<_>>()?) {
        Ok(checked) => Ok(checked.of(&tree).to_string()),
        Err(problems) => Err(shown(text, problems)),
    })
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
