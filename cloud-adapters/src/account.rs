//! A `CloudAccount` and its credentials, read and checked.

use crate::connection::{Password, secret_text};
use crate::fault::{Fault, Reason, Stop};
use crate::postgresql::{Server, SslMode};
use api_types::cloud::{CLOUD_ACCOUNTS, CloudAccountSpec, SecretReference};
use api_types::{ApiError, ObjectName, Resource, TenantId};
use plane_client::{Actor, Object, PlaneClient};
use serde_json::Value;

/// The field manager of the cloud adapters, and the name of their identity.
pub const MANAGER: &str = "cloud-adapters";
/// The platform's own identity.
pub const PLATFORM: Actor = Actor::Platform(MANAGER);
/// `v1` Secrets.
pub const SECRETS: Resource = Resource::new("", "v1", "secrets");

/// The providers of the API, and whether they are implemented.
const PROVIDERS: &[(&str, bool)] =
    &[("selfHosted", true), ("incluster", false), ("aws", false), ("alibaba", false), ("openstack", false)];

/// An account that can be worked with.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its PostgreSQL server.
    pub server: Server,
    /// The most resources.
    pub limit: Option<u32>,
}

/// Reads an account by name; `None` when there is none.
pub async fn find(client: &dyn PlaneClient, name: &str) -> Result<Option<Object>, ApiError> {
    client.get(TenantId::HOST, &CLOUD_ACCOUNTS.group_resource(), &ObjectName::cluster(name)).await
}

/// Reads the spec of an account.
pub fn spec_of(object: &Object) -> Result<CloudAccountSpec, Stop> {
    let mut value = object.value()?;
    serde_json::from_value(value["spec"].take())
        .map_err(|error| Fault::new(Reason::InvalidSpec, format!("spec: {error}")).into())
}

/// What can be said of an account's spec without its credentials.
pub fn check(spec: &CloudAccountSpec) -> Result<(), Fault> {
    let invalid = |message: String| Err(Fault::new(Reason::InvalidSpec, message));
    match PROVIDERS.iter().find(|(name, _)| *name == spec.provider) {
        Some((_, true)) => {}
        Some((name, false)) => {
            let message = format!("spec.provider: {name:?} is not implemented; use \"selfHosted\"");
            return Err(Fault::new(Reason::NotImplemented, message));
        }
        None => {
            let known: Vec<&str> = PROVIDERS.iter().map(|(name, _)| *name).collect();
            return invalid(format!("spec.provider: {:?} is not one of {known:?}", spec.provider));
        }
    }
    let Some(self_hosted) = &spec.self_hosted else {
        return invalid("spec.selfHosted: required for the provider \"selfHosted\"".to_owned());
    };
    if self_hosted.mysql.is_some() {
        let message = "spec.selfHosted.mysql is not implemented; use postgresql";
        return Err(Fault::new(Reason::NotImplemented, message));
    }
    let Some(server) = &self_hosted.postgresql else {
        return invalid("spec.selfHosted.postgresql: required".to_owned());
    };
    // A list of hosts or a socket's directory would be understood by libpq, not by every client of the URI.
    if server.host.is_empty() || server.host.contains([',', '/', ' ', '@']) {
        return invalid("spec.selfHosted.postgresql.host: one host name or address is required".to_owned());
    }
    if server.port == 0 {
        return invalid("spec.selfHosted.postgresql.port: must be between 1 and 65535".to_owned());
    }
    if SslMode::parse(&server.ssl_mode).is_none() {
        let message = format!(
            "spec.selfHosted.postgresql.sslMode: {:?} is not one of [\"disable\", \"prefer\", \"require\"]",
            server.ssl_mode
        );
        return invalid(message);
    }
    match &spec.credentials_secret {
        Some(secret) if !secret.name.is_empty() && !secret.namespace.is_empty() => Ok(()),
        _ => invalid("spec.credentialsSecret: namespace and name are required".to_owned()),
    }
}

/// True when the account offers the engine, whether or not it works at the moment.
pub fn offers(spec: &CloudAccountSpec, engine: &str) -> bool {
    let server = spec.self_hosted.as_ref().and_then(|servers| servers.postgresql.as_ref());
    spec.provider == "selfHosted" && engine == "postgresql" && server.is_some()
}

/// An account with its credentials.
pub async fn load(client: &dyn PlaneClient, object: &Object) -> Result<Account, Stop> {
    let spec = spec_of(object)?;
    check(&spec)?;
    let (Some(server), Some(reference)) =
        (spec.self_hosted.and_then(|servers| servers.postgresql), &spec.credentials_secret)
    else {
        return Err(Fault::new(Reason::InvalidSpec, "spec is incomplete").into());
    };
    let secret = credentials(client, reference).await?;
    let text = |key: &str| secret_text(&secret, key).filter(|text| !text.is_empty());
    let (Some(username), Some(password)) = (text("username"), text("password")) else {
        let message =
            "the account's credentials are incomplete: the Secret needs the keys username and password";
        return Err(Fault::new(Reason::CredentialsMissing, message).into());
    };
    Ok(Account {
        name: object.name.name.to_string(),
        uid: object.meta.uid.to_string(),
        server: Server {
            host: server.host,
            port: server.port,
            ssl_mode: SslMode::parse(&server.ssl_mode).unwrap_or(SslMode::Require),
            ca: text("ca.crt"),
            username,
            password: Password::new(password),
        },
        limit: spec.limits.resources,
    })
}

async fn credentials(client: &dyn PlaneClient, reference: &SecretReference) -> Result<Value, Stop> {
    let name = ObjectName::new(&reference.namespace, &reference.name);
    match client.get(TenantId::HOST, &SECRETS.group_resource(), &name).await? {
        Some(secret) => Ok(secret.value()?),
        None => Err(Fault::new(
            Reason::CredentialsMissing,
            "the Secret with the account's credentials does not exist",
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_implemented_is_refused_by_name() {
        let spec = |patch: Value| {
            let mut spec = json!({"provider": "selfHosted",
                "selfHosted": {"postgresql": {"host": "127.0.0.1", "port": 5432, "sslMode": "prefer"}},
                "credentialsSecret": {"namespace": "insula-system", "name": "datacenter"}});
            for (key, value) in patch.as_object().unwrap() {
                spec[key] = value.clone();
            }
            serde_json::from_value::<CloudAccountSpec>(spec).unwrap()
        };
        check(&spec(json!({}))).unwrap();
        for (patch, reason, word) in [
            (json!({"provider": "aws"}), Reason::NotImplemented, "aws"),
            (json!({"provider": "openstack"}), Reason::NotImplemented, "openstack"),
            (json!({"provider": "azure"}), Reason::InvalidSpec, "azure"),
            (json!({"selfHosted": null}), Reason::InvalidSpec, "selfHosted"),
            (json!({"selfHosted": {"mysql": {}}}), Reason::NotImplemented, "mysql"),
            (json!({"selfHosted": {"postgresql": {"host": "a,b"}}}), Reason::InvalidSpec, "host"),
            (
                json!({"selfHosted": {"postgresql": {"host": "a", "sslMode": "verify-full"}}}),
                Reason::InvalidSpec,
                "verify-full",
            ),
            (json!({"credentialsSecret": null}), Reason::InvalidSpec, "credentialsSecret"),
        ] {
            let fault = check(&spec(patch.clone())).unwrap_err();
            assert!(fault.reason == reason && fault.message.contains(word), "{patch}: {fault:?}");
        }
    }
}
