//! What a tenant's status says of its restore: the condition `Restored`, and with it `Ready` and the phase.
//!
//! As long as it is `False`, the plane is *held*: its API answers nobody, and no controller sees what is in it.

use crate::in_process::InProcess;
use crate::server::Server;
use crate::tenants::{TENANTS, tell_state};
use api_types::condition::{self, Condition};
use api_types::tenancy;
use api_types::{ApiError, ObjectName, TenantId};
use jiff::Timestamp;
use plane_client::{Actor, PlaneClient, Target, Write};
use serde_json::{Value, json};
use std::sync::Arc;

/// The condition.
const RESTORED: &str = "Restored";
/// Objects are being put back.
const RESTORING: &str = "Restoring";
/// They were not, because the process ended.
const CUT_OFF: &str = "RestoreCutOff";
/// They were not, for a reason that is told.
const FAILED: &str = "RestoreFailed";
/// As whom tenants are made and told of.
pub const ACTOR: Actor = Actor::Platform("insula-restore");

/// How far a restore is.
pub enum Stage {
    /// Objects are being put back.
    Begun,
    /// It did not come to its end.
    Failed(String),
    /// The process ended before it.
    CutOff,
    /// All is there: what is told of it.
    Done(String),
}

impl Stage {
    fn condition(&self) -> Condition {
        let (holds, reason, message) = match self {
            Stage::Begun => (false, RESTORING, "objects of a backup are being put back".to_owned()),
            Stage::Failed(why) => (false, FAILED, format!("{why}; {REMEDY}")),
            Stage::CutOff => {
                (false, CUT_OFF, format!("the server ended before all objects were there; {REMEDY}"))
            }
            Stage::Done(told) => (true, RESTORED, told.clone()),
        };
        Condition::new(RESTORED, holds, reason, message, Timestamp::now())
    }
}

const REMEDY: &str = "restore the tenant again, or delete it";

/// Whether a tenant's restore has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It has, or there was none.
    No,
    /// It goes on.
    Restoring,
    /// It will not.
    Failed,
}

/// Reads a tenant's status.
pub fn held(tenant: &Value) -> Held {
    let conditions = tenant["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == RESTORED);
    match found {
        Some(restored) if restored["status"] == "False" && restored["reason"] == RESTORING => Held::Restoring,
        Some(restored) if restored["status"] == "False" => Held::Failed,
        _ => Held::No,
    }
}

/// Puts the condition into a tenant, and what follows from it.
pub fn mark(tenant: &mut Value, stage: &Stage) {
    let mut conditions: Vec<Condition> =
        serde_json::from_value(tenant["status"]["conditions"].clone()).unwrap_or_default();
    let generation = tenant["metadata"]["generation"].as_i64().unwrap_or(0);
    condition::set(&mut conditions, stage.condition().observed(generation));
    tenant["status"]["conditions"] = json!(conditions);
    tell_state(tenant, Timestamp::now());
}

/// How often a status is written again because somebody else wrote it meanwhile.
const TRIES: usize = 100;

/// Writes it into the status of a tenant; nothing when that tenant is no more.
pub async fn say(server: &Arc<Server>, name: &str, id: TenantId, stage: &Stage) -> Result<(), ApiError> {
    let client = InProcess::new(server.clone());
    let target = Target::new(TenantId::HOST, &tenancy::TENANTS, "", name).subresource("status");
    for _ in 0..TRIES {
        let found = client.get(TenantId::HOST, &TENANTS, &ObjectName::cluster(name)).await?;
        let Some(found) = found.filter(|found| found.meta.uid == id.to_string()) else { return Ok(()) };
        let mut tenant = found.value()?;
        mark(&mut tenant, stage);
        match client.write(&ACTOR, &target, Write::Update(tenant)).await {
            Err(error) if error.is_conflict() => {}
            Err(error) if error.is_not_found() => return Ok(()),
            done => return done.map(drop),
        }
    }
    Err(ApiError::unavailable("the tenant's status is being written all the time", 1))
}

/// Says of restores that were under way when the process ended that they were cut off.
pub async fn tell_cut_off(server: &Arc<Server>) -> Result<(), ApiError> {
    for record in server.cache.collection(TenantId::HOST, &TENANTS).list("") {
        let tenant = record.value().unwrap_or_default();
        let Some(id) = TenantId::parse(&record.meta.uid) else { continue };
        if held(&tenant) == Held::Restoring {
            tracing::warn!(tenant = %record.name, "the restore of the tenant was cut off");
            say(server, &record.name.name, id, &Stage::CutOff).await?;
        }
    }
    Ok(())
}
