//! Whoever writes a role or a binding must hold every right that it gives.

use super::{Rule, User};
use crate::rbac::rule::{covers_path, has_or_all};
use compact_str::CompactString;

/// The rights in `wanted` that no single rule of `held` gives, each on its own: one group, one resource, one verb.
pub fn uncovered(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let single = wanted.iter().flat_map(break_down);
    single.filter(|right| !held.iter().any(|rule| covers(rule, right))).collect()
}

/// What a user is told who gives away rights that they do not hold; `None` when they hold them all. `missing` is
/// what was not found while the user's rules were collected. For `ApiError::forbidden`.
pub fn escalation(user: User<'_>, held: &[Rule], wanted: &[Rule], missing: &[String]) -> Option<String> {
    let lacking = uncovered(held, wanted);
    if lacking.is_empty() {
        return None;
    }
    let mut lines: Vec<String> = compact(lacking).iter().map(print).collect();
    lines.sort();
    lines.dedup();
    let mut text = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(user.groups),
        lines.join("\n")
    );
    if !missing.is_empty() {
        text.push_str(&format!("; resolution errors: [{}]", missing.join(" ")));
    }
    Some(text)
}

/// What a user is told who writes a ClusterRole with an `aggregationRule` without holding every right there is, since
/// nobody knows what will be aggregated; `None` for one who holds them. For `ApiError::forbidden`.
pub fn aggregation_refusal(held: &[Rule]) -> Option<&'static str> {
    let all = || vec![CompactString::const_new("*")];
    let everything = [
        Rule { api_groups: all(), resources: all(), verbs: all(), ..Rule::default() },
        Rule { non_resource_urls: all(), verbs: all(), ..Rule::default() },
    ];
    (!uncovered(held, &everything).is_empty())
        .then_some("must have cluster-admin privileges to use the aggregationRule")
}

fn break_down(rule: &Rule) -> Vec<Rule> {
    let mut out = Vec::new();
    let names: Vec<Vec<CompactString>> = match rule.resource_names.is_empty() {
        true => vec![Vec::new()],
        false => rule.resource_names.iter().map(|name| vec![name.clone()]).collect(),
    };
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                out.extend(names.iter().map(|names| Rule {
                    api_groups: vec![group.clone()],
                    resources: vec![resource.clone()],
                    resource_names: names.clone(),
                    verbs: vec![verb.clone()],
                    ..Rule::default()
                }));
            }
        }
    }
    for url in &rule.non_resource_urls {
        out.extend(rule.verbs.iter().map(|verb| Rule {
            non_resource_urls: vec![url.clone()],
            verbs: vec![verb.clone()],
            ..Rule::default()
        }));
    }
    out
}

/// True when a rule gives a single right.
fn covers(rule: &Rule, right: &Rule) -> bool {
    let all = |set: &[CompactString], wanted: &[CompactString]| wanted.iter().all(|w| has_or_all(set, w));
    all(&rule.verbs, &right.verbs)
        && all(&rule.api_groups, &right.api_groups)
        && right.resources.iter().all(|resource| covers_resource(rule, resource))
        && right
            .non_resource_urls
            .iter()
            .all(|url| rule.non_resource_urls.iter().any(|u| covers_path(u, url)))
        && match right.resource_names.is_empty() {
            true => rule.resource_names.is_empty(),
            false => {
                rule.resource_names.is_empty()
                    || right.resource_names.iter().all(|name| rule.resource_names.contains(name))
            }
        }
}

fn covers_resource(rule: &Rule, resource: &str) -> bool {
    let any = resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    rule.resources.iter().any(|r| r == "*" || r == resource || any.as_deref() == Some(r.as_str()))
}

/// Joins the verbs of rights that differ in nothing else.
fn compact(rights: Vec<Rule>) -> Vec<Rule> {
    let mut out: Vec<Rule> = Vec::new();
    for right in rights {
        let same = |other: &&mut Rule| {
            right.non_resource_urls.is_empty()
                && other.api_groups == right.api_groups
                && other.resources == right.resources
                && other.resource_names == right.resource_names
        };
        match out.iter_mut().find(same) {
            Some(other) => other.verbs.extend(right.verbs),
            None => out.push(right),
        }
    }
    out
}

fn print(rule: &Rule) -> String {
    let parts: Vec<String> = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("ResourceNames", &rule.resource_names),
        ("Verbs", &rule.verbs),
    ]
    .iter()
    .filter(|(_, list)| !list.is_empty())
    .map(|(name, list)| format!("{name}:{}", quoted(list)))
    .collect();
    format!("{{{}}}", parts.join(", "))
}

fn quoted(list: &[CompactString]) -> String {
    format!("[{}]", list.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(" "))
}
