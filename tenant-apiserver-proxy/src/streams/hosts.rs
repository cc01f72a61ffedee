//! Where a pod runs, as far as this server can tell.

use crate::gateway::Place;
use crate::handlers::get;
use crate::planes::{Plane, PlaneKind};
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, GroupResource, ObjectName, labels};
use plane_client::PodTunnel;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

static NODES: LazyLock<GroupResource> = LazyLock::new(|| GroupResource::new("", "nodes"));

/// Where a pod runs.
pub enum Host {
    /// Nowhere yet.
    Unassigned,
    /// On a node that runs nothing.
    Simulated,
    /// Where the tunnel leads.
    Beyond(Arc<Box<dyn PodTunnel>>),
    /// On a node whose kubelet this server does not know.
    Kubelet(String),
}

/// The pod of a request.
pub fn pod(server: &Server, auth: &Authorized, place: &Place, name: &str) -> Result<Value, ApiError> {
    let object = ObjectName::new(&place.namespace, name);
    match server.cache.get(auth.plane().id, &place.resource(), &object) {
        Some(found) => get::value(&found),
        None => Err(ApiError::not_found(&place.resource(), name)),
    }
}

/// Where it runs. A node that it names has to be there, and to have an address.
pub fn of(server: &Server, plane: &Plane, pods: &GroupResource, pod: &Value) -> Result<Host, ApiError> {
    let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) else {
        return Ok(Host::Unassigned);
    };
    if plane.kind == PlaneKind::Tenant
        && let Some(tunnel) = server.network.tunnel().filter(|tunnel| tunnel.leads_somewhere(plane.id))
    {
        return Ok(Host::Beyond(tunnel));
    }
    if plane.kind == PlaneKind::Super && is_simulated(pod) {
        return Ok(Host::Simulated);
    }
    let there = self::node(server, plane, node).ok_or_else(|| ApiError::not_found(pods, node))?;
    if plane.kind == PlaneKind::Super && is_simulated(&there) {
        return Ok(Host::Simulated);
    }
    reachable(&there)?;
    Ok(Host::Kubelet(node.to_owned()))
}

/// A node.
pub fn node(server: &Server, plane: &Plane, name: &str) -> Option<Value> {
    server.cache.get(plane.id, &NODES, &ObjectName::cluster(name))?.value().ok()
}

/// True for nodes that run nothing, and for their pods.
pub fn is_simulated(object: &Value) -> bool {
    object["metadata"]["labels"][labels::SIMULATED] == "true"
}

/// A node without an address could be reached by nobody.
pub fn reachable(node: &Value) -> Result<(), ApiError> {
    let addresses = node["status"]["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    if addresses.is_empty() {
        let why = "no preferred addresses found; known addresses: []";
        return Err(ApiError::given(500, None, why, &Value::Null));
    }
    Ok(())
}

/// Of a kubelet that this server does not know.
pub fn no_kubelet(node: &str) -> ApiError {
    let why = format!("the kubelet of node {node:?} cannot be reached: this server connects to no kubelets");
    ApiError::given(503, Some("ServiceUnavailable"), why, &Value::Null)
}
