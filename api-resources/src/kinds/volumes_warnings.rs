//! What is legal in volumes and claims but likely a mistake: paths that hide each other, broken bytes, what is deprecated.

use super::place::Place;
use super::resources;
use serde_json::Value;

/// Annotations that a field has replaced, and what the warning says.
const VOLUME_ANNOTATIONS: &[(&str, &str)] = &[
    (STORAGE_CLASS, "deprecated since v1.8; use \"storageClassName\" attribute instead"),
    (
        "volume.beta.kubernetes.io/mount-options",
        "deprecated since v1.31; use \"mountOptions\" attribute instead",
    ),
];
const STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Sources of persistent volumes whose plugin is gone: field, name in the warning, since when.
const GONE: &[(&str, &str, &str)] = &[
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Labels of nodes that have a newer name, and what the warning says.
const NODE_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

/// What is said of a label of nodes that has a newer name.
pub(super) fn node_label(label: &str) -> Option<&'static str> {
    NODE_LABELS.iter().find(|(old, _)| *old == label).map(|(_, message)| *message)
}

/// Old labels in the expressions of a node selector's term; `values`: also values that no label can have.
pub(super) fn node_term(out: &mut Vec<String>, term: &Place<'_>, values: bool) {
    for expression in term.list("matchExpressions") {
        let key = expression.text("key");
        if let Some(message) = node_label(key) {
            out.push(format!("{}: {key} is {message}", expression.of("key")));
        }
        for value in expression.list("values").filter(|_| values) {
            for message in crate::names::label_value(value.as_text()) {
                out.push(format!("{}: {} is invalid, {message}", value.path, value.as_text()));
            }
        }
    }
}

/// The warnings of a persistent volume.
pub(super) fn volume(object: &Value) -> Vec<String> {
    let root = Place::root(object);
    let (annotations, spec) = (root.field("metadata").field("annotations"), root.field("spec"));
    let mut out = Vec::new();
    for (annotation, message) in VOLUME_ANNOTATIONS {
        let at = annotations.key(annotation);
        if !at.value.is_null() {
            out.push(format!("{}: {message}", at.path));
        }
    }
    if spec.text("persistentVolumeReclaimPolicy") == "Recycle" {
        out.push(format!(
            "{}: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
            spec.of("persistentVolumeReclaimPolicy")
        ));
    }
    for term in spec.field("nodeAffinity").field("required").list("nodeSelectorTerms") {
        node_term(&mut out, &term, false);
    }
    for (_, shown, since) in GONE.iter().filter(|(source, ..)| spec.has(source)) {
        out.push(format!("{}: {since}", spec.of(shown)));
    }
    out
}

/// The warnings of a claim.
pub(super) fn claim(object: &Value) -> Vec<String> {
    let root = Place::root(object);
    let mut out = Vec::new();
    let class = root.field("metadata").field("annotations").key(STORAGE_CLASS);
    if !class.value.is_null() {
        out.push(format!("{}: {}", class.path, VOLUME_ANNOTATIONS[0].1));
    }
    claim_spec(&mut out, &root.field("spec"));
    out
}

/// The warnings of a claim's spec, wherever it is.
pub(super) fn claim_spec(out: &mut Vec<String>, spec: &Place<'_>) {
    let resources = spec.field("resources");
    for list in ["requests", "limits"] {
        whole_bytes(out, &resources.field(list), "storage");
    }
}

/// Bytes cannot be broken.
pub(super) fn whole_bytes(out: &mut Vec<String>, amounts: &Place<'_>, name: &str) {
    let Some(amount) = amounts.value.get(name).and_then(resources::quantity) else { return };
    if amount.milli_value() % 1000 != 0 {
        let (path, shown) = (amounts.key(name).path, amount.to_string());
        out.push(format!("{path}: fractional byte value {shown:?} is invalid, must be an integer"));
    }
}

/// A file that a volume has, and what it is from, where several sources make one volume.
struct File {
    path: String,
    from: String,
}

impl File {
    fn of(path: &str, from: impl Into<String>) -> Self {
        File { path: path.trim_end_matches('/').to_owned(), from: from.into() }
    }

    fn shown(&self) -> String {
        if self.from.is_empty() {
            format!("{:?}", self.path)
        } else {
            format!("{:?} ({})", self.path, self.from)
        }
    }

    /// One is the other, or in it.
    fn overlaps(&self, other: &File) -> bool {
        let (a, b) = (format!("{}/", self.path), format!("{}/", other.path));
        !self.path.is_empty() && !other.path.is_empty() && (a.starts_with(&b) || b.starts_with(&a))
    }
}

/// Files of one volume that hide each other.
pub(super) fn overlapping_files(out: &mut Vec<String>, volume: &Place<'_>) {
    for (source, kind, named) in
        [("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName"), ("downwardAPI", "", "")]
    {
        let Some(source) = volume.present(source).filter(|source| source.has("items")) else { continue };
        let what = match kind {
            "" => "DownwardAPI".to_owned(),
            kind => format!("{kind} {:?}", source.text(named)),
        };
        overlaps(out, volume, &what, &items(&source, ""));
    }
    let mut files = Vec::new();
    for source in volume.field("projected").list("sources") {
        if source.value.as_object().is_some_and(serde_json::Map::is_empty) {
            out.push(format!("volume {:?} (Projected) has no sources provided", volume.text("name")));
        }
        files.extend(projected_files(&source));
    }
    overlaps(out, volume, "Projected", &files);
}

fn overlaps(out: &mut Vec<String>, volume: &Place<'_>, what: &str, files: &[File]) {
    for (i, file) in files.iter().enumerate() {
        for other in files[..i].iter().filter(|other| other.overlaps(file)) {
            let (name, file, other) = (volume.text("name"), file.shown(), other.shown());
            out.push(format!("volume {name:?} ({what}): overlapping paths: {file} with {other}"));
        }
    }
}

fn items(source: &Place<'_>, from: &str) -> Vec<File> {
    source.list("items").map(|item| File::of(item.text("path"), from)).collect()
}

fn projected_files(source: &Place<'_>) -> Vec<File> {
    for (kind, what) in [("configMap", "ConfigMap"), ("secret", "Secret")] {
        if let Some(from) = source.present(kind).filter(|from| from.has("items")) {
            return items(&from, &format!("{what} {:?}", from.text("name")));
        }
    }
    if let Some(from) = source.present("downwardAPI").filter(|from| from.has("items")) {
        return items(&from, "DownwardAPI");
    }
    let token = source.present("serviceAccountToken");
    token.map(|token| File::of(token.text("path"), "ServiceAccountToken")).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_that_hide_each_other_are_told() {
        let table = [
            (
                json!({"name": "v", "configMap": {"name": "c", "items": [{"path": "a"}, {"path": "b"}]}}),
                vec![],
            ),
            (
                json!({"name": "v", "secret": {"secretName": "s", "items": [{"path": "a"}, {"path": "a/b/"}]}}),
                vec!["volume \"v\" (Secret \"s\"): overlapping paths: \"a/b\" with \"a\""],
            ),
            (
                json!({"name": "v", "projected": {"sources": [{}, {"serviceAccountToken": {"path": "t"}},
                    {"configMap": {"name": "c", "items": [{"path": "t"}]}}]}}),
                vec![
                    "volume \"v\" (Projected) has no sources provided",
                    "volume \"v\" (Projected): overlapping paths: \"t\" (ConfigMap \"c\") with \"t\" (ServiceAccountToken)",
                ],
            ),
        ];
        for (volume, expected) in table {
            let mut out = Vec::new();
            overlapping_files(&mut out, &Place::new("spec.volumes[0]", &volume));
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn what_is_old_or_broken_is_told() {
        let object = json!({"metadata": {"annotations": {STORAGE_CLASS: "x"}}, "spec": {
            "persistentVolumeReclaimPolicy": "Recycle", "storageos": {}, "resources": {"requests": {"storage": "100m"}},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "beta.kubernetes.io/os", "operator": "In", "values": ["x y"]}]}]}}}});
        assert_eq!(
            volume(&object),
            [
                "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead",
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
                "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is deprecated since v1.14; use \"kubernetes.io/os\" instead",
                "spec.storageOS: deprecated in v1.22, non-functional in v1.25+",
            ]
        );
        assert_eq!(
            claim(&object)[1],
            "spec.resources.requests[storage]: fractional byte value \"100m\" is invalid, must be an integer"
        );
    }
}
