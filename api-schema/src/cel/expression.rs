//! One compiled expression.

use super::authorizer::FUNCTIONS;
use super::kinds::{Kind, Kinds};
use super::rewrite::{OWN, PRESENT, REQUEST_RESOURCE, Rewrite, names};
use super::{optional, pairs};
use crate::crd::rules::{
    Findings, MAX_DEPTH, MAX_NESTING, MAX_TEXT, Node, PARSER_STACK, Reader, depth, nesting,
};
use kube_cel::cel::common::ast::{Expr, IdedExpr};
use kube_cel::cel::parser::Parser;

/// What an expression may name.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// Variables (`object`, `request`). Each may be null.
    pub names: &'a [&'a str],
    /// The policy's own variables, read as `variables.NAME`.
    pub own: &'a [&'a str],
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
    let mut tree = parser.parse(text).map_err(|error| format!("compilation failed: {error}"))?;
    let depth = depth(&tree);
    if depth > MAX_DEPTH {
        return Err(format!("compilation failed: the expression is nested deeper than {MAX_DEPTH} levels"));
    }
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
    let told = findings.problems.iter().map(|problem| problem.said());
    if let Some(problem) = rewrite.problems.into_iter().chain(told).next() {
        return Err(format!("compilation failed: {problem}"));
    }
    let mut kinds = Kinds::default();
    let found = kinds.of(&tree);
    if let Some(problem) = kinds.problems.into_iter().next() {
        return Err(format!("compilation failed: {problem}"));
    }
    check(&tree, found, gives)?;
    let mut read = Vec::new();
    names(&tree, &mut read);
    Ok(Expression { tree, names: read, depth, text: text.to_owned() })
}

/// An expression gives what it has to, where that can be told.
fn check(tree: &IdedExpr, found: Option<Kind>, gives: Gives) -> Result<(), String> {
    let (allowed, expected): (&[&str], &str) = match gives {
        Gives::Bool => (&["bool"], "bool"),
        Gives::Text => (&["string"], "string"),
        Gives::TextOrNull => (&["string", "null_type"], "one of [string null_type]"),
        Gives::Any => return Ok(()),
    };
    match found {
        Some(kind) if !allowed.contains(&kind.to_string().as_str()) => {
            Err(format!("must evaluate to {expected} but got {kind}"))
        }
        None if matches!(tree.expr, Expr::List(_) | Expr::Map(_) | Expr::Struct(_)) => {
            Err(format!("must evaluate to {expected}"))
        }
        _ => Ok(()),
    }
}
