//! The golden matrix: what each bootstrap role of a tenant allows, by resource and verb.
//!
//! `matrix.txt` has a block for each role: verbs, and the resources that they are allowed for,
//! whatever the object is called. With `GOLDEN=write` the
//! test writes it anew; what changed is then seen in review.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use api_resources::PlaneKind;
use api_resources::bootstrap;
use api_resources::catalog::Catalog;
use api_resources::rbac::{Action, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

/// The verbs, and the letters that stand for them.
const VERBS: [(&str, char); 8] = [
    ("get", 'g'),
    ("list", 'l'),
    ("watch", 'w'),
    ("create", 'c'),
    ("update", 'u'),
    ("patch", 'p'),
    ("delete", 'd'),
    ("deletecollection", 'D'),
];

/// Group, resource and subresource of everything that a tenant's plane serves.
fn resources() -> BTreeSet<(String, String, String)> {
    let mut all = BTreeSet::new();
    for row in Catalog::of(PlaneKind::Tenant).rows() {
        let key = |sub: &str| (row.group.to_string(), row.plural.to_string(), sub.to_owned());
        all.insert(key(""));
        all.extend(row.subresources.iter().map(|sub| key(&sub.name)));
    }
    all
}

/// The verbs that a role allows, as letters.
fn allowed(role: &Role, (group, resource, subresource): &(String, String, String)) -> String {
    let allows = |verb: &str| {
        let action = Action::Resource { verb, group, resource, subresource, namespace: "ns", name: "" };
        role.rules.iter().any(|rule| rule.allows(&action))
    };
    VERBS.iter().filter(|(verb, _)| allows(verb)).map(|(_, letter)| *letter).collect()
}

fn matrix() -> String {
    let (resources, mut out) = (resources(), String::new());
    for object in bootstrap::objects(PlaneKind::Tenant) {
        if !object.key.resource.resource.ends_with("roles") {
            continue;
        }
        let role = Role::of(&object.object);
        let mut by_verbs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for of in &resources {
            let verbs = allowed(&role, of);
            let (group, resource, sub) = of;
            let dot = if group.is_empty() { "" } else { "." };
            let slash = if sub.is_empty() { "" } else { "/" };
            if !verbs.is_empty() {
                by_verbs.entry(verbs).or_default().push(format!("{resource}{slash}{sub}{dot}{group}"));
            }
        }
        writeln!(out, "{} {}", object.key.resource.resource, object.key.object).unwrap();
        for (verbs, of) in by_verbs {
            let all = if of.len() == resources.len() { vec!["everything".to_owned()] } else { of };
            writeln!(out, "  {verbs} {}", all.join(" ")).unwrap();
        }
    }
    out
}

#[test]
fn each_role_allows_what_the_matrix_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/roles/matrix.txt");
    let found = matrix();
    if std::env::var("GOLDEN").is_ok_and(|wish| wish == "write") {
        std::fs::write(&file, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    let mut role = "";
    for (found, expected) in found.lines().zip(expected.lines()) {
        if !found.starts_with(' ') {
            role = found;
        }
        assert_eq!(found, expected, "of {role}");
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}
