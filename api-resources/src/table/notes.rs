//! What is served for old clients, or stored and not acted on, with what callers are told of it.

/// Kinds that are stored so that charts and manifests with them install, while nothing acts on them yet: group, plural,
/// what does not happen.
const IDLE: &[(&str, &str, &str)] = &[
    ("flowcontrol.apiserver.k8s.io", "flowschemas", "requests are queued by tenant"),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "requests are queued by tenant"),
    ("resource.k8s.io", "deviceclasses", "no devices are allocated"),
    ("resource.k8s.io", "resourceclaims", "no devices are allocated"),
    ("resource.k8s.io", "resourceclaimtemplates", "no claims are made of it"),
    ("resource.k8s.io", "resourceslices", "no devices are allocated"),
];

/// What a client is warned of who creates an object on which nothing acts yet; `None` for all other kinds.
pub fn idle(group: &str, plural: &str) -> Option<String> {
    let (_, _, what) = IDLE.iter().find(|(g, p, _)| *g == group && *p == plural)?;
    let dot = if group.is_empty() { "" } else { "." };
    Some(format!("{plural}{dot}{group}: stored, but nothing acts on this kind in this release: {what}"))
}

/// Resources that Kubernetes has given up and still serves: group, version, plural, warning.
const DEPRECATED: &[(&str, &str, &str, &str)] = &[
    ("", "v1", "componentstatuses", "v1 ComponentStatus is deprecated in v1.19+"),
    ("", "v1", "endpoints", "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
];

/// What every client of a resource that was given up is warned of.
pub fn deprecated(group: &str, version: &str, plural: &str) -> Option<&'static str> {
    let found = DEPRECATED.iter().find(|(g, v, p, _)| *g == group && *v == version && *p == plural)?;
    Some(found.3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_kinds_are_served_and_say_what_does_not_happen() {
        for (group, plural, _) in IDLE {
            assert!(
                crate::table::builtin_rows().iter().any(|row| row.group == *group && row.plural == *plural),
                "{plural}"
            );
        }
        assert!(
            idle("resource.k8s.io", "resourceclaims").is_some_and(|warning| warning.contains("no devices"))
        );
        assert_eq!(idle("apps", "deployments"), None);
    }
}
