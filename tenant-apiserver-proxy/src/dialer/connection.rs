//! A connection to whom a tenant has named.

use super::services::{self, Endpoint, Route, ServicePort};
use super::{DialError, Dialer, Trust, tls};
use api_types::{ObjectName, TenantId};
use http::Uri;
use plane_client::{Duplex, TunnelError};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Endpoints of a Service that are tried for one connection.
const MAX_TRIED: usize = 4;
/// How long one of them may take to be connected, where there are more.
const EACH: Duration = Duration::from_secs(5);

/// Where to connect to.
#[derive(Clone, Debug)]
pub enum To {
    /// A host by name or address, and a port.
    Host(String, u16),
    /// Whatever a port of a Service leads to when it is dialled.
    Service(ServicePort),
}

/// Whom to speak to.
#[derive(Clone)]
pub struct Peer {
    to: To,
    /// The `Host` of requests.
    pub authority: String,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Peer {
    /// Who answers at `https://host[:port][/path]`, and the path.
    pub fn of_url(url: &str, trust: Trust<'_>) -> Result<(Peer, String), DialError> {
        let no_address = || DialError::Address(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| no_address())?;
        let authority = uri.authority().ok_or_else(no_address)?;
        if uri.scheme_str() != Some("https") || authority.as_str().contains('@') {
            return Err(no_address());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| no_address())?;
        let to = To::Host(host, authority.port_u16().unwrap_or(443));
        let peer = Peer { to, authority: authority.to_string(), name, config: tls::client(trust)? };
        Ok((peer, uri.path().to_owned()))
    }

    /// Who answers behind a Service: its certificate has to be for `NAME.NAMESPACE.svc`.
    pub fn of_service(service: ServicePort, trust: Trust<'_>) -> Result<Peer, DialError> {
        let host = service.host();
        let authority = format!("{host}:{}", service.port);
        let name =
            ServerName::try_from(host).map_err(|_| DialError::Address(format!("https://{authority}")))?;
        Ok(Peer { to: To::Service(service), authority, name, config: tls::client(trust)? })
    }
}

impl Dialer {
    /// Connects and shakes hands. The caller bounds how long it takes.
    pub async fn open(&self, peer: &Peer) -> Result<TlsStream<Box<dyn Duplex>>, DialError> {
        let stream = match &peer.to {
            To::Host(host, port) => to_host(self, host, *port).await?,
            To::Service(service) => match services::route(self, service)? {
                Route::Host(host, port) => to_host(self, &host, port).await?,
                Route::Endpoints(endpoints) => to_endpoints(self, &peer.authority, &endpoints).await?,
            },
        };
        let stream = TlsConnector::from(peer.config.clone()).connect(peer.name.clone(), stream).await;
        stream.map_err(|error| DialError::Tls(distrusted(&error)))
    }
}

impl Dialer {
    /// Connects to a port of a pod of the plane where it runs. With `tls` hands are shaken as with who is at that address,
    /// whoever that is. The caller bounds how long it takes.
    pub async fn open_pod(
        &self,
        pod: &ObjectName,
        port: u16,
        tls: Option<IpAddr>,
    ) -> Result<Box<dyn Duplex>, DialError> {
        let no = |why: &str| TunnelError { pod: pod.clone(), why: why.to_owned() };
        if self.plane == TenantId::LOCAL_SUPER {
            return Err(no(SIMULATED).into());
        }
        let tunnel = self.network.tunnel().ok_or_else(|| no("this server reaches no pods"))?;
        let stream = tunnel.connect(self.plane, pod, port).await?;
        let Some(address) = tls else { return Ok(stream) };
        let config = tls::client(Trust { bundle: None, identity: None })?;
        let name = ServerName::IpAddress(address.into());
        let stream = TlsConnector::from(config).connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| DialError::Tls(distrusted(&error)))?))
    }
}

/// Why somebody is not believed, in Kubernetes' words where it is for who signed the certificate, or its time.
fn distrusted(error: &std::io::Error) -> String {
    let found = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match found {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "x509: certificate signed by unknown authority".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => "x509: certificate has expired or is not yet valid".to_owned(),
        _ => error.to_string(),
    }
}

async fn to_host(dialer: &Dialer, host: &str, port: u16) -> Result<Box<dyn Duplex>, DialError> {
    let addresses = dialer.resolve(host, port).await?;
    let mut failed = DialError::Timeout;
    for address in addresses {
        match to_address(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn to_endpoints(
    dialer: &Dialer,
    host: &str,
    endpoints: &[Endpoint],
) -> Result<Box<dyn Duplex>, DialError> {
    let mut failed = DialError::Timeout;
    for endpoint in endpoints.iter().take(MAX_TRIED) {
        let tried = to_endpoint(dialer, host, endpoint);
        match tokio::time::timeout(EACH, tried).await.unwrap_or(Err(DialError::Timeout)) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A pod is reached where it runs, and everything else by its address.
async fn to_endpoint(dialer: &Dialer, host: &str, endpoint: &Endpoint) -> Result<Box<dyn Duplex>, DialError> {
    if let Some(pod) = &endpoint.pod {
        if dialer.plane == TenantId::LOCAL_SUPER {
            return Err(TunnelError { pod: pod.clone(), why: SIMULATED.to_owned() }.into());
        }
        if let Some(tunnel) = dialer.network.tunnel.load_full() {
            return Ok(tunnel.connect(dialer.plane, pod, endpoint.port).await?);
        }
    }
    let address = SocketAddr::new(endpoint.ip, endpoint.port);
    if !dialer.allows(&address) {
        return Err(DialError::Refused { host: host.to_owned(), address: endpoint.ip });
    }
    to_address(address).await
}

/// What is said of pods of the embedded super cluster.
const SIMULATED: &str =
    "it is simulated: on the embedded super cluster no container runs, so that nobody answers";

async fn to_address(address: SocketAddr) -> Result<Box<dyn Duplex>, DialError> {
    match TcpStream::connect(address).await {
        Ok(stream) => {
            // What cannot be set only delays small requests.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        Err(error) => Err(DialError::Connect { address, why: why(&error) }),
    }
}

fn why(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}
