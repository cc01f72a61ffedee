//! Running expressions for one request.

use super::authorizer::{self, FUNCTIONS};
use super::rewrite::{OWN, PRESENT, REQUEST_RESOURCE};
use super::{Authorizer, EXPRESSION_LIMIT, Expression, Question, json};
use crate::crd::rules::{DEEP_STACK, ENGINE, Engine, Findings, Node, Reader, SHALLOW, words};
use kube_cel::cel::{Context, ExecutionError, Value as Cel};
use serde_json::Value;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A variable of a policy.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it is, or why that could not be compiled.
    pub expression: Result<Expression, String>,
}

/// What expressions see.
pub struct Activation<'a> {
    /// Variables and their values. One that is not there counts as null.
    pub values: &'a [(&'a str, &'a Value)],
    /// The policy's own variables, each of which may read those before it.
    pub own: &'a [Variable],
    /// Who says what the user may do, and the question that `authorizer.requestResource` begins with.
    pub authorizer: Option<(Arc<dyn Authorizer>, Question)>,
}

/// Why an expression gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It failed, in Kubernetes' words.
    Error(String),
    /// It would take more steps than are left; no further one is run.
    OutOfBudget,
}

/// Expressions that run for one request, one after the other.
pub struct Session<'a, 'e> {
    activation: &'a Activation<'a>,
    engine: &'e Engine,
    scope: Context<'e>,
    /// What is known of the variables that have been set.
    nodes: Vec<(String, Node<'a>)>,
    set: Vec<String>,
    failed: HashMap<String, String>,
    left: u64,
}

/// Runs expressions with a budget of steps. `depth` is that of the deepest of them, the own variables included.
pub fn run<T: Send>(
    activation: &Activation<'_>,
    budget: u64,
    deepest: usize,
    work: impl FnOnce(&mut Session<'_, '_>) -> T + Send,
) -> Result<T, String> {
    if deepest <= SHALLOW {
        return Ok(here(activation, budget, work));
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("expressions".into())
            .stack_size(DEEP_STACK)
            .spawn_scoped(scope, || here(activation, budget, work));
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err("the evaluation failed".into()),
            Err(error) => Err(error.to_string()),
        }
    })
}

fn here<T>(activation: &Activation<'_>, budget: u64, work: impl FnOnce(&mut Session<'_, '_>) -> T) -> T {
    ENGINE.with(|engine| {
        let mut session = Session {
            activation,
            engine,
            scope: engine.context.new_inner_scope(),
            nodes: Vec::new(),
            set: Vec::new(),
            failed: HashMap::new(),
            left: budget,
        };
        work(&mut session)
    })
}

impl Expression {
    /// How deep it is nested, by which the stack of an evaluation is chosen.
    pub fn depth(&self) -> usize {
        self.depth
    }
}

impl<'a> Session<'a, '_> {
    /// What an expression gives, as JSON.
    pub fn evaluate(&mut self, expression: &Expression) -> Result<Value, Failure> {
        let given = self.execute(expression).map_err(|failure| match failure {
            Failure::Error(why) => {
                Failure::Error(format!("expression '{}' resulted in error: {why}", expression.text))
            }
            other => other,
        })?;
        json::of(&given)
            .ok_or_else(|| Failure::Error(format!("expression '{}' gives no JSON", expression.text)))
    }

    fn execute(&mut self, expression: &Expression) -> Result<Cel, Failure> {
        for name in &expression.names {
            self.prepare(name)?;
        }
        self.spend(expression)?;
        // A defect of the library must not take the process down for all tenants.
        let given = catch_unwind(AssertUnwindSafe(|| self.scope.resolve(&expression.tree)))
            .unwrap_or_else(|_| Err(ExecutionError::function_error("expression", "internal error")));
        given.map_err(|error| {
            Failure::Error(match &error {
                ExecutionError::UndeclaredReference(name) => match self.failed.get(name.as_str()) {
                    Some(why) => why.clone(),
                    None if name.ends_with(PRESENT) => "no such overload".to_owned(),
                    None => format!("undeclared reference to '{name}'"),
                },
                other => words(other),
            })
        })
    }

    fn spend(&mut self, expression: &Expression) -> Result<(), Failure> {
        let mut findings = Findings::default();
        let steps = Reader::with(self.nodes.clone(), FUNCTIONS, &mut findings).read(&expression.tree).0;
        if steps > EXPRESSION_LIMIT {
            return Err(Failure::Error("operation cancelled: actual cost limit exceeded".into()));
        }
        self.left = self.left.checked_sub(steps).ok_or(Failure::OutOfBudget)?;
        Ok(())
    }

    /// Makes sure that a variable is set which an expression reads. One that fails is not set, so that reading it fails.
    fn prepare(&mut self, name: &str) -> Result<(), Failure> {
        if self.set.iter().any(|set| set == name) {
            return Ok(());
        }
        if let Some(own) = name.strip_prefix(OWN) {
            return self.prepare_own(name, own);
        }
        if let Some((judge, about)) = &self.activation.authorizer
            && matches!(name, "authorizer" | REQUEST_RESOURCE)
        {
            let question = if name == "authorizer" { Question::default() } else { about.clone() };
            let value = authorizer::value(judge, question);
            self.put(name, value, Node::Sized(1));
            return Ok(());
        }
        let plain = name.strip_suffix(PRESENT).unwrap_or(name);
        let Some((_, found)) = self.activation.values.iter().find(|(known, _)| *known == plain) else {
            if plain == name {
                self.put(name, Cel::Null, Node::Sized(1));
            }
            return Ok(());
        };
        if found.is_null() && plain != name {
            return Ok(());
        }
        let value = self.engine.value(found);
        self.put(name, value, Node::Data(vec![found]));
        Ok(())
    }

    fn put(&mut self, name: &str, value: Cel, node: Node<'a>) {
        self.scope.add_variable_from_value(name, value);
        self.nodes.push((name.to_owned(), node));
        self.set.push(name.to_owned());
    }

    fn prepare_own(&mut self, name: &str, own: &str) -> Result<(), Failure> {
        let variables: &'a [Variable] = self.activation.own;
        let Some(variable) = variables.iter().find(|variable| variable.name == own) else { return Ok(()) };
        self.set.push(name.to_owned());
        let expression = match &variable.expression {
            Ok(expression) => expression,
            Err(why) => {
                let why = format!("composited variable {own:?} fails to compile: {why}");
                self.failed.insert(name.to_owned(), why);
                self.nodes.push((name.to_owned(), Node::Sized(0)));
                return Ok(());
            }
        };
        match self.execute(expression) {
            Ok(value) => {
                let mut findings = Findings::default();
                let node =
                    Reader::with(self.nodes.clone(), FUNCTIONS, &mut findings).read(&expression.tree).1;
                self.put(name, value, node);
            }
            Err(Failure::OutOfBudget) => return Err(Failure::OutOfBudget),
            Err(Failure::Error(why)) => {
                let why = format!("composited variable {own:?} fails to evaluate: {why}");
                self.failed.insert(name.to_owned(), why);
                self.nodes.push((name.to_owned(), Node::Sized(0)));
            }
        }
        Ok(())
    }
}
