//! What the server sets in `metadata`, and what it keeps from the old object.

use super::Place;
use api_types::{ApiError, Cause};
use jiff::Timestamp;
use rand::Rng;
use serde_json::{Map, Value};

/// The letters of generated names: no vowels and no look-alikes, so that no words come about.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// The longest prefix of a generated name.
const MAX_GENERATED_PREFIX: usize = 58;

/// Now, as objects carry it: RFC 3339 with seconds.
pub fn timestamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metadata` of an object, made when it is not there.
pub fn of(object: &mut Value) -> &mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    match metadata {
        Value::Object(map) => map,
        // Made an object two lines above.
        _ => unreachable!("metadata is an object"),
    }
}

/// True when `metadata` is as in the old object, but for the version that it has been read in.
pub fn is_same(new: &Value, old: &Value) -> bool {
    fields_but(&new["metadata"], "resourceVersion").eq(fields_but(&old["metadata"], "resourceVersion"))
}

/// The fields of an object without one of them.
pub fn fields_but<'a>(object: &'a Value, but: &'a str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object.as_object().into_iter().flatten().filter(move |(name, _)| *name != but)
}

/// A text of `metadata`; empty when absent.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or("")
}

/// The finalizers.
pub fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A name from a prefix and five random letters.
pub fn generate_name(prefix: &str) -> String {
    let mut end = prefix.len().min(MAX_GENERATED_PREFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = prefix[..end].to_owned();
    let mut rng = rand::rng();
    for _ in 0..5 {
        name.push(char::from(LETTERS[rng.random_range(0..LETTERS.len())]));
    }
    name
}

/// Sets the namespace of a new or changed object to that of the request; another one is refused.
pub fn set_namespace(object: &mut Value, place: &Place) -> Result<(), ApiError> {
    let given = text(object, "namespace");
    if place.row.namespaced {
        if !given.is_empty() && given != place.namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        of(object).insert("namespace".into(), place.namespace.to_string().into());
    } else {
        of(object).remove("namespace");
    }
    Ok(())
}

/// True for an object that says which version it is of. A new one has none, which is told where it would be stored.
pub fn names_version(object: &Value) -> bool {
    text(object, "resourceVersion").parse::<u64>().is_ok_and(|version| version != 0)
}

/// 400 for a new object that names a version.
pub fn new_with_version() -> ApiError {
    ApiError::bad_request("resourceVersion should not be set on objects to be created")
}

/// Sets what the server sets in a new object, and takes away what a client may not say.
pub fn stamp_new(object: &mut Value, place: &Place, now: Timestamp) -> Result<(), ApiError> {
    set_namespace(object, place)?;
    let kind = place.row.kind.to_string();
    let api_version = place.written_api_version();
    let metadata = of(object);
    for field in
        ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "resourceVersion"]
    {
        metadata.remove(field);
    }
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), timestamp(now).into());
    if place.row.strategy.generation {
        metadata.insert("generation".into(), 1.into());
    }
    object["kind"] = kind.into();
    object["apiVersion"] = api_version.into();
    Ok(())
}

/// What an update does not change comes from the old object. What it wants to change and may not is left for
/// validation to refuse.
pub fn keep_old(object: &mut Value, old: &Value) {
    let old = &old["metadata"];
    let metadata = of(object);
    for field in ["creationTimestamp", "generation", "selfLink"] {
        match old.get(field) {
            Some(value) => metadata.insert(field.into(), value.clone()),
            None => metadata.remove(field),
        };
    }
    for field in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let said = metadata.get(field).is_some_and(|said| !said.is_null() && *said != "");
        match old.get(field) {
            Some(value) if !said || field == "deletionTimestamp" => {
                metadata.insert(field.into(), value.clone());
            }
            None if !said => drop(metadata.remove(field)),
            _ => {}
        }
    }
    metadata.remove("resourceVersion");
}

/// Takes away owners that are there twice, and gives their UIDs.
pub fn unique_owners(object: &mut Value) -> Vec<String> {
    // By an index, what is not there would be made.
    let owners = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
    let Some(owners) = owners else { return Vec::new() };
    let (mut unique, mut twice): (Vec<Value>, _) = (Vec::new(), Vec::new());
    for owner in std::mem::take(owners) {
        if unique.contains(&owner) {
            twice.push(owner["uid"].as_str().unwrap_or("").to_owned());
        } else {
            unique.push(owner);
        }
    }
    *owners = unique;
    twice
}

/// What a client is told whose object has owners that are there twice.
pub fn twice_owned(uids: &[String], patched: bool) -> Option<String> {
    let when = if patched { " after mutating admission happens" } else { "" };
    (!uids.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, \
             and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            uids.join(", ")
        )
    })
}

/// The name of an object must be that of the path.
pub fn check_name(object: &Value, place: &Place) -> Result<(), ApiError> {
    let name = text(object, "name");
    if name == place.name {
        return Ok(());
    }
    let url = place.name.as_str();
    Err(ApiError::bad_request(if name.is_empty() {
        format!("the name of the object ({url} based on URL) was undeterminable: name must be provided")
    } else {
        format!("the name of the object ({name}) does not match the name on the URL ({url})")
    }))
}

/// Checks that a PUT is for the old object, which it may name by its UID.
pub fn check_uid(object: &Value, old: &Value, place: &Place) -> Result<(), ApiError> {
    let (said, uid) = (text(object, "uid"), text(old, "uid"));
    if said.is_empty() || said == uid {
        return Ok(());
    }
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: \
         UID in precondition: {said}, UID in object meta: {uid}",
        registry_key(place)
    );
    Err(ApiError::conflict(&place.resource(), &place.name, &why))
}

/// Resources that Kubernetes keeps under another name than their own: group, plural, name.
const KEPT_AS: &[(&str, &str, &str)] = &[
    ("", "endpoints", "services/endpoints"),
    ("", "nodes", "minions"),
    ("", "replicationcontrollers", "controllers"),
    ("", "services", "services/specs"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "apiextensions.k8s.io/customresourcedefinitions"),
    ("apiregistration.k8s.io", "apiservices", "apiregistration.k8s.io/apiservices"),
    ("networking.k8s.io", "ingresses", "ingress"),
];

/// Where Kubernetes would keep an object, as its messages name it.
fn registry_key(place: &Place) -> String {
    let resource = place.resource();
    let known =
        KEPT_AS.iter().find(|(group, plural, _)| resource.group == *group && resource.resource == *plural);
    let kept = match known {
        Some((.., name)) => (*name).to_owned(),
        None if place.row.is_custom() => format!("{}/{}", resource.group, resource.resource),
        None => resource.resource.to_string(),
    };
    let namespace = if place.namespace.is_empty() { String::new() } else { format!("{}/", place.namespace) };
    format!("/registry/{kept}/{namespace}{}", place.name)
}

/// Checks the name and `resourceVersion` that an update gives against the path and the old object.
/// `unconditional`: an update without `resourceVersion` is let through. A patched object has that of the old object
/// unless the patch says another.
pub fn check_update(object: &Value, old: &Value, place: &Place, unconditional: bool) -> Result<(), ApiError> {
    check_name(object, place)?;
    let name = text(object, "name");
    let resource = place.asked();
    let version = text(object, "resourceVersion");
    if version.is_empty() || version == "0" {
        if unconditional {
            return Ok(());
        }
        let cause =
            Cause::invalid("metadata.resourceVersion", &Value::from(0), "must be specified for an update");
        // Kubernetes names the resource here, not the kind.
        return Err(ApiError::invalid(&resource.group, &resource.resource, name, vec![cause]));
    }
    if version.parse::<u64>().is_err() {
        let digits = version.bytes().all(|b| b.is_ascii_digit());
        let what = if digits { "value out of range" } else { "invalid syntax" };
        let why = format!("strconv.ParseUint: parsing {version:?}: {what}");
        return Err(ApiError::new(api_types::Reason::Unknown, why));
    }
    if version != text(old, "resourceVersion") {
        return Err(ApiError::stale(&resource, name));
    }
    Ok(())
}

/// Counts one change more than the old object has.
pub fn count_generation(object: &mut Value, old: &Value) {
    let next = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
    of(object).insert("generation".into(), next.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_there_once() {
        let owner = |name: &str| serde_json::json!({"uid": "u", "name": name});
        let mut object =
            serde_json::json!({"metadata": {"ownerReferences": [owner("a"), owner("b"), owner("a")]}});
        let twice = unique_owners(&mut object);
        assert_eq!(object["metadata"]["ownerReferences"], serde_json::json!([owner("a"), owner("b")]));
        assert_eq!(twice, ["u"]);
        assert!(twice_owned(&twice, false).is_some_and(|warning| warning.ends_with("observed: u")));
        assert_eq!(twice_owned(&[], true), None);
        let mut free = serde_json::json!({"metadata": {"name": "free"}});
        let before = free.clone();
        assert!(unique_owners(&mut free).is_empty());
        assert_eq!(free, before, "owners that are not there are not made");
    }

    #[test]
    fn only_the_version_that_it_was_read_in_is_no_difference() {
        let object = |metadata: Value| serde_json::json!({"metadata": metadata});
        let old = object(serde_json::json!({"name": "a", "labels": {"a": "b"}, "resourceVersion": "7"}));
        let table = [
            (serde_json::json!({"name": "a", "labels": {"a": "b"}}), true),
            (serde_json::json!({"name": "a", "labels": {"a": "c"}}), false),
            (serde_json::json!({"name": "a"}), false),
            (serde_json::json!({"name": "a", "labels": {"a": "b"}, "uid": "u"}), false),
            (Value::Null, false),
        ];
        for (metadata, same) in table {
            let new = object(metadata);
            assert_eq!(is_same(&new, &old), same, "{new}");
        }
    }

    #[test]
    fn generated_names_keep_their_prefix_and_fit() {
        let name = generate_name("web-");
        assert!(name.starts_with("web-") && name.len() == 9);
        assert_eq!(generate_name(&"é".repeat(40)).len(), 58 + 5);
    }
}
