//! The flags of the DNS server of tenants' pods.

use clap::Args;
use std::net::{IpAddr, SocketAddr};

/// Where `insula up` answers the DNS questions of tenants' pods, and whom it asks itself.
#[derive(Args, Clone, Debug, Default)]
pub struct Dns {
    /// Serve DNS to tenants' pods on this IP address and port, over UDP and TCP, such as 10.0.0.5:53; pods that are made
    /// from then on ask it. Can be repeated [default: pods ask the DNS server of their super cluster, which does not know
    /// tenants' names]
    #[arg(long, value_name = "ADDR", value_parser = dns_address)]
    pub dns_listen: Vec<SocketAddr>,
    /// The IP address by which pods reach it, at port 53. Can be repeated, three at most [default: that of --dns-listen]
    #[arg(long, value_name = "IP", requires = "dns_listen")]
    pub dns_address: Vec<IpAddr>,
    /// A resolver for all names that are not the cluster's: an IP address, with or without a port. Can be repeated: the
    /// next is asked when one does not answer [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR", requires = "dns_listen", value_parser = resolver)]
    pub dns_upstream: Vec<SocketAddr>,
}

/// `IP:PORT`.
fn dns_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an IP address and a port are needed, such as 10.0.0.5:53 or [fd00::5]:53")
}

/// `IP` or `IP:PORT`.
fn resolver(text: &str) -> Result<SocketAddr, &'static str> {
    let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    alone
        .or_else(|_| text.parse())
        .map_err(|_| "an IP address is needed, such as 192.0.2.53 or 192.0.2.53:53")
}
