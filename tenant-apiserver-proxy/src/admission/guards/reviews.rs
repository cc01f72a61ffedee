//! One review of one webhook: `AdmissionReview` of `admission.k8s.io`, there and back.

use super::asked::{Asked, Form};
use super::compiled::{Review, Webhook};
use crate::dialer::webhooks::Post;
use api_types::ApiError;
use base64::Engine;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// The longest answer.
const MAX_ANSWER: usize = 3 << 20;

/// Why a review has not allowed a request.
pub enum Refusal {
    /// The webhook could not be asked, or its answer cannot be used. Its `failurePolicy` decides.
    Failed(String),
    /// It said no.
    Denied(ApiError),
}

/// Asks a webhook. Gives the patch that it wants.
pub async fn review(
    asked: &Asked<'_>,
    hook: &Webhook,
    form: &Form,
    (object, old): (&Value, &Value),
    mutating: bool,
) -> Result<Option<Value>, Refusal> {
    if asked.dry_run && !hook.allows_dry_run {
        let why = format!("admission webhook {:?} does not support dry run", hook.name);
        return Err(Refusal::Denied(ApiError::bad_request(why)));
    }
    let uid = uuid::Uuid::new_v4().to_string();
    let mut request = asked.request(form);
    request.insert("uid".into(), uid.as_str().into());
    request.insert("object".into(), object.clone());
    request.insert("oldObject".into(), old.clone());
    let body =
        json!({"kind": "AdmissionReview", "apiVersion": hook.review.api_version(), "request": request});
    let answer = post(asked, hook, body.to_string()).await.map_err(Refusal::Failed)?;
    let response = read(&answer, hook.review, &uid, mutating).map_err(Refusal::Failed)?;
    for warning in response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        asked.auth.warn(warning);
    }
    if response["allowed"] != true {
        return Err(Refusal::Denied(denial(&hook.name, &response["status"])));
    }
    patch(&response)
        .map_err(|why| Refusal::Failed(format!("received undecodable patch in webhook response: {why}")))
}

async fn post(asked: &Asked<'_>, hook: &Webhook, body: String) -> Result<bytes::Bytes, String> {
    let left = asked.deadline.saturating_duration_since(Instant::now());
    let timeout = hook.timeout.min(left);
    if timeout.is_zero() {
        return Err("failed to call webhook: the guards of this request have taken too long together".into());
    }
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    let query = format!("timeout={}s", Duration::from_secs(seconds).as_secs());
    let post = Post {
        query: &query,
        body: body.into(),
        agent: "kube-apiserver-admission",
        timeout,
        max_answer: MAX_ANSWER,
    };
    let answer = hook.client.post(&asked.auth.plane().dialer, post).await;
    answer.map_err(|error| {
        use crate::dialer::DialError::{Bundle, Redirect, Status, TooLarge};
        match error {
            Bundle => format!("could not get REST client: {error}"),
            Status(_) | Redirect(_) | TooLarge(_) => format!("failed to call webhook: {error}"),
            error => format!("failed to call webhook: Post \"{}?{query}\": {error}", hook.client.url()),
        }
    })
}

/// The `response` of an answer that can be used, in Kubernetes' words when it cannot.
fn read(answer: &[u8], asked_in: Review, uid: &str, mutating: bool) -> Result<Value, String> {
    let mut review: Value = serde_json::from_slice(answer).map_err(|error| {
        format!("failed to call webhook: couldn't get version/kind; json parse error: {error}")
    })?;
    let invalid = |why: String| format!("received invalid webhook response: {why}");
    let text = |field: &str| review[field].as_str().unwrap_or("").to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if asked_in == Review::V1Beta1 {
        return read_beta(review["response"].take(), mutating).map_err(invalid);
    }
    match (version.as_str(), kind.as_str()) {
        ("", "") | ("admission.k8s.io/v1", "AdmissionReview") => {}
        ("admission.k8s.io/v1beta1", "AdmissionReview") => {
            let why = "converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion";
            return Err(format!("failed to call webhook: {why}"));
        }
        _ => {
            let scheme = "k8s.io/apiserver/pkg/util/webhook/client.go:71";
            let why = format!("no kind {kind:?} is registered for version {version:?} in scheme {scheme:?}");
            return Err(format!("failed to call webhook: {why}"));
        }
    }
    let response = review["response"].take();
    if !response.is_object() {
        return Err(invalid("webhook response was absent".into()));
    }
    let given = response["uid"].as_str().unwrap_or("");
    if given != uid {
        return Err(invalid(format!("expected response.uid={uid:?}, got {given:?}")));
    }
    if version.is_empty() {
        return Err(invalid(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=".into(),
        ));
    }
    let has_patch = response["patch"].as_str().is_some_and(|patch| !patch.is_empty());
    let has_type = !response["patchType"].is_null();
    let why = match (mutating, has_patch, has_type) {
        (true, true, false) => "webhook returned response.patch but not response.patchType",
        (true, false, true) => "webhook returned response.patchType but not response.patch",
        (false, true, _) => "validating webhook may not return response.patch",
        (false, _, true) => "validating webhook may not return response.patchType",
        _ if has_type && response["patchType"] != "JSONPatch" => {
            let of = &response["patchType"];
            return Err(invalid(format!("unsupported patch type {of}: JSONPatch is the only one")));
        }
        _ => return Ok(response),
    };
    Err(invalid(why.into()))
}

/// The same of the older version, in which nothing had to be said but the answer itself.
fn read_beta(mut response: Value, mutating: bool) -> Result<Value, String> {
    let Some(fields) = response.as_object_mut() else { return Err("webhook response was absent".into()) };
    if !mutating {
        fields.remove("patch");
    }
    Ok(response)
}

/// The patch, decoded; `None` when it says nothing.
fn patch(response: &Value) -> Result<Option<Value>, String> {
    let Some(encoded) = response["patch"].as_str().filter(|patch| !patch.is_empty()) else { return Ok(None) };
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|error| error.to_string())?;
    let patch: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    match patch.as_array() {
        None => Err("it is no list of operations".into()),
        Some(operations) if operations.is_empty() => Ok(None),
        Some(_) => Ok(Some(patch)),
    }
}

/// What a client is told when a webhook has said no: the webhook's own status, as a failure.
fn denial(hook: &str, given: &Value) -> ApiError {
    let denied = format!("admission webhook {hook:?} denied the request");
    let text = |field: &str| given[field].as_str().filter(|text| !text.is_empty());
    let message = match (text("message"), text("reason")) {
        (Some(why), _) | (None, Some(why)) => format!("{denied}: {why}"),
        (None, None) => format!("{denied} without explanation"),
    };
    let code = given["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let code = code.filter(|code| (400..600).contains(code)).unwrap_or(400);
    ApiError::given(code, text("reason"), message, &given["details"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(response: &Value) -> Vec<u8> {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn answers_are_used_or_refused_in_the_words_of_kubernetes() {
        for (response, mutating, why) in [
            (json!({"uid": "u", "allowed": true}), true, None),
            (json!({"uid": "x", "allowed": true}), true, Some("expected response.uid=\"u\", got \"x\"")),
            (Value::Null, false, Some("webhook response was absent")),
            (json!({"uid": "u", "patch": "W10="}), true, Some("response.patch but not response.patchType")),
            (
                json!({"uid": "u", "patchType": "JSONPatch"}),
                true,
                Some("response.patchType but not response.patch"),
            ),
            (
                json!({"uid": "u", "patch": "W10=", "patchType": "Merge"}),
                true,
                Some("unsupported patch type"),
            ),
            (
                json!({"uid": "u", "patch": "W10=", "patchType": "JSONPatch"}),
                false,
                Some("validating webhook may not return response.patch"),
            ),
        ] {
            let told = read(&answer(&response), Review::V1, "u", mutating).err();
            assert_eq!(told.is_some(), why.is_some(), "{response}: {told:?}");
            assert!(why.is_none_or(|why| told.as_ref().is_some_and(|told| told.contains(why))), "{told:?}");
        }
        assert!(read(b"hello", Review::V1, "u", true).unwrap_err().contains("couldn't get version/kind"));
        assert!(
            read(br#"{"kind":"Foo","apiVersion":"v1"}"#, Review::V1, "u", true)
                .unwrap_err()
                .contains("no kind \"Foo\" is registered for version \"v1\"")
        );
    }

    #[test]
    fn answers_of_the_older_version_say_less() {
        let beta = |response: Value, mutating| {
            read(json!({"response": response}).to_string().as_bytes(), Review::V1Beta1, "u", mutating)
        };
        assert_eq!(beta(json!({"allowed": true}), true).unwrap()["allowed"], true);
        assert_eq!(beta(json!({"uid": "x", "patch": "W10="}), true).unwrap()["patch"], "W10=");
        assert!(beta(json!({"patch": "W10="}), false).unwrap().get("patch").is_none());
        assert!(beta(Value::Null, true).unwrap_err().contains("webhook response was absent"));
    }

    #[test]
    fn denials_are_failures_whatever_the_webhook_says() {
        for (given, code, reason, message) in [
            (json!({"message": "no way", "code": 403}), 403, Value::Null, ": no way"),
            (
                json!({"message": "no way", "code": 409, "reason": "Conflict"}),
                409,
                json!("Conflict"),
                ": no way",
            ),
            (json!({"reason": "Because"}), 400, json!("Because"), ": Because"),
            (json!({"code": 200, "status": "Success"}), 400, Value::Null, " without explanation"),
            (Value::Null, 400, Value::Null, " without explanation"),
        ] {
            let error = denial("a.b.c", &given);
            let status = error.to_status();
            assert_eq!((error.code(), &status["reason"]), (code, &reason), "{given}");
            assert_eq!(status["status"], "Failure");
            let whole = format!("admission webhook \"a.b.c\" denied the request{message}");
            assert_eq!(status["message"], whole.as_str());
        }
    }
}
