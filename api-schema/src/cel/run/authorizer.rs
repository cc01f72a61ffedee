//! The variable `authorizer`: what a user may do, asked by an expression (KEP-3488).

use super::values::{Given, Value, fail};
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

#[derive(Clone)]
pub(crate) struct Asking {
    judge: Arc<dyn Authorizer>,
    pub question: Question,
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.question)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    allowed: bool,
    reason: String,
}

/// The value of the variable.
pub(crate) fn asking(judge: &Arc<dyn Authorizer>, question: Question) -> Value {
    Value::Asking(Arc::new(Asking { judge: judge.clone(), question }))
}

/// The same question with more said.
fn with(of: &Asking, set: impl FnOnce(&mut Question)) -> Given {
    let mut more = of.clone();
    set(&mut more.question);
    Ok(Value::Asking(Arc::new(more)))
}

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value]) -> Option<Given> {
    match given {
        [Value::Asking(of), Value::Text(text)] => {
            let text = text.to_string();
            Some(match name {
                "path" if text.is_empty() => fail("path must not be empty"),
                "path" => with(of, |q| q.path = Some(text)),
                "group" => with(of, |q| q.group = text),
                "resource" if text.is_empty() => fail("resource must not be empty"),
                "resource" => with(of, |q| q.resource = text),
                "subresource" => with(of, |q| q.subresource = text),
                "namespace" => with(of, |q| q.namespace = text),
                "name" => with(of, |q| q.name = text),
                // Roles do not look at selectors.
                "fieldSelector" | "labelSelector" => with(of, |_| ()),
                "check" => {
                    let (allowed, reason) = of.judge.decide(&Question { verb: text, ..of.question.clone() });
                    Ok(Value::Decided(Arc::new(Decided { allowed, reason })))
                }
                _ => return None,
            })
        }
        [Value::Asking(of), Value::Text(namespace), Value::Text(account)] if name == "serviceAccount" => {
            Some(with(of, |q| q.account = Some((namespace.to_string(), account.to_string()))))
        }
        [Value::Decided(decided)] => Some(Ok(match name {
            "allowed" => Value::Bool(decided.allowed),
            "reason" => decided.reason.as_str().into(),
            // The plane's own roles are always at hand: asking does not fail.
            "errored" => Value::Bool(false),
            "error" => "".into(),
            _ => return None,
        })),
        _ => None,
    }
}
