//! Validating admission policies: what holds, and what comes of it when it does not.

use super::asked::{Asked, Form};
use super::compiled::{Binding, Compiled, Guards, Policy, Validation};
use super::conditions::{self, OUT_OF_BUDGET};
use super::parameters;
use api_schema::cel::{self, Activation, Failure, POLICY_BUDGET, Session};
use api_types::{ApiError, Cause, CauseReason, GroupResource, ObjectName};
use serde_json::{Map, Value, json};

/// The longest message that an expression makes.
const MAX_MESSAGE: usize = 5 * 1024;

/// What a policy has against a request.
struct Violation {
    message: String,
    /// Empty: `Invalid`.
    reason: String,
    /// Which of the policy's validations it is of.
    index: usize,
}

impl Violation {
    fn of(message: impl Into<String>) -> Self {
        Violation { message: message.into(), reason: String::new(), index: 0 }
    }
}

/// What is known of the namespace of a request; null for what is in none.
pub fn namespace_object(asked: &Asked<'_>) -> Result<Value, ApiError> {
    if asked.is_namespace() || asked.namespace().is_empty() {
        return Ok(Value::Null);
    }
    let resource = GroupResource::new("", "namespaces");
    let found =
        asked.server.cache.get(asked.auth.plane().id, &resource, &ObjectName::cluster(asked.namespace()));
    let found = found.ok_or_else(|| ApiError::not_found(&resource, asked.namespace()))?;
    let mut namespace = found.value().map_err(ApiError::internal)?;
    if let Some(metadata) = namespace.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        metadata.remove("ownerReferences");
    }
    Ok(namespace)
}

/// Asks the validating policies. Of several that refuse, the first tells why.
pub async fn run(
    asked: &Asked<'_>,
    guards: &Guards,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    if !asked.is_for_policies() {
        return Ok(());
    }
    let mut denied: Option<ApiError> = None;
    for bound in &guards.validating_policies {
        let policy = &bound.policy;
        let misconfigured = |why: String, binding: Option<&Binding>| {
            (!policy.ignores_failure).then(|| denial(asked, policy, binding, &Violation::of(why)))
        };
        let form = match policy.matching.find(asked, object, old) {
            Ok(Some(form)) => form,
            Ok(None) => continue,
            Err(error) => {
                let why = format!("failed to configure policy: {}", error.message());
                denied = denied.or(misconfigured(why, None));
                continue;
            }
        };
        if let Err(why) = parameters::known(asked, policy) {
            denied = denied.or(misconfigured(format!("failed to configure policy: {why}"), None));
            continue;
        }
        let mut shown: Option<(Value, Value)> = None;
        let mut notes = Notes::new();
        for binding in &bound.bindings {
            let params = match binding.matching.find(asked, object, old) {
                Ok(None) => continue,
                Ok(Some(_)) => parameters::collect(asked, policy, binding).await,
                Err(error) => Err(error.message().to_owned()),
            };
            let params = match params {
                Ok(params) => params,
                Err(why) => {
                    let why = format!("failed to configure binding: {why}");
                    denied = denied.or(misconfigured(why, Some(binding)));
                    continue;
                }
            };
            if shown.is_none() {
                shown = Some((asked.show_if(object, &form).await?, asked.show_if(old, &form).await?));
            }
            let Some((object, old)) = &shown else { continue };
            let namespace = namespace_object(asked)?;
            for param in &params {
                let seen = (object, old, param, &namespace);
                for violation in violations(asked, policy, &form, seen, &mut notes) {
                    denied = denied.or(act(asked, policy, binding, &violation));
                }
            }
        }
        note(asked, policy, notes);
    }
    denied.map_or(Ok(()), Err)
}

/// Does what a binding wants done about a violation; gives the error of a denial.
fn act(asked: &Asked<'_>, policy: &Policy, binding: &Binding, violation: &Violation) -> Option<ApiError> {
    let mut error = None;
    for action in &binding.actions {
        match action.as_str() {
            "Deny" => error = Some(denial(asked, policy, Some(binding), violation)),
            "Warn" => asked.auth.warn(&format!(
                "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {}",
                policy.name, binding.name, violation.message
            )),
            "Audit" => {
                let failure = json!([{"message": violation.message, "policy": policy.name, "binding": binding.name,
                    "expressionIndex": violation.index, "validationActions": binding.actions}]);
                asked.auth.note("validation.policy.admission.k8s.io/validation_failure", failure.to_string());
            }
            _ => {}
        }
    }
    error
}

fn denial(asked: &Asked<'_>, policy: &Policy, binding: Option<&Binding>, violation: &Violation) -> ApiError {
    let with = binding.map_or(String::new(), |binding| format!(" with binding '{}'", binding.name));
    let Violation { message, reason, .. } = violation;
    let why = format!("ValidatingAdmissionPolicy '{}'{with} denied request: {message}", policy.name);
    let (code, reason) = match reason.as_str() {
        "Forbidden" => (403, "Forbidden"),
        "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
        _ => (422, "Invalid"),
    };
    let resource = asked.place.resource();
    let forbidden = ApiError::forbidden(&resource, asked.told_name(), &why);
    let cause = Cause::new(CauseReason::InternalError, "", why);
    let status = forbidden.with_causes(vec![cause]).to_status();
    ApiError::given(code, Some(reason), status["message"].as_str().unwrap_or(""), &status["details"])
}

/// What expressions of a policy see: the object, the old one, the parameter, the namespace.
pub type Seen<'a> = (&'a Value, &'a Value, &'a Value, &'a Value);

/// Runs expressions of a policy for a request.
pub fn evaluate<T: Send>(
    asked: &Asked<'_>,
    policy: &Policy,
    form: &Form,
    (object, old, param, namespace): Seen<'_>,
    work: impl FnOnce(&mut Session<'_>) -> T + Send,
) -> Result<T, String> {
    let mut request: Map<String, Value> = asked.request(form);
    request.retain(|_, value| !value.is_null());
    let request = Value::Object(request);
    let values = [
        ("object", object),
        ("oldObject", old),
        ("request", &request),
        ("namespaceObject", namespace),
        ("params", param),
    ];
    let authorizer = Some(conditions::authorizer(asked, form));
    let activation = Activation { values: &values, own: &policy.variables, authorizer };
    cel::run(&activation, POLICY_BUDGET, policy.depth, work)
}

/// What a policy wants noted, by its annotations' keys.
type Notes = Vec<(String, String)>;

/// The longest value of an audit annotation of a policy.
const MAX_NOTE: usize = 10 * 1024;

/// Notes what a policy wants noted: several values of one key, each once, in one text.
fn note(asked: &Asked<'_>, policy: &Policy, notes: Notes) {
    let mut by_key: Vec<(String, Vec<String>)> = Vec::new();
    for (key, value) in notes {
        let value: String = value.trim().chars().take(MAX_NOTE).collect();
        match by_key.iter_mut().find(|(known, _)| *known == key) {
            _ if value.is_empty() => {}
            Some((_, values)) if values.contains(&value) => {}
            Some((_, values)) => values.push(value),
            None => by_key.push((key, vec![value])),
        }
    }
    for (key, values) in by_key {
        asked.auth.note(format!("{}/{key}", policy.name), values.join(", "));
    }
}

fn violations(
    asked: &Asked<'_>,
    policy: &Policy,
    form: &Form,
    seen: Seen<'_>,
    notes: &mut Notes,
) -> Vec<Violation> {
    let told = evaluate(asked, policy, form, seen, |session| judge(policy, session, notes));
    let (failures, mut violations) = match told {
        Ok(told) => told,
        Err(why) => (vec![why], Vec::new()),
    };
    if !policy.ignores_failure {
        violations.splice(0..0, failures.into_iter().map(Violation::of));
    }
    violations
}

/// What could not be told, and what does not hold.
fn judge(policy: &Policy, session: &mut Session<'_>, notes: &mut Notes) -> (Vec<String>, Vec<Violation>) {
    match conditions::hold(&policy.conditions, session) {
        Ok(true) => {}
        Ok(false) => return (Vec::new(), Vec::new()),
        Err(why) => return (vec![why], Vec::new()),
    }
    let (mut failures, mut violations) = (Vec::new(), Vec::new());
    for (index, validation) in policy.validations.iter().enumerate() {
        match outcome(&validation.expression, session) {
            Ok(Value::Bool(true)) => {}
            Ok(_) => violations.push(Violation {
                message: message(validation, session),
                reason: validation.reason.clone(),
                index,
            }),
            Err(why) => failures.push(why),
        }
    }
    for (key, annotation) in &policy.annotations {
        match outcome(annotation, session) {
            Ok(Value::String(text)) => notes.push((key.clone(), text)),
            Ok(_) => {}
            Err(why) => failures.push(why),
        }
    }
    (failures, violations)
}

fn outcome(expression: &Compiled, session: &mut Session<'_>) -> Result<Value, String> {
    match expression {
        Ok(expression) => session.evaluate(expression).map_err(|failure| match failure {
            Failure::Error(why) => why,
            Failure::OutOfBudget => OUT_OF_BUDGET.to_owned(),
        }),
        Err(why) => Err(why.clone()),
    }
}

/// The message that an expression makes, else the one that is written, else the expression that does not hold.
fn message(validation: &Validation, session: &mut Session<'_>) -> String {
    let made = validation.message_expression.as_ref().and_then(|made| outcome(made, session).ok());
    let made = made.as_ref().and_then(Value::as_str).map(str::trim);
    let usable = made.filter(|made| !made.is_empty() && made.len() <= MAX_MESSAGE && !made.contains('\n'));
    match (usable, validation.message.trim()) {
        (Some(made), _) => made.to_owned(),
        (None, "") => format!("failed expression: {}", validation.text.trim()),
        (None, written) => written.to_owned(),
    }
}
