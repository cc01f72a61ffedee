//! The host plane, as the commands reach it.

use crate::cli::Server;
use crate::kubeconfigs;
use anyhow::{Context, bail};
use http::{Method, Request};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use serde_json::Value;

/// A client of the host plane.
pub struct HostPlane {
    client: Client,
}

impl HostPlane {
    /// Connects with the kubeconfig that the flags name.
    pub async fn connect(server: &Server) -> anyhow::Result<Self> {
        let path = server.path();
        let shown = path.display();
        if !path.try_exists().unwrap_or(true) {
            bail!(
                "there is no admin kubeconfig {shown}: is `insula up` running here? Otherwise name its file with \
                 --kubeconfig or INSULA_KUBECONFIG"
            );
        }
        let kubeconfig = kubeconfigs::read(&path)
            .with_context(|| format!("the admin kubeconfig {shown} cannot be read"))?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .with_context(|| format!("the admin kubeconfig {shown} cannot be used"))?;
        Ok(HostPlane { client: Client::try_from(config)? })
    }

    /// One request; a failure is the server's own message.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let bytes = body.map(Value::to_string).unwrap_or_default().into_bytes();
        let content_type =
            if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(bytes)
            .map_err(|error| Failure { code: 0, message: error.to_string() })?;
        self.client.request::<Value>(request).await.map_err(|error| match error {
            kube::Error::Api(status) => Failure { code: status.code, message: status.message.clone() },
            other => Failure { code: 0, message: format!("the server cannot be reached: {other}") },
        })
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
