//! Planes as one controller reads and writes them.
//!
//! A change is computed as a whole new object and sent as the smallest merge patch (RFC 7386) from the old one,
//! bound to the old `resourceVersion`: what the controller does not know it cannot lose, and a change computed
//! from an old version is a conflict, after which the key comes again.

use crate::claims::Claimant;
use crate::events::{Event, Recorder, Severity};
use crate::resources::{NAMESPACES, PODS};
use crate::selectors::Selector;
use plane_client::{
    Actor, ApiError, Delete, Meta, Object, ObjectName, Patch, PlaneClient, Resource, Selected, Target,
    TenantId, Write,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A client with the identity of one controller.
#[derive(Clone)]
pub(crate) struct Access {
    client: Arc<dyn PlaneClient>,
    name: &'static str,
    component: &'static str,
    events: Recorder,
}

impl Access {
    /// Acts as `system:<name>`. Must be called within a runtime: a task records its events.
    pub(crate) fn new(client: Arc<dyn PlaneClient>, name: &'static str) -> Self {
        Access { events: Recorder::new(client.clone(), name), client, name, component: name }
    }

    /// The same, whose events say that they are from another component than its name.
    #[must_use]
    pub(crate) fn reporting_as(mut self, component: &'static str) -> Self {
        self.component = component;
        self
    }

    pub(crate) fn client(&self) -> &Arc<dyn PlaneClient> {
        &self.client
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// An object, decoded; `None` when it is not there.
    pub(crate) async fn get(
        &self,
        tenant: TenantId,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, ApiError> {
        self.find(tenant, resource, namespace, name).await?.map(|object| object.value()).transpose()
    }

    /// An object, not decoded; `None` when it is not there.
    pub(crate) async fn find(
        &self,
        tenant: TenantId,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Object>, ApiError> {
        self.client.get(tenant, &resource.group_resource(), &ObjectName::new(namespace, name)).await
    }

    /// True for a namespace that is there and is not being deleted.
    pub(crate) async fn stays(&self, tenant: TenantId, namespace: &str) -> Result<bool, ApiError> {
        let found = self.find(tenant, &NAMESPACES, "", namespace).await?;
        Ok(found.is_some_and(|namespace| !namespace.meta.deleting))
    }

    /// The objects of a namespace (all when it is empty), not decoded.
    pub(crate) async fn list(
        &self,
        tenant: TenantId,
        resource: &Resource,
        namespace: &str,
    ) -> Result<Vec<Object>, ApiError> {
        self.client.list(tenant, &resource.group_resource(), namespace).await
    }

    /// The pods of a namespace that a claimant can own, not decoded.
    pub(crate) async fn claimable(
        &self,
        tenant: TenantId,
        namespace: &str,
        claimant: Claimant<'_>,
        selector: &Selector,
    ) -> Result<Selected, ApiError> {
        let wanted = |_: &ObjectName, meta: &Meta| claimant.concerns(meta, selector);
        self.client.select(tenant, &PODS.group_resource(), namespace, &wanted).await
    }

    async fn write(&self, target: &Target, write: Write) -> Result<Object, ApiError> {
        self.client.write(&Actor::Platform(self.name), target, write).await
    }

    /// Creates an object; its name is in the body.
    pub(crate) async fn create(
        &self,
        tenant: TenantId,
        resource: &Resource,
        namespace: &str,
        body: Value,
    ) -> Result<Object, ApiError> {
        let name = body["metadata"]["name"].as_str().unwrap_or("").to_owned();
        let target = Target::new(tenant, resource, namespace, name);
        self.write(&target, Write::Create(body)).await
    }

    /// Creates an object unless one of its name is there; true when it was created. A namespace that ends
    /// meanwhile takes nothing new, which is no error here.
    pub(crate) async fn ensure(
        &self,
        tenant: TenantId,
        resource: &Resource,
        namespace: &str,
        body: Value,
    ) -> Result<bool, ApiError> {
        match self.create(tenant, resource, namespace, body).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_already_exists() || refused_by_ending_namespace(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes `old` into `new` through a subresource (empty: the object itself); `None` when nothing differs.
    pub(crate) async fn change(
        &self,
        tenant: TenantId,
        resource: &Resource,
        subresource: &'static str,
        old: &Value,
        new: &Value,
    ) -> Result<Option<Object>, ApiError> {
        let Some(mut patch) = difference(old, new) else { return Ok(None) };
        let meta = &old["metadata"];
        if !patch["metadata"].is_object() {
            patch["metadata"] = json!({});
        }
        for field in ["uid", "resourceVersion"] {
            patch["metadata"][field] = meta[field].clone();
        }
        let target = self.target_of(tenant, resource, old).subresource(subresource);
        self.write(&target, Write::Patch(Patch::Merge(patch))).await.map(Some)
    }

    /// Makes the status of `old` into `status`; true when it differed. An object that is gone has none to set.
    pub(crate) async fn set_status(
        &self,
        tenant: TenantId,
        resource: &Resource,
        old: &Value,
        status: Value,
    ) -> Result<bool, ApiError> {
        self.set_status_labelled(tenant, resource, old, status, &[]).await
    }

    /// The same with labels that the object is to have, in one write.
    pub(crate) async fn set_status_labelled(
        &self,
        tenant: TenantId,
        resource: &Resource,
        old: &Value,
        status: Value,
        labels: &[(&str, &str)],
    ) -> Result<bool, ApiError> {
        let empty = json!({});
        let before = if old["status"].is_null() { &empty } else { &old["status"] };
        let mut patch = difference(before, &status).map_or(empty.clone(), |change| json!({"status": change}));
        for (key, value) in labels {
            if old["metadata"]["labels"][key] != *value {
                patch["metadata"]["labels"][key] = (*value).into();
            }
        }
        if patch == empty {
            return Ok(false);
        }
        for field in ["uid", "resourceVersion"] {
            patch["metadata"][field] = old["metadata"][field].clone();
        }
        let target = self.target_of(tenant, resource, old).subresource("status");
        match self.write(&target, Write::Patch(Patch::Merge(patch))).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A merge patch that is not bound to a version.
    pub(crate) async fn patch(&self, target: &Target, patch: Value) -> Result<Object, ApiError> {
        self.write(target, Write::Patch(Patch::Merge(patch))).await
    }

    /// A strategic merge patch that is not bound to a version.
    pub(crate) async fn patch_lists(&self, target: &Target, patch: Value) -> Result<Object, ApiError> {
        self.write(target, Write::Patch(Patch::Strategic(patch))).await
    }

    /// Server-side apply, as the controller's own: forced.
    pub(crate) async fn apply(&self, target: &Target, wanted: Value) -> Result<Object, ApiError> {
        self.write(target, Write::Patch(Patch::Apply(wanted))).await
    }

    /// Posts to a subresource.
    pub(crate) async fn post(&self, target: &Target, body: Value) -> Result<Object, ApiError> {
        self.write(target, Write::Create(body)).await
    }

    /// Replaces through a subresource.
    pub(crate) async fn put(&self, target: &Target, body: Value) -> Result<Object, ApiError> {
        self.write(target, Write::Update(body)).await
    }

    /// Deletes the object with exactly this UID. That it is gone already, or is another now, is no error.
    pub(crate) async fn delete(
        &self,
        tenant: TenantId,
        resource: &Resource,
        object: &Value,
        how: Delete,
    ) -> Result<(), ApiError> {
        let uid = object["metadata"]["uid"].as_str().map(str::to_owned);
        let target = self.target_of(tenant, resource, object);
        self.delete_target(&target, Delete { uid, ..how }).await
    }

    /// Deletes; that the object is gone already, or is another now, is no error.
    pub(crate) async fn delete_target(&self, target: &Target, how: Delete) -> Result<(), ApiError> {
        let another_is_ok = how.uid.is_some() && how.resource_version.is_none();
        match self.write(target, Write::Delete(how)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || (another_is_ok && error.is_conflict()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn target_of(&self, tenant: TenantId, resource: &Resource, object: &Value) -> Target {
        Target::new(tenant, resource, text(object, "/metadata/namespace"), text(object, "/metadata/name"))
    }

    /// Records an event about an object (`v1` events), soon and without waiting for it.
    pub(crate) fn event(
        &self,
        tenant: TenantId,
        about: &Value,
        severity: Severity,
        reason: &str,
        message: &str,
    ) {
        self.events.record(Event::new(tenant, about, self.component, severity, reason, message));
    }
}

/// What is at a JSON pointer (RFC 6901). Most have no escapes, and are read so often that nothing is allocated for them.
pub(crate) fn at<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return object.pointer(pointer);
    }
    pointer.split('/').skip(1).try_fold(object, |value, key| match value {
        Value::Object(fields) => fields.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The text at a JSON pointer; empty when there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer).and_then(Value::as_str).unwrap_or("")
}

/// The number at a JSON pointer.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<i64> {
    at(object, pointer).and_then(Value::as_i64)
}

/// The elements at a JSON pointer; none when there is no list.
pub(crate) fn elements<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// True when a creation was refused because the namespace is ending.
pub(crate) fn refused_by_ending_namespace(error: &ApiError) -> bool {
    error.causes().iter().any(|cause| cause.reason == api_types::CauseReason::NamespaceTerminating)
}

/// The merge patch that makes `old` into `new`; `None` when they are equal.
pub(crate) fn difference(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return Some(new.clone()) };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match old.get(key) {
            Some(before) => {
                if let Some(changed) = difference(before, value) {
                    patch.insert(key.clone(), changed);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_difference_is_the_smallest_merge_patch() {
        let old = json!({"a": 1, "b": {"c": [1], "d": 2}, "e": 3});
        let new = json!({"a": 1, "b": {"c": [2], "f": {}}});
        assert_eq!(difference(&old, &new), Some(json!({"b": {"c": [2], "d": null, "f": {}}, "e": null})));
        assert_eq!(difference(&old, &old), None);
    }

    #[test]
    fn pointers_lead_through_maps_and_lists() {
        let object = json!({"a": {"b": [{"c": "x"}, 7], "d/e": 1}});
        for pointer in
            ["/a/d~1e", "", "/a", "/a/b/0/c", "/a/b/1", "/a/b/2", "/a/b/c", "/a/b/0/c/d", "/none/b"]
        {
            assert_eq!(at(&object, pointer), object.pointer(pointer), "{pointer}");
        }
        assert_eq!((text(&object, "/a/b/0/c"), number(&object, "/a/b/1")), ("x", Some(7)));
    }

    /// RFC 7386.
    fn merged(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut target = match target {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        for (key, value) in patch {
            let before = target.remove(key).unwrap_or(Value::Null);
            if !value.is_null() {
                target.insert(key.clone(), merged(before, value));
            }
        }
        Value::Object(target)
    }

    fn objects() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..4u8).prop_map(Value::from)];
        let inner = leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-c]", inner, 0..3)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn a_difference_makes_the_old_into_the_new(old in objects(), new in objects()) {
            let patch = difference(&old, &new).unwrap_or_else(|| json!({}));
            prop_assert_eq!(merged(old, &patch), new);
        }
    }
}
