//! LIST: the stored bytes joined, over one revision, in pages.

use super::continuation::Continuation;
use super::get::{self, Form};
use super::list_options::{ListOptions, Wanted};
use crate::cache::record::Record;
use crate::cache::snapshot::{Records, Snapshot};
use crate::conversion::{self, Caller};
use crate::gateway::Place;
use crate::heavy;
use crate::joined::Joined;
use crate::negotiation::{self, Format, MetaVersion, View};
use crate::reply::{Content, Reply};
use crate::server::Server;
use crate::stages::{Authorized, Query};
use api_resources::selectors::{FieldSelector, LabelSelector};
use api_types::{ApiError, Cause, CauseReason, ObjectName, Reason, Revision};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a list waits for a revision that is not there yet.
const PATIENCE: Duration = Duration::from_secs(3);
/// A list that looks at more objects than this takes long.
const LONG: usize = 500;

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
        if !place.name.is_empty() && fields.name().is_some_and(|name| place.name != name) {
            return Err(ApiError::bad_request("fieldSelector metadata.name doesn't match requested name"));
        }
        let fields = fields.stored(&place.row);
        Ok(Selection { labels, fields, name: place.name.to_string() })
    }

    /// What has to be looked at to find what is selected: one object, when one is named.
    pub fn records(&self, snapshot: &Snapshot, place: &Place, after: Option<&ObjectName>) -> Records {
        if self.name.is_empty() || (place.row.namespaced && place.namespace.is_empty()) {
            return snapshot.records(&place.namespace, after);
        }
        snapshot.one(&ObjectName::new(&place.namespace, &self.name), after)
    }

    /// True when everything is selected.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything() && self.name.is_empty()
    }

    /// True when the object is selected, or could be: of one that cannot be read nobody knows.
    pub fn matches(&self, record: &Record) -> bool {
        let by_meta = || {
            self.labels.matches(&record.meta.labels) && self.fields.matches(&record.name, &record.meta.fields)
        };
        (self.name.is_empty() || record.name.name == self.name) && (record.broken.is_some() || by_meta())
    }
}

/// What a list has to look through.
pub struct Found {
    records: Records,
    /// The revision that they show.
    revision: Revision,
    selection: Selection,
    /// 0: no limit.
    limit: usize,
    /// Of all namespaces: pages go on after a namespace and a name.
    all: bool,
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

/// Finds what the query asks for, as of one revision. This holds nobody up, and takes no time to speak of.
pub async fn find(server: &Server, auth: &Authorized, place: &Place) -> Result<Found, ApiError> {
    let query = &auth.call().query;
    let mut options = ListOptions::parse(query, false)?;
    // What a collection is deleted by is always read in pages: a version means exactly that one.
    if options.limit == 0 && auth.resource().is_some_and(|request| request.verb == "deletecollection") {
        options.limit = i64::MAX;
    }
    // As Kubernetes answers from its watch cache, which keeps no events: any version will do, and comes as a whole.
    let any_version = options.version == "0" && options.token.is_empty();
    if any_version && auth.resource().is_some_and(|of| of.verb == "list" && of.resource != "events") {
        options.limit = 0;
    }
    let selection = Selection::parse(query, place)?;
    let collection = server.cache.collection(auth.plane().id, &place.resource());
    let limit = usize::try_from(options.limit).unwrap_or(0);
    let all = place.row.namespaced && place.namespace.is_empty();
    let (snapshot, after, revision) = if options.token.is_empty() {
        let (snapshot, revision) = match options.wanted()? {
            Wanted::Newest => server.cache.newest(&collection).await,
            Wanted::AtLeast(at) => {
                wait_for(server, at).await?;
                server.cache.newest(&collection).await
            }
            Wanted::Exactly(at) => {
                wait_for(server, at).await?;
                (collection.snapshot_at(at).map_err(|_| too_old())?, at)
            }
        };
        (snapshot, None, revision)
    } else {
        let mut from = Continuation::decode(&options.token, all)?;
        if !matches!(options.version.as_str(), "" | "0") {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        if !all {
            from.after.namespace = place.namespace.clone();
        }
        let (snapshot, revision) = match from.revision {
            Some(at) => {
                wait_for(server, at).await?;
                let shown = || {
                    let name = if all { from.after.clone() } else { ObjectName::cluster(&from.after.name) };
                    Continuation { after: name, ..from.clone() }
                };
                (collection.snapshot_at(at).map_err(|_| shown().expired())?, at)
            }
            None => server.cache.newest(&collection).await,
        };
        (snapshot, Some(from.after), revision)
    };
    let records = selection.records(&snapshot, place, after.as_ref());
    Ok(Found { records, revision, selection, limit, all })
}

impl Found {
    /// True when [`Found::page`], and showing it, takes long.
    fn is_long(&self) -> bool {
        let everything = self.selection.is_everything();
        let walked =
            if everything && self.limit > 0 { self.limit } else { usize::MAX }.min(self.records.len());
        let size = |record: &Arc<Record>| record.bytes.len();
        walked > LONG || self.records.iter().take(walked).map(size).sum::<usize>() > heavy::OTHER_BYTES
    }

    /// Walks through it to the end of the page.
    pub fn page(&self) -> Page {
        let mut page = Page { records: Vec::new(), revision: self.revision, next: None, remaining: None };
        let mut selected = self.records.iter().filter(|record| self.selection.matches(record));
        if self.limit == 0 {
            page.records.extend(selected.cloned());
            return page;
        }
        page.records.extend(selected.by_ref().take(self.limit).cloned());
        if let Some(last) = page.records.last()
            && selected.next().is_some()
        {
            let after = if self.all { last.name.clone() } else { ObjectName::cluster(&last.name.name) };
            page.next = Some(Continuation { revision: Some(self.revision), after }.encode());
            let left = self.records.len() - page.records.len();
            page.remaining = self.selection.is_everything().then_some(left);
        }
        page
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
    let form = Form::of(auth, place)?;
    let found = find(server, auth, place).await?;
    let caller = Caller::of(server, auth);
    if !found.is_long() {
        let mut page = found.page();
        page.records = conversion::shown(&caller, place, page.records).await?;
        return show(&form, place, &page);
    }
    let place = place.clone();
    if place.row.conversion.is_none() {
        return server.heavy.compute(true, move || show(&form, &place, &found.page())).await?;
    }
    let mut page = server.heavy.compute(true, move || found.page()).await?;
    page.records = conversion::shown(&caller, &place, page.records).await?;
    server.heavy.compute(true, move || show(&form, &place, &page)).await?
}

/// Shows a page as the client asks for it. What only a webhook can convert comes converted.
pub fn show(form: &Form, place: &Place, page: &Page) -> Result<Reply, ApiError> {
    let accept = form.accept;
    let content = match accept.view {
        View::Object if accept.rendering.format == Format::Protobuf => {
            let mut list = json!({"metadata": list_metadata(page), "items": values(place, page)?});
            list["kind"] = place.row.list_kind.to_string().into();
            list["apiVersion"] = place.api_version().into();
            protobuf_list(place, &list)?
        }
        View::Object => Content::Joined(join(place, page)?),
        View::Metadata(_) => {
            let is = format!("a list (*{})", get::go_type(place, &place.row.list_kind));
            return Err(negotiation::misfit("PartialObjectMetadata", &is));
        }
        View::MetadataList(version) if accept.rendering.format != Format::Protobuf => {
            Content::Json(join_metadata(place, page, version)?)
        }
        View::MetadataList(version) => {
            let only = |value: &Value| get::metadata_only(value, version);
            let items: Vec<Value> = values(place, page)?.iter().map(only).collect();
            const KIND: &str = "PartialObjectMetadataList";
            let list = json!({"kind": KIND, "apiVersion": version.api_version(),
                "metadata": list_metadata(page), "items": items});
            get::meta_content(accept.rendering.format, version, KIND, &list)?
        }
        View::Table(version) => {
            let options = get::table_options(&form.include, false)?;
            let stored: Vec<Value> = page
                .records
                .iter()
                .map(|record| get::shown_value(place, record))
                .collect::<Result<_, _>>()?;
            let mut table = api_resources::columns::table(&place.row, &place.version, stored.iter(), options);
            table["metadata"] = list_metadata(page);
            Content::Json(Bytes::from(get::in_version(table, version).to_string()))
        }
    };
    Ok(Reply::with(StatusCode::OK, content).rendered(accept.rendering))
}

/// The list of the objects' metadata in JSON: each cut out of the stored bytes, the rest of which is passed over.
fn join_metadata(place: &Place, page: &Page, version: MetaVersion) -> Result<Bytes, ApiError> {
    #[derive(serde::Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let api_version = version.api_version();
    let mut out = BytesMut::new();
    let head = format!(
        "{{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"{api_version}\",\"metadata\":{},\"items\":[",
        list_metadata(page)
    );
    out.extend_from_slice(head.as_bytes());
    let item = format!("{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"{api_version}\",\"metadata\":");
    for (index, record) in page.records.iter().enumerate() {
        let bytes = get::bytes_in_version(place, record)?;
        let whole: Whole<'_> = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::internal(format_args!("{} cannot be read: {error}", record.name)))?;
        if index > 0 {
            out.extend_from_slice(b",");
        }
        out.extend_from_slice(item.as_bytes());
        out.extend_from_slice(whole.metadata.get().as_bytes());
        out.extend_from_slice(b"}");
    }
    out.extend_from_slice(b"]}");
    Ok(out.freeze())
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

/// The list in JSON: stored bytes, to be joined. Items of built-in kinds carry no `kind` and `apiVersion`, as in Kubernetes:
/// those come first in the bytes and are left out.
fn join(place: &Place, page: &Page) -> Result<Joined, ApiError> {
    let api_version = place.api_version();
    let lead = if place.row.is_custom() {
        0
    } else {
        format!("{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",", place.row.kind).len() - 1
    };
    let mut metadata = list_metadata(page);
    if place.row.is_custom() && page.next.is_none() {
        // Lists of custom resources have one, be it empty.
        metadata["continue"] = "".into();
    }
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",\"metadata\":{},\"items\":[",
        place.row.list_kind, metadata
    );
    let item = |record: &Arc<Record>| match conversion::is_in_form(place, record) {
        true => Ok(record.bytes.slice(lead..)),
        false => item_in_version(place, record),
    };
    let items = page.records.iter().map(item).collect::<Result<_, ApiError>>()?;
    Ok(Joined::new(Bytes::from(head), items))
}
