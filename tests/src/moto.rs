//! A storage that answers as S3 does: moto, in Python.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use crate::tools::{free_port, python_packages};
use crate::until;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A server on loopback that keeps what it is given in memory. Stopped when dropped.
pub struct Moto {
    _dir: TempDir,
    port: u16,
    child: Child,
}

impl Moto {
    /// Starts one with nothing in it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        let mut dir = TempDir::new().unwrap();
        // Another process may take a port between finding and using it: then another is tried.
        for _ in 0..5 {
            let port = free_port();
            let child = Command::new("python3")
                .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
                .env("PYTHONPATH", python_packages("moto"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(dir.path().join("log")).unwrap())
                .spawn()
                .expect("python3 must be on the path");
            let mut moto = Moto { _dir: dir, port, child };
            if moto.answers() {
                return moto;
            }
            let _ = moto.child.wait();
            dir = std::mem::replace(&mut moto._dir, TempDir::new().unwrap());
        }
        panic!("moto does not start")
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks it for a path as S3, signed by nobody, which it does not mind; its whole answer.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let scope = "Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: AWS4-HMAC-SHA256 {scope}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.port
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// When that fails.
    pub fn bucket(&self, name: &str) {
        let answer = self.ask("PUT", &format!("/{name}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// What a client needs to reach it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_ENDPOINT_URL_S3", self.url()),
        ]
    }

    /// Waits until it listens; false when it ended instead.
    fn answers(&mut self) -> bool {
        until("moto listens", || {
            if self.child.try_wait().unwrap().is_some() {
                return Ok(false);
            }
            TcpStream::connect(("127.0.0.1", self.port)).map(|_| true).map_err(|error| error.to_string())
        })
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // A failure here must not hide why the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
