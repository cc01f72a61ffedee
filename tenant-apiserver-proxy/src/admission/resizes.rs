//! A pod is resized only where its node can carry it. A node that the plane does not show decides where it is.

use crate::gateway::Place;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::kinds::pods_resize_nodes::{self, Unable};
use api_types::{ApiError, Cause, CauseReason, GroupResource, ObjectName};
use serde_json::Value;

/// Checks a change through `resize`.
pub fn check(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let Some(old) = old.filter(|_| place.subresource == "resize") else { return Ok(()) };
    let Some(node) = new["spec"]["nodeName"].as_str() else { return Ok(()) };
    if new["metadata"]["generation"] == old["metadata"]["generation"] {
        return Ok(());
    }
    let nodes = GroupResource::new("", "nodes");
    let Some(record) = server.cache.get(auth.plane().id, &nodes, &ObjectName::cluster(node)) else {
        return Ok(());
    };
    let found = record.value().map_err(ApiError::internal)?;
    let forbidden = |why: String| ApiError::forbidden(&place.resource(), &place.name, &why);
    let with = |error: ApiError, reason: CauseReason| error.with_causes(vec![Cause::new(reason, "", "")]);
    pods_resize_nodes::check(new, old, &found).map_err(|unable| match unable {
        Unable::Features(features) => forbidden(format!(
            "pod update requires features {} which are not available on node {node:?}",
            features.join(", ")
        )),
        Unable::Platform(platform) => with(
            forbidden(format!("pod resize is only supported on linux nodes, node {node:?} is {platform:?}")),
            CauseReason::UnsupportedPlatform,
        ),
        Unable::Capacity(short) => {
            let short = short.iter().map(|(name, requested, there)| {
                format!("{name}, requested: {requested}, allocatable: {there}")
            });
            let short: Vec<String> = short.collect();
            with(
                forbidden(format!("node didn't have enough allocatable resources: {}", short.join("; "))),
                CauseReason::NodeCapacity,
            )
        }
    })
}
