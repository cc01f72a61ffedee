//! The downward API on the way down: what a container reads of its pod is what the tenant knows.
//!
//! In the super cluster, the pod's namespace, UID, service account and labels are others. The tenant's stand in
//! annotations of the super pod, and field references are pointed at those.

use crate::translation::list_mut;
use api_types::labels;
use serde_json::{Value, json};
use std::fmt::Write;

/// Annotation: the pod's service account in the tenant.
pub const SERVICE_ACCOUNT: &str = "insula.dev/service-account";
/// Annotation: the pod's labels in the tenant, as a volume shows them.
pub const LABELS: &str = "insula.dev/labels";
/// Annotation: the pod's annotations in the tenant, as a volume shows them.
pub const ANNOTATIONS: &str = "insula.dev/annotations";

/// Field paths, and the annotation that has the tenant's value.
const PATHS: &[(&str, &str)] = &[
    ("metadata.namespace", labels::NAMESPACE),
    ("metadata.uid", labels::UID),
    ("spec.serviceAccountName", SERVICE_ACCOUNT),
    ("metadata.labels", LABELS),
    ("metadata.annotations", ANNOTATIONS),
];

/// Points a `fieldRef` at the tenant's value.
pub fn field_ref(reference: &mut Value) {
    let path = reference.get("fieldPath").and_then(Value::as_str);
    if let Some((_, annotation)) = PATHS.iter().find(|(from, _)| Some(*from) == path) {
        reference["fieldPath"] = json!(format!("metadata.annotations['{annotation}']"));
    }
}

/// The same for each item of a downward API volume or projected source.
pub fn downward_api(source: Option<&mut Value>) {
    for item in source.and_then(|s| list_mut(s, "items")).into_iter().flatten() {
        if let Some(reference) = item.get_mut("fieldRef") {
            field_ref(reference);
        }
    }
}

/// The annotations of the super pod that `metadata` of the tenant's pod needs for its field references: those that
/// `spec` (already translated) refers to.
pub fn annotations(pod: &Value, translated_spec: &Value) -> Vec<(&'static str, String)> {
    let text = translated_spec.to_string();
    let meta = &pod["metadata"];
    let mut out = Vec::new();
    for annotation in [SERVICE_ACCOUNT, LABELS, ANNOTATIONS] {
        if text.contains(&format!("metadata.annotations['{annotation}']")) {
            out.push((
                annotation,
                match annotation {
                    LABELS => shown(&meta["labels"]),
                    ANNOTATIONS => shown(&meta["annotations"]),
                    _ => service_account(pod).to_owned(),
                },
            ));
        }
    }
    out
}

/// The pod's service account in the tenant.
pub fn service_account(pod: &Value) -> &str {
    let spec = &pod["spec"];
    let name = spec["serviceAccountName"].as_str().or_else(|| spec["serviceAccount"].as_str());
    name.filter(|n| !n.is_empty()).unwrap_or("default")
}

/// A map as a downward API volume shows it: `key="value"`, a line each, sorted by key.
fn shown(map: &Value) -> String {
    let mut out = String::new();
    for (key, value) in map.as_object().into_iter().flatten() {
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = write!(out, "{key}={}", quoted(value.as_str().unwrap_or("")));
    }
    out
}

/// Quotes as Go's `%q` does.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 || u32::from(c) == 0x7f => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_the_tenants_values() {
        for (path, expected) in [
            ("metadata.namespace", "metadata.annotations['insula.dev/namespace']"),
            ("metadata.uid", "metadata.annotations['insula.dev/uid']"),
            ("spec.serviceAccountName", "metadata.annotations['insula.dev/service-account']"),
            ("metadata.name", "metadata.name"),
            ("metadata.labels['app']", "metadata.labels['app']"),
            ("status.podIP", "status.podIP"),
        ] {
            let mut reference = json!({"fieldPath": path});
            field_ref(&mut reference);
            assert_eq!(reference["fieldPath"], expected);
        }
    }

    #[test]
    fn maps_are_shown_as_a_volume_shows_them() {
        assert_eq!(shown(&json!({"b": "x\"y\n", "a": "1"})), "a=\"1\"\nb=\"x\\\"y\\n\"");
        let pod = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"serviceAccountName": "sa"}});
        let spec = json!({"x": "metadata.annotations['insula.dev/labels']"});
        assert_eq!(annotations(&pod, &spec), [(LABELS, "app=\"web\"".to_owned())]);
    }
}
