//! WATCH: the changes of a resource as they come, selected for the watcher.

use super::get;
use super::list::{self, Selection};
use super::list_options::{self, ListOptions};
use crate::cache::collection::Change;
use crate::cache::record::Record;
use crate::gateway::Place;
use crate::reply::{self, Content, Format, Reply, View};
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, Revision};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// An idle watch hears this often how far it has come.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How long a watch lasts that names no `timeoutSeconds`; each lasts up to twice as long.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
/// How many encoded frames wait for a slow client before the stream stands still, and its watcher lags.
const FRAMES: usize = 4;
/// Events are joined into frames up to this size.
const FRAME_BYTES: usize = 64 << 10;

/// Answers a watch with a stream.
pub async fn watch(server: &Arc<Server>, auth: &Authorized, place: &Place) -> Result<Reply, ApiError> {
    let query = &auth.call().query;
    let accept = reply::accept(auth.call().header("accept"), place.has_protobuf())?;
    let selection = Selection::parse(query, place)?;
    let options = ListOptions::parse(query, true)?;
    let asked = list_options::parse_version(&options.version)?;
    let place_taken = auth.plane().limits.watch()?;
    let end = auth.stream_end()?;
    let collection = server.cache.collection(auth.plane().id, &place.resource());
    let initial = options.initial_events == Some(true);
    // Who wants all of a version that is not there yet waits for it; who wants what comes after it just watches.
    if initial
        && asked > server.cache.revision()
        && let Err(error) = list::wait_for(server, asked).await
    {
        return Ok(ended(error, accept.format));
    }
    // Read before the list: whatever is at or before it is in the list.
    let begun = server.cache.revision();
    let from = if asked == Revision::ZERO { begun } else { asked };
    let (records, missed, changes) = if initial {
        let (records, changes) = collection.list_and_watch(&place.namespace);
        (records, Vec::new(), changes)
    } else {
        match collection.watch(&place.namespace, from) {
            Ok((missed, changes)) => (Vec::new(), missed, changes),
            Err(forgotten) => {
                return Ok(ended(ApiError::expired(asked, forgotten.oldest), accept.format));
            }
        }
    };
    let encoder = Encoder {
        place: place.clone(),
        selection,
        view: accept.view,
        format: accept.format,
        include: query.get("includeObject").unwrap_or("Metadata").to_owned(),
        first_table: true,
    };
    let (frames, stream) = mpsc::channel(FRAMES);
    let task = Stream {
        server: server.clone(),
        ended: end.plane,
        _place: place_taken,
        encoder,
        changes,
        frames,
        bookmarks: options.bookmarks,
        initial_end: initial.then_some(begun),
        after: if initial { Revision::ZERO } else { from },
        sent: begun,
    };
    let timeout = end.credentials.map_or(timeout(&options), |valid| timeout(&options).min(valid));
    let deadline = tokio::time::Instant::now() + timeout;
    tokio::spawn(task.run(records, missed, deadline));
    Ok(streamed(accept.format, stream))
}

/// How long a watch lasts. Watches that begin together and name no time do not end together.
fn timeout(options: &ListOptions) -> Duration {
    match options.timeout_seconds {
        None | Some(0) => DEFAULT_TIMEOUT.mul_f64(1.0 + rand::random::<f64>()),
        Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(24 * 3600)),
    }
}

/// A watch that cannot begin where it asks: one error event, then the end.
fn ended(error: ApiError, format: Format) -> Reply {
    let (frames, stream) = mpsc::channel(1);
    // The channel is empty, so there is room.
    let _ = frames.try_send(error_event(&error, format));
    streamed(format, stream)
}

fn error_event(error: &ApiError, format: Format) -> Bytes {
    let status = error.to_status();
    if format == Format::Protobuf {
        let root = api_schema::builtin::graph();
        if let Some(id) = root.named("io.k8s.apimachinery.pkg.apis.meta.v1.Status") {
            let object =
                api_schema::protobuf::encode(&status, root.at(id), "v1", "Status").unwrap_or_default();
            return Bytes::from(api_schema::protobuf::watch_frame("ERROR", &object));
        }
    }
    Bytes::from(format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n"))
}

fn streamed(format: Format, frames: mpsc::Receiver<Bytes>) -> Reply {
    let stream = futures::stream::unfold(frames, |mut frames| async {
        let bytes = frames.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(bytes)), frames))
    });
    let of = match format {
        Format::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json",
    };
    let body = BodyExt::boxed_unsync(StreamBody::new(stream));
    Reply::with(StatusCode::OK, Content::Stream(HeaderValue::from_static(of), body))
}

/// One watch under way.
struct Stream {
    server: Arc<Server>,
    ended: Arc<service_runtime::Shutdown>,
    /// Its place among the watches that the plane may have open.
    _place: crate::limits::Taken,
    encoder: Encoder,
    changes: mpsc::Receiver<Arc<Change>>,
    frames: mpsc::Sender<Bytes>,
    bookmarks: bool,
    /// What the bookmark says that ends the initial events: whoever comes again with it has missed nothing, though
    /// objects of newer commits, of which not all was to be read yet, may have been among them.
    initial_end: Option<Revision>,
    /// Changes up to this one are known to the client, even when they are still to come.
    after: Revision,
    /// How far the client has come.
    sent: Revision,
}

impl Stream {
    async fn run(
        mut self,
        records: Vec<Arc<Record>>,
        missed: Vec<Arc<Change>>,
        deadline: tokio::time::Instant,
    ) {
        let end = tokio::time::sleep_until(deadline);
        tokio::pin!(end);
        let (ended, shutdown) = (self.ended.clone(), self.server.shutdown.clone());
        tokio::select! {
            () = &mut end => {}
            () = ended.requested() => {}
            () = shutdown.requested() => {}
            _ = self.stream(records, missed) => {}
        }
    }

    /// Ends when the client is gone or lags too much.
    async fn stream(&mut self, records: Vec<Arc<Record>>, missed: Vec<Arc<Change>>) -> Option<()> {
        let mut buffer = BytesMut::new();
        for record in &records {
            if self.encoder.selection.matches(record) {
                self.encoder.event(&mut buffer, "ADDED", record);
            }
            self.sent = self.sent.max(record.revision);
            self.flush_full(&mut buffer).await?;
        }
        for change in &missed {
            self.change(&mut buffer, change);
            self.flush_full(&mut buffer).await?;
        }
        if let Some(begun) = self.initial_end.filter(|_| self.bookmarks) {
            self.encoder.bookmark(&mut buffer, begun, true);
        }
        self.flush(&mut buffer).await?;
        let mut idle = tokio::time::interval(BOOKMARK_INTERVAL);
        idle.reset();
        loop {
            // Read before the channel: what is at or before it has been sent to the channel already.
            let applied = self.server.cache.revision();
            tokio::select! {
                change = self.changes.recv() => {
                    let change = change?;
                    self.change(&mut buffer, &change);
                    while let Ok(change) = self.changes.try_recv() {
                        self.change(&mut buffer, &change);
                        self.flush_full(&mut buffer).await?;
                    }
                }
                _ = idle.tick(), if self.bookmarks => {
                    if self.changes.is_empty() && applied > self.sent {
                        self.sent = applied;
                        self.encoder.bookmark(&mut buffer, applied, false);
                    }
                }
                () = self.frames.closed() => return None,
            }
            self.flush(&mut buffer).await?;
        }
    }

    /// A change, as the selection sees it: an object that begins or ceases to be selected is added or deleted.
    fn change(&mut self, buffer: &mut BytesMut, change: &Change) {
        if change.revision <= self.after {
            return;
        }
        self.sent = self.sent.max(change.revision);
        let selection = &self.encoder.selection;
        let before = change.previous.as_ref().is_some_and(|previous| selection.matches(previous));
        let after = !change.is_deleted() && selection.matches(&change.object);
        match (before, after) {
            (false, true) => self.encoder.event(buffer, "ADDED", &change.object),
            (true, true) => self.encoder.event(buffer, "MODIFIED", &change.object),
            (true, false) if change.is_deleted() => self.encoder.event(buffer, "DELETED", &change.object),
            // What is deleted is shown as it was when it was last selected, at the revision of the change.
            (true, false) => {
                if let Some(previous) = &change.previous {
                    self.encoder.event(buffer, "DELETED", &previous.at(change.revision));
                }
            }
            (false, false) => {}
        }
    }

    async fn flush_full(&self, buffer: &mut BytesMut) -> Option<()> {
        if buffer.len() < FRAME_BYTES { Some(()) } else { self.flush(buffer).await }
    }

    async fn flush(&self, buffer: &mut BytesMut) -> Option<()> {
        if buffer.is_empty() {
            return Some(());
        }
        self.frames.send(buffer.split().freeze()).await.ok()
    }
}

/// Encodes events as the client asks for them.
struct Encoder {
    place: Place,
    selection: Selection,
    view: View,
    format: Format,
    include: String,
    first_table: bool,
}

impl Encoder {
    fn event(&mut self, out: &mut BytesMut, of: &str, record: &Record) {
        match self.object(record) {
            Ok(object) => self.put(out, of, &object),
            Err(error) => out.extend_from_slice(&error_event(&error, self.format)),
        }
    }

    fn put(&self, out: &mut BytesMut, of: &str, object: &[u8]) {
        if self.format == Format::Protobuf {
            out.extend_from_slice(&api_schema::protobuf::watch_frame(of, object));
            return;
        }
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(of.as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        out.extend_from_slice(object);
        out.put_slice(b"}\n");
    }

    fn object(&mut self, record: &Record) -> Result<Bytes, ApiError> {
        let place = &self.place;
        match (self.view, self.format) {
            (View::Object, Format::Protobuf) => self.protobuf(&get::converted(place, record)?),
            (View::Object, _) => get::bytes_in_version(place, record),
            (View::Metadata, _) => Ok(Bytes::from(get::metadata_only(&get::value(record)?).to_string())),
            (View::Table, _) => {
                let value = get::value(record)?;
                let options = get::table_options(&self.include, !self.first_table)?;
                self.first_table = false;
                let (row, version) = (&place.row, &place.version);
                let mut table = api_resources::columns::table(row, version, [&value].into_iter(), options);
                table["metadata"] = json!({"resourceVersion": record.revision.to_string()});
                Ok(Bytes::from(table.to_string()))
            }
        }
    }

    fn protobuf(&self, value: &Value) -> Result<Bytes, ApiError> {
        let place = &self.place;
        let bytes = api_schema::protobuf::encode(value, place.root(), &place.api_version(), &place.row.kind);
        bytes.map(Bytes::from).map_err(ApiError::internal)
    }

    /// An object of the kind that has only a `resourceVersion`: so far has the client come.
    fn bookmark(&self, out: &mut BytesMut, at: Revision, initial_end: bool) {
        let mut metadata = json!({"resourceVersion": at.to_string()});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let (kind, api_version) = match self.view {
            View::Object => (self.place.row.kind.to_string(), self.place.api_version()),
            View::Metadata => ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned()),
            View::Table => ("Table".to_owned(), "meta.k8s.io/v1".to_owned()),
        };
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        if self.format == Format::Protobuf {
            if let Ok(bytes) = self.protobuf(&object) {
                self.put(out, "BOOKMARK", &bytes);
            }
            return;
        }
        self.put(out, "BOOKMARK", object.to_string().as_bytes());
    }
}
