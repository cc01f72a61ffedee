//! Extension servers: who asks them, what they are asked, and what they can do to others.

use crate::extension_server::{API_SERVICES, Extended, Mood};
use crate::harness::{TENANTS, eventually, text};
use crate::upgrades;
use plane_client::{Checked, ExtensionServers};
use serde_json::{Value, json};
use tenant_apiserver_proxy::aggregation::CHECKS;
use tenant_apiserver_proxy::in_process::InProcess;

const FOOS: &str = "/apis/ext.example.com/v1/namespaces/default/foos";
const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[tokio::test]
async fn requests_are_sent_on_with_who_makes_them() {
    let Extended { insula, id, admin, server, .. } = Extended::available().await;
    let jane = insula.user(id, &admin.path, "jane", Some("dev")).await;
    jane.get(FOOS).await.expect_code(403);
    assert!(server.asked().is_empty(), "who may not do it is refused before");

    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "foos"}, "rules": [{"apiGroups": ["ext.example.com"], "resources": ["foos"],
            "verbs": ["list", "create"]}]});
    admin.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", &role).await.expect_code(201);
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "foos"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "foos"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    admin.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).await.expect_code(201);
    let forged = jane.with("x-remote-user", "admin").with("x-remote-group", "system:masters");
    let forged = forged.with("x-mine", "kept");
    let list = forged.get(&format!("{FOOS}?limit=5&labelSelector=a%3Db")).await.expect_code(200).json();
    assert_eq!((&list["kind"], &list["items"][0]["metadata"]["name"]), (&json!("FooList"), &json!("a")));
    let (method, target, headers) = server.asked().pop().unwrap();
    assert_eq!((method.as_str(), target), ("GET", format!("{FOOS}?limit=5&labelSelector=a%3Db")));
    let all = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    assert_eq!((all("x-remote-user"), all("x-remote-uid")), (vec!["jane".into()], vec!["jane".into()]));
    assert_eq!(all("x-remote-group"), ["dev", "system:authenticated"]);
    assert_eq!((all("x-mine"), all("host").len()), (vec!["kept".into()], 1));

    let body = json!({"kind": "Foo", "metadata": {"name": "b"}});
    let as_jane = admin
        .with("impersonate-user", "jane")
        .with("x-forwarded-for", "1.2.3.4")
        .with("authorization", "Basic bWluZQ==");
    let made = as_jane.post(FOOS, &body).await;
    assert_eq!((made.code.as_u16(), made.json()), (201, body));
    assert_eq!((made.header("x-of-the-server"), made.header("x-hop")), ("kept", ""));
    let (_, _, headers) = server.asked().pop().unwrap();
    assert_eq!(headers["x-remote-user"], "jane");
    for left_out in ["authorization", "impersonate-user", "x-forwarded-for"] {
        assert!(!headers.contains_key(left_out), "{left_out}");
    }
    assert_eq!((made.header("set-cookie"), made.header("content-security-policy")), ("", "sandbox"));
    admin.get(&format!("{FOOS}/../../../b/foos")).await.expect_code(400);
    // What is not there is said by the server.
    assert_eq!(admin.get("/apis/ext.example.com/v1/bars").await.expect_code(404).body, "not here");
}

#[tokio::test]
async fn a_watch_comes_as_it_is_sent_and_ends_with_the_tenant() {
    let Extended { insula, admin, server, .. } = Extended::available().await;
    let mut watch = admin.watch(&format!("{FOOS}?watch=1")).await;
    assert_eq!(watch.line().await, "ADDED w0");
    server.next.notify_one();
    assert_eq!(watch.line().await, "ADDED w1");
    let suspended = json!({"spec": {"suspended": true}});
    insula.admin().await.merge(&format!("{TENANTS}/acme"), &suspended).await.expect_code(200);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn connections_are_upgraded() {
    let Extended { insula, admin, id, .. } = Extended::available().await;
    let path = format!("{}{FOOS}/a/exec", admin.path);
    let certificate = insula.server.sign_client(id, "admin", Some("system:masters")).unwrap();
    let said = upgrades::echo(&insula, &certificate, &path, b"hello").await;
    assert_eq!(said, b"hello");
}

#[tokio::test]
async fn discovery_tells_what_they_serve_and_marks_what_is_stale() {
    let extended = Extended::start().await;
    let Extended { admin, server, .. } = &extended;
    let versions = async || -> Value {
        let found = admin.with("accept", V2).get("/apis").await.expect_code(200).json();
        let items = found["items"].as_array().unwrap().clone();
        items.into_iter().find(|item| item["metadata"]["name"] == "ext.example.com").unwrap()["versions"]
            .clone()
    };
    assert_eq!(versions().await, json!([{"version": "v1", "freshness": "Stale"}]));
    let unavailable = admin.get("/apis/ext.example.com/v1").await.expect_code(503);
    assert_eq!(
        (unavailable.header("content-type"), &unavailable.body[..]),
        ("text/plain; charset=utf-8", &b"service unavailable\n"[..])
    );

    extended.judge("v1.ext.example.com").await;
    let known = versions().await;
    assert_eq!(
        (&known[0]["freshness"], &known[0]["resources"][0]["resource"]),
        (&json!("Current"), &json!("foos"))
    );
    let list = admin.get("/apis/ext.example.com/v1").await.expect_code(200).json();
    assert_eq!(list["resources"][0]["shortNames"], json!(["fo"]));
    let group = admin.get("/apis/ext.example.com").await.expect_code(200).json();
    assert_eq!(group["preferredVersion"]["groupVersion"], "ext.example.com/v1");
    let groups = admin.get("/apis").await.expect_code(200).json();
    assert!(groups["groups"].as_array().unwrap().iter().any(|group| group["name"] == "ext.example.com"));

    *server.mood.lock() = Mood::Fails;
    let (reason, message) = extended.judge("v1.ext.example.com").await;
    assert_eq!(reason, "FailedDiscoveryCheck");
    let url = format!("https://localhost:{}/apis/ext.example.com/v1", server.port);
    assert_eq!(message, format!("failing or missing response from {url}: bad status from {url}: 500"));
    let stale = versions().await;
    assert_eq!((&stale[0]["freshness"], &stale[0]["resources"]), (&json!("Stale"), &known[0]["resources"]));
    admin.get("/api/v1/namespaces").await.expect_code(200);

    admin.delete(&format!("{API_SERVICES}/v1.ext.example.com")).await.expect_code(200);
    admin.get("/apis/ext.example.com/v1").await.expect_code(404);
    admin.get(FOOS).await.expect_code(404);
}

#[tokio::test]
async fn what_is_missing_is_told_as_kubernetes_tells_it() {
    let extended = Extended::start().await;
    let Extended { admin, .. } = &extended;
    let services = "/api/v1/namespaces/default/services";
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let register = async |name: &str, port: u16| {
        let mut object = extended.server.api_service(&format!("{name}.example.com"), "v1");
        object["spec"]["service"] = json!({"namespace": "default", "name": name, "port": port});
        admin.post(API_SERVICES, &object).await.expect_code(201);
        format!("v1.{name}.example.com")
    };
    let judged = async |name: &str| extended.judge(name).await;
    let none = register("none", 443).await;
    assert_eq!(
        judged(&none).await,
        ("ServiceNotFound", "service/none in \"default\" is not present".to_owned())
    );
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "here"},
        "spec": {"ports": [{"name": "https", "port": 443}]}});
    admin.post(services, &service).await.expect_code(201);
    let wrong = register("here", 444).await;
    assert_eq!(
        judged(&wrong).await,
        ("ServicePortError", "service/here in \"default\" is not listening on port 444".to_owned())
    );
    let right = json!({"spec": {"service": {"port": 443}}});
    admin.merge(&format!("{API_SERVICES}/{wrong}"), &right).await.expect_code(200);
    assert_eq!(
        judged(&wrong).await,
        ("EndpointsNotFound", "cannot find endpointslices for service/here in \"default\"".to_owned())
    );
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "here", "labels": {"kubernetes.io/service-name": "here"}},
        "ports": [{"name": "https", "port": 9443}],
        "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": false}}]});
    admin.post(slices, &slice).await.expect_code(201);
    assert_eq!(
        judged(&wrong).await,
        (
            "MissingEndpoints",
            "endpointslices for service/here in \"default\" have no addresses with port name \"https\""
                .to_owned()
        )
    );
    // An address that the tenant may not reach is not reached through a Service either.
    let ready = json!({"endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": true}}]});
    admin.merge(&format!("{slices}/here"), &ready).await.expect_code(200);
    let (reason, message) = judged(&wrong).await;
    assert_eq!(reason, "FailedDiscoveryCheck");
    assert!(message.contains("here.default.svc:443 leads to 10.1.2.3, which is not public"), "{message}");
}

#[tokio::test]
async fn what_a_server_does_wrong_is_its_own_harm() {
    let extended = Extended::available().await;
    let Extended { admin, server, .. } = &extended;
    let name = "v1.ext.example.com";
    for (mood, told) in [
        (Mood::Redirects, "the answer is a redirect (307), which is not followed"),
        (Mood::Nonsense, "the answer is no APIResourceList"),
        (Mood::Endless, "the answer is larger than 1048576 bytes"),
        (Mood::Silent, "context deadline exceeded"),
    ] {
        *server.mood.lock() = mood;
        let (reason, message) = extended.judge(name).await;
        assert_eq!(reason, "FailedDiscoveryCheck");
        assert!(message.contains(told), "{mood:?}: {message}");
    }
    *server.mood.lock() = Mood::Good;
    extended.judge(name).await;
    *server.mood.lock() = Mood::Redirects;
    let redirected = admin.get(FOOS).await.expect_code(502);
    assert_eq!(redirected.body, "the backend attempted to redirect this request, which is not permitted");
    assert_eq!(redirected.header("location"), "");

    // A certificate that is not that of the caBundle, or not for the name of the Service.
    *server.mood.lock() = Mood::Good;
    let other = rcgen::generate_simple_self_signed(vec![crate::extension_server::NAME.into()]).unwrap();
    let other = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, other.cert.pem());
    let path = format!("{API_SERVICES}/{name}");
    admin.merge(&path, &json!({"spec": {"caBundle": other}})).await.expect_code(200);
    let refused = admin.get(FOOS).await.expect_code(503);
    assert!(
        text(&json!(String::from_utf8_lossy(&refused.body)))
            .starts_with("error trying to reach service: tls: failed to verify certificate")
    );
    let trusting = json!({"spec": {"caBundle": null, "insecureSkipTLSVerify": true}});
    admin.merge(&path, &trusting).await.expect_code(200);
    admin.get(FOOS).await.expect_code(200);
}

#[tokio::test]
async fn the_platforms_groups_are_nobody_elses() {
    let Extended { insula, admin, server, .. } = Extended::start().await;
    for (group, version) in
        [("apps", "v1"), ("apps", "v9"), ("core.oam.dev", "v1"), ("x.insula.dev", "v1"), ("", "v1")]
    {
        let mut object = server.api_service(group, version);
        let refused = admin.post(API_SERVICES, &object).await;
        // Those of what is served are there already.
        let taken = refused.code == 409;
        assert!(
            taken || refused.json()["message"].as_str().unwrap().contains("served by the platform"),
            "{group}"
        );
        if taken {
            object["metadata"]["resourceVersion"] = json!("1");
            let path = format!("{API_SERVICES}/{version}.{group}");
            let refused = admin.put(&path, &object).await.expect_code(422).json();
            assert!(text(&refused["message"]).contains("served by the platform"), "{group}");
        }
    }
    // Those of the built-in groups are there, shared, and come back.
    let path = format!("{API_SERVICES}/v1.apps");
    let found = admin.get(&path).await.expect_code(200).json();
    assert_eq!(found["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"], "onstart");
    assert_eq!(found["status"]["conditions"][0]["reason"], "Local");
    admin.delete(&path).await.expect_code(200);
    admin.get(&path).await.expect_code(200);
    let host = insula.admin().await;
    host.get(&path).await.expect_code(404);
    let table =
        admin.with("accept", "application/json;as=Table;v=v1;g=meta.k8s.io").get(API_SERVICES).await.json();
    let row = |name: &str| {
        let rows = table["rows"].as_array().unwrap().iter();
        rows.map(|row| row["cells"].as_array().unwrap().clone()).find(|cells| cells[0] == name).unwrap()
    };
    assert_eq!(row("v1.apps")[1..3].to_vec(), [json!("Local"), json!("True")]);
    assert_eq!(row("v1.ext.example.com")[1..3].to_vec(), [json!("default/ext"), json!("Unknown")]);
}

#[tokio::test]
async fn openapi_has_what_they_say_of_themselves_and_nothing_else_of_theirs() {
    let extended = Extended::available().await;
    let Extended { insula, admin, .. } = &extended;
    let index = admin.get("/openapi/v3").await.expect_code(200).json();
    assert_eq!(
        index["paths"]["apis/ext.example.com/v1"]["serverRelativeURL"],
        "/openapi/v3/apis/ext.example.com/v1?hash=ABC"
    );
    assert!(index["paths"].get("apis/other.example.com/v1").is_none());
    assert!(index["paths"]["api/v1"].is_object());
    let document = admin.get("/openapi/v3/apis/ext.example.com/v1?hash=ABC").await.expect_code(200).json();
    assert!(document["components"]["schemas"]["com.example.Foo"].is_object());

    let v2 = admin.get("/openapi/v2").await.expect_code(200).json();
    let path = "/apis/ext.example.com/v1/namespaces/{namespace}/foos";
    assert!(v2["paths"][path].is_object() && v2["definitions"]["com.example.Foo"].is_object());
    assert_ne!(v2["paths"]["/api/v1/pods"]["get"]["description"], "not theirs");
    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let protobuf = admin.with("accept", accept).get("/openapi/v2").await.expect_code(200);
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has(&protobuf.body, path) && has(&protobuf.body, "com.example.Foo"));
    let (_, other) = insula.tenant("other").await;
    assert!(other.get("/openapi/v2").await.expect_code(200).json()["paths"].get(path).is_none());
    admin.delete(&format!("{API_SERVICES}/v1.ext.example.com")).await.expect_code(200);
    assert!(admin.get("/openapi/v2").await.expect_code(200).json()["paths"].get(path).is_none());
}

#[tokio::test]
async fn connections_are_used_again_until_the_server_hangs_up() {
    let Extended { admin, server, .. } = Extended::available().await;
    let opened = || server.connections.accepted();
    admin.get(FOOS).await.expect_code(200);
    let before = opened();
    for _ in 0..5 {
        admin.get(FOOS).await.expect_code(200);
    }
    assert_eq!(opened(), before, "one connection serves one request after the other");
    server.connections.hang_up();
    for _ in 0..5 {
        admin.get(FOOS).await.expect_code(200);
    }
    assert!(opened() > before);
    // Who is answered with a stream leaves the connection when going away.
    let mut watch = admin.watch(&format!("{FOOS}?watch=1")).await;
    assert_eq!(watch.line().await, "ADDED w0");
    drop(watch);
    admin.get(FOOS).await.expect_code(200);
}

#[tokio::test]
async fn servers_that_do_not_answer_hold_up_only_their_own_plane() {
    let extended = Extended::start().await;
    let (Extended { insula, admin, server, planes, id }, other) = (&extended, Extended::start().await);
    *server.mood.lock() = Mood::Silent;
    for number in 0..CHECKS {
        let object = server.api_service(&format!("silent{number}.example.com"), "v1");
        admin.post(API_SERVICES, &object).await.expect_code(201);
    }
    let name = |number: usize| format!("v1.silent{number}.example.com");
    let silent: Vec<_> = (0..CHECKS)
        .map(|number| {
            let planes = InProcess::new(insula.server.clone());
            let id = *id;
            tokio::spawn(async move { planes.check(id, &name(number)).await })
        })
        .collect();
    // Each of them holds a place once it is asked.
    eventually("all are asked", || async { (server.silent() == CHECKS).then_some(()) }).await;
    assert_eq!(planes.check(*id, "v1.ext.example.com").await, Checked::Busy);
    assert_eq!(other.judge("v1.ext.example.com").await.0, "Passed");
    admin.get("/apis").await.expect_code(200);
    for check in silent {
        let Checked::Is(now) = check.await.unwrap() else { panic!("it was asked") };
        assert!(now.message.ends_with("context deadline exceeded"), "{}", now.message);
    }
}
