//! What a namespace asks for by its labels.

use api_types::Cause;
use serde_json::Value;
use std::fmt;

/// All labels begin so.
/// What labels of namespaces and annotations of audit events begin with.
pub const PREFIX: &str = "pod-security.kubernetes.io/";

/// How strict, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything is allowed.
    Privileged,
    /// What is known to lead out of the pod is forbidden.
    Baseline,
    /// What hardening asks for is required.
    Restricted,
}

impl Level {
    const ALL: [(Level, &str); 3] =
        [(Level::Privileged, "privileged"), (Level::Baseline, "baseline"), (Level::Restricted, "restricted")];
}

/// The standards as of which minor version of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyVersion {
    /// `v1.N`.
    Minor(u32),
    /// The newest.
    Latest,
}

/// A level of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelVersion {
    /// The level.
    pub level: Level,
    /// Its version.
    pub version: PolicyVersion,
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Level::ALL.iter().find(|(level, _)| *level == self.level).map_or("", |(_, name)| name);
        match self.version {
            PolicyVersion::Latest => write!(f, "{name}:latest"),
            PolicyVersion::Minor(minor) => write!(f, "{name}:v1.{minor}"),
        }
    }
}

/// What a namespace asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What violates this is refused.
    pub enforce: LevelVersion,
    /// What violates this is noted.
    pub audit: LevelVersion,
    /// Of what violates this the user is warned.
    pub warn: LevelVersion,
}

/// True when labels say anything about pod security.
pub fn is_labelled<'a>(mut keys: impl Iterator<Item = &'a str>) -> bool {
    keys.any(|key| key.starts_with(PREFIX))
}

/// The policy that labels ask for, and what is wrong with them. What cannot be read is enforced as the strictest, and
/// neither noted nor warned of.
pub fn policy_of<'a>(label: impl Fn(&str) -> Option<&'a str>) -> (Policy, Vec<Cause>) {
    let mut causes = Vec::new();
    let free = LevelVersion { level: Level::Privileged, version: PolicyVersion::Latest };
    let mut read = |mode: &str, unreadable: Level| -> (LevelVersion, Option<bool>, bool) {
        let (mut found, mut level_is_valid) = (free, None);
        let level_key = format!("{PREFIX}{mode}");
        if let Some(text) = label(&level_key) {
            let known = Level::ALL.iter().find(|(_, name)| *name == text);
            level_is_valid = Some(known.is_some());
            found.level = known.map_or(unreadable, |(level, _)| *level);
            if known.is_none() {
                causes.push(invalid(&level_key, text, "must be one of privileged, baseline, restricted"));
            }
        }
        let version_key = format!("{PREFIX}{mode}-version");
        let version = label(&version_key);
        if let Some(text) = version {
            found.version = version_of(text).unwrap_or_else(|| {
                causes.push(invalid(&version_key, text, "must be \"latest\" or \"v1.x\""));
                PolicyVersion::Latest
            });
        }
        (found, level_is_valid, version.is_some())
    };
    let (enforce, enforce_is_valid, _) = read("enforce", Level::Restricted);
    let (audit, _, _) = read("audit", Level::Privileged);
    let (mut warn, warn_is_valid, warns_of_version) = read("warn", Level::Privileged);
    // Who is refused by a level is warned by it too, where the refusal comes later: by controllers.
    if warn_is_valid.is_none() && enforce_is_valid == Some(true) && enforce.level > warn.level {
        warn.level = enforce.level;
        if !warns_of_version {
            warn.version = enforce.version;
        }
    }
    (Policy { enforce, audit, warn }, causes)
}

fn invalid(key: &str, text: &str, why: &str) -> Cause {
    Cause::invalid(format!("metadata.labels[{key}]"), &Value::from(text), why)
}

/// `latest` or `v1.N`, without leading zeros.
fn version_of(text: &str) -> Option<PolicyVersion> {
    if text == "latest" {
        return Some(PolicyVersion::Latest);
    }
    let digits = text.strip_prefix("v1.")?;
    let canonical = digits == "0" || !digits.starts_with('0');
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (canonical && all_digits).then(|| digits.parse().ok()).flatten().map(PolicyVersion::Minor)
}
