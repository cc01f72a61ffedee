//! The entries of an object as its `scale` shows them, and back: who owns the replicas of the one owns those of the
//! other.

use super::managers::{Entry, Managers};
use super::path::PathElement;
use super::set::FieldSet;
use serde_json::Value;

/// The version of `Scale`.
const SCALE: &str = "autoscaling/v1";

/// Where the versions of a kind keep the replicas: `apiVersion` and the path, `None` for a version without `scale`.
pub type ReplicasPaths = [(String, Option<Vec<String>>)];

fn path_in<'a>(paths: &'a ReplicasPaths, api_version: &str) -> Option<Option<&'a [String]>> {
    paths.iter().find(|(version, _)| version == api_version).map(|(_, path)| path.as_deref())
}

fn set_of<'a>(path: impl IntoIterator<Item = &'a str>) -> FieldSet {
    let steps: Vec<&str> = path.into_iter().collect();
    FieldSet::of_fields([steps.as_slice()])
}

fn owns(entry: &Entry, path: &[String]) -> bool {
    let Some((last, above)) = path.split_last() else { return false };
    let mut set = Some(&entry.set);
    for name in above {
        set = set.and_then(|set| set.below(&PathElement::field(name)));
    }
    set.is_some_and(|set| set.has(&PathElement::field(last)))
}

/// The entries that own the replicas, as entries of a `Scale`.
///
/// Errors: why the object's entries cannot be read.
pub fn to_scale(managed_fields: &Value, paths: &ReplicasPaths) -> Result<Option<Value>, String> {
    let mut scale = Managers::default();
    for mut entry in Managers::read(managed_fields.clone())?.0 {
        let Some(Some(path)) = path_in(paths, &entry.api_version) else { continue };
        if owns(&entry, path) {
            entry.api_version = SCALE.into();
            entry.set_fields(set_of(["spec", "replicas"]));
            scale.put(entry);
        }
    }
    Ok(scale.write())
}

/// The object's entries after a write of its `Scale`. `api_version` is the version whose `scale` was written. As in
/// Kubernetes, an entry that is new by this has no time, and entries of unknown versions go.
///
/// Errors: why the entries of one of the two cannot be read.
pub fn from_scale(
    managed_fields: &Value,
    scale: &Value,
    paths: &ReplicasPaths,
    api_version: &str,
) -> Result<Option<Value>, String> {
    let parent = Managers::read(managed_fields.clone())?;
    let mut scale = Managers::read(scale.clone())?.0;
    scale.retain(|entry| owns(entry, &["spec".to_owned(), "replicas".to_owned()]));
    let mut kept = Managers::default();
    for mut entry in parent.0 {
        let Some(path) = path_in(paths, &entry.api_version) else { continue };
        if let Some(path) = path.filter(|path| owns(&entry, path)) {
            let same = |other: &Entry| {
                other.manager == entry.manager
                    && other.operation == entry.operation
                    && other.subresource == entry.subresource
            };
            match scale.iter().position(same) {
                Some(at) => drop(scale.remove(at)),
                None => entry.subtract(&set_of(path.iter().map(String::as_str))),
            }
        }
        if !entry.set.is_empty() {
            kept.0.push(entry);
        }
    }
    let path = path_in(paths, api_version).flatten().unwrap_or_default();
    for mut entry in scale {
        entry.api_version = api_version.into();
        entry.time = None;
        entry.set_fields(set_of(path.iter().map(String::as_str)));
        kept.put(entry);
    }
    Ok(kept.write())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths() -> Vec<(String, Option<Vec<String>>)> {
        let path = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        vec![
            ("g/v1".into(), path(&["spec", "replicas"])),
            ("g/v2".into(), path(&["spec", "deep", "count"])),
            ("g/v3".into(), None),
        ]
    }

    fn entry(manager: &str, version: &str, sub: &str, fields: Value) -> Value {
        let mut entry = json!({"manager": manager, "operation": "Update", "apiVersion": version,
            "fieldsType": "FieldsV1", "fieldsV1": fields, "time": "2026-01-01T00:00:00Z"});
        if !sub.is_empty() {
            entry["subresource"] = sub.into();
        }
        entry
    }

    #[test]
    fn owners_of_replicas_own_those_of_the_scale() {
        let replicas = json!({"f:spec": {"f:replicas": {}, "f:other": {}}});
        let parent = json!([
            entry("a", "g/v1", "", replicas.clone()),
            entry("b", "g/v2", "", json!({"f:spec": {"f:deep": {"f:count": {}}}})),
            entry("c", "g/v2", "", replicas.clone()),
            entry("d", "g/v3", "", replicas.clone()),
            entry("e", "unknown/v1", "", replicas),
        ]);
        let scale = to_scale(&parent, &paths()).unwrap().unwrap();
        let managers: Vec<_> = scale.as_array().unwrap().iter().map(|e| e["manager"].clone()).collect();
        assert_eq!(managers, ["a", "b"]);
        for entry in scale.as_array().unwrap() {
            assert_eq!(entry["apiVersion"], SCALE);
            assert_eq!(entry["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
        }
    }

    #[test]
    fn a_write_of_the_scale_takes_the_replicas() {
        let fields = json!({"f:spec": {"f:replicas": {}, "f:other": {}}});
        let parent = json!([
            entry("a", "g/v1", "", fields.clone()),
            entry("b", "g/v2", "", json!({"f:spec": {"f:deep": {"f:count": {}}}})),
            entry("c", "g/v3", "", fields.clone()),
            entry("d", "unknown/v1", "", fields),
        ]);
        let mine = json!([entry("me", SCALE, "scale", json!({"f:spec": {"f:replicas": {}}}))]);
        let got = from_scale(&parent, &mine, &paths(), "g/v2").unwrap().unwrap();
        let shown: Vec<_> = got
            .as_array()
            .unwrap()
            .iter()
            .map(|e| {
                (e["manager"].clone(), e["apiVersion"].clone(), e["fieldsV1"].clone(), e["time"].is_null())
            })
            .collect();
        assert_eq!(
            shown,
            [
                (json!("me"), json!("g/v2"), json!({"f:spec": {"f:deep": {"f:count": {}}}}), true),
                (json!("a"), json!("g/v1"), json!({"f:spec": {"f:other": {}}}), false),
                (json!("c"), json!("g/v3"), json!({"f:spec": {"f:replicas": {}, "f:other": {}}}), false),
            ]
        );
    }

    #[test]
    fn what_is_not_taken_stays_as_it_is() {
        let parent = json!([entry("a", "g/v1", "", json!({"f:spec": {"f:replicas": {}, "f:other": {}}}))]);
        let scale = to_scale(&parent, &paths()).unwrap().unwrap();
        assert_eq!(from_scale(&parent, &scale, &paths(), "g/v1").unwrap().unwrap(), parent);
    }
}
