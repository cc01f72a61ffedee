//! Keys and certificates that follow one another.

use crate::harness::{CONFIGMAPS, Client, Installation, TENANTS, eventually, text};
use api_types::TenantId;
use serde_json::{Value, json};
use tenant_apiserver_proxy::renewal;

const PATH: &str = "/insula/certs";
const WATCH: &str = "/api/v1/namespaces/default/configmaps?watch=true";
const TOKEN: &str = "/api/v1/namespaces/default/serviceaccounts/default/token";
const DAY: i64 = 24 * 3_600;

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

async fn rotate(admin: &Client, query: &str) -> Value {
    admin.send("POST", &format!("{PATH}?{query}"), "", "").await.expect_code(200).json()
}

/// The states of all that is of one kind, in the order of the list.
fn states<'a>(list: &'a Value, what: &str) -> Vec<&'a str> {
    let items = list["items"].as_array().unwrap().iter();
    items.filter(|item| item["what"] == what).map(|item| text(&item["state"])).collect()
}

async fn token(admin: &Client) -> String {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    text(&admin.post(TOKEN, &request).await.expect_code(201).json()["status"]["token"]).to_owned()
}

#[tokio::test]
async fn a_client_ca_is_believed_until_its_time_and_its_watches_end_with_it() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    let (id, before) = insula.tenant("acme").await;
    let (_, other) = insula.tenant("globex").await;
    let list = rotate(&host, "what=client-ca&plane=tenants/acme&overlap=3600").await;
    assert_eq!(states(&list, "client-ca"), ["current", "old"]);
    assert_eq!(states(&list, "admin-certificate"), ["current"], "the kubeconfig was made anew: {list}");
    let after = insula.tenant_admin("acme").await;
    let robot = token(&after).await;
    let robot =
        insula.certified("/tenants/acme", None).await.with("authorization", format!("Bearer {robot}"));
    let mut ends = before.watch(WATCH).await;
    let mut stays = after.watch(WATCH).await;
    assert_eq!([ends.line().await, stays.line().await], ["ADDED kube-root-ca.crt"; 2]);
    // Writes go on, though what says that the tenant lives was changed.
    after.post(CONFIGMAPS, &json!({"metadata": {"name": "a"}})).await.expect_code(201);
    assert_eq!([ends.line().await, stays.line().await], ["ADDED a"; 2]);

    let list = rotate(&host, "what=client-ca&plane=tenants/acme&overlap=0").await;
    assert_eq!(states(&list, "client-ca"), ["current"]);
    assert_eq!([ends.next().await, stays.next().await], [None, None], "both were of former authorities");
    before.get(CONFIGMAPS).await.expect_code(401);
    after.get(CONFIGMAPS).await.expect_code(401);
    insula.tenant_admin("acme").await.get(CONFIGMAPS).await.expect_code(200);
    other.get(CONFIGMAPS).await.expect_code(200);
    assert_eq!(robot.get("/version").await.code, 200, "tokens have another key");
    insula
        .user(id, "/tenants/acme", "ann", Some("system:masters"))
        .await
        .get(CONFIGMAPS)
        .await
        .expect_code(200);
}

#[tokio::test]
async fn former_token_keys_verify_and_are_published_until_their_time() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    let (_, acme) = insula.tenant("acme").await;
    let bearer = async |token: &str| {
        let client = insula.certified("/tenants/acme", None).await;
        client.with("authorization", format!("Bearer {token}")).get("/version").await.code.as_u16()
    };
    let published = async || {
        let set = acme.get("/openid/v1/jwks").await.expect_code(200).json();
        set["keys"].as_array().unwrap().len()
    };
    let first = token(&acme).await;
    let list = rotate(&host, "what=token-key&plane=tenants/acme&overlap=3600&after=3600").await;
    assert_eq!(states(&list, "token-key"), ["next", "current"]);
    assert_eq!(published().await, 2);
    let key_of = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    assert_eq!(key_of(&token(&acme).await), key_of(&first), "the next one does not sign yet");
    let list = rotate(&host, "what=token-key&plane=tenants/acme&overlap=3600").await;
    assert_eq!(states(&list, "token-key"), ["current", "old"]);
    let second = token(&acme).await;
    assert_ne!(key_of(&second), key_of(&first));
    assert_eq!([bearer(&first).await, bearer(&second).await], [200, 200]);
    rotate(&host, "what=token-key&overlap=0").await;
    assert_eq!((bearer(&first).await, bearer(&second).await, published().await), (401, 401, 1));
    assert_eq!(bearer(&token(&acme).await).await, 200);
}

#[tokio::test]
async fn clients_of_both_serving_cas_connect_until_the_time_of_one_is_over() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    insula.tenant("acme").await;
    let former = insula.server.ca_pem();
    let list = rotate(&host, "what=serving-ca&overlap=3600").await;
    assert_eq!(states(&list, "serving-ca"), ["current", "old"]);
    let both = insula.server.ca_pem();
    let new = both.strip_suffix(&former).unwrap();
    for believed in [&former, &both, new] {
        assert!(insula.is_believed(believed).await, "{believed}");
    }
    // Whoever asks now is told of both: this looks at the kubeconfig.
    insula.tenant_admin("acme").await.get(CONFIGMAPS).await.expect_code(200);
    // A second one under way: three generations connect.
    rotate(&host, "what=serving-ca&overlap=3600").await;
    assert!(insula.is_believed(&former).await && insula.is_believed(new).await);

    rotate(&host, "what=serving-ca&overlap=0").await;
    let newest = insula.server.ca_pem();
    assert!(!insula.is_believed(&former).await && !insula.is_believed(new).await);
    assert!(insula.is_believed(&newest).await);
    host.get(PATH).await.expect_code(200);
    let dir = insula.stop().await;
    let insula = Installation::start_in(dir).await;
    assert_eq!(insula.server.ca_pem(), newest);
    insula.tenant_admin("acme").await.get(CONFIGMAPS).await.expect_code(200);
}

#[tokio::test]
async fn the_serving_certificate_is_replaced_under_the_same_authority() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    let (ca, before) = (insula.server.ca_pem(), insula.server.serving().pem());
    rotate(&host, "what=serving-certificate").await;
    assert_eq!(insula.server.ca_pem(), ca);
    assert_ne!(insula.server.serving().pem(), before);
    assert!(insula.is_believed(&ca).await);
}

#[tokio::test]
async fn what_nears_its_end_is_made_anew_and_what_is_over_goes() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    insula.tenant("acme").await;
    let secret = "/api/v1/namespaces/insula-system/secrets/acme-kubeconfig";
    let kubeconfig = async || host.get(secret).await.expect_code(200).json()["data"]["value"].clone();
    let (serving, config) = (insula.server.serving().pem(), kubeconfig().await);
    let pass = async |days: i64| renewal::pass(&insula.server, None, now() + days * DAY).await;
    let next = pass(200).await;
    assert_eq!((insula.server.serving().pem(), kubeconfig().await), (serving.clone(), config.clone()));
    assert!((now() + 240 * DAY..now() + 250 * DAY).contains(&next), "{next}: a third of a year is left then");
    pass(250).await;
    assert_ne!(insula.server.serving().pem(), serving);
    assert_ne!(kubeconfig().await, config);
    insula.tenant_admin("acme").await.get(CONFIGMAPS).await.expect_code(200);

    rotate(&host, &format!("what=client-ca&overlap={}", 7 * DAY)).await;
    let kept = async || {
        let list = host.get(&format!("{PATH}?plane=tenants/acme")).await.expect_code(200).json();
        states(&list, "client-ca").len()
    };
    assert_eq!(kept().await, 2);
    let next = pass(6).await;
    assert!((now() + 7 * DAY - 60..=now() + 7 * DAY).contains(&next), "{next}");
    assert_eq!(kept().await, 2);
    pass(8).await;
    assert_eq!(kept().await, 1);
}

#[tokio::test]
async fn a_watch_ends_when_its_certificate_expires() {
    let insula = Installation::start().await;
    let (acme, admin) = insula.tenant("acme").await;
    let group = Some("system:masters");
    let short = time::Duration::seconds(2);
    let certificate = insula.server.sign_client_for(acme, "ann", group, short).unwrap();
    let ann = insula.certified("/tenants/acme", Some(&certificate)).await;
    let mut watch = ann.watch(WATCH).await;
    let mut stays = admin.watch(WATCH).await;
    assert_eq!([watch.line().await, stays.line().await], ["ADDED kube-root-ca.crt"; 2]);
    assert_eq!(watch.next().await, None);
    ann.get(CONFIGMAPS).await.expect_code(401);
    admin.post(CONFIGMAPS, &json!({"metadata": {"name": "a"}})).await.expect_code(201);
    assert_eq!(stays.line().await, "ADDED a");
}

#[tokio::test]
async fn a_former_key_goes_by_itself() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    let (_, before) = insula.tenant("acme").await;
    let mut watch = before.watch(WATCH).await;
    assert_eq!(watch.line().await, "ADDED kube-root-ca.crt");
    rotate(&host, "what=client-ca&plane=tenants/acme&overlap=1").await;
    assert_eq!(watch.next().await, None);
    before.get(CONFIGMAPS).await.expect_code(401);
    eventually("the former key is removed", async || {
        let list = host.get(&format!("{PATH}?plane=tenants/acme")).await.expect_code(200).json();
        (states(&list, "client-ca") == ["current"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_rotated_is_refused() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    let (_, acme) = insula.tenant("acme").await;
    for (query, code) in [
        ("", 400),
        ("what=other", 400),
        ("what=client-ca&overlap=x", 400),
        ("what=client-ca&overlap=-1", 400),
        ("what=client-ca&after=99999999999", 400),
        ("what=client-ca&plane=tenants/none", 404),
    ] {
        host.send("POST", &format!("{PATH}?{query}"), "", "").await.expect_code(code);
    }
    for _ in 1..8 {
        rotate(&host, "what=client-ca&plane=tenants/acme&overlap=3600").await;
    }
    let full =
        host.send("POST", &format!("{PATH}?what=client-ca&plane=tenants/acme&overlap=3600"), "", "").await;
    assert!(text(&full.expect_code(409).json()["message"]).contains("overlap of 0s"));
    acme.get(PATH).await.expect_code(404);
    acme.send("POST", &format!("{PATH}?what=client-ca"), "", "").await.expect_code(404);
    let nobody = insula.user(TenantId::HOST, "", "bob", None).await;
    nobody.get(PATH).await.expect_code(403);
    host.send("DELETE", PATH, "", "").await.expect_code(405);
    let seen = host.get(PATH).await.expect_code(200).json();
    assert!(!seen.to_string().contains("PRIVATE"), "{seen}");
    host.get(TENANTS).await.expect_code(200);
}
