//! A port of a pod, forwarded by a server that speaks `pods/portforward`.

use super::*;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Asked, Response as Answer};

const PROTOCOL: &str = "v4.channel.k8s.io";

async fn client(listener: &TcpListener) -> KubeSuper {
    let url = format!("http://{}/supers/local", listener.local_addr().unwrap());
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}], "clusters": [{"name": "c", "cluster": {"server": url}}]});
    KubeSuper::from_kubeconfig(&kubeconfig.to_string()).await.unwrap()
}

// The handshake's refusal, which is never made here, is large.
#[allow(clippy::result_large_err)]
#[tokio::test]
async fn what_is_said_reaches_the_port_of_the_pod_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = client(&listener).await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut asked = String::new();
        let mut socket =
            tokio_tungstenite::accept_hdr_async(stream, |request: &Asked, mut answer: Answer| {
                asked = request.uri().to_string();
                answer.headers_mut().insert("sec-websocket-protocol", PROTOCOL.parse().unwrap());
                Ok(answer)
            })
            .await
            .unwrap();
        // The channels of data and of errors begin with the port.
        for channel in [0, 1] {
            let [low, high] = 8443_u16.to_le_bytes();
            socket.send(Message::binary(vec![channel, low, high])).await.unwrap();
        }
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Binary(bytes) => {
                    let mut back = vec![bytes[0]];
                    back.extend(bytes[1..].iter().rev());
                    socket.send(Message::binary(back)).await.unwrap();
                }
                _ => break,
            }
        }
        asked
    });
    let mut stream = api.connect(&At::new("acme-shop-x", "web"), 8443).await.unwrap();
    stream.write_all(b"abc").await.unwrap();
    let mut heard = [0; 3];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"cba");
    drop(stream);
    let asked = server.await.unwrap();
    assert_eq!(asked, "/supers/local/api/v1/namespaces/acme-shop-x/pods/web/portforward?&ports=8443");
}

#[tokio::test]
async fn a_pod_that_is_gone_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = client(&listener).await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await.unwrap();
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
            "message": "pods \"web\" not found", "code": 404})
        .to_string();
        let head = format!(
            "HTTP/1.1 404 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            status.len()
        );
        stream.write_all(format!("{head}{status}").as_bytes()).await.unwrap();
    });
    let error = api.connect(&At::new("acme-shop-x", "web"), 8443).await.err().unwrap();
    assert!(error.is_not_found(), "{error}");
}
