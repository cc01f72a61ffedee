//! Whether extension servers answer, in the order and the words of Kubernetes, and what they serve.

use super::extensions::{self, Extension, Extensions};
use super::{call, identity, openapi};
use crate::dialer::services::{self, Route};
use crate::in_process::InProcess;
use crate::planes::Plane;
use crate::server::Server;
use api_types::{ApiError, TenantId};
use async_trait::async_trait;
use http::header;
use plane_client::{Availability, Checked, ExtensionServers};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest list of resources of one group and version.
const MAX_DISCOVERED: usize = 1 << 20;
/// All of those of one plane together.
const MAX_ALL_DISCOVERED: usize = 8 << 20;

#[async_trait]
impl ExtensionServers for InProcess {
    async fn check(&self, tenant: TenantId, api_service: &str) -> Checked {
        let server = self.server();
        let Some(plane) = server.planes.get(tenant) else { return Checked::NotRemote };
        let Some(all) = extensions::of(server, &plane) else { return Checked::NotRemote };
        let Some(extension) = all.named(api_service) else { return Checked::NotRemote };
        let Ok(_one) = plane.extension_checks.clone().try_acquire_owned() else { return Checked::Busy };
        extension.known.idle.tidy();
        let now = check(server, &plane, &all, extension).await;
        if !now.available {
            extension.known.set_stale();
        }
        Checked::Is(now)
    }

    async fn authentication(&self, tenant: TenantId) -> Result<BTreeMap<String, String>, ApiError> {
        let plane = self.server().planes.get(tenant);
        let plane = plane.ok_or_else(|| ApiError::internal("the plane is gone"))?;
        identity::authentication(self.server(), &plane).await
    }
}

async fn check(server: &Arc<Server>, plane: &Plane, all: &Extensions, extension: &Extension) -> Availability {
    let no = |reason, message| Availability { available: false, reason, message };
    let at = &extension.service;
    let (name, namespace) = (&at.name, &at.namespace);
    let Some(service) = services::service(&plane.dialer, at) else {
        return no("ServiceNotFound", format!("service/{name} in {namespace:?} is not present"));
    };
    if matches!(service["spec"]["type"].as_str(), None | Some("ClusterIP")) {
        let Some(port_name) = services::port_name(&service, at.port) else {
            let why = format!("service/{name} in {namespace:?} is not listening on port {}", at.port);
            return no("ServicePortError", why);
        };
        let slices = services::slices(&plane.dialer, at);
        if slices.is_empty() {
            let why = format!("cannot find endpointslices for service/{name} in {namespace:?}");
            return no("EndpointsNotFound", why);
        }
        if services::ready(&slices, port_name).next().is_none() {
            let why = format!(
                "endpointslices for service/{name} in {namespace:?} have no addresses with port name {port_name:?}"
            );
            return no("MissingEndpoints", why);
        }
    }
    let to = match services::route(&plane.dialer, at) {
        Ok(Route::Host(host, port)) => format!("{host}:{port}"),
        Ok(Route::Endpoints(endpoints)) => endpoints
            .first()
            .map(|first| SocketAddr::new(first.ip, first.port).to_string())
            .unwrap_or_default(),
        Err(error) => return no("FailedDiscoveryCheck", error.to_string()),
    };
    let url = format!("https://{to}{}", extension.path());
    match discover(server, plane, all, extension, &url).await {
        Ok(()) => {
            openapi::refresh(server, plane, all, extension).await;
            Availability { available: true, reason: "Passed", message: "all checks passed".to_owned() }
        }
        Err(why) => no("FailedDiscoveryCheck", format!("failing or missing response from {url}: {why}")),
    }
}

/// Asks a server for the resources of its group and version, and keeps them.
async fn discover(
    server: &Server,
    plane: &Plane,
    all: &Extensions,
    extension: &Extension,
    url: &str,
) -> Result<(), String> {
    let path = extension.path();
    let json = [(header::ACCEPT, "application/json")];
    let answer = call::get(server, plane, extension, (&path, &json), PATIENCE, MAX_DISCOVERED).await;
    let answer = answer.map_err(|error| format!("Get {url:?}: {error}"))?;
    if !answer.status.is_success() {
        return Err(format!("bad status from {url}: {}", answer.status.as_u16()));
    }
    let document: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the answer is no APIResourceList: {error}"))?;
    let Some(resources) = document["resources"].as_array().filter(|_| document["kind"] == "APIResourceList")
    else {
        return Err("the answer is no APIResourceList".to_owned());
    };
    let bytes = serde_json::to_vec(resources).map_err(|error| error.to_string())?;
    let others = all.all().iter().filter(|other| other.name != extension.name);
    if others.map(|other| other.known.size()).sum::<usize>() + bytes.len() > MAX_ALL_DISCOVERED {
        return Err(format!(
            "the resources of all extension servers of the plane take more than {MAX_ALL_DISCOVERED} bytes"
        ));
    }
    extension.known.set(bytes);
    Ok(())
}
