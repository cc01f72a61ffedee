//! One compiled expression.

use super::authorizer::FUNCTIONS;
use super::kinds::{Kind, Kinds, OWN_VARIABLES, RESOURCE_CHECK, variable_type};
use super::rewrite::{OWN, PRESENT, REQUEST_RESOURCE, Rewrite, names};
use super::{optional, pairs};
use crate::crd::rules::{
    Findings, MAX_DEPTH, MAX_NESTING, MAX_TEXT, Node, PARSER_STACK, Reader, check_over, depth, nesting,
};
use kube_cel::cel::common::ast::{Expr, IdedExpr};
use kube_cel::cel::parser::Parser;

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
    pub(super) tree: IdedExpr,
    /// What it reads.
    pub(super) names: Vec<String>,
    /// How deep it is nested.
    pub(super) depth: usize,
    /// As it was written.
    pub text: String,
    /// The type of what it gives, where that can be told.
    pub of: Option<String>,
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
    let parser = Parser::default().enable_optional_syntax(true);
    let mut tree = parser.parse(text).map_err(|error| {
        // Excerpts of the text are indented by a blank.
        format!("compilation failed: {}", error.to_string().replace("\n| ", "\n | "))
    })?;
    let depth = depth(&tree);
    if depth > MAX_DEPTH {
        return Err(format!("compilation failed: the expression is nested deeper than {MAX_DEPTH} levels"));
    }
    let typed = typed(text, declared).transpose().map_err(|why| format!("compilation failed: {why}"))?;
    optional::rewrite(&mut tree);
    pairs::rewrite(&mut tree);
    let mut rewrite = Rewrite {
        nullable: declared.names,
        own: declared.own,
        constructs: declared.constructs,
        taken: Vec::new(),
        problems: Vec::new(),
    };
    rewrite.expression(&mut tree);
    let mut findings = Findings::default();
    let nothing = || Node::Sized(0);
    let mut variables: Vec<(String, Node<'_>)> = Vec::new();
    for name in declared.names {
        variables.push(((*name).to_owned(), nothing()));
        variables.push((format!("{name}{PRESENT}"), nothing()));
    }
    if declared.names.contains(&"authorizer") {
        variables.push((REQUEST_RESOURCE.to_owned(), nothing()));
    }
    variables.extend(declared.own.iter().map(|name| (format!("{OWN}{name}"), nothing())));
    Reader::with(variables, FUNCTIONS, &mut findings).read(&tree);
    let told = findings.problems.iter().map(|problem| problem.shown(text));
    if let Some(problem) = rewrite.problems.into_iter().chain(told).next() {
        return Err(format!("compilation failed: {problem}"));
    }
    // Of other variables it is not known what they are, so neither is what is made of them.
    let typed = typed.filter(|_| declared.names.iter().all(|name| variable_type(name).is_some()));
    match &typed {
        Some(found) => fits(found, gives)?,
        None => {
            let mut kinds = Kinds::default();
            let found = kinds.of(&tree);
            if let Some(problem) = kinds.problems.into_iter().next() {
                return Err(format!("compilation failed: {problem}"));
            }
            check(&tree, found, gives)?;
        }
    }
    let mut read = Vec::new();
    names(&tree, &mut read);
    Ok(Expression { tree, names: read, depth, text: text.to_owned(), of: typed })
}

/// The type of what an expression gives, as CEL's checker finds it. `None`: the expression cannot be read so.
fn typed(text: &str, declared: Declared<'_>) -> Option<Result<String, String>> {
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
    check_over(text, &variables)
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

/// An expression gives what it has to, where that can be told.
fn check(tree: &IdedExpr, found: Option<Kind>, gives: Gives) -> Result<(), String> {
    let Some((_, expected)) = allowed(gives) else { return Ok(()) };
    // What is constructed is not known here.
    if matches!(gives, Gives::Object | Gives::Patches) {
        return Ok(());
    }
    match found {
        Some(kind) => fits(&kind.to_string(), gives),
        None if matches!(tree.expr, Expr::List(_) | Expr::Map(_) | Expr::Struct(_)) => {
            Err(format!("must evaluate to {expected}"))
        }
        None => Ok(()),
    }
}
