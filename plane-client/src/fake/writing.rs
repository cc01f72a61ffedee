//! The fake's writes.

use super::kinds::FakeKind;
use super::merge::{merge, merge_with_lists, remove_unsaid};
use super::store::{Store, Stored, now, object_of, prepare_namespace};
use crate::client::Object;
use crate::write::{Actor, Delete, Patch, Propagation, Target, Write};
use api_types::condition::whole_seconds;
use api_types::{ApiError, Cause, CauseReason, ObjectName, TenantId};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The subresources that are written as a part of the object.
const PARTS: &[&str] = &["", "status", "scale", "finalize"];

/// Does one write.
pub(super) fn write(
    store: &mut Store,
    actor: &Actor,
    target: &Target,
    write: &Write,
) -> Result<Object, ApiError> {
    let kind = store.kind_of(target.tenant, &target.group_resource())?;
    if kind.resource.version != target.resource.version {
        return Err(unsupported(&format!(
            "version {} of {}",
            target.resource.version,
            kind.group_resource()
        )));
    }
    if kind.namespaced == target.object.namespace.is_empty() {
        return Err(ApiError::bad_request(format!("{}: wrong namespace", kind.group_resource())));
    }
    match (target.subresource, write) {
        ("", Write::Create(body)) => create(store, &kind, target, body.clone()),
        ("", Write::Delete(delete)) => remove(store, &kind, target, delete),
        ("binding", Write::Create(body)) => bind(store, &kind, target, body),
        ("token", Write::Create(body)) => token(store, &kind, target, body),
        (part, Write::Update(body)) if PARTS.contains(&part) => {
            let stored = stored(store, target)?;
            check_versions(target, &stored.value, body)?;
            change(store, &kind, target, &stored, body.clone(), stored.applied.clone())
        }
        (part, Write::Patch(patch)) if PARTS.contains(&part) => patched(store, &kind, actor, target, patch),
        (part, _) => Err(unsupported(&format!("{}/{part}", kind.group_resource()))),
    }
}

fn unsupported(what: &str) -> ApiError {
    ApiError::bad_request(format!("{what} is not supported by the fake"))
}

fn stored(store: &Store, target: &Target) -> Result<Stored, ApiError> {
    store
        .stored(target.tenant, &target.group_resource(), &target.object)
        .cloned()
        .ok_or_else(|| ApiError::not_found(&target.group_resource(), &target.object.name))
}

/// A `resourceVersion` or `uid` in the body must be that of the object.
fn check_versions(target: &Target, live: &Value, body: &Value) -> Result<(), ApiError> {
    for field in ["resourceVersion", "uid"] {
        let said = body["metadata"][field].as_str().unwrap_or("");
        if !said.is_empty() && live["metadata"][field] != said {
            return Err(ApiError::stale(&target.group_resource(), &target.object.name));
        }
    }
    Ok(())
}

fn create(store: &mut Store, kind: &FakeKind, target: &Target, mut body: Value) -> Result<Object, ApiError> {
    let resource = target.group_resource();
    if !body["metadata"].is_object() {
        body["metadata"] = json!({});
    }
    let mut name = body["metadata"]["name"].as_str().unwrap_or("").to_owned();
    if name.is_empty() {
        let Some(prefix) = body["metadata"]["generateName"].as_str() else {
            return Err(ApiError::invalid(
                &kind.resource.group,
                &kind.kind,
                "",
                vec![Cause::required("metadata.name", "name or generateName is required")],
            ));
        };
        name = format!("{prefix}{}", store.next_suffix());
    }
    let namespace = target.object.namespace.as_str();
    if body["metadata"]["namespace"].as_str().is_some_and(|said| said != namespace) {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    refuse_in_terminating(store, target.tenant, kind, namespace, &name)?;
    let object = ObjectName::new(namespace, &name);
    if store.stored(target.tenant, &resource, &object).is_some() {
        return Err(ApiError::already_exists(&resource, &name));
    }
    let value = new_object(store, kind, &object, body);
    Ok(store.save(target.tenant, kind, &object, value, BTreeMap::new()))
}

fn refuse_in_terminating(
    store: &Store,
    tenant: TenantId,
    kind: &FakeKind,
    namespace: &str,
    name: &str,
) -> Result<(), ApiError> {
    let namespaces = api_types::GroupResource::new("", "namespaces");
    let parent = store.stored(tenant, &namespaces, &ObjectName::cluster(namespace));
    if kind.namespaced && parent.is_some_and(|parent| parent.object.meta.deleting) {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = Cause::new(
            CauseReason::NamespaceTerminating,
            "metadata.namespace",
            format!("namespace {namespace} is being terminated"),
        );
        return Err(ApiError::forbidden(&kind.group_resource(), name, &why).with_causes(vec![cause]));
    }
    Ok(())
}

/// What the server adds to a new object.
fn new_object(store: &mut Store, kind: &FakeKind, name: &ObjectName, mut body: Value) -> Value {
    body["apiVersion"] = kind.api_version().into();
    body["kind"] = kind.kind.as_str().into();
    if kind.status {
        remove_field(&mut body, "status");
    }
    let meta = &mut body["metadata"];
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "generation"] {
        remove_field(meta, field);
    }
    meta["name"] = name.name.as_str().into();
    if kind.namespaced {
        meta["namespace"] = name.namespace.as_str().into();
    }
    meta["uid"] = store.next_uid().into();
    meta["creationTimestamp"] = now().into();
    if kind.generation {
        meta["generation"] = 1.into();
    }
    match kind.kind.as_str() {
        "Namespace" => prepare_namespace(&mut body, &name.name),
        "Pod" => body["status"] = json!({"phase": "Pending"}),
        _ => {}
    }
    body
}

fn remove_field(value: &mut Value, field: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
}

fn patched(
    store: &mut Store,
    kind: &FakeKind,
    actor: &Actor,
    target: &Target,
    patch: &Patch,
) -> Result<Object, ApiError> {
    let body = match patch {
        Patch::Json(_) => return Err(unsupported("a JSON patch")),
        Patch::Apply(body) => return apply(store, kind, actor, target, body),
        Patch::Merge(body) | Patch::Strategic(body) => body,
    };
    let stored = stored(store, target)?;
    check_versions(target, &stored.value, body)?;
    let mut value =
        if target.subresource == "scale" { scale_of(&stored.value) } else { stored.value.clone() };
    match patch {
        Patch::Merge(_) => merge(&mut value, body),
        _ => merge_with_lists(&mut value, body, ""),
    }
    change(store, kind, target, &stored, value, stored.applied.clone())
}

fn apply(
    store: &mut Store,
    kind: &FakeKind,
    actor: &Actor,
    target: &Target,
    body: &Value,
) -> Result<Object, ApiError> {
    if body["kind"].as_str() != Some(kind.kind.as_str())
        || body["apiVersion"].as_str() != Some(kind.api_version().as_str())
    {
        return Err(ApiError::bad_request(format!(
            "an applied {} must say apiVersion and kind",
            kind.group_resource()
        )));
    }
    let said = without_identity(body, target.subresource);
    let manager = (actor.manager().to_owned(), target.subresource);
    let resource = target.group_resource();
    let Some(stored) = store.stored(target.tenant, &resource, &target.object).cloned() else {
        if !target.subresource.is_empty() {
            return Err(ApiError::not_found(&resource, &target.object.name));
        }
        refuse_in_terminating(store, target.tenant, kind, &target.object.namespace, &target.object.name)?;
        if body["metadata"]["uid"].is_string() {
            return Err(ApiError::conflict(&resource, &target.object.name, "the object is gone"));
        }
        let mut value = json!({"metadata": {}});
        merge_with_lists(&mut value, &said, "");
        let value = new_object(store, kind, &target.object, value);
        let applied = BTreeMap::from([(manager, said)]);
        return Ok(store.save(target.tenant, kind, &target.object, value, applied));
    };
    check_versions(target, &stored.value, body)?;
    let mut value = stored.value.clone();
    let mut applied = stored.applied.clone();
    if let Some(before) = applied.get(&manager) {
        let others: Vec<&Value> = applied.iter().filter(|(of, _)| **of != manager).map(|(_, v)| v).collect();
        remove_unsaid(&mut value, before, &said, &others);
    }
    merge_with_lists(&mut value, &said, "");
    applied.insert(manager, said);
    change(store, kind, target, &stored, value, applied)
}

/// What an applied body says, without what names the object.
fn without_identity(body: &Value, subresource: &str) -> Value {
    if subresource == "status" {
        return json!({"status": body["status"]});
    }
    let mut said = body.clone();
    for field in ["apiVersion", "kind", "status"] {
        remove_field(&mut said, field);
    }
    for field in ["name", "namespace", "uid", "resourceVersion"] {
        remove_field(&mut said["metadata"], field);
    }
    said
}

/// Writes what a request made of an object, as far as its subresource lets it.
fn change(
    store: &mut Store,
    kind: &FakeKind,
    target: &Target,
    stored: &Stored,
    wanted: Value,
    applied: BTreeMap<(String, &'static str), Value>,
) -> Result<Object, ApiError> {
    let old = &stored.value;
    let mut value = match target.subresource {
        "status" if !kind.status => return Err(ApiError::no_such_path()),
        "status" => {
            // Built-in kinds let it change labels and annotations too.
            let mut value = with_field(old.clone(), "status", &wanted);
            if !kind.custom {
                for field in ["labels", "annotations"] {
                    value["metadata"] = with_field(value["metadata"].take(), field, &wanted["metadata"]);
                }
            }
            value
        }
        "scale" => {
            let mut value = old.clone();
            value["spec"]["replicas"] = wanted["spec"]["replicas"].clone();
            value
        }
        "finalize" => {
            let mut value = old.clone();
            value["spec"]["finalizers"] = wanted["spec"]["finalizers"].clone();
            value
        }
        _ if kind.status => with_field(wanted, "status", old),
        _ => wanted,
    };
    keep_server_fields(&mut value, old, kind);
    if kind.generation && target.subresource != "status" && spec_differs(&value, old) {
        value["metadata"]["generation"] = (stored.object.meta.generation + 1).into();
    }
    let answer = |object: Object, value: &Value| match target.subresource {
        "scale" => object_of(target.tenant, kind, &target.object, &scale_of(value), object.revision.0),
        _ => object,
    };
    if is_finished(&value, kind) {
        store.save(target.tenant, kind, &target.object, value.clone(), applied);
        let removed = store.remove(target.tenant, &target.group_resource(), &target.object);
        return removed
            .map(|object| answer(object, &value))
            .ok_or_else(|| ApiError::not_found(&target.group_resource(), &target.object.name));
    }
    if value == *old && applied == stored.applied {
        return Ok(answer(stored.object.clone(), &value));
    }
    let object = store.save(target.tenant, kind, &target.object, value.clone(), applied);
    Ok(answer(object, &value))
}

fn with_field(mut value: Value, field: &str, from: &Value) -> Value {
    match from.get(field) {
        Some(content) => value[field] = content.clone(),
        None => remove_field(&mut value, field),
    }
    value
}

/// Fields of the metadata that no client changes.
fn keep_server_fields(value: &mut Value, old: &Value, kind: &FakeKind) {
    value["apiVersion"] = kind.api_version().into();
    value["kind"] = kind.kind.as_str().into();
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
    ] {
        let kept = with_field(value["metadata"].take(), field, &old["metadata"]);
        value["metadata"] = kept;
    }
    for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let empty = match &value["metadata"][field] {
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            other => other.is_null(),
        };
        if empty {
            remove_field(&mut value["metadata"], field);
        }
    }
}

fn spec_differs(a: &Value, b: &Value) -> bool {
    let rest = |value: &Value| -> Map<String, Value> {
        let mut fields = value.as_object().cloned().unwrap_or_default();
        fields.remove("metadata");
        fields.remove("status");
        fields
    };
    rest(a) != rest(b)
}

/// True when an object in deletion waits for nothing more.
fn is_finished(value: &Value, kind: &FakeKind) -> bool {
    let list_is_empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let meta = &value["metadata"];
    meta["deletionTimestamp"].is_string()
        && list_is_empty(&meta["finalizers"])
        && meta["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && (kind.kind != "Namespace" || list_is_empty(&value["spec"]["finalizers"]))
}

fn remove(store: &mut Store, kind: &FakeKind, target: &Target, delete: &Delete) -> Result<Object, ApiError> {
    let stored = stored(store, target)?;
    let mut value = stored.value.clone();
    let (resource, name) = (target.group_resource(), &target.object.name);
    for (said, field) in [(&delete.uid, "uid"), (&delete.resource_version, "resourceVersion")] {
        let live = value["metadata"][field].as_str().unwrap_or("");
        if let Some(said) = said.as_deref().filter(|said| *said != live) {
            let why =
                format!("the {field} in the precondition ({said}) does not match that in record ({live})");
            return Err(ApiError::conflict(&resource, name, &why));
        }
    }
    let finalizer = match delete.propagation {
        Some(Propagation::Foreground) => Some("foregroundDeletion"),
        Some(Propagation::Orphan) => Some("orphan"),
        Some(Propagation::Background) | None => None,
    };
    if let Some(finalizer) = finalizer {
        let mut finalizers = value["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        if !finalizers.iter().any(|known| known == finalizer) {
            finalizers.push(finalizer.into());
        }
        value["metadata"]["finalizers"] = finalizers.into();
    }
    let mut grace = grace_of(&value, kind, delete.grace_period_seconds);
    let before = value["metadata"]["deletionGracePeriodSeconds"].as_i64();
    grace = before.map_or(grace, |before| grace.min(before));
    // It tells when the grace is over: later by the grace than when the deletion was asked for.
    let ends: Option<Timestamp> =
        value["metadata"]["deletionTimestamp"].as_str().and_then(|time| time.parse().ok());
    let asked =
        ends.map_or_else(Timestamp::now, |ends| ends - SignedDuration::from_secs(before.unwrap_or(0)));
    let ends = asked + SignedDuration::from_secs(grace);
    value["metadata"]["deletionTimestamp"] = whole_seconds(ends).into();
    value["metadata"]["deletionGracePeriodSeconds"] = grace.into();
    if kind.kind == "Namespace" {
        value["status"]["phase"] = "Terminating".into();
    }
    if is_finished(&value, kind) {
        return store
            .remove(target.tenant, &resource, &target.object)
            .ok_or_else(|| ApiError::not_found(&resource, name));
    }
    if value == stored.value {
        return Ok(stored.object);
    }
    Ok(store.save(target.tenant, kind, &target.object, value, stored.applied))
}

/// How long a pod may take to end, in seconds; other kinds have no grace.
fn grace_of(value: &Value, kind: &FakeKind, said: Option<u32>) -> i64 {
    let bound = value["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    let ended = matches!(value["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if kind.kind != "Pod" || !bound || ended {
        return 0;
    }
    match said {
        Some(seconds) => i64::from(seconds),
        None => value["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30),
    }
}

fn bind(store: &mut Store, kind: &FakeKind, target: &Target, body: &Value) -> Result<Object, ApiError> {
    let stored = stored(store, target)?;
    let (resource, name) = (target.group_resource(), &target.object.name);
    let Some(node) = body["target"]["name"].as_str() else {
        let cause = Cause::required("target.name", "");
        return Err(ApiError::invalid("", "Binding", name, vec![cause]));
    };
    let mut value = stored.value.clone();
    if value["metadata"]["deletionTimestamp"].is_string() {
        return Err(ApiError::conflict(
            &resource,
            name,
            &format!("pod {name} is being deleted, cannot be assigned to a host"),
        ));
    }
    if let Some(bound) = value["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
        let why = format!("pod {name} is already assigned to node {bound:?}");
        return Err(ApiError::conflict(&resource, name, &why));
    }
    value["spec"]["nodeName"] = node.into();
    merge(&mut value["metadata"]["annotations"], &body["metadata"]["annotations"]);
    if value["metadata"]["annotations"].is_null() {
        remove_field(&mut value["metadata"], "annotations");
    }
    let condition = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": now()});
    let mut conditions = value["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|known| known["type"] != "PodScheduled");
    conditions.push(condition);
    value["status"]["conditions"] = conditions.into();
    let object = store.save(target.tenant, kind, &target.object, value, stored.applied);
    let answer =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(object_of(target.tenant, kind, &target.object, &answer, object.revision.0))
}

fn token(store: &mut Store, kind: &FakeKind, target: &Target, body: &Value) -> Result<Object, ApiError> {
    let stored = stored(store, target)?;
    let seconds = body["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let mut answer = body.clone();
    answer["kind"] = "TokenRequest".into();
    answer["apiVersion"] = "authentication.k8s.io/v1".into();
    answer["status"] = json!({
        "token": format!("fake.{}.{}", target.object.name, store.next_uid()),
        "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    Ok(object_of(target.tenant, kind, &target.object, &answer, stored.object.revision.0))
}

/// The `Scale` of an object.
fn scale_of(value: &Value) -> Value {
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": value["metadata"]["name"], "namespace": value["metadata"]["namespace"],
            "uid": value["metadata"]["uid"], "resourceVersion": value["metadata"]["resourceVersion"],
        },
        "spec": {"replicas": value["spec"]["replicas"]},
        "status": {"replicas": value["status"]["replicas"]},
    })
}
