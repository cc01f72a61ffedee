//! `--external-address`: a name or an address, with or without a port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Where clients reach the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAddress {
    /// A DNS name in lower case, or an IP address without brackets.
    pub host: String,
    /// The port, if one is named.
    pub port: Option<u16>,
}

impl ExternalAddress {
    /// The address served on; one that stands for all addresses is reached locally.
    pub fn local(address: SocketAddr) -> Self {
        let ip = address.ip();
        let host = if ip.is_unspecified() { "127.0.0.1".to_owned() } else { ip.to_string() };
        ExternalAddress { host, port: Some(address.port()) }
    }

    /// `https://HOST:PORT`; the port served on where none is named.
    pub fn url(&self, served: u16) -> String {
        let port = self.port.unwrap_or(served);
        if self.host.contains(':') {
            format!("https://[{}]:{port}", self.host)
        } else {
            format!("https://{}:{port}", self.host)
        }
    }
}

/// What is wrong with a text that is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAddress(&'static str);

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NoAddress {}

impl FromStr for ExternalAddress {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if text.contains("://") || text.contains('/') {
            return Err(NoAddress("a name or an address, without https:// and without a path"));
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(ExternalAddress { host: ip.to_string(), port: None });
        }
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(""))),
            None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(NoAddress("the port must be between 1 and 65535")),
        };
        let host = host.to_ascii_lowercase();
        if host.parse::<IpAddr>().is_err() && !is_name(&host) {
            return Err(NoAddress(
                "neither a DNS name nor an IP address, such as insula.example.com or [fd00::1]:7443",
            ));
        }
        Ok(ExternalAddress { host, port })
    }
}

fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What ends in a number is an IP address that was written wrongly.
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    host.len() <= 253 && !numeric && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_become_urls() {
        for (text, host, url) in [
            ("k8s.example.com", "k8s.example.com", "https://k8s.example.com:7443"),
            ("K8s.Example.com:443", "k8s.example.com", "https://k8s.example.com:443"),
            ("localhost", "localhost", "https://localhost:7443"),
            ("10.0.0.1", "10.0.0.1", "https://10.0.0.1:7443"),
            ("10.0.0.1:8443", "10.0.0.1", "https://10.0.0.1:8443"),
            ("fd00::1", "fd00::1", "https://[fd00::1]:7443"),
            ("[fd00::1]", "fd00::1", "https://[fd00::1]:7443"),
            ("[fd00::1]:443", "fd00::1", "https://[fd00::1]:443"),
        ] {
            let address: ExternalAddress = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.url(7443)), (host, url.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "https://k8s.example.com",
            "k8s.example.com/tenants",
            "k8s.example.com:",
            "k8s.example.com:0",
            "k8s.example.com:70000",
            "k8s_example",
            "a b",
            "-a.example.com",
            "10.0.0.256",
            "user@host",
            "[fd00::1",
            "[fd00::1]443",
        ] {
            assert!(text.parse::<ExternalAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_that_stands_for_all_is_reached_locally() {
        let of = |text: &str| ExternalAddress::local(text.parse().unwrap()).url(1);
        assert_eq!(of("0.0.0.0:7443"), "https://127.0.0.1:7443");
        assert_eq!(of("192.0.2.1:7443"), "https://192.0.2.1:7443");
        assert_eq!(of("[::1]:7443"), "https://[::1]:7443");
    }
}
