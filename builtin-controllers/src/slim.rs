//! Objects decoded without what nobody asks for.
//!
//! Whoever counts pods reads all of them, for each of their events. Most of a pod is `spec` and `managedFields`, which
//! do not count.

use plane_client::{ApiError, Keep, Object};
use serde_json::Value;

/// What counts of metadata.
const METADATA: Keep = Keep::Only(&[
    ("name", Keep::All),
    ("namespace", Keep::All),
    ("uid", Keep::All),
    ("labels", Keep::All),
    ("annotations", Keep::Only(&[("controller.kubernetes.io/pod-deletion-cost", Keep::All)])),
    ("creationTimestamp", Keep::All),
    ("deletionTimestamp", Keep::All),
]);
/// The one condition that counts.
const READY: Keep = Keep::Where(
    |condition| condition["type"] == "Ready",
    &Keep::Only(&[("type", Keep::All), ("status", Keep::All), ("lastTransitionTime", Keep::All)]),
);

/// Of a pod: what replicas are counted and ranked by.
pub(crate) const REPLICA: Keep = Keep::Only(&[
    ("metadata", METADATA),
    ("spec", Keep::Only(&[("nodeName", Keep::All)])),
    (
        "status",
        Keep::Only(&[
            ("phase", Keep::All),
            ("conditions", READY),
            ("containerStatuses", Keep::Only(&[("restartCount", Keep::All)])),
        ]),
    ),
]);

const PORTS: Keep = Keep::Only(&[("name", Keep::All), ("ports", Keep::All), ("restartPolicy", Keep::All)]);

/// Of a pod: what endpoints say.
pub(crate) const ENDPOINT: Keep = Keep::Only(&[
    ("metadata", METADATA),
    (
        "spec",
        Keep::Only(&[
            ("nodeName", Keep::All),
            ("hostname", Keep::All),
            ("subdomain", Keep::All),
            ("containers", PORTS),
            ("initContainers", PORTS),
        ]),
    ),
    (
        "status",
        Keep::Only(&[
            ("phase", Keep::All),
            ("conditions", READY),
            ("podIP", Keep::All),
            ("podIPs", Keep::All),
        ]),
    ),
]);

/// Of any object: all that somebody decides.
pub(crate) const DECIDED: Keep = Keep::Only(&[
    ("apiVersion", Keep::All),
    ("kind", Keep::All),
    ("metadata", Keep::But(&[("managedFields", Keep::Nothing)])),
    ("spec", Keep::All),
    ("status", Keep::All),
]);

/// Decodes what is kept of an object.
pub(crate) fn decode(object: &Object, keep: &'static Keep) -> Result<Value, ApiError> {
    keep.read(&object.bytes).map_err(|error| {
        ApiError::internal(format_args!("{} {} cannot be decoded: {error}", object.resource, object.name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::{GroupResource, Meta, ObjectName, Revision, TenantId};
    use serde_json::json;
    use std::sync::Arc;

    fn object(body: &str) -> Object {
        Object {
            tenant: TenantId::HOST,
            resource: GroupResource::new("", "pods"),
            name: ObjectName::new("n", "p"),
            revision: Revision(1),
            meta: Arc::new(Meta::default()),
            bytes: body.to_owned().into(),
        }
    }

    #[test]
    fn what_counts_is_kept() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "managedFields": [{"manager": "x"}], "deletionTimestamp": null},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 1}]}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "hostIP": "10.0.0.2",
                "conditions": [{"type": "Initialized"}, {"type": "Ready", "status": "True", "reason": "x"}],
                "containerStatuses": [{"restartCount": 2, "image": "i"}]}});
        let replica = json!({"metadata": {"name": "p", "deletionTimestamp": null}, "spec": {"nodeName": "n"},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"restartCount": 2}]}});
        let endpoint = json!({"metadata": {"name": "p", "deletionTimestamp": null},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [{"containerPort": 1}]}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}});
        let mut decided = pod.clone();
        decided["metadata"].as_object_mut().unwrap().remove("managedFields");
        for (keep, expected) in
            [(&REPLICA, replica), (&ENDPOINT, endpoint), (&DECIDED, decided), (&Keep::All, pod.clone())]
        {
            assert_eq!(decode(&object(&pod.to_string()), keep).unwrap(), expected, "{keep:?}");
        }
    }

    #[test]
    fn what_has_another_form_stays_as_it_is() {
        let odd = r#"{"metadata": 1, "spec": [1.5, "\u00e4\n", null], "status": {"conditions": "none", "a\"b": 2}}"#;
        let kept = json!({"metadata": 1, "spec": [1.5, "ä\n", null], "status": {"conditions": "none"}});
        assert_eq!(decode(&object(odd), &REPLICA).unwrap(), kept);
        for broken in ["{", "[]x", ""] {
            let error = decode(&object(broken), &REPLICA).unwrap_err();
            assert!(error.message().contains("pods n/p cannot be decoded"), "{error:?}");
        }
    }
}
