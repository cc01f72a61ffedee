//! Accounts at clouds, classes of cloud resources, databases.

use super::required::required;
use super::{Row, Rules, not_yet, unless_same_spec, within};
use crate::kinds::place::{
    Place, immutable, invalid_all, not_negative, one_of, set_default, set_default_text,
};
use crate::names;
use api_types::Cause;
use api_types::cloud::GROUP;
use api_types::tenancy::SYSTEM_NAMESPACE;
use serde_json::Value;

const PROVIDERS: &[&str] = &["selfHosted", "incluster", "aws", "alibaba", "openstack"];

pub(super) const STRATEGIES: &[Row] = &[
    (
        GROUP,
        "CloudAccount",
        Rules {
            default: default_account,
            validate_create: account,
            validate_update: |new, old| {
                unless_same_spec(new, old, |new| {
                    let mut out = account(new);
                    immutable(&mut out, new, old, "spec.provider");
                    out
                })
            },
            name: Some(names::dns_label),
        },
    ),
    (
        GROUP,
        "CloudClass",
        Rules {
            default: |_| {},
            validate_create: class,
            validate_update: |new, old| unless_same_spec(new, old, class),
            name: Some(names::dns_label),
        },
    ),
    (
        GROUP,
        "Database",
        Rules {
            default: |object| {
                if let Some(spec) = object.get_mut("spec") {
                    set_default_text(spec, "deletionPolicy", "Delete");
                }
            },
            validate_create: database,
            validate_update: |new, old| {
                unless_same_spec(new, old, |new| {
                    let mut out = database(new);
                    for field in ["spec.engine", "spec.account", "spec.connectionSecret"] {
                        immutable(&mut out, new, old, field);
                    }
                    out
                })
            },
            name: Some(names::dns_label),
        },
    ),
];

fn default_account(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    if let Some(secret) = spec.get_mut("credentialsSecret") {
        set_default_text(secret, "namespace", SYSTEM_NAMESPACE);
    }
    if let Some(server) = spec.get_mut("selfHosted").and_then(|hosted| hosted.get_mut("postgresql")) {
        set_default(server, "port", 5432);
        set_default_text(server, "sslMode", "prefer");
    }
}

fn account(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "CloudAccount", object);
    let spec = Place::root(object).field("spec");
    match spec.text("provider") {
        "selfHosted" => self_hosted(&mut out, &spec),
        "" => {}
        known if PROVIDERS.contains(&known) => {
            not_yet(&mut out, &spec.field("provider"), "this provider is", "use selfHosted");
        }
        _ => one_of(&mut out, &spec, "provider", PROVIDERS),
    }
    not_negative(&mut out, &spec.field("limits"), "resources");
    out
}

fn self_hosted(out: &mut Vec<Cause>, spec: &Place<'_>) {
    let server = spec.field("selfHosted").field("postgresql");
    if server.value.is_null() {
        out.push(Cause::required(server.path.clone(), "where the PostgreSQL server is"));
    }
    // Clients read lists of hosts, sockets' folders and users out of these, and not all of them the same ones.
    let host = server.text("host");
    if host.contains([',', '/', '@']) || host.contains(char::is_whitespace) {
        out.push(Cause::invalid(server.of("host"), &Value::from(host), "must be one host name or address"));
    }
    within(out, &server, "port", 1, 65535);
    one_of(out, &server, "sslMode", &["disable", "prefer", "require"]);
    let hosted = spec.field("selfHosted");
    if hosted.has("mysql") {
        not_yet(out, &hosted.field("mysql"), "MySQL is", "use postgresql");
    }
    if spec.lacks("credentialsSecret") {
        out.push(Cause::required(spec.of("credentialsSecret"), "with the keys username and password"));
    }
}

fn class(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "CloudClass", object);
    within(&mut out, &Place::root(object).field("spec").field("database"), "connectionLimit", 1, 10_000);
    out
}

fn database(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "Database", object);
    let spec = Place::root(object).field("spec");
    one_of(&mut out, &spec, "engine", &["postgresql", "mysql"]);
    if spec.text("engine") == "mysql" {
        not_yet(&mut out, &spec.field("engine"), "MySQL is", "use postgresql");
    }
    one_of(&mut out, &spec, "deletionPolicy", &["Delete", "Retain", "Snapshot"]);
    if spec.text("deletionPolicy") == "Snapshot" {
        not_yet(&mut out, &spec.field("deletionPolicy"), "snapshots are", "use Delete or Retain");
    }
    let version = spec.text("version");
    if !version.is_empty() && (!version.bytes().all(|byte| byte.is_ascii_digit()) || version.starts_with('0'))
    {
        let why = "must be a major version, such as \"15\"";
        out.push(Cause::invalid(spec.of("version"), spec.field("version").value, why));
    }
    // Both name objects of the host plane.
    for field in ["class", "account"] {
        let name = spec.text(field);
        if !name.is_empty() {
            invalid_all(&mut out, &spec.of(field), name, names::dns_label(name));
        }
    }
    let secret = spec.field("connectionSecret");
    let name = secret.text("name");
    if !name.is_empty() {
        invalid_all(&mut out, &secret.of("name"), name, names::dns_subdomain(name));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::fields;
    use super::*;
    use serde_json::json;

    fn good_account() -> Value {
        json!({"spec": {"provider": "selfHosted", "selfHosted": {"postgresql": {"host": "127.0.0.1"}},
            "credentialsSecret": {"name": "datacenter"}, "limits": {"resources": 100}}})
    }

    #[test]
    fn accounts_get_defaults_and_are_checked() {
        let mut object = good_account();
        default_account(&mut object);
        assert_eq!(
            object["spec"]["selfHosted"]["postgresql"],
            json!({"host": "127.0.0.1", "port": 5432, "sslMode": "prefer"})
        );
        assert_eq!(object["spec"]["credentialsSecret"]["namespace"], "insula-system");
        assert_eq!(account(&object), []);
        for (pointer, value, field) in [
            ("/spec/provider", json!("gcp"), "spec.provider"),
            ("/spec/provider", json!("aws"), "spec.provider"),
            ("/spec/provider", json!(""), "spec.provider"),
            ("/spec/selfHosted", json!({}), "spec.selfHosted.postgresql"),
            ("/spec/selfHosted/postgresql/host", json!("a,b"), "spec.selfHosted.postgresql.host"),
            ("/spec/selfHosted/postgresql/host", json!("/run"), "spec.selfHosted.postgresql.host"),
            ("/spec/selfHosted/postgresql/port", json!(0), "spec.selfHosted.postgresql.port"),
            ("/spec/selfHosted/postgresql/sslMode", json!("maybe"), "spec.selfHosted.postgresql.sslMode"),
            ("/spec/credentialsSecret", Value::Null, "spec.credentialsSecret"),
            ("/spec/limits/resources", json!(-1), "spec.limits.resources"),
        ] {
            let mut bad = object.clone();
            *bad.pointer_mut(pointer).unwrap() = value.clone();
            assert_eq!(fields(GROUP, "CloudAccount", &bad), [field], "{pointer} {value}");
        }
    }

    #[test]
    fn databases_are_checked_and_keep_their_engine() {
        let good = json!({"spec": {"engine": "postgresql", "version": "15", "class": "small",
            "connectionSecret": {"name": "orders-conn"}}});
        assert_eq!(database(&good), []);
        for (field, value, causes) in [
            ("engine", json!("oracle"), "spec.engine"),
            ("engine", json!("mysql"), "spec.engine"),
            ("deletionPolicy", json!("Snapshot"), "spec.deletionPolicy"),
            ("version", json!("15.2"), "spec.version"),
            ("version", json!("latest"), "spec.version"),
            ("class", json!("Small"), "spec.class"),
            ("account", json!("a b"), "spec.account"),
            ("connectionSecret", json!({"name": "A"}), "spec.connectionSecret.name"),
        ] {
            let mut bad = good.clone();
            bad["spec"][field] = value.clone();
            assert_eq!(fields(GROUP, "Database", &bad), [causes], "{field} {value}");
        }
        let strategy = super::super::strategy(GROUP, "Database");
        let mut moved = good.clone();
        moved["spec"]["account"] = json!("other");
        assert_eq!((strategy.validate_update)(&moved, &good)[0].field, "spec.account");
        // What an earlier release stored can still be let go.
        let mut old = good.clone();
        old["spec"]["version"] = json!("15.2");
        let mut released = old.clone();
        released["metadata"] = json!({"finalizers": []});
        assert_eq!((strategy.validate_update)(&released, &old), []);
    }
}
