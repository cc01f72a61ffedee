//! A connection to a port of a pod: `pods/portforward` over a WebSocket.

use kube::api::Portforwarder;
use plane_client::Duplex;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// The connection. It ends for the super cluster too when it is dropped.
pub(super) struct Forwarded {
    stream: DuplexStream,
    forwarder: Portforwarder,
}

impl Forwarded {
    /// The stream of the one port that was asked for; `None`: there is none.
    pub(super) fn of(mut forwarder: Portforwarder, port: u16) -> Option<Box<dyn Duplex>> {
        let stream = forwarder.take_stream(port)?;
        Some(Box::new(Forwarded { stream, forwarder }))
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
