//! Running expressions for one request.

use super::run::{self, Given, Names, Stop, Value as Cel};
use super::{Authorizer, EXPRESSION_LIMIT, Expression, Question};
use crate::crd::rules::{DEEP_STACK, SHALLOW};
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
pub struct Session<'a> {
    activation: &'a Activation<'a>,
    /// The variables that have been read.
    read: HashMap<String, Given>,
    left: u64,
    /// A variable has taken more than was left.
    is_over: bool,
}

/// Runs expressions with a budget of steps. `depth` is that of the deepest of them, the own variables included.
pub fn run<T: Send>(
    activation: &Activation<'_>,
    budget: u64,
    deepest: usize,
    work: impl FnOnce(&mut Session<'_>) -> T + Send,
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

fn here<T>(activation: &Activation<'_>, budget: u64, work: impl FnOnce(&mut Session<'_>) -> T) -> T {
    work(&mut Session { activation, read: HashMap::new(), left: budget, is_over: false })
}

impl Expression {
    /// How deep it is nested, by which the stack of an evaluation is chosen.
    pub fn depth(&self) -> usize {
        self.depth
    }
}

/// What is said of an expression that costs too much.
const LIMIT: &str = "operation cancelled: actual cost limit exceeded";

impl Session<'_> {
    /// What an expression gives, as JSON.
    pub fn evaluate(&mut self, expression: &Expression) -> Result<Value, Failure> {
        let failed = |why: String| {
            Failure::Error(format!("expression '{}' resulted in error: {why}", expression.text))
        };
        let given = match self.execute(expression) {
            _ if self.is_over => return Err(Failure::OutOfBudget),
            Ok(given) => given,
            Err(Stop::Error(why)) => return Err(failed(why.into_owned())),
            Err(Stop::Limit) => return Err(failed(LIMIT.to_owned())),
        };
        run::to_json(&given)
            .ok_or_else(|| Failure::Error(format!("expression '{}' gives no JSON", expression.text)))
    }

    fn execute(&mut self, expression: &Expression) -> Given {
        // A defect must not take the process down for all tenants.
        let (given, cost) =
            catch_unwind(AssertUnwindSafe(|| run::run(&expression.tree, self, EXPRESSION_LIMIT)))
                .unwrap_or_else(|_| (Err(Stop::Error("internal error".into())), EXPRESSION_LIMIT));
        match self.left.checked_sub(cost) {
            Some(left) => self.left = left,
            None => self.is_over = true,
        }
        if self.is_over { Err(Stop::Limit) } else { given }
    }

    /// A variable of the policy's own.
    fn own(&mut self, name: &str) -> Option<Given> {
        let variables: &[Variable] = self.activation.own;
        let variable = variables.iter().find(|variable| variable.name == name)?;
        let failed = |how: &str, why: &str| {
            Err(Stop::Error(format!("composited variable {name:?} fails to {how}: {why}").into()))
        };
        Some(match &variable.expression {
            Err(why) => failed("compile", why),
            Ok(expression) => match self.execute(expression) {
                Err(Stop::Error(why)) => failed("evaluate", &why),
                Err(Stop::Limit) if !self.is_over => failed("evaluate", LIMIT),
                given => given,
            },
        })
    }

    fn once(&mut self, name: String, read: impl FnOnce(&mut Self) -> Option<Given>) -> Option<Given> {
        if let Some(given) = self.read.get(&name) {
            return Some(given.clone());
        }
        // One that reads itself would never end.
        self.read.insert(name.clone(), Err(Stop::Error("a variable reads itself".into())));
        let given = read(self);
        match &given {
            Some(given) => drop(self.read.insert(name, given.clone())),
            None => drop(self.read.remove(&name)),
        }
        given
    }
}

impl Names for Session<'_> {
    fn variable(&mut self, name: &str) -> Option<Given> {
        let activation = self.activation;
        self.once(name.to_owned(), |_| {
            if let ("authorizer", Some((judge, _))) = (name, &activation.authorizer) {
                return Some(Ok(run::asking(judge, Question::default())));
            }
            let found = activation.values.iter().find(|(known, _)| *known == name);
            match found {
                Some((_, value)) => Some(Ok(run::of_json(value, None))),
                // What is not there counts as null.
                None if super::is_variable(name) => Some(Ok(Cel::Null)),
                None => None,
            }
        })
    }

    fn dotted(&mut self, name: &str, field: &str) -> Option<Given> {
        let activation = self.activation;
        match (name, field, &activation.authorizer) {
            ("variables", _, _) => self.once(format!("variables.{field}"), |session| session.own(field)),
            ("authorizer", "requestResource", Some((judge, about))) => {
                Some(Ok(run::asking(judge, about.clone())))
            }
            _ => None,
        }
    }
}
