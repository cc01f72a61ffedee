//! What changed between two values, as sets of fields.

use super::form::{Form, Ty, list_element};
use super::path::{PathElement, same};
use super::set::FieldSet;
use crate::graph::{ListKind, TypeRef};
use serde_json::{Map, Value};

/// The fields in which two values differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Only the new value has them.
    pub added: FieldSet,
    /// Both have them with different values.
    pub modified: FieldSet,
    /// Only the old value has them.
    pub removed: FieldSet,
}

impl Comparison {
    /// True when nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// Leaves out fields and all below them.
    pub(super) fn exclude(&mut self, fields: &FieldSet) {
        for set in [&mut self.added, &mut self.modified, &mut self.removed] {
            set.subtract_recursive(fields);
        }
    }

    fn add(&mut self, step: PathElement, below: Changes) {
        // The last set that needs the step takes it.
        let Changes { here, below } = below;
        if !below.removed.is_empty() || here == Some(Change::Removed) {
            self.removed.add(step.clone(), here == Some(Change::Removed), below.removed);
        }
        if !below.modified.is_empty() || matches!(here, Some(Change::Modified)) {
            self.modified.add(step.clone(), here == Some(Change::Modified), below.modified);
        }
        if !below.added.is_empty() || here == Some(Change::Added) {
            self.added.add(step, here == Some(Change::Added), below.added);
        }
    }
}

/// What differs at a value itself, and below it.
#[derive(Default)]
struct Changes {
    here: Option<Change>,
    below: Comparison,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.here.is_none() && self.below.is_empty()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Modified,
    Removed,
}

/// Compares two values of one type.
pub fn compare(of: TypeRef<'_>, old: &Value, new: &Value) -> Comparison {
    changes(Ty::of(of), Some(old), Some(new)).below
}

fn changes(ty: Ty<'_>, old: Option<&Value>, new: Option<&Value>) -> Changes {
    let mut out = Changes::default();
    match ty.form([old, new]) {
        Form::Leaf => out.here = leaf(old, new),
        Form::Map(ty) => {
            let (old_map, new_map) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            // Two empty ones are compared as one value, to tell apart null and empty.
            if old_map.is_none_or(Map::is_empty) && new_map.is_none_or(Map::is_empty) {
                out.here = leaf(old, new);
                return out;
            }
            out.here = presence(old, new);
            if matches!(ty, Ty::Deduced) && (is_other(old) || is_other(new)) {
                out.here = Some(Change::Modified);
            }
            maps(ty, old_map, new_map, &mut out.below);
        }
        Form::List(kind, element) => {
            let items = |v: Option<&Value>| v.and_then(Value::as_array).is_none_or(Vec::is_empty);
            if items(old) && items(new) {
                out.here = leaf(old, new);
                return out;
            }
            out.here = presence(old, new);
            lists(kind, element, old, new, &mut out.below);
        }
    }
    out
}

/// True for a value that is no map: neither an object nor null.
fn is_other(value: Option<&Value>) -> bool {
    value.is_some_and(|v| !v.is_object() && !v.is_null())
}

fn presence(old: Option<&Value>, new: Option<&Value>) -> Option<Change> {
    match (old, new) {
        (None, Some(_)) => Some(Change::Added),
        (Some(_), None) => Some(Change::Removed),
        _ => None,
    }
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Option<Change> {
    match (old, new) {
        (Some(old), Some(new)) => (!same(old, new)).then_some(Change::Modified),
        _ => presence(old, new),
    }
}

fn maps(
    ty: Ty<'_>,
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
    out: &mut Comparison,
) {
    let mut visit = |name: &str, old: Option<&Value>, new: Option<&Value>| {
        let below = changes(ty.field_or_deduced(name).0, old, new);
        if !below.is_empty() {
            out.add(PathElement::field(name), below);
        }
    };
    for (name, value) in new.into_iter().flatten() {
        visit(name, old.and_then(|m| m.get(name)), Some(value));
    }
    for (name, value) in old.into_iter().flatten() {
        if new.is_none_or(|m| !m.contains_key(name)) {
            visit(name, Some(value), None);
        }
    }
}

type Items<'v> = Vec<(PathElement, &'v Value)>;

fn items<'v>(kind: &ListKind, element: TypeRef<'_>, list: Option<&'v Value>) -> Items<'v> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    // An element that cannot be told apart is owned by nobody; validation refuses it.
    let mut items: Items<'v> =
        list.iter().filter_map(|item| Some((list_element(kind, element, item).ok()?, item))).collect();
    items.sort_by(|a, b| a.0.cmp(&b.0));
    items
}

fn lists(
    kind: &ListKind,
    element: TypeRef<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    out: &mut Comparison,
) {
    let (old, new) = (items(kind, element, old), items(kind, element, new));
    let (mut old, mut new) = (old.as_slice(), new.as_slice());
    let element = Ty::of(element);
    loop {
        let step = match (old.first(), new.first()) {
            (None, None) => return,
            (Some(o), Some(n)) => (&o.0).min(&n.0).clone(),
            (Some(o), None) => o.0.clone(),
            (None, Some(n)) => n.0.clone(),
        };
        let (olds, old_rest) = old.split_at(old.iter().take_while(|i| i.0 == step).count());
        let (news, new_rest) = new.split_at(new.iter().take_while(|i| i.0 == step).count());
        (old, new) = (old_rest, new_rest);
        let here = |change| Changes { here: Some(change), below: Comparison::default() };
        // Elements that cannot be told apart are compared as one; that state is entered and left as a whole.
        match (olds.len(), news.len()) {
            (..=1, ..=1) => {
                let below = changes(element, olds.first().map(|i| i.1), news.first().map(|i| i.1));
                if !below.is_empty() {
                    out.add(step, below);
                }
            }
            (2.., 2..) => {
                let equal = olds.len() == news.len() && olds.iter().zip(news).all(|(o, n)| same(o.1, n.1));
                if !equal {
                    out.add(step, here(Change::Modified));
                }
            }
            (2.., _) => {
                if let Some((_, value)) = news.first() {
                    out.add(step.clone(), changes(element, None, Some(value)));
                }
                out.add(step, here(Change::Removed));
            }
            (_, _) => {
                if let Some((_, value)) = olds.first() {
                    out.add(step.clone(), changes(element, Some(value), None));
                }
                out.add(step, here(Change::Added));
            }
        }
    }
}
