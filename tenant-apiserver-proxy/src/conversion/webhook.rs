//! Asking the webhook of a definition.

use super::Caller;
use super::review::{self, Unusable};
use crate::admission::guards::outside;
use crate::dialer::DialError::{Redirect, Status, TooLarge};
use crate::dialer::webhooks::{ClientConfig, Post};
use api_resources::resource::ConversionWebhook;
use api_resources::{ResourceRow, Version};
use api_types::{ApiError, GroupVersion, Reason};
use serde_json::Value;
use std::time::Duration;

/// How long one review may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most objects of one review.
const MAX_OBJECTS: usize = 500;
/// The objects of one review are no longer than this together, unless it is one alone.
const MAX_SENT: usize = 1 << 20;
/// The longest answer.
const MAX_ANSWER: usize = 8 << 20;

/// Converts objects, those that have another version. A failure is the failure of all.
pub(super) async fn convert(
    caller: &Caller<'_>,
    hook: &ConversionWebhook,
    row: &ResourceRow,
    version: &Version,
    objects: Vec<Value>,
) -> Result<Vec<Value>, ApiError> {
    // Of its own: there is room for it in every request and every watch, and few need it.
    let work = Box::pin(convert_here(caller, hook, row, version, objects));
    match caller.request {
        Some((server, auth)) => outside(server, auth, work).await?,
        None => work.await,
    }
}

async fn convert_here(
    caller: &Caller<'_>,
    hook: &ConversionWebhook,
    row: &ResourceRow,
    version: &Version,
    mut objects: Vec<Value>,
) -> Result<Vec<Value>, ApiError> {
    let api_version = GroupVersion::new(&row.group, &version.name).to_string();
    let strange: Vec<usize> =
        (0..objects.len()).filter(|at| objects[*at]["apiVersion"] != *api_version).collect();
    let mut rest = strange.as_slice();
    while let Some(first) = rest.first() {
        let count = batch(rest, &objects);
        let (now, later) = rest.split_at(count);
        rest = later;
        let of = kind(row, &objects[*first]);
        let sent: Vec<Value> = now.iter().map(|at| objects[*at].take()).collect();
        let converted = ask(caller, hook, &of, &api_version, &sent).await?;
        for (at, object) in now.iter().zip(converted) {
            objects[*at] = object;
        }
    }
    Ok(objects)
}

/// How many of the objects go into the next review: at least one.
fn batch(rest: &[usize], objects: &[Value]) -> usize {
    let mut size = 0;
    let fits = rest.iter().take(MAX_OBJECTS).take_while(|at| {
        size += objects[**at].to_string().len();
        size <= MAX_SENT
    });
    fits.count().max(1)
}

/// What Kubernetes calls the kind of an object: `example.dev/v1, Kind=Widget`.
fn kind(row: &ResourceRow, object: &Value) -> String {
    format!("{}, Kind={}", object["apiVersion"].as_str().unwrap_or(""), row.kind)
}

async fn ask(
    caller: &Caller<'_>,
    hook: &ConversionWebhook,
    of: &str,
    api_version: &str,
    objects: &[Value],
) -> Result<Vec<Value>, ApiError> {
    // Kubernetes gives no reason here, and 500.
    let failed = |why: String| ApiError::new(Reason::Unknown, format!("conversion webhook for {of} {why}"));
    if hook.review_version.is_empty() {
        return Err(ApiError::new(Reason::Unknown, "no supported conversion review versions"));
    }
    let uid = uuid::Uuid::new_v4().to_string();
    let body = review::request(&hook.review_version, &uid, api_version, objects);
    let answer =
        post(caller, hook, body.to_string()).await.map_err(|why| failed(format!("failed: {why}")))?;
    let found = review::read(&answer, &hook.review_version, &uid, api_version, objects);
    found.map_err(|unusable| {
        let place = |at: usize| match objects.len() {
            1 => String::new(),
            _ => format!(" at index {at}"),
        };
        failed(match unusable {
            Unusable::Failed(why) => format!("failed: {why}"),
            Unusable::Count(count) => format!("returned {count} objects, expected {}", objects.len()),
            Unusable::Object(at, why) if why.starts_with("invalid ") => {
                format!("returned invalid object at index {at}: {why}")
            }
            Unusable::Object(at, why) => format!("returned invalid object{}: {why}", place(at)),
            Unusable::Metadata(at, why) => format!("returned invalid metadata{}: {why}", place(at)),
        })
    })
}

async fn post(caller: &Caller<'_>, hook: &ConversionWebhook, body: String) -> Result<bytes::Bytes, String> {
    let query = format!("timeout={}s", TIMEOUT.as_secs());
    let client = ClientConfig::of_conversion(hook);
    let post = Post {
        query: &query,
        body: body.into(),
        agent: "kube-apiserver",
        timeout: TIMEOUT,
        max_answer: MAX_ANSWER,
    };
    client.post(&caller.plane.dialer, post).await.map_err(|error| match error {
        Redirect(_) | Status(_) | TooLarge(_) => error.to_string(),
        error => format!("Post \"{}?{query}\": {error}", client.url()),
    })
}
