//! The rules of `metadata`, the same for every kind.

use crate::kinds::place::{Causes, Place, invalid_all};
use crate::names::{self, ANNOTATIONS_MAX};
use api_types::print::is_printable;
use api_types::{Cause, GroupVersion};
use serde_json::Value;

/// The finalizers that need no prefix.
pub const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// Defects of a new object's metadata, in Kubernetes' order and words. The server has already put in what it sets
/// itself (namespace of the path, generated name). `name_rule` is the strategy's.
pub fn validate_create(object: &Value, namespaced: bool, name_rule: fn(&str) -> Vec<String>) -> Vec<Cause> {
    validate_meta(&Place::root(object).field("metadata"), namespaced, name_rule)
}

/// [`validate_create`] for metadata that is not at the top: of a template, of a claim in a template.
pub fn validate_meta(meta: &Place<'_>, namespaced: bool, name_rule: fn(&str) -> Vec<String>) -> Vec<Cause> {
    let mut out = Vec::new();
    let (prefix, name, namespace) = (meta.text("generateName"), meta.text("name"), meta.text("namespace"));
    if !prefix.is_empty() {
        invalid_all(&mut out, &meta.of("generateName"), prefix, names::of_prefix(name_rule, prefix));
    }
    if name.is_empty() {
        out.push(Cause::required(meta.of("name"), "name or generateName is required"));
    } else {
        invalid_all(&mut out, &meta.of("name"), name, name_rule(name));
    }
    match (namespaced, namespace.is_empty()) {
        (true, true) => out.push(Cause::required(meta.of("namespace"), "")),
        (true, false) => {
            invalid_all(&mut out, &meta.of("namespace"), namespace, names::dns_label(namespace));
        }
        (false, false) => out.push(Cause::forbidden(meta.of("namespace"), "not allowed on this type")),
        (false, true) => {}
    }
    if meta.int("generation").is_some_and(|g| g < 0) {
        let generation = meta.field("generation");
        out.push(Cause::invalid(generation.path, generation.value, names::NOT_NEGATIVE));
    }
    labels(&mut out, &meta.field("labels"));
    annotations(&mut out, &meta.field("annotations"));
    owners(&mut out, &meta.field("ownerReferences"));
    finalizers(&mut out, &meta.field("finalizers"));
    managed_fields(&mut out, &meta.field("managedFields"));
    out
}

/// Defects of a change of metadata: `(new, old)`. The server has already put in what it keeps itself
/// (`resourceVersion`, `managedFields`).
pub fn validate_update(new: &Value, old: &Value) -> Vec<Cause> {
    let mut out = Vec::new();
    let meta = Place::root(new).field("metadata");
    let old = Place::root(old).field("metadata");
    if old.has("deletionTimestamp") {
        let known = old.texts("finalizers");
        let mut extra: Vec<&str> =
            meta.texts("finalizers").into_iter().filter(|f| !known.contains(f)).collect();
        extra.sort_unstable();
        extra.dedup();
        if !extra.is_empty() {
            let list: Vec<String> = extra.iter().map(|f| format!("{f:?}")).collect();
            out.push(Cause::forbidden(
                meta.of("finalizers"),
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    list.join(", ")
                ),
            ));
        }
    }
    if meta.int("generation").unwrap_or(0) < old.int("generation").unwrap_or(0) {
        let generation = Value::from(meta.int("generation").unwrap_or(0));
        out.push(Cause::invalid(meta.of("generation"), &generation, "must not be decremented"));
    }
    for name in ["name", "namespace", "uid"] {
        if meta.text(name) != old.text(name) {
            out.push(Cause::invalid(meta.of(name), &Value::from(meta.text(name)), "field is immutable"));
        }
    }
    for name in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (new, old) = (meta.field(name), old.field(name));
        if new.value != old.value {
            out.push(Cause::invalid(new.path, new.value, "field is immutable"));
        }
    }
    labels(&mut out, &meta.field("labels"));
    annotations(&mut out, &meta.field("annotations"));
    owners(&mut out, &meta.field("ownerReferences"));
    if meta.value.get("finalizers") != old.value.get("finalizers") {
        finalizers(&mut out, &meta.field("finalizers"));
    }
    managed_fields(&mut out, &meta.field("managedFields"));
    out
}

/// Keys and values of labels; all are reported at the path of the map.
pub fn labels(out: &mut Causes, at: &Place<'_>) {
    for (key, value) in at.value.as_object().into_iter().flatten() {
        invalid_all(out, &at.path, key, names::qualified_name(key));
        let value = value.as_str().unwrap_or("");
        invalid_all(out, &at.path, value, names::label_value(value));
    }
}

/// Keys of annotations, and the size of all of them.
pub fn annotations(out: &mut Causes, at: &Place<'_>) {
    let mut size = 0;
    for (key, value) in at.value.as_object().into_iter().flatten() {
        invalid_all(out, &at.path, key, names::qualified_name(&key.to_lowercase()));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_MAX {
        out.push(Cause::too_long(&at.path, ANNOTATIONS_MAX));
    }
}

fn owners(out: &mut Causes, at: &Place<'_>) {
    let mut controller: Option<String> = None;
    for owner in at.elements() {
        let (api_version, kind) = (owner.text("apiVersion"), owner.text("kind"));
        // Kubernetes reports them at the path of the list, not of the element.
        let place = Place::new(at.path.clone(), owner.value);
        let version = GroupVersion::parse(api_version);
        if version.is_none_or(|version| version.version.is_empty()) {
            out.push(Cause::invalid(
                place.of("apiVersion"),
                &Value::from(api_version),
                "version must not be empty",
            ));
        }
        for name in ["kind", "name", "uid"] {
            if owner.text(name).is_empty() {
                out.push(Cause::invalid(place.of(name), &Value::from(""), "must not be empty"));
            }
        }
        if api_version == "v1" && kind == "Event" {
            out.push(Cause::invalid(
                &at.path,
                owner.value,
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if owner.flag("controller") {
            let this = format!("{kind}/{}", owner.text("name"));
            match &controller {
                Some(first) => out.push(Cause::invalid(
                    &at.path,
                    at.value,
                    &format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                    ),
                )),
                None => controller = Some(this),
            }
        }
    }
}

fn finalizers(out: &mut Causes, at: &Place<'_>) {
    let list: Vec<&str> = at.elements().map(|f| f.as_text()).collect();
    for finalizer in &list {
        invalid_all(out, &at.path, finalizer, names::qualified_name(finalizer));
    }
    if list.contains(&"orphan") && list.contains(&"foregroundDeletion") {
        out.push(Cause::invalid(
            &at.path,
            at.value,
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
}

/// The finalizers of the metadata of Kubernetes' own kinds: one of the known ones, or with a prefix.
pub fn kube_finalizers(object: &Value) -> Vec<Cause> {
    let finalizers = Place::root(object).field("metadata").field("finalizers");
    let unknown = |name: &str| !name.contains('/') && !STANDARD_FINALIZERS.contains(&name);
    let wrong = finalizers.elements().filter(|finalizer| unknown(finalizer.as_text()));
    let message = "name is neither a standard finalizer name nor is it fully qualified";
    wrong.map(|finalizer| Cause::invalid(finalizer.path, finalizer.value, message)).collect()
}

fn managed_fields(out: &mut Causes, at: &Place<'_>) {
    for entry in at.elements() {
        if !matches!(entry.text("operation"), "Apply" | "Update") {
            let operation = Value::from(entry.text("operation"));
            out.push(Cause::invalid(entry.of("operation"), &operation, "must be `Apply` or `Update`"));
        }
        if !matches!(entry.text("fieldsType"), "" | "FieldsV1") {
            out.push(Cause::invalid(
                entry.of("fieldsType"),
                entry.field("fieldsType").value,
                "must be `FieldsV1`",
            ));
        }
        manager(out, &entry.of("manager"), entry.text("manager"));
        if entry.text("subresource").len() > 256 {
            out.push(Cause::too_long(entry.of("subresource"), 256));
        }
    }
}

/// The name of a field manager: at most 128 printable characters; also that of a request's query.
pub fn manager(out: &mut Causes, path: &str, name: &str) {
    if name.len() > 128 {
        out.push(Cause::too_long(path, 128));
    }
    for (position, c) in name.char_indices().filter(|(_, c)| !is_printable(*c)) {
        let message = format!("invalid character U+{:04X} (at position {position})", u32::from(c));
        out.push(Cause::invalid(path, &Value::from(name), &message));
    }
}

/// A label selector: `matchLabels` and `matchExpressions`. An absent one has no defects.
pub fn label_selector(out: &mut Causes, at: &Place<'_>) {
    labels(out, &at.field("matchLabels"));
    for expression in at.list("matchExpressions") {
        let values = !expression.lacks("values");
        match expression.text("operator") {
            "In" | "NotIn" if !values => out.push(Cause::required(
                expression.of("values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if values => out.push(Cause::forbidden(
                expression.of("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => out.push(Cause::invalid(
                expression.of("operator"),
                &Value::from(other),
                "not a valid selector operator",
            )),
        }
        let key = expression.text("key");
        invalid_all(out, &expression.of("key"), key, names::qualified_name(key));
        for value in expression.list("values") {
            invalid_all(out, &value.path, value.as_text(), names::label_value(value.as_text()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(causes: &[Cause]) -> Vec<String> {
        causes.iter().map(Cause::to_string).collect()
    }

    #[test]
    fn defects_of_new_metadata() {
        let table = [
            (json!({"name": "a"}), false, vec![]),
            (json!({"name": "a", "namespace": "n"}), true, vec![]),
            (json!({"name": "a"}), true, vec!["metadata.namespace: Required value"]),
            (
                json!({"name": "a", "namespace": "n"}),
                false,
                vec!["metadata.namespace: Forbidden: not allowed on this type"],
            ),
            (json!({}), false, vec!["metadata.name: Required value: name or generateName is required"]),
            (
                json!({"name": "a", "generation": -1}),
                false,
                vec!["metadata.generation: Invalid value: -1: must be greater than or equal to 0"],
            ),
            (
                json!({"name": "a", "ownerReferences": [
                    {"apiVersion": "v1", "kind": "A", "name": "x", "uid": "1", "controller": true},
                    {"apiVersion": "v1", "kind": "B", "name": "", "uid": "2"}]}),
                false,
                vec!["metadata.ownerReferences.name: Invalid value: \"\": must not be empty"],
            ),
            (
                json!({"name": "a", "finalizers": ["x y"]}),
                false,
                vec![
                    "metadata.finalizers: Invalid value: \"x y\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                ],
            ),
            (
                json!({"name": "a", "annotations": {"k": "x".repeat(ANNOTATIONS_MAX)}}),
                false,
                vec!["metadata.annotations: Too long: may not be more than 262144 bytes"],
            ),
            (
                json!({"name": "a", "managedFields": [{"operation": "Nothing", "manager": "a\nb"}]}),
                false,
                vec![
                    "metadata.managedFields[0].operation: Invalid value: \"Nothing\": must be `Apply` or `Update`",
                    "metadata.managedFields[0].manager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)",
                ],
            ),
        ];
        for (meta, namespaced, expected) in table {
            let object = json!({"metadata": meta});
            assert_eq!(told(&validate_create(&object, namespaced, names::dns_subdomain)), expected, "{meta}");
        }
    }

    #[test]
    fn finalizers_without_a_prefix_are_known() {
        let object = json!({"metadata": {"finalizers": ["orphan", "x/y", "x"]}});
        assert_eq!(
            told(&kube_finalizers(&object)),
            [
                "metadata.finalizers[2]: Invalid value: \"x\": name is neither a standard finalizer name nor is it fully qualified"
            ]
        );
    }

    #[test]
    fn one_owner_controls() {
        let owner = |name: &str| json!({"apiVersion": "v1", "kind": "A", "name": name, "uid": name, "controller": true});
        let object = json!({"metadata": {"name": "a", "ownerReferences": [owner("x"), owner("y")]}});
        let causes = validate_create(&object, false, names::dns_subdomain);
        assert_eq!(causes.len(), 1);
        assert!(causes[0].message.ends_with(
            "Only one reference can have Controller set to true. Found \"true\" in references for A/x and A/y"
        ));
    }

    #[test]
    fn identity_and_times_stay() {
        let old = json!({"metadata": {"name": "a", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z",
            "deletionTimestamp": "2026-01-02T00:00:00Z", "finalizers": ["x/y"], "generation": 2}});
        assert!(validate_update(&old, &old).is_empty());
        let mut new = old.clone();
        new["metadata"]["uid"] = json!("v");
        new["metadata"]["generation"] = json!(1);
        new["metadata"]["finalizers"] = json!(["x/y", "x/z"]);
        assert_eq!(
            told(&validate_update(&new, &old)),
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x/z\"}",
                "metadata.generation: Invalid value: 1: must not be decremented",
                "metadata.uid: Invalid value: \"v\": field is immutable",
            ]
        );
        let mut removed = old.clone();
        removed["metadata"]["finalizers"] = json!([]);
        assert!(validate_update(&removed, &old).is_empty());
    }

    #[test]
    fn selectors_are_checked() {
        let selector = json!({"matchExpressions": [{"key": "a", "operator": "In"},
            {"key": "a", "operator": "Exists", "values": ["x"]}, {"key": "a", "operator": "Like"}]});
        let mut out = Vec::new();
        label_selector(&mut out, &Place::new("s", &selector));
        assert_eq!(
            told(&out),
            [
                "s.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                "s.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                "s.matchExpressions[2].operator: Invalid value: \"Like\": not a valid selector operator",
            ]
        );
    }
}
