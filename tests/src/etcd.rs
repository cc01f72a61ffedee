//! A real etcd.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use crate::tools::free_port;
use crate::until;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A server of one member on loopback, with fsync. Stopped when dropped.
pub struct Etcd {
    dir: TempDir,
    port: u16,
    peer: u16,
    child: Child,
}

impl Etcd {
    /// Starts one with nothing in it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        let mut dir = TempDir::new().unwrap();
        // Another process may take a port between finding and using it: then another is tried.
        for _ in 0..5 {
            let (port, peer) = (free_port(), free_port());
            let child = spawn(&dir, port, peer);
            let mut etcd = Etcd { dir, port, peer, child };
            if etcd.answers() {
                return etcd;
            }
            let _ = etcd.child.wait();
            dir = std::mem::replace(&mut etcd.dir, TempDir::new().unwrap());
        }
        panic!("etcd does not start")
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has under a key, by its HTTP gateway: JSON.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn look(&self, key: &str) -> String {
        let body = format!("{{\"key\": \"{}\"}}", STANDARD.encode(key));
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "POST /v3/kv/range HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    /// Kills it with SIGKILL.
    ///
    /// # Panics
    /// When that fails.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.dir, self.port, self.peer);
        assert!(self.answers(), "etcd does not start again");
    }

    /// Waits until it listens; false when it ended instead.
    fn answers(&mut self) -> bool {
        until("etcd listens", || {
            if self.child.try_wait().unwrap().is_some() {
                return Ok(false);
            }
            TcpStream::connect(("127.0.0.1", self.port)).map(|_| true).map_err(|error| error.to_string())
        })
    }
}

fn spawn(dir: &TempDir, port: u16, peer: u16) -> Child {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
    Command::new("etcd")
        .args(["--name", "test", "--data-dir"])
        .arg(dir.path().join("data"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("test={peer}")])
        .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(dir.path().join("log")).unwrap())
        .spawn()
        .expect("etcd must be on the path: install etcd-server")
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // A failure here must not hide why the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
