//! What a rule does, found by reading it: how many steps it takes at most, and what it names that is not there.

use super::names::{NAMESPACES, escape, is_function};
use super::problem::Problem;
use super::types;
use crate::cel::{AT, FIELD, FIRST, LIST, PAIRS};
use crate::crd::pattern;
use crate::crd::schema::{Additional, Schema};
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr,
};
use serde_json::Value;

/// The most bytes that the JSON of an object may have, of which all sizes follow.
pub(super) const MAX_OBJECT: u64 = 3 * 1024 * 1024;
/// A size that no budget allows.
const ENDLESS: u64 = 1 << 40;

/// What is known of the value of an expression.
#[derive(Clone)]
pub(crate) enum Node<'a> {
    /// A value of this schema that takes at most so many bytes.
    #[allow(private_interfaces)] // made for rules of schemas only
    Typed { schema: &'a Schema, bytes: u64, resource: bool },
    /// The metadata of a resource, of which rules see the names.
    Metadata,
    /// One of these values.
    Data(Vec<&'a Value>),
    /// A list with so many elements.
    List { length: u64, element: Box<Node<'a>> },
    /// Anything of at most this length.
    Sized(u64),
}

impl<'a> Node<'a> {
    /// The most elements, members or characters that the value has.
    fn size(&self) -> u64 {
        match self {
            Node::Typed { schema, bytes, .. } => {
                let declared =
                    |most: Option<i64>| most.and_then(|m| u64::try_from(m).ok()).unwrap_or(u64::MAX);
                match schema.kind.as_str() {
                    "array" => {
                        let least = schema.items.as_deref().map_or(1, least_bytes);
                        declared(schema.limits.max_items).min(bytes / (least + 1))
                    }
                    "object" => {
                        let least = schema.additional_schema().map_or(1, least_bytes);
                        let size = declared(schema.limits.max_properties).min(bytes / (least + 5));
                        if schema.properties.is_empty() { size } else { schema.properties.len() as u64 }
                    }
                    "string" => declared(schema.limits.max_length).min(*bytes),
                    "integer" | "number" | "boolean" => 1,
                    _ => *bytes,
                }
            }
            Node::Data(values) => values.iter().map(|v| length(v)).max().unwrap_or(0),
            Node::List { length, .. } | Node::Sized(length) => *length,
            Node::Metadata => 2,
        }
    }

    /// The size with all that is below.
    fn total(&self) -> u64 {
        match self {
            Node::Typed { bytes, schema, .. } => {
                if matches!(schema.kind.as_str(), "array" | "object" | "") {
                    *bytes
                } else {
                    self.size()
                }
            }
            Node::Data(values) => values.iter().map(|v| weight(v)).max().unwrap_or(0),
            Node::List { length, element } => length.saturating_mul(element.total().max(1)),
            Node::Sized(size) => *size,
            Node::Metadata => 512,
        }
    }

    /// What iterating gives: elements of a list, keys of a map.
    fn element(&self) -> Node<'a> {
        let size = self.size().max(1);
        match self {
            Node::Typed { schema, bytes, .. } => match &schema.items {
                Some(items) => Node::Typed { schema: items, bytes: bytes / size, resource: items.embedded },
                None => Node::Sized(bytes / size),
            },
            Node::Data(values) => {
                if values.iter().any(|v| v.is_object()) {
                    let keys = values.iter().filter_map(|v| v.as_object()).flat_map(|m| m.keys());
                    return Node::Sized(keys.map(|k| k.len() as u64).max().unwrap_or(0));
                }
                Node::Data(values.iter().filter_map(|v| v.as_array()).flatten().collect())
            }
            Node::List { element, .. } => (**element).clone(),
            Node::Sized(total) => Node::Sized(total / size),
            Node::Metadata => Node::Sized(16),
        }
    }

    /// What `[…]` gives: elements of a list, values of a map.
    fn indexed(&self) -> Node<'a> {
        match self {
            Node::Typed { schema, bytes, .. } if schema.kind == "object" => {
                match (schema.additional_schema(), schema.properties.is_empty()) {
                    (Some(of), _) => Node::Typed { schema: of, bytes: *bytes, resource: of.embedded },
                    _ => Node::Sized(*bytes),
                }
            }
            Node::Data(values) if values.iter().any(|v| v.is_object()) => {
                Node::Data(values.iter().filter_map(|v| v.as_object()).flat_map(|m| m.values()).collect())
            }
            _ => self.element(),
        }
    }

    /// A field, by the name that rules write. `None`: there is no such field.
    pub fn field(&self, name: &str) -> Option<Node<'a>> {
        match self {
            Node::Typed { schema, bytes, resource } => {
                match name {
                    "apiVersion" | "kind" if *resource => return Some(Node::Sized(253)),
                    "metadata" if *resource => return Some(Node::Metadata),
                    _ => {}
                }
                let found = schema.properties.iter().find(|(n, _)| escape(n).as_deref() == Some(name));
                match (found, &schema.additional) {
                    (Some((_, of)), _) => {
                        Some(Node::Typed { schema: of, bytes: *bytes, resource: of.embedded })
                    }
                    (None, Some(Additional::Of(of))) => {
                        Some(Node::Typed { schema: of, bytes: *bytes, resource: of.embedded })
                    }
                    (None, Some(Additional::Any(true))) => Some(Node::Sized(*bytes)),
                    // A field that is kept unknown has no type, and cannot be spoken of.
                    _ if schema.kind == "object" => None,
                    _ => Some(Node::Sized(*bytes)),
                }
            }
            Node::Data(values) => {
                let members = values.iter().filter_map(|v| v.as_object()).flat_map(|map| {
                    map.iter()
                        .filter(|(n, _)| *n == name || escape(n).as_deref() == Some(name))
                        .map(|(_, v)| v)
                });
                Some(Node::Data(members.collect()))
            }
            Node::Metadata => matches!(name, "name" | "generateName").then_some(Node::Sized(253)),
            // Elements of what came out of functions.
            other => Some(Node::Sized(other.total())),
        }
    }

    /// The kind that the schema says, where it says one.
    pub fn kind(&self) -> Option<&'a str> {
        match self {
            Node::Typed { schema, .. } if !schema.kind.is_empty() && !schema.int_or_string => {
                Some(&schema.kind)
            }
            _ => None,
        }
    }
}

fn length(value: &Value) -> u64 {
    (match value {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::String(text) => text.len(),
        _ => 1,
    }) as u64
}

fn weight(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(weight).sum::<u64>() + 1,
        Value::Object(map) => map.iter().map(|(k, v)| k.len() as u64 + weight(v)).sum::<u64>() + 1,
        Value::String(text) => text.len() as u64 + 1,
        _ => 1,
    }
}

/// The fewest bytes that JSON of this schema takes.
pub(super) fn least_bytes(schema: &Schema) -> u64 {
    match schema.kind.as_str() {
        "object" => {
            let required =
                schema.required.iter().filter_map(|name| Some((name, schema.properties.get(name)?)));
            2 + required.map(|(name, of)| name.len() as u64 + 4 + least_bytes(of)).sum::<u64>()
        }
        "array" | "string" => 2,
        "boolean" => 4,
        _ => 1,
    }
}

/// What reading a rule found.
#[derive(Default)]
pub(crate) struct Findings {
    /// Names that are not there.
    pub problems: Vec<Problem>,
}

/// The reader of one rule.
pub(crate) struct Reader<'a, 'f> {
    variables: Vec<(String, Node<'a>)>,
    /// Functions that are known beside those of rules.
    functions: &'static [&'static str],
    findings: &'f mut Findings,
}

impl<'a, 'f> Reader<'a, 'f> {
    /// A reader for which `self`, and `oldSelf` where `old` is true, are `this`.
    pub fn new(this: Node<'a>, old: bool, findings: &'f mut Findings) -> Self {
        let mut variables = vec![("self".to_owned(), this.clone())];
        if old {
            variables.push(("oldSelf".to_owned(), this));
        }
        Reader { variables, functions: &[], findings }
    }

    /// A reader of these variables, for which these functions are known too.
    pub fn with(
        variables: Vec<(String, Node<'a>)>,
        functions: &'static [&'static str],
        findings: &'f mut Findings,
    ) -> Self {
        Reader { variables, functions, findings }
    }

    fn problem(&mut self, problem: Problem) {
        if !self.findings.problems.contains(&problem) {
            self.findings.problems.push(problem);
        }
    }

    /// The most steps that the expression takes, and what it gives.
    pub fn read(&mut self, expression: &IdedExpr) -> (u64, Node<'a>) {
        match &expression.expr {
            Expr::Unspecified => (0, Node::Sized(0)),
            Expr::Literal(literal) => (0, Node::Sized(literal_size(literal))),
            // What a loop gathers is not counted, like the operators that combine its steps.
            Expr::Ident(name) => (u64::from(!name.starts_with('@')), self.variable(name)),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                let (mut cost, mut widest) = (1, Node::Sized(0));
                for element in &list.elements {
                    let (steps, node) = self.read(element);
                    cost = u64::saturating_add(cost, steps);
                    if node.total() >= widest.total() {
                        widest = node;
                    }
                }
                (cost, Node::List { length: list.elements.len() as u64, element: Box::new(widest) })
            }
            Expr::Map(map) => self.entries(map.entries.iter().map(|e| &e.expr)),
            Expr::Struct(object) => self.entries(object.entries.iter().map(|e| &e.expr)),
        }
    }

    fn entries<'e>(&mut self, entries: impl Iterator<Item = &'e EntryExpr>) -> (u64, Node<'a>) {
        let (mut cost, mut size) = (1u64, 0u64);
        for entry in entries {
            let parts = match entry {
                EntryExpr::StructField(field) => vec![&field.value],
                EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
            };
            for part in parts {
                let (steps, node) = self.read(part);
                cost = cost.saturating_add(steps);
                size = size.saturating_add(node.total());
            }
        }
        (cost, Node::Sized(size))
    }

    fn variable(&mut self, name: &str) -> Node<'a> {
        if let Some((_, node)) = self.variables.iter().rev().find(|(n, _)| n == name) {
            return node.clone();
        }
        if types::NAMES.contains(&name) {
            return Node::Sized(1);
        }
        self.problem(Problem::Name(name.to_owned()));
        Node::Sized(0)
    }

    fn select(&mut self, select: &SelectExpr) -> (u64, Node<'a>) {
        let (cost, operand) = self.read(&select.operand);
        match operand.field(&select.field) {
            Some(node) if !select.test => (cost.saturating_add(1), node),
            Some(_) => (cost.saturating_add(1), Node::Sized(1)),
            None => {
                self.problem(Problem::Field(select.field.clone()));
                (cost.saturating_add(1), Node::Sized(0))
            }
        }
    }

    fn call(&mut self, call: &CallExpr) -> (u64, Node<'a>) {
        // A namespace is not a variable, unless the rule made one of that name.
        let namespace = call.target.as_deref().and_then(|t| match &t.expr {
            Expr::Ident(name)
                if NAMESPACES.contains(&name.as_str()) && !self.variables.iter().any(|(n, _)| n == name) =>
            {
                Some(name.as_str())
            }
            _ => None,
        });
        let name = match namespace {
            Some(namespace) => format!("{namespace}.{}", call.func_name),
            None => call.func_name.clone(),
        };
        if !is_function(&name) && !self.functions.contains(&name.as_str()) {
            self.problem(Problem::Function(name.clone()));
        }
        let mut cost = 1u64;
        let mut nodes = Vec::with_capacity(call.args.len() + 1);
        let target = call.target.as_deref().filter(|_| namespace.is_none());
        for part in target.into_iter().chain(&call.args) {
            let (steps, node) = self.read(part);
            cost = cost.saturating_add(steps);
            nodes.push(node);
        }
        let sizes: Vec<u64> = nodes.iter().map(Node::total).collect();
        let all: u64 = sizes.iter().fold(0, |sum, size| sum.saturating_add(*size));
        let traversal = all / 10;
        match name.as_str() {
            "_&&_" | "_||_" | "@not_strictly_false" => (cost - 1, Node::Sized(1)),
            "!_" if matches!(&call.args.first().map(|a| &a.expr), Some(Expr::Ident(n)) if n.starts_with('@')) => {
                (cost - 1, Node::Sized(1))
            }
            "!_" | "_<_" | "_<=_" | "_>_" | "_>=_" | "-_" => (cost, Node::Sized(1)),
            "_?_:_" => {
                let widest = nodes.into_iter().skip(1).max_by_key(Node::total);
                (cost, widest.unwrap_or(Node::Sized(0)))
            }
            "_[_]" | "_[?_]" | AT | FIRST => (cost, nodes.first().map_or(Node::Sized(0), Node::indexed)),
            "_?._" | FIELD => {
                let field = call.args.get(1).and_then(|a| match &a.expr {
                    Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
                    _ => None,
                });
                let found = nodes.first().zip(field).and_then(|(node, field)| node.field(&field));
                (cost, found.unwrap_or(Node::Sized(all)))
            }
            LIST | PAIRS => {
                let node = nodes.pop().unwrap_or(Node::Sized(0));
                (
                    cost,
                    if name == LIST {
                        listed(1, node)
                    } else {
                        listed(node.size(), listed(2, node.indexed()))
                    },
                )
            }
            // These give their argument or its content.
            "dyn"
            | "value"
            | "orValue"
            | "or"
            | "optional.of"
            | "optional.ofNonZeroValue"
            | "reverse"
            | "sort"
            | "distinct"
            | "slice"
            | "first"
            | "last" => {
                let node = nodes.into_iter().max_by_key(Node::total).unwrap_or(Node::Sized(0));
                // Sorting and telling apart compare elements with each other.
                let pairs = if matches!(name.as_str(), "sort" | "distinct") {
                    node.size().saturating_mul(node.size()) / 8
                } else {
                    0
                };
                let node = match (name.as_str(), &node) {
                    ("first" | "last", _) => node.element(),
                    _ => node,
                };
                (cost.saturating_add(traversal).saturating_add(pairs), node)
            }
            // Asking what a user may do counts as Kubernetes counts it.
            "check" => (cost.saturating_add(350_000), Node::Sized(1)),
            "sets.contains" | "sets.equivalent" | "sets.intersects" => {
                let pairs = nodes.iter().map(Node::size).fold(1u64, u64::saturating_mul);
                (cost.saturating_add(pairs), Node::Sized(1))
            }
            "replace" => {
                let grown = sizes.first().copied().unwrap_or(0).saturating_add(1);
                let with = sizes.get(2).copied().unwrap_or(0).saturating_add(1);
                let size = grown.saturating_mul(with);
                (cost.saturating_add(size / 10), Node::Sized(size))
            }
            "join" => {
                let items = nodes.first().map_or(0, Node::size);
                let between = sizes.get(1).copied().unwrap_or(0);
                let size = all.saturating_add(items.saturating_mul(between));
                (cost.saturating_add(size / 10), Node::Sized(size))
            }
            "format" => {
                let size = all.saturating_mul(2).saturating_add(64);
                (cost.saturating_add(size / 10), Node::Sized(size))
            }
            "matches" | "find" | "findAll" => {
                let pattern = sizes.get(1).copied().unwrap_or(0) / 4 + 1;
                let text = sizes.first().copied().unwrap_or(0) / 10 + 1;
                let compiled = self.pattern(&name, call.args.last().map(|a| &a.expr));
                (cost.saturating_add(text.saturating_mul(pattern)).saturating_add(compiled), Node::Sized(all))
            }
            _ => (cost.saturating_add(traversal), Node::Sized(all.saturating_add(16))),
        }
    }

    /// What compiling a regular expression costs for each call. Those that `matches` is given in the rule are
    /// compiled once.
    fn pattern(&mut self, function: &str, argument: Option<&Expr>) -> u64 {
        match argument {
            Some(Expr::Literal(LiteralValue::String(text))) => {
                if let Some(why) = pattern::problem(text.inner()) {
                    self.problem(Problem::Argument(function.to_owned(), why.to_string()));
                }
                if function == "matches" { 10 } else { 5_000 }
            }
            _ => 20_000,
        }
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> (u64, Node<'a>) {
        let (range_cost, range) = self.read(&loops.iter_range);
        let (init_cost, init) = self.read(&loops.accu_init);
        let times = range.size();
        let depth = self.variables.len();
        let builds_list = matches!(&loops.accu_init.expr, Expr::List(_));
        self.variables.push((loops.iter_var.clone(), range.element()));
        if let Some(second) = &loops.iter_var2 {
            self.variables.push((second.clone(), range.indexed()));
        }
        // While a list grows it is counted as empty; what copying it costs is added below.
        self.variables.push((loops.accu_var.clone(), if builds_list { Node::Sized(0) } else { init }));
        let (condition_cost, _) = self.read(&loops.loop_cond);
        let (step_cost, _) = self.read(&loops.loop_step);
        let element = appended(&loops.loop_step).map(|e| self.read(e).1);
        self.variables.truncate(depth);
        let steps = condition_cost.saturating_add(step_cost).saturating_add(1);
        let mut cost = range_cost.saturating_add(init_cost).saturating_add(times.saturating_mul(steps));
        if builds_list {
            cost = cost.saturating_add(times.saturating_mul(times) / 64);
        }
        let node = match (builds_list, element) {
            (true, element) => {
                Node::List { length: times, element: Box::new(element.unwrap_or_else(|| range.element())) }
            }
            (false, _) => Node::Sized(1),
        };
        (cost.min(ENDLESS), node)
    }
}

fn listed(length: u64, element: Node<'_>) -> Node<'_> {
    Node::List { length, element: Box::new(element) }
}

/// The expression that a step of `map` or `filter` appends to the list.
fn appended(step: &IdedExpr) -> Option<&IdedExpr> {
    match &step.expr {
        Expr::Call(call) if call.func_name == "_?_:_" => call.args.get(1).and_then(appended),
        Expr::Call(call) if call.func_name == "_+_" => match &call.args.get(1)?.expr {
            Expr::List(list) => list.elements.first(),
            _ => None,
        },
        _ => None,
    }
}

fn literal_size(literal: &LiteralValue) -> u64 {
    match literal {
        LiteralValue::String(text) => text.inner().len() as u64,
        LiteralValue::Bytes(bytes) => bytes.inner().len() as u64,
        _ => 1,
    }
}
