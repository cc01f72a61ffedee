//! All that the rendering of one application reads.

use crate::binding::{SecretFacts, secret_named};
use crate::components::REVISIONS;
use crate::definition::{Definition, Definitions};
use crate::names::digest;
use crate::problem::{Cause, Problem};
use crate::render::{Inputs, Revision, kind_of};
use api_types::oam::{self, ApplicationComponent, ApplicationConfigurationSpec, ComponentSpec};
use api_types::{ApiError, ObjectName, Resource, TenantId};
use plane_client::{Object, PlaneClient};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// `v1` Secrets.
pub(crate) const SECRETS: Resource = Resource::new("", "v1", "secrets");

/// Reads the inputs of an application from its plane.
pub(crate) async fn gather(
    client: &dyn PlaneClient,
    tenant: TenantId,
    namespace: &str,
    spec: &ApplicationConfigurationSpec,
) -> Result<Inputs, ApiError> {
    let mut inputs = Inputs {
        definitions: Definitions::new(
            definitions(client, tenant, &oam::WORKLOAD_DEFINITIONS).await?,
            definitions(client, tenant, &oam::TRAIT_DEFINITIONS).await?,
        ),
        ..Inputs::default()
    };
    for component in &spec.components {
        let revision = revision(client, tenant, namespace, component).await?;
        let workload = revision.as_ref().and_then(|r| r.as_ref().ok()).map(|r| &r.spec.workload);
        for object in workload.into_iter().chain(component.traits.iter().map(|t| &t.body)) {
            let Some(key) = kind_of(object).filter(|key| !inputs.kinds.contains_key(key)) else { continue };
            if let Some(info) = client.kind(tenant, &key.0, &key.1).await? {
                inputs.kinds.insert(key, info);
            }
        }
        for name in component.traits.iter().filter_map(|t| secret_named(&t.body)) {
            let object =
                client.get(tenant, &SECRETS.group_resource(), &ObjectName::new(namespace, name)).await?;
            if let Some(secret) = object.filter(|secret| !secret.meta.deleting) {
                inputs.secrets.insert(name.to_owned(), secret_facts(&secret)?);
            }
        }
        inputs.revisions.push(revision);
    }
    Ok(inputs)
}

/// The digests are mixed with the Secret's UID, which only its readers know: a guess of a weak value cannot be checked.
fn secret_facts(secret: &Object) -> Result<SecretFacts, ApiError> {
    let value = secret.value()?;
    let data = value["data"].as_object();
    let digest_of = |text: &Value| digest(&[&secret.meta.uid, text.as_str().unwrap_or("")], 32);
    Ok(data.map(|data| data.iter().map(|(k, v)| (k.clone(), digest_of(v))).collect()).unwrap_or_default())
}

async fn definitions<Spec: DeserializeOwned + Default>(
    client: &dyn PlaneClient,
    tenant: TenantId,
    resource: &Resource,
) -> Result<Vec<Definition<Spec>>, ApiError> {
    let mut found = Vec::new();
    for object in client.list(tenant, &resource.group_resource(), "").await? {
        let mut value = object.value()?;
        let labels: BTreeMap<String, String> =
            object.meta.labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        match serde_json::from_value(value["spec"].take()) {
            Ok(spec) => found.push(Definition { name: object.name.name.to_string(), labels, spec }),
            Err(error) => {
                tracing::warn!(%tenant, definition = %object.name, %error, "a definition cannot be decoded and is left out");
            }
        }
    }
    Ok(found)
}

/// `None` when the component names neither or both; that is refused by the rendering.
async fn revision(
    client: &dyn PlaneClient,
    tenant: TenantId,
    namespace: &str,
    component: &ApplicationComponent,
) -> Result<Option<Result<Revision, Problem>>, ApiError> {
    match (component.component_name.as_str(), component.revision_name.as_str()) {
        ("", "") => Ok(None),
        ("", pinned) => pinned_revision(client, tenant, namespace, pinned).await.map(Some),
        (name, "") => newest_revision(client, tenant, namespace, name).await.map(Some),
        _ => Ok(None),
    }
}

async fn pinned_revision(
    client: &dyn PlaneClient,
    tenant: TenantId,
    namespace: &str,
    name: &str,
) -> Result<Result<Revision, Problem>, ApiError> {
    let object = client.get(tenant, &REVISIONS.group_resource(), &ObjectName::new(namespace, name)).await?;
    let Some(object) = object else {
        let message = format!("there is no component revision {name:?}");
        return Ok(Err(Problem::new(Cause::RevisionNotFound, message)));
    };
    decode(&object)
}

async fn newest_revision(
    client: &dyn PlaneClient,
    tenant: TenantId,
    namespace: &str,
    name: &str,
) -> Result<Result<Revision, Problem>, ApiError> {
    let object =
        client.get(tenant, &oam::COMPONENTS.group_resource(), &ObjectName::new(namespace, name)).await?;
    let Some(component) = object.filter(|component| !component.meta.deleting) else {
        return Ok(Err(Problem::new(Cause::ComponentNotFound, format!("there is no component {name:?}"))));
    };
    let waiting =
        || Problem::new(Cause::WaitingForRevision, format!("component {name:?} has no revision yet"));
    let value = component.value()?;
    let Some(latest) = value["status"]["latestRevision"]["name"].as_str() else { return Ok(Err(waiting())) };
    let object = client.get(tenant, &REVISIONS.group_resource(), &ObjectName::new(namespace, latest)).await?;
    let owned =
        |object: &Object| object.meta.controller().is_some_and(|owner| owner.uid == component.meta.uid);
    match object.filter(owned) {
        Some(object) => decode(&object),
        None => Ok(Err(waiting())),
    }
}

fn decode(object: &Object) -> Result<Result<Revision, Problem>, ApiError> {
    let mut value = object.value()?;
    let name = object.name.name.to_string();
    let component = value["data"]["metadata"]["name"].as_str().unwrap_or("").to_owned();
    if component.is_empty() || object.meta.label(oam::LABEL_REVISION_OF).is_none() {
        let message = format!("{name:?} is not a revision of a component");
        return Ok(Err(Problem::new(Cause::RevisionNotFound, message)));
    }
    Ok(serde_json::from_value::<ComponentSpec>(value["data"]["spec"].take())
        .map(|spec| Revision { component, name: name.clone(), spec })
        .map_err(|error| Problem::new(Cause::InvalidWorkload, format!("revision {name:?}: {error}"))))
}
