//! What Kubernetes has and this release does not serve, with the reason that a caller is told.

/// Group (empty for core), resource or `*`, subresource or empty, reason.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("", "bindings", "", "use the binding subresource of pods"),
    ("", "componentstatuses", "", "the components are roles of one process: see /readyz"),
    ("", "nodes", "proxy", "kubelets are not reached from a plane"),
    ("", "pods", "attach", "streaming to super clusters is not there yet"),
    ("", "pods", "exec", "streaming to super clusters is not there yet"),
    ("", "pods", "log", "reading logs from super clusters is not there yet"),
    ("", "pods", "portforward", "streaming to super clusters is not there yet"),
    ("", "pods", "proxy", "proxying to super clusters is not there yet"),
    ("", "pods", "resize", "resizing running pods is not there yet"),
    ("", "services", "proxy", "proxying to super clusters is not there yet"),
    ("admissionregistration.k8s.io", "*", "", "admission webhooks and policies are not there yet"),
    ("apiregistration.k8s.io", "*", "", "aggregated API servers are not there yet"),
    ("events.k8s.io", "*", "", "events are served as core v1 only: converting them is not there yet"),
    ("flowcontrol.apiserver.k8s.io", "*", "", "requests are queued by tenant, not by flow schemas"),
    ("resource.k8s.io", "*", "", "dynamic resource allocation is not there yet"),
];

/// Versions that need a conversion which this release does not have: group, version.
pub(crate) const REFUSED_VERSIONS: &[(&str, &str)] = &[("autoscaling", "v1")];

/// Why a built-in resource of Kubernetes is not served, or `None` when it is served or unknown.
///
/// `subresource` is empty for the resource itself. A refused resource refuses its subresources.
pub fn refused(group: &str, resource: &str, subresource: &str) -> Option<&'static str> {
    REFUSED
        .iter()
        .find(|(g, r, s, _)| {
            *g == group && (*r == resource || *r == "*") && (s.is_empty() || *s == subresource)
        })
        .map(|(_, _, _, reason)| *reason)
}
