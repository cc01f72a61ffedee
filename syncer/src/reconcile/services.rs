//! Services, both ways.

use crate::difference::merge_patch;
use crate::kinds::Kind;
use crate::reconcile::{isolation, mirrors};
use crate::services::{downward, node_ports_up, patch, upward, without_addresses};
use crate::super_cache::Cached;
use crate::translation::{Refusal, text};
use crate::work::Work;
use api_types::{ApiError, Reason};
use jiff::Timestamp;
use plane_client::{Next, Patch};
use serde_json::{Value, json};
use std::time::Duration;

/// Annotation on a super service that was reserved and whose service was not seen in the tenant yet: when, in
/// seconds since 1970.
pub const RESERVED_AT: &str = "insula.dev/reserved-at";
/// Annotation on a super service that could not get the tenant's addresses.
pub const ADDRESS_DIFFERS: &str = "insula.dev/address-differs";
/// How long a reservation is kept without a service, in seconds.
const RESERVATION_SECONDS: i64 = 30;
/// The namespace and name of the API server's own service, which is shared.
pub const KUBERNETES: (&str, &str) = ("default", "kubernetes");

/// A service of the tenant.
pub async fn service(work: &Work, namespace: &str, name: &str) -> Result<Next, ApiError> {
    if (namespace, name) == KUBERNETES {
        return Ok(Next::OnEvent);
    }
    let known = work.cached(Kind::Service, namespace, name);
    let Some(object) = work.get(Kind::Service, namespace, name).await? else {
        isolation::unpublish(work, namespace, name).await?;
        return match known {
            Some(known) => without_object(work, &known).await,
            None => Ok(Next::OnEvent),
        };
    };
    let super_namespace = work.super_namespace(namespace);
    let place = work.place(namespace, &super_namespace);
    let wanted = match downward(place, &object) {
        Ok(wanted) => wanted,
        Err(refusal) => {
            work.say_refused(Kind::Service, &object, &refusal).await?;
            return Ok(Next::OnEvent);
        }
    };
    let Some(known) = known else {
        if object["metadata"]["deletionTimestamp"].is_null() {
            work.ensure_namespace(namespace).await?;
            isolation::publish(work, place, &object).await?;
            create(work, &object, &wanted).await?;
            mirrors::slices_due(work, &object).await?;
        }
        return Ok(Next::OnEvent);
    };
    if known.deleting {
        return Ok(Next::OnEvent);
    }
    isolation::publish(work, place, &object).await?;
    let mut observed = known.value()?;
    if address_differs(&observed, &wanted) {
        // Addresses never change in place: it is made anew with those that the tenant reads.
        work.delete(&known, None).await?;
        work.forget(&known);
        create(work, &object, &wanted).await?;
        return Ok(Next::OnEvent);
    }
    let mut change = patch(&observed, &wanted);
    if observed["metadata"]["annotations"].get(RESERVED_AT).is_some() {
        change.get_or_insert_with(|| json!({}))["metadata"]["annotations"][RESERVED_AT] = Value::Null;
    }
    if let Some(change) = change {
        observed = match work.patch(&known, "", Patch::Merge(change.clone())).await {
            // Another service of the super cluster has the node port.
            Err(error) if error.reason() == Reason::Invalid => {
                work.patch(&known, "", Patch::Merge(without_addresses(&change))).await?
            }
            done => done?,
        };
    }
    let status = upward(place, &observed);
    if let Some(change) = merge_patch(&object["status"], &status) {
        work.patch_up(Kind::Service, &object, "status", json!({"status": change})).await?;
    }
    if let Some(ports) = node_ports_up(&object, &observed) {
        work.patch_up(Kind::Service, &object, "", ports).await?;
    }
    Ok(Next::OnEvent)
}

/// A super service whose service is gone, or has still to be committed in the tenant.
async fn without_object(work: &Work, known: &Cached) -> Result<Next, ApiError> {
    if known.deleting {
        return Ok(Next::OnEvent);
    }
    let observed = known.value()?;
    let reserved_at =
        observed["metadata"]["annotations"][RESERVED_AT].as_str().and_then(|t| t.parse::<i64>().ok());
    let age = reserved_at.map(|at| Timestamp::now().as_second() - at);
    match age {
        Some(age) if (0..RESERVATION_SECONDS).contains(&age) => {
            Ok(Next::After(Duration::from_secs((RESERVATION_SECONDS - age).unsigned_abs())))
        }
        _ => {
            work.delete(known, None).await?;
            Ok(Next::OnEvent)
        }
    }
}

async fn create(work: &Work, object: &Value, wanted: &Value) -> Result<(), ApiError> {
    match work.create(Kind::Service, wanted).await {
        Err(error) if error.reason() == Reason::Invalid => {
            let mut bare = without_addresses(wanted);
            bare["metadata"]["annotations"][ADDRESS_DIFFERS] = json!("true");
            work.create(Kind::Service, &bare).await?;
            let refusal = Refusal::new(
                "AddressDiffers",
                "the service's cluster IP or node port is taken where its pods run: it works by name, not by that address",
            );
            work.say_refused(Kind::Service, object, &refusal).await
        }
        done => done.map(drop),
    }
}

/// True when the super service has another cluster IP than the tenant reads, and may be made anew.
pub fn address_differs(observed: &Value, wanted: &Value) -> bool {
    let (there, own) = (text(&observed["spec"], "clusterIP"), text(&wanted["spec"], "clusterIP"));
    let known_to = observed["metadata"]["annotations"][ADDRESS_DIFFERS] == "true";
    !own.is_empty() && !there.is_empty() && there != own && !known_to
}
