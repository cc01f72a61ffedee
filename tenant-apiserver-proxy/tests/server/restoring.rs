//! Tenants into backups, and out of them.

use crate::harness::{CONFIGMAPS, Client, Installation, TENANTS, configmap, eventually, tenant, text};
use api_types::{ApiError, GroupResource, TenantId};
use async_trait::async_trait;
use bytes::Bytes;
use plane_client::{PlaneClient, Reservation, Scope, ServiceReserver, WatchItem};
use serde_json::{Value, json};
use tenant_apiserver_proxy::in_process::InProcess;
use tokio::sync::mpsc;

const PATH: &str = "/insula/store/tenants";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
}

/// A tenant in which something is.
async fn live(insula: &Installation) -> (TenantId, Client) {
    let (id, acme) = insula.tenant("acme").await;
    acme.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "dg=="}});
    acme.post(SECRETS, &secret).await.expect_code(201);
    acme.post(SERVICES, &service("web")).await.expect_code(201);
    (id, acme)
}

async fn backup(admin: &Client, name: &str) -> Bytes {
    admin.get(&format!("{PATH}/{name}")).await.expect_code(200).body
}

async fn send(admin: &Client, name: &str, copy: impl Into<Bytes>) -> crate::harness::Answer {
    admin.send("POST", &format!("{PATH}/{name}"), "application/octet-stream", copy).await
}

/// Restores, and gives the last line of the answer.
async fn restore(admin: &Client, name: &str, copy: &Bytes) -> Value {
    let said = send(admin, name, copy.clone()).await.expect_code(200).body;
    let lines = String::from_utf8(said.to_vec()).unwrap();
    serde_json::from_str(lines.lines().last().unwrap()).unwrap()
}

/// An object without what says when it was written here.
async fn object(of: &Client, path: &str) -> Value {
    let mut object = of.get(path).await.expect_code(200).json();
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    object
}

fn restored(tenant: &Value) -> (&str, &str, &str) {
    let conditions = tenant["status"]["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|condition| condition["type"] == "Restored").unwrap();
    (text(&tenant["status"]["phase"]), text(&found["reason"]), text(&found["message"]))
}

async fn there(admin: &Client, name: &str) -> Value {
    admin.get(&format!("{TENANTS}/{name}")).await.expect_code(200).json()
}

#[tokio::test]
async fn a_tenant_comes_back_under_another_name_beside_the_former() {
    let insula = Installation::start().await;
    let (_, acme) = live(&insula).await;
    let admin = insula.admin().await;
    let copy = backup(&admin, "acme").await;
    assert!(!copy.windows(4).any(|part| part == b"dg=="), "a Secret is in the open");
    let done = restore(&admin, "again", &copy).await;
    assert_eq!(done["done"]["otherAddresses"], json!([]), "{done}");
    let again = insula.tenant_admin("again").await;
    for path in [
        format!("{CONFIGMAPS}/a"),
        format!("{SECRETS}/s"),
        format!("{SERVICES}/web"),
        "/api/v1/namespaces/default".into(),
    ] {
        assert_eq!(object(&again, &path).await, object(&acme, &path).await, "{path}");
    }
    assert_eq!(restored(&there(&admin, "again").await).0, "Ready");
    // Its keys are its own, and its addresses are taken.
    acme.at("/tenants/again").get(CONFIGMAPS).await.expect_code(401);
    let address = object(&again, &format!("{SERVICES}/web")).await["spec"]["clusterIP"].clone();
    let mut second = service("second");
    second["spec"]["clusterIP"] = address;
    again.post(SERVICES, &second).await.expect_code(422);
    // What is written now concerns one of them.
    again.delete(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    acme.get(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    let checked = admin.send("POST", "/insula/store/check", "", "").await.expect_code(200).json();
    assert_eq!(checked["faults"], json!([]));
    // A backup of what was restored is one like others.
    let copy = backup(&admin, "again").await;
    assert!(restore(&admin, "third", &copy).await["done"].is_object());
}

#[tokio::test]
async fn what_cannot_be_restored_makes_no_tenant() {
    let insula = Installation::start().await;
    live(&insula).await;
    let admin = insula.admin().await;
    let copy = backup(&admin, "acme").await;
    let everything = admin.get("/insula/store/backup").await.expect_code(200).body;
    let mut flipped = copy.to_vec();
    flipped[copy.len() / 3] ^= 1;
    let other = Installation::start().await;
    let table: [(&str, Bytes, &str); 5] = [
        ("cut off", copy.slice(..copy.len() - 7), "before it is whole"),
        ("damaged", flipped.into(), "the backup is damaged at byte"),
        ("another thing", Bytes::from_static(b"kind: Tenant"), "this is no backup"),
        ("nothing", Bytes::new(), "before it is whole"),
        ("all", everything, "this is no backup of one tenant"),
    ];
    for (what, bytes, expected) in table {
        let refused = send(&admin, "again", bytes).await.expect_code(400).json();
        assert!(text(&refused["message"]).contains(expected), "{what}: {refused}");
    }
    // An installation without the key under which it is sealed.
    let foreign = send(&other.admin().await, "again", copy.clone()).await.expect_code(400).json();
    assert!(text(&foreign["message"]).contains("which is not among the sealing keys"), "{foreign}");
    let taken = send(&admin, "acme", copy.clone()).await.expect_code(409).json();
    assert!(text(&taken["message"]).contains("restore under another name"), "{taken}");
    let wrong = restore(&admin, "Not_A_Name", &copy).await;
    assert_eq!(wrong["failed"]["code"], 422, "{wrong}");
    for of in [&insula, &other] {
        let tenants = of.admin().await.get(TENANTS).await.expect_code(200).json();
        assert!(tenants["items"].as_array().unwrap().len() <= 1, "{tenants}");
    }
    // It is a matter of the platform's admins.
    let robot = insula.user(TenantId::HOST, "", "somebody", None).await;
    send(&robot, "again", copy.clone()).await.expect_code(403);
    robot.get(&format!("{PATH}/acme")).await.expect_code(403);
    send(&insula.tenant_admin("acme").await, "again", copy).await.expect_code(404);
    admin.get(&format!("{PATH}/nobody")).await.expect_code(404);
}

/// Reserves nothing until it is told to.
struct Late(bool);

#[async_trait]
impl ServiceReserver for Late {
    fn may_reserve(&self, _: TenantId) -> bool {
        true
    }

    async fn reserve(&self, _: TenantId, _: &Value) -> Result<Option<Reservation>, ApiError> {
        if self.0 { Ok(None) } else { Err(ApiError::unavailable("later", 1)) }
    }
}

/// The planes of the ConfigMaps that a service is told of until it sees one of a name.
async fn seen(items: &mut mpsc::Receiver<WatchItem>, until: &str) -> Vec<TenantId> {
    let mut planes = Vec::new();
    loop {
        if let WatchItem::Applied(object) = items.recv().await.unwrap() {
            planes.push(object.tenant);
            if object.name.name == until {
                return planes;
            }
        }
    }
}

async fn begun(insula: &Installation, copy: Bytes) -> (TenantId, Value) {
    insula.server.set_reserver(Box::new(Late(false)));
    let admin = insula.admin().await;
    let sending = admin.clone();
    // The client goes away: the restore goes on.
    tokio::spawn(async move { drop(sending.watch_post(&format!("{PATH}/again"), copy).await) });
    let tenant = eventually("the tenant is there", || async {
        let answer = admin.get(&format!("{TENANTS}/again")).await;
        (answer.code == 200).then(|| answer.json())
    })
    .await;
    (TenantId::parse(text(&tenant["metadata"]["uid"])).unwrap(), tenant)
}

#[tokio::test]
async fn until_all_is_there_nobody_sees_a_part_of_it() {
    let insula = Installation::start().await;
    let (_, acme) = live(&insula).await;
    let admin = insula.admin().await;
    let copy = backup(&admin, "acme").await;
    let client = InProcess::new(insula.server.clone());
    let mut items = client.list_watch(&GroupResource::new("", "configmaps"), Scope::All);
    let (id, tenant) = begun(&insula, copy.clone()).await;
    let (phase, reason, _) = restored(&tenant);
    assert_eq!((phase, reason), ("Pending", "Restoring"));
    let again = insula.tenant_admin("again").await;
    again.get(CONFIGMAPS).await.expect_code(503);
    admin.get(&format!("{PATH}/again")).await.expect_code(409);
    send(&admin, "again", copy).await.expect_code(409);

    acme.post(CONFIGMAPS, &configmap("marker", json!({}))).await.expect_code(201);
    assert!(!seen(&mut items, "marker").await.contains(&id), "a part of it was seen");
    assert!(client.list(id, &GroupResource::new("", "configmaps"), "").await.unwrap().is_empty());
    let mut later = client.list_watch(&GroupResource::new("", "configmaps"), Scope::All);
    assert!(!seen(&mut later, "marker").await.contains(&id), "a part of it was seen");

    insula.server.set_reserver(Box::new(Late(true)));
    for items in [&mut items, &mut later] {
        assert_eq!(seen(items, "a").await.last(), Some(&id));
    }
    again.get(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    assert_eq!(restored(&there(&admin, "again").await).1, "Restored");
}

#[tokio::test]
async fn one_that_is_cut_off_says_so_and_is_restored_again_or_deleted() {
    let insula = Installation::start().await;
    live(&insula).await;
    let admin = insula.admin().await;
    // Nothing of half a tenant is worth protection.
    admin
        .merge(&format!("{TENANTS}/acme"), &json!({"spec": {"deletionProtection": true}}))
        .await
        .expect_code(200);
    let copy = backup(&admin, "acme").await;
    let (former, _) = begun(&insula, copy.clone()).await;
    let insula = Installation::start_in(insula.stop().await).await;
    let admin = insula.admin().await;
    let tenant = there(&admin, "again").await;
    let (phase, reason, message) = restored(&tenant);
    assert_eq!((phase, reason), ("Failed", "RestoreCutOff"));
    assert!(message.contains("restore the tenant again, or delete it"), "{message}");
    insula.tenant_admin("again").await.get(CONFIGMAPS).await.expect_code(403);

    assert!(restore(&admin, "again", &copy).await["done"].is_object());
    insula.tenant_admin("again").await.get(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    assert_ne!(there(&admin, "again").await["metadata"]["uid"], former.to_string());
    admin.delete(&format!("{TENANTS}/again")).await.expect_code(403);

    admin
        .merge(&format!("{TENANTS}/again"), &json!({"spec": {"deletionProtection": false}}))
        .await
        .expect_code(200);
    admin.delete(&format!("{TENANTS}/again")).await.expect_code(200);
    let (id, _) = begun(&insula, copy).await;
    admin.delete(&format!("{TENANTS}/again")).await.expect_code(200);
    insula.server.set_reserver(Box::new(Late(true)));
    // What was to come finds no plane any more.
    eventually("the name is free", || async {
        let refused = send(&admin, "again", Bytes::new()).await;
        (refused.code == 400).then_some(())
    })
    .await;
    let checked = admin.send("POST", "/insula/store/check", "", "").await.expect_code(200).json();
    assert_eq!(checked["faults"], json!([]), "something of {id} is left");
    insula.tenant("again").await;
}

#[tokio::test]
async fn a_failure_is_told_in_the_status() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let profile = json!({"apiVersion": "tenancy.insula.dev/v1alpha1", "kind": "TenantProfile", "metadata": {"name": "p"}});
    admin.post("/apis/tenancy.insula.dev/v1alpha1/tenantprofiles", &profile).await.expect_code(201);
    let mut profiled = tenant("acme");
    profiled["spec"] = json!({"profile": "p"});
    admin.post(TENANTS, &profiled).await.expect_code(201);
    let copy = backup(&admin, "acme").await;
    admin.delete(&format!("{TENANTS}/acme")).await.expect_code(200);
    admin.delete("/apis/tenancy.insula.dev/v1alpha1/tenantprofiles/p").await.expect_code(200);
    let failed = restore(&admin, "acme", &copy).await;
    assert!(
        text(&failed["failed"]["message"]).contains("there is no TenantProfile of this name"),
        "{failed}"
    );
    admin.get(&format!("{TENANTS}/acme")).await.expect_code(404);
    // The name is free, and the plane is no longer held.
    insula.tenant("acme").await;
}
