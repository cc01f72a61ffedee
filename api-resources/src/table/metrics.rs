//! The resources of `metrics.k8s.io`: what pods and nodes use. They are not in any catalog: only planes whose usage is
//! known have them, and an extension server that answers for the group stands before them.

use super::{line::parse, row};
use crate::discovery::{Foreign, resource};
use crate::resource::ResourceRow;
use std::sync::{Arc, LazyLock};

/// The group.
pub const GROUP: &str = "metrics.k8s.io";
/// Its version.
pub const VERSION: &str = "v1beta1";
/// What its APIService has where metrics-server is installed: `groupPriorityMinimum` and `versionPriority`.
const PRIORITIES: (i64, i64) = (100, 100);

/// In the form of `builtin.txt`.
const TEXT: &str = "
@ metrics.k8s.io v1beta1
nodes NodeMetrics C verbs=get,list
pods PodMetrics N verbs=get,list
";

/// The rows of `metrics.k8s.io`.
pub fn rows() -> &'static [Arc<ResourceRow>] {
    static ROWS: LazyLock<Vec<Arc<ResourceRow>>> = LazyLock::new(|| {
        let described = |line: &_| {
            // Their singular names are those of the pods and nodes.
            Arc::new(ResourceRow { singular: "".into(), ..row(line, crate::kinds::strategy) })
        };
        parse(TEXT).iter().map(described).collect()
    });
    &ROWS
}

/// The resource of a request.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Arc<ResourceRow>> {
    rows().iter().find(|row| row.group == group && VERSION == version && row.plural == plural)
}

/// What discovery tells of them.
pub fn served() -> Foreign {
    Foreign {
        group: GROUP.to_owned(),
        version: VERSION.to_owned(),
        group_priority: PRIORITIES.0,
        version_priority: PRIORITIES.1,
        resources: rows().iter().map(|row| resource(row)).collect(),
        current: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_nodes_can_be_read_and_nothing_else() {
        let told: Vec<String> = served()
            .resources
            .iter()
            .map(|resource| format!("{} {} {}", resource["name"], resource["kind"], resource["verbs"]))
            .collect();
        let reads = r#"["get","list"]"#;
        assert_eq!(
            told,
            [format!(r#""nodes" "NodeMetrics" {reads}"#), format!(r#""pods" "PodMetrics" {reads}"#)]
        );
        assert!(find(GROUP, VERSION, "pods").is_some_and(|row| row.namespaced && !row.columns.is_empty()));
        assert!(find(GROUP, "v1", "pods").is_none() && find("", VERSION, "pods").is_none());
    }
}
