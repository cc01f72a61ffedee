//! LIST: the stored bytes joined, over one revision, in pages.

use super::continuation::Continuation;
use super::get;
use super::list_options::{ListOptions, Wanted};
use crate::cache::collection::Collection;
use crate::cache::record::Record;
use crate::gateway::Place;
use crate::reply::{self, Content, Format, Reply, View};
use crate::server::Server;
use crate::stages::{Authorized, Query};
use api_resources::selectors::{FieldSelector, LabelSelector};
use api_types::{ApiError, Cause, CauseReason, ObjectName, Reason, Revision};
use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a list waits for a revision that is not there yet.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a list or a watch selects.
pub struct Selection {
    /// By labels.
    pub labels: LabelSelector,
    /// By fields.
    pub fields: FieldSelector,
    /// By name, when the path has one.
    pub name: String,
}

impl Selection {
    /// Reads the selectors of a query.
    pub fn parse(query: &Query, place: &Place) -> Result<Self, ApiError> {
        let bad = |error: &dyn std::fmt::Display| ApiError::bad_request(error.to_string());
        let labels = LabelSelector::parse(query.get("labelSelector").unwrap_or("")).map_err(|e| bad(&e))?;
        let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or("")).map_err(|e| bad(&e))?;
        fields.check(&place.row).map_err(|e| bad(&e))?;
        let fields = fields.stored(&place.row);
        Ok(Selection { labels, fields, name: place.name.to_string() })
    }

    /// True when everything is selected.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything() && self.name.is_empty()
    }

    /// True when the object is selected.
    pub fn matches(&self, record: &Record) -> bool {
        (self.name.is_empty() || record.name.name == self.name)
            && self.labels.matches(&record.meta.labels)
            && self.fields.matches(&record.name, &record.meta.fields)
    }
}

/// What a list found.
pub struct Page {
    /// The objects.
    pub records: Vec<Arc<Record>>,
    /// The revision that they show.
    pub revision: Revision,
    /// For the next page.
    pub next: Option<String>,
    /// How many are left, when that is known.
    pub remaining: Option<usize>,
}

/// Reads a page as the query asks.
pub async fn read(server: &Server, auth: &Authorized, place: &Place) -> Result<Page, ApiError> {
    let query = &auth.call().query;
    let options = ListOptions::parse(query, false)?;
    let selection = Selection::parse(query, place)?;
    let collection = server.cache.collection(auth.plane().id, &place.resource());
    let limit = usize::try_from(options.limit).unwrap_or(0);
    let (records, revision) = if options.token.is_empty() {
        match options.wanted()? {
            Wanted::Newest => newest(server, &collection, place, None).await?,
            Wanted::AtLeast(at) => {
                wait_for(server, at).await?;
                newest(server, &collection, place, None).await?
            }
            Wanted::Exactly(at) => {
                wait_for(server, at).await?;
                let records = collection.list_at(&place.namespace, None, at).map_err(|_| too_old())?;
                (records, at)
            }
        }
    } else {
        let all = place.row.namespaced && place.namespace.is_empty();
        let mut from = Continuation::decode(&options.token, all)?;
        if !matches!(options.version.as_str(), "" | "0") {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        if !all {
            from.after.namespace = place.namespace.clone();
        }
        let read = |at| collection.list_at(&place.namespace, Some(&from.after), at);
        match from.revision {
            Some(at) => {
                wait_for(server, at).await?;
                let shown = || {
                    let name = if all { from.after.clone() } else { ObjectName::cluster(&from.after.name) };
                    Continuation { after: name, ..from.clone() }
                };
                (read(at).map_err(|_| shown().expired())?, at)
            }
            None => newest(server, &collection, place, Some(&from.after)).await?,
        }
    };
    let everything = selection.is_everything();
    let mut selected: Vec<Arc<Record>> = if everything {
        records
    } else {
        records.into_iter().filter(|record| selection.matches(record)).collect()
    };
    let mut page = Page { records: Vec::new(), revision, next: None, remaining: None };
    if limit > 0 && selected.len() > limit {
        page.remaining = everything.then(|| selected.len() - limit);
        selected.truncate(limit);
        let all = place.row.namespaced && place.namespace.is_empty();
        page.next = selected.last().map(|last| {
            let after = if all { last.name.clone() } else { ObjectName::cluster(&last.name.name) };
            Continuation { revision: Some(revision), after }.encode()
        });
    }
    page.records = selected;
    Ok(page)
}

/// What is there now, without what is newer than the revision that the list names: a commit may be entering the cache
/// at this moment.
async fn newest(
    server: &Server,
    collection: &Collection,
    place: &Place,
    after: Option<&ObjectName>,
) -> Result<(Vec<Arc<Record>>, Revision), ApiError> {
    loop {
        let at = server.cache.revision();
        match collection.list_at(&place.namespace, after, at) {
            Ok(records) => return Ok((records, at)),
            // So large a commit is entering that its beginning is history already.
            Err(forgotten) => wait_for(server, forgotten.oldest).await?,
        }
    }
}

/// Waits for a revision for a short time; then it is too large.
pub async fn wait_for(server: &Server, at: Revision) -> Result<(), ApiError> {
    if tokio::time::timeout(PATIENCE, server.cache.wait_for(at)).await.is_ok() {
        return Ok(());
    }
    let current = server.cache.revision();
    let message = format!("Timeout: Too large resource version: {at}, current: {current}");
    let cause = Cause::new(CauseReason::ResourceVersionTooLarge, "", "Too large resource version");
    Err(ApiError::new(Reason::Timeout, message).with_causes(vec![cause]))
}

fn too_old() -> ApiError {
    ApiError::new(Reason::Expired, "The resourceVersion for the provided list is too old.")
}

/// Answers a list.
pub async fn list(server: &Server, auth: &Authorized, place: &Place) -> Result<Reply, ApiError> {
    let page = read(server, auth, place).await?;
    show(auth, place, &page)
}

/// Shows a page as the client asks for it.
pub fn show(auth: &Authorized, place: &Place, page: &Page) -> Result<Reply, ApiError> {
    let accept = reply::accept(auth.call().header("accept"), place.has_protobuf())?;
    let content = match (accept.view, accept.format) {
        (View::Object, Format::Protobuf) => {
            let mut list = json!({"metadata": list_metadata(page), "items": values(place, page)?});
            list["kind"] = place.row.list_kind.to_string().into();
            list["apiVersion"] = place.api_version().into();
            protobuf_list(place, &list)?
        }
        (View::Object, _) => Content::Json(join(place, page)?),
        (View::Metadata, _) => {
            let items: Vec<Value> = values(place, page)?.iter().map(get::metadata_only).collect();
            let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": list_metadata(page), "items": items});
            Content::Json(Bytes::from(list.to_string()))
        }
        (View::Table, _) => {
            let include = auth.call().query.get("includeObject").unwrap_or("Metadata");
            let options = get::table_options(include, false)?;
            let stored: Vec<Value> =
                page.records.iter().map(|record| get::value(record)).collect::<Result<_, _>>()?;
            let (row, version) = (&place.row, &place.version);
            let mut table = api_resources::columns::table(row, version, stored.iter(), options);
            table["metadata"] = list_metadata(page);
            Content::Json(Bytes::from(table.to_string()))
        }
    };
    Ok(Reply::with(StatusCode::OK, content))
}

/// An object of another version than the stored one, as an item of a list.
fn item_in_version(place: &Place, record: &Record) -> Result<Bytes, ApiError> {
    let mut value = get::converted(place, record)?;
    if !place.row.is_custom()
        && let Some(fields) = value.as_object_mut()
    {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    Ok(Bytes::from(value.to_string()))
}

fn protobuf_list(place: &Place, list: &Value) -> Result<Content, ApiError> {
    let kind = &place.row.list_kind;
    let root = api_schema::builtin::kind(&place.row.group, &place.version.name, kind)
        .ok_or_else(|| ApiError::internal(format_args!("{kind} has no protobuf form")))?;
    let root = place.version.graph.at(root);
    get::protobuf(root, &place.api_version(), kind, list)
}

fn values(place: &Place, page: &Page) -> Result<Vec<Value>, ApiError> {
    page.records.iter().map(|record| get::converted(place, record)).collect()
}

fn list_metadata(page: &Page) -> Value {
    let mut metadata = json!({});
    // What is not stored has no version.
    if page.revision != Revision::ZERO {
        metadata["resourceVersion"] = page.revision.to_string().into();
    }
    if let Some(next) = &page.next {
        metadata["continue"] = next.clone().into();
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    metadata
}

/// The list in JSON: stored bytes, joined. Items of built-in kinds carry no `kind` and `apiVersion`, as in Kubernetes:
/// those come first in the bytes and are left out.
fn join(place: &Place, page: &Page) -> Result<Bytes, ApiError> {
    let api_version = place.api_version();
    let lead = if place.row.is_custom() {
        0
    } else {
        format!("{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",", place.row.kind).len() - 1
    };
    let size: usize = page.records.iter().map(|record| record.bytes.len() + 1).sum();
    let mut out = BytesMut::with_capacity(size + 256);
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",\"metadata\":{},\"items\":[",
        place.row.list_kind,
        list_metadata(page)
    );
    out.extend_from_slice(head.as_bytes());
    for (index, record) in page.records.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        let converted;
        let bytes = if record.api_version == api_version {
            &record.bytes
        } else {
            converted = item_in_version(place, record)?;
            &converted
        };
        if lead > 0 && record.api_version == api_version {
            out.put_u8(b'{');
            out.extend_from_slice(&bytes[lead + 1..]);
        } else {
            out.extend_from_slice(bytes);
        }
    }
    out.extend_from_slice(b"]}");
    Ok(out.freeze())
}
