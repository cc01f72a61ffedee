//! Accounts, classes, databases.

use crate::verdict::Verdict::{Enforced, Informational, Partly, Written};
use crate::verdict::{KindFields, refused, value};

const GROUP: &str = "cloud.insula.dev";
const ACCOUNT: &str = "cloud-adapters/src/account.rs";
const ACCOUNTS: &str = "cloud-adapters/src/accounts.rs";
const DATABASES: &str = "cloud-adapters/src/databases.rs";
const REQUEST: &str = "cloud-adapters/src/request.rs";

/// Every kind.
pub const KINDS: &[KindFields] = &[
    KindFields {
        group: GROUP,
        kind: "CloudAccount",
        page: "databases.md",
        good: r#"{"provider": "selfHosted", "selfHosted": {"postgresql": {"host": "db.example.com"}},
            "credentialsSecret": {"name": "datacenter"}}"#,
        rows: &[
            (
                "spec.provider",
                Partly(
                    ACCOUNT,
                    &[
                        value(
                            r#"{"provider": "incluster"}"#,
                            "not implemented in this release; use selfHosted",
                        ),
                        value(r#"{"provider": "aws"}"#, "not implemented in this release; use selfHosted"),
                        value(
                            r#"{"provider": "alibaba"}"#,
                            "not implemented in this release; use selfHosted",
                        ),
                        value(
                            r#"{"provider": "openstack"}"#,
                            "not implemented in this release; use selfHosted",
                        ),
                    ],
                ),
            ),
            ("spec.selfHosted.postgresql.host", Enforced(ACCOUNT)),
            ("spec.selfHosted.postgresql.port", Enforced(ACCOUNT)),
            ("spec.selfHosted.postgresql.sslMode", Enforced(ACCOUNT)),
            ("spec.selfHosted.mysql", refused("not implemented in this release; use postgresql")),
            ("spec.credentialsSecret", Enforced(ACCOUNT)),
            // Ends as `Wanted::resource_limit`, which tests/tests and cloud-adapters/src/tests/steps.rs reach.
            ("spec.limits.resources", Enforced(ACCOUNT)),
            ("status.conditions", Written(ACCOUNTS)),
            ("status.observedGeneration", Written(ACCOUNTS)),
            ("status.resources", Written(ACCOUNTS)),
            ("status.version", Written(ACCOUNTS)),
        ],
    },
    KindFields {
        group: GROUP,
        kind: "CloudClass",
        page: "databases.md",
        good: r#"{"database": {"connectionLimit": 5}}"#,
        rows: &[("spec.database.connectionLimit", Enforced(REQUEST)), ("spec.description", Informational)],
    },
    KindFields {
        group: GROUP,
        kind: "Database",
        page: "databases.md",
        good: r#"{"engine": "postgresql"}"#,
        rows: &[
            ("spec.account", Enforced(DATABASES)),
            ("spec.class", Enforced(REQUEST)),
            ("spec.connectionSecret.name", Enforced(REQUEST)),
            (
                "spec.deletionPolicy",
                Partly(
                    REQUEST,
                    &[value(
                        r#"{"deletionPolicy": "Snapshot"}"#,
                        "not implemented in this release; use Delete or Retain",
                    )],
                ),
            ),
            (
                "spec.engine",
                Partly(
                    REQUEST,
                    &[value(r#"{"engine": "mysql"}"#, "not implemented in this release; use postgresql")],
                ),
            ),
            ("spec.version", Enforced(REQUEST)),
            ("status", Written(DATABASES)),
        ],
    },
];
