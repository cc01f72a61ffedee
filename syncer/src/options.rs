//! What the syncer is told at its start.

use crate::pods::dns::PodDns;
use crate::pods::environment::ApiAddress;
use crate::super_api::SuperApi;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How the super cluster `local`, whose `SuperCluster` has no kubeconfig, is reached.
#[derive(Clone)]
pub enum Embedded {
    /// By the text of a kubeconfig, and of newer ones as they come.
    Kubeconfig(watch::Receiver<String>),
    /// By the service account of the pod that the process runs in.
    InCluster,
    /// By this API; for tests.
    Api(Arc<dyn SuperApi>),
}

/// What the syncer is told at its start.
#[derive(Clone)]
pub struct Options {
    /// How `SuperCluster`s without a kubeconfig are reached; with it, a `SuperCluster` named `local` is made when
    /// there is none of the name.
    pub embedded: Option<Embedded>,
    /// Where pods reach the tenants' API; `None`: at the host and port of the tenant's `status.endpoint`.
    pub api_address: Option<ApiAddress>,
    /// The DNS server of tenants' pods; `None`: that of their super cluster.
    pub dns: Option<PodDns>,
    /// How many keys are worked on at a time, for each super cluster and beside them.
    pub workers: usize,
    /// The same for an [`Embedded::Kubeconfig`], whose API server has only the processors that we have: more at a time
    /// would only make each take longer. No more than `workers`.
    pub embedded_workers: usize,
    /// The time between two patrols; more when they take long.
    pub patrol: Duration,
    /// The time after which everything is worked through once more, for what no version tells of.
    pub sweep: Duration,
    /// The time between two looks at a super cluster's health.
    pub health: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            embedded: None,
            api_address: None,
            dns: None,
            workers: 32,
            embedded_workers: 4 * std::thread::available_parallelism().map_or(1, usize::from),
            patrol: Duration::from_secs(10),
            sweep: Duration::from_secs(600),
            health: Duration::from_secs(5),
        }
    }
}

/// The name of the embedded super cluster.
pub const LOCAL: &str = "local";

/// The host and port of a URL.
pub fn address_of(endpoint: &str) -> Option<ApiAddress> {
    let uri: http::Uri = endpoint.parse().ok()?;
    let default = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => return None,
    };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some(ApiAddress { host: host.to_owned(), port: uri.port_u16().unwrap_or(default) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_endpoints() {
        for (endpoint, expected) in [
            ("https://127.0.0.1:7443/tenants/acme", Some(("127.0.0.1", 7443))),
            ("https://api.example.com/tenants/acme", Some(("api.example.com", 443))),
            ("https://[fd00::1]:7443/", Some(("fd00::1", 7443))),
            ("nonsense", None),
        ] {
            let got = address_of(endpoint);
            assert_eq!(got.as_ref().map(|a| (a.host.as_str(), a.port)), expected, "{endpoint}");
        }
    }
}
