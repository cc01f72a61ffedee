//! Events, upward.

use crate::events::{about, upward};
use crate::translation::meta_text;
use crate::work::{ACTOR, EVENTS, Work};
use api_types::{ApiError, ObjectName};
use plane_client::{Next, Patch, Target, Write};
use serde_json::{Value, json};

/// What changes when an event happens again.
const COUNTED: &[&str] = &["count", "lastTimestamp", "message", "series", "type"];

/// An event of the super cluster, by its name there.
pub async fn event(work: &Work, at: &ObjectName) -> Result<Next, ApiError> {
    let Some(event) = work.cluster.take_event(&at.namespace, &at.name) else { return Ok(Next::OnEvent) };
    let result = bring_up(work, &event).await;
    if result.is_err() {
        // It comes again, unless a newer one has come meanwhile.
        work.cluster.give_event_back(&at.namespace, &at.name, event);
    }
    result.map(|()| Next::OnEvent)
}

async fn bring_up(work: &Work, event: &Value) -> Result<(), ApiError> {
    let Some((kind, super_namespace, name)) = about(event) else { return Ok(()) };
    let known = work.cluster.cache.get(kind, super_namespace, name);
    let Some(identity) = known.and_then(|k| k.identity.clone()).filter(|i| i.tenant == work.tenant.id) else {
        return Ok(());
    };
    let place = work.place(&identity.namespace, super_namespace);
    let shown = |text: &str| work.cluster.cache.without_names(work.tenant.id, &place.scrub(text));
    let wanted = upward(&identity, event, shown);
    let name = meta_text(&wanted, "name").to_owned();
    let target = Target::new(work.tenant.id, &EVENTS, &identity.namespace, &name);
    let there = work.client.get(work.tenant.id, &EVENTS.group_resource(), &target.object).await?;
    let Some(there) = there else {
        return match work.client.write(&ACTOR, &target, Write::Create(wanted)).await {
            // Its namespace is going, or went.
            Err(error) if error.is_not_found() || error.is_already_exists() => Ok(()),
            Err(error) if error.reason() == api_types::Reason::Forbidden => Ok(()),
            done => done.map(drop),
        };
    };
    let there = there.value()?;
    let mut patch = json!({});
    for field in COUNTED {
        if there[*field] != wanted[*field] {
            patch[*field] = wanted[*field].clone();
        }
    }
    if patch != json!({}) {
        work.client.write(&ACTOR, &target, Write::Patch(Patch::Merge(patch))).await?;
    }
    Ok(())
}
