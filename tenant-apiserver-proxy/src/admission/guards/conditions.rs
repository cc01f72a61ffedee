//! Match conditions, and what expressions of guards see.

use super::asked::{Asked, Form};
use crate::authentication::User;
use crate::authorization::Attributes;
use crate::rbac::Judge;
use crate::request_info::ResourceRequest;
use api_schema::cel::{self, Activation, Authorizer, CONDITIONS_BUDGET, Failure, Question, Session};
use serde_json::Value;
use std::sync::Arc;

/// A condition that has to hold for a guard to be asked.
pub struct Condition {
    /// It gives true or false.
    pub expression: super::compiled::Compiled,
}

impl Authorizer for Judge {
    fn decide(&self, question: &Question) -> (bool, String) {
        let account = question.account.as_ref().map(|(namespace, name)| {
            let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
            User::authenticated(format!("system:serviceaccount:{namespace}:{name}"), groups)
        });
        let request = ResourceRequest {
            verb: question.verb.as_str().into(),
            group: question.group.as_str().into(),
            version: "*".into(),
            namespace: question.namespace.as_str().into(),
            resource: question.resource.as_str().into(),
            name: question.name.as_str().into(),
            subresource: question.subresource.as_str().into(),
        };
        let what = match &question.path {
            Some(path) => Attributes::Path { path, verb: &question.verb },
            None => Attributes::Resource(&request),
        };
        self.ask(account.as_ref(), &what)
    }
}

/// Who says what the user of a request may do, and the question about the request itself.
pub fn authorizer(asked: &Asked<'_>, form: &Form) -> (Arc<dyn Authorizer>, Question) {
    let judge = crate::rbac::judge(asked.server, asked.auth.plane(), asked.auth.user());
    let about = Question {
        group: form.row.group.to_string(),
        resource: form.row.plural.to_string(),
        subresource: asked.place.subresource.to_string(),
        namespace: asked.namespace().to_owned(),
        name: asked.name().to_owned(),
        ..Question::default()
    };
    (Arc::new(judge), about)
}

/// Whether all conditions hold. One that does not decides; else the failures do.
///
/// Errors: why some could not be told, when none is known not to hold.
pub fn hold(conditions: &[Condition], session: &mut Session<'_>) -> Result<bool, String> {
    let mut failures: Vec<String> = Vec::new();
    for condition in conditions {
        let given = match &condition.expression {
            Ok(expression) => session.evaluate(expression),
            Err(why) => Err(Failure::Error(why.clone())),
        };
        match given {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => return Ok(false),
            Ok(_) => failures.push("a match condition must evaluate to bool".to_owned()),
            Err(Failure::Error(why)) => failures.push(why),
            Err(Failure::OutOfBudget) => return Err(OUT_OF_BUDGET.to_owned()),
        }
    }
    match failures.as_slice() {
        [] => Ok(true),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// What Kubernetes says when the budget is used up.
pub const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// The conditions of a webhook for a request.
pub fn of_webhook(
    conditions: &[Condition],
    asked: &Asked<'_>,
    form: &Form,
    object: &Value,
    old: &Value,
) -> Result<bool, String> {
    if conditions.is_empty() {
        return Ok(true);
    }
    let request = Value::Object(asked.request(form));
    let values = [("object", object), ("oldObject", old), ("request", &request)];
    let activation = Activation { values: &values, own: &[], authorizer: Some(authorizer(asked, form)) };
    let depth = conditions.iter().map(|c| c.expression.as_ref().map_or(0, cel::Expression::depth)).max();
    cel::run(&activation, CONDITIONS_BUDGET, depth.unwrap_or(0), |session| hold(conditions, session))?
}
