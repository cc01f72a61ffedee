//! What is in a super cluster and what becomes of it: lists in pages, and watches after them. Lists are in protobuf where the
//! cluster can, which is a third to write and to send; of it, fields are read that our tables know. Watches are in JSON.

use super::encode;
use super::{
    CALL_TIMEOUT, KubeSuper, api_error, path, request, selector_query, unreachable_cluster, without_history,
};
use crate::kinds::Kind;
use crate::super_api::{At, SuperItem};
use crate::work::EVENTS;
use api_schema::graph::TypeRef;
use api_schema::{builtin, protobuf};
use api_types::{ApiError, Resource};
use bytes::Bytes;
use futures::future::OptionFuture;
use futures::{AsyncBufReadExt, FutureExt, StreamExt};
use http::{Method, header};
use serde_json::Value;
use std::fmt::Display;
use std::time::Duration;
use tokio::sync::mpsc;

/// Objects in a page of a list.
const PAGE: usize = 500;
/// How long the server keeps a watch open, and how much longer we believe that it does.
const WATCH_SECONDS: u64 = 290;
/// Without even a bookmark (one a minute) for so long, a watch counts as dead.
const WATCH_SILENCE: Duration = Duration::from_secs(150);

/// Why it goes no further.
pub enum Followed {
    ReceiverGone,
    /// The revision is lost, or the cluster cannot be read: list again.
    Broken(ApiError),
}

/// One list, and watches after it for as long as they can be resumed.
pub async fn follow(
    api: &KubeSuper,
    resource: &Resource,
    selector: &str,
    sender: &mpsc::Sender<SuperItem>,
    delay: &mut Duration,
) -> Followed {
    if sender.send(SuperItem::Restart).await.is_err() {
        return Followed::ReceiverGone;
    }
    let mut read = page(api, resource, "", selector, "").await;
    let mut revision = loop {
        let page = match read {
            Ok(page) => page,
            Err(error) => return Followed::Broken(error),
        };
        let (next, revision) = (page.next.clone(), page.revision.clone());
        // The super cluster puts the next page together while this one is read and taken in.
        let next = (!next.is_empty()).then(|| self::page(api, resource, "", selector, &next));
        let ahead = OptionFuture::from(next).map(Ok);
        match tokio::try_join!(biased; ahead, take_in(page, sender)) {
            Ok((Some(next), ())) => read = next,
            Ok((None, ())) => break revision,
            Err(ended) => return ended,
        }
    };
    if sender.send(SuperItem::Synced).await.is_err() {
        return Followed::ReceiverGone;
    }
    *delay = Duration::from_millis(100);
    let mut failures = 0_u32;
    loop {
        match watch_once(api, resource, selector, &mut revision, sender).await {
            Watched::Ended => failures = 0,
            Watched::ReceiverGone => return Followed::ReceiverGone,
            Watched::Lost(error) => return Followed::Broken(error),
            Watched::Interrupted(error) => {
                failures += 1;
                tracing::debug!(%resource.resource, %error, "a watch of a super cluster was interrupted");
                if failures > 3 {
                    return Followed::Broken(error);
                }
                tokio::time::sleep(Duration::from_millis(200) * failures).await;
            }
        }
    }
}

/// Reads the objects of a page, and gives each to who takes them in.
async fn take_in(page: Page, sender: &mpsc::Sender<SuperItem>) -> Result<(), Followed> {
    for item in page.items {
        let object = page.of.read(item).map_err(Followed::Broken)?;
        sender.send(SuperItem::Applied(object)).await.map_err(|_| Followed::ReceiverGone)?;
    }
    Ok(())
}

enum Watched {
    /// The server closed it in good order: resume.
    Ended,
    /// The connection failed: resume.
    Interrupted(ApiError),
    /// The revision is gone, or the server refuses: list again.
    Lost(ApiError),
    ReceiverGone,
}

async fn watch_once(
    api: &KubeSuper,
    resource: &Resource,
    selector: &str,
    revision: &mut String,
    sender: &mpsc::Sender<SuperItem>,
) -> Watched {
    let query = format!(
        "?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={revision}{}",
        selector_query(selector)
    );
    let path = format!("{}{query}", path(resource, &At::new("", "")));
    let request = match request(Method::GET, &path, None, Vec::new()) {
        Ok(mut request) => {
            let identity = http::HeaderValue::from_static("identity");
            request.headers_mut().insert(header::ACCEPT_ENCODING, identity);
            request
        }
        Err(error) => return Watched::Lost(error),
    };
    let reader = match tokio::time::timeout(CALL_TIMEOUT, api.client.request_stream(request)).await {
        Err(_) => return Watched::Interrupted(unreachable_cluster("no answer in 30 s")),
        Ok(Err(error @ kube::Error::Api(_))) => return Watched::Lost(api_error(error)),
        Ok(Err(error)) => return Watched::Interrupted(api_error(error)),
        Ok(Ok(reader)) => reader,
    };
    let mut lines = std::pin::pin!(reader.lines());
    loop {
        let line = tokio::select! {
            line = tokio::time::timeout(WATCH_SILENCE, lines.next()) => line,
            () = sender.closed() => return Watched::ReceiverGone,
        };
        let line = match line {
            Err(_) => return Watched::Interrupted(unreachable_cluster("the watch fell silent")),
            Ok(None) => return Watched::Ended,
            Ok(Some(Err(error))) => return Watched::Interrupted(unreachable_cluster(error)),
            Ok(Some(Ok(line))) => line,
        };
        let Ok(mut event) = without_history::EVENT.read(line.as_bytes()) else {
            return Watched::Interrupted(unreachable_cluster("a watch event was cut off"));
        };
        let object = event["object"].take();
        let item = match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => SuperItem::Applied(object),
            Some("DELETED") => SuperItem::Deleted(object),
            Some("BOOKMARK") => {
                note_revision(revision, &object);
                continue;
            }
            _ => return Watched::Lost(ApiError::from_status(&object)),
        };
        if let SuperItem::Applied(object) | SuperItem::Deleted(object) = &item {
            note_revision(revision, object);
        }
        if sender.send(item).await.is_err() {
            return Watched::ReceiverGone;
        }
    }
}

fn note_revision(revision: &mut String, object: &Value) {
    if let Some(new) = object["metadata"]["resourceVersion"].as_str() {
        new.clone_into(revision);
    }
}

/// One page of a list.
pub struct Page {
    items: Vec<Item>,
    of: Of,
    revision: String,
    /// Where the next page begins; empty after the last.
    pub next: String,
}

/// An object of a page.
enum Item {
    Read(Value),
    /// Its message, and of which type it is.
    Unread(Bytes, TypeRef<'static>),
}

/// What all objects of a page are.
struct Of {
    kind: String,
    api_version: String,
}

impl Of {
    /// The object of an item, with what an object alone has and those of lists lack.
    fn read(&self, item: Item) -> Result<Value, ApiError> {
        let mut object = match item {
            Item::Read(object) => object,
            Item::Unread(message, root) => {
                protobuf::item_without_history(&message, root).map_err(unreadable)?
            }
        };
        if let Some(object) = object.as_object_mut() {
            object.insert("kind".into(), self.kind.as_str().into());
            object.insert("apiVersion".into(), self.api_version.as_str().into());
        }
        Ok(object)
    }
}

impl Page {
    /// All its objects.
    pub fn read(self) -> Result<Vec<Value>, ApiError> {
        self.items.into_iter().map(|item| self.of.read(item)).collect()
    }
}

/// Asks for a page; nothing of it is read yet that was given in protobuf.
pub async fn page(
    api: &KubeSuper,
    resource: &Resource,
    namespace: &str,
    selector: &str,
    from: &str,
) -> Result<Page, ApiError> {
    let base = path(resource, &At::new(namespace, ""));
    let mut path = format!("{base}?limit={PAGE}{}", selector_query(selector));
    if !from.is_empty() {
        path.push_str("&continue=");
        path.extend(encode(from));
    }
    let answer = api.compact(&path, accept(resource)).await?;
    if answer.starts_with(protobuf::PREFIX) { of_protobuf(&answer, resource) } else { of_json(&answer) }
}

/// What a list is asked for in, the best first. Of metrics, which an API server of its own answers for, our tables have no
/// numbers of fields.
fn accept(resource: &Resource) -> &'static str {
    let is_known = *resource == EVENTS || Kind::ALL.iter().any(|kind| kind.resource() == resource);
    if is_known { "application/vnd.kubernetes.protobuf,application/json" } else { "application/json" }
}

fn unreadable(error: impl Display) -> ApiError {
    ApiError::internal(format_args!("the super cluster's list: {error}"))
}

fn of_json(answer: &[u8]) -> Result<Page, ApiError> {
    let mut page = without_history::ANSWER.read(answer).map_err(unreadable)?;
    let items = match page["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    Ok(Page {
        items: items.into_iter().map(Item::Read).collect(),
        of: Of { kind: item_kind(&text(&page["kind"])), api_version: text(&page["apiVersion"]) },
        revision: text(&page["metadata"]["resourceVersion"]),
        next: text(&page["metadata"]["continue"]),
    })
}

fn of_protobuf(answer: &Bytes, resource: &Resource) -> Result<Page, ApiError> {
    let list = protobuf::list(answer).map_err(unreadable)?;
    let kind = item_kind(&list.kind);
    let root = builtin::kind(&resource.group, &resource.version, &kind).map(|root| builtin::graph().at(root));
    let Some(root) = root.filter(|root| protobuf::is_supported(*root)) else {
        return Err(unreadable(format_args!("a {kind} in protobuf, of which no fields are known")));
    };
    Ok(Page {
        items: list.items.iter().map(|item| Item::Unread(answer.slice_ref(item), root)).collect(),
        of: Of { kind, api_version: list.api_version },
        revision: list.resource_version,
        next: list.next,
    })
}

/// What the items of a list are.
fn item_kind(list: &str) -> String {
    list.strip_suffix("List").unwrap_or(list).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_is_the_same_in_protobuf_and_in_json() {
        let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "9", "continue": "on"},
            "items": [
                {"metadata": {"name": "a", "namespace": "s", "creationTimestamp": "2026-11-23T10:00:00Z",
                        "managedFields": [{"manager": "m", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}]},
                    "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "500m"}}}],
                        "priority": 0, "hostUsers": false},
                    "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}],
                        "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-11-23T10:00:01Z"}]}},
                {"metadata": {"name": "b"}, "spec": {"containers": []}, "status": {}}]});
        let pods = Resource::new("", "v1", "pods");
        let root = builtin::graph().at(builtin::kind("", "v1", "PodList").unwrap());
        let compact = protobuf::encode(&list, root, "v1", "PodList").unwrap();
        let compact = Bytes::from(compact);
        let pages = [of_protobuf(&compact, &pods).unwrap(), of_json(list.to_string().as_bytes()).unwrap()];
        let [read, of_json] = pages.map(|page| {
            assert_eq!((page.revision.as_str(), page.next.as_str()), ("9", "on"));
            page.read().unwrap()
        });
        assert_eq!((&read[0]["kind"], &read[1]["apiVersion"]), (&json!("Pod"), &json!("v1")));
        assert_eq!(read[0]["metadata"]["managedFields"], Value::Null);
        // Else each list would have all statuses written anew.
        assert_eq!(read[0], of_json[0]);
        assert!(of_protobuf(&compact.slice(..compact.len() - 8), &pods).is_err());
        let unknown = protobuf::encode(&list, root, "v1", "NewsList").unwrap();
        let error = of_protobuf(&unknown.into(), &pods).err().unwrap();
        assert!(error.to_string().contains("a News in protobuf"), "{error}");
    }

    #[test]
    fn only_what_can_be_read_in_protobuf_is_asked_for_in_it() {
        let events = EVENTS;
        let kinds = Kind::ALL.iter().map(|kind| (kind.resource(), kind.name())).chain([(&events, "Event")]);
        for (resource, kind) in kinds {
            assert!(accept(resource).contains("protobuf"), "{kind}");
            let root = builtin::kind(&resource.group, &resource.version, kind);
            let root = builtin::graph().at(root.unwrap_or_else(|| panic!("{kind} is not known")));
            assert!(protobuf::is_supported(root), "{kind} has no fields");
        }
        assert_eq!(accept(&Resource::new("metrics.k8s.io", "v1beta1", "pods")), "application/json");
    }
}
