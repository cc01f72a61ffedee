//! Events to a webhook: `EventList`s, posted in batches, tried again with growing pauses, and dropped when there are more
//! than it takes.

use crate::dialer::addresses::Reach;
use crate::dialer::webhooks::{ClientConfig, Post};
use crate::dialer::{self, DialError, Dialer, Exchange, Network, Peer, Trust};
use crate::pki::KeyedCertificate;
use crate::planes::Plane;
use api_resources::audit::API_VERSION;
use api_types::TenantId;
use api_types::tenancy::AuditWebhook;
use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, header};
use http_body_util::Full;
use serde_json::json;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Who posts.
const AGENT: &str = "insula-audit";
/// The most events that wait.
const MAX_EVENTS: usize = 10_000;
/// The most bytes of them.
const MAX_BYTES: usize = 8 << 20;
/// The most events of a batch.
const BATCH_EVENTS: usize = 400;
/// The bytes beyond which nothing more is put into a batch.
const BATCH_BYTES: usize = 1 << 20;
/// How long an event waits for others.
const BATCH_WAIT: Duration = Duration::from_secs(1);
/// How long a batch may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The pauses before a batch is tried again.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// The most bytes of an answer, of which nothing is needed.
const MAX_ANSWER: usize = 64 << 10;

/// Events that wait for their webhook. What is in it when it is dropped is still sent.
pub struct Queue {
    sender: mpsc::Sender<Bytes>,
    state: Arc<State>,
}

struct State {
    of: String,
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl Queue {
    /// Takes an event, or drops it when many wait.
    pub fn push(&self, event: Bytes) {
        let size = event.len();
        let room = self.state.bytes.fetch_add(size, Ordering::Relaxed) + size <= MAX_BYTES;
        if room && self.sender.try_send(event).is_ok() {
            return;
        }
        self.state.bytes.fetch_sub(size, Ordering::Relaxed);
        self.state.drop_events(1, "they come faster than the webhook takes them");
    }
}

impl State {
    /// Counts, and tells of the first and of every thousandth.
    fn drop_events(&self, count: u64, why: &str) {
        let before = self.dropped.fetch_add(count, Ordering::Relaxed);
        if before == 0 || before / 1_000 != (before + count) / 1_000 {
            let dropped = before + count;
            tracing::warn!(of = self.of, dropped, why, "audit events were dropped");
        }
    }
}

/// To whom batches go.
trait Receiver: Send + 'static {
    fn send(&self, batch: Bytes) -> impl Future<Output = Result<(), DialError>> + Send;
}

struct OfTenant {
    plane: Weak<Plane>,
    config: ClientConfig,
}

impl Receiver for OfTenant {
    async fn send(&self, batch: Bytes) -> Result<(), DialError> {
        match self.plane.upgrade() {
            Some(plane) => post(&self.config, &plane.dialer, batch).await,
            // The tenant is gone, and nobody waits for what it did.
            None => Ok(()),
        }
    }
}

/// The webhook of the installation, as a kubeconfig names it.
#[derive(Clone, Default)]
pub struct Destination {
    /// `https://HOST[:PORT][/PATH]`.
    pub url: String,
    /// The certificates to believe, PEM; empty: those that the system trusts.
    pub bundle: Vec<u8>,
    /// Who one is, by a certificate.
    pub identity: Option<KeyedCertificate>,
    /// Who one is, by a token.
    pub token: Option<String>,
}

impl Destination {
    /// Finds out whether it can be dialled: what is wrong is told before it is.
    pub fn check(&self) -> Result<(), DialError> {
        self.peer().map(drop)
    }

    fn peer(&self) -> Result<(Peer, String), DialError> {
        let identity = self.identity.as_ref().map(dialer::identity).transpose()?;
        Peer::of_url(&self.url, Trust { bundle: Some(&self.bundle), identity: identity.as_ref() })
    }
}

struct OfInstallation {
    dialer: Dialer,
    destination: Destination,
}

impl Receiver for OfInstallation {
    async fn send(&self, batch: Bytes) -> Result<(), DialError> {
        let (peer, path) = self.destination.peer()?;
        let mut request = Request::post(if path.is_empty() { "/" } else { &path })
            .header(header::USER_AGENT, AGENT)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.destination.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(batch)).map_err(|error| DialError::Broken(error.to_string()))?;
        let exchange = Exchange { peer: &peer, request, timeout: TIMEOUT, max_answer: MAX_ANSWER };
        let answer = self.dialer.exchange(exchange).await?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(DialError::Status(format!("it answers {}", answer.status))),
        }
    }
}

async fn post(config: &ClientConfig, dialer: &Dialer, body: Bytes) -> Result<(), DialError> {
    let post = Post { query: "", body, agent: AGENT, timeout: TIMEOUT, max_answer: MAX_ANSWER };
    config.post(dialer, post).await.map(drop)
}

/// The webhook of a tenant: it is dialled as other addresses that the tenant chooses.
pub fn of_tenant(plane: &Arc<Plane>, webhook: &AuditWebhook) -> Queue {
    let config = ClientConfig::read(&json!({"url": webhook.url, "caBundle": webhook.ca_bundle}));
    start(plane.name.to_string(), OfTenant { plane: Arc::downgrade(plane), config })
}

/// The webhook of the installation, which may be anywhere.
pub fn of_installation(destination: Destination, network: &Arc<Network>) -> Queue {
    let dialer = Dialer::new(network.clone(), TenantId::HOST, Reach::Everything);
    start("the installation".to_owned(), OfInstallation { dialer, destination })
}

fn start(of: String, receiver: impl Receiver) -> Queue {
    let (sender, events) = mpsc::channel(MAX_EVENTS);
    let state = Arc::new(State { of, bytes: AtomicUsize::new(0), dropped: AtomicU64::new(0) });
    tokio::spawn(run(events, state.clone(), receiver));
    Queue { sender, state }
}

async fn run(mut events: mpsc::Receiver<Bytes>, state: Arc<State>, receiver: impl Receiver) {
    while let Some(first) = events.recv().await {
        let batch = gather(first, &mut events).await;
        let size: usize = batch.iter().map(Bytes::len).sum();
        state.bytes.fetch_sub(size, Ordering::Relaxed);
        let body = list(&batch);
        let mut pauses = PAUSES.iter();
        while let Err(error) = receiver.send(body.clone()).await {
            let Some(pause) = pauses.next() else {
                state.drop_events(batch.len() as u64, &error.to_string());
                break;
            };
            tokio::time::sleep(*pause).await;
        }
    }
}

async fn gather(first: Bytes, events: &mut mpsc::Receiver<Bytes>) -> Vec<Bytes> {
    let (mut size, mut batch) = (first.len(), vec![first]);
    let end = Instant::now() + BATCH_WAIT;
    while batch.len() < BATCH_EVENTS && size < BATCH_BYTES {
        let Ok(Some(next)) = tokio::time::timeout_at(end, events.recv()).await else { break };
        size += next.len();
        batch.push(next);
    }
    batch
}

/// Events as one list.
fn list(events: &[Bytes]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(
        format!(r#"{{"kind":"EventList","apiVersion":"{API_VERSION}","metadata":{{}},"items":["#).as_bytes(),
    );
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        out.put_slice(event);
    }
    out.put_slice(b"]}");
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use serde_json::Value;

    /// Fails so often, then keeps what it gets.
    #[derive(Clone, Default)]
    struct Kept {
        failures: Arc<AtomicUsize>,
        batches: Arc<Mutex<Vec<Value>>>,
    }

    impl Receiver for Kept {
        async fn send(&self, batch: Bytes) -> Result<(), DialError> {
            if self
                .failures
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                return Err(DialError::Timeout);
            }
            self.batches.lock().push(serde_json::from_slice(&batch).unwrap());
            Ok(())
        }
    }

    fn event(n: usize) -> Bytes {
        Bytes::from(format!("{{\"n\":{n}}}"))
    }

    fn numbers(kept: &Kept) -> Vec<Vec<u64>> {
        let items = |batch: &Value| {
            assert_eq!(batch["kind"], "EventList");
            batch["items"].as_array().unwrap().iter().map(|event| event["n"].as_u64().unwrap()).collect()
        };
        kept.batches.lock().iter().map(items).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn events_go_in_batches_and_are_tried_again() {
        let kept = Kept { failures: Arc::new(AtomicUsize::new(2)), ..Kept::default() };
        let (sender, events) = mpsc::channel(MAX_EVENTS);
        let state =
            Arc::new(State { of: "x".into(), bytes: AtomicUsize::new(0), dropped: AtomicU64::new(0) });
        let queue = Queue { sender, state: state.clone() };
        (0..BATCH_EVENTS + 3).for_each(|n| queue.push(event(n)));
        drop(queue);
        run(events, state.clone(), kept.clone()).await;
        let sizes: Vec<usize> = numbers(&kept).iter().map(Vec::len).collect();
        assert_eq!(sizes, [BATCH_EVENTS, 3]);
        assert_eq!(numbers(&kept).concat(), (0..(BATCH_EVENTS + 3) as u64).collect::<Vec<_>>());
        assert_eq!(state.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(state.dropped.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_is_dropped_and_counted() {
        let kept = Kept { failures: Arc::new(AtomicUsize::new(usize::MAX)), ..Kept::default() };
        let (sender, events) = mpsc::channel(MAX_EVENTS);
        let state =
            Arc::new(State { of: "x".into(), bytes: AtomicUsize::new(0), dropped: AtomicU64::new(0) });
        let queue = Queue { sender, state: state.clone() };
        (0..MAX_EVENTS + 5).for_each(|n| queue.push(event(n)));
        assert_eq!(state.dropped.load(Ordering::Relaxed), 5);
        queue.push(Bytes::from(vec![b' '; MAX_BYTES]));
        assert_eq!(state.dropped.load(Ordering::Relaxed), 6);
        drop(queue);
        run(events, state.clone(), kept).await;
        assert_eq!(
            state.dropped.load(Ordering::Relaxed),
            MAX_EVENTS as u64 + 6,
            "a webhook that never answers"
        );
        assert_eq!(state.bytes.load(Ordering::Relaxed), 0);
    }
}
