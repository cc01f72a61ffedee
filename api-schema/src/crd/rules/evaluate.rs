//! Running the rules for an object.

use super::analyze::{Findings, Node, Reader};
use super::compile::{CompiledRule, RuleTree, field_path};
use super::convert::Converter;
use super::program::Program;
use super::types;
use crate::crd::lists::child;
use crate::crd::pattern;
use crate::crd::schema::Schema;
use crate::crd::validate::correlated;
use api_types::{Cause, CauseReason};
use kube_cel::KubeCelExt;
use kube_cel::cel::extractors::This;
use kube_cel::cel::{Context, ExecutionError, Value as Cel};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

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

/// The library with all that expressions can call.
pub(crate) struct Engine {
    pub context: Context<'static>,
    converter: Converter,
}

impl Engine {
    /// A value that no schema describes, as CEL sees it.
    pub fn value(&self, value: &Value) -> Cel {
        self.converter.value(value, None, &self.context)
    }
}

thread_local! {
    // What all evaluations share, and what cannot be shared between threads.
    pub(crate) static ENGINE: Engine = {
        let mut context = Context::default().with_all();
        context.add_function("matches", matches);
        context.add_function("dyn", |value: Cel| -> Result<Cel, ExecutionError> { Ok(value) });
        crate::cel::add_functions(&mut context);
        types::add(&mut context);
        Engine { context, converter: Converter::new() }
    };
}

/// `matches` with patterns as Go has them.
fn matches(This(text): This<Arc<String>>, pattern: Arc<String>) -> Result<bool, ExecutionError> {
    pattern::matches(&pattern, &text).map_err(|why| ExecutionError::function_error("matches", &*why))
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
    ENGINE.with(|engine| {
        let mut run = Run { engine, left: Some(OBJECT_LIMIT), broken: Broken::default() };
        run.value(tree, schema, Pair { value: object, old, near: None }, "");
        run.broken
    })
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

struct Run<'e> {
    engine: &'e Engine,
    /// The steps that are left; `None` once they ran out.
    left: Option<u64>,
    broken: Broken,
}

impl Run<'_> {
    fn value(&mut self, tree: &RuleTree, schema: &Schema, pair: Pair<'_>, path: &str) {
        let Pair { value, old, .. } = pair;
        if value.is_null() || self.left.is_none() {
            return;
        }
        if !tree.rules.is_empty() {
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
        let Engine { context, converter } = self.engine;
        let mut scope = context.new_inner_scope();
        scope.add_variable_from_value("self", converter.value(value, Some(schema), context));
        let old_value = old.map(|old| converter.value(old, Some(schema), context));
        let mut with_old = scope.new_inner_scope();
        if let Some(old) = &old_value {
            with_old.add_variable_from_value("oldSelf", old.clone());
        }
        let mut with_optional = scope.new_inner_scope();
        if tree.rules.iter().any(|r| r.rule.optional_old_self == Some(true)) {
            with_optional.add_variable_from_value("oldSelf", converter.optional(old_value, context));
        }
        for rule in &tree.rules {
            let optional = rule.rule.optional_old_self == Some(true);
            if rule.uses_old_self && old.is_none() && !optional {
                continue;
            }
            let scope = if optional { &with_optional } else { &with_old };
            if !self.rule(rule, schema, pair, path, scope) {
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
        scope: &Context<'_>,
    ) -> bool {
        let Pair { value, old, .. } = pair;
        let said = match rule.rule.message.trim() {
            "" => rule.rule.rule.trim(),
            message => message,
        };
        let field = if path.is_empty() { "<nil>" } else { path };
        let mut fail = |why: String| {
            self.broken.causes.push(Cause::invalid(field, &schema.kind.as_str().into(), &why));
        };
        let steps = steps(&rule.program, value, old);
        if steps > CALL_LIMIT {
            fail(format!(
                "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to \
                 call cost exceeds limit for rule: {said}"
            ));
            self.left = None;
            return false;
        }
        self.left = self.left.and_then(|left| left.checked_sub(steps));
        if self.left.is_none() {
            fail(
                "validation failed due to running out of cost budget, no further validation rules will be run".into(),
            );
            return false;
        }
        match run(&rule.program, scope) {
            Ok(Cel::Bool(true)) => return true,
            Ok(_) => {}
            Err(error) => {
                let error = words(&error);
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
        }
        let message =
            self.message(rule, value, old, scope).unwrap_or_else(|| match rule.rule.message.trim() {
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
    fn message(
        &mut self,
        rule: &CompiledRule,
        value: &Value,
        old: Option<&Value>,
        scope: &Context<'_>,
    ) -> Option<String> {
        let program = rule.message.as_ref()?;
        let steps = steps(program, value, old);
        if steps > CALL_LIMIT || self.left.is_none_or(|left| left < steps) {
            return None;
        }
        self.left = self.left.map(|left| left - steps);
        let Ok(Cel::String(text)) = run(program, scope) else { return None };
        let text = text.trim();
        let usable = !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n');
        usable.then(|| text.to_owned())
    }
}

/// The most steps that a program takes with this value.
fn steps(program: &Program, value: &Value, old: Option<&Value>) -> u64 {
    let mut findings = Findings::default();
    let mut values = vec![value];
    values.extend(old);
    Reader::new(Node::Data(values), true, &mut findings).read(program.expression()).0
}

fn run(program: &Program, scope: &Context<'_>) -> Result<Cel, ExecutionError> {
    // A defect of the library must not take the process down for all tenants.
    catch_unwind(AssertUnwindSafe(|| program.execute(scope)))
        .unwrap_or_else(|_| Err(ExecutionError::function_error("rule", "internal error")))
}

/// An error in the words of Kubernetes' CEL library.
pub(crate) fn words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::NoSuchOverload
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::NotSupportedAsMethod { .. }
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnsupportedUnaryOperator(..)
        | ExecutionError::UnsupportedBinaryOperator(..) => "no such overload".into(),
        ExecutionError::DivisionByZero(_) => "division by zero".into(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".into(),
        ExecutionError::Overflow(..) => "integer overflow".into(),
        ExecutionError::IndexOutOfBounds(_) => "index out of bounds".into(),
        ExecutionError::FunctionError { message, .. } => message.clone(),
        other => other.to_string(),
    }
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
