//! Structs that Kubernetes' types embed. Their fields are those of the outer object; only errors of its decoder show
//! them, as one more step of the path.

/// The type of the outer object, the embedded struct, its fields or, with `!` in front, those that are not its.
type Row = (&'static str, &'static str, &'static [&'static str]);

const CORE: &str = "io.k8s.api.core.v1.";

const EMBEDDED: &[Row] = &[
    ("ConfigMapEnvSource", "LocalObjectReference", &["name"]),
    ("ConfigMapKeySelector", "LocalObjectReference", &["name"]),
    ("ConfigMapProjection", "LocalObjectReference", &["name"]),
    ("ConfigMapVolumeSource", "LocalObjectReference", &["name"]),
    ("EphemeralContainer", "EphemeralContainerCommon", &["!", "targetContainerName"]),
    (
        "PersistentVolumeSpec",
        "PersistentVolumeSource",
        &[
            "!",
            "accessModes",
            "capacity",
            "claimRef",
            "mountOptions",
            "nodeAffinity",
            "persistentVolumeReclaimPolicy",
            "storageClassName",
            "volumeAttributesClassName",
            "volumeMode",
        ],
    ),
    ("Probe", "ProbeHandler", &["exec", "grpc", "httpGet", "tcpSocket"]),
    ("SecretEnvSource", "LocalObjectReference", &["name"]),
    ("SecretKeySelector", "LocalObjectReference", &["name"]),
    ("SecretProjection", "LocalObjectReference", &["name"]),
    ("Volume", "VolumeSource", &["!", "name"]),
];

/// The embedded struct that a field of an object is in; `object` is the full name of its type.
pub(super) fn struct_of(object: &str, field: &str) -> Option<&'static str> {
    let short = object.strip_prefix(CORE)?;
    let (_, embedded, fields) = EMBEDDED.iter().find(|(outer, ..)| *outer == short)?;
    let inside = match fields {
        ["!", others @ ..] => !others.contains(&field),
        own => own.contains(&field),
    };
    inside.then_some(embedded)
}

#[cfg(test)]
mod tests {
    use super::struct_of;

    #[test]
    fn fields_of_embedded_structs_are_known() {
        for (object, field, expected) in [
            ("io.k8s.api.core.v1.Volume", "nfs", Some("VolumeSource")),
            ("io.k8s.api.core.v1.Volume", "name", None),
            ("io.k8s.api.core.v1.Probe", "grpc", Some("ProbeHandler")),
            ("io.k8s.api.core.v1.Probe", "periodSeconds", None),
            ("dev.oam.core.v1alpha2.Volume", "nfs", None),
        ] {
            assert_eq!(struct_of(object, field), expected, "{object} {field}");
        }
    }
}
