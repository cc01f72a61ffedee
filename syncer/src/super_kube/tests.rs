//! Against a server that answers by a script, over plain HTTP.

use super::*;
use api_schema::{builtin, protobuf};
use std::collections::VecDeque;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[test]
fn paths_follow_the_api() {
    let pods = Resource::new("", "v1", "pods");
    let slices = Resource::new("discovery.k8s.io", "v1", "endpointslices");
    for (resource, at, expected) in [
        (&pods, At::new("", ""), "/api/v1/pods"),
        (&pods, At::new("a", ""), "/api/v1/namespaces/a/pods"),
        (&pods, At::new("a", "b").subresource("status"), "/api/v1/namespaces/a/pods/b/status"),
        (&slices, At::new("a", "b"), "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices/b"),
    ] {
        assert_eq!(path(resource, &at), expected);
    }
    assert_eq!(selector_query("a/b=c"), "&labelSelector=a%2Fb%3Dc");
    assert_eq!(selector_query(""), "");
}

#[test]
fn deletions_carry_their_preconditions() {
    let how = Delete { uid: Some("u".into()), grace_period_seconds: Some(0), ..Delete::default() };
    assert_eq!(
        delete_options(&how),
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "u"},
            "gracePeriodSeconds": 0})
    );
}

#[tokio::test]
async fn a_list_that_is_refused_says_why() {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden",
        "message": "not you", "code": 403});
    let list = json!({"items": [{"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}}]});
    let heads = "GET /supers/local/api/v1/pods?resourceVersion=0";
    let pages = "GET /supers/local/api/v1/pods?limit=500";
    let script =
        [(heads, 403, status.to_string()), (pages, 403, status.to_string()), (heads, 200, list.to_string())];
    let (api, server) = serve(script.into()).await;
    let refused = [api.heads(&pods(), "").await.unwrap_err(), api.list(&pods(), "", "").await.unwrap_err()];
    for error in refused {
        assert_eq!(error.reason(), Reason::Forbidden);
        assert!(error.to_string().contains("not you"), "{error}");
    }
    assert_eq!(api.heads(&pods(), "").await.unwrap()[0].uid, "u");
    assert_eq!(server.await.unwrap(), None);
}

/// What the next request must ask for, and what it is answered with.
type Script = VecDeque<(&'static str, u16, Vec<u8>)>;

/// Serves the script, one connection for each request; gives the first request that was not as expected.
async fn serve(
    script: Vec<(&'static str, u16, impl Into<Vec<u8>>)>,
) -> (KubeSuper, tokio::task::JoinHandle<Option<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/supers/local", listener.local_addr().unwrap());
    let mut script: Script =
        script.into_iter().map(|(asked, code, body)| (asked, code, body.into())).collect();
    let server = tokio::spawn(async move {
        while let Some((expected, code, body)) = script.pop_front() {
            let (stream, _) = listener.accept().await.unwrap();
            let asked = answer(stream, code, &body).await;
            if asked != expected {
                return Some(asked);
            }
        }
        None
    });
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}], "clusters": [{"name": "c", "cluster": {"server": url}}]});
    (KubeSuper::from_kubeconfig(&kubeconfig.to_string()).await.unwrap(), server)
}

/// Reads one request and answers it; gives its method, path and query.
async fn answer(stream: TcpStream, code: u16, body: &[u8]) -> String {
    let mut stream = BufReader::new(stream);
    let mut asked = String::new();
    stream.read_line(&mut asked).await.unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
    }
    stream.read_exact(&mut vec![0; length]).await.unwrap();
    let head = format!("HTTP/1.1 {code} X\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    asked.trim_end().trim_end_matches(" HTTP/1.1").to_owned()
}

fn page(names: &[&str], next: &str, revision: &str) -> String {
    let items: Vec<Value> =
        names.iter().map(|n| json!({"metadata": {"name": n, "resourceVersion": "1"}})).collect();
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": next, "resourceVersion": revision},
        "items": items})
    .to_string()
}

fn pods() -> Resource {
    Resource::new("", "v1", "pods")
}

/// More are in a page than are waited for to be taken.
#[tokio::test]
async fn the_next_page_is_asked_for_while_one_is_taken_in() {
    let names: Vec<String> = (0..400).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (api, server) = serve(vec![
        ("GET /supers/local/api/v1/pods?limit=500", 200, page(&names, "n", "10")),
        ("GET /supers/local/api/v1/pods?limit=500&continue=n", 200, page(&["last"], "", "10")),
    ])
    .await;
    let untouched = api.list_watch(&pods(), "");
    // Only a list that is read page by page takes so long.
    let asked = tokio::time::timeout(CALL_TIMEOUT, server).await.expect("the next page is not asked for");
    assert_eq!(asked.unwrap(), None);
    drop(untouched);
}

#[tokio::test]
async fn a_watch_resumes_where_it_was_and_lists_again_when_that_is_lost() {
    let event = |kind: &str, name: &str, version: &str| {
        format!(
            "{}\n",
            json!({"type": kind, "object": {"metadata": {"name": name, "resourceVersion": version}}})
        )
    };
    let gone = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired",
        "message": "too old"}});
    let (api, server) = serve(vec![
        ("GET /supers/local/api/v1/pods?limit=500&labelSelector=a", 200, page(&["p1"], "n/1", "10")),
        ("GET /supers/local/api/v1/pods?limit=500&labelSelector=a&continue=n%2F1", 200, page(&["p2"], "", "10")),
        ("GET /supers/local/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion=10&labelSelector=a",
            200, event("ADDED", "p3", "11") + &event("BOOKMARK", "", "20")),
        ("GET /supers/local/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion=20&labelSelector=a",
            200, event("DELETED", "p3", "21") + &gone.to_string() + "\n"),
        ("GET /supers/local/api/v1/pods?limit=500&labelSelector=a", 200, page(&[], "", "30")),
    ])
    .await;
    let mut watch = api.list_watch(&pods(), "a");
    let mut seen = Vec::new();
    while seen.iter().filter(|s| *s == "synced").count() < 2 {
        seen.push(told(watch.recv().await.unwrap()));
    }
    assert_eq!(seen, ["restart", "+p1", "+p2", "synced", "+p3", "-p3", "restart", "synced"]);
    assert_eq!(server.await.unwrap(), None);
}

/// The message of a value.
fn compact(value: &Value, kind: &str) -> Vec<u8> {
    let root = builtin::graph().at(builtin::kind("", "v1", kind).unwrap());
    protobuf::encode(value, root, "v1", kind).unwrap()
}

#[tokio::test]
async fn a_list_in_protobuf_begins_anew_when_its_next_page_has_expired() {
    let list = json!({"metadata": {"continue": "n", "resourceVersion": "10"},
        "items": [{"metadata": {"name": "p1", "resourceVersion": "1"}}]});
    let all = json!({"metadata": {"resourceVersion": "11"}, "items": []});
    let status = json!({"status": "Failure", "reason": "Expired", "message": "too old", "code": 410});
    let (api, server) = serve(vec![
        ("GET /supers/local/api/v1/pods?limit=500", 200, compact(&list, "PodList")),
        ("GET /supers/local/api/v1/pods?limit=500&continue=n", 410, compact(&status, "Status")),
        ("GET /supers/local/api/v1/pods?limit=500", 200, compact(&all, "PodList")),
    ])
    .await;
    assert_eq!(seen_until_synced(api.list_watch(&pods(), "")).await, ["restart", "+p1", "restart", "synced"]);
    assert_eq!(server.await.unwrap(), None);
}

#[tokio::test]
async fn what_cannot_be_read_in_protobuf_is_asked_for_in_json() {
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "10"},
        "items": [{"metadata": {"name": "p1"}}, {"metadata": {"name": "p2"}}, {"metadata": {"name": "p3"}}]});
    let mut damaged = compact(&list, "PodList");
    let name = damaged.windows(4).position(|bytes| bytes == b"\x0a\x02p2").unwrap();
    // A number where a text should be.
    damaged[name] = 0x08;
    let json = list.to_string().into_bytes();
    let cut_off = b"k8s\0\x12".to_vec();
    let script = [cut_off, json.clone(), damaged.clone(), json.clone(), damaged, json];
    let script = script.map(|body| ("GET /supers/local/api/v1/pods?limit=500", 200, body));
    let (api, server) = serve(script.into()).await;
    for _ in ["a list that is cut off", "one with an object that cannot be read"] {
        let listed = api.list(&pods(), "", "").await.unwrap();
        assert_eq!((listed.len(), &listed[1]["metadata"]["name"]), (3, &json!("p2")));
    }
    let seen = seen_until_synced(api.list_watch(&pods(), "")).await;
    assert_eq!(seen, ["restart", "+p1", "restart", "+p1", "+p2", "+p3", "synced"]);
    assert_eq!(server.await.unwrap(), None);
}

async fn seen_until_synced(mut watch: mpsc::Receiver<SuperItem>) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "synced") {
        seen.push(told(watch.recv().await.unwrap()));
    }
    seen
}

fn told(item: SuperItem) -> String {
    match item {
        SuperItem::Restart => "restart".to_owned(),
        SuperItem::Synced => "synced".to_owned(),
        SuperItem::Applied(o) => format!("+{}", o["metadata"]["name"].as_str().unwrap()),
        SuperItem::Deleted(o) => format!("-{}", o["metadata"]["name"].as_str().unwrap()),
        SuperItem::Failed(error) => format!("failed: {error}"),
    }
}

#[tokio::test]
async fn errors_of_the_cluster_keep_their_reasons() {
    let status = |code: u16, reason: &str| {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
            "reason": reason, "message": "m"})
        .to_string()
    };
    let (api, server) = serve(vec![
        ("GET /supers/local/version", 200, json!({"gitVersion": "v1.30.2"}).to_string()),
        ("GET /supers/local/api/v1/namespaces/a/pods/b", 404, status(404, "NotFound")),
        (
            "POST /supers/local/api/v1/namespaces/a/pods?fieldManager=insula-syncer&fieldValidation=Strict",
            409,
            status(409, "AlreadyExists"),
        ),
        (
            "PATCH /supers/local/api/v1/namespaces/a/pods/b/status?fieldManager=insula-syncer",
            409,
            status(409, "Conflict"),
        ),
        ("DELETE /supers/local/api/v1/namespaces/a/pods/b", 404, status(404, "NotFound")),
    ])
    .await;
    assert_eq!(api.version().await.unwrap(), "v1.30.2");
    let at = At::new("a", "b");
    assert_eq!(api.get(&pods(), &at).await.unwrap(), None);
    assert!(api.create(&pods(), &At::new("a", ""), &json!({})).await.unwrap_err().is_already_exists());
    let patch = Patch::Merge(json!({"status": {}}));
    let patched = api.patch(&pods(), &at.clone().subresource("status"), &patch).await;
    assert!(patched.unwrap_err().is_conflict());
    assert!(api.delete(&pods(), &at, &Delete::default()).await.unwrap_err().is_not_found());
    assert_eq!(server.await.unwrap(), None);
    // Nobody listens any more.
    assert_eq!(api.version().await.unwrap_err().reason(), api_types::Reason::ServiceUnavailable);
}

#[tokio::test]
async fn a_command_to_log_in_that_does_not_end_is_not_waited_for() {
    let login = |command: &str| {
        let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", command],
            "interactiveMode": "Never"});
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"exec": exec}}],
            "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}]});
        Kubeconfig::from_yaml(&kubeconfig.to_string()).unwrap()
    };
    let connect = async |command: &str, patience: Duration| {
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(login(command), &options).await.unwrap();
        KubeSuper::from_config(config, patience).await.err()
    };
    let credential = r#"echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}'"#;
    assert!(connect(credential, CALL_TIMEOUT).await.is_none());
    // It ends with the test.
    let error = connect("sleep 1", Duration::ZERO).await.unwrap();
    assert!(matches!(error, ConnectError::Slow(_)), "{error}");
}
