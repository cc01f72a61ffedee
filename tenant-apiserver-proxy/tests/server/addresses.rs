//! Starting again with another address.

use crate::harness::{Client, Installation, TENANTS, text};
use serde_json::{Value, json};

const TOKEN: &str = "/api/v1/namespaces/default/serviceaccounts/default/token";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const SELF: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

async fn token(of: &Client) -> String {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = of.post(TOKEN, &request).await.expect_code(201).json();
    text(&answer["status"]["token"]).to_owned()
}

async fn who(client: &Client) -> String {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = client.post(SELF, &review).await.expect_code(201).json();
    text(&answer["status"]["userInfo"]["username"]).to_owned()
}

async fn bearer(insula: &Installation, path: &str, token: &str) -> Client {
    insula.certified(path, None).await.with("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn tenants_and_their_tokens_follow_the_address() {
    let mut insula =
        Installation::start_at("https://first.example.com:7443", tempfile::tempdir().unwrap()).await;
    let (_, acme) = insula.tenant("acme").await;
    let robot = "system:serviceaccount:default:default";
    let mut tokens = vec![token(&acme).await];
    for address in ["https://second.example.com", "https://127.0.0.1:7443", "https://first.example.com:7443"]
    {
        insula = Installation::start_at(address, insula.stop().await).await;
        // The kubeconfig in the Secret leads to the new address, and its certificate works there.
        let acme = insula.tenant_admin("acme").await;
        assert_eq!(who(&acme).await, "admin");
        let tenant = insula.admin().await.get(&format!("{TENANTS}/acme")).await.expect_code(200).json();
        assert_eq!(tenant["status"]["endpoint"], format!("{address}/tenants/acme"));
        let about = acme.get("/.well-known/openid-configuration").await.expect_code(200).json();
        assert_eq!(about["issuer"], format!("{address}/tenants/acme"));
        tokens.push(token(&acme).await);
        for token in &tokens {
            // On the tenant's path, and on none: there the issuer alone says whose the token is.
            assert_eq!(who(&bearer(&insula, "/tenants/acme", token).await).await, robot);
            assert_eq!(who(&bearer(&insula, "", token).await).await, robot);
            let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                "spec": {"token": token}});
            let said: Value = acme.post(REVIEWS, &review).await.expect_code(201).json();
            assert_eq!(said["status"]["authenticated"], true, "{said}");
        }
    }
    // A tenant of the same name made later has another key.
    let admin = insula.admin().await;
    admin.delete(&format!("{TENANTS}/acme")).await.expect_code(200);
    insula.tenant("acme").await;
    for token in &tokens {
        bearer(&insula, "/tenants/acme", token).await.get("/version").await.expect_code(401);
    }
}
