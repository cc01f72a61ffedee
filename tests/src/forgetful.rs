//! What stands between a client and a server and forgets the connections that it had, as a firewall does that is made anew:
//! what the server sends on them is lost, and who sends to the server learns that they are gone.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::spawn;

/// Passes bytes on between its port and a server's.
pub struct Forgetful {
    /// Where it listens.
    pub port: u16,
    /// Connections are of the time between two losses of memory; this is the time now.
    time: Arc<AtomicU64>,
}

impl Forgetful {
    /// Before the server at a port of this machine.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let time = Arc::new(AtomicU64::new(0));
        let now = time.clone();
        // Ends with the process.
        spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], server))) else {
                    continue;
                };
                let began = now.load(Ordering::SeqCst);
                let (time, of_client, of_server) =
                    (now.clone(), client.try_clone().unwrap(), server.try_clone().unwrap());
                let is_forgotten = move || time.load(Ordering::SeqCst) != began;
                let lost = is_forgotten.clone();
                spawn(move || pass(&server, &client, || if lost() { Passing::Lost } else { Passing::On }));
                spawn(move || {
                    pass(&of_client, &of_server, || if is_forgotten() { Passing::Gone } else { Passing::On })
                });
            }
        });
        Forgetful { port, time }
    }

    /// Forgets all connections that are open now. New ones are passed on.
    pub fn forget(&self) {
        self.time.fetch_add(1, Ordering::SeqCst);
    }
}

/// What becomes of bytes.
enum Passing {
    /// They go on.
    On,
    /// They are lost, and nobody is told.
    Lost,
    /// Who sent them is told that the connection is gone.
    Gone,
}

/// Reads from one side until it ends.
fn pass(mut from: &TcpStream, mut to: &TcpStream, how: impl Fn() -> Passing) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        match how() {
            Passing::Lost => {}
            Passing::On if to.write_all(&buffer[..length]).is_ok() => {}
            Passing::On | Passing::Gone => break,
        }
    }
    // What is lost in one direction is not told in the other.
    if !matches!(how(), Passing::Lost) {
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
