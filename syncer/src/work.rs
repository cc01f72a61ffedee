//! One tenant's work on its super cluster: reads and writes on both sides, each with its checks.

mod telling;

use crate::kinds::{Key, Kind};
use crate::metrics::{Direction, Turn};
use crate::namespaces;
use crate::ownership;
use crate::pods::environment::ApiAddress;
use crate::reconcile::isolation;
use crate::refusals::No;
use crate::settled::Stand;
use crate::state::{State, SuperCluster};
use crate::super_api::At;
use crate::super_cache::Cached;
use crate::tenants::TenantView;
use crate::translation::{Place, meta_text};
use api_types::tenancy::{Publish, TENANTS};
use api_types::{ApiError, ObjectName, Resource, TenantId, labels};
use parking_lot::Mutex;
use plane_client::{Actor, Delete, Patch, PlaneClient, Target, Write};
use serde_json::{Value, json};
use std::sync::Arc;

/// As whom the syncer writes in planes.
pub const ACTOR: Actor = Actor::Platform("syncer");
/// `events`.
pub const EVENTS: Resource = Resource::new("", "v1", "events");

/// One tenant's work on its super cluster.
pub struct Work {
    /// What all work shares.
    pub state: Arc<State>,
    /// The planes.
    pub client: Arc<dyn PlaneClient>,
    /// Whose work it is.
    pub tenant: Arc<TenantView>,
    /// Where.
    pub cluster: Arc<SuperCluster>,
    /// Where pods reach the tenant's API.
    pub api: ApiAddress,
    /// What it wrote, and since when.
    pub turn: Arc<Turn>,
    /// The last no of the super cluster to one of the tenant's objects.
    pub refused: Mutex<Option<No>>,
}

impl Work {
    /// The super namespace of a tenant's namespace.
    pub fn super_namespace(&self, namespace: &str) -> String {
        self.tenant.super_namespace(namespace)
    }

    /// A namespace, for translations.
    pub fn place<'a>(&'a self, namespace: &'a str, super_namespace: &'a str) -> Place<'a> {
        Place { tenant: &self.tenant, namespace, super_namespace }
    }

    /// The super object that stands for a tenant's object, as far as it is known.
    pub fn cached(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Cached>> {
        self.cluster.in_place_of(&self.tenant, kind, &ObjectName::new(namespace, name))
    }

    /// True when a worker has seen to it that both sides agree on this object, and neither has changed since.
    pub async fn is_in_step(&self, kind: Kind, namespace: &str, name: &str) -> Result<bool, ApiError> {
        let key = Key::object(kind, namespace, name);
        let stand = Stand::read(&*self.client, &self.cluster, &self.tenant, &key).await?;
        let is_there = stand.as_ref().is_some_and(|stand| stand.below.is_some());
        Ok(is_there && self.cluster.settled.get(self.tenant.id, &key) == stand)
    }

    /// A tenant's object.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Value>, ApiError> {
        let object = self
            .client
            .get(self.tenant.id, &kind.group_resource(), &ObjectName::new(namespace, name))
            .await?;
        object.map(|o| o.value()).transpose()
    }

    /// Creates an object in the super cluster. What stands there already is taken into the cache, if it is the
    /// tenant's, and the work comes again.
    pub async fn create(&self, kind: Kind, body: &Value) -> Result<Value, ApiError> {
        let (namespace, name) = (meta_text(body, "namespace"), meta_text(body, "name"));
        match self.cluster.api.create(kind.resource(), &At::new(namespace, ""), body).await {
            Ok(object) => {
                self.turn.wrote.note(Direction::Down);
                self.note(kind, object.clone());
                Ok(object)
            }
            Err(error) if error.is_already_exists() => {
                if let Some(there) = self.cluster.api.get(kind.resource(), &At::new(namespace, name)).await? {
                    self.own(kind, &there, body)?;
                    self.note(kind, there);
                }
                Err(error)
            }
            Err(error) if error.is_not_found() => {
                // The namespace went away and its event is still on its way.
                if let Some(gone) = self.cluster.cache.get(Kind::Namespace, "", namespace) {
                    self.forget(&gone);
                }
                Err(error)
            }
            Err(error) => Err(self.noted(error)),
        }
    }

    /// Patches a super object of the tenant, if it is still the one that is known.
    pub async fn patch(
        &self,
        known: &Cached,
        subresource: &'static str,
        patch: Patch,
    ) -> Result<Value, ApiError> {
        self.check(known)?;
        let pinned = |mut body: Value| {
            body["metadata"]["uid"] = json!(known.uid.as_str());
            body
        };
        let patch = match patch {
            Patch::Merge(body) => Patch::Merge(pinned(body)),
            Patch::Strategic(body) => Patch::Strategic(pinned(body)),
            Patch::Apply(body) => Patch::Apply(pinned(body)),
            Patch::Json(body) => Patch::Json(body),
        };
        let at = At::new(&known.at.namespace, &known.at.name).subresource(subresource);
        match self.cluster.api.patch(known.kind.resource(), &at, &patch).await {
            Ok(object) => {
                self.turn.wrote.note(Direction::Down);
                self.note(known.kind, object.clone());
                Ok(object)
            }
            Err(error) if error.is_not_found() => {
                self.forget(known);
                Err(error)
            }
            Err(error) => Err(self.noted(error)),
        }
    }

    /// Deletes a super object of the tenant, if it is still the one that is known.
    pub async fn delete(&self, known: &Cached, grace: Option<u32>) -> Result<(), ApiError> {
        self.check(known)?;
        let how =
            Delete { uid: Some(known.uid.to_string()), grace_period_seconds: grace, ..Delete::default() };
        let at = At::new(&known.at.namespace, &known.at.name);
        match self.cluster.api.delete(known.kind.resource(), &at, &how).await {
            Err(error) if error.is_not_found() => {
                self.forget(known);
                Ok(())
            }
            done => {
                self.turn.wrote.note(Direction::Down);
                done
            }
        }
    }

    fn check(&self, known: &Cached) -> Result<(), ApiError> {
        match &known.identity {
            Some(identity) if identity.tenant == self.tenant.id => Ok(()),
            _ => Err(ApiError::internal("the object in the super cluster is not the tenant's")),
        }
    }

    fn note(&self, kind: Kind, object: Value) {
        self.state.due(self.cluster.cache.apply(kind, object));
    }

    /// Takes a super object out of the cache.
    pub fn forget(&self, known: &Cached) {
        self.state.due(self.cluster.cache.forget(known.kind, &known.at, &known.uid));
    }

    /// Asks for a super object that is known, and takes in what the cluster answers.
    pub async fn look_again(&self, known: &Cached) -> Result<(), ApiError> {
        let at = At::new(&known.at.namespace, &known.at.name);
        match self.cluster.api.get(known.kind.resource(), &at).await? {
            None => self.forget(known),
            Some(object) => self.note(known.kind, object),
        }
        Ok(())
    }

    /// Looks whether a super object that the cache lacks is really not there. When it is there it is taken in, and
    /// the work comes again.
    pub async fn confirm_absent(&self, kind: Kind, namespace: &str, name: &str) -> Result<bool, ApiError> {
        let there = self.tenant.super_object(kind, &ObjectName::new(namespace, name));
        let Some(there) = there else { return Ok(true) };
        let at = At::new(&there.namespace, &there.name);
        match self.cluster.api.get(kind.resource(), &at).await? {
            None => Ok(true),
            // What others have there is not what the tenant had.
            Some(object) if ownership::check(&self.tenant, &object).is_err() => Ok(true),
            Some(object) => {
                self.note(kind, object);
                Ok(false)
            }
        }
    }

    /// Makes sure that the super namespace is there and isolated, so that nothing in it was ever reachable. The first
    /// one of a tenant puts our finalizer on the tenant before, so that nothing is left behind unseen.
    pub async fn ensure_namespace(&self, namespace: &str) -> Result<(), ApiError> {
        let name = self.super_namespace(namespace);
        let known = self.cluster.cache.get(Kind::Namespace, "", &name);
        if let Some(known) = &known {
            self.check(known)?;
            if known.deleting {
                return Err(ApiError::unavailable("the super namespace is being removed", 1));
            }
            if isolation::is_isolated(self, &name)? {
                return Ok(());
            }
        }
        let Some(object) = self.get(Kind::Namespace, "", namespace).await? else {
            return Err(ApiError::not_found(&Kind::Namespace.group_resource(), namespace));
        };
        if known.is_none() {
            self.hold_tenant().await?;
            match self.create(Kind::Namespace, &namespaces::downward(&self.tenant, &object)).await {
                Ok(_) => {}
                Err(error) if error.is_already_exists() => {}
                Err(error) => return Err(error),
            }
            self.still_wanted(&name).await?;
        }
        self.furnish(&object).await
    }

    /// Gives the super namespace of a tenant's namespace what belongs into it. The isolation comes last, so that who
    /// finds it, finds the rest on its way: what failed before comes again.
    pub async fn furnish(&self, namespace: &Value) -> Result<(), ApiError> {
        let name = meta_text(namespace, "name");
        if !isolation::is_isolated(self, &self.super_namespace(name))? {
            let mut follow = [
                Kind::ServiceAccount,
                Kind::NetworkPolicy,
                Kind::EndpointSlice,
                Kind::Ingress,
                Kind::DisruptionBudget,
            ]
            .to_vec();
            if self.tenant.spec.sync.publish == Publish::All {
                follow.extend([Kind::ConfigMap, Kind::Secret]);
            }
            for kind in follow {
                let objects = self.client.list(self.tenant.id, &kind.group_resource(), name).await?;
                self.state.due(objects.into_iter().map(|o| (self.tenant.id, Key::Object(kind, o.name))));
            }
        }
        isolation::isolate(self, namespace).await
    }

    /// Takes a super namespace back that was made while the tenant's deletion began: whoever empties the super
    /// cluster notes the deletion first and lists then, so that one of the two sees the other.
    async fn still_wanted(&self, super_namespace: &str) -> Result<(), ApiError> {
        if self.state.tenants.get(self.tenant.id).is_some_and(|now| now.synced()) {
            return Ok(());
        }
        if let Some(made) = self.cluster.cache.get(Kind::Namespace, "", super_namespace) {
            self.delete(&made, None).await?;
        }
        Err(ApiError::unavailable("the tenant is not synced any more", 1))
    }

    /// Puts our finalizer on the tenant.
    async fn hold_tenant(&self) -> Result<(), ApiError> {
        if self.tenant.finalizer {
            return Ok(());
        }
        let host = TenantId::HOST;
        let name = ObjectName::cluster(&self.tenant.name);
        let tenant = self.client.get(host, &TENANTS.group_resource(), &name).await?;
        let Some(tenant) = tenant.filter(|t| t.meta.uid == self.tenant.id.to_string() && !t.meta.deleting)
        else {
            return Err(ApiError::unavailable("the tenant is being deleted", 1));
        };
        if tenant.meta.finalizers.iter().any(|f| f == labels::SUPER_FINALIZER) {
            return Ok(());
        }
        let mut finalizers: Vec<&str> = tenant.meta.finalizers.iter().map(|f| f.as_str()).collect();
        finalizers.push(labels::SUPER_FINALIZER);
        let patch = json!({"metadata": {"finalizers": finalizers, "uid": tenant.meta.uid.as_str(),
            "resourceVersion": tenant.revision.to_string()}});
        let target = Target::new(host, &TENANTS, "", &self.tenant.name);
        self.client.write(&ACTOR, &target, Write::Patch(Patch::Merge(patch))).await?;
        Ok(())
    }

    /// Patches a tenant's object.
    pub async fn patch_up(
        &self,
        kind: Kind,
        object: &Value,
        subresource: &'static str,
        mut patch: Value,
    ) -> Result<(), ApiError> {
        patch["metadata"]["uid"] = object["metadata"]["uid"].clone();
        let target = self.target(kind, object).subresource(subresource);
        self.turn.wrote.note(Direction::Up);
        self.client.write(&ACTOR, &target, Write::Patch(Patch::Merge(patch))).await.map(drop)
    }

    /// Deletes a tenant's object.
    pub async fn delete_up(&self, kind: Kind, object: &Value, grace: Option<u32>) -> Result<(), ApiError> {
        let how = Delete {
            uid: object["metadata"]["uid"].as_str().map(str::to_owned),
            grace_period_seconds: grace,
            ..Delete::default()
        };
        self.turn.wrote.note(Direction::Up);
        match self.client.write(&ACTOR, &self.target(kind, object), Write::Delete(how)).await {
            Err(error) if error.is_not_found() => Ok(()),
            done => done.map(drop),
        }
    }

    /// A tenant's object, to be written.
    pub fn target(&self, kind: Kind, object: &Value) -> Target {
        let (namespace, name) = (meta_text(object, "namespace"), meta_text(object, "name"));
        Target::new(self.tenant.id, kind.resource(), namespace, name)
    }

    /// True when the tenant has pods, by name, that refer to a ConfigMap or Secret.
    pub async fn is_referenced(&self, kind: Kind, namespace: &str, name: &str) -> Result<bool, ApiError> {
        let pods = self.client.list(self.tenant.id, &Kind::Pod.group_resource(), namespace).await?;
        for pod in pods {
            let references = crate::pods::downward::references(&pod.value()?);
            if references.contains(&(kind, name.to_owned())) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
