//! A super cluster reached with kube-rs, through a kubeconfig.
//!
//! Guarantees: a watch is resumed at the last revision seen, and begun anew with a list when the cluster no longer
//! has that revision; it ends when its receiver is dropped. Assumes that an ordinary call is answered in 30 s.
//! Caveat: nothing is tried again here but watches, and what changes
//! nothing when its connection was just closed; callers work from queues that do.

mod forward;
mod heads;
mod just_closed;
mod list_watch;
mod pages;
mod refusals;
mod streams;
mod without_history;

use crate::super_api::{At, Head, SuperApi, SuperItem};
use api_types::{ApiError, Reason, Resource};
use async_trait::async_trait;
use bytes::Bytes;
use forward::Forwarded;
use http::{Method, Request, header};
use http_body_util::BodyExt;
use just_closed::again;
use k8s_openapi::api::core::v1::Pod;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use list_watch::{Followed, follow};
use pages::List;
use plane_client::{Delete, Duplex, Patch, PodAnswer, PodRequest, Propagation};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long an ordinary call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The field manager of our writes.
const MANAGER: &str = "insula-syncer";

/// A super cluster reached with kube-rs.
pub struct KubeSuper {
    client: kube::Client,
}

/// Why a super cluster cannot be addressed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text is not a kubeconfig, or lacks something.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(#[source] Box<kube::config::KubeconfigError>),
    /// Its certificates or address cannot be used.
    #[error("no connection can be made from the kubeconfig: {0}")]
    Client(#[source] Box<kube::Error>),
    /// The command by which it logs in does not end.
    #[error("the kubeconfig's command to log in did not end in {} s", .0.as_secs())]
    Slow(Duration),
    /// We do not run in a cluster.
    #[error("the cluster that the process runs in cannot be used: {0}")]
    InCluster(#[source] Box<kube::config::InClusterError>),
}

impl KubeSuper {
    /// From the text of a kubeconfig, by its current context. Nothing is dialled yet.
    pub async fn from_kubeconfig(text: &str) -> Result<Self, ConnectError> {
        let kubeconfig = |error| ConnectError::Kubeconfig(Box::new(error));
        let parsed = Kubeconfig::from_yaml(text).map_err(kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
            .await
            .map_err(kubeconfig)?;
        Self::from_config(config, CALL_TIMEOUT).await
    }

    /// From the service account of the pod that the process runs in.
    pub async fn in_cluster() -> Result<Self, ConnectError> {
        let config = kube::Config::incluster().map_err(|error| ConnectError::InCluster(Box::new(error)))?;
        Self::from_config(config, CALL_TIMEOUT).await
    }

    /// A kubeconfig may name a command to log in, which is waited for so long, and on no thread that others need.
    async fn from_config(mut config: kube::Config, patience: Duration) -> Result<Self, ConnectError> {
        config.default_retry = false;
        let made = tokio::task::spawn_blocking(move || kube::Client::try_from(config));
        match tokio::time::timeout(patience, made).await {
            Ok(Ok(Ok(client))) => Ok(KubeSuper { client }),
            Ok(Ok(Err(error))) => Err(ConnectError::Client(Box::new(error))),
            Ok(Err(failed)) => Err(ConnectError::Client(Box::new(kube::Error::Service(Box::new(failed))))),
            Err(_) => Err(ConnectError::Slow(patience)),
        }
    }

    /// Sends a request, and gives the body of its answer.
    async fn text(&self, request: Request<Vec<u8>>) -> Result<String, ApiError> {
        let changes_nothing = request.method() == Method::GET;
        in_time(again(changes_nothing, || self.client.request_text(request.clone()))).await
    }

    /// What is at a path, in protobuf where the cluster can. Compressing would take it longer than sending.
    async fn compact(&self, path: &str, accept: &str) -> Result<Bytes, ApiError> {
        let request = Request::builder().method(Method::GET).uri(path).header(header::ACCEPT, accept);
        let request = request.header(header::ACCEPT_ENCODING, "identity").body(Vec::new());
        let request =
            request.map_err(|error| ApiError::internal(format_args!("a request cannot be made: {error}")))?;
        let send = || async {
            let answer = self.client.send(request.clone().map(Body::from)).await?;
            if !answer.status().is_success() {
                return Ok(Err(refusals::read(answer).await.by_code()));
            }
            Ok(Ok(answer.into_body().collect().await?.to_bytes()))
        };
        in_time(again(true, send)).await?
    }

    async fn call(&self, request: Request<Vec<u8>>) -> Result<Value, ApiError> {
        let text = self.text(request).await?;
        without_history::ANSWER
            .read(text.as_bytes())
            .map_err(|error| ApiError::internal(format_args!("the super cluster's answer: {error}")))
    }
}

#[async_trait]
impl SuperApi for KubeSuper {
    async fn version(&self) -> Result<String, ApiError> {
        let answer = self.call(request(Method::GET, "/version", None, Vec::new())?).await?;
        match answer["gitVersion"].as_str() {
            Some(version) => Ok(version.to_owned()),
            None => Err(ApiError::internal("the super cluster tells no version")),
        }
    }

    async fn get(&self, resource: &Resource, at: &At) -> Result<Option<Value>, ApiError> {
        match self.call(request(Method::GET, &path(resource, at), None, Vec::new())?).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(
        &self,
        resource: &Resource,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<Value>, ApiError> {
        List::new(self, resource, namespace, selector).all().await
    }

    async fn heads(&self, resource: &Resource, selector: &str) -> Result<Vec<Head>, ApiError> {
        let path = heads::path(resource, selector);
        heads::read(&self.compact(&path, heads::ACCEPT).await?)
    }

    async fn create(&self, resource: &Resource, at: &At, body: &Value) -> Result<Value, ApiError> {
        // An older cluster refuses what it does not know; else it would leave it out and say nothing.
        let path = format!("{}?fieldManager={MANAGER}&fieldValidation=Strict", path(resource, at));
        self.call(request(Method::POST, &path, Some("application/json"), body.to_string().into_bytes())?)
            .await
    }

    async fn patch(&self, resource: &Resource, at: &At, patch: &Patch) -> Result<Value, ApiError> {
        let (kind, body, force) = match patch {
            Patch::Json(body) => ("application/json-patch+json", body, ""),
            Patch::Merge(body) => ("application/merge-patch+json", body, ""),
            Patch::Strategic(body) => ("application/strategic-merge-patch+json", body, ""),
            Patch::Apply(body) => ("application/apply-patch+yaml", body, "&force=true"),
        };
        let path = format!("{}?fieldManager={MANAGER}{force}", path(resource, at));
        self.call(request(Method::PATCH, &path, Some(kind), body.to_string().into_bytes())?).await
    }

    async fn delete(&self, resource: &Resource, at: &At, how: &Delete) -> Result<(), ApiError> {
        let body = delete_options(how).to_string().into_bytes();
        self.call(request(Method::DELETE, &path(resource, at), Some("application/json"), body)?)
            .await
            .map(drop)
    }

    async fn connect(&self, pod: &At, port: u16) -> Result<Box<dyn Duplex>, ApiError> {
        let pods: kube::Api<Pod> = kube::Api::namespaced(self.client.clone(), &pod.namespace);
        let opened = tokio::time::timeout(CALL_TIMEOUT, pods.portforward(&pod.name, &[port])).await;
        let forwarder = opened.map_err(|_| unreachable_cluster("no answer in 30 s"))?.map_err(api_error)?;
        Forwarded::of(forwarder, port).ok_or_else(|| ApiError::internal("the port was not forwarded"))
    }

    async fn open(&self, pod: &At, request: PodRequest) -> Result<PodAnswer, ApiError> {
        streams::open(&self.client, pod, request).await
    }

    async fn user(&self) -> Result<String, ApiError> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let body = review.to_string().into_bytes();
        let told = self.call(request(Method::POST, path, Some("application/json"), body)?).await?;
        match told["status"]["userInfo"]["username"].as_str() {
            Some(user) => Ok(user.to_owned()),
            None => Err(ApiError::internal("the super cluster does not say who we are")),
        }
    }

    fn list_watch(&self, resource: &Resource, selector: &str) -> mpsc::Receiver<SuperItem> {
        let (sender, receiver) = mpsc::channel(256);
        let api = KubeSuper { client: self.client.clone() };
        let (resource, selector) = (resource.clone(), selector.to_owned());
        // Ends when the receiver is dropped; it holds nothing else.
        tokio::spawn(async move {
            let mut list = List::new(&api, &resource, "", &selector);
            let mut delay = Duration::from_millis(100);
            loop {
                let failed = match follow(&list, &sender, &mut delay).await {
                    Followed::ReceiverGone => return,
                    Followed::Unreadable(why) if list.fall_back(&why) => continue,
                    // The ordinary fate of a revision that is too old: a list cures it.
                    Followed::Broken(error) if matches!(error.reason(), Reason::Expired | Reason::Gone) => {
                        None
                    }
                    Followed::Broken(error) | Followed::Unreadable(error) => Some(error),
                };
                if let Some(error) = failed
                    && sender.send(SuperItem::Failed(error)).await.is_err()
                {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = sender.closed() => return,
                }
                delay = (delay * 2).min(Duration::from_secs(15));
            }
        });
        receiver
    }
}

/// What came of a call, unless it takes too long.
async fn in_time<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ApiError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Err(_) => Err(unreachable_cluster("no answer in 30 s")),
        Ok(answer) => answer.map_err(api_error),
    }
}

fn selector_query(selector: &str) -> String {
    if selector.is_empty() {
        return String::new();
    }
    "&labelSelector=".chars().chain(encode(selector)).collect()
}

/// Percent-encodes a query value (RFC 3986).
fn encode(text: &str) -> impl Iterator<Item = char> {
    text.bytes().flat_map(|byte| {
        let hex = |n: u8| char::from(b"0123456789ABCDEF"[usize::from(n & 15)]);
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain { vec![char::from(byte)] } else { vec!['%', hex(byte >> 4), hex(byte)] }
    })
}

/// The path of a resource, an object or a subresource.
fn path(resource: &Resource, at: &At) -> String {
    let mut path = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    if !at.namespace.is_empty() {
        path.push_str("/namespaces/");
        path.push_str(&at.namespace);
    }
    for part in [resource.resource.as_str(), at.name.as_str(), at.subresource] {
        if !part.is_empty() {
            path.push('/');
            path.push_str(part);
        }
    }
    path
}

fn request(
    method: Method,
    path: &str,
    content_type: Option<&str>,
    body: Vec<u8>,
) -> Result<Request<Vec<u8>>, ApiError> {
    let mut builder = Request::builder().method(method).uri(path).header(header::ACCEPT, "application/json");
    if let Some(kind) = content_type {
        builder = builder.header(header::CONTENT_TYPE, kind);
    }
    builder.body(body).map_err(|error| ApiError::internal(format_args!("a request cannot be made: {error}")))
}

fn delete_options(how: &Delete) -> Value {
    let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
    if let Some(uid) = &how.uid {
        options["preconditions"]["uid"] = json!(uid);
    }
    if let Some(version) = &how.resource_version {
        options["preconditions"]["resourceVersion"] = json!(version);
    }
    if let Some(seconds) = how.grace_period_seconds {
        options["gracePeriodSeconds"] = json!(seconds);
    }
    if let Some(propagation) = how.propagation {
        options["propagationPolicy"] = json!(match propagation {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        });
    }
    options
}

fn api_error(error: kube::Error) -> ApiError {
    match error {
        kube::Error::Api(status) => {
            let mut json = serde_json::to_value(&status).unwrap_or_default();
            json["code"] = json!(status.code);
            ApiError::from_status(&json)
        }
        other => unreachable_cluster(other),
    }
}

fn unreachable_cluster(why: impl std::fmt::Display) -> ApiError {
    ApiError::unavailable(format!("the super cluster cannot be reached: {why}"), 1)
}

#[cfg(test)]
mod forward_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
