//! Fields of a pod's spec that belong to features which are off by default in Kubernetes 1.36: they are dropped where
//! they are set, in pods and in templates.

use super::place::each_mut;
use serde_json::Value;

/// Sources of projected volumes (KEP-3257, KEP-4317). An emptied source stays, as in Kubernetes.
const PROJECTIONS: [&str; 2] = ["clusterTrustBundle", "podCertificate"];

/// Drops what is switched off.
pub(super) fn drop(spec: &mut Value) {
    // Gang scheduling (KEP-4671).
    remove(spec, "schedulingGroup");
    for volume in each_mut(spec, "volumes") {
        let Some(projected) = volume.get_mut("projected") else { continue };
        for source in each_mut(projected, "sources") {
            PROJECTIONS.iter().for_each(|field| remove(source, field));
        }
    }
    for container in ["containers", "initContainers"] {
        for container in each_mut(spec, container) {
            // Signals chosen by the pod (KEP-4960).
            if let Some(lifecycle) = container.get_mut("lifecycle") {
                remove(lifecycle, "stopSignal");
            }
        }
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_off_is_dropped() {
        let mut spec = json!({"schedulingGroup": {"podGroupName": "g"},
            "volumes": [{"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"path": "p"}}]}}, {"name": "w"}],
            "containers": [{"name": "c", "lifecycle": {"stopSignal": "SIGHUP", "preStop": {}}}]});
        drop(&mut spec);
        assert_eq!(
            spec,
            json!({"volumes": [{"name": "v", "projected": {"sources": [{}]}}, {"name": "w"}],
                "containers": [{"name": "c", "lifecycle": {"preStop": {}}}]})
        );
    }
}
