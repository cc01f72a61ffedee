//! How often Kubernetes looks at the metadata of a changed object: twice for every kind, and in the kind's own rules,
//! which differ. A client is told each defect as often as it is found.

/// What the own rules of a kind look at when an object changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnRules {
    /// Not at metadata.
    None,
    /// At metadata as that of a changed object.
    Change,
    /// At it as that of a changed object, and as that of a new one.
    ChangeAndNew,
}

/// Kinds whose rules apply those of new objects to changed ones too: group and kind.
const CHANGE_AND_NEW: &[(&str, &str)] = &[
    ("", "ConfigMap"),
    ("", "Endpoints"),
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("", "Pod"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("apiregistration.k8s.io", "APIService"),
    ("apps", "ControllerRevision"),
    ("batch", "Job"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("networking.k8s.io", "IPAddress"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "IngressClass"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("resource.k8s.io", "ResourceClaim"),
    ("resource.k8s.io", "ResourceClaimTemplate"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "VolumeAttachment"),
    ("storage.k8s.io", "VolumeAttributesClass"),
];

/// The own rules of a kind for a change, of its status or of the rest. Events through `core/v1` have none.
pub fn own_rules(group: &str, kind: &str, of_status: bool) -> OwnRules {
    if (group, kind) == ("", "Event") {
        return OwnRules::None;
    }
    if !of_status && CHANGE_AND_NEW.contains(&(group, kind)) {
        return OwnRules::ChangeAndNew;
    }
    OwnRules::Change
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_table_is_served() {
        for (group, kind) in CHANGE_AND_NEW {
            let rows = crate::table::builtin_rows();
            assert!(rows.iter().any(|row| row.group == *group && row.kind == *kind), "{kind}");
        }
        assert_eq!(own_rules("", "Pod", false), OwnRules::ChangeAndNew);
        assert_eq!(own_rules("", "Pod", true), OwnRules::Change);
        assert_eq!(own_rules("apps", "Deployment", false), OwnRules::Change);
    }
}
