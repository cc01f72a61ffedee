//! The one Service of a super cluster whose address every tenant's `kubernetes` Service has.

use crate::pods::environment::ApiAddress;
use crate::services::addresses;
use crate::state::SuperCluster;
use crate::super_api::At;
use api_types::tenancy::SYSTEM_NAMESPACE;
use api_types::{ApiError, Resource};
use serde_json::{Value, json};
use std::net::IpAddr;

const NAMESPACES: Resource = Resource::new("", "v1", "namespaces");
const SERVICES: Resource = Resource::new("", "v1", "services");
const SLICES: Resource = Resource::new("discovery.k8s.io", "v1", "endpointslices");
/// Its name.
const NAME: &str = "insula-api";

/// Makes sure that it is there, and notes its address.
pub async fn ensure(cluster: &SuperCluster, api: Option<&ApiAddress>) -> Result<(), ApiError> {
    if cluster.shared_address.get().is_some() {
        return Ok(());
    }
    let at = At::new(SYSTEM_NAMESPACE, NAME);
    let service = match cluster.api.get(&SERVICES, &at).await? {
        Some(service) => service,
        None => make(cluster, api).await?,
    };
    if let Some(slice) = api.and_then(endpoints) {
        made(cluster.api.create(&SLICES, &At::new(SYSTEM_NAMESPACE, ""), &slice).await)?;
    }
    let _ = cluster.shared_address.set(addresses(&service));
    Ok(())
}

async fn make(cluster: &SuperCluster, api: Option<&ApiAddress>) -> Result<Value, ApiError> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}});
    made(cluster.api.create(&NAMESPACES, &At::new("", ""), &namespace).await)?;
    let port = api.map_or(443, |a| a.port);
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": SYSTEM_NAMESPACE},
        "spec": {"ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]},
    });
    match cluster.api.create(&SERVICES, &At::new(SYSTEM_NAMESPACE, ""), &service).await {
        // Another replica was faster: the next look finds it.
        Err(error) if error.is_already_exists() => {
            Err(ApiError::unavailable("the shared service was just made", 1))
        }
        done => done,
    }
}

/// That it is there already is as good.
fn made(result: Result<Value, ApiError>) -> Result<(), ApiError> {
    match result {
        Err(error) if !error.is_already_exists() => Err(error),
        _ => Ok(()),
    }
}

/// Where the Service leads. `None` for an address that endpoints cannot have: a name, or loopback.
fn endpoints(api: &ApiAddress) -> Option<Value> {
    let ip: IpAddr = api.host.parse().ok()?;
    if ip.is_loopback() || ip.is_unspecified() {
        return None;
    }
    Some(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": NAME, "namespace": SYSTEM_NAMESPACE,
            "labels": {"kubernetes.io/service-name": NAME, "endpointslice.kubernetes.io/managed-by": "insula-syncer"}},
        "addressType": if ip.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [ip.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": api.port, "protocol": "TCP"}],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_addresses_become_endpoints() {
        for (host, expected) in [
            ("10.0.0.1", Some("IPv4")),
            ("fd00::1", Some("IPv6")),
            ("127.0.0.1", None),
            ("api.example.com", None),
        ] {
            let slice = endpoints(&ApiAddress { host: host.into(), port: 7443 });
            assert_eq!(slice.as_ref().and_then(|s| s["addressType"].as_str()), expected, "{host}");
        }
    }
}
