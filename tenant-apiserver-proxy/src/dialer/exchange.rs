//! One request and its answer.

use super::{DialError, Dialer, tls};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How much of an answer that is no success is told.
const MAX_TOLD: usize = 2_048;

/// What is sent, and where to.
pub struct Exchange<'a> {
    /// `https://host[:port][/path]`.
    pub url: &'a str,
    /// The certificates to believe, PEM; empty: those that the system trusts.
    pub ca_bundle: &'a [u8],
    /// The query, without `?`.
    pub query: &'a str,
    /// The JSON.
    pub body: Bytes,
    /// How long all of it may take.
    pub timeout: Duration,
    /// The most bytes of the answer.
    pub max_answer: usize,
}

/// Posts JSON, and gives the body of a successful answer.
pub async fn post(dialer: &Dialer, exchange: Exchange<'_>) -> Result<Bytes, DialError> {
    let timeout = exchange.timeout;
    tokio::time::timeout(timeout, converse(dialer, exchange)).await.unwrap_or(Err(DialError::Timeout))
}

async fn converse(dialer: &Dialer, exchange: Exchange<'_>) -> Result<Bytes, DialError> {
    let no_address = || DialError::Address(exchange.url.to_owned());
    let uri: Uri = exchange.url.parse().map_err(|_| no_address())?;
    let authority = uri.authority().ok_or_else(no_address)?;
    if uri.scheme_str() != Some("https") || authority.as_str().contains('@') {
        return Err(no_address());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(|_| no_address())?;
    let config = tls::client(exchange.ca_bundle)?;
    let addresses = dialer.resolve(host, authority.port_u16().unwrap_or(443)).await?;
    let stream = connect(&addresses).await?;
    let stream = TlsConnector::from(config).connect(name, stream).await;
    let stream = stream.map_err(|error| DialError::Tls(error.to_string()))?;
    let broken = |error: hyper::Error| DialError::Broken(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with the exchange: whoever gives up waiting ends the connection too.
    let connection = Ended(tokio::spawn(connection));
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{path}?{}", exchange.query))
        .header(header::HOST, authority.as_str())
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .header(header::ACCEPT, "application/json, */*")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(exchange.body))
        .map_err(|_| no_address())?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    if status.is_redirection() {
        return Err(DialError::Redirect(status.as_u16()));
    }
    let body = Limited::new(response.into_body(), exchange.max_answer).collect().await;
    let body = match body {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(DialError::TooLarge(exchange.max_answer));
        }
        Err(error) => return Err(DialError::Broken(error.to_string())),
    };
    drop(connection);
    if status.is_success() { Ok(body) } else { Err(DialError::Status(failure(status, &body))) }
}

/// A task that ends when this is dropped.
struct Ended(tokio::task::JoinHandle<Result<(), hyper::Error>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
    let mut failed = DialError::Timeout;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = DialError::Connect { address: *address, why: why(&error) },
        }
    }
    Err(failed)
}

fn why(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
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
