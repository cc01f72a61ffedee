//! What the tenant is told of what does not go to the super cluster.

use super::{ACTOR, EVENTS, Work};
use crate::kinds::{Key, Kind};
use crate::names;
use crate::ownership;
use crate::reconcile::pods;
use crate::refusals::{No, is_answer};
use crate::translation::{Place, Refusal, meta_text, now_text};
use api_types::{ApiError, ObjectName, labels};
use plane_client::{Target, Write};
use serde_json::{Value, json};

impl Work {
    /// Keeps what the tenant should read of a refusal.
    pub(super) fn noted(&self, error: ApiError) -> ApiError {
        if is_answer(&error) {
            *self.refused.lock() = Some(No::Said(error.clone()));
        }
        error
    }

    /// Fails unless what stands in the super cluster in place of `wanted` is the tenant's, and keeps that for the tenant.
    pub(super) fn own(&self, kind: Kind, there: &Value, wanted: &Value) -> Result<(), ApiError> {
        ownership::check(&self.tenant, there).inspect_err(|_| {
            let is_named = !names::is_reserved(meta_text(wanted, "name"));
            let name = wanted["metadata"]["annotations"][labels::NAME].as_str().filter(|_| is_named);
            let name = name.map(str::to_owned);
            *self.refused.lock() = Some(No::Taken(kind, name));
        })
    }

    /// A no in words for the tenant, without any name of the super cluster.
    pub fn told(&self, place: Place<'_>, no: &No) -> Refusal {
        no.told(|text| self.cluster.cache.without_names(self.tenant.id, &place.scrub(text)))
    }

    /// Tells the tenant that the super cluster refused the object of this key, when that is why the work failed.
    pub async fn tell_refusal(&self, key: &Key) -> Result<(), ApiError> {
        let (Some(no), Key::Object(kind, at)) = (self.refused.lock().take(), key) else { return Ok(()) };
        let namespace = if *kind == Kind::Namespace { &at.name } else { &at.namespace };
        let super_namespace = self.super_namespace(namespace);
        let refusal = self.told(self.place(namespace, &super_namespace), &no);
        match self.get(*kind, &at.namespace, &at.name).await? {
            // What it refers to was refused, or it itself.
            Some(pod) if *kind == Kind::Pod && self.cached(*kind, &at.namespace, &at.name).is_none() => {
                pods::refuse(self, &pod, &refusal).await.map(drop)
            }
            Some(object) => self.say_refused(*kind, &object, &refusal).await,
            None => Ok(()),
        }
    }

    /// Tells the tenant in an event why an object of theirs does not go to the super cluster. Said once for each
    /// object and reason; again only with another message.
    pub async fn say_refused(&self, kind: Kind, object: &Value, refusal: &Refusal) -> Result<(), ApiError> {
        let (namespace, name) = (meta_text(object, "namespace"), meta_text(object, "name"));
        let uid = meta_text(object, "uid");
        let mark = names::digest(format!("{uid} {} {}", refusal.reason, refusal.message).as_bytes());
        let event_name = format!("{}.{mark}", name.chars().take(200).collect::<String>());
        // Events about what is in no namespace are in this one.
        let event_namespace = if namespace.is_empty() { "default" } else { namespace };
        let at = ObjectName::new(event_namespace, &event_name);
        if self.client.get(self.tenant.id, &EVENTS.group_resource(), &at).await?.is_some() {
            return Ok(());
        }
        let now = now_text();
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event_name, "namespace": event_namespace},
            "involvedObject": {"apiVersion": "v1", "kind": kind.name(), "namespace": namespace, "name": name, "uid": uid},
            "type": "Warning",
            "reason": refusal.reason,
            "message": refusal.message,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": "insula-syncer"},
            "reportingComponent": "insula-syncer",
        });
        let target = Target::new(self.tenant.id, &EVENTS, event_namespace, "");
        match self.client.write(&ACTOR, &target, Write::Create(event)).await {
            Err(error) if error.is_already_exists() => Ok(()),
            done => done.map(drop),
        }
    }
}
