//! Managers of several versions of a kind: what they own is compared in the version in which they own it.

use super::Writer;
use super::compare::{Comparison, compare};
use super::extract::reconciled;
use super::form::Ty;
use super::managers::Managers;
use super::set::FieldSet;
use crate::graph::TypeRef;
use compact_str::CompactString;
use serde_json::Value;
use std::fmt;

/// The versions of a kind.
pub trait Versions: fmt::Debug {
    /// An object in another version, and its type there; `None` when one of the two versions is not served.
    fn convert(&self, object: &Value, from: &str, to: &str) -> Option<(TypeRef<'_>, Value)>;
}

/// An object in a version, `None` when the version is not served. Without versions all have one type.
pub(super) fn at<'a>(
    root: TypeRef<'a>,
    object: &Value,
    from: &str,
    to: &str,
    writer: &Writer<'a>,
) -> Option<(TypeRef<'a>, Value)> {
    match writer.versions {
        Some(versions) if from != to || from != writer.api_version => versions.convert(object, from, to),
        _ => Some((root, object.clone())),
    }
}

/// A change, as each version shows it. Both objects are of the writer's version.
pub(super) struct Changes<'a> {
    root: TypeRef<'a>,
    old: &'a Value,
    new: &'a Value,
    writer: &'a Writer<'a>,
    /// The change in the writer's version.
    pub own: Comparison,
    others: Vec<(CompactString, Option<Comparison>)>,
}

impl<'a> Changes<'a> {
    pub fn new(root: TypeRef<'a>, old: &'a Value, new: &'a Value, writer: &'a Writer<'a>) -> Self {
        let mut own = compare(root, old, new);
        own.exclude(&FieldSet::of_fields(writer.reset.iter().copied()));
        Changes { root, old, new, writer, own, others: Vec::new() }
    }

    /// The change in a version; `None` when it is not served.
    pub fn at(&mut self, version: &str) -> Option<&Comparison> {
        if version == self.writer.api_version || self.writer.versions.is_none() {
            return Some(&self.own);
        }
        let place = match self.others.iter().position(|(name, _)| name == version) {
            Some(place) => place,
            None => {
                let change = self.compare_at(version);
                self.others.push((version.into(), change));
                self.others.len() - 1
            }
        };
        self.others[place].1.as_ref()
    }

    fn compare_at(&self, version: &str) -> Option<Comparison> {
        let own = self.writer.api_version;
        let (root, old) = at(self.root, self.old, own, version, self.writer)?;
        let (_, new) = at(self.root, self.new, own, version, self.writer)?;
        let mut change = compare(root, &old, &new);
        change.exclude(&FieldSet::of_fields(self.writer.reset.iter().copied()));
        Some(change)
    }

    /// Takes what changed away from all managers. Those of versions that are gone, and those left with nothing, go.
    pub fn take_from(&mut self, managers: &mut Managers) {
        managers.0.retain_mut(|entry| {
            let Some(change) = self.at(&entry.api_version) else { return false };
            entry.subtract(&change.modified);
            entry.subtract(&change.added);
            entry.subtract(&change.removed);
            !entry.set.is_empty()
        });
    }
}

/// Brings entries up to the schema: what has become atomic since they were written is owned as one.
pub(super) fn reconcile(root: TypeRef<'_>, object: &Value, managers: &mut Managers, writer: &Writer<'_>) {
    for entry in &mut managers.0 {
        let of = if entry.api_version == writer.api_version {
            root
        } else {
            match at(root, object, writer.api_version, &entry.api_version, writer) {
                Some((of, _)) => of,
                None => continue,
            }
        };
        if let Some(set) = reconciled(Ty::of(of), &entry.set) {
            entry.set_fields(set);
        }
    }
}
