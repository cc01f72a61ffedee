//! Watchers that stop reading: they are ended, what they do not read is not kept for them, and others miss nothing.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use futures::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::{Client, api::Api, api::Patch, api::PatchParams, api::PostParams};
use serde_json::{Value, json};
use std::path::Path;
use tests::Insula;

const WATCHERS: usize = 12;
const CHANGES: usize = 100;
/// What one change sends to each watcher, more or less.
const SIZE: usize = 700_000;

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()).unwrap()
}

/// A watch of the ConfigMap `large` over a connection of its own.
async fn watch(kubeconfig: &Path) -> impl AsyncBufRead + Unpin + use<> {
    let path = "/api/v1/namespaces/default/configmaps?watch=true&fieldSelector=metadata.name%3Dlarge";
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    Box::pin(client(kubeconfig).await.request_stream(request).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_that_do_not_read_are_ended_and_cost_no_memory() {
    let insula = Insula::start();
    insula.tenant("acme");
    let kubeconfig = insula.scratch("acme.yaml");
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&kubeconfig).await);
    let large = serde_json::from_value(json!({"metadata": {"name": "large"}})).unwrap();
    maps.create(&PostParams::default(), &large).await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..WATCHERS {
        slow.push(watch(&kubeconfig).await);
    }
    let mut quick = watch(&kubeconfig).await.lines();
    let mut next = async || {
        use futures::StreamExt;
        serde_json::from_str::<Value>(&quick.next().await.unwrap().unwrap()).unwrap()
    };
    assert_eq!(next().await["type"], "ADDED");
    let before = insula.memory();
    let body = "x".repeat(SIZE);
    for index in 0..CHANGES {
        let patch = Patch::Merge(json!({"data": {"index": index.to_string(), "body": body}}));
        maps.patch("large", &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(next().await["object"]["data"]["index"], index.to_string());
    }
    // What all of them together did not read is more than twice as much.
    let grown = insula.memory().saturating_sub(before);
    assert!(grown < WATCHERS * CHANGES * SIZE / 2, "{grown} bytes more");
    for mut watcher in slow {
        let mut read = Vec::new();
        // Broken off or not: it ends, and what was sent before counts.
        let _ = watcher.read_to_end(&mut read).await;
        assert!(read.len() < CHANGES * SIZE, "{} bytes were kept for a watcher", read.len());
    }
}
