//! Objects decoded without what nobody asks for.
//!
//! Whoever counts pods reads all of them, for each of their events. Most of a pod is `spec` and `managedFields`, which
//! do not count: they are passed over without being made into values.

use plane_client::{ApiError, Object};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// What is kept of a value.
#[derive(Debug)]
pub(crate) enum Keep {
    /// All of it.
    All,
    /// Of a map, these fields; of a list, these fields of each element.
    Only(&'static [(&'static str, Keep)]),
    /// Of a list, the elements that are wanted, and of these what is said.
    Where(fn(&Value) -> bool, &'static Keep),
    /// Of a map, all but these fields.
    Without(&'static [&'static str]),
}

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
    ("metadata", Keep::Without(&["managedFields"])),
    ("spec", Keep::All),
    ("status", Keep::All),
]);

/// Decodes what is kept of an object.
pub(crate) fn decode(object: &Object, keep: &'static Keep) -> Result<Value, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(&object.bytes);
    let decoded = keep.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    decoded.map_err(|error| {
        ApiError::internal(format_args!("{} {} cannot be decoded: {error}", object.resource, object.name))
    })
}

impl Keep {
    /// What is kept of a field of a map.
    fn field(&self, name: &str) -> Option<(&'static str, &'static Keep)> {
        match self {
            Keep::Only(fields) => {
                fields.iter().find(|(known, _)| *known == name).map(|(known, keep)| (*known, keep))
            }
            Keep::Where(_, keep) => keep.field(name),
            Keep::All | Keep::Without(_) => None,
        }
    }
}

impl<'de> DeserializeSeed<'de> for &'static Keep {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Keep::All => serde::Deserialize::deserialize(deserializer),
            Keep::Only(_) | Keep::Where(..) | Keep::Without(_) => deserializer.deserialize_any(Parts(self)),
        }
    }
}

struct Parts(&'static Keep);

impl<'de> Visitor<'de> for Parts {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = fields.next_key::<std::borrow::Cow<'de, str>>()? {
            if let Keep::Without(passed_over) = self.0 {
                if passed_over.contains(&name.as_ref()) {
                    fields.next_value::<IgnoredAny>()?;
                } else {
                    kept.insert(name.into_owned(), fields.next_value()?);
                }
            } else if let Some((name, keep)) = self.0.field(&name) {
                kept.insert(name.to_owned(), fields.next_value_seed(keep)?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(kept.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        let (wanted, keep) = match self.0 {
            Keep::Where(wanted, keep) => (Some(wanted), *keep),
            keep => (None, keep),
        };
        while let Some(element) = elements.next_element_seed(keep)? {
            if wanted.is_none_or(|wanted| wanted(&element)) {
                kept.push(element);
            }
        }
        Ok(kept.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
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
