//! Mutating admission policies: what is applied to an object, and what is patched.

use super::Between;
use super::asked::{Asked, Form};
use super::compiled::{Binding, Guards, Mutation, Policy};
use super::conditions;
use super::parameters;
use super::policies::{Seen, evaluate, namespace_object};
use super::reinvocation::Reinvocation;
use api_schema::cel::Failure;
use api_schema::patch::PatchError;
use api_types::{ApiError, Cause, CauseReason};
use serde_json::Value;

/// Why a policy could not change an object.
struct Trouble {
    message: String,
    /// The reason `Invalid` of the answer.
    invalid: bool,
}

/// Asks the mutating policies.
pub async fn run(
    asked: &Asked<'_>,
    guards: &Guards,
    object: Option<&mut Value>,
    old: Option<&Value>,
    between: &dyn Between,
    again: &mut Reinvocation,
) -> Result<(), ApiError> {
    // What is deleted is not changed.
    let Some(object) = object.filter(|_| asked.is_for_policies()) else { return Ok(()) };
    let mut troubles: Vec<Trouble> = Vec::new();
    for bound in &guards.mutating_policies {
        let policy = &bound.policy;
        let mut trouble = |binding: Option<&Binding>, why: String, invalid: bool| {
            if policy.ignores_failure {
                return;
            }
            let message = match binding {
                Some(binding) => {
                    format!("policy '{}' with binding '{}' denied request: {why}", policy.name, binding.name)
                }
                None => format!("policy {:?} denied request: {why}", policy.name),
            };
            troubles.push(Trouble { message, invalid });
        };
        let form = match policy.matching.find(asked, Some(object), old) {
            Ok(Some(form)) => form,
            Ok(None) => continue,
            Err(error) => {
                trouble(None, format!("failed to configure policy: {}", error.message()), false);
                continue;
            }
        };
        if let Err(why) = parameters::known(asked, policy) {
            trouble(None, format!("failed to configure policy: {why}"), false);
            continue;
        }
        for binding in &bound.bindings {
            let params = match binding.matching.find(asked, Some(object), old) {
                Ok(None) => continue,
                Ok(Some(_)) => parameters::collect(asked, policy, binding).await,
                Err(error) => Err(error.message().to_owned()),
            };
            let params = match params {
                Ok(params) => params,
                Err(why) => {
                    trouble(Some(binding), format!("failed to configure binding: {why}"), false);
                    continue;
                }
            };
            let namespace = namespace_object(asked)?;
            let shown_old = asked.show_if(old, &form).await?;
            for (at, param) in params.iter().enumerate() {
                let id = format!("{}/{}/{at}", policy.name, binding.name);
                let shown = asked.show(object, &form).await?;
                let meant =
                    evaluate(asked, policy, &form, (&shown, &shown_old, param, &namespace), |session| {
                        conditions::hold(&policy.conditions, session)
                    });
                match meant.and_then(|holds| holds) {
                    Ok(true) if again.wants(&id) => {}
                    Ok(_) => continue,
                    Err(why) => {
                        trouble(Some(binding), why, true);
                        continue;
                    }
                }
                let before = object.clone();
                for mutation in &policy.mutations {
                    let shown = asked.show(object, &form).await?;
                    match change(asked, policy, &form, mutation, (&shown, &shown_old, param, &namespace)) {
                        Ok(made) => {
                            let mut taken = match asked.take(&made, &form).await {
                                Ok(taken) => taken,
                                Err(error) if mutation.is_patch => {
                                    return Err(ApiError::internal(error.message()));
                                }
                                Err(error) => {
                                    let why = error.message();
                                    let of = "error applying patch: failed to convert patch object to typed object";
                                    trouble(Some(binding), format!("{of}: {why}"), true);
                                    continue;
                                }
                            };
                            between.default(&mut taken);
                            *object = taken;
                        }
                        Err(why) => trouble(Some(binding), why, true),
                    }
                }
                again.was_asked(&id, *object != before, policy.if_needed);
            }
        }
    }
    refusal(asked, &troubles)
}

fn refusal(asked: &Asked<'_>, troubles: &[Trouble]) -> Result<(), ApiError> {
    let Some(first) = troubles.first() else { return Ok(()) };
    let causes = troubles.iter().map(|one| Cause::new(CauseReason::InternalError, "", one.message.as_str()));
    let base = ApiError::forbidden(&asked.place.resource(), &asked.place.name, "");
    let status = base.with_causes(causes.collect()).to_status();
    // As in Kubernetes, the code stays that of a request which is forbidden.
    let reason = if first.invalid { "Invalid" } else { "Forbidden" };
    Err(ApiError::given(403, Some(reason), first.message.as_str(), &status["details"]))
}

/// The object after one mutation.
fn change(
    asked: &Asked<'_>,
    policy: &Policy,
    form: &Form,
    mutation: &Mutation,
    seen: Seen<'_>,
) -> Result<Value, String> {
    let expression = mutation.expression.as_ref().map_err(Clone::clone)?;
    let given = evaluate(asked, policy, form, seen, |session| session.evaluate(expression))?;
    let given = given.map_err(|failure| match failure {
        Failure::Error(why) => why,
        Failure::OutOfBudget => conditions::OUT_OF_BUDGET.to_owned(),
    })?;
    if mutation.is_patch {
        return patch(seen.0, &given);
    }
    if !given.is_object() {
        return Err(
            "unsupported return type from ApplyConfiguration expression: an Object is needed".to_owned()
        );
    }
    let root = form.version.graph.at(form.version.root);
    api_schema::managed_fields::apply_unowned(root, seen.0, &given)
        .map_err(|why| format!("error applying patch: {why}"))
}

fn patch(object: &Value, given: &Value) -> Result<Value, String> {
    if !given.is_array() {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".to_owned());
    }
    match api_schema::patch::json_patch(object, given) {
        Ok(patched) => Ok(patched),
        // A test that fails means that there is nothing to do.
        Err(PatchError::Rejected(_)) if fails_a_test(object, given) => Ok(object.clone()),
        Err(why) => Err(format!("JSON Patch: {why}")),
    }
}

/// True when what stops a patch is one of its tests.
fn fails_a_test(object: &Value, patch: &Value) -> bool {
    let mut current = object.clone();
    for operation in patch.as_array().into_iter().flatten() {
        match api_schema::patch::json_patch(&current, &Value::Array(vec![operation.clone()])) {
            Ok(next) => current = next,
            Err(_) => return operation["op"] == "test",
        }
    }
    false
}
