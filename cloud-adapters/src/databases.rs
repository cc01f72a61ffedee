//! Databases: intent, then role and database on the server, then the connection Secret.
//!
//! Guarantees: account, external name and the intent to create are on the object, by compare-and-swap, before the server
//! hears of anything; names are deterministic and what is on the server is marked, so that a creation of which it is not
//! known whether it happened is simply done again; the password is in the Secret only; what is not ours is not
//! touched; the Secret is written as the object's author. Assumes that role and database live on the account that was
//! recorded. Caveats: a database that somebody dropped on the server is made again, empty; a Retained one is not
//! taken up again by a new object of the name.

mod intent;
mod removal;
mod secret;

use crate::account::{self, Account, SECRETS};
use crate::connection::endpoint;
use crate::fault::{Fault, Reason, Stop};
use crate::postgresql::{Mark, Sessions, Wanted};
use crate::request;
use crate::status::{with, write_status};
use crate::tenants::{Tenant, Tenants};
use api_types::cloud::{
    DATABASES, DatabasePhase, DatabaseSpec, DatabaseStatus, EXTERNAL_ACCOUNT, EXTERNAL_NAME,
};
use api_types::condition::Condition;
use api_types::{ApiError, ObjectName, TenantId};
use async_trait::async_trait;
use parking_lot::Mutex;
use plane_client::{Next, Object, PlaneClient, Reconciler, Scope, Trigger};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

pub use intent::Intent;

/// Looks for drift.
const PATROL: Duration = Duration::from_secs(300);
/// How soon a database is tried again after what may pass by itself.
const RETRY: Duration = Duration::from_secs(5);
/// How soon after what somebody must change; that change is mostly told by an event.
const RETRY_REFUSED: Duration = Duration::from_secs(30);

pub(crate) struct Databases {
    pub client: Arc<dyn PlaneClient>,
    pub sessions: Sessions,
    pub tenants: Arc<Tenants>,
    /// Databases that are not as they should be; looked at again when an account, a class or their tenant changes.
    pub pending: Arc<Mutex<HashSet<(TenantId, ObjectName)>>>,
}

#[async_trait]
impl Reconciler for Databases {
    fn name(&self) -> &'static str {
        "database"
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![
            Trigger::own(DATABASES.group_resource(), Scope::Tenants),
            Trigger::controlled_by(SECRETS.group_resource(), Scope::Tenants, "Database"),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let member = (tenant, key.clone());
        let Some(object) = self.client.get(tenant, &DATABASES.group_resource(), key).await? else {
            self.pending.lock().remove(&member);
            return Ok(Next::OnEvent);
        };
        let value = object.value()?;
        let old: DatabaseStatus = serde_json::from_value(value["status"].clone()).unwrap_or_default();
        let work = if object.meta.deleting {
            self.remove(&object, &value, &old).await
        } else {
            self.bring_about(&object, &value, &old).await
        };
        let (condition, phase, next) = match work {
            Ok(None) => {
                self.pending.lock().remove(&member);
                return Ok(Next::OnEvent);
            }
            Ok(Some(endpoint)) => {
                self.pending.lock().remove(&member);
                return self.tell_ready(&object, &value, &old, endpoint).await;
            }
            Err(Stop::Plane(error)) => return Err(error),
            Err(Stop::Fault(Fault { reason, message })) => {
                self.pending.lock().insert(member);
                let condition =
                    Condition::new("Ready", false, &format!("{reason:?}"), message, jiff::Timestamp::now());
                let recorded = value["metadata"]["annotations"][EXTERNAL_NAME].is_string();
                let phase = match (object.meta.deleting, reason.is_transient()) {
                    (true, _) => DatabasePhase::Deleting,
                    (false, true) if old.phase != DatabasePhase::Ready && recorded => DatabasePhase::Creating,
                    (false, true) if !recorded => DatabasePhase::Pending,
                    _ => DatabasePhase::Failed,
                };
                (condition, phase, if reason.is_transient() { RETRY } else { RETRY_REFUSED })
            }
        };
        let generation = object.meta.generation;
        let status = DatabaseStatus {
            phase,
            observed_generation: Some(generation),
            conditions: with(&old.conditions, condition.observed(generation)),
            ..old
        };
        write_status(&*self.client, &DATABASES, &object, &value["status"], &status).await?;
        Ok(Next::After(next))
    }
}

impl Databases {
    async fn tell_ready(
        &self,
        object: &Object,
        value: &Value,
        old: &DatabaseStatus,
        endpoint: String,
    ) -> Result<Next, ApiError> {
        let now = jiff::Timestamp::now();
        let generation = object.meta.generation;
        let ready = Condition::new("Ready", true, "Available", "", now).observed(generation);
        let name = value["metadata"]["annotations"][EXTERNAL_NAME].as_str().unwrap_or(&old.external_name);
        let status = DatabaseStatus {
            phase: DatabasePhase::Ready,
            external_name: name.to_owned(),
            endpoint,
            observed_generation: Some(generation),
            conditions: with(&old.conditions, ready),
        };
        write_status(&*self.client, &DATABASES, object, &value["status"], &status).await?;
        Ok(Next::After(PATROL))
    }

    /// Gives back the endpoint when the database can be used; `None` when an event will come.
    async fn bring_about(
        &self,
        object: &Object,
        value: &Value,
        old: &DatabaseStatus,
    ) -> Result<Option<String>, Stop> {
        let spec = read_spec(value)?;
        request::check(&spec)?;
        let Some(tenant) = self.tenants.get(object.tenant) else {
            return Err(Fault::new(Reason::ServerError, "the tenant is not known yet").into());
        };
        if tenant.deleting {
            return Err(Fault::new(Reason::TenantTerminating, "the tenant is being deleted").into());
        }
        let account = self.choose(&tenant, &spec, value).await?;
        let class = request::class_of(&*self.client, &spec).await?;
        // As whom the Secret will be written is known before anything is made.
        secret::writer(value)?;
        let intent = Intent::new(&tenant.name, &object.name, &account.name);
        if !intent.is_recorded(value) {
            self.hold_tenant(&tenant).await?;
            self.record(object, value, &intent, old).await?;
            // The change is an event: the work goes on with the object as it is then.
            return Ok(None);
        }
        let mark = mark_of(object, &account.uid);
        let wanted = Wanted {
            name: intent.external_name.clone(),
            mark,
            connection_limit: class.connection_limit,
            resource_limit: account.limit,
        };
        let mut session = self.sessions.open(&account.uid, &account.server).await?;
        let made = async {
            request::check_version(&spec, session.facts().major)?;
            session.provision(&wanted).await
        };
        if let Err(fault) = made.await {
            self.record_outcome(object, value, false).await?;
            return Err(fault.into());
        }
        self.ensure_secret(object, value, &spec, &account, &wanted.name, &session).await?;
        session.done();
        self.record_outcome(object, value, true).await?;
        Ok(Some(endpoint(&account.server.host, account.server.port)))
    }

    /// The account that was recorded, else the one that is asked for, else the tenant's first that offers the engine.
    async fn choose(&self, tenant: &Tenant, spec: &DatabaseSpec, value: &Value) -> Result<Account, Stop> {
        let allowed = &tenant.accounts;
        let recorded = value["metadata"]["annotations"][EXTERNAL_ACCOUNT].as_str().unwrap_or("");
        if !recorded.is_empty() && !spec.account.is_empty() && recorded != spec.account {
            let message = format!(
                "spec.account: the database is on {recorded:?} and cannot be moved to {:?}",
                spec.account
            );
            return Err(Fault::new(Reason::AccountChanged, message).into());
        }
        let named = if recorded.is_empty() { spec.account.as_str() } else { recorded };
        if named.is_empty() {
            for name in allowed.iter() {
                let Some(object) = account::find(&*self.client, name).await? else { continue };
                if account::spec_of(&object).is_ok_and(|spec_of| account::offers(&spec_of, &spec.engine)) {
                    return account::load(&*self.client, &object).await;
                }
            }
            let message =
                format!("none of the tenant's accounts {allowed:?} offers the engine {:?}", spec.engine);
            return Err(Fault::new(Reason::AccountNotFound, message).into());
        }
        if !allowed.iter().any(|name| name == named) {
            let message = format!("spec.account: {named:?} is not one of the tenant's accounts {allowed:?}");
            return Err(Fault::new(Reason::AccountNotAllowed, message).into());
        }
        self.account(named).await
    }

    async fn account(&self, name: &str) -> Result<Account, Stop> {
        match account::find(&*self.client, name).await? {
            Some(object) => account::load(&*self.client, &object).await,
            None => Err(Fault::new(Reason::AccountNotFound, format!("there is no account {name:?}")).into()),
        }
    }
}

fn read_spec(value: &Value) -> Result<DatabaseSpec, Fault> {
    serde_json::from_value(value["spec"].clone())
        .map_err(|error| Fault::new(Reason::InvalidSpec, format!("spec: {error}")))
}

fn mark_of(object: &Object, account: &str) -> Mark {
    Mark {
        account: account.to_owned(),
        tenant: object.tenant.to_string(),
        object: object.meta.uid.to_string(),
    }
}
