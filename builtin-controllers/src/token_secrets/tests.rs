//! The Secrets of tokens on the fake.

use super::*;
use crate::authorities::{self, Publishers};
use plane_client::fake::FakePlanes;
use plane_client::{Controller, SigningError};
use serde_json::json;
use service_runtime::{FairQueue, QueueLimits, Shutdown};
use std::sync::Mutex;
use tokio::sync::broadcast;

const PLANE: TenantId = TenantId::HOST;

/// Signs by a key that a test changes, and is the authority too.
struct Signer {
    key: Mutex<String>,
    changes: broadcast::Sender<TenantId>,
}

impl Signer {
    fn token(key: &str, order: &TokenOrder) -> String {
        format!("{key}:{}/{} of {} {}", order.namespace, order.secret, order.account, order.uid)
    }
}

#[async_trait]
impl TokenSigner for Signer {
    async fn sign_token(&self, _: TenantId, order: &TokenOrder) -> Result<String, SigningError> {
        Ok(Signer::token(&self.key.lock().unwrap(), order))
    }

    fn is_former(&self, _: TenantId, order: &TokenOrder, token: &str) -> bool {
        let key = self.key.lock().unwrap();
        token.split_once(':').is_some_and(|(by, _)| by != *key && Signer::token(by, order) == token)
    }
}

impl Authorities for Signer {
    fn serving(&self) -> String {
        "PEM".to_owned()
    }

    fn changes(&self) -> broadcast::Receiver<TenantId> {
        self.changes.subscribe()
    }
}

fn secret(name: &str, account: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "type": TYPE,
        "metadata": {"name": name, "namespace": "n", "annotations": {ACCOUNT: account}}})
}

fn service_account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "n"}})
}

struct Running {
    planes: FakePlanes,
    signer: Arc<Signer>,
    shutdown: Shutdown,
}

impl Running {
    fn start() -> Self {
        let planes = FakePlanes::new();
        let signer = Arc::new(Signer { key: Mutex::new("k1".into()), changes: broadcast::channel(4).0 });
        let shutdown = Shutdown::new();
        let client = planes.client();
        let secrets = TokenSecrets::new(client.clone(), signer.clone(), signer.clone());
        let secrets = Controller::new(client.clone(), Arc::new(secrets), 2);
        let none = || FairQueue::new(QueueLimits::default());
        let publishers = Publishers { root_ca: none(), trust: none(), token_secrets: secrets.queue() };
        tokio::spawn(authorities::follow(client.clone(), signer.changes(), publishers, shutdown.clone()));
        tokio::spawn(secrets.run(shutdown.clone()));
        let accounts = Controller::new(client.clone(), Arc::new(TokenAccounts::new(client)), 1);
        tokio::spawn(accounts.run(shutdown.clone()));
        Running { planes, signer, shutdown }
    }

    async fn secret(&self, name: &str, is: impl Fn(Option<&Value>) -> bool) {
        self.planes.wait_for(PLANE, &SECRETS.group_resource(), "n", name, is).await;
    }

    fn found(&self, name: &str) -> Value {
        self.planes.find(PLANE, &SECRETS.group_resource(), "n", name).unwrap()
    }
}

fn token(secret: Option<&Value>) -> String {
    let held = secret.and_then(|secret| secret["data"]["token"].as_str()).unwrap_or("");
    String::from_utf8(STANDARD.decode(held).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_filled_and_kept_so() {
    let running = Running::start();
    let planes = &running.planes;
    planes.put(PLANE, service_account("a"));
    planes.put(PLANE, secret("s", "a"));
    running.secret("s", |found| !token(found).is_empty()).await;
    let found = running.found("s");
    let account = planes.find(PLANE, &SERVICE_ACCOUNTS.group_resource(), "n", "a").unwrap();
    let uid = text(&account, "/metadata/uid");
    assert_eq!(token(Some(&found)), format!("k1:n/s of a {uid}"));
    assert_eq!(found["data"]["ca.crt"], STANDARD.encode("PEM"));
    assert_eq!(found["data"]["namespace"], STANDARD.encode("n"));
    assert_eq!(found["metadata"]["annotations"], json!({ACCOUNT: "a", UID: uid}));
    for (field, value) in [("token", json!("")), ("ca.crt", json!("b3RoZXI=")), ("namespace", Value::Null)] {
        let mut spoilt = running.found("s");
        spoilt["data"][field] = value;
        spoilt["data"]["own"] = json!("eA==");
        planes.put(PLANE, spoilt);
        let mut whole = found["data"].clone();
        whole["own"] = json!("eA==");
        running.secret("s", |now| now.is_some_and(|now| now["data"] == whole)).await;
    }
    // What somebody else put there is no token of ours, and stays.
    let mut own = running.found("s");
    own["data"]["token"] = json!(STANDARD.encode("something"));
    own["data"]["ca.crt"] = json!("");
    planes.put(PLANE, own);
    running.secret("s", |now| now.is_some_and(|now| now["data"]["ca.crt"] == STANDARD.encode("PEM"))).await;
    assert_eq!(token(Some(&running.found("s"))), "something");
    running.shutdown.trigger();
}

#[tokio::test(start_paused = true)]
async fn a_secret_goes_with_its_account() {
    let running = Running::start();
    let planes = &running.planes;
    for name in ["a", "b"] {
        planes.put(PLANE, service_account(name));
        planes.put(PLANE, secret(name, name));
        running.secret(name, |found| !token(found).is_empty()).await;
    }
    planes.put(PLANE, secret("nobodys", "missing"));
    running.secret("nobodys", |found| found.is_none()).await;
    let mut another = secret("another", "b");
    another["metadata"]["annotations"][UID] = json!("an earlier one");
    planes.put(PLANE, another);
    running.secret("another", |found| found.is_none()).await;
    let mut opaque = secret("opaque", "missing");
    opaque["type"] = json!("Opaque");
    planes.put(PLANE, opaque);
    planes.remove(PLANE, &SERVICE_ACCOUNTS.group_resource(), "n", "a");
    running.secret("a", |found| found.is_none()).await;
    assert!(!token(Some(&running.found("b"))).is_empty());
    running.found("opaque");
    running.shutdown.trigger();
}

#[tokio::test(start_paused = true)]
async fn an_account_does_not_refer_to_what_is_gone() {
    let running = Running::start();
    let planes = &running.planes;
    let mut account = service_account("a");
    account["secrets"] = json!([{"name": "s"}, {"name": "t"}]);
    planes.put(PLANE, account);
    planes.put(PLANE, secret("s", "a"));
    running.secret("s", |found| !token(found).is_empty()).await;
    planes.remove(PLANE, &SECRETS.group_resource(), "n", "s");
    let rest = json!([{"name": "t"}]);
    let accounts = SERVICE_ACCOUNTS.group_resource();
    planes.wait_for(PLANE, &accounts, "n", "a", |now| now.is_some_and(|now| now["secrets"] == rest)).await;
    running.shutdown.trigger();
}

#[tokio::test(start_paused = true)]
async fn another_key_makes_another_token_and_leaves_the_hash_of_the_former() {
    let running = Running::start();
    running.planes.put(PLANE, service_account("a"));
    running.planes.put(PLANE, secret("s", "a"));
    running.secret("s", |found| token(found).starts_with("k1:")).await;
    let former = token(Some(&running.found("s")));
    *running.signer.key.lock().unwrap() = "k2".into();
    running.signer.changes.send(PLANE).unwrap();
    running.secret("s", |found| token(found).starts_with("k2:")).await;
    let hash: String = Sha256::digest(former).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(running.found("s")["metadata"]["annotations"][FORMER_TOKEN], hash.as_str());
    running.shutdown.trigger();
}
