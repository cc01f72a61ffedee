//! A database that is being deleted: dropped or kept, then let go.
//!
//! An account that is gone or cannot be reached keeps the object, with its reason; `deletionPolicy: Retain` lets it go
//! without a look at the server.

use super::intent::finalizers;
use super::{Databases, mark_of, read_spec};
use crate::fault::{Fault, Reason, Stop};
use crate::request::DeletionPolicy;
use crate::status::{with, write_status};
use api_types::cloud::{
    DATABASE_FINALIZER, DATABASES, DatabasePhase, DatabaseStatus, EXTERNAL_ACCOUNT, EXTERNAL_NAME,
};
use api_types::condition::Condition;
use plane_client::Object;
use serde_json::{Value, json};

impl Databases {
    pub(super) async fn remove(
        &self,
        object: &Object,
        value: &Value,
        old: &DatabaseStatus,
    ) -> Result<Option<String>, Stop> {
        let all = finalizers(value);
        if !all.iter().any(|f| f == DATABASE_FINALIZER) {
            return Ok(None);
        }
        let others: Vec<&String> = all.iter().filter(|f| *f != DATABASE_FINALIZER).collect();
        if !others.is_empty() {
            let message = format!("waiting for the finalizers {others:?}");
            return Err(Fault::new(Reason::WaitingForFinalizers, message).into());
        }
        if old.phase != DatabasePhase::Deleting {
            let condition = Condition::new("Ready", false, "Deleting", "", jiff::Timestamp::now());
            let status = DatabaseStatus {
                phase: DatabasePhase::Deleting,
                conditions: with(&old.conditions, condition.observed(object.meta.generation)),
                ..old.clone()
            };
            // The change is an event: the work goes on with the object as it is then.
            write_status(&*self.client, &DATABASES, object, &value["status"], &status).await?;
            return Ok(None);
        }
        self.clean_up(object, value).await?;
        let body = json!({"metadata": {"uid": object.meta.uid,
            "resourceVersion": value["metadata"]["resourceVersion"], "finalizers": []}});
        match self.patch(object, body).await {
            Ok(_) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Drops what is on the server, if the policy says so. Can be repeated.
    pub(crate) async fn clean_up(&self, object: &Object, value: &Value) -> Result<(), Stop> {
        let annotations = &value["metadata"]["annotations"];
        let (Some(name), Some(account)) =
            (annotations[EXTERNAL_NAME].as_str(), annotations[EXTERNAL_ACCOUNT].as_str())
        else {
            // Nothing was made: the intent comes first.
            return Ok(());
        };
        let policy = DeletionPolicy::parse(&read_spec(value)?.deletion_policy)?;
        if policy == DeletionPolicy::Retain {
            return Ok(());
        }
        let account = self.account(account).await.map_err(|stop| match stop {
            Stop::Fault(fault) if fault.reason == Reason::AccountNotFound => Stop::Fault(Fault::new(
                fault.reason,
                format!(
                    "{}; bring it back, or set deletionPolicy to Retain to leave the database there",
                    fault.message
                ),
            )),
            other => other,
        })?;
        let session = self.sessions.open(&account.uid, &account.server).await?;
        // The name may have been tampered with; the mark on the server decides what is ours.
        session.remove(name, &mark_of(object, &account.uid)).await?;
        session.done();
        Ok(())
    }
}
