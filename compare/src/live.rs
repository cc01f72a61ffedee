//! A server that answers now, reached with a kubeconfig.

use crate::exchange::{Request, Response, body_of};
use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of a body is read.
const LARGEST: usize = 32 << 20;

/// The headers that are recorded and compared.
const HEADERS: &[&str] = &["content-type", "warning", "location", "retry-after"];

/// A server and how requests introduce themselves to it.
pub struct Live {
    client: Client,
    user_agent: String,
}

impl Live {
    /// Reads the kubeconfig; nothing is sent yet.
    pub async fn connect(path: &Path, user_agent: &str) -> Result<Self> {
        let shown = path.display();
        let kubeconfig = Kubeconfig::read_from(path)
            .with_context(|| format!("{shown} is no kubeconfig; a recording ends with .jsonl"))?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .with_context(|| format!("the kubeconfig {shown} cannot be used"))?;
        // A second try would hide that the first was refused.
        config.default_retry = false;
        let client =
            Client::try_from(config).with_context(|| format!("the kubeconfig {shown} cannot be used"))?;
        Ok(Live { client, user_agent: user_agent.to_owned() })
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub async fn send(&self, request: &Request) -> Result<Response> {
        match tokio::time::timeout(PATIENCE, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => bail!("no whole answer in {} s", PATIENCE.as_secs()),
        }
    }

    async fn exchange(&self, request: &Request) -> Result<Response> {
        let mut builder = http::Request::builder()
            .method(request.method.as_str())
            .uri(&request.path)
            .header("user-agent", &self.user_agent);
        if let Some(content_type) = &request.content_type {
            builder = builder.header("content-type", content_type);
        }
        if let Some(accept) = &request.accept {
            builder = builder.header("accept", accept);
        }
        let bytes = match &request.body {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            other => serde_json::to_vec(other)?,
        };
        let (head, body) = self.client.send(builder.body(Body::from(bytes))?).await?.into_parts();
        let status = head.status.as_u16();
        let headers = HEADERS
            .iter()
            .filter_map(|name| {
                let values: Vec<_> = head
                    .headers
                    .get_all(*name)
                    .iter()
                    .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                    .collect();
                (!values.is_empty()).then(|| ((*name).to_owned(), values.join(", ")))
            })
            .collect();
        let bytes = match Limited::new(body, LARGEST).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) => bail!("the body ends early: {error}"),
        };
        Ok(Response {
            status,
            headers,
            body: body_of(&request.path, status, &String::from_utf8_lossy(&bytes)),
        })
    }
}
