//! Connections to an extension server that wait for its next request, so that not each pays for a handshake and, where
//! the server is a pod, for a way into the super cluster.
//!
//! A connection is used for a minute at most: where a Service leads, and what a tenant may reach, counts for all
//! requests a minute after it has changed.

use crate::dialer::Ended;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Connections to one server that wait.
const MAX_IDLE: usize = 4;
/// How long after it was opened a connection takes requests.
const MAX_AGE: Duration = Duration::from_secs(60);

/// A connection that one request is sent over at a time.
pub struct Connection {
    /// Sends requests.
    pub sender: SendRequest<Full<Bytes>>,
    opened: Instant,
    _ended: Ended<()>,
}

impl Connection {
    /// One that was opened just now; `ended` drives it.
    pub fn new(sender: SendRequest<Full<Bytes>>, ended: Ended<()>) -> Self {
        Connection { sender, opened: Instant::now(), _ended: ended }
    }

    fn is_good(&self) -> bool {
        self.opened.elapsed() < MAX_AGE && !self.sender.is_closed()
    }
}

/// Those that wait.
#[derive(Default)]
pub struct Idle(Mutex<Vec<Connection>>);

impl Idle {
    /// One that can be used, the one that was used last.
    pub fn take(&self) -> Option<Connection> {
        let mut waiting = self.0.lock();
        waiting.retain(Connection::is_good);
        waiting.pop()
    }

    /// Gives one back whose answer has ended.
    pub fn put(&self, connection: Connection) {
        let mut waiting = self.0.lock();
        waiting.retain(Connection::is_good);
        if connection.is_good() && waiting.len() < MAX_IDLE {
            waiting.push(connection);
        }
    }

    /// Ends those that are too old.
    pub fn tidy(&self) {
        self.0.lock().retain(Connection::is_good);
    }
}
