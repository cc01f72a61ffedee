//! Loops with two variables: `map.all(key, value, …)`, `list.exists(index, value, …)`.
//!
//! The library has loops with one variable only, so that these loop over pairs.

use super::build::{boolean, call, identifier, list, number};
use super::optional::each_part;
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr};
use kube_cel::cel::{Context, ExecutionError, Value as Cel};
use std::sync::Arc;

/// The pairs of a map or a list, each as a list of two.
pub(crate) const PAIRS: &str = "@pairs";
const PAIR: &str = "@pair";
const RESULT: &str = "@result";

/// Rewrites an expression in place.
pub(super) fn rewrite(of: &mut IdedExpr) {
    each_part(of, &mut rewrite);
    if let Expr::Call(sent) = &mut of.expr
        && let Some(instead) = looped(sent)
    {
        of.expr = instead;
    }
}

fn looped(sent: &mut CallExpr) -> Option<Expr> {
    let name = sent.func_name.clone();
    let filtered = match (name.as_str(), sent.args.len()) {
        ("all" | "exists" | "existsOne" | "exists_one" | "transformList", 3) => false,
        ("transformList", 4) => true,
        _ => return None,
    };
    let variable = |of: &IdedExpr| if let Expr::Ident(name) = &of.expr { Some(name.clone()) } else { None };
    let (first, second) = (variable(&sent.args[0])?, variable(&sent.args[1])?);
    let range = call(PAIRS, vec![*sent.target.take()?]);
    // Loops within loops are told apart by their depth.
    let mut parts = sent.args.split_off(2);
    let depth = parts.iter_mut().map(nested).max().unwrap_or(0);
    let (pair, result) = (format!("{PAIR}{depth}"), format!("{RESULT}{depth}"));
    for part in &mut parts {
        substitute(part, &first, &call("_[_]", vec![identifier(&pair), number(0)]));
        substitute(part, &second, &call("_[_]", vec![identifier(&pair), number(1)]));
    }
    let last = parts.pop()?;
    let so_far = || identifier(&result);
    let holds = |yes: IdedExpr| call("@not_strictly_false", vec![yes]);
    let counted = |one: IdedExpr| call("_+_", vec![so_far(), one]);
    let (init, condition, step, end) = match name.as_str() {
        "all" => (boolean(true), holds(so_far()), call("_&&_", vec![so_far(), last]), so_far()),
        "exists" => {
            let none_yet = call("!_", vec![so_far()]);
            (boolean(false), holds(none_yet), call("_||_", vec![so_far(), last]), so_far())
        }
        "transformList" => {
            let more = counted(list(vec![last]));
            let step = match parts.pop() {
                Some(filter) if filtered => call("_?_:_", vec![filter, more, so_far()]),
                _ => more,
            };
            (list(Vec::new()), boolean(true), step, so_far())
        }
        _ => {
            let step = call("_?_:_", vec![last, counted(number(1)), so_far()]);
            (number(0), boolean(true), step, call("_==_", vec![so_far(), number(1)]))
        }
    };
    Some(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: range,
        iter_var: pair,
        iter_var2: None,
        accu_var: result,
        accu_init: init,
        loop_cond: condition,
        loop_step: step,
        result: end,
    })))
}

/// How many loops over pairs are nested in an expression.
fn nested(of: &mut IdedExpr) -> usize {
    let own = match &of.expr {
        Expr::Comprehension(loops) => usize::from(loops.iter_var.starts_with(PAIR)),
        _ => 0,
    };
    let mut below = 0;
    each_part(of, &mut |part| below = below.max(nested(part)));
    own + below
}

/// Puts an expression in the place of a variable, but where a loop has one of the same name.
fn substitute(of: &mut IdedExpr, name: &str, with: &IdedExpr) {
    match &mut of.expr {
        Expr::Ident(found) if found == name => *of = with.clone(),
        Expr::Comprehension(loops) if loops.iter_var == name => substitute(&mut loops.iter_range, name, with),
        _ => each_part(of, &mut |part| substitute(part, name, with)),
    }
}

/// Adds the function to a context.
pub(super) fn add_functions(context: &mut Context<'static>) {
    context.add_function(PAIRS, |range: Cel| -> Result<Cel, ExecutionError> {
        let pair = |first: Cel, second: &Cel| Cel::List(Arc::new(vec![first, second.clone()]));
        let pairs = match &range {
            Cel::Map(map) => map.map.iter().map(|(key, value)| pair(key.into(), value)).collect(),
            Cel::List(items) => {
                let indexed = items.iter().zip(0i64..);
                indexed.map(|(item, index)| pair(Cel::Int(index), item)).collect()
            }
            _ => return Err(ExecutionError::NoSuchOverload),
        };
        Ok(Cel::List(Arc::new(pairs)))
    });
}
