//! What the patrol found, told: in the log, and in events of the host plane about the tenants.

use super::Found;
use crate::kinds::Key;
use crate::names;
use crate::state::{State, SuperCluster};
use crate::translation::now_text;
use crate::work::{ACTOR, EVENTS};
use api_types::TenantId;
use api_types::tenancy::API_VERSION;
use plane_client::{PlaneClient, Target, Write};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tenants that are told of after one pass, those with most findings first.
const TENANTS: usize = 10;
/// Objects that one event names.
const OBJECTS: usize = 5;
/// Where events about cluster-scoped objects are.
const NAMESPACE: &str = "default";

/// What was found and not found before.
pub fn news(open: &Found, found: &Found) -> Found {
    let mut out = found.clone();
    for (tenant, keys) in &mut out {
        keys.retain(|key, finding| open.get(tenant).and_then(|known| known.get(key)) != Some(finding));
    }
    out.retain(|_, keys| !keys.is_empty());
    out
}

/// Tells it.
pub async fn tell(state: &State, client: &Arc<dyn PlaneClient>, cluster: &SuperCluster, new: &Found) {
    let mut worst: Vec<_> = new.iter().collect();
    worst.sort_by_key(|(tenant, keys)| (std::cmp::Reverse(keys.len()), **tenant));
    for (tenant, keys) in worst.into_iter().take(TENANTS) {
        let Some(view) = state.tenants.get(*tenant) else { continue };
        let mut by_finding: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in keys.values() {
            *by_finding.entry(finding.name()).or_insert(0) += 1;
        }
        let mut named: Vec<String> =
            keys.iter().filter_map(|(key, f)| Some(format!("{} ({})", name(key)?, f.name()))).collect();
        named.sort();
        let rest = named.len().saturating_sub(OBJECTS);
        named.truncate(OBJECTS);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let message = format!(
            "the patrol of the super cluster {} found what no watch had told of, and repairs it: {}{more}",
            cluster.name,
            named.join(", ")
        );
        tracing::warn!(cluster = %cluster.name, tenant = %view.name, counts = ?by_finding, "{message}");
        say(client, &view.name, *tenant, &message).await;
    }
}

fn name(key: &Key) -> Option<String> {
    match key {
        Key::Object(kind, at) => Some(format!("{} {at}", kind.name())),
        _ => None,
    }
}

async fn say(client: &Arc<dyn PlaneClient>, tenant: &str, id: TenantId, message: &str) {
    let now = jiff::Timestamp::now();
    let mark = names::digest(format!("{id} {now} {message}").as_bytes());
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{tenant}.{mark}"), "namespace": NAMESPACE},
        "involvedObject": {"apiVersion": API_VERSION, "kind": "Tenant", "name": tenant, "uid": id.to_string()},
        "type": "Warning",
        "reason": "DriftFound",
        "message": message,
        "count": 1,
        "firstTimestamp": now_text(),
        "lastTimestamp": now_text(),
        "source": {"component": "insula-syncer"},
        "reportingComponent": "insula-syncer",
    });
    let target = Target::new(TenantId::HOST, &EVENTS, NAMESPACE, "");
    if let Err(error) = client.write(&ACTOR, &target, Write::Create(event)).await {
        tracing::warn!(tenant, %error, "an event about the tenant could not be written");
    }
}
