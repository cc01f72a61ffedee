//! What a deletion answers with.

/// Resources whose removal answers with the object, not with a `Status`, as in Kubernetes: group, plurals.
const RETURNED: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "persistentvolumeclaims",
            "persistentvolumes",
            "pods",
            "podtemplates",
            "resourcequotas",
            "serviceaccounts",
            "services",
        ],
    ),
    ("resource.k8s.io", &["deviceclasses", "resourceclaims", "resourceclaimtemplates", "resourceslices"]),
    (
        "storage.k8s.io",
        &["csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses"],
    ),
];

/// True when a removal answers with the object that is gone.
pub fn returns_deleted(group: &str, plural: &str) -> bool {
    RETURNED.iter().any(|(of, plurals)| *of == group && plurals.contains(&plural))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_what_is_served() {
        for (group, plurals) in RETURNED {
            for plural in *plurals {
                let catalog = crate::Catalog::of(crate::PlaneKind::Tenant);
                let served = catalog.rows().any(|row| row.group == *group && row.plural == *plural);
                assert!(served, "{group} {plural}");
            }
        }
        assert!(returns_deleted("", "pods") && !returns_deleted("", "replicationcontrollers"));
    }
}
