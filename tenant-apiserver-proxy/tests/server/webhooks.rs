//! Webhooks: who is asked, what is told, what is changed.

use crate::harness::{CONFIGMAPS, Client, Installation, TENANTS, configmap, eventually, tenant, text};
use crate::hooks::Hook;
use serde_json::{Value, json};

const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

async fn register(admin: &Client, hook: &Hook, mutating: bool, name: &str, paths: &[&str], change: Value) {
    let (kind, at) = if mutating {
        ("MutatingWebhookConfiguration", MUTATING)
    } else {
        ("ValidatingWebhookConfiguration", VALIDATING)
    };
    admin.post(at, &hook.configuration(kind, name, paths, &change)).await.expect_code(201);
}

async fn forget(admin: &Client, mutating: bool, name: &str) {
    let at = if mutating { MUTATING } else { VALIDATING };
    admin.delete(&format!("{at}/{name}")).await.expect_code(200);
}

/// A tenant that may reach the webhooks of the test, which are on the loopback address.
async fn tenant_with_egress(insula: &Installation, name: &str) -> Client {
    let mut object = tenant(name);
    object["spec"] = json!({"egress": {"allowedCIDRs": ["127.0.0.1/32"]}});
    insula.admin().await.post(TENANTS, &object).await.expect_code(201);
    insula.tenant_admin(name).await
}

#[tokio::test]
async fn answers_decide_in_the_words_of_kubernetes() {
    let insula = Installation::start().await;
    let admin = tenant_with_egress(&insula, "acme").await;
    let hook = Hook::start().await;
    let failed =
        |why: &str| format!("Internal error occurred: failed calling webhook \"h0.t.example.com\": {why}");
    for mutating in [false, true] {
        for (path, code, told) in [
            ("/allow", 201, String::new()),
            ("/deny", 403, "admission webhook \"h0.t.example.com\" denied the request: no way".to_owned()),
            ("/baduid", 500, failed("received invalid webhook response: expected response.uid=")),
            (
                "/500",
                500,
                failed("failed to call webhook: an error on the server (\"unknown\") has prevented"),
            ),
            ("/redirect", 500, failed("failed to call webhook: the answer is a redirect (307)")),
            (
                "/garbage",
                500,
                failed("failed to call webhook: couldn't get version/kind; json parse error: "),
            ),
            ("/large", 500, failed("failed to call webhook: the answer is larger than 3145728 bytes")),
        ] {
            register(&admin, &hook, mutating, "t", &[path], json!({})).await;
            let name = format!("{}-{mutating}", path.trim_start_matches('/'));
            let answer = admin.post(CONFIGMAPS, &configmap(&name, json!({}))).await.expect_code(code);
            let message = answer.json()["message"].as_str().unwrap_or("").to_owned();
            assert!(message.starts_with(&told), "{path}: {message}");
            forget(&admin, mutating, "t").await;
            // What fails is let through where that is the policy; what is denied never is.
            register(&admin, &hook, mutating, "t", &[path], json!({"failurePolicy": "Ignore"})).await;
            let code = if path == "/deny" { 403 } else { 201 };
            admin.post(CONFIGMAPS, &configmap(&format!("{name}-i"), json!({}))).await.expect_code(code);
            forget(&admin, mutating, "t").await;
        }
    }
}

#[tokio::test]
async fn a_bundle_without_certificates_fails_before_anything_is_sent() {
    let insula = Installation::start().await;
    let admin = tenant_with_egress(&insula, "acme").await;
    let hook = Hook::start().await;
    let client = json!({"clientConfig": {"url": "https://127.0.0.1:1/x", "caBundle": "YQ=="}});
    register(&admin, &hook, false, "t", &["/allow"], client).await;
    let refused = admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(500).json();
    let why =
        "could not get REST client: unable to load root certificates: unable to parse bytes as PEM block";
    assert!(text(&refused["message"]).ends_with(why), "{refused}");
}

#[tokio::test]
async fn reviews_say_what_is_done_and_by_whom() {
    let insula = Installation::start().await;
    let admin = tenant_with_egress(&insula, "acme").await;
    let hook = Hook::start().await;
    register(&admin, &hook, false, "v", &["/v"], json!({})).await;
    register(&admin, &hook, true, "m", &["/m"], json!({})).await;
    let path = format!("{CONFIGMAPS}/a");

    admin.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    assert_eq!(hook.count(), 2);
    let request = hook.last();
    assert_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!(request["resource"], json!({"group": "", "version": "v1", "resource": "configmaps"}));
    assert_eq!(
        (&request["requestKind"], &request["requestResource"]),
        (&request["kind"], &request["resource"])
    );
    assert_eq!((&request["name"], &request["namespace"]), (&json!("a"), &json!("default")));
    assert_eq!(
        request["userInfo"],
        json!({"username": "admin", "uid": "admin", "groups": ["system:masters", "system:authenticated"]})
    );
    assert_eq!(request["options"], json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}));
    assert_eq!((&request["dryRun"], &request["oldObject"]), (&json!(false), &Value::Null));
    assert_eq!(request["object"]["data"], json!({"k": "v"}));
    assert!(request["object"]["metadata"]["uid"].is_string() && request.get("subResource").is_none());

    admin
        .merge(&format!("{path}?dryRun=All&fieldManager=me"), &json!({"data": {"k": "w"}}))
        .await
        .expect_code(200);
    let request = hook.last();
    assert_eq!((&request["operation"], &request["dryRun"]), (&json!("UPDATE"), &json!(true)));
    assert_eq!(
        (&request["object"]["data"]["k"], &request["oldObject"]["data"]["k"]),
        (&json!("w"), &json!("v"))
    );
    assert_eq!(
        request["options"],
        json!({"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"], "fieldManager": "me"})
    );

    admin.delete(&format!("{path}?gracePeriodSeconds=0")).await.expect_code(200);
    let request = hook.last();
    assert_eq!((&request["operation"], &request["object"]), (&json!("DELETE"), &Value::Null));
    assert_eq!(request["oldObject"]["metadata"]["name"], "a");
    assert_eq!(request["options"]["gracePeriodSeconds"], 0);

    // One review for each object of a collection, and of a name that is not known yet.
    for name in ["x", "y"] {
        admin.post(CONFIGMAPS, &configmap(name, json!({}))).await.expect_code(201);
    }
    let mut generated = configmap("", json!({}));
    generated["metadata"] = json!({"generateName": "g-", "labels": {"g": "1"}});
    admin.post(CONFIGMAPS, &generated).await.expect_code(201);
    let asked = hook.asked();
    assert!(asked.contains(&"/m CREATE configmaps ".to_owned()), "{asked:?}");
    assert!(asked.iter().any(|line| line.starts_with("/v CREATE configmaps g-")), "{asked:?}");
    admin.delete(&format!("{CONFIGMAPS}?labelSelector=!g")).await.expect_code(200);
    let deleted = hook.asked().iter().filter(|line| line.as_str() == "/v DELETE configmaps ").count();
    assert!(deleted >= 2, "{deleted}");
    // Guards are not guarded.
    register(
        &admin,
        &hook,
        true,
        "other",
        &["/m"],
        json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"],
        "operations": ["*"], "resources": ["*/*"]}]}),
    )
    .await;
    forget(&admin, true, "other").await;
    assert_eq!(hook.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn actions_are_reviewed_by_their_bodies() {
    let insula = Installation::start().await;
    let admin = tenant_with_egress(&insula, "acme").await;
    let hook = Hook::start().await;
    let scale = "/apis/apps/v1/namespaces/default/deployments";
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    admin.post(scale, &deployment).await.expect_code(201);
    let rules = json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"],
        "resources": ["*/scale", "*/token", "selfsubjectaccessreviews"]}]});
    register(&admin, &hook, false, "v", &["/v"], rules).await;
    admin.merge(&format!("{scale}/d/scale"), &json!({"spec": {"replicas": 3}})).await.expect_code(200);
    let request = hook.last();
    assert_eq!(request["kind"], json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}));
    assert_eq!(
        (&request["resource"]["resource"], &request["subResource"]),
        (&json!("deployments"), &json!("scale"))
    );
    assert_eq!(
        (&request["oldObject"]["spec"]["replicas"], &request["object"]["spec"]["replicas"]),
        (&json!(1), &json!(3))
    );
    admin.merge(&format!("{scale}/d"), &json!({"spec": {"replicas": 2}})).await.expect_code(200);
    assert_eq!(hook.count(), 0);

    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}});
    admin.post(accounts, &account).await.expect_code(201);
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    admin.post(&format!("{accounts}/robot/token"), &token).await.expect_code(201);
    let request = hook.last();
    assert_eq!(request["kind"]["kind"], "TokenRequest");
    assert_eq!((&request["name"], &request["operation"]), (&json!("robot"), &json!("CREATE")));
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"nonResourceAttributes": {"path": "/x", "verb": "get"}}});
    admin.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await.expect_code(201);
    assert_eq!(hook.asked(), ["/v CREATE selfsubjectaccessreviews "]);
}

#[tokio::test]
async fn patches_are_taken_defaulted_and_reviewed_again() {
    let insula = Installation::start().await;
    let admin = tenant_with_egress(&insula, "acme").await;
    let hook = Hook::start().await;
    register(
        &admin,
        &hook,
        true,
        "a",
        &["/patch/first", "/patch/never"],
        json!({"reinvocationPolicy": "IfNeeded"}),
    )
    .await;
    register(&admin, &hook, true, "b", &["/patch/last"], json!({})).await;
    register(&admin, &hook, false, "v", &["/v"], json!({})).await;
    let made = admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201).json();
    // The first two want to be asked again when others have changed the object after them.
    assert_eq!(made["metadata"]["annotations"], json!({"first": "xx", "never": "xx", "last": "x"}));
    let asked = hook.asked();
    let paths: Vec<&str> = asked.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(paths, ["/patch/first", "/patch/never", "/patch/last", "/patch/first", "/patch/never", "/v"]);

    // What a patch leaves out is defaulted, and what it makes is validated.
    let changed =
        admin.merge(&format!("{CONFIGMAPS}/a"), &json!({"data": {"k": "v"}})).await.expect_code(200).json();
    assert_eq!(changed["metadata"]["annotations"]["last"], "xx");
    assert_eq!(changed["metadata"]["uid"], made["metadata"]["uid"]);
    register(&admin, &hook, true, "c", &["/patch/not*valid"], json!({})).await;
    let status = admin.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect_code(422).json();
    assert!(text(&status["message"]).contains("metadata.annotations"), "{status}");
    // A deletion cannot be changed.
    let status = admin.delete(&format!("{CONFIGMAPS}/a")).await.expect_code(500).json();
    assert!(
        text(&status["message"]).contains("attempted to modify the object, which is not supported"),
        "{status}"
    );
}

#[tokio::test]
async fn selectors_and_conditions_choose() {
    let insula = Installation::start().await;
    let admin = tenant_with_egress(&insula, "acme").await;
    let hook = Hook::start().await;
    let change = json!({
        "objectSelector": {"matchLabels": {"guarded": "yes"}},
        "namespaceSelector": {"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}]},
        "matchConditions": [
            {"name": "not-mine", "expression": "request.userInfo.username != 'nobody'"},
            {"name": "has-data", "expression": "object == null || has(object.data)"}]});
    register(&admin, &hook, false, "v", &["/deny"], change).await;
    let labelled = |name: &str, data: Value| {
        let mut object = configmap(name, data);
        object["metadata"]["labels"] = json!({"guarded": "yes"});
        object
    };
    admin.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    let mut empty = labelled("b", json!({}));
    empty.as_object_mut().unwrap().remove("data");
    admin.post(CONFIGMAPS, &empty).await.expect_code(201);
    let elsewhere = CONFIGMAPS.replace("default", "kube-system");
    admin.post(&elsewhere, &labelled("c", json!({"k": "v"}))).await.expect_code(201);
    assert_eq!(hook.count(), 0);
    admin.post(CONFIGMAPS, &labelled("d", json!({"k": "v"}))).await.expect_code(403);
    // The old object counts too: nobody gets out by taking the label away.
    admin
        .merge(&format!("{CONFIGMAPS}/b"), &json!({"metadata": {"labels": null}, "data": {"k": "v"}}))
        .await
        .expect_code(403);

    // A condition that fails refuses, or lets pass without asking.
    forget(&admin, false, "v").await;
    for (policy, code) in [("Fail", 403), ("Ignore", 201)] {
        let change = json!({"failurePolicy": policy,
            "matchConditions": [{"name": "bad", "expression": "object.data.nothing == 'x'"}]});
        register(&admin, &hook, false, "v", &["/v"], change).await;
        let name = policy.to_lowercase();
        let answer =
            admin.post(CONFIGMAPS, &configmap(&name, json!({"k": "v"}))).await.expect_code(code).json();
        if code == 403 {
            let told = text(&answer["message"]).to_owned();
            assert!(
                told.contains("is forbidden: expression 'object.data.nothing == 'x'' resulted in error: "),
                "{told}"
            );
            assert!(told.ends_with("no such key: nothing"), "{told}");
        }
        forget(&admin, false, "v").await;
    }
    let _ = hook.asked();
}

#[tokio::test]
async fn another_version_is_seen_where_it_is_equivalent() {
    let insula = Installation::start().await;
    let admin = tenant_with_egress(&insula, "acme").await;
    let hook = Hook::start().await;
    let scaler = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "targetCPUUtilizationPercentage": 50}});
    let rules = json!([{"apiGroups": ["autoscaling"], "apiVersions": ["v2"], "operations": ["*"],
        "resources": ["horizontalpodautoscalers"]}]);
    let at = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers?dryRun=All";
    register(&admin, &hook, false, "v", &["/v"], json!({"rules": rules, "matchPolicy": "Exact"})).await;
    admin.post(at, &scaler).await.expect_code(201);
    assert_eq!(hook.count(), 0);
    forget(&admin, false, "v").await;
    register(&admin, &hook, false, "v", &["/v"], json!({"rules": rules})).await;
    admin.post(at, &scaler).await.expect_code(201);
    let request = hook.last();
    assert_eq!(
        (&request["kind"]["version"], &request["requestKind"]["version"]),
        (&json!("v2"), &json!("v1"))
    );
    assert_eq!(request["object"]["apiVersion"], "autoscaling/v2");
    assert!(request["object"]["spec"]["metrics"].is_array(), "{request}");
}

#[tokio::test]
async fn the_older_review_is_sent_to_who_asks_for_it() {
    let insula = Installation::start().await;
    let admin = tenant_with_egress(&insula, "acme").await;
    let hook = Hook::start().await;
    let older = json!({"admissionReviewVersions": ["v7", "v1beta1", "v1"]});
    register(&admin, &hook, true, "m", &["/patch/key"], older.clone()).await;
    register(&admin, &hook, false, "v", &["/baduid"], older).await;
    // Whose the answer is was not checked in it.
    let made = admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201).json();
    assert_eq!(made["metadata"]["annotations"], json!({"key": "x"}));
    assert_eq!(hook.versions(), ["admission.k8s.io/v1beta1"; 2]);
}

#[tokio::test]
async fn warnings_are_told_with_success_and_with_refusal() {
    let insula = Installation::start().await;
    let admin = tenant_with_egress(&insula, "acme").await;
    let hook = Hook::start().await;
    register(&admin, &hook, true, "m", &["/warn", "/warn"], json!({})).await;
    let answer = admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    let warnings: Vec<_> = answer.headers.get_all("warning").iter().collect();
    assert_eq!(warnings, ["299 - \"take care\""]);
    register(&admin, &hook, false, "v", &["/deny"], json!({})).await;
    let answer = admin.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect_code(403);
    assert_eq!(answer.header("warning"), "299 - \"take care\"");
}

#[tokio::test]
async fn tenants_reach_public_addresses_and_what_is_allowed_only() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let hook = Hook::start().await;
    let port = hook.url.rsplit(':').next().unwrap().to_owned();
    for host in
        ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"]
    {
        let mut object = hook.configuration("ValidatingWebhookConfiguration", "v", &["/allow"], &json!({}));
        object["webhooks"][0]["clientConfig"]["url"] = json!(format!("https://{host}:{port}/allow"));
        admin.post(VALIDATING, &object).await.expect_code(201);
        let status = admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(500).json();
        let told = text(&status["message"]);
        let refused =
            told.contains("which is not public") || told.contains("is no address") || told.contains("lookup");
        assert!(refused, "{host}: {told}");
        forget(&admin, false, "v").await;
    }
    assert_eq!(hook.count(), 0, "nothing was sent");
    // The platform allows it, at once; its own plane reaches everything.
    register(&admin, &hook, false, "v", &["/allow"], json!({})).await;
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(500);
    let host = insula.admin().await;
    let allowed = json!({"spec": {"egress": {"allowedCIDRs": ["127.0.0.1/32"]}}});
    host.merge(&format!("{TENANTS}/acme"), &allowed).await.expect_code(200);
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    register(&host, &hook, false, "v", &["/deny"], json!({})).await;
    host.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(403);
    assert_eq!(hook.asked().len(), 2, "a webhook of one plane sees nothing of another");
}

#[tokio::test]
async fn a_slow_webhook_times_out_and_holds_its_own_tenant_only() {
    let insula = Installation::start().await;
    let slow = tenant_with_egress(&insula, "slow").await;
    let (_, other) = insula.tenant("other").await;
    let limits = json!({"spec": {"limits": {"concurrentRequests": 2}}});
    insula.admin().await.merge(&format!("{TENANTS}/slow"), &limits).await.expect_code(200);
    let hook = Hook::start().await;
    register(&slow, &hook, false, "v", &["/slow"], json!({"timeoutSeconds": 30})).await;
    let writes: Vec<_> = ["a", "b", "c"]
        .map(|name| {
            let slow = slow.clone();
            tokio::spawn(
                async move { slow.post(CONFIGMAPS, &configmap(name, json!({}))).await.code.as_u16() },
            )
        })
        .into();
    let two = || async { (hook.count() == 2).then_some(()) };
    eventually("both seats of the slow tenant wait", two).await;
    // The third stands in line for a seat, and everybody else is served.
    other.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    insula.admin().await.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    assert_eq!(hook.count(), 2);
    hook.go.add_permits(3);
    for write in writes {
        assert_eq!(write.await.unwrap(), 201);
    }
    forget(&slow, false, "v").await;
    register(&slow, &hook, false, "v", &["/slow"], json!({"timeoutSeconds": 1})).await;
    let status = slow.post(CONFIGMAPS, &configmap("d", json!({}))).await.expect_code(500).json();
    let told =
        format!("failed to call webhook: Post \"{}/slow?timeout=1s\": context deadline exceeded", hook.url);
    assert!(text(&status["message"]).ends_with(&told), "{status}");
}
