//! Compiling the rules of a schema, and refusing those that cannot be or should not be run.

use super::typed::{self, Part as Expression};
use crate::crd::internal::Part;
use crate::crd::schema::{Rule, Schema};
use api_types::{Cause, CauseReason};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most bytes of a rule's text.
pub(crate) const MAX_TEXT: usize = 16 * 1024;
/// How deep expressions may be nested, which bounds the stack of an evaluation.
pub(crate) const MAX_DEPTH: usize = 200;
/// How deep brackets may be nested.
pub(crate) const MAX_NESTING: usize = 64;
/// The stack for reading rules, whose parser takes some for each operator: enough for the longest text.
pub(crate) const PARSER_STACK: usize = 256 * 1024 * 1024;

/// The rules of a schema and of all below it, where there are any.
#[derive(Debug, Default)]
pub(in crate::crd) struct RuleTree {
    pub rules: Vec<CompiledRule>,
    pub properties: BTreeMap<String, RuleTree>,
    pub additional: Option<Box<RuleTree>>,
    pub items: Option<Box<RuleTree>>,
    /// How deep the deepest expression is nested, by which the stack of an evaluation is chosen.
    pub depth: usize,
}

/// A rule that can be run.
#[derive(Debug)]
pub(in crate::crd) struct CompiledRule {
    pub rule: Rule,
    pub program: Expression,
    pub message: Option<Expression>,
    pub uses_old_self: bool,
    pub depth: usize,
}

impl RuleTree {
    /// True when there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
            && self.properties.is_empty()
            && self.additional.is_none()
            && self.items.is_none()
    }
}

const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// The defects of a rule's texts. `path` is that of the rule.
pub(in crate::crd) fn check_text(rule: &Rule, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let lines = |text: &str| text.contains(['\n', '\r']);
    let (text, message) = (rule.rule.trim(), rule.message.trim());
    if text.is_empty() {
        causes.push(Cause::required(format!("{path}.rule"), "rule is not specified"));
    } else if !rule.message.is_empty() && message.is_empty() {
        let value = Value::from(rule.message.as_str());
        causes.push(Cause::invalid(format!("{path}.message"), &value, "must be non-empty if specified"));
    } else if lines(message) {
        let value = Value::from(rule.message.as_str());
        causes.push(Cause::invalid(format!("{path}.message"), &value, "must not contain line breaks"));
    } else if lines(text) && message.is_empty() {
        let why = "message must be specified if rule contains line breaks";
        causes.push(Cause::required(format!("{path}.message"), why));
    }
    if !rule.message_expression.is_empty() && rule.message_expression.trim().is_empty() {
        let why = "messageExpression must be non-empty if specified";
        causes.push(Cause::required(format!("{path}.messageExpression"), why));
    }
    if let Some(reason) = &rule.reason
        && !REASONS.contains(&reason.as_str())
    {
        causes.push(Cause::not_supported(format!("{path}.reason"), &reason.as_str().into(), &REASONS));
    }
    if !rule.field_path.is_empty() {
        let value = Value::from(rule.field_path.as_str());
        let field = format!("{path}.fieldPath");
        if rule.field_path.trim().is_empty() {
            causes.push(Cause::invalid(&field, &value, "must be non-empty if specified"));
        }
        if lines(&rule.field_path) {
            causes.push(Cause::invalid(&field, &value, "must not contain line breaks"));
        }
        if field_path(&rule.field_path, schema).is_none() {
            causes.push(Cause::invalid(&field, &value, "must be a valid path"));
        }
    }
}

/// The path of a `fieldPath` (`.spec['a.b'].c`) as errors write it. `None`: it leads to no field of the schema.
pub(super) fn field_path(path: &str, schema: &Schema) -> Option<String> {
    let mut schema = schema;
    let mut out = String::new();
    let mut rest = path;
    while !rest.is_empty() {
        let name: String;
        if let Some(quoted) = rest.strip_prefix("['") {
            let end = quoted.find("']")?;
            name = quoted[..end].replace("\\'", "'").replace("\\\\", "\\");
            rest = &quoted[end + 2..];
        } else {
            let plain = rest.strip_prefix('.')?;
            let end = plain.find(['.', '[']).unwrap_or(plain.len());
            name = plain[..end].to_owned();
            rest = &plain[end..];
        }
        if !schema.properties.is_empty() {
            schema = schema.properties.get(&name)?;
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&name);
        } else {
            schema = schema.additional_schema()?;
            out.push_str(&format!("[{name}]"));
        }
    }
    Some(out)
}

/// Compiles all rules of a schema at `path`.
pub(in crate::crd) fn compile(schema: &Schema, path: &str) -> Result<RuleTree, Vec<Cause>> {
    if !schema.any(|s| !s.rules.is_empty()) {
        return Ok(RuleTree::default());
    }
    // On a thread of its own, since a long rule would overflow the stack of the caller's.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("rules".into())
            .stack_size(PARSER_STACK)
            .spawn_scoped(scope, || compile_here(schema, path));
        let failed = |why: String| {
            let message = format!("Internal error: the rules could not be compiled: {why}");
            vec![Cause::new(CauseReason::InternalError, path, message)]
        };
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(compiled)) => compiled,
            Ok(Err(_)) => Err(failed("the compiler failed".into())),
            Err(error) => Err(failed(error.to_string())),
        }
    })
}

fn compile_here(schema: &Schema, path: &str) -> Result<RuleTree, Vec<Cause>> {
    let mut compiler = Compiler::default();
    let tree = compiler.schema(schema, path);
    if compiler.causes.is_empty() { Ok(tree) } else { Err(compiler.causes) }
}

#[derive(Default)]
struct Compiler {
    causes: Vec<Cause>,
}

impl Compiler {
    fn schema(&mut self, schema: &Schema, path: &str) -> RuleTree {
        let mut tree = RuleTree::default();
        for (at, rule) in schema.rules.iter().enumerate() {
            let path = format!("{path}.x-kubernetes-validations[{at}]");
            tree.rules.extend(self.rule(rule, &path));
        }
        tree.depth = tree.rules.iter().map(|r| r.depth).max().unwrap_or(0);
        for (name, property) in &schema.properties {
            let below = self.schema(property, &format!("{path}.properties[{name}]"));
            if !below.is_empty() {
                tree.depth = tree.depth.max(below.depth);
                tree.properties.insert(name.clone(), below);
            }
        }
        if let Some(values) = schema.additional_schema() {
            let below = self.schema(values, &format!("{path}.additionalProperties"));
            tree.depth = tree.depth.max(below.depth);
            tree.additional = (!below.is_empty()).then(|| Box::new(below));
        }
        if let Some(items) = &schema.items {
            let below = self.schema(items, &format!("{path}.items"));
            tree.depth = tree.depth.max(below.depth);
            tree.items = (!below.is_empty()).then(|| Box::new(below));
        }
        tree
    }

    fn rule(&mut self, rule: &Rule, path: &str) -> Option<CompiledRule> {
        let invalid = |field: String, why: &str| {
            Cause::new(
                CauseReason::FieldValueInvalid,
                field,
                format!("Invalid value: {}: {why}", go_rule(rule)),
            )
        };
        let program = match read(&rule.rule) {
            Ok(program) => program,
            Err(why) => {
                self.causes.push(invalid(format!("{path}.rule"), &why));
                return None;
            }
        };
        let mut message = None;
        if !rule.message_expression.is_empty() {
            match read(&rule.message_expression) {
                Ok(program) => message = Some(program),
                Err(why) => {
                    let why = format!("messageExpression {why}");
                    self.causes.push(invalid(format!("{path}.messageExpression"), &why));
                }
            }
        }
        let uses_old_self = program.names("oldSelf");
        let depth = program.depth().max(message.as_ref().map_or(0, Expression::depth));
        Some(CompiledRule { rule: rule.clone(), program, message, uses_old_self, depth })
    }
}

fn read(text: &str) -> Result<Expression, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("compilation failed: the expression is longer than {MAX_TEXT} bytes"));
    }
    // The parser takes quadratic time for nested brackets.
    if nesting(text) > MAX_NESTING {
        return Err(format!("compilation failed: brackets are nested deeper than {MAX_NESTING} levels"));
    }
    let tree = typed::parsed(text).map_err(|why| format!("compilation failed: {why}"))?;
    if tree.root.depth() > MAX_DEPTH {
        return Err(format!("compilation failed: the expression is nested deeper than {MAX_DEPTH} levels"));
    }
    Ok(tree.root)
}

/// How deep brackets are nested in an expression, leaving out its strings.
pub(crate) fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', Some(_)) => {
                chars.next();
            }
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(c),
            ('(' | '[' | '{', None) => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (')' | ']' | '}', None) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A rule as Kubernetes' errors show it.
pub(super) fn go_rule(rule: &Rule) -> String {
    Part::Rule.text(
        &json!({"rule": rule.rule, "message": rule.message, "messageExpression": rule.message_expression,
        "reason": rule.reason, "fieldPath": rule.field_path, "optionalOldSelf": rule.optional_old_self}),
    )
}
