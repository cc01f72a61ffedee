//! Logs of pods, and connections to them: what is asked where they run, what is refused, and when it ends.

use crate::harness::{Client, Installation, TENANTS, eventually, text};
use crate::hooks::Hook;
use crate::pods_beyond::{Beyond, PODS, ask, is_closed, pod};
use crate::wire::connect;
use api_types::TenantId;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

const SOCKET: [&str; 5] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: v5.channel.k8s.io",
];
const SPDY: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: SPDY/3.1",
    "X-Stream-Protocol-Version: v4.channel.k8s.io",
    "Content-Length: 0",
];

async fn told(client: &Client, method: &str, path: &str) -> String {
    let answer = client.send(method, &format!("{PODS}/{path}"), "", "").await;
    let code = answer.code.as_u16();
    if answer.body.is_empty() {
        return code.to_string();
    }
    format!("{code} {}", text(&answer.json()["message"]))
}

async fn tenant_with_pods(insula: &Installation) -> (TenantId, Client, Beyond) {
    let (id, admin) = insula.tenant("acme").await;
    let beyond = Beyond::default();
    insula.server.set_pod_tunnel(Box::new(beyond.clone()));
    for (name, node, containers) in [("web", "n1", 1), ("two", "n1", 2), ("new", "", 1)] {
        pod(&admin, name, node, containers).await;
    }
    (id, admin, beyond)
}

#[tokio::test]
async fn logs_are_read_where_a_pod_runs() {
    let insula = Installation::start().await;
    let (id, admin, beyond) = tenant_with_pods(&insula).await;
    let read = admin.get(&format!("{PODS}/web/log?tailLines=5&timestamps&bogus=1")).await.expect_code(200);
    assert_eq!((read.header("content-type"), &read.body[..]), ("text/plain", &b"one\ntwo\n"[..]));
    assert_eq!(beyond.lines(), ["GET default/web/log?container=c0&timestamps=true&tailLines=5"]);
    for (path, expected) in [
        ("new/log", "204"),
        ("gone/log", "404 pods \"gone\" not found"),
        ("two/log", "400 a container name must be specified for pod two, choose one of: [c0 c1]"),
        ("two/log?container=x", "400 container x is not valid for pod two"),
        (
            "gone/log?tailLines=-1",
            "422 PodLogOptions \"gone\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0",
        ),
        ("web/log/x", "404 the server could not find the requested resource"),
    ] {
        assert_eq!(told(&admin, "GET", path).await, expected, "{path}");
    }
    for method in ["POST", "DELETE", "OPTIONS"] {
        assert!(told(&admin, method, "web/log").await.starts_with("405 "), "{method}");
    }
    for (accept, code) in [("text/plain", 406), ("text/html", 406), ("application/json", 200)] {
        admin.with("accept", accept).get(&format!("{PODS}/web/log")).await.expect_code(code);
    }
    let counted = admin.get("/metrics").await.expect_code(200);
    let counted = String::from_utf8_lossy(&counted.body).into_owned();
    let of_logs = counted.lines().find(|line| line.contains("subresource=\"log\""));
    assert!(of_logs.is_some_and(|line| line.contains("verb=\"CONNECT\"")), "{of_logs:?}");
    // Who may read pods may not yet read what they print.
    let group = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "pods"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    admin.post(&format!("{group}/clusterroles"), &role).await.expect_code(201);
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "pods"}, "subjects": [{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "pods"}});
    admin.post(&format!("{group}/clusterrolebindings"), &binding).await.expect_code(201);
    let ann = insula.user(id, "/tenants/acme", "ann", None).await;
    ann.get(&format!("{PODS}/web")).await.expect_code(200);
    ann.get(&format!("{PODS}/web/log")).await.expect_code(403);
}

#[tokio::test]
async fn logs_are_read_over_web_sockets() {
    let insula = Installation::start().await;
    let (id, _, beyond) = tenant_with_pods(&insula).await;
    let certificate = insula.server.sign_client(id, "ann", Some("system:masters")).unwrap();
    let path = format!("/tenants/acme{PODS}/web/log");
    let protocol = |name| [("sec-websocket-protocol", name)];
    let table: [(&[(&'static str, &str)], _); 4] = [
        (&[], ["", "one\n", "two\n"].map(Message::binary)),
        (&protocol("binary.k8s.io"), ["", "one\n", "two\n"].map(Message::binary)),
        (&protocol("v9, base64.binary.k8s.io"), ["", "b25lCg==", "dHdvCg=="].map(Message::text)),
        (&protocol("base64.binary.k8s.io, binary.k8s.io"), ["", "b25lCg==", "dHdvCg=="].map(Message::text)),
    ];
    for (headers, expected) in table {
        let mut socket = connect(&insula, &certificate, &path, headers).await.unwrap();
        for message in expected {
            assert_eq!(socket.next().await.unwrap().unwrap(), message, "{headers:?}");
        }
        let Some(Ok(Message::Close(Some(said)))) = socket.next().await else { panic!("no end: {headers:?}") };
        assert_eq!(u16::from(said.code), 1000);
    }
    assert_eq!(beyond.lines(), vec!["GET default/web/log?container=c0"; 4]);
    // What cannot be read is told before the connection goes on.
    assert_eq!(connect(&insula, &certificate, &path, &protocol("v9")).await.err(), Some(403));
    let gone = format!("/tenants/acme{PODS}/gone/log");
    assert_eq!(connect(&insula, &certificate, &gone, &[]).await.err(), Some(404));
    // A log that is followed ends with who reads it, and leaves its place to the next.
    let limits = json!({"spec": {"limits": {"streams": 1}}});
    let host = insula.admin().await;
    host.merge(&format!("{TENANTS}/acme"), &limits).await.expect_code(200);
    let follow = format!("{path}?follow=true");
    for _ in 0..2 {
        let asked = || async { connect(&insula, &certificate, &follow, &[]).await.ok() };
        let mut socket = eventually("a place among the streams", asked).await;
        for _ in 0..3 {
            socket.next().await.unwrap().unwrap();
        }
        assert_eq!(connect(&insula, &certificate, &follow, &[]).await.err(), Some(429));
    }
}

#[tokio::test]
async fn connections_go_on_byte_by_byte_and_without_the_clients_credentials() {
    let insula = Installation::start().await;
    let (id, _, beyond) = tenant_with_pods(&insula).await;
    let certificate = insula.server.sign_client(id, "ann", Some("system:masters")).unwrap();
    let asks = [
        (
            "GET",
            "exec?command=ls&command=-l&stdin=true",
            &SOCKET[..],
            "exec?container=c0&stdin=true&command=ls&command=-l",
        ),
        ("POST", "attach?container=c0&tty=true", &SPDY[..], "attach?container=c0&tty=true"),
        ("POST", "portforward?ports=80", &SPDY[..], "portforward?ports=80"),
    ];
    for (method, path, headers, expected) in asks {
        let path = format!("/tenants/acme{PODS}/web/{path}");
        let headers =
            [headers, &["Authorization: Basic YWI6Yw==", "Cookie: a=b", "X-Remote-User: eve"]].concat();
        let (mut stream, head) = ask(&insula, Some(&certificate), method, &path, &headers).await;
        let head = head.to_lowercase();
        assert!(
            head.starts_with("http/1.1 101 ") && head.contains("x-stream-protocol-version: v4"),
            "{head}"
        );
        assert!(!head.contains("hz-1"), "{head}");
        // More than what is under way at a time.
        let said: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let (mut from, mut to) = tokio::io::split(&mut stream);
        let mut heard = vec![0; said.len()];
        let (sent, read) = tokio::join!(to.write_all(&said), from.read_exact(&mut heard));
        sent.unwrap();
        read.unwrap();
        assert!(heard == said);
        assert_eq!(beyond.asked.lock().last().unwrap().0, format!("{method} default/web/{expected}"));
        let passed = beyond.headers().join("\n");
        assert!(passed.contains("connection: Upgrade"), "{passed}");
        for name in ["authorization", "cookie", "x-remote-user", "host", "content-length"] {
            assert!(!passed.contains(&format!("{name}:")), "{passed}");
        }
    }
    // A token among the subprotocols is the client's credential.
    let accounts =
        format!("/tenants/acme{PODS}/web/exec").replace("pods/web/exec", "serviceaccounts/default/token");
    let admin = insula.tenant_admin("acme").await;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    admin.post("/api/v1/namespaces/default/serviceaccounts", &account).await;
    let made =
        admin.post(accounts.trim_start_matches("/tenants/acme"), &request).await.expect_code(201).json();
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "default-admin"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]});
    admin.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).await.expect_code(201);
    use base64::Engine;
    let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text(&made["status"]["token"]));
    let protocols =
        format!("Sec-WebSocket-Protocol: v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{token}");
    let headers = [&SOCKET[..4], &[protocols.as_str()]].concat();
    let path = format!("/tenants/acme{PODS}/web/exec?command=ls");
    let (_stream, head) = ask(&insula, None, "GET", &path, &headers).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let passed = beyond.headers();
    assert!(passed.contains(&"sec-websocket-protocol: v5.channel.k8s.io".to_owned()), "{passed:?}");
    assert!(!passed.join("").contains("bearer"), "{passed:?}");
}

#[tokio::test]
async fn connections_are_refused_in_the_words_of_kubernetes() {
    let insula = Installation::start().await;
    let (id, admin, beyond) = tenant_with_pods(&insula).await;
    for (path, expected) in [
        ("new/exec?command=ls", "400 pod new does not have a host assigned"),
        ("web/exec?command=ls", "400 Upgrade request required"),
        ("two/attach", "400 a container name must be specified for pod two, choose one of: [c0 c1]"),
        ("two/portforward", "400 Upgrade request required"),
        ("two/exec?container=x", "400 container x is not valid for pod two"),
        ("gone/portforward", "404 pods \"gone\" not found"),
        ("web/exec?dryRun=All", "400 dryRun is not supported"),
        (
            "web/portforward?ports=x",
            "400 cannot convert to []int32: strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
    ] {
        assert_eq!(told(&admin, "POST", path).await, expected, "{path}");
    }
    assert!(told(&admin, "PUT", "web/exec").await.starts_with("405 "));
    assert_eq!(beyond.lines(), Vec::<String>::new());

    // A WebSocket begins with GET, and needs the right to create all the same.
    let rules = |verbs: Value| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "sh"},
            "rules": [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": verbs}]})
    };
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    admin.post(roles, &rules(json!(["get"]))).await.expect_code(201);
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "sh"}, "subjects": [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sh"}});
    admin.post(&roles.replace("clusterroles", "clusterrolebindings"), &binding).await.expect_code(201);
    let bob = insula.server.sign_client(id, "bob", None).unwrap();
    let path = format!("/tenants/acme{PODS}/web/exec?command=ls");
    let (_, head) = ask(&insula, Some(&bob), "GET", &path, &SOCKET).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    admin.put(&format!("{roles}/sh"), &rules(json!(["get", "create"]))).await.expect_code(200);
    let (_stream, head) = ask(&insula, Some(&bob), "GET", &path, &SOCKET).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[tokio::test]
async fn streams_are_counted_and_end_with_the_tenant() {
    let insula = Installation::start().await;
    let (id, admin, _) = tenant_with_pods(&insula).await;
    let host = insula.admin().await;
    let limits = json!({"spec": {"limits": {"streams": 2, "concurrentRequests": 1}}});
    host.merge(&format!("{TENANTS}/acme"), &limits).await.expect_code(200);
    let certificate = insula.server.sign_client(id, "ann", Some("system:masters")).unwrap();
    let path = format!("/tenants/acme{PODS}/web/exec?command=ls");
    let (mut exec, head) = ask(&insula, Some(&certificate), "GET", &path, &SOCKET).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let path = format!("/tenants/acme{PODS}/web/log?follow=true");
    let (mut log, head) = ask(&insula, Some(&certificate), "GET", &path, &[]).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    // They hold no seat: the one there is serves others.
    let refused = told(&admin, "GET", "web/log").await;
    assert_eq!(refused, "429 too many open streams into pods: this plane may have 2");
    // One that is over makes room.
    let (mut other, _) = {
        let mut heard = [0; 3];
        exec.write_all(b"abc").await.unwrap();
        exec.read_exact(&mut heard).await.unwrap();
        drop(exec);
        eventually("room for another stream", || async {
            let path = format!("/tenants/acme{PODS}/web/exec?command=ls");
            let (stream, head) = ask(&insula, Some(&certificate), "GET", &path, &SOCKET).await;
            head.starts_with("HTTP/1.1 101 ").then_some((stream, head))
        })
        .await
    };
    host.merge(&format!("{TENANTS}/acme"), &json!({"spec": {"suspended": true}})).await.expect_code(200);
    assert!(is_closed(&mut other).await);
    let mut rest = Vec::new();
    // It breaks off: there is no last chunk.
    let _ = log.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let insula = Installation::start().await;
    let (id, ..) = tenant_with_pods(&insula).await;
    let certificate = insula.server.sign_client(id, "ann", Some("system:masters")).unwrap();
    let path = format!("/tenants/acme{PODS}/web/exec?command=ls");
    let (mut exec, _) = ask(&insula, Some(&certificate), "GET", &path, &SOCKET).await;
    insula.server.shutdown.trigger();
    assert!(is_closed(&mut exec).await);
}

#[tokio::test]
async fn guards_see_who_connects_and_with_which_options() {
    let insula = Installation::start().await;
    insula
        .admin()
        .await
        .post(TENANTS, &{
            let mut object = crate::harness::tenant("acme");
            object["spec"] = json!({"egress": {"allowedCIDRs": ["127.0.0.1/32"]}});
            object
        })
        .await
        .expect_code(201);
    let admin = insula.tenant_admin("acme").await;
    pod(&admin, "web", "n1", 1).await;
    let hook = Hook::start().await;
    let rules = json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"],
        "resources": ["pods/*", "services/proxy"]}]});
    let guard = hook.configuration("ValidatingWebhookConfiguration", "g", &["/deny"], &rules);
    admin
        .post("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", &guard)
        .await
        .expect_code(201);
    let refused = told(&admin, "POST", "web/exec?command=ls&tty=true").await;
    assert!(refused.contains("denied the request"), "{refused}");
    let seen = hook.last();
    assert_eq!(seen["operation"], "CONNECT");
    assert_eq!(seen["kind"], json!({"group": "", "version": "v1", "kind": "PodExecOptions"}));
    assert_eq!(
        (&seen["subResource"], &seen["name"], &seen["options"]),
        (&json!("exec"), &json!("web"), &Value::Null)
    );
    let options = json!({"kind": "PodExecOptions", "apiVersion": "v1", "command": ["ls"], "tty": true});
    assert_eq!((&seen["object"], &seen["oldObject"]), (&options, &Value::Null));
    assert!(told(&admin, "POST", "web/proxy/a/b").await.contains("denied the request"));
    let options = json!({"kind": "PodProxyOptions", "apiVersion": "v1", "path": "/a/b"});
    assert_eq!(hook.last()["object"], options);
    // So do policies.
    let group = "/apis/admissionregistration.k8s.io/v1";
    admin.delete(&format!("{group}/validatingwebhookconfigurations/g")).await.expect_code(200);
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "no-shells"}, "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CONNECT"], "resources": ["pods/exec"]}]},
            "validations": [{"expression": "object.kind == 'PodExecOptions' && object.command[0] != 'sh'",
                "message": "no shells"}]}});
    admin.post(&format!("{group}/validatingadmissionpolicies"), &policy).await.expect_code(201);
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "all"}, "spec": {"policyName": "no-shells", "validationActions": ["Deny"]}});
    admin.post(&format!("{group}/validatingadmissionpolicybindings"), &binding).await.expect_code(201);
    assert!(told(&admin, "POST", "web/exec?command=sh").await.ends_with("denied request: no shells"));
    assert!(told(&admin, "POST", "web/exec?command=ls").await.starts_with("404 "), "no node is there");
    // Logs are read, and nobody is asked about that.
    assert!(told(&admin, "GET", "web/log").await.starts_with("404 "), "no node is there");
    assert_eq!(hook.count(), 0);
}

#[tokio::test]
async fn a_simulated_pod_tells_what_became_of_it_and_runs_nothing() {
    let insula = Installation::start().await;
    let local = insula.user(TenantId::LOCAL_SUPER, "/supers/local", "admin", Some("system:masters")).await;
    let node = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "sim-0", "labels": {"insula.dev/simulated": "true"}}});
    local.post("/api/v1/nodes", &node).await.expect_code(201);
    pod(&local, "web", "sim-0", 1).await;
    let waiting = told(&local, "GET", "web/log").await;
    assert_eq!(waiting, "400 container \"c0\" in pod \"web\" is waiting to start: ContainerCreating");
    let status = |state: Value| {
        json!({"status": {"phase": "Running", "podIP": "10.0.0.5", "podIPs": [{"ip": "10.0.0.5"}], "containerStatuses": [
            {"name": "c0", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "containerID": "simulated://a",
                "lastState": {}, "state": state}]}})
    };
    let running = json!({"running": {"startedAt": "2026-01-01T00:00:01Z"}});
    local.merge(&format!("{PODS}/web/status"), &status(running)).await.expect_code(200);
    let first = "simulated: no container runs here, so that image i prints nothing\n\
                 simulated: container c0 started at 2026-01-01T00:00:01Z\n";
    let log = local.get(&format!("{PODS}/web/log")).await.expect_code(200);
    assert_eq!(String::from_utf8_lossy(&log.body), first);
    assert_eq!(
        told(&local, "GET", "web/log?previous=true").await,
        "400 previous terminated container \"c0\" in pod \"web\" not found"
    );

    // Who follows hears of the end, and of nothing after it.
    let following = tokio::spawn({
        let local = local.clone();
        async move { local.get(&format!("{PODS}/web/log?follow=true")).await }
    });
    let ended = json!({"terminated": {"exitCode": 3, "reason": "Error", "containerID": "simulated://a",
        "startedAt": "2026-01-01T00:00:01Z", "finishedAt": "2026-01-01T00:00:05Z"}, "running": null});
    local.merge(&format!("{PODS}/web/status"), &status(ended)).await.expect_code(200);
    let whole = format!("{first}simulated: container c0 ended at 2026-01-01T00:00:05Z with exit code 3\n");
    let followed = following.await.unwrap().expect_code(200);
    assert_eq!(String::from_utf8_lossy(&followed.body), whole);

    let certificate =
        insula.server.sign_client(TenantId::LOCAL_SUPER, "admin", Some("system:masters")).unwrap();
    for (sub, why) in [
        ("exec?command=ls", "no command can be executed"),
        ("attach", "there is nothing to attach to"),
        ("portforward", "no port can be forwarded"),
    ] {
        let path = format!("/supers/local{PODS}/web/{sub}");
        let (mut stream, head) = ask(&insula, Some(&certificate), "POST", &path, &SPDY).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        let mut body = vec![0; 400];
        let read = stream.read(&mut body).await.unwrap();
        let status: Value = serde_json::from_slice(&body[..read]).unwrap();
        let expected =
            format!("pod web is simulated: no container runs on the embedded super cluster, so that {why}");
        assert_eq!(status["message"], expected.as_str());
    }
    let proxied = told(&local, "GET", "web/proxy/").await;
    assert!(
        proxied.starts_with("503 error trying to reach service: pod default/web: it is simulated"),
        "{proxied}"
    );
    let node = local.get("/api/v1/nodes/sim-0/proxy/metrics").await.expect_code(400).json();
    assert_eq!(node["message"], "node sim-0 is simulated: it has no kubelet");
}

#[tokio::test]
async fn kubelets_that_are_not_simulated_are_not_reached() {
    let insula = Installation::start().await;
    let local = insula.user(TenantId::LOCAL_SUPER, "/supers/local", "admin", Some("system:masters")).await;
    for (name, addresses) in
        [("bare", json!([])), ("real", json!([{"type": "InternalIP", "address": "10.0.0.9"}]))]
    {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        local.post("/api/v1/nodes", &node).await.expect_code(201);
        let status = json!({"status": {"addresses": addresses}});
        local.merge(&format!("/api/v1/nodes/{name}/status"), &status).await.expect_code(200);
    }
    for (name, node) in [("lost", "missing"), ("bare", "bare"), ("real", "real")] {
        pod(&local, name, node, 1).await;
    }
    let none = "500 no preferred addresses found; known addresses: []";
    let unreached = "503 the kubelet of node \"real\" cannot be reached: this server connects to no kubelets";
    for (method, path, expected) in [
        ("GET", "lost/log", "404 pods \"missing\" not found"),
        ("GET", "bare/log", none),
        ("GET", "real/log", unreached),
        ("POST", "bare/exec?command=ls", none),
        ("POST", "real/exec?command=ls", "400 Upgrade request required"),
    ] {
        assert_eq!(told(&local, method, path).await, expected, "{path}");
    }
    for (path, code, message) in [
        ("real/proxy/", 503, &unreached[4..]),
        ("bare/proxy/", 500, &none[4..]),
        ("nope/proxy/", 404, "nodes \"nope\" not found"),
        ("ftp:real:1/proxy/", 400, "invalid node request \"ftp:real:1\""),
    ] {
        let answer = local.get(&format!("/api/v1/nodes/{path}")).await.expect_code(code).json();
        assert_eq!(answer["message"], message);
    }
}
