//! A real etcd of three members.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use crate::tools::free_port;
use crate::until;
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Three members on the loopback interface, with fsync. They are killed when it is dropped.
pub struct EtcdCluster {
    dir: TempDir,
    members: Vec<Member>,
}

struct Member {
    port: u16,
    peer: u16,
    child: Option<Child>,
}

impl EtcdCluster {
    /// Starts one with nothing in it, and waits until it has a leader.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        for _ in 0..5 {
            let mut cluster = EtcdCluster { dir: TempDir::new().unwrap(), members: Vec::new() };
            for _ in 0..3 {
                cluster.members.push(Member { port: free_port(), peer: free_port(), child: None });
            }
            (0..3).for_each(|number| cluster.spawn(number));
            // Another process may take a port between finding and using it: then others are tried.
            let ended = until("etcd has a leader", || {
                let ended = cluster.members.iter_mut().any(|member| member.ended());
                if ended || cluster.leader().is_some() { Ok(ended) } else { Err(cluster.log()) }
            });
            if !ended {
                return cluster;
            }
        }
        panic!("etcd does not start")
    }

    /// Where the members answer, with commas between them.
    pub fn urls(&self) -> String {
        let urls: Vec<String> =
            self.members.iter().map(|one| format!("http://127.0.0.1:{}", one.port)).collect();
        urls.join(",")
    }

    /// The number of the member that leads, when it says so itself.
    pub fn leader(&self) -> Option<usize> {
        (0..self.members.len()).find(|number| {
            let status = self.members[*number].status();
            status.is_some_and(|status| status["leader"] == status["header"]["member_id"])
        })
    }

    /// Waits for a leader other than one.
    ///
    /// # Panics
    /// When there is none.
    pub fn leader_besides(&self, other: usize) -> usize {
        until("another member leads", || {
            self.leader().filter(|leader| *leader != other).ok_or_else(|| self.log())
        })
    }

    /// Kills a member with SIGKILL.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self, number: usize) {
        let mut child = self.members[number].child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts a member again that was killed.
    pub fn start_again(&mut self, number: usize) {
        self.spawn(number);
    }

    /// Cuts a member off: it does nothing and its connections stay open, as when the network drops every packet of it.
    ///
    /// # Panics
    /// When it does not run.
    pub fn cut_off(&self, number: usize) {
        self.signal(number, "-STOP");
    }

    /// Ends what [`EtcdCluster::cut_off`] began.
    ///
    /// # Panics
    /// When it does not run.
    pub fn join_again(&self, number: usize) {
        self.signal(number, "-CONT");
    }

    fn signal(&self, number: usize, signal: &str) {
        let id = self.members[number].child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    fn spawn(&mut self, number: usize) {
        let name = |number: usize| format!("m{number}");
        let peers: Vec<String> = (0..3)
            .map(|number| format!("{}=http://127.0.0.1:{}", name(number), self.members[number].peer))
            .collect();
        let member = &mut self.members[number];
        let client = format!("http://127.0.0.1:{}", member.port);
        let peer = format!("http://127.0.0.1:{}", member.peer);
        let child = Command::new("etcd")
            .args(["--name", &name(number), "--data-dir"])
            .arg(self.dir.path().join(name(number)))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &peers.join(",")])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(self.dir.path().join(format!("log-{number}"))).unwrap())
            .spawn()
            .expect("etcd must be on the path: install etcd-server");
        member.child = Some(child);
    }

    /// The end of what each said.
    fn log(&self) -> String {
        let text = |number: usize| std::fs::read_to_string(self.dir.path().join(format!("log-{number}")));
        let ends = (0..3).map(|number| text(number).unwrap_or_default());
        ends.map(|text| text.lines().rev().take(3).collect::<Vec<_>>().join("\n"))
            .collect::<Vec<_>>()
            .join("\n\n")
    }
}

impl Member {
    fn ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some())
    }

    /// What it says of itself, by etcd's JSON gateway.
    fn status(&self) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        let request = "POST /v3/maintenance/status HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
    }
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        for mut child in self.members.iter_mut().filter_map(|member| member.child.take()) {
            // A failure here must not hide why the test failed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
