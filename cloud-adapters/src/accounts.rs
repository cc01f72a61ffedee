//! CloudAccounts: checked by working with them.
//!
//! Guarantees: `Ready` is what the last connection showed, each minute and after each change of the account or of its
//! Secret. Caveat: the whole message is for the platform's admins; tenants see their own objects' messages only.

use crate::account::{Account, SECRETS, load, spec_of};
use crate::fault::{Fault, Stop};
use crate::postgresql::{Facts, Sessions};
use crate::status::{with, write_status};
use api_types::cloud::{CLOUD_ACCOUNTS, CloudAccountStatus};
use api_types::condition::Condition;
use api_types::{ApiError, ObjectName, TenantId};
use async_trait::async_trait;
use parking_lot::Mutex;
use plane_client::{Next, Object, PlaneClient, Reconciler, Scope, Trigger};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often an account that works is looked at.
const PATROL: Duration = Duration::from_secs(60);
/// How often one that does not.
const PATROL_UNREADY: Duration = Duration::from_secs(10);

pub(crate) struct Accounts {
    pub client: Arc<dyn PlaneClient>,
    pub sessions: Sessions,
    /// The Secret and the UID of each account, by its name.
    pub known: Arc<Mutex<HashMap<ObjectName, (ObjectName, String)>>>,
}

#[async_trait]
impl Reconciler for Accounts {
    fn name(&self) -> &'static str {
        "cloudaccount"
    }

    fn triggers(&self) -> Vec<Trigger> {
        let host = Scope::One(TenantId::HOST);
        let (known, by_secret) = (self.known.clone(), self.known.clone());
        vec![
            Trigger::mapped(CLOUD_ACCOUNTS.group_resource(), host, move |object: &Object| {
                if let Ok(spec) = spec_of(object) {
                    let secret = spec.credentials_secret.unwrap_or_default();
                    let secret = ObjectName::new(secret.namespace, secret.name);
                    known.lock().insert(object.name.clone(), (secret, object.meta.uid.to_string()));
                }
                vec![object.name.clone()]
            }),
            Trigger::mapped(SECRETS.group_resource(), host, move |object: &Object| {
                let known = by_secret.lock();
                known
                    .iter()
                    .filter(|(_, (secret, _))| *secret == object.name)
                    .map(|(name, _)| name.clone())
                    .collect()
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(object) = self.client.get(tenant, &CLOUD_ACCOUNTS.group_resource(), key).await? else {
            if let Some((_, uid)) = self.known.lock().remove(key) {
                self.sessions.forget(&uid);
            }
            return Ok(Next::OnEvent);
        };
        if object.meta.deleting {
            return Ok(Next::OnEvent);
        }
        let value = object.value()?;
        let old: CloudAccountStatus = serde_json::from_value(value["status"].clone()).unwrap_or_default();
        let result = self.look(&object).await;
        let now = jiff::Timestamp::now();
        let mut status =
            CloudAccountStatus { observed_generation: Some(object.meta.generation), ..old.clone() };
        let (condition, next) = match result {
            Ok((facts, count)) => {
                status.version = facts.version;
                status.resources = Some(count);
                (Condition::new("Ready", true, "Connected", "", now), PATROL)
            }
            Err(Stop::Plane(error)) => return Err(error),
            Err(Stop::Fault(Fault { reason, message })) => {
                (Condition::new("Ready", false, &format!("{reason:?}"), message, now), PATROL_UNREADY)
            }
        };
        status.conditions = with(&old.conditions, condition.observed(object.meta.generation));
        write_status(&*self.client, &CLOUD_ACCOUNTS, &object, &value["status"], &status).await?;
        Ok(Next::After(next))
    }
}

impl Accounts {
    async fn look(&self, object: &Object) -> Result<(Facts, u32), Stop> {
        let Account { uid, server, .. } = load(&*self.client, object).await?;
        let session = self.sessions.open(&uid, &server).await?;
        let facts = session.facts().clone();
        let count = session.count(&uid).await?;
        session.done();
        Ok((facts, count))
    }
}
