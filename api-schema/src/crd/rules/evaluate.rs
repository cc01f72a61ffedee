//! Running the rules for an object.

use super::compile::{CompiledRule, RuleTree, field_path};
use super::typed::Part;
use crate::cel::{Given, Names, Stop, Value as Cel, of_json, optional, run_tree};
use crate::crd::lists::child;
use crate::crd::schema::Schema;
use crate::crd::validate::correlated;
use api_types::{Cause, CauseReason};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The most steps of one rule for one value.
const CALL_LIMIT: u64 = 1_000_000;
/// The most steps of all rules for one object.
const OBJECT_LIMIT: u64 = 10_000_000;
/// The most bytes of a message that a rule computes.
const MAX_MESSAGE: usize = 5 * 1024;

/// How deep rules may be nested that run on the caller's stack. Each level takes up to 40 KiB without
/// optimization.
pub(crate) const SHALLOW: usize = 16;
/// The stack for deeper ones.
pub(crate) const DEEP_STACK: usize = 64 * 1024 * 1024;

/// What rules read.
#[derive(Clone)]
struct Scope {
    this: Cel,
    old: Option<Cel>,
}

impl Names for Scope {
    fn variable(&mut self, name: &str) -> Option<Given> {
        match name {
            "self" => Some(Ok(self.this.clone())),
            "oldSelf" => self.old.clone().map(Ok),
            _ => None,
        }
    }
}

/// The rules that an object of the schema breaks.
#[derive(Debug, Default)]
pub(in crate::crd) struct Broken {
    /// These refuse it.
    pub causes: Vec<Cause>,
    /// Of these its author is warned: what breaks them was there before (KEP-4008).
    pub old: Vec<Cause>,
}

/// The rules that an object of the schema breaks. `old` is the object before the change.
pub(in crate::crd) fn evaluate(
    tree: &RuleTree,
    schema: &Schema,
    object: &Value,
    old: Option<&Value>,
) -> Broken {
    if tree.depth <= SHALLOW {
        return evaluate_here(tree, schema, object, old);
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("rules".into())
            .stack_size(DEEP_STACK)
            .spawn_scoped(scope, || evaluate_here(tree, schema, object, old));
        let failed = |why: String| {
            let message = format!("Internal error: the rules could not be run: {why}");
            let causes = vec![Cause::new(CauseReason::InternalError, "<nil>", message)];
            Broken { causes, old: Vec::new() }
        };
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(broken)) => broken,
            Ok(Err(_)) => failed("the evaluation failed".into()),
            Err(error) => failed(error.to_string()),
        }
    })
}

fn evaluate_here(tree: &RuleTree, schema: &Schema, object: &Value, old: Option<&Value>) -> Broken {
    let mut run = Run { left: Some(OBJECT_LIMIT), broken: Broken::default() };
    run.value(tree, schema, Pair { value: object, old, near: None }, "");
    run.broken
}

/// A value and what it was before.
#[derive(Clone, Copy)]
struct Pair<'v> {
    value: &'v Value,
    old: Option<&'v Value>,
    /// The nearest value around it of which it can be told what it was, and that.
    near: Option<(&'v Value, &'v Value)>,
}

impl<'v> Pair<'v> {
    fn below(&self, value: &'v Value, old: Option<&'v Value>) -> Pair<'v> {
        Pair { value, old, near: self.nearest() }
    }

    fn nearest(&self) -> Option<(&'v Value, &'v Value)> {
        self.old.map(|old| (self.value, old)).or(self.near)
    }

    /// It is as it was, or part of something that is.
    fn is_unchanged(&self) -> bool {
        self.nearest().is_some_and(|(value, old)| value == old)
    }
}

struct Run {
    /// The steps that are left; `None` once they ran out.
    left: Option<u64>,
    broken: Broken,
}

impl Run {
    fn value(&mut self, tree: &RuleTree, schema: &Schema, pair: Pair<'_>, path: &str) {
        let Pair { value, old, .. } = pair;
        if value.is_null() || self.left.is_none() {
            return;
        }
        // What was stored of another type before the schema changed can stay.
        let unfit = pair.is_unchanged() && !schema.kind.is_empty() && !has_kind(value, &schema.kind);
        if !tree.rules.is_empty() && !unfit {
            self.rules(tree, schema, Pair { old: old.filter(|o| !o.is_null()), ..pair }, path);
        }
        match value {
            Value::Array(items) => {
                let (Some(below), Some(of)) = (&tree.items, &schema.items) else { return };
                for (at, item) in items.iter().enumerate() {
                    let item = pair.below(item, correlated(item, old, schema));
                    self.value(below, of, item, &format!("{path}[{at}]"));
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    let member = pair.below(value, old.and_then(|o| o.get(name)));
                    match (tree.properties.get(name), schema.properties.get(name)) {
                        (Some(below), Some(of)) => self.value(below, of, member, &child(path, name)),
                        (None, Some(_)) => {}
                        (_, None) => {
                            if let (Some(below), Some(of)) = (&tree.additional, schema.additional_schema()) {
                                self.value(below, of, member, &format!("{path}[{name}]"));
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, tree: &RuleTree, schema: &Schema, pair: Pair<'_>, path: &str) {
        let Pair { value, old, .. } = pair;
        let plain =
            Scope { this: of_json(value, Some(schema)), old: old.map(|old| of_json(old, Some(schema))) };
        for rule in &tree.rules {
            let is_optional = rule.rule.optional_old_self == Some(true);
            if rule.uses_old_self && old.is_none() && !is_optional {
                continue;
            }
            let mut scope = plain.clone();
            if is_optional {
                scope.old = Some(optional(scope.old));
            }
            if !self.rule(rule, schema, pair, path, &mut scope) {
                return;
            }
        }
    }

    /// Runs one rule. False when no further rule is to be run.
    fn rule(
        &mut self,
        rule: &CompiledRule,
        schema: &Schema,
        pair: Pair<'_>,
        path: &str,
        scope: &mut Scope,
    ) -> bool {
        let value = pair.value;
        let said = match rule.rule.message.trim() {
            "" => rule.rule.rule.trim(),
            message => message,
        };
        let field = if path.is_empty() { "<nil>" } else { path };
        let mut fail = |why: String| {
            self.broken.causes.push(Cause::invalid(field, &schema.kind.as_str().into(), &why));
        };
        let (given, cost) = safely(&rule.program, scope, CALL_LIMIT);
        if matches!(given, Err(Stop::Limit)) {
            fail(format!(
                "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to \
                 call cost exceeds limit for rule: {said}"
            ));
            self.left = None;
            return false;
        }
        self.left = self.left.and_then(|left| left.checked_sub(cost));
        if self.left.is_none() {
            fail(
                "validation failed due to running out of cost budget, no further validation rules will be run".into(),
            );
            return false;
        }
        match given {
            Ok(Cel::Bool(true)) => return true,
            Err(Stop::Error(error)) => {
                fail(if error.starts_with("no such overload") {
                    format!(
                        "'{error}': call arguments did not match a supported operator, function or macro signature \
                         for rule: {said}"
                    )
                } else {
                    format!("{error} evaluating rule: {said}")
                });
                return true;
            }
            _ => {}
        }
        let message = self.message(rule, scope).unwrap_or_else(|| match rule.rule.message.trim() {
            "" => format!("failed rule: {said}"),
            message => message.to_owned(),
        });
        let below = field_path(&rule.rule.field_path, schema).unwrap_or_default();
        let field = match (path, below.as_str()) {
            ("", "") => "<nil>".to_owned(),
            (path, "") => path.to_owned(),
            (path, below) => child(path, below),
        };
        let whole = matches!(schema.kind.as_str(), "object" | "array");
        let cause = broken(rule.rule.reason.as_deref(), field, value, whole, &message);
        if !rule.uses_old_self && pair.is_unchanged() {
            self.broken.old.push(cause);
        } else {
            self.broken.causes.push(cause);
        }
        true
    }

    /// The message that the rule computes, if it computes a usable one.
    fn message(&mut self, rule: &CompiledRule, scope: &mut Scope) -> Option<String> {
        let (given, cost) = safely(rule.message.as_ref()?, scope, CALL_LIMIT.min(self.left?));
        self.left = self.left.map(|left| left.saturating_sub(cost));
        let Ok(Cel::Text(text)) = given else { return None };
        let text = text.trim();
        let usable = !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n');
        usable.then(|| text.to_owned())
    }
}

fn has_kind(value: &Value, kind: &str) -> bool {
    match value {
        Value::Object(_) => kind == "object",
        Value::Array(_) => kind == "array",
        Value::String(_) => kind == "string",
        Value::Bool(_) => kind == "boolean",
        Value::Number(_) => matches!(kind, "integer" | "number"),
        Value::Null => true,
    }
}

/// Runs an expression; a defect in that must not take the process down for all tenants.
fn safely(program: &Part, scope: &mut Scope, limit: u64) -> (Given, u64) {
    catch_unwind(AssertUnwindSafe(|| run_tree(program, scope, limit)))
        .unwrap_or_else(|_| (Err(Stop::Error("internal error".into())), limit))
}

fn broken(reason: Option<&str>, field: String, value: &Value, whole: bool, message: &str) -> Cause {
    match reason {
        Some("FieldValueForbidden") => Cause::forbidden(field, message),
        Some("FieldValueRequired") => Cause::required(field, message),
        Some("FieldValueDuplicate") if whole => {
            Cause::new(CauseReason::FieldValueDuplicate, field, "Duplicate value")
        }
        Some("FieldValueDuplicate") => Cause::duplicate(field, value),
        // Whole objects and lists are not repeated in the message.
        _ if whole => Cause::new(CauseReason::FieldValueInvalid, field, format!("Invalid value: {message}")),
        _ => Cause::invalid(field, value, message),
    }
}
