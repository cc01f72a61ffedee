//! An HTTP/2 connection and its streams as one task.
//!
//! Guarantees: what its streams have to say at a time goes out in one write, and whoever has news for many of them wakes one
//! task. Nothing of a connection is left when it ends. Assumes that streams hand on what others make: whatever computes, as
//! a request does, is a task of its own.

use crate::gathered_io::Gathered;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::task::{ArcWake, AtomicWaker, waker_ref};
use hyper::rt::Executor;
use parking_lot::Mutex;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;

/// After so many rounds others have their turn.
const ROUNDS: usize = 4;
/// How often streams are looked at in a round.
const STREAMS: usize = 128;

/// How long the task goes on with requests that are tried where they are, before others have their turn.
const STRETCH: Duration = Duration::from_micros(500);

/// Where a connection puts its streams.
#[derive(Clone, Default)]
pub struct Streams(Arc<Shared>);

#[derive(Default)]
struct Shared {
    new: Mutex<Vec<BoxFuture<'static, ()>>>,
    /// When the task began what it does now.
    began: Mutex<Option<Instant>>,
}

impl Streams {
    /// False: the task has done enough for now, and more is for tasks of their own.
    pub fn may_compute(&self) -> bool {
        self.0.began.lock().is_some_and(|began| began.elapsed() < STRETCH)
    }

    fn take(&self) -> Vec<BoxFuture<'static, ()>> {
        std::mem::take(&mut *self.0.new.lock())
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        // A panic ends its stream, and none of the others.
        let stream = AssertUnwindSafe(stream).catch_unwind().map(drop);
        self.0.new.lock().push(Box::pin(stream));
    }
}

/// A connection with its streams.
pub struct ConnectionTask<C, S> {
    /// The connection alone.
    pub connection: Pin<Box<C>>,
    written: Gathered<S>,
    new: Streams,
    open: FuturesUnordered<BoxFuture<'static, ()>>,
    bell: Arc<Bell>,
}

impl<C: Future, S> ConnectionTask<C, S> {
    /// Of a connection that puts its streams and what it writes there.
    pub fn new(connection: C, streams: Streams, written: Gathered<S>) -> Self {
        ConnectionTask {
            connection: Box::pin(connection),
            written,
            new: streams,
            open: FuturesUnordered::new(),
            bell: Arc::default(),
        }
    }
}

impl<C, S> Drop for ConnectionTask<C, S> {
    fn drop(&mut self) {
        // They hold where they are put: those that were never looked at would hold each other for ever.
        drop(self.new.take());
    }
}

impl<C, S, E> Future for ConnectionTask<C, S>
where
    C: Future<Output = Result<(), E>>,
    S: AsyncWrite + Unpin,
    E: From<io::Error>,
{
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let this = &mut *self;
        this.bell.task.register(context.waker());
        let waker = waker_ref(&this.bell);
        let mut inner = Context::from_waker(&waker);
        *this.new.0.began.lock() = Some(Instant::now());
        for _ in 0..ROUNDS {
            // First the streams: the connection writes what all of them say.
            this.open.extend(this.new.take());
            for _ in 0..STREAMS {
                this.bell.look();
                while let Poll::Ready(Some(())) = this.open.poll_next_unpin(&mut inner) {}
                // It stops when two have rung for themselves, as all do that get room to say more.
                if !this.bell.has_rung() {
                    break;
                }
            }
            if let Poll::Ready(ended) = this.connection.as_mut().poll(&mut inner) {
                // An upgrade's last words: what is left of the connection goes its own way.
                let _ = this.written.poll_send(&mut inner);
                return Poll::Ready(ended);
            }
            // Of what one change wakes, some are woken while others are polled: they are waited for.
            if this.bell.has_rung() || !this.new.0.new.lock().is_empty() {
                continue;
            }
            if let Poll::Ready(Err(error)) = this.written.poll_send(&mut inner) {
                return Poll::Ready(Err(error.into()));
            }
            if this.bell.stays_quiet() {
                return Poll::Pending;
            }
        }
        // Others have their turn. What is written must not wait for a round that is the last.
        if let Poll::Ready(Err(error)) = this.written.poll_send(&mut inner) {
            return Poll::Ready(Err(error.into()));
        }
        this.bell.state.store(RUNG, Ordering::SeqCst);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Wakes the task; while that looks around anyway, it makes it look once more, and no other thread is disturbed.
#[derive(Default)]
struct Bell {
    task: AtomicWaker,
    state: AtomicU8,
}

/// Nobody has rung since the task looked.
const QUIET: u8 = 0;
/// The task looks around.
const LOOKING: u8 = 1;
/// There is something to look at.
const RUNG: u8 = 2;

impl Bell {
    fn look(&self) {
        self.state.store(LOOKING, Ordering::SeqCst);
    }

    fn has_rung(&self) -> bool {
        self.state.load(Ordering::SeqCst) == RUNG
    }

    /// True when nobody rang while the task looked: from now on who rings wakes it.
    fn stays_quiet(&self) -> bool {
        self.state.compare_exchange(LOOKING, QUIET, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

impl ArcWake for Bell {
    fn wake_by_ref(bell: &Arc<Self>) {
        if bell.state.swap(RUNG, Ordering::SeqCst) == QUIET {
            bell.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gathered_io::gathered;
    use bytes::Bytes;
    use futures::channel::mpsc;
    use http_body_util::{BodyExt, Empty, StreamBody};
    use hyper::body::{Frame, Incoming};
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;
    use tokio::io::{AsyncRead, DuplexStream, ReadBuf};

    /// A stream that counts what is written to it.
    struct Counting(DuplexStream, Arc<AtomicUsize>);

    impl AsyncRead for Counting {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Counting {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    /// A frame of HTTP/2 (RFC 9113, 4.1), of a stream.
    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[tokio::test]
    async fn streams_of_a_connection_that_ends_as_they_come_are_not_left() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (io, written) = gathered(near, true);
        let held = Arc::new(());
        let holds = held.clone();
        let service = service_fn(move |_: http::Request<Incoming>| {
            let holds = holds.clone();
            async move {
                std::future::pending::<()>().await;
                drop(holds);
                Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
            }
        });
        let streams = Streams::default();
        let connection = hyper::server::conn::http2::Builder::new(streams.clone())
            .serve_connection(TokioIo::new(io), service);
        let connection = async { connection.await.map_err(io::Error::other) };
        let task = ConnectionTask::new(connection, streams, written);
        // GET / with http and the authority x, by HPACK's static table; and a CONNECT with a length, which hyper ends the
        // connection for.
        let get = frame(1, 5, 1, b"\x82\x84\x86\x41\x01x");
        let connect = frame(1, 4, 3, b"\x02\x07CONNECT\x41\x01x\x0f\x0d\x011");
        let said = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, b""), get, connect].concat();
        tokio::io::AsyncWriteExt::write_all(&mut far, &said).await.unwrap();
        task.await.unwrap();
        assert_eq!(Arc::strong_count(&held), 1, "a request is left");
    }

    #[tokio::test]
    async fn a_body_that_panics_ends_its_stream_and_no_other() {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (io, written) = gathered(near, true);
        let service = service_fn(async |request: http::Request<Incoming>| {
            let bad = request.uri().path() == "/bad";
            let says = futures::stream::once(async move {
                assert!(!bad, "a body panics");
                Ok::<_, Infallible>(Frame::data(Bytes::from("fine")))
            });
            Ok::<_, Infallible>(http::Response::new(StreamBody::new(Box::pin(says))))
        });
        let streams = Streams::default();
        let connection = hyper::server::conn::http2::Builder::new(streams.clone())
            .serve_connection(TokioIo::new(io), service);
        let connection = async { connection.await.map_err(io::Error::other) };
        tokio::spawn(ConnectionTask::new(connection, streams, written));
        let (mut client, driven) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(far)).await.unwrap();
        tokio::spawn(driven);
        for (path, expected) in [("/", true), ("/bad", false), ("/", true)] {
            let request = http::Request::get(format!("http://x{path}")).body(Empty::<Bytes>::new()).unwrap();
            let read = async { client.send_request(request).await?.into_body().collect().await };
            assert_eq!(read.await.is_ok(), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn what_many_streams_say_at_a_time_is_one_write() {
        const STREAMS: usize = 20;
        let (near, far) = tokio::io::duplex(1 << 20);
        let (writes, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (io, written) = gathered(Counting(near, writes.clone()), true);
        let opened = open.clone();
        let service = service_fn(move |_: http::Request<Incoming>| {
            let (said, says) = mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
            opened.lock().push(said);
            async { Ok::<_, Infallible>(http::Response::new(StreamBody::new(says))) }
        });
        let streams = Streams::default();
        let connection = hyper::server::conn::http2::Builder::new(streams.clone())
            .serve_connection(TokioIo::new(io), service);
        let connection = async { connection.await.map_err(io::Error::other) };
        let server = tokio::spawn(ConnectionTask::new(connection, streams, written));
        let (mut client, driven) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(far)).await.unwrap();
        let driven = tokio::spawn(driven);
        let mut answers = Vec::new();
        for _ in 0..STREAMS {
            let request = http::Request::get("http://x/").body(Empty::<Bytes>::new()).unwrap();
            answers.push(client.send_request(request).await.unwrap().into_body());
        }
        let before = writes.load(Ordering::SeqCst);
        // So long that the codec flushes after each.
        let news = Bytes::from(vec![b'x'; 600]);
        for said in open.lock().iter() {
            said.unbounded_send(Ok(Frame::data(news.clone()))).unwrap();
        }
        for answer in &mut answers {
            assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), news);
        }
        assert_eq!(writes.load(Ordering::SeqCst) - before, 1);
        // Streams end with their connection, and nothing of it is left.
        drop((client, answers));
        driven.await.unwrap().unwrap();
        server.await.unwrap().unwrap();
        assert!(open.lock().iter().all(mpsc::UnboundedSender::is_closed));
    }
}
