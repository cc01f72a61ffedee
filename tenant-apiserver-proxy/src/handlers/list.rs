//! LIST: the stored bytes joined, over one revision, in pages.

use super::get;
use crate::cache::collection::Collection;
use crate::cache::record::Record;
use crate::gateway::Place;
use crate::reply::{self, Content, Format, Reply, View};
use crate::server::Server;
use crate::stages::{Authorized, Query};
use api_resources::selectors::{FieldSelector, LabelSelector};
use api_types::{ApiError, Cause, CauseReason, ObjectName, Reason, Revision};
use base64::Engine;
use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a list waits for a revision that is not there yet.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most objects of one page.
const MAX_LIMIT: usize = 1 << 31;

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

/// Where the next page begins, as the client carries it.
#[derive(Serialize, Deserialize)]
struct Continue {
    v: String,
    rv: u64,
    start: String,
}

const CONTINUE_VERSION: &str = "meta.k8s.io/v1";

fn encode_continue(revision: Revision, last: &ObjectName) -> String {
    let token = Continue {
        v: CONTINUE_VERSION.into(),
        rv: revision.0,
        start: format!("{}/{}", last.namespace, last.name),
    };
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json!(token).to_string())
}

fn decode_continue(token: &str) -> Result<(Revision, ObjectName), ApiError> {
    let wrong = |why: String| {
        ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
    };
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(token)
        .map_err(|error| wrong(error.to_string()))?;
    let token: Continue = serde_json::from_slice(&bytes).map_err(|error| match bytes.first() {
        Some(first) if !first.is_ascii_graphic() => {
            wrong(format!("invalid character '\\x{first:x}' looking for beginning of value"))
        }
        _ => wrong(error.to_string()),
    })?;
    if token.v != CONTINUE_VERSION {
        return Err(wrong(format!("server does not recognize this encoded version {:?}", token.v)));
    }
    let (namespace, name) = token.start.split_once('/').ok_or_else(|| wrong("it names no object".into()))?;
    Ok((Revision(token.rv), ObjectName::new(namespace, name)))
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
    let selection = Selection::parse(query, place)?;
    let collection = server.cache.collection(auth.plane().id, &place.resource());
    let limit = match query.get("limit") {
        Some(text) => text
            .parse::<i64>()
            .map_err(|_| ApiError::bad_request(format!("invalid limit {text:?}: it must be a number")))?,
        None => 0,
    };
    let limit = usize::try_from(limit).unwrap_or(0).min(MAX_LIMIT);
    let (records, revision) = match query.get("continue") {
        Some(token) => {
            if query.get("resourceVersionMatch").is_some() {
                return Err(ApiError::bad_request("resourceVersionMatch is forbidden when continue is set"));
            }
            let (at, after) = decode_continue(token)?;
            let records =
                collection.list_at(&place.namespace, Some(&after), at).map_err(|_| expired_continue())?;
            (records, at)
        }
        None => match wanted_version(query, place)? {
            Wanted::Newest => newest(server, &collection, place).await?,
            Wanted::AtLeast(at) => {
                wait_for(server, at).await?;
                newest(server, &collection, place).await?
            }
            Wanted::Exactly(at) => {
                wait_for(server, at).await?;
                let records = collection
                    .list_at(&place.namespace, None, at)
                    .map_err(|forgotten| ApiError::expired(at, forgotten.oldest))?;
                (records, at)
            }
        },
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
        page.next = selected.last().map(|last| encode_continue(revision, &last.name));
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
) -> Result<(Vec<Arc<Record>>, Revision), ApiError> {
    loop {
        let at = server.cache.revision();
        match collection.list_at(&place.namespace, None, at) {
            Ok(records) => return Ok((records, at)),
            // So large a commit is entering that its beginning is history already.
            Err(forgotten) => wait_for(server, forgotten.oldest).await?,
        }
    }
}

enum Wanted {
    Newest,
    AtLeast(Revision),
    Exactly(Revision),
}

fn wanted_version(query: &Query, place: &Place) -> Result<Wanted, ApiError> {
    let version = query.get("resourceVersion").unwrap_or("");
    let number = parse_version(version)?;
    let invalid = |field: &str, cause: Cause| {
        let _ = (field, place);
        ApiError::invalid("meta.k8s.io", "ListOptions", "", vec![cause])
    };
    match query.get("resourceVersionMatch") {
        None if version.is_empty() || number == Revision::ZERO => Ok(Wanted::Newest),
        None => Ok(Wanted::AtLeast(number)),
        Some(_) if version.is_empty() => Err(invalid(
            "resourceVersionMatch",
            Cause::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ),
        )),
        Some("NotOlderThan") => Ok(Wanted::AtLeast(number)),
        Some("Exact") if number == Revision::ZERO => Err(invalid(
            "resourceVersionMatch",
            Cause::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ),
        )),
        Some("Exact") => Ok(Wanted::Exactly(number)),
        Some(other) => Err(invalid(
            "resourceVersionMatch",
            Cause::not_supported("resourceVersionMatch", &Value::from(other), &["Exact", "NotOlderThan", ""]),
        )),
    }
}

/// Reads a `resourceVersion`; an empty one is zero.
pub fn parse_version(text: &str) -> Result<Revision, ApiError> {
    if text.is_empty() {
        return Ok(Revision::ZERO);
    }
    text.parse().map(Revision).map_err(|_| {
        let cause = Cause::invalid("resourceVersion", &Value::from(text), "must be a number");
        ApiError::invalid("meta.k8s.io", "ListOptions", "", vec![cause])
    })
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

fn expired_continue() -> ApiError {
    ApiError::new(
        Reason::Expired,
        "The provided continue parameter is too old to display a consistent list result. You must start a new list \
         without the continue parameter.",
    )
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
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continue_tokens_are_reversible_and_checked() {
        let name = ObjectName::new("ns", "name");
        let token = encode_continue(Revision(12), &name);
        assert_eq!(decode_continue(&token).unwrap(), (Revision(12), name));
        for wrong in ["zzz", "e30", "!!!", ""] {
            assert_eq!(decode_continue(wrong).unwrap_err().code(), 400, "{wrong}");
        }
    }
}
