//! Tenants out of backups: POST `/insula/store/tenants/NAME` of the host plane, with the backup of a tenant as its body.
//!
//! The answer comes when the backup has been checked: a line of JSON now and then, `{"objects": …, "of": …}` while objects
//! are put back, and at the end `{"done": …}` or `{"failed": …}`. The restore goes on when nobody reads it.
//!
//! Read in this order: [`upload`] (the backup as it comes, checked before anything is made), [`selection`] (what of it
//! comes back, and how), [`putting`] (the tenant), [`state`] (what its status says meanwhile).

mod putting;
mod selection;
pub mod state;
mod upload;

use crate::reply::{Content, Reply};
use crate::request_info::RequestInfo;
use crate::server::Server;
use crate::stages::Authorized;
use crate::storage;
use api_resources::PlaneKind;
use api_types::{ApiError, Reason, TenantId};
use bytes::Bytes;
use compact_str::CompactString;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use parking_lot::Mutex;
use putting::{Done, check_name, restore};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use upload::{Upload, receive};

/// Restores at a time.
const AT_ONCE: usize = 4;
/// Lines that nobody has read yet; more of them are left out, but not the last one.
const LINES: usize = 16;

/// The tenants that are being restored by this process, and the planes that were made for them.
#[derive(Default)]
pub struct Restores(Mutex<HashMap<CompactString, Option<TenantId>>>);

/// One of them; ends when dropped.
struct Begun {
    server: Arc<Server>,
    name: CompactString,
}

impl Restores {
    /// Takes note of the plane of a tenant that is about to be born. True when it is one of these.
    pub(crate) fn born(&self, name: &str, id: TenantId) -> bool {
        self.0.lock().get_mut(name).map(|plane| *plane = Some(id)).is_some()
    }
}

fn begin(server: &Arc<Server>, name: &str) -> Result<Begun, ApiError> {
    let mut under_way = server.restores.0.lock();
    if under_way.contains_key(name) {
        let why = format!("the tenant {name} is being restored already");
        return Err(ApiError::new(Reason::Conflict, why));
    }
    if under_way.len() >= AT_ONCE {
        return Err(ApiError::too_many_requests(format!("{AT_ONCE} tenants are being restored already"), 10));
    }
    under_way.insert(name.into(), None);
    Ok(Begun { server: server.clone(), name: name.into() })
}

impl Drop for Begun {
    fn drop(&mut self) {
        let born = self.server.restores.0.lock().remove(&self.name).flatten();
        // Its `Tenant` says what becomes of it, if there is one.
        if let Some(id) = born.filter(|id| self.server.planes.get(*id).is_none()) {
            self.server.planes.show(id);
        }
    }
}

/// The tenant that a request asks to have made of its body.
pub fn asked(auth: &Authorized) -> Option<&str> {
    let RequestInfo::Path { path, .. } = &auth.call().info else { return None };
    let of_host = auth.plane().kind == PlaneKind::Host && auth.call().method == http::Method::POST;
    path.strip_prefix(storage::TENANTS).filter(|name| of_host && !name.is_empty() && !name.contains('/'))
}

/// Answers such a request.
pub async fn answer<B>(server: &Arc<Server>, name: &str, body: B) -> Result<Reply, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let begun = begin(server, name);
    // What is wrong is told when the body has come: a sender reads no answer before.
    let upload = receive(server, body).await?;
    let begun = begun?;
    check_name(server, name)?;
    tracing::info!(tenant = name, objects = upload.objects, "a tenant is being restored");
    let (lines, mut said) = mpsc::channel(LINES);
    tokio::spawn(run(begun, upload, lines));
    let stream = async_stream(move |context| said.poll_recv(context));
    let body = BodyExt::boxed_unsync(StreamBody::new(stream));
    Ok(Reply::with(StatusCode::OK, Content::Stream("application/x-ndjson", body)))
}

/// A stream of lines out of what polls for them.
fn async_stream(
    mut next: impl FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<Value>> + Send + 'static,
) -> impl futures::Stream<Item = std::io::Result<Frame<Bytes>>> + Send {
    futures::stream::poll_fn(move |context| {
        next(context).map(|line| line.map(|line| Ok(Frame::data(Bytes::from(format!("{line}\n"))))))
    })
}

/// Runs to its end, whoever listens.
async fn run(begun: Begun, mut upload: Upload, lines: mpsc::Sender<Value>) {
    let of = upload.objects;
    let progress = |objects| drop(lines.try_send(json!({"objects": objects, "of": of})));
    let done = tokio::select! {
        done = restore(&begun.server, &begun.name, &mut upload, &progress) => done,
        // The next start says that it was cut off.
        () = begun.server.shutdown.requested() => return,
    };
    let last = match &done {
        Ok(done) => json!({"done": summary(&begun.name, &upload, done)}),
        Err(error) => {
            tracing::error!(tenant = %begun.name, %error, "a tenant was not restored");
            json!({"failed": error.to_status()})
        }
    };
    drop(begun);
    // Nobody may listen any more.
    let _ = lines.send(last).await;
}

fn summary(name: &str, upload: &Upload, done: &Done) -> Value {
    let left: Map<String, Value> =
        upload.left.iter().map(|(why, count)| (why.text().to_owned(), (*count).into())).collect();
    json!({"tenant": name, "uid": done.id.to_string(), "made": upload.made, "objects": done.objects,
        "left": left, "otherAddresses": done.moved})
}
