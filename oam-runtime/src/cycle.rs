//! Which components wait for each other's Secrets in a circle.

use serde_json::Value;
use std::collections::BTreeMap;

/// The Secret that a workload's controller writes, if it is of a kind that is known to write one. The workload is called
/// `default_name` when it has no name.
pub fn secret_written(workload: &Value, default_name: &str) -> Option<String> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let name = text(&workload["metadata"]["name"]).unwrap_or_else(|| default_name.to_owned());
    let group =
        workload["apiVersion"].as_str().and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    match (group, workload["kind"].as_str().unwrap_or("")) {
        ("", "Secret") => Some(name),
        (api_types::cloud::GROUP, "Database") => {
            text(&workload["spec"]["connectionSecret"]["name"]).or_else(|| Some(format!("{name}-connection")))
        }
        // Crossplane's claims and composites name it here.
        _ => text(&workload["spec"]["writeConnectionSecretToRef"]["name"]),
    }
}

/// For each component that is in a circle, the circle's components in order, beginning and ending with itself.
/// `written` and `bound` are the Secrets that each component writes and binds.
pub fn cycles(written: &[Option<String>], bound: &[Vec<String>]) -> BTreeMap<usize, Vec<usize>> {
    let writer: BTreeMap<&str, usize> =
        written.iter().enumerate().filter_map(|(i, secret)| Some((secret.as_deref()?, i))).collect();
    let next: Vec<Vec<usize>> = bound
        .iter()
        .map(|secrets| secrets.iter().filter_map(|secret| writer.get(secret.as_str()).copied()).collect())
        .collect();
    (0..next.len()).filter_map(|start| Some((start, path_back(start, &next)?))).collect()
}

/// The shortest way from a component back to itself.
fn path_back(start: usize, next: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut front = vec![start];
    while !front.is_empty() {
        let mut following = Vec::new();
        for &at in &front {
            for &to in next.get(at).map(Vec::as_slice).unwrap_or_default() {
                if to == start {
                    let mut path = vec![start, at];
                    let mut step = at;
                    while step != start {
                        step = *came_from.get(&step)?;
                        path.push(step);
                    }
                    if at == start {
                        path.truncate(2);
                    }
                    path.reverse();
                    return Some(path);
                }
                if to != at && !came_from.contains_key(&to) {
                    came_from.insert(to, at);
                    following.push(to);
                }
            }
        }
        front = following;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn circles_are_found() {
        let written = |names: &[&str]| -> Vec<Option<String>> {
            names.iter().map(|n| (!n.is_empty()).then(|| (*n).to_owned())).collect()
        };
        let bound = |lists: &[&[&str]]| -> Vec<Vec<String>> {
            lists.iter().map(|list| list.iter().map(|s| (*s).to_owned()).collect()).collect()
        };
        assert!(cycles(&written(&["a", ""]), &bound(&[&[], &["a"]])).is_empty());
        assert_eq!(cycles(&written(&["a"]), &bound(&[&["a"]])), BTreeMap::from([(0, vec![0, 0])]));
        let three = cycles(&written(&["a", "b", "c", ""]), &bound(&[&["b"], &["c"], &["a"], &["a"]]));
        assert_eq!(three[&0], [0, 1, 2, 0]);
        assert_eq!(three.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn writers_of_secrets_are_known() {
        for (workload, expected) in [
            (json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}), Some("s")),
            (
                json!({"apiVersion": "cloud.insula.dev/v1alpha1", "kind": "Database", "metadata": {"name": "d"}}),
                Some("d-connection"),
            ),
            (
                json!({"apiVersion": "cloud.insula.dev/v1alpha1", "kind": "Database", "metadata": {"name": "d"},
                "spec": {"connectionSecret": {"name": "c"}}}),
                Some("c"),
            ),
            (
                json!({"apiVersion": "db.example.com/v1", "kind": "Db", "spec": {"writeConnectionSecretToRef": {"name": "w"}}}),
                Some("w"),
            ),
            (json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}), None),
        ] {
            assert_eq!(secret_written(&workload, "x").as_deref(), expected, "{workload}");
        }
    }
}
