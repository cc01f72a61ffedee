//! Resource quotas: what a write uses is added to the status of the quotas of its namespace in the commit of the write
//! itself, with their revisions as preconditions.
//!
//! Guarantees: of writes at the same time no more succeed than there is room for; what is refused or fails uses
//! nothing. Writes that count take turns in their namespace, so that they do not undo each other's work; those that
//! do not count, and other namespaces, do not wait. A namespace without quotas costs a look into the index of the
//! plane's collections. What a deletion gives back is counted by the resource quota controller alone: deletions take
//! no turns, and one place says what is used.

use crate::cache::feed::store_key;
use crate::cache::record::{self, Record};
use crate::gateway::{Extra, Place};
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::amounts;
use api_resources::quota::{Charge, DeviceClasses, Evaluator, Quota, World, Write, charge, evaluator_of};
use api_resources::selectors::fields_of;
use api_types::{ApiError, GroupResource, ResourceKey, TenantId};
use compact_str::CompactString;
use jiff::Timestamp;
use object_store::Space;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// How long a write waits for its turn, as in Kubernetes.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most quotas that one write can count for: they are written in one commit.
const MOST: usize = 64;
/// With so many turns known, those that nobody waits for are forgotten.
const MANY: usize = 1_024;

fn resource() -> GroupResource {
    GroupResource::new("", "resourcequotas")
}

/// Held by the one whose turn it is.
type Lock = tokio::sync::Mutex<()>;

/// The turns of namespaces with quotas in which somebody writes.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<(TenantId, CompactString), Weak<Lock>>>);

/// Nobody else's write counts in the namespace until this is dropped.
pub struct Turn {
    _held: OwnedMutexGuard<()>,
}

impl Turns {
    async fn take(&self, tenant: TenantId, namespace: &CompactString) -> Result<Turn, ApiError> {
        let waiting = self.of(tenant, namespace).lock_owned();
        let taken = tokio::time::timeout(PATIENCE, waiting).await;
        taken.map(|_held| Turn { _held }).map_err(|_| {
            ApiError::unavailable(format!("too many writes wait for the quotas of namespace {namespace}"), 1)
        })
    }

    fn of(&self, tenant: TenantId, namespace: &CompactString) -> Arc<Lock> {
        let mut turns = self.0.lock();
        if turns.len() >= MANY {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = turns.entry((tenant, namespace.clone())).or_default();
        turn.upgrade().unwrap_or_else(|| {
            let made = Arc::default();
            *turn = Arc::downgrade(&made);
            made
        })
    }
}

/// What is counted of a write, and for which quotas it may count.
struct Counted {
    evaluator: Evaluator,
    records: Vec<Arc<Record>>,
}

fn counted(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Option<Counted> {
    if place.namespace.is_empty() {
        return None;
    }
    let records = server.cache.existing(auth.plane().id, &resource())?.list(&place.namespace);
    if records.is_empty() {
        return None;
    }
    let evaluator = evaluator_of(&place.asked())?;
    evaluator.handles(&place.subresource, new, old).then_some(Counted { evaluator, records })
}

/// The plane's classes of devices, for what depends on them.
fn world(server: &Server, auth: &Authorized, evaluator: &Evaluator) -> Result<World, ApiError> {
    let mut classes = Vec::new();
    if *evaluator == Evaluator::Devices {
        let resource = GroupResource::new("resource.k8s.io", "deviceclasses");
        for record in server.cache.collection(auth.plane().id, &resource).list("") {
            classes.push(record.value().map_err(ApiError::internal)?);
        }
    }
    Ok(World { now: Timestamp::now(), classes: DeviceClasses::read(&classes) })
}

impl Counted {
    /// The quotas that the write counts for as they are, and what they have to say then.
    fn evaluate(
        &self,
        server: &Server,
        auth: &Authorized,
        place: &Place,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<Vec<(&Record, Value, Charge)>, ApiError> {
        let decoded: Result<Vec<Value>, _> = self.records.iter().map(|record| record.value()).collect();
        let mut objects = decoded.map_err(ApiError::internal)?;
        let quotas: Vec<Quota> = objects.iter().map(Quota::read).collect();
        let write = Write { evaluator: &self.evaluator, subresource: &place.subresource, new, old };
        let refused = |why: String| ApiError::forbidden(&place.asked(), &place.name, &why);
        let charges = charge(&quotas, &write, &world(server, auth, &self.evaluator)?).map_err(refused)?;
        if charges.len() > MOST {
            let why =
                format!("it counts for {} quotas of its namespace, at most {MOST} can be", charges.len());
            return Err(refused(why));
        }
        let charged = charges.into_iter();
        let found = charged
            .map(|charge| (&*self.records[charge.quota], objects[charge.quota].take(), charge))
            .collect();
        Ok(found)
    }
}

/// Refuses a write for which there is no room.
pub fn check(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    match counted(server, auth, place, new, old) {
        Some(counted) => counted.evaluate(server, auth, place, new, old).map(drop),
        None => Ok(()),
    }
}

/// What the commit of a write adds to the quotas that it counts for. Waits for the turn, which lasts as long as what
/// is returned.
pub async fn count(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Result<Extra, ApiError> {
    if counted(server, auth, place, new, old).is_none() {
        return Ok(Extra::default());
    }
    let plane = auth.plane();
    let turn = server.quota_turns.take(plane.id, &place.namespace).await?;
    let Some(counted) = counted(server, auth, place, new, old) else { return Ok(Extra::default()) };
    let row = plane.catalog.load().resource("", "resourcequotas").ok_or_else(ApiError::no_such_path)?;
    let space = Space::new(plane.id);
    let mut extra = Extra::default();
    for (record, mut quota, charge) in counted.evaluate(server, auth, place, new, old)? {
        quota["status"]["used"] = amounts::write(&charge.used);
        let key = store_key(&ResourceKey { resource: resource(), object: record.name.clone() });
        extra.preconditions.push(space.expect(key.clone(), record.expected()));
        let stored = record::encode(&quota, fields_of(&row, &quota), record.schema);
        extra.operations.push(space.put(key, stored));
    }
    if !extra.operations.is_empty() {
        extra.turn = Some(turn);
    }
    Ok(extra)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_taken_one_after_the_other_and_forgotten() {
        let turns = Turns::default();
        let (one, other) = (CompactString::from("one"), CompactString::from("other"));
        let first = turns.take(TenantId::HOST, &one).await.unwrap();
        let elsewhere = turns.take(TenantId::HOST, &other).await.unwrap();
        let mut waiting = Box::pin(turns.take(TenantId::HOST, &one));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(first);
        let second = waiting.await.unwrap();
        for index in 0..3 * MANY {
            drop(turns.take(TenantId::HOST, &index.to_string().into()).await.unwrap());
        }
        assert!(turns.0.lock().len() <= MANY);
        let mut waiting = Box::pin(turns.take(TenantId::HOST, &one));
        assert!(futures::poll!(waiting.as_mut()).is_pending(), "a turn that is taken was forgotten");
        drop((second, elsewhere));
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_to_come_again() {
        let turns = Turns::default();
        let _taken = turns.take(TenantId::HOST, &"n".into()).await.unwrap();
        let Err(error) = turns.take(TenantId::HOST, &"n".into()).await else { panic!("two at once") };
        assert!(error.message().contains("the quotas of namespace n"), "{}", error.message());
    }
}
