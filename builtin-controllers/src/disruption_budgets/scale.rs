//! How many pods what owns them asks for.

use crate::access::{Access, elements, number, text};
use crate::resources::{DEFINITIONS, DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS};
use api_types::GroupVersion;
use plane_client::{ApiError, Resource, TenantId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// Built-in kinds with a scale: group, kind, resource. All keep it in `spec.replicas`.
const SCALED: &[(&str, &str, &Resource)] = &[
    ("apps", "Deployment", &DEPLOYMENTS),
    ("apps", "ReplicaSet", &REPLICA_SETS),
    ("apps", "StatefulSet", &STATEFUL_SETS),
    ("", "ReplicationController", &REPLICATION_CONTROLLERS),
];
const REPLICAS: &str = "/spec/replicas";

/// What a budget asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) pods: i64,
    pub(super) healthy: i64,
    /// Pods without an owner are not counted.
    pub(super) unmanaged: bool,
}

/// A number, or a percentage of what is expected, rounded up.
fn share(value: &Value, of: i64) -> Option<i64> {
    match value.as_str() {
        None => value.as_i64(),
        Some(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
            Some((percent * of + 99).div_euclid(100))
        }
    }
}

/// How many pods a budget expects, and how many of them healthy. The inner error says why that cannot be told.
pub(super) async fn expected(
    access: &Access,
    tenant: TenantId,
    budget: &Value,
    pods: &[Value],
) -> Result<Result<Expected, String>, ApiError> {
    let (least, most) = (&budget["spec"]["minAvailable"], &budget["spec"]["maxUnavailable"]);
    if most.is_null() && !least.is_string() {
        let healthy = least.as_i64();
        // Without any bound nothing is expected.
        let pods = healthy.map_or(0, |_| i64::try_from(pods.len()).unwrap_or(i64::MAX));
        return Ok(Ok(Expected { pods, healthy: healthy.unwrap_or(0), unmanaged: false }));
    }
    let (count, unmanaged) = match owners_scale(access, tenant, pods).await? {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let bound = if most.is_null() { least } else { most };
    let Some(share) = share(bound, count) else {
        return Ok(Err(format!("invalid value for IntOrString: {bound}")));
    };
    let healthy = if most.is_null() { share } else { (count - share).max(0) };
    Ok(Ok(Expected { pods: count, healthy, unmanaged }))
}

/// The sum of what the owners of pods ask for, and whether some pod has none.
async fn owners_scale(
    access: &Access,
    tenant: TenantId,
    pods: &[Value],
) -> Result<Result<(i64, bool), String>, ApiError> {
    let (mut scales, mut seen, mut unmanaged) = (BTreeMap::new(), HashSet::new(), false);
    for pod in pods {
        let Some(owner) = controller_of(pod) else {
            unmanaged = true;
            continue;
        };
        if !seen.insert(owner.uid) {
            continue;
        }
        let namespace = text(pod, "/metadata/namespace");
        match scale_of(access, tenant, namespace, &owner).await? {
            Ok(Some((uid, count))) => drop(scales.insert(uid, count)),
            Ok(None) => {
                return Ok(Err(format!("found no controllers for pod {:?}", text(pod, "/metadata/name"))));
            }
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok((scales.values().sum(), unmanaged)))
}

/// What a controller reference says.
struct Owner<'a> {
    api_version: &'a str,
    kind: &'a str,
    name: &'a str,
    uid: &'a str,
}

fn controller_of(object: &Value) -> Option<Owner<'_>> {
    let all = elements(object, "/metadata/ownerReferences");
    let owner = all.iter().find(|owner| owner["controller"] == true)?;
    let [api_version, kind, name, uid] =
        ["/apiVersion", "/kind", "/name", "/uid"].map(|field| text(owner, field));
    Some(Owner { api_version, kind, name, uid })
}

/// UID and scale of an owner, or of the Deployment that owns the owner. `None`: it is gone.
async fn scale_of(
    access: &Access,
    tenant: TenantId,
    namespace: &str,
    owner: &Owner<'_>,
) -> Result<Result<Option<(String, i64)>, String>, ApiError> {
    let Some(version) = GroupVersion::parse(owner.api_version) else {
        return Ok(Err(format!("unexpected GroupVersion string: {}", owner.api_version)));
    };
    // ReplicaSets were in another group once.
    let group = if version.group == "extensions" { "apps" } else { version.group.as_str() };
    let known = SCALED.iter().find(|(of, kind, _)| *of == group && *kind == owner.kind);
    let Some((_, kind, resource)) = known else {
        return custom_scale(access, tenant, namespace, owner).await;
    };
    let Some(found) = access.get(tenant, resource, namespace, owner.name).await? else { return Ok(Ok(None)) };
    if found["metadata"]["uid"] != owner.uid {
        return Ok(Ok(None));
    }
    if *kind == "ReplicaSet"
        && let Some(above) = controller_of(&found).filter(|above| above.kind == "Deployment")
        && let Some(deployment) = access.get(tenant, &DEPLOYMENTS, namespace, above.name).await?
        && deployment["metadata"]["uid"] == above.uid
    {
        return Ok(Ok(Some((above.uid.to_owned(), number(&deployment, REPLICAS).unwrap_or(1)))));
    }
    Ok(Ok(Some((owner.uid.to_owned(), number(&found, REPLICAS).unwrap_or(1)))))
}

/// The same for a kind of a definition that has a scale.
async fn custom_scale(
    access: &Access,
    tenant: TenantId,
    namespace: &str,
    owner: &Owner<'_>,
) -> Result<Result<Option<(String, i64)>, String>, ApiError> {
    let client = access.client();
    let Some(info) = client.kind(tenant, owner.api_version, owner.kind).await? else {
        return Ok(Err(format!("no matches for kind {:?} in version {:?}", owner.kind, owner.api_version)));
    };
    let resource = info.resource.group_resource().to_string();
    let definition = access.get(tenant, &DEFINITIONS, "", &resource).await?.unwrap_or_else(|| json!({}));
    // Objects come as they are stored.
    let stored = elements(&definition, "/spec/versions").iter().find(|version| version["storage"] == true);
    let path = stored.and_then(|version| version["subresources"]["scale"]["specReplicasPath"].as_str());
    let Some(path) = path else {
        return Ok(Err(format!("{resource} does not implement the scale subresource")));
    };
    let found = access.get(tenant, &info.resource, namespace, owner.name).await?;
    let found = found.filter(|found| found["metadata"]["uid"] == owner.uid);
    let pointer = path.replace('.', "/");
    Ok(Ok(found.map(|found| (owner.uid.to_owned(), number(&found, &pointer).unwrap_or(0)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_up() {
        for (value, of, expected) in [
            (json!(3), 10, Some(3)),
            (json!("30%"), 10, Some(3)),
            (json!("30%"), 7, Some(3)),
            (json!("100%"), 7, Some(7)),
            (json!("0%"), 7, Some(0)),
            (json!("x"), 7, None),
        ] {
            assert_eq!(share(&value, of), expected, "{value} {of}");
        }
    }
}
