//! What a `Database` asks for, checked. Pure, but for [`class_of`], which reads.

use crate::fault::{Fault, Reason, Stop};
use api_types::cloud::{CLOUD_CLASSES, CloudClass, DatabaseClass, DatabaseSpec};
use api_types::{ObjectName, TenantId};
use plane_client::PlaneClient;

/// What becomes of the database when its object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// It is dropped.
    Delete,
    /// It stays.
    Retain,
}

impl DeletionPolicy {
    /// Reads the word.
    pub fn parse(word: &str) -> Result<Self, Fault> {
        match word {
            "" | "Delete" => Ok(DeletionPolicy::Delete),
            "Retain" => Ok(DeletionPolicy::Retain),
            "Snapshot" => Err(Fault::new(
                Reason::NotImplemented,
                "spec.deletionPolicy: \"Snapshot\" is not implemented; use \"Delete\" or \"Retain\"",
            )),
            other => Err(Fault::new(
                Reason::InvalidSpec,
                format!("spec.deletionPolicy: {other:?} is not one of [\"Delete\", \"Retain\"]"),
            )),
        }
    }
}

/// Checks what needs no look at anything else.
pub fn check(spec: &DatabaseSpec) -> Result<(), Fault> {
    match spec.engine.as_str() {
        "postgresql" => {}
        "mysql" => {
            let message = "spec.engine: \"mysql\" is not implemented; use \"postgresql\"";
            return Err(Fault::new(Reason::NotImplemented, message));
        }
        other => {
            let message = format!("spec.engine: {other:?} is not one of [\"postgresql\"]");
            return Err(Fault::new(Reason::InvalidSpec, message));
        }
    }
    if !spec.version.is_empty() && spec.version.parse::<u32>().is_err() {
        let message = format!("spec.version: {:?} is not a major version, such as \"15\"", spec.version);
        return Err(Fault::new(Reason::InvalidSpec, message));
    }
    DeletionPolicy::parse(&spec.deletion_policy).map(|_| ())
}

/// Whether the server has the version that is asked for.
pub fn check_version(spec: &DatabaseSpec, major: u32) -> Result<(), Fault> {
    if spec.version.is_empty() || spec.version == major.to_string() {
        return Ok(());
    }
    let message = format!("spec.version: the account has PostgreSQL {major}, not {}", spec.version);
    Err(Fault::new(Reason::VersionNotOffered, message))
}

/// The name of the connection Secret.
pub fn secret_name(spec: &DatabaseSpec, database: &str) -> String {
    let named =
        spec.connection_secret.as_ref().map(|secret| secret.name.as_str()).filter(|name| !name.is_empty());
    named.map_or_else(|| format!("{database}-connection"), str::to_owned)
}

/// The classes that are there without being made, and their connections.
const CLASSES: &[(&str, u32)] = &[("small", 20), ("medium", 50), ("large", 100)];

/// What a class gives: the platform's object, else the built-in class of the name.
pub async fn class_of(client: &dyn PlaneClient, spec: &DatabaseSpec) -> Result<DatabaseClass, Stop> {
    let name = spec.class.as_str();
    if name.is_empty() {
        return Ok(DatabaseClass::default());
    }
    let fault = |message: String| Stop::from(Fault::new(Reason::ClassNotFound, message));
    let object =
        client.get(TenantId::HOST, &CLOUD_CLASSES.group_resource(), &ObjectName::cluster(name)).await?;
    let Some(object) = object else {
        let built_in = CLASSES.iter().find(|(class, _)| *class == name);
        return built_in
            .map(|(_, connections)| DatabaseClass { connection_limit: *connections })
            .ok_or_else(|| fault(format!("spec.class: there is no class {name:?}")));
    };
    let class: CloudClass = object.decode()?;
    match class.spec.database {
        Some(database) if (1..=10_000).contains(&database.connection_limit) => Ok(database),
        Some(_) => {
            Err(fault(format!("spec.class: {name:?} has a connectionLimit that is not between 1 and 10000")))
        }
        None => Err(fault(format!("spec.class: {name:?} is not a class for databases"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_checked() {
        let spec = |json| serde_json::from_value::<DatabaseSpec>(json).unwrap();
        check(&spec(json!({"engine": "postgresql", "version": "15", "deletionPolicy": "Retain"}))).unwrap();
        for (body, reason) in [
            (json!({"engine": "mysql"}), Reason::NotImplemented),
            (json!({"engine": "oracle"}), Reason::InvalidSpec),
            (json!({}), Reason::InvalidSpec),
            (json!({"engine": "postgresql", "version": "15.2"}), Reason::InvalidSpec),
            (json!({"engine": "postgresql", "deletionPolicy": "Snapshot"}), Reason::NotImplemented),
            (json!({"engine": "postgresql", "deletionPolicy": "delete"}), Reason::InvalidSpec),
        ] {
            assert_eq!(check(&spec(body.clone())).unwrap_err().reason, reason, "{body}");
        }
        assert!(check_version(&spec(json!({"version": "15"})), 15).is_ok());
        assert!(check_version(&spec(json!({})), 15).is_ok());
        assert_eq!(
            check_version(&spec(json!({"version": "16"})), 15).unwrap_err().reason,
            Reason::VersionNotOffered
        );
        assert_eq!(secret_name(&spec(json!({})), "orders"), "orders-connection");
        assert_eq!(secret_name(&spec(json!({"connectionSecret": {"name": "c"}})), "orders"), "c");
    }
}
