//! What is asked of a webhook: JSON that is posted to whom its `clientConfig` names.

use super::services::ServicePort;
use super::{DialError, Dialer, Exchange, Peer, Trust};
use api_resources::resource::{ConversionWebhook, WebhookTarget};
use base64::Engine;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;
use std::time::Duration;

/// How much of an answer that is no success is told.
const MAX_TOLD: usize = 2_048;

/// A `clientConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    target: Target,
    /// The certificates to believe, PEM; empty: those that the system trusts.
    ca_bundle: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Url(String),
    Service(ServicePort, String),
}

/// What is posted.
pub struct Post<'a> {
    /// The query, without `?`; it may be empty.
    pub query: &'a str,
    /// The JSON.
    pub body: Bytes,
    /// The name of who asks.
    pub agent: &'static str,
    /// How long all of it may take.
    pub timeout: Duration,
    /// The most bytes of the answer.
    pub max_answer: usize,
}

impl ClientConfig {
    /// Reads one that validation has let pass.
    pub fn read(config: &Value) -> Self {
        let service = &config["service"];
        let target = match config["url"].as_str() {
            Some(url) => Target::Url(url.to_owned()),
            None => {
                Target::Service(ServicePort::read(service), service["path"].as_str().unwrap_or("").to_owned())
            }
        };
        let bundle = config["caBundle"].as_str().unwrap_or("");
        let ca_bundle = base64::engine::general_purpose::STANDARD.decode(bundle).unwrap_or_default();
        ClientConfig { target, ca_bundle }
    }

    /// That of a webhook of a definition.
    pub fn of_conversion(webhook: &ConversionWebhook) -> Self {
        let target = match &webhook.target {
            WebhookTarget::Url(url) => Target::Url(url.clone()),
            WebhookTarget::Service { namespace, name, path, port } => {
                let (namespace, name) = (namespace.clone(), name.clone());
                Target::Service(ServicePort { namespace, name, port: *port }, path.clone())
            }
        };
        ClientConfig { target, ca_bundle: webhook.ca_bundle.clone() }
    }

    /// The address as errors tell it.
    pub fn url(&self) -> String {
        match &self.target {
            Target::Url(url) => url.clone(),
            Target::Service(service, path) => {
                format!("https://{}:{}/{}", service.host(), service.port, path.trim_start_matches('/'))
            }
        }
    }

    /// Posts, and gives the body of a successful answer.
    pub async fn post(&self, dialer: &Dialer, post: Post<'_>) -> Result<Bytes, DialError> {
        let trust = Trust::bundle(&self.ca_bundle);
        let (peer, path) = match &self.target {
            Target::Url(url) => Peer::of_url(url, trust)?,
            Target::Service(service, path) => {
                (Peer::of_service(service.clone(), trust)?, format!("/{}", path.trim_start_matches('/')))
            }
        };
        let path = if path.is_empty() { "/" } else { &path };
        let ask = if post.query.is_empty() { "" } else { "?" };
        let request = Request::post(format!("{path}{ask}{}", post.query))
            .header(header::USER_AGENT, post.agent)
            .header(header::ACCEPT, "application/json, */*")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(post.body))
            .map_err(|_| DialError::Address(self.url()))?;
        let (timeout, max_answer) = (post.timeout, post.max_answer);
        let answer = dialer.exchange(Exchange { peer: &peer, request, timeout, max_answer }).await?;
        match answer.status.is_success() {
            true => Ok(answer.body),
            false => Err(DialError::Status(failure(answer.status, &answer.body))),
        }
    }
}

/// What Kubernetes' client says of an answer that is no success.
fn failure(status: StatusCode, body: &[u8]) -> String {
    let told = String::from_utf8_lossy(&body[..body.len().min(MAX_TOLD)]);
    let told = told.trim();
    let json = told.starts_with('{');
    match status.as_u16() {
        404 => "the server could not find the requested resource".to_owned(),
        500..=599 => {
            let told = if told.is_empty() || json { "unknown" } else { told };
            format!("an error on the server ({told:?}) has prevented the request from succeeding")
        }
        code => {
            format!("the server responded with the status code {code} but did not return more information")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_are_told_as_kubernetes_tells_them() {
        for (config, url) in [
            (json!({"url": "https://a.example.com/x"}), "https://a.example.com/x"),
            (json!({"service": {"namespace": "n", "name": "s"}}), "https://s.n.svc:443/"),
            (
                json!({"service": {"namespace": "n", "name": "s", "port": 8443, "path": "/a/b"}}),
                "https://s.n.svc:8443/a/b",
            ),
        ] {
            assert_eq!(ClientConfig::read(&config).url(), url);
        }
    }
}
