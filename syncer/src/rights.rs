//! What the syncer may do in a super cluster: the rights of its account there, and no more.
//!
//! Guarantees: rights on what is synced follow from the table of kinds, so that a new row there is a new rule here. The
//! super cluster of the story tests refuses what is not among them; `tests/tests/super_cluster_rights.rs` shows that
//! each of them is used.

use crate::kinds::Kind;
use api_types::Resource;
use api_types::tenancy::SYSTEM_NAMESPACE;
use std::fmt::Write;

/// The name of the account, of its role and of the binding.
pub const ACCOUNT: &str = "insula-syncer";

/// What can be left out; only what is named then does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What leads into pods: logs, exec, attach, port-forward, proxied requests.
    Streams,
    /// What pods use.
    Metrics,
}

/// Rights on resources of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What they are for.
    pub why: &'static str,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// `plural`, or `plural/subresource`.
    pub resources: Vec<&'static str>,
    /// As RBAC has them.
    pub verbs: &'static [&'static str],
    /// The part without which they are not needed.
    pub part: Option<Part>,
}

const fn beside(
    why: &'static str,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    part: Option<Part>,
) -> Beside {
    Beside { why, group, resources, verbs, part }
}

struct Beside {
    why: &'static str,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    part: Option<Part>,
}

/// What the syncer does beside syncing kinds as a whole.
static BESIDE: [Beside; 6] = [
    beside(
        "Later changes of pods.",
        "",
        &["pods/ephemeralcontainers", "pods/resize", "pods/status"],
        &["patch"],
        None,
    ),
    beside("What tenants' objects go through there.", "", &["events"], &["list", "watch"], None),
    beside("A class for each priority.", "scheduling.k8s.io", &["priorityclasses"], &["get", "create"], None),
    beside("Tenants' kubectl logs.", "", &["pods/log"], &["get"], Some(Part::Streams)),
    beside(
        "Tenants' kubectl exec, attach and port-forward, proxied requests, and webhooks and extension servers that are \
         tenants' pods. A WebSocket begins with GET, and SPDY with POST.",
        "",
        &["pods/exec", "pods/attach", "pods/portforward"],
        &["get", "create"],
        Some(Part::Streams),
    ),
    beside("What tenants' pods use.", "metrics.k8s.io", &["pods"], &["list"], Some(Part::Metrics)),
];

/// All rights, without those that only the left out parts need.
pub fn rules(without: &[Part]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for kind in Kind::ALL {
        let resource = kind.resource();
        let why = if kind.labelled() {
            "What tenants have there. Super namespaces have names of their own, so that the rights cannot be for some alone."
        } else {
            "What tenants see of the cluster."
        };
        let same = |rule: &&mut Rule| rule.group == resource.group && rule.verbs == kind.verbs();
        match rules.iter_mut().find(same) {
            Some(rule) => rule.resources.push(resource.resource.as_str()),
            None => rules.push(Rule {
                why,
                group: resource.group.as_str(),
                resources: vec![resource.resource.as_str()],
                verbs: kind.verbs(),
                part: None,
            }),
        }
    }
    let beside = BESIDE.iter().map(|row| Rule {
        why: row.why,
        group: row.group,
        resources: row.resources.to_vec(),
        verbs: row.verbs,
        part: row.part,
    });
    rules.extend(beside.filter(|rule| rule.part.is_none_or(|part| !without.contains(&part))));
    rules
}

/// Whether a request is among them.
pub fn allow(verb: &str, resource: &Resource, subresource: &str) -> bool {
    let plural = resource.resource.as_str();
    let named = if subresource.is_empty() { plural.to_owned() } else { format!("{plural}/{subresource}") };
    rules(&[]).iter().any(|rule| {
        rule.group == resource.group.as_str()
            && rule.resources.contains(&named.as_str())
            && rule.verbs.contains(&verb)
    })
}

/// What an admin of a super cluster applies there, as YAML: a namespace, the account, its role, and their binding.
pub fn manifest(without: &[Part]) -> String {
    let mut out = format!(
        "# What Insula needs in a super cluster: an account, and rights on what it syncs, reads and reaches there.
# Made by `insula supercluster manifest`. See docs/super-clusters.md.
apiVersion: v1
kind: Namespace
metadata:
  name: {SYSTEM_NAMESPACE}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {ACCOUNT}
  namespace: {SYSTEM_NAMESPACE}
automountServiceAccountToken: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {ACCOUNT}
rules:
"
    );
    let mut said = "";
    for rule in rules(without) {
        if rule.why != said {
            said = rule.why;
            comment(&mut out, said);
        }
        let group = if rule.group.is_empty() { "\"\"" } else { rule.group };
        let (resources, verbs) = (rule.resources.join(", "), rule.verbs.join(", "));
        // Writing to a String does not fail.
        let _ = write!(out, "  - apiGroups: [{group}]\n    resources: [{resources}]\n    verbs: [{verbs}]\n");
    }
    let _ = write!(
        out,
        "---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {ACCOUNT}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {ACCOUNT}
subjects:
  - kind: ServiceAccount
    name: {ACCOUNT}
    namespace: {SYSTEM_NAMESPACE}
"
    );
    out
}

/// A comment among the rules, in lines of at most 120 characters.
fn comment(out: &mut String, text: &str) {
    let mut line = "  #".to_owned();
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > 120 {
            out.push_str(&line);
            out.push('\n');
            line = "  #".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_project_is_what_is_printed() {
        let file = include_str!("../../deploy/super-cluster.yaml");
        assert!(
            file == manifest(&[]),
            "write it anew: insula supercluster manifest > deploy/super-cluster.yaml\n{}",
            manifest(&[])
        );
    }

    #[test]
    fn rights_are_those_of_the_table() {
        let pods = Resource::new("", "v1", "pods");
        let nodes = Resource::new("", "v1", "nodes");
        let ingresses = Resource::new("networking.k8s.io", "v1", "ingresses");
        let secrets_elsewhere = Resource::new("example.com", "v1", "secrets");
        for (verb, resource, subresource, expected) in [
            ("create", &pods, "", true),
            ("patch", &ingresses, "", true),
            ("patch", &pods, "status", true),
            ("patch", &pods, "binding", false),
            ("get", &pods, "log", true),
            ("create", &pods, "log", false),
            ("update", &pods, "", false),
            ("deletecollection", &pods, "", false),
            ("watch", &nodes, "", true),
            ("patch", &nodes, "", false),
            ("get", &secrets_elsewhere, "", false),
        ] {
            assert_eq!(allow(verb, resource, subresource), expected, "{verb} {resource:?} {subresource}");
        }
    }

    #[test]
    fn parts_are_left_out() {
        for (without, gone, kept) in [
            (&[Part::Streams][..], &["pods/exec", "pods/log"][..], &["metrics.k8s.io", "pods/resize"][..]),
            (&[Part::Metrics], &["metrics.k8s.io"], &["pods/exec"]),
            (&[Part::Streams, Part::Metrics], &["pods/exec", "metrics.k8s.io"], &["pods/status"]),
        ] {
            let text = manifest(without);
            assert!(gone.iter().all(|word| !text.contains(word)), "{without:?}: {text}");
            assert!(kept.iter().all(|word| text.contains(word)), "{without:?}: {text}");
        }
    }

    #[test]
    fn nothing_is_asked_twice_or_for_everything() {
        let mut seen = std::collections::BTreeSet::new();
        for rule in rules(&[]) {
            for (resource, verb) in rule.resources.iter().flat_map(|r| rule.verbs.iter().map(move |v| (r, v)))
            {
                assert!(!resource.contains('*') && !verb.contains('*'), "{rule:?}");
                assert!(seen.insert((rule.group, *resource, *verb)), "twice: {resource} {verb}");
            }
        }
    }
}
