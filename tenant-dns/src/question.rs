//! What a name of the cluster's zone, or of the reverse zones, asks for.
//!
//! The scheme is that of "Kubernetes DNS-Based Service Discovery" 1.1.0. Pure.

use hickory_proto::rr::Name;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The zone of every tenant's cluster, from the last label on.
const ZONE: [&str; 2] = ["local", "cluster"];

/// What a name asks for. Names of objects are in lower case; they may name nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The version of the scheme.
    Version,
    /// The zone itself.
    Zone,
    /// A name that only has names below it, whatever there is.
    Between,
    /// A namespace, which has names below it.
    Namespace(String),
    /// A Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        service: String,
    },
    /// The ports of a Service of one name and protocol, or, without a port, what is above them.
    Port {
        /// Its namespace.
        namespace: String,
        /// Its name.
        service: String,
        /// The port.
        port: Option<String>,
        /// `tcp`, `udp` or `sctp`.
        protocol: String,
    },
    /// One endpoint of a headless Service.
    Endpoint {
        /// Its namespace.
        namespace: String,
        /// Its name.
        service: String,
        /// The host name of the endpoint, or what stands for it.
        host: String,
    },
    /// A pod by its address.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its address.
        address: IpAddr,
    },
    /// In the zone, and never there.
    Nothing,
    /// What has an address.
    Reverse(IpAddr),
    /// Not of the cluster.
    Elsewhere,
}

/// Reads a name.
pub fn read(name: &Name) -> Asked {
    // What is no text names nothing, and what is below the zone does not leave it for that.
    let read = |label: &[u8]| String::from_utf8_lossy(label).to_ascii_lowercase();
    let labels: Vec<String> = name.iter().rev().map(read).collect();
    // From the last label on.
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    match labels.as_slice() {
        ["arpa", "in-addr", rest @ ..] => v4(rest).map_or(Asked::Elsewhere, Asked::Reverse),
        ["arpa", "ip6", rest @ ..] => v6(rest).map_or(Asked::Elsewhere, Asked::Reverse),
        [first, second, rest @ ..] if [*first, *second] == ZONE => in_zone(rest),
        _ => Asked::Elsewhere,
    }
}

fn in_zone(labels: &[&str]) -> Asked {
    let text = |label: &&str| (*label).to_owned();
    match labels {
        [] => Asked::Zone,
        ["dns-version"] => Asked::Version,
        ["svc" | "pod"] => Asked::Between,
        ["svc" | "pod", namespace] => Asked::Namespace(text(namespace)),
        ["pod", namespace, address] => match dashed(address) {
            Some(address) => Asked::Pod { namespace: text(namespace), address },
            None => Asked::Nothing,
        },
        ["svc", namespace, service] => Asked::Service { namespace: text(namespace), service: text(service) },
        ["svc", namespace, service, below @ ..] => {
            let (namespace, service) = (text(namespace), text(service));
            match below {
                [protocol] | [protocol, _] if protocol.starts_with('_') => {
                    let port = match below.get(1) {
                        None => None,
                        Some(port) => match port.strip_prefix('_') {
                            Some(port) => Some(port.to_owned()),
                            None => return Asked::Nothing,
                        },
                    };
                    Asked::Port { namespace, service, port, protocol: protocol[1..].to_owned() }
                }
                [host] => Asked::Endpoint { namespace, service, host: text(host) },
                _ => Asked::Nothing,
            }
        }
        _ => Asked::Nothing,
    }
}

/// An address as a label: its colons and dots are dashes.
pub fn dashes(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}

fn dashed(label: &str) -> Option<IpAddr> {
    let v4 = || label.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    let v6 = || label.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    v4().or_else(v6)
}

/// The address of a name below `in-addr.arpa`, from its last label on.
fn v4(labels: &[&str]) -> Option<IpAddr> {
    let octets: Vec<u8> = labels.iter().map(|label| label.parse().ok()).collect::<Option<_>>()?;
    Some(IpAddr::from(<[u8; 4]>::try_from(octets).ok()?))
}

/// The same below `ip6.arpa`.
fn v6(labels: &[&str]) -> Option<IpAddr> {
    let digit = |label: &&str| (label.len() == 1).then(|| u8::from_str_radix(label, 16).ok()).flatten();
    let digits: Vec<u8> = labels.iter().map(digit).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (digits.len() == 32).then_some(())?;
    Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?))
}

/// Whether a name asks for addresses in a range that means something in one network alone (RFC 6303, RFC 6890), or for
/// a part of one: other networks' servers must not be asked.
pub fn is_of_private_address(name: &Name) -> bool {
    let text = name.to_lowercase().to_ascii();
    let text = text.trim_end_matches('.');
    let below = |zone: &str| text == zone || text.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'));
    let numbered = |from: u8, to: u8, zone: &str| (from..=to).any(|n| below(&format!("{n}.{zone}")));
    below("10.in-addr.arpa")
        || below("127.in-addr.arpa")
        || below("254.169.in-addr.arpa")
        || below("168.192.in-addr.arpa")
        || numbered(16, 31, "172.in-addr.arpa")
        || numbered(64, 127, "100.in-addr.arpa")
        || numbered(18, 19, "198.in-addr.arpa")
        || below("c.f.ip6.arpa")
        || below("d.f.ip6.arpa")
        || ["8", "9", "a", "b"].iter().any(|n| below(&format!("{n}.e.f.ip6.arpa")))
        || below(&format!("{}ip6.arpa", "0.".repeat(31)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str) -> Asked {
        read(&Name::from_ascii(name).unwrap())
    }

    #[test]
    fn names_are_read() {
        let service = |namespace: &str, service: &str| Asked::Service {
            namespace: namespace.into(),
            service: service.into(),
        };
        let port = |port: Option<&str>| Asked::Port {
            namespace: "shop".into(),
            service: "db".into(),
            port: port.map(str::to_owned),
            protocol: "tcp".into(),
        };
        let pod = |address: &str| Asked::Pod { namespace: "shop".into(), address: address.parse().unwrap() };
        for (name, expected) in [
            ("cluster.local.", Asked::Zone),
            ("svc.cluster.local.", Asked::Between),
            ("pod.cluster.local.", Asked::Between),
            ("shop.svc.cluster.local.", Asked::Namespace("shop".into())),
            ("dns-version.cluster.local.", Asked::Version),
            ("db.shop.svc.cluster.local.", service("shop", "db")),
            ("DB.Shop.SVC.cluster.LOCAL.", service("shop", "db")),
            ("_sql._tcp.db.shop.svc.cluster.local.", port(Some("sql"))),
            ("_tcp.db.shop.svc.cluster.local.", port(None)),
            ("sql._tcp.db.shop.svc.cluster.local.", Asked::Nothing),
            (
                "db-0.db.shop.svc.cluster.local.",
                Asked::Endpoint { namespace: "shop".into(), service: "db".into(), host: "db-0".into() },
            ),
            ("a.b.db.shop.svc.cluster.local.", Asked::Nothing),
            ("a._sql._tcp.db.shop.svc.cluster.local.", Asked::Nothing),
            ("10-1-2-3.shop.pod.cluster.local.", pod("10.1.2.3")),
            ("fd00--3.shop.pod.cluster.local.", pod("fd00::3")),
            ("10-1-2.shop.pod.cluster.local.", Asked::Nothing),
            ("web.shop.pod.cluster.local.", Asked::Nothing),
            ("node.cluster.local.", Asked::Nothing),
            ("example.com.", Asked::Elsewhere),
            ("mycluster.local.", Asked::Elsewhere),
            ("local.", Asked::Elsewhere),
            (".", Asked::Elsewhere),
            ("3.2.1.10.in-addr.arpa.", Asked::Reverse("10.1.2.3".parse().unwrap())),
            ("2.1.10.in-addr.arpa.", Asked::Elsewhere),
            (
                "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.",
                Asked::Reverse("fd00::3".parse().unwrap()),
            ),
        ] {
            assert_eq!(asked(name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_text_does_not_leave_the_zone() {
        for (labels, expected) in [
            (&[&b"\xff"[..], b"cluster", b"local"][..], Asked::Nothing),
            (&[b"\xff", b"example", b"com"], Asked::Elsewhere),
        ] {
            assert_eq!(read(&Name::from_labels(labels.iter().copied()).unwrap()), expected);
        }
    }

    #[test]
    fn names_of_private_addresses_are_known() {
        for (name, expected) in [
            ("1.0.0.10.in-addr.arpa.", true),
            ("10.in-addr.arpa.", true),
            ("110.in-addr.arpa.", false),
            ("1.1.15.172.in-addr.arpa.", false),
            ("1.1.16.172.in-addr.arpa.", true),
            ("1.1.31.172.in-addr.arpa.", true),
            ("1.168.192.in-addr.arpa.", true),
            ("1.1.100.in-addr.arpa.", false),
            ("1.1.64.100.in-addr.arpa.", true),
            ("8.8.8.8.in-addr.arpa.", false),
            ("0.D.F.ip6.arpa.", true),
            ("8.b.d.0.1.0.0.2.ip6.arpa.", false),
            ("10.in-addr.arpa.example.com.", false),
        ] {
            assert_eq!(is_of_private_address(&Name::from_ascii(name).unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn addresses_become_labels_and_back() {
        for address in ["10.1.2.3", "fd00::3", "2001:db8::1:0"] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(dashed(&dashes(address)), Some(address));
        }
    }
}
