//! Audit events: what is written down of which requests, and where it goes.

use crate::harness::{CONFIGMAPS, Installation, TENANTS, configmap, eventually, tenant, text};
use crate::hooks::Hook;
use crate::pods_beyond::{Beyond, PODS, ask, pod};
use api_resources::audit::Policy;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use tenant_apiserver_proxy::audit::log::{Limits, Log};

/// An installation with a policy, which writes into a file.
async fn audited(policy: Value) -> Installation {
    let dir = TempDir::new().unwrap();
    let log = Log::open(&dir.path().join("audit.log"), Limits::default()).unwrap();
    let policy = Policy::parse(policy.as_object().unwrap()).unwrap();
    let audit = tenant_apiserver_proxy::audit::Installation { policy, log: Some(log), webhook: None };
    Installation::start_audited(audit, dir).await
}

fn events(dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("audit.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events of a user: `STAGE VERB resource name CODE`.
fn lines(insula: &Installation, user: &str) -> Vec<String> {
    let all = events(insula.dir.path()).into_iter().filter(|event| event["user"]["username"] == user);
    all.map(|event| {
        let of = &event["objectRef"];
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {} {} {}",
            text(&event["stage"]),
            text(&event["verb"]),
            text(&of["resource"]),
            text(&of["name"]),
            event["responseStatus"]["code"]
        )
    })
    .collect()
}

#[tokio::test]
async fn a_request_is_written_down_before_it_is_done_and_before_it_is_answered() {
    let insula = audited(json!({"rules": [{"level": "Metadata"}]})).await;
    let (id, _) = insula.tenant("acme").await;
    let ann = insula.user(id, "/tenants/acme", "ann", Some("system:masters")).await;
    let named =
        ann.with("audit-id", "chosen").with("user-agent", "tests").with("x-forwarded-for", "10.1.2.3, x");
    let made = named.post(CONFIGMAPS, &configmap("a", json!({"k": "hidden"}))).await.expect_code(201);
    assert_eq!(made.header("audit-id"), "chosen");
    assert_eq!(
        lines(&insula, "ann"),
        ["RequestReceived create configmaps - null", "ResponseComplete create configmaps a 201"]
    );
    let event =
        events(insula.dir.path()).into_iter().rfind(|event| event["user"]["username"] == "ann").unwrap();
    assert_eq!(text(&event["auditID"]), "chosen");
    assert_eq!(text(&event["apiVersion"]), "audit.k8s.io/v1");
    assert_eq!(text(&event["requestURI"]), format!("/tenants/acme{CONFIGMAPS}"));
    assert_eq!(text(&event["userAgent"]), "tests");
    assert_eq!(event["sourceIPs"], json!(["10.1.2.3", "127.0.0.1"]));
    assert_eq!(event["user"]["groups"], json!(["system:masters", "system:authenticated"]));
    assert_eq!(
        event["annotations"],
        json!({"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "",
            "insula.dev/tenant": "acme"})
    );
    assert!(!event.to_string().contains("hidden"), "{event}");
    let other = ann.get(CONFIGMAPS).await.expect_code(200);
    assert_eq!(other.header("audit-id").len(), 36, "who names none gets one");
}

#[tokio::test]
async fn levels_say_how_much() {
    let insula = audited(json!({"omitStages": ["RequestReceived"], "rules": [
        {"level": "None", "verbs": ["delete"]},
        {"level": "Request", "verbs": ["patch"]},
        {"level": "RequestResponse", "omitManagedFields": true, "resources": [{"resources": ["configmaps"]}]}]}))
    .await;
    let (id, _) = insula.tenant("acme").await;
    let ann = insula.user(id, "/tenants/acme", "ann", Some("system:masters")).await;
    // Whatever the format is, it is written as JSON.
    let graph = api_schema::builtin::graph();
    let root = graph.at(api_schema::builtin::kind("", "v1", "ConfigMap").unwrap());
    let object = configmap("a", json!({"k": "v"}));
    let body = api_schema::protobuf::encode(&object, root, "v1", "ConfigMap").unwrap();
    ann.send("POST", CONFIGMAPS, "application/vnd.kubernetes.protobuf", body).await.expect_code(201);
    ann.merge(&format!("{CONFIGMAPS}/a"), &json!({"data": {"k": "w"}})).await.expect_code(200);
    ann.get(&format!("{CONFIGMAPS}/b")).await.expect_code(404);
    ann.delete(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    ann.get("/api/v1/namespaces").await.expect_code(200);
    let all: Vec<Value> =
        events(insula.dir.path()).into_iter().filter(|event| event["user"]["username"] == "ann").collect();
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(all[0]["requestObject"]["data"], json!({"k": "v"}));
    assert_eq!(all[0]["responseObject"]["data"], json!({"k": "v"}));
    assert!(all[0]["responseObject"]["metadata"]["managedFields"].is_null());
    assert_eq!(all[1]["requestObject"], json!({"data": {"k": "w"}}));
    assert!(all[1]["responseObject"].is_null());
    assert_eq!(text(&all[2]["responseStatus"]["reason"]), "NotFound");
    assert_eq!(all[2]["responseObject"]["code"], 404);
}

#[tokio::test]
async fn refusals_impersonation_and_strangers_are_written_down() {
    let insula = audited(json!({"omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]})).await;
    let (id, admin) = insula.tenant("acme").await;
    let bob = insula.user(id, "/tenants/acme", "bob", None).await;
    bob.get(CONFIGMAPS).await.expect_code(403);
    assert_eq!(lines(&insula, "bob"), ["ResponseComplete list configmaps - 403"]);
    let last = events(insula.dir.path()).pop().unwrap();
    assert_eq!(text(&last["annotations"]["authorization.k8s.io/decision"]), "forbid");

    admin.with("impersonate-user", "eve").get(CONFIGMAPS).await.expect_code(403);
    let last = events(insula.dir.path()).pop().unwrap();
    assert_eq!(text(&last["user"]["username"]), "admin");

    // A certificate comes first.
    bob.with("authorization", "Bearer nonsense").get(CONFIGMAPS).await.expect_code(403);
    let stranger = insula.certified("/tenants/acme", None).await;
    stranger.with("authorization", "Bearer nonsense").get(CONFIGMAPS).await.expect_code(401);
    let last = events(insula.dir.path()).pop().unwrap();
    assert_eq!((text(&last["stage"]), &last["responseStatus"]["code"]), ("ResponseStarted", &json!(401)));
    assert!(last["user"]["username"].is_null());
}

#[tokio::test]
async fn a_watch_is_written_down_when_it_begins_and_when_it_ends() {
    let insula = audited(json!({"rules": [{"level": "Metadata", "verbs": ["watch"]}]})).await;
    let (id, _) = insula.tenant("acme").await;
    let ann = insula.user(id, "/tenants/acme", "ann", Some("system:masters")).await;
    let watch = ann.watch(&format!("{CONFIGMAPS}?watch=true&timeoutSeconds=1")).await;
    let begun = ["RequestReceived watch configmaps - null", "ResponseStarted watch configmaps - 200"];
    assert_eq!(lines(&insula, "ann"), begun);
    watch.drain().await;
    let ended = || async { (lines(&insula, "ann").len() == 3).then_some(()) };
    eventually("the end of the watch is written", ended).await;
    assert_eq!(lines(&insula, "ann")[2], "ResponseComplete watch configmaps - 200");
}

#[tokio::test]
async fn a_tenant_has_its_own_requests_posted_to_its_webhook() {
    let insula = Installation::start().await;
    let hook = Hook::start().await;
    let mut object = tenant("acme");
    object["spec"] = json!({"egress": {"allowedCIDRs": ["127.0.0.1/32"]}, "audit": {
        "policy": {"rules": [{"level": "Metadata", "resources": [{"resources": ["configmaps"]}]}],
            "omitStages": ["RequestReceived"]},
        "webhook": {"url": format!("{}/audit", hook.url), "caBundle": hook.ca_bundle}}});
    insula.admin().await.post(TENANTS, &object).await.expect_code(201);
    let acme = insula.tenant_admin("acme").await;
    let (_, globex) = insula.tenant("globex").await;
    globex.post(CONFIGMAPS, &configmap("theirs", json!({}))).await.expect_code(201);
    for name in ["a", "b"] {
        acme.post(CONFIGMAPS, &configmap(name, json!({}))).await.expect_code(201);
    }
    let mut names = Vec::new();
    while names.len() < 2 {
        eventually("a list comes", || async { (hook.count() > 0).then_some(()) }).await;
        let list = hook.last();
        assert_eq!(text(&list["kind"]), "EventList");
        for event in list["items"].as_array().unwrap() {
            assert_eq!(text(&event["annotations"]["insula.dev/tenant"]), "acme");
            names.push(text(&event["objectRef"]["name"]).to_owned());
        }
    }
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn guards_have_things_noted() {
    let insula = audited(json!({"omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]})).await;
    let (_, acme) = insula.tenant("acme").await;
    let group = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "sizes"}, "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["configmaps"]}]},
            "validations": [{"expression": "true"}, {"expression": "size(object.data) < 1", "message": "too many"}],
            "auditAnnotations": [{"key": "keys", "valueExpression": "string(size(object.data))"}]}});
    acme.post(&format!("{group}/validatingadmissionpolicies"), &policy).await.expect_code(201);
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "all"}, "spec": {"policyName": "sizes", "validationActions": ["Audit"]}});
    acme.post(&format!("{group}/validatingadmissionpolicybindings"), &binding).await.expect_code(201);
    acme.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    let noted = events(insula.dir.path()).pop().unwrap()["annotations"].clone();
    assert_eq!(text(&noted["sizes/keys"]), "1");
    let failure: Value =
        serde_json::from_str(text(&noted["validation.policy.admission.k8s.io/validation_failure"])).unwrap();
    assert_eq!(
        failure,
        json!([{"message": "too many", "policy": "sizes", "binding": "all", "expressionIndex": 1,
            "validationActions": ["Audit"]}])
    );

    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/audit": "baseline"}}});
    acme.merge("/api/v1/namespaces/default", &labels).await.expect_code(200);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"hostNetwork": true, "containers": [{"name": "c", "image": "i"}]}});
    acme.post("/api/v1/namespaces/default/pods", &pod).await.expect_code(201);
    let noted = events(insula.dir.path()).pop().unwrap()["annotations"].clone();
    assert_eq!(text(&noted["pod-security.kubernetes.io/enforce-policy"]), "privileged:latest");
    let told = text(&noted["pod-security.kubernetes.io/audit-violations"]);
    assert!(told.starts_with("would violate PodSecurity \"baseline:latest\": host namespaces"), "{told}");
}

#[tokio::test]
async fn a_stream_is_written_down_when_it_begins_and_when_it_ends() {
    let insula = audited(json!({"rules": [{"level": "RequestResponse"}]})).await;
    let hook = Hook::start().await;
    let mut object = tenant("acme");
    object["spec"] = json!({"egress": {"allowedCIDRs": ["127.0.0.1/32"]}, "audit": {
        "policy": {"rules": [{"level": "Metadata", "resources": [{"resources": ["pods/exec"]}]}],
            "omitStages": ["RequestReceived", "ResponseStarted"]},
        "webhook": {"url": format!("{}/audit", hook.url), "caBundle": hook.ca_bundle}}});
    let made = insula.admin().await.post(TENANTS, &object).await.expect_code(201).json();
    let id = api_types::TenantId::parse(text(&made["metadata"]["uid"])).unwrap();
    let admin = insula.tenant_admin("acme").await;
    insula.server.set_pod_tunnel(Box::new(Beyond::default()));
    pod(&admin, "web", "n1", 1).await;
    let certificate = insula.server.sign_client(id, "ann", Some("system:masters")).unwrap();
    let path = format!("/tenants/acme{PODS}/web/exec?command=ls");
    let headers = ["Connection: Upgrade", "Upgrade: echo"];
    let (exec, head) = ask(&insula, Some(&certificate), "POST", &path, &headers).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let begun = ["RequestReceived create pods web null", "ResponseStarted create pods web 101"];
    assert_eq!(lines(&insula, "ann"), begun);
    drop(exec);
    let ended = eventually("the end of the stream", || async {
        let lines = lines(&insula, "ann");
        (lines.len() > 2).then_some(lines)
    })
    .await;
    assert_eq!(ended[2..], ["ResponseComplete create pods web 101"]);
    let all = events(insula.dir.path());
    let last = all.iter().rfind(|event| event["user"]["username"] == "ann").unwrap();
    assert_eq!(last["objectRef"]["subresource"], "exec");
    let annotations = &last["annotations"];
    assert_eq!(
        (&annotations["insula.dev/super-cluster"], &annotations["insula.dev/super-actor"]),
        (&json!("hz-1"), &json!("the-syncer"))
    );
    // The tenant does not hear of that.
    eventually("the tenant's event", || async { (hook.count() > 0).then_some(()) }).await;
    let told = hook.last()["items"][0].clone();
    assert_eq!((&told["stage"], &told["auditID"]), (&json!("ResponseComplete"), &last["auditID"]));
    assert!(!told["annotations"].to_string().contains("super"), "{told}");
}

#[tokio::test]
async fn no_token_is_written_down() {
    use base64::Engine;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let insula = audited(json!({"rules": [{"level": "Request"}]})).await;
    let (_, admin) = insula.tenant("acme").await;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let token = text(&admin.post(path, &request).await.expect_code(201).json()["status"]["token"]).to_owned();
    let signature = token.rsplit('.').next().unwrap();
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&token);
    let uri = format!("wss://insula/tenants/acme{CONFIGMAPS}?watch=true&access_token={token}");
    let mut request = uri.into_client_request().unwrap();
    let protocols = format!("base64url.bearer.authorization.k8s.io.{encoded}, v1");
    for (name, value) in [("origin", "https://page"), ("sec-websocket-protocol", &protocols)] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = insula.stream(None, b"http/1.1").await;
    // The account may not read them.
    tokio_tungstenite::client_async(request, stream).await.unwrap_err();
    insula.certified("", None).await.with("authorization", format!("Bearer {token}")).get(CONFIGMAPS).await;
    let written = events(insula.dir.path());
    let of_robot = |event: &&Value| event["user"]["username"] == "system:serviceaccount:default:default";
    let uris: Vec<&str> = written.iter().filter(of_robot).map(|event| text(&event["requestURI"])).collect();
    assert!(uris.iter().any(|uri| uri.ends_with("&access_token=hidden")), "{uris:?}");
    for event in written {
        let event = event.to_string();
        assert!(!event.contains(signature) && !event.contains(&encoded), "{event}");
    }
}

#[tokio::test]
async fn it_is_written_by_which_token_somebody_came_and_which_one_was_issued() {
    use base64::Engine;
    use plane_client::{TokenOrder, TokenSigner};
    let insula = audited(json!({"rules": [{"level": "Metadata", "omitStages": ["RequestReceived"]}]})).await;
    let (id, admin) = insula.tenant("acme").await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    admin.post(&format!("{accounts}/default/token"), &request).await.expect_code(201);
    let account = admin.get(&format!("{accounts}/default")).await.expect_code(200).json();
    let order = TokenOrder {
        namespace: "default".into(),
        secret: "kept".into(),
        account: "default".into(),
        uid: text(&account["metadata"]["uid"]).into(),
    };
    let server = tenant_apiserver_proxy::in_process::InProcess::new(insula.server.clone());
    let token = server.sign_token(id, &order).await.unwrap();
    let held = base64::engine::general_purpose::STANDARD.encode(&token);
    let secret = json!({"metadata": {"name": "kept", "annotations": {"kubernetes.io/service-account.name": "default"}},
        "type": "kubernetes.io/service-account-token", "data": {"token": held}});
    admin.post("/api/v1/namespaces/default/secrets", &secret).await.expect_code(201);
    let robot =
        insula.certified("/tenants/acme", None).await.with("authorization", format!("Bearer {token}"));
    robot.get("/version").await.expect_code(200);
    let marked = json!({"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}});
    admin.merge("/api/v1/namespaces/default/secrets/kept", &marked).await.expect_code(200);
    robot.get("/version").await.expect_code(401);

    let written = events(insula.dir.path());
    let notes = |holds: &dyn Fn(&Value) -> bool| {
        written.iter().rfind(|event| holds(event)).unwrap_or_else(|| panic!("{written:?}"))["annotations"]
            .clone()
    };
    let issued = notes(&|event| event["objectRef"]["subresource"] == "token");
    let id = text(&issued["authentication.kubernetes.io/issued-credential-id"]);
    assert!(id.strip_prefix("JTI=").is_some_and(|id| id.len() == 36), "{id}");
    let came = notes(&|event| event["user"]["username"] == "system:serviceaccount:default:default");
    assert_eq!(came["authentication.k8s.io/legacy-token"], "system:serviceaccount:default:default");
    assert_eq!(came["authentication.k8s.io/legacy-token-manual-secret"], "kept");
    let refused = notes(&|event| event["responseStatus"]["code"] == 401);
    assert_eq!(refused["authentication.k8s.io/legacy-token-invalidated"], "kept/default");
}

#[tokio::test]
async fn it_is_written_by_which_right_somebody_acts_as_another() {
    let insula = audited(json!({"rules": [{"level": "Metadata", "omitStages": ["RequestReceived"]}]})).await;
    let (id, admin) = insula.tenant("acme").await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let rule = |group: &str, resource: &str, verb: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
    let role = json!({"metadata": {"name": "helper"}, "rules": [
        rule("authentication.k8s.io", "users", "impersonate:user-info"),
        rule("", "configmaps", "impersonate-on:user-info:list")]});
    admin.post(&format!("{rbac}/clusterroles"), &role).await.expect_code(201);
    let binding = json!({"metadata": {"name": "helper"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "helper"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "helper"}]});
    admin.post(&format!("{rbac}/clusterrolebindings"), &binding).await.expect_code(201);
    let helper = insula.user(id, "/tenants/acme", "helper", None).await.with("impersonate-user", "ann");
    helper.get(CONFIGMAPS).await.expect_code(403);
    admin.with("impersonate-user", "ann").get(CONFIGMAPS).await.expect_code(403);
    let written = events(insula.dir.path());
    let by = |user: &str| {
        let found = written.iter().rfind(|event| event["user"]["username"] == user).unwrap();
        (found["impersonatedUser"]["username"].clone(), found["authenticationMetadata"].clone())
    };
    let constraint = json!({"impersonationConstraint": "impersonate:user-info"});
    assert_eq!(by("helper"), (json!("ann"), constraint.clone()));
    assert_eq!(by("admin").0, "ann");
    let rights = json!({"metadata": {"name": "ann"}, "rules": [rule("", "configmaps", "list")]});
    admin.post(&format!("{rbac}/clusterroles"), &rights).await.expect_code(201);
    let binding = json!({"metadata": {"name": "ann"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ann"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}]});
    admin.post(&format!("{rbac}/clusterrolebindings"), &binding).await.expect_code(201);
    helper.get(CONFIGMAPS).await.expect_code(200);
    let written = events(insula.dir.path());
    let found = written.iter().rfind(|event| event["user"]["username"] == "helper").unwrap();
    assert_eq!(found["impersonatedUser"]["username"], "ann");
    assert_eq!(found["authenticationMetadata"], constraint);
}
