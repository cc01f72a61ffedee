//! What kind of value an expression gives, as far as reading it tells: so that a policy which can never work is refused
//! when it is written.
//!
//! Whatever is not known here may be anything: nothing is refused that Kubernetes takes.

use super::rewrite::{PRESENT, REQUEST_RESOURCE};
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr};
use std::fmt;

/// A kind of values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Known only when the expression runs.
    Dyn,
    /// A type without parts, by its name.
    Plain(&'static str),
    /// A structure with the fields that [`FIELDS`] has.
    Structure(&'static str),
    List(Box<Kind>),
    Map(Box<Kind>),
}

const BOOL: Kind = Kind::Plain("bool");
const INT: Kind = Kind::Plain("int");
const STRING: Kind = Kind::Plain("string");
const REQUEST: &str = "kubernetes.AdmissionRequest";
const NAMESPACE: &str = "kubernetes.Namespace";
const METADATA: &str = "kubernetes.NamespaceMetadata";
const USER: &str = "kubernetes.UserInfo";
const KIND: &str = "kubernetes.GroupVersionKind";
const RESOURCE: &str = "kubernetes.GroupVersionResource";
const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
/// The type of `authorizer.requestResource`.
pub(super) const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";

/// The fields of structures.
const FIELDS: &[(&str, &str, &str)] = &[
    (REQUEST, "kind", KIND),
    (REQUEST, "resource", RESOURCE),
    (REQUEST, "subResource", "string"),
    (REQUEST, "requestKind", KIND),
    (REQUEST, "requestResource", RESOURCE),
    (REQUEST, "requestSubResource", "string"),
    (REQUEST, "name", "string"),
    (REQUEST, "namespace", "string"),
    (REQUEST, "operation", "string"),
    (REQUEST, "userInfo", USER),
    (REQUEST, "dryRun", "bool"),
    (REQUEST, "options", "dyn"),
    (USER, "username", "string"),
    (USER, "uid", "string"),
    (USER, "groups", "list(string)"),
    (USER, "extra", "map(string, list(string))"),
    (KIND, "group", "string"),
    (KIND, "version", "string"),
    (KIND, "kind", "string"),
    (RESOURCE, "group", "string"),
    (RESOURCE, "version", "string"),
    (RESOURCE, "resource", "string"),
    (NAMESPACE, "metadata", METADATA),
    (NAMESPACE, "spec", "kubernetes.NamespaceSpec"),
    (NAMESPACE, "status", "kubernetes.NamespaceStatus"),
    ("kubernetes.NamespaceSpec", "finalizers", "list(string)"),
    ("kubernetes.NamespaceStatus", "phase", "string"),
    (METADATA, "name", "string"),
    (METADATA, "generateName", "string"),
    (METADATA, "namespace", "string"),
    (METADATA, "labels", "map(string, string)"),
    (METADATA, "annotations", "map(string, string)"),
    (METADATA, "UID", "string"),
    (METADATA, "creationTimestamp", "timestamp"),
    (METADATA, "deletionGracePeriodSeconds", "int"),
    (METADATA, "deletionTimestamp", "timestamp"),
    (METADATA, "generation", "int"),
    (METADATA, "resourceVersion", "string"),
    (METADATA, "finalizers", "list(string)"),
];

/// Functions and what they give, whatever they are given.
const GIVES: &[(&str, &str)] = &[
    ("@in", "bool"),
    ("_!=_", "bool"),
    ("_<=_", "bool"),
    ("_<_", "bool"),
    ("_==_", "bool"),
    ("_>=_", "bool"),
    ("_>_", "bool"),
    ("allowed", "bool"),
    ("charAt", "string"),
    ("contains", "bool"),
    ("double", "double"),
    ("duration", "google.protobuf.Duration"),
    ("dyn", "dyn"),
    ("endsWith", "bool"),
    ("errored", "bool"),
    ("find", "string"),
    ("findAll", "list(string)"),
    ("hasValue", "bool"),
    ("int", "int"),
    ("isSorted", "bool"),
    ("join", "string"),
    ("lowerAscii", "string"),
    ("matches", "bool"),
    ("quantity", "kubernetes.Quantity"),
    ("reason", "string"),
    ("replace", "string"),
    ("size", "int"),
    ("startsWith", "bool"),
    ("string", "string"),
    ("substring", "string"),
    ("timestamp", "google.protobuf.Timestamp"),
    ("trim", "string"),
    ("uint", "uint"),
    ("upperAscii", "string"),
];

/// The structure of a policy's own variables, whatever they are.
pub(super) const OWN_VARIABLES: &str = "kubernetes.variables";

/// The structure of a name.
pub(crate) fn structure(name: &str) -> Option<&'static str> {
    let all = FIELDS.iter().map(|(of, _, _)| *of).chain([OWN_VARIABLES]);
    all.into_iter().find(|known| *known == name)
}

/// True for the name of a structure.
pub(crate) fn is_structure(name: &str) -> bool {
    structure(name).is_some()
}

/// The type of a field of a structure; `None`: there is no such field.
pub(crate) fn structure_field(name: &str, field: &str) -> Option<&'static str> {
    FIELDS.iter().find(|(of, own, _)| *of == name && *own == field).map(|(.., kind)| *kind)
}

/// The type of a variable of a request; `None`: it is another variable.
pub(super) fn variable_type(name: &str) -> Option<&'static str> {
    Some(match name {
        "request" => REQUEST,
        "namespaceObject" => NAMESPACE,
        "authorizer" => AUTHORIZER,
        "object" | "oldObject" | "params" => "dyn",
        _ => return None,
    })
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Dyn => f.write_str("dyn"),
            Kind::Plain(name) | Kind::Structure(name) => f.write_str(name),
            Kind::List(of) => write!(f, "list({of})"),
            Kind::Map(of) => write!(f, "map(string, {of})"),
        }
    }
}

impl Kind {
    fn named(name: &'static str) -> Kind {
        let inner = |before: &str| name.strip_prefix(before)?.strip_suffix(')');
        match (inner("list("), inner("map(string, ")) {
            (Some(of), _) => Kind::List(Box::new(Kind::named(of))),
            (_, Some(of)) => Kind::Map(Box::new(Kind::named(of))),
            _ if name == "dyn" => Kind::Dyn,
            _ if is_structure(name) => Kind::Structure(name),
            _ => Kind::Plain(name),
        }
    }

    /// True for a plain value of which an operator takes no other kind.
    fn is_strict(&self) -> bool {
        matches!(self, Kind::Plain("bool" | "int" | "string"))
    }
}

/// The reader of one expression.
#[derive(Default)]
pub(super) struct Kinds {
    /// What loops have set.
    variables: Vec<(String, Option<Kind>)>,
    /// What can never work.
    pub problems: Vec<String>,
}

impl Kinds {
    /// The kind of what an expression gives; `None`: it may be any.
    pub fn of(&mut self, expression: &IdedExpr) -> Option<Kind> {
        match &expression.expr {
            Expr::Literal(literal) => Some(Kind::Plain(match literal {
                LiteralValue::Boolean(_) => "bool",
                LiteralValue::Int(_) => "int",
                LiteralValue::UInt(_) => "uint",
                LiteralValue::Double(_) => "double",
                LiteralValue::String(_) => "string",
                LiteralValue::Bytes(_) => "bytes",
                LiteralValue::Null => "null_type",
            })),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let kinds: Vec<_> = list.elements.iter().map(|element| self.of(element)).collect();
                let first = kinds.first()?.clone()?;
                kinds.iter().all(|kind| kind.as_ref() == Some(&first)).then(|| Kind::List(Box::new(first)))
            }
            Expr::Comprehension(loops) => self.comprehension(loops),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => None,
        }
    }

    fn variable(&self, name: &str) -> Option<Kind> {
        if let Some((_, kind)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            return kind.clone();
        }
        match name.strip_suffix(PRESENT).unwrap_or(name) {
            "object" | "oldObject" | "params" => Some(Kind::Dyn),
            "request" => Some(Kind::Structure(REQUEST)),
            "namespaceObject" => Some(Kind::Structure(NAMESPACE)),
            "authorizer" => Some(Kind::Plain(AUTHORIZER)),
            REQUEST_RESOURCE => Some(Kind::Plain(RESOURCE_CHECK)),
            _ => None,
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Option<Kind> {
        let operand = self.of(&select.operand);
        let field = match operand? {
            Kind::Dyn => Some(Kind::Dyn),
            Kind::Map(of) => Some(*of),
            Kind::Structure(name) => {
                let found = structure_field(name, &select.field);
                if found.is_none() {
                    self.problems.push(format!("undefined field '{}'", select.field));
                }
                Some(Kind::named(found?))
            }
            Kind::Plain(_) | Kind::List(_) => None,
        };
        if select.test { Some(BOOL) } else { field }
    }

    fn call(&mut self, call: &CallExpr) -> Option<Kind> {
        let target = call.target.as_deref().map(|target| self.of(target));
        let given: Vec<Option<Kind>> = call.args.iter().map(|argument| self.of(argument)).collect();
        let name = call.func_name.as_str();
        match (name, given.as_slice()) {
            ("_&&_" | "_||_", [a, b]) => {
                for kind in [a, b].into_iter().flatten().filter(|kind| kind.is_strict() && **kind != BOOL) {
                    self.problems.push(format!("expected type 'bool' but found '{kind}'"));
                }
                Some(BOOL)
            }
            ("!_", [a]) => {
                if let Some(kind) = a.as_ref().filter(|kind| kind.is_strict() && **kind != BOOL) {
                    self.no_overload(name, &[kind]);
                }
                Some(BOOL)
            }
            ("_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_", [Some(a), Some(b)]) => {
                if a.is_strict() && b.is_strict() && a != b {
                    self.no_overload(name, &[a, b]);
                }
                Some(BOOL)
            }
            ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [Some(a), Some(b)]) => {
                if a.is_strict() && b.is_strict() && a != b {
                    self.no_overload(name, &[a, b]);
                }
                match (a, b) {
                    (Kind::Dyn, other) | (other, Kind::Dyn) => Some(other.clone()),
                    _ => (a == b && a.is_strict()).then(|| a.clone()),
                }
            }
            ("_?_:_", [_, Some(a), Some(b)]) => {
                if a.is_strict() && b.is_strict() && a != b {
                    self.no_overload(name, &[&given[0].clone().unwrap_or(Kind::Dyn), a, b]);
                }
                match (a, b) {
                    (a, b) if a == b => Some(a.clone()),
                    (Kind::Dyn, _) | (_, Kind::Dyn) => Some(Kind::Dyn),
                    _ => None,
                }
            }
            ("_[_]", [Some(of), _]) => match of {
                Kind::Dyn => Some(Kind::Dyn),
                Kind::List(of) | Kind::Map(of) => Some((**of).clone()),
                _ => None,
            },
            // Text that is formatted, and not one of the formats that have names.
            ("format", [_]) if target == Some(Some(STRING)) => Some(STRING),
            // Of a list that is known only when it runs, so is what it is made of.
            ("sum" | "min" | "max", []) if target == Some(Some(Kind::Dyn)) => Some(Kind::Dyn),
            _ => GIVES.iter().find(|(known, _)| *known == name).map(|(_, kind)| Kind::named(kind)),
        }
    }

    fn no_overload(&mut self, name: &str, kinds: &[&Kind]) {
        let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        self.problems
            .push(format!("found no matching overload for '{name}' applied to '({})'", kinds.join(", ")));
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Option<Kind> {
        let range = self.of(&loops.iter_range);
        let element = match range {
            Some(Kind::Dyn) => Some(Kind::Dyn),
            Some(Kind::List(of)) => Some(*of),
            Some(Kind::Map(_)) => Some(STRING),
            _ => None,
        };
        let gathered = self.of(&loops.accu_init).filter(|kind| *kind == BOOL || *kind == INT);
        let before = self.variables.len();
        self.variables.push((loops.iter_var.clone(), element));
        self.variables.push((loops.accu_var.clone(), gathered));
        self.of(&loops.loop_step);
        let result = self.of(&loops.result);
        self.variables.truncate(before);
        result
    }
}
