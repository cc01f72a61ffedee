//! The engines under test.

use async_trait::async_trait;
use object_store::{EmbeddedOptions, EmbeddedStore, ObjectStore, SealedStore, SealingKeys};
use std::sync::Arc;
use tempfile::TempDir;

/// Batches that a watcher may lag behind in these tests.
pub const WATCH_BUFFER: usize = 64;

/// A place where a store is kept.
#[async_trait]
pub trait Fixture: Sync {
    /// Opens the store there; the one opened before has been dropped.
    async fn open(&self) -> Arc<dyn ObjectStore>;
}

/// A directory.
pub struct Embedded(TempDir);

impl Embedded {
    pub fn new() -> Self {
        Embedded(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl Fixture for Embedded {
    async fn open(&self) -> Arc<dyn ObjectStore> {
        // Small tables, so that every test crosses some.
        let options =
            EmbeddedOptions { watch_buffer: WATCH_BUFFER, table_revisions: 16, ..Default::default() };
        Arc::new(EmbeddedStore::open(self.0.path(), options).unwrap())
    }
}

/// A directory, with what is in it sealed.
pub struct Sealed(Embedded, SealingKeys);

impl Sealed {
    pub fn new() -> Self {
        Sealed(Embedded::new(), SealingKeys::generate().unwrap())
    }
}

#[async_trait]
impl Fixture for Sealed {
    async fn open(&self) -> Arc<dyn ObjectStore> {
        // Not those of the largest commit: it has no room for data keys.
        let is_secret = |key: &str| key != "other" && !(key.starts_with("key-") && key.len() == 7);
        Arc::new(SealedStore::new(self.0.open().await, self.1.clone(), is_secret))
    }
}

#[cfg(feature = "etcd")]
pub use etcd::Etcd;

#[cfg(feature = "etcd")]
mod etcd {
    use super::{Fixture, WATCH_BUFFER};
    use async_trait::async_trait;
    use object_store::{EtcdOptions, EtcdStore, EtcdTls, ObjectStore};
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    use std::net::TcpListener;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;
    use std::time::Duration;
    use tempfile::TempDir;

    /// A real etcd on loopback, stopped when dropped.
    pub struct Etcd {
        process: Child,
        endpoint: String,
        peer: String,
        tls: Option<EtcdTls>,
        dir: TempDir,
    }

    impl Etcd {
        pub async fn start() -> Self {
            Self::start_with(false).await
        }

        /// Starts one that asks for client certificates.
        pub async fn start_with_tls() -> Self {
            Self::start_with(true).await
        }

        /// Another process may take a port between finding and using it: then another is tried.
        async fn start_with(tls: bool) -> Self {
            for _ in 0..5 {
                let mut etcd = Self::spawn(tls);
                while etcd.process.try_wait().unwrap().is_none() {
                    if EtcdStore::connect(etcd.options()).await.is_ok() {
                        return etcd;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let log = std::fs::read_to_string(etcd.dir.path().join("log")).unwrap();
                assert!(log.contains("address already in use"), "etcd does not start:\n{log}");
            }
            panic!("no free port for etcd")
        }

        fn spawn(with_tls: bool) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (mut endpoint, peer) = (free_address(), free_address());
            let tls = with_tls.then(|| {
                endpoint = endpoint.replace("http:", "https:");
                certificates(dir.path())
            });
            let process = run(&endpoint, &peer, dir.path());
            Etcd { process, endpoint, peer, tls, dir }
        }

        /// Kills it.
        pub fn stop(&mut self) {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
        }

        /// Starts it again where it was, and waits until it answers.
        pub async fn start_again(&mut self) {
            self.process = run(&self.endpoint, &self.peer, self.dir.path());
            while EtcdStore::connect(self.options()).await.is_err() {
                assert!(self.process.try_wait().unwrap().is_none(), "etcd ended");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }

        pub fn options(&self) -> EtcdOptions {
            EtcdOptions {
                watch_buffer: WATCH_BUFFER,
                tls: self.tls.clone(),
                ..EtcdOptions::new(vec![self.endpoint.clone()], "/insula/conformance")
            }
        }
    }

    /// Makes a CA, and with it certificates of a server in `dir` and of the client.
    fn certificates(dir: &Path) -> EtcdTls {
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = ca.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(ca, key);
        let signed = |purpose| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
            params.extended_key_usages = vec![purpose];
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let (certificate, key) = signed(ExtendedKeyUsagePurpose::ServerAuth);
        for (file, text) in [("ca.pem", &pem), ("server.pem", &certificate), ("server.key", &key)] {
            std::fs::write(dir.join(file), text).unwrap();
        }
        let (certificate, key) = signed(ExtendedKeyUsagePurpose::ClientAuth);
        EtcdTls { ca: pem.into(), identity: Some((certificate.into(), key.into())) }
    }

    fn run(endpoint: &str, peer: &str, dir: &Path) -> Child {
        let mut etcd = Command::new("etcd");
        if endpoint.starts_with("https:") {
            etcd.arg("--client-cert-auth").arg("--trusted-ca-file").arg(dir.join("ca.pem"));
            etcd.arg("--cert-file").arg(dir.join("server.pem")).arg("--key-file").arg(dir.join("server.key"));
        }
        etcd.args(["--name", "test", "--data-dir"])
            .arg(dir.join("data"))
            .args(["--listen-client-urls", endpoint, "--advertise-client-urls", endpoint])
            .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
            .args(["--initial-cluster", &format!("test={peer}")])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .expect("etcd must be on the path: install etcd-server")
    }

    impl Drop for Etcd {
        fn drop(&mut self) {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
        }
    }

    #[async_trait]
    impl Fixture for Etcd {
        async fn open(&self) -> Arc<dyn ObjectStore> {
            Arc::new(EtcdStore::connect(self.options()).await.unwrap())
        }
    }

    fn free_address() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }
}
