//! Webhooks: mutating ones one after the other, validating ones all at once.

use super::Between;
use super::asked::{Asked, Form};
use super::compiled::{Guards, Webhook};
use super::conditions;
use super::reinvocation::Reinvocation;
use super::reviews::{Refusal, review};
use super::waiting::outside;
use api_types::ApiError;
use futures::StreamExt;
use serde_json::Value;
use std::sync::Arc;

/// Validating webhooks that are asked at a time for one request.
const AT_ONCE: usize = 16;

/// The form in which a webhook wants to see a request, and both objects in it; `None`: it is not for it.
async fn wanted(
    asked: &Asked<'_>,
    hook: &Webhook,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<Option<(Form, Value, Value)>, ApiError> {
    if !asked.is_for_webhooks() {
        return Ok(None);
    }
    let Some(form) = hook.matching.find(asked, object, old)? else { return Ok(None) };
    let (object, old) = (asked.show_if(object, &form).await?, asked.show_if(old, &form).await?);
    match conditions::of_webhook(&hook.conditions, asked, &form, &object, &old) {
        Ok(true) => Ok(Some((form, object, old))),
        Ok(false) => Ok(None),
        Err(_) if hook.ignores_failure => Ok(None),
        Err(why) => Err(ApiError::forbidden(&asked.place.resource(), asked.told_name(), &why)),
    }
}

/// What a client is told when a webhook could not be asked, unless that is to be ignored.
fn failed(hook: &Webhook, why: &str) -> Result<(), ApiError> {
    let why = format!("failed calling webhook {:?}: {why}", hook.name);
    if hook.ignores_failure {
        tracing::debug!(%why, "a webhook failed, which its failurePolicy ignores");
        return Ok(());
    }
    Err(ApiError::internal(why))
}

/// Asks the mutating webhooks.
pub async fn mutate(
    asked: &Asked<'_>,
    guards: &Guards,
    mut object: Option<&mut Value>,
    old: Option<&Value>,
    between: &dyn Between,
    again: &mut Reinvocation,
) -> Result<(), ApiError> {
    for hook in &guards.mutating_webhooks {
        let Some((form, shown, shown_old)) = wanted(asked, hook, object.as_deref(), old).await? else {
            continue;
        };
        if !again.wants(&hook.id) {
            continue;
        }
        let patch =
            match outside(asked.server, asked.auth, review(asked, hook, &form, (&shown, &shown_old), true))
                .await?
            {
                Ok(patch) => patch,
                Err(Refusal::Failed(why)) => {
                    failed(hook, &why)?;
                    None
                }
                Err(Refusal::Denied(error)) => return Err(error),
            };
        let mut changed = false;
        if let Some(patch) = patch {
            let Some(object) = object.as_deref_mut() else {
                return Err(ApiError::internal(format_args!(
                    "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
                    hook.name
                )));
            };
            let patched = api_schema::patch::json_patch(&shown, &patch).map_err(ApiError::internal)?;
            let mut taken =
                asked.take(&patched, &form).await.map_err(|error| ApiError::internal(error.message()))?;
            between.default(&mut taken);
            changed = taken != *object;
            *object = taken;
        }
        again.was_asked(&hook.id, changed, hook.if_needed);
    }
    Ok(())
}

/// Asks the validating webhooks. Of several that refuse, the first tells why.
pub async fn validate(
    asked: &Asked<'_>,
    guards: &Guards,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let mut relevant: Vec<(Arc<Webhook>, Form, Value, Value)> = Vec::new();
    for hook in &guards.validating_webhooks {
        if let Some((form, object, old)) = wanted(asked, hook, object, old).await? {
            relevant.push((hook.clone(), form, object, old));
        }
    }
    if relevant.is_empty() {
        return Ok(());
    }
    let mut reviews = Vec::with_capacity(relevant.len());
    for (hook, form, object, old) in &relevant {
        reviews.push(admits(asked, hook, form, object, old));
    }
    let all = futures::stream::iter(reviews).buffered(AT_ONCE).collect();
    let told: Vec<Result<(), ApiError>> = outside(asked.server, asked.auth, all).await?;
    told.into_iter().collect()
}

/// Asks one validating webhook.
async fn admits(
    asked: &Asked<'_>,
    hook: &Webhook,
    form: &Form,
    object: &Value,
    old: &Value,
) -> Result<(), ApiError> {
    match review(asked, hook, form, (object, old), false).await {
        Ok(_) => Ok(()),
        Err(Refusal::Failed(why)) => failed(hook, &why),
        Err(Refusal::Denied(error)) => Err(error),
    }
}
