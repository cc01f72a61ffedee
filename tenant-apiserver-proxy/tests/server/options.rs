//! What a `Tenant` says has an effect, or is refused with the field that says it.

use crate::harness::{CONFIGMAPS, Installation, TENANTS, configmap, tenant, text};
use serde_json::{Value, json};
use tenant_apiserver_proxy::usage::Meter;

const PROFILES: &str = "/apis/tenancy.insula.dev/v1alpha1/tenantprofiles";

fn profile(defaults: Value) -> Value {
    json!({"apiVersion": "tenancy.insula.dev/v1alpha1", "kind": "TenantProfile", "metadata": {"name": "gold"},
        "spec": {"defaults": defaults}})
}

#[tokio::test]
async fn a_profile_is_there_as_long_as_a_tenant_names_it() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let mut acme = tenant("acme");
    acme["spec"] = json!({"profile": "gold"});
    let refused = admin.post(TENANTS, &acme).await.expect_code(422).json();
    assert_eq!(refused["details"]["causes"][0]["field"], "spec.profile");
    assert!(text(&refused["message"]).contains("\"gold\""), "{refused}");
    admin.post(PROFILES, &profile(json!({"deletionProtection": true}))).await.expect_code(201);
    admin.post(TENANTS, &acme).await.expect_code(201);
    let path = format!("{TENANTS}/acme");
    admin.merge(&path, &json!({"spec": {"profile": "silver"}})).await.expect_code(422);
    let gold = format!("{PROFILES}/gold");
    let kept = admin.delete(&gold).await.expect_code(403).json();
    assert!(text(&kept["message"]).contains("acme"), "{kept}");
    // What the profile says of the tenant's deletion holds too.
    admin.delete(&path).await.expect_code(403);
    admin.merge(&path, &json!({"spec": {"profile": null}})).await.expect_code(200);
    admin.delete(&gold).await.expect_code(200);
    admin.delete(&path).await.expect_code(200);
}

#[tokio::test]
async fn names_of_controllers_that_are_not_there_are_refused() {
    let insula = Installation::start().await;
    let mut acme = tenant("acme");
    acme["spec"] = json!({"controllers": {"disabled": ["deployments"]}});
    let refused = insula.admin().await.post(TENANTS, &acme).await.expect_code(422).json();
    assert_eq!(refused["details"]["causes"][0]["field"], "spec.controllers.disabled[0]");
    assert!(text(&refused["message"]).contains("deployment-controller"), "{refused}");
}

#[tokio::test]
async fn what_a_tenant_uses_is_told_once() {
    let insula = Installation::start().await;
    let (id, acme) = insula.tenant("acme").await;
    let admin = insula.admin().await;
    let mut meter = Meter::default();
    assert_eq!(meter.pass(&insula.server).await, 1);
    acme.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    assert_eq!(meter.pass(&insula.server).await, 1);
    let path = format!("{TENANTS}/acme");
    let told = admin.get(&path).await.expect_code(200).json();
    let stored = insula.server.cache.usage(id);
    assert_eq!(told["status"]["usage"]["objects"], stored.objects);
    assert_eq!(told["status"]["usage"]["bytes"], stored.bytes);
    assert_eq!(told["status"]["usage"]["pods"], 0);
    let requests = told["status"]["usage"]["requestsPerSecond"].as_u64().unwrap();
    // Nothing happens: at most the requests that there were are taken back, and then nothing is written.
    assert_eq!(meter.pass(&insula.server).await, usize::from(requests > 0));
    let before = insula.server.cache.revision();
    assert_eq!(meter.pass(&insula.server).await, 0);
    assert_eq!(insula.server.cache.revision(), before);
}
