//! The intent to create, recorded before the server hears of it, and what came of it.

use super::Databases;
use crate::account::PLATFORM;
use crate::fault::Stop;
use crate::names::external_name;
use crate::status::write_status;
use crate::tenants::{FINALIZER, Tenant};
use api_types::cloud::{
    CREATE_FAILED, CREATE_PENDING, CREATE_SUCCEEDED, DATABASE_FINALIZER, DATABASES, DatabasePhase,
    DatabaseStatus, EXTERNAL_ACCOUNT, EXTERNAL_NAME,
};
use api_types::condition::{Condition, whole_seconds};
use api_types::{ApiError, ObjectName, TenantId, tenancy};
use plane_client::{Object, Patch, Target, Write};
use serde_json::{Value, json};

/// What is to be made, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The name on the server.
    pub external_name: String,
    /// The account.
    pub account: String,
}

impl Intent {
    /// The intent for a database; its name follows from the names of tenant and object alone.
    pub fn new(tenant: &str, object: &ObjectName, account: &str) -> Self {
        Intent {
            external_name: external_name(tenant, &object.namespace, &object.name),
            account: account.to_owned(),
        }
    }

    /// True when the object says so, and will not go without being cleaned up.
    pub fn is_recorded(&self, object: &Value) -> bool {
        let annotations = &object["metadata"]["annotations"];
        annotations[EXTERNAL_NAME] == self.external_name
            && annotations[EXTERNAL_ACCOUNT] == self.account
            && annotations[CREATE_PENDING].is_string()
            && finalizers(object).iter().any(|f| f == DATABASE_FINALIZER)
    }
}

/// `metadata.finalizers`.
pub(super) fn finalizers(object: &Value) -> Vec<String> {
    let list = object["metadata"]["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Databases {
    /// Records the intent on the object as it was read; a conflict means that it was changed meanwhile.
    pub(super) async fn record(
        &self,
        object: &Object,
        value: &Value,
        intent: &Intent,
        old: &DatabaseStatus,
    ) -> Result<(), Stop> {
        let now = jiff::Timestamp::now();
        let generation = object.meta.generation;
        let creating = Condition::new("Ready", false, "Creating", "", now).observed(generation);
        let status = DatabaseStatus {
            phase: DatabasePhase::Creating,
            external_name: intent.external_name.clone(),
            endpoint: old.endpoint.clone(),
            observed_generation: Some(generation),
            conditions: crate::status::with(&old.conditions, creating),
        };
        let mut finalizers = finalizers(value);
        if !finalizers.iter().any(|f| f == DATABASE_FINALIZER) {
            finalizers.push(DATABASE_FINALIZER.to_owned());
        }
        let body = json!({"metadata": {
            "uid": object.meta.uid, "resourceVersion": value["metadata"]["resourceVersion"], "finalizers": finalizers,
            "annotations": {EXTERNAL_NAME: intent.external_name, EXTERNAL_ACCOUNT: intent.account,
                CREATE_PENDING: whole_seconds(now)}}});
        let recorded = self.patch(object, body).await?;
        write_status(&*self.client, &DATABASES, &recorded, &value["status"], &status).await?;
        Ok(())
    }

    /// Records that the creation succeeded, or failed, unless that is recorded already.
    pub(super) async fn record_outcome(
        &self,
        object: &Object,
        value: &Value,
        succeeded: bool,
    ) -> Result<(), ApiError> {
        let annotations = &value["metadata"]["annotations"];
        if annotations[CREATE_SUCCEEDED].is_string() || (!succeeded && annotations[CREATE_FAILED].is_string())
        {
            return Ok(());
        }
        let now = whole_seconds(jiff::Timestamp::now());
        let outcome = if succeeded {
            json!({CREATE_SUCCEEDED: now, CREATE_FAILED: null})
        } else {
            json!({CREATE_FAILED: now})
        };
        self.patch(object, json!({"metadata": {"uid": object.meta.uid, "annotations": outcome}}))
            .await
            .map(|_| ())
    }

    /// Keeps the tenant until its databases are cleaned up.
    pub(super) async fn hold_tenant(&self, tenant: &Tenant) -> Result<(), ApiError> {
        if tenant.held {
            return Ok(());
        }
        let resource = tenancy::TENANTS.group_resource();
        let name = ObjectName::cluster(&tenant.name);
        let Some(object) = self.client.get(TenantId::HOST, &resource, &name).await? else {
            return Err(ApiError::not_found(&resource, &tenant.name));
        };
        let value = object.value()?;
        let mut finalizers = finalizers(&value);
        if finalizers.iter().any(|f| f == FINALIZER) {
            return Ok(());
        }
        finalizers.push(FINALIZER.to_owned());
        let body = json!({"metadata": {"uid": object.meta.uid,
            "resourceVersion": value["metadata"]["resourceVersion"], "finalizers": finalizers}});
        let target = Target::new(TenantId::HOST, &tenancy::TENANTS, "", &tenant.name);
        self.client.write(&PLATFORM, &target, Write::Patch(Patch::Merge(body))).await.map(|_| ())
    }

    pub(super) async fn patch(&self, object: &Object, body: Value) -> Result<Object, ApiError> {
        let target = Target::new(object.tenant, &DATABASES, &object.name.namespace, &object.name.name);
        self.client.write(&PLATFORM, &target, Write::Patch(Patch::Merge(body))).await
    }
}
