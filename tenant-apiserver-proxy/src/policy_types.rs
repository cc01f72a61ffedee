//! The expressions of policies, checked against the types of the kinds that they match.

use crate::in_process::InProcess;
use api_resources::catalog::Catalog;
use api_schema::cel::{self, Objects, Scope};
use api_types::{GroupVersion, TenantId};
use async_trait::async_trait;
use plane_client::{ExpressionWarning, PolicyTypes};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// With so many kinds of one rule, no others are looked at.
const MAX_KINDS: usize = 10;

/// Group, version and kind.
type Kind = (String, String, String);

#[async_trait]
impl PolicyTypes for InProcess {
    async fn warnings(&self, tenant: TenantId, policy: &Value) -> Vec<ExpressionWarning> {
        let Some(plane) = self.server().planes.get(tenant) else { return Vec::new() };
        let (catalog, policy) = (plane.catalog.load_full(), policy.clone());
        let checked = self.server().heavy.compute(true, move || warnings(&catalog, &policy)).await;
        checked.unwrap_or_else(|error| {
            tracing::warn!(%error, "the types of a policy cannot be checked");
            Vec::new()
        })
    }
}

fn warnings(catalog: &Arc<Catalog>, policy: &Value) -> Vec<ExpressionWarning> {
    let spec = &policy["spec"];
    let kinds = kinds(catalog, &spec["matchConstraints"]["resourceRules"]);
    let params = spec["paramKind"].is_object().then(|| params(catalog, &spec["paramKind"]));
    let text = |value: &'_ Value| value.as_str().unwrap_or("").to_owned();
    let own: Vec<(String, String)> =
        list(&spec["variables"]).iter().map(|own| (text(&own["name"]), text(&own["expression"]))).collect();
    let own: Vec<(&str, &str)> = own.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    let mut expressions = Vec::new();
    for (index, validation) in list(&spec["validations"]).iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            if let Some(text) = validation[field].as_str().filter(|text| !text.is_empty()) {
                expressions.push((format!("spec.validations[{index}].{field}"), text));
            }
        }
    }
    let texts: Vec<&str> = expressions.iter().map(|(_, text)| *text).collect();
    let mut told: Vec<Vec<String>> = vec![Vec::new(); texts.len()];
    for ((group, version, kind), objects) in &kinds {
        let scope = Scope { objects, params: params.as_ref().map(Option::as_ref), own: &own };
        for (problems, problem) in told.iter_mut().zip(cel::problems(scope, &texts)) {
            problems.extend(problem.map(|problem| format!("{group}/{version}, Kind={kind}: {problem}\n")));
        }
    }
    let told = expressions.into_iter().zip(told).filter(|(_, problems)| !problems.is_empty());
    told.map(|((field, _), problems)| ExpressionWarning { field, warning: problems.join("\n") }).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The kinds that rules name: no wildcards, and no subresources.
fn kinds(catalog: &Catalog, rules: &Value) -> BTreeMap<Kind, Objects> {
    let mut found = BTreeMap::new();
    for rule in list(rules) {
        let named = |field: &str| {
            let mut all: Vec<&str> = list(&rule[field]).iter().filter_map(Value::as_str).collect();
            all.sort_unstable();
            all
        };
        let (groups, versions) = (named("apiGroups"), named("apiVersions"));
        if groups.iter().chain(&versions).any(|name| name.contains('*')) {
            continue;
        }
        let resources: Vec<&str> =
            named("resources").into_iter().filter(|name| !name.contains(['*', '/'])).collect();
        let mut count = 0;
        for group in &groups {
            for version in &versions {
                for resource in &resources {
                    // The core group stands for all: its name is empty.
                    let matching = catalog
                        .rows()
                        .filter(|row| row.plural == *resource && (group.is_empty() || row.group == *group));
                    for row in matching {
                        let Some(served) = row.versions.iter().find(|served| served.name == *version) else {
                            continue;
                        };
                        let kind = (row.group.to_string(), served.name.to_string(), row.kind.to_string());
                        let objects = || Objects::of(served.graph.at(served.root), &row.kind);
                        found.entry(kind).or_insert_with(objects);
                        count += 1;
                        if count == MAX_KINDS {
                            return found;
                        }
                    }
                }
            }
        }
    }
    found
}

/// What parameters are; `None`: the plane has no such kind.
fn params(catalog: &Catalog, kind: &Value) -> Option<Objects> {
    let version = GroupVersion::parse(kind["apiVersion"].as_str()?)?;
    let row = catalog.by_kind(&version.group, &version.version, kind["kind"].as_str()?)?;
    let served = row.versions.iter().find(|served| served.name == version.version)?;
    Some(Objects::of(served.graph.at(served.root), &row.kind))
}
