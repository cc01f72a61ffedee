//! Where planes are reached, as their own objects say it: the endpoints of the Service `kubernetes` of each plane, and
//! `status.endpoint` and the kubeconfig of each tenant.
//!
//! Guarantees: after a start, all of them say the address that the server was started with. Tokens of former addresses
//! are the matter of [`crate::issuers`]. Caveats: endpoints need
//! an IP address that other machines can reach, so there are none when the address is a name or of the loopback; a
//! kubeconfig that someone rewrote so that it cannot be read is left as it is.

use crate::bootstrap;
use crate::cache::feed::store_key;
use crate::planes::{Plane, PlaneKind};
use crate::server::{Server, StartError};
use crate::tenants::{self, TENANTS};
use api_types::{GroupResource, ObjectName, ResourceKey, Revision, TenantId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use object_store::{Commit, CommitError, Operation, Precondition, Space};
use serde_json::{Value, json};
use std::net::IpAddr;

/// Namespace and name of the Service, and of what belongs to it.
const KUBERNETES: (&str, &str) = ("default", "kubernetes");
/// The port of `https` when the address says none.
const HTTPS: u16 = 443;

/// Host and port of `https://HOST:PORT`.
fn host_and_port(base_url: &str) -> (&str, u16) {
    let authority = base_url.trim_start_matches("https://").split('/').next().unwrap_or("");
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(HTTPS)),
        _ => (authority, HTTPS),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

/// The port on which planes are reached.
pub fn port(base_url: &str) -> u16 {
    host_and_port(base_url).1
}

/// What belongs to the Service `kubernetes` when planes are reached at an address that endpoints can have.
fn endpoints(base_url: &str) -> Option<[(ResourceKey, Value); 2]> {
    let (host, port) = host_and_port(base_url);
    let ip: IpAddr = host.parse().ok()?;
    let reachable = !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast());
    let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    let [endpoints, slice] = keys();
    reachable.then(|| {
        [
            (
                endpoints,
                json!({"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
                    "subsets": [{"addresses": [{"ip": ip.to_string()}], "ports": ports}]}),
            ),
            (
                slice,
                json!({"labels": {"kubernetes.io/service-name": KUBERNETES.1},
                    "addressType": if ip.is_ipv4() { "IPv4" } else { "IPv6" },
                    "endpoints": [{"addresses": [ip.to_string()], "conditions": {"ready": true}}],
                    "ports": ports}),
            ),
        ]
    })
}

fn keys() -> [ResourceKey; 2] {
    [("", "endpoints"), ("discovery.k8s.io", "endpointslices")].map(|(group, resource)| {
        ResourceKey::new(GroupResource::new(group, resource), KUBERNETES.0, KUBERNETES.1)
    })
}

fn kind_of(key: &ResourceKey) -> (&'static str, &'static str) {
    if key.resource.group.is_empty() { ("v1", "Endpoints") } else { ("discovery.k8s.io/v1", "EndpointSlice") }
}

/// The endpoints of a new plane.
pub fn first_objects(base_url: &str, space: Space, now: Timestamp) -> Vec<Operation> {
    let made = endpoints(base_url).into_iter().flatten();
    made.map(|(key, rest)| {
        let (api_version, kind) = kind_of(&key);
        let mut object = bootstrap::object(api_version, kind, KUBERNETES.0, KUBERNETES.1, now, rest);
        bootstrap::own(&mut object, bootstrap::MANAGER, now);
        bootstrap::put(space, &key, &object)
    })
    .collect()
}

/// Brings what all planes say up to the address that the server was started with.
pub async fn ensure(server: &Server) -> Result<(), StartError> {
    for plane in server.planes.all() {
        let mut commit = Commit { preconditions: Vec::new(), operations: Vec::new() };
        follow_endpoints(server, &plane, &mut commit);
        if plane.kind == PlaneKind::Tenant {
            follow_tenant(server, &plane, &mut commit);
        }
        if commit.operations.is_empty() {
            continue;
        }
        match server.commit(commit).await {
            Ok(_) => {}
            // Another process of the installation starts too, or somebody writes: the next start finds what is left.
            Err(CommitError::Precondition { .. }) => {
                tracing::warn!(plane = %plane.id, "the plane's address was changed by somebody else meanwhile");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn follow_endpoints(server: &Server, plane: &Plane, commit: &mut Commit) {
    let space = Space::new(plane.id);
    let base_url = server.base_url();
    let wanted = endpoints(&base_url);
    for (index, key) in keys().into_iter().enumerate() {
        let found = server.cache.get(plane.id, &key.resource, &key.object);
        let there = found.as_ref().and_then(|record| record.value().ok());
        let revision = found.as_ref().map_or(Revision::ZERO, |record| record.expected());
        let operation = match (wanted.as_ref().map(|wanted| &wanted[index].1), there) {
            (None, None) => continue,
            (None, Some(_)) => space.delete(store_key(&key)),
            (Some(rest), there) => {
                let same = |object: &Value| {
                    let fields = rest.as_object().into_iter().flatten().filter(|(name, _)| *name != "labels");
                    fields.into_iter().all(|(name, value)| object[name.as_str()] == *value)
                };
                if there.as_ref().is_some_and(same) {
                    continue;
                }
                let (api_version, kind) = kind_of(&key);
                let (namespace, name) = KUBERNETES;
                let object = match there {
                    Some(object) => with_fields(object, rest),
                    None => {
                        let now = Timestamp::now();
                        let mut object =
                            bootstrap::object(api_version, kind, namespace, name, now, rest.clone());
                        bootstrap::own(&mut object, bootstrap::MANAGER, now);
                        object
                    }
                };
                bootstrap::put(space, &key, &object)
            }
        };
        commit.preconditions.push(space.expect(store_key(&key), revision));
        commit.operations.push(operation);
    }
}

/// The object with other fields beside its metadata.
fn with_fields(mut object: Value, rest: &Value) -> Value {
    for (name, value) in rest.as_object().into_iter().flatten().filter(|(name, _)| *name != "labels") {
        object[name.as_str()] = value.clone();
    }
    object
}

/// The `Tenant` and its kubeconfig say where the plane is.
fn follow_tenant(server: &Server, plane: &Plane, commit: &mut Commit) {
    let endpoint = server.endpoint(plane);
    let key = ResourceKey::new(TENANTS.clone(), "", &plane.name);
    let Some((mut tenant, expected)) = stored(server, &key) else { return };
    let before = tenant["status"]["endpoint"].as_str().unwrap_or("").to_owned();
    if before == endpoint || before.is_empty() {
        return;
    }
    tracing::info!(tenant = %plane.name, %before, %endpoint, "the tenant is reached at another address");
    tenant["status"]["endpoint"] = endpoint.as_str().into();
    commit.preconditions.push(expected);
    commit.operations.push(bootstrap::put(Space::new(TenantId::HOST), &key, &tenant));

    let key = tenants::kubeconfig_secret(&plane.name);
    let Some((mut secret, expected)) = stored(server, &key) else { return };
    let Some(text) = readdressed(&secret["data"]["value"], &before, &endpoint) else {
        tracing::warn!(tenant = %plane.name, secret = %key, "the tenant's kubeconfig cannot be read; it keeps its address");
        return;
    };
    secret["data"]["value"] = STANDARD.encode(text).into();
    commit.preconditions.push(expected);
    commit.operations.push(bootstrap::put(Space::new(TenantId::HOST), &key, &secret));
}

/// An object of the host plane, and what must hold for it to be replaced.
fn stored(server: &Server, key: &ResourceKey) -> Option<(Value, Precondition)> {
    let name = ObjectName::new(&key.object.namespace, &key.object.name);
    let record = server.cache.get(TenantId::HOST, &key.resource, &name)?;
    let expected = Space::new(TenantId::HOST).expect(store_key(key), record.expected());
    Some((record.value().ok()?, expected))
}

/// A kubeconfig, base64, with another address in place of one.
fn readdressed(encoded: &Value, before: &str, now: &str) -> Option<String> {
    let text = STANDARD.decode(encoded.as_str()?).ok()?;
    let mut config: Value = serde_yaml_ng::from_slice(&text).ok()?;
    for cluster in config["clusters"].as_array_mut()? {
        if cluster["cluster"]["server"] == before {
            cluster["cluster"]["server"] = now.into();
        }
    }
    Some(crate::kubeconfig::text(&config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_others_can_reach_become_endpoints() {
        for (url, expected) in [
            ("https://10.0.0.1:7443", Some(("10.0.0.1", 7443))),
            ("https://10.0.0.1", Some(("10.0.0.1", 443))),
            ("https://[fd00::1]:7443", Some(("fd00::1", 7443))),
            ("https://[fd00::1]", Some(("fd00::1", 443))),
            ("https://insula.example.com:7443", None),
            ("https://127.0.0.1:7443", None),
            ("https://[::1]:7443", None),
            ("https://0.0.0.0:7443", None),
        ] {
            let found = endpoints(url).map(|[(_, endpoints), (_, slice)]| {
                assert_eq!(
                    slice["endpoints"][0]["addresses"][0],
                    endpoints["subsets"][0]["addresses"][0]["ip"]
                );
                assert_eq!(slice["ports"], endpoints["subsets"][0]["ports"]);
                let ip = slice["endpoints"][0]["addresses"][0].as_str().unwrap().to_owned();
                assert_eq!(slice["addressType"], if ip.contains(':') { "IPv6" } else { "IPv4" });
                (ip, slice["ports"][0]["port"].as_u64().unwrap())
            });
            assert_eq!(found, expected.map(|(ip, port)| (ip.to_owned(), port)), "{url}");
        }
    }

    #[test]
    fn only_the_clusters_of_the_address_move() {
        let config = json!({"clusters": [{"name": "a", "cluster": {"server": "https://old/tenants/a"}},
            {"name": "b", "cluster": {"server": "https://elsewhere"}}], "users": [{"name": "u"}]});
        let encoded = json!(STANDARD.encode(config.to_string()));
        let text = readdressed(&encoded, "https://old/tenants/a", "https://new/tenants/a").unwrap();
        let moved: Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(moved["clusters"][0]["cluster"]["server"], "https://new/tenants/a");
        assert_eq!(moved["clusters"][1], config["clusters"][1]);
        assert_eq!(moved["users"], config["users"]);
        assert_eq!(readdressed(&json!("?"), "a", "b"), None);
    }
}
