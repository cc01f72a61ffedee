//! One APIService for each group and version that definitions serve.
//!
//! Guarantees: it is there for as long as a definition serves the version, and is put right when it is changed; one
//! that somebody made without the label `kube-aggregator.kubernetes.io/automanaged: "true"` is left alone.

use crate::access::Access;
use crate::resources::DEFINITIONS;
use api_types::aggregation::{API_SERVICES, AUTOMANAGED, CONTINUOUSLY, CUSTOM_PRIORITIES, name};
use async_trait::async_trait;
use plane_client::{
    ApiError, Delete, Next, Object, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The reconciler of definitions' APIServices; keys are the names of these.
pub(crate) struct Registration {
    access: Access,
}

impl Registration {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        Registration { access: Access::new(client, "crd-autoregister") }
    }

    /// True when a definition of the plane serves the version.
    async fn is_served(&self, tenant: TenantId, group: &str, version: &str) -> Result<bool, ApiError> {
        for object in self.access.list(tenant, &DEFINITIONS, "").await? {
            // Definitions are named `PLURAL.GROUP`: those of other groups need not be read.
            if object.name.name.split_once('.').is_some_and(|(_, of)| of == group)
                && served(&object.value()?).any(|name| name == version)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[async_trait]
impl Reconciler for Registration {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let is_ours = |object: &Object| object.meta.label(AUTOMANAGED) == Some(CONTINUOUSLY);
        vec![
            Trigger::mapped(DEFINITIONS.group_resource(), Scope::All, of_definition),
            Trigger::mapped(API_SERVICES.group_resource(), Scope::All, move |object| {
                if is_ours(object) { vec![object.name.clone()] } else { vec![] }
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some((version, group)) = key.name.split_once('.') else { return Ok(Next::OnEvent) };
        let wanted = match self.is_served(tenant, group, version).await? {
            true => Some(api_service(group, version)),
            false => None,
        };
        match (self.access.get(tenant, &API_SERVICES, "", &key.name).await?, wanted) {
            (None, Some(wanted)) => {
                self.access.ensure(tenant, &API_SERVICES, "", wanted).await?;
            }
            (Some(found), wanted) if found["metadata"]["labels"][AUTOMANAGED] == CONTINUOUSLY => match wanted
            {
                Some(wanted) => {
                    let mut right = found.clone();
                    right["spec"] = wanted["spec"].clone();
                    self.access.change(tenant, &API_SERVICES, "", &found, &right).await?;
                }
                None => self.access.delete(tenant, &API_SERVICES, &found, Delete::default()).await?,
            },
            _ => {}
        }
        Ok(Next::OnEvent)
    }
}

/// The versions that a definition serves.
fn served(definition: &Value) -> impl Iterator<Item = &str> {
    let versions = definition["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    versions.iter().filter(|version| version["served"] == true).filter_map(|version| version["name"].as_str())
}

/// The APIServices that a definition has something to say about: those of all its versions, served or not.
fn of_definition(object: &Object) -> Vec<ObjectName> {
    // What the server has stored can be read.
    let Ok(definition) = object.value() else { return Vec::new() };
    let group = definition["spec"]["group"].as_str().unwrap_or("");
    let versions = definition["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = versions.iter().filter_map(|version| version["name"].as_str());
    names.map(|version| ObjectName::cluster(name(group, version))).collect()
}

fn api_service(group: &str, version: &str) -> Value {
    let (group_priority, version_priority) = CUSTOM_PRIORITIES;
    json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": name(group, version), "labels": {AUTOMANAGED: CONTINUOUSLY}},
        "spec": {"group": group, "version": version, "groupPriorityMinimum": group_priority,
            "versionPriority": version_priority}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use service_runtime::Shutdown;

    const PLANE: TenantId = TenantId::HOST;

    fn definition(plural: &str, versions: &[(&str, bool)]) -> Value {
        let versions: Vec<Value> = versions
            .iter()
            .enumerate()
            .map(|(at, (name, served))| json!({"name": name, "served": served, "storage": at == 0}))
            .collect();
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.x.io")},
            "spec": {"group": "x.io", "names": {"plural": plural, "kind": plural}, "versions": versions}})
    }

    #[tokio::test(start_paused = true)]
    async fn what_definitions_serve_is_registered_while_they_serve_it() {
        let planes = FakePlanes::new();
        let reconciler = Arc::new(Registration::new(planes.client()));
        tokio::spawn(Controller::new(planes.client(), reconciler, 1).run(Shutdown::new()));
        let services = API_SERVICES.group_resource();
        let there = |found: Option<&Value>| found.is_some();
        let gone = |found: Option<&Value>| found.is_none();
        let mut own = api_service("x.io", "v3");
        own["metadata"]["labels"] = json!({});
        own["spec"]["service"] = json!({"namespace": "default", "name": "own"});
        planes.put(PLANE, own.clone());
        planes.put(PLANE, definition("as", &[("v1", true), ("v2", false), ("v3", true)]));
        planes.put(PLANE, definition("bs", &[("v1", true)]));
        planes.wait_for(PLANE, &services, "", "v1.x.io", there).await;
        assert!(planes.find(PLANE, &services, "", "v2.x.io").is_none());

        let mut changed = planes.find(PLANE, &services, "", "v1.x.io").unwrap();
        changed["spec"]["versionPriority"] = json!(7);
        planes.put(PLANE, changed);
        let right = |found: Option<&Value>| found.is_some_and(|o| o["spec"]["versionPriority"] == 100);
        planes.wait_for(PLANE, &services, "", "v1.x.io", right).await;

        planes.put(PLANE, definition("as", &[("v2", true), ("v1", false), ("v3", true)]));
        planes.wait_for(PLANE, &services, "", "v2.x.io", there).await;
        assert!(planes.find(PLANE, &services, "", "v1.x.io").is_some(), "the other definition serves it");
        let definitions = DEFINITIONS.group_resource();
        planes.remove(PLANE, &definitions, "", "as.x.io");
        planes.remove(PLANE, &definitions, "", "bs.x.io");
        for name in ["v1.x.io", "v2.x.io"] {
            planes.wait_for(PLANE, &services, "", name, gone).await;
        }
        let left = planes.find(PLANE, &services, "", "v3.x.io").unwrap();
        assert_eq!(left["spec"], own["spec"], "somebody's own is left alone");
    }
}
