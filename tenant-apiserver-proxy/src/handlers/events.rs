//! The events of a watch as the client asks for them.

use super::get::{self, Form};
use super::list::Selection;
use crate::cache::collection::Change;
use crate::cache::record::Record;
use crate::cache::watchers::{Event, Form as Encoding};
use crate::gateway::Place;
use crate::negotiation::{Format, MetaVersion, View};
use crate::reply;
use api_types::{ApiError, Revision};
use bytes::{BufMut, Bytes, BytesMut};
use compact_str::CompactString;
use serde_json::{Value, json};

/// Encodes events for one watch.
pub struct Encoder {
    /// What the watch selects.
    pub selection: Selection,
    place: Place,
    view: View,
    format: Format,
    include: String,
    first_table: bool,
    /// What others have to see too for the same bytes. Empty: each makes its own.
    shape: CompactString,
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
            View::Table(_) => CompactString::default(),
            _ => format!("{format:?} {view:?} {}", place.api_version()).into(),
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

    /// An object that was there when the watch began.
    pub fn added(&mut self, record: &Record) -> Bytes {
        self.event("ADDED", record)
    }

    /// A change, as the selection sees it: an object that begins or ceases to be selected is added or deleted. `None`:
    /// it was not selected and is not. `event`: where those who see the same find it encoded.
    pub fn change(&mut self, change: &Change, event: Option<&Event>) -> Option<Bytes> {
        let before = change.previous.as_ref().is_some_and(|previous| self.selection.matches(previous));
        let after = !change.is_deleted() && self.selection.matches(&change.object);
        let of = match (before, after) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) if change.is_deleted() => "DELETED",
            // What is deleted is shown as it was when it was last selected, at the revision of the change.
            (true, false) => {
                let previous = change.previous.as_ref()?;
                return Some(self.event("DELETED", &previous.at(change.revision)));
            }
            (false, false) => return None,
        };
        match event.filter(|_| !self.shape.is_empty()) {
            Some(event) => {
                let form = Encoding { of, shape: self.shape.clone() };
                Some(event.encoded(&form, || self.event(of, &change.object)))
            }
            None => Some(self.event(of, &change.object)),
        }
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
                self.metadata(&get::metadata_only(&get::value(record)?, version), version)
            }
            View::Table(version) => {
                let value = get::value(record)?;
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
