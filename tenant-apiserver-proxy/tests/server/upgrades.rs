//! A client that speaks another protocol over its connection.

use crate::harness::Installation;
use tenant_apiserver_proxy::pki::KeyedCertificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Upgrades a connection at a path, says something, and gives back as much as was said.
pub async fn echo(insula: &Installation, certificate: &KeyedCertificate, path: &str, said: &[u8]) -> Vec<u8> {
    let mut stream = insula.stream(Some(certificate), b"http/1.1").await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: insula\r\nConnection: Upgrade\r\nUpgrade: echo\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.to_lowercase().contains("upgrade: echo"), "{answer}");
    stream.write_all(said).await.unwrap();
    let mut heard = vec![0; said.len()];
    stream.read_exact(&mut heard).await.unwrap();
    heard
}
