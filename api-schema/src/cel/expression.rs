//! One compiled expression.

use super::kinds::{OWN_VARIABLES, REQUEST_RESOURCE, RESOURCE_CHECK, variable_type};
use super::run::conversion_problem;
use crate::crd::rules::{MAX_DEPTH, MAX_NESTING, MAX_TEXT, PARSER_STACK, Part, nesting, read};

/// What an expression may name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Declared<'a> {
    /// Variables (`object`, `request`). Each may be null.
    pub names: &'a [&'a str],
    /// The policy's own variables, read as `variables.NAME`.
    pub own: &'a [&'a str],
    /// Their types, as far as they are known, by the same order.
    pub types: &'a [String],
    /// The policy has variables, though this expression may not read any of them.
    pub composed: bool,
    /// Objects may be constructed (`Object.spec{…}`, `JSONPatch{…}`).
    pub constructs: bool,
}

/// What an expression has to give, where that can be told by reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// True or false.
    Bool,
    /// Text.
    Text,
    /// Text or null.
    TextOrNull,
    /// An object that is applied.
    Object,
    /// Operations of a JSON patch.
    Patches,
    /// Anything.
    Any,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    pub(super) tree: Part,
    /// How deep it is nested.
    pub(super) depth: usize,
    /// As it was written.
    pub text: String,
    /// The type of what it gives.
    pub of: String,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// Errors: what is wrong with it, in Kubernetes' words where it has some.
    pub fn compile(text: &str, declared: Declared<'_>, gives: Gives) -> Result<Expression, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("compilation failed: the expression is longer than {MAX_TEXT} bytes"));
        }
        // The parser takes quadratic time for nested brackets.
        if nesting(text) > MAX_NESTING {
            return Err(format!("compilation failed: brackets are nested deeper than {MAX_NESTING} levels"));
        }
        // On a thread of its own, since a long expression would overflow the stack of the caller's.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("expression".into())
                .stack_size(PARSER_STACK)
                .spawn_scoped(scope, || compile_here(text, declared, gives));
            match thread.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(compiled)) => compiled,
                Ok(Err(_)) => Err("compilation failed: the compiler failed".into()),
                Err(error) => Err(format!("compilation failed: {error}")),
            }
        })
    }
}

fn compile_here(text: &str, declared: Declared<'_>, gives: Gives) -> Result<Expression, String> {
    let (tree, of) = typed(text, declared).map_err(|why| format!("compilation failed: {why}"))?;
    let depth = tree.depth();
    if depth > MAX_DEPTH {
        return Err(format!("compilation failed: the expression is nested deeper than {MAX_DEPTH} levels"));
    }
    // Of other variables it is not known what they are, so neither may be what is made of them.
    let known = declared.names.iter().all(|name| variable_type(name).is_some());
    if known || of != "dyn" {
        fits(&of, gives)?;
    }
    if let Some(why) = conversion_problem(&tree) {
        return Err(format!("{NOT_INSTANTIATED}{why}"));
    }
    Ok(Expression { tree, depth, text: text.to_owned(), of })
}

/// The begin of what is said of an expression that is sound, and cannot be made ready to run.
pub const NOT_INSTANTIATED: &str = "program instantiation failed: ";

/// The tree of an expression, and the type of what it gives, as CEL's checker finds it.
fn typed(text: &str, declared: Declared<'_>) -> Result<(Part, String), String> {
    let own: Vec<String> = declared.own.iter().map(|name| format!("variables.{name}")).collect();
    let mut variables: Vec<(&str, &str)> =
        declared.names.iter().map(|name| (*name, variable_type(name).unwrap_or("dyn"))).collect();
    if declared.names.contains(&"authorizer") {
        variables.push((REQUEST_RESOURCE, RESOURCE_CHECK));
    }
    if declared.composed || !own.is_empty() {
        variables.push(("variables", OWN_VARIABLES));
    }
    let types = declared.types.iter().map(String::as_str).chain(std::iter::repeat("dyn"));
    variables.extend(own.iter().map(String::as_str).zip(types));
    let (tree, of) = read(text, &variables, declared.constructs)?;
    Ok((tree.root, of))
}

/// What an expression may give, and how that is told.
fn allowed(gives: Gives) -> Option<(&'static [&'static str], &'static str)> {
    match gives {
        Gives::Bool => Some((&["bool"], "bool")),
        Gives::Text => Some((&["string"], "string")),
        Gives::TextOrNull => Some((&["string", "null_type"], "one of [string null_type]")),
        Gives::Object => Some((&["Object"], "Object")),
        Gives::Patches => Some((&["list(JSONPatch)"], "list(JSONPatch)")),
        Gives::Any => None,
    }
}

/// The name of a type as messages about results have it.
fn in_full(of: &str) -> String {
    const SHORT: &[(&str, &str)] = &[
        ("null", "null_type"),
        ("duration", "google.protobuf.Duration"),
        ("timestamp", "google.protobuf.Timestamp"),
    ];
    let ends = ['(', ')', ',', ' '];
    let pieces = of.split_inclusive(ends).map(|piece| {
        let word = piece.trim_end_matches(ends);
        let full = SHORT.iter().find(|(short, _)| *short == word).map_or(word, |(_, full)| full);
        format!("{full}{}", &piece[word.len()..])
    });
    pieces.collect()
}

fn fits(found: &str, gives: Gives) -> Result<(), String> {
    let found = in_full(found);
    match allowed(gives) {
        Some((allowed, expected)) if !allowed.contains(&found.as_str()) => {
            Err(format!("must evaluate to {expected} but got {found}"))
        }
        _ => Ok(()),
    }
}
