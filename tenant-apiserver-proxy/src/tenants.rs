//! A tenant's plane is born with its `Tenant`, in the same commit, and ends with it, in the same commit.

use crate::cache::feed::store_key;
use crate::dialer::addresses::{Network, Reach};
use crate::gateway::{Extra, Place};
use crate::limits::Amounts;
use crate::pki::{self, KeyedCertificate};
use crate::planes::{Plane, PlaneKind, PlaneState};
use crate::restoring::state::{self, Held, Stage};
use crate::server::Server;
use crate::{authentication, bootstrap, kubeconfig, plane_keys, planes, standing};
use api_types::condition::{self, Condition};
use api_types::tenancy::{TenantProfileSpec, TenantSpec};
use api_types::{ApiError, GroupResource, ObjectName, ResourceKey, TenantId, tenancy};
use base64::Engine;
use jiff::Timestamp;
use object_store::Space;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The resource of tenants' profiles, in the host plane.
pub static PROFILES: LazyLock<GroupResource> = LazyLock::new(|| tenancy::TENANT_PROFILES.group_resource());

/// The resource of tenants, in the host plane.
pub static TENANTS: LazyLock<GroupResource> = LazyLock::new(|| tenancy::TENANTS.group_resource());

/// True for the `Tenant` objects of the host plane: what a plane defines under the same name by itself is none.
pub(crate) fn is_tenant(place: &Place) -> bool {
    let named = place.row.group == tenancy::GROUP && place.row.plural == "tenants";
    named && !place.row.is_custom() && place.subresource.is_empty()
}

/// The Secret of the host plane with a tenant's kubeconfig.
pub(crate) fn kubeconfig_secret(tenant: &str) -> ResourceKey {
    ResourceKey::new(
        GroupResource::new("", "secrets"),
        tenancy::SYSTEM_NAMESPACE,
        format!("{tenant}-kubeconfig"),
    )
}

/// All that a new tenant begins with: its client CA, its first objects, and its kubeconfig in the host plane. The
/// `Tenant` itself is told that it is ready, and on which super cluster it is, where that is known.
pub async fn birth(server: &Server, place: &Place, tenant: &mut Value) -> Result<Extra, ApiError> {
    if !is_tenant(place) {
        return Ok(Extra::default());
    }
    let failed = |error: pki::PkiError| ApiError::internal(error);
    let uid = tenant["metadata"]["uid"].as_str().and_then(TenantId::parse);
    let Some(id) = uid else { return Err(ApiError::internal("the tenant has no UID")) };
    let now = Timestamp::now();
    let name = place.name.as_str();
    let authority =
        pki::make_authority(&format!("{}{id}", authentication::AUTHORITY_PREFIX)).map_err(failed)?;
    let admin =
        pki::sign_client(&authority, "admin", Some("system:masters"), pki::CLIENT_VALID).map_err(failed)?;
    let endpoint = format!("{}/tenants/{name}", server.base_url());
    let mut operations = bootstrap::first_objects(server, &authority, Space::new(id), now);
    let secret = kubeconfig_secret(name);
    let (since, serving_cas) =
        server.serving_cas().ok_or_else(|| ApiError::internal("there is no serving CA"))?;
    let object = kubeconfig_object(&secret, name, uid_text(tenant), &endpoint, &serving_cas, &admin, now);
    operations.push(bootstrap::put(Space::new(TenantId::HOST), &secret, &object));
    tenant["status"] = json!({
        "endpoint": endpoint,
        "kubeconfigSecret": {"namespace": secret.object.namespace, "name": secret.object.name, "key": "value"},
    });
    // Its commit is not to be seen before its end.
    if server.restores.born(name, id) {
        server.planes.hold(id);
        state::mark(tenant, &Stage::Begun);
    } else {
        tell_state(tenant, now);
        if let Some(placer) = server.placer()
            && let Some(placed) = placer.place(tenant).await
        {
            tenant["status"]["superCluster"] = placed.super_cluster.into();
            tell(tenant, placed.condition);
        }
    }
    // The kubeconfig fits what is shown at its commit: nobody has to look at it again (see `renewal`).
    let serving_ca = store_key(&plane_keys::key(planes::SERVING_CA));
    let preconditions = vec![Space::new(TenantId::HOST).expect(serving_ca, since)];
    Ok(Extra { operations, preconditions, ..Extra::default() })
}

/// A protected tenant is not deleted.
pub fn check_delete(server: &Server, place: &Place, tenant: &Value) -> Result<(), ApiError> {
    // Of one that was not restored to its end nothing is worth protection.
    let protects = is_tenant(place) && state::held(tenant) == Held::No;
    if protects && effective(server, &tenant["spec"]).deletion_protection {
        let why = "spec.deletionProtection is true, in the tenant itself or in its profile";
        return Err(ApiError::forbidden(&place.resource(), &place.name, why));
    }
    Ok(())
}

/// Follows a change of a `Tenant` in its own status.
pub fn change(place: &Place, tenant: &mut Value) {
    if is_tenant(place) {
        tell_state(tenant, Timestamp::now());
    }
}

/// Says in the status whether the plane answers: the phase, and the condition `Ready`.
pub fn tell_state(tenant: &mut Value, now: Timestamp) {
    let (phase, reason, message) = match (
        tenant["metadata"]["deletionTimestamp"].is_string(),
        state::held(tenant),
        tenant["spec"]["suspended"] == Value::Bool(true),
    ) {
        (true, _, _) => ("Terminating", "TenantTerminating", "the tenant is being deleted"),
        (false, Held::Restoring, _) => (
            "Pending",
            "TenantRestoring",
            "the tenant is being made of a backup: its API answers when all is there",
        ),
        (false, Held::Failed, _) => (
            "Failed",
            "TenantNotRestored",
            "the tenant was not restored to its end: see the condition Restored",
        ),
        (false, Held::No, true) => {
            ("Suspended", "TenantSuspended", "the tenant is suspended: its API refuses every request")
        }
        (false, Held::No, false) => ("Ready", "PlaneServed", "the tenant's API is served"),
    };
    tenant["status"]["phase"] = phase.into();
    tell(tenant, Condition::new("Ready", phase == "Ready", reason, message, now));
}

/// Says a condition of the tenant as it is now in its status.
fn tell(tenant: &mut Value, said: Condition) {
    let mut conditions: Vec<Condition> =
        serde_json::from_value(tenant["status"]["conditions"].take()).unwrap_or_default();
    let generation = tenant["metadata"]["generation"].as_i64().unwrap_or(0);
    condition::set(&mut conditions, said.observed(generation));
    tenant["status"]["conditions"] = json!(conditions);
}

fn uid_text(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or("")
}

fn kubeconfig_object(
    secret: &ResourceKey,
    tenant: &str,
    tenant_uid: &str,
    endpoint: &str,
    ca_pem: &str,
    admin: &KeyedCertificate,
    now: Timestamp,
) -> Value {
    let text = kubeconfig::render(
        &[kubeconfig::Context { name: tenant, server: endpoint, user: "admin", credentials: admin }],
        ca_pem,
    );
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    let mut object = bootstrap::object(
        "v1",
        "Secret",
        &secret.object.namespace,
        &secret.object.name,
        now,
        json!({"type": "Opaque", "data": {"value": encoded}, "labels": {api_types::labels::TENANT: tenant}}),
    );
    object["metadata"]["ownerReferences"] = json!([{"apiVersion": tenancy::API_VERSION, "kind": "Tenant",
        "name": tenant, "uid": tenant_uid, "controller": true, "blockOwnerDeletion": true}]);
    object
}

/// What goes with a `Tenant`: every key of its plane, and its kubeconfig.
pub fn end(_server: &Server, place: &Place, tenant: &Value) -> Extra {
    if !is_tenant(place) {
        return Extra::default();
    }
    let mut extra = Extra::default();
    if let Some(id) = TenantId::parse(uid_text(tenant)) {
        extra.operations.push(Space::new(id).delete_all());
    }
    let secret = kubeconfig_secret(&place.name);
    extra.operations.push(Space::new(TenantId::HOST).delete(store_key(&secret)));
    extra
}

/// Registers the tenants that are there at start.
pub fn load(server: &Server) {
    for record in server.cache.collection(TenantId::HOST, &TENANTS).list("") {
        observe(server, &record.name);
    }
}

/// Follows a change of a `Tenant`: registers its plane, changes its state, or removes it.
pub fn observe(server: &Server, name: &ObjectName) {
    let found = server.cache.get(TenantId::HOST, &TENANTS, name);
    let id = found.as_ref().and_then(|record| TenantId::parse(&record.meta.uid));
    if let Some(old) = server.planes.named(PlaneKind::Tenant, &name.name)
        && Some(old.id) != id
    {
        server.planes.remove(old.id);
        server.cache.forget(old.id);
        server.planes.show(old.id);
    }
    let (Some(record), Some(id)) = (found, id) else { return };
    let tenant = record.value().unwrap_or_default();
    let held = state::held(&tenant);
    if held != Held::No {
        server.planes.hold(id);
    }
    let plane = server.planes.add(Plane::new(id, PlaneKind::Tenant, &name.name, &server.network));
    let suspended = tenant["spec"]["suspended"] == Value::Bool(true);
    let effective = effective(server, &tenant["spec"]);
    plane.limits.set(Amounts::of_tenant(&effective.limits, effective.weight));
    // Validation lets only ranges pass that can be read.
    let networks = effective.egress.allowed_cidrs.iter().filter_map(|range| Network::parse(range));
    plane.dialer.set(Reach::PublicAnd(networks.collect()));
    crate::audit::follow(&plane, &effective.audit);
    if plane.oidc.set(&effective.authentication.oidc) {
        plane.grounds.changed(&standing::issuers());
    }
    plane.set_state(match (record.meta.deleting, held, suspended) {
        (true, ..) => PlaneState::Terminating,
        (false, Held::Restoring, _) => PlaneState::Restoring,
        (false, Held::Failed, _) => PlaneState::NotRestored,
        (false, Held::No, true) => PlaneState::Suspended,
        (false, Held::No, false) => PlaneState::Active,
    });
    if held == Held::No {
        server.planes.show(id);
    }
}

/// What a tenant's spec comes to: its own values over its profile's over the defaults.
fn effective(server: &Server, spec: &Value) -> TenantSpec {
    let name = spec["profile"].as_str().unwrap_or("");
    let profile = server.cache.get(TenantId::HOST, &PROFILES, &ObjectName::cluster(name));
    let profile = profile.and_then(|record| record.value().ok()).unwrap_or_default();
    let profile: TenantProfileSpec = serde_json::from_value(profile["spec"].clone()).unwrap_or_default();
    // Validation lets only readable specs pass.
    profile.effective(spec).unwrap_or_default()
}

/// Follows a change of a profile: the limits of its tenants change with it.
pub fn observe_profile(server: &Server) {
    load(server);
}
