//! DNS for tenants' pods: its sockets, the address that pods are told, and the resolvers behind it.

use crate::cli::dns::Dns;
use anyhow::{Context, ensure};
use std::net::{IpAddr, SocketAddr};
use syncer::PodDns;
use tenant_dns::Sockets;

/// Where the system says which resolvers to ask.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What was made ready before the services start.
pub struct Plan {
    /// Where it is asked.
    pub sockets: Vec<Sockets>,
    /// What pods are told.
    pub pods: PodDns,
    /// Whom it asks.
    pub upstreams: Vec<SocketAddr>,
}

/// Takes the sockets; `None` without `--dns-listen`.
pub async fn plan(flags: &Dns) -> anyhow::Result<Option<Plan>> {
    if flags.dns_listen.is_empty() {
        return Ok(None);
    }
    let pods = pods(flags)?;
    let upstreams = match flags.dns_upstream.as_slice() {
        [] => {
            let text = std::fs::read_to_string(RESOLV_CONF);
            let text = text.with_context(|| format!("{RESOLV_CONF} cannot be read; give --dns-upstream"))?;
            resolvers(&text)
        }
        given => given.to_vec(),
    };
    if upstreams.is_empty() {
        tracing::warn!(
            "{RESOLV_CONF} names no resolver: names that are not a cluster's get no answer; give --dns-upstream"
        );
    }
    let mut sockets = Vec::new();
    for listen in &flags.dns_listen {
        ensure!(
            !upstreams.contains(listen),
            "{listen} is both --dns-listen and a resolver behind it: it would ask itself; give --dns-upstream"
        );
        let bound = Sockets::bind(*listen).await.with_context(|| {
            format!("DNS cannot be served on {listen}; choose another address with --dns-listen")
        })?;
        sockets.push(bound);
    }
    Ok(Some(Plan { sockets, pods, upstreams }))
}

fn pods(flags: &Dns) -> anyhow::Result<PodDns> {
    let servers: Vec<IpAddr> = match flags.dns_address.as_slice() {
        [] => flags.dns_listen.iter().map(SocketAddr::ip).collect(),
        given => given.to_vec(),
    };
    for ip in &servers {
        ensure!(
            !ip.is_unspecified(),
            "{ip} stands for all addresses: say with --dns-address by which one pods reach it"
        );
    }
    let most = syncer::PodDns::MOST;
    ensure!(
        servers.len() <= most,
        "pods would have {} DNS servers, and can have {most}: say with --dns-address which",
        servers.len()
    );
    Ok(PodDns { servers })
}

/// The resolvers in a `resolv.conf`.
fn resolvers(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let is_one = words.next() == Some("nameserver");
        // A zone after % is of one machine; the address alone would lead elsewhere.
        let ip: IpAddr = words.next().filter(|_| is_one)?.parse().ok()?;
        Some(SocketAddr::new(ip, 53))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(listen: &str, addresses: &[&str]) -> Dns {
        Dns {
            dns_listen: listen.split(' ').map(|address| address.parse().unwrap()).collect(),
            dns_address: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
            dns_upstream: Vec::new(),
        }
    }

    #[test]
    fn pods_are_told_an_address_that_leads_somewhere() {
        for (listen, addresses, expected) in [
            ("10.0.0.5:53", &[][..], Some("10.0.0.5")),
            ("10.0.0.5:53 [fd00::5]:53", &[], Some("10.0.0.5 fd00::5")),
            ("10.0.0.1:53 10.0.0.2:53 10.0.0.3:53 10.0.0.4:53", &[], None),
            ("10.0.0.5:5353", &["10.96.0.9"], Some("10.96.0.9")),
            ("0.0.0.0:53", &["10.96.0.9", "fd00::9"], Some("10.96.0.9 fd00::9")),
            ("0.0.0.0:53", &[], None),
            ("0.0.0.0:53", &["0.0.0.0"], None),
            ("0.0.0.0:53", &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"], None),
        ] {
            let flags = flags(listen, addresses);
            let got = pods(&flags).ok();
            let got = got.map(|dns| dns.servers.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "));
            assert_eq!(got.as_deref(), expected, "{listen} {addresses:?}");
        }
    }

    #[test]
    fn resolvers_are_read_from_the_system() {
        let text = "# a comment\nsearch example.com\nnameserver 192.0.2.1\nnameserver  fd00::1 \nnameserver fe80::1%eth0\noptions edns0\n";
        assert_eq!(resolvers(text), ["192.0.2.1:53".parse().unwrap(), "[fd00::1]:53".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_server_that_would_ask_itself_is_refused() {
        let mut flags = flags("127.0.0.1:53", &[]);
        flags.dns_upstream = vec!["127.0.0.1:53".parse().unwrap()];
        let refused = plan(&flags).await.map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("ask itself"), "{refused}");
    }
}
