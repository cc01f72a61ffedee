//! The variable `authorizer`: what a user may do, asked by an expression (KEP-3488).

use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::Opaque;
use kube_cel::cel::{Context, ExecutionError, Value as Cel};
use std::fmt;
use std::sync::Arc;

/// Says what the user of a request may do.
pub trait Authorizer: Send + Sync {
    /// True when it is allowed, with the reason.
    fn decide(&self, question: &Question) -> (bool, String);
}

/// What is asked. All texts are empty that the expression did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The verb.
    pub verb: String,
    /// A path that is no resource; the rest is about a resource when there is none.
    pub path: Option<String>,
    /// The group of the resource.
    pub group: String,
    /// The resource.
    pub resource: String,
    /// The subresource.
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Namespace and name of the service account that is asked about instead of the user.
    pub account: Option<(String, String)>,
}

/// The functions of the variable, and that of patches. They are known to guards' expressions only.
pub(super) const FUNCTIONS: &[&str] = &[
    "allowed",
    "check",
    "error",
    "errored",
    "fieldSelector",
    "group",
    "jsonpatch.escapeKey",
    "labelSelector",
    "name",
    "namespace",
    "path",
    "reason",
    "resource",
    "serviceAccount",
    "subresource",
];

#[derive(Clone)]
pub(super) struct Asking {
    pub judge: Arc<dyn Authorizer>,
    pub question: Question,
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.question)
    }
}

impl PartialEq for Asking {
    fn eq(&self, other: &Self) -> bool {
        self.question == other.question
    }
}

impl Eq for Asking {}

impl Opaque for Asking {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Authorizer"
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Decided {
    allowed: bool,
    reason: String,
}

impl Opaque for Decided {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Decision"
    }
}

/// The value of the variable.
pub(super) fn value(judge: &Arc<dyn Authorizer>, question: Question) -> Cel {
    Cel::Opaque(Arc::new(Asking { judge: judge.clone(), question }))
}

type Answer = Result<Cel, ExecutionError>;

fn asking(of: &Arc<dyn Opaque>) -> Result<&Asking, ExecutionError> {
    of.downcast_ref::<Asking>().ok_or(ExecutionError::NoSuchOverload)
}

/// The same question with more said.
fn with(of: &Arc<dyn Opaque>, set: impl FnOnce(&mut Question)) -> Answer {
    let mut more = asking(of)?.clone();
    set(&mut more.question);
    Ok(Cel::Opaque(Arc::new(more)))
}

fn decided<T>(of: &Arc<dyn Opaque>, read: impl FnOnce(&Decided) -> T) -> Result<T, ExecutionError> {
    of.downcast_ref::<Decided>().map(read).ok_or(ExecutionError::NoSuchOverload)
}

fn check(of: &Arc<dyn Opaque>, verb: &str) -> Answer {
    let asking = asking(of)?;
    let question = Question { verb: verb.to_owned(), ..asking.question.clone() };
    let (allowed, reason) = asking.judge.decide(&question);
    Ok(Cel::Opaque(Arc::new(Decided { allowed, reason })))
}

type Of = This<Arc<dyn Opaque>>;
type Text = Arc<String>;

/// Adds the functions to a context.
pub(super) fn add_functions(context: &mut Context<'static>) {
    context.add_function("path", |This(of): Of, text: Text| with(&of, |q| q.path = Some(text.to_string())));
    context.add_function("group", |This(of): Of, text: Text| with(&of, |q| q.group = text.to_string()));
    context.add_function("resource", |This(of): Of, text: Text| with(&of, |q| q.resource = text.to_string()));
    context.add_function("subresource", |This(of): Of, text: Text| {
        with(&of, |q| q.subresource = text.to_string())
    });
    context
        .add_function("namespace", |This(of): Of, text: Text| with(&of, |q| q.namespace = text.to_string()));
    context.add_function("name", |This(of): Of, text: Text| with(&of, |q| q.name = text.to_string()));
    context.add_function("serviceAccount", |This(of): Of, namespace: Text, name: Text| {
        with(&of, |q| q.account = Some((namespace.to_string(), name.to_string())))
    });
    // Roles do not look at selectors.
    for selector in ["fieldSelector", "labelSelector"] {
        context.add_function(selector, |This(of): Of, _: Text| with(&of, |_| ()));
    }
    context.add_function("check", |This(of): Of, verb: Text| check(&of, &verb));
    context.add_function("allowed", |This(of): Of| -> Answer { decided(&of, |d| Cel::Bool(d.allowed)) });
    context.add_function("reason", |This(of): Of| -> Answer {
        decided(&of, |d| Cel::String(Arc::new(d.reason.clone())))
    });
    // The plane's own roles are always at hand: asking does not fail.
    context.add_function("errored", |This(of): Of| -> Answer { decided(&of, |_| Cel::Bool(false)) });
    context.add_function("error", |This(of): Of| -> Answer { decided(&of, |_| Cel::String(Arc::default())) });
}
