//! Server-side apply.

use super::Writer;
use super::check::check;
use super::compare::compare;
use super::extract::{fields, fields_of, with_named_fields};
use super::form::{Ty, zero};
use super::managers::{Entry, Managers, Operation};
use super::merge::merge;
use super::path::same;
use super::remove::remove;
use super::set::FieldSet;
use super::update::{NEVER_OWNED, put_managed_fields, record, take_managed_fields};
use super::versions::{self, Changes, reconcile};
use crate::graph::TypeRef;
use api_types::{ApiError, Cause, CauseReason, Reason};
use serde_json::{Map, Value};
use std::fmt;

/// The annotation in which `kubectl apply` keeps what it applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The most bytes that all annotations of an object may have together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Why a configuration was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// Other managers own fields of it at other values: 409.
    Conflicts(Conflicts),
    /// It is for another kind or version, or brings managed fields: 400.
    BadRequest(String),
    /// It does not fit the type, or the live object's entries cannot be read: 500 without a reason, as Kubernetes
    /// answers.
    Invalid(String),
}

impl ApplyError {
    /// What the client is told.
    pub fn to_api_error(&self) -> ApiError {
        match self {
            ApplyError::Conflicts(conflicts) => {
                let cause = |c: &Conflict| {
                    Cause::new(
                        CauseReason::FieldManagerConflict,
                        &c.field,
                        format!("conflict with {}", c.manager),
                    )
                };
                ApiError::new(Reason::Conflict, conflicts.to_string())
                    .with_causes(conflicts.0.iter().map(cause).collect())
            }
            ApplyError::BadRequest(why) => ApiError::bad_request(why),
            ApplyError::Invalid(why) => ApiError::new(Reason::Unknown, why),
        }
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApplyError::Conflicts(conflicts) => conflicts.fmt(f),
            ApplyError::BadRequest(why) | ApplyError::Invalid(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ApplyError {}

/// A field that another manager owns at another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The owner as messages show it: `"one"`, `"two" with subresource "status" using apps/v1`.
    pub manager: String,
    /// The field: `.spec.containers[name="c"].image`.
    pub field: String,
}

/// All conflicts of a configuration, sorted by owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.0.as_slice() {
            return write!(f, "Apply failed with 1 conflict: conflict with {}: {}", one.manager, one.field);
        }
        write!(f, "Apply failed with {} conflicts: ", self.0.len())?;
        let mut lines = Vec::new();
        let mut last = "";
        for conflict in &self.0 {
            if conflict.manager != last {
                lines.push(format!("conflicts with {}:", conflict.manager));
                last = &conflict.manager;
            }
            lines.push(format!("- {}", conflict.field));
        }
        f.write_str(&lines.join("\n"))
    }
}

/// Applies a configuration to `live`, an object of type `root` (`None`: it is created).
///
/// Gives the merged object with its `metadata.managedFields`. It is not defaulted; nothing of it is new when it
/// equals `live`. With `force` the writer takes what others own at other values; without it that is an error.
pub fn apply(
    root: TypeRef<'_>,
    live: Option<&Value>,
    config: &Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, ApplyError> {
    check_request(root, config, writer)?;
    let mut old = live.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let entries = take_managed_fields(&mut old).unwrap_or_default();
    let mut managers = Managers::read(entries)
        .map_err(|why| ApplyError::Invalid(format!("failed to decode managed fields: {why}")))?;
    if managers.is_empty() && live.is_some() {
        managers = record(root, &zero(root, 0), &old, managers, writer, "before-first-apply");
    }
    reconcile(root, &old, &mut managers, writer);
    let run = Run { root, old: &old, created: live.is_none(), config, writer };
    let kubectl = writer.manager == "kubectl";
    let (merged, managers) = match run.apply(managers.clone(), force) {
        Err(Failure::Conflicts(found)) if kubectl => {
            // What `kubectl apply` wrote on the client's side and nobody changed since is no conflict.
            match allowed_by_last_applied(root, &old, writer) {
                None => return Err(run.error(Failure::Conflicts(found))),
                Some(allowed) => {
                    let rest: Vec<_> =
                        found.into_iter().filter(|(_, path)| !allowed.contains(path)).collect();
                    if !rest.is_empty() {
                        return Err(run.error(Failure::Conflicts(rest)));
                    }
                    run.apply(managers, true).map_err(|failure| run.error(failure))?
                }
            }
        }
        other => other.map_err(|failure| run.error(failure))?,
    };
    let mut merged = merged.unwrap_or(old);
    if kubectl {
        renew_last_applied(&mut merged, config);
    }
    put_managed_fields(&mut merged, managers.write());
    Ok(merged)
}

/// The version and kind that a configuration is for, as messages show them: `apps/v1, Kind=Deployment`.
pub fn kind_of(config: &Value) -> String {
    let text = |name: &str| config[name].as_str().unwrap_or("");
    match text("apiVersion").split_once('/') {
        Some((group, version)) => format!("{group}/{version}, Kind={}", text("kind")),
        None => format!("/{}, Kind={}", text("apiVersion"), text("kind")),
    }
}

/// The namespace and name of a configuration, as messages show them: `default/web`.
pub fn name_of(config: &Value) -> String {
    let text = |name: &str| config["metadata"][name].as_str().unwrap_or("");
    format!("{}/{}", text("namespace"), text("name"))
}

fn check_request(root: TypeRef<'_>, config: &Value, writer: &Writer<'_>) -> Result<(), ApplyError> {
    let of_kind = kind_of(config);
    let right_kind = writer.kind.is_empty() || config["kind"].as_str() == Some(writer.kind);
    if config["apiVersion"].as_str() != Some(writer.api_version) || !right_kind {
        return Err(ApplyError::BadRequest(format!("invalid object type: {of_kind}")));
    }
    if !config["metadata"]["managedFields"].is_null() {
        return Err(ApplyError::BadRequest("metadata.managedFields must be nil".into()));
    }
    check(root, config).map_err(|why| {
        let name = name_of(config);
        ApplyError::Invalid(format!("failed to create typed patch object ({name}; {of_kind}): {why}"))
    })
}

/// One attempt to apply.
struct Run<'a> {
    root: TypeRef<'a>,
    /// The live object without managed fields.
    old: &'a Value,
    created: bool,
    config: &'a Value,
    writer: &'a Writer<'a>,
}

enum Failure {
    /// Owners and the paths that are theirs.
    Conflicts(Vec<(Entry, Vec<super::PathElement>)>),
    Invalid(String),
}

impl Run<'_> {
    fn error(&self, failure: Failure) -> ApplyError {
        match failure {
            Failure::Invalid(why) => ApplyError::Invalid(why),
            Failure::Conflicts(mut found) => {
                found.sort_by_cached_key(|(owner, _)| owner.identifier());
                ApplyError::Conflicts(Conflicts(
                    found
                        .iter()
                        .map(|(owner, path)| Conflict {
                            manager: shown(owner),
                            field: path.iter().map(ToString::to_string).collect(),
                        })
                        .collect(),
                ))
            }
        }
    }

    /// The merged object, or `None` when it is the live one, and who owns what.
    fn apply(&self, mut managers: Managers, force: bool) -> Result<(Option<Value>, Managers), Failure> {
        let ty = Ty::of(self.root);
        let merged = merge(ty, Some(self.old), Some(self.config))
            .map_err(|why| Failure::Invalid(format!("failed to merge config: {why}")))?
            .unwrap_or_else(|| Value::Object(Map::new()));
        let mut set = fields_of(self.root, self.config);
        let reset = FieldSet::of_fields(self.writer.reset.iter().copied());
        set.subtract_recursive(&reset);
        let mut mine = Entry {
            manager: self.writer.manager.into(),
            operation: Operation::Apply,
            api_version: self.writer.api_version.into(),
            subresource: self.writer.subresource.into(),
            time: None,
            set,
            encoded: None,
        };
        let last = managers.0.iter().position(|e| e.is_same_manager(&mine)).map(|at| managers.0.remove(at));
        mine.time = last.as_ref().and_then(|e| e.time);
        let merged = match &last {
            Some(last) if !last.set.is_empty() => self.prune(merged, last, &mine, &managers),
            _ => merged,
        };
        let mut changes = Changes::new(self.root, self.old, &merged, self.writer);
        let mut conflicts = Vec::new();
        for entry in &managers.0 {
            if force {
                break;
            }
            let Some(change) = changes.at(&entry.api_version) else { continue };
            let contested = entry.set.intersection(&change.modified);
            let contested = contested.union(entry.set.intersection(&change.added));
            contested.visit(&mut |path| conflicts.push((entry.clone(), path.to_vec())));
        }
        if !conflicts.is_empty() {
            return Err(Failure::Conflicts(conflicts));
        }
        changes.take_from(&mut managers);
        mine.set.subtract(&NEVER_OWNED);
        let unchanged = !self.created && same(self.old, &merged);
        if !unchanged {
            mine.time = Some(self.writer.now);
        }
        if !mine.set.is_empty() {
            managers.put(mine);
        }
        Ok(((!unchanged).then_some(merged), managers))
    }

    /// Removes what this manager applied last time and no longer does, unless another manager owns it. Each is
    /// asked in its own version.
    fn prune(&self, merged: Value, last: &Entry, mine: &Entry, others: &Managers) -> Value {
        let own = self.writer.api_version;
        let convert =
            |value: &Value, from: &str, to: &str| versions::at(self.root, value, from, to, self.writer);
        let Some((root, whole)) = convert(&merged, own, &last.api_version) else { return merged };
        let last_set = with_named_fields(Ty::of(root), &last.set);
        let mut pruned = remove(Ty::of(root), &whole, &last_set);
        let mut version = last.api_version.as_str();
        // Whatever somebody owns comes back,
        let mut owners: Vec<&Entry> = others.0.iter().chain([mine]).collect();
        owners.sort_by_key(|entry| (entry.api_version != last.api_version, entry.api_version.clone()));
        for owned in owners.chunk_by(|a, b| a.api_version == b.api_version) {
            let to = owned[0].api_version.as_str();
            let (Some((root, whole)), Some((_, kept))) =
                (convert(&merged, own, to), convert(&pruned, version, to))
            else {
                continue;
            };
            let ty = Ty::of(root);
            let named = |set: &FieldSet| with_named_fields(ty, set);
            let all = owned.iter().fold(FieldSet::default(), |all, entry| all.union(entry.set.clone()));
            let drop =
                named(&fields(ty, &whole).1).difference(&named(&fields(ty, &kept).1).union(named(&all)));
            pruned = remove(ty, &whole, &drop);
            version = to;
        }
        // and whatever hung below a removed item without having been this manager's.
        let Some((_, kept)) = convert(&pruned, version, &last.api_version) else { return merged };
        let ty = Ty::of(root);
        let named = |value: &Value| with_named_fields(ty, &fields(ty, value).1);
        let drop = named(&whole).difference(&named(&kept)).intersection(&last_set);
        let pruned = remove(ty, &whole, &drop);
        match convert(&pruned, &last.api_version, own) {
            Some((_, pruned)) => pruned,
            None => merged,
        }
    }
}

fn shown(owner: &Entry) -> String {
    let mut text = format!("{:?}", owner.manager.as_str());
    if !owner.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", owner.subresource.as_str()));
    }
    if owner.operation == Operation::Update {
        text.push_str(&format!(" using {}", owner.api_version));
    }
    text
}

/// The fields that `kubectl apply` wrote on the client's side and that are still as it wrote them.
fn allowed_by_last_applied(root: TypeRef<'_>, live: &Value, writer: &Writer<'_>) -> Option<FieldSet> {
    let text = live["metadata"]["annotations"][LAST_APPLIED].as_str()?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last["apiVersion"].as_str() != Some(writer.api_version) || check(root, &last).is_err() {
        return None;
    }
    let mut set = fields_of(root, &last);
    let changes = compare(root, &last, live);
    for changed in [&changes.modified, &changes.added, &changes.removed] {
        set.subtract(changed);
    }
    Some(set)
}

/// Keeps the annotation of `kubectl apply` true for an object that has it.
fn renew_last_applied(object: &mut Value, config: &Value) {
    let Some(Value::Object(annotations)) = object.get_mut("metadata").and_then(|m| m.get_mut("annotations"))
    else {
        return;
    };
    if annotations.get(LAST_APPLIED).and_then(Value::as_str).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    if let Some(Value::Object(sent)) = config.get_mut("metadata").and_then(|m| m.get_mut("annotations")) {
        sent.remove(LAST_APPLIED);
    }
    // Kubernetes ends the encoded object with a line feed.
    annotations.insert(LAST_APPLIED.into(), format!("{config}\n").into());
    let size: usize =
        annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MAX_ANNOTATIONS {
        annotations.remove(LAST_APPLIED);
    }
}
