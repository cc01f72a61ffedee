//! The fake's objects, its events, and its reads.

use super::kinds::{self, FakeKind};
use crate::client::{Object, Scope, WatchItem};
use api_types::{ApiError, GroupResource, Meta, ObjectName, Revision, TenantId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What happened to an object.
#[derive(Clone)]
pub(super) enum Event {
    Applied(Object),
    Deleted(Object),
}

impl Event {
    pub(super) fn object(&self) -> &Object {
        match self {
            Event::Applied(object) | Event::Deleted(object) => object,
        }
    }
}

impl From<Event> for WatchItem {
    fn from(event: Event) -> Self {
        match event {
            Event::Applied(object) => WatchItem::Applied(object),
            Event::Deleted(object) => WatchItem::Deleted(object),
        }
    }
}

/// An object, and what each field manager last applied.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) value: Value,
    pub(super) object: Object,
    /// By manager and subresource.
    pub(super) applied: BTreeMap<(String, &'static str), Value>,
}

type Key = (TenantId, GroupResource, ObjectName);

pub(super) struct Store {
    /// Kinds of every plane (`None`) and of one plane.
    kinds: Vec<(Option<TenantId>, FakeKind)>,
    objects: BTreeMap<Key, Stored>,
    /// Everything that ever happened; watches read on from where they are.
    pub(super) events: Vec<Event>,
    revision: u64,
    names: u64,
}

impl Store {
    pub(super) fn new() -> Self {
        Store {
            kinds: kinds::built_in().into_iter().map(|kind| (None, kind)).collect(),
            objects: BTreeMap::new(),
            events: Vec::new(),
            revision: 0,
            names: 0,
        }
    }

    pub(super) fn register(&mut self, tenant: Option<TenantId>, kind: FakeKind) {
        self.kinds.retain(|(of, known)| *of != tenant || known.group_resource() != kind.group_resource());
        self.kinds.push((tenant, kind));
    }

    pub(super) fn kinds(&self, tenant: TenantId) -> impl Iterator<Item = &FakeKind> {
        self.kinds.iter().filter(move |(of, _)| of.is_none_or(|of| of == tenant)).map(|(_, kind)| kind)
    }

    pub(super) fn kind(&self, tenant: TenantId, api_version: &str, kind: &str) -> Option<&FakeKind> {
        self.kinds(tenant).find(|k| k.kind == kind && k.api_version() == api_version)
    }

    pub(super) fn kind_of(&self, tenant: TenantId, resource: &GroupResource) -> Result<FakeKind, ApiError> {
        self.kinds(tenant)
            .find(|kind| kind.group_resource() == *resource)
            .cloned()
            .ok_or_else(ApiError::no_such_path)
    }

    pub(super) fn get(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        name: &ObjectName,
    ) -> Option<Object> {
        self.stored(tenant, resource, name).map(|stored| stored.object.clone())
    }

    pub(super) fn stored(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        name: &ObjectName,
    ) -> Option<&Stored> {
        self.objects.get(&(tenant, resource.clone(), name.clone()))
    }

    pub(super) fn list(&self, tenant: TenantId, resource: &GroupResource, namespace: &str) -> Vec<Object> {
        self.objects
            .values()
            .map(|stored| &stored.object)
            .filter(|o| o.tenant == tenant && o.resource == *resource)
            .filter(|o| namespace.is_empty() || o.name.namespace == namespace)
            .cloned()
            .collect()
    }

    pub(super) fn live(&self, resource: &GroupResource, scope: Scope) -> Vec<Object> {
        self.objects
            .values()
            .map(|stored| &stored.object)
            .filter(|o| scope.contains(o.tenant) && o.resource == *resource)
            .cloned()
            .collect()
    }

    pub(super) fn dependents(&self, tenant: TenantId, owner_uid: &str) -> Vec<Object> {
        self.objects
            .values()
            .map(|stored| &stored.object)
            .filter(|o| o.tenant == tenant && o.meta.owners.iter().any(|owner| owner.uid == owner_uid))
            .cloned()
            .collect()
    }

    /// A UID that was never given.
    pub(super) fn next_uid(&mut self) -> String {
        self.names += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.names)
    }

    /// Five characters that were never given, for `generateName`.
    pub(super) fn next_suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        self.names += 1;
        // An odd factor keeps the order of names apart from that of creation.
        let mut rest = (self.names.wrapping_mul(7_654_321)) % 14_348_907;
        let mut suffix = String::new();
        for _ in 0..5 {
            suffix.push(char::from(LETTERS[(rest % 27) as usize]));
            rest /= 27;
        }
        suffix
    }

    /// Stores an object as it is.
    pub(super) fn seed(&mut self, tenant: TenantId, mut value: Value) -> Result<Object, ApiError> {
        let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
        let (api_version, kind) = (text(&value["apiVersion"]), text(&value["kind"]));
        let kind = self
            .kind(tenant, &api_version, &kind)
            .cloned()
            .ok_or_else(|| ApiError::bad_request(format!("the fake has no kind {kind} in {api_version}")))?;
        if kind.namespaced && value["metadata"]["namespace"].is_null() {
            value["metadata"]["namespace"] = "default".into();
        }
        let name = ObjectName::new(text(&value["metadata"]["namespace"]), text(&value["metadata"]["name"]));
        if name.name.is_empty() || kind.namespaced == name.namespace.is_empty() {
            return Err(ApiError::bad_request(format!("an object of kind {} has no name", kind.kind)));
        }
        for (field, default) in [
            ("uid", Value::from(self.next_uid())),
            ("creationTimestamp", now().into()),
            ("generation", if kind.generation { 1.into() } else { Value::Null }),
        ] {
            if value["metadata"][field].is_null() && !default.is_null() {
                value["metadata"][field] = default;
            }
        }
        Ok(self.save(tenant, &kind, &name, value, BTreeMap::new()))
    }

    /// Saves an object under a new revision, with its event.
    pub(super) fn save(
        &mut self,
        tenant: TenantId,
        kind: &FakeKind,
        name: &ObjectName,
        mut value: Value,
        applied: BTreeMap<(String, &'static str), Value>,
    ) -> Object {
        if kind.kind == "CustomResourceDefinition"
            && let Some(defined) = FakeKind::of_definition(&value)
        {
            self.register(Some(tenant), defined);
        }
        self.revision += 1;
        value["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let object = object_of(tenant, kind, name, &value, self.revision);
        self.events.push(Event::Applied(object.clone()));
        let key = (tenant, kind.group_resource(), name.clone());
        self.objects.insert(key, Stored { value, object: object.clone(), applied });
        object
    }

    /// Removes an object, with its event.
    pub(super) fn remove(
        &mut self,
        tenant: TenantId,
        resource: &GroupResource,
        name: &ObjectName,
    ) -> Option<Object> {
        let stored = self.objects.remove(&(tenant, resource.clone(), name.clone()))?;
        self.revision += 1;
        let mut object = stored.object;
        object.revision = Revision(self.revision);
        self.events.push(Event::Deleted(object.clone()));
        Some(object)
    }
}

/// Fields that selectors know, of the kinds whose controllers read them.
const SELECTABLE: &[(&str, &[&str])] = &[
    ("Pod", &["spec.nodeName", "status.phase", "spec.serviceAccountName"]),
    ("Node", &["spec.unschedulable"]),
    ("Namespace", &["status.phase"]),
    ("Secret", &["type"]),
    ("ReplicaSet", &["status.replicas"]),
];

/// An object of the client from a value.
pub(super) fn object_of(
    tenant: TenantId,
    kind: &FakeKind,
    name: &ObjectName,
    value: &Value,
    revision: u64,
) -> Object {
    let mut meta = Meta::of(value);
    let paths = SELECTABLE.iter().find(|(of, _)| kind.kind == *of).map_or(&[] as &[&str], |(_, paths)| paths);
    for path in paths {
        let found = value.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Value::Null);
        let text = found
            .as_str()
            .map_or_else(|| if found.is_null() { String::new() } else { found.to_string() }, str::to_owned);
        meta.fields.push(((*path).into(), text.into()));
    }
    Object {
        tenant,
        resource: kind.group_resource(),
        name: name.clone(),
        revision: Revision(revision),
        bytes: value.to_string().into(),
        meta: Arc::new(meta),
    }
}

/// Now, as Kubernetes writes times.
pub(super) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The first content of the namespaces that the server makes by itself.
pub(super) fn prepare_namespace(value: &mut Value, name: &str) {
    value["spec"]["finalizers"] = json!(["kubernetes"]);
    value["status"] = json!({"phase": "Active"});
    value["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
}
