//! What of a backup comes back, and how. Pure.
//!
//! Objects come as they were, with their UIDs, so that owners still own what they own. What belongs to the former life
//! of the plane does not: its keys, what its CAs signed, who led, what runs where, and what its controllers make anew.
//! A backup holds objects, not the data in volumes or databases: who held such data begins without it.

use api_types::cloud::{
    CREATE_FAILED, CREATE_PENDING, CREATE_SUCCEEDED, DATABASE_FINALIZER, EXTERNAL_ACCOUNT, EXTERNAL_NAME,
};
use api_types::{GroupResource, ResourceKey};
use serde_json::{Value, json};

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It comes as it was.
    AsItWas,
    /// It was changed, and comes so.
    Changed,
    /// It does not come.
    Left(Why),
}

/// Why something does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The new plane has its own.
    OwnAnew,
    /// Its controller makes it anew.
    MadeAnew,
    /// It told of what was at the time.
    Passing,
    /// It had ended: a pod, which would run once more.
    Ended,
}

impl Why {
    /// How it is told: a field of the answer.
    pub fn text(self) -> &'static str {
        match self {
            Why::OwnAnew => "ownAnew",
            Why::MadeAnew => "madeAnew",
            Why::Passing => "passing",
            Why::Ended => "ended",
        }
    }
}

/// A rule for a resource: group, plural, what becomes of an object.
type Rule = (&'static str, &'static str, fn(&ResourceKey, &mut Value) -> Kept);

const RULES: &[Rule] = &[
    ("", "configmaps", |key, _| if key.object.name == ROOT_CA { OWN } else { Kept::AsItWas }),
    ("", "endpoints", endpoints),
    ("", "events", |_, _| Kept::Left(Why::Passing)),
    ("", "nodes", |_, _| Kept::Left(Why::Passing)),
    ("", "persistentvolumeclaims", claim),
    ("", "persistentvolumes", volume),
    ("", "pods", pod),
    ("", "secrets", secret),
    ("", "services", service),
    // What the CAs of the former plane signed is nobody's certificate here.
    ("certificates.k8s.io", "certificatesigningrequests", |_, _| Kept::Left(Why::Passing)),
    ("cloud.insula.dev", "databases", database),
    ("coordination.k8s.io", "leasecandidates", |_, _| Kept::Left(Why::Passing)),
    ("coordination.k8s.io", "leases", |_, _| Kept::Left(Why::Passing)),
    ("discovery.k8s.io", "endpointslices", endpoint_slice),
    ("events.k8s.io", "events", |_, _| Kept::Left(Why::Passing)),
    ("resource.k8s.io", "resourceclaims", |_, claim| without(claim, &["/status"])),
    ("resource.k8s.io", "resourceslices", |_, _| Kept::Left(Why::Passing)),
    ("storage.k8s.io", "csinodes", |_, _| Kept::Left(Why::Passing)),
    ("storage.k8s.io", "csistoragecapacities", |_, _| Kept::Left(Why::Passing)),
    ("storage.k8s.io", "volumeattachments", |_, _| Kept::Left(Why::Passing)),
];

const OWN: Kept = Kept::Left(Why::OwnAnew);
/// The ConfigMap of every namespace with the serving CA.
const ROOT_CA: &str = "kube-root-ca.crt";
/// What the server keeps for itself in a plane's space: keys, allocated addresses.
const INTERNAL: &str = "insula.internal";
/// Namespace and name of the Service of the plane's own API.
const KUBERNETES: (&str, &str) = ("default", "kubernetes");
const TOKENS: &str = "kubernetes.io/service-account-token";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const ENDPOINTS_MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
/// The controllers that make slices.
const SLICE_CONTROLLERS: &[&str] =
    &["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// True for the Services that get addresses when they come back.
pub fn is_service(key: &ResourceKey) -> bool {
    key.resource == GroupResource::new("", "services")
}

/// Says what becomes of an object, and changes one that comes changed.
pub fn select(key: &ResourceKey, object: &mut Value) -> Kept {
    let GroupResource { group, resource } = &key.resource;
    if group == INTERNAL {
        return OWN;
    }
    // Generated claims of volumes and devices go with their pods.
    if controller(object).is_some_and(|owner| owner["kind"] == "Pod" && owner["apiVersion"] == "v1") {
        return Kept::Left(Why::MadeAnew);
    }
    let rule = RULES.iter().find(|(of, plural, _)| of == group && plural == resource);
    rule.map_or(Kept::AsItWas, |(_, _, rule)| rule(key, object))
}

fn controller(object: &Value) -> Option<&Value> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)
}

fn is_kubernetes(key: &ResourceKey) -> bool {
    (key.object.namespace.as_str(), key.object.name.as_str()) == KUBERNETES
}

/// Takes fields away: JSON pointers, of which the last step is a name.
fn without(object: &mut Value, fields: &[&str]) -> Kept {
    let mut kept = Kept::AsItWas;
    for field in fields {
        let (parent, name) = field.rsplit_once('/').unwrap_or(("", field));
        let parent = object.pointer_mut(parent).and_then(Value::as_object_mut);
        if parent.is_some_and(|parent| parent.remove(&name.replace("~1", "/")).is_some()) {
            kept = Kept::Changed;
        }
    }
    kept
}

fn endpoints(key: &ResourceKey, object: &mut Value) -> Kept {
    match object["metadata"]["labels"][ENDPOINTS_MANAGED_BY].as_str() {
        _ if is_kubernetes(key) => OWN,
        Some("endpoint-controller") => Kept::Left(Why::MadeAnew),
        _ => Kept::AsItWas,
    }
}

fn endpoint_slice(key: &ResourceKey, slice: &mut Value) -> Kept {
    let by = slice["metadata"]["labels"][MANAGED_BY].as_str().unwrap_or("");
    match SLICE_CONTROLLERS.contains(&by) {
        _ if is_kubernetes(key) => OWN,
        true => Kept::Left(Why::MadeAnew),
        false => Kept::AsItWas,
    }
}

/// A pod that somebody owns is made anew by them. One that nobody owns is scheduled anew, if it had not ended.
fn pod(_: &ResourceKey, pod: &mut Value) -> Kept {
    if controller(pod).is_some() {
        return Kept::Left(Why::MadeAnew);
    }
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if ended || pod["metadata"]["deletionTimestamp"].is_string() {
        return Kept::Left(Why::Ended);
    }
    without(pod, &["/spec/nodeName", "/spec/ephemeralContainers"]);
    let mut status = json!({"phase": "Pending"});
    if let Some(class) = pod["status"].get("qosClass") {
        status["qosClass"] = class.clone();
    }
    pod["status"] = status;
    Kept::Changed
}

/// A claim begins without a volume.
fn claim(_: &ResourceKey, claim: &mut Value) -> Kept {
    without(
        claim,
        &[
            "/spec/volumeName",
            "/metadata/annotations/pv.kubernetes.io~1bind-completed",
            "/metadata/annotations/pv.kubernetes.io~1bound-by-controller",
            "/metadata/annotations/volume.kubernetes.io~1selected-node",
            "/metadata/annotations/volume.kubernetes.io~1storage-provisioner",
            "/metadata/annotations/volume.beta.kubernetes.io~1storage-provisioner",
        ],
    );
    claim["status"] = json!({"phase": "Pending"});
    tidy(claim);
    Kept::Changed
}

/// A volume that was made for a claim may hold what the former tenant still has: it stays with that one.
fn volume(_: &ResourceKey, volume: &mut Value) -> Kept {
    if volume["metadata"]["annotations"][PROVISIONED_BY].is_string() {
        return Kept::Left(Why::MadeAnew);
    }
    without(
        volume,
        &[
            "/spec/claimRef",
            "/metadata/annotations/pv.kubernetes.io~1bind-completed",
            "/metadata/annotations/pv.kubernetes.io~1bound-by-controller",
        ],
    );
    volume["status"] = json!({"phase": "Pending"});
    tidy(volume);
    Kept::Changed
}

/// Tokens were signed by keys that are not here; what connects to a database is that database's.
fn secret(_: &ResourceKey, secret: &mut Value) -> Kept {
    let group =
        |owner: &Value| owner["apiVersion"].as_str().is_some_and(|of| of.starts_with("cloud.insula.dev/"));
    if controller(secret).is_some_and(group) {
        return Kept::Left(Why::MadeAnew);
    }
    if secret["type"] == TOKENS {
        return without(
            secret,
            &["/data/token", "/data/ca.crt", "/metadata/annotations/insula.dev~1former-token"],
        );
    }
    Kept::AsItWas
}

fn service(key: &ResourceKey, service: &mut Value) -> Kept {
    if is_kubernetes(key) {
        return OWN;
    }
    service["status"] = json!({"loadBalancer": {}});
    Kept::Changed
}

/// A database is asked for anew: that of the former tenant is its own.
fn database(_: &ResourceKey, database: &mut Value) -> Kept {
    if database["metadata"]["deletionTimestamp"].is_string() {
        return Kept::Left(Why::Ended);
    }
    without(database, &["/status"]);
    if let Some(annotations) = database.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|name, _| !OF_DATABASES.contains(&name.as_str()));
    }
    if let Some(finalizers) = database.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut) {
        finalizers.retain(|name| name != DATABASE_FINALIZER);
    }
    tidy(database);
    Kept::Changed
}

/// Where a database is, and what came of asking for it.
const OF_DATABASES: &[&str] =
    &[EXTERNAL_NAME, EXTERNAL_ACCOUNT, CREATE_PENDING, CREATE_SUCCEEDED, CREATE_FAILED];

/// Metadata has no empty lists and maps.
fn tidy(object: &mut Value) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    for field in ["annotations", "finalizers"] {
        let empty = match metadata.get(field) {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            _ => false,
        };
        if empty {
            metadata.remove(field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(group: &str, resource: &str, namespace: &str, name: &str) -> ResourceKey {
        ResourceKey::new(GroupResource::new(group, resource), namespace, name)
    }

    #[test]
    fn what_belongs_to_the_former_life_stays_there() {
        let owned = |kind: &str, api: &str| json!({"metadata": {"ownerReferences": [{"kind": kind, "apiVersion": api, "controller": true}]}});
        let labelled = |name: &str, value: &str| json!({"metadata": {"labels": {name: value}}});
        let left = Kept::Left;
        for (key, object, expected) in [
            (key("insula.internal", "keys", "", "client-ca"), json!({}), OWN),
            (key("insula.internal", "addresses", "", "ip-10.96.1.1"), json!({}), OWN),
            (key("", "configmaps", "a", "kube-root-ca.crt"), json!({}), OWN),
            (key("", "configmaps", "a", "mine"), json!({}), Kept::AsItWas),
            (key("", "services", "default", "kubernetes"), json!({}), OWN),
            (key("", "endpoints", "default", "kubernetes"), json!({}), OWN),
            (key("", "endpoints", "a", "outside"), json!({}), Kept::AsItWas),
            (
                key("", "endpoints", "a", "web"),
                labelled(ENDPOINTS_MANAGED_BY, "endpoint-controller"),
                left(Why::MadeAnew),
            ),
            (
                key("discovery.k8s.io", "endpointslices", "a", "web-x"),
                labelled(MANAGED_BY, SLICE_CONTROLLERS[0]),
                left(Why::MadeAnew),
            ),
            (
                key("discovery.k8s.io", "endpointslices", "a", "mine"),
                labelled(MANAGED_BY, "me"),
                Kept::AsItWas,
            ),
            (key("", "events", "a", "e"), json!({}), left(Why::Passing)),
            (key("coordination.k8s.io", "leases", "a", "l"), json!({}), left(Why::Passing)),
            (key("", "nodes", "", "n"), json!({}), left(Why::Passing)),
            (key("", "pods", "a", "web-1"), owned("ReplicaSet", "apps/v1"), left(Why::MadeAnew)),
            (key("", "pods", "a", "done"), json!({"status": {"phase": "Succeeded"}}), left(Why::Ended)),
            (key("", "persistentvolumeclaims", "a", "p-tmp"), owned("Pod", "v1"), left(Why::MadeAnew)),
            (
                key("", "secrets", "a", "c"),
                owned("Database", "cloud.insula.dev/v1alpha1"),
                left(Why::MadeAnew),
            ),
            (key("", "secrets", "a", "s"), json!({"type": "Opaque"}), Kept::AsItWas),
            (key("example.com", "pods", "a", "x"), json!({"status": {"phase": "Failed"}}), Kept::AsItWas),
            (key("apps", "deployments", "a", "web"), json!({"status": {"replicas": 2}}), Kept::AsItWas),
        ] {
            let mut after = object.clone();
            assert_eq!(select(&key, &mut after), expected, "{key}");
            if expected == Kept::AsItWas {
                assert_eq!(after, object, "{key}");
            }
        }
    }

    #[test]
    fn what_was_bound_elsewhere_comes_unbound() {
        let bound = json!({"a/b": "kept", "pv.kubernetes.io/bind-completed": "yes",
            "volume.kubernetes.io/selected-node": "n"});
        for (of, before, after) in [
            (
                key("", "pods", "a", "p"),
                json!({"spec": {"nodeName": "n", "x": 1}, "metadata": {"uid": "u"},
                    "status": {"phase": "Running", "qosClass": "Burstable", "podIP": "10.0.0.1"}}),
                json!({"spec": {"x": 1}, "metadata": {"uid": "u"},
                    "status": {"phase": "Pending", "qosClass": "Burstable"}}),
            ),
            (
                key("", "persistentvolumeclaims", "a", "c"),
                json!({"spec": {"volumeName": "v"}, "metadata": {"annotations": bound}, "status": {"phase": "Bound"}}),
                json!({"spec": {}, "metadata": {"annotations": {"a/b": "kept"}}, "status": {"phase": "Pending"}}),
            ),
            (
                key("", "persistentvolumes", "", "v"),
                json!({"spec": {"claimRef": {"uid": "u"}, "nfs": {}}, "metadata": {}, "status": {"phase": "Bound"}}),
                json!({"spec": {"nfs": {}}, "metadata": {}, "status": {"phase": "Pending"}}),
            ),
            (
                key("", "secrets", "a", "t"),
                json!({"type": TOKENS, "data": {"token": "x", "ca.crt": "y", "mine": "z"}}),
                json!({"type": TOKENS, "data": {"mine": "z"}}),
            ),
            (
                key("cloud.insula.dev", "databases", "a", "d"),
                json!({"spec": {}, "status": {"phase": "Ready"}, "metadata": {"finalizers": [DATABASE_FINALIZER],
                    "annotations": {EXTERNAL_NAME: "insula-acme-d", CREATE_PENDING: "t"}}}),
                json!({"spec": {}, "metadata": {}}),
            ),
        ] {
            let mut object = before;
            assert_eq!(select(&of, &mut object), Kept::Changed, "{of}");
            assert_eq!(object, after, "{of}");
        }
    }
}
