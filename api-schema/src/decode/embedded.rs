//! Structs that Kubernetes' types embed. Their fields are those of the outer object; only errors of its decoder show
//! them, as one more step of the path.

/// The type of the outer object, the embedded struct, its fields or, with `!` in front, those that are not its.
type Row = (&'static str, &'static str, &'static [&'static str]);

const KUBERNETES: &str = "io.k8s.api.";

const EMBEDDED: &[Row] = &[
    ("core.v1.ConfigMapEnvSource", "LocalObjectReference", &["name"]),
    ("core.v1.ConfigMapKeySelector", "LocalObjectReference", &["name"]),
    ("core.v1.ConfigMapProjection", "LocalObjectReference", &["name"]),
    ("core.v1.ConfigMapVolumeSource", "LocalObjectReference", &["name"]),
    ("core.v1.EphemeralContainer", "EphemeralContainerCommon", &["!", "targetContainerName"]),
    (
        "core.v1.PersistentVolumeSpec",
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
    ("core.v1.Probe", "ProbeHandler", &["exec", "grpc", "httpGet", "tcpSocket"]),
    ("core.v1.SecretEnvSource", "LocalObjectReference", &["name"]),
    ("core.v1.SecretKeySelector", "LocalObjectReference", &["name"]),
    ("core.v1.SecretProjection", "LocalObjectReference", &["name"]),
    ("core.v1.Volume", "VolumeSource", &["!", "name"]),
    ("networking.v1.IngressRule", "IngressRuleValue", &["http"]),
    ("resource.v1.DeviceAllocationConfiguration", "DeviceConfiguration", &["opaque"]),
    ("resource.v1.DeviceClaimConfiguration", "DeviceConfiguration", &["opaque"]),
    ("resource.v1.DeviceClassConfiguration", "DeviceConfiguration", &["opaque"]),
    ("admissionregistration.v1.RuleWithOperations", "Rule", RULE),
    ("admissionregistration.v1.NamedRuleWithOperations", "RuleWithOperations.Rule", RULE),
    ("admissionregistration.v1.NamedRuleWithOperations", "RuleWithOperations", &["operations"]),
];

const RULE: &[&str] = &["apiGroups", "apiVersions", "resources", "scope"];

/// The embedded struct that a field of an object is in; `object` is the full name of its type.
pub(super) fn struct_of(object: &str, field: &str) -> Option<&'static str> {
    let short = object.strip_prefix(KUBERNETES)?;
    let inside = |fields: &[&str]| match fields {
        ["!", others @ ..] => !others.contains(&field),
        own => own.contains(&field),
    };
    let (_, embedded, _) = EMBEDDED.iter().find(|(outer, _, fields)| *outer == short && inside(fields))?;
    Some(embedded)
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
            ("io.k8s.api.networking.v1.IngressRule", "http", Some("IngressRuleValue")),
            ("io.k8s.api.networking.v1.IngressRule", "host", None),
            (
                "io.k8s.api.admissionregistration.v1.NamedRuleWithOperations",
                "scope",
                Some("RuleWithOperations.Rule"),
            ),
            ("dev.oam.core.v1alpha2.Volume", "nfs", None),
        ] {
            assert_eq!(struct_of(object, field), expected, "{object} {field}");
        }
    }
}
