//! The events of a watch as the client asks for them.

use super::get::{self, Form};
use super::list::Selection;
use crate::cache::collection::Change;
use crate::cache::record::Record;
use crate::cache::watchers::{Event, Form as Encoding};
use crate::conversion::{self, Caller};
use crate::gateway::Place;
use crate::negotiation::{Format, MetaVersion, View};
use crate::reply;
use api_types::{ApiError, Revision};
use bytes::{BufMut, Bytes, BytesMut};
use compact_str::CompactString;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// What is waited for together with others is done in a task of its own: a watch goes on only when its client reads.
async fn aside<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    let panicked = |_| Err(ApiError::internal("a conversion panicked"));
    AbortOnDropHandle::new(tokio::spawn(work)).await.unwrap_or_else(panicked)
}

/// Encodes events for one watch.
pub struct Encoder {
    /// What the watch selects.
    pub selection: Selection,
    place: Place,
    view: View,
    format: Format,
    include: CompactString,
    first_table: bool,
    /// What others have to see too for the same bytes. Empty: each makes its own.
    shape: Arc<str>,
}

impl Encoder {
    /// For objects of a place.
    pub fn new(place: &Place, selection: Selection, form: Form) -> Self {
        let format = form.accept.rendering.format;
        let view = match form.accept.view {
            // Of one object there is no list: it comes as it is.
            View::MetadataList(_) => View::Object,
            view => view,
        };
        let shape = match view {
            // The first has the columns, and the others have not.
            View::Table(_) => "".into(),
            // Who began before a definition changed may see another form of the same version.
            _ => format!("{format:?} {view:?} {} {:p}", place.api_version(), Arc::as_ptr(&place.row)).into(),
        };
        Encoder {
            selection,
            place: place.clone(),
            view,
            format,
            include: form.include,
            first_table: true,
            shape,
        }
    }

    /// A change, as the selection sees it: an object that begins or ceases to be selected is added or deleted. `None`:
    /// it was not selected and is not.
    pub fn select(&self, change: &Change) -> Option<(&'static str, Arc<Record>)> {
        let before = change.previous.as_ref().is_some_and(|previous| self.selection.matches(previous));
        let after = !change.is_deleted() && self.selection.matches(&change.object);
        match (before, after) {
            (false, true) => Some(("ADDED", change.object.clone())),
            (true, true) => Some(("MODIFIED", change.object.clone())),
            (true, false) if change.is_deleted() => Some(("DELETED", change.object.clone())),
            // What is deleted is shown as it was when it was last selected, at the revision of the change.
            (true, false) => {
                let previous = change.previous.as_ref()?;
                Some(("DELETED", Arc::new(previous.at(change.revision))))
            }
            (false, false) => None,
        }
    }

    /// The event of a record that has been selected. `shared`: where those who see the same find it encoded. An error
    /// ends the watch: of what cannot be read no event is left out.
    pub fn encode(
        &mut self,
        of: &'static str,
        record: &Arc<Record>,
        shared: Option<&Event>,
    ) -> Result<Bytes, ApiError> {
        if record.broken.is_some() {
            get::value(record)?;
        }
        let is_own = |event: &&Event| Arc::ptr_eq(&event.change.object, record) && !self.shape.is_empty();
        Ok(match shared.filter(is_own) {
            Some(event) => {
                let form = Encoding { of, shape: self.shape.clone() };
                event.encoded(&form, || self.event(of, record))
            }
            None => self.event(of, record),
        })
    }

    /// The same for a record that only a webhook can convert. An error ends the watch.
    pub async fn convert(
        &mut self,
        caller: &Caller<'static>,
        of: &'static str,
        record: &Arc<Record>,
        shared: Option<&Arc<Event>>,
    ) -> Result<Bytes, ApiError> {
        let is_own =
            |event: &&Arc<Event>| Arc::ptr_eq(&event.change.object, record) && !self.shape.is_empty();
        let shared = shared.filter(is_own).cloned();
        let form = Encoding { of, shape: self.shape.clone() };
        let (caller, place, record) = (caller.clone(), self.place.clone(), record.clone());
        let shown = aside(async move {
            let shown = conversion::shown_one(&caller, &place, record);
            match shared {
                Some(event) => event.awaited(&form, shown).await,
                None => shown.await,
            }
        });
        let shown = shown.await?;
        self.object(&shown).map(|object| frame(of, &object, self.format))
    }

    /// Objects that were there when the watch began, as a webhook converts them.
    pub async fn converted(
        &self,
        caller: &Caller<'static>,
        records: Vec<Arc<Record>>,
    ) -> Result<Vec<Arc<Record>>, ApiError> {
        if records.is_empty() {
            return Ok(records);
        }
        let (caller, place) = (caller.clone(), self.place.clone());
        aside(async move { conversion::shown(&caller, &place, records).await }).await
    }

    /// True when only a webhook can convert a record.
    pub fn needs_webhook(&self, record: &Record) -> bool {
        conversion::needs_webhook(&self.place.row, &self.place.version, record)
    }

    /// The event that ends a watch.
    pub fn error(&self, error: &ApiError) -> Bytes {
        error_event(error, self.format)
    }

    fn event(&mut self, of: &str, record: &Record) -> Bytes {
        match self.object(record) {
            Ok(object) => frame(of, &object, self.format),
            Err(error) => error_event(&error, self.format),
        }
    }

    fn object(&mut self, record: &Record) -> Result<Bytes, ApiError> {
        let place = &self.place;
        match self.view {
            View::Object | View::MetadataList(_) if self.format == Format::Protobuf => {
                self.protobuf(&get::converted(place, record)?)
            }
            View::Object | View::MetadataList(_) => get::bytes_in_version(place, record),
            View::Metadata(version) => {
                self.metadata(&get::metadata_only(&get::shown_value(place, record)?, version), version)
            }
            View::Table(version) => {
                let value = get::shown_value(place, record)?;
                let options = get::table_options(&self.include, !self.first_table)?;
                self.first_table = false;
                let (row, columns) = (&place.row, &place.version);
                let mut table = api_resources::columns::table(row, columns, [&value].into_iter(), options);
                table["metadata"] = json!({"resourceVersion": record.revision.to_string()});
                Ok(Bytes::from(get::in_version(table, version).to_string()))
            }
        }
    }

    fn metadata(&self, value: &Value, version: MetaVersion) -> Result<Bytes, ApiError> {
        match get::meta_content(self.format, version, "PartialObjectMetadata", value)? {
            reply::Content::Json(bytes) | reply::Content::Raw(_, bytes) => Ok(bytes),
            _ => Err(ApiError::internal("metadata is neither JSON nor protobuf")),
        }
    }

    fn protobuf(&self, value: &Value) -> Result<Bytes, ApiError> {
        let place = &self.place;
        let bytes = api_schema::protobuf::encode(value, place.root(), &place.api_version(), &place.row.kind);
        bytes.map(Bytes::from).map_err(ApiError::internal)
    }

    /// An object of the kind that has only a `resourceVersion`: so far has the client come.
    pub fn bookmark(&self, at: Revision, initial_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": at.to_string()});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let of = |kind: &str, api_version: &str| json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        let object = match self.view {
            View::Object | View::MetadataList(_) => {
                let object = of(&self.place.row.kind, &self.place.api_version());
                match self.format {
                    Format::Protobuf => self.protobuf(&object),
                    _ => Ok(Bytes::from(object.to_string())),
                }
            }
            View::Metadata(version) => {
                self.metadata(&of("PartialObjectMetadata", version.api_version()), version)
            }
            View::Table(version) => Ok(Bytes::from(of("Table", version.api_version()).to_string())),
        };
        match object {
            Ok(object) => frame("BOOKMARK", &object, self.format),
            Err(error) => error_event(&error, self.format),
        }
    }
}

fn frame(of: &str, object: &[u8], format: Format) -> Bytes {
    if format == Format::Protobuf {
        return Bytes::from(api_schema::protobuf::watch_frame(of, object));
    }
    let mut out = BytesMut::with_capacity(object.len() + of.len() + 24);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(of.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(object);
    out.put_slice(b"}\n");
    out.freeze()
}

/// The event that says why a watch ends, or why an object cannot be shown.
pub fn error_event(error: &ApiError, format: Format) -> Bytes {
    let status = error.to_status();
    if format == Format::Protobuf
        && let Some(object) = reply::protobuf_status(&status)
    {
        return frame("ERROR", &object, format);
    }
    frame("ERROR", status.to_string().as_bytes(), Format::Json)
}
