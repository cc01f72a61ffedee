//! An expression of a rule that can be run.

use crate::cel::{names, with_pairs_and_options};
use kube_cel::cel::common::ast::IdedExpr;
use kube_cel::cel::parser::{ParseErrors, Parser};
use kube_cel::cel::{Context, ExecutionError, Value};

/// An expression, with optional fields and loops of two variables made into what the library has.
#[derive(Debug)]
pub(in crate::crd) struct Program {
    tree: IdedExpr,
}

impl Program {
    /// Reads an expression.
    pub fn compile(text: &str) -> Result<Program, ParseErrors> {
        let mut tree = Parser::default().enable_optional_syntax(true).parse(text)?;
        with_pairs_and_options(&mut tree);
        Ok(Program { tree })
    }

    /// What is run.
    pub fn expression(&self) -> &IdedExpr {
        &self.tree
    }

    /// True when it names a variable.
    pub fn names(&self, variable: &str) -> bool {
        let mut found = Vec::new();
        names(&self.tree, &mut found);
        found.iter().any(|name| name == variable)
    }

    /// Runs it.
    pub fn execute(&self, scope: &Context<'_>) -> Result<Value, ExecutionError> {
        scope.resolve(&self.tree)
    }
}
