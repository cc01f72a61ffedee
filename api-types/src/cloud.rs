//! The kinds of `cloud.insula.dev`: accounts and classes by the platform, databases by tenants.
//!
//! Accounts and classes live in the host plane and are cluster-scoped; databases live in tenants' planes and are
//! namespaced. What a spec leaves out has the default that the field's documentation names.

use crate::condition::Condition;
use crate::identity::Resource;
use crate::tenancy::Custom;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The API group.
pub const GROUP: &str = "cloud.insula.dev";
/// The version.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of the group's objects.
pub const API_VERSION: &str = "cloud.insula.dev/v1alpha1";
/// `cloudaccounts`, host plane, cluster-scoped.
pub const CLOUD_ACCOUNTS: Resource = Resource::new(GROUP, VERSION, "cloudaccounts");
/// `cloudclasses`, host plane, cluster-scoped.
pub const CLOUD_CLASSES: Resource = Resource::new(GROUP, VERSION, "cloudclasses");
/// `databases`, tenants, namespaced.
pub const DATABASES: Resource = Resource::new(GROUP, VERSION, "databases");

/// Finalizer on a `Database` while something of it may be on the account's server.
pub const DATABASE_FINALIZER: &str = "cloud.insula.dev/database";
/// Annotation: the name on the account's server, recorded before anything is made there.
pub const EXTERNAL_NAME: &str = "cloud.insula.dev/external-name";
/// Annotation: the account on which it is made, recorded before anything is made there.
pub const EXTERNAL_ACCOUNT: &str = "cloud.insula.dev/external-account";
/// Annotation: when the intent to create was recorded, RFC 3339.
pub const CREATE_PENDING: &str = "cloud.insula.dev/external-create-pending";
/// Annotation: when the creation was known to have succeeded, RFC 3339.
pub const CREATE_SUCCEEDED: &str = "cloud.insula.dev/external-create-succeeded";
/// Annotation: when the creation was last known to have failed, RFC 3339.
pub const CREATE_FAILED: &str = "cloud.insula.dev/external-create-failed";

/// An account with a cloud, or a server of one's own.
pub type CloudAccount = Custom<CloudAccountSpec, CloudAccountStatus>;
/// A size of what tenants can ask for.
pub type CloudClass = Custom<CloudClassSpec, crate::tenancy::NoStatus>;
/// A database of a tenant.
pub type Database = Custom<DatabaseSpec, DatabaseStatus>;

/// Which cloud, and how it is reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudAccountSpec {
    /// `selfHosted`; `incluster`, `aws`, `alibaba` and `openstack` are not implemented and refused.
    pub provider: String,
    /// For the provider `selfHosted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_hosted: Option<SelfHosted>,
    /// The Secret of the host plane with the credentials. `selfHosted`: keys `username` and `password`, and, to
    /// check the server's certificate, `ca.crt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<SecretReference>,
    /// Limits over all tenants.
    #[serde(skip_serializing_if = "AccountLimits::is_unlimited")]
    pub limits: AccountLimits,
}

/// Servers of one's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SelfHosted {
    /// A PostgreSQL server, 13 or newer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgresql: Option<PostgresqlServer>,
    /// Not implemented: refused when used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mysql: Option<Value>,
}

/// A PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PostgresqlServer {
    /// A host name or an address, as seen by the platform and by tenants' pods.
    pub host: String,
    /// 5432 when absent.
    pub port: u16,
    /// `disable`, `prefer` or `require`; `prefer` when absent.
    pub ssl_mode: String,
}

impl Default for PostgresqlServer {
    fn default() -> Self {
        PostgresqlServer { host: String::new(), port: 5432, ssl_mode: "prefer".to_owned() }
    }
}

/// A Secret of the host plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretReference {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Limits of an account over all tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountLimits {
    /// How many resources; absent: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<u32>,
}

impl AccountLimits {
    /// True when nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        self.resources.is_none()
    }
}

/// What the platform says of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudAccountStatus {
    /// The `metadata.generation` that the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The server's version, such as `15.14`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// How many resources the platform has on the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<u32>,
    /// `Ready`: the platform has just worked with the account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A size. The classes `small`, `medium` and `large` are there without being made; an object of the name replaces it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudClassSpec {
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What a `Database` of this class gets; absent: the class is not for databases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseClass>,
}

/// A size of databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DatabaseClass {
    /// The most connections at once, 1 to 10000; 20 when absent.
    pub connection_limit: u32,
}

impl Default for DatabaseClass {
    fn default() -> Self {
        DatabaseClass { connection_limit: 20 }
    }
}

/// What database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DatabaseSpec {
    /// `postgresql`; `mysql` is not implemented and refused.
    pub engine: String,
    /// The major version, such as `"15"`; absent: the account's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// A `CloudClass`; absent: 20 connections.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub class: String,
    /// A `CloudAccount` that the tenant may use; absent: the tenant's first that offers the engine.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// `Delete` or `Retain`; `Delete` when absent. `Snapshot` is not implemented and refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deletion_policy: String,
    /// The Secret that the platform writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_secret: Option<ConnectionSecret>,
}

/// The Secret with the keys `host`, `port`, `username`, `password`, `database` and `uri`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionSecret {
    /// Its name, in the database's namespace; absent: the database's name and `-connection`.
    pub name: String,
}

/// Where a database is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DatabasePhase {
    /// Nothing was made yet.
    #[default]
    Pending,
    /// It is being made.
    Creating,
    /// It can be used.
    Ready,
    /// It is being removed.
    Deleting,
    /// It cannot be made or used as the spec stands; the `Ready` condition says why.
    Failed,
}

/// What the platform says of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DatabaseStatus {
    /// Where it is in its life.
    pub phase: DatabasePhase,
    /// Its name, and its role's, on the server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_name: String,
    /// `host:port`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// The `metadata.generation` that the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_example_of_an_account_survives_a_round_trip() {
        let spec = json!({"provider": "selfHosted",
            "selfHosted": {"postgresql": {"host": "127.0.0.1", "port": 5432, "sslMode": "prefer"}},
            "credentialsSecret": {"namespace": "insula-system", "name": "datacenter"},
            "limits": {"resources": 100}});
        let decoded: CloudAccountSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(serde_json::to_value(decoded).unwrap(), spec);
    }

    #[test]
    fn the_example_of_a_database_survives_a_round_trip() {
        let object = json!({"apiVersion": API_VERSION, "kind": "Database", "metadata": {"name": "orders"},
            "spec": {"engine": "postgresql", "version": "15", "class": "small", "account": "datacenter",
                "deletionPolicy": "Delete", "connectionSecret": {"name": "orders-conn"}},
            "status": {"phase": "Ready", "externalName": "insula-acme-orders", "endpoint": "127.0.0.1:5432"}});
        let decoded: Database = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(serde_json::to_value(decoded).unwrap(), object);
    }
}
