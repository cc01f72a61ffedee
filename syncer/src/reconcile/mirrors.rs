//! Ingresses, PodDisruptionBudgets and EndpointSlices: down, and what an Ingress is reached by comes up.

use crate::configs::Change;
use crate::difference::merge_patch;
use crate::kinds::{Key, Kind, SLICES_MANAGED_BY};
use crate::mirrors::{SERVICE_NAME, change, downward, forbidden, private_addresses};
use crate::reconcile::services::KUBERNETES;
use crate::super_cache::Cached;
use crate::translation::{Place, Refusal, meta_text};
use crate::work::Work;
use api_types::{ApiError, ObjectName};
use plane_client::{Next, Patch};
use serde_json::{Value, json};

/// The manager of the slices that each cluster makes itself, of Services with a selector.
const BY_SELECTOR: &str = "endpointslice-controller.k8s.io";

/// An object of one of these kinds.
pub async fn mirror(work: &Work, kind: Kind, namespace: &str, name: &str) -> Result<Next, ApiError> {
    let super_namespace = work.super_namespace(namespace);
    let known = work.cached(kind, namespace, name);
    if known.is_none() && work.cluster.cache.get(Kind::Namespace, "", &super_namespace).is_none() {
        // Its turn comes when the namespace is made.
        return Ok(Next::OnEvent);
    }
    let object = match work.get(kind, namespace, name).await? {
        Some(object) if goes_down(work, kind, &object).await? => object,
        _ => {
            if kind == Kind::EndpointSlice {
                let at = ObjectName::new(namespace, name);
                work.cluster.cache.own_addresses(work.tenant.id, &at, Vec::new());
            }
            remove(work, known.as_deref()).await?;
            return Ok(Next::OnEvent);
        }
    };
    let place = work.place(namespace, &super_namespace);
    let wanted = match wanted(work, place, kind, &object) {
        Ok(wanted) => wanted,
        Err(refusal) => {
            // What it was before it was refused is no longer what the tenant says.
            remove(work, known.as_deref()).await?;
            work.say_refused(kind, &object, &refusal).await?;
            return Ok(Next::OnEvent);
        }
    };
    let Some(known) = known else {
        if object["metadata"]["deletionTimestamp"].is_null() {
            work.create(kind, &wanted).await?;
        }
        return Ok(Next::OnEvent);
    };
    if known.deleting {
        return Ok(Next::OnEvent);
    }
    let mut observed = known.value()?;
    match change(&observed, &wanted) {
        Change::None => {}
        Change::Patch(patch) => observed = work.patch(&known, "", Patch::Merge(patch)).await?,
        Change::Recreate => {
            work.delete(&known, None).await?;
            work.forget(&known);
            work.create(kind, &wanted).await?;
            return Ok(Next::OnEvent);
        }
    }
    if kind == Kind::Ingress {
        let mut status = json!({"loadBalancer": observed["status"]["loadBalancer"]});
        place.scrub_all(&mut status);
        if let Some(change) = merge_patch(&object["status"], &status) {
            work.patch_up(kind, &object, "status", json!({"status": change})).await?;
        }
    }
    Ok(Next::OnEvent)
}

/// Makes the slices of a Service without a selector due, which had no use before it was there.
pub async fn slices_due(work: &Work, service: &Value) -> Result<(), ApiError> {
    if has_selector(service) {
        return Ok(());
    }
    let (kind, namespace) = (Kind::EndpointSlice, meta_text(service, "namespace"));
    let slices = work.client.list(work.tenant.id, &kind.group_resource(), namespace).await?;
    work.state.due(slices.into_iter().map(|slice| (work.tenant.id, Key::Object(kind, slice.name))));
    Ok(())
}

fn has_selector(service: &Value) -> bool {
    service["spec"]["selector"].as_object().is_some_and(|selector| !selector.is_empty())
}

/// Whether an object belongs into the super cluster: of slices, those that a Service without a selector has.
async fn goes_down(work: &Work, kind: Kind, object: &Value) -> Result<bool, ApiError> {
    if kind != Kind::EndpointSlice {
        return Ok(true);
    }
    let labels = &object["metadata"]["labels"];
    let (namespace, service) = (meta_text(object, "namespace"), labels[SERVICE_NAME].as_str().unwrap_or(""));
    if service.is_empty() || labels[SLICES_MANAGED_BY] == BY_SELECTOR || (namespace, service) == KUBERNETES {
        return Ok(false);
    }
    let service = work.get(Kind::Service, namespace, service).await?;
    Ok(service.is_some_and(|service| !has_selector(&service)))
}

/// What the super cluster is to have, or why it is not to have it.
fn wanted(work: &Work, place: Place<'_>, kind: Kind, object: &Value) -> Result<Value, Refusal> {
    let wanted = downward(place, kind, object);
    if kind != Kind::EndpointSlice || wanted.is_err() {
        return wanted;
    }
    // Noted before it is looked: an address that comes after makes the slice due again.
    let named = private_addresses(&work.tenant, object);
    let at = ObjectName::new(place.namespace, meta_text(object, "name"));
    let own = work.cluster.cache.own_addresses(work.tenant.id, &at, named);
    match forbidden(&work.tenant, object, |ip| own.contains(&ip)) {
        None => wanted,
        Some(address) => Err(Refusal::new(
            "AddressForbidden",
            format!(
                "the address {address} is neither public nor one of your pods': a platform admin allows others with \
                 spec.egress.allowedCIDRs of the Tenant"
            ),
        )),
    }
}

async fn remove(work: &Work, known: Option<&Cached>) -> Result<(), ApiError> {
    match known {
        Some(known) if !known.deleting => work.delete(known, None).await,
        _ => Ok(()),
    }
}
