//! The planes, as the commands reach them.

use crate::cli::Server;
use crate::kubeconfigs;
use anyhow::{Context, bail};
use base64::Engine;
use bytes::Bytes;
use futures::TryStreamExt;
use http::{Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::path::Path;

/// A client of the host plane, or of another one.
pub struct HostPlane {
    client: Client,
    config: Config,
}

impl HostPlane {
    /// Connects to the host plane, with the kubeconfig that the flags name.
    pub async fn connect(server: &Server) -> anyhow::Result<Self> {
        Self::connect_to(server, None).await
    }

    /// Connects to a plane that has a context of its own in the kubeconfig.
    pub async fn connect_to(server: &Server, context: Option<&str>) -> anyhow::Result<Self> {
        let path = server.path();
        let shown = path.display();
        is_there(&path)?;
        let kubeconfig = kubeconfigs::read(&path)
            .with_context(|| format!("the admin kubeconfig {shown} cannot be read"))?;
        if let Some(context) = context
            && !kubeconfig.contexts.iter().any(|known| known.name == context)
        {
            bail!(
                "the admin kubeconfig {shown} has no context {context:?}: there is no embedded super cluster"
            );
        }
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .with_context(|| format!("the admin kubeconfig {shown} cannot be used"))?;
        Self::of(config)
    }

    /// Connects to a tenant's plane as its admin.
    pub async fn connect_to_tenant(server: &Server, tenant: &str) -> anyhow::Result<Self> {
        let text = Self::connect(server).await?.tenant_kubeconfig(tenant).await?;
        let kubeconfig = Kubeconfig::from_yaml(&text)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Self::of(config)
    }

    fn of(config: Config) -> anyhow::Result<Self> {
        Ok(HostPlane { client: Client::try_from(config.clone())?, config })
    }

    /// The kubeconfig of a tenant's admin.
    pub async fn tenant_kubeconfig(&self, name: &str) -> anyhow::Result<String> {
        let tenant = self.request(Method::GET, &crate::tenant::path(name), None).await?;
        let reference = &tenant["status"]["kubeconfigSecret"];
        let part = |field: &str| {
            reference[field].as_str().with_context(|| format!("the tenant {name} is not ready yet"))
        };
        let (namespace, secret, key) = (part("namespace")?, part("name")?, part("key")?);
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{secret}");
        let secret = self.request(Method::GET, &path, None).await?;
        let encoded = secret["data"][key].as_str().context("the tenant's kubeconfig secret is empty")?;
        Ok(String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded)?)?)
    }

    /// One request; a failure is the server's own message. A patch is an apply.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let is_patch = method == Method::PATCH;
        let content_type = if is_patch { "application/apply-patch+yaml" } else { "application/json" };
        self.send(method, path, content_type, body).await
    }

    /// A merge patch (RFC 7396).
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Value, Failure> {
        self.send(Method::PATCH, path, "application/merge-patch+json", Some(patch)).await
    }

    /// The body of an answer as it comes.
    pub async fn stream(&self, path: &str) -> Result<impl futures::AsyncRead + Send + use<>, Failure> {
        let request = Request::builder().uri(path).body(Vec::new());
        let request = request.map_err(|error| Failure { code: 0, message: error.to_string() })?;
        self.client.request_stream(request).await.map_err(failure)
    }

    /// Posts bytes as they come, and gives the body of the answer as it comes. The kubeconfig's user has a client
    /// certificate or a token.
    pub async fn upload<S>(&self, path: &str, body: S) -> anyhow::Result<Incoming>
    where
        S: futures::Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let connector = self.config.rustls_https_connector()?;
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        let url = format!("{}{path}", self.config.cluster_url.to_string().trim_end_matches('/'));
        let mut request = Request::post(url).header("content-type", "application/octet-stream");
        if let Some(token) = &self.config.auth_info.token {
            request = request.header("authorization", format!("Bearer {}", token.expose_secret()));
        }
        let body = BodyExt::boxed_unsync(StreamBody::new(body.map_ok(Frame::data)));
        let answer = http.request(request.body(body)?).await.context("the server cannot be reached")?;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        let code = answer.status().as_u16();
        let said = answer.into_body().collect().await?.to_bytes();
        let status: Value = serde_json::from_slice(&said).unwrap_or_default();
        let message = status["message"].as_str().map(str::to_owned);
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(&said).into_owned());
        Err(Failure { code, message }.into())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let bytes = body.map(Value::to_string).unwrap_or_default().into_bytes();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(bytes)
            .map_err(|error| Failure { code: 0, message: error.to_string() })?;
        self.client.request::<Value>(request).await.map_err(failure)
    }
}

/// An error with the next step when there is no such kubeconfig.
pub fn is_there(path: &Path) -> anyhow::Result<()> {
    if path.try_exists().unwrap_or(true) {
        return Ok(());
    }
    bail!(
        "there is no admin kubeconfig {}: is `insula up` running here? Otherwise name its file with --kubeconfig or \
         INSULA_KUBECONFIG",
        path.display()
    )
}

fn failure(error: kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => Failure { code: status.code, message: status.message.clone() },
        other => Failure { code: 0, message: format!("the server cannot be reached: {other}") },
    }
}

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    /// The HTTP status; 0 when there was no answer.
    pub code: u16,
    message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
