//! The objects that every plane begins with.

use crate::cache::feed::store_key;
use crate::cache::{SharedByPlane, SharedObjects, record};
use crate::gateway::metadata::timestamp;
use crate::keyring::Ring;
use crate::own_address;
use crate::pki;
use crate::plane_keys;
use crate::planes::{self, Plane, PlaneKind};
use crate::server::{Server, StartError};
use api_resources::Catalog;
use api_resources::aggregation;
use api_resources::bootstrap::BootstrapObject;
use api_resources::kinds::pods_admission::SYSTEM_PRIORITY_CLASSES;
use api_resources::selectors::fields_of;
use api_schema::builtin;
use api_schema::managed_fields::{self, Writer};
use api_types::{GroupResource, GroupVersion, ObjectName, ResourceKey, Revision, TenantId};
use jiff::Timestamp;
use object_store::{Commit, CommitError, Operation, Space};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The namespaces of every plane.
const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];
/// The cluster IP of every plane's `kubernetes` Service.
pub const KUBERNETES_IP: &str = "10.96.0.1";
/// Who owns what the server itself writes.
pub const MANAGER: &str = "kube-apiserver";
/// Who owns the serving CA in namespaces: the controller that writes it in those of later.
const CA_PUBLISHER: &str = "root-ca-certificate-publisher-controller";
/// The revision of the objects that all planes share: before every other.
const SHARED_REVISION: Revision = Revision(1);

/// Kubernetes' bootstrap roles and bindings and the APIServices of the built-in groups, once for all planes of a kind.
pub fn shared_objects() -> SharedByPlane {
    SharedByPlane {
        host: shared_of(PlaneKind::Host),
        tenant: shared_of(PlaneKind::Tenant),
        superior: shared_of(PlaneKind::Super),
    }
}

/// When the objects that all planes share came to be: as long as the same on every server and after every start as
/// their uids.
const SHARED_SINCE: &str = "2026-11-21T00:00:00Z";

/// Gives a shared object the metadata that the server sets.
fn stamp(object: &mut Value, key: &ResourceKey) {
    object["metadata"]["uid"] = shared_uid(key);
    object["metadata"]["creationTimestamp"] = SHARED_SINCE.into();
    own(object, MANAGER, SHARED_SINCE.parse().unwrap_or_default());
}

/// What of a kind nobody owns who creates an object: the server sets it.
const NOBODYS: &[(&str, &[&[&str]])] = &[
    ("Namespace", &[&["spec"], &["status"]]),
    ("Service", &[&["spec", "clusterIPs"], &["spec", "ipFamilies"], &["status"]]),
    ("APIService", &[&["status"]]),
];

/// Has a manager own what an object says, as if a request of its had created it.
pub fn own(object: &mut Value, manager: &str, now: Timestamp) {
    let (api_version, kind) = (text(&object["apiVersion"]).to_owned(), text(&object["kind"]).to_owned());
    let found = GroupVersion::parse(&api_version)
        .and_then(|version| builtin::kind(&version.group, &version.version, &kind));
    let Some(root) = found else { return };
    let nobodys = NOBODYS.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, fields)| fields);
    // The rules of an aggregated role come from other roles.
    let reset = if object["aggregationRule"].is_object() { &[&["rules"][..]][..] } else { nobodys };
    let versions = None;
    let writer =
        Writer { manager, api_version: &api_version, kind: "", subresource: "", reset, now, versions };
    managed_fields::update(builtin::graph().at(root), None, object, &writer);
}

fn shared_of(kind: PlaneKind) -> SharedObjects {
    let mut all: HashMap<GroupResource, BTreeMap<ObjectName, Arc<record::Record>>> = HashMap::new();
    for BootstrapObject { key, object } in api_resources::bootstrap::objects(kind) {
        let mut object = object.clone();
        stamp(&mut object, key);
        let shared = Arc::new(record::shared(key.object.clone(), &object, SHARED_REVISION));
        all.entry(key.resource.clone()).or_default().insert(key.object.clone(), shared);
    }
    for mut object in aggregation::built_in(kind) {
        let key = ResourceKey::new(aggregation::API_SERVICES.clone(), "", text(&object["metadata"]["name"]));
        stamp(&mut object, &key);
        object["status"]["conditions"][0]["lastTransitionTime"] = SHARED_SINCE.into();
        let shared = Arc::new(record::shared(key.object.clone(), &object, SHARED_REVISION));
        all.entry(key.resource).or_default().insert(key.object, shared);
    }
    if kind != PlaneKind::Host {
        let resource = GroupResource::new("scheduling.k8s.io", "priorityclasses");
        let classes = all.entry(resource.clone()).or_default();
        for (name, value) in SYSTEM_PRIORITY_CLASSES {
            let name = ObjectName::cluster(name);
            let mut class = priority_class(&name, value);
            stamp(&mut class, &ResourceKey { resource: resource.clone(), object: name.clone() });
            classes.insert(name.clone(), Arc::new(record::shared(name, &class, SHARED_REVISION)));
        }
    }
    all.into_iter().map(|(resource, objects)| (resource, Arc::new(objects))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// The same in every plane and after every start: it is the same object.
fn shared_uid(key: &ResourceKey) -> Value {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, key.to_string().as_bytes()).to_string().into()
}

/// A class for what keeps a cluster running.
fn priority_class(name: &ObjectName, value: i64) -> Value {
    json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": value,
        "metadata": {"name": name.name, "generation": 1},
        "description": "For pods without which the cluster does not work.",
        "preemptionPolicy": "PreemptLowerPriority"})
}

/// Writes an object as it is into a space.
pub fn put(space: Space, key: &ResourceKey, object: &Value) -> Operation {
    let GroupResource { group, resource } = &key.resource;
    let planes = [PlaneKind::Host, PlaneKind::Tenant, PlaneKind::Super];
    let row = planes.into_iter().find_map(|plane| Catalog::of(plane).resource(group, resource));
    // What has no row is not served: nobody selects it.
    let fields = row.map(|row| fields_of(&row, object)).unwrap_or_default();
    space.put(store_key(key), record::encode(object, fields, 0))
}

/// A new object with the metadata that the server sets.
pub fn object(
    api_version: &str,
    kind: &str,
    namespace: &str,
    name: &str,
    now: Timestamp,
    rest: Value,
) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {
        "name": name, "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": timestamp(now)}});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    if let (Value::Object(rest), Value::Object(fields)) = (rest, &mut object) {
        for (key, value) in rest {
            if key == "labels" {
                fields["metadata"]["labels"] = value;
            } else {
                fields.insert(key, value);
            }
        }
    }
    object
}

/// What a plane begins with: its client CA, its namespaces with their service accounts and the serving CA, and the
/// `kubernetes` Service with its endpoints.
pub fn first_objects(
    server: &Server,
    authority: &pki::KeyedCertificate,
    space: Space,
    now: Timestamp,
) -> Vec<Operation> {
    let core = |resource: &str, namespace: &str, name: &str| {
        ResourceKey::new(GroupResource::new("", resource), namespace, name)
    };
    let mut operations = vec![put(
        space,
        &plane_keys::key(planes::CLIENT_CA),
        &Ring::new(authority.clone()).object(planes::CLIENT_CA),
    )];
    for namespace in NAMESPACES {
        operations.push(put(space, &core("namespaces", "", namespace), &new_namespace(namespace, now)));
        let account = object("v1", "ServiceAccount", namespace, "default", now, json!({}));
        operations.push(put(space, &core("serviceaccounts", namespace, "default"), &account));
        let data = json!({"data": {"ca.crt": server.ca_pem()}});
        let mut authority = object("v1", "ConfigMap", namespace, "kube-root-ca.crt", now, data);
        own(&mut authority, CA_PUBLISHER, now);
        operations.push(put(space, &core("configmaps", namespace, "kube-root-ca.crt"), &authority));
    }
    let port = own_address::port(&server.base_url());
    let service = json!({"labels": {"component": "apiserver", "provider": "kubernetes"},
        "spec": {"clusterIP": KUBERNETES_IP, "clusterIPs": [KUBERNETES_IP], "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None", "type": "ClusterIP",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]},
        "status": {"loadBalancer": {}}});
    let mut service = object("v1", "Service", "default", "kubernetes", now, service);
    own(&mut service, MANAGER, now);
    operations.push(put(space, &core("services", "default", "kubernetes"), &service));
    operations.extend(own_address::first_objects(&server.base_url(), space, now));
    operations
}

/// A namespace as it is when it is new.
pub fn new_namespace(name: &str, now: Timestamp) -> Value {
    let rest = json!({"labels": {"kubernetes.io/metadata.name": name}, "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"}});
    let mut namespace = object("v1", "Namespace", "", name, now, rest);
    own(&mut namespace, MANAGER, now);
    namespace
}

/// Makes the first objects of the planes that are no tenants', once.
pub async fn ensure(server: &Server) -> Result<(), StartError> {
    let planes: Vec<Arc<Plane>> =
        server.planes.all().into_iter().filter(|plane| plane.kind != PlaneKind::Tenant).collect();
    for plane in planes {
        if plane_keys::stored(&server.cache, plane.id, planes::CLIENT_CA).is_some() {
            continue;
        }
        let space = Space::new(plane.id);
        let now = Timestamp::now();
        let authority =
            pki::make_authority(&format!("{}{}", crate::authentication::AUTHORITY_PREFIX, plane.id))?;
        let mut operations = first_objects(server, &authority, space, now);
        if plane.id == TenantId::HOST {
            let name = api_types::tenancy::SYSTEM_NAMESPACE;
            let key = ResourceKey::new(GroupResource::new("", "namespaces"), "", name);
            operations.push(put(space, &key, &new_namespace(name, now)));
        }
        let ca = plane_keys::key(planes::CLIENT_CA);
        let new = space.expect(store_key(&ca), Revision::ZERO);
        match server.commit(Commit { preconditions: vec![new], operations }).await {
            Ok(_) => {}
            // Another process of the installation was first: its objects are the plane's.
            Err(CommitError::Precondition { actual, .. }) => server.cache.wait_for(actual).await,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
