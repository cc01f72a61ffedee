//! A tenant's birth, its life beside others, and its end.

use crate::harness::{CONFIGMAPS, Installation, TENANTS, configmap, eventually, names, tenant, text};
use api_types::{GroupResource, TenantId};
use serde_json::{Value, json};

#[tokio::test]
async fn a_tenant_is_there_when_its_creation_returns() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let made = admin.post(TENANTS, &tenant("acme")).await.expect_code(201).json();
    assert_eq!(
        (text(&made["status"]["phase"]), text(&made["status"]["conditions"][0]["status"])),
        ("Ready", "True")
    );
    assert!(text(&made["status"]["endpoint"]).ends_with("/tenants/acme"));
    let acme = insula.tenant_admin("acme").await;
    let namespaces = acme.get("/api/v1/namespaces").await.expect_code(200).json();
    assert_eq!(names(&namespaces), ["default", "kube-node-lease", "kube-public", "kube-system"]);
    let service = acme.get("/api/v1/namespaces/default/services/kubernetes").await.expect_code(200).json();
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    acme.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin").await.expect_code(200);
    admin.post(TENANTS, &tenant("acme")).await.expect_code(409);
    for wrong in ["Acme", "a.b", "-a", &"x".repeat(41)] {
        admin.post(TENANTS, &tenant(wrong)).await.expect_code(422);
    }
    let mut unknown = tenant("other");
    unknown["spec"] = json!({"bogus": 1});
    admin.post(TENANTS, &unknown).await.expect_code(400);
}

#[tokio::test]
async fn two_tenants_use_the_same_names_and_see_their_own() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let (_, other) = insula.tenant("other").await;
    for (client, value) in [(&acme, "one"), (&other, "two")] {
        client.post(CONFIGMAPS, &configmap("same", json!({"whose": value}))).await.expect_code(201);
    }
    for (client, value) in [(&acme, "one"), (&other, "two")] {
        let all = client.get("/api/v1/configmaps?fieldSelector=metadata.name%3Dsame").await.json();
        assert_eq!(all["items"].as_array().unwrap().len(), 1);
        assert_eq!(all["items"][0]["data"]["whose"], value);
    }
    acme.delete(&format!("{CONFIGMAPS}/same")).await.expect_code(200);
    other.get(&format!("{CONFIGMAPS}/same")).await.expect_code(200);
    acme.get(TENANTS).await.expect_code(404);
}

#[tokio::test]
async fn a_deleted_tenant_leaves_nothing_and_its_name_is_new_again() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let (old, acme) = insula.tenant("acme").await;
    acme.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    let path = format!("{TENANTS}/acme");
    admin.merge(&path, &json!({"spec": {"deletionProtection": true}})).await.expect_code(200);
    admin.delete(&path).await.expect_code(403);
    admin.merge(&path, &json!({"spec": {"deletionProtection": false}})).await.expect_code(200);
    admin.delete(&path).await.expect_code(200);
    admin.get("/api/v1/namespaces/insula-system/secrets/acme-kubeconfig").await.expect_code(404);
    acme.get("/version").await.expect_code(401);
    assert!(!insula.server.cache.tenants().contains(&old));
    // Reading what is gone brings nothing back into memory.
    let configmaps = GroupResource::new("", "configmaps");
    assert!(insula.server.cache.collection(old, &configmaps).is_empty());
    assert!(!insula.server.cache.tenants().contains(&old));

    let (new, again) = insula.tenant("acme").await;
    assert_ne!(old, new);
    again.get(&format!("{CONFIGMAPS}/a")).await.expect_code(404);
    acme.get("/version").await.expect_code(401);
    let insula = Installation::start_in(insula.stop().await).await;
    assert!(!insula.server.cache.tenants().contains(&old));
    insula.tenant_admin("acme").await.get("/version").await.expect_code(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_a_deletion_overtakes_leave_no_keys() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    for round in 0..5 {
        let name = format!("t{round}");
        let (id, client) = insula.tenant(&name).await;
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let client = client.clone();
                tokio::spawn(async move {
                    let mut count = 0;
                    loop {
                        let object = configmap(&format!("w{writer}-{count}"), json!({}));
                        let answer = client.post(CONFIGMAPS, &object).await;
                        if answer.code != 201 {
                            return answer.code.as_u16();
                        }
                        count += 1;
                    }
                })
            })
            .collect();
        eventually("the first object", || async {
            client.get(&format!("{CONFIGMAPS}/w0-0")).await.code.is_success().then_some(())
        })
        .await;
        admin.delete(&format!("{TENANTS}/{name}")).await.expect_code(200);
        for writer in writers {
            let code = writer.await.unwrap();
            assert!([401, 403, 404].contains(&code), "{code}");
        }
        assert!(!insula.server.cache.tenants().contains(&id), "round {round}");
    }
}

#[tokio::test]
async fn a_token_dies_with_what_it_is_bound_to() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let account = "/api/v1/namespaces/default/serviceaccounts";
    let new = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}});
    acme.post(account, &new).await.expect_code(201);
    let request =
        |spec: Value| json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let path = format!("{account}/robot/token");
    let issued = acme.post(&path, &request(json!({"expirationSeconds": 600}))).await.expect_code(201).json();
    let nobody = insula.certified("/tenants/acme", None).await;
    let robot = nobody.with("authorization", format!("Bearer {}", text(&issued["status"]["token"])));
    robot.get("/version").await.expect_code(200);
    let refused = robot.get(CONFIGMAPS).await.expect_code(403).json();
    assert!(text(&refused["message"]).contains("system:serviceaccount:default:robot"));
    // One for another audience proves nothing here.
    let vault = acme.post(&path, &request(json!({"audiences": ["vault"]}))).await.expect_code(201).json();
    let vault = nobody.with("authorization", format!("Bearer {}", text(&vault["status"]["token"])));
    vault.get("/version").await.expect_code(401);
    acme.post(&path, &request(json!({"expirationSeconds": 10}))).await.expect_code(422);
    // The account of the same name that comes later is another one.
    acme.delete(&format!("{account}/robot")).await.expect_code(200);
    robot.get("/version").await.expect_code(401);
    acme.post(account, &new).await.expect_code(201);
    robot.get("/version").await.expect_code(401);
}

#[tokio::test]
async fn nobody_makes_keys_by_asking() {
    let insula = Installation::start().await;
    let (id, _) = insula.tenant("acme").await;
    let before = insula.server.cache.revision();
    let nobody = insula.certified("/tenants/acme", None).await;
    nobody.with("authorization", "Bearer a.b.c").get("/version").await.expect_code(401);
    assert_eq!(insula.server.cache.revision(), before);
    assert_ne!(id, TenantId::HOST);
}

#[tokio::test]
async fn a_tenant_stores_and_watches_no_more_than_its_limits() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    let (id, acme) = insula.tenant("acme").await;
    let path = format!("{TENANTS}/acme");
    let used = insula.server.cache.usage(id);
    let set = |limits: Value| json!({"spec": {"limits": limits}});
    host.merge(&path, &set(json!({"objects": used.objects + 1, "watches": 1}))).await.expect_code(200);
    acme.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    let status = acme.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect_code(403).json();
    assert!(text(&status["message"]).contains("limit of objects"), "{status}");
    // What is there can be changed and removed, and gives its place to another.
    acme.merge(&format!("{CONFIGMAPS}/a"), &json!({"data": {"k": "v"}})).await.expect_code(200);
    acme.delete(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    assert_eq!(insula.server.cache.usage(id), used);
    acme.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect_code(201);

    host.merge(&path, &set(json!({"objects": 1000, "bytes": "64Ki"}))).await.expect_code(200);
    let large = configmap("large", json!({"x": "x".repeat(100_000)}));
    let status = acme.post(CONFIGMAPS, &large).await.expect_code(403).json();
    assert!(text(&status["message"]).contains("limit of bytes"), "{status}");
    let watch = format!("{CONFIGMAPS}?watch=true");
    let open = acme.watch(&watch).await;
    acme.get(&watch).await.expect_code(429);
    drop(open);
    eventually("another watch", || async {
        (acme.get(&format!("{watch}&timeoutSeconds=1")).await.code == 200).then_some(())
    })
    .await;
}
