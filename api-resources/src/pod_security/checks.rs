//! The table of checks, and what they say together.

use super::pod::Pod;
use super::policy::{Level, LevelVersion, PolicyVersion};
use super::rules;
use serde_json::Value;

/// What a pod violates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// In a few words.
    pub reason: &'static str,
    /// Who, and what to do.
    pub detail: String,
}

/// What is wrong with a pod; nothing mostly.
pub(super) type Rule = fn(Pod<'_>) -> Option<Finding>;

/// One check.
struct Check {
    /// The level that begins to have it.
    level: Level,
    /// Its rules, each with the minor version since which it is the one.
    rules: &'static [(u32, Rule)],
    /// Since which minor version the level `restricted` has a stricter one for the same thing.
    replaced_since: Option<u32>,
}

const fn baseline(rules: &'static [(u32, Rule)]) -> Check {
    Check { level: Level::Baseline, rules, replaced_since: None }
}

const fn replaced(since: u32, rules: &'static [(u32, Rule)]) -> Check {
    Check { level: Level::Baseline, rules, replaced_since: Some(since) }
}

const fn restricted(rules: &'static [(u32, Rule)]) -> Check {
    Check { level: Level::Restricted, rules, replaced_since: None }
}

/// In the order in which findings are told.
const CHECKS: &[Check] = &[
    baseline(&[(0, rules::app_armor)]),
    replaced(22, &[(0, rules::added_capabilities)]),
    baseline(&[(0, rules::host_namespaces)]),
    replaced(0, &[(0, rules::host_path_volumes)]),
    baseline(&[(0, rules::host_ports)]),
    baseline(&[(34, rules::probed_hosts)]),
    baseline(&[(0, rules::privileged)]),
    replaced(35, &[(0, rules::proc_mount), (35, rules::proc_mount_of_own_users)]),
    baseline(&[(0, rules::se_linux), (31, rules::se_linux_with_engines)]),
    replaced(19, &[(0, rules::seccomp_annotations), (19, rules::seccomp)]),
    baseline(&[
        (0, rules::sysctls::<0>),
        (27, rules::sysctls::<1>),
        (29, rules::sysctls::<2>),
        (32, rules::sysctls::<3>),
    ]),
    baseline(&[(0, rules::windows_host_process)]),
    restricted(&[(8, rules::privilege_escalation), (25, rules::privilege_escalation_but_on_windows)]),
    restricted(&[(22, rules::capabilities), (25, rules::capabilities_but_on_windows)]),
    restricted(&[(35, rules::proc_mount)]),
    restricted(&[(0, rules::volume_types)]),
    restricted(&[(0, rules::non_root), (35, rules::non_root_of_own_users)]),
    restricted(&[(23, rules::root_user), (35, rules::root_user_of_own_users)]),
    restricted(&[(19, rules::required_seccomp), (25, rules::required_seccomp_but_on_windows)]),
];

/// What a pod or template violates of a level.
pub fn evaluate(asked: LevelVersion, pod: &Value) -> Vec<Finding> {
    let minor = match asked.version {
        PolicyVersion::Latest => u32::MAX,
        PolicyVersion::Minor(minor) => minor,
    };
    let is_asked = |check: &&Check| {
        let is_replaced = check.replaced_since.is_some_and(|since| minor >= since);
        check.level <= asked.level && !(asked.level == Level::Restricted && is_replaced)
    };
    let newest =
        |check: &Check| check.rules.iter().rev().find(|(since, _)| *since <= minor).map(|(_, rule)| *rule);
    CHECKS.iter().filter(is_asked).filter_map(newest).filter_map(|rule| rule(Pod(pod))).collect()
}

/// Findings with their details, in one line.
pub fn told(findings: &[Finding]) -> String {
    let one = |finding: &Finding| match finding.detail.as_str() {
        "" => finding.reason.to_owned(),
        detail => format!("{} ({detail})", finding.reason),
    };
    findings.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Findings in a few words.
pub fn told_briefly(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.reason).collect::<Vec<_>>().join(", ")
}
