//! What one future makes, as a stream that whoever sends it drives: no task and no channel between the two.

use bytes::{Bytes, BytesMut};
use futures::Stream;
use futures::future::poll_fn;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio_util::task::AbortOnDropHandle;

/// Small pieces are joined into frames up to this size.
const FRAME: usize = 64 << 10;

/// Where a future puts what it makes.
#[derive(Default)]
pub struct Outlet {
    /// The next to be sent.
    frame: Arc<Mutex<Option<Bytes>>>,
    /// A piece of which no frame is made yet, or those before it when there are several: one alone is copied by nobody.
    piece: Bytes,
    joined: BytesMut,
}

impl Outlet {
    /// Adds a piece to the next frame. Waits when the one before is full, and is still to be taken.
    pub async fn put(&mut self, piece: Bytes) {
        if self.piece.len() + self.joined.len() + piece.len() > FRAME {
            self.flush().await;
        }
        if self.piece.is_empty() && self.joined.is_empty() {
            self.piece = piece;
            return;
        }
        self.joined.extend_from_slice(&std::mem::take(&mut self.piece));
        self.joined.extend_from_slice(&piece);
    }

    /// Gives away what there is, when what was given before has been taken.
    pub async fn flush(&mut self) {
        let joined = self.joined.split().freeze();
        let frame = if joined.is_empty() { std::mem::take(&mut self.piece) } else { joined };
        let mut frame = Some(frame).filter(|frame| !frame.is_empty());
        poll_fn(|_| {
            let mut place = self.frame.lock();
            if frame.is_some() && place.is_some() {
                // Nobody needs to wake us: the stream drives us on when it is asked for more.
                return Poll::Pending;
            }
            if frame.is_some() {
                *place = frame.take();
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// What a future has put into its outlet, until both are at an end.
pub struct Made<F> {
    making: Arc<Making<F>>,
    frame: Arc<Mutex<Option<Bytes>>>,
    /// Who ends it before its time.
    guard: Option<AbortOnDropHandle<()>>,
}

struct Making<F> {
    /// `None`: it has ended.
    future: Mutex<Option<Pin<Box<F>>>>,
    reader: AtomicWaker,
}

impl<F: Future<Output = ()> + Send + 'static> Made<F> {
    /// By the future that works with that outlet. It begins when it is asked.
    pub fn by(make: impl FnOnce(Outlet) -> F) -> Self {
        let outlet = Outlet::default();
        let frame = outlet.frame.clone();
        let future = Mutex::new(Some(Box::pin(make(outlet))));
        Made { making: Arc::new(Making { future, reader: AtomicWaker::new() }), frame, guard: None }
    }

    /// At most until then: what the future holds is given back also while nobody asks for more.
    pub fn until(mut self, over: impl Future<Output = ()> + Send + 'static) -> Self {
        let making = self.making.clone();
        let guard = async move {
            over.await;
            making.end();
        };
        self.guard = Some(AbortOnDropHandle::new(tokio::spawn(guard)));
        self
    }
}

impl<F> Making<F> {
    fn end(&self) {
        drop(self.future.lock().take());
        self.reader.wake();
    }
}

impl<F> Drop for Made<F> {
    fn drop(&mut self) {
        // Its guard may hold it a moment longer.
        self.making.end();
    }
}

impl<F: Future<Output = ()>> Stream for Made<F> {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(bytes) = self.frame.lock().take() {
            return Poll::Ready(Some(bytes));
        }
        self.making.reader.register(context.waker());
        let mut making = self.making.future.lock();
        if let Some(future) = making.as_mut()
            && future.as_mut().poll(context).is_ready()
        {
            *making = None;
        }
        match self.frame.lock().take() {
            None if making.is_some() => Poll::Pending,
            last => Poll::Ready(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt, poll};
    use tokio::sync::oneshot;

    fn text(bytes: Option<Bytes>) -> String {
        bytes.map_or("end".to_owned(), |bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn pieces_are_joined_until_they_are_given_away() {
        let mut made = Made::by(async |mut outlet| {
            outlet.flush().await;
            for piece in ["a", "b", "c"] {
                outlet.put(Bytes::from(piece)).await;
            }
            outlet.flush().await;
            outlet.put(Bytes::from("d")).await;
            outlet.flush().await;
            outlet.put(Bytes::from("never given away")).await;
        });
        for expected in ["abc", "d", "end", "end"] {
            assert_eq!(text(made.next().await), expected);
        }
    }

    #[tokio::test]
    async fn a_piece_alone_is_copied_by_nobody_and_no_frame_is_too_long() {
        let alone = Bytes::from(vec![b'x'; FRAME + 1]);
        let given = alone.clone();
        let mut made = Made::by(async move |mut outlet| {
            outlet.put(Bytes::from("a")).await;
            outlet.put(given).await;
            for _ in 0..5 {
                outlet.put(Bytes::from(vec![b'y'; FRAME / 2])).await;
            }
            outlet.flush().await;
        });
        assert_eq!(text(made.next().await), "a");
        let read = made.next().await.unwrap();
        assert!(std::ptr::eq(read.as_ptr(), alone.as_ptr()) && read.len() == alone.len());
        let lengths: Vec<usize> = made.map(|frame| frame.len()).collect().await;
        assert_eq!(lengths, [FRAME, FRAME, FRAME / 2]);
    }

    #[tokio::test]
    async fn nothing_is_made_ahead_of_who_reads() {
        let (made_two, mut told) = oneshot::channel();
        let mut made = Made::by(async move |mut outlet| {
            for piece in ["a", "b", "c"] {
                outlet.put(Bytes::from(piece)).await;
                outlet.flush().await;
            }
            let _ = made_two.send(());
        });
        assert_eq!(text(made.next().await), "a");
        assert_eq!(text(made.next().await), "b");
        assert!(told.try_recv().is_err());
        assert_eq!(text(made.next().await), "c");
        assert_eq!(text(made.next().await), "end");
        told.await.unwrap();
    }

    #[tokio::test]
    async fn it_ends_when_it_is_over_also_while_nobody_reads() {
        let (held, holds) = oneshot::channel::<()>();
        let (over, is_over) = oneshot::channel::<()>();
        let mut made = Made::by(async move |mut outlet| {
            outlet.put(Bytes::from("a")).await;
            outlet.flush().await;
            std::future::pending::<()>().await;
            drop(held);
        })
        .until(is_over.map(drop));
        assert!(poll!(made.next()).is_ready());
        let mut next = Box::pin(made.next());
        assert!(poll!(&mut next).is_pending());
        over.send(()).unwrap();
        assert!(holds.await.is_err(), "what it holds is given back, though nobody asks it");
        assert_eq!(text(next.await), "end");
    }

    #[tokio::test]
    async fn it_is_gone_with_who_reads() {
        let (held, holds) = oneshot::channel::<()>();
        let (mut never, is_over) = oneshot::channel::<()>();
        let made = Made::by(async move |_| {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(made.until(is_over.map(drop)));
        assert!(holds.await.is_err());
        never.closed().await;
    }
}
