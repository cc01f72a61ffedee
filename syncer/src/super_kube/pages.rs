//! Lists in pages. In protobuf where the cluster can, which is a third to write and to send: fields that our tables do not
//! know are lost then, which nobody here looks at. Where something cannot be read in it, the list is begun anew in JSON: one
//! object with a time beyond what we count must not hide all the others. Only the whole list can be: pages of one list are of
//! one revision, and a first page that is asked for once more is of another.

use super::{KubeSuper, encode, path, selector_query, without_history};
use crate::kinds::Kind;
use crate::super_api::At;
use crate::work::EVENTS;
use api_schema::graph::TypeRef;
use api_schema::{builtin, protobuf};
use api_types::{ApiError, Resource};
use bytes::Bytes;
use serde_json::Value;
use std::fmt::Display;
use std::sync::Arc;

/// Objects in a page.
const PAGE: usize = 500;
const JSON: &str = "application/json";
/// The best first.
const COMPACT: &str = "application/vnd.kubernetes.protobuf,application/json";

/// What is listed, and in what.
pub struct List<'a> {
    pub api: &'a KubeSuper,
    pub resource: &'a Resource,
    /// Empty for all.
    namespace: &'a str,
    pub selector: &'a str,
    accept: &'static str,
}

/// Why a page is not there.
#[derive(Debug)]
pub enum Failed {
    /// The cluster cannot be reached, or does not give it.
    Refused(ApiError),
    /// What was answered cannot be read.
    Unreadable(ApiError),
}

/// One page of a list.
pub struct Page {
    pub items: Vec<Item>,
    pub revision: String,
    /// Where the next page begins; empty after the last.
    pub next: String,
}

/// An object of a page.
pub struct Item {
    content: Content,
    of: Arc<Of>,
}

/// What an object alone says of itself, and those of lists do not.
struct Of {
    kind: String,
    api_version: String,
}

enum Content {
    Read(Value),
    /// Its message, and of which type it is.
    Unread(Bytes, TypeRef<'static>),
}

impl Item {
    /// The whole object.
    pub fn read(self) -> Result<Value, Failed> {
        let mut object = match self.content {
            Content::Read(object) => object,
            Content::Unread(message, root) => {
                protobuf::item_without_history(&message, root).map_err(unreadable)?
            }
        };
        if let Some(object) = object.as_object_mut() {
            object.insert("kind".into(), self.of.kind.as_str().into());
            object.insert("apiVersion".into(), self.of.api_version.as_str().into());
        }
        Ok(object)
    }
}

impl<'a> List<'a> {
    pub fn new(api: &'a KubeSuper, resource: &'a Resource, namespace: &'a str, selector: &'a str) -> Self {
        List { api, resource, namespace, selector, accept: accept(resource) }
    }

    /// All objects.
    pub async fn all(mut self) -> Result<Vec<Value>, ApiError> {
        loop {
            match self.once().await {
                Err(Failed::Unreadable(why)) if self.fall_back(&why) => {}
                read => return read.map_err(Failed::into_error),
            }
        }
    }

    async fn once(&self) -> Result<Vec<Value>, Failed> {
        let (mut objects, mut from) = (Vec::new(), String::new());
        loop {
            let page = self.page(&from).await?;
            for item in page.items {
                objects.push(item.read()?);
            }
            if page.next.is_empty() {
                return Ok(objects);
            }
            from = page.next;
        }
    }

    /// From now on asks in JSON; false when it did before.
    pub fn fall_back(&mut self, why: &ApiError) -> bool {
        if self.accept == JSON {
            return false;
        }
        self.accept = JSON;
        let resource = &self.resource.resource;
        tracing::warn!(%resource, error = %why, "a list in protobuf cannot be read; asking for it in JSON");
        true
    }

    /// Asks for a page. Objects in protobuf are not read yet.
    pub async fn page(&self, from: &str) -> Result<Page, Failed> {
        let base = path(self.resource, &At::new(self.namespace, ""));
        let mut path = format!("{base}?limit={PAGE}{}", selector_query(self.selector));
        if !from.is_empty() {
            path.push_str("&continue=");
            path.extend(encode(from));
        }
        let answer = self.api.compact(&path, self.accept).await.map_err(Failed::Refused)?;
        let is_protobuf = answer.starts_with(protobuf::PREFIX);
        if is_protobuf { of_protobuf(&answer, self.resource) } else { of_json(&answer) }
    }
}

impl Failed {
    fn into_error(self) -> ApiError {
        match self {
            Failed::Refused(error) | Failed::Unreadable(error) => error,
        }
    }
}

/// What a list is asked for in. Of metrics, which an API server of its own answers for, our tables have no numbers of fields.
fn accept(resource: &Resource) -> &'static str {
    let is_known = *resource == EVENTS || Kind::ALL.iter().any(|kind| kind.resource() == resource);
    if is_known { COMPACT } else { JSON }
}

fn unreadable(error: impl Display) -> Failed {
    Failed::Unreadable(ApiError::internal(format_args!("the super cluster's list: {error}")))
}

fn of_json(answer: &[u8]) -> Result<Page, Failed> {
    let mut page = without_history::ANSWER.read(answer).map_err(unreadable)?;
    let items = match page["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let of = Arc::new(Of { kind: item_kind(&text(&page["kind"])), api_version: text(&page["apiVersion"]) });
    let item = |object| Item { content: Content::Read(object), of: of.clone() };
    Ok(Page {
        items: items.into_iter().map(item).collect(),
        revision: text(&page["metadata"]["resourceVersion"]),
        next: text(&page["metadata"]["continue"]),
    })
}

fn of_protobuf(answer: &Bytes, resource: &Resource) -> Result<Page, Failed> {
    let list = protobuf::list(answer).map_err(unreadable)?;
    let kind = item_kind(&list.kind);
    let root = builtin::kind(&resource.group, &resource.version, &kind).map(|root| builtin::graph().at(root));
    let Some(root) = root.filter(|root| protobuf::is_supported(*root)) else {
        return Err(unreadable(format_args!("a {kind} in protobuf, of which no fields are known")));
    };
    let of = Arc::new(Of { kind, api_version: list.api_version });
    let item = |item: &&[u8]| Item { content: Content::Unread(answer.slice_ref(item), root), of: of.clone() };
    Ok(Page {
        items: list.items.iter().map(item).collect(),
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
                        "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null,
                            "lastTransitionTime": "2026-11-23T10:00:01Z"}]}},
                {"metadata": {"name": "b"}, "spec": {"containers": []}, "status": {}}]});
        let pods = Resource::new("", "v1", "pods");
        let root = builtin::graph().at(builtin::kind("", "v1", "PodList").unwrap());
        let compact = Bytes::from(protobuf::encode(&list, root, "v1", "PodList").unwrap());
        let pages = [of_protobuf(&compact, &pods).unwrap(), of_json(list.to_string().as_bytes()).unwrap()];
        let [read, of_json] = pages.map(|page| {
            assert_eq!((page.revision.as_str(), page.next.as_str()), ("9", "on"));
            page.items.into_iter().map(|item| item.read().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!((&read[0]["kind"], &read[1]["apiVersion"]), (&json!("Pod"), &json!("v1")));
        assert_eq!(read[0]["metadata"]["managedFields"], Value::Null);
        // Else each list would have all statuses written anew.
        assert_eq!(read[0], of_json[0]);
        assert!(of_protobuf(&compact.slice(..compact.len() - 8), &pods).is_err());
        let unknown = protobuf::encode(&list, root, "v1", "NewsList").unwrap();
        let error = of_protobuf(&unknown.into(), &pods).err().unwrap().into_error();
        assert!(error.to_string().contains("a News in protobuf"), "{error}");
    }

    #[test]
    fn only_what_can_be_read_in_protobuf_is_asked_for_in_it() {
        let events = EVENTS;
        let kinds = Kind::ALL.iter().map(|kind| (kind.resource(), kind.name())).chain([(&events, "Event")]);
        for (resource, kind) in kinds {
            assert_eq!(accept(resource), COMPACT, "{kind}");
            let root = builtin::kind(&resource.group, &resource.version, kind);
            let root = builtin::graph().at(root.unwrap_or_else(|| panic!("{kind} is not known")));
            assert!(protobuf::is_supported(root), "{kind} has no fields");
        }
        assert_eq!(accept(&Resource::new("metrics.k8s.io", "v1beta1", "pods")), JSON);
    }
}
