//! Requests to S3: signed, sent, tried again when the storage is busy, and read.

use super::signing::{Signer, Unsigned, path, query, sha256};
use super::{Credentials, xml};
use crate::{Source, StorageError};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::io;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often a request is tried again that failed for a reason that may pass.
const TRIES: u32 = 5;
/// How long to wait before that; doubled each time.
const PAUSE: Duration = Duration::from_millis(250);
/// How long an answer, and each piece of its body, may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest answer that is not a backup.
const ANSWER: usize = 4 << 20;

/// Reaches one bucket.
pub struct Wire {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    credentials: Credentials,
    /// `https://HOST` or `http://HOST:PORT`.
    base: String,
    host: String,
    /// `/BUCKET`, after the path of the endpoint.
    root: String,
}

/// What is asked of the bucket.
pub struct Ask<'a> {
    pub method: &'static str,
    /// The key of an object; empty for the bucket.
    pub key: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    pub body: Bytes,
}

impl Ask<'_> {
    fn shown(&self, root: &str) -> String {
        format!("{} {root}/{}", self.method, self.key)
    }
}

impl Wire {
    pub fn new(bucket: &str, credentials: Credentials) -> Result<Self, StorageError> {
        let endpoint = credentials.endpoint();
        let setting = |why: &str| StorageError::Setting(format!("the endpoint {endpoint:?} {why}"));
        let uri: Uri = endpoint.parse().map_err(|_| setting("is not a URL"))?;
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
        let scheme = scheme.ok_or_else(|| setting("is neither http nor https"))?;
        let host = uri.authority().ok_or_else(|| setting("has no host"))?.as_str().to_owned();
        let below = uri.path().trim_end_matches('/');
        Ok(Wire {
            http: client()?,
            base: format!("{scheme}://{host}"),
            root: format!("{below}/{bucket}"),
            host,
            credentials,
        })
    }

    /// Asks, and gives the answer with its body yet to come. Not found is an answer too.
    pub async fn open(&self, ask: &Ask<'_>) -> Result<Response<Incoming>, StorageError> {
        let mut pause = PAUSE;
        for last in (0..TRIES).map(|attempt| attempt + 1 == TRIES) {
            let failed = match timeout(PATIENCE, self.once(ask)).await {
                Ok(Ok(answer)) if answer.status().is_success() => return Ok(answer),
                Ok(Ok(answer)) => {
                    let refused = self.refused(ask, answer).await;
                    match &refused {
                        // Busy, or failing.
                        StorageError::Refused { status: 429 | 500..=599, .. } => refused,
                        _ => return Err(refused),
                    }
                }
                Ok(Err(error)) => error,
                Err(_) => self.unreachable(ask, "no answer came in time"),
            };
            if last {
                return Err(failed);
            }
            tracing::debug!(error = %failed, "asking the storage again");
            sleep(pause).await;
            pause *= 2;
        }
        Err(self.unreachable(ask, "no answer came"))
    }

    /// Asks, and reads a short answer: its body, and its `ETag`.
    pub async fn ask(&self, ask: &Ask<'_>) -> Result<(String, String), StorageError> {
        let answer = self.open(ask).await?;
        let tag =
            answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or("").to_owned();
        let body = self.text(answer).await.map_err(|why| self.unreachable(ask, &why))?;
        Ok((body, tag))
    }

    /// The body of an answer as it comes.
    pub fn source(answer: Response<Incoming>) -> Source {
        let pieces = answer.into_body().into_data_stream().map_err(io::Error::other);
        let late = || io::Error::new(io::ErrorKind::TimedOut, "nothing came for some time");
        Box::pin(futures::stream::unfold(Box::pin(pieces), move |mut pieces| async move {
            let next = timeout(PATIENCE, pieces.next()).await.unwrap_or_else(|_| Some(Err(late())));
            next.map(|piece| (piece, pieces))
        }))
    }

    async fn once(&self, ask: &Ask<'_>) -> Result<Response<Incoming>, StorageError> {
        let slash = if ask.key.is_empty() { "" } else { "/" };
        let path = path(&format!("{}{slash}{}", self.root, ask.key));
        let hash = sha256(&ask.body);
        let of = &self.credentials;
        let signer = Signer {
            access_key: &of.access_key,
            secret_key: &of.secret_key,
            session_token: of.session_token.as_deref(),
            region: &of.region,
        };
        let unsigned = Unsigned {
            method: ask.method,
            host: &self.host,
            path: &path,
            query: ask.query,
            headers: &[],
            body: &hash,
        };
        let mut url = format!("{}{path}", self.base);
        if !ask.query.is_empty() {
            url = format!("{url}?{}", query(ask.query));
        }
        let mut request = Request::builder().method(ask.method).uri(url);
        for (name, value) in signer.headers(&unsigned, jiff::Timestamp::now()) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(ask.body.clone()));
        let request = request.map_err(|error| self.unreachable(ask, &error.to_string()))?;
        self.http.request(request).await.map_err(|error| self.unreachable(ask, &crate::chain(&error)))
    }

    /// The error that an answer tells.
    async fn refused(&self, ask: &Ask<'_>, answer: Response<Incoming>) -> StorageError {
        let status = answer.status();
        let body = self.text(answer).await.unwrap_or_default();
        let code = xml::first(&body, "Code").unwrap_or_else(|| status.as_str().to_owned());
        let message = xml::first(&body, "Message");
        let message = message.unwrap_or_else(|| status.canonical_reason().unwrap_or("").to_owned());
        StorageError::Refused { what: self.what(ask), status: status.as_u16(), code, message }
    }

    async fn text(&self, answer: Response<Incoming>) -> Result<String, String> {
        let body = timeout(PATIENCE, Limited::new(answer.into_body(), ANSWER).collect()).await;
        let body =
            body.map_err(|_| "the answer does not end".to_owned())?.map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    }

    pub fn unreachable(&self, ask: &Ask<'_>, why: &str) -> StorageError {
        StorageError::Unreachable { what: self.what(ask), why: why.to_owned() }
    }

    fn what(&self, ask: &Ask<'_>) -> String {
        format!("{} at {}", ask.shown(&self.root), self.base)
    }
}

/// A client that believes the authorities of this machine: those of `SSL_CERT_FILE`, else the system's.
fn client() -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, StorageError> {
    let mut roots = rustls::RootCertStore::empty();
    // Those that cannot be read are none; with none at all only http leads anywhere.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StorageError::Setting(format!("TLS cannot be used: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
