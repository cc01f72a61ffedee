//! Two servers on one etcd.

use crate::harness::{CONFIGMAPS, Installation, TENANTS, configmap, eventually, names, tenant};
use object_store::{EtcdOptions, EtcdStore, SealingKeys};
use serde_json::json;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tenant_apiserver_proxy::planes::PlaneKind;

/// A real etcd on loopback, stopped when dropped.
struct Etcd {
    process: Child,
    endpoint: String,
    dir: TempDir,
}

impl Etcd {
    /// Another process may take a port between finding and using it: then another is tried.
    async fn start() -> Self {
        for _ in 0..5 {
            let mut etcd = Self::spawn();
            while etcd.process.try_wait().unwrap().is_none() {
                if EtcdStore::connect(etcd.options("/test")).await.is_ok() {
                    return etcd;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            let log = std::fs::read_to_string(etcd.dir.path().join("log")).unwrap();
            assert!(log.contains("address already in use"), "etcd does not start:\n{log}");
        }
        panic!("no free port for etcd")
    }

    fn spawn() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (endpoint, peer) = (free_address(), free_address());
        let process = Command::new("etcd")
            .args(["--name", "test", "--data-dir"])
            .arg(dir.path().join("data"))
            .args(["--listen-client-urls", &endpoint, "--advertise-client-urls", &endpoint])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("test={peer}")])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .expect("etcd must be on the path: install etcd-server");
        Etcd { process, endpoint, dir }
    }

    fn options(&self, prefix: &str) -> EtcdOptions {
        EtcdOptions::new(vec![self.endpoint.clone()], prefix)
    }

    /// A server with a connection of its own, and the installation's keys.
    async fn server(&self, prefix: &str, keys: &SealingKeys) -> Installation {
        let store = EtcdStore::connect(self.options(prefix)).await.unwrap();
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("sealing.keys"), keys.text()).unwrap();
        Installation::start_on(Arc::new(store), "https://127.0.0.1", dir).await
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_the_same_time_are_one_installation() {
    let etcd = Etcd::start().await;
    // Each prefix is a new installation: several tries to be at the same place at the same time.
    for attempt in 0..8 {
        let prefix = format!("/insula/{attempt}");
        let keys = SealingKeys::generate().unwrap();
        let (one, two) = tokio::join!(etcd.server(&prefix, &keys), etcd.server(&prefix, &keys));
        assert_eq!(one.server.ca_pem(), two.server.ca_pem());
        for (here, there) in [(&one, &two), (&two, &one)] {
            // Certificates of the admin, of both planes that are there from the start.
            for (plane, path) in
                [(api_types::TenantId::HOST, ""), (api_types::TenantId::LOCAL_SUPER, "/supers/local")]
            {
                let made_here = here.server.sign_client(plane, "admin", Some("system:masters")).unwrap();
                let client = there.certified(path, Some(&made_here)).await;
                client.get(CONFIGMAPS).await.expect_code(200);
            }
        }
        let (a, b) = (one.admin().await, two.admin().await);
        let namespaces = "/api/v1/namespaces";
        let list = |client| async move { crate::harness::Client::get(client, namespaces).await.json() };
        assert_eq!(list(&a).await["items"], list(&b).await["items"]);

        // Both ask for the first token of one plane at the same time: one key is made.
        let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let (of_one, of_two) = tokio::join!(a.post(path, &request), b.post(path, &request));
        for (answer, there) in [(of_one, &two), (of_two, &one)] {
            let token = answer.expect_code(201).json()["status"]["token"].as_str().unwrap().to_owned();
            let robot = there.certified("", None).await.with("authorization", format!("Bearer {token}"));
            robot.get("/version").await.expect_code(200);
        }

        // A tenant that is made at one is served by the other, with the kubeconfig that is stored.
        a.post(TENANTS, &tenant("acme")).await.expect_code(201);
        let acme = eventually("the tenant is served by the other", || async {
            let found = b.get(&format!("{TENANTS}/acme")).await.code == 200;
            if found { Some(two.tenant_admin("acme").await) } else { None }
        })
        .await;
        acme.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
        let seen = one.tenant_admin("acme").await;
        eventually("what one writes the other reads", || async {
            let list = seen.get(CONFIGMAPS).await.expect_code(200).json();
            names(&list).contains(&"a").then_some(())
        })
        .await;
        one.stop().await;
        two.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_rotates_the_other_believes() {
    let etcd = Etcd::start().await;
    let keys = SealingKeys::generate().unwrap();
    let (one, two) = tokio::join!(etcd.server("/rotated", &keys), etcd.server("/rotated", &keys));
    let (_, former) = one.tenant("acme").await;
    eventually("the other serves the tenant", async || two.server.planes.named(PlaneKind::Tenant, "acme"))
        .await;
    let before = two.tenant_admin("acme").await;
    before.get(CONFIGMAPS).await.expect_code(200);
    let (a, b) = (one.admin().await, two.admin().await);
    for what in ["client-ca", "serving-ca"] {
        a.send("POST", &format!("/insula/certs?what={what}&overlap=0"), "", "").await.expect_code(200);
    }
    eventually("the other believes the same", async || {
        let secret = "/api/v1/namespaces/insula-system/secrets/acme-kubeconfig";
        let same = a.get(secret).await.body == b.get(secret).await.body;
        (same && one.server.ca_pem() == two.server.ca_pem()).then_some(())
    })
    .await;
    eventually("the other shows a certificate of the new authority", async || {
        two.is_believed(&one.server.ca_pem()).await.then_some(())
    })
    .await;
    for server in [&one, &two] {
        server.tenant_admin("acme").await.get(CONFIGMAPS).await.expect_code(200);
    }
    former.get(CONFIGMAPS).await.expect_code(401);
    before.get(CONFIGMAPS).await.expect_code(401);
}
