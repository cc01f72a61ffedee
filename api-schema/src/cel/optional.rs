//! Optional values: `object.?spec.replicas.orValue(1)`, `list[?0]`, `value.optMap(v, v + 1)`.
//!
//! The library parses them, and fails where what is asked for is not there. So they become calls of functions of our
//! own, for which whatever has no such field has nothing there, as for Kubernetes.

use super::build::{boolean, call, identifier, list, method, text};
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr};
use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::{Key, OptionalValue};
use kube_cel::cel::{Context, ExecutionError, Value as Cel};
use std::sync::Arc;

/// `x.?field`.
pub(crate) const FIELD: &str = "@field";
/// `x[?index]`.
pub(crate) const AT: &str = "@at";
/// The value as a list of at most one element.
pub(crate) const LIST: &str = "@list";
/// The first element of a list as an optional value.
pub(crate) const FIRST: &str = "@first";
/// What a loop over such a list gathers.
const GATHERED: &str = "@optional";

/// Rewrites an expression in place.
pub(super) fn rewrite(of: &mut IdedExpr) {
    each_part(of, &mut rewrite);
    let instead = match &mut of.expr {
        Expr::Select(select) if is_optional(&select.operand) => {
            let (operand, field) = (std::mem::take(&mut *select.operand), select.field.as_str());
            let there = call(FIELD, vec![operand, text(field)]);
            Some(if select.test { method(there, "hasValue", Vec::new()) } else { there.expr })
        }
        Expr::Call(sent) => called(sent),
        _ => None,
    };
    if let Some(instead) = instead {
        of.expr = instead;
    }
}

fn called(sent: &mut CallExpr) -> Option<Expr> {
    match (sent.func_name.as_str(), sent.args.len()) {
        ("_?._", 2) => Some(call(FIELD, std::mem::take(&mut sent.args)).expr),
        ("_[?_]", 2) => Some(call(AT, std::mem::take(&mut sent.args)).expr),
        ("_[_]", 2) if is_optional(&sent.args[0]) => Some(call(AT, std::mem::take(&mut sent.args)).expr),
        ("optMap" | "optFlatMap", 2) => mapped(sent),
        _ => None,
    }
}

/// A loop over what is there, at most one value.
fn mapped(sent: &mut CallExpr) -> Option<Expr> {
    let Expr::Ident(variable) = &sent.args[0].expr else { return None };
    let variable = variable.clone();
    let target = sent.target.take()?;
    let made = sent.args.pop()?;
    let gathered = || identifier(GATHERED);
    let more = if sent.func_name == "optMap" { list(vec![made]) } else { call(LIST, vec![made]) };
    Some(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: call(LIST, vec![*target]),
        iter_var: variable,
        iter_var2: None,
        accu_var: GATHERED.to_owned(),
        accu_init: list(Vec::new()),
        loop_cond: boolean(true),
        loop_step: call("_+_", vec![gathered(), more]),
        result: call(FIRST, vec![gathered()]),
    })))
}

/// True for what gives an optional value, as far as that can be read.
fn is_optional(of: &IdedExpr) -> bool {
    match &of.expr {
        Expr::Call(sent) => {
            let namespace = sent.target.as_deref().map(|target| &target.expr);
            matches!(sent.func_name.as_str(), FIELD | AT | "optMap" | "optFlatMap" | "or")
                || matches!(namespace, Some(Expr::Ident(name)) if name == "optional")
        }
        Expr::Comprehension(loops) => loops.accu_var == GATHERED,
        _ => false,
    }
}

/// Visits the parts of an expression.
pub(super) fn each_part(of: &mut IdedExpr, visit: &mut dyn FnMut(&mut IdedExpr)) {
    match &mut of.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => {}
        Expr::Select(select) => visit(&mut select.operand),
        Expr::Call(sent) => {
            sent.target.iter_mut().for_each(|target| visit(target));
            sent.args.iter_mut().for_each(visit);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(visit),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| each_of_entry(&mut entry.expr, visit)),
        Expr::Struct(object) => {
            object.entries.iter_mut().for_each(|entry| each_of_entry(&mut entry.expr, visit));
        }
        Expr::Comprehension(loops) => {
            visit(&mut loops.iter_range);
            visit(&mut loops.accu_init);
            visit(&mut loops.loop_cond);
            visit(&mut loops.loop_step);
            visit(&mut loops.result);
        }
    }
}

fn each_of_entry(entry: &mut EntryExpr, visit: &mut dyn FnMut(&mut IdedExpr)) {
    match entry {
        EntryExpr::MapEntry(entry) => {
            visit(&mut entry.key);
            visit(&mut entry.value);
        }
        EntryExpr::StructField(field) => visit(&mut field.value),
    }
}

type Answer = Result<Cel, ExecutionError>;

/// What is in an optional value; anything else is there.
fn inside(value: &Cel) -> Option<Cel> {
    match <&OptionalValue>::try_from(value) {
        Ok(optional) => optional.value().cloned(),
        Err(_) => Some(value.clone()),
    }
}

fn optional(value: Option<Cel>) -> Cel {
    Cel::Opaque(Arc::new(value.map_or_else(OptionalValue::none, OptionalValue::of)))
}

fn at(value: &Cel, key: &Cel) -> Option<Cel> {
    match (inside(value)?, key) {
        (Cel::Map(map), key) => {
            let key: Key = key.clone().try_into().ok()?;
            map.map.get(&key).cloned()
        }
        (Cel::List(items), Cel::Int(index)) => items.get(usize::try_from(*index).ok()?).cloned(),
        (Cel::List(items), Cel::UInt(index)) => items.get(usize::try_from(*index).ok()?).cloned(),
        _ => None,
    }
}

/// Adds the functions to a context.
pub(super) fn add_functions(context: &mut Context<'static>) {
    let look = |value: Cel, key: Cel| -> Answer { Ok(optional(at(&value, &key))) };
    context.add_function(FIELD, look);
    context.add_function(AT, look);
    context.add_function(LIST, |value: Cel| -> Answer {
        Ok(Cel::List(Arc::new(inside(&value).into_iter().collect())))
    });
    context.add_function(FIRST, |list: Cel| -> Answer { Ok(optional(at(&list, &Cel::Int(0)))) });
    // The library's own one gives what is in it, where it has to stay as it is.
    context.add_function("or", |This(this): This<Cel>, other: Cel| -> Answer {
        Ok(if inside(&this).is_some() { this } else { other })
    });
}
