//! WATCH: the changes of a resource as they come, selected for the watcher.

use super::events::Encoder;
use super::get::Form;
use super::list::{self, Selection};
use super::list_options::{self, ListOptions};
use super::outlet::{Made, Outlet};
use super::{Incoming, web_sockets};
use crate::cache::collection::Change;
use crate::cache::record::Record;
use crate::cache::snapshot::Records;
use crate::cache::watchers::{Changes, Event};
use crate::conversion::Caller;
use crate::gateway::Place;
use crate::lifetime::Lifetime;
use crate::negotiation::Format;
use crate::planes::Plane;
use crate::reply::{self, Content, Reply};
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::ResourceRow;
use api_types::{ApiError, Revision};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use std::sync::Arc;
use std::time::Duration;

/// An idle watch hears this often how far it has come.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How long a watch lasts that names no `timeoutSeconds`; each lasts up to twice as long.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
/// So many objects are looked at before others have their turn.
const BREATH: usize = 128;

/// Answers a watch with a stream.
pub async fn watch(
    server: &Arc<Server>,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let query = &auth.call().query;
    let form = Form::of(auth, place)?;
    auth.call().wish().stream(form.accept)?;
    let format = form.accept.rendering.format;
    let selection = Selection::parse(query, place)?;
    let options = ListOptions::parse(query, true)?;
    let asked = list_options::parse_version(&options.version)?;
    let place_taken = auth.plane().limits.watch()?;
    let lifetime = auth.lifetime(server)?;
    let collection = server.cache.collection(auth.plane().id, &place.resource());
    let initial = options.initial_events == Some(true);
    // Who wants all of a version that is not there yet waits for it; who wants what comes after it just watches.
    if initial
        && asked > server.cache.revision()
        && let Err(error) = list::wait_for(server, asked).await
    {
        return Ok(answer(auth, body, format, ended(&error, format)));
    }
    // It begins no earlier than what its client may have read before.
    server.cache.wait_for_whole_commit().await;
    let mut begun = server.cache.revision();
    let from = if asked == Revision::ZERO { begun } else { asked };
    let (records, missed, changes) = if initial {
        // All of that revision and nothing of a newer one, of which a part may be there already.
        let (snapshot, (missed, changes)) = loop {
            match collection.list_at_and_watch(&place.namespace, begun) {
                Ok(found) => break found,
                // So large a commit is entering that its beginning is history already.
                Err(forgotten) => list::wait_for(server, forgotten.oldest).await?,
            }
            begun = server.cache.revision();
        };
        (Some(selection.records(&snapshot, place, None)), missed, changes)
    } else {
        match collection.watch(&place.namespace, from) {
            Ok((missed, changes)) => (None, missed, changes),
            Err(forgotten) => {
                let error = ApiError::expired(asked, forgotten.oldest);
                return Ok(answer(auth, body, format, ended(&error, format)));
            }
        }
    };
    let encoder = Encoder::new(place, selection, form);
    let over = over(auth, place, lifetime, timeout(&options), &changes);
    let mut watch = Watch {
        server: server.clone(),
        _place: place_taken,
        encoder,
        caller: Caller::watching(auth),
        changes,
        bookmarks: options.bookmarks,
        initial_end: initial.then_some(begun),
        after: if initial { begun } else { from },
        sent: begun,
    };
    let events = async move |mut outlet: Outlet| watch.run(&mut outlet, records, missed).await.unwrap_or(());
    let events = Made::by(events).until(over);
    Ok(answer(auth, body, format, events))
}

/// What is sent, as messages to who asks for a WebSocket, else as the body.
fn answer(
    auth: &Authorized,
    body: &Incoming,
    format: Format,
    frames: impl Stream<Item = Bytes> + Send + 'static,
) -> Reply {
    let socket = web_sockets::is_asked_for(&auth.call().headers);
    match body.take_upgrade().filter(|_| socket) {
        Some(client) => web_sockets::answer(auth.call(), client, format, frames),
        None => streamed(format, frames),
    }
}

/// Resolves when the watch has to end, whatever its client does.
fn over(
    auth: &Authorized,
    place: &Place,
    lifetime: Lifetime,
    longest: Duration,
    changes: &Changes,
) -> impl Future<Output = ()> + Send + use<> {
    let end = tokio::time::Instant::now() + longest;
    let redefined = redefined(auth.plane().clone(), place.row.clone());
    let lagging = changes.ended();
    async move {
        tokio::select! {
            () = tokio::time::sleep_until(end) => {}
            () = lagging => {}
            // What is sent has to be what the definition says: who watches begins again with the new one.
            () = redefined => {}
            _ = lifetime.over() => {}
        }
    }
}

/// Resolves when the plane has another definition of a custom kind, or none.
async fn redefined(plane: Arc<Plane>, row: Arc<ResourceRow>) {
    if !row.is_custom() {
        return std::future::pending().await;
    }
    loop {
        let changed = plane.catalog_changed.notified();
        tokio::pin!(changed);
        // Whatever changes after the look is heard of.
        changed.as_mut().enable();
        let now = plane.catalog.load().resource(&row.group, &row.plural);
        if now.is_none_or(|now| !Arc::ptr_eq(&now, &row)) {
            return;
        }
        changed.await;
    }
}

/// How long a watch lasts. Watches that begin together and name no time do not end together.
fn timeout(options: &ListOptions) -> Duration {
    match options.timeout_seconds {
        None | Some(0) => DEFAULT_TIMEOUT.mul_f64(1.0 + rand::random::<f64>()),
        Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(24 * 3600)),
    }
}

/// A watch that cannot begin where it asks: one error event, then the end.
fn ended(error: &ApiError, format: Format) -> impl Stream<Item = Bytes> + use<> {
    futures::stream::iter([super::events::error_event(error, format)])
}

fn streamed(format: Format, frames: impl Stream<Item = Bytes> + Send + 'static) -> Reply {
    let stream = frames.map(|bytes| Ok::<_, std::io::Error>(Frame::data(bytes)));
    let of = match format {
        Format::Protobuf => reply::PROTOBUF_STREAM,
        _ => "application/json",
    };
    let body = BodyExt::boxed_unsync(StreamBody::new(stream));
    Reply::with(StatusCode::OK, Content::Stream(of, body))
}

/// One watch under way.
struct Watch {
    server: Arc<Server>,
    /// Its place among the watches that the plane may have open.
    _place: crate::limits::Taken,
    encoder: Encoder,
    caller: Caller<'static>,
    changes: Changes,
    bookmarks: bool,
    /// What the bookmark says that ends the initial events: they are what was there at this revision.
    initial_end: Option<Revision>,
    /// Changes up to this one are known to the client, even when they are still to come.
    after: Revision,
    /// How far the client has come.
    sent: Revision,
}

impl Watch {
    /// Ends when nothing comes any more, or cannot be told.
    async fn run(
        &mut self,
        outlet: &mut Outlet,
        records: Option<Records>,
        missed: Vec<Arc<Change>>,
    ) -> Option<()> {
        let mut strange: Vec<Arc<Record>> = Vec::new();
        for (index, record) in records.iter().flat_map(Records::iter).enumerate() {
            if self.encoder.selection.matches(record) {
                if self.encoder.needs_webhook(record) {
                    strange.push(record.clone());
                } else {
                    let event = self.encoder.encode("ADDED", record, None);
                    self.event(outlet, event).await?;
                }
            }
            self.sent = self.sent.max(record.revision);
            if index % BREATH == BREATH - 1 {
                self.converted(outlet, &mut strange).await?;
                tokio::task::yield_now().await;
            }
        }
        self.converted(outlet, &mut strange).await?;
        // What they were part of may be freed as it changes.
        drop(records);
        if let Some(begun) = self.initial_end.filter(|_| self.bookmarks) {
            let bookmark = self.encoder.bookmark(begun, true);
            outlet.put(bookmark).await;
        }
        for (index, change) in missed.into_iter().enumerate() {
            self.change(outlet, &change, None).await?;
            if index % BREATH == BREATH - 1 {
                tokio::task::yield_now().await;
            }
        }
        outlet.flush().await;
        let mut idle = tokio::time::interval(BOOKMARK_INTERVAL);
        idle.reset();
        loop {
            // Read before the channel: what is at or before it has been sent to the channel already.
            let applied = self.server.cache.revision();
            tokio::select! {
                event = self.changes.recv() => {
                    let event = event?;
                    self.change(outlet, &event.change, Some(&event)).await?;
                    while let Some(event) = self.changes.try_recv() {
                        self.change(outlet, &event.change, Some(&event)).await?;
                    }
                }
                _ = idle.tick(), if self.bookmarks => {
                    if self.changes.is_empty() && applied > self.sent {
                        self.sent = applied;
                        let bookmark = self.encoder.bookmark(applied, false);
                        outlet.put(bookmark).await;
                    }
                }
            }
            outlet.flush().await;
        }
    }

    /// A change, as the selection sees it. `event`: where those who see the same find it encoded.
    async fn change(
        &mut self,
        outlet: &mut Outlet,
        change: &Change,
        event: Option<&Arc<Event>>,
    ) -> Option<()> {
        if change.revision <= self.after {
            return Some(());
        }
        self.sent = self.sent.max(change.revision);
        let Some((of, record)) = self.encoder.select(change) else { return Some(()) };
        if !self.encoder.needs_webhook(&record) {
            let event = self.encoder.encode(of, &record, event.map(Arc::as_ref));
            return self.event(outlet, event).await;
        }
        let event = Box::pin(self.encoder.convert(&self.caller, of, &record, event)).await;
        self.event(outlet, event).await
    }

    /// Sends an event, or says why there is none.
    async fn event(&self, outlet: &mut Outlet, event: Result<Bytes, ApiError>) -> Option<()> {
        match event {
            Ok(event) => {
                outlet.put(event).await;
                Some(())
            }
            Err(error) => self.fail(outlet, &error).await,
        }
    }

    /// Sends objects that were there when the watch began and that only a webhook can convert.
    async fn converted(&mut self, outlet: &mut Outlet, records: &mut Vec<Arc<Record>>) -> Option<()> {
        let records = std::mem::take(records);
        match self.encoder.converted(&self.caller, records).await {
            Ok(records) => {
                for record in &records {
                    let event = self.encoder.encode("ADDED", record, None);
                    self.event(outlet, event).await?;
                }
                Some(())
            }
            Err(error) => self.fail(outlet, &error).await,
        }
    }

    /// Says why the watch cannot go on, and ends it: what has been missed is found by whoever lists again.
    async fn fail(&self, outlet: &mut Outlet, error: &ApiError) -> Option<()> {
        outlet.put(self.encoder.error(error)).await;
        outlet.flush().await;
        None
    }
}
