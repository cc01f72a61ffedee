//! Admin access to devices is for namespaces that a label allows it to (KEP-5018).

use crate::gateway::Place;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{Cause, GroupResource, ObjectName};
use serde_json::Value;

const LABEL: &str = "resource.kubernetes.io/admin-access";

/// The defects of a claim or template that asks for admin access, or of a status that grants it. What is there
/// already stays.
pub fn defects(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Vec<Cause> {
    if place.row.group != "resource.k8s.io" {
        return Vec::new();
    }
    let asked = match (place.row.kind.as_str(), old) {
        ("ResourceClaim", None) => asks(&new["spec"]["devices"]["requests"]),
        ("ResourceClaimTemplate", None) => asks(&new["spec"]["spec"]["devices"]["requests"]),
        ("ResourceClaim", Some(old)) if place.subresource == "status" && granted(old).is_none() => {
            granted(new)
        }
        _ => None,
    };
    let Some(path) = asked else { return Vec::new() };
    let namespaces = GroupResource::new("", "namespaces");
    let found = server.cache.get(auth.plane().id, &namespaces, &ObjectName::cluster(&place.namespace));
    let mut labels = found.iter().flat_map(|found| found.meta.labels.iter());
    if labels.any(|(key, value)| key == LABEL && value == "true") {
        return Vec::new();
    }
    let why =
        format!("admin access to devices requires the `{LABEL}: true` label on the containing namespace");
    vec![Cause::forbidden(path, &why)]
}

/// The path of the first request for admin access.
fn asks(requests: &Value) -> Option<String> {
    let at = requests.as_array()?.iter().position(|request| request["exactly"]["adminAccess"] == true)?;
    Some(format!("spec.devices.requests[{at}].adminAccess"))
}

/// The path of the first device that is given with admin access.
fn granted(claim: &Value) -> Option<String> {
    let results = claim["status"]["allocation"]["devices"]["results"].as_array()?;
    let at = results.iter().position(|result| result["adminAccess"] == true)?;
    Some(format!("status.allocation.devices.results[{at}].adminAccess"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_that_has_it_is_told() {
        let requests = json!([{"exactly": {}}, {"exactly": {"adminAccess": true}}]);
        assert_eq!(asks(&requests).as_deref(), Some("spec.devices.requests[1].adminAccess"));
        assert_eq!(asks(&json!([{"exactly": {"adminAccess": false}}])), None);
        let claim = json!({"status": {"allocation": {"devices": {"results": [{"adminAccess": true}]}}}});
        assert_eq!(granted(&claim).as_deref(), Some("status.allocation.devices.results[0].adminAccess"));
        assert_eq!(granted(&json!({})), None);
    }
}
