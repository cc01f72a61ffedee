//! What an HTTP/2 connection writes, gathered until its task has nothing more to say: the frames of all its streams go out
//! in one TLS record and one system call, where the codec would flush after each.

use parking_lot::Mutex;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is gathered, in bytes: a TLS record. What is as long as that itself is not copied.
const FULL: usize = 16 << 10;
/// What is left of the buffer between two times.
const KEPT: usize = 1 << 10;

/// A connection whose writes wait for [`Gathered::poll_send`].
pub struct GatheredIo<S>(Arc<Mutex<Shared<S>>>);

/// Sends what a connection has gathered.
pub struct Gathered<S>(Arc<Mutex<Shared<S>>>);

struct Shared<S> {
    stream: S,
    /// False: nothing is gathered, and everything goes through.
    gathers: bool,
    waiting: Vec<u8>,
    /// How much of it has been written.
    written: usize,
}

/// Gathers what is written to a stream, if wanted.
pub fn gathered<S>(stream: S, gathers: bool) -> (GatheredIo<S>, Gathered<S>) {
    let shared = Shared { stream, gathers, waiting: Vec::new(), written: 0 };
    let shared = Arc::new(Mutex::new(shared));
    (GatheredIo(shared.clone()), Gathered(shared))
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Writes what waits, and flushes the stream after it.
    pub fn poll_send(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_send(context)
    }
}

impl<S> Drop for Gathered<S> {
    fn drop(&mut self) {
        // Nobody sends what would be gathered.
        self.0.lock().gathers = false;
    }
}

impl<S: AsyncWrite + Unpin> Shared<S> {
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.waiting.len() {
            let rest = &self.waiting[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => self.written += more,
            }
        }
        self.written = 0;
        self.waiting.clear();
        self.waiting.shrink_to(KEPT);
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Makes room for so much more. False: it is to be written by itself.
    fn poll_room(&mut self, length: usize, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.gathers {
            // What waits since before has to come first.
            if !self.waiting.is_empty() {
                ready!(self.poll_send(context))?;
            }
            return Poll::Ready(Ok(false));
        }
        if self.waiting.len() + length > FULL {
            ready!(self.poll_send(context))?;
        }
        Poll::Ready(Ok(length < FULL))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GatheredIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GatheredIo<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.0.lock();
        let length = parts.iter().map(|part| part.len()).sum();
        if !ready!(shared.poll_room(length, context))? {
            return Pin::new(&mut shared.stream).poll_write_vectored(context, parts);
        }
        parts.iter().for_each(|part| shared.waiting.extend_from_slice(part));
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.0.lock();
        if shared.gathers { Poll::Ready(Ok(())) } else { shared.poll_send(context) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.0.lock();
        ready!(shared.poll_send(context))?;
        Pin::new(&mut shared.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, poll};
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_is_written_waits_and_goes_out_in_order() {
        let (near, mut far) = tokio::io::duplex(4 * FULL);
        let (mut io, gathered) = gathered(near, true);
        for part in [b"a", b"b"] {
            io.write_all(part).await.unwrap();
            io.flush().await.unwrap();
        }
        let mut read = vec![0; FULL + 4];
        assert!(far.read(&mut read).now_or_never().is_none(), "it waits to be sent");
        poll_fn(|context| gathered.poll_send(context)).await.unwrap();
        assert_eq!(far.read(&mut read).await.unwrap(), 2);
        // What is long goes out by itself, after what was there.
        io.write_all(b"c").await.unwrap();
        io.write_all(&[b'd'; FULL]).await.unwrap();
        let parts = [IoSlice::new(b"e"), IoSlice::new(b"f")];
        let written = poll_fn(|context| Pin::new(&mut io).poll_write_vectored(context, &parts)).await;
        assert_eq!(written.unwrap(), 2);
        poll_fn(|context| gathered.poll_send(context)).await.unwrap();
        far.read_exact(&mut read[..FULL + 3]).await.unwrap();
        assert!(read.starts_with(b"cd") && read[..FULL + 3].ends_with(b"def"));
        assert!(gathered.0.lock().waiting.capacity() <= KEPT);
    }

    #[tokio::test]
    async fn who_does_not_read_is_waited_for_with_one_buffer_and_shutting_down_sends_the_rest() {
        let (near, mut far) = tokio::io::duplex(10);
        let (mut io, gathered) = gathered(near, true);
        let sent: Vec<u8> = (0..=255).cycle().take(FULL - 1).collect();
        io.write_all(&sent).await.unwrap();
        assert!(poll!(poll_fn(|context| gathered.poll_send(context))).is_pending());
        assert!(poll!(std::pin::pin!(io.write(b"xyz"))).is_pending(), "there is room for no more");
        assert_eq!(gathered.0.lock().waiting.len(), sent.len());
        let mut read = Vec::new();
        let (closed, end) = futures::join!(io.shutdown(), far.read_to_end(&mut read));
        closed.unwrap();
        end.unwrap();
        assert!(read == sent);
    }

    #[tokio::test]
    async fn nothing_waits_once_nobody_sends_it() {
        let (near, mut far) = tokio::io::duplex(10);
        let (mut io, gathered) = gathered(near, true);
        io.write_all(b"a").await.unwrap();
        drop(gathered);
        io.write_all(b"b").await.unwrap();
        let mut read = [0; 2];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"ab");
    }

    #[tokio::test]
    async fn nothing_waits_where_that_is_not_wanted() {
        let (near, mut far) = tokio::io::duplex(10);
        let (mut io, _gathered) = gathered(near, false);
        io.write_all(b"a").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'a');
    }
}
