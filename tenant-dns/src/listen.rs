//! The sockets: questions in datagrams and over connections (RFC 7766), each bounded in number and time.
//!
//! Guarantees, for each pair of sockets: no more than [`UNDER_WAY`] questions are under way, [`CONNECTIONS`] connections
//! open, [`OF_ONE`] of them from one address and [`OF_TENANT`] from one tenant's pods, or from all that are nobody's; a datagram
//! beyond that is dropped, and a connection closed. A connection that is silent for [`SILENCE`] is closed. Caveat: on a machine with several addresses, bound to all of them, a datagram is answered from
//! the address that the routes choose.

use crate::answer::{Answerer, Transport};
use crate::counts::{Counts, Outcome};
use parking_lot::Mutex;
use service_runtime::Shutdown;
use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Questions in datagrams under way at a time.
const UNDER_WAY: usize = 4_096;
/// Connections at a time.
const CONNECTIONS: usize = 1_024;
/// Connections from one address at a time.
const OF_ONE: u32 = 32;
/// Connections from one tenant's pods at a time, so that one cannot take them all.
const OF_TENANT: u32 = 256;
/// How long a connection may be silent, and how long it may take to take an answer.
const SILENCE: Duration = Duration::from_secs(10);
/// The largest datagram that is read. No question is larger.
const DATAGRAM: usize = 4_096;
/// How long a listener that fails rests.
const REST: Duration = Duration::from_millis(50);

/// Both sockets of an address.
pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    /// Takes an address and port for both. With port 0, one that is free for both.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let mut tries = if address.port() == 0 { 16 } else { 1 };
        loop {
            let tcp = TcpListener::bind(address).await?;
            match UdpSocket::bind(tcp.local_addr()?).await {
                Ok(udp) => return Ok(Sockets { udp, tcp }),
                Err(error) if tries == 1 => return Err(error),
                Err(_) => tries -= 1,
            }
        }
    }

    /// Where they are.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }
}

/// Answers until shutdown. Questions under way then are given up.
pub async fn serve(sockets: Sockets, answerer: Arc<Answerer>, counts: Arc<Counts>, shutdown: Shutdown) {
    let Sockets { udp, tcp } = sockets;
    tokio::select! {
        () = datagrams(Arc::new(udp), answerer.clone(), counts) => {}
        () = connections(tcp, answerer, &shutdown) => {}
        () = shutdown.requested() => {}
    }
}

async fn datagrams(socket: Arc<UdpSocket>, answerer: Arc<Answerer>, counts: Arc<Counts>) {
    let places = Arc::new(Semaphore::new(UNDER_WAY));
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let (length, source) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // Such as an answer that a client did not want; nothing is lost but that.
                tracing::debug!(%error, "a datagram could not be received");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            counts.add(Outcome::Dropped);
            continue;
        };
        let (socket, answerer) = (socket.clone(), answerer.clone());
        let question = buffer[..length].to_vec();
        // Ends with its answer, within the patience for other resolvers.
        tokio::spawn(async move {
            if let Some(answer) = answerer.answer(&question, source.ip(), Transport::Udp).await
                && let Err(error) = socket.send_to(&answer, source).await
            {
                tracing::debug!(%source, %error, "an answer could not be sent");
            }
            drop(place);
        });
    }
}

async fn connections(listener: TcpListener, answerer: Arc<Answerer>, shutdown: &Shutdown) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (addresses, tenants) = (Open::default(), Open::default());
    loop {
        let (stream, source) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let Some(of_one) = addresses.enter(source.ip(), OF_ONE) else { continue };
        let Some(of_tenant) = tenants.enter(answerer.asker(source.ip()), OF_TENANT) else { continue };
        let (answerer, shutdown) = (answerer.clone(), shutdown.clone());
        // Ends when the client closes, is silent or does wrong, and at shutdown.
        tokio::spawn(async move {
            tokio::select! {
                done = connection(stream, source.ip(), &answerer) => {
                    if let Err(error) = done {
                        tracing::debug!(%source, %error, "a connection ended");
                    }
                }
                () = shutdown.requested() => {}
            }
            drop((place, of_one, of_tenant));
        });
    }
}

async fn connection(mut stream: TcpStream, source: IpAddr, answerer: &Answerer) -> io::Result<()> {
    loop {
        let length = timeout(SILENCE, stream.read_u16()).await??;
        let mut question = vec![0; usize::from(length)];
        timeout(SILENCE, stream.read_exact(&mut question)).await??;
        let Some(answer) = answerer.answer(&question, source, Transport::Tcp).await else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        timeout(SILENCE, stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat())).await??;
    }
}

/// How many connections each has; no larger than the connections.
struct Open<T>(Arc<Mutex<HashMap<T, u32>>>);

impl<T> Default for Open<T> {
    fn default() -> Self {
        Open(Arc::default())
    }
}

/// One connection, until it is dropped.
struct Counted<T: Eq + Hash> {
    all: Arc<Mutex<HashMap<T, u32>>>,
    whose: T,
}

impl<T: Copy + Eq + Hash> Open<T> {
    fn enter(&self, whose: T, most: u32) -> Option<Counted<T>> {
        let mut all = self.0.lock();
        let count = all.entry(whose).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Counted { all: self.0.clone(), whose })
    }
}

impl<T: Eq + Hash> Drop for Counted<T> {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(count) = all.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests;
