//! Who waits for webhooks, and who does not have to.

use crate::harness::{CONFIGMAPS, Client, Installation, TENANTS, configmap, eventually, tenant, text};
use crate::hooks::Hook;
use api_types::{ApiError, Resource, TenantId};
use plane_client::{Actor, PlaneClient, Target, Write};
use serde_json::json;
use std::sync::Arc;
use tenant_apiserver_proxy::in_process::InProcess;

const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

/// A tenant with a webhook that answers when the test lets it.
async fn guarded(insula: &Installation, hook: &Hook, name: &str) -> (TenantId, Client) {
    let mut object = tenant(name);
    object["spec"] =
        json!({"egress": {"allowedCIDRs": ["127.0.0.1/32"]}, "limits": {"concurrentRequests": 2}});
    let made = insula.admin().await.post(TENANTS, &object).await.expect_code(201).json();
    let admin = insula.tenant_admin(name).await;
    let change = json!({"timeoutSeconds": 30});
    let hooks = hook.configuration("ValidatingWebhookConfiguration", "v", &["/slow"], &change);
    admin.post(VALIDATING, &hooks).await.expect_code(201);
    (TenantId::parse(text(&made["metadata"]["uid"])).unwrap(), admin)
}

/// A write of a part of the platform.
fn write(
    client: &Arc<InProcess>,
    part: &'static str,
    tenant: TenantId,
) -> tokio::task::JoinHandle<Result<(), ApiError>> {
    let client = client.clone();
    tokio::spawn(async move {
        let target = Target::new(tenant, &Resource::new("", "v1", "configmaps"), "default", part);
        let made = Write::Create(configmap(part, json!({})));
        client.write(&Actor::Platform(part), &target, made).await.map(drop)
    })
}

async fn reviews(hook: &Hook, count: usize) {
    let asked = || async { (hook.count() == count).then_some(()) };
    eventually("reviews are asked for", asked).await;
}

#[tokio::test]
async fn what_a_webhook_asks_of_its_plane_finds_a_seat() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let (_, admin) = guarded(&insula, &hook, "slow").await;
    let writes = ["a", "b", "c"].map(|name| {
        let admin = admin.clone();
        tokio::spawn(async move { admin.post(CONFIGMAPS, &configmap(name, json!({}))).await.code.as_u16() })
    });
    reviews(&hook, 2).await;
    // There are two seats, and two writes wait: what is asked meanwhile is answered.
    for _ in 0..4 {
        admin.get(CONFIGMAPS).await.expect_code(200);
    }
    assert_eq!(hook.count(), 2, "no more writes wait than there are seats");
    hook.go.add_permits(3);
    for write in writes {
        assert_eq!(write.await.unwrap(), 201);
    }
}

#[tokio::test]
async fn so_many_writes_of_the_platform_wait_for_one_plane() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let (slow, _) = guarded(&insula, &hook, "slow").await;
    let (other, _) = insula.tenant("other").await;
    let client = Arc::new(InProcess::new(insula.server.clone()));
    let waiting = ["one", "two", "three", "four"].map(|part| write(&client, part, slow));
    reviews(&hook, 4).await;
    let refused = write(&client, "five", slow).await.unwrap().unwrap_err();
    assert_eq!((refused.code(), refused.retry_after_seconds()), (429, Some(1)), "{refused}");
    assert!(write(&client, "five", other).await.unwrap().is_ok());
    hook.go.add_permits(4);
    for written in waiting {
        assert!(written.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn of_the_writes_of_one_part_one_waits_long() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let (first, _) = guarded(&insula, &hook, "first").await;
    let (second, _) = guarded(&insula, &hook, "second").await;
    let client = Arc::new(InProcess::new(insula.server.clone()));
    let long = write(&client, "part", first);
    reviews(&hook, 1).await;
    // It gives up on the second tenant, for which its other workers would wait too.
    let refused = write(&client, "part", second).await.unwrap().unwrap_err();
    assert_eq!(refused.code(), 429, "{refused}");
    hook.go.add_permits(2);
    assert!(long.await.unwrap().is_ok());
    assert!(write(&client, "part", second).await.unwrap().is_ok());
}
