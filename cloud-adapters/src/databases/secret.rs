//! The connection Secret: the only place where the password is.

use super::Databases;
use crate::account::{Account, MANAGER, PLATFORM, SECRETS};
use crate::connection::{Connection, Password, secret_text};
use crate::fault::{Fault, Reason, Stop};
use crate::postgresql::Session;
use crate::request::secret_name;
use api_types::cloud::{API_VERSION, DatabaseSpec};
use api_types::labels::AUTHOR;
use api_types::{ObjectName, Reason as ApiReason};
use plane_client::{Actor, Object, Patch, Target, Write};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Recorded {
    user: String,
    #[serde(default)]
    groups: Vec<String>,
}

/// As whom the Secret is written: the author that the API server recorded; the platform where it recorded none.
pub(super) fn writer(database: &Value) -> Result<Actor, Fault> {
    let Some(text) = database["metadata"]["annotations"][AUTHOR].as_str() else { return Ok(PLATFORM) };
    match serde_json::from_str::<Recorded>(text) {
        Ok(Recorded { user, groups }) if !user.is_empty() => {
            Ok(Actor::User { user, groups, manager: MANAGER })
        }
        _ => Err(Fault::new(
            Reason::AuthorUnknown,
            format!("the annotation {AUTHOR} cannot be read; write the object again"),
        )),
    }
}

impl Databases {
    /// Sees to it that the Secret is there and its password works.
    pub(super) async fn ensure_secret(
        &self,
        object: &Object,
        value: &Value,
        spec: &DatabaseSpec,
        account: &Account,
        external_name: &str,
        session: &Session,
    ) -> Result<(), Stop> {
        let name = secret_name(spec, &object.name.name);
        let key = ObjectName::new(&object.name.namespace, &name);
        let live = self.client.get(object.tenant, &SECRETS.group_resource(), &key).await?;
        if live.as_ref().is_some_and(|live| live.meta.controller().is_none_or(|o| o.uid != object.meta.uid)) {
            let message = format!(
                "spec.connectionSecret: Secret {name:?} is there already and belongs to something else"
            );
            return Err(Fault::new(Reason::SecretNotOwned, message).into());
        }
        let live = live.filter(|live| !live.meta.deleting).map(|live| live.value()).transpose()?;
        let kept = live.as_ref().and_then(|secret| secret_text(secret, "password")).map(Password::new);
        let works = match &kept {
            Some(password) => account.server.accepts(external_name, password, external_name).await?,
            None => false,
        };
        let password = match kept.filter(|_| works) {
            Some(password) => password,
            None => {
                // First the server, then the Secret: a crash between them leaves a password that does not work, which
                // the next look notices.
                let password = Password::random();
                session.set_password(external_name, &password).await?;
                password
            }
        };
        let connection = Connection {
            host: account.server.host.clone(),
            port: account.server.port,
            username: external_name.to_owned(),
            password,
            database: external_name.to_owned(),
            ssl_mode: account.server.ssl_mode.word(),
        };
        let data = Value::Object(connection.secret_data());
        if live.is_some_and(|live| live["data"] == data) {
            return Ok(());
        }
        let body = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": name, "namespace": object.name.namespace, "ownerReferences": [{
                "apiVersion": API_VERSION, "kind": "Database", "name": object.name.name, "uid": object.meta.uid,
                "controller": true, "blockOwnerDeletion": true}]},
            "data": data});
        let target = Target::new(object.tenant, &SECRETS, &object.name.namespace, &name);
        match self.client.write(&writer(value)?, &target, Write::Patch(Patch::Apply(body))).await {
            Ok(_) => Ok(()),
            Err(error)
                if matches!(
                    error.reason(),
                    ApiReason::Forbidden | ApiReason::Invalid | ApiReason::BadRequest
                ) =>
            {
                let message = format!("the connection Secret cannot be written: {error}");
                Err(Fault::new(Reason::SecretRefused, message).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
